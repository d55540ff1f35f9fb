/* SPDX-License-Identifier: Apache-2.0 */
/* The writer. Everything about the file is known before the first tensor: so the header is written at once, the whole
 * size is reserved, and each tensor's bytes go straight to their place. */
#include "io/safetensors.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct slot {                /* one tensor */
    struct tensor_info info; /* name: the caller's, not used after create but in messages */
    char *name;
    uint64_t begin; /* in the file */
};
struct safetensors_writer {
    struct atomic_file *file;
    char *path;
    struct slot *slots;
    size_t n;
    uint64_t total;
    _Atomic uint64_t written;
};

/* Wide types first, then names: every tensor is then aligned to its own element. */
static int official_order(const void *a, const void *b, void *user)
{
    const struct slot *slots = user, *x = &slots[*(const uint32_t *)a], *y = &slots[*(const uint32_t *)b];
    if (x->info.storage != y->info.storage)
        return x->info.storage > y->info.storage ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int take_description(struct safetensors_writer *w, const struct tensor_info *tensors, struct error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct slot *s = &w->slots[i];
        s->info = tensors[i];
        s->name = mem_strdup(tensors[i].name);
        if (!s->name)
            return error_set_nomem(err, strlen(tensors[i].name) + 1, w->path);
        s->info.name = s->name;
        if (s->info.storage >= STORAGE_Q4_0 || s->info.n_dim > TENSOR_MAX_DIM || tensor_info_complete(&s->info) ||
            !strcmp(s->name, "__metadata__"))
            return error_set(err, ERROR_INTERNAL, "%s: tensor %s cannot be described in safetensors", w->path, s->name);
    }
    return 0;
}

static void append_string(struct buf *out, const char *text)
{
    json_t *s = json_string(text);
    if (!s || jsontext_dump(out, s, 0, NULL))
        out->failed = 1;
    json_decref(s);
}

static void append_metadata(struct buf *out, const json_t *metadata)
{
    const char *key, *comma = "";
    json_t *v;
    buf_puts(out, "\"__metadata__\":{");
    json_object_foreach((json_t *)metadata, key, v)
    {
        buf_puts(out, comma);
        append_string(out, key);
        buf_putc(out, ':');
        append_string(out, json_string_value(v));
        comma = ",";
    }
    buf_putc(out, '}');
}

static void append_header(struct safetensors_writer *w, const uint32_t *order, const json_t *metadata, struct buf *out)
{
    uint64_t at = 0;
    buf_putc(out, '{');
    if (metadata)
        append_metadata(out, metadata);
    for (size_t k = 0; k < w->n; k++) {
        struct slot *s = &w->slots[order[k]];
        if (out->len > 1)
            buf_putc(out, ',');
        append_string(out, s->name);
        buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", storage_name(s->info.storage));
        for (int d = 0; d < s->info.n_dim; d++)
            buf_printf(out, "%s%" PRId64, d ? "," : "", s->info.shape[d]);
        buf_printf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + s->info.n_byte);
        s->begin = at;
        at += s->info.n_byte;
    }
    buf_putc(out, '}');
    while (out->len % 8 && !out->failed)
        buf_putc(out, ' ');
    w->total = at;
}

static int lay_out(struct safetensors_writer *w, const json_t *metadata, struct error *err)
{
    struct buf header = BUF_INIT;
    uint32_t *order = mem_alloc(w->n * sizeof *order);
    if (!order)
        return error_set_nomem(err, w->n * sizeof *order, w->path);
    for (size_t i = 0; i < w->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, w->n, sizeof *order, official_order, w->slots);
    int rc = 0;
    for (size_t k = 1; !rc && k < w->n; k++)
        if (!strcmp(w->slots[order[k - 1]].name, w->slots[order[k]].name))
            rc = error_set(err, ERROR_INTERNAL, "%s: tensor %s is described twice", w->path, w->slots[order[k]].name);
    append_header(w, order, metadata, &header);
    uint64_t length = header.len;
    if (!rc && header.failed)
        rc = error_set_nomem(err, header.len, w->path);
    if (!rc)
        rc = atomic_file_reserve(w->file, 8 + length + w->total, err);
    if (!rc)
        rc = atomic_file_write_at(w->file, 0, &length, 8, err);
    if (!rc)
        rc = atomic_file_write_at(w->file, 8, header.data, header.len, err);
    for (size_t i = 0; i < w->n; i++)
        w->slots[i].begin += 8 + length;
    mem_free(order);
    buf_free(&header);
    return rc;
}

int safetensors_create(struct safetensors_writer **out, const char *path, const struct tensor_info *tensors, size_t n,
                       const json_t *metadata, struct error *err)
{
    *out = NULL;
    struct safetensors_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, path);
    w->n = n;
    w->path = mem_strdup(path);
    w->slots = mem_calloc(n, sizeof *w->slots);
    int rc = w->path && w->slots ? take_description(w, tensors, err) : error_set_nomem(err, n * sizeof *w->slots, path);
    if (!rc)
        rc = atomic_file_open(&w->file, path, err);
    if (!rc)
        rc = lay_out(w, metadata, err);
    *out = rc ? NULL : w;
    return rc ? safetensors_end(w, rc, err) : 0;
}

int safetensors_write_bytes(struct safetensors_writer *w, size_t i, uint64_t offset, const void *bytes, size_t n,
                            struct error *err)
{
    const struct slot *s = &w->slots[i];
    if (i >= w->n || offset > s->info.n_byte || n > s->info.n_byte - offset)
        return error_set(err, ERROR_INTERNAL, "%s: bytes written outside of tensor %s", w->path,
                         i < w->n ? s->name : "?");
    int rc = atomic_file_write_at(w->file, s->begin + offset, bytes, n, err);
    if (!rc)
        atomic_fetch_add(&w->written, n);
    return rc;
}

union piece {
    uint16_t half[4096];
    int32_t whole[4096];
};

static int32_t whole_of(float value)
{
    if (value >= 2147483648.0f)
        return INT32_MAX;
    return value >= -2147483648.0f ? (int32_t)value : INT32_MIN;
}

static size_t convert(enum storage t, const float *values, size_t n, union piece *out)
{
    uint16_t *half = out->half;
    int32_t *whole = out->whole;
    switch (t) {
    case STORAGE_BF16:
        for (size_t k = 0; k < n; k++)
            half[k] = f32_to_bf16(values[k]);
        return n * 2;
    case STORAGE_F16:
        for (size_t k = 0; k < n; k++)
            half[k] = f32_to_f16(values[k]);
        return n * 2;
    default: /* I32 */
        for (size_t k = 0; k < n; k++)
            whole[k] = whole_of(values[k]);
        return n * 4;
    }
}

/* The first infinity among float16s, or n: float16 ends at 65504, and a weight beyond it would come back as one. */
static size_t first_infinite(const uint16_t *half, size_t n)
{
    size_t k = 0;
    while (k < n && (half[k] & 0x7fff) != 0x7c00)
        k++;
    return k;
}

static int refuse_half(const struct safetensors_writer *w, size_t i, uint64_t element, float value, struct error *err)
{
    return error_set(err, ERROR_DATA,
                     "%s: tensor %s: element %" PRIu64
                     " is %g, which float16 does not hold (65504 at most); save it as bf16 or f32 (convert --dtype)",
                     w->path, w->slots[i].name, element, (double)value);
}

int safetensors_write_f32(struct safetensors_writer *w, size_t i, uint64_t first, const float *values, uint64_t n,
                          struct error *err)
{
    union piece piece;
    enum storage t = i < w->n ? w->slots[i].info.storage : STORAGE_BOOL;
    if (t == STORAGE_F32)
        return safetensors_write_bytes(w, i, first * 4, values, n * 4, err);
    if (t != STORAGE_BF16 && t != STORAGE_F16 && t != STORAGE_I32)
        return error_set(err, ERROR_INTERNAL, "%s: floats cannot be written as %s", w->path, storage_name(t));
    while (n) {
        size_t k = n < 4096 ? n : 4096, bytes = convert(t, values, k, &piece);
        size_t beyond = t == STORAGE_F16 ? first_infinite(piece.half, k) : k;
        if (beyond < k)
            return refuse_half(w, i, first + beyond, values[beyond], err);
        int rc = safetensors_write_bytes(w, i, first * (bytes / k), &piece, bytes, err);
        if (rc)
            return rc;
        first += k;
        values += k;
        n -= k;
    }
    return 0;
}

static void writer_free(struct safetensors_writer *w)
{
    atomic_file_abort(w->file);
    for (size_t i = 0; w->slots && i < w->n; i++)
        mem_free(w->slots[i].name);
    mem_free(w->slots);
    mem_free(w->path);
    mem_free(w);
}

int safetensors_end(struct safetensors_writer *w, int rc, struct error *err)
{
    if (!w)
        return rc;
    uint64_t written = atomic_load(&w->written);
    if (!rc && written != w->total) {
        rc = error_set(err, ERROR_INTERNAL, "%s: %" PRIu64 " of %" PRIu64 " bytes were written", w->path, written,
                       w->total);
    } else if (!rc) {
        rc = atomic_file_commit(w->file, err);
        w->file = NULL;
    }
    writer_free(w);
    return rc;
}
