/* SPDX-License-Identifier: Apache-2.0 */
/* Low-rank adapters while they are trained: beside a frozen matrix W [N,K] stand A [r,K] and B [N,r], and the layer
 * gives x W^T + s (x A^T) B^T with s = alpha / r. The device holds s A and B as packed matrices, those of one group's
 * modules with their A's stacked, so that x is read once. A classifier's head is trained whole beside them (PEFT's
 * modules_to_save). A trained adapter becomes a model by merging (io/checkpoint.h), or, where the matrices are blocks
 * of a quantised file, by standing beside them (lora_frozen.c). */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include "model/parts.h"

/* at most, of a layer */
enum { LORA_N_MODULE = 7 };
struct lora_options {
    int r; /* 0: no adapter */
    double alpha;
    /* names of modules with commas between (q_proj,v_proj), or all-linear; NULL: the family's own */
    const char *targets;
};
struct lora_module {       /* one module's B, rows [row, row + n) of its group's output */
    int64_t row, n, b;     /* b: flat elements */
    struct weight *weight; /* B [n,r] */
};
struct lora_group {
    int n_module;
    struct lora_module modules[3];
    int64_t a;             /* flat elements */
    struct weight *weight; /* s A, stacked: [n_module r, K] */
};
struct lora {
    int rank;
    float scale;
    struct lora_group *groups;  /* [n_group] of the model */
    struct model_param *params; /* PEFT's names */
    int n_param;
    int64_t n_element;    /* flat: of every group A's, then its B's, each from a multiple of 16; then the head */
    int64_t head;         /* where that begins; n_element: it is not trained */
    struct buffer *stage; /* the largest stacked A, scaled */
};
/* Elements of the flat order and rows of the widest stacked A, from the descriptor alone; names what is wrong with the
 * targets. */
int lora_sizes(const struct model_desc *d, const struct lora_options *o, int64_t *n_element, int *widest,
               struct error *err);
/* The target modules, each name once, in the order of the family's row; "" behind the last. */
void lora_targets(const struct model_desc *d, const struct lora_options *o, char names[LORA_N_MODULE + 1][64]);
/* Rows of the widest stacked A, 0: there are no adapters. */
int lora_widest(const struct model *m);
/* Those of the groups that have modules. *largest: at least the elements of every stacked A. */
int lora_make_weights(struct model *m, int64_t *largest, struct error *err);
/* lora_frozen.c: hangs what the checkpoint's adapter has of matrices that keep their blocks on the model, which must
 * have none; nothing when there is no such. */
int lora_stand(struct model *m, const struct checkpoint *source, struct error *err);
/* Masters from the adapter that lies over the checkpoint; it must be one of the same matrices, rank and scale
 * (ERROR_CONFIG). */
int lora_read_masters(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                      struct error *err);
/* Hangs adapters on the model; it must have none. */
int lora_add(struct model *m, const struct lora_options *o, struct error *err);
void lora_remove(struct model *m);
/* A ~ U(-1/sqrt(K), 1/sqrt(K)) (PEFT's Kaiming uniform), B 0; keyed by (seed, parameter, element). A head is left as it
 * is (model_read_head). */
int lora_init_masters(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct error *err);
void lora_pack(struct model *m, struct queue *q, struct span masters);
/* One group's rows: x as the group's product takes it (`rows` of it, or SPAN_NONE: all), and room for u act [T,
 * n_module r], which becomes s x A^T. */
struct lora_pass {
    const struct model *m;
    struct queue *q;
    const struct lora_group *g;
    int n_row;
    struct span x, u;
    enum dtype x_dtype;
    struct span rows;
};
/* y [T, stride] += s (x A^T) B^T. */
void lora_forward(const struct lora_pass *p, struct span y, int64_t y_stride);
/* From dy [T, stride]: gradients of A (still without s) and B, and dx += (x anew gives u). du f32 [T, n_module r]. dx
 * may be SPAN_NONE. */
struct lora_gradients {
    struct span dy, du, dx, gradients;
    int64_t dy_stride;
};
void lora_backward(const struct lora_pass *p, const struct model_batch *b, const struct lora_gradients *to);
/* At the end of a step: the gradients of A times s. */
void lora_finish_gradients(const struct model *m, struct queue *q, struct span gradients);

/* What training changes: the adapters when there are some, else everything. */
struct trained {
    const struct model_param *params;
    int n_param;
    int64_t n_element;
};
static inline struct trained model_trained(const struct model *m)
{
    if (m->lora)
        return (struct trained){m->lora->params, m->lora->n_param, m->lora->n_element};
    return (struct trained){m->params, m->n_param, m->n_element};
}

#endif
