/* SPDX-License-Identifier: Apache-2.0 */
/* The one layer of the one transformer, and its gradient beside it. Paged and bordered passes, inference and training all go
 * through layer_forward; what differs is only which spans the caller gave. The backward pass recomputes what is cheap (both norms and the gated
 * product) and reads the rest, so it needs x, qkv, lse, att, mid and gate_up; with recomputation layer_forward makes those anew, with the same bits. */
#include "model/parts.h"

#include "base/maths.h"

static float attention_scale(const struct model_desc *d)
{
    return (float)maths_pow((double)d->head_dim, -0.5);
}

static struct span heads_at(struct span qkv, const struct model_desc *d, int n_head)
{
    return span_at(qkv, (size_t)n_head * (size_t)d->head_dim * 4);
}

static int64_t qkv_width(const struct model_desc *d)
{
    return ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim;
}

static void norm_forward(const struct model *m, struct queue *q, int n_row, const struct model_group *g, struct span x, struct span inverse,
                         struct span y, enum dtype y_dtype)
{
    const struct model_desc *d = &m->desc;
    tensor_norm(q, &(struct norm_args){.kind = d->norm, .n_row = n_row, .n_col = d->n_embd, .eps = d->norm_eps, .x = x, .weight = g->vector,
                                       .y = y, .y_dtype = y_dtype, .inverse = inverse});
}

void final_norm_forward(const struct model *m, struct queue *q, int n, struct span x, struct span inverse, struct span y, enum dtype y_dtype)
{
    norm_forward(m, q, n, &m->groups[m->final_norm], x, inverse, y, y_dtype);
}

static struct attend_train_args bordered_attention(const struct model_desc *d, const struct model_batch *b, const struct layer_io *io)
{
    return (struct attend_train_args){
        .n_row = b->n_row, .n_seq = b->n_seq, .n_head = d->n_head, .n_kv_head = d->n_kv_head, .head_dim = d->head_dim, .max_len = b->max_len,
        .causal = 1, .scale = attention_scale(d), .q = io->qkv, .k = heads_at(io->qkv, d, d->n_head),
        .v = heads_at(io->qkv, d, d->n_head + d->n_kv_head), .stride = qkv_width(d), .borders = b->borders, .valid = b->valid, .out = io->att,
        .out_dtype = io->att_dtype, .lse = io->lse,
    };
}

static void attend_paged(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io)
{
    const struct model_desc *d = &m->desc;
    struct span k = heads_at(io->qkv, d, d->n_head), v = heads_at(io->qkv, d, d->n_head + d->n_kv_head);
    tensor_kv_store(q, &(struct kv_store_args){b->layout, b->n_row, k, v, qkv_width(d), b->pages[layer], b->block_table, b->table_stride,
                                               b->row_seq, b->positions});
    tensor_attend(q, &(struct attend_args){.layout = b->layout, .n_row = b->n_row, .n_head = d->n_head, .n_seq = b->n_seq, .scale = attention_scale(d),
                                           .q = io->qkv, .q_stride = qkv_width(d), .pages = b->pages[layer], .block_table = b->block_table,
                                           .table_stride = b->table_stride, .row_seq = b->row_seq, .positions = b->positions, .out = io->att,
                                           .out_dtype = io->att_dtype});
}

static void rotate(const struct model *m, struct queue *q, const struct model_batch *b, struct span qkv, int inverse)
{
    const struct model_desc *d = &m->desc;
    tensor_rope(q, &(struct rope_args){b->n_row, d->n_head + d->n_kv_head, d->head_dim, qkv, qkv_width(d), b->positions, m->rope_table, inverse});
}

void layer_forward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    int n = b->n_row;
    norm_forward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, io->h1, act);
    tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, PART_QKV)->weight, .n_row = n, .x = io->h1, .x_dtype = act, .y = io->qkv});
    rotate(m, q, b, io->qkv, 0);
    if (b->pages) {
        attend_paged(m, q, layer, b, io);
    } else {
        struct attend_train_args a = bordered_attention(d, b, io);
        tensor_attend_train(q, &a);
    }
    tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, PART_O)->weight, .n_row = n, .x = io->att, .x_dtype = io->att_dtype,
                                           .y = io->mid, .residual = io->x});
    norm_forward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, io->h2, act);
    const struct weight *gate_up = layer_group(m, layer, PART_GATE_UP)->weight;
    if (io->gate_up.buffer) {
        tensor_linear(q, &(struct linear_args){.w = gate_up, .n_row = n, .x = io->h2, .x_dtype = act, .y = io->gate_up});
        tensor_gate(q, &(struct gate_args){d->act, d->gated, n, d->n_ff, io->gate_up, io->mlp, act});
    } else {
        tensor_linear(q, &(struct linear_args){.w = gate_up, .n_row = n, .x = io->h2, .x_dtype = act, .y = io->mlp, .y_dtype = act, .gate = 1});
    }
    tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, PART_DOWN)->weight, .n_row = n, .x = io->mlp, .x_dtype = act, .y = io->y,
                                           .residual = io->mid});
}

/* Gradients of y = x . w^T: the weight's into its place of the flat gradients, and x's. */
static void linear_backward(const struct model *m, struct queue *q, const struct model_batch *b, const struct model_group *g, struct span dy,
                            struct span x, enum dtype x_dtype, struct span dx, struct span gradients)
{
    tensor_linear_dw(q, &(struct linear_dw_args){.n = g->n, .k = g->k, .n_row = b->n_row, .borders = b->borders, .n_seq = b->n_seq, .compute = model_act_dtype(m), .dy = dy,
                                                 .x = x, .x_dtype = x_dtype, .dw = span_at(gradients, (size_t)g->offset * 4)});
    tensor_linear_dx(q, &(struct linear_dx_args){.w = g->weight, .n_row = b->n_row, .dy = dy, .dx = dx});
}

static void norm_backward(const struct model *m, struct queue *q, int n_row, const struct model_group *g, struct span x, struct span inverse,
                          struct span dy, struct span dx, struct span gradients)
{
    tensor_norm_dx(q, &(struct norm_dx_args){.kind = m->desc.norm, .n_row = n_row, .n_col = m->desc.n_embd, .x = x, .weight = g->vector,
                                             .inverse = inverse, .dy = dy, .dx = dx, .accumulate = 1,
                                             .dweight = span_at(gradients, (size_t)g->offset * 4)});
}

static void mlp_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io, const struct layer_grad *g)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    int n = b->n_row;
    tensor_gate(q, &(struct gate_args){d->act, d->gated, n, d->n_ff, io->gate_up, io->mlp, act});
    linear_backward(m, q, b, layer_group(m, layer, PART_DOWN), g->dx, io->mlp, act, g->dmlp, g->gradients);
    tensor_gate_dx(q, &(struct gate_dx_args){d->act, d->gated, n, d->n_ff, io->gate_up, g->dmlp, io->gate_up});
    norm_forward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, io->h2, act);
    linear_backward(m, q, b, layer_group(m, layer, PART_GATE_UP), io->gate_up, io->h2, act, g->dh, g->gradients);
    norm_backward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, g->dh, g->dx, g->gradients);
}

static void attention_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io,
                               const struct layer_grad *g)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    int n = b->n_row;
    linear_backward(m, q, b, layer_group(m, layer, PART_O), g->dx, io->att, io->att_dtype, g->datt, g->gradients);
    tensor_attend_train_dx(q, &(struct attend_train_dx_args){.forward = bordered_attention(d, b, io), .dout = g->datt, .dq = g->dqkv,
                                                             .dk = heads_at(g->dqkv, d, d->n_head),
                                                             .dv = heads_at(g->dqkv, d, d->n_head + d->n_kv_head), .dstride = qkv_width(d)});
    rotate(m, q, b, g->dqkv, 1);
    norm_forward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, io->h1, act);
    linear_backward(m, q, b, layer_group(m, layer, PART_QKV), g->dqkv, io->h1, act, g->dh, g->gradients);
    norm_backward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, g->dh, g->dx, g->gradients);
}

void layer_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io,
                    const struct layer_grad *g)
{
    mlp_backward(m, q, layer, b, io, g);
    attention_backward(m, q, layer, b, io, g);
}
