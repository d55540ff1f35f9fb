/* SPDX-License-Identifier: Apache-2.0 */
/* The method: rounds of ask, answer, sift and tune over one run directory, and the arms it is compared with.
 *
 *     struct align_options o;
 *     struct align_result r;
 *     align_options_default(&o);
 *     o.model = "models/miniature", o.seeds = "models/seeds.jsonl", o.output = "run";
 *     if (method_align(device, &o, &r, &err)) ...            // run again after ERROR_INTERRUPTED or a kill: it
 *     continues puts(r.summary.data);
 *     align_result_free(&r);
 *
 * Attempt i's contexts depend only on (seed, round, i, the pool as it stood when the round began, its own question).
 * Texts are committed to run.db as they finish, verdicts in index order; so generated.jsonl and the models are the same
 * bytes however often the run was broken and for any number of threads. */
#ifndef METHOD_METHOD_H
#define METHOD_METHOD_H

#include "answer/elsewhere.h"
#include "base/buf.h"
#include "method/sift.h"
#include "report/differences.h"
#include "report/report.h"
#include "train/train.h"

enum align_pool { ALIGN_POOL_SEEDS, ALIGN_POOL_GROWN };
/* what a round's model is tuned on: seeds and all that was kept, or what the newest round kept and nothing else */
enum align_tune_on { ALIGN_TUNE_ALL, ALIGN_TUNE_NEWEST };
enum align_start { ALIGN_START_PRETRAINED, ALIGN_START_LAST };
/* of a question: random pairs, or a random pair and its nearest */
enum align_contexts { ALIGN_CONTEXTS_RANDOM, ALIGN_CONTEXTS_ANCHOR };
/* what `attempts` counts */
enum align_count { ALIGN_COUNT_ATTEMPTS, ALIGN_COUNT_KEPT };

/* of an answer: by --reward, the model's own rating, its mean log-probability, what its contexts add to that */
enum align_score { SCORE_NONE, SCORE_REWARD_MODEL, SCORE_SELF, SCORE_LOGPROB, SCORE_CONTEXT_GAIN };

enum { ALIGN_MOST_K = 1000, ALIGN_MOST_ANSWERS = 64 };

/* what a tuned token is held against: itself, or what the model that answered thought of it */
enum align_answer_contexts { ALIGN_ANSWER_NEAREST, ALIGN_ANSWER_NONE };
enum align_loss { ALIGN_LOSS_HARD, ALIGN_LOSS_SOFT };

/* who may ask and answer in the model's place */
enum align_role { ALIGN_ASKER, ALIGN_ANSWERER, ALIGN_ROLES };
struct align_who {
    const char *endpoint, *model; /* endpoint NULL: the model does it itself */
};

struct align_options {
    const char *model, *seeds, *output;                 /* needed */
    const char *test, *template_file, *encoder, *judge; /* NULL: none */
    const char *system;                                 /* with template_file "chat": the system turn */
    const char *principles;                             /* a file's text stands before the examples of an answer */
    const char *recipe;                                 /* what align_recipe_apply was given [isara] */
    int rounds, attempts, k;                            /* [2] [512] [5] */
    int seed_rounds;        /* the first so many ask nothing and tune on the seeds, word for word [0] */
    int generated_contexts; /* of the k before an asked question, so many are kept generated ones when there are */
    double stop_novelty;    /* [0.1] */
    int answers;            /* sampled for each question, an attempt each [1] */
    enum align_score score;
    const char *reward;               /* a model for SCORE_REWARD_MODEL */
    int improve_steps;                /* rounds that look at the same attempts, each with its own least score [1] */
    int keep_best;                    /* of a question's answers; 0: all that pass [1] */
    const char *min_score, *min_rank; /* "x,y,z" by round, the last one for all after it; NULL: none */
    enum speaker_retriever retriever;
    enum align_pool pool;
    enum align_start start;
    enum align_tune_on tune_on;
    enum align_loss tune_loss;
    int on_policy; /* with ALIGN_LOSS_SOFT: the model that is tuned writes its rows' answers */
    enum align_contexts ask_contexts;
    enum align_answer_contexts answer_contexts;
    enum align_count count;
    struct sift_options sift;
    struct generate_options ask, answer; /* 5 beams; n_eos 0: the model's */
    struct train_options train;          /* dtype and seed below are used */
    struct generate_engine_options engine;
    enum dtype dtype;
    uint64_t seed;
    const char *question_field, *answer_field; /* of seeds and test (io/record_reader.h); NULL: found by name */
    int holdout; /* seeds kept out of the method for its evidence; -1: one in eight, none with a test set */
    int samples; /* questions answered side by side at the end [10] */
    struct align_who who[ALIGN_ROLES];
    struct elsewhere_options there; /* how they are asked: everything but who */
    int preview; /* > 0: that many attempts of round 1 are made and shown, nothing is kept, no directory is written */
    int review;  /* stop before tune, exporting round-t/review.jsonl, whose lines a person may strike */
    int resume;  /* go on after review with the lines that are left */
    int keep_test_overlap; /* seeds that are test questions, and generated questions near one, stay in the method */
    int baselines;         /* with a test set: all arms, else pretrained and the rounds only */
    const char *general, *over_refusal; /* files on which every arm's model is measured besides; NULL: none */
    double threshold;                   /* of the judge's labels, strict [0.5] */
    int accept_different_bits;
    const char *attempts_from; /* a run whose first round asked and answered as this one does; NULL: none */
    const char *energy_root;   /* where the energy's counters are (base/energy.h); NULL: where this machine has them */
    void (*show)(void *user, const char *text); /* preview's text; may be NULL */
    void *user;
};
void align_options_default(struct align_options *o);
/* One of its files of records. */
struct record_source align_source(const struct align_options *o, const char *path);

/* A recipe is a named set of values of the options that align has anyway (recipes.c). */
struct recipe_setting {
    const char *option, *value; /* as the command line has them, without the hyphens */
};
struct recipe {
    const char *name, *help;
    const struct recipe_setting *settings;
    int n;
    const char *needs; /* the option that a person has to give, as nobody else has its file; NULL: none */
};
extern const struct recipe align_recipes[];
extern const int align_n_recipe;
const struct recipe *align_recipe_find(const char *name);
/* Over what is there: to be called before the options that a person gave are set. ERROR_USAGE: there is none. */
int align_recipe_apply(struct align_options *o, const char *name, struct error *err);
/* ERROR_USAGE: what the recipe needs was not given. */
int align_recipe_check(const struct align_options *o, struct error *err);
/* The recipe's options and, as texts, the values that o has by now. New reference, or NULL. */
json_t *align_recipe_switches(const struct align_options *o);
/* Whether the option decides nothing before answers are scored, kept and tuned on: runs that differ in such options
 * only have the same first questions and answers. */
int align_comes_later(const char *option);
int align_options_check(const struct align_options *o, struct error *err);
/* elsewhere.c: who asks or answers in the model's place, for settings; nothing when nobody does. Non-zero: out of
 * memory. */
int align_put_elsewhere(json_t *settings, const struct align_options *o);

struct align_result {
    int rounds;               /* done */
    int stopped_for_review;   /* the round, or 0 */
    int novelty_ran_out;      /* the round, or 0 */
    struct report_run report; /* what the next two are renderings of */
    struct buf summary;       /* plain text */
    struct buf json;          /* metrics.json */
};
void align_result_free(struct align_result *r);

/* The results of a run directory as they are by now, finished or not, from its run.db and the files beside it: no
 * model, no seeds and no test set need be there, and nothing is changed. What method_align ends with is this. *out goes
 * to report_run_free, after an error too. */
int method_results(const char *run_directory, struct report_run *out, struct error *err);
/* Of these what is known before anything is measured: the rounds with their attempts, and the overlap with the test. */
int method_rounds(const char *run_directory, struct report_run *out, struct error *err);
/* Counts of one round more into those of several runs, whose list of reasons has room for all. Nearness, word pairs,
 * steps, tokens and the model are of one run and not touched. */
void method_add_round(struct report_round *sum, const struct report_round *one);

/* What a run made, as other trainers' files have it, appended to out: seeds that the method was given (with_seeds),
 * then what was kept, each pair once; preferences: the last round's answers over the pretrained model's. */
#define METHOD_EXPORTS "messages|sharegpt|alpaca|prompt-completion|csv|dpo"
enum export_format {
    EXPORT_MESSAGES,
    EXPORT_SHAREGPT,
    EXPORT_ALPACA,
    EXPORT_PROMPT_COMPLETION, /* the texts that a round tunes on */
    EXPORT_CSV,
    EXPORT_DPO
};
struct export_options {
    enum export_format format;
    int with_seeds;
};
struct export_counts {
    int seeds, kept, preferences;
    int left_out; /* questions with two answers that are the same, or of which the judge flags the later one alone */
};
/* ERROR_NOINPUT: the run has nothing of that yet. */
int method_export(const char *run_directory, const struct export_options *o, struct buf *out, struct export_counts *n,
                  struct error *err);

/* Everything that method_align refuses before its first work: options, files, seeds, lengths, a run directory that
 * cannot be or was begun otherwise, attempts of another run that asked otherwise. Warns as it does. */
int method_check(struct device *device, const struct align_options *options, struct error *err);
/* ERROR_INTERRUPTED when asked to stop: everything finished is kept, and the message says how to go on. */
int method_align(struct device *device, const struct align_options *options, struct align_result *result,
                 struct error *err);

/* Generates one attempt ("r1-a17", as generated.jsonl has it) of a run directory again, alone, and compares it with the
 * journal. Appends what was compared to `text`; *same says whether both texts and their log-probabilities are equal bit
 * for bit. */
int method_replay(struct device *device, const char *run_directory, const char *id, int *same, struct buf *text,
                  struct error *err);

/* A run's own files (metrics.json, generated.jsonl, arms/, the models' weights) against what its journal, of which r
 * was made, says; and `attempts` random attempts, drawn by the seed, generated again. What is not so is added to x.
 * Nothing is changed. */
struct method_verify {
    int attempts;
    uint64_t seed;
};
int method_verify(struct device *device, const struct report_run *r, const struct method_verify *how,
                  struct differences *x, struct error *err);

/* review.c: what a person says of attempts while the run waits for review (round state "review"), kept in the journal
 * with the time, the event and the words that were there before; align --resume does it, after what was struck from
 * review.jsonl. */
enum review_action {
    REVIEW_STRIKE,
    REVIEW_ACCEPT, /* though it was rejected; not what is near a test question */
    REVIEW_EDIT,   /* and accept: question and answer take the place of the attempt's */
    REVIEW_ADD,    /* a pair of the person's own */
    REVIEW_UNDO    /* as if nothing had been said of it; an added pair is gone */
};
struct review_decision {
    enum review_action action;
    int round, index; /* of the attempt; REVIEW_ADD: round; an added pair: -1 - its number */
    const char *question, *answer;
};
struct run;
/* r: of run_open_beside. ERROR_UNAVAILABLE: a process works on the run; ERROR_CONFIG: the round does not wait for
 * review, or that cannot be done to this attempt; ERROR_USAGE: the texts are empty or too long. id: what the pair is
 * called. */
int method_review(struct run *r, const struct review_decision *d, char id[40], struct error *err);

/* look.c: the pairs that stood before attempts, as the journal numbers them. */
struct look;
struct pool_item;
int look_open(struct look **out, struct run *r, struct error *err); /* r is borrowed until look_close */
void look_close(struct look *l);                                    /* NULL is fine */
/* 1, or 0: nothing is known but its number (the seeds' file has changed); or an error. Texts are the look's and the
 * arena's. */
int look_pair(struct look *l, int round, int index, struct arena *arena, struct pool_item *out, struct error *err);
int method_review_counts(struct run *r, struct report_review *out, struct error *err);

/* labels.c: answers of the pretrained model and of the last round as a CSV sheet for people (id, question, answer,
 * label), shuffled, with nothing that tells which model wrote them. */
int method_labels_out(const struct report_run *r, const char *path, struct error *err);
/* That sheet with labels in it (yes or no, 1 or 0; empty: none), in the column "label" or several "label_NAME", into
 * r->people. ERROR_DATA names the line that cannot be read. */
int method_labels_in(struct report_run *r, const char *path, struct error *err);
/* judging.c: the same labels given on a page (isara view), kept in the journal, into r->people, with what is said of
 * which of two answers is better; nothing when nobody said anything. */
int method_labels_recorded(struct report_run *r, struct error *err);
/* The next pair of answers for that person (letters, digits and '_', at most 24), in an order of its own, one side or
 * the other by chance: {"n", "done", "pair": null or {"index", "question", "answers": [{"id", "text"}, ...]}}. Pairs of
 * equal answers are not among them. A new reference. */
int method_judge_next(const char *run_directory, const char *rater, json_t **out, struct error *err);
/* better: the id of an answer, or "same"; bad: {id: true or false} of neither, one or both. ERROR_USAGE: not of this
 * pair. r: of run_open_beside. */
struct judgement {
    const char *rater, *better;
    int index;
    const json_t *bad;
};
int method_judge(struct run *r, const struct judgement *j, struct error *err);
/* Takes back what that person said last. */
int method_judge_undo(struct run *r, const char *rater, struct error *err);

#endif
