/* SPDX-License-Identifier: Apache-2.0 */
/* The f32 kernel, written once over vectors: sums of M rows by 2 vectors stay in registers over a chunk of K. The including file defines V,
 * V_LANES, V_LOAD, V_STORE, V_SET1, V_FMA(a,b,c) = a b + c, TILE_ROWS, TILE_NAME and LANES_NAME. */
#include "cpu/linear_lanes.h"

static inline __attribute__((always_inline)) void tile_rows(int m, int64_t n, const float *a, const float *b, float *acc, int64_t stride, int first)
{
    V sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < m; r++) {
        sum[r][0] = first ? V_SET1(0) : V_LOAD(acc + r * stride);
        sum[r][1] = first ? V_SET1(0) : V_LOAD(acc + r * stride + V_LANES);
    }
    for (int64_t k = 0; k < n; k++) {
        V b0 = V_LOAD(b + k * PANEL), b1 = V_LOAD(b + k * PANEL + V_LANES);
#pragma GCC unroll 16
        for (int r = 0; r < m; r++) {
            V x = V_SET1(a[r * CHUNK_STRIDE + k]);
            sum[r][0] = V_FMA(x, b0, sum[r][0]);
            sum[r][1] = V_FMA(x, b1, sum[r][1]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < m; r++) {
        V_STORE(acc + r * stride, sum[r][0]);
        V_STORE(acc + r * stride + V_LANES, sum[r][1]);
    }
}

#define TILE_OF(M)                                                                                        \
    static void tile_##M(int64_t n, const float *a, const float *b, float *acc, int64_t stride, int first)                \
    {                                                                                                     \
        tile_rows(M, n, a, b, acc, stride, first);                                                                \
    }
TILE_OF(1) TILE_OF(2) TILE_OF(3) TILE_OF(4) TILE_OF(5) TILE_OF(6)
#if TILE_ROWS > 6
TILE_OF(7) TILE_OF(8) TILE_OF(9) TILE_OF(10) TILE_OF(11) TILE_OF(12)
#endif

static void (*const tiles[])(int64_t, const float *, const float *, float *, int64_t, int) = {
    tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if TILE_ROWS > 6
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
#endif
};

static void run(const struct product_call *c)
{
    for (int i = 0; i < c->n_panel; i++)
        for (int64_t k = 0; k < c->n || k == 0; k += CHUNK) {
            const float *a = (const float *)c->a + chunk_at(TILE_ROWS, 0, c->begin + k), *b = (const float *)c->panels[i] + k * PANEL;
            int64_t n = c->n - k < CHUNK ? c->n - k : CHUNK;
            for (int column = 0; column < PANEL; column += 2 * V_LANES)
                tiles[c->m - 1](n, a, b + column, c->acc + i * PANEL + column, c->acc_stride, c->first && k == 0);
        }
}

const struct product_kernel TILE_NAME = {.lanes = &LANES_NAME, .form = FORM_F32, .rows = TILE_ROWS, .run = run};
