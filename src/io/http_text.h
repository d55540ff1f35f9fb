/* SPDX-License-Identifier: Apache-2.0 */
/* What every HTTP client of the house needs beside the connection: which failures may pass, how long to wait, and what
 * of addresses and secrets is shown. */
#ifndef IO_HTTP_TEXT_H
#define IO_HTTP_TEXT_H

#include "base/error.h"

#include <stddef.h>
#include <time.h>

/* What waits go by; for tests, whose time is their own. */
struct http_clock {
    double (*now)(void *user);
    void (*nap)(void *user, double seconds);
    void *user;
};
/* NULL: the machine's. */
double http_now(const struct http_clock *c);
/* Until `when`, in naps of a tenth of a second; an interrupt ends it. */
int http_wait(const struct http_clock *c, double when, struct error *err);

/* An address without user and password, and without a query, as it may be shown and kept; cut to size. */
void http_shown(const char *endpoint, char *out, size_t size);
/* A secret in a text (of four bytes or more) becomes "***", in place; NULL is fine. */
void http_hide(char *text, const char *secret);
/* Seconds that a Retry-After header's value asks for at `now`: a number or an HTTP date; -1 for anything else. */
double http_retry_after(const char *value, time_t now);
/* Whether the same request may succeed later: 408, 425, 429, 5xx. */
int http_may_help(long status);

#endif
