/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as 16-bit pairs: the even and the odd ones of a word apart, so that products of 255 * 127 do not saturate
 * (vpmaddubsw's would). */
#include "cpu/linear_q8_rows.h"

#include <immintrin.h>

enum { VECTORS = PANEL / 8 };

static inline __attribute__((always_inline)) void dot_word(__m256i w, __m256i even, __m256i odd, __m256i *sum)
{
    __m256i low = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)), even),
            high = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), odd);
    *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(low, high));
}

/* 4 k of the row with 32 outputs: bytes at w, of which `nibble` takes the low (0) or the high (1) halves; -1: whole
 * bytes. */
static inline __attribute__((always_inline)) void dot_four(int32_t four, const char *w, int nibble,
                                                           __m256i sum[VECTORS])
{
    __m256i x = _mm256_set1_epi32(four), odd = _mm256_srai_epi16(x, 8),
            even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32 * v));
        if (nibble > 0)
            bytes = _mm256_srli_epi16(bytes, 4);
        if (nibble >= 0)
            bytes = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
        dot_word(bytes, even, odd, &sum[v]);
    }
}

static inline __m256 f16_vector(const char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline __attribute__((always_inline)) void row_of(enum dtype t, const char *row, int64_t k, const char *w,
                                                         float *out)
{
    const struct q8_step *a = (const struct q8_step *)(const void *)row;
    __m256 f[VECTORS], scale = _mm256_set1_ps(q8_scale(row, k));
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        f[v] = _mm256_setzero_ps();
    for (int64_t b = 0; b < k / K_STEP; b++, a++, w += quantised_block(t)) {
        const char *bytes = w + quantised_head(t);
        __m256i sum[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            sum[v] = _mm256_set1_epi32(a->start);
#pragma GCC unroll 8
        for (int g = 0; g < K_STEP / 4; g++)
            dot_four(a->q[g], bytes + (t == DTYPE_Q8 ? g : g % 4) * 4 * PANEL, t == DTYPE_Q8 ? -1 : g / 4, sum);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            f[v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_sllv_epi32(sum[v], _mm256_set1_epi32(a->shift))),
                                   f16_vector(w + 16 * v), f[v]);
            if (t == DTYPE_Q4_1)
                f[v] = _mm256_fmadd_ps(_mm256_set1_ps(a->sum), f16_vector(w + 2 * PANEL + 16 * v), f[v]);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        _mm256_storeu_ps(out + 8 * v, _mm256_mul_ps(f[v], scale));
}

#define KERNEL(NAME, TYPE)                                                                                     \
    static void NAME(const struct product_call *c)                                                             \
    {                                                                                                          \
        for (int i = 0; i < c->n_panel; i++)                                                                   \
            for (int r = 0; r < c->m; r++)                                                                     \
                row_of(TYPE, c->a + r * c->a_row, c->n, c->panels[i], c->acc + r * c->acc_stride + i * PANEL); \
    }
KERNEL(run_q8, DTYPE_Q8)
KERNEL(run_q4_0, DTYPE_Q4_0)
KERNEL(run_q4_1, DTYPE_Q4_1)

const struct product_kernel kernels_q8_avx2[3] = {
    {.lanes = &lanes_avx2, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q8, .quantise = quantise_q8},
    {.lanes = &lanes_avx2, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q4_0, .quantise = quantise_q4_0},
    {.lanes = &lanes_avx2, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q4_1, .quantise = quantise_q4_1},
};
