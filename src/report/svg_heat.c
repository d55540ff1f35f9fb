/* SPDX-License-Identifier: Apache-2.0 */
/* A heat map: names of the rows to the left, of the columns above, the number in each cell. */
#include "report/svg_parts.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEAD = 26, CELL = 40, FEW = 4, DEPTHS = 6 };
static const double left = 30; /* per cent of the width for the names of the rows */

/* Name i of a row or a column; where there are many columns they are numbered, and the rows with the same names tell
 * the numbers. */
static void put_names(struct buf *out, const struct svg_heat *map)
{
    char text[256];
    double width = (100 - left) / map->n_column;
    for (int j = 0; j < map->n_column; j++) {
        struct svg_at at = {left + (j + 0.5) * width, HEAD - 10, SVG_MIDDLE, "tick"};
        if (map->n_column > FEW) {
            snprintf(text, sizeof text, "%d", j + 1);
            svg_put_text(out, &at, text, INT_MAX);
        } else {
            svg_put_text(out, &at, map->columns[j], 40 / map->n_column);
        }
    }
    for (int i = 0; i < map->n_row; i++) {
        struct svg_at at = {0, HEAD + CELL * i + CELL / 2 + 4, SVG_START, "label"};
        svg_put_text(out, &at, map->rows[i], 16);
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

void svg_heat_map(struct buf *out, const struct svg_words *words, const struct svg_heat *map)
{
    double most = 0;
    int n = map->n_row * map->n_column;
    for (int i = 0; i < n; i++)
        if (isfinite(map->values[i]))
            most = fmax(most, fabs(map->values[i]));
    svg_begin(out, words, HEAD + (double)CELL * map->n_row + 2);
    if (n)
        put_names(out, map);
    for (int i = 0; i < n; i++)
        put_cell(out, map, i, most);
    svg_end(out);
}
