/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to the tree, by Jinja's own precedences: condition, or, and, not, comparison, + -, ~, * / // %, **, sign, then
 * attributes, items, calls, filters and tests. */
#include "jinja/parser_parts.h"

#include <string.h>

static struct jnode *unary(struct parser *p, int with_filter);

const struct jtoken *parse_now(const struct parser *p)
{
    return &p->s->tokens[p->at];
}

void parse_fail(struct parser *p, int code, const char *what, const char *name, size_t n)
{
    if (!p->rc)
        p->rc = error_set(p->s->err, code, "%s: chat template, line %d: %s%s%.*s%s", p->s->name, parse_now(p)->line,
                          what, n ? " \"" : "", (int)(n < 60 ? n : 60), name, n ? "\"" : "");
}

void parse_wanted(struct parser *p, const char *what)
{
    const struct jtoken *t = parse_now(p);
    char text[96];
    snprintf(text, sizeof text, "wanted %s, found", what);
    if (t->kind == JT_END)
        parse_fail(p, ERROR_DATA, text, "the end", 7);
    else
        parse_fail(p, ERROR_DATA, text, t->s, t->n ? t->n : 1);
}

struct jnode *parse_node(struct parser *p, enum jnode_kind kind)
{
    static struct jnode none;
    struct jnode *n = arena_alloc(&p->t->arena, sizeof *n);
    if (!n) {
        p->rc = p->rc ? p->rc : error_set_nomem(p->s->err, sizeof *n, "a template");
        return &none;
    }
    n->kind = kind;
    n->line = parse_now(p)->line;
    return n;
}

void parse_add(struct parser *p, struct jnodes *list, struct jnode *n)
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
        list->items = more;
        list->cap = cap;
    }
    list->items[list->n++] = n;
}

int parse_is_op(const struct parser *p, const char *op)
{
    return parse_now(p)->kind == JT_OP && jsame(parse_now(p)->s, parse_now(p)->n, op);
}

int parse_is_word(const struct parser *p, const char *word)
{
    return parse_now(p)->kind == JT_NAME && jsame(parse_now(p)->s, parse_now(p)->n, word);
}

int parse_skip_op(struct parser *p, const char *op)
{
    int is = !p->rc && parse_is_op(p, op);
    p->at += is;
    return is;
}

int parse_skip_word(struct parser *p, const char *word)
{
    int is = !p->rc && parse_is_word(p, word);
    p->at += is;
    return is;
}

void parse_need_op(struct parser *p, const char *op)
{
    if (!parse_skip_op(p, op))
        parse_wanted(p, op);
}

struct jnode *parse_named(struct parser *p, enum jnode_kind kind)
{
    struct jnode *n = parse_node(p, kind);
    if (parse_now(p)->kind != JT_NAME) {
        parse_wanted(p, "a name");
        return n;
    }
    n->s = parse_now(p)->s;
    n->n = parse_now(p)->n;
    p->at++;
    return n;
}

int parse_deeper(struct parser *p)
{
    if (++p->depth > PARSE_DEPTH)
        parse_fail(p, ERROR_DATA, "too deeply nested", "", 0);
    return p->rc ? -1 : 0;
}

static void keyword(struct parser *p, struct jnode *call)
{
    struct jnode *name = parse_named(p, JN_CONST);
    for (int i = 0; i < call->named.n; i++)
        if (call->named.items[i]->n == name->n && !memcmp(call->named.items[i]->s, name->s, name->n))
            parse_fail(p, ERROR_DATA, "an argument is given twice:", name->s, name->n);
    parse_add(p, &call->named, name);
    parse_need_op(p, "=");
    parse_add(p, &call->more, parse_expression(p));
}

/* (a, b, *list, key=value, **mapping) after the opening bracket. */
static void arguments(struct parser *p, struct jnode *call)
{
    while (!p->rc && !parse_is_op(p, ")")) {
        const struct jtoken *next = &p->s->tokens[p->at + (parse_now(p)->kind != JT_END)];
        int is_keyword = parse_now(p)->kind == JT_NAME && next->kind == JT_OP && jsame(next->s, next->n, "=");
        int late =
            call->c || (!is_keyword && !parse_is_op(p, "*") && !parse_is_op(p, "**") && (call->b || call->named.n));
        if (late || (call->b && parse_is_op(p, "*")))
            parse_fail(p, ERROR_DATA, "an argument stands after those that come last", "", 0);
        if (parse_skip_op(p, "*"))
            call->b = parse_expression(p);
        else if (parse_skip_op(p, "**"))
            call->c = parse_expression(p);
        else if (is_keyword)
            keyword(p, call);
        else
            parse_add(p, &call->kids, parse_expression(p));
        if (!parse_skip_op(p, ","))
            break;
    }
    parse_need_op(p, ")");
}

static struct jnode *constant(struct parser *p, int op)
{
    struct jnode *n = parse_node(p, JN_CONST);
    const struct jtoken *t = parse_now(p);
    n->op = op;
    n->s = t->s;
    n->n = t->n;
    n->i = t->i;
    n->d = t->d;
    p->at++;
    return n;
}

/* Adjacent strings are one. */
static struct jnode *string(struct parser *p)
{
    struct jnode *n = constant(p, JCONST_STRING);
    while (!p->rc && parse_now(p)->kind == JT_STRING) {
        char *joined = arena_alloc(&p->t->arena, n->n + parse_now(p)->n + 1);
        if (!joined) {
            p->rc = error_set_nomem(p->s->err, n->n, "a template");
            break;
        }
        memcpy(joined, n->s, n->n);
        memcpy(joined + n->n, parse_now(p)->s, parse_now(p)->n);
        n->s = joined;
        n->n += parse_now(p)->n;
        p->at++;
    }
    return n;
}

/* [a, b] or (a, b) after the opening bracket; (a) is a itself. */
static struct jnode *sequence(struct parser *p, const char *close)
{
    struct jnode *n = parse_node(p, JN_LIST);
    int comma = 0;
    while (!p->rc && !parse_is_op(p, close)) {
        parse_add(p, &n->kids, parse_expression(p));
        comma = parse_skip_op(p, ",");
        if (!comma)
            break;
        n->op = *close == ')';
    }
    parse_need_op(p, close);
    if (*close == ')' && !n->op && n->kids.n == 1)
        return n->kids.items[0];
    n->op = *close == ')';
    return n;
}

static struct jnode *dict(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_DICT);
    while (!p->rc && !parse_is_op(p, "}")) {
        parse_add(p, &n->kids, parse_expression(p));
        parse_need_op(p, ":");
        parse_add(p, &n->more, parse_expression(p));
        if (!parse_skip_op(p, ","))
            break;
    }
    parse_need_op(p, "}");
    return n;
}

static struct jnode *primary(struct parser *p)
{
    static const struct {
        const char *word;
        int op;
    } words[] = {{"none", JCONST_NONE}, {"None", JCONST_NONE},   {"true", JCONST_TRUE},
                 {"True", JCONST_TRUE}, {"false", JCONST_FALSE}, {"False", JCONST_FALSE}};
    switch (parse_now(p)->kind) {
    case JT_STRING: return string(p);
    case JT_INT: return constant(p, JCONST_INT);
    case JT_FLOAT: return constant(p, JCONST_FLOAT);
    case JT_NAME:
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (parse_is_word(p, words[i].word))
                return constant(p, words[i].op);
        p->uses |= (parse_is_word(p, "caller") ? JUSES_CALLER : 0) | (parse_is_word(p, "varargs") ? JUSES_VARARGS : 0) |
                   (parse_is_word(p, "kwargs") ? JUSES_KWARGS : 0);
        return parse_named(p, JN_NAME);
    default:
        if (parse_skip_op(p, "("))
            return sequence(p, ")");
        if (parse_skip_op(p, "["))
            return sequence(p, "]");
        if (parse_skip_op(p, "{"))
            return dict(p);
        parse_wanted(p, "an expression");
        return parse_node(p, JN_CONST);
    }
}

/* [i], [a:b], [a:b:c] after the opening bracket. */
static struct jnode *subscript(struct parser *p, struct jnode *of)
{
    struct jnode *n = parse_node(p, JN_ITEM), *parts[3] = {NULL, NULL, NULL};
    int i = 0;
    for (; i < 3 && !p->rc; i++) {
        if (!parse_is_op(p, ":") && !parse_is_op(p, "]"))
            parts[i] = parse_expression(p);
        if (i == 2 || !parse_skip_op(p, ":"))
            break;
        n->kind = JN_SLICE;
    }
    parse_need_op(p, "]");
    n->a = of;
    if (n->kind == JN_ITEM) {
        n->b = parts[0];
        if (!n->b)
            parse_wanted(p, "an index");
        return n;
    }
    for (i = 0; i < 3; i++)
        parse_add(p, &n->kids, parts[i]);
    return n;
}

static struct jnode *postfix(struct parser *p, struct jnode *n)
{
    while (!p->rc) {
        struct jnode *outer;
        if (parse_skip_op(p, ".")) {
            outer = parse_now(p)->kind == JT_INT ? parse_node(p, JN_ITEM) : parse_named(p, JN_ATTR);
            if (outer->kind == JN_ITEM)
                outer->b = constant(p, JCONST_INT);
        } else if (parse_skip_op(p, "[")) {
            n = subscript(p, n);
            continue;
        } else if (parse_skip_op(p, "(")) {
            outer = parse_node(p, JN_CALL);
            arguments(p, outer);
        } else {
            break;
        }
        outer->a = n;
        n = outer;
    }
    return n;
}

static int begins_argument(const struct parser *p)
{
    enum jtoken_kind kind = parse_now(p)->kind;
    if (kind == JT_NAME)
        return !parse_is_word(p, "else") && !parse_is_word(p, "or") && !parse_is_word(p, "and");
    return kind == JT_STRING || kind == JT_INT || kind == JT_FLOAT || parse_is_op(p, "[") || parse_is_op(p, "{");
}

static struct jnode *test(struct parser *p, struct jnode *of)
{
    int negated = parse_skip_word(p, "not");
    struct jnode *n = parse_named(p, JN_TEST);
    if (!p->rc && !jinja_is_test(n->s, n->n))
        parse_fail(p, ERROR_UNAVAILABLE, "not supported: test", n->s, n->n);
    n->op = negated;
    n->a = of;
    if (parse_skip_op(p, "(")) {
        arguments(p, n);
    } else if (begins_argument(p)) {
        if (parse_is_word(p, "is"))
            parse_fail(p, ERROR_DATA, "tests cannot be chained with", "is", 2);
        struct jnode *arg = primary(p);
        parse_add(p, &n->kids, postfix(p, arg));
    }
    return n;
}

static struct jnode *filter(struct parser *p, struct jnode *of)
{
    struct jnode *outer = parse_named(p, JN_FILTER);
    if (!p->rc && !jinja_is_filter(outer->s, outer->n))
        parse_fail(p, ERROR_UNAVAILABLE, "not supported: filter", outer->s, outer->n);
    if (parse_skip_op(p, "("))
        arguments(p, outer);
    outer->a = of;
    return outer;
}

static struct jnode *filters(struct parser *p, struct jnode *n)
{
    while (!p->rc) {
        struct jnode *outer;
        if (parse_skip_op(p, "|")) {
            outer = filter(p, n);
        } else if (parse_skip_word(p, "is")) {
            outer = test(p, n);
        } else if (parse_skip_op(p, "(")) {
            outer = parse_node(p, JN_CALL);
            arguments(p, outer);
            outer->a = n;
        } else {
            break;
        }
        n = outer;
    }
    return n;
}

struct jnode *parse_filters(struct parser *p, struct jnode *base, int inline_first)
{
    struct jnode *n = inline_first ? filter(p, base) : base;
    while (!p->rc && parse_skip_op(p, "|"))
        n = filter(p, n);
    return n;
}

static struct jnode *unary(struct parser *p, int with_filter)
{
    struct jnode *n;
    parse_deeper(p);
    if (parse_is_op(p, "-") || parse_is_op(p, "+")) {
        n = parse_node(p, JN_UNARY);
        n->op = parse_now(p)->s[0];
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
            if (!parse_is_op(p, levels[level][i]))
                continue;
            struct jnode *outer = parse_node(p, JN_BINARY);
            outer->op = JOP(levels[level][i][0], levels[level][i][1]);
            p->at++;
            outer->a = n;
            outer->b = binary(p, level + 1);
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
            if (parse_skip_op(p, ops[i]))
                op = JOP(ops[i][0], ops[i][1]);
        if (!op && parse_skip_word(p, "in"))
            op = 'i';
        const struct jtoken *next = &p->s->tokens[p->at + (parse_now(p)->kind != JT_END)];
        if (!op && parse_is_word(p, "not") && next->kind == JT_NAME && jsame(next->s, next->n, "in")) {
            op = 'n';
            p->at += 2;
        }
        if (!op)
            break;
        if (!n) {
            n = parse_node(p, JN_COMPARE);
            n->a = first;
        }
        struct jnode *right = parse_node(p, JN_UNARY);
        right->op = op;
        right->a = binary(p, 0);
        parse_add(p, &n->kids, right);
    }
    return n ? n : first;
}

static struct jnode *negation(struct parser *p)
{
    if (!parse_skip_word(p, "not"))
        return compare(p);
    struct jnode *n = parse_node(p, JN_NOT);
    parse_deeper(p);
    n->a = p->rc ? n : negation(p);
    p->depth--;
    return n;
}

static struct jnode *conjunction(struct parser *p, int is_or)
{
    struct jnode *n = is_or ? conjunction(p, 0) : negation(p);
    while (!p->rc && parse_skip_word(p, is_or ? "or" : "and")) {
        struct jnode *outer = parse_node(p, is_or ? JN_OR : JN_AND);
        outer->a = n;
        outer->b = is_or ? conjunction(p, 0) : negation(p);
        n = outer;
    }
    return n;
}

/* without conditions: what a for loop runs over. */
struct jnode *parse_plain(struct parser *p)
{
    return conjunction(p, 1);
}

struct jnode *parse_expression(struct parser *p)
{
    parse_deeper(p);
    struct jnode *n = p->rc ? parse_node(p, JN_CONST) : parse_plain(p);
    while (!p->rc && parse_skip_word(p, "if")) {
        struct jnode *outer = parse_node(p, JN_COND);
        outer->b = parse_plain(p);
        outer->a = n;
        if (parse_skip_word(p, "else"))
            outer->c = parse_expression(p);
        n = outer;
    }
    p->depth--;
    return n;
}

/* a, b, c: a tuple; one alone is itself. */
struct jnode *parse_tuple(struct parser *p, struct jnode *(*part)(struct parser *))
{
    struct jnode *first = part(p), *n;
    if (!parse_is_op(p, ","))
        return first;
    n = parse_node(p, JN_LIST);
    n->op = 1;
    parse_add(p, &n->kids, first);
    while (parse_skip_op(p, ","))
        if (parse_now(p)->kind != JT_BLOCK_END && parse_now(p)->kind != JT_PRINT_END && !parse_is_op(p, "="))
            parse_add(p, &n->kids, part(p));
    return n;
}
