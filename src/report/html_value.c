/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html_parts.h"
#include "report/html_text.h"

#include <ctype.h>
#include <string.h>

enum {
    HASH = 40, /* hexadecimal digits of the shortest hash */
    NAME = 24  /* bytes of a longer one than any name that stays on one line */
};

void html_minus(struct buf *out, const char *text)
{
    for (const char *s = text; *s; s++) {
        int begins = s == text || s[-1] == ' ' || s[-1] == '(';
        if (*s == '-' && begins && isdigit((unsigned char)s[1]))
            buf_puts(out, "−");
        else
            buf_putc(out, *s);
    }
}

void html_prose(struct buf *out, const char *text)
{
    struct buf minus = BUF_INIT;
    html_minus(&minus, text);
    html_text(out, buf_text(&minus));
    out->failed |= minus.failed;
    buf_free(&minus);
}

/* Digits before the point that follow s, s among them. */
static int digits_left(const char *s)
{
    int n = 0;
    while (isdigit((unsigned char)s[n]))
        n++;
    return n;
}

void html_number(struct buf *out, const char *text, int grouped)
{
    int long_enough = grouped && digits_left(text + (*text == '-')) > 4;
    for (const char *s = text; *s; s++) {
        int left = digits_left(s);
        if (long_enough && s > text && isdigit((unsigned char)s[-1]) && left && left % 3 == 0)
            buf_puts(out, "\u202f");
        if (*s == '-' && (isdigit((unsigned char)s[1])))
            buf_puts(out, "−");
        else
            html_text(out, (char[]){*s, 0});
    }
}

static int is_hash(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return n >= HASH && !s[n];
}

/* A name such as "sft-seeds", which is not torn at its hyphens. */
static int is_name(const char *s)
{
    return strlen(s) < NAME && strchr(s, '-') && !strpbrk(s, " \t\r\n");
}

static void put_text(struct buf *out, const char *text)
{
    if (is_hash(text)) {
        buf_puts(out, "<code class=\"hash\">");
        html_text(out, text);
        buf_puts(out, "</code>");
        return;
    }
    buf_puts(out, is_name(text) ? "<span class=\"word\">" : "");
    html_text(out, text);
    buf_puts(out, is_name(text) ? "</span>" : "");
}

/* "0.36 (0.27 to 0.49)": the interval on a line of its own. */
static void put_interval(struct buf *out, char *text, int grouped)
{
    char *open = strstr(text, " (");
    if (open)
        *open = 0;
    html_number(out, text, grouped);
    if (!open)
        return;
    open[strlen(open + 2) + 1] = 0; /* the bracket at the end */
    buf_puts(out, " <span class=\"interval\">");
    html_number(out, open + 2, grouped);
    buf_puts(out, "</span>");
}

void html_value(struct buf *out, const struct cell *c, const struct column *column)
{
    struct buf text = BUF_INIT;
    if (c->text && *c->text) {
        put_text(out, c->text);
        return;
    }
    cell_text(&text, c, column);
    if (text.failed)
        out->failed = 1;
    else if (text.len)
        put_interval(out, text.data, column->kind == COLUMN_COUNT);
    else
        buf_puts(out, "<span class=\"none\">–</span>");
    buf_free(&text);
}

void html_point_text(struct buf *out, const struct figure *f, const struct point *p)
{
    struct buf text = BUF_INIT;
    struct cell cell = {.value = p->y, .low = p->low, .high = p->high};
    cell_text(&text, &cell, &(struct column){.kind = f->y_kind, .digits = f->digits});
    html_minus(out, buf_text(&text));
    out->failed |= text.failed;
    buf_free(&text);
}

void html_point_name(struct buf *out, const struct series *s, const struct point *p)
{
    if (p->name)
        buf_puts(out, p->name);
    else
        buf_printf(out, "%s %g", s->figure->x_title ? s->figure->x_title : "x", p->x);
    if (s->figure->first->next && s->name) /* there are several */
        buf_printf(out, ", %s", s->name);
}
