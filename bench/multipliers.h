/* SPDX-License-Identifier: Apache-2.0 */
/* What one core's multipliers can do at all, from registers only: loops of n turns of ten instructions; constants say
 * the operations of a turn. Ask first whether the processor has the instruction. */
#ifndef BENCH_MULTIPLIERS_H
#define BENCH_MULTIPLIERS_H

enum { MULTIPLY_F32 = 10 * 32, MULTIPLY_BF16 = 10 * 64, MULTIPLY_Q8 = 10 * 128 };

#if defined(__x86_64__)
#define TEN(op)                                                                                       \
    op " %10,%11,%0\n" op " %10,%11,%1\n" op " %10,%11,%2\n" op " %10,%11,%3\n" op " %10,%11,%4\n" op \
       " %10,%11,%5\n" op " %10,%11,%6\n" op " %10,%11,%7\n" op " %10,%11,%8\n" op " %10,%11,%9\n"
typedef float wide __attribute__((vector_size(64)));
#define LOOP(name, op, isa, has)                                                                                   \
    __attribute__((target(isa))) static inline double name(int n)                                                  \
    {                                                                                                              \
        wide v[10] = {{0}}, x = {0}, y = {0};                                                                      \
        for (; n > 0; n--)                                                                                         \
            __asm__ volatile(TEN(op)                                                                               \
                             : "+v"(v[0]), "+v"(v[1]), "+v"(v[2]), "+v"(v[3]), "+v"(v[4]), "+v"(v[5]), "+v"(v[6]), \
                               "+v"(v[7]), "+v"(v[8]), "+v"(v[9])                                                  \
                             : "v"(x), "v"(y));                                                                    \
        return (double)v[0][0];                                                                                    \
    }                                                                                                              \
    static inline int has(void)
LOOP(multiply_f32, "vfmadd231ps", "avx512f", multiplies_f32)
{
    return !!__builtin_cpu_supports("avx512f");
}
LOOP(multiply_bf16, "vdpbf16ps", "avx512f,avx512bf16", multiplies_bf16)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
}
LOOP(multiply_q8, "vpdpbusd", "avx512f,avx512vnni", multiplies_q8)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
}
#undef LOOP
#undef TEN
#else
static inline double multiply_f32(int n)
{
    return n;
}
static inline double multiply_bf16(int n)
{
    return n;
}
static inline double multiply_q8(int n)
{
    return n;
}
static inline int multiplies_f32(void)
{
    return 0;
}
static inline int multiplies_bf16(void)
{
    return 0;
}
static inline int multiplies_q8(void)
{
    return 0;
}
#endif

#endif
