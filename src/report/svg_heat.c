/* SPDX-License-Identifier: Apache-2.0 */
/* A heat map: names of the rows to the left, of the columns above, the number in each cell. Many columns, or
 * such with long names, are numbered, and their names stand below. */
#include "base/utf8.h"
#include "report/svg_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEAD = 26, CELL = 40, FEW = 4, DEPTHS = 6, LINE = 13, HEAD_WIDTH = 33, LEGEND_ROW = 18 };
static const double left = 30; /* per cent of the width for the names of the rows */

static int is_numbered(const struct svg_heat *map)
{
    for (int j = 0; j < map->n_column; j++)
        if (utf8_count(map->columns[j], strlen(map->columns[j])) > HEAD_WIDTH / (size_t)map->n_column)
            return 1;
    return map->n_column > FEW;
}

static void put_columns(struct buf *out, const struct svg_heat *map)
{
    char number[16];
    double width = (100 - left) / map->n_column;
    for (int j = 0; j < map->n_column; j++) {
        struct svg_at at = {left + (j + 0.5) * width, HEAD - 10, SVG_MIDDLE, "tick"};
        snprintf(number, sizeof number, "%d", j + 1);
        svg_put_text(out, &at, is_numbered(map) ? number : map->columns[j], HEAD_WIDTH);
    }
}

/* Bytes of the words of a name that fit into its first line; all of them where it needs no second. */
static size_t first_line(const char *name)
{
    size_t n = strlen(name);
    if (utf8_count(name, n) <= LINE)
        return n;
    for (size_t k = n; k > 0; k--)
        if (name[k - 1] == ' ' && utf8_count(name, k - 1) <= LINE)
            return k - 1;
    return n;
}

/* In one line or in two. */
static void put_row_name(struct buf *out, const char *name, double y)
{
    struct buf line = BUF_INIT;
    size_t n = first_line(name);
    int two = name[n] != 0;
    buf_append(&line, name, n);
    svg_put_text(out, &(struct svg_at){0, y + (two ? -3 : 4), SVG_START, "label"}, buf_text(&line), LINE);
    if (two)
        svg_put_text(out, &(struct svg_at){0, y + 12, SVG_START, "label"}, name + n + 1, LINE);
    out->failed |= line.failed;
    buf_free(&line);
}

/* What the numbers above the columns stand for, two a line. */
static void put_legend(struct buf *out, const struct svg_heat *map, double y)
{
    char text[256];
    for (int j = 0; j < map->n_column; j++) {
        struct svg_at at = {j % 2 ? 50 : 0, y + LEGEND_ROW * (j / 2 + 1), SVG_START, "tick"};
        snprintf(text, sizeof text, "%d  %s", j + 1, map->columns[j]);
        svg_put_text(out, &at, text, 26);
    }
}

/* "up3" or "down2": how far from zero in sixths of the farthest. */
static void put_cell(struct buf *out, const struct svg_heat *map, int at, double most)
{
    double v = map->values[at];
    int depth = isfinite(v) && most > 0 ? (int)ceil(fabs(v) / most * DEPTHS - 1e-9) : 0;
    double width = (100 - left) / map->n_column;
    double x = left + at % map->n_column * width;
    double y = HEAD + (double)CELL * (at / map->n_column);
    if (!isfinite(v))
        buf_puts(out, "<rect class=\"cell none\"");
    else
        buf_printf(out, "<rect class=\"cell %s%d\"", v < 0 ? "down" : "up", depth);
    buf_printf(out, " x=\"%.2f%%\" y=\"%.1f\" width=\"%.2f%%\" height=\"%d\"/>\n", x, y, width, CELL);
    svg_put_text(out, &(struct svg_at){x + width / 2, y + CELL / 2.0 + 4, SVG_MIDDLE, "value"},
                 isfinite(v) ? map->texts[at] : "–", 10);
}

/* "test set →" in the corner */
static void put_axis_name(struct buf *out, const char *name)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%.60s →", name);
    svg_put_text(out, &(struct svg_at){left - 2, HEAD - 10, SVG_END, "axis"}, buf_text(&text), 14);
    out->failed |= text.failed;
    buf_free(&text);
}

void svg_heat_map(struct buf *out, const struct svg_words *words, const struct svg_heat *map)
{
    double most = 0;
    int n = map->n_row * map->n_column;
    for (int i = 0; i < n; i++)
        if (isfinite(map->values[i]))
            most = fmax(most, fabs(map->values[i]));
    double bottom = HEAD + (double)CELL * map->n_row;
    int numbered = is_numbered(map);
    svg_begin(out, words, bottom + 2 + (numbered ? 6 + LEGEND_ROW * ((map->n_column + 1) / 2) : 0));
    if (n)
        put_columns(out, map);
    if (words->x)
        put_axis_name(out, words->x);
    for (int i = 0; i < map->n_row; i++)
        put_row_name(out, map->rows[i], HEAD + CELL * (i + 0.5));
    for (int i = 0; i < n; i++)
        put_cell(out, map, i, most);
    if (numbered)
        put_legend(out, map, bottom);
    svg_end(out);
}
