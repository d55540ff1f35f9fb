/* SPDX-License-Identifier: Apache-2.0 */
#include "text/spm_file.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/vocab.h"

#include <string.h>

struct field {
    unsigned number, wire;
    uint64_t value;            /* varint and fixed32 */
    const unsigned char *data; /* length-delimited */
    size_t n;
};
struct message {
    const unsigned char *p, *end;
};
static int varint(struct message *m, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && m->p < m->end; shift += 7) {
        unsigned char b = *m->p++;
        *out |= (uint64_t)(b & 127) << shift;
        if (!(b & 128))
            return 0;
    }
    return -1;
}

/* 1: a field; 0: the end; -1: damaged. */
static int next_field(struct message *m, struct field *f)
{
    uint64_t key, n;
    if (m->p == m->end)
        return 0;
    if (varint(m, &key) || key >> 3 == 0 || key >> 3 > 1u << 29)
        return -1;
    *f = (struct field){.number = (unsigned)(key >> 3), .wire = key & 7};
    switch (f->wire) {
    case 0: return varint(m, &f->value) ? -1 : 1;
    case 1:
    case 5:
        n = f->wire == 1 ? 8 : 4;
        if ((uint64_t)(m->end - m->p) < n)
            return -1;
        memcpy(&f->value, m->p, n);
        m->p += n;
        return 1;
    case 2:
        if (varint(m, &n) || n > (uint64_t)(m->end - m->p))
            return -1;
        f->data = m->p;
        f->n = n;
        m->p += n;
        return 1;
    default: return -1;
    }
}

static int damaged(const char *path, const char *where, struct error *err)
{
    return error_set(err, ERROR_DATA,
                     "%s: %s is cut off or no protobuf; this is not a sentencepiece model, or it is damaged", path,
                     where);
}

/* Replaces *out by a copy with a NUL after it. */
static int keep_bytes(char **out, const struct field *f, struct error *err)
{
    mem_free(*out);
    *out = mem_strndup((const char *)f->data, f->n);
    return *out ? 0 : error_set_nomem(err, f->n, "a sentencepiece model");
}

static int piece_field(struct spm_piece *p, const struct field *f, size_t i, const char *path, struct error *err)
{
    if (f->number == 1 && f->wire == 2) {
        if (utf8_valid((const char *)f->data, f->n) != f->n || memchr(f->data, 0, f->n) || !f->n)
            return error_set(err, ERROR_DATA, "%s: piece %zu is not UTF-8 text without NUL", path, i);
        return keep_bytes((char **)&p->text, f, err);
    }
    if (f->number == 2 && f->wire == 5) {
        float score;
        uint32_t bits = (uint32_t)f->value;
        memcpy(&score, &bits, 4);
        p->score = score;
        if (score != score)
            return error_set(err, ERROR_DATA, "%s: the score of piece %zu is not a number", path, i);
    }
    if (f->number == 3 && f->wire == 0) {
        p->type = f->value <= PIECE_BYTE ? (int)f->value : 0;
        if (p->type < PIECE_NORMAL)
            return error_set(err, ERROR_DATA, "%s: piece %zu has the type %llu; wanted 1 to 6", path, i,
                             (unsigned long long)f->value);
    }
    return 0;
}

static int read_piece(struct spm_file *s, const struct field *whole, const char *path, struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    int more = 1, rc = 0;
    if (s->n >= VOCAB_MAX_ID)
        return error_set(err, ERROR_DATA, "%s: more than %d pieces", path, VOCAB_MAX_ID);
    if (s->n == s->cap) {
        struct spm_piece *list = mem_resize(s->piece, (s->cap * 2 + 1024) * sizeof *list);
        if (!list)
            return error_set_nomem(err, s->cap * 2 * sizeof *list, "pieces");
        s->piece = list;
        s->cap = s->cap * 2 + 1024;
    }
    struct spm_piece *p = s->piece + s->n++;
    *p = (struct spm_piece){NULL, 0, PIECE_NORMAL};
    while (!rc && (more = next_field(&m, &f)) > 0)
        rc = piece_field(p, &f, s->n - 1, path, err);
    return rc || (more >= 0 && p->text) ? rc : damaged(path, "a piece", err);
}

static int read_trainer(struct spm_file *s, const struct field *whole, const char *path, struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    int more, rc = 0;
    while (!rc && (more = next_field(&m, &f)) > 0) {
        int64_t value = (int64_t)f.value;
        if (f.number == 44 && f.wire == 2) {
            if (utf8_valid((const char *)f.data, f.n) != f.n)
                return error_set(err, ERROR_DATA, "%s: unk_surface is not UTF-8", path);
            rc = keep_bytes(&s->surface, &f, err);
        }
        switch (f.wire ? 0 : f.number) {
        case 3: s->model_type = value; break;
        case 24: s->suffix = value != 0; break;
        case 35: s->byte_fallback = value != 0; break;
        case 40: s->unk = value; break;
        case 41: s->bos = value; break;
        case 42: s->eos = value; break;
        case 43: s->pad = value; break;
        default: break;
        }
    }
    return rc || more >= 0 ? rc : damaged(path, "the trainer_spec", err);
}

static int read_normalizer(struct spm_file *s, const struct field *whole, int is_denormalizer, const char *path,
                           struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    int more, rc = 0;
    while (!rc && (more = next_field(&m, &f)) > 0) {
        if (f.number == 2 && f.wire == 2 && f.n && is_denormalizer)
            return error_set(
                err, ERROR_DATA,
                "%s: denormalizer_spec: precompiled_charsmap is not supported: it would rewrite decoded text", path);
        if (is_denormalizer)
            continue;
        if (f.number == 2 && f.wire == 2) {
            s->n_charsmap = f.n;
            rc = f.n ? keep_bytes(&s->charsmap, &f, err) : 0;
        } else if (f.number == 3 && !f.wire) {
            s->dummy_prefix = f.value != 0;
        } else if (f.number == 4 && !f.wire) {
            s->remove_extra = f.value != 0;
        } else if (f.number == 5 && !f.wire) {
            s->escape = f.value != 0;
        }
    }
    if (rc || more >= 0)
        return rc;
    return damaged(path, is_denormalizer ? "the denormalizer_spec" : "the normalizer_spec", err);
}

/* What sentencepiece itself asks of a model. */
static int check_model(struct spm_file *s, const char *path, struct error *err)
{
    size_t unknown = 0, bytes = 0;
    for (size_t i = 0; i < s->n; i++) {
        unknown += s->piece[i].type == PIECE_UNKNOWN;
        bytes += s->piece[i].type == PIECE_BYTE;
        if (s->piece[i].type == PIECE_UNKNOWN)
            s->unk = (int64_t)i;
    }
    const char *type = s->model_type == 3 ? "word" : "unknown";
    if (s->model_type == 4)
        type = "char";
    if (s->model_type != 1 && s->model_type != 2)
        return error_set(err, ERROR_DATA, "%s: model_type %lld (%s) is not supported (1, unigram, and 2, BPE, are)",
                         path, (long long)s->model_type, type);
    if (unknown != 1)
        return error_set(err, ERROR_DATA, "%s: wanted one piece of the type unknown, found %zu", path, unknown);
    if (bytes && !s->byte_fallback)
        return error_set(err, ERROR_DATA, "%s: there are byte pieces, but byte_fallback is false", path);
    if (bytes != 256 && s->byte_fallback)
        return error_set(err, ERROR_DATA, "%s: byte_fallback is true: wanted 256 byte pieces, found %zu", path, bytes);
    return 0;
}

int spm_file_read(struct spm_file *s, const void *bytes, size_t n, const char *path, struct error *err)
{
    struct message m = {bytes, (const unsigned char *)bytes + n};
    struct field f;
    int more = 1, rc = 0;
    *s = (struct spm_file){
        .model_type = 1, .bos = 1, .eos = 2, .pad = -1, .dummy_prefix = 1, .remove_extra = 1, .escape = 1};
    while (!rc && (more = next_field(&m, &f)) > 0) {
        if (f.wire == 2 && f.number == 1)
            rc = read_piece(s, &f, path, err);
        else if (f.wire == 2 && f.number == 2)
            rc = read_trainer(s, &f, path, err);
        else if (f.wire == 2 && (f.number == 3 || f.number == 5))
            rc = read_normalizer(s, &f, f.number == 5, path, err);
    }
    if (rc)
        return rc;
    return more < 0 || !s->n ? damaged(path, "the model", err) : check_model(s, path, err);
}

void spm_file_deinit(struct spm_file *s)
{
    for (size_t i = 0; i < s->n; i++)
        mem_free((char *)s->piece[i].text);
    mem_free(s->piece);
    mem_free(s->charsmap);
    mem_free(s->surface);
    *s = (struct spm_file){0};
}
