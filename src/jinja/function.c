/* SPDX-License-Identifier: Apache-2.0 */
/* Global functions: range, dict, namespace, cycler, joiner, raise_exception, strftime_now; and how a callable's
 * arguments are bound. */
#include "jinja/parts.h"

#include <string.h>
#include <time.h>

int jgiven(struct jvalue v)
{
    return v.kind != J_MISSING;
}

/* The next name of a signature: its length, 0 at the end; *optional for "name=". */
static size_t next_name(const char **at, const char **name, int *optional)
{
    *name = *at + strspn(*at, " /");
    size_t n = strcspn(*name, " ");
    *at = *name + n;
    *optional = n && (*name)[n - 1] == '=';
    return n - (size_t)*optional;
}

int jbind(struct jrun *r, const char *what, const char *signature, const struct jargs *args, struct jvalue p[JMAX_ARGS])
{
    const char *at = signature ? signature : "", *name;
    int by_name = *at != '/', optional, n = 0, used = 0;
    for (int i = 0; i < JMAX_ARGS; i++)
        p[i] = jmissing();
    if (*at == '*')
        return 0;
    for (size_t k; !r->rc && (k = next_name(&at, &name, &optional)); n++) {
        int found = by_name ? jfind_name(&args->named, name, k) : -1;
        if (n < args->n && found >= 0)
            jfail(r, "%s: the argument %.*s is given twice", what, (int)k, name);
        used += found >= 0;
        if (n < args->n)
            p[n] = args->values[n];
        else if (found >= 0)
            p[n] = args->named.values[found];
        else if (!optional)
            jfail(r, "%s: the argument %.*s is missing", what, (int)k, name);
    }
    if (!r->rc && args->n > n)
        jfail(r, "%s: wanted at most %d arguments, found %d", what, n, args->n);
    if (!r->rc && used < args->named.n)
        jfail(r, "%s: there is no argument of a name given, such as %.*s", what,
              JSHOW(args->named.keys[args->named.n - 1]));
    return r->rc ? -1 : 0;
}

static struct jvalue range(struct jrun *r, const struct jargs *a)
{
    struct jvalue out = jlist(r, JF_RANGE), p[JMAX_ARGS];
    if (jbind(r, "range", "/start stop= step=", a, p))
        return out;
    int64_t from = jgiven(p[1]) ? jwhole(r, p[0], 0) : 0, to = jwhole(r, jgiven(p[1]) ? p[1] : p[0], 0),
            step = jwhole(r, p[2], 1), most = (int64_t)1 << 60;
    if (step == 0)
        jfail(r, "range: the step is 0");
    else if (from > most || from < -most || to > most || to < -most || step > most || step < -most)
        jfail(r, "range: a number is too large");
    int64_t n = 0;
    if (!r->rc && (step > 0 ? from < to : from > to))
        n = (to - from + (step > 0 ? step - 1 : step + 1)) / step;
    if (n > 100000)
        jfail(r, "range: more than 100000 numbers, the bound of the sandbox");
    if (r->rc)
        return out;
    out.list->start = from;
    out.list->stop = to;
    out.list->step = step;
    for (int64_t i = 0; i < n && !r->rc; i++)
        jpush(r, out.list, jint(from + i * step));
    return out;
}

static struct jvalue date(struct jrun *r, const struct jargs *a)
{
    struct jvalue p[JMAX_ARGS];
    char text[512], layout[256];
    struct tm when;
    time_t now = (time_t)r->now;
    if (jbind(r, "strftime_now", "format", a, p))
        return jundefined("", 0);
    if (p[0].kind != J_STRING || p[0].n >= sizeof layout || memchr(p[0].s, 0, p[0].n) || !gmtime_r(&now, &when)) {
        jfail(r, "strftime_now: wanted a short format");
        return p[0];
    }
    memcpy(layout, p[0].s, p[0].n);
    layout[p[0].n] = 0;
    for (char *f = layout; (f = strchr(f, '%')) && f[1];) { /* a datetime without a zone writes nothing for one */
        if (f[1] == 'z' || f[1] == 'Z')
            memmove(f, f + 2, strlen(f + 2) + 1);
        else
            f += 2;
    }
    return jcopy(r, text, strftime(text, sizeof text, layout, &when));
}

/* dict(mapping or pairs, a=1, ...) */
static struct jvalue make_dict(struct jrun *r, const struct jargs *a, enum jkind kind)
{
    struct jvalue out = jdict(r, kind);
    if (a->n > 1)
        jfail(r, "dict: wanted at most 1 argument, found %d", a->n);
    if (a->n && !r->rc && a->values[0].kind == J_DICT) {
        for (int i = 0; !r->rc && i < a->values[0].dict->n; i++)
            jput(r, out.dict, a->values[0].dict->keys[i], a->values[0].dict->values[i]);
    } else if (a->n && !r->rc) {
        struct jlist *pairs = jiterate(r, a->values[0]);
        for (int i = 0; pairs && !r->rc && i < pairs->n; i++) {
            struct jlist *pair = jiterate(r, pairs->items[i]);
            if (pair && pair->n != 2)
                jfail(r, "dict: wanted pairs, found %d values", pair->n);
            if (!r->rc)
                jput(r, out.dict, pair->items[0], pair->items[1]);
        }
    }
    for (int i = 0; !r->rc && i < a->named.n; i++)
        jput(r, out.dict, a->named.keys[i], a->named.values[i]);
    for (int i = 0; kind == J_NAMESPACE && !r->rc && i < out.dict->n; i++)
        if (out.dict->keys[i].kind == J_STRING && out.dict->keys[i].n && out.dict->keys[i].s[0] == '_')
            jfail(r, "a namespace keeps no attribute that begins with \"_\"");
    return out;
}

static struct jvalue cycler(struct jrun *r, const struct jargs *a)
{
    struct jcycle *c = jalloc(r, sizeof *c);
    if (!a->n || a->named.n)
        jfail(r, "cycler: wanted at least one value");
    if (r->rc)
        return jundefined("", 0);
    *c = (struct jcycle){.items = jlist(r, JF_LIST)};
    for (int i = 0; i < a->n; i++)
        jpush(r, c->items.list, a->values[i]);
    return (struct jvalue){.kind = J_CYCLER, .cycle = c};
}

static struct jvalue joiner(struct jrun *r, const struct jargs *a)
{
    struct jcycle *c = jalloc(r, sizeof *c);
    struct jvalue p[JMAX_ARGS];
    if (jbind(r, "joiner", "sep=", a, p))
        return jundefined("", 0);
    *c = (struct jcycle){.joint = jgiven(p[0]) ? p[0] : jtext(", ")};
    return (struct jvalue){.kind = J_JOINER, .cycle = c};
}

static struct jvalue raise(struct jrun *r, const struct jargs *a)
{
    struct jvalue p[JMAX_ARGS];
    if (jbind(r, "raise_exception", "message", a, p))
        return jundefined("", 0);
    struct jvalue text = jto_string(r, p[0]);
    if (!r->rc)
        jfail(r, "the template says: %.*s", (int)(text.n < 300 ? text.n : 300), text.s);
    return text;
}

int jis_function(const char *s, size_t n)
{
    static const char *const names[] = {"raise_exception", "strftime_now", "namespace", "range", "dict",
                                        "cycler",          "joiner",       "lipsum",    "self"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (jsame(s, n, names[i]))
            return 1;
    return 0;
}

struct jvalue jcall_function(struct jrun *r, struct jvalue f, const struct jargs *a)
{
    if (jsame(f.s, f.n, "range"))
        return range(r, a);
    if (jsame(f.s, f.n, "strftime_now"))
        return date(r, a);
    if (jsame(f.s, f.n, "raise_exception"))
        return raise(r, a);
    if (jsame(f.s, f.n, "cycler"))
        return cycler(r, a);
    if (jsame(f.s, f.n, "joiner"))
        return joiner(r, a);
    if (jsame(f.s, f.n, "lipsum")) {
        junavailable(r, "not supported: lipsum, which writes random words");
        return jundefined("", 0);
    }
    if (jsame(f.s, f.n, "self")) {
        jfail(r, "something that is no function is called");
        return jundefined("", 0);
    }
    return make_dict(r, a, jsame(f.s, f.n, "dict") ? J_DICT : J_NAMESPACE);
}
