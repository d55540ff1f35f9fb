/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/mt19937.h"

enum { N = 624, M = 397 };

void mt19937_seed(struct mt19937 *m, uint32_t seed)
{
    uint32_t *s = m->state;
    s[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        s[i] = 1812433253u * (s[i - 1] ^ s[i - 1] >> 30) + i;
    m->at = N;
}

void mt19937_seed_array(struct mt19937 *m, const uint32_t *key, int n_key)
{
    uint32_t *s = m->state, i = 1;
    mt19937_seed(m, 19650218);
    for (int k = 0, j = 0; k < (n_key > N ? n_key : N); k++) {
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1664525u) + key[j] + (uint32_t)j;
        j = j + 1 < n_key ? j + 1 : 0;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    for (int k = 0; k < N - 1; k++) {
        s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1566083941u) - i;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = 0x80000000u;
}

static void refill(struct mt19937 *m)
{
    uint32_t *s = m->state;
    for (int i = 0; i < N; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7fffffffu);
        s[i] = s[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    m->at = 0;
}

uint32_t mt19937_next(struct mt19937 *m)
{
    if (m->at >= N)
        refill(m);
    uint32_t y = m->state[m->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}
