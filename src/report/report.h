/* SPDX-License-Identifier: Apache-2.0 */
/* What came out of an alignment, as one tree. It is filled once, by what computes (method/results.c from the journal);
 * renderers compute nothing, so that no two of them can differ: what is not in the tree is in no report. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

struct report_compared { /* an arm beside another one on the same questions; NAN: not defined */
    int n;               /* questions scored for both */
    /* of the likelihood: mean difference of a reference answer's mean log-likelihood a token, with its 95 % interval */
    double change, low, high;
    const char *interval; /* what kind of interval that is: "BCa", "studentised", "t" */
    /* the change in standard deviations of the differences; Wilcoxon's test; over the family that is printed with it */
    double dz, p, p_holm;
    double found; /* the least change that this test with its correction finds 4 times in 5; NAN: none, however large */
    int n_judged, n_both, n_better,
        n_worse; /* questions judged for both; flagged in both, for the other only, for this one only */
    double h, ratio, ratio_low, ratio_high;    /* Cohen's h and ratio of the flagged shares, with its 95 % interval */
    double p_flags, p_flags_holm, found_flags; /* exact McNemar; over the family; the least net share */
};
/* one of the judge's, alone; Wilson 95 % */
struct report_label {
    const char *name;
    int n, flagged;
    double rate, low, high;
};
struct report_arm {   /* one line of the table at the end */
    char name[32];    /* "pretrained", "icl-knn", "icl-random", "sft-seeds", "sft-seeds-steps", "round-1", ... */
    int round;        /* of the method; 0: a control */
    long steps;       /* optimizer steps behind it */
    int n, n_missing; /* questions scored, and not */
    double logprob;   /* mean over questions of a reference answer's mean log-likelihood a token; NAN: not computed */
    struct report_compared to;           /* the pretrained model */
    int n_judged, n_flagged, n_unjudged; /* by the judge, over the test questions */
    double rate, rate_low, rate_high;    /* flagged share, Wilson 95 % */
    struct report_label *labels;
    int n_label;
    /* examples in the prompts: asked for, least and most that fitted; prompts with fewer than asked for */
    int contexts_asked, contexts_least, contexts_most, n_dropped;
    double contexts_mean;           /* NAN: not known */
    int n_answered, n_empty, n_cut; /* answers; of those without a word, of those that reached the token limit */
    char model_sha256[65];          /* of the weights; empty where there is no model of its own */
};

struct report_reason {
    const char *name, *text;
    int n;
};
struct report_round {
    int number, attempts, parsed, kept, repeats;
    double share, low, high; /* kept, Wilson 95 % */
    double nearest,
        pairs; /* of the kept: mean F1 with the nearest earlier question; different word pairs / word pairs */
    struct report_reason *reasons;
    int n_reason; /* those that occurred */
    long steps;
    char model_sha256[65];
    double asked_tokens, answered_tokens; /* generated, of the beam that was taken */
};
struct report_control {
    char arm[32];
    struct report_compared by;
};
/* an arm beside others, corrected together; n 0: none */
struct report_family {
    char of[32];
    struct report_control *list;
    int n;
};
/* [n_arm]; NULL: none */
struct report_sample {
    const char *question, *reference, **answers;
};
struct report_phase {
    const char *name;
    double seconds, cpu;  /* by the clock; of all processors together, NAN: not measured */
    double joules;        /* of processors and memory, of all that the machine did; NAN: not read */
    double tokens, gflop; /* generated or trained on, and 10^9 operations for them; NAN: not counted */
    int texts;            /* that were generated; 0: none are */
    double seconds_each;  /* a text */
};
/* An attempt as the journal has it; of a round and a reason the first REPORT_EXAMPLES. */
enum { REPORT_EXAMPLES = 3, REPORT_REGRESSIONS = 20 };
struct report_attempt {
    int round, index;
    const char *question, *answer, *reason; /* NULL: none */
    double f1;                              /* greatest ROUGE-L F1 with what was kept before it */
};
/* A question on which the last round is worse than the pretrained model. */
struct report_regression {
    int index; /* in the set */
    const char *question, *before, *after;
    int newly_flagged;
    double change; /* of the reference's mean log-likelihood a token; NAN: not computed */
};
/* What an arm may have paid elsewhere, beside the pretrained model on the same questions (eval/measured.h). */
struct report_tax {
    const char *arm, *metric; /* "answers.words", "over_refusal" */
    const char *better;       /* "lower", "higher"; NULL: neither */
    const char *test;         /* SHA-256 of the set of an evaluation beside the run; NULL: the run's own questions */
    int n, n_both;            /* questions; those that both have: 0: there is no interval */
    double value, change, low, high; /* 95 % */
    const char *interval;            /* its kind */
};
/* One optimizer step as log.jsonl has it. */
struct report_step {
    long step, tokens;
    double loss, grad_norm, learning_rate;
};
struct report_curve {
    const char *name; /* "round-1", "baseline-sft-seeds": the model's directory in the run */
    struct report_step *steps;
    int n;
};
/* What people said of answers of the pretrained model and of the last round, blind to which is which. */
struct report_labelled {
    const char *arm;
    int n, n_yes;                              /* answers that people agree on by majority; of those the bad ones */
    double rate, low, high, judged, corrected; /* people's share, Wilson 95 %; the judge's over all its answers, and
                                                * that share corrected for the judge's errors; NAN: no judge */
};
struct report_people {
    int n_sheet, n_labelled, n_rater; /* answers on the sheet; with a label; columns of labels */
    double alpha, kappa_raters;       /* between raters: Krippendorff's; Cohen's, mean of pairs; NAN: one rater */
    double kappa_judge, sensitivity, specificity; /* the judge against the majority of people; NAN: no judge */
    struct report_labelled arms[2];
    int n_arm;
    /* pairs of answers of which people said which is better, blind: the last round's, the pretrained model's, neither;
     * the first's share of the first two with its Clopper and Pearson 95 %, and the sign test's p; NAN: none differ */
    int n_after, n_before, n_same;
    double wins, wins_low, wins_high, p_wins;
};
/* Who asked or answered in the model's place, behind an endpoint; what it took as the journal counts it. */
struct report_elsewhere {
    const char *role, *model, *endpoint, *api; /* "asker", "answerer"; all its addresses, with ", " between */
    long texts, refused, requests;             /* refused: those of which there is an error in place of a text */
    double prompt_tokens, completion_tokens;   /* as the server counted them */
    long uncounted;                            /* texts of which it did not say */
};
struct report_fact {
    const char *name, *value; /* "build.version": "0.1.0" */
};
struct report_facts {
    struct report_fact *items;
    int n;
};
/* with the test set, which may be none */
struct report_overlap {
    double threshold;
    int seeds, seeds_left_out, generated, left_out, kept;
};

struct report_run {
    struct arena arena;           /* texts and lists, but for arms */
    const char *output;           /* directory */
    const char *set;              /* "test" or "holdout" */
    int has_test, n_item, n_text; /* questions measured on; of those the first so many are answered */
    int n_seed, n_given, n_held;  /* seeds: all, in the method, kept out of it */
    const char *judge, *judge_sha256;
    double threshold;
    int has_judge;
    struct report_round *rounds;
    int n_round;
    int tuned; /* rounds with a model */
    int novelty_ran_out;
    double stop_novelty;                  /* the round, or 0 */
    struct report_elsewhere elsewhere[2]; /* n 0: the model did all itself */
    int n_elsewhere;
    struct report_review { /* what a person did to attempts (isara view) */
        int struck, accepted, edited, added;
    } review;
    int attempts_taken; /* of round 1, from another run that asked and answered in the same way */
    int kept;
    double scaling; /* pairs trained on; for each given seed */
    struct report_overlap overlap;
    struct report_arm *arms;
    int n_arm;
    int tested, tested_flags;       /* sizes of the table's two families */
    const char *interval;           /* kind of the changes' intervals */
    int answers_missing, any_fewer; /* in all arms together; an arm was scored on fewer than all questions */
    struct report_family last,
        first; /* the last round beside every control; the first one beside as many steps on the seeds */
    struct report_sample *samples;
    int n_sample;
    struct report_phase *phases;
    int n_phase;
    double seconds, cpu;       /* of all phases */
    double joules, co2;        /* of all; grams, by what people say of the grid; NAN: not known */
    const char *joules_unread; /* why; NULL: they are known */
    int peak_mib;
    struct report_tax *tax; /* by set, metric and arm; the run's own questions first */
    int n_tax;
    /* what is only in the document (report/sections.h) */
    struct report_attempt *attempts;
    int n_attempt;
    struct report_regression
        *regressions;                    /* newly flagged ones first, then by their change; the worst ones of n_worse */
    int n_regression, n_worse, n_beside; /* n_beside: questions measured for both */
    struct report_curve *curves;
    int n_curve;
    struct report_facts manifest, settings; /* of manifest.json and config.resolved.json, nested names with points */
    double begun;                           /* seconds since 1970; 0: not known */
    struct report_people people;            /* n_labelled 0: nobody was asked */
    int n_same, n_group;                    /* among runs compared: with these settings; groups of settings; 0: alone */
    struct report_facts about;              /* what people say of it (--about): "authors", "funding", ... */
    const char *license;                    /* of the base, from its model card; NULL: not known */
};
void report_run_free(struct report_run *r);
const char *report_fact_find(const struct report_facts *f, const char *name); /* its value; NULL: not there */

/* "asked and answered by X at URL"; appends. */
void report_elsewhere_text(const struct report_run *r, struct buf *out);

/* The summary for people; appends. Texts of models are in it: base/printable.h before a terminal gets it. */
void report_run_text(const struct report_run *r, struct buf *out);
/* metrics.json; a new object. */
int report_run_json(const struct report_run *r, json_t **out, struct error *err);
/* What metrics.json says of a round in numbers of attempts. */
json_t *report_round_json(const struct report_round *x);     /* NULL when out of memory */
json_t *report_overlap_json(const struct report_overlap *o); /* as there; NULL when out of memory */

#endif
