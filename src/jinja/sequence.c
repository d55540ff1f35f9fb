/* SPDX-License-Identifier: Apache-2.0 */
/* Filters over sequences. Those that Python gives lazily give a generator, to be read once. */
#include "jinja/parts.h"

#include <string.h>

/* The parts of "a.0.b": names and places. */
static struct jvalue path_part(const char *s, size_t n)
{
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || n > 9)
            return jstring(s, n);
        at = 10 * at + (s[i] - '0');
    }
    return n ? jint(at) : jstring(s, n);
}

static struct jvalue one_part(struct jrun *r, struct jvalue v, struct jvalue part, struct jvalue missing)
{
    v = jitem(r, v, part);
    return v.kind == J_UNDEFINED && jgiven(missing) && missing.kind != J_NONE ? missing : v;
}

/* make_attrgetter */
static struct jvalue jgetter(struct jrun *r, struct jvalue v, struct jvalue path, struct jvalue missing)
{
    if (!jgiven(path) || path.kind == J_NONE)
        return v;
    if (path.kind != J_STRING)
        return one_part(r, v, path, missing);
    for (size_t at = 0; at <= path.n && !r->rc;) {
        const char *dot = memchr(path.s + at, '.', path.n - at);
        size_t n = dot ? (size_t)(dot - path.s) - at : path.n - at;
        v = one_part(r, v, path_part(path.s + at, n), missing);
        at += n + 1;
    }
    return v;
}

static struct jvalue folded(struct jrun *r, struct jvalue v, int case_sensitive)
{
    return v.kind == J_STRING && !case_sensitive ? jstring_method(r, v, "lower", NULL, 0) : v;
}

/* "a,b.c": a list of what each path finds, as sort compares them. */
static struct jvalue many(struct jrun *r, struct jvalue v, struct jvalue paths, int case_sensitive)
{
    struct jvalue out = jlist(r, JF_LIST);
    if (paths.kind != J_STRING) {
        jpush(r, out.list, folded(r, jgetter(r, v, paths, jmissing()), case_sensitive));
        return out;
    }
    for (size_t at = 0; at <= paths.n && !r->rc;) {
        const char *comma = memchr(paths.s + at, ',', paths.n - at);
        size_t n = comma ? (size_t)(comma - paths.s) - at : paths.n - at;
        jpush(r, out.list, folded(r, jgetter(r, v, jstring(paths.s + at, n), jmissing()), case_sensitive));
        at += n + 1;
    }
    return out;
}

struct sorting {
    struct jrun *r;
    struct jvalue *items, *keys, *spare_items, *spare_keys;
    int reverse;
};

/* Merge sort: equal elements keep their order. */
static void merge_sort(struct sorting *s, int from, int to)
{
    int middle = from + (to - from) / 2, a = from, b = middle;
    if (to - from < 2 || s->r->rc)
        return;
    merge_sort(s, from, middle);
    merge_sort(s, middle, to);
    for (int i = from; i < to && !jstep(s->r); i++) {
        int second = a >= middle;
        if (a < middle && b < to) {
            int c = jcompare(s->r, s->keys[b], s->keys[a]);
            second = s->reverse ? c > 0 : c < 0;
        }
        int at = second ? b++ : a++;
        s->spare_items[i] = s->items[at];
        s->spare_keys[i] = s->keys[at];
    }
    for (int i = from; i < to && !s->r->rc; i++) {
        s->items[i] = s->spare_items[i];
        s->keys[i] = s->spare_keys[i];
    }
}

/* A new list of `items` by `keys`, which are put in order too. */
static struct jvalue sorted(struct jrun *r, const struct jlist *items, struct jlist *keys, int reverse)
{
    struct jvalue out = jlist(r, JF_LIST);
    for (int i = 0; items && i < items->n; i++)
        jpush(r, out.list, items->items[i]);
    size_t bytes = (size_t)(out.list->n + 1) * sizeof(struct jvalue);
    struct sorting s = {r, out.list->items, keys->items, jalloc(r, bytes), jalloc(r, bytes), reverse};
    if (!r->rc)
        merge_sort(&s, 0, out.list->n);
    return out;
}

static struct jvalue f_sort(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue keys = jlist(r, JF_LIST);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, keys.list, many(r, items->items[i], p[2], jtrue(p[1])));
    return sorted(r, items, keys.list, jtrue(p[0]));
}

static struct jvalue f_dictsort(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jvalue pairs = jlist(r, JF_LIST), keys = jlist(r, JF_LIST);
    int by_value = jis(p[1], "value");
    (void)a;
    if (v.kind != J_DICT || (jgiven(p[1]) && !by_value && !jis(p[1], "key")))
        jfail(r, "dictsort: wanted a mapping, and \"key\" or \"value\" to sort by");
    for (int i = 0; !r->rc && i < v.dict->n; i++) {
        jpush(r, pairs.list, jpair(r, v.dict->keys[i], v.dict->values[i]));
        jpush(r, keys.list, folded(r, by_value ? v.dict->values[i] : v.dict->keys[i], jtrue(p[0])));
    }
    return sorted(r, pairs.list, keys.list, jtrue(p[2]));
}

static int is_in(struct jrun *r, const struct jlist *seen, struct jvalue v)
{
    if (!jhashable(r, v))
        jfail(r, "unique: a list or a mapping among the values");
    for (int i = 0; i < seen->n && !r->rc; i++)
        if (jequal(r, seen->items[i], v))
            return 1;
    return 0;
}

static struct jvalue f_unique(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, JF_GENERATOR), seen = jlist(r, JF_LIST);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue key = folded(r, jgetter(r, items->items[i], p[1], jmissing()), jtrue(p[0]));
        if (is_in(r, seen.list, key))
            continue;
        jpush(r, seen.list, key);
        jpush(r, out.list, items->items[i]);
    }
    return out;
}

static struct jvalue f_groupby(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, JF_LIST), keys = jlist(r, JF_LIST), group = jmissing();
    int case_sensitive = jtrue(p[2]);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, keys.list, folded(r, jgetter(r, items->items[i], p[0], p[1]), case_sensitive));
    struct jvalue ordered = sorted(r, items, keys.list, 0);
    for (int i = 0; i < ordered.list->n && !r->rc; i++) {
        if (i == 0 || !jequal(r, keys.list->items[i], keys.list->items[i - 1])) {
            struct jvalue pair = jlist(r, JF_GROUP);
            group = jlist(r, JF_LIST);
            jpush(r, pair.list, jgetter(r, ordered.list->items[i], p[0], p[1]));
            jpush(r, pair.list, group);
            jpush(r, out.list, pair);
        }
        if (!r->rc)
            jpush(r, group.list, ordered.list->items[i]);
    }
    return out;
}

static struct jvalue extreme(struct jrun *r, struct jvalue v, const struct jvalue *p, int wanted)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue best = jundefined("the extreme of nothing", 22), best_key = best;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue key = folded(r, jgetter(r, items->items[i], p[1], jmissing()), jtrue(p[0]));
        int c = i && !r->rc ? jcompare(r, key, best_key) : wanted;
        if (c != 0 && (c < 0) == (wanted < 0)) {
            best = items->items[i];
            best_key = key;
        }
    }
    return best;
}
static struct jvalue f_min(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)a;
    return extreme(r, v, p, -1);
}
static struct jvalue f_max(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)a;
    return extreme(r, v, p, 1);
}

static struct jvalue f_sum(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue sum = jgiven(p[1]) ? p[1] : jint(0);
    (void)a;
    if (sum.kind == J_STRING)
        jfail(r, "sum: texts are joined with join");
    for (int i = 0; items && i < items->n && !r->rc; i++)
        sum = jbinary(r, '+', sum, jgetter(r, items->items[i], p[0], jmissing()));
    return sum;
}

/* The arguments after the first `used`, keywords included. */
static struct jargs rest_of(const struct jargs *a, int used)
{
    return (struct jargs){a->n > used ? a->values + used : NULL, a->n > used ? a->n - used : 0, a->named};
}

static struct jvalue map_attribute(struct jrun *r, const struct jlist *items, const struct jargs *a, struct jvalue out)
{
    struct jargs named = {.named = a->named};
    struct jvalue p[JMAX_ARGS];
    if (jbind(r, "map", "attribute default=", &named, p))
        return out;
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, out.list, jgetter(r, items->items[i], p[0], p[1]));
    return out;
}

/* map("upper"), map(attribute="role", default=x) */
static struct jvalue f_map(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jtrue(v) ? jiterate(r, v) : NULL;
    struct jvalue out = jlist(r, JF_GENERATOR);
    struct jargs rest = rest_of(a, 1);
    (void)p;
    if (!a->n && jfind_name(&a->named, "attribute", 9) >= 0)
        return map_attribute(r, items, a, out);
    if (!a->n)
        jfail(r, "map: wanted the name of a filter, or an attribute");
    else if (a->values[0].kind != J_STRING || !jinja_is_filter(a->values[0].s, a->values[0].n))
        junavailable(r, "not supported: map with that filter");
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, out.list, jfilter(r, a->values[0].s, a->values[0].n, items->items[i], &rest));
    return out;
}

/* select(test, args), selectattr(attribute, test, args) and their opposites. */
static struct jvalue choose(struct jrun *r, struct jvalue v, const struct jargs *a, int by_attribute, int wanted)
{
    struct jlist *items = jtrue(v) ? jiterate(r, v) : NULL;
    struct jvalue out = jlist(r, JF_GENERATOR);
    struct jargs rest = rest_of(a, by_attribute + 1);
    int has_test = a->n > by_attribute;
    if (by_attribute && !a->n)
        jfail(r, "selectattr, rejectattr: wanted the name of an attribute");
    if (!r->rc && has_test &&
        (a->values[by_attribute].kind != J_STRING ||
         !jinja_is_test(a->values[by_attribute].s, a->values[by_attribute].n)))
        junavailable(r, "not supported: select with that test");
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        struct jvalue x = by_attribute ? jgetter(r, items->items[i], a->values[0], jmissing()) : items->items[i];
        int yes =
            has_test && !r->rc ? jtest(r, a->values[by_attribute].s, a->values[by_attribute].n, x, &rest) : jtrue(x);
        if (yes == wanted)
            jpush(r, out.list, items->items[i]);
    }
    return out;
}
static struct jvalue f_select(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)p;
    return choose(r, v, a, 0, 1);
}
static struct jvalue f_reject(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)p;
    return choose(r, v, a, 0, 0);
}
static struct jvalue f_selectattr(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)p;
    return choose(r, v, a, 1, 1);
}
static struct jvalue f_rejectattr(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)p;
    return choose(r, v, a, 1, 0);
}

static struct jvalue f_first(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = v.kind == J_LIST ? v.list : jiterate(r, v);
    (void)p;
    (void)a;
    if (!items || !items->n)
        return jundefined("the first of nothing", 20);
    if (items->form != JF_GENERATOR)
        return items->items[0];
    items->n--;
    return *items->items++;
}

static struct jvalue f_last(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    (void)p;
    (void)a;
    if (v.kind == J_LIST && v.list->form == JF_GENERATOR)
        jfail(r, "last: a generator is read forwards only; put |list before it");
    struct jlist *items = jiterate(r, v);
    return items && items->n ? items->items[items->n - 1] : jundefined("the last of nothing", 19);
}

static struct jvalue f_list(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, JF_LIST);
    (void)p;
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++)
        jpush(r, out.list, items->items[i]);
    return out;
}

static struct jvalue f_reverse(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    int was_generator = v.kind == J_LIST && v.list->form == JF_GENERATOR;
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, was_generator ? JF_LIST : JF_GENERATOR);
    struct buf b = BUF_INIT;
    (void)p;
    (void)a;
    for (int i = items ? items->n - 1 : -1; i >= 0 && !r->rc; i--) {
        if (v.kind == J_STRING)
            buf_append(&b, items->items[i].s, items->items[i].n);
        else
            jpush(r, out.list, items->items[i]);
    }
    return v.kind == J_STRING ? jmark(jtake(r, &b), v.safe) : out;
}

static struct jvalue f_join(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct buf b = BUF_INIT;
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        if (i)
            jwrite(r, &b, p[0]);
        jwrite(r, &b, jgetter(r, items->items[i], p[1], jmissing()));
    }
    return jtake(r, &b);
}

static struct jvalue f_batch(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, JF_GENERATOR), row = jlist(r, JF_LIST);
    int64_t n = jwhole(r, p[0], 1);
    (void)a;
    for (int i = 0; items && i < items->n && !r->rc; i++) {
        if (row.list->n == n) {
            jpush(r, out.list, row);
            row = jlist(r, JF_LIST);
        }
        jpush(r, row.list, items->items[i]);
    }
    while (row.list->n && jgiven(p[1]) && p[1].kind != J_NONE && row.list->n < n && !jstep(r))
        jpush(r, row.list, p[1]);
    if (row.list->n)
        jpush(r, out.list, row);
    return out;
}

static struct jvalue f_slice(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jlist *items = jiterate(r, v);
    struct jvalue out = jlist(r, JF_GENERATOR);
    int64_t n = jwhole(r, p[0], 1), at = 0;
    (void)a;
    if (n == 0)
        jfail(r, "slice: division by zero");
    for (int64_t i = 0; items && i < n && !jstep(r); i++) {
        struct jvalue row = jlist(r, JF_LIST);
        int64_t long_rows = items->n % n, size = items->n / n + (i < long_rows);
        for (int64_t k = 0; k < size && !r->rc; k++)
            jpush(r, row.list, items->items[at++]);
        if (jgiven(p[1]) && p[1].kind != J_NONE && i >= long_rows)
            jpush(r, row.list, p[1]);
        jpush(r, out.list, row);
    }
    return out;
}

static struct jvalue f_items(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
{
    struct jvalue out = jlist(r, JF_GENERATOR);
    (void)p;
    (void)a;
    if (v.kind != J_DICT && v.kind != J_UNDEFINED)
        jfail(r, "items: wanted a mapping");
    for (int i = 0; v.kind == J_DICT && i < v.dict->n && !r->rc; i++)
        jpush(r, out.list, jpair(r, v.dict->keys[i], v.dict->values[i]));
    return out;
}

const struct jentry jsequence_filters[] = {
    {"sort", "reverse= case_sensitive= attribute=", f_sort},
    {"dictsort", "case_sensitive= by= reverse=", f_dictsort},
    {"unique", "case_sensitive= attribute=", f_unique},
    {"groupby", "attribute default= case_sensitive=", f_groupby},
    {"min", "case_sensitive= attribute=", f_min},
    {"max", "case_sensitive= attribute=", f_max},
    {"sum", "attribute= start=", f_sum},
    {"map", "*", f_map},
    {"select", "*", f_select},
    {"reject", "*", f_reject},
    {"selectattr", "*", f_selectattr},
    {"rejectattr", "*", f_rejectattr},
    {"first", NULL, f_first},
    {"last", NULL, f_last},
    {"list", NULL, f_list},
    {"reverse", NULL, f_reverse},
    {"join", "d= attribute=", f_join},
    {"batch", "linecount fill_with=", f_batch},
    {"slice", "slices fill_with=", f_slice},
    {"items", NULL, f_items},
    {NULL, NULL, NULL},
};
