/* SPDX-License-Identifier: Apache-2.0 */
/* CSV as RFC 4180 has it: fields between commas, quoted when they hold commas, quotes (doubled) or newlines; LF or
 * CRLF. The first row names the columns; every other row must have as many fields. A BOM and blank lines are fine.
 * Input as in io/input.h.
 *
 * Tables of people (csv_open_table) may have semicolons or tabs instead of commas, CR alone at a row's end, blanks
 * around a quoted field, empty fields too many at a row's end, and, between tabs, quotes that are only text. */
#ifndef IO_CSV_H
#define IO_CSV_H

#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>

struct csv;
struct input;
int csv_open(struct csv **out, const char *path, struct error *err); /* reads the row of names */
int csv_open_bytes(struct csv **out, const void *bytes, size_t n, const char *name, struct error *err);
/* `in` stays the caller's and must outlive it. */
int csv_open_table(struct csv **out, struct input *in, char delimiter, struct error *err);
/* Before the first csv_next: the row of names is the first row of data, and these are the names (as many). */
int csv_rename_columns(struct csv *c, const char *const *names, struct error *err);
void csv_close(struct csv *c); /* NULL is fine */
/* The delimiter of the rows that begin at bytes: the one of comma, semicolon and tab that stands as often in all of the
 * first ones, outside of quotes; else the one that stands in the first row most often; 0: none does. */
char csv_delimiter(const char *bytes, size_t n);

size_t csv_n_column(const struct csv *c);
const char *csv_column_name(const struct csv *c, size_t i);
long csv_column(const struct csv *c, const char *name); /* index, or -1 */
/* 1 with the next row at hand, 0 at the end, or an error code with FILE:LINE. */
int csv_next(struct csv *c, struct error *err);
int csv_is_too_long(const struct csv *c); /* a table's row at hand, beyond 16 MiB, which has no fields */
const char *csv_field(const struct csv *c,
                      size_t i); /* of the row at hand; valid UTF-8 without NUL; until the next csv_next */
/* Writing: a field, in quotes where it needs them; one that is quoted always. Rows end in "\r\n". */
void csv_put(struct buf *out, const char *text);
void csv_put_quoted(struct buf *out, const char *text);
long csv_line(const struct csv *c); /* where the row began, from 1 */

#endif
