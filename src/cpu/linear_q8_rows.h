/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of activations to int8, compiled for each instruction set: every value rounded by one product and one addition,
 * so that the bits are the same everywhere. */
#include "cpu/linear_q8.h"

#include <string.h>

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

/* The block at k: n floats or bf16 from there, zeros behind them; in place where it is whole. */
static inline const float *block_at(const float *x, const uint16_t *h, int64_t n, int64_t k, float part[K_STEP])
{
    int64_t left = n - k;
    if (x && left >= K_STEP)
        return x + k;
    for (int64_t i = 0; left >= K_STEP && i < K_STEP; i++)
        part[i] = bf16_to_f32(h[k + i]);
    if (left >= K_STEP)
        return part;
    memset(part, 0, K_STEP * sizeof *part);
    for (int64_t i = 0; i < left; i++)
        part[i] = x ? x[k + i] : bf16_to_f32(h[k + i]);
    return part;
}

/* largest_of: |largest| as bits, whose order is that of the values; infinities and NaN are above them. round_block: the
 * sums of what each half was rounded to. */
#if defined(__AVX512BW__)
static inline uint32_t largest_of(const float *x)
{
    const __m512i all_but_sign = _mm512_set1_epi32(0x7fffffff);
    __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), all_but_sign),
            b = _mm512_and_si512(_mm512_loadu_si512(x + 16), all_but_sign);
    return _mm512_reduce_max_epu32(_mm512_max_epu32(a, b));
}

/* Both sums in one: they stand 16 bits apart, where 1.5 * 2^23, sixteen times in the one and shifted in the other, is
 * 0xb4000000. */
static inline void round_block(const float *x, float unit, int32_t *words, int sums[2])
{
    const __m512 u = _mm512_set1_ps(unit), whole = _mm512_set1_ps(0x1.8p23f);
    __m512i a = _mm512_castps_si512(_mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x), u), whole));
    __m512i b = _mm512_castps_si512(_mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x + 16), u), whole));
    _mm_storeu_si128((__m128i *)(void *)words, _mm512_cvtepi32_epi8(a));
    _mm_storeu_si128((__m128i *)(void *)(words + 4), _mm512_cvtepi32_epi8(b));
    uint32_t both = (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(a, _mm512_slli_epi32(b, 16))) - 0xb4000000u;
    sums[0] = (int16_t)both;
    sums[1] = (int)(both - (uint32_t)sums[0]) >> 16;
}
#else
static inline uint32_t largest_of(const float *x)
{
    uint32_t bits[K_STEP], most = 0;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < K_STEP; i++) {
        uint32_t b = bits[i] & 0x7fffffffu;
        most = b > most ? b : most;
    }
    return most;
}

static inline void round_block(const float *x, float unit, int32_t *words, int sums[2])
{
    float y[K_STEP];
    int32_t bits[K_STEP];
    int8_t q[K_STEP];
    sums[0] = sums[1] = 0;
    for (int i = 0; i < K_STEP; i++)
        y[i] = x[i] * unit + 0x1.8p23f;
    memcpy(bits, y, sizeof bits);
    for (int i = 0; i < K_STEP; i++)
        q[i] = (int8_t)bits[i];
    for (int i = 0; i < K_STEP; i++)
        sums[i / 16] += bits[i] - 0x4b400000;
    memcpy(words, q, sizeof q);
}
#endif

/* The most halvings of the row's unit, up to Q8_SHIFT, that a block with this largest allows. */
static inline int finer(float row_largest, uint32_t bits)
{
    float largest, ratio;
    uint32_t ratio_bits;
    memcpy(&largest, &bits, sizeof largest);
    ratio = row_largest / largest;
    memcpy(&ratio_bits, &ratio, sizeof ratio);
    int exponent = (int)(ratio_bits >> 23) - 127;
    return exponent < Q8_SHIFT ? exponent : Q8_SHIFT;
}

static void quantise(const float *x, const uint16_t *h, int64_t n, int64_t k, char *to)
{
    struct q8_step *steps = (struct q8_step *)(void *)to;
    float part[K_STEP], largest, scale;
    uint32_t most = 0;
    int64_t n_step = k / K_STEP;
    for (int64_t b = 0; b < n_step; b++) {
        uint32_t bits = largest_of(block_at(x, h, n, b * K_STEP, part));
        steps[b].shift = (int32_t)bits;
        most = bits > most ? bits : most;
    }
    memcpy(&largest, &most, sizeof largest);
    scale = largest > 0x1p-100f ? largest / 127 * (1.0f / (1 << Q8_SHIFT)) : 0;
    if (most >= 0x7f800000u)
        scale = (float)NAN;
    memcpy(&steps[n_step], &scale, sizeof scale);
    if (!(scale > 0)) {
        memset(steps, 0, (size_t)n_step * sizeof *steps);
        return;
    }
    float unit = 127 / largest;
    for (int64_t b = 0; b < n_step; b++) {
        struct q8_step *s = &steps[b];
        int halvings = finer(largest, (uint32_t)s->shift), sums[2];
        round_block(block_at(x, h, n, b * K_STEP, part), unit * (float)(1 << halvings), s->q, sums);
        int sum = sums[0] + sums[1];
        s->shift = Q8_SHIFT - halvings;
        s->start[START_Q8] = -128 * sum;
        s->start[START_Q4_0] = -8 * sum;
        s->start[START_Q5_0] = -16 * sum;
        s->start[START_Q6_K] = -32 * sums[0];
        s->start[START_Q6_K_HIGH] = -32 * sums[1];
        s->sum = (float)(sum * (1 << s->shift));
    }
}
