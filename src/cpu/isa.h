/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set the inner kernels use. Each level includes the ones before it on x86; neon stands alone. */
#ifndef CPU_ISA_H
#define CPU_ISA_H

#include "base/error.h"

#define CPU_ISAS(X)             \
    X(GENERIC, "generic")       \
    X(AVX2, "avx2")             \
    X(AVX512, "avx512")         \
    X(AVX512BF16, "avx512bf16") \
    X(AMX, "amx")               \
    X(NEON, "neon")
enum cpu_isa {
#define X(name, text) ISA_##name,
    CPU_ISAS(X)
#undef X
        ISA_COUNT
};

const char *isa_name(enum cpu_isa isa);
int isa_available(
    enum cpu_isa isa); /* asks the processor and the operating system; for AMX also asks for the tiles' permission */
/* `wanted` or $ISARA_ISA or the best there is. An unknown or unavailable name is an error that lists what this machine
 * has. */
int isa_choose(enum cpu_isa *out, const char *wanted, struct error *err);
/* How pairs of bf16 are multiplied where there is an instruction for it (avx512bf16, amx), with the same bits: by it
 * (dp), or by two fused multiply-adds. $ISARA_BF16, else what is faster on this processor: Intel's issue the
 * instruction at a quarter of the rate of multiply-adds, AMD's at the same. */
enum cpu_pairs { PAIRS_NONE, PAIRS_DP, PAIRS_FMA };
const char *pairs_name(enum cpu_pairs pairs); /* NULL for PAIRS_NONE */
int pairs_choose(enum cpu_pairs *out, enum cpu_isa isa, struct error *err);
/* Generic kernels on x86 may use the fused multiply-add instruction: its bits are fmaf's. */
int isa_has_fma(void);

#endif
