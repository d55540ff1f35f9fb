/* SPDX-License-Identifier: Apache-2.0 */
/* Element types of tensors in memory, and the scalar conversions (round to nearest, ties to even; NaN stays NaN). */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* From Q8 on: weights only, whole numbers with scales, as GGUF's types of these names have them (Q8: Q8_0). */
enum dtype {
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_I32,
    DTYPE_Q8,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_COUNT
};

static inline int dtype_is_quantised(enum dtype t)
{
    return t >= DTYPE_Q8;
}
static inline size_t dtype_size(enum dtype t) /* bytes of one element; quantised types have none (0) */
{
    if (dtype_is_quantised(t))
        return 0;
    return t == DTYPE_F32 || t == DTYPE_I32 ? 4 : 2;
}
static inline const char *dtype_name(enum dtype t)
{
    static const char *const names[] = {"f32",  "bf16", "f16",  "i32",  "q8",   "q4_0",
                                        "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"};
    return names[t];
}
static inline enum dtype dtype_of_name(const char *name, enum dtype otherwise)
{
    for (int t = DTYPE_F32; t < DTYPE_COUNT; t++)
        if (!strcmp(name, dtype_name((enum dtype)t)))
            return (enum dtype)t;
    return otherwise;
}
static inline float bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    float f;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | fraction << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &bits, 4);
    return f;
}
static inline uint16_t f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) /* >= 2^16: infinity or NaN */
        return (uint16_t)(sign | (magnitude > 0x7f800000u ? 0x7e00 : 0x7c00));
    if (magnitude < 0x38800000u) { /* below 2^-14: subnormal; adding 0.5 rounds in hardware at 2^-24 */
        float a, half = 0.5f;
        memcpy(&a, &magnitude, 4);
        a += half;
        memcpy(&bits, &a, 4);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    magnitude += 0xc8000fffu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | magnitude >> 13);
}

#endif
