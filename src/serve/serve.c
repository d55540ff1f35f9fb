/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, routes, the end; and what needs no model. */
#include "serve/serve.h"

#include "base/clock.h"
#include "base/mem.h"
#include "serve/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

struct serve {
    struct api api;
};

static void api_health(void *api, struct http_exchange *x)
{
    (void)api;
    answer_json(x, 200, json_pack("{s:s}", "status", "ok"));
}

static void api_models(void *user, struct http_exchange *x)
{
    const struct api *api = user;
    json_t *list = json_array();
    for (int i = 0; i < api->n_model && list; i++) {
        const struct served *m = &api->models[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:s?, s:s, s:i}", "id", m->name, "object", "model",
                                              "created", (json_int_t)api->created, "owned_by", "isara", "parent",
                                              i ? api->models[0].name : NULL, "root", checkpoint_path(m->checkpoint),
                                              "max_model_len", m->max_length));
    }
    answer_json(x, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

static void api_metrics(void *user, struct http_exchange *x)
{
    struct api *api = user;
    struct buf text = BUF_INIT;
    struct worker_counts w = worker_counts(api->worker);
    struct http_counts h = http_counts(api->http);
    metrics_write(&api->metrics, &w, &h, &text);
    http_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static const struct http_route routes[] = {
    {"GET", "/health", 1, api_health},
    {"GET", "/v1/models", 0, api_models},
    {"GET", "/models", 0, api_models},
    {"POST", "/v1/completions", 0, api_completions},
    {"POST", "/v1/chat/completions", 0, api_chat},
    {"POST", "/chat/completions", 0, api_chat},
    {"POST", "/v1/embeddings", 0, api_embeddings},
    {"POST", "/tokenize", 0, api_tokenize},
    {"POST", "/detokenize", 0, api_detokenize},
    {"GET", "/tokenizer_info", 0, api_tokenizer_info},
    {"GET", "/metrics", 0, api_metrics},
};

static void set_mark(struct api *api)
{
    unsigned char random[6] = {0};
    if (getrandom(random, sizeof random, 0) < 0)
        random[0] = 1;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(api->mark + 2 * i, 3, "%02x", random[i]);
}

int serve_open(struct serve **out, const struct served_options *o, const struct http_options *h, struct device *device,
               struct error *err)
{
    struct serve *s = *out = mem_calloc(1, sizeof *s);
    int rc = s ? 0 : error_set_nomem(err, sizeof *s, "a server");
    if (rc)
        return rc;
    struct api *api = &s->api;
    api->created = clock_wall();
    set_mark(api);
    metrics_init(&api->metrics);
    rc = served_open(&api->models, &api->n_model, o, device, err);
    rc = rc ? rc : worker_open(&api->worker, api->models, api->n_model, err);
    rc = rc ? rc
            : http_open(&api->http, h, &(struct http_routes){routes, (int)(sizeof routes / sizeof *routes), api}, err);
    if (rc) {
        serve_close(s, 0);
        *out = NULL;
    }
    return rc;
}

int serve_port(const struct serve *s)
{
    return http_port(s->api.http);
}

int serve_n_model(const struct serve *s)
{
    return s->api.n_model;
}

const char *serve_model(const struct serve *s, int i)
{
    return s->api.models[i].name;
}

void serve_tend(struct serve *s)
{
    http_tend(s->api.http);
}

void serve_close(struct serve *s, double seconds)
{
    if (!s)
        return;
    double end = clock_now() + seconds;
    if (s->api.http)
        http_quiet(s->api.http);
    while (s->api.http && http_pending(s->api.http) && clock_now() < end && !http_wait_signal(0.02))
        http_tend(s->api.http);
    worker_close(s->api.worker);
    http_close(s->api.http);
    served_close(s->api.models, s->api.n_model);
    metrics_deinit(&s->api.metrics);
    mem_free(s);
}
