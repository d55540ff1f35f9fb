/* SPDX-License-Identifier: Apache-2.0 */
/* One transformer, many descriptors. A model is a descriptor, its parameters' names and shapes, and one packed copy of
 * its weights on a device, which serves generation, scoring, embedding and the training forward.
 *
 * Order of parameters ("flat"): embedding [V,C]; per layer: attention norm [C], qkv [(H+2K)D,C], o [C,HD], mlp norm
 * [C], gate_up [2F,C], down [C,F]; final norm [C]; head [V,C] unless tied; score [n_label,C] for classifiers,
 * score_head [n_label,C] and its bias for reward models. Hugging Face names are slices of these (q_proj, k_proj, v_proj
 * are consecutive rows of qkv, gate_proj and up_proj of gate_up). */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "io/checkpoint.h"
#include "tensor/ops.h"

#include <jansson.h>

enum { MODEL_MAX_EOS = 256, MODEL_MAX_LABEL = 31 };
/* BODY: an encoder, or (in model_options) any model without its head */
enum model_task { MODEL_LM, MODEL_CLASSIFY, MODEL_REWARD, MODEL_BODY };
/* a classifier's logits: a sigmoid each, or one softmax over them */
enum model_problem { PROBLEM_MULTI_LABEL, PROBLEM_SINGLE_LABEL };
/* of a reward model: higher is better, higher is more harmful, as it is */
enum score_type { SCORE_REWARD, SCORE_COST, SCORE_CRITIC };

/* Where norms stand (model/layer.c): before each half; before and behind its product; behind it only; behind the sum
 * with the residual. */
enum norm_place { PLACE_PRE, PLACE_SANDWICH, PLACE_POST, PLACE_AFTER };
/* queries and keys are normalised: by heads, or all heads of a row as one */
enum qk_norm { QK_NONE, QK_HEAD, QK_ROW };
enum layer_kind { LAYER_WINDOW = 1, LAYER_NO_ROPE = 2, LAYER_SECOND_ROPE = 4 };
enum { MODEL_MAX_LAYER = 4096 };

/* How a text's vector is made of its final hidden states: what modules.json and the files it names say
 * (model/sentence.c). */
enum sentence_pooling { SENTENCE_MEAN, SENTENCE_MEAN_SQRT, SENTENCE_CLS, SENTENCE_MAX, SENTENCE_LAST };
struct model_sentence {
    int given; /* a sentence encoder: texts are read with the special tokens around them, and are cut to max_length */
    enum sentence_pooling pooling;
    int normalize, lower_case, max_length;
    char prompt[256]; /* before every text */
};

/* By which frequencies positions turn. Of texts that are longer than `limit` (0: there is none) they are others. */
struct model_rotation {
    float inv_freq[512]; /* n_rotated/2 entries, scaling applied */
    float factor;        /* of the cosines and sines */
    int limit;
    float stretch;            /* longer texts turn more slowly the longer they are (dynamic NTK's factor), or, 0, ... */
    float long_inv_freq[512]; /* ... by these (longrope) */
};

struct model_desc {
    char family[32]; /* model_type of config.json: "llama", ... */
    int n_layer, n_head, n_kv_head, head_dim, n_embd, n_ff, n_vocab, n_ctx, n_label;
    enum norm_kind norm;
    float norm_eps;
    enum activation act;
    int gated, tied;
    enum norm_place place;
    int final_norm, affine;      /* there is a norm behind the last layer; norms have weights */
    int n_word;                  /* columns of the embedding and the head, 0: n_embd (model_width) */
    int parallel, bidirectional; /* both halves read the same x; attention sees what comes behind too */
    enum qk_norm qk_norm;
    float norm_offset;               /* norms multiply by norm_offset + weight */
    uint32_t parts;                  /* 1 << part for every part (families.h) that a layer has */
    int n_rotated;                   /* elements of a head that rotate; 0: none */
    int n_position, position_offset; /* rows of a table of learned positions, 0: none; where position 0 stands in it */
    int n_type;                      /* rows of a table of token types, 0: none */
    int n_bucket; /* rows of a table of what is added to scores by a key's distance (parts.h), 0: none */
    int window;   /* keys that layers of LAYER_WINDOW see; 0: all */
    float attention_scale, attention_cap, logit_cap, embed_scale; /* 0: 1/sqrt(head_dim); none; none; 1 */
    int layer_scale;                       /* attention_scale is divided by the layer's number from 1 on */
    unsigned char layers[MODEL_MAX_LAYER]; /* enum layer_kind */
    double rope_theta;
    struct model_rotation rotations[2]; /* the second is of layers of LAYER_SECOND_ROPE */
    int bos_id, pad_id;                 /* -1: none */
    int eos_ids[MODEL_MAX_EOS], n_eos;
    float init_range; /* initializer_range, for training from scratch */
    enum model_task task;
    char labels[MODEL_MAX_LABEL][64]; /* names of the first labels of a classifier, in order of their ids */
    enum model_problem problem;       /* of a classifier */
    int pad_position; /* tokens that are pad_id stand at position 0 and are not counted, others from 1 on */
    int has_pool_pad; /* a classifier whose config has a pad_token_id is read at the last token that is another one */
    enum score_type score_type; /* REWARD: n_label is score_dim */
    int text_part;              /* of a model of several kinds of input; filled in by model_open */
    int reward_classifier;      /* REWARD: its files are a classifier's of one label */
    int head_bias, normalize;   /* REWARD: score_head.bias is there; scores are normalised (model_normalize) */
    double score_mean[MODEL_MAX_LABEL], score_var[MODEL_MAX_LABEL];
    struct model_sentence sentence; /* filled in by model_open */
    double n_param;                 /* filled in by model_desc_parse */
};
/* Of a row of the embedding, and of a final hidden state: what the head and everything else behind the model reads. */
static inline int model_width(const struct model_desc *d)
{
    return d->n_word ? d->n_word : d->n_embd;
}
/* How long texts may be that turn by the same frequencies; longer ones turn by others. INT_MAX: all turn alike. */
int model_turn_limit(const struct model_desc *d);
/* Fills d from a Hugging Face config; every contradiction or unsupported value is a named error (`where` names the
 * file). */
int model_desc_parse(struct model_desc *d, const json_t *config, const char *where, struct error *err);

struct model_param {
    const char *name; /* Hugging Face's name */
    int ndim;
    int64_t shape[2];
    int64_t offset, count; /* in elements of the flat order */
    int heads;      /* files hold that many heads one after the other, each its query, key and value; 0: as here */
    int transposed; /* files hold it as [shape[1], shape[0]] */
    int decay;      /* 0 for norms and biases */
    float start;    /* of vectors: what a new one holds */
};

struct model;
struct model_options {
    enum dtype
        /* of the packed weights: F32, BF16, Q8 (int8, and what a GGUF file has quantised in its own bits) */
        dtype;
    enum model_task
        /* MODEL_LM unless the checkpoint is a classifier; MODEL_BODY: any model, also one without a head, for its
         * hidden states */
        task;
    int check_finite; /* refuse NaN and infinities, naming the tensor */
    /* what a GGUF file has in blocks that memory has too keeps them whatever the dtype, as with Q8; the dtype is then
     * the arithmetic, in which their values are expanded some at a time: the bits of products are those of a model
     * that holds the values in that type */
    int keep_blocks;
    int n_label; /* CLASSIFY of a language model: labels of the new head, and their names; else 0 */
    const char *const *labels;
    enum model_problem problem; /* of a new classification head */
    uint64_t seed;              /* of what is initialised */
    int set_pad, pad_id;        /* of a new classification head's configuration, when set_pad; else the model's own */
};
/* Reads and packs; the checkpoint may be closed afterwards. A tensor that is missing, of another shape, or not used and
 * not known to be harmless (model/unused.c) is a named error. A classification or score head that the checkpoint lacks
 * is initialised. */
int model_open(struct model **out, struct device *device, const struct checkpoint *source,
               const struct model_options *options, struct error *err);
/* Without a checkpoint, as config.json says (`where` names it): weights ~ N(0, init_range), norms 1, keyed by (seed,
 * parameter, element). Of the options dtype and seed count. */
int model_init(struct model **out, struct device *device, const json_t *config, const char *where,
               const struct model_options *options, struct error *err);
void model_close(struct model *m);
/* Whether all that the adapter over a checkpoint, if there is one, does to the model's base stands beside blocks that
 * are kept; then the model becomes that of another checkpoint over the same base, of which the same is so, without
 * reading the base again. */
int model_adapter_stands(const struct model *m, const struct checkpoint *source);
int model_set_adapter(struct model *m, const struct checkpoint *source, struct error *err);
/* What the packed weights take, before anything is loaded, and what those of a model do. source: NULL when there is
 * none. */
struct model_packing {
    const struct checkpoint *source;
    enum dtype dtype;
    int keep_blocks;
};
int model_weight_bytes(size_t *bytes, const struct model_desc *d, const struct device *device,
                       const struct model_packing *p, struct error *err);
size_t model_packed_bytes(const struct model *m);
/* What opens the same model once more, elsewhere. */
struct model_origin {
    uint64_t number;      /* of all that were opened in this process, from 1; 0: nothing opens it, its weights are no
                             file's (drawn, or tuned since), or it has a new head */
    char *path, *adapter; /* checkpoint_open's and, unless NULL, checkpoint_open_adapter's */
    struct model_options options;
};
const struct model_origin *model_origin(const struct model *m);
void model_forget_origin(struct model *m); /* its weights are going to change */
/* told is called with an origin's number when no model has it any more; NULL: nobody is. */
void model_tell_ends(void (*told)(uint64_t number));
const struct model_desc *model_desc(const struct model *m);
const json_t *model_config(const struct model *m); /* config.json as it was given; with a new head, the classifier's */
struct device *model_device(const struct model *m);
enum dtype model_dtype(const struct model *m);

/* f32 masters in the flat order: from a checkpoint or from the initialisation, into the packed copy, out to a Hugging
 * Face directory. */
int model_read_masters(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                       struct error *err);
int model_init_masters(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct error *err);
/* noise 0: to nearest; else what is packed in bf16 is rounded at random, a function of noise and the place. */
void model_pack(struct model *m, struct queue *q, struct span masters, uint64_t noise);
/* The same of groups that begin in a range of it, with which masters begin. */
struct flat_range {
    int64_t first, end;
};
int model_read_range(const struct model *m, const struct checkpoint *source, struct queue *q, struct span masters,
                     struct flat_range only, struct error *err);
int model_init_range(const struct model *m, uint64_t seed, struct queue *q, struct span masters, struct flat_range only,
                     struct error *err);
void model_pack_range(struct model *m, struct queue *q, struct span masters, struct flat_range only, uint64_t noise);
/* Its matrices, from masters that are rounded to bf16 already. */
void model_pack_rounded(struct model *m, struct queue *q, struct span rounded, struct flat_range only);
uint64_t model_pack_noise(uint64_t noise, int64_t offset); /* of the group that begins at `offset` of the flat order */

/* Workspace of a forward pass without gradients: one slab, sized first. max_out is at most max_row. */
struct model_workspace;
size_t model_workspace_bytes(const struct device *device, const struct model_desc *d, enum dtype dtype, int max_row,
                             int max_out);
size_t model_workspace_size(const struct model *m, int max_row, int max_out); /* with what its adapter needs */
int model_workspace_new(struct model_workspace **out, const struct model *m, int max_row, int max_out,
                        struct error *err);
void model_workspace_free(struct model_workspace *w);

/* One pass over T token rows. Either paged (pages != NULL: K/V of layer l are stored in pages[l] and attention reads
 * them there) or bordered (sequences attend to themselves, nothing is kept). All i32 spans are device buffers. */
struct model_batch {
    int n_row;
    struct span tokens, positions; /* i32 [T] */
    struct span lengths;           /* i32 [T] how long the text is by which a row turns (model_turn_limit) */
    const struct span *pages;      /* [L] base of each layer's pages, or NULL */
    struct kv_layout layout;
    struct span row_seq, block_table; /* paged: i32 [T]; i32 [n_seq, table_stride] */
    int table_stride, n_seq;
    struct span copies; /* paged: as kv_copy_args has them, in every layer, once this pass's own keys are stored */
    int n_copy;
    struct span borders, valid; /* bordered: i32 [n_seq+1]; i32 [n_seq] or SPAN_NONE */
    int max_len;
    struct span out_rows; /* i32 [n_out]: rows whose final hidden state is wanted; SPAN_NONE: all T */
    int n_out;
};
/* Enqueues the pass; *hidden f32 [n_out,model_width], after the final norm, lives in the workspace until the next pass.
 */
void model_forward(const struct model *m, struct queue *q, struct model_workspace *w, const struct model_batch *batch,
                   struct span *hidden);
/* logits f32 [n,V] (or [n,n_label]) of n hidden rows. */
void model_head(const struct model *m, struct queue *q, struct span hidden, int n, struct span logits);

/* Conveniences over whole texts (bordered passes in batches of at most max_row rows; results do not depend on the
 * batches): */
struct model_text {
    const int32_t *ids;
    int n, n_prompt;
};
/* logprobs: concatenated f32, n - n_prompt a text (those of ids[n_prompt..n)). n_prompt >= 1. */
int model_score(const struct model *m, const struct model_text *texts, int n_text, float *logprobs, struct error *err);
/* The n greatest log-probabilities where model_score has one, in decreasing order, ties to the lower id; id -1 when the
 * vocabulary holds fewer: [log-probabilities of model_score, n]. scores, if not NULL: what model_score gives, of the
 * same pass. */
struct model_top {
    int n;
    int32_t *ids;
    float *logprobs, *scores;
};
int model_score_top(const struct model *m, const struct model_text *texts, int n_text, const struct model_top *out,
                    struct error *err);
/* Weights that are all finite can still overflow in a text. Whoever takes these functions' numbers on looks with this:
 * ERROR_DATA "WHAT: ..." when one of x[n] is not finite. */
int model_check_numbers(const float *x, size_t n, struct error *err, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
extern const char model_overflow[]; /* what is said of them */
struct model_candidates {           /* token ids */
    const int32_t *ids;
    int n;
};
/* Log-probabilities of each candidate as the token after each text, out of the full softmax: f32
 * [n_text,candidates.n]. */
int model_next(const struct model *m, const struct model_text *texts, int n_text, struct model_candidates candidates,
               float *out, struct error *err);
/* Final hidden states f32 [n_text,model_width], pooled as the model's files say (else their mean), L2-normalised if
 * asked or if those files say so. */
int model_embed(const struct model *m, const struct model_text *texts, int n_text, int normalize, float *out,
                struct error *err);
/* Where a classifier or reward model reads a sequence: a classifier at its last token that is not pad_token_id, as
 * transformers does (a text that ends with an end-of-sequence token which is the pad token too is read before it), a
 * reward model at the last one. */
int model_pool_row(const struct model_desc *d, const int32_t *ids, int n);
/* Is a reward model of this family a classifier of one label, as trl's are? PKU-Alignment has no class for it then. */
int model_reward_is_classifier(const struct model_desc *d);
/* Logits of the classification head, or raw scores, there: f32 [n_text,n_label]. */
int model_classify(const struct model *m, const struct model_text *texts, int n_text, float *out, struct error *err);
/* A raw score as the reward model's configuration normalises it: (x - mean) / (sd + 1e-8), x / (sd + 1e-8) for costs, x
 * for critics; x when it does not. */
double model_normalize(const struct model_desc *d, int dim, double x);

#endif
