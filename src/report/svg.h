/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as inline SVG for a page of HTML. Pure: from arrays to markup.
 *
 * A chart is as wide as the page lets it be and its text stays as large as the page's: across, places are per cent of
 * the width; down, they are pixels. Colours are classes that the page's style sheet (report/html_style.c) fills, in
 * light and in dark; what a colour says, a shape, a dash or a word says as well. Every chart has role="img" and is
 * named by its <title> and <desc>; the numbers belong into a table beside it. Texts may be anything. What is not
 * finite is not drawn. */
#ifndef REPORT_SVG_H
#define REPORT_SVG_H

#include "base/buf.h"

struct svg_words {
    const char *id;                  /* of letters, digits and "-"; unique in the page */
    const char *title, *description; /* what it shows; what is to be seen in it */
    const char *x, *y;               /* names of the axes; NULL: none */
    const char *unit;                /* behind the numbers of the axis of values: " %"; NULL: nothing */
};

/* One line of a chart of intervals or of bars, from the top. */
struct svg_row {
    const char *label;       /* to the left */
    const char *text;        /* the numbers in words, to the right; NULL: none */
    double value, low, high; /* NAN: none; a bound that is infinite runs to the edge */
    int series;              /* the colour and the mark: 0, 1, ... */
};
/* What zero is to values: SVG_ZERO_NONE: a number like others, which the axis need not reach; SVG_ZERO_BASE: where they
 * begin; SVG_ZERO_NULL: no effect, so that a mark is filled where its interval leaves zero out and hollow elsewhere. */
enum svg_zero { SVG_ZERO_NONE, SVG_ZERO_BASE, SVG_ZERO_NULL };
/* A forest plot: a mark for each value on its interval. */
void svg_intervals(struct buf *out, const struct svg_words *words, const struct svg_row *rows, int n,
                   enum svg_zero zero);
/* Bars from zero with their intervals. */
void svg_bars(struct buf *out, const struct svg_words *words, const struct svg_row *rows, int n);

struct svg_series {
    const char *name;
    const double *x, *y;      /* [n], x rising */
    const double *low, *high; /* [n]: a band around it; NULL: none */
    int n;
};
/* Lines over a common x. Each series has its own dash and mark; of long ones each pixel's least and greatest are
 * drawn. whole: x counts something, so that its ticks are whole numbers. */
void svg_lines(struct buf *out, const struct svg_words *words, const struct svg_series *list, int n, int whole);

struct svg_heat {
    const char *const *rows, *const *columns; /* names */
    int n_row, n_column;
    const double *values;     /* [n_row][n_column]; NAN: none */
    const char *const *texts; /* the same in words */
};
/* A cell is the deeper the farther its value is from zero, in one hue above it and another below. */
void svg_heat_map(struct buf *out, const struct svg_words *words, const struct svg_heat *map);

/* Ticks of an axis: round numbers (1, 2 or 5 times a power of ten) that cover low to high, at most `most` of them. */
struct svg_ticks {
    double first, step;
    int n, decimals;
};
struct svg_ticks svg_ticks_of(double low, double high, int most, int whole);
double svg_tick(const struct svg_ticks *t, int i);
/* "−0.25" in UTF-8, and the unit, which may be NULL. */
const char *svg_tick_text(char out[48], const struct svg_ticks *t, int i, const char *unit);

#endif
