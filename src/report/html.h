/* SPDX-License-Identifier: Apache-2.0 */
/* A document as one page of HTML that stands alone: style sheet and drawings are in it, it has no script and loads
 * nothing, and its policy forbids both. Readable in light, in dark, on paper, on a telephone and by ear. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include "base/buf.h"
#include "report/document.h"

/* Appends the page; out->failed when memory ran out. */
void report_html(const struct document *d, struct buf *out);

#endif
