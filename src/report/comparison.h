/* SPDX-License-Identifier: Apache-2.0 */
/* What came out of an experiment, as one tree: each arm on each metric with each random seed, and beside its controls.
 * Filled once, by experiment/gather.c; what renders it computes nothing. */
#ifndef REPORT_COMPARISON_H
#define REPORT_COMPARISON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "report/report.h"

#include <jansson.h>

/* An arm beside a control: question by question, each question's value being its mean over the random seeds. NAN: not
 * defined. */
struct report_beside {
    const char *control;
    int n; /* questions that both have; 0: the metric has no value of a single question */
    double change, low, high;
    const char *interval; /* kind: "BCa", ... */
    double dz, p, p_holm; /* Wilcoxon's; after Holm over the arms and controls of this metric */
    int n_tested;         /* questions that differ */
    double found; /* the least change that this test, so corrected, finds 4 times in 5; NAN: none, however large */
    double seeds_change, seeds_low, seeds_high; /* mean over the random seeds of the differences, Student's t */
};
struct report_measured { /* an arm's variant with a model on a metric of a test */
    const char *arm, *model, *test, *metric;
    const char *better;         /* "lower", "higher"; NULL: neither */
    double *values;             /* [n] by random seed; NAN: not measured */
    int *rows;                  /* [n] questions that each is over */
    int n, n_value;             /* random seeds; those with a value */
    double mean, sd, low, high; /* over the random seeds, Student's t */
    struct report_beside *beside;
    int n_beside;
};
/* A metric at a glance: of the arms that are no control, the one furthest ahead of the best of its controls, by the
 * mean. Of metrics that have a direction, controls and values of single questions, and are no cost. */
struct report_finding {
    const struct report_measured *arm, *control;
    const struct report_beside *beside; /* arm less control */
    int n_arm, n_better; /* such arms; those better than the best of their controls: the interval over the
                          * questions has no 0, and p after Holm is below 0.05 */
};
/* What the tests of a model, test and metric could have shown. */
struct report_power {
    const struct report_measured *of; /* the first of them */
    int n, n_none;                    /* tests; those that find no change, however large */
    int n_question;                   /* the least number of questions that one is over */
    double least, most;               /* of what the others find 4 times in 5; NAN: there are none */
};
struct report_arm_run { /* a variant with a model and a random seed */
    const char *model;
    unsigned long long random_seed;
    long steps, kept; /* of the optimizer, pairs kept; -1: none */
    int round;        /* whose model was measured; -1: none of an alignment, 0: it tuned nothing */
    const char **jobs;
    int n_job; /* hashes */
    /* of an alignment of its own: with the test; the pairs it was given; NULL: it has none */
    const struct report_overlap *overlap;
    int n_seed;
};
/* What the alignments of an arm with a model made in a round, over the random seeds: counts and reasons, and the share
 * kept; nothing else of the round. */
struct report_made {
    const char *arm, *model;
    int n_run; /* random seeds whose alignment had the round */
    struct report_round round;
};
/* An attempt of an arm's alignment with the first random seed: of each reason the first one. */
struct report_shown {
    const char *arm, *model;
    unsigned long long random_seed;
    struct report_attempt attempt;
};
struct report_arm_of {
    const char *name, *kind, *seeds, *as; /* seeds: category or ""; as: NULL: none */
    int seed_count;                       /* 0: all */
    json_t *options;                      /* those given, as texts */
    struct report_arm_run *runs;
    int n_run;
};
struct report_comparison {
    struct arena arena; /* texts and lists */
    const char *name, *sha256;
    json_t *about; /* or NULL */
    const unsigned long long *random_seeds;
    int n_random_seed;
    const char **models, **controls;
    int n_model, n_control;
    struct report_arm_of *arms;
    int n_arm;
    struct report_measured *list; /* by model, metric, test, arm; costs behind the others */
    int n;
    struct report_finding *findings;
    int n_finding;
    struct report_power *power;
    int n_power;
    struct report_made *made; /* by arm, model, round */
    int n_made;
    struct report_shown *shown; /* of alignments that several arms share under the first of them */
    int n_shown;
};
/* Entries of the list from i on that are of the same model, test and metric. */
int report_metric_size(const struct report_comparison *c, int i);
/* Is the metric no aim, but what alignment may have cost: general text, refusals, the answers' form? */
int report_is_cost(const char *metric);
/* "qa.nll: of 3 arms that are no control none is better than the best control; ...", appended. */
void report_finding_text(const struct report_comparison *c, const struct report_finding *f, struct buf *out);
void report_comparison_free(struct report_comparison *c);
/* results.json; a new object. */
int report_comparison_json(const struct report_comparison *c, json_t **out, struct error *err);
/* Tables for people; appends. */
void report_comparison_text(const struct report_comparison *c, struct buf *out);
/* report.html and tables/NAME.csv and .tex into DIR (report/files.c). */
int report_comparison_write(const struct report_comparison *c, const char *directory, struct error *err);

#endif
