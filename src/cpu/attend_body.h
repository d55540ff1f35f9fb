/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's two products. Scores put lanes across keys (one chain over the head's elements for each), values put
 * lanes across the head's elements (one chain over keys in order for each), so that neither ever sums across lanes.
 * Both hold a block of rows in registers while a key or value vector passes by; the block sizes are what the registers
 * hold and change no bits. The including file defines PAIRS, 1 for a cache in bf16. */
#ifndef CPU_ATTEND_BODY_H
#define CPU_ATTEND_BODY_H

#include "cpu/kernels_unit.h"

/* With PAIRS a chain's element is a word of two products, (sum + x[1] y[1]) + x[0] y[0], each fused: the order in which
 * the instruction for pairs does it, so that it changes no bits (but for numbers below the normal ones, which it takes
 * for zeros). With the instruction x is a word as y is; without it a pair takes two steps, the second half first, and x
 * is f32. */
#if PAIRS && !defined(__AVX512BF16__)
enum { STEPS = 2 };
LANE_FN vf step_of(vf y, int step)
{
    return step ? v_and(y, v_set_bits(0xffff0000u)) : v_shift_16(y);
}
#else
enum { STEPS = 1 };
LANE_FN vf step_of(vf y, int step)
{
    (void)step;
    return y;
}
#endif
LANE_FN vf multiply_add(vf x, vf y, vf sum)
{
#if PAIRS && defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
#else
    return v_fma(x, y, sum);
#endif
}

/* A share of what comes next for each of `turns` turns of a loop. */
LANE_FN size_t share_of(const struct ahead *a, int turns)
{
    return a->bytes ? (a->bytes / 64 + (size_t)turns - 1) / (size_t)turns * 64 : 0;
}
LANE_FN const char *ask(const char *at, size_t share)
{
    for (size_t i = 0; i < share; i += 64)
        __builtin_prefetch(at + i, 0, 2); /* into the second cache: into the first one it gains nothing */
    return at + share;
}

#endif
