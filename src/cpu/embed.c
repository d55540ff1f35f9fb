/* SPDX-License-Identifier: Apache-2.0 */
/* Looking rows up in a packed table, adding gradients back to rows of a plain one, and summing a bias's. Adding splits
 * columns over the threads, so that rows are taken in order whatever their tokens. */
#include "cpu/kernels.h"
#include "cpu/weight.h"

#include <string.h>

struct look_up {
    const struct embed_args *a;
    const int32_t *tokens;
    float *y;
    struct queue *q;
};

static void look_up_row(void *context, int t, int worker)
{
    const struct look_up *l = context;
    int token = l->tokens ? l->tokens[t] : 0;
    int64_t k = l->a->w->k, row = (int64_t)token + l->a->offset;
    float *y = l->y + (int64_t)t * k, *to = l->a->accumulate ? cpu_scratch(l->q, worker) : y;
    if (token >= 0)
        weight_row(l->a->w, row, to);
    else if (!l->a->accumulate)
        memset(y, 0, (size_t)k * sizeof *y);
    for (int64_t c = 0; l->a->accumulate && token >= 0 && c < k; c++)
        y[c] += to[c];
}

void cpu_embed(struct queue *q, const struct embed_args *a)
{
    struct look_up l = {a, cpu_ptr(a->tokens), cpu_ptr(a->y), q};
    pool_run(cpu_pool(q), a->n_row, look_up_row, &l);
}

enum { COLUMNS = 64 };
struct add_back {
    const struct embed_dw_args *a;
    const int32_t *tokens;
    const float *dy;
    float *dw;
};

static void add_columns(void *context, int piece, int worker)
{
    (void)worker;
    const struct add_back *b = context;
    int64_t width = b->a->n_col, begin = (int64_t)piece * COLUMNS,
            end = begin + COLUMNS < width ? begin + COLUMNS : width;
    for (int64_t t = 0; t < b->a->n_row; t++) {
        if (b->tokens[t] < 0)
            continue;
        float *to = b->dw + (b->tokens[t] + (int64_t)b->a->offset) * width;
        const float *from = b->dy + t * width;
        for (int64_t c = begin; c < end; c++)
            to[c] += from[c];
    }
}

void cpu_embed_dw(struct queue *q, const struct embed_dw_args *a)
{
    struct add_back b = {a, cpu_ptr(a->tokens), cpu_ptr(a->dy), cpu_ptr(a->dw)};
    pool_run(cpu_pool(q), (a->n_col + COLUMNS - 1) / COLUMNS, add_columns, &b);
}

struct bias_work {
    const struct bias_dw_args *a;
    const struct kernels *k;
    size_t stride;
};

static void bias_columns(void *context, int piece, int worker)
{
    (void)worker;
    const struct bias_work *w = context;
    int begin = piece * COLUMNS, end = begin + COLUMNS < w->a->n_col ? begin + COLUMNS : w->a->n_col;
    w->k->column_sums(cpu_ptr(w->a->db), cpu_ptr(w->a->dy), w->stride, w->a->n_row, begin, end);
}

void cpu_bias_dw(struct queue *q, const struct bias_dw_args *a)
{
    struct bias_work w = {a, cpu_kernels(q), a->dy_stride ? (size_t)a->dy_stride : (size_t)a->n_col};
    pool_run(cpu_pool(q), (a->n_col + COLUMNS - 1) / COLUMNS, bias_columns, &w);
}
