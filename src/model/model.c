/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, initialising and packing. Values travel in pieces: from a file (or a random stream) into a small host
 * buffer, from there to the device, there into a packed matrix or into the f32 masters. Nothing holds the whole model
 * twice. */
#include "model/lora.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

#include <string.h>

/* elements */
enum { PIECE = 1 << 20 };

/* Where values of a model come from, and where they go: masters when given, else the packed copy. */
struct transfer {
    const struct model *m;
    const struct checkpoint *source; /* NULL: initialise */
    uint64_t seed;
    int check_finite;
    struct queue *q;
    struct span masters;
    struct flat_range only; /* of the flat order, what masters hold; end 0: all of it */
    struct pool *pool;
    float *host; /* the stage's own memory where the host may write it (direct) */
    struct buffer *stage;
    int direct;
    int64_t capacity; /* elements of host and stage */
};

static struct span to_stage(const struct transfer *t, size_t bytes)
{
    struct span stage = {t->stage, 0};
    if (!t->direct)
        queue_upload(t->q, stage, t->host, bytes);
    return stage;
}

static void init_values(const struct transfer *t, int index, int64_t first, int64_t n)
{
    const struct model_param *p = &t->m->params[index];
    struct rng_stream stream = {t->seed, hash64(p->name, strlen(p->name)), 0};
    double range = (double)t->m->desc.init_range;
    for (int64_t i = 0; i < n; i++)
        t->host[i] = p->ndim == 1 ? p->start : (float)(range * rng_normal(&stream, (uint64_t)(first + i)));
}

static int find_tensor(const struct transfer *t, const struct model_param *p, const struct tensor_info **info,
                       struct error *err)
{
    *info = family_find_tensor(t->m->family, t->source, p->name);
    int rc = *info ? 0 : checkpoint_need(t->source, p->name, info, err);
    if (rc)
        return rc;
    const struct tensor_info *x = *info;
    int64_t rows = p->shape[p->transposed], columns = p->shape[!p->transposed];
    if (x->n_dim != p->ndim || x->shape[0] != rows || (p->ndim == 2 && x->shape[1] != columns))
        return error_set(err, ERROR_DATA,
                         "%s: %s: config.json wants [%lld%s%.0lld], found %d dimensions of %lld and %lld",
                         checkpoint_path(t->source), p->name, (long long)rows, p->ndim == 2 ? "," : "",
                         p->ndim == 2 ? (long long)columns : 0, x->n_dim, (long long)(x->n_dim ? x->shape[0] : 0),
                         (long long)(x->n_dim > 1 ? x->shape[1] : 0));
    return 0;
}

/* A classification or score head that the checkpoint lacks is a new one. */
static int is_new_head(const struct transfer *t, const struct model_param *p)
{
    return t->m->head && t->m->desc.task != MODEL_LM && p->offset >= t->m->groups[t->m->head].offset &&
           !checkpoint_find(t->source, p->name);
}

/* A matrix whose bytes the group keeps as the file has them: blocks, or bf16. */
static int keeps_bytes(const struct transfer *t, int index, const struct tensor_info *info)
{
    const struct weight *w = t->m->groups[t->m->param_group[index]].weight;
    if (t->masters.buffer || !w)
        return 0;
    if (t->check_finite && weight_dtype(w) == DTYPE_BF16 && !t->m->params[index].heads && checkpoint_has_bf16(info))
        return 1;
    return model_keeps_tensor(t->m, index, t->source, info);
}

/* Rows as they are stored that the stage holds, whole panels of 32 where it can. */
static int64_t kept_step(const struct transfer *t, const struct tensor_info *info)
{
    enum { PANEL_ROWS = 32 };
    int64_t rows = t->capacity * 4 / (int64_t)(info->n_byte / (uint64_t)info->n_row);
    return rows > PANEL_ROWS ? rows / PANEL_ROWS * PANEL_ROWS : rows;
}

static int put_bytes(const struct transfer *t, int index, const struct stored_rows *rows, struct error *err)
{
    const struct model_param *p = &t->m->params[index];
    const struct model_group *g = &t->m->groups[t->m->param_group[index]];
    size_t row_bytes = (size_t)(rows->info->n_byte / (uint64_t)rows->info->n_row);
    int rc = stored_rows_copy(t->pool, t->source, rows, t->host, err);
    if (rc)
        return rc;
    struct span stage = to_stage(t, (size_t)rows->n * row_bytes);
    tensor_weight_pack(t->q, &(struct weight_pack_args){g->weight, (p->offset - g->offset) / g->k + rows->first,
                                                        rows->n, stage, model_param_dtype(t->m, index), 0});
    return 0;
}

static void put_values(const struct transfer *t, int index, int64_t first, int64_t n)
{
    const struct model_param *p = &t->m->params[index];
    const struct model_group *g = &t->m->groups[t->m->param_group[index]];
    if (t->masters.buffer) {
        queue_upload(t->q, span_at(t->masters, (size_t)(p->offset - t->only.first + first) * 4), t->host,
                     (size_t)n * 4);
        return;
    }
    if (!g->weight) {
        queue_upload(t->q, span_at(g->vector, (size_t)(p->offset - g->offset + first) * 4), t->host, (size_t)n * 4);
        return;
    }
    struct span stage = to_stage(t, (size_t)n * 4);
    int64_t row = (p->offset - g->offset + first) / g->k;
    tensor_weight_pack(t->q, &(struct weight_pack_args){g->weight, row, n / g->k, stage, DTYPE_F32, 0});
}

static int read_rows(const struct transfer *t, const struct stored_rows *rows, float *out, struct error *err)
{
    return stored_rows_read(t->pool, t->source, rows, t->check_finite, out, err);
}

/* A matrix that lies [inputs, outputs] in the file: read whole, handed on row by row. */
static int transfer_transposed(const struct transfer *t, int index, const struct tensor_info *info, struct error *err)
{
    int64_t n = t->m->params[index].shape[0], k = t->m->params[index].shape[1], step = t->capacity / k;
    float *whole = mem_alloc((size_t)(n * k) * sizeof *whole);
    int rc = whole ? read_rows(t, &(struct stored_rows){info, 0, k}, whole, err)
                   : error_set_nomem(err, (size_t)(n * k) * 4, "a transposed matrix");
    for (int64_t row = 0; !rc && row < n; row += step) {
        int64_t some = n - row < step ? n - row : step;
        for (int64_t i = 0; i < some * k; i++)
            t->host[i] = whole[i % k * n + row + i / k];
        put_values(t, index, row * k, some * k);
    }
    mem_free(whole);
    return rc;
}

/* Heads one after the other in the file: every head's query, key and value is a stretch of rows with a place of its
 * own. */
static int transfer_heads(const struct transfer *t, int index, const struct tensor_info *info, struct error *err)
{
    const struct model_param *p = &t->m->params[index];
    int64_t width = p->ndim == 2 ? p->shape[1] : 1, size = p->shape[0] / (3 * p->heads), step = t->capacity / width;
    int rc = 0;
    step = step < size ? step : size;
    for (int64_t first = 0; first < p->shape[0]; first += size)
        for (int64_t row = first; !rc && row < first + size; row += step) {
            int64_t n = first + size - row < step ? first + size - row : step;
            rc = read_rows(t, &(struct stored_rows){info, row, n}, t->host, err);
            if (!rc)
                put_values(t, index, param_own_row(p, row) * width, n * width);
        }
    return rc;
}

static int transfer_param(const struct transfer *t, int index, struct error *err)
{
    const struct model_param *p = &t->m->params[index];
    const struct tensor_info *info = NULL;
    int fresh = !t->source || is_new_head(t, p);
    int rc = fresh ? 0 : find_tensor(t, p, &info, err);
    if (!rc && !fresh && p->transposed)
        return transfer_transposed(t, index, info, err);
    if (!rc && !fresh && p->heads)
        return transfer_heads(t, index, info, err);
    int kept = !rc && info && keeps_bytes(t, index, info);
    int64_t width = p->ndim == 2 ? p->shape[1] : 1, step = kept ? kept_step(t, info) : t->capacity / width;
    for (int64_t row = 0; !rc && row < p->shape[0]; row += step) {
        int64_t n = p->shape[0] - row < step ? p->shape[0] - row : step;
        const struct stored_rows rows = {info, row, n};
        if (kept) {
            rc = put_bytes(t, index, &rows, err);
        } else {
            if (fresh)
                init_values(t, index, row * width, n * width);
            else
                rc = read_rows(t, &rows, t->host, err);
            if (!rc)
                put_values(t, index, row * width, n * width);
        }
        if (info)
            checkpoint_give_back(t->source, info, row, n);
    }
    return rc;
}

/* Everything of the model through `t`. */
static int transfer_all(struct transfer *t, struct error *err)
{
    int64_t widest = 1;
    for (int i = 0; i < t->m->n_param; i++)
        widest = t->m->params[i].ndim == 2 && t->m->params[i].shape[1] > widest ? t->m->params[i].shape[1] : widest;
    t->capacity = widest > PIECE ? widest : PIECE / widest * widest;
    int rc = buffer_new(&t->stage, t->m->device, (size_t)t->capacity * 4, "loading weights", err);
    if (rc)
        return rc;
    rc = pool_new(&t->pool, device_n_thread(t->m->device), err);
    t->host = buffer_host(t->stage);
    t->direct = t->host != NULL;
    if (!t->direct)
        t->host = mem_alloc((size_t)t->capacity * 4);
    if (!rc && !t->host)
        rc = error_set_nomem(err, (size_t)t->capacity * 4, "loading weights");
    for (int i = 0; !rc && i < t->m->n_param; i++)
        if (t->m->params[i].offset >= t->only.first && (!t->only.end || t->m->params[i].offset < t->only.end))
            rc = transfer_param(t, i, err);
    rc = queue_finish(t->q, rc, err);
    pool_free(t->pool);
    if (!t->direct)
        mem_free(t->host);
    buffer_free(t->stage);
    return rc;
}

/* Frequencies of the rotations; a pass makes its own rows' cosines and sines (rotations_forward). */
static int make_rope(struct model *m, struct error *err)
{
    const struct model_desc *d = &m->desc;
    size_t half = (size_t)d->n_rotated / 2 * 4, at = (half + 63) / 64 * 64;
    struct queue *q = device_queue(m->device);
    int n = desc_rotations(d), rc;
    if (!n)
        return 0;
    if ((rc = buffer_new(&m->rope, m->device, 2 * (size_t)n * at, "rotary frequencies", err)))
        return rc;
    for (int i = 0; i < n; i++) {
        m->inv_freq[i] = (struct span){m->rope, 2 * (size_t)i * at};
        m->long_inv_freq[i] = span_at(m->inv_freq[i], at);
        queue_upload(q, m->inv_freq[i], d->rotations[i].inv_freq, half);
        queue_upload(q, m->long_inv_freq[i], d->rotations[i].long_inv_freq, half);
    }
    return 0;
}

int distance_bucket(int distance)
{
    enum { HALF = 16, EXACT = 8, MOST = 128 };
    int before = distance < 0 ? -distance : distance, first = distance > 0 ? HALF : 0;
    if (before < EXACT)
        return first + before;
    double far = maths_log((double)before / EXACT) / maths_log((double)MOST / EXACT) * (HALF - EXACT);
    int bucket = EXACT + (int)far;
    return first + (bucket < HALF ? bucket : HALF - 1);
}

/* The biases by distance, head by head. */
static int make_reaches(struct model *m, struct error *err)
{
    const struct model_desc *d = &m->desc;
    int width = 2 * d->n_ctx + 1, n = d->n_head * width;
    struct queue *q = device_queue(m->device);
    struct buffer *places = NULL;
    if (!m->distances)
        return 0;
    int32_t *from = mem_alloc((size_t)n * sizeof *from);
    int rc = from ? 0 : error_set_nomem(err, (size_t)n * sizeof *from, "biases by distance");
    for (int i = 0; !rc && i < n; i++)
        from[i] = distance_bucket(i % width - d->n_ctx) * d->n_head + i / width;
    if (!rc && !(rc = buffer_new(&m->reaches, m->device, (size_t)n * 4, "biases by distance", err)) &&
        !(rc = buffer_new(&places, m->device, (size_t)n * 4, "biases by distance", err))) {
        m->reach_bias = (struct span){m->reaches, 0};
        queue_upload(q, (struct span){places, 0}, from, (size_t)n * 4);
        tensor_gather_rows(q, &(struct gather_rows_args){n, 1, m->groups[m->distances].vector, (struct span){places, 0},
                                                         m->reach_bias});
    }
    rc = queue_finish(q, rc, err);
    buffer_free(places);
    mem_free(from);
    return rc;
}

/* Device memory for every group. */
static int make_groups(struct model *m, const struct checkpoint *source, struct error *err)
{
    size_t bytes = 0;
    for (int i = 0; i < m->n_group; i++)
        bytes += m->groups[i].is_vector ? ((size_t)m->groups[i].n * 4 + 63) / 64 * 64 : 0;
    int rc = buffer_new(&m->vectors, m->device, bytes, "norms", err);
    size_t used = 0;
    for (int i = 0; !rc && i < m->n_group; i++) {
        struct model_group *g = &m->groups[i];
        if (!g->is_vector) {
            struct weight_ranges r = group_ranges(m, i, source);
            rc = weight_new_ranges(&g->weight, m->device, &r, "weights", err);
            continue;
        }
        g->vector = (struct span){m->vectors, used};
        used += ((size_t)g->n * 4 + 63) / 64 * 64;
    }
    return rc;
}

/* A model without weights. */
static int model_new(struct model **out, struct device *device, const struct model_desc *d, const json_t *config,
                     enum dtype dtype, struct error *err)
{
    *out = NULL;
    if (!weight_supported(device, dtype))
        return error_set(err, ERROR_UNAVAILABLE, "weights in %s are not available on this device", dtype_name(dtype));
    struct model *m = mem_calloc(1, sizeof *m);
    if (!m)
        return error_set_nomem(err, sizeof *m, "a model");
    m->desc = *d;
    m->device = device;
    m->dtype = m->compute = dtype;
    m->keeps_blocks = dtype == DTYPE_Q8;
    m->config = json_deep_copy(config);
    if (!m->config) {
        model_close(m);
        return error_set_nomem(err, 1024, "a configuration");
    }
    *out = m;
    return 0;
}

/* Its tables, and room on the device. source: whose blocks may be kept, or NULL. */
static int make_room(struct model *m, const struct checkpoint *source, struct error *err)
{
    const struct model_desc *d = &m->desc;
    struct op_widths widths = {
        .n_vocab = d->n_vocab, .n_embd = d->n_embd, .head_dim = d->head_dim, .group = d->n_head / d->n_kv_head};
    int rc = device_reserve(m->device, &widths, err);
    rc = rc ? rc : model_tables(m, err);
    rc = rc ? rc : make_groups(m, source, err);
    return rc ? rc : make_rope(m, err);
}

void model_close(struct model *m)
{
    if (!m)
        return;
    queue_drain(device_queue(m->device));
    model_forget_origin(m);
    lora_remove(m);
    for (int i = 0; m->groups && i < m->n_group; i++)
        weight_free(m->groups[i].weight);
    buffer_free(m->vectors);
    buffer_free(m->rope);
    buffer_free(m->reaches);
    json_decref(m->config);
    arena_free(&m->arena);
    mem_free(m);
}

static void say_opened(const struct model *m, const struct checkpoint *source, double started)
{
    const struct model_desc *d = &m->desc;
    log_line(LOG_DEBUG,
             "model %s: %s, %.1f million parameters, %d layers of %d, vocabulary %d, context %d; read and packed in %s "
             "for %s on %d threads in %.2f s",
             checkpoint_path(source), d->family, d->n_param / 1e6, d->n_layer, d->n_embd, d->n_vocab, d->n_ctx,
             dtype_name(m->dtype), device_isa(m->device), device_n_thread(m->device), clock_now() - started);
}

int model_open(struct model **out, struct device *device, const struct checkpoint *source,
               const struct model_options *options, struct error *err)
{
    struct model_desc d;
    double started = clock_now();
    *out = NULL;
    int rc = model_desc_parse(&d, checkpoint_config(source), checkpoint_path(source), err);
    if (rc)
        return rc;
    json_t *config = json_deep_copy(checkpoint_config(source));
    rc = config ? task_set(&d, config, checkpoint_path(source), options, err)
                : error_set_nomem(err, 1024, "a configuration");
    if (options->task == MODEL_BODY && d.task == MODEL_LM &&
        !family_find_tensor(family_find(d.family), source, family_find(d.family)->head))
        d.tied = 1; /* nobody asks for logits */
    d.text_part = checkpoint_is_text_part(source);
    rc = rc ? rc : task_read_tensors(&d, source, err);
    rc = rc ? rc : sentence_read(&d, source, err);
    if (!rc)
        rc = model_new(out, device, &d, config, options->dtype, err);
    json_decref(config);
    if (rc)
        return rc;
    struct transfer t = {.m = *out,
                         .source = source,
                         .seed = options->seed,
                         .check_finite = options->check_finite,
                         .q = device_queue(device)};
    (*out)->keeps_blocks |= options->keep_blocks;
    if ((rc = make_room(*out, source, err)) || (rc = model_check_unused(*out, source, err)) ||
        (rc = transfer_all(&t, err)) || (rc = make_reaches(*out, err)) || (rc = lora_stand(*out, source, err)) ||
        (rc = origin_set(*out, source, options, err))) {
        model_close(*out);
        *out = NULL;
    }
    if (!rc)
        say_opened(*out, source, started);
    return rc;
}

int model_init(struct model **out, struct device *device, const json_t *config, const char *where,
               const struct model_options *options, struct error *err)
{
    struct model_desc d;
    *out = NULL;
    int rc = model_desc_parse(&d, config, where, err);
    if (rc || (rc = model_new(out, device, &d, config, options->dtype, err)))
        return rc;
    struct transfer t = {.m = *out, .seed = options->seed, .q = device_queue(device)};
    if ((rc = make_room(*out, NULL, err)) || (rc = transfer_all(&t, err)) || (rc = make_reaches(*out, err))) {
        model_close(*out);
        *out = NULL;
    }
    return rc;
}

int model_read_range(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                     struct flat_range only, struct error *err)
{
    struct transfer t = {.m = m, .source = source, .check_finite = 1, .q = q, .masters = masters, .only = only};
    return transfer_all(&t, err);
}

int model_read_masters(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                       struct error *err)
{
    return model_read_range(m, source, q, masters, (struct flat_range){0, m->n_element}, err);
}

int model_init_range(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct flat_range only,
                     struct error *err)
{
    struct transfer t = {.m = m, .seed = seed, .q = q, .masters = masters, .only = only};
    return transfer_all(&t, err);
}

int model_init_masters(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct error *err)
{
    return model_init_range(m, seed, q, masters, (struct flat_range){0, m->n_element}, err);
}

uint64_t model_pack_noise(uint64_t noise, int64_t offset)
{
    return noise ? (noise ^ (uint64_t)offset) * 0x9e3779b97f4a7c15u | 1 : 0;
}

void model_pack_range(struct model *m, struct queue *q, struct span masters, struct flat_range only, uint64_t noise)
{
    for (int i = 0; i < m->n_group; i++) {
        const struct model_group *g = &m->groups[i];
        if (g->offset < only.first || g->offset >= only.end)
            continue;
        struct span from = span_at(masters, (size_t)(g->offset - only.first) * 4);
        if (g->weight)
            tensor_weight_pack(
                q, &(struct weight_pack_args){g->weight, 0, g->n, from, DTYPE_F32, model_pack_noise(noise, g->offset)});
        else
            tensor_copy(q, &(struct copy_args){(size_t)g->n * 4, from, g->vector});
    }
}

void model_pack_rounded(struct model *m, struct queue *q, struct span rounded, struct flat_range only)
{
    for (int i = 0; i < m->n_group; i++) {
        const struct model_group *g = &m->groups[i];
        if (g->offset >= only.first && g->offset < only.end && g->weight)
            tensor_weight_pack(q, &(struct weight_pack_args){g->weight, 0, g->n,
                                                             span_at(rounded, (size_t)(g->offset - only.first) * 2),
                                                             DTYPE_BF16, 0});
    }
}

void model_pack(struct model *m, struct queue *q, struct span masters, uint64_t noise)
{
    model_pack_range(m, q, masters, (struct flat_range){0, m->n_element}, noise);
}

const struct model_desc *model_desc(const struct model *m)
{
    return &m->desc;
}
const json_t *model_config(const struct model *m)
{
    return m->config;
}
struct device *model_device(const struct model *m)
{
    return m->device;
}
enum dtype model_dtype(const struct model *m)
{
    return m->dtype;
}
