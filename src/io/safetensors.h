/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: an 8-byte length, a JSON header, the tensors' bytes without holes. The reader takes bytes it does not
 * own and accepts exactly what the format's own reader accepts, and less: no more than 2^20 tensors, names of at most
 * 4096 bytes, offsets and shapes that are plain non-negative integers, no key given twice. */
#ifndef IO_SAFETENSORS_H
#define IO_SAFETENSORS_H

#include "io/tensor_info.h"

#include <jansson.h>
#include <stddef.h>

struct safetensors;
/* name: for messages. */
int safetensors_parse(struct safetensors **out, const void *bytes, size_t size, const char *name, struct error *err);
void safetensors_free(struct safetensors *s); /* NULL is fine */
size_t safetensors_n_tensor(const struct safetensors *s);
const struct tensor_info *safetensors_tensor(const struct safetensors *s, size_t i); /* in the order of their bytes */
const unsigned char *safetensors_data(const struct safetensors *s, size_t i);        /* any alignment */
long safetensors_find(const struct safetensors *s, const char *name);                /* index, or -1 */
const char *safetensors_metadata(const struct safetensors *s, const char *key);      /* or NULL */

/* The writer, streaming: the header is laid out from the descriptions (name, storage, n_dim, shape of each; the rest is
 * filled in), then tensors are written in any order and in any pieces, from several threads if wished. Bytes are in the
 * official order (type descending, then name), the header is padded to 8. metadata: an object of strings or NULL;
 * {"format": "pt"} is what transformers wants. The file appears at the end, whole; its space is reserved at the start,
 * so a full disk shows there. */
struct safetensors_writer;
int safetensors_create(struct safetensors_writer **out, const char *path, const struct tensor_info *tensors, size_t n,
                       const json_t *metadata, struct error *err);
/* Elements first.. of the i-th tensor as it was described. Values are converted to its storage: F32, BF16, F16 (rounded
 * to nearest, ties to even), or a cast to I32. */
int safetensors_write_f32(struct safetensors_writer *w, size_t i, uint64_t first, const float *values, uint64_t n,
                          struct error *err);
/* Bytes as they are, at a byte offset in the tensor. */
int safetensors_write_bytes(struct safetensors_writer *w, size_t i, uint64_t offset, const void *bytes, size_t n,
                            struct error *err);
/* Frees the writer (NULL is fine). rc 0: the file appears, unless not every byte has been written (counted, so nothing
 * may be written twice). Else nothing appears and rc is returned. */
int safetensors_end(struct safetensors_writer *w, int rc, struct error *err);

#endif
