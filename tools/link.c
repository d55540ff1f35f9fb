/* SPDX-License-Identifier: Apache-2.0 */
/* link NAMESPACE_A NAMESPACE_B DEVICE MILLISECONDS MBIT: a cable between two network namespaces (ip netns), as a device
 * of this name in each: what goes in at one end comes out at the other so much later, at no more than so many million
 * bits a second, in each direction. For kernels without tc's netem. Ends when it is killed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKETS = 1024, LARGEST = 2048 }; /* more than fit into the queue are dropped, as by a router */

struct packet {
    int64_t due; /* ns */
    int n;
    char data[LARGEST];
};

static struct way {
    int from, to;
    int64_t free_at; /* when its last bit has gone in */
    size_t head, tail;
    struct packet queue[PACKETS];
} ways[2];

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int end_in(const char *name, const char *device)
{
    char path[256];
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(path, sizeof path, "/run/netns/%s", name);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", device);
    int ns = open(path, O_RDONLY | O_CLOEXEC), fd = -1;
    if (ns < 0 || setns(ns, CLONE_NEWNET) || (fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0 ||
        ioctl(fd, TUNSETIFF, &r)) {
        fprintf(stderr, "link: %s, %s: %s\n", name, device, strerror(errno));
        exit(1);
    }
    close(ns);
    return fd;
}

static void take_in(struct way *w, int64_t delay, double bits_per_ns)
{
    while (w->tail - w->head < PACKETS) {
        struct packet *p = &w->queue[w->tail % PACKETS];
        p->n = (int)read(w->from, p->data, LARGEST);
        if (p->n <= 0)
            return;
        int64_t t = now(), begins = w->free_at > t ? w->free_at : t;
        w->free_at = begins + (int64_t)(p->n * 8 / bits_per_ns);
        p->due = w->free_at + delay;
        w->tail++;
    }
    char dropped[LARGEST];
    while (read(w->from, dropped, sizeof dropped) > 0) {
    }
}

static int64_t give_out(struct way *w)
{
    for (; w->head < w->tail; w->head++) {
        const struct packet *p = &w->queue[w->head % PACKETS];
        if (p->due > now())
            return p->due;
        (void)!write(w->to, p->data, (size_t)p->n);
    }
    return INT64_MAX;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: link NAMESPACE_A NAMESPACE_B DEVICE MILLISECONDS MBIT\n");
        return 2;
    }
    int a = end_in(argv[1], argv[3]), b = end_in(argv[2], argv[3]);
    int64_t delay = (int64_t)(atof(argv[4]) * 1e6);
    double rate = atof(argv[5]) * 1e-3;
    ways[0] = (struct way){.from = a, .to = b};
    ways[1] = (struct way){.from = b, .to = a};
    puts("up");
    fflush(stdout);
    for (;;) {
        struct pollfd polled[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        int64_t first = give_out(&ways[0]), second = give_out(&ways[1]), due = first < second ? first : second,
                left = due - now();
        left = left > 0 ? left : 0;
        struct timespec wait = {left / 1000000000, left % 1000000000};
        ppoll(polled, 2, due == INT64_MAX ? NULL : &wait, NULL);
        take_in(&ways[0], delay, rate);
        take_in(&ways[1], delay, rate);
    }
}
