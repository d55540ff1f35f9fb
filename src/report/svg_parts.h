/* SPDX-License-Identifier: Apache-2.0 */
/* What the charts share. */
#ifndef REPORT_SVG_PARTS_H
#define REPORT_SVG_PARTS_H

#include "report/svg.h"

/* From values to places: low to high on from to to. */
struct svg_scale {
    double low, high, from, to;
};
double svg_place(const struct svg_scale *s, double v); /* clamped to a little outside of from to to */
struct svg_scale svg_scale_of(const struct svg_ticks *t, double from, double to);

/* The least and the greatest finite value seen. */
struct svg_range {
    double low, high;
};
void svg_range_add(struct svg_range *r, double v);

/* <svg ...><title>..</title><desc>..</desc>, height in pixels; and its end. */
void svg_begin(struct buf *out, const struct svg_words *words, double height);
void svg_end(struct buf *out);

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };
struct svg_at {
    double x, y; /* per cent, pixels */
    enum svg_anchor anchor;
    const char *css; /* class */
};
void svg_put_text(struct buf *out, const struct svg_at *at, const char *text, int most); /* cut to most characters */
/* A straight line from x1, y1 to x2, y2. */
struct svg_stroke {
    double x1, y1, x2, y2;
    const char *css;
};
void svg_put_line(struct buf *out, const struct svg_stroke *s);
/* The i-th of the marks (they repeat), around a place: circle, square, triangle, diamond, cross, bar. */
void svg_put_mark(struct buf *out, int i, double x, double y, int full);
#define SVG_COLOURS 6 /* classes s0 to s5, which repeat */
/* Vertical lines at the ticks from y[0] to y[1], but at the edges only at zero, their numbers below, and the name of
 * the axis below these. */
struct svg_axis {
    struct svg_ticks ticks;
    struct svg_scale scale;
    double y[2];
    const char *name, *unit; /* NULL: none */
};
void svg_put_x_axis(struct buf *out, const struct svg_axis *a);

#endif
