/* SPDX-License-Identifier: Apache-2.0 */
/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). No state: the same key and counter give the
 * same number in whatever order, thread or batch it is asked for. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* A named stream: seed is the run's seed; a and b name the stream (round, attempt, record hash, ...). */
struct rng_stream {
    uint64_t seed, a, b;
};
uint32_t rng_u32(const struct rng_stream *s, uint64_t index);
float rng_uniform(const struct rng_stream *s, uint64_t index);         /* [0,1), 24 bits */
double rng_uniform_double(const struct rng_stream *s, uint64_t index); /* [0,1), 53 bits */
double rng_normal(const struct rng_stream *s, uint64_t index); /* mean 0, variance 1; bits do not depend on libm */
/* Fisher-Yates: fills order[0..n) with a permutation of 0..n-1. */
void rng_permutation(const struct rng_stream *s, uint32_t *order, uint32_t n);
/* Uniform in 0..n-1 without modulo bias beyond 2^-32. */
uint32_t rng_below(const struct rng_stream *s, uint64_t index, uint32_t n);

#endif
