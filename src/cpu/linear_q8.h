/* SPDX-License-Identifier: Apache-2.0 */
/* Products with quantised weights (FORM_BYTES). A row of activations is int8 with one scale for the row and a power of
 * two for each block of 32 k:
 *     x[k] ~ scale * 2^shift[b] * q[k],  |q| <= 127, shift in 0..12, scale * 2^12 = |largest of the row| / 127,
 * where a block takes the finest shift that holds its largest value. The product of output n is then
 *     f = fma(d[b][n], (float)(2^shift[b] * sum_k q[k] w[n][k]), f)   over blocks b in order, the sum an exact 32-bit
 *     integer, and for Q4_1 f = fma(m[b][n], (float)(2^shift[b] * sum_k q[k]), f) after each of them,
 *     y = f * scale.
 * Integer sums are exact in any order, so every instruction set gives the same bits, for any number of rows and
 * threads. Shifting the integer costs nothing beside a product with a scale of the block's own: multiplications compete
 * with the dot products for their ports. Rows with a NaN or an infinity give NaN; rows whose largest is below 2^-100
 * count as zeros. */
#ifndef CPU_LINEAR_Q8_H
#define CPU_LINEAR_Q8_H

#include "cpu/linear.h"

#include <math.h>
#include <string.h>

enum { Q8_ROWS = 8, Q8_SHIFT = 12 };

/* Steps of one row lie side by side, the row's scale (f32) behind them. */
struct q8_step {
    int32_t q[K_STEP / 4]; /* four int8 each */
    int32_t start;         /* - zero * sum of q: bytes of weights are stored plus zero */
    int32_t shift;
    float sum; /* 2^shift * sum of q */
};

static inline size_t q8_row_bytes(int64_t k) /* k as stored, a multiple of 32 */
{
    return (size_t)(k / K_STEP) * sizeof(struct q8_step) + sizeof(float);
}
static inline float q8_scale(const char *row, int64_t k)
{
    float scale;
    memcpy(&scale, row + (size_t)(k / K_STEP) * sizeof(struct q8_step), sizeof scale);
    return scale;
}

/* Index: type - DTYPE_Q8. */
extern const struct product_kernel kernels_q8_generic[3], kernels_q8_fma[3], kernels_q8_avx2[3], kernels_q8_vnni[3];

#endif
