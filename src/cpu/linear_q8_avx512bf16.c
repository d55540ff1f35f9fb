/* SPDX-License-Identifier: Apache-2.0 */
/* vpdpbusd: unsigned bytes of weights times signed bytes of activations, four products to each of 16 sums. Eight rows by 32 outputs are in flight: sixteen integer
 * sums, and sixteen float ones that meet them once a block. Of nine multiplications eight are dot products, so 89 % of their limit is the most. */
#include "cpu/linear_q8_rows.h"

#include <immintrin.h>

enum { AHEAD = 8 << 10 }; /* bytes to fetch early where rows are few and memory is what limits */

static inline __attribute__((always_inline)) void dot_four(int m, const struct product_call *c, const struct q8_step *a, int word, __m512i w0, __m512i w1, __m512i sum[][2])
{
#pragma GCC unroll 8
    for (int r = 0; r < m; r++) {
        __m512i x = _mm512_set1_epi32(((const struct q8_step *)(const void *)((const char *)a + r * c->a_row))->q[word]);
        sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], w0, x);
        sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], w1, x);
    }
}

static inline __attribute__((always_inline)) void dot_block(enum dtype t, int m, const struct product_call *c, const struct q8_step *a, const char *bytes, __m512i sum[][2])
{
    const __m512i low = _mm512_set1_epi8(15);
    if (t == DTYPE_Q8) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++)
            dot_four(m, c, a, g, _mm512_loadu_si512(bytes + g * 4 * PANEL), _mm512_loadu_si512(bytes + g * 4 * PANEL + 64), sum);
        return;
    }
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) {
        __m512i w0 = _mm512_loadu_si512(bytes + g * 4 * PANEL), w1 = _mm512_loadu_si512(bytes + g * 4 * PANEL + 64);
        dot_four(m, c, a, g, _mm512_and_si512(w0, low), _mm512_and_si512(w1, low), sum);
        dot_four(m, c, a, g + 4, _mm512_and_si512(_mm512_srli_epi16(w0, 4), low), _mm512_and_si512(_mm512_srli_epi16(w1, 4), low), sum);
    }
}

static inline __m512 f16_vector(const char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline __attribute__((always_inline)) void panel_of(enum dtype t, int m, const struct product_call *c, const char *w, float *out)
{
    __m512 f[Q8_ROWS][2];
    const struct q8_step *a = (const struct q8_step *)(const void *)c->a;
#pragma GCC unroll 8
    for (int r = 0; r < m; r++)
        f[r][0] = f[r][1] = _mm512_setzero_ps();
    for (int64_t b = 0; b < c->n / K_STEP; b++, a++, w += quantised_block(t)) {
        __m512i sum[Q8_ROWS][2];
        for (size_t line = 0; m <= 2 && line < quantised_block(t); line += 64)
            _mm_prefetch(w + AHEAD + line, _MM_HINT_T0);
#pragma GCC unroll 8
        for (int r = 0; r < m; r++)
            sum[r][0] = sum[r][1] = _mm512_set1_epi32(((const struct q8_step *)(const void *)((const char *)a + r * c->a_row))->start);
        dot_block(t, m, c, a, w + quantised_head(t), sum);
        __m512 d0 = f16_vector(w), d1 = f16_vector(w + 32);
#pragma GCC unroll 8
        for (int r = 0; r < m; r++) {
            const struct q8_step *s = (const struct q8_step *)(const void *)((const char *)a + r * c->a_row);
            __m512i shift = _mm512_set1_epi32(s->shift);
            f[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][0], shift)), d0, f[r][0]);
            f[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][1], shift)), d1, f[r][1]);
            if (t == DTYPE_Q4_1) {
                f[r][0] = _mm512_fmadd_ps(_mm512_set1_ps(s->sum), f16_vector(w + 2 * PANEL), f[r][0]);
                f[r][1] = _mm512_fmadd_ps(_mm512_set1_ps(s->sum), f16_vector(w + 2 * PANEL + 32), f[r][1]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < m; r++) {
        __m512 scale = _mm512_set1_ps(q8_scale(c->a + r * c->a_row, c->n));
        _mm512_storeu_ps(out + r * c->acc_stride, _mm512_mul_ps(f[r][0], scale));
        _mm512_storeu_ps(out + r * c->acc_stride + 16, _mm512_mul_ps(f[r][1], scale));
    }
}

#define PANEL_OF(NAME, TYPE, M)                                                                \
    static void NAME##_##M(const struct product_call *c, const char *w, float *out)            \
    {                                                                                          \
        panel_of(TYPE, M, c, w, out);                                                          \
    }
#define KERNEL(NAME, TYPE)                                                                                                                     \
    PANEL_OF(NAME, TYPE, 1) PANEL_OF(NAME, TYPE, 2) PANEL_OF(NAME, TYPE, 3) PANEL_OF(NAME, TYPE, 4)                                             \
    PANEL_OF(NAME, TYPE, 5) PANEL_OF(NAME, TYPE, 6) PANEL_OF(NAME, TYPE, 7) PANEL_OF(NAME, TYPE, 8)                                             \
    static void NAME(const struct product_call *c)                                                                                             \
    {                                                                                                                                          \
        static void (*const rows[Q8_ROWS])(const struct product_call *, const char *, float *) = {NAME##_1, NAME##_2, NAME##_3, NAME##_4,        \
                                                                                                  NAME##_5, NAME##_6, NAME##_7, NAME##_8};     \
        for (int i = 0; i < c->n_panel; i++)                                                                                                   \
            rows[c->m - 1](c, c->panels[i], c->acc + i * PANEL);                                                                               \
    }
KERNEL(run_q8, DTYPE_Q8)
KERNEL(run_q4_0, DTYPE_Q4_0)
KERNEL(run_q4_1, DTYPE_Q4_1)

const struct product_kernel kernels_q8_vnni[3] = {
    {.lanes = &lanes_avx512, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q8, .quantise = quantise_q8},
    {.lanes = &lanes_avx512, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q4_0, .quantise = quantise_q4_0},
    {.lanes = &lanes_avx512, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_q4_1, .quantise = quantise_q4_1},
};
