/* SPDX-License-Identifier: Apache-2.0 */
/* A file of tensors by Hugging Face's names in either form: torch.save's (a name that ends in .bin), else
 * safetensors. */
#ifndef IO_WEIGHTS_H
#define IO_WEIGHTS_H

#include "io/safetensors.h"
#include "io/torch_bin.h"

struct weights { /* one of both, or neither */
    struct safetensors *safetensors;
    struct torch_bin *torch;
};
/* path: for messages and the form. Bytes are the caller's. */
int weights_parse(struct weights *w, const void *bytes, size_t size, const char *path, struct error *err);
void weights_free(struct weights *w);
size_t weights_n_tensor(const struct weights *w);
const struct tensor_info *weights_tensor(const struct weights *w, size_t i);
const unsigned char *weights_data(const struct weights *w, size_t i); /* any alignment */
long weights_find(const struct weights *w, const char *name);         /* index, or -1 */

#endif
