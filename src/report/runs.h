/* SPDX-License-Identifier: Apache-2.0 */
/* Several runs side by side, as one tree. Runs whose settings are the same but for the random seed are a group; over a
 * group there are mean, standard deviation and Student's 95 % interval. Of runs with the random seed in common too only
 * one is in them, the first that is finished: another one is no further draw. */
#ifndef REPORT_RUNS_H
#define REPORT_RUNS_H

#include "report/document.h"
#include "report/report.h"

struct compared_value { /* over runs; NAN: not defined */
    int n;
    double mean, sd, low, high;
};
struct compared_arm {
    const char *arm;
    int group;
    struct compared_value logprob, change, flagged; /* as in struct report_arm */
};
/* A group's last round less the first group's, over the random seeds that both have. */
struct compared_group {
    const char *name, *settings; /* its recipe where that tells it from the others, else all in which it differs */
    int n;                       /* runs, each draw once */
    struct compared_value logprob, flagged;
};
struct report_runs {
    struct arena arena;
    struct report_run *runs; /* [n], the caller's */
    int n, *group;           /* [n]: of a run */
    int *draw;               /* [n]: the run that has its settings and random seed and is in the numbers, or itself */
    struct compared_group *groups;
    int n_group;
    struct compared_arm *arms;
    int n_arm;
    const char *unlike; /* what the runs do not share though it must be for a comparison (test set, base); NULL: all */
    const char **warnings; /* what would mislead: that, a run that repeats another's draw, one that is not finished */
    int n_warning;
};
/* n at least 2. ERROR_NOMEM. */
int report_runs_fill(struct report_runs *c, struct report_run *runs, int n, struct error *err);
void report_runs_free(struct report_runs *c);
/* comparison.json; a new object. */
int report_runs_json(const struct report_runs *c, json_t **out, struct error *err);
void report_runs_document(struct document *d, const struct report_runs *c); /* sections_runs.c */

#endif
