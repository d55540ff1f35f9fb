/* SPDX-License-Identifier: Apache-2.0 */
/* From the descriptor to the two tables everything else walks over: groups (what the device holds) and parameters (what files name). */
#include "model/parts.h"

#include <string.h>

struct builder {
    struct model *m;
    int failed;
};

/* k 0: a vector. */
static void add_group(struct builder *b, int64_t n, int64_t k)
{
    struct model *m = b->m;
    m->groups[m->n_group++] = (struct model_group){.offset = m->n_element, .n = n, .k = k ? k : 1, .is_vector = !k};
    m->n_element += (n * (k ? k : 1) + 15) / 16 * 16;
}

/* The next rows of the newest group; `row` says where they begin. A vector has n_col 0. */
static void add_param(struct builder *b, const char *format, int layer, int64_t row, int64_t n_row, int64_t n_col)
{
    struct model *m = b->m;
    char name[128];
    snprintf(name, sizeof name, format, layer);
    const struct model_group *g = &m->groups[m->n_group - 1];
    struct model_param *p = &m->params[m->n_param];
    int64_t width = n_col ? n_col : 1;
    *p = (struct model_param){arena_strdup(&m->arena, name), n_col ? 2 : 1, {n_row, n_col}, g->offset + row * width, n_row * width, n_col != 0};
    m->param_group[m->n_param++] = m->n_group - 1;
    b->failed |= !p->name;
}

static void add_layer(struct builder *b, int l)
{
    const struct model_desc *d = &b->m->desc;
    int64_t c = d->n_embd, q = (int64_t)d->n_head * d->head_dim, kv = (int64_t)d->n_kv_head * d->head_dim, f = d->n_ff;
    add_group(b, c, 0);
    add_param(b, "model.layers.%d.input_layernorm.weight", l, 0, c, 0);
    add_group(b, q + 2 * kv, c);
    add_param(b, "model.layers.%d.self_attn.q_proj.weight", l, 0, q, c);
    add_param(b, "model.layers.%d.self_attn.k_proj.weight", l, q, kv, c);
    add_param(b, "model.layers.%d.self_attn.v_proj.weight", l, q + kv, kv, c);
    add_group(b, c, q);
    add_param(b, "model.layers.%d.self_attn.o_proj.weight", l, 0, c, q);
    add_group(b, c, 0);
    add_param(b, "model.layers.%d.post_attention_layernorm.weight", l, 0, c, 0);
    add_group(b, 2 * f, c);
    add_param(b, "model.layers.%d.mlp.gate_proj.weight", l, 0, f, c);
    add_param(b, "model.layers.%d.mlp.up_proj.weight", l, f, f, c);
    add_group(b, c, f);
    add_param(b, "model.layers.%d.mlp.down_proj.weight", l, 0, c, f);
}

int model_tables(struct model *m, struct error *err)
{
    const struct model_desc *d = &m->desc;
    size_t n_group = (size_t)d->n_layer * PART_COUNT + 4, n_param = (size_t)d->n_layer * 9 + 4;
    m->groups = arena_alloc(&m->arena, n_group * sizeof *m->groups);
    m->params = arena_alloc(&m->arena, n_param * sizeof *m->params);
    m->param_group = arena_alloc(&m->arena, n_param * sizeof *m->param_group);
    if (!m->groups || !m->params || !m->param_group)
        return error_set_nomem(err, n_param * sizeof *m->params, "the parameter table");
    struct builder b = {m, 0};
    add_group(&b, d->n_vocab, d->n_embd);
    add_param(&b, "model.embed_tokens.weight", 0, 0, d->n_vocab, d->n_embd);
    for (int l = 0; l < d->n_layer; l++)
        add_layer(&b, l);
    m->final_norm = m->n_group;
    add_group(&b, d->n_embd, 0);
    add_param(&b, "model.norm.weight", 0, 0, d->n_embd, 0);
    m->head = 0;
    if (d->task != MODEL_LM || !d->tied) {
        int64_t n = d->task == MODEL_LM ? d->n_vocab : d->n_label;
        m->head = m->n_group;
        add_group(&b, n, d->n_embd);
        add_param(&b, d->task == MODEL_LM ? "lm_head.weight" : d->task == MODEL_CLASSIFY ? "score.weight" : "score_head.weight", 0, 0, n, d->n_embd);
    }
    m->head_bias = 0;
    if (d->task == MODEL_REWARD && d->head_bias) {
        m->head_bias = m->n_group;
        add_group(&b, d->n_label, 0);
        add_param(&b, "score_head.bias", 0, 0, d->n_label, 0);
    }
    return b.failed ? error_set_nomem(err, 128, "parameter names") : 0;
}
