/* SPDX-License-Identifier: Apache-2.0 */
/* Which matrices keep the blocks that a quantised file has them in, and what weights take then. */
#include "model/parts.h"

/* A matrix of a layer, which products know an adapter beside. */
static int is_place(const struct model *m, int group)
{
    static const enum layer_part parts[] = {PART_QKV, PART_O, PART_GATE_UP, PART_DOWN};
    for (int l = 0; l < m->desc.n_layer; l++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (group && layer_index(m, l, parts[i]) == group)
                return 1;
    return 0;
}

static int can_stand(const struct model *m, int param, const struct checkpoint *source, const struct tensor_info *info)
{
    struct checkpoint_factors f;
    enum checkpoint_change change = checkpoint_factors(source, info, &f);
    return change == CHECKPOINT_SAME || (change == CHECKPOINT_LORA && is_place(m, m->param_group[param]));
}

/* Whether it has blocks that stay as they are where they lie. */
static int has_blocks(const struct model *m, int param, const struct checkpoint *source, const struct tensor_info *info)
{
    return !m->params[param].heads && checkpoint_has_blocks(info) && can_stand(m, param, source, info);
}

enum dtype model_param_dtype(const struct model *m, int param)
{
    const struct model_group *g = &m->groups[m->param_group[param]];
    return weight_row_dtype(g->weight, (m->params[param].offset - g->offset) / g->k);
}

int model_keeps_tensor(const struct model *m, int param, const struct checkpoint *source,
                       const struct tensor_info *info)
{
    if (!m->groups[m->param_group[param]].weight)
        return 0;
    enum dtype t = model_param_dtype(m, param);
    return dtype_is_quantised(t) && has_blocks(m, param, source, info) && info->storage == storage_of_dtype(t);
}

/* F32: it has no blocks that could stay. */
static enum dtype blocks_of(const struct model *m, int param, const struct checkpoint *source)
{
    const struct tensor_info *info = family_find_tensor(m->family, source, m->params[param].name);
    return info && has_blocks(m, param, source, info) ? storage_dtype(info->storage) : DTYPE_F32;
}

/* Adds rows of a type behind the others. -1: they begin in the middle of a panel, or there are too many types. */
static int add_rows(struct weight_ranges *r, int64_t n, enum dtype t, int64_t before)
{
    struct weight_range *last = r->n ? &r->ranges[r->n - 1] : NULL;
    if (last && last->dtype == t) {
        last->n += n;
        return 0;
    }
    if (before % WEIGHT_ROWS || r->n == WEIGHT_RANGES)
        return -1;
    r->ranges[r->n++] = (struct weight_range){n, t};
    return 0;
}

/* Matrices that are multiplied as one keep blocks of a type each; without blocks they are int8 in q8, and else the
 * whole group is what the model is. */
struct weight_ranges group_ranges(const struct model *m, int group, const struct checkpoint *source)
{
    const struct model_group *g = &m->groups[group];
    struct weight_ranges whole = {.k = g->k, .n = 1, .ranges = {{g->n, m->dtype}}}, r = {.k = g->k};
    int64_t row = 0;
    for (int i = 0; i < m->n_param && m->keeps_blocks && source; i++) {
        if (m->param_group[i] != group)
            continue;
        enum dtype t = blocks_of(m, i, source);
        if (t == DTYPE_F32)
            t = m->dtype;
        if (!dtype_is_quantised(t) || (m->params[i].offset - g->offset) / g->k != row ||
            add_rows(&r, m->params[i].shape[0], t, row))
            return whole;
        row += m->params[i].shape[0];
    }
    return row == g->n ? r : whole;
}

int model_weight_bytes(size_t *bytes, const struct model_desc *d, const struct device *device,
                       const struct model_packing *p, struct error *err)
{
    struct model m = {.desc = *d, .dtype = p->dtype, .keeps_blocks = p->keep_blocks || p->dtype == DTYPE_Q8};
    int rc = model_tables(&m, err);
    *bytes = 0;
    for (int i = 0; !rc && i < m.n_group; i++) {
        const struct model_group *g = &m.groups[i];
        struct weight_ranges r = group_ranges(&m, i, p->source);
        *bytes += g->is_vector ? ((size_t)g->n * 4 + 63) / 64 * 64 : weight_ranges_bytes(device, &r);
    }
    arena_free(&m.arena);
    return rc;
}
