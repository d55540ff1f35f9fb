/* SPDX-License-Identifier: Apache-2.0 */
/* Records, one JSON object each, streamed from JSON Lines, from one JSON array of objects or from a table (io/csv.h),
 * plain or gzip, from a file or standard input ("-"). The first character tells lines from an array. A table is what is
 * called .csv or .tsv (.gz), or what else begins with a row of names of which one is a common field's ("question",
 * "prompt", "text", ...) and is not called .json or .jsonl; its rows become objects of texts, rows of nothing but empty
 * fields are passed over. Two columns whose first row reads as text and names no common field (of what is called so, or
 * between tabs) have no row of names: they are question and answer. A BOM, CRLF line ends and blank lines are fine.
 * Everything else that is wrong is an error with FILE:LINE. */
#ifndef IO_JSONL_H
#define IO_JSONL_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

struct jsonl;
int jsonl_open(struct jsonl **out, const char *path, struct error *err);
/* From bytes the caller keeps. */
int jsonl_open_bytes(struct jsonl **out, const void *bytes, size_t n, const char *name, struct error *err);
/* 1 with a new reference in *record, 0 at the end, or an error code (then no more can be read). */
int jsonl_next(struct jsonl *r, json_t **record, struct error *err);
/* The same for records that people wrote: what jsontext_parse_record forgives is no error, and a record of more than
 * JSONL_MAX_RECORD bytes is an empty object. *odd: what is odd about this record, until the next one; NULL: nothing. */
enum { JSONL_MAX_RECORD = 1 << 24 };
int jsonl_next_record(struct jsonl *r, json_t **record, const char **odd, struct error *err);
void jsonl_hush(struct jsonl *r);          /* no warning at its close */
void jsonl_expect_names(struct jsonl *r);  /* before the first record: a table's first row is one of names */
int jsonl_is_lines(const struct jsonl *r); /* JSON Lines: neither an array nor a table */
/* After a first record: "JSON Lines", "a JSON array", "a table with ';' between its fields". */
const char *jsonl_form(const struct jsonl *r);
int jsonl_is_packed(const struct jsonl *r);  /* gzip */
int jsonl_is_unnamed(const struct jsonl *r); /* a table of two columns without a row of names */
long jsonl_line(const struct jsonl *r);      /* where the last record began, from 1 */
const char *jsonl_name(const struct jsonl *r);
/* NULL is fine. Warns of records whose lone surrogate escapes ("\ud83d" alone, as Python writes them) were replaced by
 * U+FFFD. */
void jsonl_close(struct jsonl *r);

/* All records of a file as an array (a new reference). */
int jsonl_load(json_t **array, const char *path, struct error *err);

#endif
