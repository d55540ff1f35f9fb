/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "base/maths.h"

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Streams fold (seed, a, b) into a key; b's low half and the index stay in the counter. */
static void philox_block(const struct rng_stream *s, uint64_t index, uint32_t out[4])
{
    uint32_t key[2] = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)};
    uint32_t name[4] = {(uint32_t)s->a, (uint32_t)(s->a >> 32), (uint32_t)s->b, (uint32_t)(s->b >> 32)};
    uint32_t folded[4];
    philox4x32(key, name, folded);
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), folded[2], folded[3]};
    philox4x32(folded, counter, out);
}

uint32_t rng_u32(const struct rng_stream *s, uint64_t index)
{
    uint32_t out[4];
    philox_block(s, index, out);
    return out[0];
}

float rng_uniform(const struct rng_stream *s, uint64_t index)
{
    return (float)(rng_u32(s, index) >> 8) * 0x1p-24f;
}

double rng_uniform_double(const struct rng_stream *s, uint64_t index)
{
    uint32_t out[4];
    philox_block(s, index, out);
    return (double)(((uint64_t)out[0] << 32 | out[1]) >> 11) * 0x1p-53;
}

double rng_normal(const struct rng_stream *s, uint64_t index)
{
    uint32_t out[4];
    philox_block(s, index, out);
    double u = ((double)(((uint64_t)out[0] << 32 | out[1]) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(((uint64_t)out[2] << 32 | out[3]) >> 11) * 0x1p-53;
    return __builtin_sqrt(-2.0 * maths_log(u)) * maths_cos(6.283185307179586476925286766559 * v);
}

uint32_t rng_below(const struct rng_stream *s, uint64_t index, uint32_t n)
{
    return (uint32_t)((uint64_t)rng_u32(s, index) * n >> 32);
}

void rng_permutation(const struct rng_stream *s, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = rng_below(s, i, i), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}
