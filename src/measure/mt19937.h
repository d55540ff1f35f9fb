/* SPDX-License-Identifier: Apache-2.0 */
/* The Mersenne Twister (Matsumoto and Nishimura 2002), where other tools' results depend on its numbers; everything of
 * our own uses base/rng.h. */
#ifndef MEASURE_MT19937_H
#define MEASURE_MT19937_H

#include <stdint.h>

struct mt19937 {
    uint32_t state[624];
    int at;
};
void mt19937_seed(struct mt19937 *m, uint32_t seed); /* init_genrand: std::mt19937, numpy.random.RandomState */
void mt19937_seed_array(struct mt19937 *m, const uint32_t *key, int n_key); /* init_by_array: CPython's random */
uint32_t mt19937_next(struct mt19937 *m);

#endif
