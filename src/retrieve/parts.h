/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of retrieve/. */
#ifndef RETRIEVE_PARTS_H
#define RETRIEVE_PARTS_H

#include "retrieve/retrieve.h"

struct bm25;
struct retriever {
    int n, dim;
    float *unit;       /* cosine: [n,dim] */
    struct bm25 *bm25; /* or NULL */
};
void bm25_free(struct bm25 *b);
/* scores f64 [n], zeroed by the caller. */
int bm25_score(const struct bm25 *b, const char *text, double *scores, struct error *err);

#endif
