/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, mapping and removing. Writing and copying are in atomic_file.c. */
#include "io/file.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/input.h"
#include "io/map_guard.h"
#include "io/network.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a pipe";
    case S_IFSOCK: return "a socket";
    default: return "a device";
    }
}

static int check_regular(const struct stat *st, const char *path, struct error *err)
{
    if (S_ISREG(st->st_mode))
        return 0;
    return error_set(err, ERROR_DATA, "%s: wanted a regular file, found %s", path, kind_of(st->st_mode));
}

/* 0, or an error that says what stands there instead of a regular file. */
static int file_check_regular(const char *path, struct error *err)
{
    struct stat st;
    return stat(path, &st) ? error_set_errno(err, "%s", path) : check_regular(&st, path, err);
}

static struct file_identity identity(const struct stat *st)
{
    enum { SECOND = 1000000000 };
    return (struct file_identity){(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                                  (int64_t)st->st_mtim.tv_sec * SECOND + st->st_mtim.tv_nsec,
                                  (int64_t)st->st_ctim.tv_sec * SECOND + st->st_ctim.tv_nsec};
}

int file_identity_of(struct file_identity *id, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return -1;
    *id = identity(&st);
    return 0;
}

int file_map(struct file_map *m, const char *path, struct error *err)
{
    *m = (struct file_map){.guard = -1};
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe without a writer would keep us waiting */
    if (fd < 0)
        return error_set_errno(err, "%s", path);
    struct stat st;
    int rc = fstat(fd, &st) ? error_set_errno(err, "%s", path) : check_regular(&st, path, err);
    if (!rc && st.st_size) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            rc = error_set_errno(err, "%s: mapping %lld bytes", path, (long long)st.st_size);
        else
            *m = (struct file_map){p, (size_t)st.st_size, map_guard_add(p, (size_t)st.st_size), identity(&st)};
    }
    close(fd);
    return rc;
}

int file_map_is_cut(const struct file_map *m)
{
    return map_guard_is_cut(m->guard);
}

int file_map_check(const struct file_map *m, const char *path, struct error *err)
{
    struct stat st;
    int gone = stat(path, &st) != 0;
    if (!file_map_is_cut(m) && (gone || (uint64_t)st.st_size >= m->size))
        return 0;
    return error_set(err, ERROR_DATA,
                     "%s: was cut off while it was read (it had %zu bytes when it was opened); get it again, and leave "
                     "models alone while they are in use",
                     path, m->size);
}

void file_map_release(const struct file_map *m)
{
    if (m->data)
        madvise((void *)(uintptr_t)m->data, m->size, MADV_DONTNEED);
}

/* The system maps what lies around a touched page too, in stretches of 64 KiB. */
void file_map_give_back(const struct file_map *m, const void *bytes, size_t n)
{
    enum { AROUND = 64 << 10 };
    uintptr_t first = (uintptr_t)m->data, start = (uintptr_t)bytes, end = start + n;
    if (!m->data || !n || start < first || end > first + m->size) /* what was unpacked lies elsewhere */
        return;
    start = start / AROUND * AROUND > first ? start / AROUND * AROUND : first;
    end =
        (end + AROUND - 1) / AROUND * AROUND < first + m->size ? (end + AROUND - 1) / AROUND * AROUND : first + m->size;
    madvise((void *)start, end - start, MADV_DONTNEED);
}

void file_unmap(struct file_map *m)
{
    if (m->data) {
        map_guard_remove(m->guard);
        munmap((void *)m->data, m->size);
    }
    *m = (struct file_map){.guard = -1};
}

int file_read(struct buf *out, const char *path, size_t max_bytes, struct error *err)
{
    struct input *in;
    int rc = input_open(&in, path, err);
    if (rc)
        return rc;
    size_t before = out->len;
    for (;;) {
        const char *bytes = NULL;
        size_t n = 0;
        if ((rc = input_peek(in, &bytes, &n, err)) <= 0)
            break;
        if (n > max_bytes - (out->len - before)) {
            rc = error_set(err, ERROR_DATA, "%s: larger than the %zu bytes allowed here", path, max_bytes);
            break;
        }
        buf_append(out, bytes, n);
        input_skip(in, n);
        if (out->failed) {
            rc = error_set_nomem(err, out->len + n, path);
            break;
        }
    }
    buf_reserve(out, 0); /* an empty file is an empty string, not NULL */
    if (!rc && out->failed)
        rc = error_set_nomem(err, 1, path);
    input_close(in);
    return rc;
}

int file_read_regular(struct buf *out, const char *path, size_t max_bytes, struct error *err)
{
    int rc = file_check_regular(path, err);
    return rc ? rc : file_read(out, path, max_bytes, err);
}

int file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int file_same(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int file_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int file_size(const char *path, uint64_t *size, struct error *err)
{
    struct stat st;
    if (stat(path, &st))
        return error_set_errno(err, "%s", path);
    *size = (uint64_t)st.st_size;
    return 0;
}

char *path_join(const char *dir, const char *name)
{
    struct buf b = BUF_INIT;
    if (name[0] != '/' && dir[0]) {
        buf_puts(&b, dir);
        if (dir[strlen(dir) - 1] != '/')
            buf_putc(&b, '/');
    }
    buf_puts(&b, name);
    return buf_take(&b);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int path_ends_in(const char *path, const char *tail)
{
    size_t n = strlen(path), k = strlen(tail);
    return n > k && !strcmp(path + n - k, tail);
}

int path_is_text(const char *path)
{
    return path_ends_in(path, ".txt") || path_ends_in(path, ".txt.gz") || path_ends_in(path, ".md");
}

char *path_beside(const char *path, const char *suffix)
{
    const char *base = path_base(path);
    size_t n = strlen(base), k = strlen(suffix);
    struct buf b = BUF_INIT;
    if (n + k <= NAME_MAX)
        buf_printf(&b, "%s%s", path, suffix);
    else /* as much of the name as there is room for, and the rest as a number */
        buf_printf(&b, "%.*s%.*s.%016llx%s", (int)(base - path), path, (int)(NAME_MAX - k - 17), base,
                   (unsigned long long)hash64(base, n), suffix);
    return buf_take(&b);
}

int dirs_make(const char *path, struct error *err)
{
    char *copy = mem_strdup(path);
    int rc = 0;
    if (!copy)
        return error_set_nomem(err, strlen(path) + 1, path);
    for (char *p = copy;; p++) {
        char end = *p;
        if ((end == '/' && p > copy) || end == 0) {
            *p = 0;
            int why = mkdir(copy, 0777) ? errno : 0;
            if (why && !file_is_directory(copy)) {
                errno = why == EEXIST ? ENOTDIR : why;
                rc = error_set_errno(err, "%s: making the directory", copy);
                break;
            }
            *p = end;
        }
        if (!end)
            break;
    }
    mem_free(copy);
    return rc;
}

int dirs_check(const char *path, struct error *err)
{
    char *copy = mem_strdup(path);
    int rc = copy ? 0 : error_set_nomem(err, strlen(path) + 1, path);
    while (!rc && !file_exists(copy)) {
        char *slash = strrchr(copy, '/');
        if (!slash || slash == copy)
            memcpy(copy, slash ? "/" : ".", 2);
        else
            *slash = 0;
    }
    if (!rc && !file_is_directory(copy))
        errno = ENOTDIR;
    else if (!rc && !access(copy, W_OK | X_OK))
        errno = 0;
    if (!rc && errno)
        rc = error_set_errno(err, "%s: making the directory", copy);
    mem_free(copy);
    return rc;
}

/* A directory's own lock is known to one machine alone. */
static int open_lock(const char *path)
{
    char name[64];
    if (!network_under(path, name, sizeof name))
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *file = path_join(path, ".lock");
    int fd = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    mem_free(file);
    return fd;
}

int dir_lock(const char *path, int *descriptor, struct error *err)
{
    *descriptor = -1;
    int rc = dirs_make(path, err);
    if (rc)
        return rc;
    network_tell(path);
    *descriptor = open_lock(path);
    if (*descriptor < 0)
        return error_set_errno(err, "%s", path);
    if (!flock(*descriptor, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
        return 0;
    close(*descriptor);
    *descriptor = -1;
    return error_set(err, ERROR_UNAVAILABLE,
                     "%s: another process is writing there; wait for it, or choose another --output", path);
}

static int remove_at(int dir, const char *name, const char *path, struct error *err)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return error_set_errno(err, "%s: removing %s", path, name);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int rc = error_set_errno(err, "%s: removing %s", path, name);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = 0;
    struct dirent *e;
    while (!rc && (e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = remove_at(fd, e->d_name, path, err);
    closedir(d);
    if (!rc && unlinkat(dir, name, AT_REMOVEDIR))
        rc = error_set_errno(err, "%s: removing %s", path, name);
    return rc;
}

int tree_remove(const char *path, struct error *err)
{
    return remove_at(AT_FDCWD, path, path, err);
}
