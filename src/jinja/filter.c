/* SPDX-License-Identifier: Apache-2.0 */
/* Filters over single values, and the look-up of all. */
#include "jinja/parts.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILTER(name) \
    static struct jvalue name(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)

FILTER(f_string)
{
    (void)p;
    (void)a;
    return jto_string(r, v);
}
FILTER(f_safe)
{
    (void)p;
    (void)a;
    return jmark(jto_string(r, v), 1);
}
FILTER(f_escape)
{
    (void)p;
    (void)a;
    return jescape(r, v);
}
FILTER(f_forceescape)
{
    (void)p;
    (void)a;
    return jescape(r, jmark(jto_string(r, v), 0));
}
FILTER(f_length)
{
    (void)p;
    (void)a;
    return jint(jlength(r, v));
}
FILTER(f_upper)
{
    (void)p;
    (void)a;
    return jstring_method(r, jto_string(r, v), "upper", NULL, 0);
}
FILTER(f_lower)
{
    (void)p;
    (void)a;
    return jstring_method(r, jto_string(r, v), "lower", NULL, 0);
}
FILTER(f_capitalize)
{
    (void)p;
    (void)a;
    return jstring_method(r, jto_string(r, v), "capitalize", NULL, 0);
}
FILTER(f_trim)
{
    (void)a;
    return jstring_method(r, jto_string(r, v), "strip", p, jgiven(p[0]));
}

FILTER(f_center)
{
    struct jvalue width = jgiven(p[0]) ? p[0] : jint(80);
    (void)a;
    return jstring_method(r, jto_string(r, v), "center", &width, 1);
}

FILTER(f_format)
{
    struct jvalue args = jlist(r, JF_TUPLE), named = jdict(r, J_DICT);
    (void)p;
    if (a->n && a->named.n)
        jfail(r, "format: positional arguments and keywords at once");
    for (int i = 0; i < a->n; i++)
        jpush(r, args.list, a->values[i]);
    for (int i = 0; i < a->named.n && !r->rc; i++)
        jput(r, named.dict, a->named.keys[i], a->named.values[i]);
    v = jto_string(r, v);
    if (r->rc)
        return v;
    return jpercent(r, v, a->named.n ? named : args);
}

FILTER(f_replace)
{
    struct jvalue args[3] = {jmark(jto_string(r, p[0]), 0), jmark(jto_string(r, p[1]), 0),
                             jgiven(p[2]) && p[2].kind != J_NONE ? p[2] : jint(-1)};
    (void)a;
    v = jmark(jto_string(r, v), 0);
    return r->rc ? v : jstring_method(r, v, "replace", args, 3);
}

/* Words begin after blanks, hyphens and opening brackets; their first letter is made a capital, the others small. */
FILTER(f_title)
{
    struct buf b = BUF_INIT;
    size_t from = 0, to;
    uint32_t cp;
    (void)p;
    (void)a;
    v = jto_string(r, v);
    while (!r->rc && from < v.n) {
        size_t k = jchar(v.s + from, v.n - from, &cp);
        for (to = from; to < v.n; to += k) {
            k = jchar(v.s + to, v.n - to, &cp);
            if (jspace(cp) || (cp < 0x80 && cp && strchr("-({[<", (int)cp)))
                break;
        }
        if (to > from) {
            k = jchar(v.s + from, v.n - from, &cp);
            jwrite(r, &b, jstring_method(r, jstring(v.s + from, k), "upper", NULL, 0));
            jwrite(r, &b, jstring_method(r, jstring(v.s + from + k, to - from - k), "lower", NULL, 0));
            from = to;
        } else {
            buf_append(&b, v.s + from, k);
            from += k;
        }
    }
    return jtake(r, &b);
}

FILTER(f_default)
{
    (void)r;
    (void)a;
    if (v.kind == J_UNDEFINED || (jtrue(p[1]) && !jtrue(v)))
        return jgiven(p[0]) ? p[0] : jtext("");
    return v;
}

/* transformers' own: tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False) */
FILTER(f_tojson)
{
    struct jvalue indent = p[1], separators = p[2];
    struct jdump how = {
        .item = ", ", .item_n = 2, .key = ": ", .key_n = 2, .indent = "", .ascii = jtrue(p[0]), .sort = jtrue(p[3])};
    struct buf b = BUF_INIT;
    (void)a;
    how.lines = jgiven(indent) && indent.kind != J_NONE;
    how.item_n = how.lines ? 1 : 2;
    if (how.lines && indent.kind != J_STRING) {
        int64_t n = jwhole(r, indent, 0);
        struct buf blanks = BUF_INIT;
        for (int64_t i = 0; i < n && i < 1000; i++)
            buf_putc(&blanks, ' ');
        if (n > 1000)
            jfail(r, "tojson: an indent of more than 1000");
        indent = jtake(r, &blanks);
    }
    if (how.lines && !r->rc) {
        how.indent = indent.s;
        how.indent_n = indent.n;
    }
    if (jgiven(separators) && separators.kind != J_NONE) {
        struct jlist *pair = jiterate(r, separators);
        if (pair && (pair->n != 2 || pair->items[0].kind != J_STRING || pair->items[1].kind != J_STRING))
            jfail(r, "tojson: wanted two separators");
        if (pair && !r->rc) {
            how.item = pair->items[0].s;
            how.item_n = pair->items[0].n;
            how.key = pair->items[1].s;
            how.key_n = pair->items[1].n;
        }
    }
    if (!r->rc)
        jdump(r, &b, v, &how, 0);
    return jtake(r, &b);
}

FILTER(f_from_json)
{
    json_error_t e;
    (void)p;
    (void)a;
    if (v.kind != J_STRING)
        jfail(r, "from_json: wanted a text");
    r->bytes += r->rc ? 0 : 32 * v.n; /* jansson's own, about */
    json_t *value = r->rc || !jalloc(r, 1) ? NULL : json_loadb(v.s, v.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!value && !r->rc)
        jfail(r, "from_json: not valid JSON: %.200s", e.text);
    struct jvalue out = value ? jfrom_json(r, value) : jundefined("", 0);
    if (value)
        jkeep_json(r, value);
    return out;
}

FILTER(f_indent)
{
    struct buf b = BUF_INIT;
    struct jvalue by = p[0], lines, keep = jbool(0);
    int first = jtrue(p[1]), blank = jtrue(p[2]);
    (void)a;
    if (by.kind != J_STRING) {
        int64_t n = jwhole(r, by, 4);
        if (n > 10000)
            jfail(r, "indent: a width of more than 10000");
        by = jbinary(r, '*', jtext(" "), jint(n));
    }
    if (v.kind != J_STRING)
        jfail(r, "indent: wanted a text");
    by = v.safe ? jescape(r, by) : by;
    struct jvalue text = jmark(jbinary(r, '+', jmark(v, 0), jtext("\n")), 0);
    if (r->rc)
        return v;
    lines = jstring_method(r, text, "splitlines", &keep, 1);
    for (int i = 0; !r->rc && i < lines.list->n && !jstep(r); i++) {
        struct jvalue line = lines.list->items[i];
        if (i)
            buf_putc(&b, '\n');
        if (i ? line.n || blank : first)
            jwrite(r, &b, by);
        jwrite(r, &b, line);
    }
    return jmark(jtake(r, &b), v.safe);
}

/* Text without its blanks and the underscores between digits, as int() and float() read it; 0 when it can be no
 * number. */
static int plain_number(struct jvalue v, char text[128])
{
    size_t n = 0, from = 0, to = v.n, k;
    uint32_t cp;
    while (from < to && (k = jspace_at(v.s + from, to - from)))
        from += k;
    for (size_t at = from; at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        if (!jspace(cp))
            to = at + k;
    }
    for (size_t i = from; i < to; i += k) {
        k = jchar(v.s + i, to - i, &cp);
        int between = cp == '_' && n && i + 1 < to && v.s[i - 1] != '_' && v.s[i + 1] != '_' &&
                      isalnum((unsigned char)text[n - 1]);
        int digit = cp >= 0x80 ? jdecimal(cp) : (int)cp - '0';
        if (between)
            continue;
        if (!cp || n >= 127 || (cp >= 0x80 && digit < 0))
            return 0;
        text[n++] = (char)('0' + digit);
    }
    text[n] = 0;
    return n > 0;
}

/* int(text, base): 1 when it is one. */
static int read_whole(struct jrun *r, const char *text, int64_t base, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    char *end;
    int of = *digits == '0' && digits[1] ? jradix(digits[1], 0) : 0;
    if (of && (base == of || base == 0)) {
        base = of;
        digits += 2;
    } else if (base == 0) {
        base = 10;
        if (*digits == '0' && strspn(digits, "0") != strlen(digits))
            return 0;
    }
    if (!((*digits >= '0' && *digits <= '9') || ((*digits | 32) >= 'a' && (*digits | 32) <= 'z')) ||
        (base == 16 && (digits[1] | 32) == 'x' && *digits == '0'))
        return 0;
    char signed_text[132];
    snprintf(signed_text, sizeof signed_text, "%s%.127s", *text == '-' ? "-" : "", digits);
    errno = 0;
    *out = strtoll(signed_text, &end, (int)base);
    if (!*end && errno)
        jfail(r, "int: a whole number is too large (beyond 64 bits)");
    return !*end;
}

static int read_float(const char *text, double *out)
{
    char *end;
    const char *digits = text + (*text == '-' || *text == '+');
    *out = strtod(text, &end);
    int is_word = !strcasecmp(digits, "inf") || !strcasecmp(digits, "infinity") || !strcasecmp(digits, "nan");
    return is_word || (end != text && !*end && strspn(digits, "0123456789.eE+-") == strlen(digits));
}

static struct jvalue whole_part(struct jrun *r, double d)
{
    if (fabs(d) >= 9223372036854775807.0)
        jfail(r, "int: a whole number is too large (beyond 64 bits)");
    return jint(r->rc ? 0 : (int64_t)d);
}

FILTER(f_int)
{
    struct jvalue other = jgiven(p[0]) ? p[0] : jint(0);
    int64_t base = jgiven(p[1]) ? -1 : 10, i;
    if (p[1].kind == J_INT || p[1].kind == J_BOOL)
        base = p[1].i;
    char text[128];
    double d;
    (void)a;
    if (v.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(v));
    if (r->rc || v.kind == J_INT || v.kind == J_BOOL)
        return jint(v.i);
    if (v.kind == J_FLOAT) {
        if (isinf(v.d))
            jfail(r, "int: infinity is no whole number");
        return v.d != v.d ? other : whole_part(r, v.d);
    }
    if (v.kind != J_STRING || !plain_number(v, text))
        return other;
    if ((base == 0 || (base >= 2 && base <= 36)) && read_whole(r, text, base, &i))
        return jint(i);
    return !r->rc && read_float(text, &d) && isfinite(d) ? whole_part(r, d) : other;
}

FILTER(f_float)
{
    char text[128];
    double d;
    (void)a;
    if (v.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(v));
    if (jis_number(v))
        return jfloat(jnumber(v));
    if (v.kind == J_STRING && plain_number(v, text) && read_float(text, &d))
        return jfloat(d);
    return jgiven(p[0]) ? p[0] : jfloat(0);
}

FILTER(f_abs)
{
    (void)p;
    (void)a;
    if (v.kind == J_FLOAT)
        return jfloat(fabs(v.d));
    if (!jis_number(v)) {
        jfail(r, "abs: wanted a number");
        return v;
    }
    return v.i < 0 ? jnegate(r, v, '-') : jint(v.i);
}

/* round(x, n): the nearest with n decimals, halves to even, decided on x's exact value. */
static double round_to(double x, int64_t n)
{
    char text[400];
    if (n >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)(n > 300 ? 300 : n), x);
        return strtod(text, NULL);
    }
    double scale = pow(10, (double)-n);
    return rint(x / scale) * scale;
}

FILTER(f_round)
{
    int64_t n = jwhole(r, p[0], 0);
    int ceiling = jis(p[1], "ceil"), is_floor = jis(p[1], "floor");
    (void)a;
    if (!jis_number(v) || (jgiven(p[1]) && !ceiling && !is_floor && !jis(p[1], "common")))
        jfail(r, "round: wanted a number, and \"common\", \"ceil\" or \"floor\"");
    if (r->rc)
        return v;
    if (ceiling || is_floor) {
        double scale = pow(10, (double)n), x = jnumber(v) * scale;
        return jfloat((ceiling ? ceil(x) : floor(x)) / scale);
    }
    if (v.kind != J_FLOAT && n >= 0)
        return jint(v.i);
    if (v.kind != J_FLOAT)
        return jint((int64_t)round_to((double)v.i, n));
    return isfinite(v.d) ? jfloat(round_to(v.d, n)) : v;
}

FILTER(f_attr)
{
    (void)a;
    if (v.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(v));
    if (r->rc || p[0].kind != J_STRING)
        return jundefined("an attribute", 12);
    if (v.kind == J_DICT && jhas_method(v, p[0].s, p[0].n) <= 0)
        return jundefined(p[0].s, p[0].n);
    return jattr(r, v, p[0].s, p[0].n);
}

FILTER(f_wordcount)
{
    int64_t n = 0;
    int inside = 0;
    uint32_t cp;
    (void)p;
    (void)a;
    v = jto_string(r, v);
    for (size_t at = 0, k; !r->rc && at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        int word = cp == '_' || jtrue(jstring_method(r, jstring(v.s + at, k), "isalnum", NULL, 0));
        n += word && !inside;
        inside = word;
    }
    return jint(n);
}

FILTER(f_truncate)
{
    int64_t length = jwhole(r, p[0], 255), leeway = p[3].kind == J_NONE ? 5 : jwhole(r, p[3], 5), size = 0;
    struct jvalue end = jgiven(p[2]) ? p[2] : jtext("...");
    (void)a;
    if (v.kind != J_STRING || end.kind != J_STRING || (size = jlength(r, end)) > length || leeway < 0)
        jfail(r, "truncate: wanted a text, and a length not below that of its end");
    if (r->rc || jlength(r, v) <= length + leeway)
        return v;
    struct jvalue kept = v;
    kept.n = 0;
    uint32_t cp;
    for (int64_t i = 0; i < length - size; i++)
        kept.n += jchar(v.s + kept.n, v.n - kept.n, &cp);
    const char *blank = jtrue(p[1]) || !kept.n ? NULL : memrchr(kept.s, ' ', kept.n);
    kept.n = blank ? (size_t)(blank - kept.s) : kept.n;
    return jbinary(r, '+', kept, end);
}

static const struct jentry filters[] = {
    {"string", NULL, f_string},
    {"safe", NULL, f_safe},
    {"escape", NULL, f_escape},
    {"e", NULL, f_escape},
    {"forceescape", NULL, f_forceescape},
    {"length", NULL, f_length},
    {"count", NULL, f_length},
    {"upper", NULL, f_upper},
    {"lower", NULL, f_lower},
    {"capitalize", NULL, f_capitalize},
    {"title", NULL, f_title},
    {"trim", "chars=", f_trim},
    {"center", "width=", f_center},
    {"format", "*", f_format},
    {"replace", "old new count=", f_replace},
    {"default", "default_value= boolean=", f_default},
    {"d", "default_value= boolean=", f_default},
    {"tojson", "ensure_ascii= indent= separators= sort_keys=", f_tojson},
    {"from_json", NULL, f_from_json},
    {"indent", "width= first= blank=", f_indent},
    {"int", "default= base=", f_int},
    {"float", "default=", f_float},
    {"abs", NULL, f_abs},
    {"round", "precision= method=", f_round},
    {"attr", "name", f_attr},
    {"wordcount", NULL, f_wordcount},
    {"truncate", "length= killwords= end= leeway=", f_truncate},
};

static const struct jentry *find_filter(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (jsame(s, n, filters[i].name))
            return &filters[i];
    for (const struct jentry *e = jsequence_filters; e->name; e++)
        if (jsame(s, n, e->name))
            return e;
    return NULL;
}

int jinja_is_filter(const char *s, size_t n)
{
    return find_filter(s, n) != NULL;
}

struct jvalue jfilter(struct jrun *r, const char *s, size_t n, struct jvalue v, const struct jargs *args)
{
    const struct jentry *e = find_filter(s, n);
    struct jvalue p[JMAX_ARGS];
    if (jstep(r) || jcharge(r, v.kind == J_STRING ? v.n : 16) || jbind(r, e->name, e->signature, args, p))
        return jundefined("", 0);
    return e->run(r, v, p, args);
}
