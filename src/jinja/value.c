/* SPDX-License-Identifier: Apache-2.0 */
/* Values: making, comparing, looking through them as Python does; and the bounds of a template's work. */
#include "jinja/parts.h"

#include "base/interrupt.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 5000000, MAX_DEPTH = 100 };
static const size_t max_bytes = (size_t)256 << 20, max_work = (size_t)1 << 30;

static int fail_code(struct jrun *r, int code, const char *format, va_list ap)
{
    char text[400];
    if (r->rc)
        return -1;
    vsnprintf(text, sizeof text, format, ap);
    r->rc = error_set(r->err, code, "%s: chat template, line %d: %s", r->t->name, r->line, text);
    return -1;
}

int jfail(struct jrun *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail_code(r, ERROR_DATA, format, ap);
    va_end(ap);
    return -1;
}

int junavailable(struct jrun *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fail_code(r, ERROR_UNAVAILABLE, format, ap);
    va_end(ap);
    return -1;
}

int jcharge(struct jrun *r, size_t bytes)
{
    r->work += bytes;
    if (r->work > max_work)
        jfail(r, "takes more than %zu MiB to be read and written", max_work >> 20);
    return r->rc ? -1 : 0;
}

void *jalloc(struct jrun *r, size_t bytes)
{
    void *p = NULL;
    r->bytes += bytes;
    if (r->bytes > max_bytes)
        jfail(r, "takes more than %zu MiB", max_bytes >> 20);
    else if (!jcharge(r, bytes) && !(p = arena_alloc(&r->arena, bytes)) && !r->rc)
        r->rc = error_set_nomem(r->err, bytes, "rendering a chat template");
    return p;
}

int jstep(struct jrun *r)
{
    if (++r->steps > MAX_STEPS)
        jfail(r, "takes more than %d steps", MAX_STEPS);
    if (!r->rc && interrupt_requested())
        r->rc = interrupt_check(r->err);
    return r->rc ? -1 : 0;
}

int jsame(const char *a, size_t n, const char *b)
{
    return strlen(b) == n && !memcmp(a, b, n);
}

size_t jchar(const char *s, size_t n, uint32_t *cp)
{
    size_t k = utf8_decode(s, n, cp);
    if (!k && n)
        *cp = (unsigned char)*s;
    return k || !n ? k : 1;
}

struct jvalue jundefined(const char *name, size_t n)
{
    return (struct jvalue){.kind = J_UNDEFINED, .s = name, .n = n};
}
struct jvalue jmissing(void)
{
    return (struct jvalue){.kind = J_MISSING, .s = ""};
}
struct jvalue jnone(void)
{
    return (struct jvalue){.kind = J_NONE};
}
struct jvalue jbool(int b)
{
    return (struct jvalue){.kind = J_BOOL, .i = b != 0};
}
struct jvalue jint(int64_t i)
{
    return (struct jvalue){.kind = J_INT, .i = i};
}
struct jvalue jfloat(double d)
{
    return (struct jvalue){.kind = J_FLOAT, .d = d};
}
struct jvalue jstring(const char *s, size_t n)
{
    return (struct jvalue){.kind = J_STRING, .s = s, .n = n};
}
struct jvalue jtext(const char *s)
{
    return jstring(s, strlen(s));
}

struct jvalue jmark(struct jvalue v, int safe)
{
    v.safe = v.kind == J_STRING && safe;
    return v;
}

struct jvalue jcopy(struct jrun *r, const char *s, size_t n)
{
    char *copy = jalloc(r, n + 1);
    if (!copy)
        return jundefined("", 0);
    if (n)
        memcpy(copy, s, n);
    return jstring(copy, n);
}

struct jvalue jtake(struct jrun *r, struct buf *b)
{
    struct jvalue v = b->failed || r->rc ? jundefined("", 0) : jcopy(r, buf_text(b), b->len);
    if (b->failed && !r->rc)
        r->rc = error_set_nomem(r->err, b->len, "rendering a chat template");
    buf_free(b);
    return v;
}

struct jvalue jlist(struct jrun *r, enum jform form)
{
    static struct jlist nothing;
    struct jlist *l = jalloc(r, sizeof *l);
    if (!l)
        return (struct jvalue){.kind = J_LIST, .list = &nothing};
    l->form = form;
    return (struct jvalue){.kind = J_LIST, .list = l};
}

void jpush(struct jrun *r, struct jlist *l, struct jvalue v)
{
    if (r->rc)
        return;
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 4;
        struct jvalue *more = jalloc(r, (size_t)cap * sizeof *more);
        if (!more)
            return;
        if (l->n)
            memcpy(more, l->items, (size_t)l->n * sizeof *more);
        l->items = more;
        l->cap = cap;
    }
    l->items[l->n++] = v;
}

struct jvalue jpair(struct jrun *r, struct jvalue a, struct jvalue b)
{
    struct jvalue pair = jlist(r, JF_TUPLE);
    jpush(r, pair.list, a);
    jpush(r, pair.list, b);
    return pair;
}

struct jvalue jdict(struct jrun *r, enum jkind kind)
{
    static struct jdict nothing;
    struct jdict *d = jalloc(r, sizeof *d);
    return (struct jvalue){.kind = kind, .dict = d ? d : &nothing};
}

int jfind_name(const struct jdict *d, const char *name, size_t n)
{
    for (int i = 0; i < d->n; i++)
        if (d->keys[i].kind == J_STRING && d->keys[i].n == n && (!n || !memcmp(d->keys[i].s, name, n)))
            return i;
    return -1;
}

int jhashable(struct jrun *r, struct jvalue v)
{
    if (jstep(r))
        return 0;
    if (v.kind == J_LIST && (v.list->form == JF_TUPLE || v.list->form == JF_GROUP)) {
        for (int i = 0; i < v.list->n; i++)
            if (!jhashable(r, v.list->items[i]))
                return 0;
        return 1;
    }
    return v.kind != J_DICT &&
           (v.kind != J_LIST || v.list->form == JF_RANGE || v.list->form == JF_GENERATOR || v.list->form == JF_VALUES);
}

int jfind(struct jrun *r, const struct jdict *d, struct jvalue key)
{
    if (jcharge(r, (size_t)d->n * 8))
        return -1;
    if (key.kind == J_STRING)
        return jfind_name(d, key.s, key.n);
    for (int i = 0; i < d->n; i++)
        if (d->keys[i].kind != J_STRING && jequal(r, d->keys[i], key))
            return i;
    return -1;
}

static void append_entry(struct jrun *r, struct jdict *d, struct jvalue key, struct jvalue v)
{
    if (r->rc)
        return;
    if (d->n == d->cap) {
        int cap = d->cap ? 2 * d->cap : 4;
        struct jvalue *keys = jalloc(r, (size_t)cap * sizeof *keys), *values = jalloc(r, (size_t)cap * sizeof *values);
        if (!keys || !values)
            return;
        for (int i = 0; i < d->n; i++) {
            keys[i] = d->keys[i];
            values[i] = d->values[i];
        }
        d->keys = keys;
        d->values = values;
        d->cap = cap;
    }
    d->keys[d->n] = key;
    d->values[d->n++] = v;
}

void jput(struct jrun *r, struct jdict *d, struct jvalue key, struct jvalue v)
{
    if (!jhashable(r, key))
        jfail(r, "a list or a mapping cannot be the key of a mapping");
    int at = r->rc ? -1 : jfind(r, d, key);
    if (at < 0)
        append_entry(r, d, key, v);
    else
        d->values[at] = v;
}

void jset(struct jrun *r, struct jdict *d, const char *name, size_t n, struct jvalue v)
{
    jput(r, d, jstring(name, n), v);
}

struct jvalue jfrom_json(struct jrun *r, const json_t *v)
{
    struct jvalue out;
    const json_t *item;
    const char *key;
    size_t i, n;
    void *at;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        out = jdict(r, J_DICT);
        for (at = json_object_iter((json_t *)(uintptr_t)v); at && !r->rc;
             at = json_object_iter_next((json_t *)(uintptr_t)v, at)) {
            key = json_object_iter_key(at);
            n = strlen(key);
            append_entry(r, out.dict, jstring(key, n), jfrom_json(r, json_object_iter_value(at)));
        }
        return out;
    case JSON_ARRAY:
        out = jlist(r, JF_LIST);
        json_array_foreach(v, i, item) if (!r->rc) jpush(r, out.list, jfrom_json(r, item));
        return out;
    case JSON_STRING: return jstring(json_string_value(v), json_string_length(v));
    case JSON_INTEGER: return jint(json_integer_value(v));
    case JSON_REAL: return jfloat(json_real_value(v));
    case JSON_NULL: return jnone();
    default: return jbool(json_is_true(v));
    }
}

void jkeep_json(struct jrun *r, json_t *v)
{
    if (!r->kept)
        r->kept = json_array();
    if (json_array_append_new(r->kept, v) && !r->rc)
        r->rc = error_set_nomem(r->err, 64, "rendering a chat template");
}

int jtrue(struct jvalue v)
{
    switch (v.kind) {
    case J_UNDEFINED:
    case J_NONE:
    case J_MISSING: return 0;
    case J_BOOL:
    case J_INT: return v.i != 0;
    case J_FLOAT: return v.d != 0;
    case J_STRING: return v.n > 0;
    case J_LIST: return v.list->form == JF_GENERATOR || v.list->n > 0;
    case J_DICT: return v.dict->n > 0;
    default: return 1;
    }
}

int jis_number(struct jvalue v)
{
    return v.kind == J_BOOL || v.kind == J_INT || v.kind == J_FLOAT;
}

double jnumber(struct jvalue v)
{
    return v.kind == J_FLOAT ? v.d : (double)v.i;
}

/* Exact for every pair of 64-bit integer and double. */
static long double as_long_double(struct jvalue v)
{
    return v.kind == J_FLOAT ? (long double)v.d : (long double)v.i;
}

int64_t jwhole(struct jrun *r, struct jvalue v, int64_t missing)
{
    if (v.kind == J_INT || v.kind == J_BOOL)
        return v.i;
    if (v.kind != J_MISSING)
        jfail(r, "wanted a whole number");
    return missing;
}

/* Lists and tuples are never equal; views and ranges only among themselves. */
static int form_class(const struct jlist *l)
{
    return l->form == JF_GROUP ? JF_TUPLE : (int)l->form;
}

static int equal(struct jrun *r, struct jvalue a, struct jvalue b, int depth)
{
    if (jcharge(r, 16))
        return 0;
    if (jis_number(a) && jis_number(b))
        return as_long_double(a) == as_long_double(b);
    if (a.kind != b.kind)
        return 0;
    if (depth > MAX_DEPTH) {
        jfail(r, "too deeply nested");
        return 0;
    }
    if (a.kind == J_STRING) {
        jcharge(r, a.n == b.n ? a.n : 0);
        return a.n == b.n && (!a.n || !memcmp(a.s, b.s, a.n));
    }
    if (a.kind == J_LIST) {
        int same = a.list == b.list;
        if (same || form_class(a.list) != form_class(b.list) || a.list->form == JF_GENERATOR ||
            a.list->form == JF_VALUES)
            return same;
        same = a.list->n == b.list->n;
        for (int i = 0; same && i < a.list->n; i++)
            same = equal(r, a.list->items[i], b.list->items[i], depth + 1);
        return same;
    }
    if (a.kind == J_DICT) {
        int same = a.dict->n == b.dict->n;
        for (int i = 0; same && i < a.dict->n; i++) {
            int at = jfind(r, b.dict, a.dict->keys[i]);
            same = at >= 0 && equal(r, a.dict->values[i], b.dict->values[at], depth + 1);
        }
        return same;
    }
    if (a.kind == J_MACRO)
        return a.node == b.node && a.scope == b.scope;
    if (a.kind == J_FUNCTION)
        return a.n == b.n && !memcmp(a.s, b.s, a.n);
    return a.kind == J_UNDEFINED || a.kind == J_NONE || a.dict == b.dict;
}

int jequal(struct jrun *r, struct jvalue a, struct jvalue b)
{
    return equal(r, a, b, 0);
}

static int compare_lists(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    for (int i = 0; i < a->n && i < b->n && !jstep(r); i++)
        if (!jequal(r, a->items[i], b->items[i])) {
            if (++r->depth > MAX_DEPTH)
                jfail(r, "too deeply nested");
            int c = r->rc ? 0 : jcompare(r, a->items[i], b->items[i]);
            r->depth--;
            return c;
        }
    return a->n < b->n ? -1 : a->n > b->n;
}

int jcompare(struct jrun *r, struct jvalue a, struct jvalue b)
{
    if (jis_number(a) && jis_number(b))
        return as_long_double(a) < as_long_double(b) ? -1 : as_long_double(a) > as_long_double(b);
    if (a.kind == J_STRING && b.kind == J_STRING) { /* UTF-8 sorts as code points do */
        size_t n = a.n < b.n ? a.n : b.n;
        jcharge(r, n);
        int c = n ? memcmp(a.s, b.s, n) : 0;
        if (c)
            return c;
        return a.n < b.n ? -1 : a.n > b.n;
    }
    if (a.kind == J_LIST && b.kind == J_LIST && form_class(a.list) == form_class(b.list) &&
        form_class(a.list) <= JF_TUPLE)
        return compare_lists(r, a.list, b.list);
    jfail(r, "values of these kinds have no order");
    return 0;
}

int jcontains(struct jrun *r, struct jvalue in, struct jvalue v)
{
    if (in.kind == J_STRING) {
        if (v.kind != J_STRING)
            jfail(r, "only a string can be in a string");
        jcharge(r, in.n);
        return !r->rc && (!v.n || memmem(in.s, in.n, v.s, v.n) != NULL);
    }
    if (in.kind == J_DICT) {
        if (!jhashable(r, v))
            jfail(r, "a list or a mapping cannot be the key of a mapping");
        return !r->rc && jfind(r, in.dict, v) >= 0;
    }
    if (in.kind == J_LIST) {
        struct jlist *items = jiterate(r, in);
        for (int i = 0; items && i < items->n && !r->rc; i++)
            if (jequal(r, items->items[i], v))
                return 1;
        return 0;
    }
    if (in.kind != J_UNDEFINED)
        jfail(r, "wanted a string, a list or a mapping after \"in\"");
    return 0;
}

int64_t jlength(struct jrun *r, struct jvalue v)
{
    if (v.kind == J_STRING)
        return jcharge(r, v.n) ? 0 : (int64_t)utf8_count(v.s, v.n);
    if (v.kind == J_LIST && v.list->form != JF_GENERATOR)
        return v.list->n;
    if (v.kind == J_DICT)
        return v.dict->n;
    if (v.kind == J_LOOP)
        return v.loop->items->n;
    if (v.kind != J_UNDEFINED)
        jfail(r, "has no length");
    return 0;
}

int jis(struct jvalue v, const char *text)
{
    return v.kind == J_STRING && jsame(v.s, v.n, text);
}

static struct jlist *spend(struct jrun *r, struct jlist *generator)
{
    struct jlist *items = jalloc(r, sizeof *items);
    if (items) {
        *items = *generator;
        *generator = (struct jlist){.form = JF_GENERATOR};
    }
    return items;
}

struct jlist *jiterate(struct jrun *r, struct jvalue v)
{
    struct jvalue out;
    if (r->rc)
        return NULL;
    if (v.kind == J_LIST)
        return v.list->form == JF_GENERATOR ? spend(r, v.list) : v.list;
    out = jlist(r, JF_LIST);
    if (v.kind == J_DICT) {
        for (int i = 0; i < v.dict->n; i++)
            jpush(r, out.list, v.dict->keys[i]);
    } else if (v.kind == J_STRING) {
        uint32_t cp;
        for (size_t at = 0, k; at < v.n && !r->rc; at += k) {
            k = jchar(v.s + at, v.n - at, &cp);
            jpush(r, out.list, jstring(v.s + at, k));
        }
    } else if (v.kind != J_UNDEFINED) {
        jfail(r, "wanted something to loop over");
    }
    return r->rc ? NULL : out.list;
}
