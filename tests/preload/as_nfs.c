/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: directories below AS_NFS answer as on NFS, which has no lock on a directory that another machine
 * sees, no exclusive lock by a descriptor that cannot write (flock(2)), and none of the memory that SQLite's
 * write-ahead log wants shared (taken away here, so that whoever asks for it fails). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

static int below(const char *path)
{
    const char *root = getenv("AS_NFS");
    return root && !strncmp(path, root, strlen(root));
}

static int is_below(int fd, char *path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : readlink(link, path, size - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0 && below(path);
}

int statfs64(const char *path, struct statfs64 *s)
{
    int (*own)(const char *, struct statfs64 *) =
        (int (*)(const char *, struct statfs64 *))dlsym(RTLD_NEXT, "statfs64");
    int rc = own(path, s);
    if (!rc && below(path))
        s->f_type = 0x6969;
    return rc;
}

int flock(int fd, int operation)
{
    int (*own)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    char path[4096];
    if ((operation & LOCK_EX) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY && is_below(fd, path, sizeof path)) {
        errno = EBADF;
        return -1;
    }
    return own(fd, operation);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    static void *(*own)(void *, size_t, int, int, int, off64_t);
    char path[4096];
    if (!own)
        own = (void *(*)(void *, size_t, int, int, int, off64_t))dlsym(RTLD_NEXT, "mmap64");
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && is_below(fd, path, sizeof path)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return own(at, n, protection, flags, fd, offset);
}
