/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the Jinja reader: tokens (lex.c), the tree (parse.c), values (value.c), expressions (eval.c), filters, tests, methods and functions
 * (call.c), statements and the public functions (jinja.c).
 *
 * Everything lives in an arena: the tree in the template's, values in the rendering's. The first failure stays in `rc`; functions that give a value give undefined
 * after it, so a chain needs few checks. */
#ifndef JINJA_PARTS_H
#define JINJA_PARTS_H

#include "base/arena.h"
#include "jinja/jinja.h"

/* --- tokens --- */
enum jtoken_kind { JT_DATA, JT_PRINT, JT_PRINT_END, JT_BLOCK, JT_BLOCK_END, JT_NAME, JT_STRING, JT_INT, JT_FLOAT, JT_OP, JT_END };
struct jtoken { enum jtoken_kind kind; int line; const char *s; size_t n; int64_t i; double d; }; /* s: text, name, decoded string, operator */
struct jsource { struct arena *arena; const char *name; struct error *err; struct jtoken *tokens; int n, cap; };
int jinja_lex(struct jsource *s, const char *text, size_t n);

/* --- the tree --- */
enum jnode_kind {
    JN_CONST, JN_NAME, JN_LIST, JN_DICT, JN_UNARY, JN_BINARY, JN_AND, JN_OR, JN_NOT, JN_COMPARE, JN_COND, JN_ATTR, JN_ITEM, JN_SLICE, JN_CALL, JN_FILTER, JN_TEST,
    JN_DATA, JN_PRINT, JN_IF, JN_FOR, JN_SET, JN_SETBLOCK, JN_MACRO, JN_GENERATION, JN_BREAK, JN_CONTINUE
};
struct jnode;
struct jnodes { struct jnode **items; int n, cap; };
enum { JCONST_NONE, JCONST_TRUE, JCONST_FALSE, JCONST_INT, JCONST_FLOAT, JCONST_STRING };
struct jnode {
    enum jnode_kind kind;
    int line, op;              /* op: operator's first two characters, JCONST_*, 1 for a tuple, 1 for a negated test */
    const char *s; size_t n;   /* name, string, data */
    int64_t i; double d;
    struct jnode *a, *b, *c;   /* operands; object; condition, body's value */
    struct jnodes kids;        /* elements, arguments, body, targets */
    struct jnodes named;       /* keyword arguments and macro defaults: JN_CONST names, then values in `more` */
    struct jnodes more;        /* values of `named`; else-branch; dict values */
};
#define JOP(a, b) ((a) | (b) << 8)
struct jinja { struct arena arena; char *name; struct jnodes body; };
int jinja_build(struct jinja *t, struct jsource *s);
/* Which filters and tests there are. */
int jinja_is_filter(const char *s, size_t n);
int jinja_is_test(const char *s, size_t n);

/* --- values --- */
enum jkind { J_UNDEFINED, J_NONE, J_BOOL, J_INT, J_FLOAT, J_STRING, J_LIST, J_DICT, J_NAMESPACE, J_MACRO, J_FUNCTION, J_METHOD };
struct jvalue;
struct jlist { struct jvalue *items; int n, cap, tuple; };
struct jdict { const char **keys; size_t *key_n; struct jvalue *values; int n, cap; };
struct jmethod;
struct jscope { struct jdict vars; struct jscope *up; };
struct jvalue {
    enum jkind kind;
    union {
        int64_t i; double d;
        struct { const char *s; size_t n; }; /* string; undefined: what was looked for; function: its name */
        struct jlist *list;
        struct jdict *dict;
        struct { const struct jnode *node; struct jscope *scope; };
        struct jmethod *method;
    };
};
struct jmethod { struct jvalue self; const char *s; size_t n; };
struct jargs { struct jvalue *values; int n; struct jdict named; };

struct jrun {
    struct arena arena;
    const struct jinja *t;
    struct jscope *scope;
    struct buf *out;           /* where text goes: the result, or a captured block */
    int capturing, line, depth, rc;
    long steps;
    size_t bytes;
    int64_t now;
    struct jinja_spans *spans; int cap_span;
    struct error *err;
};
int jfail(struct jrun *r, const char *format, ...) __attribute__((format(printf, 2, 3))); /* with file and line; -1 */
void *jalloc(struct jrun *r, size_t bytes);  /* NULL after failing */
int jstep(struct jrun *r);                   /* counts work; -1 when it is too much */

struct jvalue jundefined(const char *name, size_t n);
struct jvalue jnone(void);
struct jvalue jbool(int b);
struct jvalue jint(int64_t i);
struct jvalue jfloat(double d);
struct jvalue jstring(const char *s, size_t n);              /* borrowed */
struct jvalue jcopy(struct jrun *r, const char *s, size_t n);
struct jvalue jtake(struct jrun *r, struct buf *b);          /* copies and frees */
struct jvalue jlist(struct jrun *r, int tuple);
void jpush(struct jrun *r, struct jlist *list, struct jvalue v);
struct jvalue jdict(struct jrun *r, enum jkind kind);
void jput(struct jrun *r, struct jdict *d, const char *key, size_t n, struct jvalue v);
int jfind(const struct jdict *d, const char *key, size_t n); /* index or -1 */
struct jvalue jfrom_json(struct jrun *r, const json_t *v);
int jtrue(struct jvalue v);
int jequal(struct jvalue a, struct jvalue b);
int jcompare(struct jrun *r, struct jvalue a, struct jvalue b); /* <0, 0, >0; fails for kinds that have no order */
int jcontains(struct jrun *r, struct jvalue in, struct jvalue v);
int64_t jlength(struct jrun *r, struct jvalue v);
int jis(struct jvalue v, const char *text);                  /* a string equal to text */
void jwrite(struct jrun *r, struct buf *out, struct jvalue v); /* as str() */
void jrepr(struct jrun *r, struct buf *out, struct jvalue v);
struct jvalue jto_string(struct jrun *r, struct jvalue v);
void jdump(struct jrun *r, struct buf *out, struct jvalue v, int indent, int sort_keys, const char *item_sep, const char *key_sep, int depth);
struct jlist *jiterate(struct jrun *r, struct jvalue v);     /* elements, keys, characters; NULL after failing */
int jsame(const char *a, size_t n, const char *b);           /* a[0..n) is b */

/* --- expressions --- */
struct jvalue jeval(struct jrun *r, const struct jnode *n);
struct jvalue jattr(struct jrun *r, struct jvalue v, const char *s, size_t n, int item_first);
struct jvalue jcall_macro(struct jrun *r, struct jvalue macro, const struct jargs *args); /* jinja.c */
struct jvalue jcapture(struct jrun *r, const struct jnodes *body);

/* --- filters, tests, methods, functions --- */
struct jvalue jfilter(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args);
int jtest(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args);
int jhas_method(struct jvalue v, const char *s, size_t n);
struct jvalue jcall_method(struct jrun *r, const struct jmethod *m, const struct jargs *args);
struct jvalue jcall_function(struct jrun *r, struct jvalue f, const struct jargs *args);
int jis_function(const char *s, size_t n);
struct jvalue jarg(const struct jargs *args, int at, const char *name); /* positional or by name, else undefined */

#endif
