/* SPDX-License-Identifier: Apache-2.0 */
/* How much of one set of texts stands in another: shared word n-grams (words of every script, rouge.h) and the nearest
 * question by ROUGE-L. Exact: hashes only find candidates. */
#ifndef MEASURE_OVERLAP_H
#define MEASURE_OVERLAP_H

#include "base/error.h"

/* text: question and answer, what n-grams are taken of */
struct overlap_text {
    const char *question, *text;
};
struct overlap_hit {   /* of a text of b in a; index -1: none */
    int gram8, gram13; /* the first of a that shares 8 or 13 consecutive words with it */
    int nearest;
    double rouge_l; /* question with the greatest ROUGE-L F1, 0 to 1; ties to the lower index; -1 when a is empty */
};
int overlap_find(const struct overlap_text *a, int na, const struct overlap_text *b, int nb, struct overlap_hit *hits,
                 struct error *err);

/* --- how different the texts of one set are --- */
struct diversity {
    double distinct[3]; /* distinct-1, -2, -3: different n-grams / all n-grams, over the set */
    double
        /* mean BLEU-4 (0 to 100) of each text against all others as references: clipped counts, exponential
         * smoothing, closest reference length */
        self_bleu;
    int n;
};
/* Words as above. n < 2 or no words at all: NAN in what is not defined. */
int diversity_of(const char *const *texts, int n, struct diversity *out, struct error *err);

#endif
