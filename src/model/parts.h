/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder and the trainer share about a model: its groups and its one layer function.
 *
 * A group is what the device holds as one thing: a packed matrix or a norm's vector. The flat order is the groups one
 * after the other, each beginning at a multiple of 16 elements (the gap holds zeros); a parameter with a Hugging Face
 * name is some rows of a group. */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "base/arena.h"
#include "model/families.h"
#include "model/model.h"

struct model_group {
    int64_t offset, n, k; /* flat elements; [n,k]; k is 1 for vectors */
    int is_vector;
    struct weight *weight; /* NULL for vectors */
    struct span vector;    /* f32 [n] */
};
struct lora; /* model/lora.h */
struct model {
    struct model_desc desc;
    const struct family *family; /* of desc.family; set by model_tables */
    json_t *config;
    struct device *device;
    enum dtype dtype;
    int keeps_blocks;   /* model_options.keep_blocks, or Q8 */
    enum dtype compute; /* arithmetic: dtype, but while a model in Q8 is tuned */
    struct arena arena; /* the tables and names */
    struct model_group *groups;
    struct model_param *params;
    int *param_group; /* group of each parameter */
    int *layer_parts; /* [n_layer][PART_COUNT] group indices, 0: none */
    int n_group, n_param;
    int distances; /* group index, 0: none */
    int positions, types, project_in, project_out, embed_norm, embed_norm_bias, final_norm, final_norm_bias, head,
        head_bias; /* group indices, 0: none; head is the embedding's when tied */
    int64_t n_element;
    struct buffer *vectors, *rope, *reaches;
    struct span
        reach_bias; /* f32 [n_head, 2 n_ctx + 1] in reaches: attend_train's bias; SPAN_NONE without `distances` */
    struct span inv_freq[2], long_inv_freq[2]; /* f32 [n_rotated/2] in rope, as desc.rotations has them */
    struct model_origin origin;
    struct lora *lora; /* NULL; while it is trained, what stands beside the frozen matrices */
};
static inline struct span group_vector(const struct model *m, int group) /* SPAN_NONE of group 0: not there */
{
    return group ? m->groups[group].vector : SPAN_NONE;
}
static inline int layer_has_pre_norm(const struct model_desc *d)
{
    return d->place == PLACE_PRE || d->place == PLACE_SANDWICH;
}
static inline int layer_index(const struct model *m, int layer, enum layer_part part)
{
    return m->layer_parts[layer * PART_COUNT + (int)part];
}
static inline int layer_has(const struct model *m, int layer, enum layer_part part)
{
    return layer_index(m, layer, part) != 0;
}
static inline const struct model_group *layer_group(const struct model *m, int layer, enum layer_part part)
{
    return &m->groups[layer_index(m, layer, part)];
}
static inline int64_t desc_up_width(const struct model_desc *d) /* outputs of the MLP's first product */
{
    return (int64_t)d->n_ff * (d->gated ? 2 : 1);
}
/* The row of a table of biases for a key so far behind (negative: before) its row: T5's buckets, 32 of them to a
 * distance of 128, as MPNet has them. */
int distance_bucket(int distance);
int desc_rotations(const struct model_desc *d); /* sets of rotary frequencies: 0, 1 or 2 */
/* Dtype of activations that are product inputs. */
static inline enum dtype model_act_dtype(const struct model *m)
{
    return m->compute == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
}
static inline enum quantised_way model_way(const struct model *m)
{
    if (dtype_is_quantised(m->compute))
        return QUANTISED_INT8;
    return m->compute == DTYPE_BF16 ? QUANTISED_BF16 : QUANTISED_F32;
}
/* Which rows of its part a tensor of a layer holds, and how wide they are (0: a vector); n 0: it is not there. */
struct tensor_place { /* heads: the file holds so many one after the other (ROWS_HEADS); 0: rows as they are */
    int64_t row, n, k;
    int heads;
};
struct tensor_place tensor_place(const struct model_desc *d, const struct family_tensor *t);
/* Which of its own rows row `row` of a parameter's file is. */
static inline int64_t param_own_row(const struct model_param *p, int64_t row)
{
    int64_t size = p->heads ? p->shape[0] / (3 * p->heads) : 0;
    return size ? (row / size % 3 * p->heads + row / (3 * size)) * size + row % size : row;
}
double desc_count(const struct model_desc *d); /* parameters, from the tables */
/* The tables only (no device memory), for plans too. m->desc must be filled. */
int model_tables(struct model *m, struct error *err);

/* task.c: a language model that is opened as a classifier or reward model gets a new head, and its configuration says
 * so. What the tensors of a reward model say goes over its configuration. */
int task_set(struct model_desc *d, json_t *config, const char *path, const struct model_options *o, struct error *err);
int task_read_tensors(struct model_desc *d, const struct checkpoint *source, struct error *err);

/* sentence.c: fills d->sentence from the files beside the weights. */
int sentence_read(struct model_desc *d, const struct checkpoint *source, struct error *err);

/* unused.c: an error for the first tensor that no parameter reads and that is not known to be harmless. */
int model_check_unused(const struct model *m, const struct checkpoint *source, struct error *err);

/* kept.c: whether the group holds the tensor's blocks as they are; an adapter over the checkpoint then stands beside
 * them. A parameter's type in memory, of those that are matrices; a group's rows by their types, source: whose
 * blocks may be kept, or NULL. */
int model_keeps_tensor(const struct model *m, int param, const struct checkpoint *source,
                       const struct tensor_info *info);
enum dtype model_param_dtype(const struct model *m, int param);
struct weight_ranges group_ranges(const struct model *m, int group, const struct checkpoint *source);

/* stored_rows.c: out [n, n_col] := rows of a tensor in f32, on all threads of the pool; with check_finite a NaN or
 * infinity is a named error. */
struct pool;
struct stored_rows { /* rows [first, first + n) of what a file holds */
    const struct tensor_info *info;
    int64_t first, n;
};
int stored_rows_read(struct pool *pool, const struct checkpoint *source, const struct stored_rows *rows,
                     int check_finite, float *out, struct error *err);
/* The same of rows as they are stored (checkpoint_read_blocks), which are looked at for NaN and infinities. */
int stored_rows_copy(struct pool *pool, const struct checkpoint *source, const struct stored_rows *rows, void *out,
                     struct error *err);

struct typed_span { /* where rows lie, and in what type */
    struct span at;
    enum dtype dtype;
};
/* What a norm's gradient needs of its rows; mean of layer norms only. Both may be SPAN_NONE. */
struct norm_kept {
    struct span inverse, mean;
};
/* Where one layer's pass reads and writes. [T,.] rows; "act" marks model_act_dtype, the rest is f32. In inference x,
 * mid and y may be one buffer, lse, what norms keep, qkv_raw and gate_up SPAN_NONE. In training everything but h1, h2,
 * mlp, wide and u is kept for layer_backward. */
struct layer_io {
    struct span x;                               /* [T,C] in */
    struct norm_kept kept1, kept2, kept3, kept4; /* of the norms before attention and MLP and behind them */
    struct span h1;                              /* act [T,C] */
    struct span qkv, lse, att;                   /* [T,(H+2K)D]; [T,H]; [T,HD] of att_dtype */
    struct span qkv_raw, inverse_q,
        inverse_k; /* with qk_norm, where both are kept: what the product gave; [T,H or 1], [T,K or 1] */
    /* with norms behind the products: [T,C] what they are of; scratch (may be raw1 and raw2 where those are not kept)
     */
    struct span raw1, raw2, post;
    struct span mid;          /* [T,C]: x + attention */
    struct span h2, gate_up;  /* act [T,C]; [T,2F] (or F) of gate_up_dtype */
    struct span mlp;          /* act [T,F] */
    struct span y;            /* [T,C] out: mid + MLP */
    struct span rotations[2]; /* f32 [T,n_rotated]: the rows' cosines and sines, by inv_freq */
    struct span wide; /* [T,2F], scratch where gate_up is bf16, or not kept on a device that does not fuse the gate */
    struct span u;    /* act [T, widest adapter's rows], scratch */
    enum dtype att_dtype, gate_up_dtype;
};
void layer_forward(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                   const struct layer_io *io);
/* The last layer without gradients or adapters: behind attention only the rows that are wanted are computed. out f32
 * [n_out,C] := their outputs. */
void layer_forward_out(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                       const struct layer_io *io, struct span out);

/* Scratch of the backward pass. */
struct layer_grad {
    struct span
        /* [T,C]: in: gradient of y; out: gradient of x (anything behind the first layer of a model with adapters) */
        dx;
    struct span dh;         /* [T,C] */
    struct span dpost;      /* [T,C] where norms stand behind the products, or both halves are parallel */
    struct span dqkv, datt; /* [T,(H+2K)D]; [T,HD] */
    struct span dmlp;       /* [T,F] */
    struct span du;         /* [T, widest adapter's rows] */
    struct span gradients;  /* flat f32, accumulated into; of the adapters when the model has some */
    int fresh;              /* matrices' gradients are written as if they had been zeros */
};
/* Overwrites io->gate_up (f32). Positions and borders as in the forward pass. */
void layer_backward(const struct model *m, struct queue *q, int layer, const struct model_batch *b,
                    const struct layer_io *io, const struct layer_grad *g);
/* Before the first layer, into io->rotations: the cosines and sines of the batch's positions. */
void rotations_forward(const struct model *m, struct queue *q, const struct model_batch *b, const struct layer_io *io);
/* y act [n,C] := final norm of x f32 [n,C]. */
void final_norm_forward(const struct model *m, struct queue *q, int n, struct span x, struct norm_kept kept,
                        struct typed_span y);
/* x f32 [T,C] := what the first layer reads. words: scratch f32 [T,model_width] of a model with project_in. */
void embed_forward(const struct model *m, struct queue *q, const struct model_batch *b, struct span x,
                   struct span words);
/* y f32 [n,model_width] := what the head reads of x, rows behind the final norm, in a model with project_out. */
void project_out_forward(const struct model *m, struct queue *q, int n, struct typed_span x, struct typed_span y);

/* Hands out pieces of one slab, in rows of `width` elements; with no buffer it only counts. */
struct carver {
    struct buffer *buffer;
    size_t used;
};
static inline struct span carve(struct carver *c, size_t rows, int64_t width, enum dtype t)
{
    struct span s = {c->buffer, c->used};
    c->used += (rows * (size_t)width * dtype_size(t) + 63) / 64 * 64;
    return s;
}

void carve_rotations(struct carver *c, const struct model_desc *d, int max_row, struct layer_io *io);

/* Sequences laid out as a bordered batch: each begins at an even row; a padding row has token -1. Host arrays, filled
 * from empty, uploaded at once. Sizes are fixed when made. */
struct rows {
    int32_t *tokens, *positions, *lengths, *borders, *valid;
    int n_row, n_seq, max_row, max_seq, max_len;
    struct buffer *device;
    struct span d_tokens, d_positions, d_lengths, d_borders, d_valid;
    void *slab;
    size_t slab_bytes;
};
int rows_new(struct rows *r, struct device *d, int max_row, int max_seq, struct error *err);
void rows_free(struct rows *r);
void rows_reset(struct rows *r);
static inline int rows_even(int n)
{
    return n + (n & 1);
}
/* First row of the sequence, or -1 when it does not fit. */
int rows_add(struct rows *r, const int32_t *ids, int n);
/* The sequence from row `first` on is the beginning of a text of n tokens. */
void rows_begin_text(struct rows *r, int first, int n);
/* The sequence from row `first` on: positions as pad_position has it. */
void rows_skip_pads(struct rows *r, int first, int pad_id);
void rows_upload(struct rows *r, struct queue *q);
void rows_batch(const struct rows *r, struct model_batch *b); /* fills a bordered batch whose out_rows are all rows */

/* origin.c: the model is that of this checkpoint from now on. */
int origin_set(struct model *m, const struct checkpoint *source, const struct model_options *options,
               struct error *err);

#endif
