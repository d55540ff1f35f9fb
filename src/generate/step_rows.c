/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of a step are made of: places for their keys, the pages that they read, and the rows themselves. */
#include "generate/parts.h"

#include <string.h>

void step_copy_page(struct generate_engine *e, int from, int to, int n)
{
    int32_t *pair = e->copies + 3 * e->n_copy++;
    pair[0] = from;
    pair[1] = to;
    pair[2] = n;
}

void step_make_writable(struct generate_engine *e, int slot, int pos, int share)
{
    struct pages *p = &e->pages;
    struct slot *s = &e->slots[slot];
    int block = pos / p->size;
    if (block == s->n_block) {
        s->table[s->n_block++] = page_take(p, slot, share);
        return;
    }
    int page = s->table[block];
    struct page *g = &p->page[page];
    if (g->owner == slot)
        return;
    if (g->users == 1 && !g->in_tree) {
        g->owner = slot;
        return;
    }
    int copy = page_take(p, slot, share);
    step_copy_page(e, page, copy, pos % p->size);
    e->pinned[e->n_pinned++] = page; /* its hold goes on until the copy is on its way */
    s->table[block] = copy;
}

int step_seq(struct generate_engine *e, int slot)
{
    const struct slot *s = &e->slots[slot];
    memcpy(e->blocks + (size_t)e->n_seq * (size_t)e->stride, s->table, (size_t)s->n_block * sizeof *e->blocks);
    return e->n_seq++;
}

int step_row(struct generate_engine *e, const struct job *job, int32_t token, int pos, int seq)
{
    e->tokens[e->n_row] = token;
    e->positions[e->n_row] = pos;
    e->lengths[e->n_row] = pos < job->n_turn ? job->n_turn : pos + 1;
    e->row_seq[e->n_row] = seq;
    return e->n_row++;
}
