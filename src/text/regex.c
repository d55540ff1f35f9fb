/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile pattern may backtrack without end: Oniguruma's own limit of retries for one match is the tokenizers
 * library's too (which panics), a second one bounds a search over many positions, and the stack for what is still to be
 * tried is bounded. */
#include "text/regex.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <oniguruma.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRIES_IN_MATCH = 10000000,   /* Oniguruma's default */
    RETRIES_IN_SEARCH = 100000000, /* about a second or two */
    STACK_ENTRIES = 1 << 24        /* a run of so many characters can be matched; about 700 MB */
};

struct regex {
    regex_t *code;
    char *literal; /* instead of code */
    size_t n_literal;
    regex_known known; /* instead of code */
};
struct regex_match {
    OnigRegion *region;
    OnigMatchParam *limits;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t compiling = PTHREAD_MUTEX_INITIALIZER; /* onig_new is not for several threads at once */

static void initialise_onig(void)
{
    OnigEncoding utf8 = ONIG_ENCODING_UTF8;
    onig_initialize(&utf8, 1);
    regex_known_prepare();
}

static int fail_onig(int code, OnigErrorInfo *info, const char *what, struct error *err)
{
    OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
    onig_error_code_to_str(why, code, info);
    return error_set(err, code == ONIGERR_MEMORY ? ERROR_NOMEM : ERROR_DATA, "%s: %s", what, (char *)why);
}

/* --- patterns as a newer Oniguruma reads them, which the tokenizers library links --- */

/* [:punct:] has symbols too since Oniguruma 6.9.9. */
static size_t say_punct(const char *s, size_t n, struct buf *out)
{
    static const char *const brackets[][2] = {{"[:punct:]", "[\\p{P}\\p{S}]"}, {"[:^punct:]", "[^\\p{P}\\p{S}]"}};
    for (int k = 0; k < 2; k++) {
        size_t length = strlen(brackets[k][0]);
        if (n < length || memcmp(s, brackets[k][0], length))
            continue;
        buf_puts(out, brackets[k][1]);
        return length;
    }
    return 0;
}

/* Appends the ranges of a category ("L", "Lu") that this Oniguruma may not have. */
static void put_new(const char *category, size_t n, struct buf *out)
{
    struct utf8_new r;
    for (size_t i = 0; utf8_new_at(i, &r); i++)
        if (!memcmp(r.category, category, n))
            buf_printf(out, "\\x{%X}-\\x{%X}", (unsigned)r.first, (unsigned)r.last);
}

/* \p{L}, \P{L} or \p{^L} of a category, in s[0..n): the same with the newer characters. In a class they stand before
 * it, so that what follows reads as it did; after a hyphen nothing is added. */
static size_t say_property(const char *s, size_t n, int depth, struct buf *out)
{
    if (n < 5 || s[0] != '\\' || (s[1] != 'p' && s[1] != 'P') || s[2] != '{')
        return 0;
    int negated = s[3] == '^';
    const char *name = s + 3 + negated, *end = memchr(s, '}', n);
    size_t length = end ? (size_t)(end - name) : 0;
    if (!end || end <= name || length > 2 || !memchr("LMNPSZ", name[0], 6) ||
        (depth && out->len && out->data[out->len - 1] == '-'))
        return 0;
    negated ^= s[1] == 'P';
    if (negated || !depth)
        buf_puts(out, negated ? "[^" : "[");
    put_new(name, length, out);
    buf_printf(out, "\\p{%.*s}", (int)length, name);
    if (negated || !depth)
        buf_putc(out, ']');
    return (size_t)(end - s) + 1;
}

static void say_classes(const char *pattern, size_t n, struct buf *out)
{
    int depth = 0; /* of classes */
    for (size_t i = 0, k; i < n; i += k) {
        k = depth ? say_punct(pattern + i, n - i, out) : 0;
        if (!k)
            k = say_property(pattern + i, n - i, depth, out);
        if (k)
            continue;
        k = pattern[i] == '\\' && i + 1 < n ? 2 : 1;
        if (k == 1 && pattern[i] == '[')
            depth++;
        if (k == 1 && pattern[i] == ']' && depth)
            depth--;
        buf_append(out, pattern + i, k);
    }
}

static int compile_pattern(regex_t **code, const char *pattern, size_t n, struct error *err)
{
    OnigErrorInfo info;
    struct buf text = BUF_INIT;
    say_classes(pattern, n, &text);
    if (text.failed) {
        buf_free(&text);
        return error_set_nomem(err, n, "a pattern");
    }
    const OnigUChar *begin = (const OnigUChar *)(text.data ? text.data : "");
    pthread_once(&once, initialise_onig);
    pthread_mutex_lock(&compiling);
    int rc =
        onig_new(code, begin, begin + text.len, ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
    pthread_mutex_unlock(&compiling);
    if (rc != ONIG_NORMAL) {
        char what[200];
        snprintf(what, sizeof what, "pattern \"%.150s\"", pattern);
        rc = fail_onig(rc, &info, what, err);
    }
    buf_free(&text);
    return rc;
}

int regex_new_plain(struct regex **out, const char *pattern, size_t n, struct error *err)
{
    struct regex *re = mem_calloc(1, sizeof *re);
    if (!re)
        return error_set_nomem(err, sizeof *re, "a pattern");
    int rc = compile_pattern(&re->code, pattern, n, err);
    if (rc)
        mem_free(re);
    else
        *out = re;
    return rc;
}

int regex_new(struct regex **out, const char *pattern, size_t n, struct error *err)
{
    regex_known known = regex_known_find(pattern, n);
    if (!known)
        return regex_new_plain(out, pattern, n, err);
    pthread_once(&once, initialise_onig);
    *out = mem_calloc(1, sizeof **out);
    if (!*out)
        return error_set_nomem(err, sizeof **out, "a pattern");
    (*out)->known = known;
    return 0;
}

int regex_new_literal(struct regex **out, const char *text, size_t n, struct error *err)
{
    struct regex *re = mem_calloc(1, sizeof *re);
    if (re)
        re->literal = mem_strndup(text, n);
    if (!re || !re->literal) {
        mem_free(re);
        return error_set_nomem(err, n, "a pattern");
    }
    re->n_literal = n;
    *out = re;
    return 0;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    onig_free(re->code);
    mem_free(re->literal);
    mem_free(re);
}

struct regex_match *regex_match_new(void)
{
    struct regex_match *m = mem_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->region = onig_region_new();
    m->limits = onig_new_match_param();
    if (!m->region || !m->limits) {
        regex_match_free(m);
        return NULL;
    }
    onig_initialize_match_param(m->limits);
    onig_set_retry_limit_in_match_of_match_param(m->limits, RETRIES_IN_MATCH);
    onig_set_retry_limit_in_search_of_match_param(m->limits, RETRIES_IN_SEARCH);
    onig_set_match_stack_limit_size_of_match_param(m->limits, STACK_ENTRIES);
    return m;
}

void regex_match_free(struct regex_match *m)
{
    if (!m)
        return;
    if (m->region)
        onig_region_free(m->region, 1);
    if (m->limits)
        onig_free_match_param(m->limits);
    mem_free(m);
}

static int search_literal(const struct regex *re, const struct regex_scan *s, size_t *start, size_t *end)
{
    const char *at = memmem(s->text + s->at, s->n - s->at, re->literal, re->n_literal);
    if (!at)
        return 0;
    *start = (size_t)(at - s->text);
    *end = *start + re->n_literal;
    return 1;
}

/* The first match at or after scan->at. */
static int search_once(const struct regex_scan *s, size_t *start, size_t *end, struct error *err)
{
    const OnigUChar *text = (const OnigUChar *)s->text;
    if (s->re->literal)
        return search_literal(s->re, s, start, end);
    if (s->re->known) {
        *start = s->at;
        *end = s->at < s->n ? s->re->known(s->text, s->n, s->at) : s->n;
        return s->at < s->n;
    }
    int rc = onig_search_with_param(s->re->code, text, text + s->n, text + s->at, text + s->n, s->match->region,
                                    ONIG_OPTION_NONE, s->match->limits);
    if (rc == ONIG_MISMATCH)
        return 0;
    if (rc < 0) {
        char what[120];
        snprintf(what, sizeof what, "the tokenizer's pattern failed at byte %zu of %zu", s->at, s->n);
        return fail_onig(rc, NULL, what, err);
    }
    *start = (size_t)s->match->region->beg[0];
    *end = (size_t)s->match->region->end[0];
    if (*start < s->at || *end < *start)
        return error_set(err, ERROR_DATA,
                         "the tokenizer's pattern moves its match's begin (\\K), which is not supported");
    return 1;
}

int regex_next(struct regex_scan *s, size_t *start, size_t *end, struct error *err)
{
    while (s->at <= s->n) {
        int rc = search_once(s, start, end, err);
        if (rc <= 0)
            return rc;
        if (*start != *end || !s->any || *end != s->last) {
            s->at = s->last = *end;
            s->any = 1;
            return 1;
        }
        uint32_t cp;
        size_t k = utf8_decode(s->text + s->at, s->n - s->at, &cp);
        s->at += k ? k : 1;
    }
    return 0;
}
