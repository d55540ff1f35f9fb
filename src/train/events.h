/* SPDX-License-Identifier: Apache-2.0 */
/* TensorBoard event files: scalars only, which needs neither protobuf nor TensorBoard. A record is its length, a masked
 * CRC-32C of the length, the bytes of an Event message, and their masked CRC-32C
 * (tensorflow/core/lib/io/record_writer). */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);
/* Appends one record to out. */
void events_version(struct buf *out, double wall_time);
void events_scalar(struct buf *out, double wall_time, int64_t step, const char *tag, float value);

struct events;
/* DIR/events.out.tfevents.<unix time>.<host>.<pid>.0, its first record written. */
int events_open(struct events **out, const char *directory, struct error *err);
int events_add(struct events *e, int64_t step, const char *tag, double value, struct error *err); /* flushed at once */
void events_close(struct events *e);                                                              /* NULL is fine */

#endif
