/* SPDX-License-Identifier: Apache-2.0 */
/* GET over libcurl (fetch_none.c where the build has none), one request at a time, streaming. Redirects are followed
 * here, at most ten, from https never to http; a token goes only to the endpoint's own scheme, host and port, whatever
 * is redirected where. An interrupt ends a transfer. */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Of the last answer, after redirects. */
struct fetch_answer {
    long status;
    int64_t from;                /* Content-Range: the first byte, or -1 */
    double retry_after;          /* seconds, or -1 */
    char code[40], message[300]; /* X-Error-Code, X-Error-Message; the message else from the body */
};
/* fetch_header.c: one header line, or a status line, which begins a new answer; now: for dates. Any bytes. */
void fetch_answer_begin(struct fetch_answer *a);
void fetch_header(struct fetch_answer *a, const char *line, size_t n, time_t now);

struct fetch_request {
    const char *url;
    const char *endpoint, *token; /* the token, or NULL, and where it may go */
    uint64_t from;                /* asks for the bytes from here on when it is not 0 */
    double timeout;               /* seconds until a connection stands; six times as long without a byte is a failure */
    /* Bytes of an answer of status 200 or 206; another value than 0 ends the transfer and is returned. */
    int (*take)(void *user, const struct fetch_answer *answer, const void *bytes, size_t n, struct error *err);
    void *user;
};
struct fetch;
int fetch_open(struct fetch **out, struct error *err); /* ERROR_UNAVAILABLE without libcurl */
void fetch_close(struct fetch *f);                     /* NULL is fine */
/* 0 with *answer, whatever its status; 1 when the transfer failed and another try may help, the reason in err; or an
 * error code. */
int fetch_get(struct fetch *f, const struct fetch_request *request, struct fetch_answer *answer, struct error *err);

#endif
