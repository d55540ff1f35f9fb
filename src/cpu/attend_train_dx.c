/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of bordered attention. A piece of work is a sequence and a key head, so that it owns dk, dv and its
 * query heads' dq. For each chunk of keys, tiles of query rows pass in order: probabilities are made again from the
 * kept log-sum-exp, and with
 *   delta = dout . out,  dp = dout v,  ds = p (dp - delta) scale:  dv += p dout,  dk += ds q,  dq += ds k
 * every sum is one chain over its rows or keys in order. */
#include "cpu/attend.h"

#include "base/clamp.h"

#include <string.h>

struct gradient {
    struct queue *q;
    const struct attend_train_dx_args *a;
    const struct kernels *k;
    const int32_t *borders, *valid;
    int group, tile_rows;
    size_t stride, dstride, d;
};
struct work {                        /* one piece, and its places in the worker's scratch */
    int first, n_row, head;          /* real rows of the sequence */
    float *keys, *values;            /* [D][CHUNK_STRIDE] the chunk, turned */
    float *q, *q_scaled, *dout, *dq; /* [query rows][D] */
    float *s, *dp;                   /* [query rows][CHUNK_STRIDE] */
};

static float *at_head(struct span s, int row, size_t stride, int head, size_t d)
{
    return (float *)cpu_ptr(s) + (size_t)row * stride + (size_t)head * d;
}

static void zero_gradients(const struct gradient *g, const struct work *w, int length)
{
    for (int t = w->first; t < w->first + length; t++) {
        memset(at_head(g->a->dq, t, g->dstride, w->head * g->group, g->d), 0, (size_t)g->group * g->d * sizeof(float));
        memset(at_head(g->a->dk, t, g->dstride, w->head, g->d), 0, g->d * sizeof(float));
        memset(at_head(g->a->dv, t, g->dstride, w->head, g->d), 0, g->d * sizeof(float));
    }
}

static void load_tile(const struct gradient *g, const struct work *w, int begin, int n_row)
{
    size_t width = (size_t)g->group * g->d, all = (size_t)g->a->forward.n_head * g->d;
    for (int i = 0; i < n_row; i++) {
        int t = w->first + begin + i;
        const float *q = at_head(g->a->forward.q, t, g->stride, w->head * g->group, g->d);
        memcpy(w->q + (size_t)i * width, q, width * sizeof *q);
        g->k->copy_scaled(w->q_scaled + (size_t)i * width, q, g->a->forward.scale, (int)width);
        memcpy(w->dout + (size_t)i * width, at_head(g->a->dout, t, all, w->head * g->group, g->d), width * sizeof *q);
        memcpy(w->dq + (size_t)i * width, at_head(g->a->dq, t, g->dstride, w->head * g->group, g->d),
               width * sizeof *q);
    }
}

static void store_dq(const struct gradient *g, const struct work *w, int begin, int n_row)
{
    size_t width = (size_t)g->group * g->d;
    for (int i = 0; i < n_row; i++)
        memcpy(at_head(g->a->dq, w->first + begin + i, g->dstride, w->head * g->group, g->d), w->dq + (size_t)i * width,
               width * sizeof *w->dq);
}

static void turn_probabilities(const struct gradient *g, const struct work *w, int begin, int n_query, int from,
                               int n_key)
{
    const struct attend_train_args *f = &g->a->forward;
    for (int i = 0; i < n_query; i++) {
        int row = begin + i / g->group, head = w->head * g->group + i % g->group,
            n = f->causal ? row + 1 - from : n_key;
        size_t at = (size_t)(w->first + row) * (size_t)f->n_head + (size_t)head;
        float delta = g->k->dot(w->dout + (size_t)i * g->d, (const float *)cpu_ptr(f->out) + at * g->d, (int)g->d);
        int before = f->window > 0 ? n - f->window : 0;
        g->k->softmax_dx(&(struct softmax_dx_row){.s = w->s + (size_t)i * CHUNK_STRIDE,
                                                  .dp = w->dp + (size_t)i * CHUNK_STRIDE,
                                                  .from = before < 0 ? 0 : before,
                                                  .n = clamp_int(n, 0, n_key),
                                                  .width = (n_key + 15) / 16 * 16,
                                                  .lse = ((const float *)cpu_ptr(f->lse))[at],
                                                  .delta = delta,
                                                  .scale = f->scale,
                                                  .soft_cap = f->soft_cap});
    }
}

static void tile_gradient(const struct gradient *g, const struct work *w, int begin, int n_row, int from, int n_key)
{
    int n = n_row * g->group;
    struct score_tile s = {.n_row = n,
                           .n_key = n_key,
                           .head_dim = (int)g->d,
                           .q = w->q_scaled,
                           .q_stride = g->d,
                           .k = w->keys,
                           .k_stride = CHUNK_STRIDE,
                           .s = w->s,
                           .s_stride = CHUNK_STRIDE};
    load_tile(g, w, begin, n_row);
    g->k->scores(&s);
    s.q = w->dout;
    s.k = w->values;
    s.s = w->dp;
    g->k->scores(&s);
    turn_probabilities(g, w, begin, n, from, n_key);
    struct value_tile dq = {.n_row = n,
                            .n_key = n_key,
                            .head_dim = (int)g->d,
                            .p = w->dp,
                            .p_row_stride = CHUNK_STRIDE,
                            .p_key_stride = 1,
                            .v = at_head(g->a->forward.k, w->first + from, g->stride, w->head, g->d),
                            .v_stride = g->stride,
                            .out = w->dq,
                            .out_stride = g->d};
    g->k->values(&dq);
    store_dq(g, w, begin, n_row);
    /* the other way round: key rows collect over query rows */
    struct value_tile dv = {.n_row = n_key,
                            .n_key = n,
                            .head_dim = (int)g->d,
                            .p = w->s,
                            .p_row_stride = 1,
                            .p_key_stride = CHUNK_STRIDE,
                            .v = w->dout,
                            .v_stride = g->d,
                            .out = at_head(g->a->dv, w->first + from, g->dstride, w->head, g->d),
                            .out_stride = g->dstride};
    g->k->values(&dv);
    dv.p = w->dp;
    dv.v = w->q;
    dv.out = at_head(g->a->dk, w->first + from, g->dstride, w->head, g->d);
    g->k->values(&dv);
}

static void place(const struct gradient *g, struct work *w, float *at)
{
    size_t queries = (size_t)g->tile_rows * (size_t)g->group, rows = (queries * g->d + 15) / 16 * 16;
    w->keys = at;
    at += CHUNK_STRIDE * g->d;
    w->values = at;
    at += CHUNK_STRIDE * g->d;
    w->q = at;
    at += rows;
    w->q_scaled = at;
    at += rows;
    w->dout = at;
    at += rows;
    w->dq = at;
    at += rows;
    w->s = at;
    at += queries * CHUNK_STRIDE;
    w->dp = at;
}

static void sequence_gradient(void *context, int piece, int worker)
{
    const struct gradient *g = context;
    const struct attend_train_args *f = &g->a->forward;
    int s = piece / f->n_kv_head, length = g->borders[s + 1] - g->borders[s];
    struct work w = {.first = g->borders[s], .n_row = g->valid ? g->valid[s] : length, .head = piece % f->n_kv_head};
    place(g, &w, cpu_scratch(g->q, worker));
    zero_gradients(g, &w, length);
    for (int from = 0; from < w.n_row; from += CHUNK) {
        int n = w.n_row - from < CHUNK ? w.n_row - from : CHUNK;
        attend_turn(w.keys, at_head(f->k, w.first + from, g->stride, w.head, g->d), g->stride, n, f->head_dim);
        attend_turn(w.values, at_head(f->v, w.first + from, g->stride, w.head, g->d), g->stride, n, f->head_dim);
        for (int begin = f->causal ? from / g->tile_rows * g->tile_rows : 0; begin < w.n_row; begin += g->tile_rows) {
            int rows = w.n_row - begin < g->tile_rows ? w.n_row - begin : g->tile_rows,
                seen = f->causal ? begin + rows - from : n;
            if (seen > 0 && !(f->window > 0 &&
                              begin - f->window >= from + n - 1)) /* some row of the tile sees some key of the chunk */
                tile_gradient(g, &w, begin, rows, from, seen < n ? seen : n);
        }
    }
}

void cpu_attend_train_dx(struct queue *q, const struct attend_train_dx_args *a)
{
    const struct attend_train_args *f = &a->forward;
    size_t dense = (size_t)f->n_head * (size_t)f->head_dim;
    struct gradient g = {.q = q,
                         .a = a,
                         .k = cpu_kernels(q),
                         .borders = cpu_ptr(f->borders),
                         .valid = cpu_ptr(f->valid),
                         .group = f->n_head / f->n_kv_head,
                         .stride = f->stride ? (size_t)f->stride : dense,
                         .dstride = a->dstride ? (size_t)a->dstride : dense,
                         .d = (size_t)f->head_dim};
    g.tile_rows = clamp_int(TILE_QUERIES / g.group, 1, TILE_ROWS);
    pool_run(cpu_pool(q), f->n_seq * f->n_kv_head, sequence_gradient, &g);
}
