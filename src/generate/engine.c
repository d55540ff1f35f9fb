/* SPDX-License-Identifier: Apache-2.0 */
/* The engine, and a whole run: a session with sizes that just fit, over requests in the order in which they share
 * most. */
#include "generate/parts.h"

#include "base/mem.h"
#include "generate/stop.h"

#include <stdlib.h>
#include <string.h>

void generate_engine_options_default(struct generate_engine_options *o, const struct model *m)
{
    *o = (struct generate_engine_options){.page = plan_page(model_desc(m), model_dtype(m)),
                                          .kv_dtype = model_dtype(m) == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16,
                                          .prefill_chunk = 512,
                                          .prefix_cache = 1};
}

static int check_engine(const struct generate_engine_options *o, struct error *err)
{
    if (o->page != 32 && o->page != 64 && o->page != 128)
        return error_set(err, ERROR_USAGE, "page: wanted 32, 64 or 128 positions, found %d", o->page);
    if (o->kv_dtype != DTYPE_F32 && o->kv_dtype != DTYPE_BF16)
        return error_set(err, ERROR_USAGE, "kv dtype: wanted f32 or bf16, found %s", dtype_name(o->kv_dtype));
    if (o->prefill_chunk < 1 || o->prefill_chunk > 1 << 16)
        return error_set(err, ERROR_USAGE, "prefill chunk: wanted 1 to %d rows, found %d", 1 << 16, o->prefill_chunk);
    if (o->max_batch < 0 || o->max_batch > 1 << 16)
        return error_set(err, ERROR_USAGE, "max_batch: wanted 0 (chosen) to %d sequences, found %d", 1 << 16,
                         o->max_batch);
    return 0;
}

int generate_engine_new(struct generate_engine **out, struct model *m, const struct tokenizer *t,
                        const struct generate_engine_options *options, struct error *err)
{
    struct generate_engine *e = *out = NULL;
    struct generate_engine_options o;
    int code;
    generate_engine_options_default(&o, m);
    if (options)
        o = *options;
    o.page = o.page ? o.page : plan_page(model_desc(m), o.kv_dtype);
    o.prefill_chunk = o.prefill_chunk ? o.prefill_chunk : 512;
    if ((code = check_engine(&o, err)))
        return code;
    if (!(e = mem_calloc(1, sizeof *e)))
        return error_set_nomem(err, sizeof *e, "the generation engine");
    e->model = m;
    e->desc = model_desc(m);
    e->tokenizer = t;
    e->options = o;
    e->device = model_device(m);
    e->queue = device_queue(e->device);
    e->layout = (struct kv_layout){o.kv_dtype, o.page, e->desc->n_kv_head, e->desc->head_dim};
    e->layer_pages = mem_calloc((size_t)e->desc->n_layer, sizeof *e->layer_pages);
    e->marks.n_vocab = e->desc->n_vocab;
    e->marks.mark = mem_calloc((size_t)e->desc->n_vocab, sizeof *e->marks.mark);
    if (!e->layer_pages || !e->marks.mark)
        code = error_set_nomem(err, (size_t)e->desc->n_vocab * 4, "the generation engine");
    if (!code && t)
        code = finder_new(&e->finder, t, err);
    if (code) {
        generate_engine_free(e);
        return code;
    }
    *out = e;
    return 0;
}

void generate_engine_free(struct generate_engine *e)
{
    if (!e)
        return;
    generate_end(e);
    model_workspace_free(e->workspace);
    buffer_free(e->device_io);
    buffer_free(e->kv);
    if (e->pages.page)
        pages_deinit(&e->pages);
    finder_free(e->finder);
    mem_free(e->layer_pages);
    mem_free(e->marks.mark);
    mem_free(e);
}

void generate_engine_forget(struct generate_engine *e)
{
    if (e->pages.page)
        prefix_forget(&e->pages);
}

struct model *generate_engine_model(const struct generate_engine *e)
{
    return e->model;
}

const struct tokenizer *generate_engine_tokenizer(const struct generate_engine *e)
{
    return e->tokenizer;
}

struct generate_engine_options generate_engine_set(const struct generate_engine *e)
{
    return e->options;
}

int generate_text(const struct generate_engine *e, const struct generate_options *o, const int32_t *ids, int n,
                  char **text, struct error *err)
{
    *text = NULL;
    return e->tokenizer ? stop_text(e->tokenizer, o, ids, n, text, err) : 0;
}

void generate_engine_add(struct generate_engine *e, const struct generate_stats *other)
{
    struct generate_stats *s = &e->stats;
    s->prompt_tokens += other->prompt_tokens;
    s->computed_prompt_tokens += other->computed_prompt_tokens;
    s->generated_tokens += other->generated_tokens;
    s->steps += other->steps;
    s->rows += other->rows;
    s->head_rows += other->head_rows;
    s->decoding_rows += other->decoding_rows;
    s->step_allocations += other->step_allocations;
    s->model_seconds += other->model_seconds;
    s->host_seconds += other->host_seconds;
}

struct generate_stats generate_engine_stats(const struct generate_engine *e)
{
    struct generate_stats s = e->stats;
    s.reserved_pages = e->pages.reserved;
    s.peak_pages = (size_t)e->pages.peak;
    s.kv_bytes = e->kv ? buffer_size(e->kv) : 0;
    return s;
}

struct sorted_request {
    const struct generate_request *r;
    int index;
};

static int by_tokens(const void *a, const void *b)
{
    const struct sorted_request *x = a, *y = b;
    int n = x->r->n_prompt < y->r->n_prompt ? x->r->n_prompt : y->r->n_prompt;
    for (int i = 0; i < n; i++)
        if (x->r->prompt[i] != y->r->prompt[i])
            return x->r->prompt[i] < y->r->prompt[i] ? -1 : 1;
    if (x->r->n_prompt != y->r->n_prompt)
        return x->r->n_prompt < y->r->n_prompt ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int tell_result(const struct generate_calls *calls, const struct generate_request *r,
                       const struct generate_result *result)
{
    return calls->done(calls->user, r, result);
}

int generate_check(const struct generate_engine *e, const struct generate_request *r, struct error *err)
{
    return admit_check(e, r, err);
}

/* Puts the requests that can run into order[], the others out with their error. */
static int plan_requests(struct generate_engine *e, const struct generate_request *requests, int n,
                         const struct generate_calls *calls, struct sorted_request *order, struct plan *plan)
{
    int code = 0;
    for (int i = 0; i < n && !code; i++) {
        struct generate_result result = {0};
        if (admit_check(e, &requests[i], &result.error)) {
            code = tell_result(calls, &requests[i], &result);
            continue;
        }
        order[plan->n] = (struct sorted_request){&requests[i], i};
        plan_add(plan, &requests[i], e->options.page);
    }
    return code;
}

/* All requests in order; one that the memory budget can never hold goes out with its error. */
static int submit_all(struct generate_engine *e, const struct sorted_request *order, int n)
{
    int code = 0;
    for (int i = 0; i < n && !code; i++) {
        struct generate_result result = {0};
        if (generate_submit(e, order[i].r, &result.error))
            code = tell_result(&e->calls, order[i].r, &result);
    }
    return code;
}

static int run_session(struct generate_engine *e, const struct generate_calls *calls,
                       const struct sorted_request *order, const struct plan *plan, struct error *err)
{
    struct generate_limits limits = {.requests = plan->n,
                                     .length = plan->max_len,
                                     .width = plan->max_lane,
                                     .rules = plan->uses_rules,
                                     .stop = plan->uses_stop};
    int code = session_open(e, plan, &limits, calls, err);
    if (!code)
        code = submit_all(e, order, plan->n);
    while (!code && generate_pending(e))
        code = generate_step(e, err);
    generate_end(e);
    return code;
}

int generate_all(struct generate_engine *e, const struct generate_request *requests, int n,
                 const struct generate_calls *calls, struct error *err)
{
    struct plan plan = {0};
    if (n < 1)
        return 0;
    if (e->open)
        return error_set(err, ERROR_USAGE, "the engine has an open session; end it before a run");
    struct sorted_request *order = mem_alloc((size_t)n * sizeof *order);
    if (!order)
        return error_set_nomem(err, (size_t)n * sizeof *order, "the order of requests");
    int code = plan_requests(e, requests, n, calls, order, &plan);
    if (!code && plan.n) {
        qsort(order, (size_t)plan.n, sizeof *order, by_tokens);
        code = run_session(e, calls, order, &plan, err);
    }
    mem_free(order);
    return code;
}

struct numbered_run { /* who asked with generate_run */
    const struct generate_request *requests;
    int (*done)(void *user, int index, const struct generate_result *result);
    void *user;
    struct error *err;
};

static int tell_numbered(void *user, const struct generate_request *r, const struct generate_result *result)
{
    const struct numbered_run *to = user;
    int index = (int)(r - to->requests), code = to->done(to->user, index, result);
    if (code && to->err && !to->err->code)
        return error_set(to->err, code, "stopped by the caller at request %d", index);
    return code;
}

int generate_run(struct generate_engine *e, const struct generate_request *requests, int n,
                 int (*done)(void *user, int index, const struct generate_result *result), void *user,
                 struct error *err)
{
    struct numbered_run to = {requests, done, user, err};
    if (err)
        err->code = 0;
    return generate_all(e, requests, n, &(struct generate_calls){NULL, tell_numbered, &to}, err);
}
