/* SPDX-License-Identifier: Apache-2.0 */
/* Strings to numbers, walked byte by byte: which of many strings stand at a place of a text.
 *
 *     uint32_t node = 0;
 *     for (size_t i = 0; i < n && (node = trie_step(t, node, text[i])); i++)
 *         if (trie_value(t, node) >= 0) ... text[0..i] is one of them */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include <stddef.h>
#include <stdint.h>

struct trie_edge {
    uint32_t from; /* (node << 8 | byte) + 1; 0: an empty slot */
    uint32_t to;
};
struct trie {
    struct trie_edge *edge; /* open addressing; the root's edges stand in `root` */
    uint32_t root[256];
    size_t n_slot, n_edge;
    int32_t *value; /* [n_node], -1: no string ends here */
    size_t n_node, cap_node;
};
/* Zeroed to begin with. value >= 0; a text given twice keeps the last; an empty one is left out. -1: out of memory. */
int trie_add(struct trie *t, const char *text, size_t n, int32_t value);
void trie_deinit(struct trie *t);

static inline size_t trie_slot(const struct trie *t, uint32_t from)
{
    size_t at = (size_t)(from * UINT64_C(0x9e3779b97f4a7c15) >> 24) & (t->n_slot - 1);
    while (t->edge[at].from && t->edge[at].from != from)
        at = (at + 1) & (t->n_slot - 1);
    return at;
}

/* The node after a byte; 0: none. */
static inline uint32_t trie_step(const struct trie *t, uint32_t node, unsigned char byte)
{
    if (!node)
        return t->root[byte];
    return t->n_slot ? t->edge[trie_slot(t, (node << 8 | byte) + 1)].to : 0;
}

static inline int32_t trie_value(const struct trie *t, uint32_t node)
{
    return t->value[node];
}

/* The longest of the strings that begins text[0..n): its length, 0 for none, and its value. */
size_t trie_longest(const struct trie *t, const char *text, size_t n, int32_t *value);

#endif
