/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a tensor's rows on all cores: conversion to f32 and the search for NaN cost as much as packing does. */
#include "model/parts.h"

#include "base/threads.h"

#include <stdatomic.h>

enum { PIECE_ELEMENTS = 1 << 16 };

struct stored_reading {
    const struct checkpoint *source;
    struct stored_rows rows;
    int64_t step; /* rows of a piece */
    int check_finite, as_stored;
    void *out;
    atomic_int failed; /* the first piece that failed, or -1 */
};

static int read_piece(struct stored_reading *r, int piece, struct error *err)
{
    const struct tensor_info *info = r->rows.info;
    int64_t first = piece * r->step, n = r->rows.n - first < r->step ? r->rows.n - first : r->step,
            row = r->rows.first + first, width = info->n_col;
    if (r->as_stored)
        return checkpoint_read_blocks(r->source, info, row, n,
                                      (char *)r->out + (uint64_t)first * (info->n_byte / (uint64_t)info->n_row), err);
    float *out = (float *)r->out + first * width;
    int rc = checkpoint_read_f32(r->source, info, row, n, out, err);
    if (!rc && r->check_finite)
        rc = tensor_check_finite(r->source, info, (uint64_t)(row * width), out, (uint64_t)(n * width), err);
    return rc;
}

static void try_piece(void *context, int piece, int worker)
{
    (void)worker;
    struct stored_reading *r = context;
    if (!read_piece(r, piece, NULL))
        return;
    for (int now = atomic_load(&r->failed); now < 0 || piece < now;)
        if (atomic_compare_exchange_weak(&r->failed, &now, piece))
            break;
}

static int read_all(struct stored_reading *r, struct pool *pool, struct error *err)
{
    int64_t width = r->rows.info->n_col ? r->rows.info->n_col : 1;
    r->step = width < PIECE_ELEMENTS ? PIECE_ELEMENTS / width : 1;
    atomic_store(&r->failed, -1);
    pool_run(pool, (int)((r->rows.n + r->step - 1) / r->step), try_piece, r);
    int failed = atomic_load(&r->failed);
    return failed < 0 ? 0 : read_piece(r, failed, err);
}

int stored_rows_read(struct pool *pool, const struct checkpoint *source, const struct stored_rows *rows,
                     int check_finite, float *out, struct error *err)
{
    struct stored_reading r = {.source = source, .rows = *rows, .check_finite = check_finite, .out = out};
    return read_all(&r, pool, err);
}

int stored_rows_copy(struct pool *pool, const struct checkpoint *source, const struct stored_rows *rows, void *out,
                     struct error *err)
{
    struct stored_reading r = {.source = source, .rows = *rows, .as_stored = 1, .out = out};
    return read_all(&r, pool, err);
}
