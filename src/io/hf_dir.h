/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a Hugging Face model directory, each written atomically. A directory is complete when model.safetensors
 * is there: write it last.
 *
 *     dirs_make(dir); hf_dir_config(...); hf_dir_generation(...); hf_dir_tokenizer(...);   // for GGUF: the text
 *     floor's tokenizer_export
 *     hf_dir_weights(...);                                                                  // or a safetensors_writer
 *                                                                                           of one's own */
#ifndef IO_HF_DIR_H
#define IO_HF_DIR_H

#include "io/checkpoint.h"

const char *hf_dtype_name(enum dtype t); /* "float32", "bfloat16", "float16" */
/* config.json: `config` with its dtype (under the key the source used: "dtype", else "torch_dtype") set to t. */
int hf_dir_config(const char *dir, const json_t *config, enum dtype t, struct error *err);
/* generation_config.json: as given; without one (NULL) made from the special ids in `config`. */
int hf_dir_generation(const char *dir, const json_t *generation, const json_t *config, struct error *err);
/* What a tokenizer may be read from in a directory, beside its templates by name. */
#define HF_TOKENIZER_FILES                                                                                         \
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",       \
        "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json", "spiece.model", \
        "sentencepiece.bpe.model"
/* Copies the source's tokenizer files byte for byte; *n (may be NULL) = how many there were (0 for GGUF). */
int hf_dir_tokenizer(const char *dir, const struct checkpoint *source, int *n, struct error *err);
/* model.safetensors with every tensor of the source that is a parameter, floating-point ones as t (exact when the
 * source has that type, else rounded to nearest, ties to even), read and written piece by piece. With tied embeddings
 * the matrix is written once, as model.embed_tokens.weight. Left out: buffers that models make themselves
 * (rotary_emb.inv_freq, masked_bias, position_ids). */
int hf_dir_weights(const char *dir, const struct checkpoint *source, enum dtype t, struct error *err);
/* The same, each tensor in the type it has; t is for what has none of its own here (quantised blocks). */
int hf_dir_weights_as_read(const char *dir, const struct checkpoint *source, enum dtype t, struct error *err);
/* Both, and in shards: as_read 1: each tensor in the type it has; shard 0: one file, else files of at most so many
 * bytes of weights (a tensor is never cut), named model-00001-of-0000N.safetensors, and model.safetensors.index.json,
 * last. Where all fits one file it is one. */
struct hf_dir_form {
    enum dtype dtype;
    int as_read;
    uint64_t shard;
};
int hf_dir_weights_in(const char *dir, const struct checkpoint *source, const struct hf_dir_form *form,
                      struct error *err);
/* The type that a tensor is saved in when nobody asks for another: its own where that is F32, BF16 or F16, F32 for F64,
 * else t. */
enum storage hf_dir_storage(enum storage own, enum dtype t);

#endif
