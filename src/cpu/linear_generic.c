/* SPDX-License-Identifier: Apache-2.0 */
/* The products in plain C. fmaf is one instruction where the processor has it (its bits are the same as the library's). */
#include "cpu/linear.h"

#include <math.h>

static inline __attribute__((always_inline)) void chain(float *acc, const float *x, int64_t k, const float *b)
{
    float sum[PANEL];
    for (int j = 0; j < PANEL; j++)
        sum[j] = acc[j];
    for (int64_t i = 0; i < k; i++)
        for (int j = 0; j < PANEL; j++)
            sum[j] = fmaf(x[i], b[i * PANEL + j], sum[j]);
    for (int j = 0; j < PANEL; j++)
        acc[j] = sum[j];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void chain_fma(float *acc, const float *x, int64_t k, const float *b)
{
    chain(acc, x, k, b);
}
#endif

void linear_chain_generic(float *acc, const float *x, int64_t k, const float *b)
{
#if defined(__x86_64__)
    static int fma = -1;
    int has = __atomic_load_n(&fma, __ATOMIC_RELAXED);
    if (has < 0)
        __atomic_store_n(&fma, has = isa_has_fma(), __ATOMIC_RELAXED);
    if (has) {
        chain_fma(acc, x, k, b);
        return;
    }
#endif
    chain(acc, x, k, b);
}
