/* SPDX-License-Identifier: Apache-2.0 */
/* Operators: numbers as Python counts (whole numbers of 64 bits; beyond them an error), texts and lists. */
#include "jinja/parts.h"

#include <math.h>

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b && (a < 0) != (b < 0));
}

/* a ** b for b >= 0; 1 when it does not fit. */
static int whole_power(int64_t a, int64_t b, int64_t *out)
{
    *out = 1;
    if (a == 0 || a == 1 || a == -1) {
        *out = b == 0 || (a == -1 && b % 2 == 0) ? 1 : a;
        return 0;
    }
    for (; b > 0; b--)
        if (__builtin_mul_overflow(*out, a, out))
            return 1;
    return 0;
}

static struct jvalue whole_numbers(struct jrun *r, int op, int64_t a, int64_t b)
{
    int64_t i = 0;
    int bad = 0;
    switch (op) {
    case '+': bad = __builtin_add_overflow(a, b, &i); break;
    case '-': bad = __builtin_sub_overflow(a, b, &i); break;
    case '*': bad = __builtin_mul_overflow(a, b, &i); break;
    case '%': i = b == -1 ? 0 : a - b * floor_divide(a, b); break;
    case JOP('/', '/'):
        bad = a == INT64_MIN && b == -1;
        i = bad ? 0 : floor_divide(a, b);
        break;
    default: bad = whole_power(a, b, &i);
    }
    if (bad)
        jfail(r, "a whole number is too large (beyond 64 bits)");
    return jint(i);
}

/* Python's float_divmod: the rest has the sign of the divisor. */
static double modulo(double x, double y)
{
    double m = fmod(x, y);
    if (m == 0)
        return copysign(0, y);
    return (y < 0) != (m < 0) ? m + y : m;
}

static double floor_quotient(double x, double y)
{
    double m = fmod(x, y), q = (x - m) / y, whole;
    if (m != 0 && (y < 0) != (m < 0))
        q -= 1;
    if (q == 0)
        return copysign(0, x / y);
    whole = floor(q);
    return q - whole > 0.5 ? whole + 1 : whole;
}

static struct jvalue power(struct jrun *r, double x, double y)
{
    if (x == 0 && y < 0)
        jfail(r, "0 cannot be raised to a negative power");
    else if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y))
        junavailable(r, "a complex number (a negative number to a broken power) is not supported");
    double v = r->rc ? 0 : pow(x, y);
    if (isinf(v) && isfinite(x) && isfinite(y))
        jfail(r, "the result of a power is too large");
    return jfloat(v);
}

static struct jvalue arithmetic(struct jrun *r, int op, struct jvalue a, struct jvalue b)
{
    int whole = a.kind != J_FLOAT && b.kind != J_FLOAT, is_power = op == JOP('*', '*');
    double x = jnumber(a), y = jnumber(b);
    if ((op == '/' || op == '%' || op == JOP('/', '/')) && y == 0) {
        jfail(r, "division by zero");
        return a;
    }
    if (whole && op != '/' && !(is_power && b.i < 0))
        return whole_numbers(r, op, a.i, b.i);
    switch (op) {
    case '+': return jfloat(x + y);
    case '-': return jfloat(x - y);
    case '*': return jfloat(x * y);
    case '/': return jfloat(x / y);
    case '%': return jfloat(modulo(x, y));
    case JOP('/', '/'): return jfloat(floor_quotient(x, y));
    default: return power(r, x, y);
    }
}

static struct jvalue add_lists(struct jrun *r, struct jvalue a, struct jvalue b)
{
    struct jvalue out = jlist(r, a.list->form == JF_GROUP ? JF_TUPLE : a.list->form);
    for (int i = 0; i < a.list->n && !r->rc; i++)
        jpush(r, out.list, a.list->items[i]);
    for (int i = 0; i < b.list->n && !r->rc; i++)
        jpush(r, out.list, b.list->items[i]);
    return out;
}

static struct jvalue repeat(struct jrun *r, struct jvalue of, int64_t times)
{
    struct buf b = BUF_INIT;
    if (of.kind == J_LIST) {
        struct jvalue out = jlist(r, of.list->form);
        for (int64_t i = 0; i < times && of.list->n && !jstep(r); i++)
            for (int k = 0; k < of.list->n; k++)
                jpush(r, out.list, of.list->items[k]);
        return out;
    }
    if (times > 0 && of.n && times > (int64_t)(((size_t)128 << 20) / of.n))
        jfail(r, "writes more than 128 MiB");
    for (int64_t i = 0; i < times && !r->rc && of.n; i++)
        buf_append(&b, of.s, of.n);
    return jmark(jtake(r, &b), of.safe);
}

static struct jvalue join_texts(struct jrun *r, struct jvalue a, struct jvalue b)
{
    struct buf text = BUF_INIT;
    int safe = a.safe || b.safe;
    if (safe) {
        a = jescape(r, a);
        b = jescape(r, b);
    }
    if (!r->rc) {
        buf_append(&text, a.s, a.n);
        buf_append(&text, b.s, b.n);
    }
    return jmark(jtake(r, &text), safe);
}

static int is_sequence(struct jvalue v)
{
    return v.kind == J_STRING || (v.kind == J_LIST && v.list->form <= JF_GROUP);
}

static int is_tuple(struct jvalue v)
{
    return v.list->form != JF_LIST;
}

struct jvalue jbinary(struct jrun *r, int op, struct jvalue a, struct jvalue b)
{
    struct buf text = BUF_INIT;
    if (r->rc)
        return a;
    if (op == '~') {
        jwrite(r, &text, a);
        jwrite(r, &text, b);
        return jtake(r, &text);
    }
    if (jis_number(a) && jis_number(b))
        return arithmetic(r, op, a, b);
    if (op == '+' && a.kind == J_STRING && b.kind == J_STRING)
        return join_texts(r, a, b);
    if (op == '+' && a.kind == J_LIST && is_sequence(a) && b.kind == J_LIST && is_sequence(b) &&
        is_tuple(a) == is_tuple(b))
        return add_lists(r, a, b);
    if (op == '*' && is_sequence(a) && (b.kind == J_INT || b.kind == J_BOOL))
        return repeat(r, a, b.i);
    if (op == '*' && is_sequence(b) && (a.kind == J_INT || a.kind == J_BOOL))
        return repeat(r, b, a.i);
    if (op == '%' && a.kind == J_STRING)
        return jpercent(r, a, b);
    char second[2] = {(char)(op >> 8), 0}; /* of two-letter operators */
    if (a.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(a));
    else if (b.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(b));
    else
        jfail(r, "\"%c%s\" does not go with values of these kinds", op & 255, second);
    return a;
}

struct jvalue jnegate(struct jrun *r, struct jvalue v, int op)
{
    if (v.kind == J_FLOAT)
        return op == '-' ? jfloat(-v.d) : v;
    if (jis_number(v))
        return whole_numbers(r, op, 0, v.i);
    if (v.kind == J_UNDEFINED)
        jfail(r, "'%.*s' is undefined", JSHOW(v));
    else
        jfail(r, "\"%c\" before something that is no number", op);
    return v;
}
