/* SPDX-License-Identifier: Apache-2.0 */
/* Queries times keys. */
#include "cpu/attend_body.h"

#if defined(__AVX512F__)
enum { SCORE_ROWS = 12, SCORE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { SCORE_ROWS = 6, SCORE_VECTORS = 1 };
#else
enum { SCORE_ROWS = 2, SCORE_VECTORS = 1 };
#endif

/* `rows` and `vectors` are constants in every call. The first block of rows asks for what comes next. */
LANE_FN void score_block(const struct score_tile *t, int row, int key, int rows, int vectors)
{
    size_t share = row ? 0 : share_of(&t->ahead, (t->n_key + LANES - 1) / LANES * t->head_dim) * (size_t)vectors;
    const char *ahead = t->ahead.at + share / (size_t)vectors * (size_t)(key / LANES * t->head_dim);
    vf sum[SCORE_ROWS][SCORE_VECTORS];
    const float *q = (const float *)t->q + (size_t)row * t->q_stride, *keys = (const float *)t->k + key;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        sum[r][j] = v_zero();
    for (int d = 0; d < t->head_dim; d++, keys += t->k_stride) {
        ahead = ask(ahead, share);
        UNROLL
        for (int step = STEPS - 1; step >= 0; step--) {
            vf k[SCORE_VECTORS];
            UNROLL
            for (int j = 0; j < vectors; j++)
                k[j] = step_of(v_load(keys + j * LANES), step);
            UNROLL
            for (int r = 0; r < rows; r++) {
                vf x = v_set(q[(size_t)r * t->q_stride + (size_t)(d * STEPS + step)]);
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[r][j] = multiply_add(x, k[j], sum[r][j]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int j = 0; j < vectors; j++)
        v_store(t->s + (size_t)(row + r) * t->s_stride + (size_t)(key + j * LANES), sum[r][j]);
}

/* Rows in blocks of about equal size; 4 vectors at once only where rows are few. */
#define SCORE_CASE(n) \
    case n: score_block(t, row, key, n, vectors); break;
LANE_FN void score_columns(const struct score_tile *t, int key, int vectors)
{
    for (int row = 0, rows, left = (t->n_row + SCORE_ROWS - 1) / SCORE_ROWS; left > 0; row += rows, left--) {
        rows = (t->n_row - row + left - 1) / left;
        switch (rows) {
            SCORE_CASE(1)
            SCORE_CASE(2)
#if defined(__AVX2__)
            SCORE_CASE(3)
            SCORE_CASE(4)
            SCORE_CASE(5)
            SCORE_CASE(6)
#endif
#if defined(__AVX512F__)
        default:
            if (vectors > 2)
                break;
            switch (rows) {
                SCORE_CASE(7)
                SCORE_CASE(8)
                SCORE_CASE(9)
                SCORE_CASE(10)
                SCORE_CASE(11)
                SCORE_CASE(12)
            }
#endif
        }
    }
}

#if PAIRS
void KERNEL(pair_scores)(const struct score_tile *t)
#else
void KERNEL(scores)(const struct score_tile *t)
#endif
{
    int key = 0;
#if defined(__AVX512F__)
    for (; t->n_row <= 6 && key + 3 * LANES < t->n_key; key += 4 * LANES)
        score_columns(t, key, 4);
    for (; key + LANES < t->n_key; key += 2 * LANES)
        score_columns(t, key, 2);
#endif
    for (; key < t->n_key; key += LANES)
        score_columns(t, key, 1);
}
