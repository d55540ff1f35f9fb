/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of symbols that could be merged, the one of least rank first, left-most on a tie. */
#ifndef TEXT_BPE_HEAP_H
#define TEXT_BPE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct bpe_pair {
    uint32_t rank, at;   /* at: index of the left symbol */
    int32_t left, right; /* what the pair was made of: it is stale when that has changed */
};
struct bpe_heap {
    struct bpe_pair *pair;
    size_t n, cap;
};
int bpe_heap_push(struct bpe_heap *h, struct bpe_pair p); /* -1: out of memory */
struct bpe_pair bpe_heap_pop(struct bpe_heap *h);         /* n > 0 */

#endif
