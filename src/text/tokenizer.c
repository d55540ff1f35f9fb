/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline of tokenizer.json: cut at added tokens -> normalize each piece -> cut at normalized added tokens ->
 * words -> model -> what goes around the text. */
#include "text/tokenizer_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/checkpoint.h"
#include "io/jsontext.h"
#include "text/decode.h"

#include <string.h>

static int finish_open(struct tokenizer **out, const char *name, struct tokenizer_source *s, struct error *err)
{
    struct tokenizer *tok = mem_calloc(1, sizeof *tok);
    int rc = tok ? tokenizer_build(tok, name, s, err) : error_set_nomem(err, sizeof *tok, "a tokenizer");
    tokenizer_source_free(s);
    if (rc)
        tokenizer_close(tok);
    else
        *out = tok;
    return rc;
}

/* chat_template: a file, or NULL: what the source has. */
static int open_with(struct tokenizer **out, const char *path, const char *chat_template, struct error *err)
{
    struct tokenizer_source s = {0};
    *out = NULL;
    int rc = tokenizer_source_load(&s, path, err);
    if (!rc && chat_template && (rc = source_take_chat_template(&s, chat_template, err)))
        tokenizer_source_free(&s);
    rc = rc ? rc : finish_open(out, path, &s, err);
    if (!rc)
        log_line(LOG_DEBUG, "tokenizer %s: ids below %d, %s chat template", path, (int)tokenizer_size(*out),
                 tokenizer_info(*out)->chat_template ? "with a" : "no");
    return rc;
}

int tokenizer_open(struct tokenizer **out, const char *path, struct error *err)
{
    return open_with(out, path, NULL, err);
}

int tokenizer_open_of(struct tokenizer **out, const struct checkpoint *ck, struct error *err)
{
    const char *own = checkpoint_is_adapted(ck) ? checkpoint_file(ck, "chat_template.jinja") : NULL;
    return open_with(out, checkpoint_path(ck), own, err);
}

int tokenizer_open_json(struct tokenizer **out, const char *name, const char *json, size_t n, const char *config,
                        struct error *err)
{
    struct tokenizer_source s = {0};
    json_error_t why;
    *out = NULL;
    s.json = jsontext_document(json, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (s.json && config)
        s.config = jsontext_document(config, strlen(config),
                                     JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    if (!s.json || (config && !s.config)) {
        int rc = text_json_error(&why, name, s.json ? "tokenizer_config: " : "", err);
        tokenizer_source_free(&s);
        return rc;
    }
    return finish_open(out, name, &s, err);
}

int tokenizer_open_spm(struct tokenizer **out, const char *name, const void *bytes, size_t n, struct error *err)
{
    struct tokenizer_source s = {0};
    *out = NULL;
    int rc = source_from_spm_bytes(&s, name, bytes, n, NULL, err);
    if (!rc)
        return finish_open(out, name, &s, err);
    tokenizer_source_free(&s);
    return rc;
}

void tokenizer_close(struct tokenizer *tok)
{
    if (!tok)
        return;
    for (struct regex_list *item = tok->regexes.next, *next; item; item = next) {
        next = item->next;
        regex_free(item->re);
        mem_free(item);
    }
    added_set_free(tok->raw);
    added_set_free(tok->normal);
    bpe_deinit(&tok->bpe);
    unigram_deinit(&tok->unigram.best);
    sentencepiece_deinit(&tok->spm);
    vocab_deinit(&tok->vocab);
    arena_free(&tok->arena);
    mem_free(tok);
}

/* --- encoding --- */

struct encoder {
    struct pieces now, next;
    struct buf text, spare;
    struct bpe_scratch bpe;
    struct unigram_scratch unigram;
    struct sentencepiece_scratch spm;
};

static void encoder_deinit(struct encoder *e)
{
    pieces_deinit(&e->now);
    pieces_deinit(&e->next);
    buf_free(&e->text);
    buf_free(&e->spare);
    bpe_scratch_deinit(&e->bpe);
    unigram_scratch_deinit(&e->unigram);
    sentencepiece_scratch_deinit(&e->spm);
}

/* Whether people's words in this piece, whose place in e->now is its place in the text, hold a special token. */
static int people_write_special(const struct tokenizer *tok, const struct encoder *e, const struct piece *p,
                                const struct text_spans *people)
{
    for (size_t i = 0; people && i < people->n; i++) {
        size_t from = people->v[i].from > p->at ? people->v[i].from : p->at,
               to = people->v[i].to < p->at + p->n ? people->v[i].to : p->at + p->n;
        if (from < to && added_set_has_special(tok->normal, e->now.text.data + from, to - from))
            return 1;
    }
    return 0;
}

/* Every text piece of e->now to its normal form, cut again at the tokens that are looked for there. */
static int normalize(const struct tokenizer *tok, struct encoder *e, const struct added_cut *how, struct error *err)
{
    const int spm = tok->model == MODEL_SENTENCEPIECE;
    if (!tok->has_normalizer && !tok->normal && !spm)
        return 0;
    pieces_reset(&e->next);
    for (size_t i = 0; i < e->now.n; i++) {
        const struct piece *p = e->now.v + i;
        const char *text = e->now.text.data + p->at;
        if (p->id >= 0) {
            pieces_add(&e->next, text, p->n, p->id, p->at_start);
            continue;
        }
        buf_reset(&e->text);
        if (spm)
            sentencepiece_normalize(&tok->spm, text, p->n, &e->text);
        else
            buf_append(&e->text, text, p->n);
        if (e->text.failed)
            return error_set_nomem(err, p->n, "a text");
        int rc = tok->has_normalizer ? normalizer_apply(&tok->normalizer, &e->text, &e->spare, err) : 0;
        if (rc)
            return rc;
        if (tok->normal)
            added_set_cut(tok->normal, e->text.data, e->text.len,
                          &(struct added_cut){
                              p->at_start, how->parse_special && !people_write_special(tok, e, p, how->people), NULL},
                          &e->next);
        else
            pieces_add(&e->next, e->text.data, e->text.len, -1, p->at_start);
    }
    struct pieces t = e->now;
    e->now = e->next;
    e->next = t;
    return pieces_failed(&e->now) ? error_set_nomem(err, e->now.text.len, "the pieces of a text") : 0;
}

static int push_all(struct tokens *out, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tokens_push(out, ids[i]))
            return -1;
    return 0;
}

static int word_level(const struct tokenizer *tok, const unsigned char *barred, const char *word, size_t n,
                      struct tokens *out)
{
    int32_t id = vocab_find_model(&tok->vocab, word, n);
    if (id < 0 || (barred && barred[id]))
        id = tok->word_unk;
    return id < 0 ? -2 : tokens_push(out, id);
}

/* 0; -1: out of memory; -2: there is no token for it. */
static int encode_word(const struct tokenizer *tok, struct encoder *e, const struct piece *p, int flags,
                       struct tokens *out)
{
    const char *word = e->now.text.data + p->at;
    const unsigned char *barred = flags & TOKENIZER_PARSE_SPECIAL ? NULL : tok->barred;
    switch (tok->model) {
    case MODEL_WORDPIECE: return wordpiece_encode(&tok->wordpiece, &e->spare, word, p->n, out);
    case MODEL_UNIGRAM: return unigram_encode(&tok->unigram, barred, &e->unigram, word, p->n, out);
    case MODEL_SENTENCEPIECE: return sentencepiece_encode(&tok->spm, &e->spm, word, p->n, out);
    case MODEL_WORD_LEVEL: return word_level(tok, barred, word, p->n, out);
    default: return bpe_encode(&tok->bpe, &e->bpe, word, p->n, out);
    }
}

static int to_ids(const struct tokenizer *tok, struct encoder *e, int flags, struct tokens *out)
{
    if (flags & TOKENIZER_ADD_SPECIAL && push_all(out, tok->around.before, tok->around.n_before))
        return -1;
    for (size_t i = 0; i < e->now.n; i++) {
        const struct piece *p = e->now.v + i;
        int rc = p->id >= 0 ? tokens_push(out, p->id) : encode_word(tok, e, p, flags, out);
        if (rc)
            return rc;
    }
    return flags & TOKENIZER_ADD_SPECIAL ? push_all(out, tok->around.after, tok->around.n_after) : 0;
}

int tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n, int flags, struct tokens *out,
                     struct error *err)
{
    return tokenizer_encode_mixed(tok, &(struct pair_text){text, n, NULL}, flags, out, err);
}

int tokenizer_encode_mixed(const struct tokenizer *tok, const struct pair_text *x, int flags, struct tokens *out,
                           struct error *err)
{
    const struct added_cut how = {1, flags & TOKENIZER_PARSE_SPECIAL, x->people};
    const char *text = x->text;
    struct encoder e = {0};
    size_t n = x->n, good = utf8_valid(text, n), had = out->n;
    int rc = 0;
    if (good != n)
        return error_set(err, ERROR_DATA, "the text is not UTF-8 at byte %zu (0x%02x)", good,
                         (unsigned char)text[good]);
    if (n > UINT32_MAX / 4)
        return error_set(err, ERROR_DATA, "a text of %zu bytes is longer than the %u that can be tokenized at once", n,
                         UINT32_MAX / 4);
    added_set_cut(tok->raw, text, n, &how, &e.now);
    if (pieces_failed(&e.now))
        rc = error_set_nomem(err, n, "the pieces of a text");
    if (!rc)
        rc = normalize(tok, &e, &how, err);
    if (!rc && tok->has_pretokenizer)
        rc = pretokenizer_apply(&tok->pretokenizer, &e.now, &e.next, err);
    int unmade = rc ? 0 : to_ids(tok, &e, flags, out);
    if (unmade == -2)
        rc = error_set(err, ERROR_DATA,
                       "the text has a word or character without a token, and the tokenizer has no unknown token");
    else if (unmade)
        rc = error_set_nomem(err, n, "the tokens of a text");
    if (rc)
        out->n = had;
    encoder_deinit(&e);
    return rc;
}

/* --- decoding --- */

struct tokenizer_stream {
    const struct tokenizer *tok;
    int skip_special;
    struct decode_state run;
    struct tokenizer_stream *probe; /* peek finishes this copy instead */
};

int tokenizer_stream_new(struct tokenizer_stream **out, const struct tokenizer *tok, int skip_special,
                         struct error *err)
{
    struct tokenizer_stream *s = mem_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set_nomem(err, sizeof *s, "a decoder");
    s->tok = tok;
    s->skip_special = skip_special;
    int rc = decode_state_init(&s->run, tok->decoder, tok->n_decoder, err);
    if (rc)
        mem_free(s);
    else
        *out = s;
    return rc;
}

void tokenizer_stream_free(struct tokenizer_stream *s)
{
    if (!s)
        return;
    tokenizer_stream_free(s->probe);
    decode_state_deinit(&s->run);
    mem_free(s);
}

void tokenizer_stream_reset(struct tokenizer_stream *s)
{
    decode_state_reset(&s->run);
}

int tokenizer_stream_copy(struct tokenizer_stream *to, const struct tokenizer_stream *from)
{
    return decode_state_copy(&to->run, &from->run);
}

static void push_renamed(struct tokenizer_stream *s, int32_t id, struct buf *out)
{
    const struct added_token *t = s->tok->added;
    while (t->id != id)
        t++;
    decode_state_token(&s->run, t->shown, t->n_shown, out);
}

void tokenizer_stream_push(struct tokenizer_stream *s, int32_t id, struct buf *out)
{
    const struct vocab_entry *e = vocab_at(&s->tok->vocab, id);
    if (e && e->flags & VOCAB_RENAMED) {
        push_renamed(s, id, out);
        return;
    }
    int shown =
        s->tok->model == MODEL_SENTENCEPIECE && id == s->tok->spm.unk; /* sentencepiece marks what it did not know */
    if (e && (shown || !(s->skip_special && e->flags & VOCAB_SPECIAL)))
        decode_state_token(&s->run, e->text, e->n, out);
}

void tokenizer_stream_finish(struct tokenizer_stream *s, struct buf *out)
{
    decode_state_finish(&s->run, out);
}

void tokenizer_stream_peek(const struct tokenizer_stream *s, struct buf *out)
{
    struct tokenizer_stream **probe = &((struct tokenizer_stream *)s)->probe;
    if ((!*probe && tokenizer_stream_new(probe, s->tok, s->skip_special, NULL)) || tokenizer_stream_copy(*probe, s))
        out->failed = 1;
    else
        tokenizer_stream_finish(*probe, out);
}

int tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, int skip_special, struct buf *out,
                     struct error *err)
{
    struct tokenizer_stream *s;
    int rc = tokenizer_stream_new(&s, tok, skip_special, err);
    if (rc)
        return rc;
    size_t had = out->len;
    for (size_t i = 0; i < n; i++)
        tokenizer_stream_push(s, ids[i], out);
    tokenizer_stream_finish(s, out);
    tokenizer_stream_free(s);
    if (!out->failed)
        return 0;
    out->len = had;
    return error_set_nomem(err, n, "the text of some tokens");
}

/* --- what it is --- */

const char *tokenizer_token(const struct tokenizer *tok, int32_t id, size_t *n)
{
    const struct vocab_entry *e = vocab_at(&tok->vocab, id);
    if (e && n)
        *n = e->n;
    return e ? e->text : NULL;
}

int32_t tokenizer_id(const struct tokenizer *tok, const char *token, size_t n)
{
    return vocab_find(&tok->vocab, token, n);
}

int32_t tokenizer_size(const struct tokenizer *tok)
{
    return tok->vocab.size;
}

int tokenizer_is_special(const struct tokenizer *tok, int32_t id)
{
    const struct vocab_entry *e = vocab_at(&tok->vocab, id);
    return e && e->flags & VOCAB_SPECIAL;
}

const int32_t *tokenizer_special_ids(const struct tokenizer *tok, size_t *n)
{
    *n = tok->n_special;
    return tok->special;
}

const struct tokenizer_info *tokenizer_info(const struct tokenizer *tok)
{
    return &tok->info;
}
