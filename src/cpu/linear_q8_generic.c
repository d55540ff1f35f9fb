/* SPDX-License-Identifier: Apache-2.0 */
/* In plain C. Where the processor has a fused multiply-add the same source is compiled for it. */
#include "cpu/linear_q8_rows.h"

static inline __attribute__((always_inline)) void dot_block(enum dtype t, const struct q8_step *a, const char *block,
                                                            int32_t *sums)
{
    const uint8_t *w = (const uint8_t *)block + quantised_head(t);
    int8_t q[K_STEP];
    memcpy(q, a->q, sizeof q);
    for (int j = 0; j < PANEL; j++)
        sums[j] = a->start;
    for (int k = 0; k < (t == DTYPE_Q8 ? K_STEP : K_STEP / 2); k++)
        for (int j = 0; j < PANEL; j++) {
            int byte = w[k / 4 * (4 * PANEL) + 4 * j + k % 4];
            sums[j] += t == DTYPE_Q8 ? byte * q[k] : (byte & 15) * q[k] + (byte >> 4) * q[k + 16];
        }
}

static inline __attribute__((always_inline)) void row_of(enum dtype t, const char *row, int64_t k, const char *w,
                                                         float *out)
{
    const struct q8_step *a = (const struct q8_step *)(const void *)row;
    int32_t sums[PANEL];
    uint16_t d[PANEL], m[PANEL];
    float f[PANEL] = {0}, scale = q8_scale(row, k);
    for (int64_t b = 0; b < k / K_STEP; b++, a++, w += quantised_block(t)) {
        dot_block(t, a, w, sums);
        memcpy(d, w, sizeof d);
        for (int j = 0; j < PANEL; j++)
            f[j] = fmaf((float)(sums[j] * (1 << a->shift)), f16_to_f32(d[j]), f[j]);
        if (t != DTYPE_Q4_1)
            continue;
        memcpy(m, w + sizeof d, sizeof m);
        for (int j = 0; j < PANEL; j++)
            f[j] = fmaf(a->sum, f16_to_f32(m[j]), f[j]);
    }
    for (int j = 0; j < PANEL; j++)
        out[j] = f[j] * scale;
}

static inline __attribute__((always_inline)) void run_product(enum dtype t, const struct product_call *c)
{
    for (int i = 0; i < c->n_panel; i++)
        for (int r = 0; r < c->m; r++)
            row_of(t, c->a + r * c->a_row, c->n, c->panels[i], c->acc + r * c->acc_stride + i * PANEL);
}

#define KERNEL(NAME, TARGET, TYPE)                        \
    TARGET static void NAME(const struct product_call *c) \
    {                                                     \
        run_product(TYPE, c);                             \
    }
KERNEL(run_q8, , DTYPE_Q8)
KERNEL(run_q4_0, , DTYPE_Q4_0)
KERNEL(run_q4_1, , DTYPE_Q4_1)

#define TABLE(LANES_OF, PREFIX)                                                                                        \
    {                                                                                                                  \
        {.lanes = &LANES_OF, .form = FORM_BYTES, .rows = Q8_ROWS, .run = PREFIX##q8, .quantise = quantise_q8},         \
            {.lanes = &LANES_OF, .form = FORM_BYTES, .rows = Q8_ROWS, .run = PREFIX##q4_0, .quantise = quantise_q4_0}, \
        {                                                                                                              \
            .lanes = &LANES_OF, .form = FORM_BYTES, .rows = Q8_ROWS, .run = PREFIX##q4_1, .quantise = quantise_q4_1    \
        }                                                                                                              \
    }
#if defined(__aarch64__)
const struct product_kernel kernels_q8_generic[3] = TABLE(lanes_neon, run_);
#else
const struct product_kernel kernels_q8_generic[3] = TABLE(lanes_generic, run_);
#endif

#if defined(__x86_64__)
#define FMA __attribute__((target("avx2,fma")))
KERNEL(fma_q8, FMA, DTYPE_Q8)
KERNEL(fma_q4_0, FMA, DTYPE_Q4_0)
KERNEL(fma_q4_1, FMA, DTYPE_Q4_1) const struct product_kernel kernels_q8_fma[3] = TABLE(lanes_generic, fma_);
#endif
