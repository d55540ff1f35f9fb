/* SPDX-License-Identifier: Apache-2.0 */
/* vpdpbusd: unsigned bytes of weights times signed bytes of activations, four products to each of 16 sums. Eight rows
 * by 32 outputs are in flight: sixteen integer sums, and sixteen float ones that meet them once a block. Of nine
 * multiplications eight are dot products, so 89 % of their limit is the most. */
#include "cpu/linear_q8_rows.h"

#include <immintrin.h>

/* bytes by which one or two rows fetch their panels ahead */
enum { STREAM_AHEAD = 1024 };

/* A step of m rows; m is a constant everywhere. */
struct steps {
    int m;
    int64_t apart; /* bytes */
    const struct q8_step *first;
};
static inline __attribute__((always_inline)) const struct q8_step *step_of(const struct steps *a, int r)
{
    return (const struct q8_step *)(const void *)((const char *)a->first + r * a->apart);
}

static inline __attribute__((always_inline)) void dot_four(const struct steps *a, int word, __m512i w0, __m512i w1,
                                                           __m512i sum[][2])
{
#pragma GCC unroll 8
    for (int r = 0; r < a->m; r++) {
        __m512i x = _mm512_set1_epi32(step_of(a, r)->q[word]);
        sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], w0, x);
        sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], w1, x);
    }
}

static inline __attribute__((always_inline)) void dot_block(enum dtype t, const struct steps *a, const char *bytes,
                                                            const char *ahead, int64_t ahead_step, __m512i sum[][2])
{
    const __m512i low = _mm512_set1_epi8(15);
    if (t == DTYPE_Q8) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) {
            if (a->m <= 2) { /* they wait for memory */
                __builtin_prefetch(bytes + g * 4 * PANEL + STREAM_AHEAD, 0, 2);
                __builtin_prefetch(bytes + g * 4 * PANEL + 64 + STREAM_AHEAD, 0, 2);
            } else {
                __builtin_prefetch(ahead + g * ahead_step, 0, 2);
            }
            dot_four(a, g, _mm512_loadu_si512(bytes + g * 4 * PANEL), _mm512_loadu_si512(bytes + g * 4 * PANEL + 64),
                     sum);
        }
        return;
    }
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) {
        __m512i w0 = _mm512_loadu_si512(bytes + g * 4 * PANEL), w1 = _mm512_loadu_si512(bytes + g * 4 * PANEL + 64);
        if (a->m <= 2) {
            __builtin_prefetch(bytes + g * 4 * PANEL + STREAM_AHEAD, 0, 2);
            __builtin_prefetch(bytes + g * 4 * PANEL + 64 + STREAM_AHEAD, 0, 2);
        } else {
            __builtin_prefetch(ahead + 2 * g * ahead_step, 0, 2);
            __builtin_prefetch(ahead + (2 * g + 1) * ahead_step, 0, 2);
        }
        dot_four(a, g, _mm512_and_si512(w0, low), _mm512_and_si512(w1, low), sum);
        dot_four(a, g + 4, _mm512_and_si512(_mm512_srli_epi16(w0, 4), low),
                 _mm512_and_si512(_mm512_srli_epi16(w1, 4), low), sum);
    }
}

static inline __m512 f16_vector(const char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* A block's sums to their floats. */
static inline __attribute__((always_inline)) void scale_block(enum dtype t, const struct steps *a, const char *w,
                                                              __m512i sum[][2], __m512 f[][2])
{
    __m512 d0 = f16_vector(w), d1 = f16_vector(w + 32);
#pragma GCC unroll 8
    for (int r = 0; r < a->m; r++) {
        const struct q8_step *s = step_of(a, r);
        __m512i shift = _mm512_set1_epi32(s->shift);
        f[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][0], shift)), d0, f[r][0]);
        f[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][1], shift)), d1, f[r][1]);
        if (t == DTYPE_Q4_1) {
            f[r][0] = _mm512_fmadd_ps(_mm512_set1_ps(s->sum), f16_vector(w + 2 * PANEL), f[r][0]);
            f[r][1] = _mm512_fmadd_ps(_mm512_set1_ps(s->sum), f16_vector(w + 2 * PANEL + 32), f[r][1]);
        }
    }
}

/* m rows by n_panel panels from the i-th on, m * n_panel <= 8. */
static inline __attribute__((always_inline)) void panels_of(enum dtype t, int m, int n_panel,
                                                            const struct product_call *c, int i)
{
    __m512 f[MAX_PANELS][Q8_ROWS][2];
    const char *w[MAX_PANELS];
    struct steps a = {m, c->a_row, (const struct q8_step *)(const void *)c->a};
    float *out = c->acc + i * PANEL;
    const char *ahead[MAX_PANELS];
    int64_t ahead_step = c->n ? (c->ahead_bytes + c->n / 4 - 1) / (c->n / 4) : 0; /* eight of them a block */
#pragma GCC unroll 4
    for (int p = 0; p < n_panel; p++) {
        w[p] = c->panels[i + p];
        ahead[p] = c->ahead[i + p];
#pragma GCC unroll 8
        for (int r = 0; r < m; r++)
            f[p][r][0] = f[p][r][1] = _mm512_setzero_ps();
        for (int r = 0; r < m && c->acc_stride != ACC_STRIDE; r++) { /* the output itself, not near yet */
            __builtin_prefetch(out + r * c->acc_stride + p * PANEL, 1);
            __builtin_prefetch(out + r * c->acc_stride + p * PANEL + 16, 1);
        }
    }
    for (int64_t b = 0; b < c->n / K_STEP; b++, a.first++)
#pragma GCC unroll 4
        for (int p = 0; p < n_panel; p++, w[p - 1] += quantised_block(t)) {
            __m512i sum[Q8_ROWS][2];
#pragma GCC unroll 8
            for (int r = 0; r < m; r++)
                sum[r][0] = sum[r][1] = _mm512_set1_epi32(step_of(&a, r)->start);
            dot_block(t, &a, w[p] + quantised_head(t), ahead[p], ahead_step, sum);
            ahead[p] += 8 * ahead_step;
            scale_block(t, &a, w[p], sum, f[p]);
        }
#pragma GCC unroll 4
    for (int p = 0; p < n_panel; p++)
#pragma GCC unroll 8
        for (int r = 0; r < m; r++) {
            __m512 scale = _mm512_set1_ps(q8_scale(c->a + r * c->a_row, c->n));
            _mm512_storeu_ps(out + r * c->acc_stride + p * PANEL, _mm512_mul_ps(f[p][r][0], scale));
            _mm512_storeu_ps(out + r * c->acc_stride + p * PANEL + 16, _mm512_mul_ps(f[p][r][1], scale));
        }
}

/* Few rows wait for memory, which several panels read side by side ask for earlier. */
static int at_once(int m)
{
    if (m == 1)
        return 4;
    return m == 2 ? 2 : 1;
}

#define PANELS_OF(NAME, TYPE, M, P)                                   \
    static void NAME##_##M##_##P(const struct product_call *c, int i) \
    {                                                                 \
        panels_of(TYPE, M, P, c, i);                                  \
    }
/* clang-format off */
#define KERNEL(NAME, TYPE)                                                                                          \
    PANELS_OF(NAME, TYPE, 1, 1) PANELS_OF(NAME, TYPE, 2, 1) PANELS_OF(NAME, TYPE, 3, 1) PANELS_OF(NAME, TYPE, 4, 1) \
    PANELS_OF(NAME, TYPE, 5, 1) PANELS_OF(NAME, TYPE, 6, 1) PANELS_OF(NAME, TYPE, 7, 1) PANELS_OF(NAME, TYPE, 8, 1) \
    PANELS_OF(NAME, TYPE, 1, 2) PANELS_OF(NAME, TYPE, 1, 3) PANELS_OF(NAME, TYPE, 1, 4) PANELS_OF(NAME, TYPE, 2, 2) \
    static void NAME(const struct product_call *c)                                                                  \
    {                                                                                                               \
        typedef void panel_product(const struct product_call *, int);                                               \
        static panel_product *const one[Q8_ROWS] = {NAME##_1_1, NAME##_2_1, NAME##_3_1, NAME##_4_1,                 \
                                                    NAME##_5_1, NAME##_6_1, NAME##_7_1, NAME##_8_1};                \
        static panel_product *const some[] = {NAME##_1_1, NAME##_1_2, NAME##_1_3, NAME##_1_4};                      \
        int i = 0;                                                                                                  \
        if (c->m == 1 && c->n_panel) { /* at most MAX_PANELS */                                                     \
            some[c->n_panel - 1](c, 0);                                                                             \
            i = c->n_panel;                                                                                         \
        }                                                                                                           \
        for (; c->m == 2 && i + 2 <= c->n_panel; i += 2)                                                            \
            NAME##_2_2(c, i);                                                                                       \
        for (; i < c->n_panel; i++)                                                                                 \
            one[c->m - 1](c, i);                                                                                    \
    }
/* clang-format on */
KERNEL(run_q8, DTYPE_Q8)
KERNEL(run_q4_0, DTYPE_Q4_0)
KERNEL(run_q4_1, DTYPE_Q4_1)

const struct product_kernel kernels_q8_vnni[3] = {
    {.lanes = &lanes_avx512,
     .form = FORM_BYTES,
     .rows = Q8_ROWS,
     .ahead_least = 3,
     .block_bytes = 2 * PANEL + PANEL * K_STEP,
     .at_once = at_once,
     .run = run_q8,
     .quantise = quantise_q8},
    {.lanes = &lanes_avx512,
     .form = FORM_BYTES,
     .rows = Q8_ROWS,
     .ahead_least = 3,
     .block_bytes = 2 * PANEL + PANEL * K_STEP / 2,
     .at_once = at_once,
     .run = run_q4_0,
     .quantise = quantise_q4_0},
    {.lanes = &lanes_avx512,
     .form = FORM_BYTES,
     .rows = Q8_ROWS,
     .ahead_least = 3,
     .block_bytes = 4 * PANEL + PANEL * K_STEP / 2,
     .at_once = at_once,
     .run = run_q4_1,
     .quantise = quantise_q4_1},
};
