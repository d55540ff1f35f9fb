/* SPDX-License-Identifier: Apache-2.0 */
/* Records from JSON Lines, or from one JSON array of objects, plain or gzip, "-" for standard input. UTF-8 with BOM and CRLF are tolerated; blank lines
 * are skipped. Errors name FILE:LINE (and the byte where it is not UTF-8). */
#ifndef IO_JSONL_H
#define IO_JSONL_H

#include "base/error.h"

#include <jansson.h>

struct jsonl;
int jsonl_open(struct jsonl **out, const char *path, struct error *err);
int jsonl_open_bytes(struct jsonl **out, const void *bytes, size_t n, const char *name, struct error *err); /* bytes stay the caller's */
void jsonl_close(struct jsonl *r); /* NULL is fine */
/* 1 with a new object (the caller's reference), 0 at the end, or an error code: not JSON, not an object, too long. */
int jsonl_next(struct jsonl *r, json_t **record, struct error *err);
long jsonl_line(const struct jsonl *r);     /* of the last record, from 1 */
const char *jsonl_name(const struct jsonl *r);
long jsonl_repaired(const struct jsonl *r); /* lone surrogates replaced so far */

#endif
