/* SPDX-License-Identifier: Apache-2.0 */
/* The one layer of the one transformer. Paged and bordered passes, inference and training all go through layer_forward;
 * what differs is only which spans the caller gave. What a family has or has not is read from the descriptor, here and
 * in layer_backward.c alike:
 *   PRE       x += O(attention(norm x));        x += down(mlp(norm x))
 *   SANDWICH  x += norm O(attention(norm x));   x += norm down(mlp(norm x))
 *   POST      x += norm O(attention(x));        x += norm down(mlp(x))
 *   AFTER     x = norm(x + O(attention(x)));    x = norm(x + down(mlp(x)))
 * parallel (with PRE): both read the same x. */
#include "model/layer_parts.h"

#include "base/maths.h"

static void layer_norm(const struct layer *l, enum layer_part part, int n_row, struct span x, struct norm_kept kept,
                       struct typed_span y)
{
    const struct model_desc *d = l->d;
    tensor_norm(l->q, &(struct norm_args){.kind = d->norm,
                                          .n_row = n_row,
                                          .n_col = d->n_embd,
                                          .eps = d->norm_eps,
                                          .offset = d->norm_offset,
                                          .x = x,
                                          .weight = layer_vector(l, part),
                                          .bias = layer_vector(l, part + 1),
                                          .y = y.at,
                                          .y_dtype = y.dtype,
                                          .inverse = kept.inverse,
                                          .mean = kept.mean});
}

void final_norm_forward(const struct model *m, struct queue *q, int n, struct span x, struct norm_kept kept,
                        struct typed_span y)
{
    const struct model_desc *d = &m->desc;
    if (!d->final_norm) {
        tensor_cast(q, &(struct cast_args){(size_t)n * (size_t)d->n_embd, x, DTYPE_F32, y.at, y.dtype});
        return;
    }
    tensor_norm(q, &(struct norm_args){.kind = d->norm,
                                       .n_row = n,
                                       .n_col = d->n_embd,
                                       .eps = d->norm_eps,
                                       .offset = d->norm_offset,
                                       .x = x,
                                       .weight = group_vector(m, m->final_norm),
                                       .bias = group_vector(m, m->final_norm_bias),
                                       .y = y.at,
                                       .y_dtype = y.dtype,
                                       .inverse = kept.inverse,
                                       .mean = kept.mean});
}

static float attention_scale(const struct layer *l)
{
    const struct model_desc *d = l->d;
    double scale = d->attention_scale > 0 ? (double)d->attention_scale : maths_pow((double)d->head_dim, -0.5);
    return (float)(d->layer_scale ? scale / (l->index + 1) : scale);
}

static int window_of(const struct layer *l)
{
    return l->d->layers[l->index] & LAYER_WINDOW ? l->d->window : 0;
}

struct attend_train_args layer_attention(const struct layer *l)
{
    const struct model_desc *d = l->d;
    const struct model_batch *b = l->b;
    const struct layer_io *io = l->io;
    return (struct attend_train_args){
        .n_row = b->n_row,
        .n_seq = b->n_seq,
        .n_head = d->n_head,
        .n_kv_head = d->n_kv_head,
        .head_dim = d->head_dim,
        .max_len = b->max_len,
        .causal = !d->bidirectional,
        .scale = attention_scale(l),
        .q = io->qkv,
        .k = layer_head(l, io->qkv, d->n_head),
        .v = layer_head(l, layer_raw(io), d->n_head + d->n_kv_head),
        .stride = layer_qkv_width(d),
        .borders = b->borders,
        .valid = b->valid,
        .out = io->att,
        .out_dtype = io->att_dtype,
        .lse = io->lse,
        .window = window_of(l),
        .soft_cap = d->attention_cap,
        .bias = l->m->reach_bias,
        .reach = d->n_ctx,
    };
}

static void attend_paged(const struct layer *l)
{
    const struct model_desc *d = l->d;
    const struct model_batch *b = l->b;
    const struct layer_io *io = l->io;
    struct span pages = b->pages[l->index];
    tensor_kv_store(l->q,
                    &(struct kv_store_args){b->layout, b->n_row, layer_head(l, io->qkv, d->n_head),
                                            layer_head(l, layer_raw(io), d->n_head + d->n_kv_head), layer_qkv_width(d),
                                            pages, b->block_table, b->table_stride, b->row_seq, b->positions});
    if (b->n_copy)
        tensor_kv_copy(l->q, &(struct kv_copy_args){b->layout, b->n_copy, b->copies, pages});
    tensor_attend(l->q, &(struct attend_args){.layout = b->layout,
                                              .n_row = b->n_row,
                                              .n_head = d->n_head,
                                              .n_seq = b->n_seq,
                                              .scale = attention_scale(l),
                                              .q = io->qkv,
                                              .q_stride = layer_qkv_width(d),
                                              .pages = pages,
                                              .block_table = b->block_table,
                                              .table_stride = b->table_stride,
                                              .row_seq = b->row_seq,
                                              .positions = b->positions,
                                              .out = io->att,
                                              .out_dtype = io->att_dtype,
                                              .window = window_of(l),
                                              .soft_cap = d->attention_cap});
}

void layer_rotate(const struct layer *l, struct span qkv, int inverse)
{
    const struct model_desc *d = l->d;
    int kind = d->layers[l->index];
    if (!d->n_rotated || (kind & LAYER_NO_ROPE))
        return;
    tensor_rope(l->q, &(struct rope_args){.n_row = l->b->n_row,
                                          .n_head = d->n_head + d->n_kv_head,
                                          .head_dim = d->head_dim,
                                          .x = qkv,
                                          .x_stride = layer_qkv_width(d),
                                          .table = l->io->rotations[kind & LAYER_SECOND_ROPE ? 1 : 0],
                                          .inverse = inverse,
                                          .n_rotated = d->n_rotated});
}

/* Queries and keys by heads, or each as one row. */
static void normalise_heads(const struct layer *l)
{
    const struct model_desc *d = l->d;
    const struct layer_io *io = l->io;
    int by_head = d->qk_norm == QK_HEAD, q = d->n_head * d->head_dim, k = d->n_kv_head * d->head_dim;
    struct norm_args a = {.kind = NORM_RMS,
                          .n_row = l->b->n_row,
                          .n_col = by_head ? d->head_dim : q,
                          .eps = d->norm_eps,
                          .offset = d->norm_offset,
                          .x = layer_raw(io),
                          .weight = layer_vector(l, PART_Q_NORM),
                          .y = io->qkv,
                          .y_dtype = DTYPE_F32,
                          .inverse = io->inverse_q,
                          .n_group = by_head ? d->n_head : 1,
                          .x_stride = layer_qkv_width(d),
                          .y_stride = layer_qkv_width(d)};
    tensor_norm(l->q, &a);
    a.n_col = by_head ? d->head_dim : k;
    a.n_group = by_head ? d->n_kv_head : 1;
    a.x = layer_head(l, a.x, d->n_head);
    a.y = layer_head(l, a.y, d->n_head);
    a.weight = layer_vector(l, PART_K_NORM);
    a.inverse = io->inverse_k;
    tensor_norm(l->q, &a);
}

struct projection { /* y [T,N] f32 = x w^T + bias + residual; rows as in linear_args */
    enum layer_part part;
    int n_row;
    struct span x;
    enum dtype x_dtype;
    struct span y, residual, rows;
};

/* With the adapter's part. */
static void project(const struct layer *l, const struct projection *p)
{
    const struct lora_group *adapter = layer_adapter(l, p->part);
    const struct model_group *g = layer_group(l->m, l->index, p->part);
    tensor_linear(l->q, &(struct linear_args){.w = g->weight,
                                              .n_row = p->n_row,
                                              .x = p->x,
                                              .x_dtype = p->x_dtype,
                                              .rows = p->rows,
                                              .y = p->y,
                                              .bias = layer_vector(l, p->part + 1),
                                              .residual = p->residual,
                                              .way = model_way(l->m)});
    if (adapter)
        lora_forward(&(struct lora_pass){l->m, l->q, adapter, p->n_row, p->x, l->io->u, p->x_dtype, p->rows}, p->y,
                     g->n);
}

void layer_input_forward(const struct layer *l, enum layer_part norm, int n_row, struct span x, struct norm_kept kept,
                         struct span y)
{
    if (layer_has_pre_norm(l->d))
        layer_norm(l, norm, n_row, x, kept, (struct typed_span){y, l->act});
    else
        tensor_cast(l->q, &(struct cast_args){(size_t)n_row * (size_t)l->d->n_embd, x, DTYPE_F32, y, l->act});
}

/* From the residual stream to io->att. */
static void attention_forward(const struct layer *l)
{
    const struct layer_io *io = l->io;
    layer_input_forward(l, PART_ATTN_NORM, l->b->n_row, io->x, io->kept1, io->h1);
    project(l, &(struct projection){
                   .part = PART_QKV, .n_row = l->b->n_row, .x = io->h1, .x_dtype = l->act, .y = layer_raw(io)});
    if (l->d->qk_norm)
        normalise_heads(l);
    layer_rotate(l, io->qkv, 0);
    if (l->b->pages) {
        attend_paged(l);
        return;
    }
    struct attend_train_args a = layer_attention(l);
    tensor_attend_train(l->q, &a);
}

/* A half's way back into the residual stream: out := what the place of the norms says of `residual` and the product. */
struct half {
    struct projection p; /* without y and residual */
    enum layer_part post;
    struct span residual, raw, out;
    struct norm_kept kept;
};

static void half_out(const struct layer *l, const struct half *h)
{
    struct projection p = h->p;
    enum norm_place place = l->d->place;
    size_t n = (size_t)p.n_row * (size_t)l->d->n_embd;
    p.y = place == PLACE_PRE ? h->out : h->raw;
    p.residual = place == PLACE_PRE || place == PLACE_AFTER ? h->residual : SPAN_NONE;
    project(l, &p);
    if (place == PLACE_PRE)
        return;
    if (place == PLACE_AFTER) {
        layer_norm(l, h->post, p.n_row, h->raw, h->kept, (struct typed_span){h->out, DTYPE_F32});
        return;
    }
    layer_norm(l, h->post, p.n_row, h->raw, h->kept, (struct typed_span){l->io->post, DTYPE_F32});
    if (h->out.buffer != h->residual.buffer || h->out.offset != h->residual.offset)
        tensor_copy(l->q, &(struct copy_args){n * 4, h->residual, h->out});
    tensor_add(l->q, &(struct add_args){n, l->io->post, h->out, SPAN_NONE});
}

/* Gate and up (or up alone), kept in bf16 where products are computed in it; what comes after reads what is kept, so
 * that both ways to it give the same bits. */
static void project_up(const struct layer *l, int n_row)
{
    const struct layer_io *io = l->io;
    const struct model_group *g = layer_group(l->m, l->index, PART_GATE_UP);
    int narrow = io->gate_up_dtype == DTYPE_BF16;
    if (narrow && !layer_adapter(l, PART_GATE_UP)) {
        tensor_linear(l->q, &(struct linear_args){.w = g->weight,
                                                  .n_row = n_row,
                                                  .x = io->h2,
                                                  .x_dtype = l->act,
                                                  .y = io->gate_up,
                                                  .y_dtype = DTYPE_BF16,
                                                  .bias = layer_vector(l, PART_GATE_UP_BIAS),
                                                  .way = model_way(l->m)});
        return;
    }
    project(l, &(struct projection){.part = PART_GATE_UP,
                                    .n_row = n_row,
                                    .x = io->h2,
                                    .x_dtype = l->act,
                                    .y = narrow ? io->wide : io->gate_up});
    if (narrow)
        tensor_cast(l->q,
                    &(struct cast_args){(size_t)n_row * (size_t)g->n, io->wide, DTYPE_F32, io->gate_up, DTYPE_BF16});
}

void layer_gate_forward(const struct layer *l, int n_row)
{
    const struct model_desc *d = l->d;
    tensor_gate(l->q, &(struct gate_args){d->act, d->gated, n_row, d->n_ff, l->io->gate_up, l->io->mlp, l->act,
                                          l->io->gate_up_dtype});
}

/* From io->h2 to io->mlp. */
static void mlp_forward(const struct layer *l, int n_row)
{
    const struct model_desc *d = l->d;
    const struct layer_io *io = l->io;
    if (io->gate_up.buffer) {
        project_up(l, n_row);
        layer_gate_forward(l, n_row);
        return;
    }
    tensor_linear(l->q, &(struct linear_args){.w = layer_group(l->m, l->index, PART_GATE_UP)->weight,
                                              .n_row = n_row,
                                              .x = io->h2,
                                              .x_dtype = l->act,
                                              .y = io->mlp,
                                              .y_dtype = l->act,
                                              .bias = layer_vector(l, PART_GATE_UP_BIAS),
                                              .gate = d->gated,
                                              .activate = !d->gated,
                                              .act = d->act,
                                              .way = model_way(l->m),
                                              .wide = io->wide});
}

/* Behind attention: n rows of io, of which `rows` (or all, in order) are rows of io->att. */
static void rest_forward(const struct layer *l, int n, struct span rows)
{
    const struct layer_io *io = l->io;
    if (l->d->parallel)
        layer_input_forward(l, PART_MLP_NORM, n, io->x, io->kept2, io->h2);
    half_out(l, &(struct half){.p = {.part = PART_O, .n_row = n, .x = io->att, .x_dtype = io->att_dtype, .rows = rows},
                               .post = PART_ATTN_POST,
                               .residual = io->x,
                               .raw = io->raw1,
                               .out = io->mid,
                               .kept = io->kept3});
    if (!l->d->parallel)
        layer_input_forward(l, PART_MLP_NORM, n, io->mid, io->kept2, io->h2);
    mlp_forward(l, n);
    half_out(l, &(struct half){.p = {.part = PART_DOWN, .n_row = n, .x = io->mlp, .x_dtype = l->act},
                               .post = PART_MLP_POST,
                               .residual = io->mid,
                               .raw = io->raw2,
                               .out = io->y,
                               .kept = io->kept4});
}

void layer_forward(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                   const struct layer_io *io)
{
    struct layer l = layer_of(m, q, layer, b, io);
    attention_forward(&l);
    rest_forward(&l, b->n_row, SPAN_NONE);
}

void layer_forward_out(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                       const struct layer_io *io, struct span out)
{
    struct layer_io some = *io;
    struct layer l = layer_of(m, q, layer, b, io);
    some.x = some.mid = some.y = out;
    attention_forward(&l);
    tensor_gather_rows(q, &(struct gather_rows_args){b->n_out, m->desc.n_embd, io->x, b->out_rows, out});
    l.io = &some;
    rest_forward(&l, b->n_out, b->out_rows);
}
