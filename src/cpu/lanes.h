/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen f32 lanes, the unit in which every operator of the CPU backend thinks, on whatever the file is compiled for:
 * one AVX-512 register, two AVX2 registers, or an array. Each operation rounds once per lane and means the same
 * everywhere, so code written in lanes has the same bits on every instruction set. v_max and v_min give the second
 * operand when either is NaN (x86's rule). */
#ifndef CPU_LANES_H
#define CPU_LANES_H

#include "base/dtype.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANE_FN static inline __attribute__((always_inline, unused))
/* What is long in plain C, where a vector is an array, and is called there instead of being written out at every use.
 */
#if defined(__AVX512F__) || defined(__AVX2__)
#define LANE_CALL LANE_FN
#else
#define LANE_CALL static __attribute__((noinline, unused))
#endif
enum { LANES = 16 };

#if defined(__AVX512F__)
#include "cpu/lanes_avx512.h"
#elif defined(__AVX2__)
#include "cpu/lanes_avx2.h"
#else
#include "cpu/lanes_plain.h"
#endif

/* Built from the above. */
LANE_FN vf v_load_n(const float *p, int n) /* the first n lanes; the rest zero */
{
    if (n >= LANES)
        return v_load(p);
    return v_load_mask(p, n);
}
LANE_FN void v_store_n(float *p, vf v, int n)
{
    if (n >= LANES)
        v_store(p, v);
    else
        v_store_mask(p, v, n);
}
LANE_FN vf v_load_bf16_n(const uint16_t *p, int n)
{
    if (n >= LANES)
        return v_load_bf16(p);
    uint16_t part[LANES] = {0};
    memcpy(part, p, (size_t)n * sizeof *part);
    return v_load_bf16(part);
}
LANE_FN void v_store_bf16_n(uint16_t *p, vf v, int n)
{
    uint16_t part[LANES];
    if (n >= LANES) {
        v_store_bf16(p, v);
        return;
    }
    v_store_bf16(part, v);
    memcpy(p, part, (size_t)n * sizeof *part);
}
LANE_FN vf v_zero(void)
{
    return v_set(0);
}
LANE_FN vf v_neg(vf a)
{
    return v_xor(a, v_set(-0.0f));
}
LANE_FN vf v_abs(vf a)
{
    return v_and(a, v_set_bits(0x7fffffff));
}
/* Sixteen partial sums into one number: lanes 8 apart, then 4, 2, 1. */
LANE_FN float v_fold(vf a)
{
    float x[LANES];
    v_store(x, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] += x[i + half];
    return x[0];
}
LANE_FN float v_fold_max(vf a)
{
    float x[LANES];
    v_store(x, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
    return x[0];
}
LANE_FN float v_first(vf a)
{
    float x[LANES];
    v_store(x, a);
    return x[0];
}

#endif
