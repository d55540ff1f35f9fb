/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions. */
#include "jinja/parts.h"

#include "base/clamp.h"

#include <string.h>

enum { MAX_DEPTH = 400 };

static struct jvalue lookup(struct jrun *r, const struct jnode *n)
{
    for (struct jscope *s = r->scope; s; s = s->up) {
        int at = jfind_name(&s->vars, n->s, n->n);
        if (at >= 0)
            return s->vars.values[at];
    }
    if (jis_function(n->s, n->n))
        return (struct jvalue){.kind = J_FUNCTION, .s = n->s, .n = n->n};
    return jundefined(n->s, n->n);
}

static struct jvalue index_of(struct jrun *r, struct jvalue v, int64_t i)
{
    int64_t n = jlength(r, v);
    i = i < 0 ? i + n : i;
    if (i < 0 || i >= n)
        return jundefined("an element", 10);
    if (v.kind == J_LIST)
        return v.list->items[i];
    size_t at = 0;
    uint32_t cp;
    while (i-- > 0)
        at += jchar(v.s + at, v.n - at, &cp);
    return jmark(jstring(v.s + at, jchar(v.s + at, v.n - at, &cp)), v.safe);
}

static struct jvalue no_attribute(struct jrun *r, struct jvalue v)
{
    jfail(r, "'%.*s' is undefined", JSHOW(v));
    return v;
}

static struct jvalue method(struct jrun *r, struct jvalue v, const char *s, size_t n)
{
    struct jmethod *m = jalloc(r, sizeof *m);
    if (!m)
        return jundefined(s, n);
    *m = (struct jmethod){v, s, n};
    return (struct jvalue){.kind = J_METHOD, .method = m};
}

static struct jvalue loop_attribute(struct jrun *r, struct jvalue v, const char *s, size_t n)
{
    const struct jloop *l = v.loop;
    const struct {
        const char *name;
        struct jvalue v;
    } known[] = {
        {"index0", jint(l->at)},
        {"index", jint(l->at + 1)},
        {"length", jint(l->items->n)},
        {"revindex0", jint(l->items->n - 1 - l->at)},
        {"revindex", jint(l->items->n - l->at)},
        {"first", jbool(l->at == 0)},
        {"last", jbool(l->at == l->items->n - 1)},
        {"depth", jint(l->depth + 1)},
        {"depth0", jint(l->depth)},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (jsame(s, n, known[i].name))
            return known[i].v;
    if (jsame(s, n, "previtem"))
        return l->at > 0 ? l->items->items[l->at - 1] : jundefined("there is no previous item", 25);
    if (jsame(s, n, "nextitem"))
        return l->at < l->items->n - 1 ? l->items->items[l->at + 1] : jundefined("there is no next item", 21);
    return jhas_method(v, s, n) ? method(r, v, s, n) : jundefined(s, n);
}

/* What a value of another kind than a mapping has by name; undefined else. */
static struct jvalue member(struct jrun *r, struct jvalue v, const char *s, size_t n)
{
    if (v.kind == J_LOOP)
        return loop_attribute(r, v, s, n);
    if (v.kind == J_CYCLER && jsame(s, n, "current"))
        return v.cycle->items.list->items[v.cycle->at];
    if (v.kind == J_LIST && v.list->form == JF_GROUP && (jsame(s, n, "grouper") || jsame(s, n, "list")))
        return v.list->items[jsame(s, n, "list")];
    if (v.kind == J_MACRO && jsame(s, n, "name"))
        return jstring(v.node->s, v.node->n);
    return jhas_method(v, s, n) > 0 ? method(r, v, s, n) : jundefined(s, n);
}

/* x.name looks for a method first and for an item then. */
struct jvalue jattr(struct jrun *r, struct jvalue v, const char *s, size_t n)
{
    int has = jhas_method(v, s, n), at;
    if (v.kind == J_UNDEFINED)
        return no_attribute(r, v);
    if (v.kind != J_DICT && v.kind != J_NAMESPACE)
        return member(r, v, s, n);
    if (has < 0)
        return jundefined(s, n);
    if (has)
        return method(r, v, s, n);
    at = jcharge(r, (size_t)v.dict->n * 8) ? -1 : jfind_name(v.dict, s, n);
    return at >= 0 ? v.dict->values[at] : jundefined(s, n);
}

struct jvalue jitem(struct jrun *r, struct jvalue v, struct jvalue key)
{
    if (v.kind == J_UNDEFINED)
        return no_attribute(r, v);
    if (v.kind == J_DICT && jhashable(r, key)) {
        int at = jfind(r, v.dict, key);
        if (at >= 0)
            return v.dict->values[at];
    }
    if ((key.kind == J_INT || key.kind == J_BOOL) &&
        (v.kind == J_STRING || (v.kind == J_LIST && v.list->form <= JF_RANGE)))
        return index_of(r, v, key.i);
    if (key.kind == J_STRING)
        return jattr(r, v, key.s, key.n);
    return jundefined("an element", 10);
}

static int64_t bound(struct jrun *r, const struct jnode *n, int64_t missing)
{
    struct jvalue v = n ? jeval(r, n) : jnone();
    if (v.kind == J_INT || v.kind == J_BOOL)
        return v.i;
    if (v.kind != J_NONE)
        jfail(r, "a slice wants whole numbers");
    return missing;
}

/* Clips a bound of a slice as Python does. */
static int64_t clip(int64_t i, int64_t size, int back)
{
    if (i < 0 && i >= -size)
        return i + size;
    if (i < 0)
        return back ? -1 : 0;
    return i > size - back ? size - back : i;
}

static struct jvalue slice_text(struct jrun *r, struct jvalue of, int64_t from, int64_t to, int64_t step)
{
    struct buf b = BUF_INIT;
    struct jlist *items = jiterate(r, of);
    for (int64_t i = from; items && (step < 0 ? i > to : i < to); i += step) {
        buf_append(&b, items->items[i].s, items->items[i].n);
        if (step > INT32_MAX || step < INT32_MIN)
            break;
    }
    return jmark(jtake(r, &b), of.safe);
}

/* Text in its own order needs no characters taken apart. */
static struct jvalue cut(struct jrun *r, struct jvalue of, int64_t from, int64_t to)
{
    size_t begin = 0, end;
    uint32_t cp;
    jcharge(r, of.n);
    for (int64_t i = 0; i < from; i++)
        begin += jchar(of.s + begin, of.n - begin, &cp);
    end = begin;
    for (int64_t i = from; i < to; i++)
        end += jchar(of.s + end, of.n - end, &cp);
    return jmark(jstring(of.s + begin, end - begin), of.safe);
}

static struct jvalue slice(struct jrun *r, const struct jnode *n)
{
    struct jvalue of = jeval(r, n->a), out;
    int64_t step = bound(r, n->kids.items[2], 1), back = step < 0;
    if (of.kind == J_UNDEFINED && !r->rc)
        return no_attribute(r, of);
    if (of.kind != J_STRING && (of.kind != J_LIST || of.list->form > JF_RANGE))
        jfail(r, "only strings and lists have slices");
    if (step == 0)
        jfail(r, "the step of a slice is 0");
    if (r->rc)
        return of;
    int64_t size = jlength(r, of);
    int64_t from = bound(r, n->kids.items[0], back ? INT64_MAX : 0),
            to = bound(r, n->kids.items[1], back ? INT64_MIN : INT64_MAX);
    from = clip(from, size, (int)back);
    to = clip(to, size, (int)back);
    if (of.kind == J_STRING)
        return step == 1 ? cut(r, of, from, to) : slice_text(r, of, from, to, step);
    out = jlist(r, of.list->form == JF_GROUP ? JF_TUPLE : of.list->form);
    out.list->start = of.list->start + from * of.list->step;
    out.list->stop = of.list->start + to * of.list->step;
    out.list->step = of.list->step * clamp_int64(step, INT32_MIN, INT32_MAX);
    for (int64_t i = from; !r->rc && (back ? i > to : i < to); i += step) {
        jpush(r, out.list, of.list->items[i]);
        if (step > INT32_MAX || step < INT32_MIN)
            break;
    }
    return out;
}

static int holds(struct jrun *r, int op, struct jvalue left, struct jvalue right)
{
    if (op == JOP('=', '=') || op == JOP('!', '='))
        return jequal(r, left, right) == (op == JOP('=', '='));
    if (op == 'i' || op == 'n')
        return jcontains(r, right, left) == (op == 'i');
    int c = jcompare(r, left, right);
    if (left.kind == J_FLOAT ? left.d != left.d : right.kind == J_FLOAT && right.d != right.d)
        return 0;
    switch (op) {
    case '<': return c < 0;
    case '>': return c > 0;
    case JOP('<', '='): return c <= 0;
    default: return c >= 0;
    }
}

static struct jvalue compare(struct jrun *r, const struct jnode *n)
{
    struct jvalue left = jeval(r, n->a);
    for (int i = 0; i < n->kids.n && !r->rc; i++) {
        struct jvalue right = jeval(r, n->kids.items[i]->a);
        if (r->rc || !holds(r, n->kids.items[i]->op, left, right))
            return jbool(0);
        left = right;
    }
    return jbool(1);
}

static void spread(struct jrun *r, const struct jnode *n, struct jargs *args)
{
    struct jlist *more = n->b ? jiterate(r, jeval(r, n->b)) : NULL;
    struct jvalue named = n->c ? jeval(r, n->c) : jnone();
    if (more) {
        struct jvalue *all = jalloc(r, (size_t)(args->n + more->n + 1) * sizeof *all);
        if (!all)
            return;
        memcpy(all, args->values, (size_t)args->n * sizeof *all);
        if (more->n)
            memcpy(all + args->n, more->items, (size_t)more->n * sizeof *all);
        args->values = all;
        args->n += more->n;
    }
    if (n->c && named.kind != J_DICT)
        jfail(r, "wanted a mapping after \"**\"");
    for (int i = 0; n->c && !r->rc && i < named.dict->n; i++) {
        struct jvalue key = named.dict->keys[i];
        if (key.kind != J_STRING)
            jfail(r, "the keys of a mapping after \"**\" must be strings");
        else if (jfind_name(&args->named, key.s, key.n) >= 0)
            jfail(r, "the argument %.*s is given twice", JSHOW(key));
        else
            jput(r, &args->named, key, named.dict->values[i]);
    }
}

void jeval_args(struct jrun *r, const struct jnode *n, struct jargs *args)
{
    *args = (struct jargs){.n = n->kids.n};
    args->values = jalloc(r, (size_t)(n->kids.n + 1) * sizeof *args->values);
    for (int i = 0; i < n->kids.n && !r->rc; i++)
        args->values[i] = jeval(r, n->kids.items[i]);
    for (int i = 0; i < n->named.n && !r->rc; i++)
        jset(r, &args->named, n->named.items[i]->s, n->named.items[i]->n, jeval(r, n->more.items[i]));
    if (!r->rc && (n->b || n->c))
        spread(r, n, args);
}

struct jvalue jcall(struct jrun *r, struct jvalue f, const struct jargs *args)
{
    struct jvalue nothing = jundefined("", 0);
    switch (f.kind) {
    case J_MACRO: return jcall_macro(r, f, args);
    case J_METHOD: return jcall_method(r, f.method->self, f.method->s, f.method->n, args);
    case J_FUNCTION: return jcall_function(r, f, args);
    case J_LOOP:
        if (args->n == 1 && !args->named.n)
            return jcall_loop(r, f.loop, args->values[0]);
        jfail(r, "loop(...) wants what it shall run over");
        return nothing;
    case J_JOINER:
        if (args->n || args->named.n)
            jfail(r, "a joiner takes no arguments");
        return f.cycle->at++ ? f.cycle->joint : jtext("");
    case J_UNDEFINED: jfail(r, "not supported or undefined: '%.*s' is called", JSHOW(f)); return nothing;
    default: jfail(r, "something that is no function is called"); return nothing;
    }
}

static struct jvalue call(struct jrun *r, const struct jnode *n)
{
    struct jvalue f = jeval(r, n->a);
    struct jargs args;
    if (r->rc)
        return f;
    jeval_args(r, n, &args);
    r->line = n->line;
    return r->rc ? f : jcall(r, f, &args);
}

static struct jvalue constant(const struct jnode *n)
{
    switch (n->op) {
    case JCONST_TRUE:
    case JCONST_FALSE: return jbool(n->op == JCONST_TRUE);
    case JCONST_INT: return jint(n->i);
    case JCONST_FLOAT: return jfloat(n->d);
    case JCONST_STRING: return jstring(n->s, n->n);
    default: return jnone();
    }
}

static struct jvalue collection(struct jrun *r, const struct jnode *n)
{
    enum jform form = n->op ? JF_TUPLE : JF_LIST;
    struct jvalue out = n->kind == JN_LIST ? jlist(r, form) : jdict(r, J_DICT);
    for (int i = 0; i < n->kids.n && !r->rc; i++) {
        struct jvalue v = jeval(r, n->kids.items[i]);
        if (n->kind == JN_LIST)
            jpush(r, out.list, v);
        else
            jput(r, out.dict, v, jeval(r, n->more.items[i]));
    }
    return out;
}

static struct jvalue apply(struct jrun *r, const struct jnode *n)
{
    struct jvalue v = jeval(r, n->a);
    struct jargs args;
    if (r->rc)
        return v;
    jeval_args(r, n, &args);
    r->line = n->line;
    if (r->rc)
        return v;
    return n->kind == JN_FILTER ? jfilter(r, n->s, n->n, v, &args) : jbool(jtest(r, n->s, n->n, v, &args) != n->op);
}

static struct jvalue eval_logic(struct jrun *r, const struct jnode *n)
{
    struct jvalue v;
    switch (n->kind) {
    case JN_AND: v = jeval(r, n->a); return r->rc || !jtrue(v) ? v : jeval(r, n->b);
    case JN_OR: v = jeval(r, n->a); return r->rc || jtrue(v) ? v : jeval(r, n->b);
    case JN_NOT: return jbool(!jtrue(jeval(r, n->a)));
    default:
        if (jtrue(jeval(r, n->b)))
            return jeval(r, n->a);
        return n->c && !r->rc ? jeval(r, n->c) : jundefined("the inline if-expression without else", 37);
    }
}

static struct jvalue eval(struct jrun *r, const struct jnode *n)
{
    struct jvalue v;
    switch (n->kind) {
    case JN_CONST: return constant(n);
    case JN_NAME: return lookup(r, n);
    case JN_HOLE: return r->hole;
    case JN_LIST:
    case JN_DICT: return collection(r, n);
    case JN_UNARY: v = jeval(r, n->a); return r->rc ? v : jnegate(r, v, n->op);
    case JN_BINARY: v = jeval(r, n->a); return r->rc ? v : jbinary(r, n->op, v, jeval(r, n->b));
    case JN_AND:
    case JN_OR:
    case JN_NOT:
    case JN_COND: return eval_logic(r, n);
    case JN_COMPARE: return compare(r, n);
    case JN_ATTR: v = jeval(r, n->a); return r->rc ? v : jattr(r, v, n->s, n->n);
    case JN_ITEM: v = jeval(r, n->a); return r->rc ? v : jitem(r, v, jeval(r, n->b));
    case JN_SLICE: return slice(r, n);
    case JN_CALL: return call(r, n);
    case JN_FILTER:
    case JN_TEST: return apply(r, n);
    default: return jnone();
    }
}

struct jvalue jeval(struct jrun *r, const struct jnode *n)
{
    struct jvalue v = jundefined("", 0);
    if (jstep(r))
        return v;
    if (++r->depth > MAX_DEPTH)
        jfail(r, "too deeply nested");
    else {
        r->line = n->line;
        v = eval(r, n);
    }
    r->depth--;
    return r->rc ? jundefined("", 0) : v;
}
