/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 pairs: one instruction adds two products to each of 16 sums. The chain runs over pairs of k in order. */
#include "cpu/linear.h"

#include <immintrin.h>
#include <string.h>

enum { ROWS = 12 };

static inline __attribute__((always_inline)) void pair_rows(int m, int64_t n, const uint32_t *a, const uint32_t *b, float *acc, int64_t stride, int first)
{
    __m512 sum[ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < m; r++) {
        sum[r][0] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(acc + r * stride);
        sum[r][1] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(acc + r * stride + 16);
    }
    for (int64_t k = 0; k < n; k++) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b + k * PANEL), b1 = (__m512bh)_mm512_loadu_si512(b + k * PANEL + 16);
#pragma GCC unroll 16
        for (int r = 0; r < m; r++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r * CHUNK_STRIDE + k]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < m; r++) {
        _mm512_storeu_ps(acc + r * stride, sum[r][0]);
        _mm512_storeu_ps(acc + r * stride + 16, sum[r][1]);
    }
}

#define PAIRS_OF(M)                                                                                            \
    static void pairs_##M(int64_t n, const uint32_t *a, const uint32_t *b, float *acc, int64_t stride, int first)              \
    {                                                                                                          \
        pair_rows(M, n, a, b, acc, stride, first);                                                                     \
    }
PAIRS_OF(1) PAIRS_OF(2) PAIRS_OF(3) PAIRS_OF(4) PAIRS_OF(5) PAIRS_OF(6) PAIRS_OF(7) PAIRS_OF(8) PAIRS_OF(9) PAIRS_OF(10) PAIRS_OF(11) PAIRS_OF(12)
static void (*const pairs[])(int64_t, const uint32_t *, const uint32_t *, float *, int64_t, int) = {
    pairs_1, pairs_2, pairs_3, pairs_4, pairs_5, pairs_6, pairs_7, pairs_8, pairs_9, pairs_10, pairs_11, pairs_12,
};

static void run(const struct product_call *c)
{
    for (int i = 0; i < c->n_panel; i++)
        for (int64_t k = 0; k < c->n / 2 || k == 0; k += CHUNK) {
            int64_t n = c->n / 2 - k < CHUNK ? c->n / 2 - k : CHUNK;
            pairs[c->m - 1](n, (const uint32_t *)c->a + chunk_at(ROWS, 0, c->begin / 2 + k), (const uint32_t *)c->panels[i] + k * PANEL,
                            c->acc + i * PANEL, c->acc_stride, c->first && k == 0);
        }
}

const struct product_kernel kernel_avx512bf16 = {.lanes = &lanes_avx512, .form = FORM_PAIRS, .rows = ROWS, .run = run};
