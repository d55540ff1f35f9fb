/* SPDX-License-Identifier: Apache-2.0 */
/* Values: making, comparing, writing them as Python does. */
#include "jinja/parts.h"

#include "base/utf8.h"
#include "io/jsontext.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 5000000, MAX_DEPTH = 100 };
static const size_t max_bytes = (size_t)64 << 20;

int jfail(struct jrun *r, const char *format, ...)
{
    char text[400];
    va_list ap;
    if (r->rc)
        return -1;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    r->rc = error_set(r->err, ERROR_DATA, "%s: chat template, line %d: %s", r->t->name, r->line, text);
    return -1;
}

void *jalloc(struct jrun *r, size_t bytes)
{
    void *p = NULL;
    r->bytes += bytes;
    if (r->bytes > max_bytes)
        jfail(r, "takes more than %zu MiB", max_bytes >> 20);
    else if (!(p = arena_alloc(&r->arena, bytes)) && !r->rc)
        r->rc = error_set_nomem(r->err, bytes, "rendering a chat template");
    return p;
}

int jstep(struct jrun *r)
{
    if (++r->steps > MAX_STEPS)
        jfail(r, "takes more than %d steps", MAX_STEPS);
    return r->rc ? -1 : 0;
}

int jsame(const char *a, size_t n, const char *b)
{
    return strlen(b) == n && !memcmp(a, b, n);
}

struct jvalue jundefined(const char *name, size_t n) { return (struct jvalue){.kind = J_UNDEFINED, .s = name, .n = n}; }
struct jvalue jnone(void) { return (struct jvalue){.kind = J_NONE}; }
struct jvalue jbool(int b) { return (struct jvalue){.kind = J_BOOL, .i = b != 0}; }
struct jvalue jint(int64_t i) { return (struct jvalue){.kind = J_INT, .i = i}; }
struct jvalue jfloat(double d) { return (struct jvalue){.kind = J_FLOAT, .d = d}; }
struct jvalue jstring(const char *s, size_t n) { return (struct jvalue){.kind = J_STRING, .s = s, .n = n}; }

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
    struct jvalue v = b->failed ? jundefined("", 0) : jcopy(r, b->data ? b->data : "", b->len);
    if (b->failed && !r->rc)
        r->rc = error_set_nomem(r->err, b->len, "rendering a chat template");
    buf_free(b);
    return v;
}

struct jvalue jlist(struct jrun *r, int tuple)
{
    struct jlist *l = jalloc(r, sizeof *l);
    if (!l)
        return jundefined("", 0);
    *l = (struct jlist){.tuple = tuple};
    return (struct jvalue){.kind = J_LIST, .list = l};
}

void jpush(struct jrun *r, struct jlist *l, struct jvalue v)
{
    if (r->rc)
        return;
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 8;
        struct jvalue *more = jalloc(r, (size_t)cap * sizeof *more);
        if (!more)
            return;
        if (l->n)
            memcpy(more, l->items, (size_t)l->n * sizeof *more);
        l->items = more, l->cap = cap;
    }
    l->items[l->n++] = v;
}

struct jvalue jdict(struct jrun *r, enum jkind kind)
{
    struct jdict *d = jalloc(r, sizeof *d);
    if (!d)
        return jundefined("", 0);
    *d = (struct jdict){0};
    return (struct jvalue){.kind = kind, .dict = d};
}

int jfind(const struct jdict *d, const char *key, size_t n)
{
    for (int i = 0; i < d->n; i++)
        if (d->key_n[i] == n && !memcmp(d->keys[i], key, n))
            return i;
    return -1;
}

void jput(struct jrun *r, struct jdict *d, const char *key, size_t n, struct jvalue v)
{
    int at = jfind(d, key, n);
    if (r->rc)
        return;
    if (at < 0 && d->n == d->cap) {
        int cap = d->cap ? 2 * d->cap : 8;
        const char **keys = jalloc(r, (size_t)cap * sizeof *keys);
        size_t *lengths = jalloc(r, (size_t)cap * sizeof *lengths);
        struct jvalue *values = jalloc(r, (size_t)cap * sizeof *values);
        if (!keys || !lengths || !values)
            return;
        for (int i = 0; i < d->n; i++)
            keys[i] = d->keys[i], lengths[i] = d->key_n[i], values[i] = d->values[i];
        d->keys = keys, d->key_n = lengths, d->values = values, d->cap = cap;
    }
    if (at < 0)
        at = d->n++;
    d->keys[at] = key, d->key_n[at] = n, d->values[at] = v;
}

struct jvalue jfrom_json(struct jrun *r, const json_t *v)
{
    struct jvalue out;
    const json_t *item;
    const char *key;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        out = jdict(r, J_DICT);
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
            if (!r->rc)
                jput(r, out.dict, key, strlen(key), jfrom_json(r, item));
        return out;
    case JSON_ARRAY:
        out = jlist(r, 0);
        json_array_foreach(v, i, item)
            if (!r->rc)
                jpush(r, out.list, jfrom_json(r, item));
        return out;
    case JSON_STRING: return jstring(json_string_value(v), json_string_length(v));
    case JSON_INTEGER: return jint(json_integer_value(v));
    case JSON_REAL: return jfloat(json_real_value(v));
    case JSON_NULL: return jnone();
    default: return jbool(json_is_true(v));
    }
}

int jtrue(struct jvalue v)
{
    switch (v.kind) {
    case J_UNDEFINED: case J_NONE: return 0;
    case J_BOOL: case J_INT: return v.i != 0;
    case J_FLOAT: return v.d != 0;
    case J_STRING: return v.n > 0;
    case J_LIST: return v.list->n > 0;
    case J_DICT: return v.dict->n > 0;
    default: return 1;
    }
}

static int is_number(struct jvalue v)
{
    return v.kind == J_BOOL || v.kind == J_INT || v.kind == J_FLOAT;
}

static double number(struct jvalue v)
{
    return v.kind == J_FLOAT ? v.d : (double)v.i;
}

static int equal(struct jvalue a, struct jvalue b, int depth)
{
    if (is_number(a) && is_number(b))
        return a.kind == J_FLOAT || b.kind == J_FLOAT ? number(a) == number(b) : a.i == b.i;
    if (a.kind != b.kind || depth > MAX_DEPTH)
        return 0;
    if (a.kind == J_STRING)
        return a.n == b.n && !memcmp(a.s, b.s, a.n);
    if (a.kind == J_LIST) {
        int same = a.list->n == b.list->n && a.list->tuple == b.list->tuple;
        for (int i = 0; same && i < a.list->n; i++)
            same = equal(a.list->items[i], b.list->items[i], depth + 1);
        return same;
    }
    if (a.kind == J_DICT) {
        int same = a.dict->n == b.dict->n;
        for (int i = 0; same && i < a.dict->n; i++) {
            int at = jfind(b.dict, a.dict->keys[i], a.dict->key_n[i]);
            same = at >= 0 && equal(a.dict->values[i], b.dict->values[at], depth + 1);
        }
        return same;
    }
    return a.kind == J_UNDEFINED || a.kind == J_NONE;
}

int jequal(struct jvalue a, struct jvalue b)
{
    return equal(a, b, 0);
}

int jcompare(struct jrun *r, struct jvalue a, struct jvalue b)
{
    if (is_number(a) && is_number(b))
        return number(a) < number(b) ? -1 : number(a) > number(b);
    if (a.kind == J_STRING && b.kind == J_STRING) { /* UTF-8 sorts as code points do */
        int c = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
        return c ? c : a.n < b.n ? -1 : a.n > b.n;
    }
    jfail(r, "values of these kinds have no order");
    return 0;
}

int jcontains(struct jrun *r, struct jvalue in, struct jvalue v)
{
    if (in.kind == J_STRING) {
        if (v.kind != J_STRING)
            jfail(r, "only a string can be in a string");
        return v.kind == J_STRING && memmem(in.s, in.n, v.s, v.n) != NULL;
    }
    if (in.kind == J_DICT)
        return v.kind == J_STRING && jfind(in.dict, v.s, v.n) >= 0;
    if (in.kind == J_LIST) {
        for (int i = 0; i < in.list->n; i++)
            if (jequal(in.list->items[i], v))
                return 1;
        return 0;
    }
    if (in.kind != J_UNDEFINED)
        jfail(r, "wanted a string, a list or a mapping behind \"in\"");
    return 0;
}

int64_t jlength(struct jrun *r, struct jvalue v)
{
    if (v.kind == J_STRING)
        return (int64_t)utf8_count(v.s, v.n);
    if (v.kind == J_LIST)
        return v.list->n;
    if (v.kind == J_DICT)
        return v.dict->n;
    if (v.kind != J_UNDEFINED)
        jfail(r, "has no length");
    return 0;
}

int jis(struct jvalue v, const char *text)
{
    return v.kind == J_STRING && jsame(v.s, v.n, text);
}

struct jlist *jiterate(struct jrun *r, struct jvalue v)
{
    struct jvalue out;
    if (v.kind == J_LIST)
        return v.list;
    out = jlist(r, 0);
    if (r->rc)
        return NULL;
    if (v.kind == J_DICT)
        for (int i = 0; i < v.dict->n; i++)
            jpush(r, out.list, jstring(v.dict->keys[i], v.dict->key_n[i]));
    else if (v.kind == J_STRING)
        for (size_t at = 0, k; at < v.n && !r->rc; at += k) {
            uint32_t cp;
            k = utf8_decode(v.s + at, v.n - at, &cp);
            k = k ? k : 1;
            jpush(r, out.list, jstring(v.s + at, k));
        }
    else if (v.kind != J_UNDEFINED)
        jfail(r, "wanted something to loop over");
    return r->rc ? NULL : out.list;
}

/* --- writing --- */

static void write_float(struct jrun *r, struct buf *out, double d)
{
    json_t *v = json_real(d);
    if (!v)
        buf_puts(out, d != d ? "nan" : d > 0 ? "inf" : "-inf");
    else if (jsontext_dump(out, v, 0, r->err) && !r->rc)
        r->rc = ERROR_NOMEM;
    json_decref(v);
}

static void repr_string(struct buf *out, const char *s, size_t n)
{
    char quote = memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';
    buf_putc(out, quote);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\\' || c == (unsigned char)quote)
            buf_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_puts(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, quote);
}

static void repr_items(struct jrun *r, struct buf *out, struct jvalue v)
{
    const char *around = v.kind == J_DICT ? "{}" : v.list->tuple ? "()" : "[]";
    int n = v.kind == J_DICT ? v.dict->n : v.list->n;
    if (++r->depth > MAX_DEPTH)
        jfail(r, "too deeply nested");
    buf_putc(out, around[0]);
    for (int i = 0; i < n && !r->rc; i++) {
        buf_puts(out, i ? ", " : "");
        if (v.kind == J_DICT) {
            repr_string(out, v.dict->keys[i], v.dict->key_n[i]);
            buf_puts(out, ": ");
        }
        jrepr(r, out, v.kind == J_DICT ? v.dict->values[i] : v.list->items[i]);
    }
    buf_puts(out, v.kind == J_LIST && v.list->tuple && n == 1 ? "," : "");
    buf_putc(out, around[1]);
    r->depth--;
}

void jrepr(struct jrun *r, struct buf *out, struct jvalue v)
{
    if (jstep(r))
        return;
    if (v.kind == J_STRING)
        repr_string(out, v.s, v.n);
    else if (v.kind == J_LIST || v.kind == J_DICT)
        repr_items(r, out, v);
    else if (v.kind == J_UNDEFINED)
        buf_puts(out, "Undefined");
    else
        jwrite(r, out, v);
}

void jwrite(struct jrun *r, struct buf *out, struct jvalue v)
{
    switch (v.kind) {
    case J_UNDEFINED: break;
    case J_NONE: buf_puts(out, "None"); break;
    case J_BOOL: buf_puts(out, v.i ? "True" : "False"); break;
    case J_INT: buf_printf(out, "%lld", (long long)v.i); break;
    case J_FLOAT: write_float(r, out, v.d); break;
    case J_STRING: buf_append(out, v.s, v.n); break;
    case J_LIST: case J_DICT: repr_items(r, out, v); break;
    default: jfail(r, "a macro, function or namespace cannot be written");
    }
    if (out->len > max_bytes)
        jfail(r, "writes more than %zu MiB", max_bytes >> 20);
}

struct jvalue jto_string(struct jrun *r, struct jvalue v)
{
    struct buf b = BUF_INIT;
    if (v.kind == J_STRING)
        return v;
    jwrite(r, &b, v);
    return jtake(r, &b);
}

static void dump_string(struct buf *out, const char *s, size_t n)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        const char *at = s[i] ? strchr(from, s[i]) : NULL;
        if (at)
            buf_printf(out, "\\%c", to[at - from]);
        else if ((unsigned char)s[i] < 0x20)
            buf_printf(out, "\\u%04x", (unsigned char)s[i]);
        else
            buf_putc(out, s[i]);
    }
    buf_putc(out, '"');
}

static void new_line(struct buf *out, int indent, int depth)
{
    if (indent < 0)
        return;
    buf_putc(out, '\n');
    for (int i = 0; i < indent * depth; i++)
        buf_putc(out, ' ');
}

/* Place of the i-th key in sorted order. */
static int sorted_at(const struct jdict *d, int i)
{
    for (int at = 0; at < d->n; at++) {
        int before = 0;
        for (int k = 0; k < d->n; k++) {
            int c = memcmp(d->keys[k], d->keys[at], d->key_n[k] < d->key_n[at] ? d->key_n[k] : d->key_n[at]);
            before += c < 0 || (c == 0 && d->key_n[k] < d->key_n[at]);
        }
        if (before == i)
            return at;
    }
    return i;
}

/* json.dumps(v, ensure_ascii=False, ...); indent -1: one line. */
void jdump(struct jrun *r, struct buf *out, struct jvalue v, int indent, int sort_keys, const char *item_sep, const char *key_sep, int depth)
{
    if (jstep(r) || (depth > MAX_DEPTH && jfail(r, "too deeply nested")) || (out->len > max_bytes && jfail(r, "writes more than %zu MiB", max_bytes >> 20)))
        return;
    if (v.kind == J_STRING) {
        dump_string(out, v.s, v.n);
    } else if (v.kind == J_LIST || v.kind == J_DICT) {
        int n = v.kind == J_LIST ? v.list->n : v.dict->n;
        buf_putc(out, v.kind == J_LIST ? '[' : '{');
        for (int i = 0; i < n && !r->rc; i++) {
            int at = v.kind == J_DICT && sort_keys ? sorted_at(v.dict, i) : i;
            buf_puts(out, i ? item_sep : "");
            new_line(out, indent, depth + 1);
            if (v.kind == J_DICT) {
                dump_string(out, v.dict->keys[at], v.dict->key_n[at]);
                buf_puts(out, key_sep);
            }
            jdump(r, out, v.kind == J_LIST ? v.list->items[at] : v.dict->values[at], indent, sort_keys, item_sep, key_sep, depth + 1);
        }
        if (n)
            new_line(out, indent, depth);
        buf_putc(out, v.kind == J_LIST ? ']' : '}');
    } else if (v.kind == J_NONE) {
        buf_puts(out, "null");
    } else if (v.kind == J_BOOL) {
        buf_puts(out, v.i ? "true" : "false");
    } else if (v.kind == J_INT || v.kind == J_FLOAT) {
        jwrite(r, out, v);
    } else {
        jfail(r, v.kind == J_UNDEFINED ? "tojson: the value is undefined" : "tojson: the value is no data");
    }
}
