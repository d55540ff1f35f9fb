/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the kernels of a queue's instruction set. AMX differs in products only. */
#include "cpu/kernels.h"
#include "cpu/kernels_names.h"

#define ISA generic
#include "cpu/kernels_table.h"
#if defined(__x86_64__)
#define ISA fma
#include "cpu/kernels_table.h"
#define ISA avx2
#include "cpu/kernels_table.h"
#define ISA avx512
#include "cpu/kernels_table.h"

/* What differs with the instruction for pairs; the rest is AVX-512's. */
#define X(type, name, parameters) type name##_kernel_avx512bf16 parameters;
PAIR_KERNELS(X)
#undef X
const struct kernels kernels_avx512bf16 = {
#define X(type, name, parameters) .name = name##_kernel_avx512,
    PLAIN_KERNELS(X)
#undef X
#define X(type, name, parameters) .name = name##_kernel_avx512bf16,
        PAIR_KERNELS(X)
#undef X
            .pair_words = 1};
#endif

const struct kernels *cpu_kernels(const struct queue *q)
{
#if defined(__x86_64__)
    enum cpu_isa isa = cpu_isa(q);
    if (isa == ISA_AVX512BF16 || isa == ISA_AMX)
        return cpu_pairs(q) == PAIRS_FMA ? &kernels_avx512 : &kernels_avx512bf16;
    if (isa == ISA_AVX512)
        return &kernels_avx512;
    if (isa == ISA_AVX2)
        return &kernels_avx2;
    return isa_has_fma() ? &kernels_fma : &kernels_generic;
#else
    (void)q;
    return &kernels_generic;
#endif
}
