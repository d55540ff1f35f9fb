/* SPDX-License-Identifier: Apache-2.0 */
/* usage: house_scan FILE...   Names conditional expressions inside others, statements that are chained by commas, and
 * functions of more than six parameters. It reads tokens, not C: enough for a tree that tools/format has laid out. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PARAMETERS = 6, MOST_DEPTH = 64 };

struct token {
    char text[48]; /* a word or a number, cut short; one sign; "s" quotes for what was quoted; "" at the end */
    int line;
};

/* A statement so far. depth: open brackets; an initialiser's braces are such. conditions: at each depth, whether a
 * conditional expression has begun. head: the first word takes a condition in brackets. */
struct statement {
    int depth, n, commas, assigned, head, parameters, counts_parameters;
    int conditions[MOST_DEPTH];
    struct token first, second, third, last, function;
};

struct scan {
    const char *file, *p;
    int line, at_line_start, in_directive, block, n_found;
    char is_type[MOST_DEPTH];    /* of each block: the members of a struct, union or enum */
    struct statement s, outside; /* outside: the statement that a directive stands in */
};

static void say(struct scan *x, int line, const char *what, const char *name)
{
    printf("%s:%d: %s%s\n", x->file, line, what, name);
    x->n_found++;
}

static int is(const struct token *t, const char *text)
{
    return !strcmp(t->text, text);
}

static int is_word(const struct token *t)
{
    return isalpha((unsigned char)*t->text) || *t->text == '_';
}

/* --- tokens --- */

static void skip_comment(struct scan *x)
{
    for (x->p += 2; *x->p && !(x->p[0] == '*' && x->p[1] == '/'); x->p++)
        x->line += *x->p == '\n';
    x->p += *x->p ? 2 : 0;
}

/* 1 at the end of a directive. */
static int skip_blank(struct scan *x)
{
    for (;; x->p++) {
        while (x->p[0] == '/' && x->p[1] == '*')
            skip_comment(x);
        if (x->p[0] == '\\' && x->p[1] == '\n') {
            x->p++;
            x->line++;
        } else if (*x->p == '\n') {
            if (x->in_directive)
                return 1;
            x->line++;
            x->at_line_start = 1;
        } else if (*x->p != ' ' && *x->p != '\t') {
            return 0;
        }
    }
}

static void skip_quoted(struct scan *x)
{
    char quote = *x->p++;
    while (*x->p && *x->p != quote)
        x->p += *x->p == '\\' && x->p[1] ? 2 : 1;
    x->p += *x->p != 0;
}

static int in_word(const char *p)
{
    return isalnum((unsigned char)*p) || *p == '_' || *p == '.' ||
           ((*p == '+' || *p == '-') && strchr("eEpP", p[-1])) || (*p == '\'' && isxdigit((unsigned char)p[1]));
}

static void next_token(struct scan *x, struct token *t)
{
    int ends = skip_blank(x);
    size_t n = 0;
    *t = (struct token){"", x->line};
    if (ends || !*x->p) {
        strcpy(t->text, ends ? "\n" : "");
        x->in_directive = 0;
        return;
    }
    const char *begin = x->p;
    if (*x->p == '"' || *x->p == '\'') {
        skip_quoted(x);
        strcpy(t->text, "\"\"");
    } else if (isalpha((unsigned char)*x->p) || *x->p == '_') {
        while (isalnum((unsigned char)*x->p) || *x->p == '_')
            x->p++;
        n = (size_t)(x->p - begin);
    } else if (isdigit((unsigned char)*x->p)) {
        for (x->p++; in_word(x->p);)
            x->p++;
        n = (size_t)(x->p - begin);
    } else {
        x->p++;
        n = 1;
    }
    n = n < sizeof t->text ? n : sizeof t->text - 1;
    memcpy(t->text, begin, n);
    if (x->at_line_start && is(t, "#")) {
        x->in_directive = 1;
        strcpy(t->text, "#directive");
    }
    x->at_line_start = 0;
}

/* --- statements --- */

static void begin(struct scan *x)
{
    memset(&x->s, 0, sizeof x->s);
}

static int is_declaration(const struct statement *s)
{
    return is_word(&s->first) && !is(&s->first, "return") &&
           (is_word(&s->second) || is(&s->second, "*") || (is(&s->second, "(") && is(&s->third, "*")));
}

static void end(struct scan *x)
{
    struct statement *s = &x->s;
    if (s->commas && s->n && !is(&s->first, ",") && !is_declaration(s) && x->block)
        say(x, s->first.line, "a statement chained by commas", "");
    begin(x);
}

/* A name and a type before it, and no value: a function is declared. */
static void open_bracket(struct scan *x)
{
    struct statement *s = &x->s;
    static const char *const heads[] = {"if", "for", "while", "switch"};
    if (s->depth == 0 && s->n == 1)
        for (int i = 0; i < 4; i++)
            s->head |= is(&s->first, heads[i]);
    if (s->depth == 0 && x->block == 0 && !x->in_directive && s->n > 1 && !s->assigned && is_word(&s->last) &&
        !is(&s->last, "__attribute__")) {
        s->counts_parameters = s->parameters = 1;
        s->function = s->last;
    }
    s->depth++;
}

static void close_bracket(struct scan *x)
{
    struct statement *s = &x->s;
    s->conditions[s->depth < MOST_DEPTH ? s->depth : 0] = 0;
    s->depth -= s->depth > 0;
    if (s->depth)
        return;
    if (s->counts_parameters && s->parameters > MOST_PARAMETERS)
        say(x, s->function.line, "more than six parameters: ", s->function.text);
    s->counts_parameters = 0;
    if (s->head || (x->block == 0 && s->n == 1 && !x->in_directive))
        begin(x); /* what is guarded is a statement; a macro in place of a declaration ends */
}

static void question(struct scan *x)
{
    struct statement *s = &x->s;
    int inside = 0;
    for (int d = 0; d <= s->depth && d < MOST_DEPTH; d++)
        inside |= s->conditions[d];
    if (inside)
        say(x, s->last.line, "a conditional expression inside another", "");
    s->conditions[s->depth < MOST_DEPTH ? s->depth : 0] = 1;
}

static void comma(struct scan *x)
{
    struct statement *s = &x->s;
    s->conditions[s->depth < MOST_DEPTH ? s->depth : 0] = 0;
    s->commas += s->depth == 0;
    s->parameters += s->depth == 1;
}

static int is_type(const struct token *t)
{
    return is(t, "struct") || is(t, "union") || is(t, "enum");
}

static void brace(struct scan *x)
{
    struct statement *s = &x->s;
    if (s->depth || s->assigned || is(&s->first, "return")) {
        s->depth++;
        return;
    }
    x->block++;
    if (x->block < MOST_DEPTH)
        x->is_type[x->block] = is_type(&s->first) || is_type(&s->second) || is_type(&s->third);
    begin(x);
}

static void take(struct scan *x, const struct token *t);

static void unbrace(struct scan *x)
{
    if (x->s.depth) {
        close_bracket(x);
        return;
    }
    begin(x);
    if (x->block > 0 && x->is_type[x->block-- % MOST_DEPTH]) /* what follows is declared */
        take(x, &(struct token){"struct", x->line});
}

/* 1: the token is part of a statement. */
static int take_sign(struct scan *x, const struct token *t)
{
    struct statement *s = &x->s;
    switch (*t->text) {
    case '(':
    case '[': open_bracket(x); return 1;
    case ')':
    case ']': close_bracket(x); return x->s.n > 0;
    case '{': brace(x); return x->s.depth > 0;
    case '}': unbrace(x); return x->s.depth > 0;
    case '?': question(x); return 1;
    case ',': comma(x); return 1;
    case '=': s->assigned |= s->depth == 0; return 1;
    case ';':
        if (s->depth)
            s->conditions[s->depth < MOST_DEPTH ? s->depth : 0] = 0;
        else
            end(x);
        return s->depth > 0;
    case ':':
        if (s->depth == 0 && !s->conditions[0] && (s->n == 1 || is(&s->first, "case"))) {
            begin(x);
            return 0;
        }
        return 1;
    default: return 1;
    }
}

static void take(struct scan *x, const struct token *t)
{
    if (is(t, "#directive")) {
        x->outside = x->s;
        begin(x);
        return;
    }
    if (is(t, "\n")) {
        x->s = x->outside;
        return;
    }
    if (x->s.n == 0 && (is(t, "else") || is(t, "do")))
        return;
    if (!take_sign(x, t))
        return;
    struct statement *s = &x->s;
    if (s->n == 0)
        s->first = *t;
    if (s->n == 1)
        s->second = *t;
    if (s->n == 2)
        s->third = *t;
    s->last = *t;
    s->n++;
}

static int scan(const char *file)
{
    FILE *f = fopen(file, "rb");
    static char text[1 << 20];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (!f || n == sizeof text - 1) {
        printf("%s: cannot be read, or is too long\n", file);
        return 1;
    }
    fclose(f);
    text[n] = 0;
    struct scan x = {.file = file, .p = text, .line = 1, .at_line_start = 1};
    struct token t;
    for (next_token(&x, &t); *t.text; next_token(&x, &t))
        take(&x, &t);
    if (x.block || x.s.depth)
        say(&x, x.line, "the scan lost its way: brackets do not close", "");
    return x.n_found > 0;
}

int main(int argc, char **argv)
{
    int found = 0;
    for (int i = 1; i < argc; i++)
        found |= scan(argv[i]);
    return found;
}
