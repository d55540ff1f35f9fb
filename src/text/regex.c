/* SPDX-License-Identifier: Apache-2.0 */
/* Where the dialects differ the pattern is rewritten before it is compiled: \s is White_Space (PCRE2's own \s has U+180E, which
 * Unicode dropped), \w has marks, \h is a hexadecimal digit. What cannot be rewritten is refused: a pattern read differently would
 * give other ids without a word. */
#include "text/regex.h"

#include "base/buf.h"
#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

struct regex {
    pcre2_code *code;
};
struct regex_match {
    pcre2_match_data *data;
};

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

/* The escape \c, inside or outside a class; NULL when it stays as it is, "" when it cannot be said. */
static const char *escape(char c, int in_class)
{
    switch (c) {
    case 's': return "\\p{White_Space}";
    case 'S': return "\\P{White_Space}";
    case 'w': return in_class ? WORD : "[" WORD "]";
    case 'W': return in_class ? "" : "[^" WORD "]";
    case 'h': return in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
    case 'H': return in_class ? "" : "[^0-9a-fA-F]";
    default: return NULL;
    }
}

static int rewrite(const char *pattern, struct buf *out, struct error *err)
{
    int depth = 0, first = 0; /* depth of classes; first: a ] here is a literal */
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\' && p[1]) {
            const char *same = escape(p[1], depth > 0);
            if (same && !*same)
                return error_set(err, ERROR_DATA, "pattern \"%s\": \\%c inside a class is not supported", pattern, p[1]);
            if (same)
                buf_puts(out, same);
            else
                buf_append(out, p, 2);
            p++;
            first = 0;
            continue;
        }
        if (depth && !strncmp(p, "&&", 2))
            return error_set(err, ERROR_DATA, "pattern \"%s\": intersection of classes (&&) is not supported", pattern);
        if (depth && *p == '[' && p[1] == ':') {
            const char *end = strstr(p, ":]");
            if (!end)
                return error_set(err, ERROR_DATA, "pattern \"%s\": [: without :]", pattern);
            if (!strncmp(p, "[:space:]", 9))
                buf_puts(out, "\\p{White_Space}");
            else
                buf_append(out, p, (size_t)(end + 2 - p));
            p = end + 1;
            first = 0;
            continue;
        }
        if (depth && *p == '[')
            return error_set(err, ERROR_DATA, "pattern \"%s\": a class inside a class is not supported", pattern);
        if (*p == '[') {
            depth = first = 1;
            buf_putc(out, *p);
            if (p[1] == '^')
                buf_putc(out, *++p);
            continue;
        }
        if (*p == ']' && depth && !first)
            depth = 0;
        first = 0;
        buf_putc(out, *p);
    }
    return out->failed ? error_set_nomem(err, strlen(pattern), "a pattern") : 0;
}

static int compile(struct regex **out, const char *text, size_t n, uint32_t options, struct error *err)
{
    struct regex *re = mem_calloc(1, sizeof *re);
    if (!re)
        return error_set_nomem(err, sizeof *re, "a pattern");
    int code;
    PCRE2_SIZE at;
    re->code = pcre2_compile((PCRE2_SPTR)text, n, PCRE2_UTF | options, &code, &at, NULL);
    if (!re->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        mem_free(re);
        return error_set(err, ERROR_DATA, "pattern \"%s\": %s at byte %zu", text, (char *)why, (size_t)at);
    }
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it the interpreter does the work */
    *out = re;
    return 0;
}

int regex_new(struct regex **out, const char *pattern, struct error *err)
{
    struct buf b = BUF_INIT;
    int rc = rewrite(pattern, &b, err);
    if (!rc)
        rc = compile(out, b.data ? b.data : "", b.len, PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, err);
    buf_free(&b);
    return rc;
}

int regex_new_literal(struct regex **out, const char *text, size_t n, struct error *err)
{
    return compile(out, text, n, PCRE2_LITERAL, err);
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    mem_free(re);
}

struct regex_match *regex_match_new(void)
{
    struct regex_match *m = mem_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->data = pcre2_match_data_create(1, NULL);
    if (!m->data) {
        mem_free(m);
        return NULL;
    }
    return m;
}

void regex_match_free(struct regex_match *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    mem_free(m);
}

int regex_find(const struct regex *re, struct regex_match *m, const char *text, size_t n, size_t from, size_t *start, size_t *end,
               struct error *err)
{
    /* The text was checked once as a whole: checking it again at every match would make this quadratic. */
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int rc = pcre2_match(re->code, (PCRE2_SPTR)text, n, from, options, m->data, NULL);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(re->code, (PCRE2_SPTR)text, n, from, options | PCRE2_NO_JIT, m->data, NULL);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(rc, why, sizeof why);
        return error_set(err, rc == PCRE2_ERROR_NOMEMORY ? ERROR_NOMEM : ERROR_DATA, "the tokenizer's pattern failed at byte %zu of %zu: %s",
                         from, n, (char *)why);
    }
    const PCRE2_SIZE *offset = pcre2_get_ovector_pointer(m->data);
    *start = offset[0];
    *end = offset[1];
    if (*start < from || *end < *start)
        return error_set(err, ERROR_DATA, "the tokenizer's pattern moves its match's begin (\\K), which is not supported");
    return 1;
}
