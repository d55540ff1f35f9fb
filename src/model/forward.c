/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass without gradients: one workspace that every layer reuses, the residual stream updated in place. */
#include "model/lora.h"

#include "base/mem.h"

#include <limits.h>

struct model_workspace {
    struct buffer *slab;
    struct layer_io io;
    struct span words;                     /* with project_in: f32 [T,model_width] */
    struct span gathered, hidden, outward; /* f32 [n_out,C]; outward, with project_out: [n_out,model_width] */
    int max_row, max_out;
    int adapter, up; /* rows of the widest adapter, 0: none; one stands beside gate and up */
};

static void carve_workspace(struct carver *c, const struct device *device, const struct model_desc *d, enum dtype dtype,
                            struct model_workspace *w)
{
    enum dtype act = dtype == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
    size_t t = (size_t)w->max_row, n_out = (size_t)w->max_out;
    struct layer_io *io = &w->io;
    io->x = io->mid = io->y = carve(c, t, d->n_embd, DTYPE_F32);
    io->h1 = io->h2 = carve(c, t, d->n_embd, act);
    io->qkv = carve(c, t, ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim, DTYPE_F32);
    io->att = carve(c, t, (int64_t)d->n_head * d->head_dim, act);
    io->mlp = carve(c, t, d->n_ff, act);
    io->att_dtype = act;
    size_t wide = linear_wide_bytes(device, w->max_row, desc_up_width(d));
    io->wide = wide ? carve(c, wide / 4, 1, DTYPE_F32) : SPAN_NONE;
    io->u = w->adapter ? carve(c, t, w->adapter, act) : SPAN_NONE;
    io->gate_up = w->up ? carve(c, t, desc_up_width(d), DTYPE_F32) : SPAN_NONE;
    if (d->place != PLACE_PRE)
        io->raw1 = io->raw2 = io->post = carve(c, t, d->n_embd, DTYPE_F32);
    carve_rotations(c, d, w->max_row, io);
    w->gathered = carve(c, n_out, d->n_embd, DTYPE_F32);
    w->hidden = carve(c, n_out, d->n_embd, DTYPE_F32);
    if (d->n_word) {
        w->words = carve(c, t, d->n_word, DTYPE_F32);
        w->outward = carve(c, n_out, d->n_word, DTYPE_F32);
    }
}

size_t model_workspace_bytes(const struct device *device, const struct model_desc *d, enum dtype dtype, int max_row,
                             int max_out)
{
    struct carver c = {NULL, 0};
    struct model_workspace w = {.max_row = max_row, .max_out = max_out};
    carve_workspace(&c, device, d, dtype, &w);
    return c.used;
}

static void size_workspace(struct model_workspace *w, const struct model *m, int max_row, int max_out)
{
    w->max_row = max_row;
    w->max_out = max_out;
    w->adapter = lora_widest(m);
    for (int l = 0; m->lora && l < m->desc.n_layer; l++)
        w->up |= m->lora->groups[layer_index(m, l, PART_GATE_UP)].n_module > 0;
}

size_t model_workspace_size(const struct model *m, int max_row, int max_out)
{
    struct carver c = {NULL, 0};
    struct model_workspace w = {0};
    size_workspace(&w, m, max_row, max_out);
    carve_workspace(&c, m->device, &m->desc, m->dtype, &w);
    return c.used;
}

int model_workspace_new(struct model_workspace **out, const struct model *m, int max_row, int max_out,
                        struct error *err)
{
    struct model_workspace *w = *out = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, "a workspace");
    size_workspace(w, m, max_row, max_out);
    int rc = buffer_new(&w->slab, m->device, model_workspace_size(m, max_row, max_out), "activations", err);
    if (rc) {
        model_workspace_free(w);
        *out = NULL;
        return rc;
    }
    struct carver c = {w->slab, 0};
    carve_workspace(&c, m->device, &m->desc, m->dtype, w);
    return 0;
}

void model_workspace_free(struct model_workspace *w)
{
    if (!w)
        return;
    buffer_free(w->slab);
    mem_free(w);
}

void embed_forward(const struct model *m, struct queue *q, const struct model_batch *b, struct span x,
                   struct span words)
{
    const struct model_desc *d = &m->desc;
    tensor_embed(q,
                 &(struct embed_args){
                     .w = m->groups[0].weight, .n_row = b->n_row, .tokens = b->tokens, .y = m->project_in ? words : x});
    if (m->project_in)
        tensor_linear(
            q, &(struct linear_args){
                   .w = m->groups[m->project_in].weight, .n_row = b->n_row, .x = words, .y = x, .way = model_way(m)});
    if (d->embed_scale > 0)
        tensor_scale(q, &(struct scale_args){(size_t)b->n_row * (size_t)d->n_embd, d->embed_scale, x, x});
    if (m->positions)
        tensor_embed(q, &(struct embed_args){.w = m->groups[m->positions].weight,
                                             .n_row = b->n_row,
                                             .tokens = b->positions,
                                             .y = x,
                                             .offset = d->position_offset,
                                             .accumulate = 1});
    if (m->types)
        tensor_embed(
            q, &(struct embed_args){
                   .w = m->groups[m->types].weight, .n_row = b->n_row, .tokens = SPAN_NONE, .y = x, .accumulate = 1});
    if (m->embed_norm)
        tensor_norm(q, &(struct norm_args){.kind = d->norm,
                                           .n_row = b->n_row,
                                           .n_col = d->n_embd,
                                           .eps = d->norm_eps,
                                           .offset = d->norm_offset,
                                           .x = x,
                                           .weight = m->groups[m->embed_norm].vector,
                                           .bias = group_vector(m, m->embed_norm_bias),
                                           .y = x,
                                           .y_dtype = DTYPE_F32});
}

int desc_rotations(const struct model_desc *d)
{
    int second = 0;
    for (int l = 0; l < d->n_layer; l++)
        second |= !!(d->layers[l] & LAYER_SECOND_ROPE);
    return d->n_rotated ? 1 + second : 0;
}

int model_turn_limit(const struct model_desc *d)
{
    int limit = INT_MAX;
    for (int i = 0; i < desc_rotations(d); i++)
        if (d->rotations[i].limit && d->rotations[i].limit < limit)
            limit = d->rotations[i].limit;
    return limit;
}

void carve_rotations(struct carver *c, const struct model_desc *d, int max_row, struct layer_io *io)
{
    for (int i = 0; i < desc_rotations(d); i++)
        io->rotations[i] = carve(c, (size_t)max_row, d->n_rotated, DTYPE_F32);
}

void rotations_forward(const struct model *m, struct queue *q, const struct model_batch *b, const struct layer_io *io)
{
    const struct model_desc *d = &m->desc;
    for (int i = 0; i < desc_rotations(d); i++) {
        const struct model_rotation *r = &d->rotations[i];
        tensor_rope_table(q, &(struct rope_table_args){.n_row = b->n_row,
                                                       .n_rotated = d->n_rotated,
                                                       .positions = b->positions,
                                                       .inv_freq = m->inv_freq[i],
                                                       .table = io->rotations[i],
                                                       .factor = r->factor,
                                                       .limit = r->limit,
                                                       .stretch = r->stretch,
                                                       .lengths = b->lengths,
                                                       .long_inv_freq = m->long_inv_freq[i]});
    }
}

void project_out_forward(const struct model *m, struct queue *q, int n, struct typed_span x, struct typed_span y)
{
    tensor_linear(q, &(struct linear_args){.w = m->groups[m->project_out].weight,
                                           .n_row = n,
                                           .x = x.at,
                                           .x_dtype = x.dtype,
                                           .y = y.at,
                                           .y_dtype = y.dtype,
                                           .way = model_way(m)});
}

void model_forward(const struct model *m, struct queue *q, struct model_workspace *w, const struct model_batch *batch,
                   struct span *hidden)
{
    struct span last = w->io.x;
    int some = !!batch->out_rows.buffer, n_out = some ? batch->n_out : batch->n_row, n_whole = m->desc.n_layer - some;
    embed_forward(m, q, batch, w->io.x, w->words);
    rotations_forward(m, q, batch, &w->io);
    for (int l = 0; l < n_whole; l++)
        layer_forward(m, q, l, batch, &w->io);
    if (some)
        layer_forward_out(m, q, n_whole, batch, &w->io, last = w->gathered);
    struct typed_span normed = {w->hidden, DTYPE_F32};
    final_norm_forward(m, q, n_out, last, (struct norm_kept){SPAN_NONE, SPAN_NONE}, normed);
    if (m->project_out)
        project_out_forward(m, q, n_out, normed, (struct typed_span){w->outward, DTYPE_F32});
    *hidden = m->project_out ? w->outward : w->hidden;
}

void model_head(const struct model *m, struct queue *q, struct span hidden, int n, struct span logits)
{
    tensor_linear(q, &(struct linear_args){.w = m->groups[m->head].weight,
                                           .n_row = n,
                                           .x = hidden,
                                           .y = logits,
                                           .bias = group_vector(m, m->head_bias),
                                           .way = model_way(m)});
    if (m->desc.logit_cap > 0 && m->desc.task == MODEL_LM)
        tensor_soft_cap(q, &(struct soft_cap_args){(size_t)n * (size_t)m->desc.n_vocab, m->desc.logit_cap, logits});
}
