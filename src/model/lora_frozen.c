/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter that lies over a checkpoint whose matrices stay in their blocks: it stands beside them, as one that is
 * trained does, for their sum has no such blocks. What is not in blocks was merged with its part of the adapter when it
 * was read. */
#include "model/lora.h"

#include "base/mem.h"

#include <string.h>

/* One matrix that keeps its blocks, and its factors. */
struct standing {
    int group;
    int64_t row, n, k; /* its rows of the group */
    const char *name;
    struct checkpoint_factors f;
};

static int find_standing(const struct model *m, int param, const struct checkpoint *source, struct standing *s)
{
    const struct model_param *p = &m->params[param];
    const struct tensor_info *info = family_find_tensor(m->family, source, p->name);
    if (!info || p->ndim != 2 || !model_keeps_tensor(m, param, source, info) ||
        checkpoint_factors(source, info, &s->f) != CHECKPOINT_LORA)
        return 0;
    s->group = m->param_group[param];
    s->n = p->shape[0];
    s->k = p->shape[1];
    s->row = (p->offset - m->groups[s->group].offset) / s->k;
    s->name = p->name;
    return 1;
}

static int module_of(const struct lora_group *g, int64_t row)
{
    int j = 0;
    while (j < g->n_module && g->modules[j].row != row)
        j++;
    return j;
}

/* Every place, with a rank that holds each of theirs. *largest: elements of the greatest factor. */
static int list_modules(struct model *m, const struct checkpoint *source, int64_t *largest, struct error *err)
{
    struct lora *lora = m->lora = mem_calloc(1, sizeof *lora);
    int64_t longest = 0;
    if (!lora || !(lora->groups = mem_calloc((size_t)m->n_group, sizeof *lora->groups)))
        return error_set_nomem(err, sizeof *lora, "an adapter");
    for (int i = 0; i < m->n_param; i++) {
        struct standing s;
        if (!find_standing(m, i, source, &s))
            continue;
        struct lora_group *g = &lora->groups[s.group];
        g->modules[g->n_module++] = (struct lora_module){.row = s.row, .n = s.n};
        lora->rank = s.f.rank > lora->rank ? (int)s.f.rank : lora->rank;
        longest = s.n > longest ? s.n : longest;
        longest = s.k > longest ? s.k : longest;
    }
    *largest = longest * lora->rank;
    return 0;
}

/* Rows [row, row + n_row) of w := values. */
struct packing_rows {
    struct weight *w;
    int64_t row, n_row;
    const float *values;
};
static void pack_rows(struct model *m, const struct packing_rows *r)
{
    struct queue *q = device_queue(m->device);
    struct span stage = {m->lora->stage, 0};
    queue_upload(q, stage, r->values, (size_t)(r->n_row * weight_k(r->w)) * 4);
    tensor_weight_pack(q, &(struct weight_pack_args){r->w, r->row, r->n_row, stage, DTYPE_F32, 0});
}

/* s A below the group's others, and B with zeros up to the rank. */
static void pack_factors(struct model *m, const struct standing *s, float *host)
{
    struct lora_group *g = &m->lora->groups[s->group];
    int j = module_of(g, s->row), rank = m->lora->rank;
    float scale = (float)s->f.scale;
    for (int64_t i = 0; i < s->f.rank * s->k; i++)
        host[i] = scale * s->f.a[i];
    pack_rows(m, &(struct packing_rows){g->weight, (int64_t)j * rank, s->f.rank, host});
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = 0; i < rank; i++)
            host[r * rank + i] = i < s->f.rank ? s->f.b[r * s->f.rank + i] : 0;
    pack_rows(m, &(struct packing_rows){g->modules[j].weight, 0, s->n, host});
}

int lora_stand(struct model *m, const struct checkpoint *source, struct error *err)
{
    int64_t largest = 0, stacked = 0;
    if (!m->keeps_blocks || !checkpoint_is_adapted(source))
        return 0;
    int rc = list_modules(m, source, &largest, err);
    float *host = rc || !largest ? NULL : mem_calloc((size_t)largest, sizeof *host);
    if (!rc && largest && !host)
        rc = error_set_nomem(err, (size_t)largest * sizeof *host, "an adapter");
    if (!rc && largest)
        rc = lora_make_weights(m, &stacked, err);
    if (!rc && largest)
        rc = buffer_new(&m->lora->stage, m->device, (size_t)largest * 4, "an adapter", err);
    for (int i = 0; i < m->n_param && !rc && largest; i++) {
        struct standing s;
        if (find_standing(m, i, source, &s))
            pack_factors(m, &s, host);
    }
    rc = queue_finish(device_queue(m->device), rc, err);
    mem_free(host);
    if (rc || !largest)
        lora_remove(m);
    return rc;
}

int model_adapter_stands(const struct model *m, const struct checkpoint *source)
{
    for (int i = 0; i < m->n_param; i++) {
        const struct tensor_info *info = family_find_tensor(m->family, source, m->params[i].name);
        struct checkpoint_factors f;
        enum checkpoint_change change = info ? checkpoint_factors(source, info, &f) : CHECKPOINT_SAME;
        if (change != CHECKPOINT_SAME && (change != CHECKPOINT_LORA || !model_keeps_tensor(m, i, source, info)))
            return 0;
    }
    return 1;
}

int model_set_adapter(struct model *m, const struct checkpoint *source, struct error *err)
{
    const struct model_options options = m->origin.options;
    int known = m->origin.number != 0;
    model_forget_origin(m);
    lora_remove(m);
    int rc = lora_stand(m, source, err);
    return rc || !known ? rc : origin_set(m, source, &options, err);
}

static int differs(const struct model *m, const struct standing *s, struct error *err)
{
    return error_set(
        err, ERROR_CONFIG,
        "%s: the adapter to go on from has rank %lld and counts %g times there, wanted %d and %g: give its "
        "lora_r, lora_alpha and lora_target_modules",
        s->name, (long long)s->f.rank, s->f.scale, m->lora->rank, (double)m->lora->scale);
}

int lora_read_masters(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                      struct error *err)
{
    const struct lora *lora = m->lora;
    int n = 0, wanted = 0;
    if (!model_adapter_stands(m, source))
        return error_set(err, ERROR_CONFIG,
                         "%s: the adapter over it changes matrices that it has not in blocks, and is not trained on: "
                         "merge both first (isara convert)",
                         checkpoint_path(source));
    for (int i = 0; i < m->n_group; i++)
        wanted += lora->groups[i].n_module;
    for (int i = 0; i < m->n_param; i++) {
        struct standing s;
        if (!find_standing(m, i, source, &s))
            continue;
        const struct lora_group *g = &lora->groups[s.group];
        int j = module_of(g, s.row);
        if (j == g->n_module || s.f.rank != lora->rank || (float)s.f.scale != lora->scale)
            return differs(m, &s, err);
        queue_upload(q, span_at(masters, (size_t)(g->a + j * lora->rank * s.k) * 4), s.f.a,
                     (size_t)(lora->rank * s.k) * 4);
        queue_upload(q, span_at(masters, (size_t)g->modules[j].b * 4), s.f.b, (size_t)(s.n * lora->rank) * 4);
        n++;
    }
    return n == wanted ? 0
                       : error_set(err, ERROR_CONFIG,
                                   "the adapter to go on from has %d matrices, wanted %d: give its lora_target_modules",
                                   n, wanted);
}
