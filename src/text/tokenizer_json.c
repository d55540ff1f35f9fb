/* SPDX-License-Identifier: Apache-2.0 */
/* From the two documents to a tokenizer: every component in turn, then what tokenizer_config.json says about special
 * tokens. */
#include "text/tokenizer_parts.h"

#include "base/utf8.h"

#include <string.h>

static int read_post_processor(struct reader *r, struct tokenizer *tok, const json_t *doc)
{
    const json_t *o = json_object_get(doc, "post_processor");
    return o && !json_is_null(o) ? postprocessor_read(r, o, &tok->vocab, &tok->around) : 0;
}

static int read_decoder(struct reader *r, struct tokenizer *tok, const json_t *o)
{
    if (o && !json_is_null(o))
        return decoder_read(r, o, &tok->decoder, &tok->n_decoder);
    tok->decoder = arena_alloc(&tok->arena, sizeof *tok->decoder);
    if (!tok->decoder)
        return reader_nomem(r);
    *tok->decoder = (struct decoder){.kind = DECODE_SPACED};
    tok->n_decoder = 1;
    return 0;
}

/* The document has the vocabulary, the rest is sentencepiece's. */
static int read_spm(struct reader *r, struct tokenizer *tok, const struct tokenizer_source *s)
{
    int rc = model_read(r, tok, json_object_get(s->json, "model"), NULL);
    for (size_t i = 0; i < s->spm->n && !rc; i++)
        if (s->spm->piece[i].type == PIECE_USER)
            tok->vocab.entry[i].flags |= VOCAB_USER;
    if (!rc)
        rc = added_read(r, tok, json_object_get(s->json, "added_tokens"), s->config);
    if (!rc)
        rc = read_post_processor(r, tok, s->json);
    if (!rc)
        rc = sentencepiece_init(&tok->spm, s->spm, &tok->vocab, &tok->arena, r->file, r->err);
    if (!rc)
        rc = read_decoder(r, tok, NULL);
    if (rc)
        return rc;
    *tok->decoder = (struct decoder){.kind = DECODE_SENTENCEPIECE, .model = &tok->spm};
    tok->model = MODEL_SENTENCEPIECE;
    tok->info.model = tok->spm.is_unigram ? "Unigram" : "BPE";
    return 0;
}

static int read_components(struct reader *r, struct tokenizer *tok, const struct tokenizer_source *s)
{
    const json_t *doc = s->json, *config = s->config, *o = json_object_get(doc, "version");
    int rc;
    if (!json_is_object(doc))
        return reader_fail(r, "wanted an object with \"model\"");
    if (o && (!json_is_string(o) || strcmp(json_string_value(o), "1.0")))
        return reader_fail(r, "version: wanted \"1.0\", found \"%s\"",
                           json_is_string(o) ? json_string_value(o) : "something else");
    if (s->spm)
        return read_spm(r, tok, s);
    if ((rc = model_read(r, tok, json_object_get(doc, "model"), s->ranks)))
        return rc;
    o = json_object_get(doc, "normalizer");
    tok->has_normalizer = o && !json_is_null(o);
    if (tok->has_normalizer && (rc = normalizer_read(r, o, &tok->normalizer)))
        return rc;
    if ((rc = added_read(r, tok, json_object_get(doc, "added_tokens"), config)))
        return rc;
    o = json_object_get(doc, "pre_tokenizer");
    tok->has_pretokenizer = o && !json_is_null(o);
    if (tok->has_pretokenizer && (rc = pretokenizer_read(r, o, &tok->pretokenizer)))
        return rc;
    rc = read_post_processor(r, tok, doc);
    return rc ? rc : read_decoder(r, tok, json_object_get(doc, "decoder"));
}

static int read_limits(struct reader *r, struct tokenizer *tok, const json_t *doc)
{
    const json_t *o = json_object_get(doc, "truncation");
    long n;
    tok->info.truncation = tok->info.padding = -1;
    if (json_is_object(o)) {
        int rc = reader_count(r, &(struct component){o, "truncation"}, "max_length", -1, &n);
        if (rc)
            return rc;
        tok->info.truncation = n > INT32_MAX ? INT32_MAX : (int32_t)n;
    }
    o = json_object_get(doc, "padding");
    if (json_is_object(o)) {
        const json_t *strategy = json_object_get(o, "strategy");
        int rc = reader_count(r, &(struct component){strategy, "padding"}, "Fixed", 0, &n);
        if (rc)
            return rc;
        tok->info.padding = n > INT32_MAX ? INT32_MAX : (int32_t)n;
    }
    return 0;
}

/* "bos_token": "<s>" or {"content": "<s>", ...}; a name without a token gives -1. */
static int32_t named_id(const struct tokenizer *tok, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    return json_is_string(v) ? vocab_find(&tok->vocab, json_string_value(v), json_string_length(v)) : -1;
}

/* bos_token_id and the like of config.json: an id, or several of which the first counts. */
static int32_t numbered_id(const struct tokenizer *tok, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    return id >= 0 && id < VOCAB_MAX_ID && vocab_at(&tok->vocab, (int32_t)id) ? (int32_t)id : -1;
}

static int read_config(struct reader *r, struct tokenizer *tok, const json_t *config, const json_t *model_config)
{
    struct tokenizer_info *info = &tok->info;
    info->bos = named_id(tok, config, "bos_token");
    info->eos = named_id(tok, config, "eos_token");
    info->pad = named_id(tok, config, "pad_token");
    if (!config) {
        info->bos = numbered_id(tok, model_config, "bos_token_id");
        info->eos = numbered_id(tok, model_config, "eos_token_id");
        info->pad = numbered_id(tok, model_config, "pad_token_id");
    }
    int32_t unk = named_id(tok, config, "unk_token");
    if (unk >= 0)
        info->unk = unk;
    const struct around *a = &tok->around;
    if (!config && info->bos < 0 && a->n_before && tok->vocab.entry[a->before[0]].flags & VOCAB_SPECIAL)
        info->bos = a->before[0]; /* a lone tokenizer.json: what it puts first is as good as a name */
    info->add_bos = info->bos >= 0 && a->n_before && a->before[0] == info->bos;
    info->add_eos = info->eos >= 0 && a->n_after && a->after[a->n_after - 1] == info->eos;
    if (tokenizer_read_named(tok, config))
        return reader_nomem(r);
    return 0;
}

static int collect_special(struct reader *r, struct tokenizer *tok)
{
    const struct vocab *v = &tok->vocab;
    for (int32_t id = 0; id < v->size; id++)
        tok->n_special += v->entry[id].text && v->entry[id].flags & VOCAB_SPECIAL;
    tok->special = arena_alloc(&tok->arena, (tok->n_special + 1) * sizeof *tok->special);
    tok->barred = arena_alloc(&tok->arena, (size_t)v->size + 1);
    if (!tok->special || !tok->barred)
        return reader_nomem(r);
    memset(tok->barred, 0, (size_t)v->size + 1);
    size_t n = 0;
    for (int32_t id = 0; id < v->size; id++)
        if (v->entry[id].text && v->entry[id].flags & VOCAB_SPECIAL) {
            tok->special[n++] = id;
            tok->barred[id] = 1;
        }
    return 0;
}

/* No step loses anything, and every byte has a token. */
static int keeps_every_byte(const struct pretokenizer *z)
{
    if (z->kind == PRETOKENIZE_SEQUENCE) {
        int any = 0;
        for (size_t i = 0; i < z->n_child; i++) {
            const struct pretokenizer *c = z->child + i;
            if (c->kind == PRETOKENIZE_METASPACE ||
                (c->kind <= PRETOKENIZE_WORDS && c->kind != PRETOKENIZE_SEQUENCE && c->behavior == SPLIT_REMOVED))
                return 0;
            any |= keeps_every_byte(c);
        }
        return any;
    }
    return z->kind == PRETOKENIZE_BYTE_LEVEL && !z->prefix_space;
}

static int is_byte_level(const struct tokenizer *tok)
{
    if (tok->has_normalizer || !tok->has_pretokenizer || tok->n_decoder != 1 || tok->decoder->kind != DECODE_BYTE_LEVEL)
        return 0;
    for (int i = 0; i < 256; i++) {
        char c[4];
        if (vocab_find_model(&tok->vocab, c, utf8_encode(byte_level_char((unsigned char)i), c)) < 0)
            return 0;
    }
    return keeps_every_byte(&tok->pretokenizer);
}

int tokenizer_build(struct tokenizer *tok, const char *name, const struct tokenizer_source *s, struct error *err)
{
    struct reader r = {.arena = &tok->arena, .regexes = &tok->regexes, .file = name, .err = err};
    tok->info = (struct tokenizer_info){.bos = -1, .eos = -1, .pad = -1, .unk = -1};
    tok->info.source = arena_strdup(&tok->arena, name);
    if (!tok->info.source)
        return reader_nomem(&r);
    if (s->config && !json_is_object(s->config))
        return reader_fail(&r, "tokenizer_config: wanted an object");
    if (json_is_true(json_object_get(s->config, "split_special_tokens")))
        return reader_fail(&r, "tokenizer_config: split_special_tokens: special tokens that are no tokens are not "
                               "supported; wanted false");
    int rc = read_components(&r, tok, s);
    if (!rc)
        rc = read_limits(&r, tok, s->json);
    if (!rc)
        rc = read_config(&r, tok, s->config, s->model_config);
    if (!rc)
        rc = collect_special(&r, tok);
    tok->info.is_byte_level = !rc && is_byte_level(tok);
    return rc;
}
