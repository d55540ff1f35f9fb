/* SPDX-License-Identifier: Apache-2.0 */
/* ROUGE-1, -2, -L and -Lsum as google-research's rouge_score 0.1.2 gives them (no stemmer), and the LCS underneath,
 * bit-parallel.
 *
 * Texts are brought to word numbers once (struct rouge_text) and compared any number of times. Tokenisation: Python's
 * str.lower(), then every run of characters outside [a-z0-9] separates; of all other letters lower() only brings KELVIN
 * SIGN (k) and I WITH DOT (i, then a separator) inside. */
#ifndef MEASURE_ROUGE_H
#define MEASURE_ROUGE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Words to numbers 0, 1, 2, ... in order of first appearance. */
struct rouge_vocab;
int rouge_vocab_new(struct rouge_vocab **out, struct error *err);
/* Words of every script, for comparing texts that are not scored against anybody's numbers: runs of letters, marks and
 * digits, case folded; each letter is a word where a script has no spaces between words. Of ASCII texts they are the
 * same words. */
int rouge_vocab_new_unicode(struct rouge_vocab **out, struct error *err);
/* Does text hold letters that rouge_score's words leave out? */
int rouge_overlooks(const char *text);
void rouge_vocab_free(struct rouge_vocab *v);
int32_t rouge_vocab_size(const struct rouge_vocab *v);
int32_t rouge_vocab_number(struct rouge_vocab *v, const void *word,
                           int n); /* of n bytes, new or known; -1 when out of memory */

struct rouge_text {
    int32_t *words;
    int n;
    int *ends, n_sentence; /* a sentence is a non-empty line: words [ends[i-1], ends[i]) */
};
int rouge_text_init(struct rouge_text *t, struct rouge_vocab *v, const char *text, size_t n, struct error *err);
void rouge_text_deinit(struct rouge_text *t);

struct rouge_score {
    double precision, recall, f;
};
/* From a count of shared words or n-grams; zero where a side is empty. */
struct rouge_score rouge_score_of(long shared, long n_reference, long n_prediction);
int rouge_n(const struct rouge_text *reference, const struct rouge_text *prediction, int n, struct rouge_score *out,
            struct error *err);
int rouge_l(const struct rouge_text *reference, const struct rouge_text *prediction, struct rouge_score *out,
            struct error *err);
int rouge_lsum(const struct rouge_text *reference, const struct rouge_text *prediction, struct rouge_score *out,
               struct error *err);

/* LCS of one pattern with many texts. masks hold, for each word of the pattern, the places where it stands, n_mask = (n
 * + 63) / 64 words of 64 bits each. */
struct lcs_pattern {
    int n, n_mask;
    int32_t *slot;
    int32_t n_slot; /* by word number: 1 + row of masks, 0 = not in the pattern; n_slot of them */
    uint64_t *masks, *state;
    int cap_mask;   /* rows * n_mask that masks holds */
    int32_t *words; /* copy of the pattern, to clear slots with */
};
#define LCS_PATTERN_INIT                   \
    {                                      \
        0, 0, NULL, 0, NULL, NULL, 0, NULL \
    }
int lcs_pattern_set(struct lcs_pattern *p, const int32_t *words, int n, int32_t vocab_size,
                    struct error *err); /* may be set again */
int lcs_length(struct lcs_pattern *p, const int32_t *words,
               int n); /* words numbered at or above vocab_size match nothing */
void lcs_pattern_deinit(struct lcs_pattern *p);

#endif
