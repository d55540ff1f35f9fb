/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of an exchange: written from any thread into its buffer, taken from there by the server's thread as the
 * client reads. */
#include "serve/http_parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 16 << 10 };

int http_wakes(struct http_exchange *x)
{
    int was = x->suspended;
    x->suspended = 0;
    return was;
}

/* Out of the list, for the last who lets go. */
static void take_out(struct http_exchange *x)
{
    struct http_server *s = x->server;
    if (x->before)
        x->before->next = x->next;
    else
        s->exchanges = x->next;
    if (x->next)
        x->next->before = x->before;
    s->bodies -= x->body.len;
}

static void exchange_free(struct http_exchange *x)
{
    buf_free(&x->body);
    buf_free(&x->out);
    mem_free(x->path);
    mem_free(x);
}

void http_let_go(struct http_exchange *x)
{
    struct http_server *s = x->server;
    pthread_mutex_lock(&s->lock);
    x->closed = 1;
    if (!x->ended && x->handled) {
        s->counts.gone += !x->gone;
        x->gone = 1;
    }
    int last = x->ended || !x->handled;
    if (last)
        take_out(x);
    pthread_mutex_unlock(&s->lock);
    if (last)
        exchange_free(x);
}

/* After something was changed with the lock held; unlocks. */
static void changed(struct http_exchange *x)
{
    struct MHD_Connection *c = x->connection;
    int last = x->ended && x->closed, wakes = !x->closed && http_wakes(x);
    if (x->sent < x->out.len && !x->waiting_since)
        x->waiting_since = clock_now();
    if (last)
        take_out(x);
    pthread_mutex_unlock(&x->server->lock);
    if (last)
        exchange_free(x);
    if (wakes)
        MHD_resume_connection(c);
}

static ssize_t read_out(void *user, uint64_t at, char *to, size_t max)
{
    struct http_exchange *x = user;
    ssize_t n = 0;
    (void)at;
    pthread_mutex_lock(&x->server->lock);
    size_t left = x->out.len - x->sent;
    if (x->out.failed || x->gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left) {
        n = (ssize_t)(left < max ? left : max);
        memcpy(to, x->out.data + x->sent, (size_t)n);
        x->sent += (size_t)n;
        if (x->sent == x->out.len)
            x->waiting_since = 0;
        if (x->sent == x->out.len && !x->whole) {
            buf_reset(&x->out);
            x->sent = 0;
        }
    } else if (x->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        x->suspended = 1;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->server->lock);
    return n;
}

enum MHD_Result http_queue(struct http_exchange *x)
{
    uint64_t size = x->whole ? x->out.len : MHD_SIZE_UNKNOWN;
    struct MHD_Response *r = MHD_create_response_from_callback(size, BLOCK, read_out, x, NULL);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", x->type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    for (int i = 0; i < x->n_header; i++)
        MHD_add_response_header(r, x->headers[i][0], x->headers[i][1]);
    if (x->status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    if (x->status == 429 || x->status == 503)
        MHD_add_response_header(r, "Retry-After", "1");
    const char *origin = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Origin");
    if (origin && x->status != 403) {
        MHD_add_response_header(r, "Access-Control-Allow-Origin", origin);
        MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
        MHD_add_response_header(r, "Access-Control-Allow-Headers", "authorization, content-type");
        MHD_add_response_header(r, "Vary", "Origin");
    }
    if (x->server->quiet)
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result rc = MHD_queue_response(x->connection, (unsigned)x->status, r);
    MHD_destroy_response(r);
    return rc;
}

static void start(struct http_exchange *x, int status, const char *type)
{
    x->status = status;
    x->type = type;
}

void http_header(struct http_exchange *x, const char *name, const char *value)
{
    if (x->n_header == (int)(sizeof x->headers / sizeof *x->headers))
        return;
    x->headers[x->n_header][0] = name;
    x->headers[x->n_header++][1] = value;
}

void http_answer(struct http_exchange *x, int status, const char *type, struct buf *body)
{
    pthread_mutex_lock(&x->server->lock);
    x->out = *body;
    *body = (struct buf)BUF_INIT;
    x->whole = x->ended = 1;
    start(x, status, type);
    changed(x);
}

void http_error(struct http_exchange *x, int status, const char *param, const char *format, ...)
{
    char message[1200];
    struct buf body = BUF_INIT;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    http_error_json(&body, status, param, message);
    http_answer(x, status, "application/json", &body);
}

void http_begin(struct http_exchange *x, int status, const char *type)
{
    pthread_mutex_lock(&x->server->lock);
    start(x, status, type);
    changed(x);
}

void http_write(struct http_exchange *x, const void *bytes, size_t n)
{
    pthread_mutex_lock(&x->server->lock);
    if (!x->gone)
        buf_append(&x->out, bytes, n);
    changed(x);
}

void http_end(struct http_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    x->ended = 1;
    changed(x);
}

int http_gone(const struct http_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    int gone = x->gone;
    pthread_mutex_unlock(&x->server->lock);
    return gone;
}
