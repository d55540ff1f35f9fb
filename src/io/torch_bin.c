/* SPDX-License-Identifier: Apache-2.0 */
/* NAME/data.pkl is the pickle, NAME/data/KEY a storage's bytes, NAME/byteorder the machine's (torch 2.1 and later write
 * it). */
#include "io/torch_bin.h"

#include "base/arena.h"
#include "base/mem.h"
#include "io/pickle.h"
#include "io/zip.h"

#include <stdio.h>
#include <string.h>

struct torch_bin {
    struct arena arena;
    struct pickle *pickle;
    const unsigned char **data; /* of each tensor */
};
struct torch_reader {
    struct torch_bin *t;
    const unsigned char *bytes;
    size_t size;
    const char *name;
    struct error *err;
    struct zip zip;
    char *folder;    /* in the archive, with "/" */
    uint64_t copied; /* bytes */
};

static int refuse_old(const struct torch_reader *r, const char *what)
{
    return error_set(r->err, ERROR_DATA,
                     "%s: %s, which isara does not read; convert it (torch 1.6 or later): python3 -c 'import sys, "
                     "torch; f = sys.argv[1]; "
                     "torch.save(torch.load(f, map_location=\"cpu\", weights_only=True), f)' '%s'",
                     r->name, what, r->name);
}

/* What does not begin as a zip. */
static int refuse_format(const struct torch_reader *r)
{
    static const unsigned char magic[] = {0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    static const char pointer[] = "version https://git-lfs";
    if (r->size > 262 && !memcmp(r->bytes + 257, "ustar", 5))
        return refuse_old(r, "is the tar format of torch before 0.1.10");
    if (r->size > 2 + sizeof magic && r->bytes[0] == 0x80 && !memcmp(r->bytes + 2, magic, sizeof magic))
        return refuse_old(r, "is the format of torch before 1.6 (pickles one after another, no zip)");
    if (r->size >= sizeof pointer && !memcmp(r->bytes, pointer, sizeof pointer - 1))
        return error_set(r->err, ERROR_DATA, "%s: is a pointer of Git LFS, not the file; get it with: git lfs pull",
                         r->name);
    return error_set(r->err, ERROR_DATA, "%s: is no file of torch.save (no zip); it is damaged or something else",
                     r->name);
}

static const struct zip_entry *entry_of(const struct torch_reader *r, const char *folder, const char *name)
{
    char path[4400];
    int n = snprintf(path, sizeof path, "%s%s%s", r->folder, folder, name);
    return n < (int)sizeof path ? zip_find(&r->zip, path) : NULL;
}

/* All entries are in one folder, which has the name that the file was saved under. */
static int find_folder(struct torch_reader *r)
{
    const char *slash = r->zip.first ? strchr(r->zip.first, '/') : NULL;
    r->folder =
        arena_strndup(&r->t->arena, r->zip.first ? r->zip.first : "", slash ? (size_t)(slash - r->zip.first) + 1 : 0);
    if (!r->folder)
        return error_set_nomem(r->err, 256, r->name);
    if (entry_of(r, "", "constants.pkl"))
        return error_set(r->err, ERROR_DATA,
                         "%s: is a TorchScript program (torch.jit.save), wanted a state dict saved by torch.save",
                         r->name);
    const struct zip_entry *order = entry_of(r, "", "byteorder");
    if (order && (order->size != 6 || memcmp(r->bytes + order->offset, "little", 6)))
        return error_set(
            r->err, ERROR_DATA,
            "%s: zip entry \"%sbyteorder\": wanted \"little\"; load and save it on a little-endian machine", r->name,
            r->folder);
    return 0;
}

static int read_pickle(struct torch_reader *r)
{
    char name[1200];
    const struct zip_entry *e = entry_of(r, "", "data.pkl");
    if (!e)
        return error_set(r->err, ERROR_DATA, "%s: is a zip without \"%sdata.pkl\", wanted a file of torch.save",
                         r->name, r->folder);
    snprintf(name, sizeof name, "%.900s: %.200sdata.pkl", r->name, r->folder);
    return pickle_parse(&r->t->pickle, r->bytes + e->offset, (size_t)e->size, name, r->err);
}

static int wrong_view(const struct torch_reader *r, const struct pickle_tensor *p, const char *why)
{
    return error_set(r->err, ERROR_DATA, "%s: tensor %s: %s", r->name, p->info.name, why);
}

/* Elements of the storage up to the last one that the tensor has; -1 on overflow. */
static int extent(const struct pickle_tensor *p, uint64_t *out)
{
    uint64_t sum = p->offset, step;
    for (int i = 0; p->info.n_element && i < p->info.n_dim; i++)
        if (__builtin_mul_overflow((uint64_t)p->info.shape[i] - 1, p->stride[i], &step) ||
            __builtin_add_overflow(sum, step, &sum))
            return -1;
    return __builtin_add_overflow(sum, p->info.n_element ? 1 : 0, out) ? -1 : 0;
}

static int is_contiguous(const struct pickle_tensor *p)
{
    uint64_t wanted = 1;
    for (int i = p->info.n_dim; i-- > 0 && p->info.n_element;) {
        if (p->info.shape[i] != 1 && p->stride[i] != wanted)
            return 0;
        wanted *= (uint64_t)p->info.shape[i];
    }
    return 1;
}

static void gather_elements(const struct pickle_tensor *p, const unsigned char *from, size_t width, unsigned char *to)
{
    int64_t at[TENSOR_MAX_DIM] = {0};
    uint64_t offset = 0;
    for (uint64_t i = 0; i < p->info.n_element; i++) {
        memcpy(to + i * width, from + offset * width, width);
        for (int d = p->info.n_dim; d-- > 0;) {
            offset += p->stride[d];
            if (++at[d] < p->info.shape[d])
                break;
            offset -= p->stride[d] * (uint64_t)p->info.shape[d];
            at[d] = 0;
        }
    }
}

/* A transposed or sliced view in its own order. */
static int copy_view(struct torch_reader *r, const struct pickle_tensor *p, const unsigned char *from,
                     const unsigned char **out)
{
    if (p->info.n_byte > r->size - r->copied)
        return wrong_view(
            r, p, "is an expanded or repeated view, larger than the bytes behind it; save it after .contiguous()");
    unsigned char *to = arena_alloc(&r->t->arena, (size_t)p->info.n_byte);
    if (!to)
        return error_set_nomem(r->err, (size_t)p->info.n_byte, p->info.name);
    gather_elements(p, from, (size_t)storage_block_bytes(p->info.storage), to);
    r->copied += p->info.n_byte;
    *out = to;
    return 0;
}

static int place_tensor(struct torch_reader *r, const struct pickle_tensor *p, const unsigned char **out)
{
    const struct zip_entry *e = entry_of(r, "data/", p->storage->key);
    uint64_t end, width = (uint64_t)storage_block_bytes(p->info.storage);
    if (storage_block_elements(p->info.storage) != 1)
        return wrong_view(r, p, "has elements of less than a byte");
    if (!e)
        return error_set(
            r->err, ERROR_DATA,
            "%s: tensor %s: its storage \"%sdata/%.200s\" is not in the zip; the file is damaged, get it again",
            r->name, p->info.name, r->folder, p->storage->key);
    if (e->size != p->storage->n_byte)
        return error_set(r->err, ERROR_DATA,
                         "%s: tensor %s: its storage \"%sdata/%.200s\" has %llu bytes, the pickle says %llu; the file "
                         "is damaged, get it again",
                         r->name, p->info.name, r->folder, p->storage->key, (unsigned long long)e->size,
                         (unsigned long long)p->storage->n_byte);
    if (extent(p, &end) || end > e->size / width)
        return error_set(
            r->err, ERROR_DATA,
            "%s: tensor %s: offset, size and stride lead beyond the %llu bytes of its storage \"%sdata/%.200s\"",
            r->name, p->info.name, (unsigned long long)e->size, r->folder, p->storage->key);
    const unsigned char *from = r->bytes + e->offset + p->offset * width;
    if (!is_contiguous(p))
        return copy_view(r, p, from, out);
    *out = from;
    return 0;
}

static int parse_into(struct torch_reader *r)
{
    if (!zip_is_one(r->bytes, r->size))
        return refuse_format(r);
    int rc = zip_open(&r->zip, r->bytes, r->size, r->name, r->err);
    if (rc || (rc = find_folder(r)) || (rc = read_pickle(r)))
        return rc;
    size_t n = torch_bin_n_tensor(r->t);
    r->t->data = arena_alloc(&r->t->arena, (n + 1) * sizeof *r->t->data);
    if (!r->t->data)
        return error_set_nomem(r->err, n * sizeof *r->t->data, r->name);
    for (size_t i = 0; !rc && i < n; i++)
        rc = place_tensor(r, pickle_tensor(r->t->pickle, i), &r->t->data[i]);
    return rc;
}

int torch_bin_parse(struct torch_bin **out, const void *bytes, size_t size, const char *name, struct error *err)
{
    *out = NULL;
    struct torch_bin *t = mem_calloc(1, sizeof *t);
    if (!t)
        return error_set_nomem(err, sizeof *t, name);
    struct torch_reader r = {
        .t = t, .bytes = bytes, .size = size, .name = name, .err = err, .zip = {.arena = ARENA_INIT}};
    int rc = parse_into(&r);
    zip_close(&r.zip);
    if (rc)
        torch_bin_free(t);
    else
        *out = t;
    return rc;
}

void torch_bin_free(struct torch_bin *t)
{
    if (!t)
        return;
    pickle_free(t->pickle);
    arena_free(&t->arena);
    mem_free(t);
}

size_t torch_bin_n_tensor(const struct torch_bin *t)
{
    return pickle_n_tensor(t->pickle);
}

const struct tensor_info *torch_bin_tensor(const struct torch_bin *t, size_t i)
{
    return &pickle_tensor(t->pickle, i)->info;
}

const unsigned char *torch_bin_data(const struct torch_bin *t, size_t i)
{
    return t->data[i];
}

long torch_bin_find(const struct torch_bin *t, const char *name)
{
    size_t low = 0, high = torch_bin_n_tensor(t);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(torch_bin_tensor(t, middle)->name, name);
        if (!order)
            return (long)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
