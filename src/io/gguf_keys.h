/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a GGUF file's keys and tensors are understood. Used by io/gguf_hf.c and io/checkpoint_gguf.c only. */
#ifndef IO_GGUF_KEYS_H
#define IO_GGUF_KEYS_H

#include "io/gguf.h"
#include "io/gguf_arch.h"

/* One integer, or an array that says the same one for every layer; else -1. */
int gguf_same_int(const struct gguf *g, const char *key, int64_t *out);
/* Every key ARCH.* is one that is read, that says what is true of all models here, or that is harmless; the first other
 * one is an error with its name. */
int gguf_check_keys(const struct gguf *g, const struct gguf_arch *arch, int64_t head_dim, int64_t n_ctx,
                    const char *path, struct error *err);
/* Every tensor belongs to one of n_layer layers and is one that is read or harmless; the first other one is an error
 * with its name. */
int gguf_check_tensors(const struct gguf *g, const struct gguf_arch *arch, int64_t n_layer, const char *path,
                       struct error *err);
/* What stands after "blk.N.", and N; the name itself and -1 when it is of no layer. */
const char *gguf_tensor_part(const char *name, int64_t *layer);
/* Is it one of longrope's lists, of an architecture that reads them (io/gguf_rope.c)? */
int gguf_tensor_rope(const struct gguf_arch *arch, const char *name);
/* Why this tensor may be left out, or NULL. */
const char *gguf_tensor_harmless(const char *name);

#endif
