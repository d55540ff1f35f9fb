/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a product that are not sums, in lanes. The including file defines LANES_NAME. */
#include "cpu/activate.h"
#include "cpu/linear.h"

/* Sixteen columns of row r. */
static inline __attribute__((always_inline)) vf finish_one(const struct finish_call *f, int silu, int r, int at)
{
    int n = f->n - at;
    vf v = v_load(f->acc + r * ACC_STRIDE + at);
    if (f->bias)
        v = v_add(v, v_load_n(f->bias + at, n));
    if (f->up || f->activate)
        v = silu ? v_silu(v) : activate_any(f->act, v);
    if (f->up) {
        vf u = v_load(f->up + r * ACC_STRIDE + at);
        if (f->bias_up)
            u = v_add(u, v_load_n(f->bias_up + at, n));
        v = v_mul(v, u);
    }
    return f->residual ? v_add(v, v_load_n(f->residual + r * f->residual_stride + at, n)) : v;
}

static inline __attribute__((always_inline)) void finish_as(const struct finish_call *f, int silu)
{
    for (int r = 0; r < f->m; r++)
        for (int at = 0; at < f->n; at += LANES) {
            vf v = finish_one(f, silu, r, at);
            if (f->y)
                v_store_n(f->y + r * f->y_stride + at, v, f->n - at);
            else
                v_store_bf16_n(f->y_bf16 + r * f->y_stride + at, v, f->n - at);
        }
}
static void finish(const struct finish_call *f)
{
    if (f->act == ACT_SILU)
        finish_as(f, 1);
    else
        finish_as(f, 0);
}

static void expand(const uint32_t *pairs, int64_t n, float *out)
{
    uint32_t *bits = (uint32_t *)out;
    for (int64_t i = 0; i < n; i += PANEL) {
        for (int j = 0; j < PANEL; j++)
            bits[2 * i + j] = pairs[i + j] << 16;
        for (int j = 0; j < PANEL; j++)
            bits[2 * i + PANEL + j] = pairs[i + j] & 0xffff0000u;
    }
}

static void to_bf16(const float *x, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i += LANES)
        v_store_bf16_n(out + i, v_load_n(x + i, n - i < LANES ? (int)(n - i) : LANES),
                       n - i < LANES ? (int)(n - i) : LANES);
}

static void from_bf16(const uint16_t *x, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(out + i, v_load_bf16(x + i));
    if (i < n)
        v_store_n(out + i, v_load_bf16_n(x + i, (int)(n - i)), (int)(n - i));
}

static void round_row(const float *x, int64_t n, float *out)
{
    uint16_t half[LANES] = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        int count = n - i < LANES ? (int)(n - i) : LANES;
        v_store_bf16(half, v_load_n(x + i, count));
        v_store_n(out + i, v_load_bf16(half), count);
    }
}

/* PANEL words of two rows of bf16, the second may be NULL; copies let the compiler use vectors. */
static void pair_bf16(const uint16_t *low, const uint16_t *high, uint32_t *out)
{
    uint16_t a[PANEL], b[PANEL] = {0};
    uint32_t words[PANEL];
    memcpy(a, low, sizeof a);
    if (high)
        memcpy(b, high, sizeof b);
    for (int i = 0; i < PANEL; i++)
        words[i] = a[i] | (uint32_t)b[i] << 16;
    memcpy(out, words, sizeof words);
}

#include "cpu/linear_values.h"

/* No value is a NaN. */
static void round_values(const float *x, uint32_t *out)
{
    for (int k = 0; k < K_STEP; k += 2) {
        uint32_t low[PANEL], high[PANEL], words[PANEL];
        memcpy(low, x + k * PANEL, sizeof low);
        memcpy(high, x + (k + 1) * PANEL, sizeof high);
        for (int j = 0; j < PANEL; j++)
            words[j] = (low[j] + 0x7fffu + (low[j] >> 16 & 1)) >> 16 |
                       ((high[j] + 0x7fffu + (high[j] >> 16 & 1)) & 0xffff0000u);
        memcpy(out + k / 2 * PANEL, words, sizeof words);
    }
}

#if defined(__AVX512F__)
#include "cpu/linear_transpose_avx512.h"
#else
static void transpose(const float *x, int64_t stride, int n_row, int n_col, float *out, int64_t out_stride)
{
    for (int c = 0; c < n_col; c++)
        for (int r = 0; r < 16; r++)
            out[c * out_stride + r] = r < n_row ? x[r * stride + c] : 0;
}

static void transpose_pairs(const uint32_t *x, uint32_t *out)
{
    for (int n = 0; n < 32; n += 2)
        for (int k = 0; k < 16; k++) {
            uint32_t even = x[k * PANEL + n], odd = x[k * PANEL + n + 1];
            out[n / 2 * PANEL + 2 * k] = (even & 0xffff) | odd << 16;
            out[n / 2 * PANEL + 2 * k + 1] = even >> 16 | (odd & 0xffff0000u);
        }
}

static void pack(const float *x, int64_t stride, int n_k, uint32_t *out, const struct pack_noise *noise)
{
    for (int r = 0; r < 16; r++)
        for (int i = 0; i < 16; i++) {
            float low = 2 * i < n_k ? x[r * stride + 2 * i] : 0, high = 2 * i + 1 < n_k ? x[r * stride + 2 * i + 1] : 0;
            uint32_t bits = noise ? noise_of(noise->key, noise->first + (uint32_t)r * noise->apart + (uint32_t)i) : 0;
            out[i * PANEL + r] = noise ? bf16_at_random(low, bits & 0xffff) | (uint32_t)bf16_at_random(high, bits >> 16)
                                                                                  << 16
                                       : f32_to_bf16(low) | (uint32_t)f32_to_bf16(high) << 16;
        }
}

static void pair_columns(const float *x, int64_t stride, int n_row, int n_col, uint32_t *out, int64_t out_stride)
{
    for (int c = 0; c < n_col; c++)
        for (int i = 0; i < 16; i++) {
            uint32_t low = 2 * i < n_row ? f32_to_bf16(x[2 * i * stride + c]) : 0,
                     high = 2 * i + 1 < n_row ? f32_to_bf16(x[(2 * i + 1) * stride + c]) : 0;
            out[c * out_stride + i] = low | high << 16;
        }
}

static void pair(const float *low, const float *high, int n, uint32_t *out)
{
    for (int i = 0; i < 16; i++)
        out[i] = (low && i < n ? f32_to_bf16(low[i]) : 0u) | (uint32_t)(high && i < n ? f32_to_bf16(high[i]) : 0) << 16;
}
#endif

const struct linear_lanes LANES_NAME = {.finish = finish,
                                        .expand = expand,
                                        .round = round_row,
                                        .to_bf16 = to_bf16,
                                        .from_bf16 = from_bf16,
                                        .transpose = transpose,
                                        .pack = pack,
                                        .transpose_pairs = transpose_pairs,
                                        .pair = pair,
                                        .values = values,
                                        .round_values = round_values,
                                        .pair_columns = pair_columns,
                                        .pair_bf16 = pair_bf16};
