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

int model_keeps_tensor(const struct model *m, int param, const struct checkpoint *source,
                       const struct tensor_info *info)
{
    const struct weight *w = m->groups[m->param_group[param]].weight;
    return w && dtype_is_quantised(weight_dtype(w)) && has_blocks(m, param, source, info) &&
           info->storage == storage_of_dtype(weight_dtype(w));
}

/* Blocks are kept where the file has every matrix of the group in the same ones. */
enum dtype group_dtype(const struct model *m, int group, const struct checkpoint *source)
{
    enum dtype all = DTYPE_F32;
    for (int i = 0; i < m->n_param && m->keeps_blocks && source; i++) {
        if (m->param_group[i] != group)
            continue;
        const struct tensor_info *info = family_find_tensor(m->family, source, m->params[i].name);
        enum dtype t = DTYPE_F32;
        for (int k = DTYPE_Q8; k <= DTYPE_Q4_1 && info && has_blocks(m, i, source, info); k++)
            t = storage_of_dtype((enum dtype)k) == info->storage ? (enum dtype)k : t;
        if (t == DTYPE_F32 || (all != DTYPE_F32 && all != t))
            return m->dtype;
        all = t;
    }
    return all == DTYPE_F32 ? m->dtype : all;
}

int model_weight_bytes(size_t *bytes, const struct model_desc *d, const struct device *device,
                       const struct model_packing *p, struct error *err)
{
    struct model m = {.desc = *d, .dtype = p->dtype, .keeps_blocks = p->keep_blocks || p->dtype == DTYPE_Q8};
    int rc = model_tables(&m, err);
    *bytes = 0;
    for (int i = 0; !rc && i < m.n_group; i++) {
        const struct model_group *g = &m.groups[i];
        *bytes += g->is_vector ? ((size_t)g->n * 4 + 63) / 64 * 64
                               : weight_bytes(device, (struct weight_shape){g->n, g->k, group_dtype(&m, i, p->source)});
    }
    arena_free(&m.arena);
    return rc;
}
