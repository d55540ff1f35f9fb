/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of the tree. */
#include "jinja/parser_parts.h"

#include <string.h>

static void body(struct parser *p, struct jnodes *into, const char *const *ends);

static void end_block(struct parser *p)
{
    if (!p->rc && parse_now(p)->kind != JT_BLOCK_END)
        parse_wanted(p, "the end of the tag");
    p->at += !p->rc;
}

/* The body up to {% WORD %} and that tag itself. */
static void body_until(struct parser *p, struct jnodes *into, const char *word)
{
    const char *const ends[] = {word, NULL};
    end_block(p);
    body(p, into, ends);
    parse_skip_word(p, word);
    end_block(p);
}

/* Outside of the loop it stands in: what becomes a function of its own. */
static void apart(struct parser *p, struct jnodes *into, const char *word)
{
    int in_loop = p->in_loop;
    p->in_loop = 0;
    body_until(p, into, word);
    p->in_loop = in_loop;
}

static struct jnode *target(struct parser *p, int with_attribute);

static struct jnode *one_target(struct parser *p, int with_attribute)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    if (parse_skip_op(p, "(")) {
        struct jnode *inner = parse_deeper(p) ? parse_node(p, JN_LIST) : target(p, 0);
        p->depth--;
        parse_need_op(p, ")");
        return inner;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (parse_is_word(p, reserved[i]))
            parse_fail(p, ERROR_DATA, "nothing can be assigned to", reserved[i], strlen(reserved[i]));
    struct jnode *n = parse_named(p, JN_NAME);
    if (with_attribute && parse_skip_op(p, ".")) {
        struct jnode *attr = parse_named(p, JN_ATTR);
        attr->a = n;
        n = attr;
    }
    return n;
}

/* A name, an attribute of a namespace, or several of them. */
static struct jnode *target(struct parser *p, int with_attribute)
{
    struct jnode *first = one_target(p, with_attribute), *n;
    if (p->rc || !parse_is_op(p, ","))
        return first;
    n = parse_node(p, JN_LIST);
    parse_add(p, &n->kids, first);
    while (parse_skip_op(p, ",") && !parse_is_op(p, "=") && !parse_is_op(p, ")") && !parse_is_word(p, "in") &&
           parse_now(p)->kind != JT_BLOCK_END)
        parse_add(p, &n->kids, one_target(p, with_attribute));
    return n;
}

static struct jnode *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jnode *n = parse_node(p, JN_IF);
    n->a = parse_tuple(p, parse_plain);
    end_block(p);
    body(p, &n->kids, ends);
    if (parse_skip_word(p, "elif")) {
        if (!parse_deeper(p))
            parse_add(p, &n->more, parse_if(p));
        p->depth--;
        return n;
    }
    if (parse_skip_word(p, "else")) {
        body_until(p, &n->more, "endif");
        return n;
    }
    parse_skip_word(p, "endif");
    end_block(p);
    return n;
}

static struct jnode *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct jnode *n = parse_node(p, JN_FOR);
    n->c = target(p, 0);
    if (!parse_skip_word(p, "in"))
        parse_wanted(p, "in");
    n->a = parse_tuple(p, parse_plain);
    if (parse_skip_word(p, "if"))
        n->b = parse_expression(p);
    n->op = parse_skip_word(p, "recursive");
    end_block(p);
    p->in_loop++;
    body(p, &n->kids, ends);
    p->in_loop--;
    if (parse_skip_word(p, "else")) {
        body_until(p, &n->more, "endfor");
        return n;
    }
    parse_skip_word(p, "endfor");
    end_block(p);
    return n;
}

static struct jnode *parse_set(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_SET);
    n->c = target(p, 1);
    if (parse_skip_op(p, "=")) {
        n->a = parse_tuple(p, parse_expression);
        end_block(p);
        return n;
    }
    n->kind = JN_SETBLOCK;
    if (parse_is_op(p, "|"))
        n->a = parse_filters(p, parse_node(p, JN_HOLE), 0);
    apart(p, &n->kids, "endset");
    return n;
}

static void signature(struct parser *p, struct jnode *n)
{
    int has_default = 0;
    parse_need_op(p, "(");
    while (!p->rc && !parse_is_op(p, ")")) {
        if (n->named.n)
            parse_need_op(p, ",");
        parse_add(p, &n->named, parse_named(p, JN_NAME));
        int given = parse_skip_op(p, "=");
        if (has_default && !given)
            parse_fail(p, ERROR_DATA, "an argument without a default stands after one with a default", "", 0);
        has_default |= given;
        parse_add(p, &n->more, given ? parse_expression(p) : NULL);
    }
    parse_need_op(p, ")");
}

static struct jnode *parse_macro(struct parser *p)
{
    struct jnode *n = parse_named(p, JN_MACRO);
    int uses = p->uses;
    p->uses = 0;
    signature(p, n);
    apart(p, &n->kids, "endmacro");
    n->op = p->uses;
    p->uses |= uses;
    return n;
}

/* {% call(x) macro(...) %}: the body is the macro's caller(x). */
static struct jnode *parse_call(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_CALLBLOCK);
    int uses;
    if (parse_is_op(p, "("))
        signature(p, n);
    n->s = "caller";
    n->n = 6;
    n->a = parse_expression(p);
    if (!p->rc && n->a->kind != JN_CALL)
        parse_fail(p, ERROR_DATA, "{% call %} wants the call of a macro", "", 0);
    uses = p->uses;
    p->uses = 0;
    apart(p, &n->kids, "endcall");
    n->op = p->uses;
    p->uses |= uses;
    return n;
}

static struct jnode *parse_with(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_WITH);
    while (!p->rc && parse_now(p)->kind != JT_BLOCK_END) {
        if (n->named.n)
            parse_need_op(p, ",");
        parse_add(p, &n->named, one_target(p, 0));
        parse_need_op(p, "=");
        parse_add(p, &n->more, parse_expression(p));
    }
    body_until(p, &n->kids, "endwith");
    return n;
}

static struct jnode *parse_filter(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_FILTERBLOCK);
    n->a = parse_filters(p, parse_node(p, JN_HOLE), 1);
    apart(p, &n->kids, "endfilter");
    return n;
}

static struct jnode *parse_generation(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_GENERATION);
    apart(p, &n->kids, "endgeneration");
    return n;
}

/* {% print a, b %} */
static struct jnode *parse_print(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_WITH);
    while (!p->rc && parse_now(p)->kind != JT_BLOCK_END) {
        if (n->kids.n)
            parse_need_op(p, ",");
        struct jnode *one = parse_node(p, JN_PRINT);
        one->a = parse_expression(p);
        parse_add(p, &n->kids, one);
    }
    end_block(p);
    return n;
}

static struct jnode *parse_jump(struct parser *p)
{
    struct jnode *n = parse_node(p, parse_is_word(p, "break") ? JN_BREAK : JN_CONTINUE);
    if (!p->in_loop)
        parse_fail(p, ERROR_DATA, "outside of a loop:", parse_now(p)->s, parse_now(p)->n);
    p->at++;
    end_block(p);
    return n;
}

static struct jnode *statement(struct parser *p)
{
    static const struct {
        const char *word;
        struct jnode *(*parse)(struct parser *);
    } known[] = {
        {"if", parse_if},       {"for", parse_for},       {"set", parse_set},   {"macro", parse_macro},
        {"call", parse_call},   {"filter", parse_filter}, {"with", parse_with}, {"generation", parse_generation},
        {"print", parse_print},
    };
    const struct jtoken *t = parse_now(p);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (parse_skip_word(p, known[i].word))
            return known[i].parse(p);
    if (parse_is_word(p, "break") || parse_is_word(p, "continue"))
        return parse_jump(p);
    if (t->kind == JT_NAME && strncmp(t->s, "end", 3))
        parse_fail(p, ERROR_UNAVAILABLE, "not supported: statement", t->s, t->n);
    else
        parse_fail(p, ERROR_DATA, "a statement that was not begun:", t->s, t->n ? t->n : 1);
    return parse_node(p, JN_CONTINUE);
}

static struct jnode *print(struct parser *p)
{
    struct jnode *n = parse_node(p, JN_PRINT);
    n->a = parse_tuple(p, parse_expression);
    if (!p->rc && parse_now(p)->kind != JT_PRINT_END)
        parse_wanted(p, "}}");
    p->at += !p->rc;
    return n;
}

/* Up to one of `ends` (its word is not consumed, its "{%" is), or with NULL to the end of the template. */
static void body(struct parser *p, struct jnodes *into, const char *const *ends)
{
    parse_deeper(p);
    while (!p->rc) {
        struct jnode *n;
        const struct jtoken *t = parse_now(p);
        if (t->kind == JT_END) {
            if (ends)
                parse_wanted(p, ends[0]);
            break;
        }
        p->at++;
        if (t->kind == JT_DATA) {
            n = parse_node(p, JN_DATA);
            n->s = t->s;
            n->n = t->n;
        } else if (t->kind == JT_PRINT) {
            n = print(p);
        } else {
            int i = 0;
            while (ends && ends[i] && !parse_is_word(p, ends[i]))
                i++;
            if (ends && ends[i])
                break;
            n = statement(p);
        }
        parse_add(p, into, n);
    }
    p->depth--;
}

int jinja_build(struct jinja *t, struct jsource *s)
{
    struct parser p = {.t = t, .s = s};
    body(&p, &t->body, NULL);
    return p.rc;
}
