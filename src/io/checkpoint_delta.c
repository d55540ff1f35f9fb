/* SPDX-License-Identifier: Apache-2.0 */
/* What an adapter adds to a matrix, row by row. */
#include "io/checkpoint_parts.h"

#include <math.h>

/* W + s B A of one row's columns from `at` on. */
static void add_block(const struct checkpoint_delta *d, int64_t row, int64_t n_col, int64_t at, int count, float *to)
{
    double sum[256] = {0};
    for (int64_t r = 0; r < d->rank; r++) {
        double b = (double)d->b[row * d->rank + r];
        const float *a = d->a + r * n_col + at;
        for (int i = 0; i < count; i++)
            sum[i] += b * (double)a[i];
    }
    for (int i = 0; i < count; i++)
        to[i] = (float)((double)to[i] + d->scale * sum[i]);
}

/* DoRA: the row gets the length that was trained. */
static void set_length(float *row, int64_t n, double length)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += (double)row[i] * (double)row[i];
    for (int64_t i = 0; i < n; i++)
        row[i] = (float)((double)row[i] * (length / sqrt(square)));
}

void checkpoint_add_delta(const struct checkpoint_tensor *c, int64_t first_row, int64_t n_row, float *dst)
{
    enum { BLOCK = 256 };
    const struct checkpoint_delta *d = c->delta;
    int64_t n = c->info.n_col;
    for (int64_t row = 0; row < n_row; row++) {
        for (int64_t at = 0; at < n; at += BLOCK)
            add_block(d, first_row + row, n, at, (int)(n - at < BLOCK ? n - at : BLOCK), dst + row * n + at);
        if (d->magnitude)
            set_length(dst + row * n, n, (double)d->magnitude[first_row + row]);
    }
}
