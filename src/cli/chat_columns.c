/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parts.h"

#include "base/utf8.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

enum { GAP = 3 };

int terminal_width(void)
{
    struct winsize size;
    if (!isatty(1))
        return 0;
    return !ioctl(1, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
}

/* Bytes of the next line of at most so many cells, and the cells; *rest: where the one after it begins. Broken at a
 * blank where there is one. */
static size_t next_line(const char *text, int most, int *cells, const char **rest)
{
    size_t at = 0, blank = 0, n = strlen(text);
    int used = 0, used_blank = 0;
    while (at < n && text[at] != '\n') {
        uint32_t cp;
        size_t k = utf8_decode(text + at, n - at, &cp);
        int wide = k ? utf8proc_charwidth((utf8proc_int32_t)cp) : 1;
        if (cp == ' ' && at) {
            blank = at;
            used_blank = used;
        }
        if (used + wide > most && at)
            break;
        used += wide;
        at += k ? k : 1;
    }
    int full = at < n && text[at] != '\n';
    size_t end = full && blank ? blank : at;
    *cells = full && blank ? used_blank : used;
    *rest = text + end;
    if (**rest == '\n' || (full && **rest == ' '))
        ++*rest;
    return end;
}

static void put_spaces(struct buf *out, int n)
{
    while (n-- > 0)
        buf_putc(out, ' ');
}

static void put_row(struct buf *out, const char *rest[2], int half)
{
    const char *text[2] = {rest[0], rest[1]};
    int cells;
    size_t n = next_line(text[0], half, &cells, &rest[0]);
    buf_append(out, text[0], n);
    if (*text[1]) {
        put_spaces(out, half - cells + GAP);
        n = next_line(text[1], half, &cells, &rest[1]);
        buf_append(out, text[1], n);
    }
    buf_putc(out, '\n');
}

void columns_write(struct buf *out, const struct side pair[2], int width)
{
    int half = (width - GAP) / 2;
    const char *headings[2] = {pair[0].heading, pair[1].heading}, *rest[2] = {pair[0].text, pair[1].text};
    put_row(out, headings, half);
    while (*rest[0] || *rest[1])
        put_row(out, rest, half);
}
