/* SPDX-License-Identifier: Apache-2.0 */
/* Filters and tests, one table each. */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct jvalue jarg(const struct jargs *a, int at, const char *name)
{
    int named = name ? jfind(&a->named, name, strlen(name)) : -1;
    return at < a->n ? a->values[at] : named >= 0 ? a->named.values[named] : jundefined(name ? name : "", name ? strlen(name) : 0);
}

/* Calls a string method with the filter's arguments. */
static struct jvalue as_method(struct jrun *r, const char *name, struct jvalue v, const struct jargs *args)
{
    struct jmethod m = {jto_string(r, v), name, strlen(name)};
    return r->rc ? v : jcall_method(r, &m, args);
}

/* "a.b" or a number, through nested values. */
static struct jvalue attribute(struct jrun *r, struct jvalue v, struct jvalue path)
{
    if (path.kind != J_STRING) {
        jfail(r, "wanted the name of an attribute");
        return v;
    }
    for (size_t at = 0; at <= path.n && !r->rc;) {
        const char *dot = memchr(path.s + at, '.', path.n - at);
        size_t n = dot ? (size_t)(dot - path.s) - at : path.n - at;
        v = jattr(r, v, path.s + at, n, 1);
        at += n + 1;
    }
    return v;
}

static struct jvalue f_same(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)r, (void)a; return v; }
static struct jvalue f_string(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return jto_string(r, v); }
static struct jvalue f_length(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return jint(jlength(r, v)); }
static struct jvalue f_trim(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "strip", v, a); }
static struct jvalue f_upper(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "upper", v, a); }
static struct jvalue f_lower(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "lower", v, a); }
static struct jvalue f_capitalize(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "capitalize", v, a); }
static struct jvalue f_title(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "title", v, a); }
static struct jvalue f_replace(struct jrun *r, struct jvalue v, const struct jargs *a) { return as_method(r, "replace", v, a); }

static struct jvalue f_items(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jmethod m = {v, "items", 5};
    if (v.kind == J_UNDEFINED)
        return jlist(r, 0);
    if (v.kind == J_DICT)
        return jcall_method(r, &m, a);
    jfail(r, "items: wanted a mapping");
    return v;
}

static struct jvalue f_default(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue other = jarg(a, 0, "default_value");
    (void)r;
    if (v.kind == J_UNDEFINED || (jtrue(jarg(a, 1, "boolean")) && !jtrue(v)))
        return other.kind == J_UNDEFINED ? jstring("", 0) : other;
    return v;
}

static struct jvalue f_tojson(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue indent = jarg(a, 0, "indent"), separators = jarg(a, 1, "separators"), sort = jarg(a, 2, "sort_keys");
    struct buf b = BUF_INIT;
    struct jvalue item = jstring(indent.kind == J_INT ? "," : ", ", indent.kind == J_INT ? 1 : 2), key = jstring(": ", 2);
    if (separators.kind == J_LIST && separators.list->n == 2)
        item = jto_string(r, separators.list->items[0]), key = jto_string(r, separators.list->items[1]);
    item = jcopy(r, item.s, r->rc ? 0 : item.n), key = jcopy(r, key.s, r->rc ? 0 : key.n);
    if (indent.kind == J_INT && (indent.i < 0 || indent.i > 64))
        jfail(r, "tojson: indent must be from 0 to 64");
    if (!r->rc)
        jdump(r, &b, v, indent.kind == J_INT ? (int)indent.i : -1, jtrue(sort), item.s, key.s, 0);
    return jtake(r, &b);
}

static struct jvalue f_join(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue between = jarg(a, 0, "d"), by = jarg(a, 1, "attribute");
    struct jlist *items = jiterate(r, v);
    struct buf b = BUF_INIT;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        if (i)
            jwrite(r, &b, between);
        jwrite(r, &b, by.kind == J_UNDEFINED ? items->items[i] : attribute(r, items->items[i], by));
    }
    return jtake(r, &b);
}

static struct jvalue f_first(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    (void)a;
    return items && items->n ? items->items[0] : jundefined("the first of nothing", 20);
}

static struct jvalue f_last(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    (void)a;
    return items && items->n ? items->items[items->n - 1] : jundefined("the last of nothing", 19);
}

static struct jvalue f_list(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, 0);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, out.list, items->items[i]);
    return out;
}

static struct jvalue f_reverse(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, 0);
    struct buf b = BUF_INIT;
    (void)a;
    for (int i = items ? items->n - 1 : -1; i >= 0 && !r->rc; i--)
        v.kind == J_STRING ? buf_append(&b, items->items[i].s, items->items[i].n) : jpush(r, out.list, items->items[i]);
    return v.kind == J_STRING ? jtake(r, &b) : out;
}

/* map("upper"), map(attribute="role", default=x) */
static struct jvalue f_map(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, 0), by = jarg(a, 99, "attribute"), missing = jarg(a, 99, "default"), name = jarg(a, 0, NULL);
    struct jargs rest = {a->n > 0 ? a->values + 1 : NULL, a->n > 0 ? a->n - 1 : 0, {0}};
    if (by.kind == J_UNDEFINED && (name.kind != J_STRING || !jinja_is_filter(name.s, name.n)))
        jfail(r, "not supported: map with that filter");
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue x = by.kind == J_UNDEFINED ? jfilter(r, name.s, name.n, items->items[i], &rest) : attribute(r, items->items[i], by);
        jpush(r, out.list, x.kind == J_UNDEFINED && missing.kind != J_UNDEFINED ? missing : x);
    }
    return out;
}

/* select(test, args), selectattr(attribute, test, args) and their opposites. */
static struct jvalue choose(struct jrun *r, struct jvalue v, const struct jargs *a, int by_attribute, int wanted)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, 0), name = jarg(a, by_attribute, NULL);
    int used = by_attribute + 1, has_test = a->n > by_attribute;
    struct jargs rest = {a->n > used ? a->values + used : NULL, a->n > used ? a->n - used : 0, {0}};
    if (has_test && (name.kind != J_STRING || !jinja_is_test(name.s, name.n)))
        jfail(r, "not supported: select with that test");
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue x = by_attribute ? attribute(r, items->items[i], jarg(a, 0, NULL)) : items->items[i];
        if ((has_test && !r->rc ? jtest(r, name.s, name.n, x, &rest) : jtrue(x)) == wanted)
            jpush(r, out.list, items->items[i]);
    }
    return out;
}
static struct jvalue f_select(struct jrun *r, struct jvalue v, const struct jargs *a) { return choose(r, v, a, 0, 1); }
static struct jvalue f_reject(struct jrun *r, struct jvalue v, const struct jargs *a) { return choose(r, v, a, 0, 0); }
static struct jvalue f_selectattr(struct jrun *r, struct jvalue v, const struct jargs *a) { return choose(r, v, a, 1, 1); }
static struct jvalue f_rejectattr(struct jrun *r, struct jvalue v, const struct jargs *a) { return choose(r, v, a, 1, 0); }

static struct jvalue f_indent(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue width = jarg(a, 0, "width"), text = jto_string(r, v);
    int first = jtrue(jarg(a, 1, "first")), blank = jtrue(jarg(a, 2, "blank")), n = width.kind == J_INT ? (int)(width.i < 0 ? 0 : width.i > 100 ? 100 : width.i) : 4;
    struct buf b = BUF_INIT;
    for (size_t at = 0; at < text.n && !r->rc;) {
        const char *stop = memchr(text.s + at, '\n', text.n - at);
        size_t k = stop ? (size_t)(stop - text.s) - at : text.n - at;
        if ((at || first) && (k || blank))
            for (int i = 0; i < n; i++)
                buf_putc(&b, ' ');
        buf_append(&b, text.s + at, k + (stop != NULL));
        at += k + 1;
    }
    return jtake(r, &b);
}

static struct jvalue f_int(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue other = jarg(a, 0, "default");
    (void)r;
    if (v.kind == J_INT || v.kind == J_BOOL)
        return jint(v.i);
    double d = v.kind == J_FLOAT ? v.d : NAN;
    char text[64] = "", *end = text;
    if (v.kind == J_STRING && v.n && v.n < sizeof text) {
        memcpy(text, v.s, v.n);
        d = strtod(text, &end);
        d = *end ? NAN : d;
    }
    return d > -9e18 && d < 9e18 ? jint((int64_t)d) : other.kind == J_UNDEFINED ? jint(0) : other;
}

static struct jvalue f_float(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue other = jarg(a, 0, "default");
    (void)r;
    char text[64] = "", *end = text;
    if (v.kind == J_INT || v.kind == J_BOOL)
        return jfloat((double)v.i);
    if (v.kind == J_FLOAT)
        return v;
    if (v.kind == J_STRING && v.n && v.n < sizeof text) {
        memcpy(text, v.s, v.n);
        double d = strtod(text, &end);
        if (!*end)
            return jfloat(d);
    }
    return other.kind == J_UNDEFINED ? jfloat(0) : other;
}

static struct jvalue f_abs(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    (void)a;
    if (v.kind == J_FLOAT)
        return jfloat(fabs(v.d));
    if (v.kind != J_INT || v.i == INT64_MIN)
        jfail(r, "abs: wanted a number");
    return jint(v.i < 0 ? -v.i : v.i);
}

/* Insertion keeps equal elements in their order. */
static struct jvalue sorted(struct jrun *r, const struct jlist *items, struct jvalue by, int reverse)
{
    struct jvalue out = jlist(r, 0), keys = jlist(r, 0);
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue key = by.kind == J_UNDEFINED ? items->items[i] : attribute(r, items->items[i], by);
        int at = i;
        jpush(r, out.list, items->items[i]), jpush(r, keys.list, key);
        for (; at > 0 && !jstep(r); at--) {
            int c = jcompare(r, keys.list->items[at - 1], key);
            if (reverse ? c >= 0 : c <= 0)
                break;
            out.list->items[at] = out.list->items[at - 1], keys.list->items[at] = keys.list->items[at - 1];
        }
        if (!r->rc)
            out.list->items[at] = items->items[i], keys.list->items[at] = key;
    }
    return out;
}

static struct jvalue f_sort(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    return sorted(r, jiterate(r, v), jarg(a, 2, "attribute"), jtrue(jarg(a, 0, "reverse")));
}

static struct jvalue f_dictsort(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue keys = v.kind == J_DICT ? sorted(r, jiterate(r, v), jundefined("", 0), 0) : jlist(r, 0), out = jlist(r, 0);
    (void)a;
    for (int i = 0; !r->rc && i < keys.list->n; i++) {
        struct jvalue pair = jlist(r, 1), key = keys.list->items[i];
        if (r->rc)
            break;
        jpush(r, pair.list, key), jpush(r, pair.list, v.dict->values[jfind(v.dict, key.s, key.n)]);
        jpush(r, out.list, pair);
    }
    return out;
}

static struct jvalue f_unique(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, 0);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc && !jstep(r); i++)
        if (!jcontains(r, out, items->items[i]))
            jpush(r, out.list, items->items[i]);
    return out;
}

static const struct { const char *name; struct jvalue (*run)(struct jrun *, struct jvalue, const struct jargs *); } filters[] = {
    {"trim", f_trim}, {"length", f_length}, {"count", f_length}, {"tojson", f_tojson}, {"upper", f_upper}, {"lower", f_lower}, {"replace", f_replace}, {"join", f_join},
    {"default", f_default}, {"d", f_default}, {"first", f_first}, {"last", f_last}, {"list", f_list}, {"map", f_map}, {"selectattr", f_selectattr}, {"rejectattr", f_rejectattr},
    {"select", f_select}, {"reject", f_reject}, {"string", f_string}, {"items", f_items}, {"capitalize", f_capitalize}, {"title", f_title}, {"safe", f_same}, {"indent", f_indent},
    {"int", f_int}, {"float", f_float}, {"abs", f_abs}, {"reverse", f_reverse}, {"sort", f_sort}, {"dictsort", f_dictsort}, {"unique", f_unique},
};

int jinja_is_filter(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (jsame(s, n, filters[i].name))
            return 1;
    return 0;
}

struct jvalue jfilter(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters && !r->rc; i++)
        if (jsame(s, n, filters[i].name))
            return filters[i].run(r, v, args);
    return jundefined("", 0);
}

/* --- tests --- */

static const char *const tests[] = {"defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true", "false", "equalto", "eq", "ne",
                                    "in", "lt", "le", "gt", "ge", "odd", "even", "divisibleby", "sameas", "callable", "upper", "lower", "lessthan", "greaterthan"};

int jinja_is_test(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (jsame(s, n, tests[i]))
            return 1;
    return 0;
}

static int whole(struct jrun *r, struct jvalue v, int64_t by)
{
    if (v.kind != J_INT || by == 0)
        jfail(r, "this test wants whole numbers");
    return !r->rc && v.i % by == 0;
}

static int kind_test(const char *s, size_t n, struct jvalue v, int *known)
{
    int collection = v.kind == J_STRING || v.kind == J_LIST || v.kind == J_DICT || v.kind == J_UNDEFINED;
    const struct { const char *name; int yes; } kinds[] = {
        {"defined", v.kind != J_UNDEFINED}, {"undefined", v.kind == J_UNDEFINED}, {"none", v.kind == J_NONE}, {"string", v.kind == J_STRING}, {"mapping", v.kind == J_DICT},
        {"iterable", collection}, {"sequence", collection}, {"number", v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL}, {"integer", v.kind == J_INT},
        {"float", v.kind == J_FLOAT}, {"boolean", v.kind == J_BOOL}, {"true", v.kind == J_BOOL && v.i}, {"false", v.kind == J_BOOL && !v.i},
        {"callable", v.kind == J_MACRO || v.kind == J_METHOD || v.kind == J_FUNCTION},
    };
    *known = 1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (jsame(s, n, kinds[i].name))
            return kinds[i].yes;
    *known = 0;
    return 0;
}

int jtest(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args)
{
    int known, yes = kind_test(s, n, v, &known);
    struct jvalue other = jarg(args, 0, NULL);
    if (known)
        return yes;
    if (jsame(s, n, "odd") || jsame(s, n, "even"))
        return whole(r, v, 2) == jsame(s, n, "even");
    if (jsame(s, n, "divisibleby"))
        return whole(r, v, other.kind == J_INT ? other.i : 0);
    if (jsame(s, n, "upper") || jsame(s, n, "lower")) {
        struct jvalue text = jto_string(r, v), same = as_method(r, s[0] == 'u' ? "upper" : "lower", text, &(struct jargs){0}), opposite = as_method(r, s[0] == 'u' ? "lower" : "upper", text, &(struct jargs){0});
        return !r->rc && jequal(text, same) && !jequal(text, opposite);
    }
    if (args->n < 1) {
        jfail(r, "the test \"%.*s\" wants a value to compare with", (int)n, s);
        return 0;
    }
    if (jsame(s, n, "in"))
        return jcontains(r, other, v);
    if (jsame(s, n, "equalto") || jsame(s, n, "eq"))
        return jequal(v, other);
    if (jsame(s, n, "sameas"))
        return v.kind == other.kind && jequal(v, other);
    if (jsame(s, n, "ne"))
        return !jequal(v, other);
    int c = jcompare(r, v, other);
    return jsame(s, n, "lt") || jsame(s, n, "lessthan") ? c < 0 : jsame(s, n, "le") ? c <= 0 : jsame(s, n, "gt") || jsame(s, n, "greaterthan") ? c > 0 : c >= 0;
}
