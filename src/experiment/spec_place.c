/* SPDX-License-Identifier: Apache-2.0 */
/* Where something stands: lines of the experiment's file, and files beside it. */
#include "experiment/parts.h"

#include "io/file.h"

#include <stdarg.h>
#include <string.h>

int spec_fail(const struct spec *s, long line, struct error *err, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(err, ERROR_CONFIG, "%s:%ld: %s", s->path, line, text);
}

const char *spec_value(struct spec *s, const char *option, const char *text)
{
    return switch_is_path(option) && *text != '{' ? spec_path(s, text) : text;
}

const char *spec_path(struct spec *s, const char *path)
{
    const char *end = strrchr(s->path, '/');
    struct buf beside = BUF_INIT;
    if (*path == '/' || !end || file_exists(path))
        return path;
    buf_printf(&beside, "%.*s/%s", (int)(end - s->path), s->path, path);
    const char *found = !beside.failed && file_exists(beside.data) ? arena_strdup(&s->arena, beside.data) : path;
    buf_free(&beside);
    return found;
}
