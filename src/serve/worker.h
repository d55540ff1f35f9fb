/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that computes. Tasks come from any thread; between two steps of the engine it takes in what has come,
 * lets go of what nobody waits for any more, and does a piece of the scoring and embedding that is asked for, so that
 * nothing stands still for long. What a task gives is the same bits whatever else is there. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "serve/served.h"

enum task_kind { TASK_GENERATE, TASK_SCORE, TASK_EMBED };
struct task {
    enum task_kind kind;
    struct served *model;
    /* TASK_GENERATE; user is the worker's. Tokens, if they are wanted, as the engine chooses them. */
    struct generate_request request;
    void (*token)(struct task *t, const struct generate_token *token);
    /* TASK_SCORE: values are model_score's of the text, top_ids and top_logprobs model_score_top's lists of n_top (0:
     * none are wanted). TASK_EMBED: values are the text's vector, of length 1 unless as_it_is. The caller's memory. */
    struct model_text text;
    float *values, *top_logprobs;
    int32_t *top_ids;
    int n_top, as_it_is;
    /* Once, in the worker's thread, which may submit; result (borrowed) is NULL but for TASK_GENERATE. With a reason
     * there is no result. */
    void (*done)(struct task *t, const struct generate_result *result, const struct error *reason);
    int (*gone)(const struct task *t); /* nobody waits for it: it is done with a reason at the next step */
    void *user;

    struct task *next, *before; /* the worker's */
};
struct worker;
struct worker_counts {
    long pending, generating, reserved_pages, accepted, refused, cancelled, prompt_tokens, computed_prompt_tokens,
        generated_tokens, steps, scored_tokens;
    double busy_seconds;
};
int worker_open(struct worker **out, struct served *models, int n_model, struct error *err);
/* Of a request: all or none. ERROR_UNAVAILABLE: so many wait already, ERROR_USAGE: they never fit. With its done the
 * task is the caller's again. */
int worker_submit(struct worker *w, struct task *const *tasks, int n, struct error *err);
/* From a task's done: what belongs to it, which no limit stops. */
void worker_follow(struct worker *w, struct task *t);
struct worker_counts worker_counts(struct worker *w);
void worker_close(struct worker *w); /* what is left is done with a reason; NULL is fine */

#endif
