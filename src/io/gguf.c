/* SPDX-License-Identifier: Apache-2.0 */
/* The parser walks the file once with a cursor that cannot pass the end; every string and array is checked on that
 * walk, so the accessors need no checks of their own. Counts are compared with the bytes that are left before anything
 * is allocated for them. */
#include "io/gguf.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/jsontext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEY = 4096, MAX_NESTING = 4 };

struct key_value {
    const char *key;
    enum gguf_type type, element; /* element: of an array */
    uint64_t count;               /* of an array */
    const unsigned char *value;   /* array: its first element; string: its length field */
    const unsigned char *begin, *end;
};
struct gguf {
    struct arena arena;
    const char *name;
    uint32_t version;
    struct key_value *pairs; /* sorted by key */
    size_t n_pair;
    struct gguf_tensor *tensors;
    uint32_t *by_name;
    size_t n_tensor;
};
struct cursor {
    const unsigned char *start, *p, *end;
    const char *name;
    struct error *err;
};

static const int sizes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static int cut_off(const struct cursor *c, const char *what)
{
    return error_set(c->err, ERROR_DATA, "%s: ends at byte %zu inside %s; the file is cut off or damaged, get it again",
                     c->name, (size_t)(c->end - c->start), what);
}

static int take_bytes(struct cursor *c, void *dst, size_t n, const char *what)
{
    if ((size_t)(c->end - c->p) < n)
        return cut_off(c, what);
    memcpy(dst, c->p, n);
    c->p += n;
    return 0;
}

static int take_string(struct cursor *c, struct gguf_string *s, const char *what)
{
    uint64_t n = 0;
    int rc = take_bytes(c, &n, 8, what);
    if (rc)
        return rc;
    if (n > (uint64_t)(c->end - c->p))
        return cut_off(c, what);
    *s = (struct gguf_string){(const char *)c->p, n};
    c->p += n;
    return 0;
}

/* A key or tensor name: short, UTF-8, no NUL; copied with its NUL at the end. */
static int take_name(struct cursor *c, struct arena *arena, const char **out, const char *what)
{
    struct gguf_string s = {NULL, 0};
    size_t at = (size_t)(c->p - c->start);
    int rc = take_string(c, &s, what);
    if (rc)
        return rc;
    if (s.len > MAX_KEY || memchr(s.data, 0, s.len) || utf8_valid(s.data, s.len) < s.len)
        return error_set(c->err, ERROR_DATA, "%s: byte %zu: %s is longer than %d bytes, holds a NUL, or is not UTF-8",
                         c->name, at, what, MAX_KEY);
    *out = arena_strndup(arena, s.data, s.len);
    return *out ? 0 : error_set_nomem(c->err, s.len, what);
}

static int skip_value(struct cursor *c, uint32_t type, const char *key, int depth);

static int skip_array(struct cursor *c, uint32_t element, uint64_t count, const char *key, int depth)
{
    if (element >= GGUF_TYPE_COUNT || depth >= MAX_NESTING)
        return error_set(c->err, ERROR_DATA, "%s: key %s: an array of unknown element type %u, or nested too deep",
                         c->name, key, element);
    if (sizes[element]) {
        if (count > (uint64_t)(c->end - c->p) / (uint64_t)sizes[element])
            return cut_off(c, key);
        c->p += count * (uint64_t)sizes[element];
        return 0;
    }
    if (count > (uint64_t)(c->end - c->p) / 8)
        return cut_off(c, key);
    for (uint64_t i = 0; i < count; i++) {
        int rc = skip_value(c, element, key, depth + 1);
        if (rc)
            return rc;
    }
    return 0;
}

static int skip_value(struct cursor *c, uint32_t type, const char *key, int depth)
{
    struct gguf_string s;
    uint32_t element;
    uint64_t count;
    int rc;
    if (type == GGUF_STRING)
        return take_string(c, &s, key);
    if (type != GGUF_ARRAY)
        return skip_array(c, type, 1, key, depth);
    if ((rc = take_bytes(c, &element, 4, key)) || (rc = take_bytes(c, &count, 8, key)))
        return rc;
    return skip_array(c, element, count, key, depth);
}

static int read_pair(struct cursor *c, struct gguf *g, struct key_value *pair)
{
    uint32_t type;
    int rc = take_name(c, &g->arena, &pair->key, "a metadata key");
    if (rc || (rc = take_bytes(c, &type, 4, pair->key)))
        return rc;
    if (type >= GGUF_TYPE_COUNT)
        return error_set(c->err, ERROR_DATA, "%s: key %s has the unknown type %u", c->name, pair->key, type);
    pair->type = (enum gguf_type)type;
    pair->value = c->p;
    pair->begin = c->p;
    if (type == GGUF_ARRAY && c->end - c->p >= 12) {
        uint32_t element;
        memcpy(&element, c->p, 4);
        memcpy(&pair->count, c->p + 4, 8);
        pair->element = element < GGUF_TYPE_COUNT ? (enum gguf_type)element : GGUF_TYPE_COUNT;
        pair->value = c->p + 12;
    }
    rc = skip_value(c, type, pair->key, 0);
    pair->end = c->p;
    return rc;
}

static int pair_order(const void *a, const void *b)
{
    return strcmp(((const struct key_value *)a)->key, ((const struct key_value *)b)->key);
}

static int read_pairs(struct cursor *c, struct gguf *g, uint64_t n)
{
    if (n > (uint64_t)(c->end - c->p) / 13)
        return error_set(c->err, ERROR_DATA, "%s: claims %" PRIu64 " metadata entries, more than the file has room for",
                         c->name, n);
    g->pairs = arena_alloc(&g->arena, (n + 1) * sizeof *g->pairs);
    if (!g->pairs)
        return error_set_nomem(c->err, n * sizeof *g->pairs, c->name);
    for (; g->n_pair < n; g->n_pair++) {
        int rc = read_pair(c, g, &g->pairs[g->n_pair]);
        if (rc)
            return rc;
    }
    qsort(g->pairs, g->n_pair, sizeof *g->pairs, pair_order);
    for (size_t i = 1; i < g->n_pair; i++)
        if (!strcmp(g->pairs[i - 1].key, g->pairs[i].key))
            return error_set(c->err, ERROR_DATA, "%s: key %s is given twice", c->name, g->pairs[i].key);
    return 0;
}

static int refuse_type(const struct cursor *c, const struct gguf_tensor *t, uint32_t type)
{
    const char *known = storage_gguf_unread(type);
    char number[24];
    snprintf(number, sizeof number, "number %u", type);
    return error_set(
        c->err, ERROR_DATA,
        "%s: tensor %s has type %s, which isara does not read; wanted F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, "
        "Q8_0, Q2_K, Q3_K, Q4_K, "
        "Q5_K, Q6_K, TQ1_0, TQ2_0, MXFP4 or NVFP4: get the model in one of these, or requantise it with llama-quantize",
        c->name, t->name, known ? known : number);
}

/* offset: where the data will be, relative to the data section; kept in ->data until the section's start is known. */
static int read_tensor(struct cursor *c, struct gguf *g, struct gguf_tensor *t, uint64_t *offset)
{
    uint32_t n_dim, type;
    int rc = take_name(c, &g->arena, &t->name, "a tensor's name");
    if (rc || (rc = take_bytes(c, &n_dim, 4, t->name)))
        return rc;
    if (n_dim > 4)
        return error_set(c->err, ERROR_DATA, "%s: tensor %s: %u dimensions, at most 4 are allowed", c->name, t->name,
                         n_dim);
    t->n_dim = (int)n_dim;
    t->n_element = 1;
    for (int i = 0; i < 4; i++) {
        t->dim[i] = 1;
        if (i < t->n_dim && (rc = take_bytes(c, &t->dim[i], 8, t->name)))
            return rc;
        if (__builtin_mul_overflow(t->n_element, t->dim[i], &t->n_element) || t->n_element > INT64_MAX ||
            t->dim[i] > INT64_MAX)
            return error_set(c->err, ERROR_DATA, "%s: tensor %s: its dimensions multiply to more than 63 bits", c->name,
                             t->name);
    }
    if ((rc = take_bytes(c, &type, 4, t->name)) || (rc = take_bytes(c, offset, 8, t->name)))
        return rc;
    if (storage_from_gguf(type, &t->storage))
        return refuse_type(c, t, type);
    if (t->dim[0] % (uint64_t)storage_block_elements(t->storage) || storage_bytes(t->storage, t->n_element, &t->n_byte))
        return error_set(c->err, ERROR_DATA,
                         "%s: tensor %s: rows of %" PRIu64 " elements are no whole number of %s blocks", c->name,
                         t->name, t->dim[0], storage_name(t->storage));
    return 0;
}

struct extent {
    uint64_t begin, end;
    const char *name;
};

static int extent_order(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int place_tensors(struct cursor *c, struct gguf *g, struct extent *extents)
{
    int64_t alignment = 32;
    if (gguf_has(g, "general.alignment") &&
        (gguf_get_int(g, "general.alignment", &alignment) || alignment < 8 || alignment > 1 << 20 || alignment % 8))
        return error_set(c->err, ERROR_DATA, "%s: general.alignment is no multiple of 8 up to 1048576", c->name);
    uint64_t at = (uint64_t)(c->p - c->start),
             start = (at + (uint64_t)alignment - 1) / (uint64_t)alignment * (uint64_t)alignment;
    uint64_t size = (uint64_t)(c->end - c->start), room = start < size ? size - start : 0;
    for (size_t i = 0; i < g->n_tensor; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        uint64_t offset = extents[i].begin;
        if (offset % (uint64_t)alignment || offset > room || t->n_byte > room - offset)
            return error_set(c->err, ERROR_DATA,
                             "%s: tensor %s: %" PRIu64 " bytes at offset %" PRIu64 " are not inside the %" PRIu64
                             " bytes of data, or not aligned to %" PRId64
                             "; the file is cut off or damaged, get it again",
                             c->name, t->name, t->n_byte, offset, room, alignment);
        t->data = c->start + start + offset;
        extents[i].end = offset + t->n_byte;
        extents[i].name = t->name;
    }
    qsort(extents, g->n_tensor, sizeof *extents, extent_order);
    for (size_t i = 1; i < g->n_tensor; i++)
        if (extents[i].begin < extents[i - 1].end)
            return error_set(c->err, ERROR_DATA, "%s: tensors %s and %s overlap", c->name, extents[i - 1].name,
                             extents[i].name);
    return 0;
}

static int tensor_order(const void *a, const void *b, void *user)
{
    const struct gguf_tensor *t = user;
    return strcmp(t[*(const uint32_t *)a].name, t[*(const uint32_t *)b].name);
}

static int read_tensors(struct cursor *c, struct gguf *g, uint64_t n)
{
    if (n > (uint64_t)(c->end - c->p) / 24 || n > 1 << 20)
        return error_set(c->err, ERROR_DATA,
                         "%s: claims %" PRIu64 " tensors, more than the file has room for (or than 1048576)", c->name,
                         n);
    g->tensors = arena_alloc(&g->arena, (n + 1) * sizeof *g->tensors);
    g->by_name = arena_alloc(&g->arena, (n + 1) * sizeof *g->by_name);
    struct extent *extents = arena_alloc(&g->arena, (n + 1) * sizeof *extents);
    if (!g->tensors || !g->by_name || !extents)
        return error_set_nomem(c->err, n * sizeof *g->tensors, c->name);
    for (; g->n_tensor < n; g->n_tensor++) {
        int rc = read_tensor(c, g, &g->tensors[g->n_tensor], &extents[g->n_tensor].begin);
        if (rc)
            return rc;
        g->by_name[g->n_tensor] = (uint32_t)g->n_tensor;
    }
    qsort_r(g->by_name, g->n_tensor, sizeof *g->by_name, tensor_order, g->tensors);
    for (size_t i = 1; i < g->n_tensor; i++)
        if (!strcmp(g->tensors[g->by_name[i - 1]].name, g->tensors[g->by_name[i]].name))
            return error_set(c->err, ERROR_DATA, "%s: tensor %s is given twice", c->name,
                             g->tensors[g->by_name[i]].name);
    return place_tensors(c, g, extents);
}

static int parse_into(struct gguf *g, struct cursor *c)
{
    char magic[4];
    uint64_t n_tensor, n_pair;
    int rc = take_bytes(c, magic, 4, "the magic number");
    if (rc)
        return rc;
    if (memcmp(magic, "GGUF", 4))
        return error_set(c->err, ERROR_DATA, "%s: wanted \"GGUF\" at byte 0; this is no GGUF file", c->name);
    if ((rc = take_bytes(c, &g->version, 4, "the header")))
        return rc;
    if (g->version != 2 && g->version != 3)
        return error_set(c->err, ERROR_DATA, "%s: GGUF version %u%s; wanted 2 or 3 (little-endian)", c->name,
                         g->version, g->version && !(g->version & 0xffff) ? ", a big-endian file" : "");
    if ((rc = take_bytes(c, &n_tensor, 8, "the header")) || (rc = take_bytes(c, &n_pair, 8, "the header")) ||
        (rc = read_pairs(c, g, n_pair)))
        return rc;
    return read_tensors(c, g, n_tensor);
}

int gguf_parse(struct gguf **out, const void *bytes, size_t size, const char *name, struct error *err)
{
    *out = NULL;
    struct gguf *g = mem_calloc(1, sizeof *g);
    if (!g)
        return error_set_nomem(err, sizeof *g, name);
    struct cursor c = {bytes, bytes, (const unsigned char *)bytes + size, name, err};
    int rc = parse_into(g, &c);
    if (rc)
        gguf_free(g);
    else
        *out = g;
    return rc;
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    arena_free(&g->arena);
    mem_free(g);
}

size_t gguf_n_key(const struct gguf *g)
{
    return g->n_pair;
}

const char *gguf_key_at(const struct gguf *g, size_t i)
{
    return g->pairs[i].key;
}

size_t gguf_n_tensor(const struct gguf *g)
{
    return g->n_tensor;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name)
{
    size_t low = 0, high = g->n_tensor;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct gguf_tensor *t = &g->tensors[g->by_name[middle]];
        int order = strcmp(t->name, name);
        if (!order)
            return t;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct key_value *find_pair(const struct gguf *g, const char *key)
{
    struct key_value wanted = {.key = key};
    return g->n_pair ? bsearch(&wanted, g->pairs, g->n_pair, sizeof *g->pairs, pair_order) : NULL;
}

/* One number of any integer type; -1 for other types and what int64 cannot hold. */
static int int_at(enum gguf_type type, const unsigned char *p, int64_t *out)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    if (type >= GGUF_TYPE_COUNT || !sizes[type])
        return -1;
    memcpy(&v, p, (size_t)sizes[type]);
    switch (type) {
    case GGUF_U8: *out = v.u8; return 0;
    case GGUF_I8: *out = v.i8; return 0;
    case GGUF_U16: *out = v.u16; return 0;
    case GGUF_I16: *out = v.i16; return 0;
    case GGUF_U32: *out = v.u32; return 0;
    case GGUF_I32: *out = v.i32; return 0;
    case GGUF_I64: *out = v.i64; return 0;
    case GGUF_U64: *out = v.i64; return v.u64 > INT64_MAX ? -1 : 0;
    default: return -1;
    }
}

static int float_at(enum gguf_type type, const unsigned char *p, double *out)
{
    int64_t i;
    float f;
    if (type == GGUF_F32) {
        memcpy(&f, p, 4);
        *out = (double)f;
        return 0;
    }
    if (type == GGUF_F64) {
        memcpy(out, p, 8);
        return 0;
    }
    if (int_at(type, p, &i))
        return -1;
    *out = (double)i;
    return 0;
}

static void string_at(const unsigned char *p, struct gguf_string *out)
{
    uint64_t n;
    memcpy(&n, p, 8);
    *out = (struct gguf_string){(const char *)p + 8, n};
}

const void *gguf_value_bytes(const struct gguf *g, const char *key, enum gguf_type *type, size_t *n)
{
    const struct key_value *p = find_pair(g, key);
    if (!p)
        return NULL;
    *type = p->type;
    *n = (size_t)(p->end - p->begin);
    return p->begin;
}

int gguf_has(const struct gguf *g, const char *key)
{
    return find_pair(g, key) != NULL;
}

int gguf_get_int(const struct gguf *g, const char *key, int64_t *out)
{
    const struct key_value *p = find_pair(g, key);
    return p ? int_at(p->type, p->value, out) : -1;
}

int gguf_get_float(const struct gguf *g, const char *key, double *out)
{
    const struct key_value *p = find_pair(g, key);
    return p ? float_at(p->type, p->value, out) : -1;
}

int gguf_get_bool(const struct gguf *g, const char *key, int *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_BOOL)
        return -1;
    *out = *p->value != 0;
    return 0;
}

int gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_STRING)
        return -1;
    string_at(p->value, out);
    return 0;
}

int64_t gguf_array_length(const struct gguf *g, const char *key, enum gguf_type *element)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_ARRAY)
        return -1;
    if (element)
        *element = p->element;
    return (int64_t)p->count;
}

int gguf_array_strings(const struct gguf *g, const char *key, struct gguf_string *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_ARRAY || p->element != GGUF_STRING)
        return -1;
    const unsigned char *at = p->value;
    for (uint64_t i = 0; i < p->count; i++) {
        string_at(at, &out[i]);
        at += 8 + out[i].len;
    }
    return 0;
}

int gguf_array_ints(const struct gguf *g, const char *key, int64_t *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_ARRAY)
        return -1;
    for (uint64_t i = 0; i < p->count; i++)
        if (int_at(p->element, p->value + i * (uint64_t)sizes[p->element], &out[i]))
            return -1;
    return 0;
}

int gguf_array_bools(const struct gguf *g, const char *key, unsigned char *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_ARRAY || p->element != GGUF_BOOL)
        return -1;
    for (uint64_t i = 0; i < p->count; i++)
        out[i] = p->value[i] != 0;
    return 0;
}

int gguf_array_floats(const struct gguf *g, const char *key, double *out)
{
    const struct key_value *p = find_pair(g, key);
    if (!p || p->type != GGUF_ARRAY)
        return -1;
    for (uint64_t i = 0; i < p->count; i++)
        if (float_at(p->element, p->value + i * (uint64_t)sizes[p->element], &out[i]))
            return -1;
    return 0;
}
