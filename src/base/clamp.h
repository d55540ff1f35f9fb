/* SPDX-License-Identifier: Apache-2.0 */
/* x, but at least `low` and at most `high`; NaN stays NaN. */
#ifndef BASE_CLAMP_H
#define BASE_CLAMP_H

#include <stdint.h>

static inline int clamp_int(int x, int low, int high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}
static inline int64_t clamp_int64(int64_t x, int64_t low, int64_t high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}
static inline float clamp_f32(float x, float low, float high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}
static inline double clamp_f64(double x, double low, double high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}

#endif
