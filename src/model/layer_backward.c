/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of the one layer. It computes again what is cheap (the norms and the gated product) and reads the rest,
 * so it needs x, qkv, lse, att, mid, gate_up, and where norms stand behind the products raw1 and raw2; with
 * recomputation layer_forward makes those anew, with the same bits. */
#include "model/layer_parts.h"

struct backward { /* one layer's way back */
    struct layer l;
    const struct layer_grad *g;
};

/* Whether a gradient of this matrix, or of its adapter, is wanted: then its input is needed again. */
static int is_trained(const struct backward *s, enum layer_part part)
{
    return !s->l.m->lora || layer_adapter(&s->l, part);
}

static struct span gradient_of(const struct backward *s,
                               enum layer_part part) /* SPAN_NONE: not there, or not trained */
{
    const struct model *m = s->l.m;
    if (m->lora || !layer_has(m, s->l.index, part))
        return SPAN_NONE;
    return span_at(s->g->gradients, (size_t)layer_group(m, s->l.index, part)->offset * 4);
}

struct product_back {
    enum layer_part part;
    struct span dy, x;
    enum dtype x_dtype;
    struct span dx; /* or SPAN_NONE: not wanted */
};

/* Gradients of y = x . w^T + bias: the weight's and bias's (or the adapter's) into their places of the flat gradients,
 * and x's. */
static void project_backward(const struct backward *s, const struct product_back *p)
{
    const struct layer *l = &s->l;
    const struct model_batch *b = l->b;
    const struct model_group *g = layer_group(l->m, l->index, p->part);
    const struct lora_group *adapter = layer_adapter(l, p->part);
    struct span db = gradient_of(s, p->part + 1);
    if (!l->m->lora)
        tensor_linear_dw(l->q, &(struct linear_dw_args){.n = g->n,
                                                        .k = g->k,
                                                        .n_row = b->n_row,
                                                        .borders = b->borders,
                                                        .n_seq = b->n_seq,
                                                        .compute = l->act,
                                                        .dy = p->dy,
                                                        .x = p->x,
                                                        .x_dtype = p->x_dtype,
                                                        .dw = gradient_of(s, p->part),
                                                        .fresh = s->g->fresh});
    if (db.buffer)
        tensor_bias_dw(l->q, &(struct bias_dw_args){.n_row = b->n_row, .n_col = (int)g->n, .dy = p->dy, .db = db});
    if (p->dx.buffer)
        tensor_linear_dx(l->q,
                         &(struct linear_dx_args){
                             .w = g->weight, .n_row = b->n_row, .dy = p->dy, .dx = p->dx, .way = model_way(l->m)});
    if (adapter)
        lora_backward(&(struct lora_pass){l->m, l->q, adapter, b->n_row, p->x, l->io->u, p->x_dtype, SPAN_NONE}, b,
                      &(struct lora_gradients){p->dy, s->g->du, p->dx, s->g->gradients, g->n});
}

struct norm_back {
    enum layer_part part;
    struct span x;
    struct norm_kept kept;
    struct span dy, dx;
    int accumulate; /* dx += */
};

static void norm_backward(const struct backward *s, const struct norm_back *n)
{
    const struct model_desc *d = s->l.d;
    tensor_norm_dx(s->l.q, &(struct norm_dx_args){.kind = d->norm,
                                                  .n_row = s->l.b->n_row,
                                                  .n_col = d->n_embd,
                                                  .offset = d->norm_offset,
                                                  .x = n->x,
                                                  .weight = layer_vector(&s->l, n->part),
                                                  .inverse = n->kept.inverse,
                                                  .mean = n->kept.mean,
                                                  .dy = n->dy,
                                                  .dx = n->dx,
                                                  .accumulate = n->accumulate,
                                                  .dweight = gradient_of(s, n->part),
                                                  .dbias = gradient_of(s, n->part + 1)});
}

/* From the gradient of a half's output in g->dx to the product's, which is returned; g->dx is then the residual's. */
static struct span half_backward(const struct backward *s, enum layer_part post, struct span raw, struct norm_kept kept)
{
    enum norm_place place = s->l.d->place;
    struct norm_back n = {.part = post, .x = raw, .kept = kept, .dy = s->g->dx, .dx = s->g->dpost};
    if (place == PLACE_PRE)
        return s->g->dx;
    if (place == PLACE_AFTER)
        n.dx = s->g->dx;
    norm_backward(s, &n);
    return n.dx;
}

/* Through what layer_input_forward does: dh's part of the residual's gradient. */
static void input_backward(const struct backward *s, enum layer_part norm, struct span x, struct norm_kept kept,
                           struct span dh)
{
    if (layer_has_pre_norm(s->l.d))
        norm_backward(s, &(struct norm_back){norm, x, kept, dh, s->g->dx, 1});
    else
        tensor_add(s->l.q, &(struct add_args){(size_t)s->l.b->n_row * (size_t)s->l.d->n_embd, dh, s->g->dx, SPAN_NONE});
}

/* Down to the gradient of h2 in dh. */
static void mlp_backward(const struct backward *s, struct span dh)
{
    const struct layer *l = &s->l;
    const struct model_desc *d = l->d;
    const struct layer_io *io = l->io;
    struct span dwide = io->gate_up_dtype == DTYPE_BF16 ? io->wide : io->gate_up, x = d->parallel ? io->x : io->mid;
    struct span dy = half_backward(s, PART_MLP_POST, io->raw2, io->kept4);
    int n = l->b->n_row;
    if (is_trained(s, PART_DOWN))
        layer_gate_forward(l, n);
    project_backward(s, &(struct product_back){PART_DOWN, dy, io->mlp, l->act, s->g->dmlp});
    tensor_gate_dx(
        l->q, &(struct gate_dx_args){d->act, d->gated, n, d->n_ff, io->gate_up, s->g->dmlp, dwide, io->gate_up_dtype});
    if (is_trained(s, PART_GATE_UP))
        layer_input_forward(l, PART_MLP_NORM, n, x, io->kept2, io->h2);
    project_backward(s, &(struct product_back){PART_GATE_UP, dwide, io->h2, l->act, dh});
}

static void heads_backward(const struct backward *s)
{
    const struct layer *l = &s->l;
    const struct model_desc *d = l->d;
    int by_head = d->qk_norm == QK_HEAD, q = d->n_head * d->head_dim, k = d->n_kv_head * d->head_dim;
    int64_t stride = layer_qkv_width(d);
    struct norm_dx_args a = {.kind = NORM_RMS,
                             .n_row = l->b->n_row,
                             .n_col = by_head ? d->head_dim : q,
                             .offset = d->norm_offset,
                             .x = layer_raw(l->io),
                             .weight = layer_vector(l, PART_Q_NORM),
                             .inverse = l->io->inverse_q,
                             .dy = s->g->dqkv,
                             .dx = s->g->dqkv,
                             .dweight = gradient_of(s, PART_Q_NORM),
                             .n_group = by_head ? d->n_head : 1,
                             .x_stride = stride,
                             .dy_stride = stride,
                             .dx_stride = stride};
    tensor_norm_dx(l->q, &a);
    a.n_col = by_head ? d->head_dim : k;
    a.n_group = by_head ? d->n_kv_head : 1;
    a.x = layer_head(l, a.x, d->n_head);
    a.dy = a.dx = layer_head(l, s->g->dqkv, d->n_head);
    a.weight = layer_vector(l, PART_K_NORM);
    a.inverse = l->io->inverse_k;
    a.dweight = gradient_of(s, PART_K_NORM);
    tensor_norm_dx(l->q, &a);
}

/* Down to the gradient of h1 in g->dh, unless nothing below wants it. */
static void attention_backward(const struct backward *s, struct span dy, int wanted)
{
    const struct layer *l = &s->l;
    const struct model_desc *d = l->d;
    const struct layer_io *io = l->io;
    struct span dqkv = s->g->dqkv;
    project_backward(s, &(struct product_back){PART_O, dy, io->att, io->att_dtype, s->g->datt});
    tensor_attend_train_dx(l->q, &(struct attend_train_dx_args){.forward = layer_attention(l),
                                                                .dout = s->g->datt,
                                                                .dq = dqkv,
                                                                .dk = layer_head(l, dqkv, d->n_head),
                                                                .dv = layer_head(l, dqkv, d->n_head + d->n_kv_head),
                                                                .dstride = layer_qkv_width(d)});
    layer_rotate(l, dqkv, 1);
    if (d->qk_norm)
        heads_backward(s);
    if (is_trained(s, PART_QKV))
        layer_input_forward(l, PART_ATTN_NORM, l->b->n_row, io->x, io->kept1, io->h1);
    project_backward(s, &(struct product_back){PART_QKV, dqkv, io->h1, l->act, wanted ? s->g->dh : SPAN_NONE});
}

void layer_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                    const struct layer_io *io, const struct layer_grad *g)
{
    struct backward s = {layer_of(m, q, layer, b, io), g};
    int wanted = layer || !m->lora,
        parallel =
            m->desc.parallel; /* below the first layer there is only the embedding, which adapters leave as it is */
    struct span dh = parallel ? g->dpost : g->dh;
    mlp_backward(&s, dh);
    if (!parallel)
        input_backward(&s, PART_MLP_NORM, io->mid, io->kept2, dh);
    attention_backward(&s, half_backward(&s, PART_ATTN_POST, io->raw1, io->kept3), wanted);
    if (parallel && wanted)
        input_backward(&s, PART_MLP_NORM, io->x, io->kept2, dh);
    if (wanted)
        input_backward(&s, PART_ATTN_NORM, io->x, io->kept1, g->dh);
}
