/* SPDX-License-Identifier: Apache-2.0 */
/* Supervised fine-tuning: the one trainer behind `isara train` and align's tune step.
 * Loss = sum over target tokens of the whole optimizer step / their number, whatever the micro-batch split. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "io/record_reader.h"
#include "model/model.h"
#include "text/pair.h"
#include "text/template.h"
#include "text/tokenizer.h"

enum lr_schedule { LR_COSINE, LR_LINEAR, LR_CONSTANT };
struct train_options {
    double learning_rate, warmup_ratio, num_train_epochs, weight_decay, adam_beta1, adam_beta2, adam_epsilon,
        max_grad_norm;
    double min_lr_ratio; /* the schedule ends at learning_rate * this [0] */
    enum lr_schedule schedule;
    int max_steps;                /* > 0 overrides epochs */
    int batch_size, accumulation; /* rows a micro-batch, micro-batches a step */
    /* a power of two: the step's gradient is summed over so many shares of its rows in a fixed tree */
    int gradient_leaves;
    int max_length, packing, shuffle;
    int save_steps; /* 0: only at the end and when interrupted */
    /* activations by recomputation per layer: 1, 0, or -1: when they would not fit into this machine's free memory, or
     * would take a process with quantised weights beyond what such a model is chosen for (train_recomputes) */
    int recompute;
    int bf16_moments; /* Adam's moments in bf16, rounded at random */
    int bf16_random;  /* the bf16 copy of the weights is rounded at random after each step */
    int lora_r;       /* > 0: train an adapter of this rank instead of the weights */
    double lora_alpha;
    const char *lora_targets; /* names of modules with commas between, or all-linear; NULL: the family's own */
    enum dtype dtype;         /* compute */
    uint64_t seed;
};
void train_options_default(struct train_options *o); /* CLI.md: the paper's */
int train_options_check(const struct train_options *o, struct error *err);
/* Whether an adapter, when one is wanted, can be trained for this model: ERROR_USAGE. source NULL: from scratch; an
 * adapter over a quantised file: it is that one which is trained on. */
int train_check_source(const struct train_options *o, const struct checkpoint *source, const struct model_desc *d,
                       struct error *err);

/* Whether the model is to be opened with keep_blocks: an adapter is trained over a quantised file, which nothing of the
 * weights needs in another form for. */
int train_keeps_blocks(const struct train_options *o, const struct checkpoint *source);

/* Distributions in place of the ids at a row's targets: the n_top greatest log-probabilities of each, as tensor/ops.h's
 * divergence reads them. */
struct soft_targets {
    int n_top;    /* 0: there are none, the ids themselves are trained */
    int32_t *ids; /* [targets, n_top], -1 behind the last of a list */
    float *logprobs;
};
struct train_row { /* one sequence; target[i] says whether ids[i] is trained (i >= 1) */
    int32_t *ids;
    uint8_t *target;
    int n;
    int label; /* classify: bit mask of labels */
    int32_t *rejected;
    int n_rejected; /* reward: ids is the chosen text, this the other */
    struct soft_targets soft;
    char id[40]; /* names the row in messages: its id or line number */
};
struct train_data {
    struct train_row *rows;
    int n;
    int n_boundary; /* rows whose prompt ends inside a token of both texts joined: tokenised apart */
    int n_truncated, n_dropped;
    /* of conversations: the assistant's turns, and those that the template does not let be told apart */
    int n_turn, n_turn_skipped;
    int n_unsafe;   /* BeaverTails rows that are not safe: left out of supervised fine-tuning */
    int n_left_out; /* rows with "kept": false, as generated.jsonl has them */
    /* conversations of which the first question and answer were taken, the model having no chat template; of these with
     * more turns */
    int n_first_pair, n_turn_left;
    long n_token, n_target;
};
/* What rows are made with, and where they go. */
struct row_maker {
    struct train_data *data;
    const struct tokenizer *tokenizer; /* NULL: rows come as ids */
    const struct model_desc *desc;
    int max_length; /* tokens of a row at most, and never more than the model's context; 0: that alone */
};
/* Records as io/record_reader.h reads them: {"prompt","completion"}, {"prompt_token_ids","completion_token_ids"},
 * {"text"}, {"messages"}, the seed formats (io/record.h); EOS appended as trl does. The maker's own data is not
 * looked at. */
int train_data_read(struct train_data *out, struct record_source source, const struct row_maker *with,
                    struct error *err);
/* From texts in memory (align's tune step): both as text/pair.h has it, and the end-of-sequence token of the tokenizer
 * (the model's own when that has none) unless the completion ends in it. */
struct train_text {
    struct pair_text prompt, completion;
    const char *id;
    /* the prompt is a template's, as align asks: an EOS that the tokenizer puts behind every text is not part of it */
    int continued;
    int whole; /* the texts hold what stands before and behind them, as a chat template writes it: nothing is put */
};
int train_data_add(const struct row_maker *m, const struct train_text *text, struct error *err);
/* An answer to a bare question, in the template's words: what align tunes on. */
struct train_answer {
    const char *question, *answer, *id;
};
int train_data_add_answer(const struct row_maker *m, const struct template *t, const struct train_answer *a,
                          struct error *err);
/* One text of people's, all of it trained, with the end (classifiers): special tokens in it are text. */
int train_data_add_plain(const struct row_maker *m, const char *text, const char *id, struct error *err);
/* Ids as they are, nothing appended; those from n_prompt on are targets. */
int train_data_add_ids(const struct row_maker *m, const int32_t *ids, int n, int n_prompt, const char *id,
                       struct error *err);
/* The same with a mask: target[i] says whether ids[i] is trained. */
int train_data_add_masked(const struct row_maker *m, const int32_t *ids, const uint8_t *target, int n, const char *id,
                          struct error *err);
/* The row learns these distributions, which are copied: the loss at its targets is the divergence from them. Other rows
 * of the data go on learning their ids. */
int train_data_set_soft(struct train_data *data, int row, const struct soft_targets *soft, struct error *err);
/* Two texts of which the first is preferred, each with EOS (reward models). */
int train_data_add_pair(const struct row_maker *m, const char *chosen, const char *rejected, const char *id,
                        struct error *err);
/* What labels the rows of a classifier's data have, for a new head: the keys of "category" in their order, else the
 * names in "labels" or "label" sorted, else LABEL_0, LABEL_1, ... for numbers. "label" in the first row means one label
 * a row (single-label), else any number of them. */
struct train_labels {
    char names[MODEL_MAX_LABEL][64];
    int n;
    enum model_problem problem;
};
int train_labels_read(struct train_labels *out, const char *path, struct error *err);
/* The text a classifier reads, trained and judged alike: PKU-Alignment's QAModeration form to which the end-of-sequence
 * token is added. 0 or -1. */
int train_classify_text(struct buf *out, const char *prompt, const char *response);
void train_data_free(struct train_data *data);

struct train_step {
    long step, total;
    double loss, grad_norm, learning_rate, epoch;
    long tokens, target_tokens;
    double seconds; /* of this step */
};
struct train_result {
    long steps;                              /* done by this call */
    double first_loss, last_loss, eval_loss; /* eval_loss: at the end, NAN without eval_data */
    int resumed_from;                        /* the step of the checkpoint this call went on from, 0: none */
    long allocations;                        /* made inside optimizer steps: 0 */
};
struct train_job {
    struct model *
        /* packed in the compute dtype; holds the tuned weights at the end (with an adapter: the base's, as before) */
        model;
    const struct checkpoint *source;           /* masters come from here; NULL: initialised from seed */
    const struct train_data *data, *eval_data; /* eval_data may be NULL */
    const struct train_options *options;
    const char *
        /* checkpoints, log.jsonl, trainer_state.json and the final Hugging Face directory; NULL: nothing is written */
        directory;
    const struct tokenizer *tokenizer; /* for the written directory, or NULL */
    const char *chat_template;         /* there, in the place of the source's; NULL: the source's own */
    void (*on_step)(void *user, const struct train_step *step);
    void *user;
    /* with an adapter: it is written to directory/adapter, and the directory holds base and adapter merged */
    int merge;
    long stop_after; /* > 0: ends behind that step as if it were the last, with the schedule of all steps */
};
/* Resumes from the directory's last checkpoint when there is one for the same data and options (others are refused by
 * name). ERROR_INTERRUPTED after writing a checkpoint when interrupt_requested(). */
int train_run(const struct train_job *job, struct train_result *result, struct error *err);
/* The model that is tuned. weights: bytes of its packed matrices; 0: all of them in the training's dtype. keeps_blocks:
 * as train_keeps_blocks. */
struct train_base {
    const struct model_desc *desc;
    size_t weights;
    int keeps_blocks;
};
/* As train_keeps_blocks will have it opened. */
int train_base_of(struct train_base *out, const struct model_desc *d, const struct device *device,
                  const struct checkpoint *source, const struct train_options *o, struct error *err);
/* Peak bytes of tuning (masters, gradients, moments, activations, packed weights). micro_tokens: token rows of the
 * largest micro-batch, at most max_length x batch_size. */
size_t train_memory(const struct train_base *b, const struct train_options *o, int micro_tokens);
/* What a rank of several takes for these rows, and sends in a step. */
struct train_share {
    int n_rank, n_leaf, rounds;                    /* rounds: leaves that it computes, one after the other */
    int is_whole;                                  /* a leaf's gradient is, since some leaf has several micro-batches */
    double weights, sharded, windows, activations; /* bytes: packed; its part of masters, moments and sums; ... */
    double master;                                 /* bytes that come back of a value */
    double sent;                                   /* bytes, of the rank that sends most */
    /* elements by when their gradient is ready, from the last to the first: behind the layers, of one layer, the rest;
     * an adapter has none but the rest, and n_layer is 0 */
    double behind, layer, embeddings;
    int n_layer;
    int n_behind, n_each, n_embeddings; /* exchanges that each of them takes */
};
int train_share_of(struct train_share *out, const struct train_base *b, const struct train_options *o,
                   const struct train_data *data, int n_rank, struct error *err);
/* Bytes of its slabs for these rows, looking at every step. */
int train_memory_of(const struct train_base *b, const struct train_options *o, const struct train_data *data,
                    size_t *bytes, struct error *err);

#endif
