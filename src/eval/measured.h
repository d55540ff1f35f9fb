/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation left in its directory, as columns of one value a question (samples_*.jsonl, judged.jsonl, the
 * journal of texts) and values of the whole set; and two such columns beside each other. Answers from elsewhere (a
 * run's journal) get the same columns. */
#ifndef EVAL_MEASURED_H
#define EVAL_MEASURED_H

#include "base/arena.h"
#include "base/error.h"
#include "stats/stats.h"

#include <jansson.h>

struct measured_column {
    const char *name; /* "nll", "answers.words" */
    double *rows;     /* [n_row] a value a question, NAN: none; NULL: */
    double whole;     /* of the set */
};
struct measured { /* zeroed before; its arena is the caller's to free */
    struct measured_column *columns;
    int n, n_row;
    const char **texts; /* answers, for what is counted over all */
    int n_text;
    double threshold;        /* of a judge's labels */
    double logprob, n_token; /* of all windows of text */
    struct arena arena;
};
struct measured_from {
    const char *directory, *task; /* of eval_options.output */
    double threshold;
    const json_t *report; /* what the evaluation gave, for values of the whole set; NULL: only texts' perplexity */
};
int measured_read(struct measured *m, const struct measured_from *from, struct error *err);
/* Directories below this one that are of evaluations, in the order of their names. */
int measured_list(const char *directory, struct arena *arena, const char ***list, int *n, struct error *err);
/* What one was begun with ("task", "model-sha256", "test-sha256", ...); a new reference. */
int measured_settings(const char *directory, json_t **settings, struct error *err);

/* A column is there once a value is set; one of the set has no rows from then on. ERROR_NOMEM. */
int measured_set_row(struct measured *m, const char *name, int row, double value, struct error *err);
int measured_set_whole(struct measured *m, const char *name, double value, struct error *err);
/* How long an answer is, and whether it ends and says anything, which is what alignment may cost: answers.words,
 * .empty, .cut. n_row is set before; text NULL: none. */
int measured_answer(struct measured *m, int row, const char *text, int ended, struct error *err);
/* Over all of them: answers.distinct_1 to _3. */
int measured_diversity(struct measured *m, struct error *err);
int measured_words(const char *text); /* runs of what is no white space */

const struct measured_column *measured_find(const struct measured *m, const char *name); /* NULL: there is none */
/* Over the rows that have a value, *n of them; of a set's value *n is n_row. */
double measured_mean(const struct measured *m, const struct measured_column *c, int *n);
const char *measured_better(const char *column); /* "lower", "higher"; NULL: neither */
/* mine[n] less theirs[n], over the n that have both; n 0: nothing else is set. */
struct measured_change {
    int n;
    struct stats_paired paired;
};
int measured_change(const double *mine, const double *theirs, int n, struct measured_change *out, struct error *err);
/* The least change that their test, one of a family of so many after Holm, finds 4 times in 5; NAN: none is found. */
int measured_finds(const double *mine, const double *theirs, int n, int family, double *out, struct error *err);

#endif
