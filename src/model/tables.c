/* SPDX-License-Identifier: Apache-2.0 */
/* From the descriptor to the two tables everything else walks over: groups (what the device holds) and parameters (what
 * files name). */
#include "model/parts.h"

#include <string.h>

struct table_builder {
    struct model *m; /* with groups NULL it only counts */
    const struct family *family;
    int n_group, n_param, failed;
    int64_t n_element;
    double n_value;
};

/* k 0: a vector. Returns the group's index. */
static int add_group(struct table_builder *b, int64_t n, int64_t k)
{
    if (b->m->groups)
        b->m->groups[b->n_group] =
            (struct model_group){.offset = b->n_element, .n = n, .k = k ? k : 1, .is_vector = !k};
    b->n_element += (n * (k ? k : 1) + 15) / 16 * 16;
    return b->n_group++;
}

/* width 0: a vector; start: what a new vector holds */
struct param_piece {
    int64_t first, n, width;
    float start;
    int transposed, heads;
};

/* Rows of the newest group. */
static void add_param(struct table_builder *b, const char *name, const struct param_piece *r)
{
    struct model *m = b->m;
    int64_t width = r->width ? r->width : 1;
    b->n_value += (double)r->n * (double)width;
    if (m->groups) {
        struct model_param *p = &m->params[b->n_param];
        *p = (struct model_param){.name = arena_strdup(&m->arena, name),
                                  .ndim = r->width ? 2 : 1,
                                  .shape = {r->n, r->width},
                                  .offset = m->groups[b->n_group - 1].offset + r->first * width,
                                  .count = r->n * width,
                                  .decay = r->width != 0,
                                  .start = r->start,
                                  .transposed = r->transposed,
                                  .heads = r->heads};
        m->param_group[b->n_param] = b->n_group - 1;
        b->failed |= !p->name;
    }
    b->n_param++;
}

struct part_dims {
    int64_t n, k;
};

static struct part_dims part_shape(const struct model_desc *d, enum layer_part part)
{
    int64_t c = d->n_embd, q = (int64_t)d->n_head * d->head_dim, kv = (int64_t)d->n_kv_head * d->head_dim,
            up = desc_up_width(d);
    switch (part) {
    case PART_QKV: return (struct part_dims){q + 2 * kv, c};
    case PART_QKV_BIAS: return (struct part_dims){q + 2 * kv, 0};
    case PART_Q_NORM: return (struct part_dims){d->qk_norm == QK_HEAD ? d->head_dim : q, 0};
    case PART_K_NORM: return (struct part_dims){d->qk_norm == QK_HEAD ? d->head_dim : kv, 0};
    case PART_O: return (struct part_dims){c, q};
    case PART_GATE_UP: return (struct part_dims){up, c};
    case PART_GATE_UP_BIAS: return (struct part_dims){up, 0};
    case PART_DOWN: return (struct part_dims){c, d->n_ff};
    default: return (struct part_dims){c, 0}; /* norms, and biases of what writes the residual stream */
    }
}

static int is_norm(enum layer_part part)
{
    return part == PART_ATTN_NORM || part == PART_Q_NORM || part == PART_K_NORM || part == PART_ATTN_POST ||
           part == PART_MLP_NORM || part == PART_MLP_POST;
}

struct tensor_place tensor_place(const struct model_desc *d, const struct family_tensor *t)
{
    int64_t q = (int64_t)d->n_head * d->head_dim, kv = (int64_t)d->n_kv_head * d->head_dim,
            k = part_shape(d, t->part).k;
    switch (t->rows) {
    case ROWS_Q: return (struct tensor_place){0, q, k, 0};
    case ROWS_K: return (struct tensor_place){q, kv, k, 0};
    case ROWS_V: return (struct tensor_place){q + kv, kv, k, 0};
    case ROWS_GATE: return (struct tensor_place){0, d->gated ? d->n_ff : 0, k, 0};
    case ROWS_HEADS: return (struct tensor_place){0, q + 2 * kv, k, d->n_head};
    case ROWS_UP: return (struct tensor_place){d->gated ? d->n_ff : 0, d->n_ff, k, 0};
    default: return (struct tensor_place){0, part_shape(d, t->part).n, k, 0};
    }
}

static void add_part(struct table_builder *b, int layer, enum layer_part part)
{
    const struct model_desc *d = &b->m->desc;
    const struct family *f = b->family;
    struct part_dims shape = part_shape(d, part);
    int index = add_group(b, shape.n, shape.k);
    if (b->m->layer_parts)
        b->m->layer_parts[layer * PART_COUNT + (int)part] = index;
    for (int i = 0; i < f->n_tensor; i++) {
        const struct family_tensor *t = &f->tensors[i];
        struct tensor_place at = tensor_place(d, t);
        struct param_piece r = {at.row,  at.n, at.k, is_norm(part) ? 1 - d->norm_offset : 0, f->transposed && shape.k,
                                at.heads};
        char prefix[64], name[160];
        if (t->part != part || !at.n)
            continue;
        snprintf(prefix, sizeof prefix, f->layer, layer);
        snprintf(name, sizeof name, "%s%s", prefix, t->name);
        add_param(b, name, &r);
    }
}

static int add_whole(struct table_builder *b, const char *name, int64_t n, int64_t k, float start)
{
    int index = add_group(b, n, k);
    add_param(b, name, &(struct param_piece){0, n, k, start, 0, 0});
    return index;
}

/* A matrix that is no product's: the device holds its numbers as a vector. */
static int add_table(struct table_builder *b, const char *name, int64_t n, int64_t k)
{
    int index = add_group(b, n * k, 0);
    add_param(b, name, &(struct param_piece){0, n, k, 0, 0, 0});
    return index;
}

/* Everything, in the flat order. */
static void walk_parts(struct table_builder *b)
{
    struct model *m = b->m;
    const struct model_desc *d = &m->desc;
    const struct family *f = b->family;
    int width = model_width(d);
    add_whole(b, f->embed, d->n_vocab, width, 0);
    m->positions = d->n_position ? add_whole(b, f->positions, d->n_position, d->n_embd, 0) : 0;
    m->types = d->n_type ? add_whole(b, f->types, d->n_type, d->n_embd, 0) : 0;
    m->project_in = d->n_word ? add_whole(b, f->project_in, d->n_embd, width, 0) : 0;
    m->embed_norm = f->embed_norm ? add_whole(b, f->embed_norm, d->n_embd, 0, 1 - d->norm_offset) : 0;
    m->embed_norm_bias = f->embed_norm_bias ? add_whole(b, f->embed_norm_bias, d->n_embd, 0, 0) : 0;
    m->distances = d->n_bucket ? add_table(b, f->distances, d->n_bucket, d->n_head) : 0;
    for (int l = 0; l < d->n_layer; l++)
        for (int part = 0; part < PART_COUNT; part++)
            if (d->parts >> part & 1)
                add_part(b, l, (enum layer_part)part);
    m->final_norm = d->final_norm && d->affine ? add_whole(b, f->final_norm, d->n_embd, 0, 1 - d->norm_offset) : 0;
    m->final_norm_bias = m->final_norm && f->final_norm_bias ? add_whole(b, f->final_norm_bias, d->n_embd, 0, 0) : 0;
    m->project_out = d->n_word ? add_whole(b, f->project_out, width, d->n_embd, 0) : 0;
    m->head = m->head_bias = 0;
    if (d->task != MODEL_BODY && (d->task != MODEL_LM || !d->tied)) {
        const char *name = d->task == MODEL_CLASSIFY || d->reward_classifier ? "score.weight" : "score_head.weight";
        if (d->task == MODEL_LM)
            name = f->head;
        m->head = add_whole(b, name, d->task == MODEL_LM ? d->n_vocab : d->n_label, width, 0);
    }
    if (d->task == MODEL_REWARD && d->head_bias)
        m->head_bias = add_whole(b, "score_head.bias", d->n_label, 0, 0);
}

double desc_count(const struct model_desc *d)
{
    struct model m = {.desc = *d};
    struct table_builder b = {.m = &m, .family = family_find(d->family)};
    walk_parts(&b);
    return b.n_value;
}

int model_tables(struct model *m, struct error *err)
{
    struct table_builder count = {.m = m, .family = family_find(m->desc.family)};
    if (!count.family)
        return error_set(err, ERROR_INTERNAL, "a model of the unknown family \"%s\"", m->desc.family);
    m->family = count.family;
    walk_parts(&count);
    m->groups = arena_alloc(&m->arena, (size_t)count.n_group * sizeof *m->groups);
    m->params = arena_alloc(&m->arena, (size_t)count.n_param * sizeof *m->params);
    m->param_group = arena_alloc(&m->arena, (size_t)count.n_param * sizeof *m->param_group);
    m->layer_parts = arena_alloc(&m->arena, (size_t)m->desc.n_layer * PART_COUNT * sizeof *m->layer_parts);
    if (!m->groups || !m->params || !m->param_group || !m->layer_parts)
        return error_set_nomem(err, (size_t)count.n_param * sizeof *m->params, "the parameter table");
    memset(m->layer_parts, 0, (size_t)m->desc.n_layer * PART_COUNT * sizeof *m->layer_parts);
    struct table_builder b = {.m = m, .family = count.family};
    walk_parts(&b);
    m->n_group = b.n_group;
    m->n_param = b.n_param;
    m->n_element = b.n_element;
    return b.failed ? error_set_nomem(err, 128, "parameter names") : 0;
}

size_t model_packed_bytes(const struct model *m)
{
    size_t bytes = 0;
    for (int i = 0; i < m->n_group; i++) {
        const struct model_group *g = &m->groups[i];
        bytes += g->weight ? weight_size(g->weight) : ((size_t)g->n * 4 + 63) / 64 * 64;
    }
    return bytes;
}
