/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form of a weight [N,K], the same for every instruction set: panels of 32 outputs, so that vector lanes run
 * across outputs.
 *   F32:  [N/32][K][32]
 *   BF16: [N/32][KP/2][32][2], KP = K up to a multiple of 32: pairs of k side by side, as pair products and AMX tiles
 *   want them.
 *   Quantised: [N/32][KP/span] blocks, as cpu/quantised.h has them; one range of rows after the other where they differ
 *   in type. Q8 that is quantised here has d = |largest| / 127 of an output's 32 k.
 * Outputs past N and inputs past K are zeros or never read. */
#ifndef CPU_WEIGHT_H
#define CPU_WEIGHT_H

#include "cpu/cpu.h"
#include "cpu/quantised.h"

/* the most: a block of rows must fit the scratch (linear_product.c) */
enum { N_MOST = 320 << 10, K_MOST = 96 << 10 };
_Static_assert((int)PANEL == (int)WEIGHT_ROWS, "ranges of rows are whole panels");

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
static inline enum dtype panel_dtype(const struct weight *w, int64_t panel)
{
    return w->n_range > 1 ? weight_row_dtype(w, panel * PANEL) : w->dtype;
}
static inline size_t quantised_panel_bytes(const struct weight *w, enum dtype t)
{
    return (size_t)(panel_k(w) / quantised_span(t)) * quantised_block(t);
}
/* The block that holds k, a multiple of 32. */
static inline char *panel_quantised(const struct weight *w, int64_t panel, int64_t k)
{
    int i = 0;
    while (i + 1 < w->n_range && panel * PANEL >= w->ranges[i].end)
        i++;
    enum dtype t = w->ranges[i].dtype;
    int64_t first = i ? w->ranges[i - 1].end / PANEL : 0;
    return (char *)w->panels->data + w->ranges[i].at + (size_t)(panel - first) * quantised_panel_bytes(w, t) +
           (size_t)(k / quantised_span(t)) * quantised_block(t);
}
static inline size_t bf16_at(int64_t k, int64_t lane) /* place in a BF16 panel */
{
    return (size_t)(k / 2 * (2 * PANEL) + lane * 2 + k % 2);
}
/* out f32 [K] := row n of w. */
void weight_row(const struct weight *w, int64_t n, float *out);
/* Quantised weights. A row, in the values that GGUF's own conversion gives; row n := K floats or bf16 (Q8 only); n_row
 * rows of one panel := rows of blocks of their type as they lie in a GGUF file. */
void quantised_row(const struct weight *w, int64_t n, float *out);
void quantised_pack(const struct weight *w, int64_t n, const void *src, enum dtype from);
void quantised_take(const struct weight *w, int64_t row, int64_t n_row, const void *src);

#endif
