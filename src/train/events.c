/* SPDX-License-Identifier: Apache-2.0 */
/* TensorBoard event files. Messages: Event {double wall_time = 1; int64 step = 2; string file_version = 3; Summary
 * summary = 5}, Summary {repeated Value value = 1}, Value {string tag = 1; float simple_value = 2}. */
#include "train/events.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct events {
    FILE *file;
    char *path;
    struct buf record;
};

uint32_t crc32c(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

static uint32_t masked_crc(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void put_fixed(struct buf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_putc(out, (char)(value >> 8 * i & 255));
}

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        buf_putc(out, (char)((value & 127) | 128));
    buf_putc(out, (char)value);
}

static void put_double(struct buf *out, int tag, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    buf_putc(out, (char)(tag << 3 | 1));
    put_fixed(out, bits, 8);
}

static void put_bytes(struct buf *out, int tag, const void *bytes, size_t n)
{
    buf_putc(out, (char)(tag << 3 | 2));
    put_varint(out, n);
    buf_append(out, bytes, n);
}

static void put_record(struct buf *out, const struct buf *event)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)event->len >> 8 * i);
    buf_append(out, length, 8);
    put_fixed(out, masked_crc(crc32c(length, 8)), 4);
    buf_append(out, event->data, event->len);
    put_fixed(out, masked_crc(crc32c(event->data, event->len)), 4);
    out->failed |= event->failed;
}

void events_version(struct buf *out, double wall_time)
{
    struct buf event = BUF_INIT;
    put_double(&event, 1, wall_time);
    put_bytes(&event, 3, "brain.Event:2", 13);
    put_record(out, &event);
    buf_free(&event);
}

void events_scalar(struct buf *out, double wall_time, int64_t step, const char *tag, float value)
{
    struct buf event = BUF_INIT, summary = BUF_INIT, entry = BUF_INIT;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_bytes(&entry, 1, tag, strlen(tag));
    buf_putc(&entry, 2 << 3 | 5);
    put_fixed(&entry, bits, 4);
    put_bytes(&summary, 1, entry.data, entry.len);
    put_double(&event, 1, wall_time);
    buf_putc(&event, 2 << 3);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.data, summary.len);
    event.failed |= summary.failed | entry.failed;
    put_record(out, &event);
    buf_free(&entry);
    buf_free(&summary);
    buf_free(&event);
}

static int write_record(struct events *e, struct error *err)
{
    if (e->record.failed)
        return error_set_nomem(err, 256, "an event");
    if (fwrite(e->record.data, 1, e->record.len, e->file) != e->record.len || fflush(e->file))
        return error_set_errno(err, "%s: writing", e->path);
    return 0;
}

int events_open(struct events **out, const char *directory, struct error *err)
{
    char host[128] = "localhost", name[256];
    struct events *e = *out = mem_calloc(1, sizeof *e);
    if (!e)
        return error_set_nomem(err, sizeof *e, "an event file");
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "events.out.tfevents.%.0f.%s.%ld.0", clock_wall(), host, (long)getpid());
    e->path = path_join(directory, name);
    e->file = e->path ? fopen(e->path, "ab") : NULL;
    int rc = e->file ? 0 : error_set_errno(err, "%s/%s: opening", directory, name);
    if (!rc) {
        events_version(&e->record, clock_wall());
        rc = write_record(e, err);
    }
    if (rc) {
        events_close(e);
        *out = NULL;
    }
    return rc;
}

int events_add(struct events *e, int64_t step, const char *tag, double value, struct error *err)
{
    buf_reset(&e->record);
    events_scalar(&e->record, clock_wall(), step, tag, (float)value);
    return write_record(e, err);
}

void events_close(struct events *e)
{
    if (!e)
        return;
    if (e->file)
        fclose(e->file);
    buf_free(&e->record);
    mem_free(e->path);
    mem_free(e);
}
