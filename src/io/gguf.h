/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF, versions 2 and 3 (little-endian): typed metadata and tensor records. The parser takes bytes it does not own;
 * everything it hands out points into them or into its own arena and lives until gguf_free. Tensor names and shapes
 * here are the file's own (innermost dimension first); io/checkpoint.h gives Hugging Face's. */
#ifndef IO_GGUF_H
#define IO_GGUF_H

#include "io/storage.h"

#include <stddef.h>
#include <stdint.h>

struct gguf;
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};
struct gguf_string {
    const char *data; /* not NUL-terminated; valid UTF-8 or not, as the file has it */
    size_t len;
};
struct gguf_tensor {
    const char *name; /* NUL-terminated, valid UTF-8 */
    enum storage storage;
    int n_dim;       /* 1..4 */
    uint64_t dim[4]; /* innermost first; 1 beyond n_dim */
    uint64_t n_element, n_byte;
    const unsigned char *data;
};

/* name: for messages. */
int gguf_parse(struct gguf **out, const void *bytes, size_t size, const char *name, struct error *err);
void gguf_free(struct gguf *g);

/* Metadata. All return 0, or -1 when the key is absent or of another kind. Integers of every width are one kind (U64
 * beyond int64 is absent); get_float takes integers too. */
int gguf_has(const struct gguf *g, const char *key);
int gguf_get_int(const struct gguf *g, const char *key, int64_t *out);
int gguf_get_float(const struct gguf *g, const char *key, double *out);
int gguf_get_bool(const struct gguf *g, const char *key, int *out);
int gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out);
/* Length of an array, -1 when absent; element: GGUF_STRING for tokens and merges, GGUF_F32 for scores, GGUF_I32 for
 * token types. */
int64_t gguf_array_length(const struct gguf *g, const char *key, enum gguf_type *element);
/* All elements of an array into the caller's storage of gguf_array_length entries. */
int gguf_array_strings(const struct gguf *g, const char *key, struct gguf_string *out);
int gguf_array_ints(const struct gguf *g, const char *key, int64_t *out);
int gguf_array_bools(const struct gguf *g, const char *key, unsigned char *out);
int gguf_array_floats(const struct gguf *g, const char *key, double *out);

/* The value's own bytes as they lie in the file, a list with its element type and count; NULL when the key is
 * absent. */
const void *gguf_value_bytes(const struct gguf *g, const char *key, enum gguf_type *type, size_t *n);

size_t gguf_n_key(const struct gguf *g);
const char *gguf_key_at(const struct gguf *g, size_t i); /* in order of the keys */
size_t gguf_n_tensor(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i); /* file order */
const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name);

#endif
