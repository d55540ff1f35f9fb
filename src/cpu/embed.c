/* SPDX-License-Identifier: Apache-2.0 */
/* Looking rows up in a packed table, and adding gradients back to rows of a plain one. Adding splits columns over the threads, so that
 * rows are taken in order whatever their tokens. */
#include "cpu/weight.h"

#include <string.h>

struct look_up {
    const struct embed_args *a;
    const int32_t *tokens;
    float *y;
};

static void look_up_row(void *context, int t, int worker)
{
    (void)worker;
    const struct look_up *l = context;
    float *y = l->y + (int64_t)t * l->a->w->k;
    if (l->tokens[t] < 0)
        memset(y, 0, (size_t)l->a->w->k * sizeof *y);
    else
        weight_row(l->a->w, l->tokens[t], y);
}

void cpu_embed(struct queue *q, const struct embed_args *a)
{
    struct look_up l = {a, cpu_ptr(a->tokens), cpu_ptr(a->y)};
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
    int64_t width = b->a->n_col, begin = (int64_t)piece * COLUMNS, end = begin + COLUMNS < width ? begin + COLUMNS : width;
    for (int64_t t = 0; t < b->a->n_row; t++) {
        if (b->tokens[t] < 0)
            continue;
        float *to = b->dw + b->tokens[t] * width;
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
