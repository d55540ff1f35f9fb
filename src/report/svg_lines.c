/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over a common x. A path cannot have places in per cent: it stands in a drawing of its own of 1000 by HEIGHT
 * that the browser stretches to the chart's width, its strokes excepted. */
#include "base/utf8.h"
#include "report/svg_parts.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { LEGEND_ROW = 22, HEIGHT = 220, ABOVE = 38, BOTTOM = 24, NAME = 18, COLUMNS_OF_PIXELS = 500, MARKS = 12 };
static const double to = 96; /* per cent of the width */

struct lines {
    struct svg_axis x;
    struct svg_ticks y_ticks;
    struct svg_scale y; /* pixels, downwards */
    double from;        /* per cent of the width, behind the numbers of the axis */
    double top;
    int legend_columns;
};

/* One column where a name is long. */
static int legend_columns(const struct svg_series *list, int n)
{
    for (int i = 0; i < n; i++)
        if (strlen(list[i].name) > 22)
            return 1;
    return n > 1 ? 2 : 1;
}

static void range_of(const struct svg_series *s, struct svg_range *x, struct svg_range *y)
{
    for (int i = 0; i < s->n; i++) {
        if (!isfinite(s->x[i]) || !isfinite(s->y[i]))
            continue;
        svg_range_add(x, s->x[i]);
        svg_range_add(y, s->y[i]);
        if (s->low)
            svg_range_add(y, s->low[i]);
        if (s->high)
            svg_range_add(y, s->high[i]);
    }
}

/* Room for the longest number of the axis on a narrow page. */
static double room(const struct svg_ticks *t, const char *unit)
{
    char text[48];
    size_t most = 0;
    for (int i = 0; i < t->n; i++) {
        size_t n = strlen(svg_tick_text(text, t, i, unit));
        size_t characters = utf8_count(text, n);
        most = characters > most ? characters : most;
    }
    if (most > 5)
        return 18;
    return most > 3 ? 13 : 9;
}

static struct lines lines_of(const struct svg_words *words, const struct svg_series *list, int n, int whole)
{
    struct svg_range x = {INFINITY, -INFINITY};
    struct svg_range y = {INFINITY, -INFINITY};
    struct lines l = {.x = {.name = words->x}, .legend_columns = legend_columns(list, n)};
    for (int i = 0; i < n; i++)
        range_of(list + i, &x, &y);
    if (y.low > 0 && y.low < y.high / 2) /* zero is near: a share or a loss is read against it */
        y.low = 0;
    l.y_ticks = svg_ticks_of(y.low, y.high, 6, 0);
    l.from = room(&l.y_ticks, words->unit);
    l.x.ticks = svg_ticks_of(x.low, x.high, 6, whole);
    l.x.scale = (struct svg_scale){x.low, x.high, l.from, to};
    if (!(x.high > x.low))
        l.x.scale = svg_scale_of(&l.x.ticks, l.from, to);
    l.top = n > 1 ? (double)LEGEND_ROW * ((n + l.legend_columns - 1) / l.legend_columns) : 0;
    l.x.y[0] = l.top + ABOVE;
    l.x.y[1] = l.x.y[0] + HEIGHT;
    l.y = svg_scale_of(&l.y_ticks, l.x.y[1], l.x.y[0]);
    return l;
}

/* Numbers above their lines, so that they need no room beside them. */
static void put_y_axis(struct buf *out, const struct lines *l, const struct svg_words *words)
{
    char text[48];
    for (int i = 0; i < l->y_ticks.n; i++) {
        double v = svg_tick(&l->y_ticks, i);
        double y = svg_place(&l->y, v);
        svg_put_line(out, &(struct svg_stroke){0, y, 100, y, v == 0 || !i ? "zero" : "grid"});
        svg_put_text(out, &(struct svg_at){0, y - 4, SVG_START, "tick"},
                     svg_tick_text(text, &l->y_ticks, i, words->unit), INT_MAX);
    }
    if (words->y)
        svg_put_text(out, &(struct svg_at){0, l->top + 12, SVG_START, "axis"}, words->y, 60);
}

/* Numbers and short strokes below, where the axis has data. */
static void put_x_ticks(struct buf *out, const struct svg_axis *a)
{
    char text[48];
    for (int i = 0; i < a->ticks.n; i++) {
        double v = svg_tick(&a->ticks, i);
        double x = svg_place(&a->scale, v);
        if (v < a->scale.low || v > a->scale.high)
            continue;
        svg_put_line(out, &(struct svg_stroke){x, a->y[1], x, a->y[1] + 4, "zero"});
        svg_put_text(out, &(struct svg_at){x, a->y[1] + 18, SVG_MIDDLE, "tick"},
                     svg_tick_text(text, &a->ticks, i, NULL), INT_MAX);
    }
    if (a->name)
        svg_put_text(out, &(struct svg_at){a->scale.to, a->y[1] + 36, SVG_END, "axis"}, a->name, 60);
}

static void put_legend(struct buf *out, const struct lines *l, const struct svg_series *list, int n)
{
    for (int i = 0; n > 1 && i < n; i++) {
        double x = i % l->legend_columns ? 52 : 0;
        double y = (double)LEGEND_ROW * (i / l->legend_columns) + 10;
        buf_printf(out, "<svg x=\"%.2f%%\" y=\"%.1f\" class=\"mark\"><path class=\"line s%d\" d=\"M0 0h34\"/>", x, y,
                   i % SVG_COLOURS);
        buf_puts(out, "<svg class=\"mark\" x=\"17\">");
        svg_put_mark(out, i, 0, 0, 1);
        buf_puts(out, "</svg><svg class=\"mark\" x=\"42\">");
        svg_put_text(out, &(struct svg_at){0, 4, SVG_START, "label"}, list[i].name, 44);
        buf_puts(out, "</svg></svg>\n");
    }
}

static void put_point(struct buf *out, const struct lines *l, char letter, double x, double y)
{
    double across = (svg_place(&l->x.scale, x) - l->from) / (to - l->from) * 1000;
    buf_printf(out, "%c%.1f %.1f", letter, across, svg_place(&l->y, y) - l->x.y[0]);
}

static void begin_path(struct buf *out, const struct lines *l)
{
    buf_printf(out,
               "<svg x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"%d\" viewBox=\"0 0 1000 %d\" "
               "preserveAspectRatio=\"none\" class=\"stretch\">",
               l->from, l->x.y[0], to - l->from, HEIGHT, HEIGHT);
}

/* The points that are drawn of a long series: of each pixel's the least and the greatest, in their order. Returns the
 * end of the pixel that begins at i, and the two in at. */
static int pixel(const struct svg_series *s, int i, int at[2])
{
    int a = i;
    int b = i;
    int end = (int)((long long)((long long)i * COLUMNS_OF_PIXELS / s->n + 1) * s->n / COLUMNS_OF_PIXELS);
    if (s->n <= 2 * COLUMNS_OF_PIXELS || end <= i)
        end = i + 1;
    for (int k = i; k < end && k < s->n; k++) {
        a = s->y[k] < s->y[a] ? k : a;
        b = s->y[k] > s->y[b] ? k : b;
    }
    at[0] = a < b ? a : b;
    at[1] = a < b ? b : a;
    return end;
}

static void put_line(struct buf *out, const struct lines *l, const struct svg_series *s, int index)
{
    char letter = 'M';
    int at[2];
    begin_path(out, l);
    buf_printf(out, "<path class=\"line s%d\" d=\"", index % SVG_COLOURS);
    for (int i = 0, end; i < s->n; i = end) {
        end = pixel(s, i, at);
        for (int k = 0; k < 1 + (at[1] > at[0]); k++) {
            int finite = isfinite(s->x[at[k]]) && isfinite(s->y[at[k]]);
            if (finite)
                put_point(out, l, letter, s->x[at[k]], s->y[at[k]]);
            letter = finite ? 'L' : 'M';
        }
    }
    buf_puts(out, "\"/></svg>\n");
}

static int has_band(const struct svg_series *s, int i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]) && isfinite(s->low[i]) && isfinite(s->high[i]);
}

/* There along the upper bounds and back along the lower ones; points without an interval are left out. */
static void put_band(struct buf *out, const struct lines *l, const struct svg_series *s, int index)
{
    char letter = 'M';
    if (!s->low || !s->high)
        return;
    begin_path(out, l);
    buf_printf(out, "<path class=\"band s%d\" d=\"", index % SVG_COLOURS);
    for (int i = 0; i < s->n; i++)
        if (has_band(s, i)) {
            put_point(out, l, letter, s->x[i], s->high[i]);
            letter = 'L';
        }
    for (int i = s->n - 1; i >= 0; i--)
        if (has_band(s, i))
            put_point(out, l, letter, s->x[i], s->low[i]);
    buf_puts(out, "\"/></svg>\n");
}

/* Few enough not to hide the line, the last one always; a long line that is alone needs none. */
static void put_marks(struct buf *out, const struct lines *l, const struct svg_series *s, int index)
{
    int every = (s->n + MARKS - 1) / MARKS;
    for (int i = s->n - 1; i >= 0; i -= every)
        if (isfinite(s->x[i]) && isfinite(s->y[i]))
            svg_put_mark(out, index, svg_place(&l->x.scale, s->x[i]), svg_place(&l->y, s->y[i]), 1);
}

void svg_lines(struct buf *out, const struct svg_words *words, const struct svg_series *list, int n, int whole)
{
    struct lines l = lines_of(words, list, n, whole);
    svg_begin(out, words, l.x.y[1] + BOTTOM + (words->x ? NAME : 0));
    put_legend(out, &l, list, n);
    put_y_axis(out, &l, words);
    put_x_ticks(out, &l.x);
    for (int i = 0; i < n; i++)
        put_band(out, &l, list + i, i);
    for (int i = 0; i < n; i++) {
        put_line(out, &l, list + i, i);
        if (n > 1 || list[i].n <= MARKS)
            put_marks(out, &l, list + i, i);
    }
    svg_end(out);
}
