/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text: str(), repr() and json.dumps() of Python. */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_DEPTH = 100 };
static const size_t max_text = (size_t)256 << 20;

/* The shortest digits that read back as d, laid out as repr() does. */
void jfloat_text(struct buf *out, double d, int json)
{
    char text[40], digits[24];
    int n = 0, exponent;
    if (d != d || fabs(d) > 1.7976931348623157e308) {
        static const char *const names[2][2] = {{"inf", "nan"}, {"Infinity", "NaN"}};
        buf_printf(out, "%s%s", d < 0 ? "-" : "", names[json ? 1 : 0][d != d]);
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (strtod(text, NULL) == d)
            break;
    }
    for (const char *p = text; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    exponent = atoi(strchr(text, 'e') + 1);
    buf_puts(out, signbit(d) ? "-" : "");
    if (exponent < -4 || exponent >= 16) {
        buf_printf(out, "%c%s%.*se%c%02d", digits[0], n > 1 ? "." : "", n - 1, digits + 1, exponent < 0 ? '-' : '+',
                   abs(exponent));
        return;
    }
    if (exponent < 0) {
        buf_printf(out, "0.%.*s%.*s", -exponent - 1, "000", n, digits);
        return;
    }
    for (int i = 0; i <= exponent || i < n; i++) {
        if (i == exponent + 1)
            buf_putc(out, '.');
        buf_putc(out, i < n ? digits[i] : '0');
    }
    if (n <= exponent + 1)
        buf_puts(out, ".0");
}

int jprintable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return 0;
    case UTF8PROC_CATEGORY_ZS: return cp == ' ';
    default: return 1;
    }
}

void jescaped(struct buf *out, uint32_t cp)
{
    if (cp < 0x100)
        buf_printf(out, "\\x%02x", cp);
    else
        buf_printf(out, cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
}

static void repr_string(struct buf *out, struct jvalue v)
{
    char quote = v.n && memchr(v.s, '\'', v.n) && !memchr(v.s, '"', v.n) ? '"' : '\'';
    uint32_t cp;
    buf_puts(out, v.safe ? "Markup(" : "");
    buf_putc(out, quote);
    for (size_t i = 0, k; i < v.n; i += k) {
        k = jchar(v.s + i, v.n - i, &cp);
        if (cp == '\\' || cp == (unsigned char)quote)
            buf_printf(out, "\\%c", (int)cp);
        else if (cp == '\n' || cp == '\r')
            buf_puts(out, cp == '\n' ? "\\n" : "\\r");
        else if (cp == '\t')
            buf_puts(out, "\\t");
        else if (jprintable(cp))
            buf_append(out, v.s + i, k);
        else
            jescaped(out, cp);
    }
    buf_putc(out, quote);
    buf_puts(out, v.safe ? ")" : "");
}

static void repr_dict(struct jrun *r, struct buf *out, const struct jdict *d)
{
    buf_putc(out, '{');
    for (int i = 0; i < d->n && !r->rc; i++) {
        buf_puts(out, i ? ", " : "");
        jrepr(r, out, d->keys[i]);
        buf_puts(out, ": ");
        jrepr(r, out, d->values[i]);
    }
    buf_putc(out, '}');
}

static void repr_list(struct jrun *r, struct buf *out, const struct jlist *l)
{
    static const char *const around[][2] = {{"[", "]"},
                                            {"(", ")"},
                                            {"(", ")"},
                                            {"", ""},
                                            {"dict_keys([", "])"},
                                            {"dict_values([", "])"},
                                            {"dict_items([", "])"},
                                            {"", ""}};
    if (l->form == JF_GENERATOR) {
        jfail(r, "a generator cannot be written; end the chain of filters with |list");
        return;
    }
    if (l->form == JF_RANGE) {
        buf_printf(out, l->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)", (long long)l->start,
                   (long long)l->stop, (long long)l->step);
        return;
    }
    buf_puts(out, around[l->form][0]);
    for (int i = 0; i < l->n && !r->rc; i++) {
        buf_puts(out, i ? ", " : "");
        jrepr(r, out, l->items[i]);
    }
    buf_puts(out, l->n == 1 && *around[l->form][0] == '(' ? "," : "");
    buf_puts(out, around[l->form][1]);
}

void jrepr(struct jrun *r, struct buf *out, struct jvalue v)
{
    if (jstep(r))
        return;
    if (++r->depth > MAX_DEPTH)
        jfail(r, "too deeply nested");
    else if (v.kind == J_STRING)
        repr_string(out, v);
    else if (v.kind == J_UNDEFINED)
        buf_puts(out, "Undefined");
    else
        jwrite(r, out, v);
    r->depth--;
}

static void write_loop(struct buf *out, const struct jloop *loop)
{
    buf_printf(out, "<LoopContext %d/%d>", loop->at + 1, loop->items->n);
}

void jwrite(struct jrun *r, struct buf *out, struct jvalue v)
{
    size_t before = out->len;
    if (r->rc)
        return;
    switch (v.kind) {
    case J_UNDEFINED:
    case J_MISSING: break;
    case J_NONE: buf_puts(out, "None"); break;
    case J_BOOL: buf_puts(out, v.i ? "True" : "False"); break;
    case J_INT: buf_printf(out, "%lld", (long long)v.i); break;
    case J_FLOAT: jfloat_text(out, v.d, 0); break;
    case J_STRING: buf_append(out, v.s, v.n); break;
    case J_LIST: repr_list(r, out, v.list); break;
    case J_DICT: repr_dict(r, out, v.dict); break;
    case J_NAMESPACE:
        buf_puts(out, "<Namespace ");
        repr_dict(r, out, v.dict);
        buf_puts(out, ">");
        break;
    case J_LOOP: write_loop(out, v.loop); break;
    default: jfail(r, "a macro, a function or a method cannot be written: is it called?");
    }
    jcharge(r, out->len - before);
    if (out->len > max_text)
        jfail(r, "writes more than %zu MiB", max_text >> 20);
}

struct jvalue jto_string(struct jrun *r, struct jvalue v)
{
    struct buf b = BUF_INIT;
    if (v.kind == J_STRING)
        return v;
    jwrite(r, &b, v);
    return jtake(r, &b);
}

struct jvalue jescape(struct jrun *r, struct jvalue v)
{
    struct buf b = BUF_INIT;
    v = jto_string(r, v);
    if (r->rc || v.safe)
        return v;
    for (size_t i = 0; i < v.n; i++) {
        switch (v.s[i]) {
        case '&': buf_puts(&b, "&amp;"); break;
        case '<': buf_puts(&b, "&lt;"); break;
        case '>': buf_puts(&b, "&gt;"); break;
        case '\'': buf_puts(&b, "&#39;"); break;
        case '"': buf_puts(&b, "&#34;"); break;
        default: buf_putc(&b, v.s[i]);
        }
    }
    return jmark(jtake(r, &b), 1);
}

/* --- JSON --- */

static void dump_string(struct buf *out, const char *s, size_t n, int ascii)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    uint32_t cp;
    buf_putc(out, '"');
    for (size_t i = 0, k; i < n; i += k) {
        k = jchar(s + i, n - i, &cp);
        const char *at = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
        if (at)
            buf_printf(out, "\\%c", to[at - from]);
        else if (cp < 0x20 || (ascii && cp >= 0x7f && cp < 0x10000))
            buf_printf(out, "\\u%04x", cp);
        else if (ascii && cp >= 0x10000)
            buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10), 0xdc00 + ((cp - 0x10000) & 0x3ff));
        else
            buf_append(out, s + i, k);
    }
    buf_putc(out, '"');
}

static void new_line(struct jrun *r, struct buf *out, const struct jdump *how, int depth)
{
    if (!how->lines)
        return;
    buf_putc(out, '\n');
    for (int i = 0; i < depth && !jcharge(r, how->indent_n); i++)
        buf_append(out, how->indent, how->indent_n);
}

static void dump_key(struct jrun *r, struct buf *out, struct jvalue key, const struct jdump *how)
{
    struct buf text = BUF_INIT;
    if (key.kind == J_STRING) {
        dump_string(out, key.s, key.n, how->ascii);
        return;
    }
    if (key.kind == J_NONE)
        buf_puts(&text, "null");
    else if (key.kind == J_BOOL)
        buf_puts(&text, key.i ? "true" : "false");
    else if (key.kind == J_FLOAT)
        jfloat_text(&text, key.d, 1);
    else if (key.kind == J_INT)
        jwrite(r, &text, key);
    else
        jfail(r, "tojson: a key must be a text, a number, a boolean or none");
    if (!r->rc && !text.failed)
        dump_string(out, text.data, text.len, how->ascii);
    buf_free(&text);
}

/* The order of a mapping's entries. */
static int *dump_order(struct jrun *r, const struct jdict *d, int sort)
{
    int *order = jalloc(r, (size_t)(d->n + 1) * sizeof *order);
    for (int i = 0; order && i < d->n && !r->rc; i++) {
        int at = i;
        for (; sort && at > 0 && !jstep(r) && jcompare(r, d->keys[i], d->keys[order[at - 1]]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

static void dump_dict(struct jrun *r, struct buf *out, const struct jdict *d, const struct jdump *how, int depth)
{
    const int *order = dump_order(r, d, how->sort);
    buf_putc(out, '{');
    for (int i = 0; i < d->n && !r->rc; i++) {
        buf_append(out, how->item, i ? how->item_n : 0);
        new_line(r, out, how, depth + 1);
        dump_key(r, out, d->keys[order[i]], how);
        buf_append(out, how->key, how->key_n);
        jdump(r, out, d->values[order[i]], how, depth + 1);
    }
    if (d->n)
        new_line(r, out, how, depth);
    buf_putc(out, '}');
}

static void dump_list(struct jrun *r, struct buf *out, const struct jlist *l, const struct jdump *how, int depth)
{
    buf_putc(out, '[');
    for (int i = 0; i < l->n && !r->rc; i++) {
        buf_append(out, how->item, i ? how->item_n : 0);
        new_line(r, out, how, depth + 1);
        jdump(r, out, l->items[i], how, depth + 1);
    }
    if (l->n)
        new_line(r, out, how, depth);
    buf_putc(out, ']');
}

void jdump(struct jrun *r, struct buf *out, struct jvalue v, const struct jdump *how, int depth)
{
    size_t before = out->len;
    if (jstep(r) || (depth > MAX_DEPTH && jfail(r, "too deeply nested")))
        return;
    if (v.kind == J_STRING)
        dump_string(out, v.s, v.n, how->ascii);
    else if (v.kind == J_LIST && v.list->form <= JF_GROUP)
        dump_list(r, out, v.list, how, depth);
    else if (v.kind == J_DICT)
        dump_dict(r, out, v.dict, how, depth);
    else if (v.kind == J_NONE)
        buf_puts(out, "null");
    else if (v.kind == J_BOOL)
        buf_puts(out, v.i ? "true" : "false");
    else if (v.kind == J_FLOAT)
        jfloat_text(out, v.d, 1);
    else if (v.kind == J_INT)
        jwrite(r, out, v);
    else
        jfail(r, v.kind == J_UNDEFINED ? "tojson: the value is undefined"
                                       : "tojson: the value is no data (a list of filters ends with |list)");
    jcharge(r, out->len - before);
    if (out->len > max_text)
        jfail(r, "writes more than %zu MiB", max_text >> 20);
}
