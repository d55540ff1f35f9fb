/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Lines out of a verb, in input order, surviving kill -9 (the contract is in cli.h). */
#include "cli/cli.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct writer {
    char **lines;      /* a finished record's text, until written */
    char *path, *partial;
    int n, next;       /* next: the first line standard output has not got */
    int fd;            /* of the partial file, or -1 */
};

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t w = write(fd, bytes, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -1;
        bytes += w;
        n -= (size_t)w;
    }
    return 0;
}

static void key_of(const struct records *r, const struct buf *key, char hex[65])
{
    struct sha256 *h = sha256_new();
    hex[0] = 0;
    if (!h)
        return;
    sha256_add(h, key->data, key->len);
    for (int i = 0; i < r->n; i++) {
        char *text = json_dumps(r->items[i], JSON_COMPACT | JSON_SORT_KEYS);
        if (text)
            sha256_add(h, text, strlen(text) + 1);
        free(text);
    }
    sha256_finish(h, hex);
}

/* Takes the whole lines "INDEX {...}" of a partial file with our key; *good is the length of what could be used. */
static void take_partial(struct writer *w, struct buf *text, const char *head, size_t *good)
{
    size_t length = strlen(head);
    *good = 0;
    if (text->len < length || memcmp(text->data, head, length))
        return;
    *good = length;
    for (char *line = text->data + length, *end; (end = memchr(line, '\n', (size_t)(text->data + text->len - line))); line = end + 1) {
        char *body;
        long index = strtol(line, &body, 10);
        if (index < 0 || index >= w->n || *body != ' ' || body[1] != '{' || end[-1] != '}')
            return;
        if (!w->lines[index])
            w->lines[index] = mem_strndup(body + 1, (size_t)(end - body - 1));
        *good = (size_t)(end + 1 - text->data);
    }
}

static int open_partial(struct writer *w, const struct records *r, const struct buf *key, struct error *err)
{
    char hex[65], head[96];
    struct buf text = BUF_INIT;
    size_t good = 0;
    int rc = 0;
    key_of(r, key, hex);
    snprintf(head, sizeof head, "isara partial %s\n", hex);
    if (file_exists(w->partial) && !(rc = file_read(&text, w->partial, (size_t)1 << 40, err)))
        take_partial(w, &text, head, &good);
    buf_free(&text);
    if (rc)
        return rc;
    w->fd = open(w->partial, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return error_set_errno(err, "%s", w->partial);
    if (ftruncate(w->fd, (off_t)good) || (!good && write_all(w->fd, head, strlen(head))))
        return error_set_errno(err, "%s", w->partial);
    return 0;
}

int writer_open(struct writer **out, const char *path, const struct records *r, const struct buf *key, struct error *err)
{
    struct writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, "output");
    w->fd = -1;
    w->n = r->n;
    w->lines = mem_calloc((size_t)r->n + 1, sizeof *w->lines);
    int rc = w->lines ? 0 : error_set_nomem(err, (size_t)r->n * sizeof *w->lines, "output");
    if (!rc && path && strcmp(path, "-")) {
        struct buf partial = BUF_INIT;
        buf_printf(&partial, "%s.partial", path);
        w->path = mem_strdup(path);
        w->partial = buf_take(&partial);
        rc = w->path && w->partial ? open_partial(w, r, key, err) : error_set_nomem(err, strlen(path), "output");
    }
    if (rc)
        writer_close(w, 0, NULL);
    else
        *out = w;
    return rc;
}

int writer_has(const struct writer *w, int index)
{
    return w->lines[index] != NULL;
}

static int put_stdout(struct writer *w, struct error *err)
{
    for (; w->next < w->n && w->lines[w->next]; w->next++) {
        if (puts(w->lines[w->next]) < 0 || fflush(stdout))
            return error_set_errno(err, "standard output");
        w->lines[w->next][0] = 0;
    }
    return 0;
}

int writer_put(struct writer *w, int index, json_t *line, struct error *err)
{
    if (w->lines[index]) {
        json_decref(line);
        return 0;
    }
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    w->lines[index] = text ? mem_strdup(text) : NULL;
    free(text);
    if (!w->lines[index])
        return error_set_nomem(err, 0, "an output line");
    if (w->fd < 0)
        return put_stdout(w, err);
    struct buf entry = BUF_INIT;
    buf_printf(&entry, "%d %s\n", index, w->lines[index]);
    int rc = entry.failed ? error_set_nomem(err, entry.len, "an output line")
             : write_all(w->fd, entry.data, entry.len) ? error_set_errno(err, "%s", w->partial) : 0;
    buf_free(&entry);
    return rc;
}

static int finish_file(struct writer *w, struct error *err)
{
    struct atomic_file *f = NULL;
    int rc = atomic_file_open(&f, w->path, err);
    for (int i = 0; i < w->n && !rc; i++) {
        rc = atomic_file_write(f, w->lines[i], strlen(w->lines[i]), err);
        rc = rc ? rc : atomic_file_write(f, "\n", 1, err);
    }
    if (rc)
        atomic_file_abort(f);
    else
        rc = atomic_file_commit(f, err);
    if (!rc)
        unlink(w->partial);
    return rc;
}

int writer_close(struct writer *w, int finish, struct error *err)
{
    int rc = 0;
    for (int i = 0; finish && i < w->n && !rc; i++)
        if (!w->lines[i])
            rc = error_set(err, ERROR_INTERNAL, "record %d has no result", i);
    if (!rc && finish && w->path)
        rc = finish_file(w, err);
    if (w->fd >= 0) {
        fsync(w->fd);
        close(w->fd);
    }
    for (int i = 0; w->lines && i < w->n; i++)
        mem_free(w->lines[i]);
    mem_free(w->lines);
    mem_free(w->path);
    mem_free(w->partial);
    mem_free(w);
    return rc;
}
