/* SPDX-License-Identifier: Apache-2.0 */
/* In plain C. Where the processor has a fused multiply-add the same source is compiled for it. */
#include "cpu/linear_q8_rows.h"

/* Sums of k 0 to 15 and of 16 to 31. */
static inline __attribute__((always_inline)) void dot_body(enum dtype t, const struct q8_step *a, const uint8_t *body,
                                                           int32_t sums[2][PANEL])
{
    int8_t q[K_STEP];
    memcpy(q, a->q, sizeof q);
    for (int j = 0; j < PANEL; j++) {
        sums[0][j] = quantised_zero(t) ? a->start[q8_start_of(t)] : 0;
        sums[1][j] = t == DTYPE_Q6_K ? a->start[START_Q6_K_HIGH] : 0;
    }
    for (int k = 0; k < K_STEP; k++)
        for (int j = 0; j < PANEL; j++)
            sums[k / 16][j] += quantised_at(t, body, k, j) * q[k];
}

static inline __attribute__((always_inline)) void add_scaled(const float *scale, const int32_t *sums, int shift,
                                                             float *f)
{
    for (int j = 0; j < PANEL; j++)
        f[j] = fmaf((float)(sums[j] * (1 << shift)), scale[j], f[j]);
}

/* 32 k: body `part` of a block. */
static inline __attribute__((always_inline)) void add_body(enum dtype t, const struct q8_step *a, const char *block,
                                                           int part, float *f)
{
    int32_t sums[2][PANEL];
    float scale[2][PANEL];
    dot_body(t, a, (const uint8_t *)block + quantised_head(t) + (size_t)part * quantised_body(t), sums);
    for (int j = 0; j < PANEL; j++) {
        scale[0][j] = quantised_scale(t, block, t == DTYPE_Q6_K ? 2 * part : part, j);
        if (t == DTYPE_Q6_K)
            scale[1][j] = quantised_scale(t, block, 2 * part + 1, j);
        else
            sums[0][j] += sums[1][j];
    }
    add_scaled(scale[0], sums[0], a->shift, f);
    if (t == DTYPE_Q6_K)
        add_scaled(scale[1], sums[1], a->shift, f);
    for (int j = 0; quantised_has_min(t) && j < PANEL; j++)
        f[j] = fmaf(a->sum, quantised_min(t, block, part, j), f[j]);
}

static inline __attribute__((always_inline)) void row_of(enum dtype t, const char *row, int64_t k, const char *block,
                                                         float *out)
{
    const struct q8_step *a = (const struct q8_step *)(const void *)row;
    float f[PANEL] = {0}, scale = q8_scale(row, k);
    for (int64_t b = 0; b < k / quantised_span(t); b++, block += quantised_block(t))
        for (int part = 0; part < quantised_span(t) / K_STEP; part++)
            add_body(t, a++, block, part, f);
    for (int j = 0; j < PANEL; j++)
        out[j] = f[j] * scale;
}

static inline __attribute__((always_inline)) void run_product(enum dtype t, const struct product_call *c)
{
    for (int i = 0; i < c->n_panel; i++)
        for (int r = 0; r < c->m; r++)
            row_of(t, c->a + r * c->a_row, c->n, c->panels[i], c->acc + r * c->acc_stride + i * PANEL);
}

#define PRODUCT(NAME, TYPE)                              \
    static void run_##NAME(const struct product_call *c) \
    {                                                    \
        run_product(TYPE, c);                            \
    }
QUANTISED_TYPES(PRODUCT)

Q8_RUN_TYPES(run_types, run_)

#if defined(__aarch64__)
#define LANES_HERE lanes_neon
#else
#define LANES_HERE lanes_generic
#endif
const struct product_kernel kernel_q8_generic = {
    .lanes = &LANES_HERE, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_types, .quantise = quantise};

#if defined(__x86_64__)
#define FMA_PRODUCT(NAME, TYPE)                                                                  \
    __attribute__((target("avx2,fma"))) static void run_fma_##NAME(const struct product_call *c) \
    {                                                                                            \
        run_product(TYPE, c);                                                                    \
    }
QUANTISED_TYPES(FMA_PRODUCT)

Q8_RUN_TYPES(run_fma_types, run_fma_)

const struct product_kernel kernel_q8_fma = {
    .lanes = &lanes_generic, .form = FORM_BYTES, .rows = Q8_ROWS, .run = run_fma_types, .quantise = quantise};
#endif
