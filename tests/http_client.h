/* SPDX-License-Identifier: Apache-2.0 */
/* A client of one's own for tests of a server: exact bytes out, one answer in. */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include "base/buf.h"

struct client_answer {
    int status;            /* 0: the connection ended before a whole answer */
    struct buf head, body; /* chunks are put together */
};
int client_connect(int port);                         /* to 127.0.0.1; fails the test when it cannot */
int client_send(int fd, const void *bytes, size_t n); /* 0, or -1: the server has closed */
/* The next answer of the connection, within 20 s. */
void client_read(int fd, struct client_answer *a);
void client_free(struct client_answer *a);
/* One request on a connection of its own. head: more lines, each ended with \r\n, or "". body NULL: none. */
int client_call(int port, const char *method_and_path, const char *head, const char *body, struct client_answer *a);

#endif
