/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's memory and the run: plan for the requests at hand, then let requests in, step, hand finished ones out. */
#include "generate/engine.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "generate/stop.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void free_run(struct generate_engine *e)
{
    if (e->slab)
        mem_slab_free(e->slab, e->slab_bytes);
    e->slab = NULL;
    e->jobs = NULL;
}

void generate_engine_free(struct generate_engine *e)
{
    if (!e)
        return;
    free_run(e);
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

/* ---- planning a run ---- */

struct plan { /* what the requests that can run need together */
    int n, max_len, max_lane, n_keep, uses_rules, uses_stop, max_bound;
    long lanes, pages;
};

static void plan_add(struct plan *p, const struct generate_request *r, int page)
{
    const struct generate_options *o = &r->options;
    int n_lane = job_lanes(o), len = r->n_prompt + o->max_new_tokens, bound = job_bound(o, r->n_prompt, page, 0, 0);
    int keep = o->num_beams > 1 ? beam_keep(o->num_beams, o->n_eos) : 1;
    p->n++;
    p->lanes += n_lane;
    p->pages += bound + 1; /* the page it may copy from */
    p->max_len = len > p->max_len ? len : p->max_len;
    p->max_lane = n_lane > p->max_lane ? n_lane : p->max_lane;
    p->max_bound = bound > p->max_bound ? bound : p->max_bound;
    p->n_keep = keep > p->n_keep ? keep : p->n_keep;
    p->uses_stop |= o->n_stop > 0;
    p->uses_rules |= o->repetition_penalty != 1 || o->no_repeat_ngram_size || o->min_new_tokens;
}

static size_t page_bytes(const struct generate_engine *e)
{
    return kv_page_bytes(&e->layout) * (size_t)e->desc->n_layer;
}

/* Pages the budget allows; 0 fits: as many as the requests in flight can use. */
static int budget_pages(const struct generate_engine *e, const struct plan *p)
{
    size_t bytes = e->options.memory_bytes, per_page = page_bytes(e);
    if (bytes) {
        size_t n = bytes / per_page;
        return n > 1 << 24 ? 1 << 24 : (int)n;
    }
    size_t quarter = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE), most = quarter / per_page;
    size_t jobs = (size_t)e->max_batch / (size_t)(p->max_lane ? p->max_lane : 1) + 1, want = 2 * jobs * ((size_t)p->max_bound + 1);
    want = (long)want < p->pages ? want : (size_t)p->pages;
    return (int)(want < most ? want : most);
}

static int make_pages(struct generate_engine *e, int n_page, struct error *err)
{
    size_t layer = kv_page_bytes(&e->layout) * (size_t)n_page;
    int code;
    if (e->pages.page && (e->options.memory_bytes ? e->pages.n_page == n_page : e->pages.n_page >= n_page))
        return 0;
    buffer_free(e->kv);
    e->kv = NULL;
    if (e->pages.page)
        pages_deinit(&e->pages);
    if ((code = buffer_new(&e->kv, e->device, layer * (size_t)e->desc->n_layer, "the KV cache", err)) ||
        (code = pages_init(&e->pages, n_page, e->options.page, err)))
        return code;
    for (int l = 0; l < e->desc->n_layer; l++)
        e->layer_pages[l] = (struct span){e->kv, layer * (size_t)l};
    return 0;
}

/* Hands out 64-byte aligned pieces; without memory it only counts. */
struct carver { char *memory; size_t used; };

static void *carve(struct carver *c, size_t count, size_t size)
{
    void *p = c->memory ? c->memory + c->used : NULL;
    c->used += (count * size + 63) & ~(size_t)63;
    return p;
}

static void carve_host(struct generate_engine *e, struct carver *c, int n_request, const struct plan *p)
{
    size_t seqs = (size_t)e->max_batch, rows = seqs + (size_t)e->options.prefill_chunk, stride = (size_t)e->stride;
    size_t list = p->uses_rules ? seqs * ((size_t)e->max_len + MODEL_MAX_EOS) : 0, results = seqs * (size_t)e->n_top, copies = 2 * seqs + 2;
    e->slots = carve(c, seqs, sizeof *e->slots);
    int *tables = carve(c, seqs * stride, sizeof *tables);
    for (size_t i = 0; c->memory && i < seqs; i++)
        e->slots[i].table = tables + i * stride;
    e->free_slots = carve(c, seqs, sizeof *e->free_slots);
    e->jobs = carve(c, seqs, sizeof *e->jobs);
    e->active = carve(c, seqs, sizeof *e->active);
    e->done = carve(c, seqs, sizeof *e->done);
    e->waiting = carve(c, (size_t)n_request, sizeof *e->waiting);
    e->tokens = carve(c, rows, 4);
    e->positions = carve(c, rows, 4);
    e->row_seq = carve(c, rows, 4);
    e->blocks = carve(c, seqs * stride, 4);
    e->pairs = carve(c, 2 * copies, 4);
    e->pinned = carve(c, copies, sizeof *e->pinned);
    e->found = carve(c, stride, sizeof *e->found);
    e->zeros = carve(c, seqs, sizeof *e->zeros);
    e->out_index = carve(c, seqs, 4);
    e->seen_offsets = carve(c, seqs + 1, 4);
    e->banned_offsets = carve(c, seqs + 1, 4);
    e->seen_ids = carve(c, list, 4);
    e->banned_ids = carve(c, list, 4);
    e->bias = carve(c, seqs, 4);
    e->penalty = carve(c, seqs, 4);
    e->knobs = carve(c, 4 * seqs, 4);
    e->uniform = carve(c, seqs, 4);
    for (int k = 0; k < JOB_KINDS; k++)
        e->outs[k] = carve(c, seqs, sizeof *e->outs[k]);
    e->host_values = carve(c, results, 4);
    e->host_ids = carve(c, results, 4);
    e->host_raw = carve(c, results, 4);
    e->candidates = carve(c, (size_t)p->n_keep, sizeof *e->candidates);
    e->in.capacity = 4 * (3 * rows + seqs * stride + 2 * copies + seqs * 8) + 8 * list + 24 * (seqs + 8) + 64 * 32;
    e->in.host = carve(c, e->in.capacity, 1);
}

static int make_device_io(struct generate_engine *e, struct error *err)
{
    struct carver c = {NULL, 0};
    size_t results = (size_t)e->max_batch * (size_t)e->n_top, at[5];
    for (int i = 0; i < 5; i++) {
        at[i] = c.used;
        carve(&c, i == 0 ? e->in.capacity : 4 * (i == 1 ? (size_t)e->head_rows * (size_t)e->desc->n_vocab : results), 1);
    }
    if (!e->device_io || buffer_size(e->device_io) < c.used) {
        buffer_free(e->device_io);
        e->device_io = NULL;
        int code = buffer_new(&e->device_io, e->device, c.used, "logits and candidates", err);
        if (code)
            return code;
    }
    e->in.device = (struct span){e->device_io, at[0]};
    e->logits = (struct span){e->device_io, at[1]};
    e->values = (struct span){e->device_io, at[2]};
    e->ids = (struct span){e->device_io, at[3]};
    e->raw = (struct span){e->device_io, at[4]};
    return 0;
}

static int make_workspace(struct generate_engine *e, struct error *err)
{
    int rows = e->max_batch + e->options.prefill_chunk;
    if (e->workspace && e->workspace_row >= rows && e->workspace_out >= e->max_batch)
        return 0;
    model_workspace_free(e->workspace);
    e->workspace = NULL;
    e->workspace_row = rows;
    e->workspace_out = e->max_batch;
    return model_workspace_new(&e->workspace, e->model, rows, e->max_batch, err);
}

static int set_up(struct generate_engine *e, const struct plan *p, int n_request, struct error *err)
{
    struct carver count = {NULL, 0};
    int code;
    e->max_len = p->max_len;
    e->stride = (p->max_len + e->options.page - 1) / e->options.page;
    e->n_top = p->n_keep < e->desc->n_vocab ? p->n_keep : e->desc->n_vocab;
    e->uses_rules = p->uses_rules;
    e->head_rows = e->max_batch < HEAD_ROWS ? e->max_batch : HEAD_ROWS;
    free_run(e);
    carve_host(e, &count, n_request, p);
    e->slab_bytes = count.used;
    if (!(e->slab = mem_slab(count.used)))
        return error_set_nomem(err, count.used, "generation");
    carve_host(e, &(struct carver){e->slab, 0}, n_request, p);
    if ((code = make_workspace(e, err)) || (code = make_device_io(e, err)))
        return code;
    if (p->uses_stop && finder_warm(e->finder))
        return error_set_nomem(err, 0, "looking for stop strings");
    e->n_free_slot = e->max_batch;
    for (int i = 0; i < e->max_batch; i++)
        e->free_slots[i] = e->max_batch - 1 - i;
    for (int i = 0; i < e->max_batch; i++)
        e->jobs[i].number = i + 1;
    e->max_job = e->max_batch;
    e->n_active = e->n_waiting = e->n_pair = e->n_pinned = 0;
    return 0;
}

/* ---- the run ---- */

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
                  ((size_t)bound * page_bytes(e) + (1 << 20) - 1) >> 20, ((size_t)e->pages.n_page * page_bytes(e)) >> 20);
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
        step(e);
        e->stats.step_allocations += mem_guard_leave();
        code = drop_finished(e, done, user, err);
    }
    for (int i = 0; i < e->n_pinned; i++) /* admitted, but never stepped */
        page_drop(&e->pages, e->pinned[i], -2);
    for (int i = 0; i < e->n_active; i++)
        job_end(e, e->active[i]);
    e->n_active = e->n_pinned = e->n_pair = 0;
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
    e->max_batch = e->options.max_batch ? e->options.max_batch : BATCH > plan.max_lane ? BATCH : plan.max_lane;
    e->max_batch = plan.lanes < e->max_batch ? (int)plan.lanes : e->max_batch;
    if ((code = make_pages(e, budget_pages(e, &plan), err)) || (code = set_up(e, &plan, n, err)))
        goto out;
    if (!(code = sift_by_budget(e, order, plan.n, done, user, err)))
        code = run(e, done, user, err);
out:
    mem_free(order);
    free_run(e);
    return code;
}
