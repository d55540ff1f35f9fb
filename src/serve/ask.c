/* SPDX-License-Identifier: Apache-2.0 */
/* An ask from its body to its answer. */
#include "serve/parts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct ask *ask_new(struct api *api, struct http_exchange *x, json_t *body)
{
    struct served *model = request_model(api, x, body);
    struct ask *a = model ? mem_calloc(1, sizeof *a) : NULL;
    if (!a) {
        if (model)
            http_error(x, 503, NULL, "out of memory");
        json_decref(body);
        return NULL;
    }
    *a = (struct ask){
        .api = api, .x = x, .model = model, .body = body, .n_top = -1, .created = (json_int_t)clock_wall()};
    snprintf(a->id, sizeof a->id, "%s-%ld", api->mark, ++api->n_answer);
    return a;
}

static void choice_free(struct choice *c)
{
    mem_free(c->text);
    mem_free(c->ids);
    mem_free(c->logprobs);
    mem_free(c->top.ids);
    mem_free(c->top.logprobs);
}

void ask_free(struct ask *a)
{
    for (int i = 0; a->prompts && i < a->n_prompt; i++) {
        struct prompt *p = &a->prompts[i];
        for (int k = 0; p->choices && k < p->n_choice; k++)
            choice_free(&p->choices[k]);
        mem_free(p->choices);
        tokens_free(&p->ids);
        text_stream_free(p->stream);
    }
    mem_free(a->prompts);
    json_decref(a->body);
    mem_free(a);
}

void ask_refuse(struct ask *a, int status, const char *param, const struct error *reason)
{
    http_error(a->x, status, param, "%s", reason->message);
    ask_free(a);
}

int ask_prompts(struct ask *a, int n)
{
    struct error err = {0};
    a->prompts = mem_calloc((size_t)n, sizeof *a->prompts);
    if (!a->prompts) {
        error_set_nomem(&err, (size_t)n * sizeof *a->prompts, "prompts");
        ask_refuse(a, 503, NULL, &err);
        return -1;
    }
    a->n_prompt = n;
    for (int i = 0; i < n; i++)
        a->prompts[i].ask = a;
    return 0;
}

static void finish(struct ask *a)
{
    if (a->failed.code) {
        ask_refuse(a, status_of(a->failed.code), NULL, &a->failed);
        return;
    }
    answer_json(a->x, 200, reply_json(a));
    ask_free(a);
}

static int gone(const struct task *t)
{
    const struct prompt *p = t->user;
    return p->ask->failed.code || http_gone(p->ask->x);
}

static int take_choice(struct prompt *p, struct choice *c, const struct generate_sequence *s)
{
    *c = (struct choice){.ask = p->ask,
                         .prompt = p,
                         .n_prompt = (int)p->ids.n,
                         .n = (int)p->ids.n + s->n,
                         .stopped = s->finish == FINISH_STOP};
    c->ids = mem_alloc((size_t)c->n * sizeof *c->ids + 4);
    c->text = s->text ? mem_strdup(s->text) : NULL;
    if (!c->ids || (s->text && !c->text))
        return -1;
    memcpy(c->ids, p->ids.ids, p->ids.n * sizeof *c->ids);
    memcpy(c->ids + p->ids.n, s->ids, (size_t)s->n * sizeof *c->ids);
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
    for (int i = 0; i < r->n; i++) {
        int at = i < n ? i : n;
        while (at > 0 && mean_logprob(&r->sequences[order[at - 1]]) < mean_logprob(&r->sequences[i])) {
            if (at < n)
                order[at] = order[at - 1];
            at--;
        }
        if (at < n)
            order[at] = i;
    }
}

static int take_result(struct prompt *p, const struct generate_result *r)
{
    struct ask *a = p->ask;
    int order[GENERATE_MAX_BEAMS], rc = 0;
    for (int i = 0; i < a->n; i++)
        order[i] = i < r->n ? i : 0;
    if (a->best_of > a->n && r->n > a->n)
        choose_best(r, a->n, order);
    p->choices = mem_calloc((size_t)a->n, sizeof *p->choices);
    p->n_choice = p->choices ? a->n : 0;
    for (int i = 0; i < p->n_choice && !rc; i++) {
        rc = take_choice(p, &p->choices[i], &r->sequences[order[i]]);
        p->choices[i].index = (int)(p - a->prompts) * a->n + i;
    }
    return rc || !p->choices ? error_set_nomem(&a->failed, 0, "an answer") : 0;
}

static void done(struct task *t, const struct generate_result *r, const struct error *reason)
{
    struct prompt *p = t->user;
    struct ask *a = p->ask;
    if (reason && !a->failed.code)
        a->failed = *reason;
    if (!reason)
        take_result(p, r);
    if (!--a->n_left)
        finish(a);
}

/* The key of what is sampled is that of a record of `isara generate` whose place among its input is the prompt's. */
static void set_task(struct ask *a, int i)
{
    struct prompt *p = &a->prompts[i];
    char place[16];
    int n = snprintf(place, sizeof place, "%d", i);
    p->task = (struct task){.kind = TASK_GENERATE, .model = a->model, .done = done, .gone = gone, .user = p};
    p->task.request = (struct generate_request){.prompt = p->ids.ids,
                                                .n_prompt = (int)p->ids.n,
                                                .options = a->options,
                                                .seed = a->seed,
                                                .key_a = hash64(place, (size_t)n)};
}

void ask_run(struct ask *a)
{
    struct error err = {0};
    struct task **tasks = mem_calloc((size_t)a->n_prompt, sizeof *tasks);
    int rc = tasks ? 0 : error_set_nomem(&err, (size_t)a->n_prompt * sizeof *tasks, "tasks");
    for (int i = 0; i < a->n_prompt && !rc; i++) {
        set_task(a, i);
        tasks[i] = &a->prompts[i].task;
    }
    a->n_left = a->n_prompt;
    if (!rc)
        rc = worker_submit(a->api->worker, tasks, a->n_prompt, &err);
    mem_free(tasks);
    if (rc)
        ask_refuse(a, rc == ERROR_UNAVAILABLE ? 429 : status_of(rc), NULL, &err);
}
