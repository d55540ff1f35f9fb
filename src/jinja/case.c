/* SPDX-License-Identifier: Apache-2.0 */
/* Capital and small letters as Python's str has them: full mappings, the final sigma; and the isX methods. */
#include "jinja/parts.h"

#include "base/utf8.h"
#include "jinja/case_tables.h"

#include <string.h>
#include <utf8proc.h>

#define COUNT(table) (int)(sizeof(table) / sizeof *(table))

static int in_ranges(const struct jrange *t, int n, uint32_t cp)
{
    int from = 0;
    while (from < n) {
        int middle = (from + n) / 2;
        if (cp > t[middle].to)
            from = middle + 1;
        else if (cp < t[middle].from)
            n = middle;
        else
            return 1;
    }
    return 0;
}

static int category(uint32_t cp)
{
    return (int)utf8proc_category((utf8proc_int32_t)cp);
}

static int is_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'a' && cp <= 'z';
    return category(cp) == UTF8PROC_CATEGORY_LL || in_ranges(other_lower, COUNT(other_lower), cp);
}

static int is_upper(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z';
    return category(cp) == UTF8PROC_CATEGORY_LU || in_ranges(other_upper, COUNT(other_upper), cp);
}

static int is_title(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_LT;
}

static int is_cased(uint32_t cp)
{
    return is_lower(cp) || is_upper(cp) || is_title(cp);
}

/* Signs that do not end a word where the final sigma is looked for. */
static int is_ignored(uint32_t cp)
{
    static const uint32_t signs[] = {0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,  0x5f4,  0x2018, 0x2019,
                                     0x2024, 0x2027, 0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    int c = category(cp);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i] == cp)
            return 1;
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
           c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK;
}

/* Is the sigma at `at` the last letter of a word? */
static int is_final(struct jvalue v, size_t at)
{
    uint32_t cp = 0;
    size_t k, p = at;
    while (p > 0 && (k = utf8_prev(v.s, p)) && utf8_decode(v.s + p - k, k, &cp) && is_ignored(cp))
        p -= k;
    if (p == 0 || !is_cased(cp))
        return 0;
    for (p = at + 2; p < v.n; p += k) {
        k = jchar(v.s + p, v.n - p, &cp);
        if (!is_ignored(cp))
            return !is_cased(cp);
    }
    return 1;
}

static void put_special(struct buf *b, const struct jspecial *t, int n, uint32_t cp, uint32_t simple)
{
    int from = 0, count = n;
    while (from < n) {
        int middle = (from + n) / 2;
        if (cp > t[middle].from)
            from = middle + 1;
        else
            n = middle;
    }
    if (from == count || t[from].from != cp) {
        utf8_put(b, simple);
        return;
    }
    for (int k = 0; k < 3 && t[from].to[k]; k++)
        utf8_put(b, t[from].to[k]);
}

static void put_upper(struct buf *b, uint32_t cp)
{
    put_special(b, special_upper, COUNT(special_upper), cp, (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp));
}

static void put_title(struct buf *b, uint32_t cp)
{
    put_special(b, special_title, COUNT(special_title), cp, (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp));
}

static void put_lower(struct buf *b, struct jvalue v, size_t at, uint32_t cp)
{
    if (cp == 0x3a3)
        utf8_put(b, is_final(v, at) ? 0x3c2 : 0x3c3);
    else if (cp == 0x130)
        buf_puts(b, "i\xcc\x87");
    else
        utf8_put(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
}

/* mode: 'u' upper, 'l' lower, 'c' first upper, 't' first of each word upper, 's' swapped. */
static struct jvalue change_case(struct jrun *r, struct jvalue v, int mode)
{
    struct buf b = BUF_INIT;
    int inside = 0;
    uint32_t cp;
    jcharge(r, 15 * v.n); /* looking characters up is slow */
    for (size_t at = 0, k; at < v.n && !r->rc; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        if (mode == 'u' || (mode == 's' && is_lower(cp)))
            put_upper(&b, cp);
        else if ((mode == 'c' && at == 0) || (mode == 't' && !inside))
            put_title(&b, cp);
        else if (mode != 's' || is_upper(cp))
            put_lower(&b, v, at, cp);
        else
            buf_append(&b, v.s + at, k);
        inside = is_cased(cp);
    }
    return jmark(jtake(r, &b), v.safe);
}

#define METHOD(name) \
    static struct jvalue name(struct jrun *r, struct jvalue v, const struct jvalue *p, const struct jargs *a)
METHOD(m_upper)
{
    (void)p;
    (void)a;
    return change_case(r, v, 'u');
}
METHOD(m_lower)
{
    (void)p;
    (void)a;
    return change_case(r, v, 'l');
}
METHOD(m_capitalize)
{
    (void)p;
    (void)a;
    return change_case(r, v, 'c');
}
METHOD(m_title)
{
    (void)p;
    (void)a;
    return change_case(r, v, 't');
}
METHOD(m_swapcase)
{
    (void)p;
    (void)a;
    return change_case(r, v, 's');
}

METHOD(m_casefold)
{
    struct buf b = BUF_INIT;
    uint32_t cp;
    (void)p;
    (void)a;
    for (size_t at = 0, k; at < v.n; at += k) {
        utf8proc_int32_t to[8];
        int last = 0;
        k = jchar(v.s + at, v.n - at, &cp);
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, to, 8, UTF8PROC_CASEFOLD, &last);
        for (utf8proc_ssize_t i = 0; i < n && i < 8; i++)
            utf8_put(&b, (uint32_t)to[i]);
    }
    return jmark(jtake(r, &b), v.safe);
}

static int is_decimal(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_ND;
}
static int is_digit(uint32_t cp)
{
    return is_decimal(cp) || in_ranges(other_digit, COUNT(other_digit), cp);
}
static int is_numeric(uint32_t cp)
{
    return utf8_is_numeric(cp) || in_ranges(other_numeric, COUNT(other_numeric), cp);
}
int jdecimal(uint32_t cp)
{
    for (int i = 0; i < COUNT(decimal_zero); i++)
        if (cp >= decimal_zero[i].from && cp < decimal_zero[i].from + 10)
            return (int)(cp - decimal_zero[i].from);
    return -1;
}

static int is_ascii(uint32_t cp)
{
    return cp < 0x80;
}

static int is_alpha(uint32_t cp)
{
    int c = category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT ||
           c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_LO;
}

static int is_alnum(uint32_t cp)
{
    return is_alpha(cp) || is_numeric(cp) || is_digit(cp);
}

/* Every character is; of nothing: `empty`. */
static struct jvalue all(struct jrun *r, struct jvalue v, int (*is)(uint32_t), int empty)
{
    uint32_t cp;
    jcharge(r, 15 * v.n);
    for (size_t at = 0, k; at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        if (!is(cp))
            return jbool(0);
    }
    return jbool(v.n || empty);
}
METHOD(m_isdigit)
{
    (void)p;
    (void)a;
    return all(r, v, is_digit, 0);
}
METHOD(m_isdecimal)
{
    (void)p;
    (void)a;
    return all(r, v, is_decimal, 0);
}
METHOD(m_isnumeric)
{
    (void)p;
    (void)a;
    return all(r, v, is_numeric, 0);
}
METHOD(m_isalpha)
{
    (void)p;
    (void)a;
    return all(r, v, is_alpha, 0);
}
METHOD(m_isalnum)
{
    (void)p;
    (void)a;
    return all(r, v, is_alnum, 0);
}
METHOD(m_isspace)
{
    (void)p;
    (void)a;
    return all(r, v, jspace, 0);
}
METHOD(m_isascii)
{
    (void)p;
    (void)a;
    return all(r, v, is_ascii, 1);
}
METHOD(m_isprintable)
{
    (void)p;
    (void)a;
    return all(r, v, jprintable, 1);
}

/* No letter of the other case, and one of this. */
static struct jvalue in_case(struct jvalue v, int (*is)(uint32_t), int (*other)(uint32_t))
{
    int found = 0;
    uint32_t cp;
    for (size_t at = 0, k; at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        if (other(cp) || is_title(cp))
            return jbool(0);
        found |= is(cp);
    }
    return jbool(found);
}
METHOD(m_isupper)
{
    (void)r;
    (void)p;
    (void)a;
    return in_case(v, is_upper, is_lower);
}
METHOD(m_islower)
{
    (void)r;
    (void)p;
    (void)a;
    return in_case(v, is_lower, is_upper);
}

METHOD(m_istitle)
{
    int inside = 0, found = 0;
    uint32_t cp;
    (void)r;
    (void)p;
    (void)a;
    for (size_t at = 0, k; at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        int capital = is_upper(cp) || is_title(cp), small = is_lower(cp);
        if ((capital && inside) || (small && !inside))
            return jbool(0);
        inside = capital || small;
        found |= inside;
    }
    return jbool(found);
}

METHOD(m_isidentifier)
{
    uint32_t cp;
    (void)r;
    (void)p;
    (void)a;
    for (size_t at = 0, k; at < v.n; at += k) {
        k = jchar(v.s + at, v.n - at, &cp);
        int letter = cp == '_' || is_alpha(cp) || category(cp) == UTF8PROC_CATEGORY_NL;
        if (!letter && (at == 0 || !(is_decimal(cp) || utf8_is_mark(cp) || category(cp) == UTF8PROC_CATEGORY_PC)))
            return jbool(0);
    }
    return jbool(v.n > 0);
}

const struct jentry jcase_methods[] = {
    {"upper", NULL, m_upper},
    {"lower", NULL, m_lower},
    {"capitalize", NULL, m_capitalize},
    {"title", NULL, m_title},
    {"swapcase", NULL, m_swapcase},
    {"casefold", NULL, m_casefold},
    {"isdigit", NULL, m_isdigit},
    {"isdecimal", NULL, m_isdecimal},
    {"isnumeric", NULL, m_isnumeric},
    {"isalpha", NULL, m_isalpha},
    {"isalnum", NULL, m_isalnum},
    {"isspace", NULL, m_isspace},
    {"isascii", NULL, m_isascii},
    {"isprintable", NULL, m_isprintable},
    {"isupper", NULL, m_isupper},
    {"islower", NULL, m_islower},
    {"istitle", NULL, m_istitle},
    {"isidentifier", NULL, m_isidentifier},
    {NULL, NULL, NULL},
};
