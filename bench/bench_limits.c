/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine allows, on all its cores at once: multiply-adds from registers (f32 FMA, bf16 vdpbf16ps, int8
 * vpdpbusd), reading memory and copying it. Prints one JSON line, {"f32": GFLOP/s, "bf16_dp": ..., "q8": GOP/s, "read":
 * GB/s, "copy": GB/s read and written, "bf16": GFLOP/s, "there_and_back": ns}; 0 where the instruction is missing.
 * "bf16" is what products of bf16 can reach: by vdpbf16ps, or where FMA does more, as two of them. The last is how long
 * a cache line takes from one thread to another and back: virtual machines are moved between cores that share a cache
 * and cores that do not, which changes what two threads are worth. With any argument it measures again for each line of
 * standard input. Usage: bench_limits [-] */
#include "base/clock.h"
#include "base/mem.h"
#include "bench/multipliers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_THREAD = 64, ROUNDS = 5, N = 1500000, READ_BYTES = 256 << 20 };
enum kind { F32, BF16, Q8, READ, COPY, KINDS };

struct part {
    pthread_t thread;
    enum kind kind;
    char *memory;
    double sum;
};

static int supported(enum kind kind)
{
    switch (kind) {
    case F32: return multiplies_f32();
    case BF16: return multiplies_bf16();
    case Q8: return multiplies_q8();
    default: return 1;
    }
}

static double loop_read(const char *memory)
{
    const unsigned long *at = (const unsigned long *)(const void *)memory;
    unsigned long a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < READ_BYTES / sizeof *at; i += 32) { /* a line of 64 bytes is read when any word of it is */
        a += at[i];
        b += at[i + 8];
        c += at[i + 16];
        d += at[i + 24];
    }
    return (double)(a + b + c + d);
}

/* Past the caches, as the C library copies what is large. */
static double loop_copy(char *memory)
{
    memcpy(memory, memory + READ_BYTES / 2, READ_BYTES / 2);
    return memory[0];
}

static double measured_loop(const struct part *p)
{
    switch (p->kind) {
    case F32: return multiply_f32(N);
    case BF16: return multiply_bf16(N);
    case Q8: return multiply_q8(N);
    case READ: return loop_read(p->memory);
    default: return loop_copy(p->memory);
    }
}

static void *work(void *argument)
{
    struct part *p = argument;
    p->sum = measured_loop(p);
    return NULL;
}

/* The best of some rounds, in 1e9 a second. */
static double measure(enum kind kind, struct part *parts, int n)
{
    static const double amounts[KINDS] = {(double)MULTIPLY_F32 * N, (double)MULTIPLY_BF16 * N, (double)MULTIPLY_Q8 * N,
                                          READ_BYTES, READ_BYTES};
    double best = 0;
    for (int round = 0; supported(kind) && round < ROUNDS; round++) {
        double start = clock_now();
        for (int i = 0; i < n; i++) {
            parts[i].kind = kind;
            if (pthread_create(&parts[i].thread, NULL, work, &parts[i]))
                return 0;
        }
        for (int i = 0; i < n; i++)
            pthread_join(parts[i].thread, NULL);
        double rate = amounts[kind] * n / (clock_now() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

enum { TURNS = 100000 };
static atomic_int turn;

static void *answer(void *argument)
{
    for (int i = 0; i < TURNS; i++) {
        while (!atomic_load(&turn)) {
        }
        atomic_store(&turn, 0);
    }
    return argument;
}

static double there_and_back(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, answer, NULL))
        return 0;
    double start = clock_now();
    for (int i = 0; i < TURNS; i++) {
        atomic_store(&turn, 1);
        while (atomic_load(&turn)) {
        }
    }
    double seconds = clock_now() - start;
    pthread_join(other, NULL);
    return seconds / TURNS * 1e9;
}

int main(int argc, char **argv)
{
    static const char *const names[KINDS] = {"f32", "bf16_dp", "q8", "read", "copy"};
    static struct part parts[MOST_THREAD];
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    char line[64];
    (void)argv;
    n = n > MOST_THREAD ? MOST_THREAD : n;
    for (int i = 0; i < n; i++) {
        char *memory = mem_slab(READ_BYTES);
        if (!memory)
            return 1;
        for (size_t k = 0; k < READ_BYTES; k += 4096)
            memory[k] = 1;
        parts[i].memory = memory;
    }
    if (argc > 1) {
        printf("{\"ready\": true}\n");
        fflush(stdout);
    }
    while (argc < 2 || fgets(line, sizeof line, stdin)) {
        printf("{\"threads\": %d", n);
        double rates[KINDS];
        for (int k = 0; k < KINDS; k++) {
            rates[k] = measure((enum kind)k, parts, n);
            printf(", \"%s\": %.1f", names[k], rates[k]);
        }
        printf(", \"bf16\": %.1f", rates[F32] > rates[BF16] ? rates[F32] : rates[BF16]);
        printf(", \"there_and_back\": %.0f}\n", n > 1 ? there_and_back() : 0.0);
        fflush(stdout);
        if (argc < 2)
            break;
    }
    return 0;
}
