/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to the tree, by Jinja's own precedences: condition, or, and, not, comparison, + -, ~, * / // %, **, sign, then attributes, items, calls, filters and tests. */
#include "jinja/parts.h"

#include <string.h>

enum { MAX_DEPTH = 150 };
struct parser { struct jinja *t; struct jsource *s; int at, depth, rc, in_loop; };

static struct jnode *expression(struct parser *p);
static struct jnode *unary(struct parser *p, int with_filter);
static void body(struct parser *p, struct jnodes *into, const char *const *ends);

static const struct jtoken *now(const struct parser *p)
{
    return &p->s->tokens[p->at];
}

static void fail(struct parser *p, int code, const char *what, const char *name, size_t n)
{
    if (!p->rc)
        p->rc = error_set(p->s->err, code, "%s: chat template, line %d: %s%s%.*s%s", p->s->name, now(p)->line, what, n ? " \"" : "", (int)(n < 60 ? n : 60), name, n ? "\"" : "");
}

static void wanted(struct parser *p, const char *what)
{
    const struct jtoken *t = now(p);
    char text[96];
    snprintf(text, sizeof text, "wanted %s, found", what);
    if (t->kind == JT_END)
        fail(p, ERROR_DATA, text, "the end", 7);
    else
        fail(p, ERROR_DATA, text, t->s, t->n ? t->n : 1);
}

static struct jnode *node(struct parser *p, enum jnode_kind kind)
{
    static struct jnode none;
    struct jnode *n = arena_alloc(&p->t->arena, sizeof *n);
    if (!n) {
        p->rc = p->rc ? p->rc : error_set_nomem(p->s->err, sizeof *n, "a template");
        return &none;
    }
    n->kind = kind, n->line = now(p)->line;
    return n;
}

static void add(struct parser *p, struct jnodes *list, struct jnode *n)
{
    if (list->n == list->cap) {
        int cap = list->cap ? 2 * list->cap : 4;
        struct jnode **more = arena_alloc(&p->t->arena, (size_t)cap * sizeof *more);
        if (!more) {
            p->rc = p->rc ? p->rc : error_set_nomem(p->s->err, (size_t)cap * sizeof *more, "a template");
            return;
        }
        if (list->n)
            memcpy(more, list->items, (size_t)list->n * sizeof *more);
        list->items = more, list->cap = cap;
    }
    list->items[list->n++] = n;
}

static int is_op(const struct parser *p, const char *op)
{
    return now(p)->kind == JT_OP && jsame(now(p)->s, now(p)->n, op);
}

static int is_word(const struct parser *p, const char *word)
{
    return now(p)->kind == JT_NAME && jsame(now(p)->s, now(p)->n, word);
}

static int skip_op(struct parser *p, const char *op)
{
    int is = !p->rc && is_op(p, op);
    p->at += is;
    return is;
}

static int skip_word(struct parser *p, const char *word)
{
    int is = !p->rc && is_word(p, word);
    p->at += is;
    return is;
}

static void need_op(struct parser *p, const char *op)
{
    if (!skip_op(p, op))
        wanted(p, op);
}

static struct jnode *named(struct parser *p, enum jnode_kind kind)
{
    struct jnode *n = node(p, kind);
    if (now(p)->kind != JT_NAME) {
        wanted(p, "a name");
        return n;
    }
    n->s = now(p)->s, n->n = now(p)->n;
    p->at++;
    return n;
}

/* (a, b, key=value) behind the opening bracket. */
static void arguments(struct parser *p, struct jnode *call)
{
    while (!p->rc && !is_op(p, ")")) {
        const struct jtoken *next = &p->s->tokens[p->at + (now(p)->kind != JT_END)];
        if (is_op(p, "*") || is_op(p, "**"))
            fail(p, ERROR_UNAVAILABLE, "not supported: arguments spread with", now(p)->s, now(p)->n);
        if (now(p)->kind == JT_NAME && next->kind == JT_OP && jsame(next->s, next->n, "=")) {
            add(p, &call->named, named(p, JN_CONST));
            need_op(p, "=");
            add(p, &call->more, expression(p));
        } else {
            add(p, &call->kids, expression(p));
        }
        if (!skip_op(p, ","))
            break;
    }
    need_op(p, ")");
}

static struct jnode *constant(struct parser *p, int op)
{
    struct jnode *n = node(p, JN_CONST);
    const struct jtoken *t = now(p);
    n->op = op, n->s = t->s, n->n = t->n, n->i = t->i, n->d = t->d;
    p->at++;
    return n;
}

/* Adjacent strings are one. */
static struct jnode *string(struct parser *p)
{
    struct jnode *n = constant(p, JCONST_STRING);
    while (!p->rc && now(p)->kind == JT_STRING) {
        char *joined = arena_alloc(&p->t->arena, n->n + now(p)->n + 1);
        if (!joined) {
            p->rc = error_set_nomem(p->s->err, n->n, "a template");
            break;
        }
        memcpy(joined, n->s, n->n);
        memcpy(joined + n->n, now(p)->s, now(p)->n);
        n->s = joined, n->n += now(p)->n;
        p->at++;
    }
    return n;
}

static struct jnode *sequence(struct parser *p, const char *close)
{
    struct jnode *n = node(p, JN_LIST);
    while (!p->rc && !is_op(p, close)) {
        add(p, &n->kids, expression(p));
        if (!skip_op(p, ","))
            break;
        n->op = *close == ')';
    }
    need_op(p, close);
    if (*close == ')' && !n->op && n->kids.n == 1)
        return n->kids.items[0];
    n->op = *close == ')';
    return n;
}

static struct jnode *dict(struct parser *p)
{
    struct jnode *n = node(p, JN_DICT);
    while (!p->rc && !is_op(p, "}")) {
        add(p, &n->kids, expression(p));
        need_op(p, ":");
        add(p, &n->more, expression(p));
        if (!skip_op(p, ","))
            break;
    }
    need_op(p, "}");
    return n;
}

static struct jnode *primary(struct parser *p)
{
    static const struct { const char *word; int op; } words[] = {{"none", JCONST_NONE}, {"None", JCONST_NONE}, {"true", JCONST_TRUE}, {"True", JCONST_TRUE}, {"false", JCONST_FALSE}, {"False", JCONST_FALSE}};
    switch (now(p)->kind) {
    case JT_STRING: return string(p);
    case JT_INT: return constant(p, JCONST_INT);
    case JT_FLOAT: return constant(p, JCONST_FLOAT);
    case JT_NAME:
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (is_word(p, words[i].word))
                return constant(p, words[i].op);
        return named(p, JN_NAME);
    default:
        if (skip_op(p, "("))
            return sequence(p, ")");
        if (skip_op(p, "["))
            return sequence(p, "]");
        if (skip_op(p, "{"))
            return dict(p);
        wanted(p, "an expression");
        return node(p, JN_CONST);
    }
}

/* [i], [a:b], [a:b:c] behind the opening bracket. */
static struct jnode *subscript(struct parser *p, struct jnode *of)
{
    struct jnode *n = node(p, JN_ITEM), *parts[3] = {NULL, NULL, NULL};
    int i = 0;
    for (; i < 3 && !p->rc; i++) {
        if (!is_op(p, ":") && !is_op(p, "]"))
            parts[i] = expression(p);
        if (i == 2 || !skip_op(p, ":"))
            break;
        n->kind = JN_SLICE;
    }
    need_op(p, "]");
    n->a = of;
    if (n->kind == JN_ITEM) {
        n->b = parts[0];
        if (!n->b)
            wanted(p, "an index");
        return n;
    }
    for (i = 0; i < 3; i++)
        add(p, &n->kids, parts[i]);
    return n;
}

static struct jnode *postfix(struct parser *p, struct jnode *n)
{
    while (!p->rc) {
        struct jnode *outer;
        if (skip_op(p, ".")) {
            outer = now(p)->kind == JT_INT ? node(p, JN_ITEM) : named(p, JN_ATTR);
            if (outer->kind == JN_ITEM)
                outer->b = constant(p, JCONST_INT);
        } else if (skip_op(p, "[")) {
            n = subscript(p, n);
            continue;
        } else if (skip_op(p, "(")) {
            outer = node(p, JN_CALL);
            arguments(p, outer);
        } else {
            break;
        }
        outer->a = n;
        n = outer;
    }
    return n;
}

static struct jnode *test(struct parser *p, struct jnode *of)
{
    int negated = skip_word(p, "not");
    struct jnode *n = named(p, JN_TEST);
    if (!p->rc && !jinja_is_test(n->s, n->n))
        fail(p, ERROR_UNAVAILABLE, "not supported: test", n->s, n->n);
    n->op = negated, n->a = of;
    if (skip_op(p, "(")) {
        arguments(p, n);
    } else if (now(p)->kind == JT_STRING || now(p)->kind == JT_INT || now(p)->kind == JT_FLOAT || is_op(p, "[") || is_op(p, "{") ||
               (now(p)->kind == JT_NAME && !is_word(p, "else") && !is_word(p, "or") && !is_word(p, "and") && !is_word(p, "is") && !is_word(p, "if"))) {
        struct jnode *arg = primary(p);
        add(p, &n->kids, postfix(p, arg));
    }
    return n;
}

static struct jnode *filters(struct parser *p, struct jnode *n)
{
    while (!p->rc) {
        struct jnode *outer;
        if (skip_op(p, "|")) {
            outer = named(p, JN_FILTER);
            if (!p->rc && !jinja_is_filter(outer->s, outer->n))
                fail(p, ERROR_UNAVAILABLE, "not supported: filter", outer->s, outer->n);
            if (skip_op(p, "("))
                arguments(p, outer);
            outer->a = n;
        } else if (skip_word(p, "is")) {
            outer = test(p, n);
        } else if (skip_op(p, "(")) {
            outer = node(p, JN_CALL);
            arguments(p, outer);
            outer->a = n;
        } else {
            break;
        }
        n = outer;
    }
    return n;
}

static struct jnode *unary(struct parser *p, int with_filter)
{
    struct jnode *n;
    if (++p->depth > MAX_DEPTH)
        fail(p, ERROR_DATA, "too deeply nested", "", 0);
    if (is_op(p, "-") || is_op(p, "+")) {
        n = node(p, JN_UNARY);
        n->op = now(p)->s[0];
        p->at++;
        n->a = p->rc ? n : unary(p, 0);
    } else {
        n = postfix(p, primary(p));
    }
    p->depth--;
    return with_filter ? filters(p, n) : n;
}

/* Levels of binary operators, loosest first; each level's operands are of the next. */
static struct jnode *binary(struct parser *p, int level)
{
    static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
    if (level == 4)
        return unary(p, 1);
    struct jnode *n = binary(p, level + 1);
    for (int again = 1; again && !p->rc;) {
        again = 0;
        for (int i = 0; levels[level][i] && !again; i++) {
            if (!is_op(p, levels[level][i]))
                continue;
            struct jnode *outer = node(p, JN_BINARY);
            outer->op = JOP(levels[level][i][0], levels[level][i][1]);
            p->at++;
            outer->a = n, outer->b = binary(p, level + 1);
            n = outer;
            again = 1;
        }
    }
    return n;
}

/* a < b < c: a chain; `in` and `not in` are 'i' and 'n'. */
static struct jnode *compare(struct parser *p)
{
    static const char *const ops[] = {"==", "!=", "<=", ">=", "<", ">"};
    struct jnode *n = NULL, *first = binary(p, 0);
    while (!p->rc) {
        int op = 0;
        for (size_t i = 0; i < 6 && !op; i++)
            if (skip_op(p, ops[i]))
                op = JOP(ops[i][0], ops[i][1]);
        if (!op && skip_word(p, "in"))
            op = 'i';
        const struct jtoken *next = &p->s->tokens[p->at + (now(p)->kind != JT_END)];
        if (!op && is_word(p, "not") && next->kind == JT_NAME && jsame(next->s, next->n, "in"))
            op = 'n', p->at += 2;
        if (!op)
            break;
        if (!n) {
            n = node(p, JN_COMPARE);
            n->a = first;
        }
        struct jnode *right = node(p, JN_UNARY);
        right->op = op, right->a = binary(p, 0);
        add(p, &n->kids, right);
    }
    return n ? n : first;
}

static struct jnode *negation(struct parser *p)
{
    if (!skip_word(p, "not"))
        return compare(p);
    struct jnode *n = node(p, JN_NOT);
    if (++p->depth > MAX_DEPTH)
        fail(p, ERROR_DATA, "too deeply nested", "", 0);
    n->a = p->rc ? n : negation(p);
    p->depth--;
    return n;
}

static struct jnode *conjunction(struct parser *p, int is_or)
{
    struct jnode *n = is_or ? conjunction(p, 0) : negation(p);
    while (!p->rc && skip_word(p, is_or ? "or" : "and")) {
        struct jnode *outer = node(p, is_or ? JN_OR : JN_AND);
        outer->a = n, outer->b = is_or ? conjunction(p, 0) : negation(p);
        n = outer;
    }
    return n;
}

/* without conditions: what a for loop runs over. */
static struct jnode *plain(struct parser *p)
{
    return conjunction(p, 1);
}

static struct jnode *expression(struct parser *p)
{
    if (++p->depth > MAX_DEPTH)
        fail(p, ERROR_DATA, "too deeply nested", "", 0);
    struct jnode *n = p->rc ? node(p, JN_CONST) : plain(p);
    while (!p->rc && skip_word(p, "if")) {
        struct jnode *outer = node(p, JN_COND);
        outer->b = plain(p), outer->a = n;
        if (skip_word(p, "else"))
            outer->c = expression(p);
        n = outer;
    }
    p->depth--;
    return n;
}

/* a, b, c: a tuple; one alone is itself. */
static struct jnode *tuple(struct parser *p, struct jnode *(*part)(struct parser *))
{
    struct jnode *first = part(p), *n;
    if (!is_op(p, ","))
        return first;
    n = node(p, JN_LIST);
    n->op = 1;
    add(p, &n->kids, first);
    while (skip_op(p, ","))
        if (now(p)->kind != JT_BLOCK_END && now(p)->kind != JT_PRINT_END && !is_op(p, "="))
            add(p, &n->kids, part(p));
    return n;
}

/* --- statements --- */

static void end_block(struct parser *p)
{
    if (!p->rc && now(p)->kind != JT_BLOCK_END)
        wanted(p, "the end of the tag");
    p->at += !p->rc;
}

static void target(struct parser *p, struct jnodes *into)
{
    int bracket = skip_op(p, "(");
    do {
        struct jnode *n = named(p, JN_NAME);
        if (skip_op(p, ".")) {
            struct jnode *attr = named(p, JN_ATTR);
            attr->a = n;
            n = attr;
        }
        add(p, into, n);
    } while (skip_op(p, ",") && !is_op(p, "=") && !is_word(p, "in"));
    if (bracket)
        need_op(p, ")");
}

static struct jnode *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    struct jnode *n = node(p, JN_IF);
    n->a = expression(p);
    end_block(p);
    body(p, &n->kids, ends);
    if (skip_word(p, "elif")) {
        if (++p->depth > MAX_DEPTH)
            fail(p, ERROR_DATA, "too deeply nested", "", 0);
        add(p, &n->more, p->rc ? n : parse_if(p));
        p->depth--;
        return n;
    }
    if (skip_word(p, "else")) {
        end_block(p);
        body(p, &n->more, last);
    }
    skip_word(p, "endif");
    end_block(p);
    return n;
}

static struct jnode *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    struct jnode *n = node(p, JN_FOR);
    target(p, &n->named);
    if (!skip_word(p, "in"))
        wanted(p, "in");
    n->a = tuple(p, plain);
    if (skip_word(p, "if"))
        n->b = expression(p);
    if (is_word(p, "recursive"))
        fail(p, ERROR_UNAVAILABLE, "not supported: for loop that is", "recursive", 9);
    end_block(p);
    p->in_loop++;
    body(p, &n->kids, ends);
    p->in_loop--;
    if (skip_word(p, "else")) {
        end_block(p);
        body(p, &n->more, last);
    }
    skip_word(p, "endfor");
    end_block(p);
    return n;
}

static struct jnode *parse_set(struct parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    struct jnode *n = node(p, JN_SET);
    target(p, &n->named);
    if (skip_op(p, "=")) {
        n->a = tuple(p, expression);
        end_block(p);
        return n;
    }
    n->kind = JN_SETBLOCK;
    if (is_op(p, "|"))
        fail(p, ERROR_UNAVAILABLE, "not supported: set block with a filter", "", 0);
    end_block(p);
    body(p, &n->kids, ends);
    skip_word(p, "endset");
    end_block(p);
    return n;
}

static struct jnode *parse_macro(struct parser *p)
{
    static const char *const ends[] = {"endmacro", NULL};
    struct jnode *n = named(p, JN_MACRO);
    int in_loop = p->in_loop;
    need_op(p, "(");
    while (!p->rc && !is_op(p, ")")) {
        add(p, &n->named, named(p, JN_NAME));
        add(p, &n->more, skip_op(p, "=") ? expression(p) : NULL);
        if (!skip_op(p, ","))
            break;
    }
    need_op(p, ")");
    end_block(p);
    p->in_loop = 0;
    body(p, &n->kids, ends);
    p->in_loop = in_loop;
    skip_word(p, "endmacro");
    if (now(p)->kind == JT_NAME)
        p->at++;
    end_block(p);
    return n;
}

static struct jnode *statement(struct parser *p)
{
    static const char *const generation_end[] = {"endgeneration", NULL};
    struct jnode *n;
    if (skip_word(p, "if"))
        return parse_if(p);
    if (skip_word(p, "for"))
        return parse_for(p);
    if (skip_word(p, "set"))
        return parse_set(p);
    if (skip_word(p, "macro"))
        return parse_macro(p);
    if (skip_word(p, "generation")) {
        n = node(p, JN_GENERATION);
        end_block(p);
        body(p, &n->kids, generation_end);
        skip_word(p, "endgeneration");
        end_block(p);
        return n;
    }
    if (is_word(p, "break") || is_word(p, "continue")) {
        n = node(p, is_word(p, "break") ? JN_BREAK : JN_CONTINUE);
        if (!p->in_loop)
            fail(p, ERROR_DATA, "outside of a loop:", now(p)->s, now(p)->n);
        p->at++;
        end_block(p);
        return n;
    }
    fail(p, now(p)->kind == JT_NAME && strncmp(now(p)->s, "end", 3) ? ERROR_UNAVAILABLE : ERROR_DATA,
         now(p)->kind == JT_NAME && strncmp(now(p)->s, "end", 3) ? "not supported: statement" : "a statement that was not begun:", now(p)->s, now(p)->n ? now(p)->n : 1);
    return node(p, JN_CONTINUE);
}

/* Up to one of `ends` (its word is not consumed, its "{%" is), or with NULL to the end of the template. */
static void body(struct parser *p, struct jnodes *into, const char *const *ends)
{
    if (++p->depth > MAX_DEPTH)
        fail(p, ERROR_DATA, "too deeply nested", "", 0);
    while (!p->rc) {
        struct jnode *n;
        const struct jtoken *t = now(p);
        if (t->kind == JT_END) {
            if (ends)
                wanted(p, ends[0]);
            break;
        }
        p->at++;
        if (t->kind == JT_DATA) {
            n = node(p, JN_DATA);
            n->s = t->s, n->n = t->n;
        } else if (t->kind == JT_PRINT) {
            n = node(p, JN_PRINT);
            n->a = tuple(p, expression);
            if (!p->rc && now(p)->kind != JT_PRINT_END)
                wanted(p, "}}");
            p->at += !p->rc;
        } else {
            int i = 0;
            while (ends && ends[i] && !is_word(p, ends[i]))
                i++;
            if (ends && ends[i])
                break;
            n = statement(p);
        }
        add(p, into, n);
    }
    p->depth--;
}

int jinja_build(struct jinja *t, struct jsource *s)
{
    struct parser p = {.t = t, .s = s};
    body(&p, &t->body, NULL);
    return p.rc;
}
