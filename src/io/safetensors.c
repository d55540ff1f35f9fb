/* SPDX-License-Identifier: Apache-2.0 */
/* The reader. Every number of the header is checked in 64 bits before it is used; after sorting by offset each tensor
 * must begin where the one before ended and the last must end with the file, so tensors can neither overlap nor leave
 * room for anything unseen. */
#include "io/safetensors.h"

#include "base/arena.h"
#include "base/mem.h"
#include "io/jsontext.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100000000, MAX_TENSOR = 1 << 20, MAX_NAME = 4096 };

struct entry { /* of the header: a tensor */
    struct tensor_info info;
    uint64_t begin, end;
};
struct safetensors {
    struct arena arena;
    struct entry *entries; /* by begin */
    size_t n_tensor;
    uint32_t *by_name;
    const unsigned char *data;
    json_t *header;
};

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) /* empty tensors first */
        return x->end < y->end ? -1 : 1;
    return strcmp(x->info.name, y->info.name);
}

static int name_order(const void *a, const void *b, void *user)
{
    const struct entry *r = user;
    return strcmp(r[*(const uint32_t *)a].info.name, r[*(const uint32_t *)b].info.name);
}

static int read_shape(struct tensor_info *t, const json_t *shape, const char *name, struct error *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_MAX_DIM)
        return error_set(err, ERROR_DATA, "%s: tensor %s: wanted \"shape\" to be an array of at most %d numbers", name,
                         t->name, TENSOR_MAX_DIM);
    t->n_dim = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return error_set(err, ERROR_DATA, "%s: tensor %s: dimension %d of \"shape\" is no non-negative integer",
                             name, t->name, i);
        t->shape[i] = json_integer_value(d);
    }
    if (tensor_info_complete(t))
        return error_set(err, ERROR_DATA,
                         "%s: tensor %s: its shape does not fit %s (too many elements, or no whole number of bytes)",
                         name, t->name, storage_name(t->storage));
    return 0;
}

static int read_offsets(struct entry *r, const json_t *offsets, uint64_t data_size, const char *name, struct error *err)
{
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e) || json_integer_value(b) < 0 ||
        json_integer_value(e) < 0)
        return error_set(err, ERROR_DATA, "%s: tensor %s: wanted \"data_offsets\" to be two non-negative integers",
                         name, r->info.name);
    r->begin = (uint64_t)json_integer_value(b);
    r->end = (uint64_t)json_integer_value(e);
    if (r->end < r->begin || r->end > data_size)
        return error_set(err, ERROR_DATA,
                         "%s: tensor %s: bytes %" PRIu64 "..%" PRIu64 " are not inside the %" PRIu64 " bytes of data%s",
                         name, r->info.name, r->begin, r->end, data_size,
                         r->end > data_size ? "; the file is cut off or damaged, get it again" : "");
    if (r->end - r->begin != r->info.n_byte)
        return error_set(err, ERROR_DATA, "%s: tensor %s: its shape wants %" PRIu64 " bytes, its offsets give %" PRIu64,
                         name, r->info.name, r->info.n_byte, r->end - r->begin);
    return 0;
}

static int check_name(const char *tensor, size_t n, const char *name, struct error *err)
{
    if (n <= MAX_NAME && n == strlen(tensor))
        return 0;
    return error_set(err, ERROR_DATA, "%s: a tensor's name has %zu bytes or a NUL; at most %d are allowed", name, n,
                     MAX_NAME);
}

static int read_entry(struct entry *r, const char *key, const json_t *v, uint64_t data_size, const char *name,
                      struct error *err)
{
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    r->info.name = key;
    if (!dtype)
        return error_set(err, ERROR_DATA, "%s: tensor %s: wanted an object with dtype, shape and data_offsets", name,
                         key);
    if (storage_from_safetensors(dtype, &r->info.storage))
        return error_set(err, ERROR_DATA, "%s: tensor %s: unknown dtype \"%s\"", name, key, dtype);
    int rc = read_shape(&r->info, json_object_get(v, "shape"), name, err);
    return rc ? rc : read_offsets(r, json_object_get(v, "data_offsets"), data_size, name, err);
}

static int check_metadata(const json_t *metadata, const char *name, struct error *err)
{
    const char *key;
    json_t *v;
    if (!metadata)
        return 0;
    if (!json_is_object(metadata))
        return error_set(err, ERROR_DATA, "%s: wanted \"__metadata__\" to be an object", name);
    json_object_foreach((json_t *)metadata, key, v) if (!json_is_string(v)) return error_set(
        err, ERROR_DATA, "%s: wanted \"__metadata__\" to hold strings only, found \"%s\" of another type", name, key);
    return 0;
}

static int read_entries(struct safetensors *s, uint64_t data_size, const char *name, struct error *err)
{
    size_t n = json_object_size(s->header);
    if (n > MAX_TENSOR)
        return error_set(err, ERROR_DATA, "%s: %zu tensors, more than the %d allowed", name, n, MAX_TENSOR);
    s->entries = arena_alloc(&s->arena, n * sizeof *s->entries);
    s->by_name = arena_alloc(&s->arena, n * sizeof *s->by_name);
    if (!s->entries || !s->by_name)
        return error_set_nomem(err, n * sizeof *s->entries, name);
    const char *key;
    size_t key_len;
    json_t *v;
    int rc = check_metadata(json_object_get(s->header, "__metadata__"), name, err);
    if (rc)
        return rc;
    json_object_keylen_foreach(s->header, key, key_len, v)
    {
        if (!strcmp(key, "__metadata__"))
            continue;
        if ((rc = check_name(key, key_len, name, err)) ||
            (rc = read_entry(&s->entries[s->n_tensor], key, v, data_size, name, err)))
            return rc;
        s->by_name[s->n_tensor] = (uint32_t)s->n_tensor;
        s->n_tensor++;
    }
    return 0;
}

static int check_layout(struct safetensors *s, uint64_t data_size, const char *name, struct error *err)
{
    uint64_t end = 0;
    qsort(s->entries, s->n_tensor, sizeof *s->entries, entry_order);
    for (size_t i = 0; i < s->n_tensor; i++) {
        const struct entry *r = &s->entries[i];
        if (r->begin != end)
            return error_set(err, ERROR_DATA,
                             "%s: tensor %s begins at byte %" PRIu64 " of the data, wanted %" PRIu64 ": tensors %s",
                             name, r->info.name, r->begin, end, r->begin < end ? "overlap" : "leave a hole");
        end = r->end;
    }
    if (end != data_size)
        return error_set(err, ERROR_DATA,
                         "%s: %" PRIu64 " bytes of data, but the tensors fill %" PRIu64
                         "; the file is damaged, get it again",
                         name, data_size, end);
    qsort_r(s->by_name, s->n_tensor, sizeof *s->by_name, name_order, s->entries);
    return 0;
}

static int parse_into(struct safetensors *s, const unsigned char *bytes, size_t size, const char *name,
                      struct error *err)
{
    uint64_t n;
    if (size < 8)
        return error_set(err, ERROR_DATA, "%s: %zu bytes are too few for a safetensors file (8 at least)", name, size);
    memcpy(&n, bytes, 8);
    if (n > MAX_HEADER)
        return error_set(err, ERROR_DATA,
                         "%s: the header claims %" PRIu64 " bytes, at most %d are allowed; this is no safetensors file",
                         name, n, MAX_HEADER);
    if (n > size - 8)
        return error_set(err, ERROR_DATA,
                         "%s: the header claims %" PRIu64 " bytes, the file has %zu; it is cut off, get it again", name,
                         n, size - 8);
    if (!n || bytes[8] != '{')
        return error_set(err, ERROR_DATA, "%s: wanted a JSON object at byte 8; this is no safetensors file", name);
    int rc = jsontext_check_tree((const char *)bytes + 8, n, name, err);
    if (!rc)
        rc = jsontext_parse(&s->header, jsontext_whole((const char *)bytes + 8, n, name), NULL, err);
    if (rc)
        return error_prefix(err, "safetensors header");
    s->data = bytes + 8 + n;
    rc = read_entries(s, size - 8 - n, name, err);
    return rc ? rc : check_layout(s, size - 8 - n, name, err);
}

int safetensors_parse(struct safetensors **out, const void *bytes, size_t size, const char *name, struct error *err)
{
    *out = NULL;
    struct safetensors *s = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set_nomem(err, sizeof *s, name);
    int rc = parse_into(s, bytes, size, name, err);
    if (rc)
        safetensors_free(s);
    else
        *out = s;
    return rc;
}

void safetensors_free(struct safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    arena_free(&s->arena);
    mem_free(s);
}

size_t safetensors_n_tensor(const struct safetensors *s)
{
    return s->n_tensor;
}

const struct tensor_info *safetensors_tensor(const struct safetensors *s, size_t i)
{
    return &s->entries[i].info;
}

const unsigned char *safetensors_data(const struct safetensors *s, size_t i)
{
    return s->data + s->entries[i].begin;
}

long safetensors_find(const struct safetensors *s, const char *name)
{
    size_t low = 0, high = s->n_tensor;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->entries[s->by_name[middle]].info.name, name);
        if (!order)
            return (long)s->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}
