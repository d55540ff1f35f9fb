/* SPDX-License-Identifier: Apache-2.0 */
/* For the operators of the CPU backend: their declarations (cpu_<op> for every operator of tensor/ops.h) and what they
 * may ask of their queue. Spans are plain addresses. Pieces of work go to cpu_pool() and own their outputs. Operators
 * never allocate: a worker has CPU_SCRATCH bytes of its own (more where cpu_reserve has been told of greater widths),
 * and the operator as a whole CPU_SHARED bytes; both are 64-byte aligned, hold anything, and cost nothing until
 * touched. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "base/threads.h"
#include "cpu/isa.h"
#include "tensor/backend.h"

enum { CPU_SCRATCH = 4 << 20, CPU_SHARED = 32 << 20 };

/* Before a loop of a constant number of turns, at most 16: all of them in a row. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

struct pool *cpu_pool(struct queue *q);
enum cpu_isa cpu_isa(const struct queue *q);
enum cpu_pairs cpu_pairs(const struct queue *q);
void *cpu_scratch(struct queue *q, int worker);
void *cpu_shared(struct queue *q);

static inline void *cpu_ptr(struct span s) /* NULL for SPAN_NONE */
{
    return s.buffer ? (char *)s.buffer->data + s.offset : NULL;
}

#define X(op) void cpu_##op(struct queue *q, const struct op##_args *args);
TENSOR_OPS(X)
#undef X

/* cpu/weight.c */
int cpu_weight_supported(const struct device *d, enum dtype t);
int cpu_weight_bytes(const struct device *d, struct weight_shape shape, size_t *bytes);

/* 32 random bits. */
static inline uint32_t noise_of(uint32_t key, uint32_t i) /* murmur3's finalizer over key and index */
{
    uint32_t x = i * 0x9e3779b9u ^ key;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

#endif
