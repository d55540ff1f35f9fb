/* SPDX-License-Identifier: Apache-2.0 */
/* RMS and layer norm and their gradients. Rows are pieces; the weight's gradient takes pieces of 64 columns, so that
 * rows are added in order. */
#include "cpu/kernels.h"

enum { COLUMNS = 64, ROWS = 8 };

static size_t row_stride(int64_t stride, int n_group, int n_col)
{
    return stride ? (size_t)stride : (size_t)n_group * (size_t)n_col;
}

struct norm_work {
    const struct norm_args *a;
    const struct kernels *k;
    int n_group;
    size_t x_stride, y_stride;
};

static void norm_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_work *w = context;
    const struct norm_args *a = w->a;
    float *inverse = cpu_ptr(a->inverse), *mean = cpu_ptr(a->mean);
    struct norm_row r = {.kind = a->kind,
                         .n = a->n_col,
                         .eps = a->eps,
                         .offset = a->offset,
                         .weight = cpu_ptr(a->weight),
                         .bias = cpu_ptr(a->bias),
                         .y_dtype = a->y_dtype};
    int begin = piece * ROWS * w->n_group,
        end = (piece + 1) * ROWS < a->n_row ? (piece + 1) * ROWS * w->n_group : a->n_row * w->n_group;
    for (int i = begin; i < end; i++) {
        size_t t = (size_t)(i / w->n_group), column = (size_t)(i % w->n_group) * (size_t)a->n_col;
        r.x = (const float *)cpu_ptr(a->x) + t * w->x_stride + column;
        r.y = (char *)cpu_ptr(a->y) + (t * w->y_stride + column) * dtype_size(a->y_dtype);
        r.inverse = inverse ? inverse + i : NULL;
        r.mean = mean ? mean + i : NULL;
        w->k->norm(&r);
    }
}

void cpu_norm(struct queue *q, const struct norm_args *a)
{
    int n_group = a->n_group > 1 ? a->n_group : 1;
    struct norm_work w = {a, cpu_kernels(q), n_group, row_stride(a->x_stride, n_group, a->n_col),
                          row_stride(a->y_stride, n_group, a->n_col)};
    pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, norm_rows, &w);
}

struct norm_dx_work {
    const struct norm_dx_args *a;
    const struct kernels *k;
    const float *x, *weight, *inverse, *mean, *dy;
    int n_group;
    size_t x_stride, dy_stride, dx_stride;
};

static void dx_rows(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_dx_work *w = context;
    const struct norm_dx_args *a = w->a;
    struct norm_dx_row r = {
        .kind = a->kind, .n = a->n_col, .accumulate = a->accumulate, .offset = a->offset, .weight = w->weight};
    int begin = piece * ROWS * w->n_group,
        end = (piece + 1) * ROWS < a->n_row ? (piece + 1) * ROWS * w->n_group : a->n_row * w->n_group;
    for (int i = begin; i < end; i++) {
        size_t t = (size_t)(i / w->n_group), column = (size_t)(i % w->n_group) * (size_t)a->n_col;
        r.inverse = w->inverse[i];
        r.mean = a->kind == NORM_LAYER ? w->mean[i] : 0;
        r.x = w->x + t * w->x_stride + column;
        r.dy = w->dy + t * w->dy_stride + column;
        r.dx = (float *)cpu_ptr(a->dx) + t * w->dx_stride + column;
        w->k->norm_dx(&r);
    }
}

static void dw_columns(void *context, int piece, int worker)
{
    (void)worker;
    const struct norm_dx_work *w = context;
    const struct norm_dx_args *a = w->a;
    int begin = piece * COLUMNS, end = begin + COLUMNS < a->n_col ? begin + COLUMNS : a->n_col;
    struct norm_dw_columns c = {.kind = a->kind,
                                .n_row = a->n_row,
                                .n_group = w->n_group,
                                .n_col = a->n_col,
                                .x_stride = w->x_stride,
                                .dy_stride = w->dy_stride,
                                .begin = begin,
                                .end = end,
                                .x = w->x,
                                .inverse = w->inverse,
                                .mean = w->mean,
                                .dy = w->dy,
                                .dweight = cpu_ptr(a->dweight),
                                .dbias = cpu_ptr(a->dbias)};
    w->k->norm_dw(&c);
}

void cpu_norm_dx(struct queue *q, const struct norm_dx_args *a)
{
    int n_group = a->n_group > 1 ? a->n_group : 1;
    struct norm_dx_work w = {.n_group = n_group,
                             .x_stride = row_stride(a->x_stride, n_group, a->n_col),
                             .dy_stride = row_stride(a->dy_stride, n_group, a->n_col),
                             .dx_stride = row_stride(a->dx_stride, n_group, a->n_col),
                             .a = a,
                             .k = cpu_kernels(q),
                             .x = cpu_ptr(a->x),
                             .weight = cpu_ptr(a->weight),
                             .inverse = cpu_ptr(a->inverse),
                             .mean = cpu_ptr(a->mean),
                             .dy = cpu_ptr(a->dy)};
    if (a->dweight.buffer || a->dbias.buffer) /* first: dx may be dy's memory */
        pool_run(cpu_pool(q), (a->n_col + COLUMNS - 1) / COLUMNS, dw_columns, &w);
    if (a->dx.buffer)
        pool_run(cpu_pool(q), (a->n_row + ROWS - 1) / ROWS, dx_rows, &w);
}
