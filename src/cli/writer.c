/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Lines out of a verb, in input order, surviving kill -9 (the contract is in cli.h). */
#include "cli/parts.h"

#include "base/build.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "isara partial ";

struct writer {
    char **lines; /* a finished record's text, until written */
    char *path, *partial;
    int n, next; /* next: the first line standard output has not got */
    int fd;      /* of the partial file, or -1 */
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

static void input_sha256(const struct records *r, char hex[65])
{
    struct sha256 *h = sha256_new();
    hex[0] = 0;
    if (!h)
        return;
    for (int i = 0; i < r->n; i++) {
        char *text = json_dumps(r->items[i], JSON_COMPACT | JSON_SORT_KEYS);
        if (text)
            sha256_add(h, text, strlen(text) + 1);
        free(text);
    }
    sha256_finish(h, hex);
}

/* The first line: what the results depend on, by name. */
static int make_head(struct buf *head, const json_t *settings, const struct records *r, struct error *err)
{
    char hex[65];
    json_t *all = json_copy((json_t *)settings);
    input_sha256(r, hex);
    char *text = all && hex[0] && !json_object_set_new(all, "input", json_string(hex))
                     ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS)
                     : NULL;
    if (text)
        buf_printf(head, "%s%s\n", magic, text);
    int rc = text && !head->failed ? 0 : error_set_nomem(err, 1024, "settings");
    free(text);
    json_decref(all);
    return rc;
}

static void show(const json_t *value, char text[100])
{
    char *s = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    snprintf(text, 100, "%s", s ? s : "nothing");
    free(s);
}

/* Names the first setting that is another one, is new or is gone. */
static int compare(const char *path, const json_t *had, const json_t *now, struct error *err)
{
    const char *name;
    json_t *value;
    char was[100], is[100];
    for (int side = 0; side < 2; side++)
        json_object_foreach((json_t *)(side ? had : now), name, value)
        {
            const json_t *a = json_object_get(had, name), *b = json_object_get(now, name);
            if (a && b && json_equal(a, b))
                continue;
            show(a, was);
            show(b, is);
            return error_set(
                err, ERROR_CONFIG,
                "%s: was begun with %s %s, now %s; give the same again to go on, or delete that file to begin anew",
                path, name, was, is);
        }
    return 0;
}

/* A kill may have cut the first line: then nothing was begun. *length: of the head that is there, 0 for none. */
static int check_head(const struct writer *w, const struct buf *text, const struct buf *head, size_t *length,
                      struct error *err)
{
    const size_t n_magic = sizeof magic - 1;
    const char *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    *length = 0;
    if (text->len && memcmp(text->data, magic, text->len < n_magic ? text->len : n_magic))
        return error_set(err, ERROR_DATA, "%s: is no file of isara's; move it away or choose another --output",
                         w->partial);
    if (!end)
        return 0;
    json_t *had = json_loadb(text->data + n_magic, (size_t)(end - text->data) - n_magic, JSON_REJECT_DUPLICATES, NULL);
    json_t *now = json_loadb(head->data + n_magic, head->len - n_magic, 0, NULL);
    int rc =
        json_is_object(had) && now
            ? compare(w->partial, had, now, err)
            : error_set(err, ERROR_DATA,
                        "%s: its first line does not say what it was begun with; delete it to begin anew", w->partial);
    *length = (size_t)(end + 1 - text->data);
    json_decref(had);
    json_decref(now);
    return rc;
}

/* Takes the whole lines "INDEX {...}" of a partial file with our key; *good is the length of what could be used. */
static void take_partial(struct writer *w, struct buf *text, size_t length, size_t *good)
{
    *good = length;
    for (char *line = text->data + length, *end; (end = memchr(line, '\n', (size_t)(text->data + text->len - line)));
         line = end + 1) {
        char *body;
        long index = strtol(line, &body, 10);
        if (index < 0 || index >= w->n || *body != ' ' || body[1] != '{' || end[-1] != '}')
            return;
        if (!w->lines[index])
            w->lines[index] = mem_strndup(body + 1, (size_t)(end - body - 1));
        *good = (size_t)(end + 1 - text->data);
    }
}

/* Ours alone from here on: a regular file, not through a link, locked until it is closed. */
static int lock_partial(struct writer *w, struct error *err)
{
    struct stat ours, named;
    w->fd = open(w->partial, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (w->fd < 0 && errno == ELOOP)
        return error_set(err, ERROR_IO,
                         "%s: is a symbolic link, which is not followed; remove it or choose another --output",
                         w->partial);
    if (w->fd < 0)
        return error_set_errno(err, "%s", w->partial);
    if (fstat(w->fd, &ours) || !S_ISREG(ours.st_mode))
        return error_set(err, ERROR_IO, "%s: wanted a regular file; move it away or choose another --output",
                         w->partial);
    int busy = flock(w->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    if (busy || lstat(w->partial, &named) || named.st_ino != ours.st_ino || named.st_dev != ours.st_dev)
        return error_set(err, ERROR_UNAVAILABLE,
                         "%s: another process is writing %s; wait for it, or choose another --output", w->partial,
                         w->path);
    return 0;
}

static int open_partial(struct writer *w, const struct records *r, const json_t *settings, struct error *err)
{
    struct buf text = BUF_INIT, head = BUF_INIT;
    size_t length = 0, good = 0;
    int rc = make_head(&head, settings, r, err);
    rc = rc ? rc : lock_partial(w, err);
    rc = rc ? rc : file_read(&text, w->partial, (size_t)1 << 40, err);
    rc = rc ? rc : check_head(w, &text, &head, &length, err);
    if (!rc && length)
        take_partial(w, &text, length, &good);
    if (!rc && (ftruncate(w->fd, (off_t)good) || (!good && write_all(w->fd, head.data, head.len))))
        rc = error_set_errno(err, "%s", w->partial);
    buf_free(&text);
    buf_free(&head);
    return rc;
}

int writer_open(struct writer **out, const char *path, const struct records *r, const json_t *settings,
                struct error *err)
{
    struct writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, "output");
    w->fd = -1;
    w->n = r->n;
    w->lines = mem_calloc((size_t)r->n + 1, sizeof *w->lines);
    int rc = w->lines ? 0 : error_set_nomem(err, (size_t)r->n * sizeof *w->lines, "output");
    if (!rc && path && strcmp(path, "-")) {
        w->path = mem_strdup(path);
        w->partial = path_beside(path, ".partial");
        rc = w->path && w->partial ? open_partial(w, r, settings, err) : error_set_nomem(err, strlen(path), "output");
    }
    if (rc)
        writer_close(w, 0, NULL);
    else
        *out = w;
    return rc;
}

int writer_settings(json_t **out, const char *verb, const char *path, const struct checkpoint *ck, struct error *err)
{
    char hex[65];
    json_t *s = *out = json_pack("{s:s, s:s}", "verb", verb, "build", build_name);
    if (!s)
        return error_set_nomem(err, 64, "settings");
    if (!ck || !path || !strcmp(path, "-"))
        return 0;
    int rc = checkpoint_sha256(ck, hex, err);
    rc = rc ? rc : checkpoint_side_sha256(ck, "model/", s, err);
    return rc || !json_object_set_new(s, "model", json_string(hex)) ? rc : error_set_nomem(err, 64, "settings");
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
    int rc = entry.failed ? error_set_nomem(err, entry.len, "an output line") : 0;
    if (!rc && write_all(w->fd, entry.data, entry.len))
        rc = error_set_errno(err, "%s", w->partial);
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
