/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the page share. */
#ifndef REPORT_HTML_PARTS_H
#define REPORT_HTML_PARTS_H

#include "base/buf.h"
#include "report/document.h"
#include "report/svg.h"

extern const char html_style[]; /* the style sheet */

/* The anchors are "NAME" of a section, "table-NAME" of a table, "figure-NAME" of a figure. */
void html_table(struct buf *out, const struct document *d, const struct table *t);
void html_figure(struct buf *out, const struct figure *f);
/* The drawing alone; fails in `out` for want of memory. */
void html_draw(struct buf *out, const struct figure *f, const struct svg_words *words);

/* A point's place, "round-1" or "step 8", with the series' name where there are several; and its numbers. */
void html_point_name(struct buf *out, const struct series *s, const struct point *p);
void html_point_text(struct buf *out, const struct figure *f, const struct point *p);

/* Our own sentences, in which a "-" before a number becomes a real minus; the first one does not escape. */
void html_minus(struct buf *out, const char *text);
void html_prose(struct buf *out, const char *text);
/* A number as printed in ASCII, with a real minus and, where grouped, a narrow space between thousands. */
void html_number(struct buf *out, const char *text, int grouped);
/* A cell's contents: what value_text and cell_text say, its interval apart; a dash when it is empty. */
void html_value(struct buf *out, const struct cell *c, const struct column *column);

#endif
