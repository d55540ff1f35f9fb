/* SPDX-License-Identifier: Apache-2.0 */
/* What torch.save writes of a dict of tensors since torch 1.6 (pytorch_model.bin): a zip of a pickle (io/pickle.h) and
 * one stored entry a storage. The reader takes bytes it does not own; contiguous tensors are where they lie, views of
 * other strides are copied into order, as long as all copies together are no larger than the file. Two tensors over one
 * storage have the same data. Older forms are refused with the line that converts them. */
#ifndef IO_TORCH_BIN_H
#define IO_TORCH_BIN_H

#include "io/tensor_info.h"

#include <stddef.h>

struct torch_bin;
/* name: for messages. */
int torch_bin_parse(struct torch_bin **out, const void *bytes, size_t size, const char *name, struct error *err);
void torch_bin_free(struct torch_bin *t); /* NULL is fine */
size_t torch_bin_n_tensor(const struct torch_bin *t);
const struct tensor_info *torch_bin_tensor(const struct torch_bin *t, size_t i); /* sorted by name */
const unsigned char *torch_bin_data(const struct torch_bin *t, size_t i);        /* any alignment */
long torch_bin_find(const struct torch_bin *t, const char *name);                /* index, or -1 */

#endif
