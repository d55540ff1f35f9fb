/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html_text.h"

#include "base/utf8.h"

#include <string.h>

/* Signs that a reader would not see, though they change what stands there. Joiners (U+200C, U+200D) stay: whole
 * scripts need them. */
static const struct {
    uint32_t first, last;
} hidden[] = {{0x80, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e},
              {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
              {0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};

static int is_hidden(uint32_t cp)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (cp >= hidden[i].first && cp <= hidden[i].last)
            return 1;
    return (cp & 0xfffe) == 0xfffe; /* the last two of every plane are no characters */
}

static void put(struct buf *out, uint32_t cp)
{
    if (cp == '&')
        buf_puts(out, "&amp;");
    else if (cp == '<')
        buf_puts(out, "&lt;");
    else if (cp == '>')
        buf_puts(out, "&gt;");
    else if (cp == '"')
        buf_puts(out, "&quot;");
    else if (cp == '\'')
        buf_puts(out, "&#39;");
    else if (cp < 0x20 && cp != '\n' && cp != '\t')
        utf8_put(out, 0x2400 + cp);
    else if (cp == 0x7f)
        utf8_put(out, 0x2421);
    else if (is_hidden(cp))
        buf_printf(out, "[U+%04X]", (unsigned)cp);
    else
        utf8_put(out, cp);
}

/* The character at s, and the bytes that it takes: of what is no UTF-8 one. */
static size_t next(const char *s, size_t n, uint32_t *cp)
{
    if (n > 1 && s[0] == '\r' && s[1] == '\n') {
        *cp = '\n';
        return 2;
    }
    size_t k = utf8_decode(s, n, cp);
    if (k)
        return k;
    *cp = 0xfffd;
    return 1;
}

void html_text(struct buf *out, const char *s)
{
    uint32_t cp;
    size_t n = strlen(s);
    for (size_t at = 0; at < n;) {
        at += next(s + at, n - at, &cp);
        put(out, cp);
    }
}

void html_text_cut(struct buf *out, const char *s, int most)
{
    uint32_t cp;
    size_t n = strlen(s);
    for (size_t at = 0; at < n; most--) {
        if (most <= 0) {
            buf_puts(out, "…");
            return;
        }
        at += next(s + at, n - at, &cp);
        put(out, cp == '\n' || cp == '\t' ? ' ' : cp);
    }
}
