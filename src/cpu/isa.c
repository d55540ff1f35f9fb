/* SPDX-License-Identifier: Apache-2.0 */
/* cpuid says what the processor has, xgetbv what the operating system saves, arch_prctl lets this process use AMX
 * tiles. */
#include "cpu/isa.h"

#include "base/buf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ISA_COUNT] = {
#define X(name, text) text,
    CPU_ISAS(X)
#undef X
};

const char *isa_name(enum cpu_isa isa)
{
    return names[isa];
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static unsigned long long saved_state(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

static int bit(unsigned word, int i)
{
    return word >> i & 1;
}

static int look(enum cpu_isa isa)
{
    unsigned a1, b1, c1, d1, a7, b7, c7, d7, a71, b71, c71, d71;
    if (isa == ISA_GENERIC)
        return 1;
    if (isa == ISA_NEON || !__get_cpuid(1, &a1, &b1, &c1, &d1) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7) ||
        !__get_cpuid_count(7, 1, &a71, &b71, &c71, &d71) || !bit(c1, 27))
        return 0;
    unsigned long long state = saved_state();
    int avx2 = bit(c1, 12) && bit(c1, 28) && bit(c1, 29) && bit(b7, 5) && (state & 6) == 6;
    int avx512 = avx2 && bit(b7, 16) && bit(b7, 17) && bit(b7, 30) && bit(b7, 31) && (state & 0xe6) == 0xe6;
    int bf16 = avx512 && bit(a71, 5) && bit(c7, 11) && bit(c7, 1); /* with VNNI and VBMI */
    int amx = bf16 && bit(d7, 22) && bit(d7, 24) && bit(d7, 25) && (state >> 17 & 3) == 3;
    switch (isa) {
    case ISA_AVX2: return avx2;
    case ISA_AVX512: return avx512;
    case ISA_AVX512BF16: return bf16;
    default: return amx && !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
    }
}

/* Asked once: in a virtual machine the instruction that tells leaves it. */
int isa_available(enum cpu_isa isa)
{
    static _Atomic unsigned found;
    unsigned bits = atomic_load_explicit(&found, memory_order_relaxed);
    if (!bits) {
        bits = 1u << 31;
        for (int i = 0; i < ISA_COUNT; i++)
            bits |= look((enum cpu_isa)i) ? 1u << i : 0;
        atomic_store_explicit(&found, bits, memory_order_relaxed);
    }
    return bits >> isa & 1;
}

int isa_has_fma(void)
{
    return isa_available(ISA_AVX2);
}

static int is_intel(void)
{
    unsigned a, name[3];
    return __get_cpuid(0, &a, &name[0], &name[2], &name[1]) && !memcmp(name, "GenuineIntel", sizeof name);
}
#else
int isa_available(enum cpu_isa isa)
{
#if defined(__aarch64__)
    return isa == ISA_GENERIC || isa == ISA_NEON;
#else
    return isa == ISA_GENERIC;
#endif
}

int isa_has_fma(void)
{
    return 0;
}

static int is_intel(void)
{
    return 0;
}
#endif

static int unavailable(const char *wanted, struct error *err)
{
    struct buf have = BUF_INIT;
    for (int i = 0; i < ISA_COUNT; i++)
        if (isa_available((enum cpu_isa)i))
            buf_printf(&have, "%s%s", have.len ? ", " : "", names[i]);
    int code = error_set(err, ERROR_UNAVAILABLE, "instruction set '%s' (from --isa or ISARA_ISA): this machine has %s",
                         wanted, have.data ? have.data : "generic");
    buf_free(&have);
    return code;
}

int isa_choose(enum cpu_isa *out, const char *wanted, struct error *err)
{
    if (!wanted || !*wanted)
        wanted = getenv("ISARA_ISA");
    if (!wanted || !*wanted) {
        for (int i = ISA_COUNT - 1; i >= 0; i--)
            if (isa_available((enum cpu_isa)i)) {
                *out = (enum cpu_isa)i;
                return 0;
            }
    }
    for (int i = 0; i < ISA_COUNT; i++)
        if (wanted && !strcmp(wanted, names[i]) && isa_available((enum cpu_isa)i)) {
            *out = (enum cpu_isa)i;
            return 0;
        }
    return unavailable(wanted ? wanted : "", err);
}

const char *pairs_name(enum cpu_pairs pairs)
{
    static const char *const pairs_names[] = {NULL, "dp", "fma"};
    return pairs_names[pairs];
}

int pairs_choose(enum cpu_pairs *out, enum cpu_isa isa, struct error *err)
{
    const char *wanted = getenv("ISARA_BF16");
    *out = is_intel() ? PAIRS_FMA : PAIRS_DP;
    if (wanted && *wanted)
        *out = strcmp(wanted, "fma") ? PAIRS_DP : PAIRS_FMA;
    if (wanted && *wanted && strcmp(wanted, pairs_name(*out)))
        return error_set(err, ERROR_USAGE, "ISARA_BF16 '%s': wanted dp or fma", wanted);
    if (isa != ISA_AVX512BF16 && isa != ISA_AMX)
        *out = PAIRS_NONE;
    return 0;
}
