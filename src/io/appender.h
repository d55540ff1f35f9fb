/* SPDX-License-Identifier: Apache-2.0 */
/* An append-only file of lines (JSON Lines). Each record goes out whole, with its newline, in one write(); a crash can
 * therefore tear at most the last line, and opening cuts such a line off. One process at a time (the file is locked),
 * one thread at a time. */
#ifndef IO_APPENDER_H
#define IO_APPENDER_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct appender;
/* Makes the file if it is not there. sync: every record is durable (fdatasync) when append returns. */
int appender_open(struct appender **out, const char *path, int sync, struct error *err);
/* n bytes without a newline among them. On failure (a full disk) the file is as it was before. */
int appender_append(struct appender *a, const char *line, size_t n, struct error *err);
int appender_append_json(struct appender *a, const json_t *record, struct error *err);
uint64_t appender_cut(const struct appender *a); /* bytes that opening cut off */
void appender_close(struct appender *a);         /* NULL is fine; does not sync */

#endif
