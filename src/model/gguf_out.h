/* SPDX-License-Identifier: Apache-2.0 */
/* A language model as llama.cpp's GGUF: its metadata follows from the descriptor, its tensors from the checkpoint,
 * under the names of io/gguf_arch.h. What llama.cpp's architecture cannot say is refused by name: the metadata is read
 * back, and the descriptor that it gives must be the model's.
 *
 *     gguf_writer_new(&w, &err); gguf_model_put(&g, w, checkpoint, STORAGE_F16, &err); tokenizer_to_gguf(tokenizer,
 *     ..., w, &err); gguf_model_write(g, w, path, &err); gguf_model_free(g); gguf_writer_end(w, rc, &err); */
#ifndef MODEL_GGUF_OUT_H
#define MODEL_GGUF_OUT_H

#include "io/gguf_write.h"
#include "model/model.h"

struct gguf_model;
/* type: F32, F16, BF16 or Q8_0, of matrices; vectors and norms are F32, and what Q8_0's blocks of 32 do not divide is
 * F16. */
int gguf_model_put(struct gguf_model **out, struct gguf_writer *w, const struct checkpoint *source, enum storage type,
                   struct error *err);
const struct model_desc *gguf_model_desc(const struct gguf_model *g);
/* Checks the metadata, opens path and writes every tensor. Numbers that are not finite are refused. */
int gguf_model_write(struct gguf_model *g, struct gguf_writer *w, const char *path, struct error *err);
void gguf_model_free(struct gguf_model *g);

/* An adapter's factors (checkpoint_is_adapted) as a GGUF adapter for that base; what llama.cpp cannot apply is refused
 * by name. */
int gguf_adapter_write(struct gguf_writer *w, const struct checkpoint *source, enum storage type, const char *path,
                       struct error *err);

#endif
