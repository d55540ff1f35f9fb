/* SPDX-License-Identifier: Apache-2.0 */
#include "io/journal.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/jsontext.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct journal {
    int fd, sync;
    char *path;
    off_t end;
    uint64_t cut;
    struct buf line;
};

/* Where the last whole line ends: steps back over the torn one. */
static int find_end(struct journal *j, off_t size, struct error *err)
{
    char chunk[4096];
    j->end = size;
    while (j->end > 0) {
        size_t n = j->end < (off_t)sizeof chunk ? (size_t)j->end : sizeof chunk;
        ssize_t got = pread(j->fd, chunk, n, j->end - (off_t)n);
        if (got != (ssize_t)n)
            return error_set_errno(err, "%s: reading", j->path);
        for (size_t i = n; i > 0; i--)
            if (chunk[i - 1] == '\n') {
                j->end -= (off_t)(n - i);
                return 0;
            }
        j->end -= (off_t)n;
    }
    return 0;
}

static int open_file(struct journal *j, struct error *err)
{
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return error_set_errno(err, "%s", j->path);
    if (flock(j->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return error_set(err, ERROR_IO, "%s: another process is writing this file", j->path);
    off_t size = lseek(j->fd, 0, SEEK_END);
    if (size < 0)
        return error_set_errno(err, "%s: wanted a regular file", j->path);
    int rc = find_end(j, size, err);
    if (rc)
        return rc;
    j->cut = (uint64_t)(size - j->end);
    if (j->cut && ftruncate(j->fd, j->end))
        return error_set_errno(err, "%s: cutting off a torn last line", j->path);
    return 0;
}

int journal_open(struct journal **out, const char *path, int sync, struct error *err)
{
    *out = NULL;
    struct journal *j = mem_calloc(1, sizeof *j);
    if (!j)
        return error_set_nomem(err, sizeof *j, path);
    j->fd = -1;
    j->sync = sync;
    j->path = mem_strdup(path);
    int rc = j->path ? open_file(j, err) : error_set_nomem(err, strlen(path) + 1, path);
    if (rc)
        journal_close(j);
    else
        *out = j;
    return rc;
}

static int put(struct journal *j, struct error *err)
{
    ssize_t put;
    do
        put = pwrite(j->fd, j->line.data, j->line.len, j->end);
    while (put < 0 && errno == EINTR);
    if (put != (ssize_t)j->line.len) {
        int number = put < 0 ? errno : ENOSPC; /* only part of it went out */
        if (put > 0 && ftruncate(j->fd, j->end)) { } /* if this fails too, the next opening cuts it */
        errno = number;
        return error_set_errno(err, "%s: writing a record of %zu bytes (what was written before is safe)", j->path, j->line.len);
    }
    j->end += put;
    return j->sync ? journal_sync(j, err) : 0;
}

int journal_append(struct journal *j, const char *line, size_t n, struct error *err)
{
    if (memchr(line, '\n', n))
        return error_set(err, ERROR_INTERNAL, "%s: a record holds a newline", j->path);
    buf_reset(&j->line);
    buf_append(&j->line, line, n);
    buf_putc(&j->line, '\n');
    return j->line.failed ? error_set_nomem(err, n + 1, j->path) : put(j, err);
}

int journal_append_json(struct journal *j, const json_t *record, struct error *err)
{
    buf_reset(&j->line);
    int rc = jsontext_dump(&j->line, record, 0, err);
    buf_putc(&j->line, '\n');
    if (rc || j->line.failed)
        return rc ? rc : error_set_nomem(err, j->line.len, j->path);
    return put(j, err);
}

uint64_t journal_cut(const struct journal *j)
{
    return j->cut;
}

int journal_sync(struct journal *j, struct error *err)
{
    return fdatasync(j->fd) ? error_set_errno(err, "%s: making records durable", j->path) : 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    buf_free(&j->line);
    mem_free(j->path);
    mem_free(j);
}
