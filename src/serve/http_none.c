/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libmicrohttpd. */
#include "serve/http.h"

int http_open(struct http_server **out, const struct http_options *o, const struct http_routes *routes,
              struct error *err)
{
    (void)o;
    (void)routes;
    *out = NULL;
    return error_set(err, ERROR_UNAVAILABLE,
                     "this build has no libmicrohttpd; install libmicrohttpd-dev and build again");
}

int http_port(const struct http_server *s)
{
    (void)s;
    return 0;
}

void http_tend(struct http_server *s)
{
    (void)s;
}

void http_quiet(struct http_server *s)
{
    (void)s;
}

int http_pending(const struct http_server *s)
{
    (void)s;
    return 0;
}

void http_close(struct http_server *s)
{
    (void)s;
}

struct http_counts http_counts(const struct http_server *s)
{
    (void)s;
    return (struct http_counts){0};
}

const char *http_path(const struct http_exchange *x)
{
    (void)x;
    return "";
}

const char *http_query(const struct http_exchange *x, const char *name)
{
    (void)x;
    (void)name;
    return NULL;
}

const char *http_body(const struct http_exchange *x, size_t *n)
{
    (void)x;
    *n = 0;
    return "";
}

void http_answer(struct http_exchange *x, int status, const char *type, struct buf *body)
{
    (void)x;
    (void)status;
    (void)type;
    buf_free(body);
}

void http_error(struct http_exchange *x, int status, const char *param, const char *format, ...)
{
    (void)x;
    (void)status;
    (void)param;
    (void)format;
}

void http_begin(struct http_exchange *x, int status, const char *type)
{
    (void)x;
    (void)status;
    (void)type;
}

void http_write(struct http_exchange *x, const void *bytes, size_t n)
{
    (void)x;
    (void)bytes;
    (void)n;
}

void http_end(struct http_exchange *x)
{
    (void)x;
}

int http_gone(const struct http_exchange *x)
{
    (void)x;
    return 1;
}

void http_header(struct http_exchange *x, const char *name, const char *value)
{
    (void)x;
    (void)name;
    (void)value;
}
