/* SPDX-License-Identifier: Apache-2.0 */
/* JSON texts through jansson, strictly: no duplicate keys, valid UTF-8, and errors as FILE:LINE:COLUMN. */
#ifndef IO_JSONTEXT_H
#define IO_JSONTEXT_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

/* JSON text and where it stands: bytes [0, n), which begin at that line and column (both from 1) of what errors call
 * `name`. */
struct jsontext {
    const char *bytes;
    size_t n;
    const char *name;
    long line, column;
};
static inline struct jsontext jsontext_whole(const char *bytes, size_t n, const char *name) /* from its beginning */
{
    return (struct jsontext){bytes, n, name, 1, 1};
}

/* Parses exactly one value. A BOM at the start is skipped. repaired, if not NULL: lone surrogate escapes (\ud83d
 * without its half, as Python writes them) are replaced by U+FFFD and added to it; if NULL they are an error. */
int jsontext_parse(json_t **out, struct jsontext text, long *repaired, struct error *err);
/* One object of a person's file. A key that is there twice, NaN, Infinity and numbers beyond a double make that member
 * null, integers beyond 64 bits become reals; *odd then says what was the first of them (FILE:LINE: ...), else it stays
 * empty. Everything else is as above. */
int jsontext_parse_record(json_t **out, struct jsontext text, long *repaired, struct buf *odd, struct error *err);
/* A whole file of a model: a regular one, and no more values than a tree of 1 GiB holds. */
int jsontext_load(json_t **out, const char *path, size_t max_bytes, struct error *err);
/* ERROR_DATA for a text whose tree would take more than 1 GiB, which is counted before it is made: 100 MB of empty
 * lists would take 10 GB. */
int jsontext_check_tree(const char *text, size_t n, const char *name, struct error *err);
/* A document by jansson's flags; NULL and *why when it is none. Only here (and in the functions above) a failed
 * allocation is safe: then NULL, and why->text is empty. */
json_t *jsontext_document(const char *text, size_t n, size_t flags, json_error_t *why);
/* Appends value to out, in one line or indented by two, spaced as Python's json does; keys in the order they were put
 * in, reals in the shortest form that reads back equal, nothing escaped to ASCII. NULL, a value that could not be made,
 * is an error for want of memory. */
int jsontext_dump(struct buf *out, const json_t *value, int indented, struct error *err);
int jsontext_write(const char *path, const json_t *value, struct error *err); /* indented, final newline, atomic */

#endif
