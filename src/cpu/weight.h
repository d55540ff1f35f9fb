/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form of a weight [N,K], the same for every instruction set: panels of 32 outputs, so that vector lanes run across outputs.
 *   F32:  [N/32][K][32]
 *   BF16: [N/32][KP/2][32][2], KP = K up to a multiple of 32: pairs of k side by side, as pair products and AMX tiles want them.
 *   Q8:   [N/32][KP/32] blocks of 32 f16 scales (one an output) and [16][32][2] integers in BF16's order, stored plus 128; a value is bf16(integer * scale), so that
 *         products are BF16's, only fewer bytes are read. Scales are |largest| / 127 of 32 k: values that came from GGUF's Q8_0 are kept exactly.
 * Outputs past N and inputs past K are zeros. */
#ifndef CPU_WEIGHT_H
#define CPU_WEIGHT_H

#include "cpu/cpu.h"

#include <string.h>

enum { PANEL = 32, K_STEP = 32, N_MOST = 256 << 10, K_MOST = 96 << 10 }; /* the most: a block of rows must fit the scratch */

enum { Q8_SCALES = PANEL * 2, Q8_BLOCK = Q8_SCALES + PANEL * K_STEP };

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
static inline const char *panel_q8(const struct weight *w, int64_t panel, int64_t k) /* k a multiple of 32 */
{
    return (const char *)w->panels->data + ((size_t)panel * (size_t)(panel_k(w) / K_STEP) + (size_t)(k / K_STEP)) * Q8_BLOCK;
}
static inline float q8_value(const char *block, int64_t k, int64_t lane)
{
    uint16_t scale;
    memcpy(&scale, block + 2 * lane, 2);
    int q = ((const uint8_t *)block)[Q8_SCALES + k / 2 * (2 * PANEL) + 2 * lane + k % 2] - 128;
    return bf16_to_f32(f32_to_bf16((float)q * f16_to_f32(scale)));
}
static inline size_t bf16_at(int64_t k, int64_t lane) /* place in a BF16 panel */
{
    return (size_t)(k / 2 * (2 * PANEL) + lane * 2 + k % 2);
}
/* out f32 [K] := row n of w. */
void weight_row(const struct weight *w, int64_t n, float *out);

#endif
