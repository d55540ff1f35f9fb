/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of lists, mappings, loops and cyclers, and the look-up of all. What changes a value in place does not exist,
 * as in transformers' sandbox. */
#include "jinja/parts.h"

#include <string.h>

#define METHOD(name) \
    static struct jvalue name(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)

METHOD(l_count)
{
    int64_t n = 0;
    (void)a;
    for (int i = 0; i < v.list->n && !r->rc; i++)
        n += jequal(r, v.list->items[i], p[0]);
    return jint(n);
}

METHOD(l_index)
{
    int64_t from = jwhole(r, p[1], 0), to = jwhole(r, p[2], v.list->n);
    (void)a;
    from = from < 0 ? from + v.list->n : from;
    to = to < 0 ? to + v.list->n : to;
    for (int64_t i = from < 0 ? 0 : from; i < to && i < v.list->n && !r->rc; i++)
        if (jequal(r, v.list->items[i], p[0]))
            return jint(i);
    jfail(r, "index: what is looked for is not there");
    return jint(0);
}

METHOD(l_copy)
{
    struct jvalue out = jlist(r, JF_LIST);
    (void)p;
    (void)a;
    for (int i = 0; i < v.list->n; i++)
        jpush(r, out.list, v.list->items[i]);
    return out;
}

static const struct jentry of_lists[] = {{"count", "/value", l_count},
                                         {"index", "/value start= stop=", l_index},
                                         {"copy", NULL, l_copy},
                                         {NULL, NULL, NULL}};

METHOD(d_keys)
{
    struct jvalue out = jlist(r, JF_KEYS);
    (void)p;
    (void)a;
    for (int i = 0; i < v.dict->n; i++)
        jpush(r, out.list, v.dict->keys[i]);
    return out;
}

METHOD(d_values)
{
    struct jvalue out = jlist(r, JF_VALUES);
    (void)p;
    (void)a;
    for (int i = 0; i < v.dict->n; i++)
        jpush(r, out.list, v.dict->values[i]);
    return out;
}

METHOD(d_items)
{
    struct jvalue out = jlist(r, JF_ITEMS);
    (void)p;
    (void)a;
    for (int i = 0; i < v.dict->n && !r->rc; i++)
        jpush(r, out.list, jpair(r, v.dict->keys[i], v.dict->values[i]));
    return out;
}

METHOD(d_get)
{
    (void)a;
    if (!jhashable(r, p[0]))
        jfail(r, "get: a list or a mapping cannot be a key");
    int at = r->rc ? -1 : jfind(r, v.dict, p[0]);
    if (at >= 0)
        return v.dict->values[at];
    return jgiven(p[1]) ? p[1] : jnone();
}

METHOD(d_copy)
{
    struct jvalue out = jdict(r, J_DICT);
    (void)p;
    (void)a;
    for (int i = 0; i < v.dict->n && !r->rc; i++)
        jput(r, out.dict, v.dict->keys[i], v.dict->values[i]);
    return out;
}

METHOD(d_fromkeys)
{
    struct jlist *keys = jiterate(r, p[0]);
    struct jvalue out = jdict(r, J_DICT);
    (void)v;
    (void)a;
    for (int i = 0; keys && i < keys->n && !r->rc; i++)
        jput(r, out.dict, keys->items[i], jgiven(p[1]) ? p[1] : jnone());
    return out;
}

static const struct jentry of_dicts[] = {{"keys", NULL, d_keys},   {"values", NULL, d_values},
                                         {"items", NULL, d_items}, {"get", "/key default=", d_get},
                                         {"copy", NULL, d_copy},   {"fromkeys", "/iterable value=", d_fromkeys},
                                         {NULL, NULL, NULL}};
static const struct jentry of_dict_itself[] = {{"fromkeys", "/iterable value=", d_fromkeys}, {NULL, NULL, NULL}};

METHOD(o_cycle)
{
    (void)p;
    if (!a->n || a->named.n)
        jfail(r, "loop.cycle: wanted values");
    return r->rc ? v : a->values[v.loop->at % a->n];
}

METHOD(o_changed)
{
    struct jvalue now = jlist(r, JF_TUPLE);
    (void)p;
    for (int i = 0; i < a->n; i++)
        jpush(r, now.list, a->values[i]);
    int same = jgiven(v.loop->changed) && jequal(r, v.loop->changed, now);
    v.loop->changed = now;
    return jbool(!same);
}

static const struct jentry of_loops[] = {{"cycle", "*", o_cycle}, {"changed", "*", o_changed}, {NULL, NULL, NULL}};

METHOD(c_next)
{
    struct jvalue now = v.cycle->items.list->items[v.cycle->at];
    (void)r;
    (void)p;
    (void)a;
    v.cycle->at = (v.cycle->at + 1) % v.cycle->items.list->n;
    return now;
}

METHOD(c_reset)
{
    (void)r;
    (void)p;
    (void)a;
    v.cycle->at = 0;
    return jnone();
}

static const struct jentry of_cyclers[] = {{"next", NULL, c_next}, {"reset", NULL, c_reset}, {NULL, NULL, NULL}};

METHOD(n_is_integer)
{
    (void)r;
    (void)p;
    (void)a;
    return jbool(v.d == (double)(int64_t)v.d);
}

static const struct jentry of_floats[] = {{"is_integer", NULL, n_is_integer}, {NULL, NULL, NULL}};

/* Python's others, which are named as not supported when they are called; and those that would change the value, which
 * the sandbox hides. */
static const char *const foreign_string[] = {"encode", "translate", "maketrans", NULL};
static const char *const foreign_number[] = {
    "bit_length", "bit_count", "as_integer_ratio", "conjugate",   "to_bytes", "hex",
    "real",       "imag",      "numerator",        "denominator", NULL};
static const char *const foreign_range[] = {"start", "stop", "step", NULL};
static const char *const hidden_dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
static const char *const nothing[] = {NULL};
struct methods {
    const struct jentry *tables[2];
    const char *const *foreign, *const *hidden;
};

static struct methods methods_of(struct jvalue v)
{
    switch (v.kind) {
    case J_STRING: return (struct methods){{jstring_methods, jcase_methods}, foreign_string, nothing};
    case J_DICT: return (struct methods){{of_dicts}, nothing, hidden_dict};
    case J_LOOP: return (struct methods){{of_loops}, nothing, nothing};
    case J_CYCLER: return (struct methods){{of_cyclers}, nothing, nothing};
    case J_FLOAT: return (struct methods){{of_floats}, foreign_number, nothing};
    case J_INT:
    case J_BOOL: return (struct methods){{NULL}, foreign_number, nothing};
    case J_FUNCTION: return (struct methods){{jsame(v.s, v.n, "dict") ? of_dict_itself : NULL}, nothing, nothing};
    case J_LIST:
        if (v.list->form <= JF_RANGE)
            return (struct methods){{of_lists}, v.list->form == JF_RANGE ? foreign_range : nothing, nothing};
        break;
    default: break;
    }
    return (struct methods){{NULL}, nothing, nothing};
}

static int is_listed(const char *const *names, const char *s, size_t n)
{
    for (; *names; names++)
        if (jsame(s, n, *names))
            return 1;
    return 0;
}

static const struct jentry *method(const struct methods *m, const char *s, size_t n)
{
    for (int t = 0; t < 2; t++)
        for (const struct jentry *e = m->tables[t]; e && e->name; e++)
            if (jsame(s, n, e->name))
                return e;
    return NULL;
}

int jhas_method(struct jvalue v, const char *s, size_t n)
{
    struct methods m = methods_of(v);
    if (is_listed(m.hidden, s, n))
        return -1;
    if (v.kind == J_LIST && v.list->form != JF_LIST && jsame(s, n, "copy"))
        return 0;
    return method(&m, s, n) || is_listed(m.foreign, s, n);
}

struct jvalue jcall_method(struct jrun *r, struct jvalue self, const char *s, size_t n, const struct jargs *args)
{
    struct methods m = methods_of(self);
    const struct jentry *e = method(&m, s, n);
    struct jvalue p[JMAX_ARGS];
    if (!e)
        junavailable(r, "not supported: the method \"%.*s\"", (int)(n < 60 ? n : 60), s);
    if (jstep(r) || jcharge(r, self.kind == J_STRING ? self.n : 16) || jbind(r, e->name, e->signature, args, p))
        return jundefined("", 0);
    return e->run(r, self, p, args);
}

struct jvalue jstring_method(struct jrun *r, struct jvalue text, const char *name, const struct jvalue *args, int n)
{
    struct jargs a = {(struct jvalue *)(uintptr_t)args, n, {0}};
    return r->rc ? text : jcall_method(r, text, name, strlen(name), &a);
}
