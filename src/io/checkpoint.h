/* SPDX-License-Identifier: Apache-2.0 */
/* One view of a model on disk, whether a Hugging Face directory (safetensors, one file or shards) or a GGUF file: a
 * configuration with Hugging Face's keys and tensors with Hugging Face's names, shapes and layout.
 *
 *     struct checkpoint *ck;
 *     if (checkpoint_open(&ck, "models/SmolLM2", &err)) ...
 *     const struct tensor_info *q = checkpoint_find(ck, "model.layers.0.self_attn.q_proj.weight");
 *     checkpoint_read_f32(ck, q, 0, q->n_row, dst, &err);       // [n_row, n_col]
 *     checkpoint_close(ck);
 *
 * Files are mapped, not read: opening costs the headers. Everything returned is borrowed and lives until
 * checkpoint_close. After opening, all functions may be called from several threads at once. */
#ifndef IO_CHECKPOINT_H
#define IO_CHECKPOINT_H

#include "io/tensor_info.h" /* names are Hugging Face's, for GGUF too */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint;
struct gguf;

/* path: a directory with config.json, a .gguf file, or org/name found in the Hugging Face cache (io/hub.h); or a PEFT
 * adapter's directory (see below). */
int checkpoint_open(struct checkpoint **out, const char *path, struct error *err);
/* A LoRA adapter in PEFT's files over its base model: every read gives base + scale B A, summed in double and rounded
 * once. base: as above, or NULL for what adapter_config.json names (as it stands, or beside the adapter). With DoRA
 * each row then has the length that was trained; whole tensors (modules_to_save) stand for the base's. What isara does
 * not compute (trained biases, starts that change the base) is refused by name. The path is the base's. */
int checkpoint_open_adapter(struct checkpoint **out, const char *base, const char *adapter, struct error *err);
int checkpoint_is_adapted(const struct checkpoint *ck);
/* Is it the text part of a model of several kinds of input? transformers' whole has its layers elsewhere, as adapters
 * do. */
int checkpoint_is_text_part(const struct checkpoint *ck);
/* What the adapter does to a tensor, and LoRA's factors (borrowed): scale B A is added. */
enum checkpoint_change { CHECKPOINT_SAME, CHECKPOINT_LORA, CHECKPOINT_DORA, CHECKPOINT_REPLACED };
struct checkpoint_factors {
    int64_t rank;
    double scale;
    const float *a, *b; /* [rank, n_col], [n_row, rank] */
};
enum checkpoint_change checkpoint_factors(const struct checkpoint *ck, const struct tensor_info *t,
                                          struct checkpoint_factors *out);
void checkpoint_close(struct checkpoint *ck); /* NULL is fine */

/* Lets the system take back what was read of the files, or of some rows; they are read again when they are touched. */
void checkpoint_release(const struct checkpoint *ck);
void checkpoint_give_back(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row);
/* The resolved directory or file; of an adapter: its base's. */
const char *checkpoint_path(const struct checkpoint *ck);
const char *checkpoint_adapter(const struct checkpoint *ck); /* the directory of the adapter over it, or NULL */
/* config.json as it is, but for tie_word_embeddings, which is false where a head is stored that is another matrix than
 * the embedding, and true where it is absent and head and embedding share their bytes; for GGUF made from the metadata:
 * architectures, model_type, hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim,
 * intermediate_size, vocab_size, rms_norm_eps, rope_theta, rope_scaling, max_position_embeddings, tie_word_embeddings,
 * bos/eos/pad_token_id, hidden_act, attention_bias, mlp_bias, torch_dtype. */
const json_t *checkpoint_config(const struct checkpoint *ck);
const json_t *checkpoint_generation_config(const struct checkpoint *ck); /* or NULL */
/* The whole path of one of the directory's side files (tokenizer.json, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json, vocab.json, merges.txt, vocab.txt, tokenizer.model, chat_template.jinja, ...), or NULL when there
 * is none. Always NULL for GGUF. */
const char *checkpoint_file(const struct checkpoint *ck, const char *name);
const struct gguf *
checkpoint_gguf(const struct checkpoint *ck); /* io/gguf.h: metadata for the tokenizer; NULL for a directory */

size_t checkpoint_n_tensor(const struct checkpoint *ck);
const struct tensor_info *checkpoint_tensor(const struct checkpoint *ck, size_t i); /* sorted by name */
/* NULL when absent. With tie_word_embeddings a missing model.embed_tokens.weight is found as lm_head.weight (some files
 * hold the shared matrix under that name); the reverse is the model's to know. A checkpoint saved without its head,
 * whose names lack "model.", has them here. */
const struct tensor_info *checkpoint_find(const struct checkpoint *ck, const char *name);
/* The same, with an error that names file and tensor. */
int checkpoint_need(const struct checkpoint *ck, const char *name, const struct tensor_info **out, struct error *err);

/* Rows first_row .. first_row+n_row-1, converted: dst [n_row, n_col]. Errors: rows outside the tensor, a storage type
 * without conversion, a file that shrank. */
int checkpoint_read_f32(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row,
                        float *dst, struct error *err);
/* The same rows as they are stored: dst of n_row rows of t->n_byte / t->n_row bytes. Only of quantised types that
 * memory has too (storage_dtype), whose numbers stand in the file (checkpoint_has_blocks), without what an adapter adds
 * to them (checkpoint_factors), and of BF16 that no adapter changes (checkpoint_has_bf16); a number, scale or minimum
 * that is not finite is an error that names tensor and element. */
int checkpoint_has_blocks(const struct tensor_info *t);
int checkpoint_any_blocks(const struct checkpoint *ck); /* whether any tensor has such */
int checkpoint_has_bf16(const struct tensor_info *t);
int checkpoint_read_blocks(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row,
                           void *dst, struct error *err);
/* The tensor's bytes in the file, any alignment; NULL when its rows are stored in another order than Hugging Face's
 * (GGUF q and k), or adapted. */
const void *checkpoint_raw(const struct checkpoint *ck, const struct tensor_info *t);
/* Whether another tensor of the same shape is the very same bytes: torch.save keeps the storage of tied matrices once.
 */
int checkpoint_is_shared(const struct checkpoint *ck, const struct tensor_info *t);
/* The type most of the weights are stored in, as a type that can be computed with and saved: F32, BF16 or F16 (F32 for
 * quantised files). */
enum dtype checkpoint_dtype(const struct checkpoint *ck);
/* SHA-256 of the weights: of the file when there is one; of the lines "hex  name\n" in name order for shards. Reads
 * every byte. */
int checkpoint_sha256(const struct checkpoint *ck, char hex[65], struct error *err);
/* Everything else of the model's files that decides what it computes, each by its SHA-256, as members
 * "PREFIXconfig.json": "hex" of `into`: configuration, generation settings, tokenizer, chat templates, an adapter's
 * configuration. (A GGUF has them in its one file.) */
int checkpoint_side_sha256(const struct checkpoint *ck, const char *prefix, json_t *into, struct error *err);
/* 0, or ERROR_DATA naming the file that has become shorter since it was opened. Functions that read values ask for
 * themselves; who used checkpoint_raw asks here. */
int checkpoint_check_whole(const struct checkpoint *ck, struct error *err);
/* 0, or ERROR_DATA naming file, tensor and index of the first NaN or infinity. Reads everything. */
int checkpoint_check_finite(const struct checkpoint *ck, struct error *err);
/* The same for values already read: n floats of t from element `first`. */
int tensor_check_finite(const struct checkpoint *ck, const struct tensor_info *t, uint64_t first, const float *values,
                        uint64_t n, struct error *err);

#endif
