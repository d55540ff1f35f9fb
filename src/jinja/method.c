/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of strings but those of letter case (case.c). */
#include "jinja/parts.h"

#include "base/utf8.h"

#include <string.h>

#define METHOD(name) \
    static struct jvalue name(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)

static int in_set(uint32_t cp, struct jvalue set)
{
    uint32_t c;
    if (set.kind != J_STRING)
        return jspace(cp);
    for (size_t at = 0, k; at < set.n; at += k) {
        k = jchar(set.s + at, set.n - at, &c);
        if (c == cp)
            return 1;
    }
    return 0;
}

static int need_string(struct jrun *r, struct jvalue v, const char *what)
{
    if (v.kind != J_STRING)
        jfail(r, "%s: wanted a string", what);
    return r->rc;
}

/* sides: 1 left, 2 right. */
static struct jvalue strip(struct jrun *r, struct jvalue v, struct jvalue set, int sides)
{
    size_t from = 0, to = v.n, k;
    uint32_t cp;
    if (jgiven(set) && set.kind != J_NONE && need_string(r, set, "strip"))
        return v;
    while (sides & 1 && from < to && (k = jchar(v.s + from, to - from, &cp)) && in_set(cp, set))
        from += k;
    while (sides & 2 && to > from && (k = utf8_prev(v.s + from, to - from)) && utf8_decode(v.s + to - k, k, &cp) &&
           in_set(cp, set))
        to -= k;
    jcharge(r, (v.n - (to - from) + 1) * (set.kind == J_STRING ? set.n + 1 : 1));
    return jmark(jstring(v.s + from, to - from), v.safe);
}
METHOD(m_strip)
{
    (void)a;
    return strip(r, v, p[0], 3);
}
METHOD(m_lstrip)
{
    (void)a;
    return strip(r, v, p[0], 1);
}
METHOD(m_rstrip)
{
    (void)a;
    return strip(r, v, p[0], 2);
}

static struct jvalue part(struct jvalue v, size_t from, size_t to)
{
    return jmark(jstring(v.s + from, to - from), v.safe);
}

/* The first (or, from the right, the last) place of by in v, or NULL. */
static const char *search_text(struct jvalue v, struct jvalue by, int from_right)
{
    if (!from_right)
        return by.n ? memmem(v.s, v.n, by.s, by.n) : v.s;
    for (size_t at = v.n >= by.n ? v.n - by.n + 1 : 0; at-- > 0;)
        if (!memcmp(v.s + at, by.s, by.n))
            return v.s + at;
    return NULL;
}

static void turn_round(struct jlist *l)
{
    for (int i = 0; i < l->n / 2; i++) {
        struct jvalue other = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = other;
    }
}

static struct jvalue split_spaces(struct jrun *r, struct jvalue v, int64_t most, int right)
{
    struct jvalue out = jlist(r, JF_LIST), none = jmissing();
    for (v = strip(r, v, none, right ? 2 : 1); v.n && !jstep(r); v = strip(r, v, none, right ? 2 : 1)) {
        size_t at = right ? v.n : 0, k;
        uint32_t cp = 0;
        if (most == 0) {
            jpush(r, out.list, v);
            break;
        }
        while (!right && at < v.n && (k = jchar(v.s + at, v.n - at, &cp)) && !jspace(cp))
            at += k;
        while (right && at > 0 && (k = utf8_prev(v.s, at)) && utf8_decode(v.s + at - k, k, &cp) && !jspace(cp))
            at -= k;
        jpush(r, out.list, right ? part(v, at, v.n) : part(v, 0, at));
        v = right ? part(v, 0, at) : part(v, at, v.n);
        most -= most > 0;
    }
    if (right)
        turn_round(out.list);
    return out;
}

/* Where in v a separator was found; when it was not: after the text that the search went through. */
static size_t place_of(struct jvalue v, const char *at, int right)
{
    if (at)
        return (size_t)(at - v.s);
    return right ? 0 : v.n;
}

static struct jvalue split(struct jrun *r, struct jvalue v, const struct jvalue *p, int right)
{
    int64_t most = jwhole(r, p[1], -1);
    struct jvalue out;
    if (!jgiven(p[0]) || p[0].kind == J_NONE)
        return split_spaces(r, v, most, right);
    out = jlist(r, JF_LIST);
    if (!need_string(r, p[0], "split") && !p[0].n)
        jfail(r, "split: the separator is empty");
    while (!jstep(r) && !jcharge(r, p[0].n)) {
        const char *at = most ? search_text(v, p[0], right) : NULL;
        size_t n = place_of(v, at, right), after = at ? n + p[0].n : 0;
        jpush(r, out.list, right ? part(v, after, v.n) : part(v, 0, n));
        if (!at)
            break;
        v = right ? part(v, 0, n) : part(v, n + p[0].n, v.n);
        most -= most > 0;
    }
    if (right)
        turn_round(out.list);
    return out;
}
METHOD(m_split)
{
    (void)a;
    return split(r, v, p, 0);
}
METHOD(m_rsplit)
{
    (void)a;
    return split(r, v, p, 1);
}

static int ends_line(uint32_t cp)
{
    return (cp >= '\n' && cp <= '\r') || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

METHOD(m_splitlines)
{
    struct jvalue out = jlist(r, JF_LIST);
    size_t from = 0, at = 0, k;
    uint32_t cp;
    (void)a;
    while (at < v.n && !r->rc) {
        k = jchar(v.s + at, v.n - at, &cp);
        if (!ends_line(cp)) {
            at += k;
            continue;
        }
        size_t end = at + k + (cp == '\r' && at + 1 < v.n && v.s[at + 1] == '\n');
        jpush(r, out.list, part(v, from, jtrue(p[0]) ? end : at));
        from = end;
        at = end;
    }
    if (from < v.n)
        jpush(r, out.list, part(v, from, v.n));
    return out;
}

/* A place that may count from the end. */
static int64_t from_start(int64_t i, int64_t n)
{
    if (i >= 0)
        return i;
    return i + n < 0 ? 0 : i + n;
}

/* v between two places in characters, as str.find(x, start, end) takes them; 0 when start lies after the end of v. */
static int window(struct jrun *r, struct jvalue *v, struct jvalue start, struct jvalue end, int64_t *from)
{
    int64_t n, i, to;
    size_t begin = 0, stop;
    uint32_t cp;
    *from = 0;
    if ((!jgiven(start) || start.kind == J_NONE) && (!jgiven(end) || end.kind == J_NONE))
        return 1;
    n = jlength(r, *v);
    i = start.kind == J_NONE ? 0 : jwhole(r, start, 0);
    to = end.kind == J_NONE ? n : jwhole(r, end, n);
    to = to > n ? n : from_start(to, n);
    i = from_start(i, n);
    if (r->rc || i > n || i > to)
        return 0;
    for (int64_t k = 0; k < i; k++)
        begin += jchar(v->s + begin, v->n - begin, &cp);
    stop = begin;
    for (int64_t k = i; k < to; k++)
        stop += jchar(v->s + stop, v->n - stop, &cp);
    *v = part(*v, begin, stop);
    *from = i;
    return 1;
}

static int meets(struct jvalue v, struct jvalue affix, int at_end)
{
    return affix.n <= v.n && (!affix.n || !memcmp(at_end ? v.s + v.n - affix.n : v.s, affix.s, affix.n));
}

static struct jvalue has_affix(struct jrun *r, struct jvalue v, const struct jvalue *p, int at_end)
{
    int64_t from;
    int yes = 0, inside = window(r, &v, p[1], p[2], &from);
    if (p[0].kind == J_STRING)
        return jbool(inside && meets(v, p[0], at_end));
    if (p[0].kind != J_LIST || p[0].list->form != JF_TUPLE)
        jfail(r, "startswith, endswith: wanted a string or a tuple of them");
    for (int i = 0; !r->rc && i < p[0].list->n && !yes; i++)
        yes = !need_string(r, p[0].list->items[i], "startswith, endswith") && inside &&
              meets(v, p[0].list->items[i], at_end);
    return jbool(yes);
}
METHOD(m_startswith)
{
    (void)a;
    return has_affix(r, v, p, 0);
}
METHOD(m_endswith)
{
    (void)a;
    return has_affix(r, v, p, 1);
}

METHOD(m_removeprefix)
{
    (void)a;
    return need_string(r, p[0], "removeprefix") || !meets(v, p[0], 0) ? v : part(v, p[0].n, v.n);
}

METHOD(m_removesuffix)
{
    (void)a;
    return need_string(r, p[0], "removesuffix") || !meets(v, p[0], 1) ? v : part(v, 0, v.n - p[0].n);
}

/* Between all characters, where what is replaced is empty. */
static void replace_nothing(struct jrun *r, struct buf *b, struct jvalue v, struct jvalue to, int64_t most)
{
    size_t at = 0;
    uint32_t cp;
    for (; most != 0 && !r->rc; most -= most > 0) {
        jwrite(r, b, to);
        if (at == v.n)
            return;
        size_t k = jchar(v.s + at, v.n - at, &cp);
        buf_append(b, v.s + at, k);
        at += k;
    }
    buf_append(b, v.s + at, v.n - at);
}

METHOD(m_replace)
{
    int64_t most = jwhole(r, p[2], -1);
    struct jvalue to = p[1];
    struct buf b = BUF_INIT;
    int safe = v.safe;
    (void)a;
    if (need_string(r, p[0], "replace") || need_string(r, to, "replace"))
        return v;
    to = safe ? jescape(r, to) : to;
    if (!p[0].n)
        replace_nothing(r, &b, v, to, most);
    while (p[0].n && !jstep(r)) {
        const char *at = most ? memmem(v.s, v.n, p[0].s, p[0].n) : NULL;
        size_t n = at ? (size_t)(at - v.s) : v.n;
        buf_append(&b, v.s, n);
        if (!at)
            break;
        jwrite(r, &b, to);
        v = jstring(at + p[0].n, v.n - n - p[0].n);
        most -= most > 0;
    }
    return jmark(jtake(r, &b), safe);
}

static struct jvalue find(struct jrun *r, struct jvalue v, const struct jvalue *p, int right)
{
    int64_t from;
    if (need_string(r, p[0], "find") || !window(r, &v, p[1], p[2], &from))
        return jint(-1);
    jcharge(r, right ? v.n * (1 + p[0].n / 64) : v.n);
    const char *at = r->rc ? NULL : search_text(v, p[0], right);
    return jint(at ? from + (int64_t)utf8_count(v.s, (size_t)(at - v.s)) : -1);
}
METHOD(m_find)
{
    (void)a;
    return find(r, v, p, 0);
}
METHOD(m_rfind)
{
    (void)a;
    return find(r, v, p, 1);
}

static struct jvalue require_found(struct jrun *r, struct jvalue at)
{
    if (at.i < 0)
        jfail(r, "index: what is looked for is not there");
    return at;
}
METHOD(m_index)
{
    (void)a;
    return require_found(r, find(r, v, p, 0));
}
METHOD(m_rindex)
{
    (void)a;
    return require_found(r, find(r, v, p, 1));
}

METHOD(m_count)
{
    int64_t n = 0, from;
    (void)a;
    if (need_string(r, p[0], "count") || !window(r, &v, p[1], p[2], &from))
        return jint(0);
    if (!p[0].n)
        return jint(jlength(r, v) + 1);
    for (const char *at; !jstep(r) && (at = memmem(v.s, v.n, p[0].s, p[0].n)); n++)
        v = jstring(at + p[0].n, v.n - (size_t)(at - v.s) - p[0].n);
    return jint(n);
}

METHOD(m_join)
{
    struct jlist *items = jiterate(r, p[0]);
    struct buf b = BUF_INIT;
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue x = v.safe ? jescape(r, items->items[i]) : items->items[i];
        if (need_string(r, x, "join"))
            break;
        jwrite(r, &b, i ? v : jtext(""));
        jwrite(r, &b, x);
    }
    return jmark(jtake(r, &b), v.safe);
}

static struct jvalue in_three(struct jrun *r, struct jvalue v, struct jvalue by, int right)
{
    struct jvalue out = jlist(r, JF_TUPLE);
    if (!need_string(r, by, "partition") && !by.n)
        jfail(r, "partition: the separator is empty");
    const char *at = r->rc || jcharge(r, v.n) ? NULL : search_text(v, by, right);
    size_t n = place_of(v, at, right);
    jpush(r, out.list, part(v, 0, n));
    jpush(r, out.list, at ? part(v, n, n + by.n) : part(v, 0, 0));
    jpush(r, out.list, at ? part(v, n + by.n, v.n) : part(v, n, v.n));
    return out;
}
METHOD(m_partition)
{
    (void)a;
    return in_three(r, v, p[0], 0);
}
METHOD(m_rpartition)
{
    (void)a;
    return in_three(r, v, p[0], 1);
}

/* side: 'l' to the left, 'r' to the right, 'c' to the middle, 'z' zeros after a sign. */
static struct jvalue pad(struct jrun *r, struct jvalue v, const struct jvalue *p, int side)
{
    struct jvalue fill = jtext(side == 'z' ? "0" : " ");
    if (jgiven(p[1]))
        fill = p[1];
    int64_t width = jwhole(r, p[0], 0), missing = width - jlength(r, v), left = side == 'l' ? 0 : missing;
    struct buf b = BUF_INIT;
    size_t head = side == 'z' && v.n && (*v.s == '-' || *v.s == '+');
    if (v.safe && !r->rc)
        fill = jmark(jescape(r, fill), 0);
    if (!r->rc && (fill.kind != J_STRING || jlength(r, fill) != 1))
        jfail(r, "the filling must be one character");
    if (missing > (64 << 20))
        jfail(r, "writes more than 64 MiB");
    if (side == 'c' && missing > 0)
        left = missing / 2 + (missing & width & 1);
    if (r->rc || missing <= 0)
        return v;
    buf_append(&b, v.s, head);
    for (int64_t i = 0; i < left; i++)
        buf_append(&b, fill.s, fill.n);
    buf_append(&b, v.s + head, v.n - head);
    for (int64_t i = left; i < missing; i++)
        buf_append(&b, fill.s, fill.n);
    return jmark(jtake(r, &b), v.safe);
}
METHOD(m_ljust)
{
    (void)a;
    return pad(r, v, p, 'l');
}
METHOD(m_rjust)
{
    (void)a;
    return pad(r, v, p, 'r');
}
METHOD(m_center)
{
    (void)a;
    return pad(r, v, p, 'c');
}

METHOD(m_zfill)
{
    struct jvalue q[2] = {p[0], jmissing()};
    (void)a;
    return pad(r, v, q, 'z');
}

METHOD(m_expandtabs)
{
    int64_t size = jwhole(r, p[0], 8), column = 0;
    struct buf b = BUF_INIT;
    uint32_t cp;
    (void)a;
    for (size_t at = 0, k; at < v.n && !jcharge(r, 1); at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        int64_t blanks = cp == '\t' && size > 0 ? size - column % size : 0;
        if (blanks > 10000)
            jfail(r, "expandtabs: a size of more than 10000");
        for (int64_t i = 0; i < blanks && !jcharge(r, 1); i++)
            buf_putc(&b, ' ');
        if (cp != '\t')
            buf_append(&b, v.s + at, k);
        column += cp == '\t' ? blanks : 1;
        if (cp == '\n' || cp == '\r')
            column = 0;
    }
    return jmark(jtake(r, &b), v.safe);
}

METHOD(m_format)
{
    (void)p;
    return jformat(r, v, a);
}

METHOD(m_format_map)
{
    struct jargs named = {.named = p[0].kind == J_DICT ? *p[0].dict : (struct jdict){0}};
    (void)a;
    if (p[0].kind != J_DICT)
        jfail(r, "format_map: wanted a mapping");
    return jformat(r, v, &named);
}

const struct jentry jstring_methods[] = {
    {"strip", "/chars=", m_strip},
    {"lstrip", "/chars=", m_lstrip},
    {"rstrip", "/chars=", m_rstrip},
    {"split", "sep= maxsplit=", m_split},
    {"rsplit", "sep= maxsplit=", m_rsplit},
    {"splitlines", "keepends=", m_splitlines},
    {"startswith", "/prefix start= end=", m_startswith},
    {"endswith", "/suffix start= end=", m_endswith},
    {"removeprefix", "/prefix", m_removeprefix},
    {"removesuffix", "/suffix", m_removesuffix},
    {"replace", "/old new count=", m_replace},
    {"find", "/sub start= end=", m_find},
    {"rfind", "/sub start= end=", m_rfind},
    {"index", "/sub start= end=", m_index},
    {"rindex", "/sub start= end=", m_rindex},
    {"count", "/sub start= end=", m_count},
    {"join", "/iterable", m_join},
    {"partition", "/sep", m_partition},
    {"rpartition", "/sep", m_rpartition},
    {"ljust", "/width fillchar=", m_ljust},
    {"rjust", "/width fillchar=", m_rjust},
    {"center", "/width fillchar=", m_center},
    {"zfill", "/width", m_zfill},
    {"expandtabs", "tabsize=", m_expandtabs},
    {"format", "*", m_format},
    {"format_map", "/mapping", m_format_map},
    {NULL, NULL, NULL},
};
