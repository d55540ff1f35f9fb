/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser share: expressions (parse.c), statements (statement.c). */
#ifndef JINJA_PARSER_PARTS_H
#define JINJA_PARSER_PARTS_H

#include "jinja/parts.h"

enum { PARSE_DEPTH = 150 };
/* uses: JUSES_* seen since a macro began */
struct parser {
    struct jinja *t;
    struct jsource *s;
    int at, depth, rc, in_loop, uses;
};

const struct jtoken *parse_now(const struct parser *p);
void parse_fail(struct parser *p, int code, const char *what, const char *name, size_t n);
void parse_wanted(struct parser *p, const char *what);
int parse_deeper(struct parser *p); /* counts a level; the caller takes it back. 0, or -1 when there are too many */
struct jnode *parse_node(struct parser *p, enum jnode_kind kind);
void parse_add(struct parser *p, struct jnodes *list, struct jnode *n);
int parse_is_op(const struct parser *p, const char *op);
int parse_is_word(const struct parser *p, const char *word);
int parse_skip_op(struct parser *p, const char *op);
int parse_skip_word(struct parser *p, const char *word);
void parse_need_op(struct parser *p, const char *op);
struct jnode *parse_named(struct parser *p, enum jnode_kind kind);
struct jnode *parse_expression(struct parser *p);
struct jnode *parse_plain(struct parser *p); /* without conditions */
/* a, b, c: a tuple; one alone is itself. */
struct jnode *parse_tuple(struct parser *p, struct jnode *(*part)(struct parser *));
/* name(arguments)|name...: a chain on `base`; a chain that begins with a name when inline_first. */
struct jnode *parse_filters(struct parser *p, struct jnode *base, int inline_first);

#endif
