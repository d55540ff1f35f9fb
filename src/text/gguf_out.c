/* SPDX-License-Identifier: Apache-2.0 */
/* llama.cpp has three tokenizers for the models here: byte-level BPE ("gpt2", with the name of one of its
 * pre-tokenizers), sentencepiece's BPE by scores ("llama") and WordPiece ("bert"). The pre-tokenizer is found by what
 * it does: of the known ones, the one that cuts a text of every kind of characters as this tokenizer does. Scores are
 * made from the merges' ranks: the better rank, the greater score. */
#include "text/gguf_out.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/jsontext.h"
#include "text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

struct gguf_out {
    const struct tokenizer *tok;
    const struct tokenizer_source *source;
    struct gguf_writer *w;
    struct arena arena;
    struct gguf_string *text; /* [n] */
    int32_t *type;
    size_t n;
    struct error *err;
};

static int nomem(const struct gguf_out *o)
{
    return error_set_nomem(o->err, o->n * sizeof *o->text, "a GGUF tokenizer");
}

static int refuse_tokenizer(const struct gguf_out *o, const char *what, const char *why)
{
    return error_set(o->err, ERROR_DATA, "%s: %s: %s, so the model cannot be written as GGUF with this tokenizer",
                     o->tok->info.source, what, why);
}

static struct gguf_string keep_text(struct gguf_out *o, const char *text)
{
    char *copy = arena_strdup(&o->arena, text);
    return (struct gguf_string){copy ? copy : "", copy ? strlen(copy) : 0};
}

static int32_t type_of(unsigned flags)
{
    if (flags & VOCAB_SPECIAL)
        return PIECE_CONTROL;
    return flags & VOCAB_ADDED ? PIECE_USER : PIECE_NORMAL;
}

/* The model's own piece; added tokens are special (control) or a user's; rows without a token are unused. */
static int take_tokens(struct gguf_out *o)
{
    const struct vocab *v = &o->tok->vocab;
    if (v->size > (int32_t)o->n)
        return error_set(o->err, ERROR_DATA, "%s: has ids up to %d, but the model %zu rows", o->tok->info.source,
                         (int)v->size - 1, o->n);
    o->text = arena_alloc(&o->arena, o->n * sizeof *o->text);
    o->type = arena_alloc(&o->arena, o->n * sizeof *o->type);
    if (!o->text || !o->type)
        return nomem(o);
    for (size_t i = 0; i < o->n; i++) {
        const struct vocab_entry *e = vocab_at(v, (int32_t)i);
        char name[32];
        snprintf(name, sizeof name, "[PAD%zu]", i);
        o->text[i] = e ? (struct gguf_string){e->text, e->n} : keep_text(o, name);
        o->type[i] = e ? type_of(e->flags) : PIECE_UNUSED;
    }
    return 0;
}

/* --- byte-level BPE --- */

static const char probe[] =
    "Hello  World, it's  12345 a1b2   \tdon't WE'LL I'M he'd\n\n  two\r\n lines\n  \xc3\xa9t\xc3\xa9 e\xcc\x81 "
    "\xce\xb1\xce\xb2\xce\xb3 \xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97 "
    "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87 "
    "\xd9\xa1\xd9\xa2\xd9\xa3 \xf0\x9f\x98\x80\xf0\x9f\x91\x8d "
    "$+<=>^~| a.b,c;d:e!f?g(h)[i]{j}'k'\"l\" x_y-z/0\\1 1,234.56 #tag @me 100% 7th \xc2\xbd \xe2\x85\xa3 "
    "\xe2\x80\x9cq\xe2\x80\x9d\xe2\x80\xa6 ...\n\t\t \xc2\xa0x\xe3\x80\x80y   ";

/* What words the text becomes; both NULL: none of the steps is there. */
static int cut(const struct normalizer *z, const struct pretokenizer *p, struct pieces *words, struct error *err)
{
    struct buf text = BUF_INIT, spare = BUF_INIT;
    struct pieces more = {0};
    buf_puts(&text, probe);
    int rc = z ? normalizer_apply(z, &text, &spare, err) : 0;
    pieces_reset(words);
    pieces_add(words, text.data ? text.data : "", text.len, -1, 1);
    if (!rc && p)
        rc = pretokenizer_apply(p, words, &more, err);
    if (!rc && (text.failed || pieces_failed(words)))
        rc = error_set_nomem(err, text.len, "a text's words");
    pieces_deinit(&more);
    buf_free(&text);
    buf_free(&spare);
    return rc;
}

static int same_pieces(const struct pieces *a, const struct pieces *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].n != b->v[i].n || memcmp(a->text.data + a->v[i].at, b->text.data + b->v[i].at, a->v[i].n))
            return 0;
    return 1;
}

/* 1: cuts as this tokenizer does. */
static int cuts_alike(struct gguf_out *o, const struct gguf_pre *pre, const struct pieces *ours, int *yes)
{
    struct regex_list regexes = {0};
    struct reader r = {.arena = &o->arena, .regexes = &regexes, .file = pre->name, .err = o->err};
    struct pretokenizer p;
    struct pieces theirs = {0};
    json_error_t why;
    json_t *json = jsontext_document(pre->json, strlen(pre->json), 0, &why), *nfc = json_pack("{s:s}", "type", "NFC");
    struct normalizer z;
    int rc = json && nfc ? pretokenizer_read(&r, json, &p) : nomem(o);
    if (!rc && pre->nfc)
        rc = normalizer_read(&r, nfc, &z);
    if (!rc)
        rc = cut(pre->nfc ? &z : NULL, &p, &theirs, o->err);
    *yes = !rc && same_pieces(ours, &theirs);
    pieces_deinit(&theirs);
    for (struct regex_list *item = regexes.next, *next; item; item = next) {
        next = item->next;
        regex_free(item->re);
        mem_free(item);
    }
    json_decref(json);
    json_decref(nfc);
    return rc;
}

static int find_pre(struct gguf_out *o, const char **name)
{
    const struct tokenizer *t = o->tok;
    size_t n;
    const struct gguf_pre *pres = source_gguf_pres(&n);
    struct pieces ours = {0};
    int rc =
        cut(t->has_normalizer ? &t->normalizer : NULL, t->has_pretokenizer ? &t->pretokenizer : NULL, &ours, o->err);
    *name = NULL;
    for (size_t i = 0; i < n && !rc && !*name; i++) {
        int yes = 0;
        if (pres[i].ignore_merges == t->bpe.ignore_merges)
            rc = cuts_alike(o, &pres[i], &ours, &yes);
        *name = yes ? pres[i].name : NULL;
    }
    pieces_deinit(&ours);
    return rc || *name
               ? rc
               : refuse_tokenizer(o, "pre_tokenizer and normalizer",
                                  "cut words as none of the pre-tokenizers that llama.cpp names and isara knows");
}

/* "left right", as both spellings of tokenizer.json have it. */
static int put_merges(struct gguf_out *o)
{
    const json_t *list = json_object_get(json_object_get(o->source->json, "model"), "merges");
    size_t n = json_array_size(list);
    struct gguf_string *line = arena_alloc(&o->arena, (n + 1) * sizeof *line);
    struct buf b = BUF_INIT;
    int rc = line ? 0 : nomem(o);
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *m = json_array_get(list, i);
        buf_reset(&b);
        if (json_is_string(m))
            buf_puts(&b, json_string_value(m));
        else
            buf_printf(&b, "%s %s", json_string_value(json_array_get(m, 0)), json_string_value(json_array_get(m, 1)));
        const char *space = b.data ? strchr(b.data, ' ') : NULL;
        if (!space || strchr(space + 1, ' '))
            rc = refuse_tokenizer(o, "merges", "one of them is not two pieces without spaces");
        else
            line[i] = keep_text(o, b.data);
    }
    if (!rc)
        gguf_put_strings(o->w, "tokenizer.ggml.merges", line, n);
    buf_free(&b);
    return rc;
}

static int put_bytes(struct gguf_out *o)
{
    const char *pre;
    int rc = find_pre(o, &pre);
    if (rc)
        return rc;
    if (*o->tok->bpe.prefix || *o->tok->bpe.suffix)
        return refuse_tokenizer(o, "model",
                                "continuing_subword_prefix and end_of_word_suffix have no counterpart in llama.cpp");
    gguf_put_string(o->w, "tokenizer.ggml.model", "gpt2");
    gguf_put_string(o->w, "tokenizer.ggml.pre", pre);
    gguf_put_strings(o->w, "tokenizer.ggml.tokens", o->text, o->n);
    gguf_put_ints(o->w, "tokenizer.ggml.token_type", o->type, o->n);
    return put_merges(o);
}

/* --- sentencepiece's BPE --- */

struct made { /* a token that merges make */
    int32_t id;
    uint32_t first, last; /* the ranks of its merges */
};

static int made_order(const void *a, const void *b)
{
    const struct made *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static size_t gather_made(const struct gguf_out *o, struct made *made)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++)
        made[i] = (struct made){(int32_t)i, UINT32_MAX, 0};
    for (size_t i = 0; i < o->tok->bpe.n_slot; i++) {
        const struct bpe_merge *m = &o->tok->bpe.merge[i];
        if (m->left < 0)
            continue;
        struct made *p = &made[m->id];
        p->first = m->rank < p->first ? m->rank : p->first;
        p->last = m->rank > p->last ? m->rank : p->last;
    }
    for (size_t i = 0; i < o->n; i++)
        if (made[i].first != UINT32_MAX &&
            o->type[i] == PIECE_NORMAL) /* added tokens are cut out before anything is merged */
            made[n++] = made[i];
    return n;
}

/* llama.cpp merges what has the greatest score first, whatever it is made of: that is the merges' order when those that
 * make one token stand together. Tokens of one rank tie. */
static int scores_of(struct gguf_out *o, float *score)
{
    struct made *made = mem_alloc(o->n * sizeof *made);
    if (!made)
        return nomem(o);
    size_t n = gather_made(o, made);
    qsort(made, n, sizeof *made, made_order);
    for (size_t i = 0; i < o->n; i++)
        score[i] = o->type[i] == PIECE_NORMAL ? -(float)(n + 1) : 0;
    float last = 0;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        if (i && made[i].first != made[i - 1].first)
            last = -(float)i;
        score[made[i].id] = last;
        if (i && made[i].first != made[i - 1].first && made[i - 1].last > made[i].first)
            rc = refuse_tokenizer(
                o, "merges",
                "those that make one token do not stand together, as they do in sentencepiece's order, by "
                "which llama.cpp merges");
    }
    mem_free(made);
    return rc;
}

/* Is a blank put before a text? -1: something else is done to it. */
static int prefix_of(const struct tokenizer *t)
{
    const struct normalizer *list = &t->normalizer;
    size_t n = t->has_normalizer;
    int prefix = 0;
    if (t->has_normalizer && t->normalizer.kind == NORMALIZE_SEQUENCE) {
        list = t->normalizer.child;
        n = t->normalizer.n_child;
    }
    for (size_t i = 0; i < n; i++) {
        int blank = list[i].n_text == 3 && !memcmp(list[i].text, "\xe2\x96\x81", 3);
        if (!blank || (list[i].kind != NORMALIZE_PREPEND && list[i].kind != NORMALIZE_REPLACE))
            return -1;
        prefix |= list[i].kind == NORMALIZE_PREPEND;
    }
    if (!t->has_pretokenizer)
        return prefix;
    const struct pretokenizer *p = &t->pretokenizer;
    if (p->kind == PRETOKENIZE_METASPACE && !p->split)
        return prefix || p->scheme != METASPACE_NEVER;
    return n && p->kind == PRETOKENIZE_REGEX && p->behavior == SPLIT_WITH_PREVIOUS
               ? prefix
               : -1; /* Gemma's split at blanks, of which the normalizer leaves none */
}

/* llama.cpp spells a character without a token in bytes, and needs a token for every byte. */
static int has_bytes(const struct tokenizer *t)
{
    for (int i = 0; i < 256; i++)
        if (!t->bpe.byte_fallback || t->bpe.byte_id[i] < 0)
            return 0;
    return 1;
}

static int is_byte(const struct gguf_string *s)
{
    return s->len == 6 && !memcmp(s->data, "<0x", 3) && s->data[5] == '>';
}

static int put_sentencepiece(struct gguf_out *o)
{
    const struct tokenizer *t = o->tok;
    int prefix = prefix_of(t);
    float *score = arena_alloc(&o->arena, o->n * sizeof *score);
    if (prefix < 0 || t->bpe.ignore_merges || *t->bpe.prefix || *t->bpe.suffix)
        return refuse_tokenizer(
            o, "normalizer, pre_tokenizer or model",
            "does more to a text than llama.cpp's sentencepiece tokenizer, which only writes blanks as \xe2\x96\x81");
    if (!has_bytes(t))
        return refuse_tokenizer(
            o, "model",
            "byte_fallback with a token for each of the 256 bytes is how llama.cpp spells what has no token, "
            "and this vocabulary lacks it");
    if (!score)
        return nomem(o);
    if (prefix && t->has_pretokenizer && t->pretokenizer.kind == PRETOKENIZE_METASPACE)
        log_line(
            LOG_WARNING,
            "%s: llama.cpp puts a blank before every text, this tokenizer none before one that begins with a blank",
            t->info.source);
    for (size_t i = 0; i < o->n; i++) {
        if (is_byte(&o->text[i]) && t->bpe.byte_fallback)
            o->type[i] = PIECE_BYTE;
        else if ((int32_t)i == t->info.unk)
            o->type[i] = PIECE_UNKNOWN;
    }
    int rc = scores_of(o, score);
    if (rc)
        return rc;
    gguf_put_string(o->w, "tokenizer.ggml.model", "llama");
    gguf_put_string(o->w, "tokenizer.ggml.pre", "default");
    gguf_put_strings(o->w, "tokenizer.ggml.tokens", o->text, o->n);
    gguf_put_floats(o->w, "tokenizer.ggml.scores", score, o->n);
    gguf_put_ints(o->w, "tokenizer.ggml.token_type", o->type, o->n);
    gguf_put_bool(o->w, "tokenizer.ggml.add_space_prefix", prefix);
    return 0;
}

/* --- WordPiece --- */

static int put_wordpiece(struct gguf_out *o)
{
    const struct normalizer *z = &o->tok->normalizer;
    struct buf b = BUF_INIT;
    if (!o->tok->has_normalizer || z->kind != NORMALIZE_BERT || !z->clean || !z->chinese ||
        strcmp(o->tok->wordpiece.prefix, "##"))
        return refuse_tokenizer(o, "normalizer",
                                "is not BertNormalizer, which is what llama.cpp does before WordPiece");
    gguf_put_bool(o->w, "tokenizer.ggml.normalizer.lowercase", z->lowercase);
    gguf_put_bool(o->w, "tokenizer.ggml.normalizer.strip_accents", z->accents);
    for (size_t i = 0; i < o->n; i++) {
        if (o->type[i] != PIECE_NORMAL)
            continue;
        int inside = o->text[i].len >= 2 && !memcmp(o->text[i].data, "##", 2);
        buf_reset(&b);
        if (!inside)
            buf_puts(&b, "\xe2\x96\x81");
        buf_append(&b, o->text[i].data + 2 * inside, o->text[i].len - 2 * (size_t)inside);
        o->text[i] = keep_text(o, b.data ? b.data : "");
    }
    buf_free(&b);
    gguf_put_string(o->w, "tokenizer.ggml.model", "bert");
    gguf_put_string(o->w, "tokenizer.ggml.pre", "default");
    gguf_put_strings(o->w, "tokenizer.ggml.tokens", o->text, o->n);
    gguf_put_ints(o->w, "tokenizer.ggml.token_type", o->type, o->n);
    return 0;
}

/* --- what stands around --- */

static void put_id(struct gguf_out *o, const char *key, int32_t id)
{
    if (id >= 0 && (size_t)id < o->n)
        gguf_put_u32(o->w, key, (uint32_t)id);
}

static int32_t named_id(const struct tokenizer *t, const char *name)
{
    for (int i = 0; i < t->info.n_named; i++)
        if (!strcmp(t->info.named[i].name, name))
            return tokenizer_id(t, t->info.named[i].text, t->info.named[i].n);
    return -1;
}

/* 1, 0, or -1: something else is put there. */
static int puts_only(const int32_t *ids, size_t n, int32_t id)
{
    if (!n)
        return 0;
    return n == 1 && ids[0] == id ? 1 : -1;
}

static int put_specials(struct gguf_out *o)
{
    const struct tokenizer_info *i = &o->tok->info;
    const struct around *a = &o->tok->around;
    int pieces = o->tok->model == MODEL_WORDPIECE;
    int32_t cls = named_id(o->tok, "cls_token"), sep = named_id(o->tok, "sep_token");
    int32_t bos = i->bos >= 0 || !pieces ? i->bos : cls, eos = i->eos >= 0 || !pieces ? i->eos : sep;
    bos = bos < 0 && a->n_before == 1 ? a->before[0] : bos; /* a tokenizer.json alone names none */
    eos = eos < 0 && a->n_after == 1 ? a->after[0] : eos;
    int first = puts_only(a->before, a->n_before, bos), last = puts_only(a->after, a->n_after, eos);
    if (first < 0 || last < 0)
        return refuse_tokenizer(o, "post_processor", "puts other tokens around a text than its BOS and EOS");
    put_id(o, "tokenizer.ggml.bos_token_id", bos);
    put_id(o, "tokenizer.ggml.eos_token_id", eos);
    put_id(o, "tokenizer.ggml.unknown_token_id", i->unk);
    put_id(o, "tokenizer.ggml.padding_token_id", i->pad);
    put_id(o, "tokenizer.ggml.cls_token_id", cls);
    put_id(o, "tokenizer.ggml.seperator_token_id", sep); /* llama.cpp's spelling */
    put_id(o, "tokenizer.ggml.mask_token_id", named_id(o->tok, "mask_token"));
    gguf_put_bool(o->w, "tokenizer.ggml.add_bos_token", first);
    gguf_put_bool(o->w, "tokenizer.ggml.add_eos_token", last);
    return 0;
}

static void put_templates(struct gguf_out *o)
{
    const struct tokenizer_info *i = &o->tok->info;
    struct gguf_string *names = arena_alloc(&o->arena, ((size_t)i->n_template + 1) * sizeof *names);
    size_t n = 0;
    if (i->chat_template)
        gguf_put_string(o->w, "tokenizer.chat_template", i->chat_template);
    for (int k = 0; k < i->n_template && names; k++) {
        char key[200];
        if (!strcmp(i->templates[k].name, "default"))
            continue;
        snprintf(key, sizeof key, "tokenizer.chat_template.%.100s", i->templates[k].name);
        gguf_put_string(o->w, key, i->templates[k].text);
        names[n++] = (struct gguf_string){i->templates[k].name, strlen(i->templates[k].name)};
    }
    if (n)
        gguf_put_strings(o->w, "tokenizer.chat_templates", names, n);
}

static int put_all(struct gguf_out *o)
{
    const struct tokenizer *t = o->tok;
    int bytes = t->n_decoder && t->decoder[0].kind == DECODE_BYTE_LEVEL;
    if (t->model == MODEL_UNIGRAM || t->model == MODEL_WORD_LEVEL)
        return refuse_tokenizer(
            o, "model", "is Unigram or WordLevel, for which the architectures here have no tokenizer in llama.cpp");
    int rc = take_tokens(o);
    if (!rc && t->model == MODEL_WORDPIECE)
        rc = put_wordpiece(o);
    else if (!rc)
        rc = bytes ? put_bytes(o) : put_sentencepiece(o);
    if (rc)
        return rc;
    rc = put_specials(o);
    if (!rc)
        put_templates(o);
    return rc;
}

int tokenizer_to_gguf(const struct tokenizer *tok, int n_vocab, struct gguf_writer *w, struct error *err)
{
    struct tokenizer_source s = {0};
    struct gguf_out o = {.tok = tok, .source = &s, .w = w, .n = (size_t)n_vocab, .err = err};
    int rc = tokenizer_source_load(&s, tok->info.source, err);
    if (!rc)
        rc = put_all(&o);
    tokenizer_source_free(&s);
    arena_free(&o.arena);
    return rc;
}
