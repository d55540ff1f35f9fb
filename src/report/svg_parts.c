/* SPDX-License-Identifier: Apache-2.0 */
#include "report/svg_parts.h"

#include "report/html_text.h"

#include <limits.h>

void svg_begin(struct buf *out, const struct svg_words *words, double height)
{
    buf_printf(out,
               "<svg class=\"chart\" role=\"img\" width=\"100%%\" height=\"%.0f\" aria-labelledby=\"%s-t %s-d\">\n"
               "<title id=\"%s-t\">",
               height, words->id, words->id, words->id);
    html_text(out, words->title);
    buf_printf(out, "</title>\n<desc id=\"%s-d\">", words->id);
    html_text(out, words->description);
    buf_puts(out, "</desc>\n");
}

void svg_end(struct buf *out)
{
    buf_puts(out, "</svg>\n");
}

void svg_put_text(struct buf *out, const struct svg_at *at, const char *text, int most)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    buf_printf(out, "<text class=\"%s\" x=\"%.2f%%\" y=\"%.1f\" text-anchor=\"%s\">", at->css, at->x, at->y,
               anchors[at->anchor]);
    html_text_cut(out, text, most);
    buf_puts(out, "</text>\n");
}

void svg_put_line(struct buf *out, const struct svg_stroke *s)
{
    buf_printf(out, "<line class=\"%s\" x1=\"%.2f%%\" y1=\"%.1f\" x2=\"%.2f%%\" y2=\"%.1f\"/>\n", s->css, s->x1, s->y1,
               s->x2, s->y2);
}

void svg_put_mark(struct buf *out, int i, double x, double y, int full)
{
    static const char *const shapes[] = {
        "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", /* circle */
        "M-4 -4h8v8h-8z",                                /* square */
        "M0 -5l5 9h-10z",                                /* triangle */
        "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",           /* diamond */
        "M-4 -4l8 8m0 -8l-8 8",                          /* cross */
        "M0 -6v12",                                      /* bar */
    };
    int n = (int)(sizeof shapes / sizeof *shapes);
    buf_printf(out, "<svg class=\"mark s%d %s\" x=\"%.2f%%\" y=\"%.1f\"><path d=\"%s\"/></svg>\n", i % SVG_COLOURS,
               full ? "full" : "hollow", x, y, shapes[i % n]);
}

/* At the edges a number stands inside of them. */
static enum svg_anchor anchor_of(double x)
{
    if (x < 2)
        return SVG_START;
    return x > 98 ? SVG_END : SVG_MIDDLE;
}

void svg_put_x_axis(struct buf *out, const struct svg_axis *a)
{
    char text[48];
    for (int i = 0; i < a->ticks.n; i++) {
        double v = svg_tick(&a->ticks, i);
        double x = svg_place(&a->scale, v);
        if (v == 0 || anchor_of(x) == SVG_MIDDLE)
            svg_put_line(out, &(struct svg_stroke){x, a->y[0], x, a->y[1], v == 0 ? "zero" : "grid"});
        svg_put_text(out, &(struct svg_at){x, a->y[1] + 16, anchor_of(x), "tick"},
                     svg_tick_text(text, &a->ticks, i, a->unit), INT_MAX);
    }
    if (a->name)
        svg_put_text(out, &(struct svg_at){a->scale.to, a->y[1] + 34, SVG_END, "axis"}, a->name, 60);
}
