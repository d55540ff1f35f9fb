/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move and add: pieces are 16 KiB blocks, rows, or, where rows may meet in one place, blocks of
 * columns. */
#include "cpu/kernels.h"

#include <string.h>

enum { BLOCK = 4096, COLUMNS = 64, PIECE_BYTES = 1 << 16 };

static int n_block(size_t n, size_t block)
{
    return (int)((n + block - 1) / block);
}
static size_t block_size(size_t n, size_t block, int piece)
{
    size_t left = n - (size_t)piece * block;
    return left < block ? left : block;
}

struct move_work {
    const struct kernels *k;
    char *y, *z;
    const char *x;
    size_t n; /* elements, or bytes */
    enum dtype x_dtype, y_dtype;
};

static void add_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct move_work *w = context;
    size_t at = (size_t)piece * BLOCK, n = block_size(w->n, BLOCK, piece);
    float *y = (float *)w->y + at, *z = w->z ? (float *)w->z + at : y;
    if (z != y)
        memcpy(z, y, n * sizeof *z); /* little enough to be in the cache when it is added to */
    w->k->add(z, (const float *)w->x + at, n);
}

void cpu_add(struct queue *q, const struct add_args *a)
{
    struct move_work w = {.k = cpu_kernels(q),
                          .y = cpu_ptr(a->y),
                          .z = a->z.buffer ? cpu_ptr(a->z) : NULL,
                          .x = cpu_ptr(a->x),
                          .n = a->n};
    pool_run(cpu_pool(q), n_block(a->n, BLOCK), add_block, &w);
}

struct soft_cap_work {
    const struct kernels *k;
    const struct soft_cap_args *a;
};

static void soft_cap_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct soft_cap_work *w = context;
    w->k->soft_cap((float *)cpu_ptr(w->a->x) + (size_t)piece * BLOCK, w->a->cap, block_size(w->a->n, BLOCK, piece));
}

void cpu_soft_cap(struct queue *q, const struct soft_cap_args *a)
{
    struct soft_cap_work w = {cpu_kernels(q), a};
    pool_run(cpu_pool(q), n_block(a->n, BLOCK), soft_cap_block, &w);
}

struct scale_work {
    const struct kernels *k;
    const struct scale_args *a;
};

static void scale_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct scale_work *w = context;
    size_t at = (size_t)piece * BLOCK;
    w->k->copy_scaled((float *)cpu_ptr(w->a->y) + at, (const float *)cpu_ptr(w->a->x) + at, w->a->factor,
                      (int)block_size(w->a->n, BLOCK, piece));
}

void cpu_scale(struct queue *q, const struct scale_args *a)
{
    struct scale_work w = {cpu_kernels(q), a};
    pool_run(cpu_pool(q), n_block(a->n, BLOCK), scale_block, &w);
}

static void fill_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct move_work *w = context;
    memset(w->y + (size_t)piece * PIECE_BYTES, 0, block_size(w->n, PIECE_BYTES, piece));
}

void cpu_fill(struct queue *q, const struct fill_args *a)
{
    struct move_work w = {.y = cpu_ptr(a->y), .n = a->bytes};
    pool_run(cpu_pool(q), n_block(a->bytes, PIECE_BYTES), fill_block, &w);
}

static void copy_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct move_work *w = context;
    size_t at = (size_t)piece * PIECE_BYTES;
    memcpy(w->y + at, w->x + at, block_size(w->n, PIECE_BYTES, piece));
}

void cpu_copy(struct queue *q, const struct copy_args *a)
{
    struct move_work w = {.y = cpu_ptr(a->y), .x = cpu_ptr(a->x), .n = a->bytes};
    pool_run(cpu_pool(q), n_block(a->bytes, PIECE_BYTES), copy_block, &w);
}

static void cast_block(void *context, int piece, int worker)
{
    (void)worker;
    const struct move_work *w = context;
    size_t at = (size_t)piece * BLOCK;
    w->k->cast(w->y + at * dtype_size(w->y_dtype), w->y_dtype, w->x + at * dtype_size(w->x_dtype), w->x_dtype,
               block_size(w->n, BLOCK, piece));
}

void cpu_cast(struct queue *q, const struct cast_args *a)
{
    struct move_work w = {.k = cpu_kernels(q),
                          .y = cpu_ptr(a->y),
                          .x = cpu_ptr(a->x),
                          .n = a->n,
                          .x_dtype = a->x_dtype,
                          .y_dtype = a->y_dtype};
    pool_run(cpu_pool(q), n_block(a->n, BLOCK), cast_block, &w);
}

struct rows_work {
    const struct kernels *k;
    enum pool_kind kind;
    int n_row;
    size_t n_col;
    const int32_t *rows, *borders, *valid;
    const float *x;
    float *y;
};

static void gather_row(void *context, int i, int worker)
{
    (void)worker;
    const struct rows_work *w = context;
    memcpy(w->y + (size_t)i * w->n_col, w->x + (size_t)w->rows[i] * w->n_col, w->n_col * sizeof *w->y);
}

void cpu_gather_rows(struct queue *q, const struct gather_rows_args *a)
{
    struct rows_work w = {.n_col = (size_t)a->n_col, .rows = cpu_ptr(a->rows), .x = cpu_ptr(a->x), .y = cpu_ptr(a->y)};
    pool_run(cpu_pool(q), a->n_row, gather_row, &w);
}

static void scatter_columns(void *context, int piece, int worker)
{
    (void)worker;
    const struct rows_work *w = context;
    size_t begin = (size_t)piece * COLUMNS, n = block_size(w->n_col, COLUMNS, piece);
    for (int i = 0; i < w->n_row; i++)
        w->k->add(w->y + (size_t)w->rows[i] * w->n_col + begin, w->x + (size_t)i * w->n_col + begin, n);
}

void cpu_scatter_add_rows(struct queue *q, const struct scatter_add_rows_args *a)
{
    struct rows_work w = {.k = cpu_kernels(q),
                          .n_row = a->n_row,
                          .n_col = (size_t)a->n_col,
                          .rows = cpu_ptr(a->rows),
                          .x = cpu_ptr(a->x),
                          .y = cpu_ptr(a->y)};
    pool_run(cpu_pool(q), n_block(w.n_col, COLUMNS), scatter_columns, &w);
}

/* What is no number stays one. */
static void greatest(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] != y[i] || x[i] <= y[i] ? y[i] : x[i];
}

static void pool_sequence(void *context, int s, int worker)
{
    (void)worker;
    const struct rows_work *w = context;
    int first = w->borders[s], n = w->valid ? w->valid[s] : w->borders[s + 1] - first;
    float *y = w->y + (size_t)s * w->n_col;
    const float *x = w->x + (size_t)first * w->n_col;
    memset(y, 0, w->n_col * sizeof *y);
    if (n > 0 && w->kind != POOL_MEAN)
        memcpy(y, w->kind == POOL_LAST ? x + (size_t)(n - 1) * w->n_col : x, w->n_col * sizeof *y);
    for (int t = 1; t < n && w->kind == POOL_MAX; t++)
        greatest(y, x + (size_t)t * w->n_col, w->n_col);
    for (int t = 0; t < n && w->kind == POOL_MEAN; t++)
        w->k->add(y, x + (size_t)t * w->n_col, w->n_col);
    if (n > 0 && w->kind == POOL_MEAN)
        w->k->divide(y, (float)n, w->n_col);
}

void cpu_pool_rows(struct queue *q, const struct pool_rows_args *a)
{
    struct rows_work w = {.k = cpu_kernels(q),
                          .kind = a->kind,
                          .n_col = (size_t)a->n_col,
                          .borders = cpu_ptr(a->borders),
                          .valid = cpu_ptr(a->valid),
                          .x = cpu_ptr(a->x),
                          .y = cpu_ptr(a->y)};
    pool_run(cpu_pool(q), a->n_seq, pool_sequence, &w);
}
