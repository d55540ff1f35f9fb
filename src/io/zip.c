/* SPDX-License-Identifier: Apache-2.0 */
/* From the end: the end record says where the central directory lies, which lists the entries; each one's local header,
 * right before its data, is asked only for its own length. Every number is checked in 64 bits against the file before
 * it is used. */
#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { END_SIZE = 22, END64_SIZE = 56, LOCATOR_SIZE = 20, CENTRAL_SIZE = 46, LOCAL_SIZE = 30, MAX_COMMENT = 65535 };
/* bits of an entry's flags */
enum { ENCRYPTED = 1, DESCRIPTOR = 8 };
static const uint64_t MAX_ENTRY = 1 << 20;

struct zip_reader {
    struct zip *z;
    const unsigned char *bytes;
    uint64_t size;
    const char *name;
    struct error *err;
    uint64_t n_entry, directory, directory_size;
};

/* What one record of the central directory says. */
struct central {
    const unsigned char *at;
    uint64_t name_len, extra_len, comment_len;
    uint64_t packed, size, local;
};

static uint64_t little_endian(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static int is_signature(const unsigned char *p, int a, int b)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

int zip_is_one(const void *bytes, size_t size)
{
    return size >= 4 && (is_signature(bytes, 3, 4) || is_signature(bytes, 5, 6));
}

static int damaged(const struct zip_reader *r, const char *what)
{
    return error_set(r->err, ERROR_DATA, "%s: zip: %s; the file is cut off or damaged, get it again", r->name, what);
}

/* Zip64: the locator before the end record says where the end record with wide numbers is. */
static int read_end64(struct zip_reader *r, uint64_t end)
{
    if (end < LOCATOR_SIZE || !is_signature(r->bytes + end - LOCATOR_SIZE, 6, 7))
        return damaged(r, "its end record says zip64, but there is no zip64 locator before it");
    uint64_t at = little_endian(r->bytes + end - LOCATOR_SIZE + 8, 8);
    if (end < LOCATOR_SIZE + END64_SIZE || at > end - LOCATOR_SIZE - END64_SIZE || !is_signature(r->bytes + at, 6, 6))
        return damaged(r, "its zip64 locator points at no end record");
    if (little_endian(r->bytes + at + 16, 4) || little_endian(r->bytes + at + 20, 4))
        return error_set(r->err, ERROR_DATA, "%s: zip: is one part of an archive in several files; wanted one file",
                         r->name);
    r->n_entry = little_endian(r->bytes + at + 32, 8);
    r->directory_size = little_endian(r->bytes + at + 40, 8);
    r->directory = little_endian(r->bytes + at + 48, 8);
    return 0;
}

static int read_end(struct zip_reader *r)
{
    uint64_t furthest = r->size > END_SIZE + MAX_COMMENT ? r->size - END_SIZE - MAX_COMMENT : 0;
    if (r->size < END_SIZE)
        return damaged(r, "has no end record");
    uint64_t at = r->size - END_SIZE;
    while (!is_signature(r->bytes + at, 5, 6) || little_endian(r->bytes + at + 20, 2) != r->size - END_SIZE - at) {
        if (at == furthest)
            return damaged(r, "has no end record");
        at--;
    }
    const unsigned char *p = r->bytes + at;
    r->n_entry = little_endian(p + 10, 2);
    r->directory_size = little_endian(p + 12, 4);
    r->directory = little_endian(p + 16, 4);
    int wide = r->n_entry == 0xffff || r->directory_size == 0xffffffff || r->directory == 0xffffffff;
    if (!wide && (little_endian(p + 4, 2) || little_endian(p + 6, 2)))
        return error_set(r->err, ERROR_DATA, "%s: zip: is one part of an archive in several files; wanted one file",
                         r->name);
    int rc = wide ? read_end64(r, at) : 0;
    if (rc)
        return rc;
    if (r->directory > at || r->directory_size > at - r->directory || r->n_entry > r->directory_size / CENTRAL_SIZE)
        return damaged(r, "its central directory is not inside the file");
    return r->n_entry <= MAX_ENTRY
               ? 0
               : error_set(r->err, ERROR_DATA, "%s: zip: %" PRIu64 " entries, more than the %" PRIu64 " allowed",
                           r->name, r->n_entry, MAX_ENTRY);
}

/* The zip64 field of a record's extra part holds, in this order, those of the three numbers that are all ones in the
 * record itself. */
static int read_extra64(const struct zip_reader *r, struct central *c)
{
    const unsigned char *p = c->at + CENTRAL_SIZE + c->name_len;
    uint64_t *wanted[] = {&c->size, &c->packed, &c->local};
    uint64_t left = c->extra_len;
    while (left >= 4 && little_endian(p, 2) != 1) {
        uint64_t length = 4 + little_endian(p + 2, 2);
        if (length > left)
            return damaged(r, "an entry's extra field is longer than it may be");
        p += length;
        left -= length;
    }
    uint64_t field = left >= 4 ? little_endian(p + 2, 2) : 0, used = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (*wanted[i] != 0xffffffff)
            continue;
        if (field + 4 > left || used + 8 > field)
            return damaged(r, "an entry's zip64 field is missing or too short");
        *wanted[i] = little_endian(p + 4 + used, 8);
        used += 8;
    }
    return 0;
}

static int refuse_entry(const struct zip_reader *r, const char *entry, const char *why)
{
    return error_set(r->err, ERROR_DATA, "%s: zip entry \"%.200s\": %s", r->name, entry, why);
}

/* Where the data begins and that it ends before the directory. */
static int place_entry(const struct zip_reader *r, const struct central *c, struct zip_entry *e)
{
    if (c->local > r->directory || r->directory - c->local < LOCAL_SIZE || !is_signature(r->bytes + c->local, 3, 4))
        return refuse_entry(
            r, e->name,
            "its local header is not where the directory says; the file is cut off or damaged, get it again");
    const unsigned char *p = r->bytes + c->local;
    uint64_t name_len = little_endian(p + 26, 2), head = LOCAL_SIZE + name_len + little_endian(p + 28, 2);
    if (head > r->directory - c->local || c->size > r->directory - c->local - head)
        return error_set(r->err, ERROR_DATA,
                         "%s: zip entry \"%.200s\": %" PRIu64 " bytes from byte %" PRIu64
                         " on do not fit before byte %" PRIu64 "; the file is cut off or damaged, get it again",
                         r->name, e->name, c->size, c->local + head, r->directory);
    if (name_len != c->name_len || memcmp(p + LOCAL_SIZE, e->name, name_len))
        return refuse_entry(r, e->name, "has another name in its local header");
    uint64_t packed = little_endian(p + 18, 4), size = little_endian(p + 22, 4);
    int later = (little_endian(p + 6, 2) & DESCRIPTOR) && !packed && !size;
    if (!later && ((packed != 0xffffffff && packed != c->size) || (size != 0xffffffff && size != c->size)))
        return refuse_entry(r, e->name, "has another size in its local header");
    e->offset = c->local + head;
    e->size = c->size;
    return 0;
}

static int read_entry(struct zip_reader *r, const unsigned char *at, uint64_t left, struct zip_entry *e,
                      uint64_t *length)
{
    if (left < CENTRAL_SIZE || !is_signature(at, 1, 2))
        return damaged(r, "its central directory holds fewer entries than it says");
    struct central c = {at,
                        little_endian(at + 28, 2),
                        little_endian(at + 30, 2),
                        little_endian(at + 32, 2),
                        little_endian(at + 20, 4),
                        little_endian(at + 24, 4),
                        little_endian(at + 42, 4)};
    *length = CENTRAL_SIZE + c.name_len + c.extra_len + c.comment_len;
    if (*length > left)
        return damaged(r, "an entry of its central directory is cut off");
    e->name = arena_strndup(&r->z->arena, (const char *)at + CENTRAL_SIZE, c.name_len);
    if (!e->name)
        return error_set_nomem(r->err, c.name_len, r->name);
    if (!c.name_len || strlen(e->name) != c.name_len)
        return refuse_entry(r, e->name, "its name is empty or has a NUL");
    int rc = read_extra64(r, &c);
    if (rc)
        return rc;
    if (little_endian(at + 8, 2) & ENCRYPTED)
        return refuse_entry(r, e->name, "is encrypted");
    if (little_endian(at + 10, 2) || c.packed != c.size)
        return refuse_entry(r, e->name,
                            "is compressed, wanted it stored, as torch.save does: this is a TorchScript program, or "
                            "was packed by something else (zip -0 -r stores)");
    return place_entry(r, &c, e);
}

static int offset_order(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

static int check_entries(const struct zip_reader *r)
{
    struct zip_entry *e = r->z->entries;
    size_t n = r->z->n_entry;
    qsort(e, n, sizeof *e, offset_order);
    for (size_t i = 1; i < n; i++)
        if (e[i].offset - e[i - 1].offset < e[i - 1].size)
            return refuse_entry(r, e[i].name, "its data overlaps another entry's");
    qsort(e, n, sizeof *e, name_order);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(e[i - 1].name, e[i].name))
            return refuse_entry(r, e[i].name, "is there twice");
    return 0;
}

int zip_open(struct zip *z, const void *bytes, size_t size, const char *name, struct error *err)
{
    struct zip_reader r = {.z = z, .bytes = bytes, .size = size, .name = name, .err = err};
    *z = (struct zip){.arena = ARENA_INIT};
    int rc = read_end(&r);
    if (rc)
        return rc;
    z->entries = arena_alloc(&z->arena, ((size_t)r.n_entry + 1) * sizeof *z->entries);
    if (!z->entries)
        return error_set_nomem(err, (size_t)r.n_entry * sizeof *z->entries, name);
    uint64_t at = 0, length = 0;
    for (; z->n_entry < r.n_entry; at += length) {
        rc = read_entry(&r, r.bytes + r.directory + at, r.directory_size - at, &z->entries[z->n_entry], &length);
        if (rc)
            return rc;
        z->n_entry++;
    }
    z->first = z->n_entry ? z->entries[0].name : NULL;
    return check_entries(&r);
}

void zip_close(struct zip *z)
{
    arena_free(&z->arena);
    *z = (struct zip){.arena = ARENA_INIT};
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    struct zip_entry wanted = {.name = name};
    return z->n_entry ? bsearch(&wanted, z->entries, z->n_entry, sizeof *z->entries, name_order) : NULL;
}
