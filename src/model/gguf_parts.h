/* SPDX-License-Identifier: Apache-2.0 */
/* What model/gguf_out.c and model/gguf_adapter.c share: where a tensor of a checkpoint stands in a GGUF file. */
#ifndef MODEL_GGUF_PARTS_H
#define MODEL_GGUF_PARTS_H

#include "io/gguf_arch.h"
#include "model/model.h"

struct gguf_target {
    char name[96];
    const struct tensor_info *info;
    enum gguf_change change;
    int64_t heads;        /* whose rows are interleaved; 0: none */
    int64_t n_row, n_col; /* as they lie in the GGUF file */
    int index;            /* gguf_put_tensor's */
};
/* Fills name, change and heads from Hugging Face's name; -1: the architecture has no such tensor. */
int gguf_target_find(struct gguf_target *t, const struct gguf_arch *arch, const struct model_desc *d, const char *name);

#endif
