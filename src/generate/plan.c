/* SPDX-License-Identifier: Apache-2.0 */
/* What a session will need, from its requests or its limits: pages, host arrays, logits, activations; sized first, then
 * made. */
#include "generate/parts.h"

#include "base/mem.h"
#include "generate/stop.h"

int plan_uses_rules(const struct generate_options *o)
{
    return o->repetition_penalty != 1 || o->no_repeat_ngram_size || o->min_new_tokens;
}

int plan_keep(const struct generate_options *o)
{
    return o->num_beams > 1 ? beam_keep(o->num_beams, o->n_eos) : 1;
}

struct plan plan_of_limits(const struct generate_limits *l, int page)
{
    int blocks = (l->length + page - 1) / page, bound = l->bound ? l->bound : blocks * l->width + 1;
    long n = l->requests;
    return (struct plan){.n = l->requests,
                         .max_len = l->length,
                         .max_lane = l->width,
                         .n_keep = l->width > 1 ? beam_keep(l->width, l->eos) : 1,
                         .uses_rules = l->rules,
                         .uses_stop = l->stop,
                         .max_bound = bound,
                         .lanes = n * l->width,
                         .most = l->sequences,
                         .pages = n * (bound + 1)};
}

void generate_limits_fit(struct generate_limits *l, const struct generate_engine *e,
                         const struct generate_request *requests, int n, int share)
{
    struct plan p = {0};
    int eos = 0;
    for (int i = 0; i < n; i++) {
        if (admit_check(e, &requests[i], NULL))
            continue;
        plan_add(&p, &requests[i], e->options.page);
        eos = requests[i].options.n_eos > eos ? requests[i].options.n_eos : eos;
    }
    int most = e->options.max_batch ? e->options.max_batch : BATCH;
    long lanes = (p.lanes + share - 1) / share + p.max_lane;
    most = lanes < most ? (int)lanes : most;
    *l = (struct generate_limits){.requests = n,
                                  .sequences = most > p.max_lane ? most : p.max_lane,
                                  .length = p.max_len,
                                  .width = p.max_lane,
                                  .eos = eos,
                                  .rules = p.uses_rules,
                                  .stop = p.uses_stop,
                                  .bound = p.max_bound};
}

void plan_add(struct plan *p, const struct generate_request *r, int page)
{
    const struct generate_options *o = &r->options;
    int n_lane = job_lanes(o), len = r->n_prompt + o->max_new_tokens, bound = job_bound(o, r->n_prompt, page, 0, 0);
    int keep = plan_keep(o);
    p->n++;
    p->lanes += n_lane;
    p->pages += bound + 1; /* the page it may copy from */
    p->max_len = len > p->max_len ? len : p->max_len;
    p->max_lane = n_lane > p->max_lane ? n_lane : p->max_lane;
    p->max_bound = bound > p->max_bound ? bound : p->max_bound;
    p->n_keep = keep > p->n_keep ? keep : p->n_keep;
    p->uses_stop |= o->n_stop > 0;
    p->uses_rules |= plan_uses_rules(o);
}

int plan_page(const struct model_desc *d, enum dtype kv_dtype)
{
    enum { MOST = 256 << 10 };
    int64_t bytes = 2 * (int64_t)d->n_layer * d->n_kv_head * d->head_dim * (kv_dtype == DTYPE_F32 ? 4 : 2);
    return bytes > MOST ? 32 : 64;
}

size_t plan_page_bytes(const struct generate_engine *e)
{
    return kv_page_bytes(e->device, &e->layout) * (size_t)e->desc->n_layer;
}

size_t plan_kv_most(const struct device *device, int share)
{
    return device_memory(device).total / 4 / (share > 1 ? (size_t)share : 1);
}

/* Pages the budget allows; 0 fits: as many as the requests in flight can use. */
static int budget_pages(const struct generate_engine *e, const struct plan *p)
{
    size_t bytes = e->options.memory_bytes, per_page = plan_page_bytes(e);
    if (bytes) {
        size_t n = bytes / per_page;
        return n > 1 << 24 ? 1 << 24 : (int)n;
    }
    size_t most = plan_kv_most(e->device, e->limits.share) / per_page;
    size_t jobs = (size_t)e->max_batch / (size_t)(p->max_lane ? p->max_lane : 1) + 1,
           want = 2 * jobs * ((size_t)p->max_bound + 1);
    want = (long)want < p->pages ? want : (size_t)p->pages;
    return (int)(want < most ? want : most);
}

static int make_pages(struct generate_engine *e, int n_page, struct error *err)
{
    size_t layer = kv_page_bytes(e->device, &e->layout) * (size_t)n_page;
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
struct host_carver {
    char *memory;
    size_t used;
};

static void *carve_array(struct host_carver *c, size_t count, size_t size)
{
    void *p = c->memory ? c->memory + c->used : NULL;
    c->used += (count * size + 63) & ~(size_t)63;
    return p;
}

static void carve_host(struct generate_engine *e, struct host_carver *c, const struct plan *p)
{
    size_t seqs = (size_t)e->max_batch, rows = seqs + (size_t)e->options.prefill_chunk, stride = (size_t)e->stride;
    size_t list = p->uses_rules ? seqs * ((size_t)e->max_len + MODEL_MAX_EOS) : 0, results = seqs * (size_t)e->n_top,
           copies = 2 * seqs + 2;
    e->slots = carve_array(c, seqs, sizeof *e->slots);
    int *tables = carve_array(c, seqs * stride, sizeof *tables);
    for (size_t i = 0; c->memory && i < seqs; i++)
        e->slots[i].table = tables + i * stride;
    e->free_slots = carve_array(c, seqs, sizeof *e->free_slots);
    e->jobs = carve_array(c, seqs, sizeof *e->jobs);
    e->active = carve_array(c, seqs, sizeof *e->active);
    e->done = carve_array(c, seqs, sizeof *e->done);
    e->chosen = carve_array(c, seqs, sizeof *e->chosen);
    e->waiting_capacity = p->n;
    e->waiting = carve_array(c, (size_t)p->n, sizeof *e->waiting);
    e->tokens = carve_array(c, rows, 4);
    e->positions = carve_array(c, rows, 4);
    e->lengths = carve_array(c, rows, 4);
    e->row_seq = carve_array(c, rows, 4);
    e->blocks = carve_array(c, seqs * stride, 4);
    e->copies = carve_array(c, 3 * copies, 4);
    e->pinned = carve_array(c, copies, sizeof *e->pinned);
    e->found = carve_array(c, stride, sizeof *e->found);
    e->zeros = carve_array(c, seqs, sizeof *e->zeros);
    e->out_index = carve_array(c, seqs, 4);
    e->seen_offsets = carve_array(c, seqs + 1, 4);
    e->banned_offsets = carve_array(c, seqs + 1, 4);
    e->seen_ids = carve_array(c, list, 4);
    e->banned_ids = carve_array(c, list, 4);
    e->bias = carve_array(c, seqs, 4);
    e->penalty = carve_array(c, seqs, 4);
    e->knobs = carve_array(c, 4 * seqs, 4);
    e->uniform = carve_array(c, seqs, 4);
    for (int k = 0; k < JOB_KINDS; k++)
        e->outs[k] = carve_array(c, seqs, sizeof *e->outs[k]);
    e->host_values = carve_array(c, results, 4);
    e->host_ids = carve_array(c, results, 4);
    e->host_raw = carve_array(c, results, 4);
    e->candidates = carve_array(c, (size_t)p->n_keep, sizeof *e->candidates);
    e->in.capacity = 4 * (4 * rows + seqs * stride + 3 * copies + seqs * 8) + 8 * list + 24 * (seqs + 8) + 64 * 32;
    e->in.host = carve_array(c, e->in.capacity, 1);
}

/* Where the input, the logits and the three results begin; the whole's size. */
static size_t device_io_bytes(const struct generate_engine *e, size_t at[5])
{
    struct host_carver c = {NULL, 0};
    size_t logits = 4 * (size_t)e->head_rows * (size_t)e->desc->n_vocab,
           result = 4 * (size_t)e->max_batch * (size_t)e->n_top;
    const size_t sizes[5] = {e->in.capacity, logits, result, result, result};
    for (int i = 0; i < 5; i++) {
        at[i] = c.used;
        carve_array(&c, sizes[i], 1);
    }
    return c.used;
}

static int make_device_io(struct generate_engine *e, struct error *err)
{
    size_t at[5], bytes = device_io_bytes(e, at);
    if (!e->device_io || buffer_size(e->device_io) < bytes) {
        buffer_free(e->device_io);
        e->device_io = NULL;
        int code = buffer_new(&e->device_io, e->device, bytes, "logits and candidates", err);
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

/* The sizes of everything that a run needs, from the plan; host arrays are counted. */
static void set_sizes(struct generate_engine *e, const struct plan *p)
{
    struct host_carver count = {NULL, 0};
    int most = p->most ? p->most : e->options.max_batch;
    if (!most)
        most = BATCH > p->max_lane ? BATCH : p->max_lane;
    if (e->options.max_batch && most > e->options.max_batch)
        most = e->options.max_batch;
    e->max_batch = p->lanes < most ? (int)p->lanes : most;
    e->max_len = p->max_len;
    e->stride = (p->max_len + e->options.page - 1) / e->options.page;
    e->n_keep = p->n_keep;
    e->n_top = p->n_keep < e->desc->n_vocab ? p->n_keep : e->desc->n_vocab;
    e->uses_rules = p->uses_rules;
    e->head_rows = e->max_batch < HEAD_ROWS ? e->max_batch : HEAD_ROWS;
    carve_host(e, &count, p);
    e->slab_bytes = count.used;
}

void plan_drop(struct generate_engine *e)
{
    if (e->slab)
        mem_slab_free(e->slab, e->slab_bytes);
    e->slab = NULL;
    e->jobs = NULL;
}

int plan_set_up(struct generate_engine *e, const struct plan *p, struct error *err)
{
    int code;
    plan_drop(e);
    set_sizes(e, p);
    if ((code = make_pages(e, budget_pages(e, p), err)))
        return code;
    if (!(e->slab = mem_slab(e->slab_bytes)))
        return error_set_nomem(err, e->slab_bytes, "generation");
    carve_host(e, &(struct host_carver){e->slab, 0}, p);
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
    e->n_active = e->first_waiting = e->n_waiting = e->n_copy = e->n_pinned = e->n_done = e->n_chosen = 0;
    return 0;
}

void generate_memory_bound(struct generate_engine *e, const struct generate_request *requests, int n, size_t *kv_bytes,
                           size_t *other_bytes)
{
    struct plan p = {0};
    size_t at[5];
    for (int i = 0; i < n; i++)
        if (!admit_check(e, &requests[i], NULL))
            plan_add(&p, &requests[i], e->options.page);
    *kv_bytes = *other_bytes = 0;
    if (!p.n)
        return;
    struct generate_engine sized = *e; /* the engine itself may be in a session of other sizes */
    set_sizes(&sized, &p);
    *kv_bytes = (size_t)budget_pages(&sized, &p) * plan_page_bytes(e);
    *other_bytes = sized.slab_bytes + device_io_bytes(&sized, at) +
                   model_workspace_size(e->model, sized.max_batch + e->options.prefill_chunk, sized.max_batch);
}
