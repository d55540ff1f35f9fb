/* SPDX-License-Identifier: Apache-2.0 */
/* A session of requests that rank 0 deals: they come in between steps, and their results go out behind each. */
#include "crew/parts.h"

#include "base/mem.h"
#include "dist/dist.h"

#include <string.h>

struct asked { /* a request that runs, with its prompt */
    struct generate_request r;
    int index; /* rank 0's */
    struct asked *next;
    int32_t prompt[];
};
struct serving {
    struct server *server;
    struct generate_engine *engine;
    struct asked *asked;
    struct buf results; /* of this step */
    int n_result;
};

static void put_result(struct serving *g, int index, const struct generate_result *result)
{
    struct buf *b = &g->results;
    wire_put_int(b, index);
    wire_put_int(b, result->n);
    wire_put_int(b, result->rows);
    wire_put(b, &result->error, sizeof result->error);
    for (int i = 0; i < result->n; i++) {
        const struct generate_sequence *q = &result->sequences[i];
        wire_put(b, q, sizeof *q);
        wire_put(b, q->ids, (size_t)q->n * sizeof *q->ids);
        wire_put(b, q->logprobs, (size_t)q->n * sizeof *q->logprobs);
    }
    g->n_result++;
}

static void forget(struct serving *g, struct asked *a)
{
    struct asked **at = &g->asked;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    mem_free(a);
}

static int done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct serving *g = user;
    struct asked *a = r->user;
    put_result(g, a->index, result);
    forget(g, a);
    return 0;
}

static int add_request(struct serving *g, struct wire *w, struct error *err)
{
    struct generate_request r;
    struct generate_result result = {0};
    int index = (int)wire_get_int(w);
    wire_get(w, &r, sizeof r);
    struct asked *a = r.n_prompt > 0 ? mem_alloc(sizeof *a + (size_t)r.n_prompt * sizeof *a->prompt) : NULL;
    if (!a)
        return error_set_nomem(err, (size_t)r.n_prompt * sizeof *a->prompt, "a request");
    wire_get(w, a->prompt, (size_t)r.n_prompt * sizeof *a->prompt);
    r.prompt = a->prompt;
    r.user = a;
    a->r = r;
    a->index = index;
    a->next = g->asked;
    g->asked = a;
    if (generate_submit(g->engine, &a->r, &result.error)) {
        put_result(g, index, &result);
        forget(g, a);
    }
    return w->broken ? error_set(err, ERROR_INTERNAL, "a broken request") : 0;
}

static int send_results(struct serving *g, struct error *err)
{
    struct server *s = g->server;
    if (!g->n_result)
        return 0;
    wire_begin(&s->out, WORD_RESULTS);
    wire_put_int(&s->out, g->n_result);
    wire_put(&s->out, g->results.data, g->results.len);
    s->out.failed |= g->results.failed;
    buf_reset(&g->results);
    g->n_result = 0;
    return server_answer(s, err);
}

static int run(struct serving *g, struct error *err)
{
    int rc = 0;
    for (;;) {
        enum crew_word word;
        struct wire w;
        rc = server_hear(g->server, &w, &word, !generate_pending(g->engine), err);
        if (rc || word == WORD_CLOSE)
            return rc;
        if (word == WORD_REQUESTS)
            while (!rc && w.left)
                rc = add_request(g, &w, err);
        if (!rc && word == WORD_NONE)
            rc = generate_step(g->engine, err);
        rc = rc ? rc : send_results(g, err);
        if (rc)
            return rc;
    }
}

static int close_session(struct serving *g, struct error *err)
{
    const struct generate_stats stats = generate_engine_stats(g->engine);
    wire_begin(&g->server->out, WORD_CLOSED);
    wire_put(&g->server->out, &stats, sizeof stats);
    return server_answer(g->server, err);
}

int server_generate(struct server *s, struct wire *w, struct error *err)
{
    struct serving g = {.server = s, .results = BUF_INIT};
    struct generate_engine_options options;
    struct generate_limits limits;
    struct served_model *m = server_model(s, (uint64_t)wire_get_int(w), err);
    const char *tokenizer = wire_get_text(w);
    wire_get(w, &options, sizeof options);
    wire_get(w, &limits, sizeof limits);
    limits.share = dist_neighbours();
    int rc = m ? server_tokenizer(m, tokenizer, err) : ERROR_INTERNAL;
    const struct tokenizer *with = !rc && tokenizer ? m->tokenizer : NULL;
    rc = rc ? rc : generate_engine_new(&g.engine, m->model, with, &options, err);
    rc = rc ? rc : generate_begin(g.engine, &limits, &(struct generate_calls){NULL, done, &g}, err);
    rc = rc ? rc : run(&g, err);
    if (g.engine)
        generate_end(g.engine);
    rc = rc ? rc : close_session(&g, err);
    generate_engine_free(g.engine);
    while (g.asked)
        forget(&g, g.asked);
    buf_free(&g.results);
    return rc;
}
