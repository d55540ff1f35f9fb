/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions. */
#include "jinja/parts.h"

#include "base/maths.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 400 };

static struct jvalue lookup(struct jrun *r, const struct jnode *n)
{
    for (struct jscope *s = r->scope; s; s = s->up) {
        int at = jfind(&s->vars, n->s, n->n);
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
    size_t at = 0, k;
    uint32_t cp;
    for (; (k = utf8_decode(v.s + at, v.n - at, &cp)) && i > 0; i--)
        at += k;
    return jstring(v.s + at, k ? k : 1);
}

/* x.name looks for a method first and for an item then; x["name"] the other way round. */
struct jvalue jattr(struct jrun *r, struct jvalue v, const char *s, size_t n, int item_first)
{
    int is_dict = v.kind == J_DICT || v.kind == J_NAMESPACE, at = is_dict ? jfind(v.dict, s, n) : -1, is_method = v.kind != J_NAMESPACE && jhas_method(v, s, n);
    if (v.kind == J_UNDEFINED) {
        jfail(r, "'%.*s' is undefined", (int)(v.n < 100 ? v.n : 100), v.s);
        return v;
    }
    if (at >= 0 && (item_first || !is_method))
        return v.dict->values[at];
    if (is_method) {
        struct jmethod *m = jalloc(r, sizeof *m);
        if (!m)
            return jundefined(s, n);
        *m = (struct jmethod){v, s, n};
        return (struct jvalue){.kind = J_METHOD, .method = m};
    }
    return jundefined(s, n);
}

static struct jvalue item(struct jrun *r, struct jvalue v, struct jvalue key)
{
    if (key.kind == J_STRING)
        return jattr(r, v, key.s, key.n, 1);
    if (v.kind == J_UNDEFINED) {
        jfail(r, "'%.*s' is undefined", (int)(v.n < 100 ? v.n : 100), v.s);
        return v;
    }
    if ((key.kind == J_INT || key.kind == J_BOOL) && (v.kind == J_LIST || v.kind == J_STRING))
        return index_of(r, v, key.i);
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

static struct jvalue slice(struct jrun *r, const struct jnode *n)
{
    struct jvalue of = jeval(r, n->a), out;
    if (of.kind != J_STRING && of.kind != J_LIST) {
        jfail(r, of.kind == J_UNDEFINED ? "a slice of something undefined" : "only strings and lists have slices");
        return of;
    }
    int64_t size = jlength(r, of), step = bound(r, n->kids.items[2], 1), back = step < 0;
    int64_t from = bound(r, n->kids.items[0], back ? size - 1 : 0), to = bound(r, n->kids.items[1], back ? -size - 1 : size);
    if (step == 0) {
        jfail(r, "the step of a slice is 0");
        return of;
    }
    from = from < 0 ? from + size : from, to = to < 0 ? to + size : to;
    from = from < -back ? -back : from > size - back ? size - back : from;
    to = to < -1 ? -1 : to > size ? size : to;
    struct jlist *items = jiterate(r, of);
    struct buf b = BUF_INIT;
    out = of.kind == J_LIST ? jlist(r, of.list->tuple) : of;
    for (int64_t i = from; !r->rc && (back ? i > to : i < to); i += step) {
        if (of.kind == J_LIST)
            jpush(r, out.list, items->items[i]);
        else
            buf_append(&b, items->items[i].s, items->items[i].n);
        if (step > size || step < -size)
            break;
    }
    if (of.kind == J_LIST)
        return out;
    return jtake(r, &b);
}

static int is_number(struct jvalue v)
{
    return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
}

static double number(struct jvalue v)
{
    return v.kind == J_FLOAT ? v.d : (double)v.i;
}

/* Python's % has the sign of the divisor, // rounds down. */
static struct jvalue arithmetic(struct jrun *r, int op, struct jvalue a, struct jvalue b)
{
    int whole = a.kind != J_FLOAT && b.kind != J_FLOAT, bad = 0;
    double x = number(a), y = number(b);
    int64_t i = 0;
    if ((op == '/' || op == '%' || op == JOP('/', '/')) && y == 0) {
        jfail(r, "division by zero");
        return a;
    }
    switch (op) {
    case '+': bad = whole && __builtin_add_overflow(a.i, b.i, &i); x += y; break;
    case '-': bad = whole && __builtin_sub_overflow(a.i, b.i, &i); x -= y; break;
    case '*': bad = whole && __builtin_mul_overflow(a.i, b.i, &i); x *= y; break;
    case '/': whole = 0; x /= y; break;
    case '%':
        if (whole && b.i != -1)
            i = a.i % b.i, i += i && (i < 0) != (b.i < 0) ? b.i : 0;
        x = fmod(x, y), x += x != 0 && (x < 0) != (y < 0) ? y : 0;
        break;
    case JOP('/', '/'):
        if (whole)
            bad = b.i == -1 && a.i == INT64_MIN, i = bad ? 0 : a.i / b.i, i -= !bad && a.i % b.i && (a.i < 0) != (b.i < 0);
        x = floor(x / y);
        break;
    default: /* ** */
        whole = whole && y >= 0;
        x = maths_pow(fabs(x), y) * (x < 0 && fmod(y, 2) != 0 ? -1 : 1);
        bad = whole && fabs(x) > 9e15;
        i = bad ? 0 : (int64_t)x;
    }
    if (bad)
        jfail(r, "a whole number is too large");
    return whole ? jint(i) : jfloat(x);
}

static struct jvalue add_lists(struct jrun *r, struct jvalue a, struct jvalue b)
{
    struct jvalue out = jlist(r, a.list->tuple);
    for (int i = 0; i < a.list->n + b.list->n && !r->rc; i++)
        jpush(r, out.list, i < a.list->n ? a.list->items[i] : b.list->items[i - a.list->n]);
    return out;
}

static struct jvalue repeat(struct jrun *r, struct jvalue text, int64_t times)
{
    struct buf b = BUF_INIT;
    if (times > 0 && text.n && times > (int64_t)((64 << 20) / text.n))
        jfail(r, "writes too much");
    for (int64_t i = 0; i < times && !r->rc && text.n; i++)
        buf_append(&b, text.s, text.n);
    return jtake(r, &b);
}

static struct jvalue binary(struct jrun *r, int op, struct jvalue a, struct jvalue b)
{
    if (op == '~') {
        struct buf text = BUF_INIT;
        jwrite(r, &text, a);
        jwrite(r, &text, b);
        return jtake(r, &text);
    }
    if (is_number(a) && is_number(b))
        return arithmetic(r, op, a, b);
    if (op == '+' && a.kind == J_STRING && b.kind == J_STRING) {
        struct buf text = BUF_INIT;
        buf_append(&text, a.s, a.n);
        buf_append(&text, b.s, b.n);
        return jtake(r, &text);
    }
    if (op == '+' && a.kind == J_LIST && b.kind == J_LIST)
        return add_lists(r, a, b);
    if (op == '*' && a.kind == J_STRING && b.kind == J_INT)
        return repeat(r, a, b.i);
    if (op == '*' && a.kind == J_INT && b.kind == J_STRING)
        return repeat(r, b, a.i);
    const struct jvalue *u = a.kind == J_UNDEFINED ? &a : b.kind == J_UNDEFINED ? &b : NULL;
    if (u)
        jfail(r, "'%.*s' is undefined", (int)(u->n < 100 ? u->n : 100), u->s);
    else
        jfail(r, "\"%c%s\" does not go with values of these kinds", op & 255, op >> 8 ? "/" : "");
    return a;
}

static struct jvalue compare(struct jrun *r, const struct jnode *n)
{
    struct jvalue left = jeval(r, n->a);
    for (int i = 0; i < n->kids.n && !r->rc; i++) {
        int op = n->kids.items[i]->op, yes;
        struct jvalue right = jeval(r, n->kids.items[i]->a);
        if (r->rc)
            break;
        if (op == JOP('=', '=') || op == JOP('!', '='))
            yes = jequal(left, right) == (op == JOP('=', '='));
        else if (op == 'i' || op == 'n')
            yes = jcontains(r, right, left) == (op == 'i');
        else {
            int c = jcompare(r, left, right);
            yes = op == '<' ? c < 0 : op == '>' ? c > 0 : op == JOP('<', '=') ? c <= 0 : c >= 0;
        }
        if (!yes)
            return jbool(0);
        left = right;
    }
    return jbool(1);
}

static void eval_args(struct jrun *r, const struct jnode *n, struct jargs *args)
{
    *args = (struct jargs){.n = n->kids.n};
    args->values = jalloc(r, (size_t)(n->kids.n + 1) * sizeof *args->values);
    for (int i = 0; i < n->kids.n && !r->rc; i++)
        args->values[i] = jeval(r, n->kids.items[i]);
    for (int i = 0; i < n->named.n && !r->rc; i++)
        jput(r, &args->named, n->named.items[i]->s, n->named.items[i]->n, jeval(r, n->more.items[i]));
}

static struct jvalue call(struct jrun *r, const struct jnode *n)
{
    struct jvalue f = jeval(r, n->a);
    struct jargs args;
    if (r->rc)
        return f;
    eval_args(r, n, &args);
    r->line = n->line;
    if (r->rc)
        return f;
    if (f.kind == J_MACRO)
        return jcall_macro(r, f, &args);
    if (f.kind == J_METHOD)
        return jcall_method(r, f.method, &args);
    if (f.kind == J_FUNCTION)
        return jcall_function(r, f, &args);
    if (f.kind == J_UNDEFINED)
        jfail(r, "not supported or undefined: '%.*s' is called", (int)(f.n < 100 ? f.n : 100), f.s);
    else
        jfail(r, "something that is no function is called");
    return f;
}

static struct jvalue constant(const struct jnode *n)
{
    switch (n->op) {
    case JCONST_TRUE: case JCONST_FALSE: return jbool(n->op == JCONST_TRUE);
    case JCONST_INT: return jint(n->i);
    case JCONST_FLOAT: return jfloat(n->d);
    case JCONST_STRING: return jstring(n->s, n->n);
    default: return jnone();
    }
}

static struct jvalue collection(struct jrun *r, const struct jnode *n)
{
    struct jvalue out = n->kind == JN_LIST ? jlist(r, n->op) : jdict(r, J_DICT);
    for (int i = 0; i < n->kids.n && !r->rc; i++) {
        struct jvalue v = jeval(r, n->kids.items[i]);
        if (n->kind == JN_LIST)
            jpush(r, out.list, v);
        else if (v.kind != J_STRING)
            jfail(r, "the keys of a mapping must be strings here");
        else
            jput(r, out.dict, v.s, v.n, jeval(r, n->more.items[i]));
    }
    return out;
}

static struct jvalue sign(struct jrun *r, const struct jnode *n)
{
    struct jvalue v = jeval(r, n->a);
    if (r->rc || n->op == '+')
        return v;
    if (is_number(v))
        return arithmetic(r, '-', jint(0), v);
    jfail(r, "\"-\" before something that is no number");
    return v;
}

static struct jvalue apply(struct jrun *r, const struct jnode *n)
{
    struct jvalue v = jeval(r, n->a);
    struct jargs args;
    if (r->rc)
        return v;
    eval_args(r, n, &args);
    r->line = n->line;
    if (r->rc)
        return v;
    return n->kind == JN_FILTER ? jfilter(r, n->s, n->n, v, &args) : jbool(jtest(r, n->s, n->n, v, &args) != n->op);
}

static struct jvalue eval(struct jrun *r, const struct jnode *n)
{
    struct jvalue v;
    switch (n->kind) {
    case JN_CONST: return constant(n);
    case JN_NAME: return lookup(r, n);
    case JN_LIST: case JN_DICT: return collection(r, n);
    case JN_UNARY: return sign(r, n);
    case JN_BINARY:
        v = jeval(r, n->a);
        return r->rc ? v : binary(r, n->op, v, jeval(r, n->b));
    case JN_AND:
        v = jeval(r, n->a);
        return r->rc || !jtrue(v) ? v : jeval(r, n->b);
    case JN_OR:
        v = jeval(r, n->a);
        return r->rc || jtrue(v) ? v : jeval(r, n->b);
    case JN_NOT: return jbool(!jtrue(jeval(r, n->a)));
    case JN_COMPARE: return compare(r, n);
    case JN_COND:
        if (jtrue(jeval(r, n->b)))
            return jeval(r, n->a);
        return n->c && !r->rc ? jeval(r, n->c) : jundefined("the inline if-expression without else", 37);
    case JN_ATTR:
        v = jeval(r, n->a);
        return r->rc ? v : jattr(r, v, n->s, n->n, 0);
    case JN_ITEM:
        v = jeval(r, n->a);
        return r->rc ? v : item(r, v, jeval(r, n->b));
    case JN_SLICE: return slice(r, n);
    case JN_CALL: return call(r, n);
    case JN_FILTER: case JN_TEST: return apply(r, n);
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
