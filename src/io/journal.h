/* SPDX-License-Identifier: Apache-2.0 */
/* An append-only file of lines (JSON Lines). Each record goes out whole, with its newline, in one write(); a crash can therefore tear at most the last line,
 * and opening cuts such a line off. One process at a time (the file is locked), one thread at a time. */
#ifndef IO_JOURNAL_H
#define IO_JOURNAL_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct journal;
/* Makes the file if it is not there. sync: every record is durable (fdatasync) when append returns. */
int journal_open(struct journal **out, const char *path, int sync, struct error *err);
/* n bytes without a newline among them. On failure (a full disk) the file is as it was before. */
int journal_append(struct journal *j, const char *line, size_t n, struct error *err);
int journal_append_json(struct journal *j, const json_t *record, struct error *err);
uint64_t journal_cut(const struct journal *j); /* bytes that opening cut off */
int journal_sync(struct journal *j, struct error *err);
void journal_close(struct journal *j); /* NULL is fine; does not sync */

#endif
