/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF in Hugging Face's words: configuration keys, tensor names, and the order of q and k rows. Used by
 * io/checkpoint.c only. */
#ifndef IO_GGUF_HF_H
#define IO_GGUF_HF_H

#include "base/buf.h"
#include "io/gguf.h"
#include "io/gguf_arch.h"

#include <jansson.h>

/* A new config.json object (and a generation_config.json object), or an error naming the key that is missing or not
 * understood. */
int gguf_hf_config(json_t **config, json_t **generation, const struct gguf *g, const char *path, struct error *err);
/* Appends the tensor's Hugging Face name to out. change: what its values are there; heads: how many heads' rows are
 * interleaved, else 0. 0; 1 when the tensor has no counterpart and is to be left out (gguf_tensor_harmless). */
int gguf_hf_name(const struct gguf *g, const char *name, struct buf *out, enum gguf_change *change, int64_t *heads);
/* Row r of a matrix of n_row rows in Hugging Face's order lies at this row of the file: llama.cpp's conversion stores
 * each head's halves (i, i + D/2) as pairs (2i, 2i + 1); of GGUF_QKV, which lies by heads, all queries come first, then
 * keys and values. */
int64_t gguf_hf_row(int64_t r, int64_t n_row, int64_t heads, enum gguf_change change);

#endif
