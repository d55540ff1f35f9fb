/* SPDX-License-Identifier: Apache-2.0 */
/* How a panel's 32 outputs lie in blocks of whole numbers; these are GGUF's numbers, only laid out anew, in as many
 * bytes. A block holds `span` k of every output: 32, or 256 of Q4_K, Q5_K and Q6_K. First its head, then for each 32 k
 * a body.
 *
 * Body: Q8: [8][32][4] bytes, four k of an output side by side, as a dot product of bytes wants them. Others: the same
 * [4][32][4] with the low four bits of k in the low half of a byte and those of k + 16 in the high one; then the rest:
 * of 5 bits [32][4] bytes with the bits of k = 4 i + j in bit i of byte j, of 6 bits [2][32][4] with two bits of
 * k = 16 h + 4 i + j at bit 2 i of byte j of half h.
 *
 * Head, d and m as f16 [32], and a value out of its stored integer q:
 *   Q8, Q4_0, Q5_0   d                                     d (q - zero)
 *   Q4_1, Q5_1       d, m                                  d q + m
 *   Q4_K, Q5_K       d, m, for each 32 k 32 bytes of s + 64 (t / 16) and 16 of t mod 16, two outputs each
 *                                                          (d s) q - (m t)
 *   Q6_K             d, [16][32] int8 s, one for 16 k      (d s) (q - zero)
 * An f16 times an integer of 8 bits is exact in f32. */
#ifndef CPU_QUANTISED_H
#define CPU_QUANTISED_H

#include "base/dtype.h"

/* X(with, name, type); QUANTISED_TYPES(X): X(name, type) */
/* clang-format off */
#define QUANTISED_TYPES_WITH(X, WITH)                                                                 \
    X(WITH, q8, DTYPE_Q8) X(WITH, q4_0, DTYPE_Q4_0) X(WITH, q4_1, DTYPE_Q4_1)                         \
    X(WITH, q5_0, DTYPE_Q5_0) X(WITH, q5_1, DTYPE_Q5_1)                                               \
    X(WITH, q4_k, DTYPE_Q4_K) X(WITH, q5_k, DTYPE_Q5_K) X(WITH, q6_k, DTYPE_Q6_K)
/* clang-format on */
#define QUANTISED_TYPE_ALONE(X, NAME, TYPE) X(NAME, TYPE)
#define QUANTISED_TYPES(X) QUANTISED_TYPES_WITH(QUANTISED_TYPE_ALONE, X)

enum { PANEL = 32, K_STEP = 32, NIBBLES = PANEL * K_STEP / 2, SUB_SCALES = PANEL * 3 / 2 };

static inline int quantised_bits(enum dtype t)
{
    switch (t) {
    case DTYPE_Q8: return 8;
    case DTYPE_Q6_K: return 6;
    case DTYPE_Q5_0:
    case DTYPE_Q5_1:
    case DTYPE_Q5_K: return 5;
    default: return 4;
    }
}
static inline int quantised_zero(enum dtype t) /* what is stored for zero; types with minima: 0 */
{
    switch (t) {
    case DTYPE_Q8: return 128;
    case DTYPE_Q4_0: return 8;
    case DTYPE_Q5_0: return 16;
    case DTYPE_Q6_K: return 32;
    default: return 0;
    }
}
static inline int quantised_has_min(enum dtype t)
{
    return quantised_zero(t) == 0;
}
static inline int quantised_is_k(enum dtype t)
{
    return t >= DTYPE_Q4_K;
}
static inline int quantised_span(enum dtype t)
{
    return quantised_is_k(t) ? 256 : K_STEP;
}
static inline size_t quantised_head(enum dtype t)
{
    if (t == DTYPE_Q6_K)
        return 2 * PANEL + 16 * PANEL;
    return (size_t)(quantised_has_min(t) ? 4 * PANEL : 2 * PANEL) + (quantised_is_k(t) ? 8 * SUB_SCALES : 0);
}
static inline size_t quantised_body(enum dtype t)
{
    return (size_t)(PANEL * K_STEP / 8 * quantised_bits(t));
}
static inline size_t quantised_block(enum dtype t)
{
    return quantised_head(t) + (size_t)(quantised_span(t) / K_STEP) * quantised_body(t);
}
static inline size_t quantised_file_block(enum dtype t) /* of GGUF: one output's share */
{
    return quantised_block(t) / PANEL;
}

/* One number at a time. i: k within a body; part: which 32 k of a block (16 for Q6_K). */
static inline int quantised_at(enum dtype t, const uint8_t *body, int i, int lane)
{
    int word = 4 * lane + i % 4;
    if (t == DTYPE_Q8)
        return body[i / 4 * (4 * PANEL) + word];
    int q = body[i % 16 / 4 * (4 * PANEL) + word] >> (i < 16 ? 0 : 4) & 15;
    if (quantised_bits(t) == 5)
        q |= (body[NIBBLES + word] >> i / 4 & 1) << 4;
    if (quantised_bits(t) == 6)
        q |= (body[NIBBLES + i / 16 * (4 * PANEL) + word] >> 2 * (i / 4 % 4) & 3) << 4;
    return q;
}
static inline float quantised_half(const char *block, int i)
{
    uint16_t h;
    memcpy(&h, block + 2 * i, 2);
    return f16_to_f32(h);
}
static inline float quantised_scale(enum dtype t, const char *block, int part, int lane)
{
    float d = quantised_half(block, lane);
    if (!quantised_is_k(t))
        return d;
    if (t == DTYPE_Q6_K)
        return d * (float)(signed char)block[2 * PANEL + part * PANEL + lane];
    return d * (float)(block[4 * PANEL + part * SUB_SCALES + lane] & 63);
}
/* What is added to every value: of types with minima. */
static inline float quantised_min(enum dtype t, const char *block, int part, int lane)
{
    float m = quantised_half(block, PANEL + lane);
    const uint8_t *s = (const uint8_t *)block + 4 * PANEL + part * SUB_SCALES;
    return quantised_is_k(t) ? -(m * (float)((s[lane] >> 6) << 4 | (s[PANEL + lane / 2] >> lane % 2 * 4 & 15))) : m;
}

#endif
