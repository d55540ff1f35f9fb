/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that turns failures into codes and lines. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int exit_code;
    const char *text;
} table[] = {
#define X(name, exit_code, text) {exit_code, text},
    ERROR_CODES(X)
#undef X
};

/* One line, whatever the texts that it quotes hold. */
static void write_message(struct error *err, const char *format, va_list args)
{
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    for (char *s = err->message; (s = strpbrk(s, "\r\n"));)
        *s = ' ';
    if (n >= (int)sizeof err->message)
        memcpy(err->message + sizeof err->message - 4, "...", 4);
}

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        write_message(err, format, args);
        va_end(args);
        err->code = code;
    }
    return code;
}

static int code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR: return ERROR_NOINPUT;
    case EACCES:
    case EPERM:
    case EROFS: return ERROR_PERMISSION;
    case ENOMEM: return ERROR_NOMEM;
    default: return ERROR_IO;
    }
}

int error_set_errno(struct error *err, const char *format, ...)
{
    int number = errno, code = code_of_errno(number);
    if (err) {
        va_list args;
        va_start(args, format);
        write_message(err, format, args);
        va_end(args);
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(number));
        err->code = code;
    }
    return code;
}

int error_set_nomem(struct error *err, size_t bytes, const char *what)
{
    return error_set(err, ERROR_NOMEM, "out of memory: %zu bytes for %s", bytes, what);
}

int error_prefix(struct error *err, const char *format, ...)
{
    if (!err)
        return ERROR_FAILED;
    struct error old = *err;
    va_list args;
    va_start(args, format);
    write_message(err, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %.*s", (int)(sizeof old.message - 3), old.message);
    return err->code;
}

int error_exit_code(int code)
{
    int index = -1 - code;
    if (code == 0)
        return 0;
    return index >= 0 && index < ERROR_COUNT ? table[index].exit_code : 1;
}

const char *error_name(int code)
{
    int index = -1 - code;
    if (code == 0)
        return "ok";
    return index >= 0 && index < ERROR_COUNT ? table[index].text : "unknown error";
}
