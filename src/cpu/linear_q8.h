/* SPDX-License-Identifier: Apache-2.0 */
/* Products with quantised weights (FORM_BYTES). A row of activations is int8 with one scale for the row and a power of
 * two for each block of 32 k:
 *     x[k] ~ scale * 2^shift[b] * q[k],  |q| <= 127, shift in 0..12, scale * 2^12 = |largest of the row| / 127,
 * where a block takes the finest shift that holds its largest value. The product of output n is then
 *     f = fma(scale[b][n], (float)(2^shift[b] * sum_k q[k] w[n][k]), f)   over blocks b in order, the sum an exact
 *     32-bit integer, and of types with minima f = fma(min[b][n], (float)(2^shift[b] * sum_k q[k]), f) after each of
 *     them; Q6_K has scales for 16 k: two sums and two fmas a block,
 *     y = f * scale,
 * with the scales, minima and integers (less their zero) of cpu/quantised.h. Integer sums are exact in any order, so
 * every instruction set gives the same bits, for any number of rows and threads. Shifting the integer costs nothing
 * beside a product with a scale of the block's own: multiplications compete with the dot products for their ports. Rows
 * with a NaN or an infinity give NaN; rows whose largest is below 2^-100 count as zeros. A row is the same for all
 * types, so a product may have panels of several. */
#ifndef CPU_LINEAR_Q8_H
#define CPU_LINEAR_Q8_H

#include "cpu/linear.h"

#include <math.h>
#include <string.h>

enum { Q8_ROWS = 8, Q8_SHIFT = 12 };

/* Bytes of weights are stored plus their zero, so sums start from - zero * sum of q. Those of Q6_K are of 16 k each. */
enum q8_start { START_Q8, START_Q4_0, START_Q5_0, START_Q6_K, START_Q6_K_HIGH, START_COUNT };

/* Steps of one row lie side by side, the row's scale (f32) behind them. */
struct q8_step {
    int32_t q[K_STEP / 4]; /* four int8 each */
    int32_t start[START_COUNT];
    int32_t shift;
    float sum; /* 2^shift * sum of q */
};

static inline enum q8_start q8_start_of(enum dtype t) /* of types without minima */
{
    switch (t) {
    case DTYPE_Q4_0: return START_Q4_0;
    case DTYPE_Q5_0: return START_Q5_0;
    case DTYPE_Q6_K: return START_Q6_K;
    default: return START_Q8;
    }
}
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

/* A kernel's products by type, index: type - DTYPE_Q8. */
enum { Q8_TYPES = DTYPE_COUNT - DTYPE_Q8 };
typedef void q8_product(const struct product_call *c);

/* Panels of one type at a time. */
static inline void q8_run_types(const struct product_call *c, q8_product *const run[Q8_TYPES])
{
    struct product_call some;
    int n = 1;
    while (n < c->n_panel && c->types[n] == c->types[0])
        n++;
    if (n == c->n_panel) {
        run[c->types[0] - DTYPE_Q8](c);
        return;
    }
    some = *c;
    for (int i = 0; i < c->n_panel; i++) {
        some.n_panel = 1;
        some.panels[0] = c->panels[i];
        some.ahead[0] = c->ahead[i];
        some.acc = c->acc + i * PANEL;
        run[c->types[i] - DTYPE_Q8](&some);
    }
}

/* A kernel's run, of the functions PREFIX##name of all types. */
#define Q8_RUN_ENTRY(PREFIX, NAME, TYPE) [TYPE - DTYPE_Q8] = PREFIX##NAME,
#define Q8_RUN_TYPES(RUN, PREFIX)                                                              \
    static void RUN(const struct product_call *c)                                              \
    {                                                                                          \
        static q8_product *const run[Q8_TYPES] = {QUANTISED_TYPES_WITH(Q8_RUN_ENTRY, PREFIX)}; \
        q8_run_types(c, run);                                                                  \
    }

extern const struct product_kernel kernel_q8_generic, kernel_q8_fma, kernel_q8_avx2, kernel_q8_vnni;

#endif
