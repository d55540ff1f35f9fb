/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input, where a signal that comes while nobody types is seen. */
#include "cli/parts.h"

#include "base/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

/* More bytes, or the end. */
static int read_more(struct lines *l, struct error *err)
{
    char block[4096];
    struct pollfd in = {.fd = 0, .events = POLLIN};
    while (poll(&in, 1, LOOK_MS) <= 0)
        if (interrupt_requested())
            return LINES_INTERRUPTED;
    ssize_t n = read(0, block, sizeof block);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return error_set(err, ERROR_IO, "standard input: %s", strerror(errno));
    if (n == 0)
        l->ended = 1;
    if (n > 0)
        buf_append(&l->ahead, block, (size_t)n);
    return l->ahead.failed ? error_set_nomem(err, l->ahead.len, "a line") : LINES_LINE;
}

/* One line as it stands; *ended: nothing is left. */
static int take_line(struct lines *l, struct buf *line, struct error *err)
{
    const char *end = NULL;
    int rc = LINES_LINE;
    while (!(end = memchr(buf_text(&l->ahead) + l->at, '\n', l->ahead.len - l->at)) && !l->ended) {
        rc = read_more(l, err);
        if (rc)
            return rc;
    }
    size_t n = end ? (size_t)(end - buf_text(&l->ahead)) - l->at : l->ahead.len - l->at;
    if (!end && !n)
        return LINES_END;
    size_t kept = n && buf_text(&l->ahead)[l->at + n - 1] == '\r' ? n - 1 : n;
    buf_append(line, buf_text(&l->ahead) + l->at, kept);
    l->at += end ? n + 1 : n;
    if (l->at == l->ahead.len) {
        buf_reset(&l->ahead);
        l->at = 0;
    }
    return line->failed ? error_set_nomem(err, line->len, "a line") : LINES_LINE;
}

int lines_next(struct lines *l, struct buf *line, struct error *err)
{
    int rc = take_line(l, line, err);
    while (rc == LINES_LINE && line->len && line->data[line->len - 1] == '\\') {
        line->data[line->len - 1] = '\n';
        rc = take_line(l, line, err);
    }
    return rc == LINES_END && line->len ? LINES_LINE : rc;
}
