/* SPDX-License-Identifier: Apache-2.0 */
/* The header is two buffers, metadata and tensor records, joined when everything has been said. */
#include "io/gguf_write.h"

#include "base/mem.h"
#include "io/file.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { ALIGNMENT = 32, Q8_ELEMENTS = 32, Q8_BYTES = 34 };

struct slot {
    char *name;
    enum storage storage;
    uint64_t begin, n_element, n_byte; /* begin: in the data section */
};
struct gguf_writer {
    struct buf pairs, records, header;
    uint64_t n_pair;
    struct slot *slots;
    size_t n, cap;
    uint64_t data_bytes, data_start, written;
    int failed, laid_out;
    struct atomic_file *file;
    char *path;
};

int gguf_writer_new(struct gguf_writer **out, struct error *err)
{
    *out = mem_calloc(1, sizeof **out);
    return *out ? 0 : error_set_nomem(err, sizeof **out, "a GGUF file");
}

static void put_bytes(struct buf *b, const void *bytes, size_t n)
{
    buf_append(b, bytes, n);
}

static void put_text(struct buf *b, const char *text, size_t n)
{
    uint64_t length = n;
    put_bytes(b, &length, 8);
    buf_append(b, text, n);
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    uint32_t number = type;
    put_text(&w->pairs, key, strlen(key));
    put_bytes(&w->pairs, &number, 4);
    w->n_pair++;
}

static void put_list(struct gguf_writer *w, const char *key, enum gguf_type element, size_t n)
{
    uint32_t type = element;
    uint64_t count = n;
    put_key(w, key, GGUF_ARRAY);
    put_bytes(&w->pairs, &type, 4);
    put_bytes(&w->pairs, &count, 8);
}

void gguf_put_string(struct gguf_writer *w, const char *key, const char *text)
{
    put_key(w, key, GGUF_STRING);
    put_text(&w->pairs, text, strlen(text));
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    put_key(w, key, GGUF_U32);
    put_bytes(&w->pairs, &value, 4);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float value)
{
    put_key(w, key, GGUF_F32);
    put_bytes(&w->pairs, &value, 4);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, int value)
{
    put_key(w, key, GGUF_BOOL);
    buf_putc(&w->pairs, (char)(value != 0));
}

void gguf_put_strings(struct gguf_writer *w, const char *key, const struct gguf_string *text, size_t n)
{
    put_list(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_text(&w->pairs, text[i].data, text[i].len);
}

void gguf_put_floats(struct gguf_writer *w, const char *key, const float *values, size_t n)
{
    put_list(w, key, GGUF_F32, n);
    put_bytes(&w->pairs, values, n * sizeof *values);
}

void gguf_put_ints(struct gguf_writer *w, const char *key, const int32_t *values, size_t n)
{
    put_list(w, key, GGUF_I32, n);
    put_bytes(&w->pairs, values, n * sizeof *values);
}

void gguf_put_bools(struct gguf_writer *w, const char *key, const unsigned char *values, size_t n)
{
    put_list(w, key, GGUF_BOOL, n);
    put_bytes(&w->pairs, values, n);
}

/* A key with its length before it, as it lies in the header. */
static int has_key(const struct gguf_writer *w, const char *key)
{
    struct buf b = BUF_INIT;
    put_text(&b, key, strlen(key));
    int found = b.data && w->pairs.data && memmem(w->pairs.data, w->pairs.len, b.data, b.len) != NULL;
    buf_free(&b);
    return found;
}

void gguf_put_copies(struct gguf_writer *w, const struct gguf *g, const char *prefix)
{
    for (size_t i = 0; i < gguf_n_key(g); i++) {
        const char *key = gguf_key_at(g, i);
        size_t n;
        enum gguf_type type;
        if (strncmp(key, prefix, strlen(prefix)) || has_key(w, key))
            continue;
        const void *value = gguf_value_bytes(g, key, &type, &n);
        put_key(w, key, type);
        put_bytes(&w->pairs, value, n);
    }
}

int gguf_put_tensor(struct gguf_writer *w, const char *name, enum storage storage, int n_dim, const uint64_t *dim)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 256;
        struct slot *more = mem_resize(w->slots, cap * sizeof *more);
        if (!more) {
            w->failed = 1;
            return 0;
        }
        w->slots = more;
        w->cap = cap;
    }
    struct slot *s = &w->slots[w->n];
    *s = (struct slot){.name = mem_strdup(name), .storage = storage, .begin = w->data_bytes, .n_element = 1};
    uint32_t count = (uint32_t)n_dim, type = (uint32_t)storage_gguf_number(storage);
    put_text(&w->records, name, strlen(name));
    put_bytes(&w->records, &count, 4);
    for (int i = 0; i < n_dim; i++) {
        s->n_element *= dim[i];
        put_bytes(&w->records, &dim[i], 8);
    }
    put_bytes(&w->records, &type, 4);
    put_bytes(&w->records, &s->begin, 8);
    w->failed |= !s->name || storage_bytes(storage, s->n_element, &s->n_byte);
    w->data_bytes += (s->n_byte + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return (int)w->n++;
}

int gguf_writer_header(struct gguf_writer *w, const struct buf **header, uint64_t *size, struct error *err)
{
    uint32_t version = 3;
    uint64_t n = w->n;
    if (!w->laid_out) {
        buf_puts(&w->header, "GGUF");
        put_bytes(&w->header, &version, 4);
        put_bytes(&w->header, &n, 8);
        put_bytes(&w->header, &w->n_pair, 8);
        buf_append(&w->header, w->pairs.data, w->pairs.len);
        buf_append(&w->header, w->records.data, w->records.len);
        while (w->header.len % ALIGNMENT && !w->header.failed)
            buf_putc(&w->header, 0);
        w->data_start = w->header.len;
        w->laid_out = 1;
    }
    if (w->failed || w->pairs.failed || w->records.failed || w->header.failed)
        return error_set_nomem(err, w->pairs.len + w->records.len, "a GGUF file's header");
    *header = &w->header;
    *size = w->data_start + w->data_bytes;
    return 0;
}

int gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err)
{
    const struct buf *header;
    uint64_t size;
    int rc = gguf_writer_header(w, &header, &size, err);
    w->path = mem_strdup(path);
    if (!rc && !w->path)
        rc = error_set_nomem(err, strlen(path), "a path");
    if (!rc)
        rc = atomic_file_open(&w->file, path, err);
    if (!rc)
        rc = atomic_file_reserve(w->file, size, err);
    if (!rc)
        rc = atomic_file_write_at(w->file, 0, header->data, header->len, err);
    return rc;
}

static int write_bytes(struct gguf_writer *w, const struct slot *s, uint64_t offset, const void *bytes, size_t n,
                       struct error *err)
{
    int rc = atomic_file_write_at(w->file, w->data_start + s->begin + offset, bytes, n, err);
    w->written += rc ? 0 : n;
    return rc;
}

int gguf_write_bytes(struct gguf_writer *w, int i, uint64_t offset, const void *bytes, size_t n, struct error *err)
{
    const struct slot *s = &w->slots[i];
    if (offset > s->n_byte || n > s->n_byte - offset)
        return error_set(err, ERROR_INTERNAL, "%s: bytes outside of tensor %s", w->path, s->name);
    return write_bytes(w, s, offset, bytes, n, err);
}

static int too_large(const struct gguf_writer *w, const struct slot *s, float value, struct error *err)
{
    return error_set(err, ERROR_DATA, "%s: tensor %s: %g is too large for %s; write the model as bf16 or f32", w->path,
                     s->name, (double)value, storage_name(s->storage));
}

/* ggml's reference: the scale is the greatest magnitude over 127, quotients are rounded half away from zero. */
static int quantise(const struct gguf_writer *w, const struct slot *s, const float *x, unsigned char *out,
                    struct error *err)
{
    float most = 0;
    for (int i = 0; i < Q8_ELEMENTS; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    float d = most / 127, inverse = d > 0 ? 1 / d : 0;
    uint16_t half = f32_to_f16(d);
    if (!isfinite(f16_to_f32(half)))
        return too_large(w, s, most, err);
    memcpy(out, &half, 2);
    for (int i = 0; i < Q8_ELEMENTS; i++)
        out[2 + i] = (unsigned char)(signed char)roundf(x[i] * inverse);
    return 0;
}

/* elements; a multiple of a block */
enum { CHUNK = 4096 };

static int convert(const struct gguf_writer *w, const struct slot *s, const float *values, size_t n, unsigned char *out,
                   struct error *err)
{
    for (size_t i = 0; i < n && s->storage != STORAGE_Q8_0; i++) {
        uint16_t half = s->storage == STORAGE_F16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
        if (s->storage == STORAGE_F16 && isfinite(values[i]) && !isfinite(f16_to_f32(half)))
            return too_large(w, s, values[i], err);
        memcpy(out + 2 * i, &half, 2);
    }
    int rc = 0;
    for (size_t i = 0; i < n && !rc && s->storage == STORAGE_Q8_0; i += Q8_ELEMENTS)
        rc = quantise(w, s, values + i, out + i / Q8_ELEMENTS * Q8_BYTES, err);
    return rc;
}

int gguf_write_f32(struct gguf_writer *w, int i, uint64_t first, const float *values, uint64_t n, struct error *err)
{
    const struct slot *s = &w->slots[i];
    unsigned char piece[CHUNK * 2];
    uint64_t at = 0, bytes = 0;
    int whole = s->storage != STORAGE_Q8_0 || (first % Q8_ELEMENTS == 0 && n % Q8_ELEMENTS == 0);
    if (!whole || first > s->n_element || n > s->n_element - first)
        return error_set(err, ERROR_INTERNAL, "%s: values outside of tensor %s or of its blocks", w->path, s->name);
    storage_bytes(s->storage, first, &at);
    if (s->storage == STORAGE_F32)
        return write_bytes(w, s, at, values, n * 4, err);
    while (n) {
        size_t k = n < CHUNK ? n : CHUNK;
        int rc = convert(w, s, values, k, piece, err);
        storage_bytes(s->storage, k, &bytes);
        if (rc || (rc = write_bytes(w, s, at, piece, bytes, err)))
            return rc;
        values += k;
        at += bytes;
        n -= k;
    }
    return 0;
}

static void writer_free(struct gguf_writer *w)
{
    atomic_file_abort(w->file);
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->slots[i].name);
    mem_free(w->slots);
    mem_free(w->path);
    buf_free(&w->pairs);
    buf_free(&w->records);
    buf_free(&w->header);
    mem_free(w);
}

int gguf_writer_end(struct gguf_writer *w, int rc, struct error *err)
{
    if (!w)
        return rc;
    uint64_t wanted = 0;
    for (size_t i = 0; i < w->n; i++)
        wanted += w->slots[i].n_byte;
    if (!rc && (!w->file || w->written != wanted))
        rc = error_set(err, ERROR_INTERNAL, "%s: %" PRIu64 " of %" PRIu64 " bytes were written",
                       w->path ? w->path : "GGUF", w->written, wanted);
    if (!rc) {
        rc = atomic_file_commit(w->file, err);
        w->file = NULL;
    }
    writer_free(w);
    return rc;
}
