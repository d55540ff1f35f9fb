/* SPDX-License-Identifier: Apache-2.0 */
/* The one layer of the one transformer, and its gradient beside it. Paged and bordered passes, inference and training all go
 * through layer_forward; what differs is only which spans the caller gave. The backward pass recomputes what is cheap (both norms and the gated
 * product) and reads the rest, so it needs x, qkv, lse, att, mid and gate_up; with recomputation layer_forward makes those anew, with the same bits. */
#include "model/lora.h"

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
    tensor_rope(q, &(struct rope_args){.n_row = b->n_row, .n_head = d->n_head + d->n_kv_head, .head_dim = d->head_dim, .x = qkv, .x_stride = qkv_width(d),
                                       .positions = b->positions, .table = m->rope_table, .inverse = inverse});
}

static void add_adapter(const struct model *m, struct queue *q, int layer, enum layer_part part, int n, struct span x, enum dtype x_dtype, struct span u, struct span y)
{
    const struct lora_group *g = m->lora ? &m->lora->groups[1 + layer * PART_COUNT + (int)part] : NULL;
    if (g && g->n_module)
        lora_forward(m, q, g, n, x, x_dtype, u, y, layer_group(m, layer, part)->n);
}

/* y [T,N] f32 = x w^T, with the residual and with the adapter's part. */
static void project(const struct model *m, struct queue *q, int layer, enum layer_part part, int n, struct span x, enum dtype x_dtype, struct span u, struct span y, struct span residual)
{
    tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, part)->weight, .n_row = n, .x = x, .x_dtype = x_dtype, .y = y, .residual = residual});
    add_adapter(m, q, layer, part, n, x, x_dtype, u, y);
}

/* Gate and up, kept in bf16 where products are computed in it; what comes after reads what is kept, so that both ways to it give the same bits. */
static void project_gate_up(const struct model *m, struct queue *q, int layer, int n, const struct layer_io *io)
{
    enum dtype act = model_act_dtype(m);
    struct span y = io->gate_up;
    int narrow = io->gate_up_dtype == DTYPE_BF16, adapted = m->lora && m->lora->groups[1 + layer * PART_COUNT + PART_GATE_UP].n_module;
    if (narrow && !adapted) {
        tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, PART_GATE_UP)->weight, .n_row = n, .x = io->h2, .x_dtype = act, .y = y, .y_dtype = DTYPE_BF16});
        return;
    }
    project(m, q, layer, PART_GATE_UP, n, io->h2, act, io->u, narrow ? io->wide : y, SPAN_NONE);
    if (narrow)
        tensor_cast(q, &(struct cast_args){(size_t)n * (size_t)layer_group(m, layer, PART_GATE_UP)->n, io->wide, DTYPE_F32, y, DTYPE_BF16});
}

static void gate_forward(const struct model *m, struct queue *q, int n, const struct layer_io *io)
{
    const struct model_desc *d = &m->desc;
    tensor_gate(q, &(struct gate_args){d->act, d->gated, n, d->n_ff, io->gate_up, io->mlp, model_act_dtype(m), io->gate_up_dtype});
}

/* From the residual stream to io->att. */
static void attention_forward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    int n = b->n_row;
    norm_forward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, io->h1, act);
    project(m, q, layer, PART_QKV, n, io->h1, act, io->u, io->qkv, SPAN_NONE);
    rotate(m, q, b, io->qkv, 0);
    if (b->pages) {
        attend_paged(m, q, layer, b, io);
    } else {
        struct attend_train_args a = bordered_attention(d, b, io);
        tensor_attend_train(q, &a);
    }
}

/* From io->mid to io->y, n rows. */
static void mlp_forward(const struct model *m, struct queue *q, int layer, int n, const struct layer_io *io)
{
    enum dtype act = model_act_dtype(m);
    norm_forward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, io->h2, act);
    if (io->gate_up.buffer) {
        project_gate_up(m, q, layer, n, io);
        gate_forward(m, q, n, io);
    } else {
        const struct weight *gate_up = layer_group(m, layer, PART_GATE_UP)->weight;
        tensor_linear(q, &(struct linear_args){.w = gate_up, .n_row = n, .x = io->h2, .x_dtype = act, .y = io->mlp, .y_dtype = act, .gate = 1});
    }
    project(m, q, layer, PART_DOWN, n, io->mlp, act, io->u, io->y, io->mid);
}

void layer_forward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io)
{
    attention_forward(m, q, layer, b, io);
    project(m, q, layer, PART_O, b->n_row, io->att, io->att_dtype, io->u, io->mid, io->x);
    mlp_forward(m, q, layer, b->n_row, io);
}

void layer_forward_out(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io, struct span out)
{
    struct layer_io some = *io;
    some.mid = some.y = out;
    attention_forward(m, q, layer, b, io);
    tensor_gather_rows(q, &(struct gather_rows_args){b->n_out, m->desc.n_embd, io->x, b->out_rows, out});
    tensor_linear(q, &(struct linear_args){.w = layer_group(m, layer, PART_O)->weight, .n_row = b->n_out, .x = io->att, .x_dtype = io->att_dtype, .rows = b->out_rows,
                                           .y = out, .residual = out});
    mlp_forward(m, q, layer, b->n_out, &some);
}

/* Whether a gradient of this matrix, or of its adapter, is wanted: then its input is needed again. */
static int is_trained(const struct model *m, int layer, enum layer_part part)
{
    return !m->lora || m->lora->groups[1 + layer * PART_COUNT + (int)part].n_module;
}

/* Gradients of y = x . w^T: the weight's (or its adapter's) into its place of the flat gradients, and x's unless dx is SPAN_NONE. */
static void project_backward(const struct model *m, struct queue *q, int layer, enum layer_part part, const struct model_batch *b, struct span dy, struct span x,
                             enum dtype x_dtype, struct span u, struct span dx, const struct layer_grad *grad)
{
    const struct model_group *g = layer_group(m, layer, part);
    if (!m->lora)
        tensor_linear_dw(q, &(struct linear_dw_args){.n = g->n, .k = g->k, .n_row = b->n_row, .borders = b->borders, .n_seq = b->n_seq, .compute = model_act_dtype(m), .dy = dy,
                                                     .x = x, .x_dtype = x_dtype, .dw = span_at(grad->gradients, (size_t)g->offset * 4), .fresh = grad->fresh});
    if (dx.buffer)
        tensor_linear_dx(q, &(struct linear_dx_args){.w = g->weight, .n_row = b->n_row, .dy = dy, .dx = dx});
    if (m->lora && is_trained(m, layer, part))
        lora_backward(m, q, b, &m->lora->groups[1 + layer * PART_COUNT + (int)part], dy, g->n, x, x_dtype, u, grad->du, dx, grad->gradients);
}

static void norm_backward(const struct model *m, struct queue *q, int n_row, const struct model_group *g, struct span x, struct span inverse,
                          struct span dy, struct span dx, struct span gradients)
{
    tensor_norm_dx(q, &(struct norm_dx_args){.kind = m->desc.norm, .n_row = n_row, .n_col = m->desc.n_embd, .x = x, .weight = g->vector,
                                             .inverse = inverse, .dy = dy, .dx = dx, .accumulate = 1,
                                             .dweight = m->lora ? SPAN_NONE : span_at(gradients, (size_t)g->offset * 4)});
}

static void mlp_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io, const struct layer_grad *g)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    struct span dwide = io->gate_up_dtype == DTYPE_BF16 ? io->wide : io->gate_up;
    int n = b->n_row;
    if (is_trained(m, layer, PART_DOWN))
        gate_forward(m, q, n, io);
    project_backward(m, q, layer, PART_DOWN, b, g->dx, io->mlp, act, io->u, g->dmlp, g);
    tensor_gate_dx(q, &(struct gate_dx_args){d->act, d->gated, n, d->n_ff, io->gate_up, g->dmlp, dwide, io->gate_up_dtype});
    if (is_trained(m, layer, PART_GATE_UP))
        norm_forward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, io->h2, act);
    project_backward(m, q, layer, PART_GATE_UP, b, dwide, io->h2, act, io->u, g->dh, g);
    norm_backward(m, q, n, layer_group(m, layer, PART_MLP_NORM), io->mid, io->inverse2, g->dh, g->dx, g->gradients);
}

static void attention_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io,
                               const struct layer_grad *g)
{
    const struct model_desc *d = &m->desc;
    enum dtype act = model_act_dtype(m);
    int n = b->n_row, wanted = layer || !m->lora; /* below the first layer there is only the embedding, which adapters leave as it is */
    project_backward(m, q, layer, PART_O, b, g->dx, io->att, io->att_dtype, io->u, g->datt, g);
    tensor_attend_train_dx(q, &(struct attend_train_dx_args){.forward = bordered_attention(d, b, io), .dout = g->datt, .dq = g->dqkv,
                                                             .dk = heads_at(g->dqkv, d, d->n_head),
                                                             .dv = heads_at(g->dqkv, d, d->n_head + d->n_kv_head), .dstride = qkv_width(d)});
    rotate(m, q, b, g->dqkv, 1);
    if (is_trained(m, layer, PART_QKV))
        norm_forward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, io->h1, act);
    project_backward(m, q, layer, PART_QKV, b, g->dqkv, io->h1, act, io->u, wanted ? g->dh : SPAN_NONE, g);
    if (wanted)
        norm_backward(m, q, n, layer_group(m, layer, PART_ATTN_NORM), io->x, io->inverse1, g->dh, g->dx, g->gradients);
}

void layer_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b, const struct layer_io *io,
                    const struct layer_grad *g)
{
    mlp_backward(m, q, layer, b, io, g);
    attention_backward(m, q, layer, b, io, g);
}
