/* SPDX-License-Identifier: Apache-2.0 */
/* Template text to tokens. White space is decided here: "-" strips to both sides, a block or comment that begins a line loses the blanks before it (lstrip_blocks),
 * one that ends a line loses the line feed after it (trim_blocks), "+" keeps them; one line feed at the very end of the template is dropped. */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct lexer { struct jsource *s; const char *p, *end; int line, line_starting; };

static int fail(const struct lexer *x, const char *what)
{
    return error_set(x->s->err, ERROR_DATA, "%s: chat template, line %d: %s", x->s->name, x->line, what);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int push(struct lexer *x, enum jtoken_kind kind, const char *text, size_t n)
{
    struct jsource *s = x->s;
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 256;
        struct jtoken *more = arena_alloc(s->arena, (size_t)cap * sizeof *more);
        if (!more)
            return error_set_nomem(s->err, (size_t)cap * sizeof *more, "a template");
        if (s->n)
            memcpy(more, s->tokens, (size_t)s->n * sizeof *more);
        s->tokens = more, s->cap = cap;
    }
    s->tokens[s->n++] = (struct jtoken){.kind = kind, .line = x->line, .s = text, .n = n};
    return 0;
}

static void advance(struct lexer *x, const char *to)
{
    for (; x->p < to; x->p++)
        x->line += *x->p == '\n';
}

/* Behind the end of a tag: what of the white space that follows belongs to it. sign: the '-' or '+' before the end. */
static void finish_tag(struct lexer *x, char sign, int is_print)
{
    const char *p = x->p;
    if (sign == '-')
        while (p < x->end && is_space(*p))
            p++;
    else if (sign != '+' && !is_print && p < x->end && *p == '\n')
        p++;
    x->line_starting = p > x->p && p[-1] == '\n';
    advance(x, p);
}

/* Text before a tag that begins at `tag` with the sign behind it. */
static int push_data(struct lexer *x, const char *tag, char sign, int is_print)
{
    const char *from = x->p, *to = tag;
    if (sign == '-') {
        while (to > from && is_space(to[-1]))
            to--;
    } else if (sign != '+' && !is_print) {
        const char *line = tag;
        while (line > from && line[-1] != '\n')
            line--;
        const char *p = line;
        while (p < tag && is_space(*p))
            p++;
        if (p == tag && (line > from || x->line_starting))
            to = line;
    }
    return to > from ? push(x, JT_DATA, from, (size_t)(to - from)) : 0;
}

static int lex_string(struct lexer *x)
{
    char quote = *x->p, *out = arena_alloc(x->s->arena, (size_t)(x->end - x->p));
    const char *p = x->p + 1;
    size_t n = 0;
    if (!out)
        return error_set_nomem(x->s->err, (size_t)(x->end - x->p), "a template");
    for (; p < x->end && *p != quote; p++) {
        static const char from[] = "nrtbfav0\\'\"", to[] = "\n\r\t\b\f\a\v\0\\'\"";
        if (*p != '\\' || p + 1 == x->end) {
            out[n++] = *p;
            continue;
        }
        const char *at = memchr(from, *++p, sizeof from - 1);
        int digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
        if (digits && x->end - p > digits) {
            char hex[9] = "", *stop, text[4];
            memcpy(hex, p + 1, (size_t)digits);
            unsigned long cp = strtoul(hex, &stop, 16);
            if (stop != hex + digits || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
                return fail(x, "a string has an escape that is no character");
            size_t k = utf8_encode((uint32_t)cp, text);
            memcpy(out + n, text, k);
            n += k;
            p += digits;
        } else if (at) {
            out[n++] = to[at - from];
        } else if (*p != '\n') {
            out[n++] = '\\', out[n++] = *p;
        }
    }
    if (p == x->end)
        return fail(x, "a string has no end");
    int rc = push(x, JT_STRING, out, n);
    advance(x, p + 1);
    return rc;
}

static int is_name(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int lex_number(struct lexer *x)
{
    char text[64];
    size_t n = 0;
    int is_float = 0;
    const char *p = x->p;
    for (; p < x->end && n < sizeof text - 1; p++) {
        if (*p == '_' && n)
            continue;
        int dot = *p == '.' && p + 1 < x->end && is_digit(p[1]) && !is_float, e = (*p == 'e' || *p == 'E') && p + 1 < x->end && (is_digit(p[1]) || p[1] == '-' || p[1] == '+');
        if (!is_digit(*p) && !dot && !e && !((*p == '-' || *p == '+') && n && (p[-1] == 'e' || p[-1] == 'E')))
            break;
        is_float |= dot || e;
        text[n++] = *p;
    }
    text[n] = 0;
    if (n > 40)
        return fail(x, "a number is too long");
    int rc = push(x, is_float ? JT_FLOAT : JT_INT, x->p, n);
    if (!rc) {
        struct jtoken *t = &x->s->tokens[x->s->n - 1];
        t->d = strtod(text, NULL);
        t->i = strtoll(text, NULL, 10);
        if (!is_float && n > 18)
            return fail(x, "a number is too large");
    }
    x->p = p;
    return rc;
}

/* Tokens of one tag up to its end. */
static int lex_inside(struct lexer *x, int is_print)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    const char *close = is_print ? "}}" : "%}";
    int depth = 0, rc = 0;
    while (!rc) {
        while (x->p < x->end && is_space(*x->p))
            advance(x, x->p + 1);
        const char *p = x->p;
        if (p == x->end)
            return fail(x, is_print ? "\"{{\" has no \"}}\"" : "\"{%\" has no \"%}\"");
        char sign = (*p == '-' || *p == '+') && x->end - p > 2 && !depth ? *p : 0;
        const char *e = sign ? p + 1 : p;
        if (!depth && x->end - e >= 2 && !memcmp(e, close, 2) && !(sign == '+' && is_print)) {
            rc = push(x, is_print ? JT_PRINT_END : JT_BLOCK_END, e, 2);
            x->p = e + 2;
            finish_tag(x, sign, is_print);
            return rc;
        }
        if (*p == '"' || *p == '\'') {
            rc = lex_string(x);
        } else if (is_digit(*p)) {
            rc = lex_number(x);
        } else if (is_name(*p)) {
            while (p < x->end && (is_name(*p) || is_digit(*p)))
                p++;
            rc = push(x, JT_NAME, x->p, (size_t)(p - x->p));
            x->p = p;
        } else {
            size_t n = 1;
            for (size_t i = 0; i < sizeof two / sizeof *two; i++)
                if (x->end - p >= 2 && !memcmp(p, two[i], 2))
                    n = 2;
            if (!strchr("+-*/%~()[]{},:.|<>=!", *p) || (*p == '!' && n == 1))
                return fail(x, "a character that means nothing in an expression");
            depth += *p == '(' || *p == '[' || *p == '{' ? 1 : *p == ')' || *p == ']' || *p == '}' ? -1 : 0;
            if (depth < 0)
                return fail(x, "a bracket is closed that was not opened");
            rc = push(x, JT_OP, p, n);
            x->p = p + n;
        }
    }
    return rc;
}

/* {% raw %} ... {% endraw %}: data. 1 when it was one. */
static int lex_raw(struct lexer *x, const char *tag, char sign)
{
    const char *p = tag + 2 + (sign != 0), *e;
    while (p < x->end && is_space(*p))
        p++;
    if (x->end - p < 3 || memcmp(p, "raw", 3))
        return 0;
    for (p += 3; p < x->end && is_space(*p); p++)
        ;
    char close = p < x->end && *p == '-' ? *p : 0;
    p += close != 0;
    if (x->end - p < 2 || memcmp(p, "%}", 2))
        return 0;
    x->p = p + 2;
    finish_tag(x, close, close == 0); /* trim_blocks does not reach into raw */
    for (e = x->p; e + 2 <= x->end; e++) {
        if (memcmp(e, "{%", 2))
            continue;
        char open = e + 2 < x->end && (e[2] == '-' || e[2] == '+') ? e[2] : 0;
        for (p = e + 2 + (open != 0); p < x->end && is_space(*p); p++)
            ;
        if (x->end - p < 6 || memcmp(p, "endraw", 6))
            continue;
        for (p += 6; p < x->end && is_space(*p); p++)
            ;
        close = p < x->end && (*p == '-' || *p == '+') ? *p : 0;
        p += close != 0;
        if (x->end - p < 2 || memcmp(p, "%}", 2))
            continue;
        if (push_data(x, e, open, 0))
            return ERROR_NOMEM;
        advance(x, p + 2);
        finish_tag(x, close, 0);
        return 1;
    }
    return fail(x, "{% raw %} has no {% endraw %}");
}

static int lex_comment(struct lexer *x)
{
    const char *p = x->p + 2;
    while (x->end - p >= 2 && memcmp(p, "#}", 2))
        p++;
    if (x->end - p < 2)
        return fail(x, "\"{#\" has no \"#}\"");
    char sign = p > x->p + 2 && (p[-1] == '-' || p[-1] == '+') ? p[-1] : 0;
    advance(x, p + 2);
    finish_tag(x, sign, 0);
    return 0;
}

static int lex_tag(struct lexer *x, const char *tag)
{
    int is_print = tag[1] == '{', rc;
    char sign = tag + 2 < x->end && (tag[2] == '-' || tag[2] == '+') ? tag[2] : 0;
    if ((rc = push_data(x, tag, sign, is_print)))
        return rc;
    advance(x, tag);
    x->line_starting = 0;
    if (tag[1] == '#')
        return lex_comment(x);
    if (!is_print && (rc = lex_raw(x, tag, sign)))
        return rc < 0 ? rc : 0;
    rc = push(x, is_print ? JT_PRINT : JT_BLOCK, tag, 2);
    x->p = tag + 2 + (sign != 0);
    return rc ? rc : lex_inside(x, is_print);
}

int jinja_lex(struct jsource *s, const char *text, size_t n)
{
    char *copy = arena_alloc(s->arena, n + 1);
    struct lexer x = {.s = s, .line = 1, .line_starting = 1};
    size_t m = 0;
    int rc = 0;
    if (!copy)
        return error_set_nomem(s->err, n, "a template");
    for (size_t i = 0; i < n; i++) { /* every line ends with "\n" */
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n')
            continue;
        copy[m++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (m && copy[m - 1] == '\n')
        m--;
    x.p = copy, x.end = copy + m;
    while (!rc && x.p < x.end) {
        const char *tag = x.p;
        while (x.end - tag >= 2 && !(tag[0] == '{' && (tag[1] == '{' || tag[1] == '%' || tag[1] == '#')))
            tag++;
        if (x.end - tag >= 2) {
            rc = lex_tag(&x, tag);
            continue;
        }
        rc = push(&x, JT_DATA, x.p, (size_t)(x.end - x.p));
        x.p = x.end;
    }
    return rc ? rc : push(&x, JT_END, x.end, 0);
}
