/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.model: sentencepiece's ModelProto, a protobuf. Only BPE models that leave the text as it is (LLaMA's kind) are read; the fields
 * and their numbers are those of sentencepiece_model.proto. */
#include "text/source.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "io/file.h"
#include "text/vocab.h"

#include <string.h>

struct field {
    unsigned number, wire;
    uint64_t value;             /* varint and fixed32 */
    const unsigned char *data;  /* length-delimited */
    size_t n;
};
struct message {
    const unsigned char *p, *end;
};
struct spm {
    struct spm_piece *piece;
    size_t n, cap;
    int64_t model_type, unk, bos, eos, pad;
    int dummy_prefix, remove_extra, escape, suffix, charsmap;
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
    case 0:
        return varint(m, &f->value) ? -1 : 1;
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
    default:
        return -1;
    }
}

static int damaged(const char *path, const char *where, struct error *err)
{
    return error_set(err, ERROR_DATA, "%s: %s is cut off or no protobuf; this is not a sentencepiece model, or it is damaged", path, where);
}

static int read_piece(struct spm *s, const struct field *whole, const char *path, struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    struct spm_piece p = {NULL, 0, PIECE_NORMAL};
    int more;
    if (s->n >= VOCAB_MAX_ID)
        return error_set(err, ERROR_DATA, "%s: more than %d pieces", path, VOCAB_MAX_ID);
    while ((more = next_field(&m, &f)) > 0) {
        if (f.number == 1 && f.wire == 2) {
            if (utf8_valid((const char *)f.data, f.n) != f.n || memchr(f.data, 0, f.n) || !f.n)
                return error_set(err, ERROR_DATA, "%s: piece %zu is not UTF-8 text without NUL", path, s->n);
            mem_free((char *)p.text);
            if (!(p.text = mem_strndup((const char *)f.data, f.n)))
                return error_set_nomem(err, f.n, "a piece");
        } else if (f.number == 2 && f.wire == 5) {
            float score;
            uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, 4);
            p.score = score;
        } else if (f.number == 3 && f.wire == 0) {
            p.type = f.value <= 6 ? (int)f.value : 0;
        }
    }
    if (s->n == s->cap) {
        struct spm_piece *list = mem_resize(s->piece, (s->cap * 2 + 1024) * sizeof *list);
        if (!list) {
            mem_free((char *)p.text);
            return error_set_nomem(err, s->cap * 2 * sizeof *list, "pieces");
        }
        s->piece = list;
        s->cap = s->cap * 2 + 1024;
    }
    s->piece[s->n++] = p;
    if (more < 0 || !p.text)
        return damaged(path, "a piece", err);
    return p.score == p.score ? 0 : error_set(err, ERROR_DATA, "%s: the score of piece %zu is not a number", path, s->n - 1);
}

static int read_trainer(struct spm *s, const struct field *whole, const char *path, struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    int more;
    while ((more = next_field(&m, &f)) > 0) {
        int64_t value = (int64_t)f.value;
        switch (f.wire ? 0 : f.number) {
        case 3: s->model_type = value; break;
        case 24: s->suffix = value != 0; break;
        case 40: s->unk = value; break;
        case 41: s->bos = value; break;
        case 42: s->eos = value; break;
        case 43: s->pad = value; break;
        default: break;
        }
    }
    return more < 0 ? damaged(path, "the trainer_spec", err) : 0;
}

static int read_normalizer(struct spm *s, const struct field *whole, const char *path, struct error *err)
{
    struct message m = {whole->data, whole->data + whole->n};
    struct field f;
    int more;
    while ((more = next_field(&m, &f)) > 0) {
        if (f.number == 2 && f.wire == 2)
            s->charsmap = f.n > 0;
        else if (f.number == 3 && !f.wire)
            s->dummy_prefix = f.value != 0;
        else if (f.number == 4 && !f.wire)
            s->remove_extra = f.value != 0;
        else if (f.number == 5 && !f.wire)
            s->escape = f.value != 0;
    }
    return more < 0 ? damaged(path, "the normalizer_spec", err) : 0;
}

static int read_model(struct spm *s, const struct file_map *map, const char *path, struct error *err)
{
    struct message m = {map->data, map->data + map->size};
    struct field f;
    int more, rc = 0;
    while (!rc && (more = next_field(&m, &f)) > 0) {
        if (f.wire == 2 && f.number == 1)
            rc = read_piece(s, &f, path, err);
        else if (f.wire == 2 && f.number == 2)
            rc = read_trainer(s, &f, path, err);
        else if (f.wire == 2 && f.number == 3)
            rc = read_normalizer(s, &f, path, err);
    }
    if (rc)
        return rc;
    if (more < 0 || !s->n)
        return damaged(path, "the model", err);
    if (s->model_type != 2)
        return error_set(err, ERROR_DATA, "%s: model_type %lld is not supported (2, BPE, is); a tokenizer.json beside it would be read instead",
                         path, (long long)s->model_type);
    if (s->charsmap || s->remove_extra || !s->escape || s->suffix)
        return error_set(err, ERROR_DATA, "%s: normalizer: %s is not supported; a tokenizer.json beside it would be read instead", path,
                         s->charsmap ? "precompiled_charsmap" : s->remove_extra ? "remove_extra_whitespaces"
                         : s->suffix ? "treat_whitespace_as_suffix" : "escape_whitespaces false");
    return 0;
}

/* Fills what tokenizer_config.json does not say with the model's own ids and LLaMA's habits (BOS first, no EOS). */
static int complete(struct tokenizer_source *out, const struct spm *s, const char *path, struct error *err)
{
    const struct { const char *key; int64_t id; } names[] = {{"bos_token", s->bos}, {"eos_token", s->eos}, {"unk_token", s->unk}, {"pad_token", s->pad}};
    int bad = 0;
    if (!out->config)
        out->config = json_object();
    for (int i = 0; i < 4; i++)
        if (!json_object_get(out->config, names[i].key) && names[i].id >= 0 && (uint64_t)names[i].id < s->n)
            bad |= json_object_set_new(out->config, names[i].key, json_string(s->piece[names[i].id].text));
    if (!json_is_boolean(json_object_get(out->config, "add_bos_token")))
        bad |= json_object_set_new(out->config, "add_bos_token", json_true());
    if (!json_is_boolean(json_object_get(out->config, "add_eos_token")))
        bad |= json_object_set_new(out->config, "add_eos_token", json_false());
    return bad ? error_set(err, ERROR_NOMEM, "%s: out of memory while reading the tokenizer", path) : 0;
}

static int add_added(json_t *json, const json_t *added, const json_t *config, const char *path, struct error *err)
{
    const char *text;
    json_t *id;
    json_object_foreach((json_t *)added, text, id)
    {
        if (json_object_get(json_object_get(json_object_get(json, "model"), "vocab"), text))
            continue;
        if (source_add_token(json, json_integer_value(id), text, source_is_named(config, text)))
            return error_set(err, ERROR_NOMEM, "%s: out of memory while reading the tokenizer", path);
    }
    return 0;
}

int source_from_spm(struct tokenizer_source *out, const char *path, const json_t *added, struct error *err)
{
    struct spm s = {.model_type = 1, .bos = 1, .eos = 2, .pad = -1, .dummy_prefix = 1, .remove_extra = 1, .escape = 1};
    struct file_map map;
    int rc = file_map(&map, path, err);
    if (rc)
        return rc;
    rc = read_model(&s, &map, path, err);
    int legacy = !json_is_false(json_object_get(out->config, "legacy"));
    int prefix = s.dummy_prefix && !json_is_false(json_object_get(out->config, "add_prefix_space"));
    if (!rc)
        rc = source_make_spm(out, path, s.piece, s.n, prefix, !legacy, err);
    if (!rc)
        rc = complete(out, &s, path, err);
    if (!rc && source_around_from_config(out))
        rc = error_set(err, ERROR_NOMEM, "%s: out of memory while reading the tokenizer", path);
    if (!rc)
        rc = add_added(out->json, added, out->config, path, err);
    for (size_t i = 0; i < s.n; i++)
        mem_free((char *)s.piece[i].text);
    mem_free(s.piece);
    int cut = file_map_check(&map, path, err);
    file_unmap(&map);
    return cut ? cut : rc;
}
