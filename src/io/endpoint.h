/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to an OpenAI-compatible endpoint and back, over libcurl (endpoint_none.c where the build has none). Tried again,
 * with growing pauses, when it may help: no connection, a connection lost, a body cut short, a time-out, status 408,
 * 425, 429 (Retry-After, in seconds or as a date, is kept to up to five minutes) and 5xx, an answer that is not JSON.
 * Other statuses are errors at once, with what the server said; but a refusal that names max_completion_tokens is one
 * of max_tokens, and the request goes out once more, as all later ones, under that name. Requests are spaced by the
 * rate limit. An interrupt (base/interrupt.h) ends the wait. */
#ifndef IO_ENDPOINT_H
#define IO_ENDPOINT_H

#include "io/http_text.h"

#include <jansson.h>

struct endpoint_options {
    const char *url; /* "http://host:port/v1"; the request's path is appended */
    const char *key; /* bearer token, or NULL */
    /* seconds a try may take [60]; seconds before the second try [1], doubled for each further one up to 60 */
    double timeout, pause;
    int tries;                      /* in all [6] */
    double per_minute;              /* requests a minute at most; 0: no limit */
    const struct http_clock *clock; /* NULL: the machine's */
};
void endpoint_options_default(struct endpoint_options *o);

struct endpoint;
/* ERROR_UNAVAILABLE without libcurl. */
int endpoint_open(struct endpoint **out, const struct endpoint_options *o, struct error *err);
void endpoint_close(struct endpoint *h); /* NULL is fine */
/* POSTs body; *answer is a new reference. ERROR_UNAVAILABLE after the last try, naming the last failure; *n_try (may be
 * NULL): how many were needed. */
int endpoint_post(struct endpoint *h, const char *path, const json_t *body, json_t **answer, int *n_try,
                  struct error *err);

struct endpoint_answer {
    const json_t *json;  /* NULL: this request was refused */
    const char *refused; /* by status 400, 413 or 422; with the server's words */
    int tries;
};
/* n requests, several in flight. A failure ends it as it ends endpoint_post, and so does an interrupt; but those in
 * flight are waited for and handed over first, as somebody may have to pay for them. */
struct endpoint_work {
    const char *path;
    int n, at_once;                                        /* at_once: 1 or more */
    json_t *(*body)(void *user, int i, struct error *err); /* new reference; asked for when i is sent first */
    /* Once for each, in the order they finish; another value than 0 ends it all. */
    int (*put)(void *user, int i, const struct endpoint_answer *answer, struct error *err);
    void *user;
};
int endpoint_post_all(struct endpoint *h, const struct endpoint_work *w, struct error *err);

#endif
