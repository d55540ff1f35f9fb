/* SPDX-License-Identifier: Apache-2.0 */
/* A figure: its drawing, and its numbers in a table that opens below it. */
#include "report/html_parts.h"
#include "report/html_text.h"

#include <stdio.h>

enum {
    TOLD = 6,   /* points whose numbers the description tells */
    LISTED = 60 /* rows of a series in the table of numbers; of more points every so many-th is listed */
};

static int has_several(const struct figure *f)
{
    return f->first && f->first->next;
}

static void describe_line(struct buf *out, const struct series *s)
{
    if (!s->first)
        return;
    buf_printf(out, " %s: from ", s->name ? s->name : "the line");
    html_point_text(out, s->figure, s->first);
    buf_puts(out, " to ");
    html_point_text(out, s->figure, s->last);
    buf_putc(out, '.');
}

/* What is to be seen in it, in words. */
static void describe(struct buf *out, const struct figure *f)
{
    static const char *const kinds[] = {"A chart of lines.", "Marks with their intervals.", "Bars.", "A heat map."};
    int told = 0;
    buf_puts(out, kinds[f->kind]);
    for (const struct series *s = f->first; s; s = s->next) {
        if (f->kind == FIGURE_LINES) {
            describe_line(out, s);
            continue;
        }
        for (const struct point *p = s->first; p && told < TOLD; p = p->next, told++) {
            buf_putc(out, ' ');
            html_point_name(out, s, p);
            buf_puts(out, ": ");
            html_point_text(out, f, p);
            buf_putc(out, '.');
        }
    }
    buf_puts(out, " All numbers are in the table below the drawing.");
}

static void number_row(struct buf *out, const struct series *s, const struct point *p)
{
    const struct figure *f = s->figure;
    const struct column column = {.kind = f->y_kind, .digits = f->digits};
    char x[32];
    buf_puts(out, "<tr><th scope=\"row\">");
    if (p->name) {
        html_text(out, p->name);
    } else {
        snprintf(x, sizeof x, "%g", p->x);
        html_number(out, x, 1);
    }
    buf_puts(out, "</th>");
    if (has_several(f)) {
        buf_puts(out, "<td>");
        html_text(out, s->name ? s->name : "");
        buf_puts(out, "</td>");
    }
    buf_puts(out, "<td class=\"n\">");
    html_value(out, &(struct cell){.value = p->y, .low = p->low, .high = p->high}, &column);
    buf_puts(out, "</td></tr>\n");
}

static void put_rows(struct buf *out, const struct series *s)
{
    int every = (s->n + LISTED - 1) / LISTED;
    int i = 0;
    for (const struct point *p = s->first; p; p = p->next, i++)
        if (i % every == 0 || !p->next)
            number_row(out, s, p);
}

static void put_numbers(struct buf *out, const struct figure *f)
{
    int thinned = 0;
    for (const struct series *s = f->first; s; s = s->next)
        thinned |= s->n > LISTED;
    buf_puts(out, "<details class=\"numbers\"><summary>The numbers of this figure</summary>\n<div class=\"scroll\" "
                  "tabindex=\"0\" role=\"group\" aria-label=\"numbers of: ");
    html_text(out, f->title);
    buf_puts(out, "\"><table><caption>");
    html_text(out, f->title);
    buf_puts(out, thinned ? ": every so many-th point, and the last one" : "");
    buf_puts(out, "</caption><thead><tr><th scope=\"col\">");
    html_text(out, f->x_title ? f->x_title : "x");
    buf_puts(out, has_several(f) ? "</th><th scope=\"col\">series</th><th scope=\"col\" class=\"n\">"
                                 : "</th><th scope=\"col\" class=\"n\">");
    html_text(out, f->y_title ? f->y_title : "value");
    buf_puts(out, "</th></tr></thead><tbody>\n");
    for (const struct series *s = f->first; s; s = s->next)
        put_rows(out, s);
    buf_puts(out, "</tbody></table></div></details>\n");
}

static void put_drawing(struct buf *out, const struct figure *f)
{
    struct buf id = BUF_INIT;
    struct buf words = BUF_INIT;
    buf_puts(&id, "drawing-");
    html_text(&id, f->name);
    describe(&words, f);
    int rows = f->kind == FIGURE_POINTS || f->kind == FIGURE_BARS;
    html_draw(out, f,
              &(struct svg_words){.id = buf_text(&id),
                                  .title = f->title,
                                  .description = buf_text(&words),
                                  .x = rows ? f->y_title : f->x_title,
                                  .y = f->y_title,
                                  .unit = f->y_kind == COLUMN_SHARE ? " %" : NULL});
    if (id.failed || words.failed)
        out->failed = 1;
    buf_free(&id);
    buf_free(&words);
}

void html_figure(struct buf *out, const struct figure *f)
{
    int n = 0;
    for (const struct series *s = f->first; s; s = s->next)
        n += s->n;
    buf_puts(out, "<figure id=\"figure-");
    html_text(out, f->name);
    buf_puts(out, "\">\n<figcaption>");
    html_text(out, f->title);
    buf_puts(out, "</figcaption>\n");
    if (n) {
        put_drawing(out, f);
        if (f->kind == FIGURE_POINTS && f->y_kind == COLUMN_CHANGE)
            buf_puts(out,
                     "<p class=\"key\">A filled mark: its interval leaves zero out. A hollow one: it does not.</p>\n");
        put_numbers(out, f);
    } else {
        buf_puts(out, "<p>There is nothing to draw.</p>\n");
    }
    buf_puts(out, "</figure>\n");
}
