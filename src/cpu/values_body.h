/* SPDX-License-Identifier: Apache-2.0 */
/* Probabilities times values. */
#include "cpu/attend_body.h"

#if defined(__AVX512F__)
enum { VALUE_ROWS = 6, VALUE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { VALUE_ROWS = 6, VALUE_VECTORS = 1 };
#else
enum { VALUE_ROWS = 2, VALUE_VECTORS = 1 };
#endif

LANE_FN void value_block(const struct value_tile *t, int row, int d, int rows, int vectors, int lanes)
{
    vf sum[VALUE_ROWS][VALUE_VECTORS];
    float *out = t->out + (size_t)row * t->out_stride + (size_t)d;
    const float *p = (const float *)t->p + (size_t)row * t->p_row_stride, *values = (const float *)t->v + d;
    size_t share = row || d ? 0 : share_of(&t->ahead, t->n_key);
    const char *ahead = t->ahead.at;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        sum[r][j] = v_load_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), lanes);
    for (int key = 0; key < t->n_key; key++, values += t->v_stride) {
        ahead = ask(ahead, share);
        UNROLL
        for (int step = STEPS - 1; step >= 0; step--) {
            vf v[VALUE_VECTORS];
            UNROLL
            for (int j = 0; j < vectors; j++)
                v[j] = step_of(v_load_n(values + j * LANES, lanes), step);
            UNROLL
            for (int r = 0; r < rows; r++) {
                vf x = v_set(p[(size_t)r * t->p_row_stride + (size_t)(key * STEPS + step) * t->p_key_stride]);
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[r][j] = multiply_add(x, v[j], sum[r][j]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        v_store_n(out + (size_t)r * t->out_stride + (size_t)(j * LANES), sum[r][j], lanes);
}

#define VALUE_CASE(n) \
    case n: value_block(t, row, d, n, vectors, lanes); break;
LANE_FN void value_columns(const struct value_tile *t, int d, int vectors, int lanes)
{
    for (int row = 0, rows, left = (t->n_row + VALUE_ROWS - 1) / VALUE_ROWS; left > 0; row += rows, left--) {
        rows = (t->n_row - row + left - 1) / left;
        switch (rows) {
            VALUE_CASE(1)
            VALUE_CASE(2)
#if defined(__AVX2__)
            VALUE_CASE(3)
            VALUE_CASE(4)
            VALUE_CASE(5)
            VALUE_CASE(6)
#endif
        }
    }
}

#if PAIRS
void KERNEL(pair_values)(const struct value_tile *t)
#else
void KERNEL(values)(const struct value_tile *t)
#endif
{
    int d = 0;
    for (; d + VALUE_VECTORS * LANES <= t->head_dim; d += VALUE_VECTORS * LANES)
        value_columns(t, d, VALUE_VECTORS, LANES);
    for (; d + LANES <= t->head_dim; d += LANES)
        value_columns(t, d, 1, LANES);
    if (d < t->head_dim)
        value_columns(t, d, 1, t->head_dim - d);
}
