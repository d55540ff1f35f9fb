/* SPDX-License-Identifier: Apache-2.0 */
/* What layer.c and layer_backward.c share: one layer at work, and the steps that the backward pass computes again. */
#ifndef MODEL_LAYER_PARTS_H
#define MODEL_LAYER_PARTS_H

#include "model/lora.h"

struct layer {
    const struct model *m;
    const struct model_desc *d;
    struct queue *q;
    int index;
    const struct model_batch *b;
    const struct layer_io *io;
    enum dtype act; /* of what products take */
};
static inline struct layer layer_of(const struct model *m, struct queue *q, int index, const struct model_batch *b,
                                    const struct layer_io *io)
{
    return (struct layer){m, &m->desc, q, index, b, io, model_act_dtype(m)};
}
static inline struct span layer_vector(const struct layer *l, enum layer_part part) /* SPAN_NONE: the layer has none */
{
    return layer_has(l->m, l->index, part) ? layer_group(l->m, l->index, part)->vector : SPAN_NONE;
}
static inline int64_t layer_qkv_width(const struct model_desc *d)
{
    return ((int64_t)d->n_head + 2 * d->n_kv_head) * d->head_dim;
}
/* Head `head` of rows of queries, keys and values side by side. */
static inline struct span layer_head(const struct layer *l, struct span qkv, int head)
{
    return span_at(qkv, (size_t)head * (size_t)l->d->head_dim * 4);
}
/* Where the products' own queries, keys and values lie: apart when the normalised ones must not take their place. */
static inline struct span layer_raw(const struct layer_io *io)
{
    return io->qkv_raw.buffer ? io->qkv_raw : io->qkv;
}
/* The adapter beside a part's matrix; NULL: none. */
static inline const struct lora_group *layer_adapter(const struct layer *l, enum layer_part part)
{
    const struct lora_group *g = l->m->lora ? &l->m->lora->groups[layer_index(l->m, l->index, part)] : NULL;
    return g && g->n_module ? g : NULL;
}

/* y := what the attention's or MLP's first product takes of x: its norm, or x itself in that type. */
void layer_input_forward(const struct layer *l, enum layer_part norm, int n_row, struct span x, struct norm_kept kept,
                         struct span y);
void layer_gate_forward(const struct layer *l, int n_row);
void layer_rotate(const struct layer *l, struct span qkv, int inverse);
struct attend_train_args layer_attention(const struct layer *l);

#endif
