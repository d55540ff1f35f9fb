/* SPDX-License-Identifier: Apache-2.0 */
/* What an ask is made of. */
#include "serve/parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

static struct ask *ask_new(struct api *api, struct http_exchange *x, json_t *body)
{
    struct served *model = request_model(api, x, body);
    struct ask *a = model ? mem_calloc(1, sizeof *a) : NULL;
    if (!a) {
        if (model)
            http_error(x, 503, NULL, "out of memory");
        json_decref(body);
        return NULL;
    }
    a->api = api;
    a->x = x;
    a->model = model;
    a->body = body;
    a->n = a->best_of = 1;
    a->n_top = -1;
    a->created = (json_int_t)clock_wall();
    a->arrived = clock_now();
    snprintf(a->id, sizeof a->id, "%s-%ld", api->mark, ++api->n_answer);
    return a;
}

static void choice_free(struct choice *c)
{
    mem_free(c->text);
    mem_free(c->ids);
    mem_free(c->logprobs);
    mem_free(c->top_ids);
    mem_free(c->top_logprobs);
}

void ask_free(struct ask *a)
{
    for (int i = 0; a->prompts && i < a->n_prompt; i++) {
        struct prompt *p = &a->prompts[i];
        for (int k = 0; k < p->n_choice; k++)
            choice_free(&p->choices[k]);
        mem_free(p->choices);
        mem_free(p->vector);
        tokens_free(&p->ids);
        text_stream_free(p->stream);
    }
    mem_free(a->prompts);
    json_decref(a->body);
    mem_free(a);
}

void ask_refuse(struct ask *a, int status, const char *param, const struct error *reason)
{
    metrics_failed(&a->api->metrics);
    http_error(a->x, status, param, "%s", reason->message);
    ask_free(a);
}

struct ask *ask_open(struct api *api, struct http_exchange *x, const char *no_engine)
{
    json_t *body;
    struct error err = {0};
    struct ask *a = request_body(x, &body) ? NULL : ask_new(api, x, body);
    if (!a || a->model->engine || !no_engine)
        return a;
    error_set(&err, ERROR_USAGE, "%s", no_engine);
    ask_refuse(a, 400, "model", &err);
    return NULL;
}

int ask_wrong(struct ask *a, const char *param, const char *wanted)
{
    struct error err = {0};
    error_set(&err, ERROR_DATA, "%s: wanted %s", param, wanted);
    ask_refuse(a, 400, param, &err);
    return -1;
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
