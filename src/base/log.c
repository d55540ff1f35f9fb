/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static struct log_sink current;

void log_set_sink(const struct log_sink *sink)
{
    current = sink ? *sink : (struct log_sink){0};
}

struct log_sink log_get_sink(void)
{
    return current;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!current.line)
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    current.line(current.user, level, text);
}

void progress_show(const struct progress *p)
{
    if (current.progress)
        current.progress(current.user, p);
}
