/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: every function that can fail returns 0 or a negative code from ERROR_CODES and writes one line into a struct
 * error that the caller owns. The line names the file, the place in it, what was wanted and what was found, and the
 * mend where one is known. err may be NULL. Nothing below src/cli prints or exits. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

/* X(name, exit code, short text). Exit codes follow sysexits.h where it has one. */
#define ERROR_CODES(X)                                   \
    X(FAILED, 1, "failed")                               \
    X(USAGE, 2, "wrong usage")                           \
    X(DATA, 65, "bad input data")                        \
    X(NOINPUT, 66, "input not found")                    \
    X(UNAVAILABLE, 69, "service or feature unavailable") \
    X(INTERNAL, 70, "internal error")                    \
    X(NOMEM, 70, "out of memory")                        \
    X(IO, 74, "input or output error")                   \
    X(INTERRUPTED, 75, "interrupted, can be continued")  \
    X(PERMISSION, 77, "permission denied")               \
    X(CONFIG, 78, "bad configuration")

enum error_index {
#define X(name, exit_code, text) ERROR_INDEX_##name,
    ERROR_CODES(X)
#undef X
        ERROR_COUNT
};
enum error_code {
    ERROR_OK = 0,
#define X(name, exit_code, text) ERROR_##name = -1 - (int)ERROR_INDEX_##name,
    ERROR_CODES(X)
#undef X
};

struct error {
    int code;           /* 0 or an enum error_code */
    char message[1024]; /* one line, no newline at its end; cut with "..." if longer */
};

/* Sets err (if not NULL) and returns code, so that "return error_set(err, ERROR_DATA, ...)" reads well. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a failed system call: appends strerror(errno); ENOENT -> NOINPUT, EACCES/EPERM -> PERMISSION,
 * ENOMEM -> NOMEM, the rest IO; a full disk says so. */
int error_set_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "out of memory: BYTES bytes for WHAT". */
int error_set_nomem(struct error *err, size_t bytes, const char *what);
/* Puts "PREFIX: " before the message already there; returns err's code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
int error_exit_code(int code);
const char *error_name(int code);

#endif
