/* SPDX-License-Identifier: Apache-2.0 */
#include "io/appender.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/jsontext.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct appender {
    int fd, sync;
    char *path;
    off_t end;
    uint64_t cut;
    struct buf line;
};

/* Where the last whole line ends: steps back over the torn one. */
static int find_end(struct appender *a, off_t size, struct error *err)
{
    char chunk[4096];
    a->end = size;
    while (a->end > 0) {
        size_t n = a->end < (off_t)sizeof chunk ? (size_t)a->end : sizeof chunk;
        ssize_t got = pread(a->fd, chunk, n, a->end - (off_t)n);
        if (got != (ssize_t)n)
            return error_set_errno(err, "%s: reading", a->path);
        for (size_t i = n; i > 0; i--)
            if (chunk[i - 1] == '\n') {
                a->end -= (off_t)(n - i);
                return 0;
            }
        a->end -= (off_t)n;
    }
    return 0;
}

static int open_file(struct appender *a, struct error *err)
{
    a->fd = open(a->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (a->fd < 0)
        return error_set_errno(err, "%s", a->path);
    if (flock(a->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return error_set(err, ERROR_UNAVAILABLE, "%s: another process is writing this file", a->path);
    off_t size = lseek(a->fd, 0, SEEK_END);
    if (size < 0)
        return error_set_errno(err, "%s: wanted a regular file", a->path);
    int rc = find_end(a, size, err);
    if (rc)
        return rc;
    a->cut = (uint64_t)(size - a->end);
    if (a->cut && ftruncate(a->fd, a->end))
        return error_set_errno(err, "%s: cutting off a torn last line", a->path);
    return 0;
}

int appender_open(struct appender **out, const char *path, int sync, struct error *err)
{
    *out = NULL;
    struct appender *a = mem_calloc(1, sizeof *a);
    if (!a)
        return error_set_nomem(err, sizeof *a, path);
    a->fd = -1;
    a->sync = sync;
    a->path = mem_strdup(path);
    int rc = a->path ? open_file(a, err) : error_set_nomem(err, strlen(path) + 1, path);
    if (rc)
        appender_close(a);
    else
        *out = a;
    return rc;
}

static int put_line(struct appender *a, struct error *err)
{
    ssize_t put;
    do
        put = pwrite(a->fd, a->line.data, a->line.len, a->end);
    while (put < 0 && errno == EINTR);
    if (put != (ssize_t)a->line.len) {
        int number = put < 0 ? errno : ENOSPC; /* only part of it went out */
        if (put > 0 && ftruncate(a->fd, a->end)) {
        } /* if this fails too, the next opening cuts it */
        errno = number;
        return error_set_errno(err, "%s: writing a record of %zu bytes (what was written before is safe)", a->path,
                               a->line.len);
    }
    a->end += put;
    if (a->sync && fdatasync(a->fd))
        return error_set_errno(err, "%s: making records durable", a->path);
    return 0;
}

int appender_append(struct appender *a, const char *line, size_t n, struct error *err)
{
    if (memchr(line, '\n', n))
        return error_set(err, ERROR_INTERNAL, "%s: a record holds a newline", a->path);
    buf_reset(&a->line);
    buf_append(&a->line, line, n);
    buf_putc(&a->line, '\n');
    return a->line.failed ? error_set_nomem(err, n + 1, a->path) : put_line(a, err);
}

int appender_append_json(struct appender *a, const json_t *record, struct error *err)
{
    buf_reset(&a->line);
    int rc = jsontext_dump(&a->line, record, 0, err);
    buf_putc(&a->line, '\n');
    if (rc || a->line.failed)
        return rc ? rc : error_set_nomem(err, a->line.len, a->path);
    return put_line(a, err);
}

uint64_t appender_cut(const struct appender *a)
{
    return a->cut;
}

void appender_close(struct appender *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    buf_free(&a->line);
    mem_free(a->path);
    mem_free(a);
}
