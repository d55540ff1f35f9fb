/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of eval/: a table of tasks, one file each (task_NAME.c), and what they share: a report that cannot hide how it
 * came about, and a journal from which a task goes on at the sample where it was stopped. */
#ifndef EVAL_PARTS_H
#define EVAL_PARTS_H

#include "answer/answers.h"
#include "answer/style.h"
#include "eval/eval.h"
#include "judge/harm.h"
#include "stats/stats.h"

struct eval_task;
struct eval_work { /* one call */
    const struct eval_task *task;
    struct device *device;
    const struct eval_options *options;
    struct eval_result *result; /* of eval_report_finish */
};
struct eval_task {
    const char *name, *summary;
    int (*run)(const struct eval_work *w, struct error *err);
};
extern const struct eval_task eval_alpaca, eval_beavertails, eval_diversity, eval_judge, eval_overlap, eval_perplexity,
    eval_qa, eval_truthfulqa, eval_utility, eval_xstest;

/* --- eval_report.c --- */
struct eval_report {
    struct report_evaluation tree;
    int n_row, marked, rc; /* rows that the next value should be over; one was over fewer */
    struct error *err;
};
/* 95 % interval of a mean over rows: BCa, below 20 rows what covers there (stats_mean_interval). */
int eval_mean_interval(const double *x, int n, uint64_t seed, struct stats_interval *out, struct error *err);
#define EVAL_INTERVALS "bootstrap BCa (below 20 rows studentised, below 5 Student's t)"
#define EVAL_NO_INTERVAL ((struct stats_interval){NAN, NAN})
/* Begins with what it rests on; then values in their order; then finish, which frees. The first failure stays in r->rc
 * and finish returns it. */
void eval_report_begin(struct eval_report *r, const struct report_basis *basis, struct error *err);
/* A metric over n rows: JSON gets NAME and, with an interval, NAME_low and NAME_high; with n < n_row NAME_n, and the
 * table marks it. n 0 or a value that is not finite is an error ("cannot be computed"), not a zero. */
void eval_report_value(struct eval_report *r, const char *name, double value, int n, struct stats_interval interval);
/* A difference with Wilcoxon's test of it: also NAME_p. */
void eval_report_tested(struct eval_report *r, const char *name, double value, int n, struct stats_interval interval,
                        struct stats_test test);
void eval_report_fact(struct eval_report *r, const char *name,
                      json_t *value); /* takes value: anything else that should be said; shown as NAME VALUE */
void eval_report_note(struct eval_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                                /* a line under the table, not in the JSON */
int eval_report_finish(struct eval_report *r, const struct eval_work *w); /* gives it to the call's result */
int eval_report_end(struct eval_report *r); /* frees without a result; the first failure */

/* --- eval_journal.c --- */
/* Rows by (stage, index), each durable when put returns: DIRECTORY/journal.jsonl. Its first line holds the settings
 * that decide the rows; a later start with others is refused with the name of the difference, and with the same finds
 * what is done. directory NULL: in memory only. */
struct eval_journal;
/* Adds NAME: SHA-256 of a file that the rows depend on; nothing for NULL and "-". */
int eval_journal_file(json_t *settings, const char *name, const char *path, struct error *err);
int eval_journal_open(struct eval_journal **out, const char *directory, const json_t *settings, struct error *err);
const json_t *eval_journal_get(const struct eval_journal *j, const char *stage,
                               int index); /* NULL: not done; borrowed until close */
int eval_journal_put(struct eval_journal *j, const char *stage, int index, json_t *row,
                     struct error *err); /* takes row; a second row for the same place is ignored */
int eval_journal_count(const struct eval_journal *j, const char *stage);
void eval_journal_close(struct eval_journal *j); /* NULL is fine; the file stays */

/* --- eval_answers.c: the answers to a test set --- */
struct eval_answers {
    const char *task;
    const char *const *questions;
    int n;                   /* set before open; borrowed */
    int max_new_tokens;      /* 0: the engine's default, before the user's options */
    int want_answers;        /* 0: the model is opened and nothing is generated */
    struct answers *answers; /* NULL: outputs were read */
    struct style *style;
    struct eval_journal *
        /* stage "answer":
         * {"question","prompt","text","raw","error","ended","n_token","sum_logprob","contexts","dropped"} */
        journal;
    json_t *more_settings; /* what else decides the journal's rows (a judge, ...); taken at open; NULL: nothing */
    json_t *settings;      /* of the journal */
    char style_text[64];
    double started; /* clock_wall() at open */
};
/* From --input, or from --model by --arm and --prompt-style, going on with the journal under --output. */
int eval_answers_open(struct eval_answers *e, const struct eval_work *w, struct error *err);
void eval_answers_close(struct eval_answers *e);
const char *eval_answers_text(const struct eval_answers *e, int i);  /* NULL: missing */
const json_t *eval_answers_row(const struct eval_answers *e, int i); /* NULL: none */
void eval_answers_count(const struct eval_answers *e,
                        struct report_basis *f); /* n_row, n_missing, n_truncated, style */

/* --- eval_pairwise.c: a language model that compares two outputs --- */
struct eval_pairwise;
struct eval_question {
    const char *instruction, *output_1, *output_2;
};
struct eval_preference {
    double preference; /* 1 = output_1 is better, 2 = output_2; NAN: unread */
    char why[128];
    json_t *raw; /* caller's */
    int truncated;
};
/* --judge M, or --endpoint URL and --judge-model NAME; the prompt from --judge-prompt or ours. */
int eval_pairwise_open(struct eval_pairwise **out, const struct eval_work *w,
                       struct error *err);         /* w is borrowed until close */
void eval_pairwise_close(struct eval_pairwise *j); /* NULL is fine */
const char *eval_pairwise_name(const struct eval_pairwise *j);
const char *eval_pairwise_sha256(
    const struct eval_pairwise *j); /* of the weights; of name and endpoint where those are elsewhere */
const char *eval_pairwise_prompt_sha256(const struct eval_pairwise *j);
int eval_pairwise_batch(const struct eval_pairwise *j); /* questions worth asking together */
int eval_pairwise_ask(struct eval_pairwise *j, const struct eval_question *q, int n, struct eval_preference *out,
                      struct error *err);

/* --- eval_seen.c: adds to an overlap's report whether --model has seen the test set --- */
struct eval_set;
int eval_seen(struct eval_report *r, const struct eval_set *test, const struct eval_work *w, struct error *err);

/* --- eval_harm.c: a judge of single answers: a sequence classifier, or a guard model under its chat template --- */
struct eval_harm;
int eval_harm_open(struct eval_harm **out, struct device *device, const struct eval_options *v,
                   struct error *err);                 /* --judge, --judge-mode, --guard-words */
void eval_harm_close(struct eval_harm *h);             /* NULL is fine */
const char *eval_harm_name(const struct eval_harm *h); /* path, kind and mode, for the table */
const char *eval_harm_sha256(const struct eval_harm *h);
int eval_harm_labels(const struct eval_harm *h, const char **names); /* how many, at most MODEL_MAX_LABEL */
/* Rows {"probabilities": {label: p}, "truncated", "mass"? (guard)} of all texts[i].answer != NULL into the journal's
 * stage, a few at a time; what is there is not judged again. A guard's reply that is no verdict, and a text it cannot
 * take, has probabilities null. */
int eval_harm_judge(struct eval_harm *h, const char *task, struct eval_journal *journal, const struct judge_text *texts,
                    int n, struct error *err);

/* --- eval_save.c, eval_inspect.c --- */
struct eval_log { /* what is written of a finished evaluation */
    const struct eval_answers *e;
    const struct eval_options *options;
    const char *model;
    json_t *samples, *values; /* lines of samples_*.jsonl; the task's object in results_*.json */
    double started, now;      /* seconds since 1970 */
};
json_t *eval_inspect_log(const struct eval_log *l);                /* a new reference, NULL: no memory */
void eval_inspect_name(const struct eval_log *l, struct buf *out); /* of its file */
void eval_sanitize(const char *name, struct buf *out); /* a model's name as lm-eval makes it a directory's */
/* With --output DIR: DIR/MODEL/results_DATE.json and samples_TASK_DATE.jsonl as lm-eval has them, DATE_TASK_ID.json as
 * Inspect has it, and a note of where.
 * sample(user, i) gives a new object {"doc", "target", metrics by the names of the report's values}. */
int eval_save(const struct eval_answers *e, struct eval_report *r, const struct eval_options *v,
              json_t *(*sample)(void *user, int i), void *user);

/* --- eval_model.c: a model beside the one that answers --- */
struct eval_model {
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
    struct model *model;
};
int eval_model_read(struct eval_model *m, const char *path, const char *adapter,
                    struct error *err); /* all but the weights */
int eval_model_load(struct eval_model *m, struct device *device, enum dtype dtype, enum model_task task,
                    struct error *err);
void eval_model_close(struct eval_model *m);

/* --- eval_read.c: for all tasks --- */
int eval_require(const char *value, const char *option, const char *what,
                 struct error *err);                                              /* ERROR_USAGE when value is NULL */
struct record_source eval_source(const struct eval_options *o, const char *path); /* one of the files of records */
/* Outputs in any form: "answer", "text", "output", "response" or "completion", or what a conversation says. */
int eval_outputs_load(json_t **outputs, const struct eval_options *o, const char *path, struct error *err);
/* The output of a question: by "question", "prompt" or "instruction" where the first record has one of those as a text,
 * else by its place; or NULL. */
const json_t *eval_output_of(const json_t *outputs, const char *question, int row);
const char *eval_output_text(const json_t *record); /* NULL: none */

#endif
