/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hub_blob.h"

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

struct blob {
    struct hub_client *client;
    const struct hub_place *place;
    const struct hub_file *file;
    const char *url_path;
    struct hub_progress *progress;
    char *path, *part; /* of the blob, and of what is incomplete */
    int fd, fresh;     /* fresh: no byte of this answer has come yet */
    uint64_t have, fetched;
    struct error *err;
};

static const char *hash_of(const struct hub_file *f)
{
    return f->sha256 ? f->sha256 : f->sha1;
}

static char *blob_path(const struct hub_place *place, const char *hash, const char *suffix)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/blobs/%s%s", place->folder, hash, suffix);
    return buf_take(&b);
}

static int has_size(const char *path, int64_t wanted, uint64_t *size)
{
    *size = 0;
    return path && file_exists(path) && !file_size(path, size, NULL) && (wanted < 0 || *size == (uint64_t)wanted);
}

uint64_t hub_blob_have(const struct hub_place *place, const struct hub_file *file, int *whole)
{
    uint64_t size = 0;
    const char *hash = hash_of(file);
    char *path = hash ? blob_path(place, hash, "") : NULL, *part = hash ? blob_path(place, hash, ".incomplete") : NULL;
    *whole = has_size(path, file->size, &size);
    if (!*whole)
        has_size(part, -1, &size);
    mem_free(path);
    mem_free(part);
    return size;
}

static void show(const struct blob *b)
{
    struct hub_progress *p = b->progress;
    uint64_t done = p->before + b->have;
    enum { MB = 1000000 };
    if (p->shown && p->total >= MB && done < p->total)
        progress_show(&(struct progress){.stage = "pull",
                                         .unit = "MB",
                                         .done = (long)(done / MB),
                                         .total = (long)(p->total / MB) + 1,
                                         .started = p->started,
                                         .note = p->file});
}

static int begin_body(void *user, uint64_t *from, struct error *err)
{
    struct blob *b = user;
    struct stat st;
    if (fstat(b->fd, &st))
        return error_set_errno(err, "%s", b->part);
    b->have = (uint64_t)st.st_size;
    if (b->file->size >= 0 && b->have > (uint64_t)b->file->size) { /* none of this file's */
        if (ftruncate(b->fd, 0))
            return error_set_errno(err, "%s", b->part);
        b->have = 0;
    }
    b->fresh = 1;
    *from = b->have;
    return 0;
}

/* The first bytes of an answer: they are what was asked for, or the whole file again. */
static int begin_answer(struct blob *b, const struct fetch_answer *a, struct error *err)
{
    b->fresh = 0;
    if (a->status == 206 && a->from != (int64_t)b->have)
        return error_set(err, ERROR_UNAVAILABLE,
                         "%s: %s: asked for the bytes from %llu on, the server sent those from %lld on",
                         b->client->name, b->file->path, (unsigned long long)b->have, (long long)a->from);
    if (a->status == 200 && b->have) {
        if (ftruncate(b->fd, 0))
            return error_set_errno(err, "%s", b->part);
        b->have = 0;
    }
    return 0;
}

static int take_body(void *user, const struct fetch_answer *answer, const void *bytes, size_t n, struct error *err)
{
    struct blob *b = user;
    int rc = b->fresh ? begin_answer(b, answer, err) : 0;
    if (rc)
        return rc;
    if (b->file->size >= 0 && n > (uint64_t)b->file->size - b->have)
        return error_set(err, ERROR_DATA, "%s: %s: the server sends more than the %lld bytes that the file has",
                         b->client->name, b->file->path, (long long)b->file->size);
    for (const char *p = bytes; n;) {
        ssize_t k = pwrite(b->fd, p, n, (off_t)b->have);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return error_set_errno(err, "%s", b->part);
        p += k;
        n -= (size_t)k;
        b->have += (uint64_t)k;
        b->fetched += (uint64_t)k;
    }
    show(b);
    return 0;
}

/* A server may end a file early and call it whole; it is asked for the rest as long as some comes. */
static int transfer(struct blob *b)
{
    struct fetch_answer answer;
    uint64_t most; /* that we have had: a server that always begins anew and ends early comes no further */
    int again, restarted = 0, rc = begin_body(b, &most, b->err);
    if (rc || (b->file->size >= 0 && b->have == (uint64_t)b->file->size))
        return rc;
    do {
        rc = hub_client_get(b->client, b->url_path, &(struct hub_sink){begin_body, take_body, b}, &answer, b->err);
        if (rc)
            return rc;
        again = b->file->size >= 0 && b->have < (uint64_t)b->file->size && b->have > most;
        most = b->have > most ? b->have : most;
        if (answer.status == 416 && b->file->size >= 0 && b->have < (uint64_t)b->file->size && !restarted) {
            restarted = again = 1; /* it has nothing from there on: what we have is of something else */
            if (ftruncate(b->fd, 0))
                return error_set_errno(b->err, "%s", b->part);
        }
    } while (again);
    if (b->file->size < 0 || b->have == (uint64_t)b->file->size)
        return 0;
    return error_set(b->err, ERROR_UNAVAILABLE,
                     "%s: %s: the server ended it after %llu bytes, wanted %lld; what came is kept, pull again",
                     b->client->name, b->file->path, (unsigned long long)b->have, (long long)b->file->size);
}

static int check_hash(const struct blob *b)
{
    char hex[65] = "";
    const char *wanted = hash_of(b->file);
    int rc = b->file->sha256 ? sha256_file(b->part, hex, b->err) : git_sha1_file(b->part, hex, b->err);
    if (rc || !strcmp(hex, wanted))
        return rc;
    return error_set(
        b->err, ERROR_DATA,
        "%s: %s: its %s is %s, wanted %s: the server, or something on the way, sent other bytes; they were removed",
        b->client->name, b->file->path, b->file->sha256 ? "SHA-256" : "SHA-1 of git", hex, wanted);
}

/* Transfers and checks; what was begun by an earlier run and turns out wrong is fetched anew once. */
static int fetch_whole(struct blob *b)
{
    struct stat st;
    int resumed = !fstat(b->fd, &st) && st.st_size > 0, rc = transfer(b);
    if (rc)
        return rc;
    rc = check_hash(b);
    if (rc == ERROR_DATA && ftruncate(b->fd, 0))
        return error_set_errno(b->err, "%s", b->part);
    if (rc != ERROR_DATA || !resumed)
        return rc;
    log_line(LOG_WARNING, "%s: what an earlier run left of it is wrong; fetching it anew", b->file->path);
    if (!(rc = transfer(b)) && (rc = check_hash(b)) == ERROR_DATA && ftruncate(b->fd, 0))
        rc = error_set_errno(b->err, "%s", b->part);
    return rc;
}

/* huggingface_hub's own lock; another program's end is waited for. */
static int lock(struct blob *b, int *fd)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s.lock", b->place->locks, hash_of(b->file));
    int rc = path.failed ? error_set_nomem(b->err, path.len, "a path") : 0, said = 0;
    *fd = rc ? -1 : open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (!rc && *fd < 0)
        rc = error_set_errno(b->err, "%s", path.data);
    while (!rc && flock(*fd, LOCK_EX | LOCK_NB) &&
           errno == EWOULDBLOCK) { /* a file system without locks is taken as it is */
        if (!said++)
            log_line(LOG_INFO, "%s: another program is fetching it; waiting", b->file->path);
        rc = http_wait(b->client->clock, http_now(b->client->clock) + 0.5, b->err);
    }
    buf_free(&path);
    return rc;
}

static int fetch_blob(struct blob *b)
{
    b->fd = open(b->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (b->fd < 0)
        return error_set_errno(b->err, "%s", b->part);
    int rc = fetch_whole(b);
    if (!rc && fsync(b->fd))
        rc = error_set_errno(b->err, "%s", b->part);
    close(b->fd);
    if (!rc && rename(b->part, b->path))
        rc = error_set_errno(b->err, "%s", b->path);
    return rc;
}

static int same_link(const char *path, const char *target)
{
    char found[400];
    ssize_t n = readlink(path, found, sizeof found - 1);
    return n > 0 && (size_t)n == strlen(target) && !memcmp(found, target, (size_t)n);
}

/* Replaces what is there; a file system without links gets the blob itself, as huggingface_hub does it. */
static int put_link(const struct blob *b, const char *path, const char *target)
{
    if (same_link(path, target))
        return 0;
    unlink(path);
    if (!symlink(target, path))
        return 0;
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS)
        return error_set_errno(b->err, "%s", path);
    return file_copy(b->path, path, b->err);
}

static int link_blob(const struct blob *b)
{
    struct buf target = BUF_INIT;
    char *path = path_join(b->place->snapshot, b->file->path), *slash = path ? strrchr(path, '/') : NULL;
    for (const char *p = strchr(b->file->path, '/'); p; p = strchr(p + 1, '/'))
        buf_puts(&target, "../");
    buf_printf(&target, "../../blobs/%s", hash_of(b->file));
    int rc = !path || target.failed ? error_set_nomem(b->err, strlen(b->file->path), "a path") : 0;
    if (!rc) {
        *slash = 0;
        rc = dirs_make(path, b->err);
        *slash = '/';
    }
    if (!rc)
        rc = put_link(b, path, target.data);
    mem_free(path);
    buf_free(&target);
    return rc;
}

/* Where the hub has it, below the endpoint. */
static int resolve(struct blob *b, struct buf *url)
{
    buf_printf(url, "/%s/resolve/%s/", b->client->name, path_base(b->place->snapshot));
    hub_encode(url, b->file->path);
    b->url_path = url->data;
    return url->failed ? error_set_nomem(b->err, url->len, "an address") : 0;
}

int hub_blob_get(struct hub_client *c, const struct hub_place *place, const struct hub_file *file,
                 struct hub_progress *progress, uint64_t *fetched, struct error *err)
{
    struct blob b = {.client = c, .place = place, .file = file, .progress = progress, .err = err, .fd = -1};
    struct buf url = BUF_INIT;
    int fd = -1;
    uint64_t size;
    *fetched = 0;
    if (!hash_of(file))
        return error_set(err, ERROR_DATA, "%s: %s: the hub's list says no hash of it, so that it could not be checked",
                         c->name, file->path);
    b.path = blob_path(place, hash_of(file), "");
    b.part = blob_path(place, hash_of(file), ".incomplete");
    int rc = b.path && b.part ? resolve(&b, &url) : error_set_nomem(err, 256, "a path");
    if (!rc)
        rc = lock(&b, &fd);
    if (!rc && !has_size(b.path, file->size, &size))
        rc = fetch_blob(&b);
    if (!rc)
        rc = link_blob(&b);
    if (fd >= 0)
        close(fd);
    mem_free(b.path);
    mem_free(b.part);
    buf_free(&url);
    *fetched = b.fetched;
    return rc;
}
