/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int buf_reserve(struct buf *b, size_t extra)
{
    size_t need;
    if (b->failed || size_add(b->len + 1, extra, &need)) {
        b->failed = 1;
        return -1;
    }
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 32 ? 64 : b->cap * 2;
    if (cap < need)
        cap = need;
    char *data = mem_resize(b->data, cap);
    if (!data) {
        b->failed = 1;
        return -1;
    }
    if (!b->data)
        data[0] = 0;
    b->data = data;
    b->cap = cap;
    return 0;
}

void buf_append(struct buf *b, const void *bytes, size_t n)
{
    if (buf_reserve(b, n))
        return;
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && !buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->data)
        b->data[0] = 0;
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf)BUF_INIT;
}

char *buf_take(struct buf *b)
{
    buf_reserve(b, 0);
    char *data = b->failed ? NULL : b->data;
    if (b->failed)
        mem_free(b->data);
    *b = (struct buf)BUF_INIT;
    return data;
}
