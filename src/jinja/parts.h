/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the Jinja reader: tokens (lex.c), the tree (parse.c, statement.c), values (value.c, text.c), expressions
 * (eval.c, operate.c), filters (filter.c, sequence.c), tests (test.c), methods (method.c, case.c, format.c, member.c),
 * functions (function.c), statements and the public functions (jinja.c).
 *
 * Everything lives in an arena: the tree in the template's, values in the rendering's. The first failure stays in `rc`;
 * functions that give a value give undefined after it, so a chain needs few checks. Values are Python's: what Python
 * refuses is refused, what it writes is written. */
#ifndef JINJA_PARTS_H
#define JINJA_PARTS_H

#include "base/arena.h"
#include "jinja/jinja.h"

/* --- tokens --- */
enum jtoken_kind {
    JT_DATA,
    JT_PRINT,
    JT_PRINT_END,
    JT_BLOCK,
    JT_BLOCK_END,
    JT_NAME,
    JT_STRING,
    JT_INT,
    JT_FLOAT,
    JT_OP,
    JT_END
};
/* s: text, name, decoded string, operator */
struct jtoken {
    enum jtoken_kind kind;
    int line;
    const char *s;
    size_t n;
    int64_t i;
    double d;
};
struct jsource {
    struct arena *arena;
    const char *name;
    struct error *err;
    struct jtoken *tokens;
    int n, cap;
};
int jinja_lex(struct jsource *s, const char *text, size_t n);
size_t jspace_at(const char *s,
                 size_t n); /* bytes of the white space character (str.isspace) that s[0..n) begins with, or 0 */

/* --- the tree --- */
enum jnode_kind {
    JN_CONST,
    JN_NAME,
    JN_LIST,
    JN_DICT,
    JN_UNARY,
    JN_BINARY,
    JN_AND,
    JN_OR,
    JN_NOT,
    JN_COMPARE,
    JN_COND,
    JN_ATTR,
    JN_ITEM,
    JN_SLICE,
    JN_CALL,
    JN_FILTER,
    JN_TEST,
    JN_HOLE,
    JN_DATA,
    JN_PRINT,
    JN_IF,
    JN_FOR,
    JN_SET,
    JN_SETBLOCK,
    JN_MACRO,
    JN_CALLBLOCK,
    JN_FILTERBLOCK,
    JN_WITH,
    JN_GENERATION,
    JN_BREAK,
    JN_CONTINUE
};
struct jnode;
struct jnodes {
    struct jnode **items;
    int n, cap;
};
enum { JCONST_NONE, JCONST_TRUE, JCONST_FALSE, JCONST_INT, JCONST_FLOAT, JCONST_STRING };
enum { JUSES_CALLER = 1, JUSES_VARARGS = 2, JUSES_KWARGS = 4 };
struct jnode {
    enum jnode_kind kind;
    /* op: operator's first two characters, JCONST_*, 1 for a tuple, a negated test or a recursive loop, JUSES_* of a
     * macro */
    int line, op;
    const char *s;
    size_t n; /* name, string, data */
    int64_t i;
    double d;
    /* operands; object; condition; calls: b of *args, c of **kwargs; for and set: c is the target; blocks with a
     * filter: a is the chain on JN_HOLE */
    struct jnode *a, *b, *c;
    struct jnodes kids;  /* elements, arguments, body */
    struct jnodes named; /* keyword arguments, macro's arguments, targets of with: then values in `more` */
    struct jnodes more;  /* values of `named` (macros: NULL without a default); else-branch; dict values */
};
#define JOP(a, b) ((a) | (b) << 8)
struct jinja {
    struct arena arena;
    char *name;
    struct jnodes body;
};
int jinja_build(struct jinja *t, struct jsource *s);
/* Which filters and tests there are. */
int jinja_is_filter(const char *s, size_t n);
int jinja_is_test(const char *s, size_t n);

/* --- values --- */
enum jkind {
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STRING,
    J_LIST,
    J_DICT,
    J_NAMESPACE,
    J_MACRO,
    J_FUNCTION,
    J_METHOD,
    J_LOOP,
    J_CYCLER,
    J_JOINER,
    J_MISSING
};
/* A generator is what filters give lazily in Python: it is read once, has no length and is true. */
enum jform { JF_LIST, JF_TUPLE, JF_GROUP, JF_RANGE, JF_KEYS, JF_VALUES, JF_ITEMS, JF_GENERATOR };
struct jvalue;
/* start...: of a range */
struct jlist {
    struct jvalue *items;
    int n, cap;
    enum jform form;
    int64_t start, stop, step;
};
struct jdict {
    struct jvalue *keys, *values;
    int n, cap;
};
struct jmethod;
struct jloop;
struct jcycle;
struct jscope {
    struct jdict vars;
    struct jscope *up;
};
struct jvalue {
    enum jkind kind;
    int safe; /* a string that is Markup */
    union {
        int64_t i;
        double d;
        /* string; undefined: what was looked for; function: its name */
        struct {
            const char *s;
            size_t n;
        };
        struct jlist *list;
        struct jdict *dict;
        struct {
            const struct jnode *node;
            struct jscope *scope;
        };
        struct jmethod *method;
        struct jloop *loop;
        struct jcycle *cycle;
    };
};
struct jmethod {
    struct jvalue self;
    const char *s;
    size_t n;
};
struct jargs {
    struct jvalue *values;
    int n;
    struct jdict named;
};
struct jloop {
    const struct jnode *node;
    struct jscope *outer;
    struct jlist *items;
    int at, depth;
    struct jvalue changed;
};
/* of a cycler; a joiner's is its text */
struct jcycle {
    struct jvalue items;
    int at;
    struct jvalue joint;
};

struct jrun {
    struct arena arena;
    const struct jinja *t;
    struct jscope *scope;
    struct buf *out; /* where text goes: the result, or a captured block */
    int capturing, line, depth, rc;
    long steps;
    size_t bytes, work; /* held; looked at and written */
    int64_t now;
    struct jvalue hole; /* what the chain of a block with a filter starts from */
    json_t *kept;       /* what from_json read: its texts are borrowed */
    struct jinja_spans *spans;
    int cap_span;
    struct error *err;
};
int jfail(struct jrun *r, const char *format, ...) __attribute__((format(printf, 2, 3))); /* with file and line; -1 */
int junavailable(struct jrun *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));             /* what Jinja knows and this reader does not */
void *jalloc(struct jrun *r, size_t bytes);            /* NULL after failing */
int jstep(struct jrun *r);                             /* counts work; -1 when it is too much or a signal came */
int jcharge(struct jrun *r, size_t bytes);             /* counts bytes that are read or written */
#define JSHOW(v) (int)((v).n < 60 ? (v).n : 60), (v).s /* for %.*s */

struct jvalue jundefined(const char *name, size_t n);
struct jvalue jmissing(void); /* an argument that was not given */
struct jvalue jnone(void);
struct jvalue jbool(int b);
struct jvalue jint(int64_t i);
struct jvalue jfloat(double d);
struct jvalue jstring(const char *s, size_t n); /* borrowed */
struct jvalue jtext(const char *s);             /* borrowed */
struct jvalue jmark(struct jvalue v, int safe); /* the same string, Markup or not */
struct jvalue jcopy(struct jrun *r, const char *s, size_t n);
struct jvalue jtake(struct jrun *r, struct buf *b); /* copies and frees */
struct jvalue jlist(struct jrun *r, enum jform form);
void jpush(struct jrun *r, struct jlist *list, struct jvalue v);
struct jvalue jpair(struct jrun *r, struct jvalue a, struct jvalue b);
struct jvalue jdict(struct jrun *r, enum jkind kind);
void jput(struct jrun *r, struct jdict *d, struct jvalue key, struct jvalue v); /* fails for a key that cannot be one */
void jset(struct jrun *r, struct jdict *d, const char *name, size_t n, struct jvalue v);
int jfind(struct jrun *r, const struct jdict *d, struct jvalue key); /* index or -1 */
int jfind_name(const struct jdict *d, const char *name, size_t n);
int jhashable(struct jrun *r, struct jvalue v);
struct jvalue jfrom_json(struct jrun *r, const json_t *v);
void jkeep_json(struct jrun *r, json_t *v); /* takes it over until the end of the rendering */
int jtrue(struct jvalue v);
int jequal(struct jrun *r, struct jvalue a, struct jvalue b);
int jcompare(struct jrun *r, struct jvalue a, struct jvalue b); /* <0, 0, >0; fails for kinds that have no order */
int jcontains(struct jrun *r, struct jvalue in, struct jvalue v);
int64_t jlength(struct jrun *r, struct jvalue v);
int jis(struct jvalue v, const char *text); /* a string equal to text */
int jis_number(struct jvalue v);
double jnumber(struct jvalue v);
int64_t jwhole(struct jrun *r, struct jvalue v, int64_t missing); /* of an argument */
struct jlist *jiterate(struct jrun *r,
                       struct jvalue v); /* elements, keys, characters; a generator is spent; NULL after failing */
int jsame(const char *a, size_t n, const char *b); /* a[0..n) is b */

/* --- text of values (text.c) --- */
void jwrite(struct jrun *r, struct buf *out, struct jvalue v); /* as str() */
void jrepr(struct jrun *r, struct buf *out, struct jvalue v);
struct jvalue jto_string(struct jrun *r, struct jvalue v); /* Markup stays */
void jfloat_text(struct buf *out, double d, int json);
struct jvalue jescape(struct jrun *r, struct jvalue v); /* Markup, & < > ' " escaped unless it was */
struct jdump {
    const char *item;
    size_t item_n;
    const char *key;
    size_t key_n;
    const char *indent;
    size_t indent_n;
    int lines, ascii, sort;
};
void jdump(struct jrun *r, struct buf *out, struct jvalue v, const struct jdump *how, int depth); /* json.dumps */

/* --- expressions --- */
struct jvalue jeval(struct jrun *r, const struct jnode *n);
struct jvalue jattr(struct jrun *r, struct jvalue v, const char *s, size_t n); /* v.s */
struct jvalue jitem(struct jrun *r, struct jvalue v, struct jvalue key);       /* v[key] */
struct jvalue jbinary(struct jrun *r, int op, struct jvalue a, struct jvalue b);
struct jvalue jnegate(struct jrun *r, struct jvalue v, int op);
struct jvalue jcall(struct jrun *r, struct jvalue f, const struct jargs *args);
void jeval_args(struct jrun *r, const struct jnode *n, struct jargs *args);
/* jinja.c */
struct jvalue jcall_macro(struct jrun *r, struct jvalue macro, const struct jargs *args);
struct jvalue jcall_loop(struct jrun *r, struct jloop *loop, struct jvalue items);

/* --- filters, tests, methods, functions --- */
/* A callable's arguments: names between blanks, "=" after those that may be absent, "/" before all when they have no
 * names, "*" alone for any. NULL: none. */
enum { JMAX_ARGS = 6 };
struct jentry {
    const char *name, *signature;
    struct jvalue (*run)(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a);
};
int jbind(struct jrun *r, const char *what, const char *signature, const struct jargs *args,
          struct jvalue p[JMAX_ARGS]);
int jgiven(struct jvalue v); /* not missing */
struct jvalue jfilter(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args);
extern const struct jentry jsequence_filters[]; /* sequence.c; ends with a NULL name */
int jtest(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args);
int jhas_method(struct jvalue v, const char *s, size_t n); /* 1: it has, -1: it has one that would change it */
struct jvalue jcall_method(struct jrun *r, struct jvalue self, const char *s, size_t n, const struct jargs *args);
struct jvalue jstring_method(struct jrun *r, struct jvalue text, const char *name, const struct jvalue *args, int n);
extern const struct jentry jstring_methods[]; /* method.c */
extern const struct jentry jcase_methods[];   /* case.c: upper, lower, ... isupper, ... */
struct jvalue jpercent(struct jrun *r, struct jvalue format, struct jvalue args);      /* format.c: format % args */
struct jvalue jformat(struct jrun *r, struct jvalue format, const struct jargs *args); /* str.format */
struct jvalue jcall_function(struct jrun *r, struct jvalue f, const struct jargs *args);
int jis_function(const char *s, size_t n);
size_t jchar(const char *s, size_t n, uint32_t *cp); /* one character, at least a byte when n > 0 */
int jspace(uint32_t cp);                             /* str.isspace */
int jdecimal(uint32_t cp);                           /* the value of a decimal digit of any script, or -1 */
int jprintable(uint32_t cp);                         /* str.isprintable */

static inline int jradix(int letter, int otherwise) /* of 0x, 0o, 0b */
{
    switch (letter | 32) {
    case 'x': return 16;
    case 'o': return 8;
    case 'b': return 2;
    default: return otherwise;
    }
}
void jescaped(struct buf *out, uint32_t cp); /* \x.., \u.... or \U........ */

#endif
