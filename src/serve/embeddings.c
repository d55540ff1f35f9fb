/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/embeddings: a vector a text, as isara embed has it. */
#include "serve/parts.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "retrieve/retrieve.h"

#include <string.h>

static int read_text(struct prompt *p, const json_t *text, struct error *err)
{
    const struct served *m = p->ask->model;
    if (!m->tokenizer || !model_desc(m->model)->sentence.given)
        return prompts_text(p, text, err);
    const struct embedder e = {m->model, m->tokenizer};
    return retrieve_tokens(&e, json_string_value(text), json_string_length(text), &p->ids, NULL, err);
}

static int is_base64(const struct ask *a)
{
    const char *format = json_string_value(json_object_get(a->body, "encoding_format"));
    return format && !strcmp(format, "base64");
}

/* Little-endian 32-bit floats. */
static json_t *as_base64(const float *x, size_t n)
{
    struct buf text = BUF_INIT;
    base64_encode(&text, x, n * sizeof *x);
    json_t *out = text.failed ? NULL : json_string(buf_text(&text));
    buf_free(&text);
    return out;
}

static json_t *as_numbers(const float *x, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, json_real((double)x[i]));
    return out;
}

static void finish(struct ask *a)
{
    size_t width = (size_t)model_width(model_desc(a->model->model));
    json_t *data = json_array(), *all = NULL;
    json_int_t n_token = 0;
    int rc = !data;
    if (a->failed.code) {
        struct error failed = a->failed;
        json_decref(data);
        ask_refuse(a, status_of(failed.code), NULL, &failed);
        return;
    }
    for (int i = 0; i < a->n_prompt && !rc; i++) {
        const float *x = a->prompts[i].vector;
        n_token += (json_int_t)a->prompts[i].ids.n;
        rc = json_array_append_new(data, json_pack("{s:s, s:i, s:o}", "object", "embedding", "index", i, "embedding",
                                                   is_base64(a) ? as_base64(x, width) : as_numbers(x, width)));
    }
    if (!rc)
        all = json_pack("{s:s, s:O, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model", a->model->name,
                        "usage", "prompt_tokens", n_token, "total_tokens", n_token);
    json_decref(data);
    metrics_answered(&a->api->metrics, 0, clock_now() - a->arrived);
    answer_json(a->x, 200, all);
    ask_free(a);
}

static void done(struct task *t, const struct generate_result *r, const struct error *reason)
{
    struct prompt *p = t->user;
    (void)r;
    run_done(p->ask, reason);
}

static int set_task(struct prompt *p, struct error *err)
{
    const struct model_desc *d = model_desc(p->ask->model->model);
    const json_t *normalize = json_object_get(p->ask->body, "normalize");
    if (p->ids.n > (size_t)d->n_ctx)
        return error_set(err, ERROR_DATA, "input %d: %zu tokens, but the model's context holds %d",
                         (int)(p - p->ask->prompts), p->ids.n, d->n_ctx);
    p->vector = mem_calloc((size_t)model_width(d), sizeof *p->vector);
    if (!p->vector)
        return error_set_nomem(err, (size_t)model_width(d) * 4, "a vector");
    p->task = (struct task){.kind = TASK_EMBED,
                            .model = p->ask->model,
                            .text = {p->ids.ids, (int)p->ids.n, (int)p->ids.n},
                            .values = p->vector,
                            .as_it_is = json_is_false(normalize),
                            .done = done,
                            .gone = run_gone,
                            .user = p};
    return 0;
}

/* Shorter vectors are not offered. */
static int check_dimensions(struct ask *a)
{
    struct error err = {0};
    int width = model_width(model_desc(a->model->model)), wanted = width;
    if (request_whole(a, "dimensions", 1 << 20, &wanted))
        return -1;
    if (wanted == width)
        return 0;
    error_set(&err, ERROR_DATA, "dimensions: this model's vectors have %d, found %d", width, wanted);
    ask_refuse(a, 400, "dimensions", &err);
    return -1;
}

void api_embeddings(void *api, struct http_exchange *x)
{
    struct error err = {0};
    struct ask *a = ask_open(api, x, NULL);
    if (!a || check_dimensions(a) || prompts_read(a, "input", read_text))
        return;
    a->finish = finish;
    for (int i = 0; i < a->n_prompt; i++)
        if (set_task(&a->prompts[i], &err)) {
            ask_refuse(a, status_of(err.code), "input", &err);
            return;
        }
    run_ask(a);
}
