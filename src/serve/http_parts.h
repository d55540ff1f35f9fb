/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the server over libmicrohttpd: http_open_mhd.c (listening, the end, clients that are gone or slow),
 * http_request_mhd.c (a request until its handler has it), http_answer_mhd.c (the answer).
 *
 * An exchange belongs to two: the server's thread, until libmicrohttpd has done with the request (`closed`), and the
 * handler's side, until the answer has ended (`ended`); the second to let go frees it. While there is nothing to do for
 * a connection it is suspended: libmicrohttpd then does not look at it, not even whether it is still there, which is
 * http_tend's work. One lock for all; nothing waits while holding it. */
#ifndef SERVE_HTTP_PARTS_H
#define SERVE_HTTP_PARTS_H

#include "serve/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdint.h>

struct http_peer { /* a connection */
    int fd;
    int busy;           /* a whole request of it is being answered */
    int cut;            /* shut down by us */
    double since, left; /* when it was last idle: since then it owes a whole request; when it was found hung up */
    struct http_peer *next, *before;
};
struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_peer *peer;
    char *path;
    struct buf body;
    size_t dropped; /* bytes of a body that is too large */
    int handled, suspended, ended, closed, gone;

    int status; /* 0: nothing is answered yet */
    const char *type;
    const char *headers[4][2];
    int n_header;
    int whole; /* the answer was there at once: its length is said */
    struct buf out;
    size_t sent;
    double waiting_since; /* something is there that is not taken; 0: nothing */
    struct http_exchange *next, *before;
};
struct http_server {
    struct http_options options;
    struct http_routes routes;
    struct MHD_Daemon *daemon;
    int port;
    _Atomic int quiet;
    pthread_mutex_t lock;
    struct http_exchange *exchanges;
    struct http_peer *peers;
    size_t bodies; /* bytes of bodies that are being read, or read and not yet answered */
    struct http_counts counts;
};

/* http_answer_mhd.c */
int http_wakes(struct http_exchange *x); /* with the lock held: 1: MHD_resume_connection is to be called without it */
enum MHD_Result http_queue(struct http_exchange *x); /* the answer that has begun; by the server's thread */
void http_let_go(struct http_exchange *x);           /* libmicrohttpd has done with it */

/* http_request_mhd.c: libmicrohttpd's callbacks */
enum MHD_Result http_handle(void *server, struct MHD_Connection *c, const char *url, const char *method,
                            const char *version, const char *data, size_t *n_data, void **state);
void http_completed(void *server, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code);

#endif
