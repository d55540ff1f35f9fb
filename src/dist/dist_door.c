/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/dist_door.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 2000 };

static void add_address(struct door *d, const struct ifaddrs *i)
{
    struct door_address *a = &d->addresses[d->n_address];
    int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
    if (d->n_address == DOOR_ADDRESSES || !(i->ifa_flags & IFF_UP))
        return;
    if (family == AF_INET) {
        a->is_v6 = 0;
        memcpy(a->bytes, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
        d->n_address++;
    } else if (family == AF_INET6) {
        const struct in6_addr *v6 = &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
        a->is_v6 = 1;
        memcpy(a->bytes, v6, 16);
        d->n_address += !IN6_IS_ADDR_LINKLOCAL(v6); /* means nothing without the name of an interface */
    }
}

static int list_addresses(struct door *d, struct error *err)
{
    struct ifaddrs *all;
    if (getifaddrs(&all))
        return error_set_errno(err, "network interfaces");
    for (unsigned loopback = 0; loopback <= IFF_LOOPBACK; loopback += IFF_LOOPBACK)
        for (struct ifaddrs *i = all; i; i = i->ifa_next)
            if ((i->ifa_flags & IFF_LOOPBACK) == loopback)
                add_address(d, i);
    freeifaddrs(all);
    return 0;
}

static int listen_at(int family, uint16_t *port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct sockaddr *own = family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t size = family == AF_INET6 ? sizeof v6 : sizeof v4;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0;
    if (fd < 0)
        return -1;
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, own, size) || listen(fd, SOMAXCONN) || getsockname(fd, own, &size)) {
        close(fd);
        return -1;
    }
    *port = ntohs(family == AF_INET6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

int door_open(struct door *d, int *listener, struct error *err)
{
    uint16_t port = 0;
    *d = (struct door){0};
    int fd = listen_at(AF_INET6, &port);
    if (fd < 0)
        fd = listen_at(AF_INET, &port);
    if (fd < 0)
        return error_set_errno(err, "cannot listen for other ranks");
    int rc = list_addresses(d, err);
    if (!rc && (getrandom(d->knock, DOOR_KEY, 0) != DOOR_KEY || getrandom(d->answer, DOOR_KEY, 0) != DOOR_KEY))
        rc = error_set_errno(err, "random bytes");
    if (rc) {
        close(fd);
        return rc;
    }
    d->port = port;
    *listener = fd;
    return 0;
}

static int wait_for(int fd, short what)
{
    struct pollfd p = {fd, what, 0};
    int n;
    do
        n = poll(&p, 1, WAIT_MS);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static int connect_to(const struct door_address *a, uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&v6.sin6_addr, a->bytes, 16);
    memcpy(&v4.sin_addr, a->bytes, 4);
    int fd = socket(a->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int rc = a->is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6) : connect(fd, (struct sockaddr *)&v4, sizeof v4);
    if (rc && errno == EINPROGRESS && wait_for(fd, POLLOUT)) {
        socklen_t size = sizeof rc;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &rc, &size);
    }
    if (!rc)
        return fd;
    close(fd);
    return -1;
}

static int greet(int fd, const struct door *d, int rank)
{
    struct door_greeting mine = {.rank = rank};
    unsigned char theirs[DOOR_KEY];
    size_t got = 0;
    memcpy(mine.knock, d->knock, DOOR_KEY);
    if (send(fd, &mine, sizeof mine, MSG_NOSIGNAL) != (ssize_t)sizeof mine)
        return 0;
    while (got < DOOR_KEY && wait_for(fd, POLLIN)) {
        ssize_t n = recv(fd, theirs + got, DOOR_KEY - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got == DOOR_KEY && !memcmp(theirs, d->answer, DOOR_KEY);
}

int door_enter(const struct door *d, int rank)
{
    for (int i = 0; d->port && i < d->n_address; i++) {
        int fd = connect_to(&d->addresses[i], d->port);
        if (fd >= 0 && greet(fd, d, rank))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}
