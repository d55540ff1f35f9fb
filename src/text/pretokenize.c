/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers cut pieces into words. All cutting is one act: a matcher (a regex or a class of characters) marks
 * stretches of the piece as match or gap, and a behaviour says which stretches become words. */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/old_classes.h"
#include "text/parts.h"

#include <string.h>

/* GPT-2's pattern (openai/gpt-2, encoder.py), with its branches in that order. */
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static int read_behavior(struct reader *r, const struct component *c, enum split_behavior otherwise,
                         enum split_behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name;
    *out = otherwise;
    int rc = reader_text(r, c, "behavior", names[otherwise], &name, NULL);
    if (rc)
        return rc;
    for (int i = 0; i < 5; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum split_behavior)i;
            return 0;
        }
    return reader_fail(
        r, "%s: behavior \"%s\" is not one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
        c->name, name);
}

int metaspace_read(struct reader *r, const struct component *c, const char **replacement, enum metaspace_scheme *scheme,
                   int *split)
{
    const char *name;
    int prefix, rc = reader_text(r, c, "replacement", "\xe2\x96\x81", replacement, NULL);
    if (!rc && utf8_count(*replacement, strlen(*replacement)) != 1)
        rc = reader_fail(r, "%s: replacement: wanted one character, found \"%s\"", c->name, *replacement);
    if (!rc)
        rc = reader_flag(r, c, "add_prefix_space", 1, &prefix); /* what files had before prepend_scheme */
    if (!rc)
        rc = reader_text(r, c, "prepend_scheme", prefix ? "always" : "never", &name, NULL);
    if (!rc)
        rc = reader_flag(r, c, "split", 1, split);
    if (rc)
        return rc;
    *scheme = !strcmp(name, "first") ? METASPACE_FIRST : METASPACE_NEVER;
    if (!strcmp(name, "always"))
        *scheme = METASPACE_ALWAYS;
    if (*scheme == METASPACE_NEVER && strcmp(name, "never"))
        return reader_fail(r, "%s: prepend_scheme \"%s\" is not one of always, first, never", c->name, name);
    return 0;
}

static int read_class(struct reader *r, const json_t *o, const char *type, struct pretokenizer *out)
{
    int individual;
    out->kind = PRETOKENIZE_CLASS;
    if (!strcmp(type, "Digits")) {
        out->is_match = utf8_is_numeric;
        int rc = reader_flag(r, &(struct component){o, "pre_tokenizer Digits"}, "individual_digits", 0, &individual);
        out->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
        return rc;
    }
    if (!strcmp(type, "Punctuation")) {
        out->is_match = old_is_punctuation;
        return read_behavior(r, &(struct component){o, "pre_tokenizer Punctuation"}, SPLIT_ISOLATED, &out->behavior);
    }
    out->is_match = utf8_is_space;
    out->behavior = SPLIT_REMOVED;
    return 0;
}

static int read_sequence(struct reader *r, const json_t *o, struct pretokenizer *out)
{
    const json_t *list = json_object_get(o, "pretokenizers");
    if (!json_is_array(list))
        return reader_fail(r, "pre_tokenizer Sequence: wanted an array \"pretokenizers\"");
    if (++r->depth > PARTS_MAX_DEPTH)
        return reader_fail(r, "pre_tokenizer: more than %d Sequences inside each other", PARTS_MAX_DEPTH);
    out->kind = PRETOKENIZE_SEQUENCE;
    out->n_child = json_array_size(list);
    out->child = arena_alloc(r->arena, (out->n_child + 1) * sizeof *out->child);
    if (!out->child)
        return reader_nomem(r);
    int rc = 0;
    for (size_t i = 0; i < out->n_child && !rc; i++)
        rc = pretokenizer_read(r, json_array_get(list, i), out->child + i);
    r->depth--;
    return rc;
}

/* BERT's: white space goes, then every punctuation character stands alone. */
static int make_bert(struct reader *r, struct pretokenizer *out)
{
    out->kind = PRETOKENIZE_SEQUENCE;
    out->n_child = 2;
    out->child = arena_alloc(r->arena, 2 * sizeof *out->child);
    if (!out->child)
        return reader_nomem(r);
    out->child[0] =
        (struct pretokenizer){.kind = PRETOKENIZE_CLASS, .is_match = utf8_is_space, .behavior = SPLIT_REMOVED};
    out->child[1] =
        (struct pretokenizer){.kind = PRETOKENIZE_CLASS, .is_match = old_is_punctuation, .behavior = SPLIT_ISOLATED};
    return 0;
}

static int read_byte_level(struct reader *r, const json_t *o, struct pretokenizer *out)
{
    const struct component c = {o, "pre_tokenizer ByteLevel"};
    int use_regex, rc = reader_flag(r, &c, "add_prefix_space", 1, &out->prefix_space);
    out->kind = PRETOKENIZE_BYTE_LEVEL;
    if (!rc)
        rc = reader_flag(r, &c, "use_regex", 1, &use_regex);
    if (!rc && use_regex)
        rc = reader_regex(r, c.name, GPT2_PATTERN, strlen(GPT2_PATTERN), 0, &out->pattern);
    return rc;
}

static int read_split(struct reader *r, const json_t *o, struct pretokenizer *out)
{
    const struct component c = {o, "pre_tokenizer Split"};
    out->kind = PRETOKENIZE_REGEX;
    int rc = reader_pattern(r, &c, "pattern", &out->pattern);
    if (!rc && !json_object_get(o, "behavior"))
        rc = reader_fail(r, "%s: behavior is missing", c.name);
    if (!rc)
        rc = read_behavior(r, &c, SPLIT_ISOLATED, &out->behavior);
    return rc ? rc : reader_flag(r, &c, "invert", 0, &out->invert);
}

int pretokenizer_read(struct reader *r, const json_t *o, struct pretokenizer *out)
{
    const char *type;
    int rc = reader_type(r, o, "pre_tokenizer", &type);
    if (rc)
        return rc;
    if (!strcmp(type, "Sequence"))
        return read_sequence(r, o, out);
    if (!strcmp(type, "ByteLevel"))
        return read_byte_level(r, o, out);
    if (!strcmp(type, "Split"))
        return read_split(r, o, out);
    if (!strcmp(type, "Digits") || !strcmp(type, "Punctuation") || !strcmp(type, "WhitespaceSplit"))
        return read_class(r, o, type, out);
    if (!strcmp(type, "BertPreTokenizer"))
        return make_bert(r, out);
    if (!strcmp(type, "Metaspace")) {
        out->kind = PRETOKENIZE_METASPACE;
        return metaspace_read(r, &(struct component){o, "pre_tokenizer Metaspace"}, &out->replacement, &out->scheme,
                              &out->split);
    }
    if (!strcmp(type, "FixedLength")) {
        out->kind = PRETOKENIZE_FIXED;
        rc = reader_count(r, &(struct component){o, "pre_tokenizer FixedLength"}, "length", 5, &out->length);
        return rc || out->length ? rc : reader_fail(r, "pre_tokenizer FixedLength: length: wanted at least 1, found 0");
    }
    if (!strcmp(type, "Whitespace")) {
        *out = (struct pretokenizer){.kind = PRETOKENIZE_WORDS, .behavior = SPLIT_REMOVED};
        return 0;
    }
    if (!strcmp(type, "CharDelimiterSplit")) {
        const char *delimiter;
        size_t n;
        *out = (struct pretokenizer){.kind = PRETOKENIZE_REGEX, .behavior = SPLIT_REMOVED};
        const struct component c = {o, "pre_tokenizer CharDelimiterSplit"};
        rc = reader_text(r, &c, "delimiter", NULL, &delimiter, &n);
        return rc ? rc : reader_regex(r, c.name, delimiter, n, 1, &out->pattern);
    }
    return reader_fail(r, "pre_tokenizer: type \"%s\" is not supported", type);
}

/* --- cutting --- */

/* What cutting needs beside the piece. */
struct cutting {
    struct pieces *out;
    struct buf word;
    struct regex_match *match;
    struct error *err;
};

/* Stretches arrive in order; a word is [from, to) and grows until the behaviour says it is done. */
struct cutter {
    struct pieces *out;
    const char *text;
    enum split_behavior behavior;
    size_t from, to;
    int open, match_before; /* open: there is a word under way; match_before: the last stretch was a match */
    int at_start;
};

static void close_word(struct cutter *c)
{
    if (!c->open)
        return;
    pieces_add(c->out, c->text + c->from, c->to - c->from, -1, c->at_start && !c->from);
    c->open = 0;
}

static void stretch(struct cutter *c, size_t start, size_t end, int match)
{
    int joins = 0;
    switch (c->behavior) {
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED: break;
    case SPLIT_CONTIGUOUS: joins = match == c->match_before; break;
    case SPLIT_WITH_PREVIOUS: joins = match && !c->match_before; break;
    case SPLIT_WITH_NEXT: joins = !match && c->match_before; break;
    }
    if (!joins || !c->open) {
        close_word(c);
        c->from = start;
        c->open = c->behavior != SPLIT_REMOVED || !match;
    }
    c->to = end;
    c->match_before = match;
}

static int cut_by_regex(const struct pretokenizer *z, struct cutter *c, size_t n, const struct cutting *work)
{
    struct regex_scan scan = {.re = z->pattern, .match = work->match, .text = c->text, .n = n};
    size_t prev = 0, start, end;
    int found;
    while ((found = regex_next(&scan, &start, &end, work->err)) > 0) {
        if (prev != start)
            stretch(c, prev, start, z->invert);
        stretch(c, start, end, !z->invert);
        prev = end;
    }
    if (!found && prev != n)
        stretch(c, prev, n, z->invert);
    return found;
}

static void cut_by_class(const struct pretokenizer *z, struct cutter *c, size_t n)
{
    size_t from = 0, k;
    uint32_t cp;
    for (size_t at = 0; at < n && (k = utf8_decode(c->text + at, n - at, &cp)); at += k) {
        if (!z->is_match(cp))
            continue;
        if (at != from)
            stretch(c, from, at, z->invert);
        stretch(c, at, at + k, !z->invert);
        from = at + k;
    }
    if (from != n)
        stretch(c, from, n, z->invert);
}

/* \w+|[^\w\s]+ as Rust's regex crate has them; white space goes. */
static void cut_by_words(struct cutter *c, size_t n)
{
    enum { WORD, SPACE, OTHER } now, before = SPACE;
    size_t from = 0, k;
    uint32_t cp;
    for (size_t at = 0; at < n && (k = utf8_decode(c->text + at, n - at, &cp)); at += k) {
        now = utf8_is_space(cp) ? SPACE : OTHER;
        if (utf8_is_word(cp))
            now = WORD;
        if (now != before) {
            if (at != from)
                stretch(c, from, at, before == SPACE);
            from = at;
        }
        before = now;
    }
    if (from != n)
        stretch(c, from, n, before == SPACE);
}

static void cut_by_length(const struct pretokenizer *z, struct cutter *c, size_t n)
{
    size_t from = 0, k;
    uint32_t cp;
    long count = 0;
    for (size_t at = 0; at < n && (k = utf8_decode(c->text + at, n - at, &cp)); at += k)
        if (++count == z->length) {
            stretch(c, from, at + k, 1);
            from = at + k;
            count = 0;
        }
    if (from != n)
        stretch(c, from, n, 1);
}

static int cut(const struct pretokenizer *z, const struct piece *p, const char *text, const struct cutting *work)
{
    struct cutter c = {.out = work->out,
                       .text = text,
                       .behavior = z->kind == PRETOKENIZE_FIXED ? SPLIT_ISOLATED : z->behavior,
                       .at_start = p->at_start};
    int rc = 0;
    if (z->pattern)
        rc = cut_by_regex(z, &c, p->n, work);
    else if (z->kind == PRETOKENIZE_WORDS)
        cut_by_words(&c, p->n);
    else if (z->kind == PRETOKENIZE_FIXED)
        cut_by_length(z, &c, p->n);
    else
        cut_by_class(z, &c, p->n);
    close_word(&c);
    return rc;
}

/* Spaces become the mark, the text gets one in front, and words begin at marks. */
static void metaspace(const struct pretokenizer *z, const struct piece *p, const char *text, struct cutting *work)
{
    struct buf *word = &work->word;
    size_t k = strlen(z->replacement);
    int marked = p->n >= k && !memcmp(text, z->replacement, k);
    buf_reset(word);
    if (text[0] != ' ' && !marked && (z->scheme == METASPACE_ALWAYS || (z->scheme == METASPACE_FIRST && p->at_start)))
        buf_puts(word, z->replacement);
    for (size_t i = 0; i < p->n; i++)
        if (text[i] == ' ')
            buf_puts(word, z->replacement);
        else
            buf_putc(word, text[i]);
    size_t from = 0;
    for (size_t i = 1; z->split && i + k <= word->len; i++)
        if (!memcmp(word->data + i, z->replacement, k)) {
            pieces_add(work->out, word->data + from, i - from, -1, p->at_start && !from);
            from = i;
            i += k - 1;
        }
    pieces_add(work->out, word->data ? word->data + from : "", word->len - from, -1, p->at_start && !from);
}

/* Spells words first.. in the byte-level alphabet, in place of their bytes. */
static void spell(struct pieces *out, size_t first, struct buf *word)
{
    buf_reset(word);
    for (size_t i = first; i < out->n; i++) {
        struct piece *w = out->v + i;
        size_t at = word->len;
        byte_level_write(word, out->text.data + w->at, w->n);
        w->n = word->len - at;
    }
    size_t at = first < out->n ? out->v[first].at : out->text.len;
    out->text.len = at;
    buf_append(&out->text, word->data, word->len);
    for (size_t i = first; i < out->n; i++) {
        out->v[i].at = at;
        at += out->v[i].n;
    }
}

static int byte_level(const struct pretokenizer *z, const struct piece *p, const char *text, struct cutting *work)
{
    struct pieces *out = work->out;
    struct buf *word = &work->word;
    struct piece whole = *p;
    buf_reset(word);
    if (z->prefix_space && text[0] != ' ')
        buf_putc(word, ' ');
    buf_append(word, text, p->n);
    whole.n = word->len;
    size_t first = out->n;
    int rc = 0;
    if (word->failed)
        return 0;
    if (z->pattern)
        rc = cut(&(struct pretokenizer){.pattern = z->pattern, .behavior = SPLIT_ISOLATED}, &whole, word->data, work);
    else
        pieces_add(out, word->data, word->len, -1, p->at_start);
    if (!rc && !pieces_failed(out))
        spell(out, first, word);
    return rc;
}

static void exchange_pieces(struct pieces *a, struct pieces *b)
{
    struct pieces t = *a;
    *a = *b;
    *b = t;
}

int pretokenizer_apply(const struct pretokenizer *z, struct pieces *in, struct pieces *out, struct error *err)
{
    int rc = 0;
    if (z->kind == PRETOKENIZE_SEQUENCE) {
        for (size_t i = 0; i < z->n_child && !rc; i++)
            rc = pretokenizer_apply(z->child + i, in, out, err);
        return rc;
    }
    struct cutting work = {.out = out, .word = BUF_INIT, .match = regex_match_new(), .err = err};
    if (!work.match)
        return error_set_nomem(err, sizeof(void *), "a match");
    pieces_reset(out);
    for (size_t i = 0; i < in->n && !rc; i++) {
        const struct piece *p = in->v + i;
        const char *text = in->text.data + p->at;
        if (p->id >= 0)
            pieces_add(out, text, p->n, p->id, p->at_start);
        else if (z->kind == PRETOKENIZE_METASPACE)
            metaspace(z, p, text, &work);
        else if (z->kind == PRETOKENIZE_BYTE_LEVEL)
            rc = byte_level(z, p, text, &work);
        else
            rc = cut(z, p, text, &work);
        if (!rc && (work.word.failed || pieces_failed(out)))
            rc = error_set_nomem(err, in->text.len, "the words of a text");
    }
    buf_free(&work.word);
    regex_match_free(work.match);
    exchange_pieces(in, out);
    return rc;
}
