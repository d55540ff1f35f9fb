/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of bytes from a file or standard input ("-"), unpacked when it begins with gzip's magic. What is compressed
 * otherwise, or is no text at all (zstd, Parquet, zip), is named with its mend. */
#ifndef IO_INPUT_H
#define IO_INPUT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

struct input;
int input_open(struct input **out, const char *path, struct error *err);
/* From bytes the caller keeps; name for messages. */
int input_open_bytes(struct input **out, const void *bytes, size_t n, const char *name, struct error *err);
void input_close(struct input *in); /* NULL is fine */
const char *input_name(const struct input *in);
int input_is_packed(const struct input *in); /* gzip */

/* 1 with the unread bytes at hand (at least one), 0 at the end, or an error code. */
int input_peek(struct input *in, const char **bytes, size_t *n, struct error *err);
/* The same at the very beginning, with the whole first line at hand where it fits (64 KiB). */
int input_peek_line(struct input *in, const char **bytes, size_t *n, struct error *err);
void input_skip(struct input *in, size_t n); /* at most what peek gave */
/* An error of peek, with the line where it struck behind the file's name. rc */
int input_place(const struct input *in, long line, int rc, struct error *err);

#endif
