/* SPDX-License-Identifier: Apache-2.0 */
/* The run: plan for the requests at hand (plan.c), then let requests in, step, hand finished ones out. */
#include "generate/engine.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "generate/stop.h"

#include <stdlib.h>
#include <string.h>

void generate_engine_options_default(struct generate_engine_options *o, const struct model *m)
{
    *o = (struct generate_engine_options){.page = 64, .kv_dtype = model_dtype(m) == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16, .prefill_chunk = 512, .prefix_cache = 1};
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
        return error_set(err, ERROR_USAGE, "max_batch: wanted 0 (chosen) to %d sequences, found %d", 1 << 16, o->max_batch);
    return 0;
}

int generate_engine_new(struct generate_engine **out, struct model *m, const struct tokenizer *t, const struct generate_engine_options *options, struct error *err)
{
    struct generate_engine *e = *out = NULL;
    struct generate_engine_options o;
    int code;
    generate_engine_options_default(&o, m);
    if (options)
        o = *options;
    o.page = o.page ? o.page : 64;
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
    plan_drop(e);
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

struct generate_stats generate_engine_stats(const struct generate_engine *e)
{
    struct generate_stats s = e->stats;
    s.peak_pages = (size_t)e->pages.peak;
    s.kv_bytes = e->kv ? buffer_size(e->kv) : 0;
    return s;
}

typedef int done_fn(void *user, int index, const struct generate_result *result);

struct sorted { const struct generate_request *r; int index; };

static int by_tokens(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int n = x->r->n_prompt < y->r->n_prompt ? x->r->n_prompt : y->r->n_prompt;
    for (int i = 0; i < n; i++)
        if (x->r->prompt[i] != y->r->prompt[i])
            return x->r->prompt[i] < y->r->prompt[i] ? -1 : 1;
    if (x->r->n_prompt != y->r->n_prompt)
        return x->r->n_prompt < y->r->n_prompt ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int hand_out_one(const struct generate_result *result, int index, done_fn *done, void *user, struct error *err)
{
    int code = done(user, index, result);
    return code && err && !err->code ? error_set(err, code, "stopped by the caller at request %d", index) : code;
}

/* Puts the requests that can run into order[], the others out with their error. */
static int sift(struct generate_engine *e, const struct generate_request *requests, int n, struct sorted *order, struct plan *plan, done_fn *done, void *user, struct error *err)
{
    int code = 0;
    for (int i = 0; i < n && !code; i++) {
        struct generate_result result = {0};
        if (admit_check(e, &requests[i], &result.error)) {
            code = hand_out_one(&result, i, done, user, err);
            continue;
        }
        order[plan->n] = (struct sorted){&requests[i], i};
        plan_add(plan, &requests[i], e->options.page);
    }
    return code;
}

/* Requests that the memory budget can never hold, out with their error; the others wait. */
static int sift_by_budget(struct generate_engine *e, const struct sorted *order, int n, done_fn *done, void *user, struct error *err)
{
    int code = 0;
    for (int i = 0; i < n && !code; i++) {
        struct generate_result result = {0};
        int bound = job_bound(&order[i].r->options, order[i].r->n_prompt, e->options.page, 0, 0);
        if (bound <= e->pages.n_page) {
            e->waiting[e->n_waiting++] = order[i].index;
            continue;
        }
        error_set(&result.error, ERROR_FAILED, "memory: this request alone needs %zu MiB of KV cache, the budget is %zu MiB; allow more memory or fewer beams or new tokens",
                  ((size_t)bound * plan_page_bytes(e) + (1 << 20) - 1) >> 20, ((size_t)e->pages.n_page * plan_page_bytes(e)) >> 20);
        code = hand_out_one(&result, order[i].index, done, user, err);
    }
    return code;
}

static int hand_out(struct generate_engine *e, struct job *job, done_fn *done, void *user, struct error *err)
{
    struct generate_result result;
    int index = job->index, code = job_result(e, job, &result, err);
    job_end(e, job);
    if (!code)
        code = hand_out_one(&result, index, done, user, err);
    result_free(&result);
    return code;
}

static int drop_finished(struct generate_engine *e, done_fn *done, void *user, struct error *err)
{
    int kept = 0, code = 0;
    for (int i = 0; i < e->n_active; i++)
        if (!e->active[i]->finished)
            e->active[kept++] = e->active[i];
    e->n_active = kept;
    for (int i = 0; i < e->n_done; i++) {
        if (!code)
            code = hand_out(e, e->done[i], done, user, err);
        else
            job_end(e, e->done[i]);
    }
    e->n_done = 0;
    return code;
}

static int run(struct generate_engine *e, done_fn *done, void *user, struct error *err)
{
    int code = 0;
    while (!code && (e->n_active || e->n_waiting)) {
        if ((code = interrupt_check(err)) || (code = admit(e, err)))
            break;
        mem_guard_enter();
        code = step(e, err);
        e->stats.step_allocations += mem_guard_leave();
        if (!code)
            code = drop_finished(e, done, user, err);
    }
    for (int i = 0; i < e->n_pinned; i++) /* admitted, but never stepped */
        page_drop(&e->pages, e->pinned[i], -2);
    for (int i = 0; i < e->n_active; i++)
        job_end(e, e->active[i]);
    e->n_active = e->n_pinned = e->n_copy = 0;
    return code;
}

int generate_run(struct generate_engine *e, const struct generate_request *requests, int n, done_fn *done, void *user, struct error *err)
{
    struct plan plan = {0};
    int code = 0;
    if (n < 1)
        return 0;
    if (err)
        err->code = 0;
    e->requests = requests;
    struct sorted *order = mem_alloc((size_t)n * sizeof *order);
    if (!order)
        return error_set_nomem(err, (size_t)n * sizeof *order, "the order of requests");
    if ((code = sift(e, requests, n, order, &plan, done, user, err)) || !plan.n)
        goto out;
    qsort(order, (size_t)plan.n, sizeof *order, by_tokens);
    if ((code = plan_set_up(e, &plan, n, err)))
        goto out;
    if (!(code = sift_by_budget(e, order, plan.n, done, user, err)))
        code = run(e, done, user, err);
out:
    mem_free(order);
    plan_drop(e);
    return code;
}
