/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string of bytes. Invariants: data[len] == 0 whenever data is not NULL; BUF_INIT owns nothing. Appending to
 * a buffer that ran out of memory does nothing more and keeps `failed` set, so a chain of appends needs one check. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
    char *data; /* NULL or NUL-terminated; may hold NULs inside */
    size_t len, cap;
    int failed;
};
#define BUF_INIT      \
    {                 \
        NULL, 0, 0, 0 \
    }

static inline const char *buf_text(const struct buf *b) /* "" when nothing was ever appended */
{
    return b->data ? b->data : "";
}
void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_reserve(struct buf *b, size_t extra); /* 0 or -1 */
void buf_reset(struct buf *b);                /* empty, memory and `failed` kept as they are but failed cleared */
void buf_free(struct buf *b);
char *buf_take(struct buf *b); /* ownership moves (mem_free); NULL if failed */

#endif
