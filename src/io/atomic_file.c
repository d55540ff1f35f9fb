/* SPDX-License-Identifier: Apache-2.0 */
/* A file that appears whole or not at all. Bytes go to PATH.tmp; commit makes them durable (fsync), gives them their
 * name (rename) and makes the name durable (fsync of the directory). The temporary name is fixed, so a killed process
 * leaves at most one behind and the next run takes it over; a lock tells a live writer from a dead one. The lock
 * belongs to the inode: after getting it we look whether the name still means that inode, since the other writer may
 * just have renamed it. */
#include "io/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct atomic_file {
    int fd, direct; /* direct: PATH is no regular file and is written as it is */
    char *path, *temp;
    uint64_t end;
};

static int lock_temp(struct atomic_file *f, struct error *err)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        f->fd = open(f->temp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (f->fd < 0)
            return error_set_errno(err, "%s: making the temporary file", f->temp);
        if (flock(f->fd, LOCK_EX | LOCK_NB)) {
            if (errno != EWOULDBLOCK)
                return 0; /* a file system without locks */
            return error_set(err, ERROR_UNAVAILABLE, "%s: another process is writing this file (it holds %s)", f->path,
                             f->temp);
        }
        struct stat ours, named;
        if (!fstat(f->fd, &ours) && !stat(f->temp, &named) && ours.st_ino == named.st_ino &&
            ours.st_dev == named.st_dev)
            return 0;
        close(f->fd);
        f->fd = -1;
    }
    return error_set(err, ERROR_IO, "%s: other processes keep replacing this file", f->path);
}

static int open_target(struct atomic_file *f, struct error *err)
{
    struct stat st;
    int there = stat(f->path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return error_set(err, ERROR_IO, "%s: wanted to write a file, found a directory", f->path);
    if (there && !S_ISREG(st.st_mode)) {
        f->direct = 1;
        f->fd = open(f->path, O_WRONLY | O_CLOEXEC);
        return f->fd < 0 ? error_set_errno(err, "%s", f->path) : 0;
    }
    int rc = lock_temp(f, err);
    if (!rc && ftruncate(f->fd, 0))
        rc = error_set_errno(err, "%s: emptying", f->temp);
    return rc;
}

int atomic_file_open(struct atomic_file **out, const char *path, struct error *err)
{
    *out = NULL;
    struct atomic_file *f = mem_calloc(1, sizeof *f);
    if (!f)
        return error_set_nomem(err, sizeof *f, path);
    f->fd = -1;
    f->path = mem_strdup(path);
    f->temp = path_beside(path, ".tmp");
    int rc = f->path && f->temp ? open_target(f, err) : error_set_nomem(err, strlen(path) + 5, path);
    if (rc) {
        if (f->fd >= 0)
            close(f->fd);
        f->fd = -1; /* the temporary file, if there is one, is another process's */
        atomic_file_abort(f);
        return rc;
    }
    *out = f;
    return 0;
}

static int no_room(struct atomic_file *f, size_t n, struct error *err)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set(err, ERROR_IO,
                         "%s: the disk is full (%s while writing %zu bytes); the old file, if there was one, is as it "
                         "was: make room and run again",
                         f->path, strerror(errno), n);
    return error_set_errno(err, "%s: writing %zu bytes", f->path, n);
}

int atomic_file_write(struct atomic_file *f, const void *bytes, size_t n, struct error *err)
{
    const char *p = bytes;
    while (n) {
        ssize_t put = f->direct ? write(f->fd, p, n) : pwrite(f->fd, p, n, (off_t)f->end);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return no_room(f, n, err);
        p += put;
        n -= (size_t)put;
        f->end += (uint64_t)put;
    }
    return 0;
}

int atomic_file_reserve(struct atomic_file *f, uint64_t size, struct error *err)
{
    if (f->direct)
        return error_set(err, ERROR_IO, "%s: is no regular file, cannot be written out of order", f->path);
    if (size && fallocate(f->fd, 0, 0, (off_t)size) && errno != EOPNOTSUPP && errno != ENOSYS)
        return no_room(f, size, err);
    return 0;
}

int atomic_file_write_at(struct atomic_file *f, uint64_t offset, const void *bytes, size_t n, struct error *err)
{
    const char *p = bytes;
    if (f->direct)
        return atomic_file_reserve(f, 0, err);
    while (n) {
        ssize_t put = pwrite(f->fd, p, n, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return no_room(f, n, err);
        p += put;
        n -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

static int sync_directory(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash && slash > path ? (size_t)(slash - path) : 1;
    char *dir = slash ? mem_strndup(path, n) : mem_strdup(".");
    if (!dir)
        return error_set_nomem(err, strlen(path) + 2, path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 || (fsync(fd) && errno != EINVAL && errno != EROFS))
        rc = error_set_errno(err, "%s: making the directory durable", dir);
    if (fd >= 0)
        close(fd);
    mem_free(dir);
    return rc;
}

int atomic_file_commit(struct atomic_file *f, struct error *err)
{
    int rc = 0;
    if (f->direct) {
        if (close(f->fd))
            rc = no_room(f, 0, err);
        f->fd = -1;
    } else if (fsync(f->fd)) {
        rc = no_room(f, 0, err);
    } else if (rename(f->temp, f->path)) {
        rc = error_set_errno(err, "%s: renaming %s", f->path, f->temp);
    } else {
        close(f->fd);
        f->fd = -1;
        rc = sync_directory(f->path, err);
    }
    atomic_file_abort(f);
    return rc;
}

void atomic_file_abort(struct atomic_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0) {
        if (!f->direct)
            unlink(f->temp); /* before the lock goes with the descriptor */
        close(f->fd);
    }
    mem_free(f->path);
    mem_free(f->temp);
    mem_free(f);
}

int file_write(const char *path, const void *bytes, size_t n, struct error *err)
{
    struct atomic_file *f;
    int rc = atomic_file_open(&f, path, err);
    if (rc)
        return rc;
    if ((rc = atomic_file_write(f, bytes, n, err))) {
        atomic_file_abort(f);
        return rc;
    }
    return atomic_file_commit(f, err);
}

int file_copy(const char *from, const char *to, struct error *err)
{
    struct file_map m;
    int rc = file_map(&m, from, err);
    if (rc)
        return rc;
    rc = file_write(to, m.data, m.size, err);
    int cut = rc ? file_map_check(&m, from, err) : 0;
    file_unmap(&m);
    return cut ? cut : rc;
}
