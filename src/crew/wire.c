/* SPDX-License-Identifier: Apache-2.0 */
#include "crew/wire.h"

#include "base/mem.h"

#include <string.h>

void wire_begin(struct buf *b, enum crew_word word)
{
    buf_reset(b);
    wire_put_int(b, word);
}

void wire_put(struct buf *b, const void *data, size_t n)
{
    if (n)
        buf_append(b, data, n);
}

void wire_put_int(struct buf *b, int64_t x)
{
    buf_append(b, &x, sizeof x);
}

void wire_put_text(struct buf *b, const char *text)
{
    size_t n = text ? strlen(text) + 1 : 0;
    wire_put_int(b, (int64_t)n);
    wire_put(b, text, n);
}

enum crew_word wire_read(struct wire *w, const struct buf *message)
{
    *w = (struct wire){message->data, message->len, 0};
    return (enum crew_word)wire_get_int(w);
}

static const char *take(struct wire *w, size_t n)
{
    const char *from = w->at;
    if (n > w->left) {
        w->broken = 1;
        w->left = 0;
        return NULL;
    }
    w->at += n;
    w->left -= n;
    return from;
}

void wire_get(struct wire *w, void *out, size_t n)
{
    const char *from = take(w, n);
    if (from)
        memcpy(out, from, n);
    else
        memset(out, 0, n);
}

int64_t wire_get_int(struct wire *w)
{
    int64_t x;
    wire_get(w, &x, sizeof x);
    return x;
}

const char *wire_get_text(struct wire *w)
{
    int64_t n = wire_get_int(w);
    return n > 0 ? take(w, (size_t)n) : NULL;
}

void *wire_get_array(struct wire *w, int64_t n, size_t size)
{
    if (n < 0 || (size_t)n > w->left / size) {
        w->broken = 1;
        w->left = 0;
        return NULL;
    }
    void *out = mem_alloc((size_t)n * size + 1);
    if (out)
        wire_get(w, out, (size_t)n * size);
    return out;
}
