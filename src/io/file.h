/* SPDX-License-Identifier: Apache-2.0 */
/* Files: read or map one whole, write one so that the old or the new content is there whatever happens, and paths.
 * Messages name the path. "-" is standard input where a function reads. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

/* A read-only mapping of a regular file (a pipe or a device is an error, and nothing waits for it); data is NULL when
 * the file is empty. Where another process cuts the file afterwards zeros are read (io/map_guard.h): whoever has used
 * the bytes asks file_map_is_cut, and file_map_check for the error. */
struct file_identity { /* the same again: the same file with the same content; no padding */
    uint64_t device, inode, size;
    int64_t written, changed; /* nanoseconds since 1970 */
};
int file_identity_of(struct file_identity *id, const char *path); /* -1: not to be found */
struct file_map {
    const unsigned char *data;
    size_t size;
    int guard;
    struct file_identity id; /* when it was mapped */
};
int file_map(struct file_map *m, const char *path, struct error *err);
void file_unmap(struct file_map *m);
int file_map_is_cut(const struct file_map *m);
/* 0, or ERROR_DATA: the file has become shorter since it was mapped. */
int file_map_check(const struct file_map *m, const char *path, struct error *err);
/* Lets the system take the pages back, all of them or those that some of the bytes lie in; they are read again when
 * they are touched. */
void file_map_release(const struct file_map *m);
void file_map_give_back(const struct file_map *m, const void *bytes, size_t n);

/* file_hash.c: SHA-256 of its bytes, which are not read again for the same content. The path is the one it was mapped
 * from; whether it was cut meanwhile is asked as for other readers. */
int file_map_sha256(const struct file_map *m, const char *path, char hex[65], struct error *err);

/* Appends the whole file (plain, or gzip by its magic; "-" = standard input) to out; more than max_bytes is an
 * error. */
int file_read(struct buf *out, const char *path, size_t max_bytes, struct error *err);
/* The same of a model's file: a pipe or a device is an error. */
int file_read_regular(struct buf *out, const char *path, size_t max_bytes, struct error *err);
/* Replaces path by these bytes: a temporary file beside it, fsync, rename, fsync of the directory. */
int file_write(const char *path, const void *bytes, size_t n, struct error *err);

/* The same as a stream. The temporary file is PATH.tmp, locked; a stale one of a killed process is taken over. A path
 * that is there and not a regular file (a pipe, /dev/stdout) is written directly. Freed by commit and by abort; nothing
 * is at PATH before commit. */
struct atomic_file;
int atomic_file_open(struct atomic_file **out, const char *path, struct error *err);
int atomic_file_write(struct atomic_file *f, const void *bytes, size_t n, struct error *err); /* at the end */
/* At an absolute place, in any order, from several threads; regular files only. Reserve first: a full disk shows
 * there. */
int atomic_file_reserve(struct atomic_file *f, uint64_t size, struct error *err);
int atomic_file_write_at(struct atomic_file *f, uint64_t offset, const void *bytes, size_t n, struct error *err);
int atomic_file_commit(struct atomic_file *f, struct error *err); /* on failure the old file stays */
void atomic_file_abort(struct atomic_file *f);                    /* NULL is fine */

int file_exists(const char *path); /* anything there that can be followed to */
int file_is_directory(const char *path);
int file_same(const char *a, const char *b); /* both there, and one under two names */
int file_size(const char *path, uint64_t *size, struct error *err);
/* dir/name, in memory of the caller (mem_free); NULL when out of memory. An absolute name stays as it is. */
char *path_join(const char *dir, const char *name);
/* path with a suffix; where its last part would be longer than a file system takes (255 bytes), that part is shortened
 * and stays a function of the whole. NULL when out of memory. */
char *path_beside(const char *path, const char *suffix);
const char *path_base(const char *path);              /* after the last "/"; points into path */
int path_ends_in(const char *path, const char *tail); /* and is longer */
int path_is_text(const char *path);                   /* by its name plain text, without records: .txt, .txt.gz, .md */
/* Makes the directory if need be and holds it against other processes until the descriptor is closed, or the process
 * ends however it ends; on a network file system by a file .lock, and it is told. ERROR_UNAVAILABLE when another one
 * has it; a file system without locks is taken as it is. */
int dir_lock(const char *path, int *descriptor, struct error *err);
int dirs_make(const char *path, struct error *err);                 /* mkdir -p */
int dirs_check(const char *path, struct error *err);                /* what dirs_make would refuse; nothing is made */
int file_copy(const char *from, const char *to, struct error *err); /* byte-identical, atomic */
int tree_remove(const char *path, struct error *err); /* does not follow links; a path that is not there is fine */

#endif
