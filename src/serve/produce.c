/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts to choices. A prompt that goes on is the engine's; what its tokens' probabilities were, and what might have
 * stood in their place, is then scored (one more pass of the model over the whole). A prompt that is only echoed is
 * scored; and so is one that goes on with one token, since the pass over it tells the likeliest next token too. */
#include "serve/parts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "generate/stop.h"

#include <stdio.h>
#include <string.h>

static int new_choices(struct prompt *p, int n)
{
    p->choices = mem_calloc((size_t)n, sizeof *p->choices);
    if (!p->choices)
        return -1;
    p->n_choice = n;
    for (int i = 0; i < n; i++) {
        struct choice *c = &p->choices[i];
        *c = (struct choice){.ask = p->ask, .prompt = p, .n_prompt = (int)p->ids.n};
        c->index = (int)(p - p->ask->prompts) * n + i;
    }
    return 0;
}

/* Room for the prompt's ids and n more. */
static int set_ids(struct choice *c, const int32_t *more, int n)
{
    const struct tokens *ids = &c->prompt->ids;
    c->n = c->n_prompt + n;
    c->ids = mem_alloc((size_t)c->n * sizeof *c->ids + 4);
    if (!c->ids)
        return -1;
    memcpy(c->ids, ids->ids, ids->n * sizeof *c->ids);
    if (n)
        memcpy(c->ids + c->n_prompt, more, (size_t)n * sizeof *c->ids);
    return 0;
}

/* The lists of a one-token answer are where that token is found. */
static int list_length(const struct ask *a)
{
    return a->n_top > 0 ? a->n_top : 1;
}

static void scored(struct task *t, const struct generate_result *r, const struct error *reason)
{
    struct choice *c = t->user;
    (void)r;
    run_done(c->ask, reason);
}

static int scored_gone(const struct task *t)
{
    const struct choice *c = t->user;
    return run_gone(&(struct task){.user = c->prompt});
}

/* A task for the choice's log-probabilities from its first id on; nothing to score: 1. */
static int set_scoring(struct choice *c, int n_list)
{
    size_t n = (size_t)(c->n - c->first), list = (size_t)n_list;
    if (c->n <= c->first)
        return 1;
    c->logprobs = mem_calloc(n, sizeof *c->logprobs);
    c->top_ids = mem_calloc(n * list + 1, sizeof *c->top_ids);
    c->top_logprobs = mem_calloc(n * list + 1, sizeof *c->top_logprobs);
    if (!c->logprobs || !c->top_ids || !c->top_logprobs)
        return -1;
    c->task = (struct task){.kind = TASK_SCORE,
                            .model = c->ask->model,
                            .text = {c->ids, c->n, c->first},
                            .values = c->logprobs,
                            .top_ids = c->top_ids,
                            .top_logprobs = c->top_logprobs,
                            .n_top = n_list,
                            .done = scored,
                            .gone = scored_gone,
                            .user = c};
    return 0;
}

static int keep_logprobs(struct choice *c, const struct generate_sequence *s)
{
    c->logprobs = mem_alloc((size_t)s->n * sizeof *c->logprobs + 4);
    if (!c->logprobs)
        return -1;
    memcpy(c->logprobs, s->logprobs, (size_t)s->n * sizeof *c->logprobs);
    return 0;
}

static int take_sequence(struct choice *c, const struct generate_sequence *s)
{
    struct ask *a = c->ask;
    c->text = s->text ? mem_strdup(s->text) : NULL;
    c->stopped = s->finish == FINISH_STOP;
    if (set_ids(c, s->ids, s->n) || (s->text && !c->text))
        return -1;
    c->first = a->echo ? 1 : c->n_prompt;
    if (a->n_top < 0)
        return 0;
    if (!a->echo && !a->n_top)
        return keep_logprobs(c, s);
    int rc = set_scoring(c, a->n_top);
    if (rc)
        return rc < 0 ? -1 : 0;
    a->n_left++;
    worker_follow(a->api->worker, &c->task);
    return 0;
}

/* The log-probability a token, by which the best of several samples is chosen. */
static double mean_logprob(const struct generate_sequence *s)
{
    return s->n ? s->sum_logprob / s->n : 0;
}

/* The n best, in order; of equal ones the first. */
static void choose_best(const struct generate_result *r, int n, int *order)
{
    int chosen = 0;
    for (int i = 0; i < r->n; i++) {
        int at = chosen;
        while (at > 0 && mean_logprob(&r->sequences[order[at - 1]]) < mean_logprob(&r->sequences[i]))
            at--;
        if (at >= n)
            continue;
        chosen += chosen < n;
        memmove(order + at + 1, order + at, (size_t)(chosen - 1 - at) * sizeof *order);
        order[at] = i;
    }
}

static int take_result(struct prompt *p, const struct generate_result *r)
{
    struct ask *a = p->ask;
    int order[GENERATE_MAX_BEAMS], rc = new_choices(p, a->n);
    for (int i = 0; i < a->n; i++)
        order[i] = i < r->n ? i : 0;
    if (a->best_of > a->n && r->n > a->n)
        choose_best(r, a->n, order);
    for (int i = 0; i < a->n && !rc; i++)
        rc = take_sequence(&p->choices[i], &r->sequences[order[i]]);
    return rc;
}

static void generated(struct task *t, const struct generate_result *r, const struct error *reason)
{
    struct prompt *p = t->user;
    struct ask *a = p->ask;
    if (!reason && take_result(p, r) && !a->failed.code)
        error_set_nomem(&a->failed, 0, "an answer");
    if (!reason && !a->failed.code && stream_lives(a))
        stream_result(a, p, r);
    run_done(a, reason);
}

static void on_token(struct task *t, const struct generate_token *token)
{
    struct prompt *p = t->user;
    struct ask *a = p->ask;
    if (a->told == 0)
        a->told = clock_now();
    if (stream_lives(a) && !a->failed.code)
        stream_token(a, p, token);
}

/* The key of what is sampled is that of a record of `isara generate` whose place among its input is the prompt's. */
static int set_generating(struct ask *a, struct prompt *p)
{
    char place[16];
    int n = snprintf(place, sizeof place, "%d", (int)(p - a->prompts));
    p->task = (struct task){
        .kind = TASK_GENERATE, .model = a->model, .token = on_token, .done = generated, .gone = run_gone, .user = p};
    p->task.request = (struct generate_request){.prompt = p->ids.ids,
                                                .n_prompt = (int)p->ids.n,
                                                .options = a->options,
                                                .seed = a->seed,
                                                .key_a = hash64(place, (size_t)n)};
    if (!stream_lives(a))
        return 0;
    return text_stream_new(&p->stream, a->model->tokenizer, &p->task.request.options, &a->failed);
}

static int is_plain(const struct generate_options *o)
{
    return !o->do_sample && o->num_beams == 1 && o->repetition_penalty == 1 && !o->no_repeat_ngram_size &&
           !o->min_new_tokens && !o->n_stop;
}

/* Does the pass over the prompt tell all that is asked? */
static int is_one_pass(const struct ask *a)
{
    return !a->generates || (a->echo && a->n_top >= 0 && a->options.max_new_tokens == 1 && a->n == 1 &&
                             a->best_of == 1 && is_plain(&a->options));
}

/* The likeliest token behind the prompt, found in the place of the one that was put there. */
static int take_likeliest(struct choice *c)
{
    const struct served *m = c->ask->model;
    size_t last = (size_t)(c->n - c->first - 1);
    int32_t *id = &c->ids[c->n - 1];
    *id = c->top_ids[last * (size_t)list_length(c->ask)];
    c->logprobs[last] = c->top_logprobs[last * (size_t)list_length(c->ask)];
    c->stopped = stop_is_eos(&c->ask->options, *id);
    return m->tokenizer ? stop_text(m->tokenizer, &c->ask->options, id, 1, &c->text, &c->ask->failed) : 0;
}

static void looked_at(struct task *t, const struct generate_result *r, const struct error *reason)
{
    struct prompt *p = t->user;
    struct ask *a = p->ask;
    (void)r;
    if (!reason && a->generates)
        take_likeliest(&p->choices[0]);
    run_done(a, reason);
}

/* A prompt of one token that is only echoed has nothing to score: a task of no tokens. */
static int set_looking(struct ask *a, struct prompt *p)
{
    static const int32_t place = 0;
    if (new_choices(p, 1) || set_ids(p->choices, &place, a->generates))
        return error_set_nomem(&a->failed, p->ids.n * 4, "a prompt");
    struct choice *c = p->choices;
    c->first = 1;
    int rc = set_scoring(c, list_length(a));
    if (rc < 0)
        return error_set_nomem(&a->failed, p->ids.n * 8, "log-probabilities");
    if (rc)
        c->task = (struct task){.kind = TASK_SCORE, .model = a->model, .text = {c->ids, c->n, c->n}};
    p->task = c->task;
    p->task.done = looked_at;
    p->task.gone = run_gone;
    p->task.user = p;
    return 0;
}

void produce(struct ask *a)
{
    int one_pass = is_one_pass(a), rc = 0;
    if (!a->generates)
        a->n = 1;
    for (int i = 0; i < a->n_prompt && !rc; i++)
        rc = one_pass ? set_looking(a, &a->prompts[i]) : set_generating(a, &a->prompts[i]);
    if (rc) {
        struct error reason = a->failed;
        ask_refuse(a, status_of(rc), NULL, &reason);
        return;
    }
    a->finish = a->stream ? stream_finish : reply_whole;
    run_ask(a);
}
