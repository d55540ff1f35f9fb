/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers rewrite a whole piece of text before it is cut into words. Each reads *text, writes *spare and swaps the
 * two. */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/old_classes.h"
#include "text/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const struct {
    const char *name;
    enum normalizer_kind kind;
    int form;
} kinds[] = {
    {"NFC", NORMALIZE_UNICODE, UTF8PROC_COMPOSE},
    {"NFD", NORMALIZE_UNICODE, UTF8PROC_DECOMPOSE},
    {"NFKC", NORMALIZE_UNICODE, UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", NORMALIZE_UNICODE, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    {"Prepend", NORMALIZE_PREPEND, 0},
    {"Replace", NORMALIZE_REPLACE, 0},
    {"Lowercase", NORMALIZE_LOWERCASE, 0},
    {"Strip", NORMALIZE_STRIP, 0},
    {"StripAccents", NORMALIZE_STRIP_ACCENTS, 0},
    {"BertNormalizer", NORMALIZE_BERT, 0},
    {"ByteLevel", NORMALIZE_BYTE_LEVEL, 0},
    {"Precompiled", NORMALIZE_PRECOMPILED, 0},
    {"Nmt", NORMALIZE_NMT, 0},
    {"Sequence", NORMALIZE_SEQUENCE, 0},
};

static int read_sequence(struct reader *r, const json_t *o, struct normalizer *out)
{
    const json_t *list = json_object_get(o, "normalizers");
    if (!json_is_array(list))
        return reader_fail(r, "normalizer Sequence: wanted an array \"normalizers\"");
    if (++r->depth > PARTS_MAX_DEPTH)
        return reader_fail(r, "normalizer: more than %d Sequences inside each other", PARTS_MAX_DEPTH);
    out->n_child = json_array_size(list);
    out->child = arena_alloc(r->arena, (out->n_child + 1) * sizeof *out->child);
    if (!out->child)
        return reader_nomem(r);
    int rc = 0;
    for (size_t i = 0; i < out->n_child && !rc; i++)
        rc = normalizer_read(r, json_array_get(list, i), out->child + i);
    r->depth--;
    return rc;
}

static int read_bert(struct reader *r, const json_t *o, struct normalizer *out)
{
    const struct component c = {o, "normalizer BertNormalizer"};
    int rc = reader_flag(r, &c, "clean_text", 1, &out->clean);
    if (!rc)
        rc = reader_flag(r, &c, "handle_chinese_chars", 1, &out->chinese);
    if (!rc)
        rc = reader_flag(r, &c, "lowercase", 1, &out->lowercase);
    if (!rc)
        rc = reader_flag(r, &c, "strip_accents", out->lowercase, &out->accents);
    return rc;
}

int normalizer_read(struct reader *r, const json_t *o, struct normalizer *out)
{
    const char *type;
    int rc = reader_type(r, o, "normalizer", &type);
    if (rc)
        return rc;
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    while (i < n && strcmp(type, kinds[i].name))
        i++;
    if (i == n)
        return reader_fail(r, "normalizer: type \"%s\" is not supported", type);
    out->kind = kinds[i].kind;
    out->form = kinds[i].form;
    char name[64];
    snprintf(name, sizeof name, "normalizer %s", type);
    const struct component c = {o, name};
    switch (out->kind) {
    case NORMALIZE_SEQUENCE: return read_sequence(r, o, out);
    case NORMALIZE_PREPEND: return reader_text(r, &c, "prepend", NULL, &out->text, &out->n_text);
    case NORMALIZE_REPLACE:
        rc = reader_pattern(r, &c, "pattern", &out->pattern);
        return rc ? rc : reader_text(r, &c, "content", NULL, &out->text, &out->n_text);
    case NORMALIZE_STRIP:
        rc = reader_flag(r, &c, "strip_left", 1, &out->left);
        return rc ? rc : reader_flag(r, &c, "strip_right", 1, &out->right);
    case NORMALIZE_BERT: return read_bert(r, o, out);
    case NORMALIZE_PRECOMPILED: return normalizer_read_map(r, o, &out->map);
    default: return 0;
    }
}

/* No form changes ASCII, and NFC nothing before the first combining mark, U+0300 (0xcc in UTF-8). */
static int stays_as_it_is(int form, const char *text, size_t n)
{
    unsigned char least = form == UTF8PROC_COMPOSE ? 0xcc : 0x80;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= least)
            return 0;
    return 1;
}

static int form_of_run(int form, const char *text, size_t n, struct buf *out, struct error *err)
{
    utf8proc_uint8_t *result = NULL;
    if (stays_as_it_is(form, text, n)) {
        buf_append(out, text, n);
        return 0;
    }
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &result,
                                         (utf8proc_option_t)(form | UTF8PROC_STABLE));
    if (size < 0)
        return error_set(err, size == UTF8PROC_ERROR_NOMEM ? ERROR_NOMEM : ERROR_DATA,
                         "Unicode normalization failed: %s", utf8proc_errmsg(size));
    buf_append(out, result, (size_t)size);
    free(result);
    return 0;
}

/* The tokenizers library's forms are of Unicode 10: what is newer stands between the runs that are brought into a form.
 */
static int unicode_form(int form, const struct buf *text, struct buf *out, struct error *err)
{
    size_t from = 0;
    uint32_t cp;
    int rc = 0;
    for (size_t at = 0, k; at < text->len && !rc; at += k) {
        k = utf8_decode(text->data + at, text->len - at, &cp);
        if (!k)
            break;
        if (!old_is_plain(cp))
            continue;
        rc = form_of_run(form, text->data + from, at - from, out, err);
        buf_append(out, text->data + at, k);
        from = at + k;
    }
    return rc ? rc : form_of_run(form, text->data + from, text->len - from, out, err);
}

static int too_long(size_t most, struct error *err)
{
    return error_set(err, ERROR_DATA, "the tokenizer's normalizer makes the text too long: it grows beyond %zu bytes",
                     most);
}

static int replace(const struct normalizer *z, const struct buf *text, struct buf *out, size_t most, struct error *err)
{
    struct regex_match *m = regex_match_new();
    if (!m)
        return error_set_nomem(err, sizeof(void *), "a match");
    struct regex_scan scan = {.re = z->pattern, .match = m, .text = text->data, .n = text->len};
    size_t from = 0, start, end;
    int found;
    while ((found = regex_next(&scan, &start, &end, err)) > 0 && out->len <= most) {
        buf_append(out, text->data + from, start - from);
        buf_append(out, z->text, z->n_text);
        from = end;
    }
    regex_match_free(m);
    if (found < 0)
        return found;
    buf_append(out, text->data + from, text->len - from);
    return 0;
}

/* Capitals that came with Unicode 16 and 17, which utf8proc 2.8 does not know, and what is added to them. */
static uint32_t new_lower(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
        int32_t add, step; /* every step-th of the range */
    } pairs[] = {{0x1c89, 0x1c89, 1, 1},      {0xa7cb, 0xa7cb, 0x264 - 0xa7cb, 1},
                 {0xa7cc, 0xa7ce, 1, 2},      {0xa7d2, 0xa7d4, 1, 2},
                 {0xa7da, 0xa7da, 1, 1},      {0xa7dc, 0xa7dc, 0x19b - 0xa7dc, 1},
                 {0x10d50, 0x10d65, 0x20, 1}, {0x16ea0, 0x16eb8, 0x1b, 1}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (cp >= pairs[i].first && cp <= pairs[i].last && (cp - pairs[i].first) % (uint32_t)pairs[i].step == 0)
            return (uint32_t)((int32_t)cp + pairs[i].add);
    return cp;
}

/* Rust's char::to_lowercase: one character at a time, and only U+0130 becomes two. */
static void put_lower(struct buf *out, uint32_t cp)
{
    uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    if (cp == 0x130)
        buf_puts(out, "i\xcc\x87");
    else
        utf8_put(out, lower == cp && cp >= 0x1c89 ? new_lower(cp) : lower);
}

static void strip(const struct normalizer *z, const struct buf *text, struct buf *out)
{
    size_t from = 0, to = text->len, k;
    uint32_t cp;
    while (z->left && from < to && (k = utf8_decode(text->data + from, to - from, &cp)) && utf8_is_space(cp))
        from += k;
    while (z->right && to > from) {
        k = utf8_prev(text->data, to);
        if (!utf8_decode(text->data + to - k, k, &cp) || !utf8_is_space(cp))
            break;
        to -= k;
    }
    buf_append(out, text->data + from, to - from);
}

static int is_chinese(uint32_t c)
{
    /* The ranges of the tokenizers library (0x2B920 where BERT's Python has 0x2B820). */
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static void bert_characters(const struct normalizer *z, const struct buf *text, struct buf *out)
{
    uint32_t cp;
    for (size_t i = 0, k; i < text->len && (k = utf8_decode(text->data + i, text->len - i, &cp)); i += k) {
        if (z->clean) {
            int space = cp == '\t' || cp == '\n' || cp == '\r';
            if (!cp || cp == 0xfffd || (!space && old_is_other(cp)))
                continue;
            if (utf8_is_space(cp))
                cp = ' ';
        }
        int wide = z->chinese && is_chinese(cp);
        if (wide)
            buf_putc(out, ' ');
        utf8_put(out, cp);
        if (wide)
            buf_putc(out, ' ');
    }
}

/* Copies the characters that keep(cp) wants, lowered or not. */
static void filter_characters(const struct buf *text, struct buf *out, int (*drop)(uint32_t), int lower)
{
    uint32_t cp;
    for (size_t i = 0, k; i < text->len && (k = utf8_decode(text->data + i, text->len - i, &cp)); i += k) {
        if (drop && drop(cp))
            continue;
        if (lower)
            put_lower(out, cp);
        else
            buf_append(out, text->data + i, k);
    }
}

static void swap_texts(struct buf *a, struct buf *b)
{
    struct buf t = *a;
    *a = *b;
    *b = t;
    buf_reset(b);
}

static int normalize_bert(const struct normalizer *z, struct buf *text, struct buf *spare, struct error *err)
{
    bert_characters(z, text, spare);
    if (spare->failed)
        return 0; /* the caller sees it */
    swap_texts(text, spare);
    if (z->accents) {
        int rc = unicode_form(UTF8PROC_DECOMPOSE, text, spare, err);
        if (rc || spare->failed)
            return rc;
        swap_texts(text, spare);
    }
    filter_characters(text, spare, z->accents ? old_is_nonspacing : NULL, z->lowercase);
    return 0;
}

static int apply_within(const struct normalizer *z, struct buf *text, struct buf *spare, size_t most, struct error *err)
{
    int rc = 0;
    if (z->kind == NORMALIZE_SEQUENCE) {
        for (size_t i = 0; i < z->n_child && !rc; i++)
            rc = apply_within(z->child + i, text, spare, most, err);
        return rc;
    }
    if (!text->len)
        return 0;
    buf_reset(spare);
    switch (z->kind) {
    case NORMALIZE_UNICODE: rc = unicode_form(z->form, text, spare, err); break;
    case NORMALIZE_PREPEND:
        buf_append(spare, z->text, z->n_text);
        buf_append(spare, text->data, text->len);
        break;
    case NORMALIZE_REPLACE: rc = replace(z, text, spare, most, err); break;
    case NORMALIZE_LOWERCASE: filter_characters(text, spare, NULL, 1); break;
    case NORMALIZE_STRIP: strip(z, text, spare); break;
    case NORMALIZE_STRIP_ACCENTS: filter_characters(text, spare, old_is_mark, 0); break;
    case NORMALIZE_BERT: rc = normalize_bert(z, text, spare, err); break;
    case NORMALIZE_PRECOMPILED: normalizer_map(&z->map, text, spare); break;
    case NORMALIZE_NMT: normalizer_nmt(text, spare); break;
    default: byte_level_write(spare, text->data, text->len); break;
    }
    if (spare->failed)
        rc = error_set_nomem(err, text->len, "normalized text");
    if (!rc && spare->len > most)
        rc = too_long(most, err);
    if (!rc)
        swap_texts(text, spare);
    return rc;
}

int normalizer_apply(const struct normalizer *z, struct buf *text, struct buf *spare, struct error *err)
{
    size_t least = (size_t)1 << 20, greatest = UINT32_MAX / 4;
    size_t most = text->len > greatest / 64 ? greatest : text->len * 64;
    if (most < least)
        most = least;
    return apply_within(z, text, spare, most, err);
}
