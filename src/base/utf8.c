/* SPDX-License-Identifier: Apache-2.0 */
/* The second byte's allowed range depends on the first (Unicode 15, table 3-7); once that is respected every other
 * continuation byte is free, so "maximal ill-formed part" falls out of how far a sequence stays within the table. */
#include "base/utf8.h"

#include "base/category_tables.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static int length_wanted(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0) {
        *low = lead == 0xe0 ? 0xa0 : 0x80;
        *high = lead == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    *low = lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xf4 ? 0x8f : 0xbf;
    return 4;
}

/* How many bytes at s stay within the table (0..4); *length is what a whole character would have, 0 for a wrong
 * lead. */
static size_t continuation_length(const char *s, size_t n, int *length)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char low, high;
    *length = length_wanted(u[0], &low, &high);
    if (!*length)
        return 0;
    size_t k = 1;
    while (k < (size_t)*length && k < n && u[k] >= low && u[k] <= high) {
        low = 0x80;
        high = 0xbf;
        k++;
    }
    return k;
}

size_t utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *u = (const unsigned char *)s;
    if (n && u[0] < 0x80) {
        *cp = u[0];
        return 1;
    }
    int length;
    if (!n || continuation_length(s, n, &length) != (size_t)length || !length)
        return 0;
    if (length == 2)
        *cp = (uint32_t)(u[0] & 31) << 6 | (u[1] & 63);
    else if (length == 3)
        *cp = (uint32_t)(u[0] & 15) << 12 | (uint32_t)(u[1] & 63) << 6 | (u[2] & 63);
    else
        *cp = (uint32_t)(u[0] & 7) << 18 | (uint32_t)(u[1] & 63) << 12 | (uint32_t)(u[2] & 63) << 6 | (u[3] & 63);
    return (size_t)length;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

void utf8_put(struct buf *b, uint32_t cp)
{
    char c[4];
    buf_append(b, c, utf8_encode(cp, c));
}

size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0, k;
    uint32_t cp;
    while (i < n && (k = utf8_decode(s + i, n - i, &cp)))
        i += k;
    return i;
}

size_t utf8_count(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

size_t utf8_prev(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && k < 4) {
        k++;
        if (((unsigned char)s[n - k] & 0xc0) != 0x80)
            break;
    }
    return k;
}

/* Where s[0..n) does not begin with a valid character: the length of the maximal part of an ill-formed sequence (what
 * one U+FFFD replaces, 1..3), or 0 when all of s[0..n) is the beginning of a character that more bytes may complete. */
static size_t ill_formed(const char *s, size_t n)
{
    int length;
    size_t k = n ? continuation_length(s, n, &length) : 0;
    if (!n || (length && k == n && k < (size_t)length))
        return 0;
    return k ? k : 1;
}

size_t utf8_lossy(struct buf *out, const char *s, size_t n, int hold)
{
    size_t i = 0, from = 0;
    uint32_t cp;
    if (!n) /* s may be NULL */
        return 0;
    while (i < n) {
        size_t k = utf8_decode(s + i, n - i, &cp);
        if (k) {
            i += k;
            continue;
        }
        buf_append(out, s + from, i - from);
        from = i;
        k = ill_formed(s + i, n - i);
        if (!k && hold)
            return i;
        i += k ? k : n - i;
        from = i;
        buf_puts(out, "\xef\xbf\xbd");
    }
    buf_append(out, s + from, i - from);
    return n;
}

int utf8_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

int utf8_new_at(size_t i, struct utf8_new *out)
{
    if (i >= sizeof new_categories / sizeof *new_categories)
        return 0;
    *out = (struct utf8_new){new_categories[i].first, new_categories[i].last, new_categories[i].category};
    return 1;
}

const char *utf8_new_category(uint32_t cp)
{
    size_t low = 0, high = sizeof new_categories / sizeof *new_categories;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cp > new_categories[middle].last)
            low = middle + 1;
        else if (cp < new_categories[middle].first)
            high = middle;
        else
            return new_categories[middle].category;
    }
    return NULL;
}

static utf8proc_category_t category_of(uint32_t cp)
{
    static const char names[][3] = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd",
                                    "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf"};
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    const char *newer = c == UTF8PROC_CATEGORY_CN ? utf8_new_category(cp) : NULL;
    for (size_t i = 0; newer && i < sizeof names / sizeof *names; i++)
        if (!strcmp(newer, names[i]))
            return (utf8proc_category_t)i; /* the order of utf8proc's own */
    return c;
}

int utf8_is_numeric(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9';
    utf8proc_category_t c = category_of(cp);
    if ((cp >= 0x11de0 && cp <= 0x11de9) || (cp >= 0x16ff4 && cp <= 0x16ff6)) /* Unicode 17's, as Rust has it */
        return 1;
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

int utf8_is_word(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') || cp == '_';
    utf8proc_category_t c = category_of(cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC || cp == 0x200c ||
           cp == 0x200d || (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) ||
           (cp >= 0x1f150 && cp <= 0x1f169) ||
           (cp >= 0x1f170 && cp <= 0x1f189); /* letters in circles and squares are Alphabetic though symbols */
}

int utf8_is_punctuation(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    utf8proc_category_t c = category_of(cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

int utf8_is_mark(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME;
}

int utf8_width(uint32_t cp)
{
    int width = utf8proc_charwidth((utf8proc_int32_t)cp);
    return width > 0 ? width : 0;
}

int utf8_fold(struct buf *out, const char *s, size_t n)
{
    struct buf lossy = BUF_INIT;
    utf8proc_uint8_t *folded = NULL;
    utf8_lossy(&lossy, s, n, 0);
    utf8proc_ssize_t length = UTF8PROC_ERROR_NOMEM;
    if (!lossy.failed)
        length = utf8proc_map((const utf8proc_uint8_t *)buf_text(&lossy), (utf8proc_ssize_t)lossy.len, &folded,
                              UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD);
    if (length >= 0)
        buf_append(out, folded, (size_t)length);
    free(folded);
    buf_free(&lossy);
    return length < 0 || out->failed ? -1 : 0;
}

int utf8_is_unspaced(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {{0x0e00, 0x0eff}, {0x1000, 0x109f}, {0x1780, 0x17ff}, {0x3005, 0x3007},  {0x3040, 0x30ff},
                  {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff}, {0x20000, 0x3ffff}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (cp >= ranges[i].from && cp <= ranges[i].to)
            return 1;
    return 0;
}
