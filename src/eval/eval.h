/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks of a model, or of a file of its outputs: one task a call, its table as text and as JSON.
 *
 *     struct eval_options o;
 *     struct eval_result r;
 *     eval_options_default(&o);
 *     o.task = "qa", o.model = "models/miniature", o.test = "models/test.jsonl";
 *     if (eval_run(device, &o, &r, &err)) ...                // with o.output set, again after ERROR_INTERRUPTED: it
 *     continues puts(r.text.data);
 *     eval_result_free(&r);
 */
#ifndef EVAL_EVAL_H
#define EVAL_EVAL_H

#include "base/buf.h"
#include "base/dtype.h"
#include "generate/generate.h"
#include "report/evaluation.h"

#include <jansson.h>

struct device;

/* Texts are borrowed; NULL: not given. A choice's words are in the comment, the first being what NULL means. */
struct eval_options {
    const char *task;          /* eval_task_name */
    const char *model, *input; /* what answers, or a file of outputs (overlap, diversity: a run) */
    const char *adapter;       /* over model; diversity and overlap only */
    const char *output;        /* directory of the journal and of what is saved; NULL: nothing is written */
    const char *test, *data, *reference, *annotations, *seeds;
    const char *question_field, *answer_field; /* of people's files (io/record_reader.h) */
    const char *arm;                           /* zero-shot, icl-knn, icl-random */
    const char *style;                         /* template, zero-shot, primer, chat */
    const char *extraction;                    /* none, lm-eval, original; NULL: as the style has it */
    const char *primer, *template_file, *system, *encoder;
    const char *retriever; /* model, encoder, bm25 */
    const char *judge, *guard_words;
    const char *judge_mode;  /* safe, compat, honest */
    const char *judge_order; /* both, alpaca */
    const char *endpoint, *judge_model, *judge_prompt, *df_gamed;
    const char *metrics, *category, *benchmark;
    int k, limit, append_eos, judge_tries;                      /* [5] [0: all] [1] [6] */
    double judge_timeout, judge_pause, judge_rate, max_missing; /* [60] [1] [0] [0.1] */
    double threshold;                                           /* strict [0.5] */
    uint64_t seed;
    enum dtype dtype;                      /* [bf16] */
    struct generate_options decode;        /* greedy; max_new_tokens 0: the task's own */
    struct generate_engine_options engine; /* page 0: defaults */
};
void eval_options_default(struct eval_options *o);
/* ERROR_USAGE: an unknown task or choice, by name. */
int eval_options_check(const struct eval_options *o, struct error *err);
const char *eval_task_name(int i, const char **summary); /* NULL after the last one; summary may be NULL */

struct eval_result {
    struct report_evaluation tree; /* what the next two are renderings of */
    json_t *json;                  /* one object */
    struct buf text;               /* a table */
};
void eval_result_free(struct eval_result *r);
/* Texts in the result may come from files and other machines: base/printable.h before a terminal gets them. */
int eval_run(struct device *device, const struct eval_options *o, struct eval_result *out, struct error *err);

#endif
