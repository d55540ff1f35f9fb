/* SPDX-License-Identifier: Apache-2.0 */
/* What the trainer's files share. order.c says which rows make which step, pass.c runs forward and backward of one
 * micro-batch, trainer.c loops, state.c keeps checkpoints, runlog.c writes logs, save.c the final directory. */
#ifndef TRAIN_PARTS_H
#define TRAIN_PARTS_H

#include "model/lora.h"
#include "train/train.h"

/* data.c */
int train_data_sha256(const struct train_data *data, char hex[65], struct error *err);
/* train_options.c */
static inline enum dtype moment_dtype(const struct train_options *o)
{
    return o->bf16_moments ? DTYPE_BF16 : DTYPE_F32;
}
/* What gradients are multiplied by: torch.nn.utils.clip_grad_norm_. max_norm 0: not clipped. */
double train_clip(double max_norm, double norm);
double train_learning_rate(const struct train_options *o, long step, long total);

/* --- order.c: rows of a step, in order, cut into micro-batches. */
struct order {
    const struct train_data *data;
    const struct train_options *options;
    int task;                      /* enum model_task */
    long per_epoch, total, epoch;  /* steps; epoch of `permutation`, -1: none */
    uint32_t *permutation;         /* [n] */
    const struct train_row **rows; /* [rows a step]: the step's rows as they are computed */
    int *ends;                     /* [rows a step]: where each micro-batch ends in rows */
    int n_row, n_micro, capacity;
    int *fill, *bin, *sorted; /* packing: tokens in each bin; bin of each row; rows by length */
};
/* greatest: of a micro-batch within a leaf, then of a leaf */
struct order_sizes {
    int rows, tokens, targets, sequences, step_tokens, step_targets;
    int micro; /* micro-batches in a leaf */
    int n_top; /* of soft targets; 0: no row has any */
};
int order_init(struct order *o, const struct train_data *data, const struct train_options *options, int task,
               struct error *err);
void order_deinit(struct order *o);
void order_step(struct order *o, long step); /* fills rows, ends, n_row, n_micro */
/* The greatest sizes over steps [0, total), looking at every step. */
void order_measure(struct order *o, struct order_sizes *s);
/* The same for rows taken in order, batch_size at a time (evaluation). */
void rows_measure(const struct train_data *data, int batch_size, int task, struct order_sizes *s);
/* Tokens of a row that are computed: up to the last target's predictor (all for a classifier, both texts of a pair);
 * targets it has. */
int row_tokens(const struct train_row *r, int task);
int row_targets(const struct train_row *r, int task);

/* --- soft.c: lists of targets [n_top], one behind the other. */
struct soft_lists {
    int n_top, n;
    int32_t *ids;
    float *logprobs;
};
/* Adds a row's lists, and one without ids when their number is odd. Those of a row without soft targets hold its ids
 * alone. */
void soft_lists_add(struct soft_lists *l, const struct train_row *r);
int soft_check(const struct train_row *r, int n_vocab, struct error *err); /* ERROR_DATA names the row */

/* --- heads.c: the step's summed loss is divided by the sum of its rows' weights. */
double row_weight(const struct train_row *r, const struct model_desc *d);
/* Adds the losses of n_row rows to *loss, one after the other; logits f32 [2 n_row, n_label] become their gradients
 * times scale. */
void head_loss(const struct model_desc *d, const struct train_row *const *rows, int n_row, float *logits, double scale,
               double *loss);

/* --- pass.c */
/* target rows; its borders in `borders`; its blocks */
struct head_chunk {
    int first, n, border, n_block;
};
struct share;
struct pass {
    const struct model *m;
    struct queue *q;
    struct rows rows;
    struct order_sizes sizes;
    int recompute, adapter, chunk;
    struct buffer *slab;
    struct layer_io *layers; /* [L]; with recomputation they share everything but x */
    struct span last;        /* [T,C]: the residual stream behind the last layer */
    struct layer_grad grad;
    struct norm_kept head_kept;
    struct span head_x, head_h, head_dh, logits; /* [n_target,C] ...; act for h; [chunk,V] */
    struct span head_out, head_dx;      /* what the head reads and the gradient of head_h; with project_out others than
                                           head_h and head_dh, which is [n_target,width] */
    struct span words;                  /* with project_in: f32 [step_tokens,width], scratch */
    struct span out_rows, targets, nll; /* i32 [n_target] twice; f32 [step_targets] */
    struct span step_positions;         /* of learned positions */
    struct span step_dx,
        step_tokens;     /* of the whole step: [step_tokens,C], i32; with an adapter, of the micro-batch only */
    struct span borders; /* i32: of blocks of target rows, counted from the beginning of their chunk */
    struct head_chunk *chunks;
    int n_chunk, n_border, block;        /* block: first row of the one being filled */
    struct span soft_ids, soft_logprobs; /* i32 and f32 [n_target,n_top] */
    struct soft_lists host_soft;
    int32_t *host_rows, *host_targets, *host_borders;
    float *host_nll, *host_logits;
    int step_row, step_target; /* filled so far in this step; targets with padding */
    int fresh;                 /* nothing has been added to this step's gradients yet */
    struct share *share; /* NULL: gradients stay; else they go stage by stage, behind the leaf's last micro-batch */
    int is_last;         /* that is it */
    double label_loss;   /* classify: summed on the host */
};
/* adapter: rows of the widest one, 0: all weights are trained. */
size_t pass_bytes(const struct model_desc *d, enum dtype dtype, int recompute, int adapter,
                  const struct order_sizes *s);
int pass_new(struct pass *p, const struct model *m, int recompute, const struct order_sizes *s, struct error *err);
void pass_free(struct pass *p);
/* A step begins; what `gradients` holds is no longer wanted (SPAN_NONE: only evaluating). */
void pass_begin(struct pass *p, struct span gradients);
/* Forward, and with grad_scale != 0 backward into `gradients` (flat): loss gradients are multiplied by grad_scale. */
void pass_run(struct pass *p, const struct train_row *const *rows, int n, float grad_scale, struct span gradients);
/* Behind the step's last micro-batch: the look-up's gradients, or the adapters' scale (not when only evaluating). */
void pass_end(struct pass *p, struct span gradients);
/* Waits; *loss: the sum of the step's losses in row order. */
int pass_loss(struct pass *p, double *loss, struct error *err);

/* --- memory.c */
/* Masters, gradients of leaves and moments of n trained elements. */
size_t train_state_bytes(const struct train_options *o, size_t n);
/* Whether activations are computed again layer by layer, whatever memory there is; kept: bytes of keeping them. */
int train_recomputes(const struct train_base *b, const struct train_options *o, size_t kept);
/* train_memory without what any process takes. */
size_t train_memory_slabs(const struct train_base *b, const struct train_options *o, int micro_tokens);

/* --- leaves.c: the step's gradient as a fixed tree of sums. n_leaf is a power of two. */
enum { MAX_LEAF_LEVELS = 16 };
struct leaves {
    int n_leaf, n_level;
    int64_t n_element;
    struct buffer *now;                      /* the leaf that is being computed; behind the last one, the sum of all */
    struct buffer *waiting[MAX_LEAF_LEVELS]; /* [n_level] sums of 2^i leaves, or free */
};
int leaves_levels(int n_leaf); /* buffers beside the one of gradients */
int leaves_init(struct leaves *l, struct device *d, int n_leaf, int64_t n_element, struct error *err);
void leaves_deinit(struct leaves *l);
void leaves_add(struct leaves *l, struct queue *q, int leaf); /* `now` holds this leaf; leaves come in order */
int leaf_first(int leaf, int n_leaf, int n_row);              /* the leaf's first row of n_row */

/* --- cut.c: the flat order as ranks share it. A stage is what a part of the backward pass finishes: the embeddings
 * (0), layer l (l + 1), what stands behind the layers (the last one). A region is what is exchanged at once, whole
 * blocks of sum_squares, of which every rank owns a slice; a rank's part is its slices one after the other. With one
 * rank, or of adapters, there is one stage. */
enum { CUT_BLOCK = 4096, CUT_WINDOWS = 4 };
struct stage {
    int64_t first, last; /* elements of its groups */
    int64_t base;        /* the element that its window begins with */
    int window, region, n_region;
};
struct region {
    int64_t from, end;
    int64_t own; /* where this rank's slice begins in its part */
    int stage;
};
struct cut {
    int n_rank, rank, n_stage, n_region;
    int whole; /* one window holds all stages */
    struct stage *stages;
    struct region *regions;
    int64_t n_element, n;         /* n: of this rank's part */
    int64_t widest;               /* of all slices */
    int64_t windows[CUT_WINDOWS]; /* elements: where stages lie while they are computed, or collected */
};
struct cut_wish { /* whole: gradients are summed over several micro-batches, and none may be given away before the last
                   */
    int n_rank, rank, whole;
};
int cut_init(struct cut *c, const struct model *m, const struct cut_wish *wish, struct error *err); /* tables will do */
void cut_deinit(struct cut *c);
/* memory.c: train_state_bytes of a rank, with its windows and what arrives. */
size_t share_state_bytes(const struct cut *c, const struct train_options *o);
int64_t cut_slice(const struct cut *c, const struct region *r, int rank); /* its first element; of n_rank: the end */

/* --- share.c: what a rank has of a step's gradient. With one rank there is its cut, and what exchanges is not called.
 */
struct share {
    int n_leaf, first_leaf, inner; /* of the round; subtrees of 2^inner leaves are added as they arrive */
    struct cut cut;
    struct queue *q;
    struct buffer *sum, *in, *squares; /* f32 [n]: the step's gradient; slices of other ranks; f64 [blocks] */
    struct buffer *windows[CUT_WINDOWS];
    struct buffer *waiting[MAX_LEAF_LEVELS]; /* f32 [n], as leaves.c has them, from `inner` on */
    char *out, *arrived;                /* staging for a slice of each rank; out NULL: `in` itself, and no copies */
    struct dist_piece *pieces;          /* [2 ranks] */
    double *gathered, *sums;            /* [ranks]; [blocks] */
    int64_t *at;                        /* [ranks] */
    float *vectors;                     /* of the model, on their way */
    int *line, n_line, n_begun, n_done; /* regions of the round that wait to be exchanged, are, and were */
    int is_begun;                       /* the next stage is being collected */
    int rc;                             /* of the round's exchanges */
    struct error err;
};
struct share_wish {
    int n_leaf, whole;
};
int share_inner_levels(int n_rank, int n_leaf); /* subtrees of 2^n leaves always lie within one round */
int share_init(struct share *s, const struct model *m, const struct share_wish *wish, struct error *err);
void share_deinit(struct share *s);
/* A round: leaves first_leaf + rank, as far as there are such. Every rank goes through the stages from the last to the
 * first: share_begin_stage waits until its window is free, share_end_stage gives it away, which is then no longer
 * written. A failure comes with share_end_round; with the last leaves `sum` is set. */
void share_begin_round(struct share *s, int first_leaf);
struct span share_begin_stage(struct share *s, int stage); /* as share_place, of f32 */
void share_end_stage(struct share *s, int stage);
int share_end_round(struct share *s, struct error *err);
/* The place of the flat order's beginning, of which a stage's window holds only that stage's elements of that size. */
struct span share_place(const struct share *s, int stage, size_t size);
/* What of the later one's beginning lies in the block where the other ends, from one's window into the other's. */
void share_carry(const struct share *s, int from, int to, size_t size);
/* *sum += the losses of the round's leaves in their order. */
int share_losses(struct share *s, double mine, double *sum, struct error *err);
/* *number: this rank's signal; a rank without one (0) takes that of the first that has. */
int share_signal(struct share *s, int *number, struct error *err);
/* Of the whole step's gradient, the same bits on every rank. */
int share_squares(struct share *s, double *squares, struct error *err);

/* --- collect.c: between parts and the whole. */
struct share_part { /* a rank's part of something in the flat order */
    struct buffer *buffer;
    size_t size; /* bytes of an element, as it is collected */
    int rounds;  /* from f32 to bf16 */
};
/* Every rank's part of a stage; *all as share_place, until the next but one. Every rank calls it for all stages, from
 * the first on; with one rank *all is the buffer. */
int share_collect(struct share *s, const struct share_part *mine, int stage, struct span *all, struct error *err);
/* The model's vectors from all ranks' masters, where matrices alone were packed. */
int share_vectors(struct share *s, const struct model *m, struct buffer *masters, struct error *err);
/* This rank's part of the stage's own elements, which stand whole in their window. With one rank nothing. */
void share_keep(const struct share *s, int stage, struct buffer *part);
/* This rank's part of data [n_element]. */
void share_upload(const struct share *s, const struct share_part *mine, const void *data);
/* ERROR_CONFIG on every rank when a rank's settings, of which one is named, or the step that it goes on from, is not
 * rank 0's. */
int share_check_settings(const json_t *settings, struct error *err);
int share_check_step(long step, struct error *err);

/* --- trainer.c: the state between steps. */
struct trainer {
    const struct train_job *job;
    struct model *m;
    struct queue *q;
    struct order order;
    struct pass pass;
    struct trained trained;
    struct leaves leaves;
    struct share share;
    struct buffer *masters, *moment1, *moment2; /* flat f32 (moments perhaps bf16): this rank's part */
    struct buffer *norm;                        /* f64 [1] */
    long step;                                  /* steps done */
    json_t *settings;                           /* name -> text of everything that a resume must find unchanged */
};

/* --- state.c: checkpoint.safetensors in the job's directory. */
int state_settings(struct trainer *t, struct error *err);
int state_compare_ranks(const struct trainer *t, struct error *err); /* the same settings on all */
int state_save(struct trainer *t, struct error *err);
/* 1: resumed (masters, moments and step are set); 0: there is nothing to resume from; or an error. */
int state_begin(struct trainer *t,
                struct error *err); /* refuses a directory of another run; job->directory is not NULL */
int state_load(struct trainer *t, struct error *err);
void state_remove(const struct trainer *t);

/* --- runlog.c: log.jsonl, trainer_state.json, TensorBoard events. */
struct runlog;
int runlog_open(struct runlog **out, const struct trainer *t,
                struct error *err); /* lines of steps after t->step are dropped */
int runlog_step(struct runlog *j, const struct train_step *s, double eval_loss /* NAN: none */, struct error *err);
int runlog_state(struct runlog *j, const struct trainer *t, struct error *err); /* trainer_state.json */
void runlog_close(struct runlog *j);

/* --- tensors.c: the masters by their names as a safetensors file. */
enum storage saved_storage(const struct trainer *t, const struct model_param *p,
                           enum dtype dtype); /* a tensor of another type than most (norms in f32) keeps it */
struct tensors {
    struct safetensors_writer *w;
    float *piece;
};
int tensors_begin(struct tensors *f, const struct trainer *t, const char *path, enum dtype dtype, struct error *err);
/* Those of a stage; masters: the place of the flat order's beginning. */
int tensors_put(struct tensors *f, const struct trainer *t, int stage, struct span masters, struct error *err);
int tensors_end(struct tensors *f, const struct trainer *t, int rc, struct error *err);

/* --- adapter.c: adapter_config.json and adapter_model.safetensors as PEFT writes them, the latter last. */
int adapter_write(struct trainer *t, const char *directory, struct span masters, struct error *err);

/* --- save.c: rounds the masters to the dtype that is saved, packs them, and writes the Hugging Face directory; or an
 * adapter's. */
int save_model(struct trainer *t, struct error *err);

#endif
