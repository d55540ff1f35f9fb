/* SPDX-License-Identifier: Apache-2.0 */
/* Listening, tending and the end of a server. */
#include "serve/http_parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* memory of a connection for its header; more than http_request_mhd.c lets through, so that it can say so itself */
enum { CONNECTION_BYTES = 64 << 10, BACKLOG = 256, SLOWEST = 16 << 10 /* bytes a second that every client can read */ };

static int try_listen(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), yes = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &n))
        return 0;
    if (at.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&at)->sin6_port);
    return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

static int listen_on(const struct http_options *o, int *out, struct error *err)
{
    char port[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    snprintf(port, sizeof port, "%d", o->port);
    int why = getaddrinfo(o->host, port, &hints, &found), fd = -1;
    if (why)
        return error_set(err, ERROR_USAGE, "--host %s: %s", o->host, gai_strerror(why));
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
        fd = try_listen(a);
    why = errno;
    freeaddrinfo(found);
    errno = why;
    if (fd < 0 && why == EADDRINUSE)
        return error_set(err, ERROR_UNAVAILABLE,
                         "port %d of %s is taken; choose another with --port, 0 = any that is "
                         "free",
                         o->port, o->host);
    if (fd < 0)
        return error_set_errno(err, "listening on port %d of %s", o->port, o->host);
    *out = fd;
    return 0;
}

static void on_connection(void *server, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = server;
    struct http_peer *p = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = p = mem_calloc(1, sizeof *p);
        if (!p)
            return;
        p->fd = info ? info->connect_fd : -1;
        p->since = clock_now();
        pthread_mutex_lock(&s->lock);
        p->next = s->peers;
        if (p->next)
            p->next->before = p;
        s->peers = p;
        s->counts.connections++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    if (!p)
        return;
    pthread_mutex_lock(&s->lock);
    if (p->before)
        p->before->next = p->next;
    else
        s->peers = p->next;
    if (p->next)
        p->next->before = p->before;
    s->counts.connections--;
    pthread_mutex_unlock(&s->lock);
    mem_free(p);
}

static struct MHD_Daemon *start(struct http_server *s, int fd)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    return MHD_start_daemon(flags, 0, NULL, NULL, http_handle, s, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_NOTIFY_COMPLETED, http_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
                            s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->options.max_connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->options.patience, MHD_OPTION_END);
}

int http_open(struct http_server **out, const struct http_options *o, const struct http_routes *routes,
              struct error *err)
{
    struct http_server *s = *out = mem_calloc(1, sizeof *s);
    int fd = -1, rc = s ? 0 : error_set_nomem(err, sizeof *s, "a server");
    if (rc)
        return rc;
    s->options = *o;
    s->routes = *routes;
    pthread_mutex_init(&s->lock, NULL);
    rc = listen_on(o, &fd, err);
    if (!rc) {
        s->port = port_of(fd);
        s->daemon = start(s, fd);
        if (!s->daemon) {
            close(fd);
            rc = error_set(err, ERROR_FAILED, "libmicrohttpd does not start on port %d of %s", s->port, o->host);
        }
    }
    if (rc) {
        http_close(s);
        *out = NULL;
    }
    return rc;
}

int http_port(const struct http_server *s)
{
    return s->port;
}

static void cut(struct http_peer *p)
{
    if (p && !p->cut)
        shutdown(p->fd, SHUT_RDWR);
    if (p)
        p->cut = 1;
}

static int hung_up(const struct http_peer *p)
{
    struct pollfd f = {p ? p->fd : -1, POLLRDHUP, 0};
    return poll(&f, 1, 0) > 0 && (f.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* A connection that is suspended is looked at by nobody else. */
static int has_left(const struct http_exchange *x)
{
    return x->suspended && hung_up(x->peer);
}

/* libmicrohttpd does not see the end that comes together with a part of a request. */
static int is_over(struct http_peer *p, double now)
{
    enum { GRACE = 1 }; /* seconds for a whole request to be read */
    if (p->busy || !hung_up(p))
        p->left = 0;
    else if (!p->left)
        p->left = now;
    return p->left > 0 && now - p->left > GRACE;
}

static int reads_too_slowly(const struct http_exchange *x, double now)
{
    double allowed = x->server->options.patience + (double)x->out.len / SLOWEST;
    return x->waiting_since > 0 && now - x->waiting_since > allowed;
}

void http_tend(struct http_server *s)
{
    enum { MOST = 64 };
    struct MHD_Connection *wake[MOST];
    int n = 0;
    double now = clock_now();
    pthread_mutex_lock(&s->lock);
    for (struct http_exchange *x = s->exchanges; x && n < MOST; x = x->next) {
        if (x->closed || x->gone)
            continue;
        int slow = reads_too_slowly(x, now);
        if (!slow && !has_left(x))
            continue;
        x->gone = 1;
        s->counts.gone++;
        if (slow)
            cut(x->peer);
        if (http_wakes(x))
            wake[n++] = x->connection;
    }
    for (struct http_peer *p = s->peers; p; p = p->next)
        if (is_over(p, now) || (!p->busy && now - p->since > s->options.patience))
            cut(p);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < n; i++)
        MHD_resume_connection(wake[i]);
}

void http_quiet(struct http_server *s)
{
    MHD_socket fd = s->quiet ? MHD_INVALID_SOCKET : MHD_quiesce_daemon(s->daemon);
    s->quiet = 1;
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

int http_pending(const struct http_server *s)
{
    struct http_server *own = (struct http_server *)s;
    int n = 0;
    pthread_mutex_lock(&own->lock);
    for (const struct http_exchange *x = s->exchanges; x; x = x->next)
        n += x->handled;
    pthread_mutex_unlock(&own->lock);
    return n;
}

struct http_counts http_counts(const struct http_server *s)
{
    struct http_server *own = (struct http_server *)s;
    pthread_mutex_lock(&own->lock);
    struct http_counts counts = s->counts;
    pthread_mutex_unlock(&own->lock);
    return counts;
}

/* All connections end before the daemon does: libmicrohttpd 0.9.75 answers a malformed request that comes while it
 * stops with a response that it has not got. */
static void end_connections(struct http_server *s)
{
    enum { TRIES = 2000 };
    http_quiet(s);
    for (int i = 0; i < TRIES && http_counts(s).connections; i++) {
        pthread_mutex_lock(&s->lock);
        for (struct http_peer *p = s->peers; p; p = p->next)
            cut(p);
        pthread_mutex_unlock(&s->lock);
        usleep(1000);
    }
}

void http_close(struct http_server *s)
{
    if (!s)
        return;
    if (s->daemon) {
        end_connections(s);
        MHD_stop_daemon(s->daemon);
    }
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
