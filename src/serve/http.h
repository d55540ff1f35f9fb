/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP for programs on this machine, over libmicrohttpd (http_none.c where the build has none).
 *
 *     static void hello(void *user, struct http_exchange *x)
 *     {
 *         struct buf body = BUF_INIT;
 *         buf_puts(&body, "{\"hello\": true}");
 *         http_answer(x, 200, "application/json", &body);
 *     }
 *     static const struct http_route routes[] = {{"GET", "/hello", 0, hello}};
 *     http_options_default(&o);
 *     if (http_open(&server, &o, &(struct http_routes){routes, 1, user}, &err)) ...
 *     while (!http_wait_signal(0.1))
 *         http_tend(server);
 *     http_close(server);
 *
 * A thread of the server reads requests and calls handlers with the whole body. A handler answers at once, or keeps the
 * exchange and answers later from any thread, whole or piece by piece. What a client may not do (another Host or
 * Origin, no key, too large, too slow, too many) is refused here, before a handler; each refusal is OpenAI's JSON. What
 * is no HTTP at all libmicrohttpd answers by itself. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/fields.h"

enum { HTTP_MAX_NAMES = 16, HTTP_NAME_BYTES = 128 };
struct http_options {
    const char *host, *api_key; /* api_key NULL: none is asked for */
    int port;                   /* 0: any that is free */
    /* origins whose pages may call, "*": all; names by which a Host header may call this machine besides its own */
    char allow_origin[HTTP_MAX_NAMES][HTTP_NAME_BYTES], allow_host[HTTP_MAX_NAMES][HTTP_NAME_BYTES];
    int n_allow_origin, n_allow_host;
    int max_body, max_connections; /* MiB of one body, and four times as much of all that are being read; connections */
    int patience; /* seconds for a request to arrive whole, and for a client that does not read what is sent to it */
};
extern const struct field_table http_fields;
void http_options_default(struct http_options *o);

struct http_server;
struct http_exchange; /* a request and its answer */
struct http_route {
    const char *method, *path; /* a path that ends in '*': all that begin so; the first row that fits */
    int open;                  /* no key is asked for */
    void (*handle)(void *user, struct http_exchange *x);
};
struct http_routes { /* borrowed until http_close */
    const struct http_route *rows;
    int n;
    void *user;
};
int http_open(struct http_server **out, const struct http_options *o, const struct http_routes *routes,
              struct error *err);
int http_port(const struct http_server *s);
/* Some ten times a second, from any one thread: finds clients that have gone, cuts those that are too slow. */
void http_tend(struct http_server *s);
void http_quiet(struct http_server *s);        /* no new connections; new requests are told to go elsewhere (503) */
int http_pending(const struct http_server *s); /* requests that a handler has, or whose answer is still being sent */
void http_close(struct http_server *s);        /* every exchange has been answered; NULL is fine */
struct http_counts {
    long requests, refused, gone, connections; /* connections: open now; gone: clients that went before their answer */
};
struct http_counts http_counts(const struct http_server *s);
/* The thread's SIGINT and SIGTERM from http_block_signals on (before any thread is made): waits so many seconds for one
 * of them, which is returned, or 0. Those that were ignored at the start stay so. */
void http_block_signals(void);
int http_wait_signal(double seconds);

/* Of the request; texts are borrowed until the answer's end. */
const char *http_path(const struct http_exchange *x);
const char *http_query(const struct http_exchange *x, const char *name); /* in a handler only; NULL: not there */
const char *http_body(const struct http_exchange *x, size_t *n);         /* "" when there is none */

/* The answer, from any thread: http_answer or http_error or, piece by piece, http_begin, http_write..., http_end. With
 * the last of them the exchange is no longer the caller's. */
void http_answer(struct http_exchange *x, int status, const char *type, struct buf *body); /* body's memory is taken */
/* {"error": {"message", "type", "param", "code"}} as OpenAI's, type and code by the status; param may be NULL. */
void http_error(struct http_exchange *x, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Before the answer: a header of it, four at most; texts that stay. */
void http_header(struct http_exchange *x, const char *name, const char *value);
void http_begin(struct http_exchange *x, int status, const char *type);
void http_write(struct http_exchange *x, const void *bytes, size_t n);
void http_end(struct http_exchange *x);
int http_gone(const struct http_exchange *x); /* nobody reads the answer; it is still to be ended */

/* http_options.c: appends that object to out. */
void http_error_json(struct buf *out, int status, const char *param, const char *message);

/* http_guard.c */
int http_host_fits(const struct http_options *o, const char *host);                       /* a Host header */
int http_origin_fits(const struct http_options *o, const char *origin, const char *host); /* of the page that calls */
int http_key_fits(const char *key, const char *authorization); /* in a time that does not tell how much of it fits */

#endif
