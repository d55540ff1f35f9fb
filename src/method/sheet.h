/* SPDX-License-Identifier: Apache-2.0 */
/* The sheet that people label: answers of the pretrained model and of the last round to the same questions, in an order
 * that tells nothing, each with an id from which nobody can read whose it is. */
#ifndef METHOD_SHEET_H
#define METHOD_SHEET_H

#include "method/parts.h"

enum { SHEET_MOST_RATERS = 32, SHEET_ID = 13 };
struct sheet_row {
    char id[SHEET_ID];
    int arm, index; /* arm 0: pretrained, 1: the last round */
};
struct sheet {
    struct recorded d;
    struct run *run;
    const struct arm *arms[2];
    struct sheet_row *rows; /* shuffled */
    int n;
    signed char *labels; /* [n * n_rater]; 1: bad, 0: not, -1: no label */
    int n_rater;
};
/* ERROR_NOINPUT: the run has no answers of two models yet. */
int sheet_open(struct sheet *s, const char *run_directory, struct error *err);
void sheet_close(struct sheet *s);                          /* zeroed is fine */
int sheet_row_named(const struct sheet *s, const char *id); /* -1: none */
/* Room for so many raters' labels, of which there are none yet. */
int sheet_raters(struct sheet *s, int n, struct error *err);
/* Into r->people; 0 labels: nothing. */
int sheet_people(const struct sheet *s, struct report_run *r);

#endif
