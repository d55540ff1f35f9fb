/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the kernels of a queue's instruction set. AMX differs in products only. */
#include "cpu/kernels.h"

const struct kernels *cpu_kernels(const struct queue *q)
{
#if defined(__x86_64__)
    enum cpu_isa isa = cpu_isa(q);
    if (isa == ISA_AVX512BF16 || isa == ISA_AMX)
        return &kernels_avx512bf16;
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
