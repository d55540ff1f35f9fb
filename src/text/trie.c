/* SPDX-License-Identifier: Apache-2.0 */
#include "text/trie.h"

#include "base/mem.h"

#include <string.h>

#define MAX_NODES (1u << 24) /* a node and a byte share 32 bits */

static int grow_edges(struct trie *t)
{
    struct trie_edge *old = t->edge;
    size_t n_old = t->n_slot, n = n_old ? n_old * 2 : 1024;
    struct trie_edge *edge = mem_calloc(n, sizeof *edge);
    if (!edge)
        return -1;
    t->edge = edge;
    t->n_slot = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].from)
            edge[trie_slot(t, old[i].from)] = old[i];
    mem_free(old);
    return 0;
}

/* A new node, or 0. */
static uint32_t make_node(struct trie *t)
{
    if (t->n_node == t->cap_node) {
        size_t cap = t->cap_node ? t->cap_node * 2 : 1024;
        int32_t *value = t->n_node < MAX_NODES ? mem_resize(t->value, cap * sizeof *value) : NULL;
        if (!value)
            return 0;
        t->value = value;
        t->cap_node = cap;
    }
    t->value[t->n_node] = -1;
    return (uint32_t)t->n_node++;
}

static uint32_t enter_byte(struct trie *t, uint32_t node, unsigned char byte)
{
    uint32_t child = trie_step(t, node, byte);
    if (child)
        return child;
    child = make_node(t);
    if (!child)
        return 0;
    if (!node) {
        t->root[byte] = child;
        return child;
    }
    if (t->n_edge * 2 >= t->n_slot && grow_edges(t))
        return 0;
    uint32_t from = (node << 8 | byte) + 1;
    t->edge[trie_slot(t, from)] = (struct trie_edge){from, child};
    t->n_edge++;
    return child;
}

int trie_add(struct trie *t, const char *text, size_t n, int32_t value)
{
    uint32_t node = 0;
    if (!t->n_node) {
        make_node(t); /* the root is node 0 */
        if (!t->n_node)
            return -1;
    }
    for (size_t i = 0; i < n; i++) {
        node = enter_byte(t, node, (unsigned char)text[i]);
        if (!node)
            return -1;
    }
    if (node)
        t->value[node] = value;
    return 0;
}

void trie_deinit(struct trie *t)
{
    mem_free(t->edge);
    mem_free(t->value);
    memset(t, 0, sizeof *t);
}

size_t trie_longest(const struct trie *t, const char *text, size_t n, int32_t *value)
{
    size_t length = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < n && (node = trie_step(t, node, (unsigned char)text[i])); i++)
        if (trie_value(t, node) >= 0) {
            *value = trie_value(t, node);
            length = i + 1;
        }
    return length;
}
