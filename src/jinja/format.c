/* SPDX-License-Identifier: Apache-2.0 */
/* printf-style formatting ("%s" % x) and str.format. */
#include "jinja/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One conversion: flags, width and precision (-1: none). */
struct spec {
    int left, plus, blank, zero, alternate, comma, safe;
    int64_t width, precision;
    char type, align;
    const char *fill;
    size_t fill_n;
};

static void put_padded(struct jrun *r, struct buf *b, struct jvalue text, const struct spec *s, size_t sign)
{
    int64_t n = jlength(r, text), missing = s->width > n ? s->width - n : 0, before = missing;
    if (missing > (16 << 20))
        jfail(r, "a width is too large");
    if (r->rc)
        return;
    if (s->align == '<')
        before = 0;
    else if (s->align == '^')
        before = missing / 2;
    size_t head = s->align == '=' ? sign : 0;
    buf_append(b, text.s, head);
    for (int64_t i = 0; i < before; i++)
        buf_append(b, s->fill, s->fill_n);
    buf_append(b, text.s + head, text.n - head);
    for (int64_t i = before; i < missing; i++)
        buf_append(b, s->fill, s->fill_n);
    jcharge(r, (size_t)missing + text.n);
}

/* Commas between thousands of the digits that begin at `from`. */
static struct jvalue with_commas(struct jrun *r, struct jvalue v, size_t from)
{
    struct buf b = BUF_INIT;
    size_t n = 0;
    while (from + n < v.n && v.s[from + n] >= '0' && v.s[from + n] <= '9')
        n++;
    buf_append(&b, v.s, from);
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            buf_putc(&b, ',');
        buf_putc(&b, v.s[from + i]);
    }
    buf_append(&b, v.s + from + n, v.n - from - n);
    return jtake(r, &b);
}

static const char *sign_of(const struct spec *s, int negative)
{
    if (negative)
        return "-";
    if (s->plus)
        return "+";
    return s->blank ? " " : "";
}

static void put_whole(struct jrun *r, struct buf *b, int64_t i, const struct spec *s)
{
    struct buf text = BUF_INIT;
    uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;
    char digits[80];
    int n = 0, base = jradix(s->type, 10);
    buf_puts(&text, sign_of(s, i < 0));
    if (s->alternate && base != 10)
        buf_printf(&text, "0%c", s->type);
    size_t sign = text.len;
    do {
        digits[n++] = (s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % (unsigned)base];
        u /= (unsigned)base;
    } while (u);
    for (int64_t k = n; k < s->precision && k < 1000; k++)
        buf_putc(&text, '0');
    while (n)
        buf_putc(&text, digits[--n]);
    struct jvalue v = jtake(r, &text);
    if (s->comma && !r->rc)
        v = with_commas(r, v, sign);
    put_padded(r, b, v, s, sign);
}

static void put_float(struct jrun *r, struct buf *b, double d, const struct spec *s)
{
    struct buf text = BUF_INIT;
    char layout[16], type = s->type == '%' ? 'f' : s->type;
    snprintf(layout, sizeof layout, "%%%s.*%c", s->alternate ? "#" : "", type);
    buf_puts(&text, sign_of(s, signbit(d) && d == d));
    size_t sign = text.len;
    if (s->precision > 1000)
        jfail(r, "a precision is too large");
    else
        buf_printf(&text, layout, (int)(s->precision < 0 ? 6 : s->precision), fabs(s->type == '%' ? 100 * d : d));
    buf_puts(&text, s->type == '%' ? "%" : "");
    struct jvalue v = jtake(r, &text);
    if (s->comma && !r->rc)
        v = with_commas(r, v, sign);
    put_padded(r, b, v, s, sign);
}

/* The first characters of a text. */
static struct jvalue shortened(struct jrun *r, struct jvalue v, int64_t most)
{
    size_t n = 0;
    uint32_t cp;
    jcharge(r, v.n);
    for (int64_t i = 0; i < most && n < v.n; i++)
        n += jchar(v.s + n, v.n - n, &cp);
    return jmark(jstring(v.s, most < 0 ? v.n : n), v.safe);
}

static int64_t number_at(const char **p, const char *end)
{
    int64_t n = -1;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
        n = n < 0 ? 0 : n;
        n = n > 1 << 28 ? n : 10 * n + (**p - '0');
    }
    return n;
}

/* --- "%s" % x --- */

struct percent {
    struct jvalue args, named;
    int at;
    const char *p, *end;
};

static struct jvalue next_argument(struct jrun *r, struct percent *f)
{
    if (f->args.kind == J_LIST && f->at < f->args.list->n)
        return f->args.list->items[f->at++];
    jfail(r, "%%: not enough arguments for the format");
    return jundefined("", 0);
}

static struct jvalue keyed_argument(struct jrun *r, struct percent *f)
{
    const char *from = ++f->p;
    while (f->p < f->end && *f->p != ')')
        f->p++;
    if (f->p == f->end || f->named.kind != J_DICT) {
        jfail(r, "%%(name): wanted a mapping, and a closing bracket");
        return jundefined("", 0);
    }
    int at = jfind_name(f->named.dict, from, (size_t)(f->p++ - from));
    if (at < 0)
        jfail(r, "%%(%.*s): there is no such key", (int)(f->p - from > 60 ? 60 : f->p - from - 1), from);
    return at < 0 ? jundefined("", 0) : f->named.dict->values[at];
}

static int64_t star_or_number(struct jrun *r, struct percent *f)
{
    if (f->p == f->end || *f->p != '*')
        return number_at(&f->p, f->end);
    f->p++;
    return jwhole(r, next_argument(r, f), -1);
}

/* As ascii() writes what repr() wrote. */
static void to_ascii(struct buf *text)
{
    struct buf b = BUF_INIT;
    uint32_t cp;
    for (size_t at = 0, k; at < text->len; at += k) {
        k = jchar(text->data + at, text->len - at, &cp);
        if (cp < 0x80)
            buf_putc(&b, (char)cp);
        else
            jescaped(&b, cp);
    }
    buf_free(text);
    *text = b;
}

static void put_conversion(struct jrun *r, struct buf *b, struct jvalue v, struct spec *s)
{
    struct buf text = BUF_INIT;
    char type = s->type;
    if (type == 's' || type == 'r' || type == 'a') {
        if (type == 's')
            jwrite(r, &text, s->safe ? jescape(r, v) : v);
        else
            jrepr(r, &text, v);
        if (type == 'a' && text.data)
            to_ascii(&text);
        put_padded(r, b,
                   shortened(r, s->safe && type != 's' ? jescape(r, jtake(r, &text)) : jtake(r, &text), s->precision),
                   s, 0);
        return;
    }
    if (type == 'c') {
        if (v.kind != J_STRING || jlength(r, v) != 1)
            junavailable(r, "not supported: %%c of anything but one character");
        put_padded(r, b, v, s, 0);
        return;
    }
    s->align = s->zero && !s->left ? '=' : s->align;
    s->fill = s->align == '=' ? "0" : " ";
    if (strchr("diuxXo", type) && jis_number(v) && (v.kind != J_FLOAT || strchr("diu", type))) {
        s->type = strchr("diu", type) ? 'd' : type;
        if (v.kind == J_FLOAT && !(fabs(v.d) < 9e18))
            jfail(r, "%%d: a number is too large");
        int64_t whole = 0;
        if (!r->rc)
            whole = v.kind == J_FLOAT ? (int64_t)v.d : v.i;
        put_whole(r, b, whole, s);
    } else if (strchr("eEfFgG", type) && jis_number(v)) {
        put_float(r, b, jnumber(v), s);
    } else {
        jfail(r, "%%%c: wanted a number, or no such conversion", type);
    }
}

struct jvalue jpercent(struct jrun *r, struct jvalue format, struct jvalue args)
{
    struct jvalue one = args;
    struct buf b = BUF_INIT;
    int is_tuple = args.kind == J_LIST && (args.list->form == JF_TUPLE || args.list->form == JF_GROUP);
    if (!is_tuple) {
        one = jlist(r, JF_TUPLE);
        jpush(r, one.list, args);
    }
    struct percent f = {one, args, 0, format.s, format.s + format.n};
    while (f.p < f.end && !jstep(r)) {
        const char *next = memchr(f.p, '%', (size_t)(f.end - f.p));
        struct spec s = {.precision = -1, .align = '>', .fill = " ", .fill_n = 1, .safe = format.safe};
        struct jvalue v = jmissing();
        buf_append(&b, f.p, (size_t)((next ? next : f.end) - f.p));
        f.p = next ? next + 1 : f.end;
        if (!next)
            break;
        if (f.p < f.end && *f.p == '(')
            v = keyed_argument(r, &f);
        for (; f.p < f.end && memchr("-+ 0#", *f.p, 5); f.p++) {
            s.left |= *f.p == '-';
            s.plus |= *f.p == '+';
            s.blank |= *f.p == ' ';
            s.zero |= *f.p == '0';
            s.alternate |= *f.p == '#';
        }
        s.width = star_or_number(r, &f);
        if (f.p < f.end && *f.p == '.') {
            f.p++;
            s.precision = star_or_number(r, &f);
            s.precision = s.precision < 0 ? 0 : s.precision;
        }
        s.align = s.left ? '<' : '>';
        if (f.p == f.end)
            jfail(r, "%%: the format ends in a conversion");
        if (r->rc)
            break;
        s.type = *f.p++;
        if (s.type == '%') {
            buf_putc(&b, '%');
            continue;
        }
        put_conversion(r, &b, jgiven(v) ? v : next_argument(r, &f), &s);
    }
    if (!r->rc && args.kind != J_DICT && f.at < one.list->n && !(args.kind == J_LIST && !is_tuple && f.at == 0))
        jfail(r, "%%: not all arguments are used by the format");
    return jmark(jtake(r, &b), format.safe);
}

/* --- str.format --- */

/* counted: 1 for {}, -1 for {0} */
struct braces {
    const struct jargs *args;
    int next, counted, depth;
};

static struct jvalue field_value(struct jrun *r, struct braces *f, const char *p, const char *end)
{
    const char *from = p;
    struct jvalue v;
    while (p < end && *p != '.' && *p != '[')
        p++;
    size_t n = (size_t)(p - from);
    int is_number = n && strspn(from, "0123456789") >= n, at = n ? -1 : f->next;
    if (is_number)
        at = atoi(from);
    if (at >= 0 && f->counted == (n ? 1 : -1))
        jfail(r, "format: numbered and unnumbered fields at once");
    if (at >= 0)
        f->counted = n ? -1 : 1;
    f->next += !n;
    int named = at < 0 ? jfind_name(&f->args->named, from, n) : -1;
    if (at >= 0 ? at >= f->args->n : named < 0) {
        jfail(r, "format: there is no argument %.*s", (int)(n < 60 ? n : 60), from);
        return jundefined("", 0);
    }
    v = at >= 0 ? f->args->values[at] : f->args->named.values[named];
    while (p < end && !r->rc) {
        int bracket = *p++ == '[';
        from = p;
        while (p < end && (bracket ? *p != ']' : *p != '.' && *p != '['))
            p++;
        n = (size_t)(p - from);
        int digits = n && n < 9 && strspn(from, "0123456789") >= n;
        struct jvalue key = digits ? jint(atoi(from)) : jstring(from, n);
        v = bracket ? jitem(r, v, key) : jattr(r, v, from, n);
        p += bracket && p < end;
    }
    return v;
}

static void read_spec(const char *p, const char *end, struct spec *s)
{
    uint32_t cp;
    size_t k = p < end ? jchar(p, (size_t)(end - p), &cp) : 0;
    *s = (struct spec){.width = -1, .precision = -1, .fill = " ", .fill_n = 1};
    if (k && p + k < end && strchr("<>=^", p[k])) {
        s->fill = p;
        s->fill_n = k;
        s->align = p[k];
        p += k + 1;
    } else if (k && strchr("<>=^", *p)) {
        s->align = *p++;
    }
    for (; p < end && (*p == '+' || *p == '-' || *p == ' '); p++) {
        s->plus = *p == '+';
        s->blank = *p == ' ';
    }
    s->alternate = p < end && *p == '#';
    p += s->alternate;
    if (p < end && *p == '0' && !s->align) {
        s->align = '=';
        s->fill = "0";
        s->fill_n = 1;
        s->zero = 1;
    }
    s->width = number_at(&p, end);
    s->comma = p < end && *p == ',';
    p += s->comma;
    if (p < end && *p == '.') {
        p++;
        s->precision = number_at(&p, end);
    }
    s->type = p < end ? *p++ : 0;
    if (p < end)
        s->type = '?';
}

static void put_field(struct jrun *r, struct buf *b, struct jvalue v, struct spec *s)
{
    if (v.kind == J_STRING && (!s->type || s->type == 's')) {
        s->align = s->align ? s->align : '<';
        put_padded(r, b, shortened(r, v, s->precision), s, 0);
        return;
    }
    s->align = s->align ? s->align : '>';
    if ((v.kind == J_INT || v.kind == J_BOOL) && (!s->type || strchr("dxXob", s->type)) && s->precision < 0) {
        s->type = s->type ? s->type : 'd';
        put_whole(r, b, v.i, s);
    } else if (v.kind == J_FLOAT && !s->type && s->precision < 0) {
        struct buf text = BUF_INIT;
        buf_puts(&text, v.d >= 0 ? sign_of(s, 0) : "");
        jfloat_text(&text, v.d, 0);
        put_padded(r, b, jtake(r, &text), s, v.d < 0 || s->plus);
    } else if (jis_number(v) && s->type && strchr("eEfFgG%", s->type)) {
        put_float(r, b, jnumber(v), s);
    } else {
        junavailable(r, "format: this format of a value of this kind is not supported");
    }
}

static struct jvalue format_text(struct jrun *r, struct braces *f, struct jvalue format);

/* name!conversion:spec between the braces. */
static void replacement(struct jrun *r, struct buf *b, struct braces *f, struct jvalue inner)
{
    const char *end = inner.s + inner.n, *name_end = inner.s, *colon;
    struct buf text = BUF_INIT;
    struct spec s;
    for (int bracket = 0; name_end < end && (bracket || (*name_end != '!' && *name_end != ':')); name_end++)
        bracket = *name_end == '[' || (bracket && *name_end != ']');
    struct jvalue v = field_value(r, f, inner.s, name_end);
    colon = name_end;
    if (colon < end && *colon == '!') {
        if (colon + 1 >= end || (colon[1] != 's' && colon[1] != 'r'))
            junavailable(r, "format: the conversion after \"!\" is not supported");
        if (!r->rc && colon[1] == 'r')
            jrepr(r, &text, v);
        else
            jwrite(r, &text, v);
        v = jtake(r, &text);
        colon += 2;
    }
    if (r->rc || colon >= end) {
        jwrite(r, b, v);
        return;
    }
    struct jvalue spec = *colon == ':' ? format_text(r, f, jstring(colon + 1, (size_t)(end - colon - 1))) : jtext("");
    if (*colon != ':')
        jfail(r, "format: wanted \":\" after a conversion");
    if (r->rc || !spec.n) {
        jwrite(r, b, v);
        return;
    }
    read_spec(spec.s, spec.s + spec.n, &s);
    put_field(r, b, v, &s);
}

static struct jvalue format_text(struct jrun *r, struct braces *f, struct jvalue format)
{
    struct buf b = BUF_INIT;
    if (++f->depth > 2)
        jfail(r, "format: braces are nested too deeply");
    for (size_t i = 0; i < format.n && !jstep(r); i++) {
        char c = format.s[i];
        if (c != '{' && c != '}') {
            buf_putc(&b, c);
        } else if (i + 1 < format.n && format.s[i + 1] == c) {
            buf_putc(&b, c);
            i++;
        } else if (c == '}') {
            jfail(r, "format: a closing brace stands alone");
        } else {
            size_t end = i + 1;
            for (int depth = 1; end < format.n; end++) {
                depth += (format.s[end] == '{') - (format.s[end] == '}');
                if (!depth)
                    break;
            }
            if (end == format.n)
                jfail(r, "format: an opening brace stands alone");
            else
                replacement(r, &b, f, jstring(format.s + i + 1, end - i - 1));
            i = end;
        }
    }
    f->depth--;
    return jtake(r, &b);
}

struct jvalue jformat(struct jrun *r, struct jvalue format, const struct jargs *args)
{
    struct braces f = {args, 0, 0, 0};
    if (format.safe) {
        struct jargs escaped = {jalloc(r, (size_t)(args->n + 1) * sizeof *escaped.values), args->n, {0}};
        for (int i = 0; i < args->n && !r->rc; i++)
            escaped.values[i] = args->values[i].kind == J_STRING ? jescape(r, args->values[i]) : args->values[i];
        for (int i = 0; i < args->named.n && !r->rc; i++)
            jput(r, &escaped.named, args->named.keys[i],
                 args->named.values[i].kind == J_STRING ? jescape(r, args->named.values[i]) : args->named.values[i]);
        f.args = &escaped;
        return r->rc ? format : jmark(format_text(r, &f, format), 1);
    }
    return format_text(r, &f, format);
}
