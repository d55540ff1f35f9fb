/* SPDX-License-Identifier: Apache-2.0 */
/* How ranks share the flat order. Were a rank's part one stretch of it, each layer would be one or two ranks', who
 * alone would receive while it is exchanged; so every region is cut by itself, and each rank has a slice of all of
 * them. Ends are those of sum_squares' blocks, whose sums are then the same whoever makes them. A block in which a
 * stage ends is exchanged with that stage: what it holds of the next one's beginning, which the backward pass has
 * finished before, is copied behind it. */
#include "train/parts.h"

#include "base/mem.h"

/* Elements of a region at most: a layer, but no more than this; or so many of an adapter. */
enum { MOST = 1 << 28, ADAPTER = 1 << 22, LEAST = 1 << 18 };
enum { WINDOW_ENDS = 2, WINDOW_LAST = 3 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t blocks_of(int64_t n)
{
    return (n + CUT_BLOCK - 1) / CUT_BLOCK;
}

int64_t cut_slice(const struct cut *c, const struct region *r, int rank)
{
    return least(r->from + blocks_of(r->end - r->from) * rank / c->n_rank * CUT_BLOCK, r->end);
}

/* The first element of a layer; layer n_layer: what stands behind the last one. */
static int64_t layer_first(const struct model *m, int layer)
{
    int part = 0, behind = layer == m->desc.n_layer, of = layer - behind;
    if (behind)
        part = PART_COUNT - 1;
    while (!layer_has(m, of, (enum layer_part)part))
        part += behind ? -1 : 1;
    int group = layer_index(m, of, (enum layer_part)part) + behind;
    return group < m->n_group ? m->groups[group].offset : m->n_element;
}

static void set_stages(struct cut *c, const struct model *m)
{
    for (int i = 0; i < c->n_stage; i++) {
        struct stage *s = &c->stages[i];
        s->first = i ? layer_first(m, i - 1) : 0;
        s->last = i + 1 < c->n_stage ? layer_first(m, i) : c->n_element;
    }
}

/* Two windows in turn for layers, one for the embeddings, and for a head of its own when it is through; beside tied
 * embeddings one for what stands behind the layers. */
static void set_windows(struct cut *c, const struct model *m)
{
    for (int i = 0; i < c->n_stage; i++) {
        struct stage *s = &c->stages[i];
        int64_t n = s->last - s->first + CUT_BLOCK;
        s->window = i & 1;
        if (i == 0 || i + 1 == c->n_stage)
            s->window = i == 0 || m->head ? WINDOW_ENDS : WINDOW_LAST;
        s->base = s->first;
        c->windows[s->window] = n > c->windows[s->window] ? n : c->windows[s->window];
    }
}

static int64_t region_size(const struct cut *c)
{
    int64_t widest = LEAST;
    for (int i = 1; i + 1 < c->n_stage; i++) {
        int64_t n = blocks_of(c->stages[i].last) * CUT_BLOCK - c->stages[i].first / CUT_BLOCK * CUT_BLOCK;
        widest = n > widest ? n : widest;
    }
    if (c->n_stage == 1)
        return c->n_rank == 1 ? c->n_element : ADAPTER;
    return least(widest, MOST);
}

static void add_region(struct cut *c, int stage, int64_t from, int64_t end)
{
    struct region *r = &c->regions[c->n_region++];
    *r = (struct region){from, end, c->n, stage};
    for (int i = 0; i < c->n_rank; i++)
        c->widest = cut_slice(c, r, i + 1) - cut_slice(c, r, i) > c->widest
                        ? cut_slice(c, r, i + 1) - cut_slice(c, r, i)
                        : c->widest;
    c->n += cut_slice(c, r, c->rank + 1) - cut_slice(c, r, c->rank);
}

static void cut_stage(struct cut *c, int stage, int64_t size)
{
    struct stage *s = &c->stages[stage];
    int64_t from = least(blocks_of(s->first) * CUT_BLOCK, c->n_element),
            end = least(blocks_of(s->last) * CUT_BLOCK, c->n_element), blocks = blocks_of(end - from),
            n = (end - from + size - 1) / size;
    s->region = c->n_region;
    for (int64_t i = 0; i < n; i++)
        add_region(c, stage, from + blocks * i / n * CUT_BLOCK, least(from + blocks * (i + 1) / n * CUT_BLOCK, end));
    s->n_region = (int)n;
}

int cut_init(struct cut *c, const struct model *m, const struct cut_wish *wish, struct error *err)
{
    int one = wish->n_rank == 1 || m->lora;
    *c = (struct cut){.n_rank = wish->n_rank,
                      .rank = wish->rank,
                      .whole = one || wish->whole,
                      .n_stage = one ? 1 : m->desc.n_layer + 2,
                      .n_element = model_trained(m).n_element};
    c->stages = mem_calloc((size_t)c->n_stage, sizeof *c->stages);
    if (!c->stages)
        return error_set_nomem(err, (size_t)c->n_stage * sizeof *c->stages, "what ranks share");
    if (one)
        c->stages[0].last = c->n_element;
    else
        set_stages(c, m);
    if (c->whole)
        c->windows[0] = c->n_element;
    else
        set_windows(c, m);
    int64_t size = region_size(c), most = c->n_element / size + c->n_stage + 1;
    c->regions = mem_calloc((size_t)most, sizeof *c->regions);
    if (!c->regions)
        return error_set_nomem(err, (size_t)most * sizeof *c->regions, "what ranks share");
    for (int i = 0; i < c->n_stage; i++)
        cut_stage(c, i, size);
    return 0;
}

void cut_deinit(struct cut *c)
{
    mem_free(c->stages);
    mem_free(c->regions);
}
