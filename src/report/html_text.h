/* SPDX-License-Identifier: Apache-2.0 */
/* Text on its way into HTML: models, files and other machines write it, so that nothing in it may be markup, hide
 * itself or turn the direction of what stands around it. */
#ifndef REPORT_HTML_TEXT_H
#define REPORT_HTML_TEXT_H

#include "base/buf.h"

#include <stddef.h>

/* Appends s as text, safe between tags and inside double quotes. Bytes that are no UTF-8 become U+FFFD; control
 * characters but tab and line feed become their pictures (U+240A ...) or "[U+0085]", as do signs that turn the
 * direction, signs without width that could hide text, and what HTML does not allow. CR LF is a line feed. */
void html_text(struct buf *out, const char *s);
/* The same of at most `most` characters, and "…" for the rest; line feeds and tabs become spaces. */
void html_text_cut(struct buf *out, const char *s, int most);

#endif
