/* SPDX-License-Identifier: Apache-2.0 */
#include "text/bpe_heap.h"

#include "base/mem.h"

static int comes_before(const struct bpe_pair *a, const struct bpe_pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

int bpe_heap_push(struct bpe_heap *h, struct bpe_pair p)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        struct bpe_pair *pair = mem_resize(h->pair, cap * sizeof *pair);
        if (!pair)
            return -1;
        h->pair = pair;
        h->cap = cap;
    }
    size_t i = h->n++;
    while (i && comes_before(&p, h->pair + (i - 1) / 2)) {
        h->pair[i] = h->pair[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->pair[i] = p;
    return 0;
}

struct bpe_pair bpe_heap_pop(struct bpe_heap *h)
{
    struct bpe_pair top = h->pair[0], last = h->pair[--h->n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < h->n) {
        if (child + 1 < h->n && comes_before(h->pair + child + 1, h->pair + child))
            child++;
        if (!comes_before(h->pair + child, &last))
            break;
        h->pair[i] = h->pair[child];
        i = child;
    }
    h->pair[i] = last;
    return top;
}
