/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a checkpoint that does not care where it came from: look-up, conversion of rows, hash, the search for
 * NaN. */
#include "io/checkpoint_parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/gguf_hf.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int tensor_name_order(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_tensor *)a)->info.name, ((const struct checkpoint_tensor *)b)->info.name);
}

void checkpoint_sort(struct checkpoint *ck)
{
    qsort(ck->tensors, ck->n_tensor, sizeof *ck->tensors, tensor_name_order);
}

void checkpoint_close(struct checkpoint *ck)
{
    if (!ck)
        return;
    for (int i = 0; i < ck->n_file; i++) {
        weights_free(&ck->files[i].parsed);
        file_unmap(&ck->files[i].map);
    }
    gguf_free(ck->gguf);
    json_decref(ck->config);
    json_decref(ck->generation);
    arena_free(&ck->arena);
    mem_free(ck->path);
    mem_free(ck);
}

void checkpoint_release(const struct checkpoint *ck)
{
    for (int i = 0; i < ck->n_file; i++)
        file_map_release(&ck->files[i].map);
}

const char *checkpoint_path(const struct checkpoint *ck)
{
    return ck->path;
}

const char *checkpoint_adapter(const struct checkpoint *ck)
{
    return ck->adapter;
}

const json_t *checkpoint_config(const struct checkpoint *ck)
{
    return ck->config;
}

const json_t *checkpoint_generation_config(const struct checkpoint *ck)
{
    return ck->generation;
}

const char *checkpoint_file(const struct checkpoint *ck, const char *name)
{
    for (int i = 0; i < ck->n_side_file; i++)
        if (!strcmp(ck->side_files[i].name, name))
            return ck->side_files[i].path;
    return NULL;
}

const struct gguf *checkpoint_gguf(const struct checkpoint *ck)
{
    return ck->gguf;
}

size_t checkpoint_n_tensor(const struct checkpoint *ck)
{
    return ck->n_tensor;
}

const struct tensor_info *checkpoint_tensor(const struct checkpoint *ck, size_t i)
{
    return &ck->tensors[i].info;
}

const struct tensor_info *checkpoint_find(const struct checkpoint *ck, const char *name)
{
    struct checkpoint_tensor wanted = {.info = {.name = name}};
    const struct checkpoint_tensor *found =
        ck->n_tensor ? bsearch(&wanted, ck->tensors, ck->n_tensor, sizeof *ck->tensors, tensor_name_order) : NULL;
    if (!found && ck->tied && !strcmp(name, "model.embed_tokens.weight"))
        return checkpoint_find(ck, "lm_head.weight");
    return found ? &found->info : NULL;
}

int checkpoint_need(const struct checkpoint *ck, const char *name, const struct tensor_info **out, struct error *err)
{
    *out = checkpoint_find(ck, name);
    return *out ? 0
                : error_set(err, ERROR_DATA, "%s: wanted tensor %s, found none among its %zu tensors", ck->path, name,
                            ck->n_tensor);
}

static const struct checkpoint_tensor *whole(const struct tensor_info *t)
{
    return (const struct checkpoint_tensor *)t;
}

static int check_rows(const struct checkpoint *ck, const struct tensor_info *t, int64_t first, int64_t n,
                      struct error *err)
{
    const char *path = ck->files[whole(t)->file].path;
    if (first < 0 || n < 0 || first > t->n_row || n > t->n_row - first)
        return error_set(err, ERROR_INTERNAL, "%s: tensor %s: rows %" PRId64 "..%" PRId64 " of %" PRId64, path, t->name,
                         first, first + n, t->n_row);
    if (!storage_converts(t->storage))
        return error_set(err, ERROR_DATA,
                         "%s: tensor %s is stored as %s, which isara does not compute with; convert the model to BF16",
                         path, t->name, storage_name(t->storage));
    return 0;
}

/* What was just read of a file that was cut meanwhile is not what it held. */
static int check_whole(const struct checkpoint *ck, const struct checkpoint_tensor *c, struct error *err)
{
    const struct checkpoint_file *f = &ck->files[c->file];
    return file_map_is_cut(&f->map) ? file_map_check(&f->map, f->path, err) : 0;
}

int checkpoint_check_whole(const struct checkpoint *ck, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < ck->n_file; i++)
        rc = file_map_check(&ck->files[i].map, ck->files[i].path, err);
    return rc;
}

/* Rows of a matrix that lies transposed: a column's piece of every row of the file. */
static void read_turned(const struct checkpoint_tensor *c, int64_t first_row, int64_t n_row, float *dst)
{
    enum { MOST = 256 };
    float piece[MOST];
    for (int64_t at = 0; at < n_row; at += MOST) {
        int64_t n = n_row - at < MOST ? n_row - at : MOST;
        for (int64_t j = 0; j < c->info.n_col; j++) {
            storage_to_f32(c->info.storage, c->data, (uint64_t)(j * c->info.n_row + first_row + at), (uint64_t)n,
                           piece);
            for (int64_t i = 0; i < n; i++)
                dst[(at + i) * c->info.n_col + j] = piece[i];
        }
    }
}

int checkpoint_read_f32(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row,
                        float *dst, struct error *err)
{
    const struct checkpoint_tensor *c = whole(t);
    int rc = check_rows(ck, t, first_row, n_row, err);
    if (rc)
        return rc;
    uint64_t col = (uint64_t)t->n_col;
    if (c->turned)
        read_turned(c, first_row, n_row, dst);
    else if (!c->heads)
        storage_to_f32(t->storage, c->data, (uint64_t)first_row * col, (uint64_t)n_row * col, dst);
    for (int64_t r = 0; c->heads && r < n_row; r++)
        storage_to_f32(t->storage, c->data, (uint64_t)gguf_hf_row(first_row + r, t->n_row, c->heads, c->change) * col,
                       col, dst + (uint64_t)r * col);
    for (uint64_t i = 0; c->plus_one && i < (uint64_t)n_row * col; i++)
        dst[i] -= 1;
    if (c->delta)
        checkpoint_add_delta(c, first_row, n_row, dst);
    return check_whole(ck, c, err);
}

int checkpoint_has_blocks(const struct tensor_info *t)
{
    const struct checkpoint_tensor *c = whole(t);
    return (!c->delta || !c->delta->magnitude) && !c->plus_one && !c->turned && storage_dtype(t->storage) != DTYPE_F32;
}

int checkpoint_any_blocks(const struct checkpoint *ck)
{
    for (size_t i = 0; i < ck->n_tensor; i++)
        if (checkpoint_has_blocks(&ck->tensors[i].info))
            return 1;
    return 0;
}

int checkpoint_has_bf16(const struct tensor_info *t)
{
    const struct checkpoint_tensor *c = whole(t);
    return !c->delta && !c->plus_one && !c->turned && t->storage == STORAGE_BF16;
}

/* Whether the numbers of a row are finite; 0 when they must be looked at. */
static int row_finite(const struct tensor_info *t, const unsigned char *row)
{
    enum { BLOCK = 256, EXPONENT = 0x7f80 };
    uint64_t elements = (uint64_t)storage_block_elements(t->storage), bytes = (uint64_t)storage_block_bytes(t->storage);
    unsigned bad = 0;
    for (int64_t i = 0; t->storage == STORAGE_BF16 && i < t->n_col; i += BLOCK) {
        uint16_t bits[BLOCK] = {0}, here = 0;
        memcpy(bits, row + 2 * i, (size_t)(t->n_col - i < BLOCK ? t->n_col - i : BLOCK) * sizeof *bits);
        for (int k = 0; k < BLOCK; k++)
            here |= (uint16_t)((bits[k] & EXPONENT) == EXPONENT);
        bad |= here;
    }
    for (uint64_t i = 0; elements > 1 && !bad && i < (uint64_t)t->n_col / elements; i++)
        bad = !storage_block_finite(t->storage, row + i * bytes);
    return !bad;
}

/* The first number of a row that is not finite, as an error. */
static int look_at_row(const struct checkpoint *ck, const struct tensor_info *t, int64_t row, const unsigned char *from,
                       struct error *err)
{
    enum { SOME = 256 };
    float values[SOME];
    int rc = 0;
    for (int64_t i = 0; !rc && i < t->n_col; i += SOME) {
        uint64_t n = (uint64_t)(t->n_col - i < SOME ? t->n_col - i : SOME);
        storage_to_f32(t->storage, from, (uint64_t)i, n, values);
        rc = tensor_check_finite(ck, t, (uint64_t)(row * t->n_col + i), values, n, err);
    }
    return rc;
}

int checkpoint_read_blocks(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row,
                           void *dst, struct error *err)
{
    const struct checkpoint_tensor *c = whole(t);
    int rc = check_rows(ck, t, first_row, n_row, err);
    uint64_t row_bytes = t->n_row ? t->n_byte / (uint64_t)t->n_row : 0;
    for (int64_t r = 0; !rc && r < n_row; r++) {
        int64_t row = c->heads ? gguf_hf_row(first_row + r, t->n_row, c->heads, c->change) : first_row + r;
        const unsigned char *from = c->data + (uint64_t)row * row_bytes;
        unsigned char *to = (unsigned char *)dst + (uint64_t)r * row_bytes;
        memcpy(to, from, row_bytes);
        if (!row_finite(t, to))
            rc = look_at_row(ck, t, first_row + r, to, err);
    }
    int cut = check_whole(ck, c, err);
    return cut ? cut : rc;
}

void checkpoint_give_back(const struct checkpoint *ck, const struct tensor_info *t, int64_t first_row, int64_t n_row)
{
    const struct checkpoint_tensor *c = whole(t);
    uint64_t row_bytes = t->n_row ? t->n_byte / (uint64_t)t->n_row : 0;
    int is_last = first_row + n_row == t->n_row;
    if (!c->heads && !c->turned)
        file_map_give_back(&ck->files[c->file].map, c->data + (uint64_t)first_row * row_bytes,
                           (uint64_t)n_row * row_bytes);
    else if (is_last)
        file_map_give_back(&ck->files[c->file].map, c->data, t->n_byte);
}

const void *checkpoint_raw(const struct checkpoint *ck, const struct tensor_info *t)
{
    (void)ck;
    return whole(t)->heads || whole(t)->plus_one || whole(t)->turned || whole(t)->delta ? NULL : whole(t)->data;
}

int checkpoint_is_shared(const struct checkpoint *ck, const struct tensor_info *t)
{
    const void *raw = checkpoint_raw(ck, t);
    for (size_t i = 0; raw && t->n_byte && i < ck->n_tensor; i++) {
        const struct tensor_info *other = &ck->tensors[i].info;
        if (other != t && other->n_row == t->n_row && other->n_col == t->n_col && checkpoint_raw(ck, other) == raw)
            return 1;
    }
    return 0;
}

enum dtype checkpoint_dtype(const struct checkpoint *ck)
{
    uint64_t bf16 = 0, f16 = 0, other = 0;
    for (size_t i = 0; i < ck->n_tensor; i++) {
        const struct tensor_info *t = &ck->tensors[i].info;
        if (t->storage == STORAGE_BF16)
            bf16 += t->n_element;
        else if (t->storage == STORAGE_F16)
            f16 += t->n_element;
        else
            other += t->n_element;
    }
    if (bf16 > f16 && bf16 > other)
        return DTYPE_BF16;
    return f16 > other ? DTYPE_F16 : DTYPE_F32;
}

int checkpoint_sha256(const struct checkpoint *ck, char hex[65], struct error *err)
{
    struct buf list = BUF_INIT;
    int rc = 0;
    for (int i = 0; i < ck->n_file && !rc; i++) { /* files are in name order */
        rc = file_map_sha256(&ck->files[i].map, ck->files[i].path, hex, err);
        buf_printf(&list, "%s  %s\n", hex, ck->files[i].label);
    }
    if (!rc)
        rc = list.failed ? error_set_nomem(err, list.len, "SHA-256") : checkpoint_check_whole(ck, err);
    if (!rc && ck->n_file != 1)
        sha256_bytes(list.data, list.len, hex);
    buf_free(&list);
    return rc;
}

static int put_sha256(const char *path, const char *prefix, const char *name, json_t *into, struct error *err)
{
    char key[300], hex[65];
    int rc = sha256_file(path, hex, err);
    snprintf(key, sizeof key, "%s%s", prefix, name);
    return rc || !json_object_set_new(into, key, json_string(hex))
               ? rc
               : error_set_nomem(err, 128, "hashes of the model's files");
}

/* chat templates by name, each a file of additional_chat_templates/ */
static int put_templates(const struct checkpoint *ck, const char *prefix, json_t *into, struct error *err)
{
    char *folder = path_join(ck->path, "additional_chat_templates"), name[300];
    DIR *d = folder ? opendir(folder) : NULL;
    struct dirent *e;
    int rc = folder ? 0 : error_set_nomem(err, 256, "a path");
    while (!rc && d && (e = readdir(d))) {
        char *path = path_ends_in(e->d_name, ".jinja") ? path_join(folder, e->d_name) : NULL;
        snprintf(name, sizeof name, "additional_chat_templates/%s", e->d_name);
        if (path)
            rc = put_sha256(path, prefix, name, into, err);
        mem_free(path);
    }
    if (d)
        closedir(d);
    mem_free(folder);
    return rc;
}

int checkpoint_side_sha256(const struct checkpoint *ck, const char *prefix, json_t *into, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < ck->n_side_file && !rc; i++) {
        const char *name = ck->side_files[i].name;
        if (path_ends_in(name, ".json") || path_ends_in(name, ".jinja") || path_ends_in(name, ".txt") ||
            !strcmp(name, "tokenizer.model") || path_ends_in(name, "spiece.model") || path_ends_in(name, ".bpe.model"))
            rc = put_sha256(ck->side_files[i].path, prefix, name, into, err);
    }
    for (int i = 0; i < ck->n_file && !rc && ck->adapted; i++) {
        const char *slash = strrchr(ck->files[i].path, '/');
        char *folder = slash && !strncmp(ck->files[i].label, "adapter_model.", 14)
                           ? mem_strndup(ck->files[i].path, (size_t)(slash - ck->files[i].path))
                           : NULL;
        char *path = folder ? path_join(folder, "adapter_config.json") : NULL;
        if (path && file_exists(path))
            rc = put_sha256(path, prefix, "adapter_config.json", into, err);
        mem_free(folder);
        mem_free(path);
    }
    return rc || ck->gguf ? rc : put_templates(ck, prefix, into, err);
}

/* Whether any exponent is all ones; blocks of a constant length become vectors. */
static int any_not_finite(const float *values, uint64_t n)
{
    enum { BLOCK = 256, EXPONENT = 0x7f800000 };
    for (uint64_t i = 0; i < n; i += BLOCK) {
        uint32_t bits[BLOCK] = {0}, bad = 0;
        memcpy(bits, values + i, (n - i < BLOCK ? n - i : BLOCK) * sizeof *bits);
        for (int k = 0; k < BLOCK; k++)
            bad |= (uint32_t)((bits[k] & EXPONENT) == EXPONENT);
        if (bad)
            return 1;
    }
    return 0;
}

int tensor_check_finite(const struct checkpoint *ck, const struct tensor_info *t, uint64_t first, const float *values,
                        uint64_t n, struct error *err)
{
    if (!any_not_finite(values, n))
        return 0;
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return error_set(err, ERROR_DATA,
                             "%s: tensor %s: element %" PRIu64 " (row %" PRIu64 ", column %" PRIu64
                             ") is %s; the checkpoint is broken (training diverged or the file is damaged)",
                             ck->files[whole(t)->file].path, t->name, first + i, (first + i) / (uint64_t)t->n_col,
                             (first + i) % (uint64_t)t->n_col, isnan(values[i]) ? "not a number" : "infinite");
    return 0;
}

int checkpoint_check_finite(const struct checkpoint *ck, struct error *err)
{
    enum { CHUNK = 1 << 16 };
    float *values = mem_alloc(CHUNK * sizeof *values);
    int rc = values ? 0 : error_set_nomem(err, CHUNK * sizeof *values, "a search for NaN");
    for (size_t i = 0; !rc && i < ck->n_tensor; i++) {
        const struct checkpoint_tensor *c = &ck->tensors[i];
        for (uint64_t at = 0; !rc && storage_converts(c->info.storage) && at < c->info.n_element; at += CHUNK) {
            uint64_t n = c->info.n_element - at < CHUNK ? c->info.n_element - at : CHUNK;
            storage_to_f32(c->info.storage, c->data, at, n, values);
            rc = tensor_check_finite(ck, &c->info, at, values, n, err);
        }
        file_map_give_back(&ck->files[c->file].map, c->data, c->info.n_byte);
    }
    mem_free(values);
    int cut = checkpoint_check_whole(ck, err);
    return cut ? cut : rc;
}
