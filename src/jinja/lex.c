/* SPDX-License-Identifier: Apache-2.0 */
/* Template text to tokens. White space is decided here: "-" strips to both sides, a block or comment that begins a line
 * loses the blanks before it (lstrip_blocks), one that ends a line loses the line feed after it (trim_blocks), "+"
 * keeps them; one line feed at the very end of the template is dropped. */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
    struct jsource *s;
    const char *begin, *p, *end;
    int line, line_starting;
};

static int fail_lexer(const struct lexer *x, const char *what)
{
    return error_set(x->s->err, ERROR_DATA, "%s: chat template, line %d: %s", x->s->name, x->line, what);
}

int jspace(uint32_t cp)
{
    return utf8_is_space(cp) || (cp >= 0x1c && cp <= 0x1f);
}

size_t jspace_at(const char *s, size_t n)
{
    uint32_t cp;
    size_t k = utf8_decode(s, n, &cp);
    return k && jspace(cp) ? k : 0;
}

static const char *skip_space(const char *p, const char *end)
{
    for (size_t k; p < end && (k = jspace_at(p, (size_t)(end - p))); p += k)
        ;
    return p;
}

/* Where the white space that [from, to) ends with begins. */
static const char *space_before(const char *from, const char *to)
{
    for (size_t k; to > from && (k = utf8_prev(from, (size_t)(to - from))) && jspace_at(to - k, k); to -= k)
        ;
    return to;
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
        s->tokens = more;
        s->cap = cap;
    }
    s->tokens[s->n++] = (struct jtoken){.kind = kind, .line = x->line, .s = text, .n = n};
    return 0;
}

static void advance(struct lexer *x, const char *to)
{
    for (; x->p < to; x->p++)
        x->line += *x->p == '\n';
}

/* After the end of a tag: what of the white space that follows belongs to it. sign: the '-' or '+' before the end. */
static void finish_tag(struct lexer *x, char sign, int is_print)
{
    const char *p = x->p;
    if (sign == '-')
        p = skip_space(p, x->end);
    else if (sign != '+' && !is_print && p < x->end && *p == '\n')
        p++;
    x->line_starting = p > x->p && p[-1] == '\n';
    advance(x, p);
}

/* Text before a tag that begins at `tag` with the sign after it. */
static int push_data(struct lexer *x, const char *tag, char sign, int is_print)
{
    const char *from = x->p, *to = tag;
    if (sign == '-') {
        to = space_before(from, to);
    } else if (sign != '+' && !is_print) {
        const char *line = tag;
        while (line > from && line[-1] != '\n')
            line--;
        if (skip_space(line, tag) == tag && (line > from || x->line_starting))
            to = line;
    }
    return to > from ? push(x, JT_DATA, from, (size_t)(to - from)) : 0;
}

static int escape_digits(int c)
{
    switch (c) {
    case 'x': return 2;
    case 'u': return 4;
    case 'U': return 8;
    default: return 0;
    }
}

/* What a backslash begins at p (right after it), as Python's unicode-escape reads it: bytes into out; returns the place
 * after, NULL for what is no character. */
static const char *escape(const char *p, const char *end, char out[5], size_t *n)
{
    static const char from[] = "nrtbfav\\'\"", to[] = "\n\r\t\b\f\a\v\\'\"";
    const char *at = memchr(from, *p, sizeof from - 1);
    int digits = escape_digits(*p);
    unsigned long cp = 0;
    *n = 0;
    if (*p == '\n')
        return p + 1;
    if (*p == 'N')
        return NULL;
    if (at) {
        out[(*n)++] = to[at - from];
        return p + 1;
    }
    if (digits) {
        char hex[9] = "", *stop;
        if (end - p <= digits)
            return NULL;
        memcpy(hex, p + 1, (size_t)digits);
        cp = strspn(hex, "0123456789abcdefABCDEF") == (size_t)digits ? strtoul(hex, &stop, 16) : 0xd800;
        p += digits + 1;
    } else if (*p >= '0' && *p <= '7') {
        for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++)
            cp = 8 * cp + (unsigned long)(*p++ - '0');
    } else {
        out[(*n)++] = '\\';
        return p;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return NULL;
    *n = utf8_encode((uint32_t)cp, out);
    return p;
}

static int lex_string(struct lexer *x)
{
    char quote = *x->p, *out = arena_alloc(x->s->arena, (size_t)(x->end - x->p));
    const char *p = x->p + 1;
    size_t n = 0, k;
    if (!out)
        return error_set_nomem(x->s->err, (size_t)(x->end - x->p), "a template");
    while (p < x->end && *p != quote) {
        char text[5];
        if (*p != '\\' || p + 1 == x->end) {
            out[n++] = *p++;
            continue;
        }
        p = escape(p + 1, x->end, text, &k);
        if (!p)
            return fail_lexer(x, "a string has an escape that is no character");
        memcpy(out + n, text, k);
        n += k;
    }
    if (p == x->end)
        return fail_lexer(x, "a string has no end");
    int rc = push(x, JT_STRING, out, n);
    advance(x, p + 1);
    return rc;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of a letter, digit or underscore, or 0. */
static size_t word_at(const char *p, const char *end)
{
    uint32_t cp;
    size_t k = utf8_decode(p, (size_t)(end - p), &cp);
    return k && (cp == '_' || utf8_is_word(cp)) ? k : 0;
}

static int digit_value(int c) /* 99: none */
{
    if (is_digit(c))
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

/* Digits of a base, single underscores between them; appended to text. The place after them. */
static const char *digits(const char *p, const char *end, int base, char *text, size_t *n)
{
    while (p < end) {
        const char *d = *p == '_' && p + 1 < end && *n ? p + 1 : p;
        if (digit_value(*d) >= base || *n >= 60)
            break;
        text[(*n)++] = *d;
        p = d + 1;
    }
    return p;
}

/* .5 and e5 after the digits of a number that may be a float. The place after it, or p when it is none. */
static const char *fraction(const char *p, const char *end, char *text, size_t *n)
{
    const char *q = p;
    if (q + 1 < end && *q == '.' && is_digit(q[1])) {
        text[(*n)++] = '.';
        q = digits(q + 1, end, 10, text, n);
    }
    const char *e = q < end && (*q | 32) == 'e' ? q + 1 : NULL;
    if (e && e < end && (is_digit(*e) || ((*e == '+' || *e == '-') && e + 1 < end && is_digit(e[1])))) {
        text[(*n)++] = 'e';
        if (!is_digit(*e))
            text[(*n)++] = *e++;
        q = digits(e, end, 10, text, n);
    }
    return q;
}

static int lex_number(struct lexer *x, int after_dot)
{
    char text[96];
    size_t n = 0;
    const char *p = x->p, *q;
    int base = 10;
    if (*p == '0' && p + 2 < x->end)
        base = jradix(p[1], 10);
    q = digits(base == 10 ? p : p + 2 + (p[2] == '_'), x->end, base, text, &n);
    if (base != 10 && !n) {
        base = 10;
        q = digits(p, x->end, base, text, &n);
    }
    const char *whole_end = q;
    size_t whole_n = n;
    if (base == 10 && !after_dot)
        q = fraction(q, x->end, text, &n);
    text[n] = 0;
    if (n > 59)
        return fail_lexer(x, "a number is too long");
    if (q == whole_end && base == 10 && text[0] == '0' && strspn(text, "0") < whole_n)
        return fail_lexer(x, "a number begins with 0");
    int rc = push(x, q == whole_end ? JT_INT : JT_FLOAT, p, (size_t)(q - p));
    if (!rc) {
        struct jtoken *t = &x->s->tokens[x->s->n - 1];
        errno = 0;
        t->d = strtod(text, NULL);
        t->i = q == whole_end ? strtoll(text, NULL, base) : 0;
        if (q == whole_end && errno)
            return fail_lexer(x, "a number is too large (beyond 64 bits)");
    }
    x->p = q;
    return rc;
}

/* Tokens of one tag up to its end. */
static int lex_inside(struct lexer *x, int is_print)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    const char *close = is_print ? "}}" : "%}";
    int depth = 0, rc = 0;
    while (!rc) {
        advance(x, skip_space(x->p, x->end));
        const char *p = x->p;
        if (p == x->end)
            return fail_lexer(x, is_print ? "\"{{\" has no \"}}\"" : "\"{%\" has no \"%}\"");
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
            rc = lex_number(x, p > x->begin && p[-1] == '.');
        } else if (word_at(p, x->end)) {
            for (size_t k; (k = word_at(p, x->end)); p += k)
                ;
            rc = push(x, JT_NAME, x->p, (size_t)(p - x->p));
            x->p = p;
        } else {
            size_t n = 1;
            for (size_t i = 0; i < sizeof two / sizeof *two; i++)
                if (x->end - p >= 2 && !memcmp(p, two[i], 2))
                    n = 2;
            if (!strchr("+-*/%~()[]{},:.|<>=!", *p) || (*p == '!' && n == 1))
                return fail_lexer(x, "a character that means nothing in an expression");
            depth += (*p == '(' || *p == '[' || *p == '{') - (*p == ')' || *p == ']' || *p == '}');
            if (depth < 0)
                return fail_lexer(x, "a bracket is closed that was not opened");
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
    p = skip_space(p, x->end);
    if (x->end - p < 3 || memcmp(p, "raw", 3))
        return 0;
    p = skip_space(p + 3, x->end);
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
        p = skip_space(e + 2 + (open != 0), x->end);
        if (x->end - p < 6 || memcmp(p, "endraw", 6))
            continue;
        p = skip_space(p + 6, x->end);
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
    return fail_lexer(x, "{% raw %} has no {% endraw %}");
}

static int lex_comment(struct lexer *x)
{
    const char *p = x->p + 2;
    while (x->end - p >= 2 && memcmp(p, "#}", 2))
        p++;
    if (x->end - p < 2)
        return fail_lexer(x, "\"{#\" has no \"#}\"");
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
    x.begin = copy;
    x.p = copy;
    x.end = copy + m;
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
