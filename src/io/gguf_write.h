/* SPDX-License-Identifier: Apache-2.0 */
/* Writing GGUF, version 3. Metadata and tensors are said first, then the header is laid out, then values come in any
 * order of tensors:
 *
 *     struct gguf_writer *w;
 *     gguf_writer_new(&w, &err); gguf_put_string(w, "general.architecture", "llama"); ...
 *     int i = gguf_put_tensor(w, "token_embd.weight", STORAGE_F16, 2, (uint64_t[]){width, rows});
 *     gguf_writer_begin(w, path, &err); gguf_write_f32(w, i, 0, values, n, &err); ...
 *     gguf_writer_end(w, rc, &err);
 *
 * The put functions remember that memory ran out; gguf_writer_begin says so. The file appears at the end, whole; its
 * space is reserved at the start. */
#ifndef IO_GGUF_WRITE_H
#define IO_GGUF_WRITE_H

#include "base/buf.h"
#include "io/gguf.h"

struct gguf_writer;
int gguf_writer_new(struct gguf_writer **out, struct error *err);

void gguf_put_string(struct gguf_writer *w, const char *key, const char *text);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_writer *w, const char *key, float value);
void gguf_put_bool(struct gguf_writer *w, const char *key, int value);
void gguf_put_strings(struct gguf_writer *w, const char *key, const struct gguf_string *text, size_t n);
void gguf_put_floats(struct gguf_writer *w, const char *key, const float *values, size_t n);
void gguf_put_ints(struct gguf_writer *w, const char *key, const int32_t *values, size_t n);
void gguf_put_bools(struct gguf_writer *w, const char *key, const unsigned char *values, size_t n);
/* Every key of g that begins with prefix, as it stands there, but for those that have been put already. */
void gguf_put_copies(struct gguf_writer *w, const struct gguf *g, const char *prefix);

/* dim: innermost first. storage: F32, F16, BF16, or Q8_0 for rows of a multiple of 32; any other type of GGUF where the
 * tensor is written as bytes. Returns the tensor's index. */
int gguf_put_tensor(struct gguf_writer *w, const char *name, enum storage storage, int n_dim, const uint64_t *dim);

/* The header's bytes (borrowed until the writer goes) and how long the file will be; nothing is written. */
int gguf_writer_header(struct gguf_writer *w, const struct buf **header, uint64_t *size, struct error *err);
int gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err);
/* Elements first.. of a tensor, rounded to its storage (nearest, ties to even; Q8_0 as ggml does it, in whole blocks).
 * A number that the type cannot hold is an error with the tensor's name. */
int gguf_write_f32(struct gguf_writer *w, int i, uint64_t first, const float *values, uint64_t n, struct error *err);
/* Bytes as they are, at a byte offset in the tensor. */
int gguf_write_bytes(struct gguf_writer *w, int i, uint64_t offset, const void *bytes, size_t n, struct error *err);
/* Frees the writer (NULL is fine). rc 0: the file appears, unless not every byte was written. Else nothing appears and
 * rc is returned. */
int gguf_writer_end(struct gguf_writer *w, int rc, struct error *err);

#endif
