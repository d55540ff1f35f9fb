/* SPDX-License-Identifier: Apache-2.0 */
/* What came out of an evaluation, as one tree: what it rests on, then its entries in their order. Filled once, by
 * eval/eval_report.c; what renders it computes nothing. */
#ifndef REPORT_EVALUATION_H
#define REPORT_EVALUATION_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

/* Counts are of rows; a row may count in several. */
struct report_basis {
    const char *task;                 /* "truthfulqa" */
    int n_row;                        /* rows that should have been measured */
    int n_missing;                    /* without an output */
    int n_truncated;                  /* an output that did not end by itself, or a judge's input that was cut */
    int n_unparsed;                   /* a judge's answer that could not be read */
    double threshold;                 /* NAN: none */
    const char *style;                /* prompt style; NULL: outputs were read */
    const char *judge, *judge_sha256; /* NULL: no judge (the metric is computed) */
};
struct report_value {
    double value, low, high; /* with its 95 % interval; NAN: none */
    int n, partial;          /* rows that it is over; these are fewer than all */
    double p;                /* of Wilcoxon's signed-rank test of a difference; NAN: not tested */
    int n_tested;            /* rows that differ */
};
enum report_entry_kind { REPORT_VALUE, REPORT_FACT, REPORT_NOTE };
struct report_entry {
    enum report_entry_kind kind;
    const char *name; /* of a value or a fact; a note's text */
    struct report_value value;
    json_t *fact;
    struct report_entry *next;
};
enum report_complete { REPORT_UNFINISHED, REPORT_PARTIAL, REPORT_COMPLETE };
struct report_evaluation {
    struct arena arena; /* texts and entries */
    struct report_basis basis;
    int n; /* rows with an output */
    struct report_entry *first, *last;
    enum report_complete complete; /* partial: a value is over fewer than all rows */
};
/* Texts are copied. ERROR_NOMEM. */
int report_evaluation_begin(struct report_evaluation *e, const struct report_basis *basis, struct error *err);
int report_evaluation_value(struct report_evaluation *e, const char *name, const struct report_value *value,
                            struct error *err);
/* Takes fact, NULL for one that could not be made. */
int report_evaluation_fact(struct report_evaluation *e, const char *name, json_t *fact, struct error *err);
int report_evaluation_note(struct report_evaluation *e, const char *text, struct error *err);
void report_evaluation_free(struct report_evaluation *e);

/* The table for people; appends. Texts may come from files and other machines: base/printable.h before a terminal gets
 * them. */
int report_evaluation_text(const struct report_evaluation *e, struct buf *out, struct error *err);
/* One object (docs/FORMATS.md); a new one. */
int report_evaluation_json(const struct report_evaluation *e, json_t **out, struct error *err);

#endif
