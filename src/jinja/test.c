/* SPDX-License-Identifier: Apache-2.0 */
/* Tests: what stands after "is". */
#include "jinja/parts.h"

#include <math.h>
#include <string.h>

static int is_collection(struct jvalue v, int indexed)
{
    if (v.kind == J_LIST)
        return !indexed || v.list->form <= JF_RANGE;
    return v.kind == J_STRING || v.kind == J_DICT || v.kind == J_UNDEFINED || (v.kind == J_LOOP && !indexed);
}

static int is_callable(struct jvalue v)
{
    return v.kind == J_MACRO || v.kind == J_METHOD || v.kind == J_FUNCTION || v.kind == J_UNDEFINED ||
           v.kind == J_LOOP || v.kind == J_JOINER;
}

/* The tests that look at a value's kind: 1, 0, or -1 for another name. */
static int kind_test(const char *s, size_t n, struct jvalue v)
{
    const struct {
        const char *name;
        int yes;
    } kinds[] = {
        {"defined", v.kind != J_UNDEFINED},
        {"undefined", v.kind == J_UNDEFINED},
        {"none", v.kind == J_NONE},
        {"string", v.kind == J_STRING},
        {"mapping", v.kind == J_DICT},
        {"iterable", is_collection(v, 0)},
        {"sequence", is_collection(v, 1)},
        {"number", jis_number(v)},
        {"integer", v.kind == J_INT},
        {"float", v.kind == J_FLOAT},
        {"boolean", v.kind == J_BOOL},
        {"true", v.kind == J_BOOL && v.i},
        {"false", v.kind == J_BOOL && !v.i},
        {"callable", is_callable(v)},
        {"escaped", v.kind == J_STRING && v.safe},
        {"filter", v.kind == J_STRING && jinja_is_filter(v.s, v.n)},
        {"test", v.kind == J_STRING && jinja_is_test(v.s, v.n)},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (jsame(s, n, kinds[i].name))
            return kinds[i].yes;
    return -1;
}

/* v % by == rest */
static int leaves_rest(struct jrun *r, struct jvalue v, struct jvalue by, double rest)
{
    struct jvalue left = jis_number(v) ? jbinary(r, '%', v, by) : jundefined("", 0);
    if (v.kind == J_STRING)
        left = jpercent(r, v, by);
    else if (!jis_number(v))
        jfail(r, v.kind == J_UNDEFINED ? "something undefined is divided" : "this test wants numbers");
    return !r->rc && jis_number(left) && jnumber(left) == rest;
}

/* The same object, as far as a template can tell: numbers and texts by their value. */
static int is_same(struct jrun *r, struct jvalue a, struct jvalue b)
{
    if (a.kind != b.kind)
        return 0;
    if (a.kind == J_LIST || a.kind == J_DICT || a.kind == J_NAMESPACE || a.kind == J_METHOD || a.kind == J_LOOP ||
        a.kind == J_CYCLER || a.kind == J_JOINER)
        return a.dict == b.dict;
    return a.kind != J_UNDEFINED && a.safe == b.safe && jequal(r, a, b);
}

static int compare_test(struct jrun *r, const char *s, size_t n, struct jvalue v, struct jvalue other)
{
    static const struct {
        const char *name;
        char op;
    } known[] = {
        {"eq", '='}, {"equalto", '='},     {"==", '='}, {"ne", '!'}, {"!=", '!'},
        {"lt", '<'}, {"lessthan", '<'},    {"<", '<'},  {"le", 'l'}, {"<=", 'l'},
        {"gt", '>'}, {"greaterthan", '>'}, {">", '>'},  {"ge", 'g'}, {">=", 'g'},
    };
    char op = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (jsame(s, n, known[i].name))
            op = known[i].op;
    if (op == '=' || op == '!')
        return jequal(r, v, other) == (op == '=');
    int c = jcompare(r, v, other);
    switch (op) {
    case '<': return c < 0;
    case '>': return c > 0;
    case 'l': return c <= 0;
    default: return c >= 0;
    }
}

static int case_test(struct jrun *r, const char *method, struct jvalue v)
{
    return jtrue(jstring_method(r, jto_string(r, v), method, NULL, 0));
}

static const char *parameter_of(const char *s, size_t n)
{
    if (jsame(s, n, "in"))
        return "seq";
    if (jsame(s, n, "divisibleby"))
        return "num";
    return jsame(s, n, "sameas") ? "other" : "/other";
}

int jtest(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args)
{
    int yes = kind_test(s, n, v),
        alone = yes >= 0 || jsame(s, n, "odd") || jsame(s, n, "even") || jsame(s, n, "upper") || jsame(s, n, "lower");
    struct jvalue p[JMAX_ARGS];
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)n, s);
    if (jbind(r, name, alone ? NULL : parameter_of(s, n), args, p))
        return 0;
    if (yes >= 0)
        return yes;
    if (jsame(s, n, "odd") || jsame(s, n, "even"))
        return leaves_rest(r, v, jint(2), jsame(s, n, "odd"));
    if (jsame(s, n, "upper") || jsame(s, n, "lower"))
        return case_test(r, *s == 'u' ? "isupper" : "islower", v);
    if (jsame(s, n, "divisibleby"))
        return leaves_rest(r, v, p[0], 0);
    if (jsame(s, n, "in"))
        return jcontains(r, p[0], v);
    if (jsame(s, n, "sameas"))
        return is_same(r, v, p[0]);
    return compare_test(r, s, n, v, p[0]);
}

int jinja_is_test(const char *s, size_t n)
{
    static const char *const names[] = {"odd",     "even", "divisibleby", "upper", "lower", "in",       "sameas", "eq",
                                        "equalto", "==",   "ne",          "!=",    "lt",    "lessthan", "<",      "le",
                                        "<=",      "gt",   "greaterthan", ">",     "ge",    ">="};
    if (kind_test(s, n, jundefined("", 0)) >= 0)
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (jsame(s, n, names[i]))
            return 1;
    return 0;
}
