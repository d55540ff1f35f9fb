/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "tests/http_client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int client_connect(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval most = {20, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

int client_send(int fd, const void *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t some = send(fd, (const char *)bytes + at, n - at, MSG_NOSIGNAL);
        if (some <= 0)
            return -1;
        at += (size_t)some;
    }
    return 0;
}

static int read_more(int fd, struct buf *b)
{
    char part[4096];
    ssize_t n = recv(fd, part, sizeof part, 0);
    if (n <= 0)
        return -1;
    buf_append(b, part, (size_t)n);
    return 0;
}

/* Takes n bytes from the front of raw, reading them first. */
static int take(int fd, struct buf *raw, size_t *at, size_t n, struct buf *to)
{
    while (raw->len - *at < n)
        if (read_more(fd, raw))
            return -1;
    if (to && n)
        buf_append(to, raw->data + *at, n);
    *at += n;
    return 0;
}

static int take_line(int fd, struct buf *raw, size_t *at, char *line, size_t size)
{
    for (;;) {
        char *end = raw->len > *at ? memmem(raw->data + *at, raw->len - *at, "\r\n", 2) : NULL;
        if (end) {
            size_t n = (size_t)(end - raw->data) - *at;
            n = n < size ? n : size - 1;
            memcpy(line, raw->data + *at, n);
            line[n] = 0;
            *at = (size_t)(end - raw->data) + 2;
            return 0;
        }
        if (read_more(fd, raw))
            return -1;
    }
}

static int take_chunks(int fd, struct buf *raw, size_t *at, struct buf *body)
{
    char line[64];
    for (;;) {
        if (take_line(fd, raw, at, line, sizeof line))
            return -1;
        size_t n = strtoul(line, NULL, 16);
        if (!n)
            return take_line(fd, raw, at, line, sizeof line);
        if (take(fd, raw, at, n, body) || take(fd, raw, at, 2, NULL))
            return -1;
    }
}

static int take_head(int fd, struct buf *raw, size_t *at, struct buf *head)
{
    char line[8192];
    do {
        if (take_line(fd, raw, at, line, sizeof line))
            return -1;
        buf_printf(head, "%s\n", line);
    } while (*line);
    return 0;
}

void client_read(int fd, struct client_answer *a)
{
    struct buf raw = BUF_INIT;
    size_t at = 0;
    *a = (struct client_answer){0, BUF_INIT, BUF_INIT};
    int rc = take_head(fd, &raw, &at, &a->head);
    const char *length = rc ? NULL : strcasestr(a->head.data, "\nContent-Length:");
    if (!rc && length)
        rc = take(fd, &raw, &at, strtoul(length + 16, NULL, 10), &a->body);
    else if (!rc && strcasestr(a->head.data, "\nTransfer-Encoding: chunked"))
        rc = take_chunks(fd, &raw, &at, &a->body);
    if (!rc)
        a->status = atoi(a->head.data + 9);
    buf_free(&raw);
}

void client_free(struct client_answer *a)
{
    buf_free(&a->head);
    buf_free(&a->body);
}

int client_call(int port, const char *method_and_path, const char *head, const char *body, struct client_answer *a)
{
    struct buf request = BUF_INIT;
    int fd = client_connect(port);
    buf_printf(&request, "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n%s", method_and_path, port, head);
    if (body)
        buf_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    buf_puts(&request, "\r\n");
    if (body)
        buf_puts(&request, body);
    client_send(fd, request.data, request.len);
    client_read(fd, a);
    buf_free(&request);
    close(fd);
    return a->status;
}
