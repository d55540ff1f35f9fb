/* SPDX-License-Identifier: Apache-2.0 */
/* The f32 kernel in plain C. Where the processor has a fused multiply-add the same source is compiled for it: fmaf's
 * bits either way. */
#define LANES_NAME lanes_generic
#include "cpu/linear_lanes.h"

#include <math.h>
#include <string.h>

static inline __attribute__((always_inline)) void chain(float *acc, const float *x, int64_t n, const float *b,
                                                        int first)
{
    float sum[PANEL];
    for (int j = 0; j < PANEL; j++)
        sum[j] = first ? 0 : acc[j];
    for (int64_t k = 0; k < n; k++)
        for (int j = 0; j < PANEL; j++)
            sum[j] = fmaf(x[k], b[k * PANEL + j], sum[j]);
    memcpy(acc, sum, sizeof sum);
}

enum { ROWS = 8 };
static inline __attribute__((always_inline)) void run_rows(const struct product_call *c)
{
    for (int i = 0; i < c->n_panel; i++)
        for (int r = 0; r < c->m; r++)
            chain(c->acc + r * c->acc_stride + i * PANEL, (const float *)(c->a + r * c->a_row) + c->begin, c->n,
                  c->panels[i], c->first);
}

static void run_product(const struct product_call *c)
{
    run_rows(c);
}
const struct product_kernel kernel_generic = {
    .lanes = &lanes_generic, .form = FORM_F32, .rows = ROWS, .run = run_product};

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void run_fma(const struct product_call *c)
{
    run_rows(c);
}
const struct product_kernel kernel_generic_fma = {
    .lanes = &lanes_generic, .form = FORM_F32, .rows = ROWS, .run = run_fma};
#endif
