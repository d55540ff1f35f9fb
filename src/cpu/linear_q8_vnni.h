/* SPDX-License-Identifier: Apache-2.0 */
/* vpdpbusd: unsigned bytes of weights times signed bytes of activations, four products to each of 16 sums. Eight rows
 * by 32 outputs are in flight: sixteen integer sums, and sixteen float ones that meet them once a block. Of nine
 * multiplications eight are dot products, so 89 % of their limit is the most. For the two files that share the types.
 */
#ifndef CPU_LINEAR_Q8_VNNI_H
#define CPU_LINEAR_Q8_VNNI_H

#include "cpu/linear_q8.h"

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

/* What is fetched while four of k's groups of four are computed with: lines of a panel's memory in order, with which
 * one or two rows stream, or a share of the panels that come next. */
struct fetch {
    const char *at;
    int64_t step;
    int count;
};
static inline __attribute__((always_inline)) void fetch_some(const struct fetch *f, int group, int groups)
{
#pragma GCC unroll 8
    for (int i = group; i < f->count; i += groups)
        __builtin_prefetch(f->at + i * f->step, 0, 2);
}

static inline __attribute__((always_inline)) void dot_bytes(const struct steps *a, const char *body,
                                                            const struct fetch *f, __m512i sum[][2])
{
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        fetch_some(f, g, 8);
        dot_four(a, g, _mm512_loadu_si512(body + g * 4 * PANEL), _mm512_loadu_si512(body + g * 4 * PANEL + 64), sum);
    }
}

/* Bit i of each byte, or bits 2 i and 2 i + 1, where bits from 4 on belong. */
static inline __attribute__((always_inline)) __m512i fifth_bit(__m512i bits, int i)
{
    switch (i) {
    case 0: bits = _mm512_slli_epi16(bits, 4); break;
    case 1: bits = _mm512_slli_epi16(bits, 3); break;
    case 2: bits = _mm512_slli_epi16(bits, 2); break;
    case 3: bits = _mm512_slli_epi16(bits, 1); break;
    case 5: bits = _mm512_srli_epi16(bits, 1); break;
    case 6: bits = _mm512_srli_epi16(bits, 2); break;
    case 7: bits = _mm512_srli_epi16(bits, 3); break;
    default: break;
    }
    return _mm512_and_si512(bits, _mm512_set1_epi8(16));
}
static inline __attribute__((always_inline)) __m512i high_bits(__m512i bits, int i)
{
    switch (i) {
    case 0: bits = _mm512_slli_epi16(bits, 4); break;
    case 1: bits = _mm512_slli_epi16(bits, 2); break;
    case 3: bits = _mm512_srli_epi16(bits, 2); break;
    default: break;
    }
    return _mm512_and_si512(bits, _mm512_set1_epi8(48));
}

/* Integers of less than 8 bits, of k = 4 g .. 4 g + 3 of sixteen outputs. */
static inline __attribute__((always_inline)) __m512i few_bits(enum dtype t, const char *body, int g, int v)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i q = _mm512_loadu_si512(body + g % 4 * 4 * PANEL + 64 * v);
    q = _mm512_and_si512(g < 4 ? q : _mm512_srli_epi16(q, 4), low);
    if (quantised_bits(t) == 5)
        q = _mm512_or_si512(q, fifth_bit(_mm512_loadu_si512(body + NIBBLES + 64 * v), g));
    if (quantised_bits(t) == 6)
        q = _mm512_or_si512(q, high_bits(_mm512_loadu_si512(body + NIBBLES + g / 4 * (4 * PANEL) + 64 * v), g % 4));
    return q;
}

/* The groups of k < 16 (half 0), of the others (1), or all (2), each byte read once. */
static inline __attribute__((always_inline)) void dot_few_bits(enum dtype t, const struct steps *a, const char *body,
                                                               int half, const struct fetch *f, __m512i sum[][2])
{
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) {
        fetch_some(f, g, 4);
        if (half != 1)
            dot_four(a, g, few_bits(t, body, g, 0), few_bits(t, body, g, 1), sum);
        if (half != 0)
            dot_four(a, g + 4, few_bits(t, body, g + 4, 0), few_bits(t, body, g + 4, 1), sum);
    }
}

static inline __m512 f16_vector(const char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* Of sixteen outputs; part as quantised_scale has it. */
static inline __attribute__((always_inline)) __m512 scale_vector(enum dtype t, const char *block, int part, int v)
{
    __m512 d = f16_vector(block + 32 * v);
    if (!quantised_is_k(t))
        return d;
    const char *s = block + (t == DTYPE_Q6_K ? 2 * PANEL + part * PANEL : 4 * PANEL + part * SUB_SCALES) + 16 * v;
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)s);
    __m512i whole =
        t == DTYPE_Q6_K ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(_mm_and_si128(bytes, _mm_set1_epi8(63)));
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(whole));
}

static inline __attribute__((always_inline)) __m512 min_vector(enum dtype t, const char *block, int part, int v)
{
    __m512 m = f16_vector(block + 2 * PANEL + 32 * v);
    if (!quantised_is_k(t))
        return m;
    const char *s = block + 4 * PANEL + part * SUB_SCALES;
    /* two of four bits in a byte: one in each of two */
    __m128i pairs = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(s + PANEL + 8 * v)));
    __m128i low = _mm_and_si128(_mm_or_si128(pairs, _mm_slli_epi16(pairs, 4)), _mm_set1_epi8(15)),
            high = _mm_and_si128(_mm_srli_epi16(_mm_loadu_si128((const __m128i *)(const void *)(s + 16 * v)), 2),
                                 _mm_set1_epi8(48));
    return _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high))));
}

static inline __attribute__((always_inline)) void start_sums(enum dtype t, const struct steps *a, int high,
                                                             __m512i sum[][2])
{
#pragma GCC unroll 8
    for (int r = 0; r < a->m; r++)
        sum[r][0] = sum[r][1] = quantised_zero(t) ? _mm512_set1_epi32(step_of(a, r)->start[(int)q8_start_of(t) + high])
                                                  : _mm512_setzero_si512();
}

/* Sums to their floats. */
static inline __attribute__((always_inline)) void add_scaled(enum dtype t, const struct steps *a, const char *block,
                                                             int part, __m512i sum[][2], __m512 f[][2])
{
    __m512 d0 = scale_vector(t, block, part, 0), d1 = scale_vector(t, block, part, 1);
#pragma GCC unroll 8
    for (int r = 0; r < a->m; r++) {
        __m512i shift = _mm512_set1_epi32(step_of(a, r)->shift);
        f[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][0], shift)), d0, f[r][0]);
        f[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sllv_epi32(sum[r][1], shift)), d1, f[r][1]);
    }
}

/* GGUF's K types subtract their minima. */
static inline __attribute__((always_inline)) void add_minima(enum dtype t, const struct steps *a, const char *block,
                                                             int part, __m512 f[][2])
{
    __m512 m0 = min_vector(t, block, part, 0), m1 = min_vector(t, block, part, 1);
#pragma GCC unroll 8
    for (int r = 0; r < a->m; r++) {
        __m512 x = _mm512_set1_ps(step_of(a, r)->sum);
        f[r][0] = quantised_is_k(t) ? _mm512_fnmadd_ps(x, m0, f[r][0]) : _mm512_fmadd_ps(x, m0, f[r][0]);
        f[r][1] = quantised_is_k(t) ? _mm512_fnmadd_ps(x, m1, f[r][1]) : _mm512_fmadd_ps(x, m1, f[r][1]);
    }
}

/* 32 k: body `part` of a block. */
static inline __attribute__((always_inline)) void add_body(enum dtype t, const struct steps *a, const char *block,
                                                           int part, const struct fetch *fetch, __m512 f[][2])
{
    const char *body = block + quantised_head(t) + (size_t)part * quantised_body(t);
    const struct fetch nothing = {body, 0, 0};
    __m512i sum[Q8_ROWS][2];
    start_sums(t, a, 0, sum);
    if (t == DTYPE_Q6_K) {
        dot_few_bits(t, a, body, 0, fetch, sum);
        add_scaled(t, a, block, 2 * part, sum, f);
        start_sums(t, a, 1, sum);
        dot_few_bits(t, a, body, 1, &nothing, sum);
        add_scaled(t, a, block, 2 * part + 1, sum, f);
        return;
    }
    if (t == DTYPE_Q8)
        dot_bytes(a, body, fetch, sum);
    else
        dot_few_bits(t, a, body, 2, fetch, sum);
    add_scaled(t, a, block, part, sum, f);
    if (quantised_has_min(t))
        add_minima(t, a, block, part, f);
}

/* m rows by n_panel panels from the i-th on, m * n_panel <= 8. */
static inline __attribute__((always_inline)) void panels_of(enum dtype t, int m, int n_panel,
                                                            const struct product_call *c, int i)
{
    __m512 f[MAX_PANELS][Q8_ROWS][2];
    const char *w[MAX_PANELS];
    struct steps a = {m, c->a_row, (const struct q8_step *)(const void *)c->a};
    float *out = c->acc + i * PANEL;
    const int each = (int)quantised_block(t) / (quantised_span(t) / K_STEP); /* bytes of 32 k */
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
    for (int64_t b = 0; b < c->n / quantised_span(t); b++) {
        for (int part = 0; part < quantised_span(t) / K_STEP; part++, a.first++)
#pragma GCC unroll 4
            for (int p = 0; p < n_panel; p++) {
                struct fetch fetch = {ahead[p], ahead_step, 8};
                if (m <= 2) /* they wait for memory */
                    fetch = (struct fetch){w[p] + part * each + STREAM_AHEAD, 64, (each + 63) / 64};
                add_body(t, &a, w[p], part, &fetch, f[p]);
                ahead[p] += 8 * ahead_step;
            }
#pragma GCC unroll 4
        for (int p = 0; p < n_panel; p++)
            w[p] += quantised_block(t);
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
    void NAME(const struct product_call *c)                                                                  \
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

#define X(name, type) void run_vnni_##name(const struct product_call *c);
QUANTISED_TYPES(X)
#undef X

#endif
