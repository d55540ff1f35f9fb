/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of experiment/: the file as it is read (spec), the variants of arms that its designs make, their cells (an arm
 * with a model and a random seed), and the jobs that the cells need. */
#ifndef EXPERIMENT_PARTS_H
#define EXPERIMENT_PARTS_H

#include "answer/seeds.h"
#include "base/arena.h"
#include "eval/eval.h"
#include "experiment/experiment.h"
#include "method/plan.h"

/* --- switches.c: options of align, train and eval as the file gives them --- */
struct setting {
    const char *name, *text; /* with hyphens; a list of texts is several settings of one name */
    long line;
};
struct settings {
    struct setting *items;
    int n;
};
enum switch_user { SWITCH_ALIGN = 1, SWITCH_TRAIN = 2, SWITCH_EVAL = 4 };
/* Which verbs take an option of that name in an experiment: their own names, and eval's decoding and choices as
 * eval-NAME. 0: none. */
unsigned switch_users(const char *name);
int switch_is_path(const char *name); /* of a file or directory */
/* What a list of values is: refused, one text with commas between, or the option several times. */
enum switch_list { SWITCH_ONE, SWITCH_COMMAS, SWITCH_SEVERAL };
enum switch_list switch_list(const char *name);
/* More goes over what is there, by name. ERROR_NOMEM. */
int settings_add(struct settings *s, const struct settings *more, struct arena *arena, struct error *err);
/* One that is said of a value and is in no file's line. */
int settings_put(struct settings *s, const struct setting *one, struct arena *arena, struct error *err);
const struct setting *settings_find(const struct settings *s, const char *name);
/* Over the defaults; *given: what was given as the calls of isara.h take it, a new reference. Errors begin with
 * FILE:LINE. */
int switches_align(const struct settings *s, const char *file, struct align_options *o, json_t **given,
                   struct error *err);
int switches_train(const struct settings *s, const char *file, struct train_options *o, json_t **given,
                   struct error *err);
int switches_eval(const struct settings *s, const char *file, struct eval_options *o, json_t **given,
                  struct error *err);
/* Every option that decides bits; a new reference. Files are left out of align's and train's (inputs.c has them). */
json_t *switches_align_canonical(const struct align_options *o);
json_t *switches_train_canonical(const struct train_options *o);
json_t *switches_eval_canonical(const struct eval_options *o);

/* --- spec.c, spec_arms.c, spec_place.c: the file --- */
enum arm_kind { ARM_PRETRAINED, ARM_ICL_KNN, ARM_ICL_RANDOM, ARM_SFT_SEEDS, ARM_SFT_REAL, ARM_ISARA, ARM_ISARA_ONE };
#define ARM_KINDS "pretrained|icl-knn|icl-random|sft-seeds|sft-real|isara|isara-one-round"
enum arm_budget { BUDGET_PLAIN, BUDGET_STEPS, BUDGET_EPOCHS };
#define ARM_BUDGETS "plain|steps|epochs"
struct spec_list {
    const char **items;
    int n;
};
struct spec_ablation {
    const char *option;
    struct spec_list values;
    long line;
};
struct spec_arm {
    const char *name, *as, *seeds, *pairs; /* as: the arm that steps, samples or kept pairs are counted of */
    enum arm_kind kind;
    enum arm_budget budget;
    int kind_given, round; /* round of align; 0: the last one */
    long line;
    struct settings settings;
};
struct spec_metric {
    const char *task, *name, *test, *judge; /* test, judge NULL: the experiment's */
    long line;
    struct settings settings;
};
struct spec_file {
    const char *name, *path; /* name: a category; "" where there is but one */
    long line;
};
struct spec_files {
    struct spec_file *items;
    int n;
};
struct spec {
    struct arena arena;
    const char *path; /* of the file */
    char sha256[65];
    struct spec_files models, seeds, tests;
    const char *judge, *general, *over_refusal;
    const char *question_field, *answer_field; /* of people's files (io/record_reader.h); NULL: found by name */
    unsigned long long *random_seeds;
    int n_random_seed;
    struct spec_list controls; /* names of arms */
    long control_line;
    struct spec_arm *arms;
    int n_arm;
    struct spec_metric *metrics;
    int n_metric;
    int size_series, cross_category;
    int *seed_counts, n_seed_count; /* of the design; none: all seeds */
    struct spec_ablation *ablations;
    int n_ablation;
    struct settings settings; /* of all arms that take them */
    json_t *about;
};
int metric_wants_judge(const char *task);
int spec_read(struct spec *s, const char *path, struct error *err);
void spec_free(struct spec *s); /* zeroed is fine */
const struct spec_arm *spec_arm_find(const struct spec *s, const char *name);
/* One line of ERROR_CONFIG that begins with FILE:LINE. */
int spec_fail(const struct spec *s, long line, struct error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* --- spec_yaml.c: nodes of the file --- */
struct spec_yaml;
struct spec_node; /* a yaml_node_t */
int spec_yaml_open(struct spec_yaml **out, struct spec *s, struct error *err);
void spec_yaml_close(struct spec_yaml *y); /* NULL is fine */
const struct spec_node *spec_yaml_root(struct spec_yaml *y);
long spec_line(const struct spec_node *n);
/* A scalar as a text of the arena; wanted names what it is. */
int spec_text(struct spec_yaml *y, const struct spec_node *n, const char *wanted, const char **out, struct error *err);
int spec_int(struct spec_yaml *y, const struct spec_node *n, const char *wanted, unsigned long long *out,
             struct error *err);
/* A scalar or a list of them. */
int spec_texts(struct spec_yaml *y, const struct spec_node *n, const char *wanted, struct spec_list *out,
               struct error *err);
int spec_is_mapping(const struct spec_node *n);
int spec_is_list(const struct spec_node *n);
/* Item i of a list or pair i of a mapping; NULL after the last. */
const struct spec_node *spec_item(struct spec_yaml *y, const struct spec_node *list, int i);
const struct spec_node *spec_pair(struct spec_yaml *y, const struct spec_node *mapping, int i,
                                  const struct spec_node **value);
/* Keys are texts and none stands twice. */
int spec_check_mapping(struct spec_yaml *y, const struct spec_node *n, const char *wanted, struct error *err);
/* An option of the pair, its name checked by users; a list is what switch_list says. */
int spec_option(struct spec_yaml *y, const struct spec_node *key, const char **out, struct error *err);
/* The values of an option, of which name and line are read. */
int spec_values(struct spec_yaml *y, const struct setting *option, const struct spec_node *value, struct settings *to,
                struct error *err);
int spec_setting(struct spec_yaml *y, const struct spec_node *key, const struct spec_node *value, struct settings *to,
                 struct error *err);
/* Texts, lists and mappings as they are; a new reference. */
int spec_json(struct spec_yaml *y, const struct spec_node *n, json_t **out, struct error *err);

/* spec_arms.c */
int spec_read_arms(struct spec *s, struct spec_yaml *y, const struct spec_node *list, struct error *err);
int spec_check_arms(struct spec *s, struct error *err);
int spec_read_metrics(struct spec *s, struct spec_yaml *y, const struct spec_node *list, struct error *err);
/* A path as given when something is there, else beside the file. */
const char *spec_path(struct spec *s, const char *path);
const char *spec_value(struct spec *s, const char *option, const char *text); /* so too where it is a path */

/* --- variants.c: arms as the designs multiply them --- */
struct variant {
    const char *name;
    const struct spec_arm *arm;
    int seeds;             /* index of spec.seeds */
    const char *own_seeds; /* or this file; NULL: not */
    int category;          /* of the cross-category design; -1: none */
    int seed_count;        /* 0: all */
    int ablated;
    int as; /* the variant that is counted of; -1: none */
    struct settings settings;
};
struct variants {
    struct variant *items;
    int n, cap;
};
int variants_make(struct variants *v, struct spec *s, struct error *err);
/* The arm's variant with the same seeds, without an ablation; NULL: none. */
const struct variant *variant_beside(const struct variants *v, const struct variant *one, const struct spec_arm *arm);

/* --- inputs.c: files by their content --- */
struct input {
    const char *path, *source; /* what a job reads; what was given (of several the first) */
    char sha256[65];           /* of the content */
    int limit;                 /* pairs of the source that are in it; 0: all */
    int n;                     /* records; -1: not counted yet */
};
struct experiment;
struct inputs;
enum input_form { INPUT_AS_IS, INPUT_PAIRS, INPUT_QUESTIONS, INPUT_PROMPTS };
int inputs_open(struct inputs **out, const struct experiment *x, struct error *err);
void inputs_close(struct inputs *x);
/* The file, or one made of it: its first `limit` pairs, its questions as {"prompt"}, or pairs and questions by the
 * fields that the experiment names. Borrowed until close. */
int inputs_get(struct inputs *x, const char *source, enum input_form form, int limit, const struct input **out,
               struct error *err);
/* What no round may learn: the questions of all tests, with their answers where they have any. */
int inputs_questions(struct inputs *x, const struct spec_files *tests, const struct input **out, struct error *err);
/* What was given, as it is read. */
int inputs_seeds(const struct inputs *x, const struct input *in, struct seeds *out, struct error *err);
int inputs_count(const struct input *in, int *n, struct error *err);
/* A model's identity: a digest of its weights and other files. */
int inputs_model(struct inputs *x, const char *path, const char **digest, struct error *err);

/* --- jobs.c, cells.c --- */
enum job_verb { JOB_ALIGN, JOB_TRAIN, JOB_EVAL };
struct job {
    enum job_verb verb;
    char hash[65];
    json_t *canonical, *options; /* what decides its bits; what the call is given */
    const char *task;            /* of eval */
    const char *model;           /* the pretrained one */
    int from, round;             /* the job whose model is taken (-1: model), and the round of it (0: the last) */
    const struct input *seeds, *test, *pairs;
    const char *template;    /* of the rows that are trained; "chat": they are tokens; NULL: the built-in one */
    const char *system;      /* with "chat": the system turn; NULL: none */
    int keep_overlap;        /* pairs whose question is a test question stay */
    int answers_of;          /* the evaluation whose answers are judged; -1: it makes its own */
    const char *judge, *arm; /* of eval */
    int budget_of;           /* the align job that steps, epochs or kept pairs are counted of; -1: none */
    enum arm_budget budget;  /* plain: kept pairs */
    int round_of;            /* up to that round of it */
    int rounds;              /* of align */
    unsigned long long seed;
    struct align_options plan; /* what its cost is estimated by */
    const char *label;         /* the first cell that wants it */
    int n_use;                 /* cells that want it */
    double seconds, bytes;     /* estimated */
    char asking[65];           /* of align: what decides its first round's questions and answers */
    double asking_seconds;     /* that they take, estimated */
    int done;
    json_t *result; /* of done.json */
};
struct measure { /* a metric over a test set */
    const struct spec_metric *metric;
    const struct spec_file *test; /* NULL: the metric's own */
    const struct input *input;
};
struct cell {                        /* a variant with a model and a random seed */
    int variant, model, random_seed; /* indices */
    int made;                        /* the job that makes its model; -1: the pretrained one's */
    int round;                       /* of align, which may have ended before it */
    int *evals;                      /* [n_measure] jobs */
};
struct experiment {
    struct experiment_options o;
    struct spec spec;
    struct variants variants;
    struct inputs *inputs;
    struct measure *measures;
    int n_measure;
    struct job *jobs;
    int n_job, cap_job;
    struct cell *cells;
    int n_cell;
    int *order; /* of jobs, [n_job] */
    struct arena arena;
};
/* jobs.c: one of that content that is there, or a new one; takes canonical and options. */
int jobs_add(struct experiment *x, struct job *j, int *index, struct error *err);
/* After its canonical form was changed. */
int job_hash(struct job *j, struct error *err);
void jobs_free(struct experiment *x);
const char *job_verb_name(enum job_verb v);
/* cells.c */
int cells_make(struct experiment *x, struct error *err);
/* cell_jobs.c */
int cell_align(struct experiment *x, struct cell *c, struct error *err);
int cell_train(struct experiment *x, struct cell *c, struct error *err);
int cell_evals(struct experiment *x, struct cell *c, struct error *err);
/* estimate.c: seconds and bytes of every job. */
int experiment_estimate(struct experiment *x, struct error *err);
/* order.c: what others need first, and of what is ready the cheapest. */
int experiment_order(struct experiment *x, struct error *err);
int experiment_plan(const struct experiment *x, struct buf *text, json_t **json, struct error *err);
/* asked.c: DIR/work/asked/ has, by what decides a first round's questions and answers, the finished alignment with the
 * most of them. *run: its directory, mem_free; NULL: none. */
int asked_find(const struct experiment *x, const struct job *j, char **run, struct error *err);
int asked_put(const struct experiment *x, const struct job *j, struct error *err);
/* work.c: does a job unless it is done, in DIR/work/HASH. */
int job_look(const struct experiment *x, struct job *j, struct error *err); /* sets done, result */
int job_run(const struct experiment *x, struct job *j, struct error *err);
char *job_file(const struct experiment *x, const struct job *j, const char *name); /* mem_free */
/* Adds to an error about a file that it made how to have it again. */
void job_unread(const struct experiment *x, const struct job *j, struct error *err);
/* Of a finished alignment: the last round not above it that was tuned (0: none), the optimizer steps behind that one,
 * the pairs kept up to it. */
int job_round(const struct job *align, int round);
long job_steps(const struct job *j, int round); /* of a tuning too */
long job_kept(const struct job *align, int round);
/* answers.c: those of a finished evaluation, as outputs that another one reads. */
int answers_write(const struct experiment *x, const struct job *from, const char *path, struct error *err);
/* rows.c: the rows of a tuning, with so many real pairs. */
int rows_write(const struct job *j, const char *path, int n_real, struct error *err);
/* --- gather.c, made.c, results.c --- */
struct report_comparison;
int gather_results(const struct experiment *x, struct report_comparison *c, struct error *err);
/* What arms with alignments of their own made and kept; the arms' runs are there. */
int gather_made(const struct experiment *x, struct report_comparison *c, struct error *err);
/* findings.c: what the results of a tree say first, into it. */
int findings_make(struct report_comparison *c, struct error *err);
int experiment_results(const struct experiment *x, struct buf *text, json_t **json, struct error *err);

/* --- share.c: groups of ranks --- */
int share_begin(const struct experiment *x, struct error *err);
/* *mine: the job at that place of the order is this group's to do now. Whether it is done is looked at anew. */
int share_take(struct experiment *x, int at, int *mine, struct error *err);
void share_give_back(const struct experiment *x, const struct job *j);

#endif
