/* SPDX-License-Identifier: Apache-2.0 */
/* A request until its handler has it: who may ask, its body within the limits, its route. */
#include "serve/http_parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADER_BYTES = 16 << 10, MIB = 1 << 20 };

const char *http_path(const struct http_exchange *x)
{
    return x->path;
}

const char *http_query(const struct http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_body(const struct http_exchange *x, size_t *n)
{
    *n = x->body.len;
    return buf_text(&x->body);
}

static const char *header(const struct http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

struct header_sum {
    size_t bytes;
    int hosts;
};

static enum MHD_Result add_line(void *to, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct header_sum *sum = to;
    (void)kind;
    sum->bytes += strlen(key) + (value ? strlen(value) : 0) + 4;
    sum->hosts += !strcasecmp(key, "Host");
    return MHD_YES;
}

/* The first row that fits; *path_known: one has this path, for another method. */
static const struct http_route *find_route(const struct http_server *s, const char *method, const char *path,
                                           int *path_known)
{
    if (!strcmp(method, "HEAD"))
        method = "GET";
    *path_known = 0;
    for (int i = 0; i < s->routes.n; i++) {
        const struct http_route *r = &s->routes.rows[i];
        size_t n = strlen(r->path);
        int all = n && r->path[n - 1] == '*';
        if (all ? strncmp(r->path, path, n - 1) : strcmp(r->path, path))
            continue;
        if (!strcmp(r->method, method))
            return r;
        *path_known = 1;
    }
    return NULL;
}

static const struct http_route *route_of(const struct http_exchange *x, const char *method, int *path_known)
{
    return find_route(x->server, method, x->path, path_known);
}

/* Refused with an answer: 1. */
static int check_caller(struct http_exchange *x, const char *version)
{
    const struct http_options *o = &x->server->options;
    const char *host = header(x, "Host"), *origin = header(x, "Origin");
    struct header_sum sum = {0, 0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, add_line, &sum);
    if (sum.bytes > HEADER_BYTES)
        http_error(x, 431, NULL, "the header has %zu bytes, more than %d", sum.bytes, HEADER_BYTES);
    else if (sum.hosts > 1)
        http_error(x, 400, NULL, "the request has %d Host headers; wanted one", sum.hosts);
    else if (!host && strcmp(version, "HTTP/1.0"))
        http_error(x, 400, NULL, "the request has no Host header");
    else if (host && !http_host_fits(o, host))
        http_error(x, 403, NULL,
                   "Host: wanted an address, localhost or a name that was given as --host or --allow-host, found "
                   "\"%.100s\"",
                   host);
    else if (origin && !http_origin_fits(o, origin, host ? host : ""))
        http_error(x, 403, NULL, "Origin: pages of \"%.100s\" may not call; --allow-origin would let them", origin);
    else if (x->server->quiet)
        http_error(x, 503, NULL, "the server is shutting down");
    else
        return 0;
    return 1;
}

static int check_size(struct http_exchange *x)
{
    const char *length = header(x, "Content-Length");
    size_t limit = (size_t)x->server->options.max_body * MIB;
    if (!length || strtoull(length, NULL, 10) <= limit)
        return 0;
    http_error(x, 413, NULL, "the body has %.20s bytes, more than --max-body %d MiB", length,
               x->server->options.max_body);
    return 1;
}

static int check_route(struct http_exchange *x, const char *method)
{
    int known;
    const struct http_route *r = route_of(x, method, &known);
    const char *key = x->server->options.api_key;
    if (!r && known)
        http_error(x, 405, NULL, "%.20s is not a method of %.200s", method, x->path);
    else if (!r)
        http_error(x, 404, NULL, "there is nothing at %.200s", x->path);
    else if (key && !r->open && !http_key_fits(key, header(x, "Authorization")))
        http_error(x, 401, NULL, "wanted Authorization: Bearer and the server's key");
    else
        return 0;
    return 1;
}

/* A browser asks before a page calls. */
static int check_preflight(struct http_exchange *x, const char *method)
{
    struct buf none = BUF_INIT;
    if (strcmp(method, "OPTIONS") || !header(x, "Origin"))
        return 0;
    http_answer(x, 204, "text/plain", &none);
    return 1;
}

static struct http_exchange *exchange_new(struct http_server *s, struct MHD_Connection *c, const char *path)
{
    struct http_exchange *x = mem_calloc(1, sizeof *x);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (x)
        x->path = mem_strdup(path);
    if (!x || !x->path) {
        mem_free(x);
        return NULL;
    }
    x->server = s;
    x->connection = c;
    x->peer = info ? info->socket_context : NULL;
    pthread_mutex_lock(&s->lock);
    x->next = s->exchanges;
    if (x->next)
        x->next->before = x;
    s->exchanges = x;
    s->counts.requests++;
    pthread_mutex_unlock(&s->lock);
    return x;
}

static enum MHD_Result refuse(struct http_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    x->server->counts.refused++;
    x->handled = 1;
    pthread_mutex_unlock(&x->server->lock);
    return http_queue(x);
}

static enum MHD_Result take_body(struct http_exchange *x, const char *data, size_t *n_data)
{
    struct http_server *s = x->server;
    size_t limit = (size_t)s->options.max_body * MIB, n = *n_data;
    pthread_mutex_lock(&s->lock);
    int fits = !x->dropped && x->body.len + n <= limit && s->bodies + n <= 4 * limit;
    if (fits) {
        size_t before = x->body.len;
        buf_append(&x->body, data, n);
        s->bodies += x->body.len - before;
    } else {
        x->dropped += n;
    }
    int far = x->dropped > 4 * limit;
    pthread_mutex_unlock(&s->lock);
    *n_data = 0;
    return far ? MHD_NO : MHD_YES;
}

static void mark_busy(struct http_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    x->handled = 1;
    if (x->peer)
        x->peer->busy = 1;
    pthread_mutex_unlock(&x->server->lock);
}

/* The whole request is there. */
static void call_handler(struct http_exchange *x, const char *method)
{
    int known;
    const struct http_route *r = route_of(x, method, &known);
    mark_busy(x);
    if (x->dropped && x->body.len + x->dropped > (size_t)x->server->options.max_body * MIB)
        http_error(x, 413, NULL, "the body has more than --max-body %d MiB", x->server->options.max_body);
    else if (x->dropped)
        http_error(x, 429, NULL, "too many large requests at once; try again in a moment");
    else if (x->body.failed)
        http_error(x, 503, NULL, "out of memory");
    else
        r->handle(x->server->routes.user, x);
}

/* Begins to answer, or waits until there is something to answer with. */
static enum MHD_Result go_on(struct http_exchange *x)
{
    pthread_mutex_lock(&x->server->lock);
    int gone = x->gone, ready = x->status != 0;
    if (!gone && !ready) {
        x->suspended = 1;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->server->lock);
    if (gone)
        return MHD_NO;
    return ready ? http_queue(x) : MHD_YES;
}

enum MHD_Result http_handle(void *server, struct MHD_Connection *c, const char *url, const char *method,
                            const char *version, const char *data, size_t *n_data, void **state)
{
    struct http_exchange *x = *state;
    if (!x) {
        x = *state = exchange_new(server, c, url);
        if (!x)
            return MHD_NO;
        if (check_caller(x, version) || check_preflight(x, method) || check_route(x, method) || check_size(x))
            return refuse(x);
        return MHD_YES;
    }
    if (*n_data)
        return take_body(x, data, n_data);
    if (!x->handled)
        call_handler(x, method);
    return go_on(x);
}

void http_completed(void *server, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    struct http_server *s = server;
    struct http_exchange *x = *state;
    (void)c;
    (void)code;
    if (!x)
        return;
    pthread_mutex_lock(&s->lock);
    if (x->peer) {
        x->peer->busy = 0;
        x->peer->since = clock_now();
    }
    pthread_mutex_unlock(&s->lock);
    *state = NULL;
    http_let_go(x);
}
