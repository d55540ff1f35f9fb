/* SPDX-License-Identifier: Apache-2.0 */
/* Charts of one value a row: intervals (a forest plot) and bars. A row is a line of words with the drawing under it, so
 * that both have the whole width, on a telephone too. */
#include "report/svg_parts.h"

#include <math.h>
#include <string.h>

enum { TOP = 4, ROW = 46, WORDS = 15, MIDDLE = 30, BOTTOM = 24, NAME = 18 };
static const double from = 0, to = 100; /* per cent of the width */

static struct svg_axis axis_of(const struct svg_words *words, const struct svg_row *rows, int n, enum svg_zero zero)
{
    struct svg_range r = {INFINITY, -INFINITY};
    struct svg_axis a = {.name = words->x, .unit = words->unit};
    for (int i = 0; i < n; i++) {
        svg_range_add(&r, rows[i].value);
        svg_range_add(&r, rows[i].low);
        svg_range_add(&r, rows[i].high);
    }
    if (zero != SVG_ZERO_NONE)
        svg_range_add(&r, 0);
    a.ticks = svg_ticks_of(r.low, r.high, 6, 0);
    a.scale = svg_scale_of(&a.ticks, from, to);
    a.y[0] = TOP;
    a.y[1] = TOP + (double)ROW * n + 2;
    return a;
}

static void begin(struct buf *out, const struct svg_words *words, const struct svg_axis *a)
{
    svg_begin(out, words, a->y[1] + BOTTOM + (a->name ? NAME : 0));
    svg_put_x_axis(out, a);
}

static void put_words(struct buf *out, const struct svg_row *row, const struct svg_axis *a, double y)
{
    int at_edge = svg_tick(&a->ticks, 0) == 0; /* of the line at zero */
    size_t right = row->text ? strlen(row->text) : 0;
    svg_put_text(out, &(struct svg_at){0, y + WORDS, SVG_START, at_edge ? "label inset" : "label"}, row->label,
                 right > 20 ? 26 : 44);
    if (row->text)
        svg_put_text(out, &(struct svg_at){100, y + WORDS, SVG_END, "value"}, row->text, 44);
}

/* From low to high with a cap at each end that is finite. */
static void put_whisker(struct buf *out, const struct svg_row *row, const struct svg_axis *a, double y)
{
    if (isnan(row->low) || isnan(row->high))
        return;
    double left = svg_place(&a->scale, row->low);
    double right = svg_place(&a->scale, row->high);
    svg_put_line(out, &(struct svg_stroke){left, y, right, y, "whisker"});
    if (isfinite(row->low))
        svg_put_line(out, &(struct svg_stroke){left, y - 5, left, y + 5, "whisker"});
    if (isfinite(row->high))
        svg_put_line(out, &(struct svg_stroke){right, y - 5, right, y + 5, "whisker"});
}

void svg_intervals(struct buf *out, const struct svg_words *words, const struct svg_row *rows, int n,
                   enum svg_zero zero)
{
    struct svg_axis axis = axis_of(words, rows, n, zero);
    begin(out, words, &axis);
    for (int i = 0; i < n; i++) {
        const struct svg_row *row = rows + i;
        double y = TOP + (double)ROW * i;
        int clear = zero != SVG_ZERO_NULL || row->low > 0 || row->high < 0;
        put_words(out, row, &axis, y);
        put_whisker(out, row, &axis, y + MIDDLE);
        if (isfinite(row->value))
            svg_put_mark(out, row->series, svg_place(&axis.scale, row->value), y + MIDDLE, clear);
    }
    svg_end(out);
}

void svg_bars(struct buf *out, const struct svg_words *words, const struct svg_row *rows, int n)
{
    struct svg_axis axis = axis_of(words, rows, n, SVG_ZERO_BASE);
    double zero = svg_place(&axis.scale, 0);
    begin(out, words, &axis);
    for (int i = 0; i < n; i++) {
        const struct svg_row *row = rows + i;
        double y = TOP + (double)ROW * i;
        put_words(out, row, &axis, y);
        if (isfinite(row->value)) {
            double x = svg_place(&axis.scale, row->value);
            buf_printf(out, "<rect class=\"bar s%d\" x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"14\"/>\n",
                       row->series % SVG_COLOURS, fmin(x, zero), y + MIDDLE - 7, fabs(x - zero));
        }
        put_whisker(out, row, &axis, y + MIDDLE);
    }
    svg_end(out);
}
