/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form of a weight [N,K], the same for every instruction set: panels of 32 outputs, so that vector lanes run
 * across outputs.
 *   F32:  [N/32][K][32]
 *   BF16: [N/32][KP/2][32][2], KP = K up to a multiple of 32: pairs of k side by side, as pair products and AMX tiles
 *   want them.
 *   Q8:   [N/32][KP/32] blocks of 32 x 32: 32 f16 scales d (one an output) and [8][32][4] bytes q + 128, four k of an
 *         output side by side, as a dot product of bytes wants them. A value is d q. Quantised here, d is |largest| /
 *         127 of an output's 32 k. Q4_0, Q4_1: the same with [4][32][4] bytes that hold four bits of k in the low half
 *         and of k + 16 in the high one; 32 scales d and for Q4_1 32 f16 minima m. A value is d (q - 8), or d q + m.
 *         These, and Q8 from a file, are GGUF's numbers, only laid out anew.
 * Outputs past N and inputs past K are zeros or never read. */
#ifndef CPU_WEIGHT_H
#define CPU_WEIGHT_H

#include "cpu/cpu.h"

#include <string.h>

/* the most: a block of rows must fit the scratch (linear_product.c) */
enum { PANEL = 32, K_STEP = 32, N_MOST = 320 << 10, K_MOST = 96 << 10 };

/* One block of a quantised panel. */
static inline size_t quantised_head(enum dtype t) /* bytes of scales and minima */
{
    return t == DTYPE_Q4_1 ? 4 * PANEL : 2 * PANEL;
}
static inline size_t quantised_block(enum dtype t)
{
    return quantised_head(t) + PANEL * K_STEP / (t == DTYPE_Q8 ? 1 : 2);
}
static inline int quantised_zero(enum dtype t) /* what is stored for zero; Q4_1 has minima instead */
{
    if (t == DTYPE_Q8)
        return 128;
    return t == DTYPE_Q4_0 ? 8 : 0;
}

static inline int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}
static inline int64_t panel_k(const struct weight *w) /* K as stored */
{
    return w->dtype == DTYPE_F32 ? w->k : round_up(w->k, K_STEP);
}
static inline const float *panel_f32(const struct weight *w, int64_t panel)
{
    return (const float *)w->panels->data + (size_t)panel * PANEL * (size_t)w->k;
}
static inline const uint16_t *panel_bf16(const struct weight *w, int64_t panel)
{
    return (const uint16_t *)w->panels->data + (size_t)panel * PANEL * (size_t)panel_k(w);
}
static inline char *panel_quantised(const struct weight *w, int64_t panel,
                                    int64_t k) /* the block of k, a multiple of 32 */
{
    return (char *)w->panels->data +
           ((size_t)panel * (size_t)(panel_k(w) / K_STEP) + (size_t)(k / K_STEP)) * quantised_block(w->dtype);
}
static inline size_t bf16_at(int64_t k, int64_t lane) /* place in a BF16 panel */
{
    return (size_t)(k / 2 * (2 * PANEL) + lane * 2 + k % 2);
}
/* out f32 [K] := row n of w. */
void weight_row(const struct weight *w, int64_t n, float *out);
/* The same for a quantised weight; and row n of it := K values of `from` (Q8 only), or its row of blocks as it lies in
 * a GGUF file when `from` is w's own type. */
void quantised_row(const struct weight *w, int64_t n, float *out);
void quantised_pack(const struct weight *w, int64_t n, const void *src, enum dtype from);
static inline size_t
quantised_file_block(enum dtype t) /* GGUF: the scale, for Q4_1 the minimum, the integers of 32 k */
{
    return quantised_head(t) / PANEL + (t == DTYPE_Q8 ? K_STEP : K_STEP / 2);
}

#endif
