/* SPDX-License-Identifier: Apache-2.0 */
/* A step's gradient as a sum over a fixed number of leaves: each is the gradient of its share of the step's rows,
 * chained in their order from zero, and the leaves are added in a binary tree whose shape depends on their number
 * alone. So many processes can share a step, each with some leaves, and give the bits of one. Leaves come in order; a
 * finished subtree of 2^k of them waits at level k for its neighbour. */
#include "train/parts.h"

int leaves_levels(int n_leaf)
{
    int levels = 0;
    while (1 << levels < n_leaf)
        levels++;
    return levels;
}

int leaves_init(struct leaves *l, struct device *d, int n_leaf, int64_t n_element, struct error *err)
{
    *l = (struct leaves){.n_leaf = n_leaf, .n_level = leaves_levels(n_leaf), .n_element = n_element};
    int rc = buffer_new(&l->now, d, (size_t)n_element * 4, "gradients", err);
    for (int i = 0; !rc && i < l->n_level; i++)
        rc = buffer_new(&l->waiting[i], d, (size_t)n_element * 4, "gradients of leaves", err);
    return rc;
}

void leaves_deinit(struct leaves *l)
{
    buffer_free(l->now);
    for (int i = 0; i < l->n_level; i++)
        buffer_free(l->waiting[i]);
}

/* The left subtree plus the right one, in the left one's place, which is then the newest. */
static void add_sums(struct leaves *l, struct queue *q, int level)
{
    struct buffer *left = l->waiting[level];
    tensor_add(q, &(struct add_args){(size_t)l->n_element, {l->now, 0}, {left, 0}, SPAN_NONE});
    l->waiting[level] = l->now;
    l->now = left;
}

void leaves_add(struct leaves *l, struct queue *q, int leaf)
{
    int level = 0;
    for (; leaf >> level & 1; level++)
        add_sums(l, q, level);
    if (leaf + 1 == l->n_leaf)
        return;
    struct buffer *free = l->waiting[level];
    l->waiting[level] = l->now;
    l->now = free;
}

int leaf_first(int leaf, int n_leaf, int n_row)
{
    return (int)((int64_t)leaf * n_row / n_leaf);
}
