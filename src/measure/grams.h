/* SPDX-License-Identifier: Apache-2.0 */
/* Word n-grams of texts, so sorted that equal ones stand together. */
#ifndef MEASURE_GRAMS_H
#define MEASURE_GRAMS_H

#include "measure/rouge.h"

#include <stdint.h>

struct grams_texts {
    const struct rouge_text *items;
    int n;
};
/* words [at, at + n) of a text */
struct gram {
    uint64_t hash;
    int text, at;
};
struct grams {
    struct gram *items; /* by hash, then text, then place; mem_free */
    size_t n;
};
/* All n-grams of the texts. 0 or ERROR_NOMEM. */
int grams_of(struct grams *out, const struct grams_texts *texts, int n, struct error *err);

#endif
