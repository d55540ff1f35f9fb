/* SPDX-License-Identifier: Apache-2.0 */
/* A document's tables and curves for other programs. */
#ifndef REPORT_TABLES_H
#define REPORT_TABLES_H

#include "base/buf.h"
#include "report/differences.h"
#include "report/document.h"

/* RFC 4180 with a row of names; numbers in full and shares as fractions. A column of which a cell has an interval is
 * followed by NAME_low and NAME_high. Appends. */
void table_csv(struct buf *out, const struct table *t);
/* A table environment for booktabs (\usepackage{booktabs,longtable,array}), the notes below it. Appends. */
void table_latex(struct buf *out, const struct table *t);
/* A table of GitHub's Markdown, the notes as paragraphs below it; and one text in it. Both append. */
void table_markdown(struct buf *out, const struct table *t);
void markdown_text(struct buf *out, const char *text);
/* DIR/tables/NAME.csv and .tex of every table. */
int tables_write(const struct document *d, const char *directory, struct error *err);
/* The tables of DIR/tables that are not what the document says or are not there, a line each; nothing where there is
 * no DIR/tables. */
int tables_compare(const struct document *d, const char *directory, struct differences *x, struct error *err);
/* TensorBoard scalars of every figure of lines (NAME/SERIES over x as the step), as one file in DIR whose
 * bytes are those of the document and `begun` alone; nothing without such a figure. */
int figures_write_events(const struct document *d, double begun, const char *directory, struct error *err);

#endif
