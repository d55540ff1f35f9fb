/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a tile, the same for prefill, decoding and training. */
#include "cpu/attend.h"
#include "cpu/flush.h"

#include <math.h>
#include <string.h>

static void place(char **at, size_t bytes)
{
    *at += (bytes + 63) & ~(size_t)63;
}

size_t attend_tile_place(struct attend_tile *t, char *memory, int n_query, int head_dim,
                         const struct attend_tile *lender)
{
    char *at = memory;
    size_t rows = (size_t)n_query * (size_t)head_dim * sizeof(float);
    t->n_query = n_query;
    t->head_dim = t->q_stride = head_dim;
    t->q = (float *)at;
    place(&at, rows + (size_t)n_query * sizeof(float)); /* rows may become even */
    t->o = (float *)at;
    place(&at, rows);
    t->state = (struct softmax_state *)at;
    place(&at, (size_t)n_query * sizeof *t->state);
    if (lender) {
        t->part = lender->part;
        t->s = lender->s;
        t->part_state = lender->part_state;
        t->from = lender->from;
        t->n_key = lender->n_key;
        return (size_t)(at - memory);
    }
    t->part = (float *)at;
    place(&at, rows);
    t->s = (float *)at;
    place(&at, (size_t)n_query * CHUNK_STRIDE * sizeof(float));
    t->part_state = (struct softmax_state *)at;
    place(&at, (size_t)n_query * sizeof *t->state);
    t->from = (int *)at;
    place(&at, (size_t)n_query * sizeof *t->from);
    t->n_key = (int *)at;
    place(&at, (size_t)n_query * sizeof *t->n_key);
    return (size_t)(at - memory);
}

/* With a cache in bf16 rows of q and, once there are probabilities, of s hold rounded numbers or words of two. */
static void run_scores(const struct attend_tile *t, const struct key_run *r, enum dtype dtype, struct ahead next)
{
    struct score_tile s = {.n_row = r->n_query,
                           .n_key = r->n_key,
                           .head_dim = dtype == DTYPE_BF16 ? (t->head_dim + 1) / 2 : t->head_dim,
                           .k = r->k,
                           .k_stride = r->k_stride,
                           .q = t->q + (size_t)r->first * (size_t)t->q_stride,
                           .q_stride = (size_t)t->q_stride,
                           .s = t->s + (size_t)r->first * CHUNK_STRIDE + r->key,
                           .s_stride = CHUNK_STRIDE,
                           .ahead = next};
    int flush = t->flush && dtype == DTYPE_BF16;
    unsigned before = flush_begin(flush);
    if (dtype == DTYPE_BF16)
        t->k->pair_scores(&s);
    else
        t->k->scores(&s);
    flush_end(flush, before);
}

static void run_values(const struct attend_tile *t, const struct key_run *r, enum dtype dtype, float *out,
                       struct ahead next)
{
    int pairs = dtype == DTYPE_BF16;
    struct value_tile v = {.n_row = r->n_query,
                           .n_key = pairs ? (r->n_key + 1) / 2 : r->n_key,
                           .head_dim = t->head_dim,
                           .v = r->v,
                           .v_stride = r->v_stride,
                           .p = t->s + (size_t)r->first * CHUNK_STRIDE +
                                (pairs && t->k->pair_words ? r->key / 2 : r->key),
                           .p_row_stride = CHUNK_STRIDE,
                           .p_key_stride = 1,
                           .out = out + (size_t)r->first * (size_t)t->head_dim,
                           .out_stride = (size_t)t->head_dim,
                           .ahead = next};
    int flush = t->flush && pairs;
    unsigned before = flush_begin(flush);
    if (pairs)
        t->k->pair_values(&v);
    else
        t->k->values(&v);
    flush_end(flush, before);
}

static void add_bias(const struct attend_tile *t)
{
    for (int i = 0; i < t->n_query; i++) {
        const float *bias = t->bias + (ptrdiff_t)(i % t->group) * t->bias_stride - i / t->group;
        float *s = t->s + (size_t)i * CHUNK_STRIDE;
        for (int k = t->from[i]; k < t->n_key[i]; k++)
            s[k] += bias[k];
    }
}

void attend_chunk(struct attend_tile *t, const struct key_run *runs, int n_run, enum dtype dtype, struct ahead next)
{
    int width = 0, merges = t->started;
    float *out = merges ? t->part : t->o;
    struct softmax_state *state = merges ? t->part_state : t->state;
    t->started = 1;
    for (int i = 0; i < n_run; i++) {
        const struct key_run *r = i + 1 < n_run ? &runs[i + 1] : &runs[0];
        run_scores(t, &runs[i], dtype,
                   i + 1 < n_run ? (struct ahead){r->k, r->k_bytes} : (struct ahead){r->v, r->v_bytes});
        int end = runs[i].key + runs[i].n_key;
        width = end > width ? end : width;
    }
    if (t->bias)
        add_bias(t);
    memset(out, 0, (size_t)t->n_query * (size_t)t->head_dim * sizeof *out);
    for (int i = 0; i < t->n_query; i++) {
        state[i] = (struct softmax_state){-INFINITY, 0};
        if (t->n_key[i] > t->from[i])
            t->k->softmax(&(struct softmax_row){t->s + (size_t)i * CHUNK_STRIDE, t->from[i], t->n_key[i],
                                                (width + 15) / 16 * 16, dtype, t->soft_cap,
                                                dtype == DTYPE_BF16 && t->k->pair_words},
                          &state[i]);
    }
    for (int i = 0; i < n_run; i++)
        run_values(t, &runs[i], dtype, out, i + 1 < n_run ? (struct ahead){runs[i + 1].v, runs[i + 1].v_bytes} : next);
    for (int i = 0; merges && i < t->n_query; i++)
        if (t->n_key[i] > t->from[i])
            t->k->merge(&t->state[i], &state[i], t->o + (size_t)i * (size_t)t->head_dim,
                        out + (size_t)i * (size_t)t->head_dim, t->head_dim);
}

void attend_turn(float *out, const float *x, size_t stride, int n, int head_dim)
{
    int whole = (n + 15) / 16 * 16;
    for (int d = 0; d < head_dim; d++) {
        for (int i = 0; i < n; i++)
            out[(size_t)d * CHUNK_STRIDE + (size_t)i] = x[(size_t)i * stride + (size_t)d];
        for (int i = n; i < whole; i++)
            out[(size_t)d * CHUNK_STRIDE + (size_t)i] = 0;
    }
}
