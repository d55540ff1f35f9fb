/* SPDX-License-Identifier: Apache-2.0 */
/* RMS and layer norm and their gradients. Rows are pieces; the weight's gradient takes pieces of 64 columns, so that rows are added in order. */
#include "cpu/kernels.h"

enum { COLUMNS = 64, ROWS = 8 };

struct norm_work {
    const struct norm_args *a;
    const struct kernels *k;
};

static void norm_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_work *w = context;
    const struct norm_args *a = w->a;
    float *inverse = cpu_ptr(a->inverse), *mean = cpu_ptr(a->mean);
    struct norm_row r = {.kind = a->kind, .n = a->n_col, .eps = a->eps, .weight = cpu_ptr(a->weight), .bias = cpu_ptr(a->bias), .y_dtype = a->y_dtype};
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        size_t at = (size_t)t * (size_t)a->n_col;
        r.x = (const float *)cpu_ptr(a->x) + at;
        r.y = (char *)cpu_ptr(a->y) + at * dtype_size(a->y_dtype);
        r.inverse = inverse ? inverse + t : NULL;
        r.mean = mean ? mean + t : NULL;
        w->k->norm(&r);
    }
}

void cpu_norm(struct queue *q, const struct norm_args *a)
{
    struct norm_work w = {a, cpu_kernels(q)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, norm_rows, &w);
}

struct norm_dx_work {
    const struct norm_dx_args *a;
    const struct kernels *k;
    const float *x, *weight, *inverse, *mean, *dy;
};

static void dx_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_dx_work *w = context;
    const struct norm_dx_args *a = w->a;
    struct norm_dx_row r = {.kind = a->kind, .n = a->n_col, .accumulate = a->accumulate, .weight = w->weight};
    for (int t = piece * ROWS; t < (piece + 1) * ROWS && t < a->n_row; t++) {
        size_t at = (size_t)t * (size_t)a->n_col;
        r.inverse = w->inverse[t];
        r.mean = a->kind == NORM_LAYER ? w->mean[t] : 0;
        r.x = w->x + at;
        r.dy = w->dy + at;
        r.dx = (float *)cpu_ptr(a->dx) + at;
        w->k->norm_dx(&r);
    }
}

static void dw_columns(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_dx_work *w = context;
    const struct norm_dx_args *a = w->a;
    int begin = piece * COLUMNS, end = begin + COLUMNS < a->n_col ? begin + COLUMNS : a->n_col;
    struct norm_dw_columns c = {.kind = a->kind, .n_row = a->n_row, .n_col = a->n_col, .begin = begin, .end = end, .x = w->x, .inverse = w->inverse,
                                .mean = w->mean, .dy = w->dy, .dweight = cpu_ptr(a->dweight), .dbias = cpu_ptr(a->dbias)};
    w->k->norm_dw(&c);
}

void cpu_norm_dx(struct queue *q, const struct norm_dx_args *a)
{
    struct norm_dx_work w = {.a = a, .k = cpu_kernels(q), .x = cpu_ptr(a->x), .weight = cpu_ptr(a->weight), .inverse = cpu_ptr(a->inverse),
                             .mean = cpu_ptr(a->mean), .dy = cpu_ptr(a->dy)};
    if (a->dweight.buffer || a->dbias.buffer) /* first: dx may be dy's memory */
        pool_run(cpu_pool(q), (a->n_col + COLUMNS - 1) / COLUMNS, dw_columns, &w);
    if (a->dx.buffer)
        pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, dx_rows, &w);
}
