/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of method/: one alignment at work. The phases of a round (ask, retrieve, answer, verdicts, tune) each look at
 * the round's attempts, do what is not done yet and put it into the journal; so a phase is also its own resumption. */
#ifndef METHOD_PARTS_H
#define METHOD_PARTS_H

#include "answer/elsewhere.h"
#include "base/arena.h"
#include "method/fields.h"
#include "method/method.h"
#include "run/run.h"

struct align {
    struct align_options o;
    struct speaker speaker;                   /* the model, its prompts and its engine */
    struct elsewhere *elsewhere[ALIGN_ROLES]; /* who asks or answers in its place; NULL: nobody */
    json_t *costs[ALIGN_ROLES];               /* theirs, as the journal has them by now; NULL: none yet */
    struct seeds seeds, test;
    struct buf principles; /* empty: none */
    char principles_sha256[65];
    struct sift *test_questions; /* NULL: no test set */
    int untested;                /* the run was begun without one, so seeds were held out */
    unsigned char *in_test;      /* [seeds.n]: that seed is a test question */
    /* kept: generated ones near a test question that were trained on */
    struct overlap_counts {
        int seeds, generated, left_out, kept;
    } overlap;
    int *given, n_given, *held, n_held; /* indices of seeds in the method and kept out of it */
    struct pair_pool pool;              /* contexts of this round */
    struct pool_item *kept;
    int n_kept, cap_kept;            /* of earlier rounds and, after its verdicts, this one */
    struct run *run;                 /* NULL: nothing is written (preview) */
    struct arena arena, round_arena; /* the run's; the round's */
    struct energy *energy;           /* what it is read from */
    int reviewed;                    /* this start went on after a review: the next round's is another one */
    int round;
    struct run_attempt *attempts;
    int n_attempt;
};

/* A round's attempts are its questions' answers: those of question q are q * answers and the next ones. They share
 * what is known of the question. */
static inline int align_is_first(const struct align *a, int attempt)
{
    return attempt % a->o.answers == 0;
}

/* Of n neighbours so many stand before a question that is answered. */
static inline int align_answer_k(const struct align *a, int n)
{
    return a->o.answer_contexts == ALIGN_ANSWER_NONE ? 0 : n;
}
/* The round whose questions and answers this one has: an earlier one's in an improve step. */
static inline int align_asked_in(const struct align *a)
{
    return a->round - (a->round - 1) % a->o.improve_steps;
}

/* align_options.c */
json_t *align_settings(const struct align *a); /* everything that decides the bits; new reference or NULL */
json_t *align_manifest(const struct align *a);
/* Options from a run's settings and manifest (replay). Strings are the settings'. */
int align_options_from(struct align_options *o, const json_t *settings, const char *where, struct error *err);

/* elsewhere.c */
const char *align_role_name(enum align_role role); /* "asker", "answerer" */
int align_elsewhere_check(const struct align_options *o, struct error *err);
int align_open_elsewhere(struct align *a, struct error *err);   /* asks nothing yet */
int align_resume_elsewhere(struct align *a, struct error *err); /* when the run is open */
void align_close_elsewhere(struct align *a);
void align_elsewhere_from(struct align_options *o, const json_t *settings);
/* Into the journal, in the commit that has the text; nothing when the model itself said it. */
int align_put_cost(struct align *a, enum align_role role, const struct spoken *t, struct error *err);
/* {"texts","refused","requests","prompt_tokens","completion_tokens","uncounted"}; a new reference, NULL: none. */
int align_read_costs(struct run *run, enum align_role role, json_t **out, struct error *err);
/* "n_tokens" and "sum_logprob" of a row become null where nobody knows them: a text of the model's own has tokens. */
void align_hide_tokens(json_t *row, const struct run_text *t);

/* extend.c: what a later start may give otherwise; what it adds to the manifest of the run that was begun. */
int align_may_change(const json_t *was, const json_t *is, const char *name);
void align_extend_manifest(json_t *manifest, const json_t *now);
/* Was the run in this directory, if there is one, begun without a test set? */
int align_was_untested(const char *directory);
int align_test_was_added(const char *directory); /* and has one now */
/* Kept questions of such a run near a question of the test set that it is given: ERROR_DATA. */
int align_check_added(struct align *a, struct error *err);
/* manifest.c: sets a member of it, unless it is so already; takes value (NULL: ERROR_NOMEM). */
int align_note_manifest(const struct align *a, const char *name, json_t *value, struct error *err);

/* setup.c */
enum { ALIGN_HELD_SHARE = 8 }; /* one in so many is held out, where there is no test set and nothing else was asked */
/* Draws as many of n seeds as holdout says, by the run's seed: held[i] becomes 1. */
int align_draw_held(const struct align_options *o, int n, int holdout, unsigned char *held, struct error *err);
int align_open(struct align *a, struct device *device, const struct align_options *o,
               struct error *err); /* everything but the run */
int align_open_inputs(struct align *a, struct device *device, const struct align_options *o,
                      struct error *err); /* the same without the weights' hash */
void align_close(struct align *a);
char *align_round_file(const struct align *a, int round, const char *name); /* RUN/round-t/name; mem_free */
/* RUN/round-t/model of the round's model, or the pretrained one's path for round 0; mem_free. */
char *align_model_path(const struct align *a, int round);
/* principles.c: reads the file, if there is one, and checks that it fits; then its text, or NULL. */
int align_open_principles(struct align *a, struct error *err);
const char *align_principles(const struct align *a);
/* kept.c: what prompts and training rows are made of. */
int align_make_pool(struct align *a, int grown,
                    struct error *err); /* the seeds, and if `grown` what was kept before a->round */
int align_add_kept(struct align *a, const struct run_attempt *attempts, int n, int round, struct error *err);
/* Adds a pair as it is tuned on; a pair without anything to train on adds nothing. */
int align_add_row(const struct align *a, struct train_data *data, const struct pool_item *item, struct error *err);

/* ask.c, answer.c, verdicts.c, tune.c, export.c */
int align_ask(struct align *a, struct error *err);
int align_retrieve(struct align *a, struct error *err);
int align_answer(struct align *a, struct error *err);
int align_score(struct align *a, struct error *err); /* score.c */
/* score_rule.c */
int align_score_check(const struct align_options *o, struct error *err);
int align_least_score(const struct align *a, double *least, struct error *err); /* that the round asks for */
int align_verdicts(struct align *a, int most_kept, int *kept, struct error *err);
int align_model_sha256(const char *directory, char sha256[65], struct error *err);
/* A model that the run makes by tuning: a round's or a control's. */
struct made_model {
    const char *name;      /* "round-2", "baseline-sft-seeds": its directory in the run, its name in the journal */
    const char *from;      /* path of the model that is tuned */
    int soft;              /* it learns what its round's teachers say (teacher.h) */
    int newest;            /* of those only the last round's, and no seeds */
    int n_kept, max_steps; /* it is tuned on the given seeds and the first so many of `kept`; 0: as the options say */
    long steps;            /* this and the weights' hash as the journal has them; no hash: it was not made yet */
    char sha256[65];
};
int align_tune(struct align *a, struct made_model *m, const char *directory,
               struct error *err); /* sets steps, sha256 */
/* made.c: RUN/NAME/model; mem_free. */
char *align_made_path(const struct align *a, const char *name);
/* Makes it unless it was made; then it must be what it was (ERROR_DATA names the file that is not), and is made again
 * when it is gone. */
int align_make_model(struct align *a, struct made_model *m, struct error *err);
int align_write_generated(struct align *a, struct error *err);
int align_write_review(struct align *a, struct error *err);
int align_read_review(struct align *a, int *kept, struct error *err);
/* review.c: does to the round's attempts what was said in the journal, in the caller's commit. */
int align_apply_review(struct align *a, struct error *err);
/* The pairs that a person added to a round, in their order; texts from the arena. */
struct added_pairs {
    struct pool_item *items;
    int n, cap;
    struct arena *arena;
};
int review_added(struct run *r, int round, struct added_pairs *out, struct error *err); /* mem_free(out->items) */

/* load.c: the round's attempts from the journal into memory. */
int align_load_round(struct align *a, int round, int n, struct error *err);
/* taken.c: in an improve step, instead of asking: the attempts of the round before, to be judged anew. What rounds
 * with the same attempts kept is kept no more. */
int align_take_over(struct align *a, struct error *err);
void align_drop_improved(struct align *a);
/* When the first round begins: the attempts that --attempts-from has of it. ERROR_CONFIG: it asked or answered
 * otherwise. */
int align_take_first(struct align *a, struct error *err);
int align_check_first(struct align *a, struct error *err); /* what that would refuse */
/* align.c */
int align_check_run(struct align *a, struct error *err); /* the journal against the options and files: ERROR_DATA */

/* test_overlap.c: after seeds and test set are read; *row -1: the question is near none of them; adds a round's
 * attempts to the counts. */
int align_open_overlap(struct align *a, struct error *err);
/* The questions to be near: names are their places. */
int align_sift_of(struct sift **out, const struct sift_options *o, const struct seed *questions, int n,
                  struct error *err);
/* 1: the question is one of those that `tested` is of, by its text or its words, 0, or an error code. */
int align_is_tested(struct sift *tested, const struct seed *questions, const char *question, struct error *err);
int align_near_test(struct align *a, const char *question, int *row, struct error *err);
int align_count_overlap(struct align *a, struct error *err);
json_t *align_overlap_counts(const struct align *a);
int align_overlap_manifest(const struct align *a, struct error *err); /* brings the counts there up to date */

/* arms.c, evidence.c: what each arm gives for the questions it is measured on. */
struct arm {
    char name[32];
    char *model; /* path; the pretrained one's for arms without tuning. NULL: only its results are read */
    int round;   /* of align; 0: a baseline */
    enum context_kind contexts; /* seeds before the question */
    long steps;
    char sha256[65];
    struct run_result *results; /* [n] of the set */
};
struct arms {
    struct arm *list;
    int n, cap;
    const char *set; /* "test" or "holdout" */
    struct seed *items;
    int n_item; /* what is measured on; borrowed texts */
    int n_text; /* of the first so many, answers are generated */
    char labels[MODEL_MAX_LABEL][64];
    int n_label; /* of the judge */
    char judge_name[512], judge_sha256[65];
    double threshold; /* of its labels */
    int k, samples;   /* examples in a prompt; questions shown side by side */
    uint64_t seed;    /* of what is drawn to find intervals */
};
/* Room for n questions, and how many of them are answered; then which arms the journal has, without their models. */
int arms_questions(struct arms *arms, const struct align_options *o, int n, struct error *err);
int arms_list(struct arms *arms, struct run *run, const struct align_options *o, const char *pretrained_sha256,
              struct error *err);
/* What the journal has of an arm, flagged by the threshold of now. */
int arms_get_results(const struct arms *arms, struct arm *arm, struct run *run, struct arena *arena, struct error *err);
int align_arms(struct align *a, struct arms *arms, struct error *err);    /* makes the list, tunes the baselines */
int align_measure(struct align *a, struct arms *arms, struct error *err); /* fills the results */
/* tax.c: --general and --over-refusal are files; every arm's model on them, into DIR/eval; what was measured
 * on is in the manifest. */
int align_check_tax(const struct align_options *o, struct error *err);
int align_tax(struct align *a, const struct arms *arms, struct error *err);
void arms_free(struct arms *arms);
/* compare.c: r->arms (n_arm) with everything that is known of each arm and what its tests can find. */
int align_compare_arms(const struct arms *arms, struct report_run *r, struct error *err);
/* An arm beside another one; Holm's correction over the n p-values of a family (those that are defined). */
int align_compare(const struct arms *arms, int mine, int other, struct report_compared *out, struct error *err);
int align_correct(struct report_compared *const *family, int n, struct error *err);

/* recorded.c: what a run directory holds. */
struct run_files {
    json_t *settings, *manifest;
};
int run_files_read(struct run_files *f, struct run *run, struct error *err);
const char *run_files_path(const struct run_files *f, const char *part); /* "model", "seeds", "test"; NULL: none */
void run_files_free(struct run_files *f);
struct recorded {
    struct run *run; /* borrowed */
    const char *directory;
    struct run_files files;
    struct align_options o; /* as it was begun; texts are those of files */
    int n_seed, n_given, n_held;
    struct report_overlap overlap;
    struct arms arms;
    struct run_attempt *attempts; /* of the round that was read last */
    int n_attempt;
    struct arena arena, round_arena;
};
int recorded_read(struct recorded *d, struct run *run, struct error *err); /* after run_check */
int recorded_round(struct recorded *d, int round, int n, struct error *err);
void recorded_free(struct recorded *d);
/* results_samples.c, results_files.c: parts of the tree. The round that was read last: tokens and examples. */
int results_attempts(const struct recorded *d, struct report_round *x, struct report_run *r, struct error *err);
int results_regressions(const struct arms *arms, struct report_run *r, struct error *err);
int results_files(const struct recorded *d, struct report_run *r, struct error *err);
int results_tax(const struct arms *arms, struct report_run *r, struct error *err); /* after results_files */
void results_cost(struct report_run *r);                                           /* after all of them */
/* Keeps what only this process knows, fills result->report and renders it, into the run's directory too. */
int align_results(struct align *a, struct align_result *result, struct error *err);

#endif
