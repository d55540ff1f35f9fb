/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of eight bits as 16-bit pairs: the even and the odd bytes of a word apart, so that products of 255 * 127 do
 * not saturate (vpmaddubsw's would). Those of fewer bits never do: of four bits even the pairs of a whole block, 15 *
 * 127 * 16, are added in 16 bits. */
#include "cpu/linear_q8_rows.h"

#include <immintrin.h>

enum { VECTORS = PANEL / 8 };

static inline __m256i load(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Four k at a time of the row with 32 outputs. */
static inline __attribute__((always_inline)) void dot_bytes(const struct q8_step *a, const char *body,
                                                            __m256i sum[VECTORS])
{
#pragma GCC unroll 8
    for (int g = 0; g < K_STEP / 4; g++) {
        __m256i x = _mm256_set1_epi32(a->q[g]), odd = _mm256_srai_epi16(x, 8),
                even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            __m256i bytes = load(body + g * (4 * PANEL) + 32 * v),
                    low = _mm256_madd_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(255)), even),
                    high = _mm256_madd_epi16(_mm256_srli_epi16(bytes, 8), odd);
            sum[v] = _mm256_add_epi32(sum[v], _mm256_add_epi32(low, high));
        }
    }
}

/* Integers of k = 4 g .. 4 g + 3 of eight outputs, less than 8 bits. */
static inline __attribute__((always_inline)) __m256i few_bits(enum dtype t, const char *body, int g, int v)
{
    __m256i q = load(body + g % 4 * (4 * PANEL) + 32 * v);
    q = _mm256_and_si256(g < 4 ? q : _mm256_srli_epi16(q, 4), _mm256_set1_epi8(15));
    if (quantised_bits(t) == 5) {
        __m256i high = load(body + NIBBLES + 32 * v);
        high = g <= 4 ? _mm256_slli_epi16(high, (4 - g) & 15) : _mm256_srli_epi16(high, (g - 4) & 15);
        q = _mm256_or_si256(q, _mm256_and_si256(high, _mm256_set1_epi8(16)));
    }
    if (quantised_bits(t) == 6) {
        __m256i high = load(body + NIBBLES + g / 4 * (4 * PANEL) + 32 * v);
        high = g % 4 < 3 ? _mm256_slli_epi16(high, (4 - 2 * (g % 4)) & 15) : _mm256_srli_epi16(high, 2);
        q = _mm256_or_si256(q, _mm256_and_si256(high, _mm256_set1_epi8(48)));
    }
    return q;
}

/* Groups of four k from first to last: as many at once as 16 bits hold. */
static inline __attribute__((always_inline)) void dot_few_bits(enum dtype t, const struct q8_step *a, const char *body,
                                                               int first, int last, __m256i sum[VECTORS])
{
    int at_once = 8 >> (quantised_bits(t) - 4);
#pragma GCC unroll 4
    for (int g = first; g < last; g += at_once)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 8
            for (int i = g; i < g + at_once; i++)
                pairs =
                    _mm256_add_epi16(pairs, _mm256_maddubs_epi16(few_bits(t, body, i, v), _mm256_set1_epi32(a->q[i])));
            sum[v] = _mm256_add_epi32(sum[v], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
}

static inline __m256 f16_vector(const char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Of eight outputs; part as quantised_scale has it. */
static inline __attribute__((always_inline)) __m256 scale_vector(enum dtype t, const char *block, int part, int v)
{
    __m256 d = f16_vector(block + 16 * v);
    if (!quantised_is_k(t))
        return d;
    const char *s = block + (t == DTYPE_Q6_K ? 2 * PANEL + part * PANEL : 4 * PANEL + part * SUB_SCALES) + 8 * v;
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)s);
    __m256i whole =
        t == DTYPE_Q6_K ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(_mm_and_si128(bytes, _mm_set1_epi8(63)));
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(whole));
}

static inline __attribute__((always_inline)) __m256 min_vector(enum dtype t, const char *block, int part, int v)
{
    __m256 m = f16_vector(block + 2 * PANEL + 16 * v);
    if (!quantised_is_k(t))
        return m;
    const char *s = block + 4 * PANEL + part * SUB_SCALES;
    int32_t four;
    memcpy(&four, s + PANEL + 4 * v, 4);
    __m128i pairs = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)); /* two of four bits in a byte: one in each of two */
    __m128i low = _mm_and_si128(_mm_or_si128(pairs, _mm_slli_epi16(pairs, 4)), _mm_set1_epi8(15)),
            high = _mm_and_si128(_mm_srli_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(s + 8 * v)), 2),
                                 _mm_set1_epi8(48));
    __m256 whole = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_or_si128(low, high)));
    return _mm256_xor_ps(_mm256_mul_ps(m, whole), _mm256_set1_ps(-0.0f));
}

static inline __attribute__((always_inline)) void add_scaled(enum dtype t, const struct q8_step *a, const char *block,
                                                             int part, const __m256i sum[VECTORS], __m256 f[VECTORS])
{
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        f[v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_sllv_epi32(sum[v], _mm256_set1_epi32(a->shift))),
                               scale_vector(t, block, part, v), f[v]);
}

static inline __attribute__((always_inline)) void start_sums(int32_t start, __m256i sum[VECTORS])
{
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        sum[v] = _mm256_set1_epi32(start);
}

/* 32 k: body `part` of a block. */
static inline __attribute__((always_inline)) void add_body(enum dtype t, const struct q8_step *a, const char *block,
                                                           int part, __m256 f[VECTORS])
{
    const char *body = block + quantised_head(t) + (size_t)part * quantised_body(t);
    __m256i sum[VECTORS];
    start_sums(quantised_zero(t) ? a->start[q8_start_of(t)] : 0, sum);
    if (t == DTYPE_Q6_K) {
        dot_few_bits(t, a, body, 0, 4, sum);
        add_scaled(t, a, block, 2 * part, sum, f);
        start_sums(a->start[START_Q6_K_HIGH], sum);
        dot_few_bits(t, a, body, 4, 8, sum);
        add_scaled(t, a, block, 2 * part + 1, sum, f);
        return;
    }
    if (t == DTYPE_Q8)
        dot_bytes(a, body, sum);
    else
        dot_few_bits(t, a, body, 0, 8, sum);
    add_scaled(t, a, block, part, sum, f);
    if (!quantised_has_min(t))
        return;
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        f[v] = _mm256_fmadd_ps(_mm256_set1_ps(a->sum), min_vector(t, block, part, v), f[v]);
}

static inline __attribute__((always_inline)) void row_of(enum dtype t, const char *row, int64_t k, const char *block,
                                                         float *out)
{
    const struct q8_step *a = (const struct q8_step *)(const void *)row;
    __m256 f[VECTORS], scale = _mm256_set1_ps(q8_scale(row, k));
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        f[v] = _mm256_setzero_ps();
    for (int64_t b = 0; b < k / quantised_span(t); b++, block += quantised_block(t))
        for (int part = 0; part < quantised_span(t) / K_STEP; part++)
            add_body(t, a++, block, part, f);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        _mm256_storeu_ps(out + 8 * v, _mm256_mul_ps(f[v], scale));
}

#define PRODUCT(NAME, TYPE)                                                                                    \
    static void run_##NAME(const struct product_call *c)                                                       \
    {                                                                                                          \
        for (int i = 0; i < c->n_panel; i++)                                                                   \
            for (int r = 0; r < c->m; r++)                                                                     \
                row_of(TYPE, c->a + r * c->a_row, c->n, c->panels[i], c->acc + r * c->acc_stride + i * PANEL); \
    }
QUANTISED_TYPES(PRODUCT)

Q8_RUN_TYPES(run_types, run_)

const struct product_kernel kernel_q8_avx2 = {
    .lanes = &lanes_avx2, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_types, .quantise = quantise};
