/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of strings and mappings, and the global functions. What changes a value in place does not exist, as in transformers' sandbox. */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <string.h>
#include <time.h>
#include <utf8proc.h>

static int in_set(uint32_t cp, const struct jvalue *set)
{
    uint32_t c;
    if (set->kind != J_STRING)
        return utf8_is_space(cp) || (cp >= 0x1c && cp <= 0x1f);
    for (size_t at = 0, k; at < set->n && (k = utf8_decode(set->s + at, set->n - at, &c)); at += k)
        if (c == cp)
            return 1;
    return 0;
}

/* sides: 1 left, 2 right. */
static struct jvalue strip(struct jrun *r, struct jvalue v, const struct jargs *a, int sides)
{
    struct jvalue set = jarg(a, 0, "chars");
    size_t from = 0, to = v.n, k;
    uint32_t cp;
    (void)r;
    while (sides & 1 && from < to && (k = utf8_decode(v.s + from, to - from, &cp)) && in_set(cp, &set))
        from += k;
    while (sides & 2 && to > from && (k = utf8_prev(v.s + from, to - from)) && utf8_decode(v.s + to - k, k, &cp) && in_set(cp, &set))
        to -= k;
    return jstring(v.s + from, to - from);
}
static struct jvalue m_strip(struct jrun *r, struct jvalue v, const struct jargs *a) { return strip(r, v, a, 3); }
static struct jvalue m_lstrip(struct jrun *r, struct jvalue v, const struct jargs *a) { return strip(r, v, a, 1); }
static struct jvalue m_rstrip(struct jrun *r, struct jvalue v, const struct jargs *a) { return strip(r, v, a, 2); }

static void need_string(struct jrun *r, struct jvalue v, const char *what)
{
    if (v.kind != J_STRING)
        jfail(r, "%s: wanted a string", what);
}

static struct jvalue split_spaces(struct jrun *r, struct jvalue v, int64_t most)
{
    struct jvalue out = jlist(r, 0);
    struct jargs none = {0};
    for (v = strip(r, v, &none, most < 0 ? 3 : 1); v.n && !r->rc && !jstep(r); v = strip(r, v, &none, 1)) {
        size_t at = 0, k = 0;
        uint32_t cp;
        while (at < v.n && (k = utf8_decode(v.s + at, v.n - at, &cp)) && !utf8_is_space(cp))
            at += k;
        if (most == 0)
            at = strip(r, v, &none, 2).n;
        jpush(r, out.list, jstring(v.s, at));
        v = jstring(v.s + at, most == 0 ? 0 : v.n - at);
        most -= most > 0;
    }
    return out;
}

static struct jvalue m_split(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue by = jarg(a, 0, "sep"), limit = jarg(a, 1, "maxsplit"), out;
    int64_t most = limit.kind == J_INT ? limit.i : -1;
    if (by.kind == J_UNDEFINED || by.kind == J_NONE)
        return split_spaces(r, v, most);
    need_string(r, by, "split");
    if (!r->rc && !by.n)
        jfail(r, "split: the separator is empty");
    out = jlist(r, 0);
    while (!r->rc && !jstep(r)) {
        const char *at = most ? memmem(v.s, v.n, by.s, by.n) : NULL;
        size_t n = at ? (size_t)(at - v.s) : v.n;
        jpush(r, out.list, jstring(v.s, n));
        if (!at)
            break;
        v = jstring(at + by.n, v.n - n - by.n);
        most -= most > 0;
    }
    return out;
}

static struct jvalue m_splitlines(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue out = jlist(r, 0);
    (void)a;
    while (!r->rc && v.n && !jstep(r)) {
        size_t n = 0, end;
        while (n < v.n && v.s[n] != '\n' && v.s[n] != '\r')
            n++;
        end = n + (n < v.n) + (n + 1 < v.n && v.s[n] == '\r' && v.s[n + 1] == '\n');
        jpush(r, out.list, jstring(v.s, n));
        v = jstring(v.s + end, v.n - end);
    }
    return out;
}

static int meets(struct jvalue v, struct jvalue part, int at_end)
{
    return part.kind == J_STRING && part.n <= v.n && (!part.n || !memcmp(at_end ? v.s + v.n - part.n : v.s, part.s, part.n));
}

static struct jvalue affix(struct jrun *r, struct jvalue v, const struct jargs *a, int at_end)
{
    struct jvalue part = jarg(a, 0, NULL);
    int yes = meets(v, part, at_end);
    for (int i = 0; part.kind == J_LIST && i < part.list->n; i++)
        yes |= meets(v, part.list->items[i], at_end);
    if (part.kind != J_STRING && part.kind != J_LIST)
        jfail(r, "startswith, endswith: wanted a string or several");
    return jbool(yes);
}
static struct jvalue m_startswith(struct jrun *r, struct jvalue v, const struct jargs *a) { return affix(r, v, a, 0); }
static struct jvalue m_endswith(struct jrun *r, struct jvalue v, const struct jargs *a) { return affix(r, v, a, 1); }

static struct jvalue m_replace(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue from = jarg(a, 0, "old"), to = jarg(a, 1, "new"), limit = jarg(a, 2, "count");
    int64_t most = limit.kind == J_INT ? limit.i : -1;
    struct buf b = BUF_INIT;
    need_string(r, from, "replace"), need_string(r, to, "replace");
    if (!r->rc && !from.n)
        jfail(r, "replace: what is replaced is empty");
    while (!r->rc && !jstep(r)) {
        const char *at = most ? memmem(v.s, v.n, from.s, from.n) : NULL;
        size_t n = at ? (size_t)(at - v.s) : v.n;
        buf_append(&b, v.s, n);
        if (!at)
            break;
        buf_append(&b, to.s, to.n);
        if (b.len > (size_t)64 << 20)
            jfail(r, "replace: writes too much");
        v = jstring(at + from.n, v.n - n - from.n);
        most -= most > 0;
    }
    return jtake(r, &b);
}

/* mode: 'u' upper, 'l' lower, 'c' first upper, 't' first of each word upper. */
static struct jvalue change_case(struct jrun *r, struct jvalue v, int mode)
{
    struct buf b = BUF_INIT;
    int inside = 0;
    uint32_t cp;
    for (size_t at = 0, k; at < v.n && (k = utf8_decode(v.s + at, v.n - at, &cp)); at += k) {
        int up = mode == 'u' || (mode == 'c' && at == 0) || (mode == 't' && !inside);
        utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
        inside = c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
        if (up && cp == 0xdf) /* the one common letter whose capital is two */
            buf_puts(&b, mode == 'u' ? "SS" : "Ss");
        else
            utf8_put(&b, (uint32_t)(up ? mode == 'u' ? utf8proc_toupper((utf8proc_int32_t)cp) : utf8proc_totitle((utf8proc_int32_t)cp) : utf8proc_tolower((utf8proc_int32_t)cp)));
    }
    return jtake(r, &b);
}
static struct jvalue m_upper(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return change_case(r, v, 'u'); }
static struct jvalue m_lower(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return change_case(r, v, 'l'); }
static struct jvalue m_capitalize(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return change_case(r, v, 'c'); }
static struct jvalue m_title(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return change_case(r, v, 't'); }

static struct jvalue m_find(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue part = jarg(a, 0, NULL);
    need_string(r, part, "find");
    const char *at = r->rc ? NULL : part.n ? memmem(v.s, v.n, part.s, part.n) : v.s;
    return jint(at ? (int64_t)utf8_count(v.s, (size_t)(at - v.s)) : -1);
}

static struct jvalue m_join(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jlist *items = jiterate(r, jarg(a, 0, NULL));
    struct buf b = BUF_INIT;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        need_string(r, items->items[i], "join");
        buf_append(&b, v.s, i ? v.n : 0);
        jwrite(r, &b, items->items[i]);
    }
    return jtake(r, &b);
}

static struct jvalue m_isdigit(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    int yes = v.n > 0;
    (void)r, (void)a;
    for (size_t i = 0; i < v.n; i++)
        yes &= v.s[i] >= '0' && v.s[i] <= '9';
    return jbool(yes);
}

/* what: 1 keys, 2 values, 3 pairs. */
static struct jvalue entries(struct jrun *r, const struct jdict *d, int what)
{
    struct jvalue out = jlist(r, 0);
    for (int i = 0; i < d->n && !r->rc; i++) {
        struct jvalue key = jstring(d->keys[i], d->key_n[i]), pair;
        if (what != 3) {
            jpush(r, out.list, what == 1 ? key : d->values[i]);
            continue;
        }
        pair = jlist(r, 1);
        if (r->rc)
            break;
        jpush(r, pair.list, key), jpush(r, pair.list, d->values[i]), jpush(r, out.list, pair);
    }
    return out;
}
static struct jvalue m_keys(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return entries(r, v.dict, 1); }
static struct jvalue m_values(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return entries(r, v.dict, 2); }
static struct jvalue m_items(struct jrun *r, struct jvalue v, const struct jargs *a) { (void)a; return entries(r, v.dict, 3); }

static struct jvalue m_get(struct jrun *r, struct jvalue v, const struct jargs *a)
{
    struct jvalue key = jarg(a, 0, NULL), other = jarg(a, 1, "default");
    int at = key.kind == J_STRING ? jfind(v.dict, key.s, key.n) : -1;
    (void)r;
    return at >= 0 ? v.dict->values[at] : other.kind == J_UNDEFINED ? jnone() : other;
}

static const struct { const char *name; enum jkind of; struct jvalue (*run)(struct jrun *, struct jvalue, const struct jargs *); } methods[] = {
    {"strip", J_STRING, m_strip}, {"lstrip", J_STRING, m_lstrip}, {"rstrip", J_STRING, m_rstrip}, {"split", J_STRING, m_split}, {"splitlines", J_STRING, m_splitlines},
    {"startswith", J_STRING, m_startswith}, {"endswith", J_STRING, m_endswith}, {"replace", J_STRING, m_replace}, {"title", J_STRING, m_title}, {"upper", J_STRING, m_upper},
    {"lower", J_STRING, m_lower}, {"capitalize", J_STRING, m_capitalize}, {"find", J_STRING, m_find}, {"join", J_STRING, m_join}, {"isdigit", J_STRING, m_isdigit},
    {"keys", J_DICT, m_keys}, {"values", J_DICT, m_values}, {"items", J_DICT, m_items}, {"get", J_DICT, m_get},
};

int jhas_method(struct jvalue v, const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].of == v.kind && jsame(s, n, methods[i].name))
            return 1;
    return 0;
}

struct jvalue jcall_method(struct jrun *r, const struct jmethod *m, const struct jargs *args)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods && !r->rc; i++)
        if (methods[i].of == m->self.kind && jsame(m->s, m->n, methods[i].name))
            return methods[i].run(r, m->self, args);
    return jundefined("", 0);
}

/* --- functions --- */

int jis_function(const char *s, size_t n)
{
    return jsame(s, n, "raise_exception") || jsame(s, n, "strftime_now") || jsame(s, n, "namespace") || jsame(s, n, "range") || jsame(s, n, "dict");
}

static struct jvalue range(struct jrun *r, const struct jargs *a)
{
    struct jvalue out = jlist(r, 0), v[3];
    for (int i = 0; i < 3; i++) {
        v[i] = jarg(a, i, NULL);
        if (v[i].kind != J_INT && (v[i].kind != J_UNDEFINED || i == 0))
            jfail(r, "range: wanted whole numbers");
    }
    if (r->rc)
        return out;
    int64_t from = a->n > 1 ? v[0].i : 0, to = a->n > 1 ? v[1].i : v[0].i, step = a->n > 2 ? v[2].i : 1;
    if (step == 0 || from > 1 << 30 || from < -(1 << 30) || to > 1 << 30 || to < -(1 << 30) || step > 1 << 30 || step < -(1 << 30))
        jfail(r, "range: a number is too large, or the step is 0");
    for (int64_t i = from; !r->rc && (step > 0 ? i < to : i > to) && !jstep(r); i += step)
        jpush(r, out.list, jint(i));
    return out;
}

static struct jvalue date(struct jrun *r, const struct jargs *a)
{
    struct jvalue format = jarg(a, 0, NULL);
    char text[256], layout[128];
    struct tm when;
    time_t now = (time_t)r->now;
    if (format.kind != J_STRING || format.n >= sizeof layout || !gmtime_r(&now, &when)) {
        jfail(r, "strftime_now: wanted a short format");
        return format;
    }
    memcpy(layout, format.s, format.n);
    layout[format.n] = 0;
    return jcopy(r, text, strftime(text, sizeof text, layout, &when));
}

struct jvalue jcall_function(struct jrun *r, struct jvalue f, const struct jargs *a)
{
    if (jsame(f.s, f.n, "range"))
        return range(r, a);
    if (jsame(f.s, f.n, "strftime_now"))
        return date(r, a);
    if (jsame(f.s, f.n, "raise_exception")) {
        struct jvalue text = jto_string(r, jarg(a, 0, NULL));
        jfail(r, "the template says: %.*s", r->rc ? 0 : (int)(text.n < 300 ? text.n : 300), r->rc ? "" : text.s);
        return text;
    }
    struct jvalue out = jdict(r, jsame(f.s, f.n, "dict") ? J_DICT : J_NAMESPACE), from = jarg(a, 0, NULL);
    for (int i = 0; !r->rc && from.kind == J_DICT && i < from.dict->n; i++)
        jput(r, out.dict, from.dict->keys[i], from.dict->key_n[i], from.dict->values[i]);
    for (int i = 0; !r->rc && i < a->named.n; i++)
        jput(r, out.dict, a->named.keys[i], a->named.key_n[i], a->named.values[i]);
    return out;
}
