/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent is a code a byte: 0 is a sign of life, LEAVES an end in peace, any other the exit code of a failure,
 * behind which its line stands. */
#include "dist/dist_watch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "dist/dist_launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LEAVES = 255, LINE = 1200, SILENCE = 15, SIGNS = 15 }; /* signs of life in that many seconds of silence */
enum { STACK = 1 << 18 };                                     /* bytes */

enum link_state { LINK_FREE, LINK_NEW, LINK_GREETED, LINK_WATCHED, LINK_LEFT };
struct link {
    enum link_state state;
    int fd, rank, code; /* code: its line is arriving */
    double heard;
    size_t n;
    char got[LINE]; /* of a greeting, of a line */
};

static struct watch {
    struct watch_team team;
    struct door door;
    struct link *links; /* of the guard: to all who came in; of a rank: to the guard */
    struct pollfd *polled;
    void (*speak)(const char *line);
    int n_link, is_guard, listener, wake;
    int control;    /* between rank 0 and the guard: whom to watch, then nothing until it is closed */
    double silence; /* seconds */
    pthread_t thread;
    int runs;
    atomic_int closing;
} watch = {.listener = -1, .wake = -1, .control = -1};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void send_code(struct link *l, int code, const char *line)
{
    char text[LINE];
    int n = snprintf(text + 1, sizeof text - 2, "%s", line) + 1;
    n = n < (int)sizeof text - 2 ? n : (int)sizeof text - 2;
    text[0] = (char)code;
    if (code && code != LEAVES)
        text[n++] = '\n';
    (void)!send(l->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not take it is lost by silence */
}

static void send_all(int code)
{
    for (int i = 0; i < watch.n_link; i++)
        if (watch.links[i].state >= LINK_WATCHED)
            send_code(&watch.links[i], code, "");
}

/* All hear of it before the connections are closed: one closed over unread bytes loses what was sent last. */
static void part(int code)
{
    char unread[64];
    send_all(code);
    for (int i = 0; i < watch.n_link; i++)
        if (watch.links[i].state == LINK_WATCHED)
            shutdown(watch.links[i].fd, SHUT_WR);
    pause_ms(100);
    for (int i = 0; i < watch.n_link; i++)
        while (watch.links[i].state == LINK_WATCHED &&
               recv(watch.links[i].fd, unread, sizeof unread, MSG_DONTWAIT) > 0) {
        }
}

static void end_all(int code)
{
    part(code);
    if (watch.is_guard)
        launcher_end();
    _exit(code);
}

/* The guard's connection is lost with rank 0's machine: then rank 1 says so. */
static void lost(const struct link *l, const char *reason)
{
    char line[LINE];
    int code = error_exit_code(ERROR_UNAVAILABLE);
    snprintf(line, sizeof line,
             "isara: rank %d on %s %s; all ranks end, and the same command goes on from what is saved", l->rank,
             watch.team.hosts[l->rank], reason);
    if (watch.is_guard || watch.team.rank == 1)
        watch.speak(line);
    end_all(code);
}

static void drop(struct link *l)
{
    close(l->fd);
    l->state = LINK_FREE;
}

/* The guard tells the first line that comes, and ends all; a rank ends as the guard says. */
static void word_of(struct link *l)
{
    if (!watch.is_guard)
        _exit(l->code);
    l->got[l->n] = 0;
    if (l->n)
        watch.speak(l->got);
    end_all(l->code);
}

static void greeting_byte(struct link *l, char byte)
{
    struct door_greeting g;
    l->got[l->n++] = byte;
    if (l->n < sizeof g)
        return;
    memcpy(&g, l->got, sizeof g);
    l->n = 0;
    if (memcmp(g.knock, watch.door.knock, DOOR_KEY) || g.rank < 0 || g.rank >= watch.team.size) {
        drop(l);
        return;
    }
    l->rank = g.rank;
    l->state = LINK_GREETED;
    (void)!send(l->fd, watch.door.answer, DOOR_KEY, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void take_byte(struct link *l, char byte)
{
    int code = (unsigned char)byte;
    if (l->state == LINK_NEW) {
        greeting_byte(l, byte);
    } else if (l->code) {
        if (byte == '\n')
            word_of(l);
        else if (l->n + 1 < sizeof l->got)
            l->got[l->n++] = byte;
    } else if (code == LEAVES) {
        l->state = LINK_LEFT;
    } else {
        l->state = LINK_WATCHED;
        l->code = code;
    }
}

static void hear(struct link *l)
{
    char bytes[256];
    ssize_t n = recv(l->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    l->heard = clock_now();
    for (ssize_t i = 0; i < n && l->state != LINK_FREE; i++)
        take_byte(l, bytes[i]);
    if (n > 0)
        return;
    int gone = l->state == LINK_WATCHED && !atomic_load(&watch.closing);
    if (gone && (n == 0 || errno == ECONNRESET))
        lost(l, "has ended without a word (killed, or no memory was left)");
    if (gone)
        lost(l, "cannot be reached any more");
    drop(l);
}

static void let_in(void)
{
    int fd = accept(watch.listener, NULL, NULL), i = 0;
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    while (i < watch.n_link && watch.links[i].state != LINK_FREE)
        i++;
    if (fd >= 0 && i < watch.n_link)
        watch.links[i] = (struct link){.state = LINK_NEW, .fd = fd, .heard = clock_now()};
    else if (fd >= 0)
        close(fd);
}

/* Seconds since anything was heard of anybody. */
static double quiet(double now)
{
    double least = watch.silence;
    for (int i = 0; i < watch.n_link; i++)
        if (watch.links[i].state == LINK_WATCHED && now - watch.links[i].heard < least)
            least = now - watch.links[i].heard;
    return least;
}

/* awake: when this was last called. Who was stopped himself has not heard the others, and lets them begin anew; for the
 * guard no time passes while all ranks are silent, rank 0 too: the job is suspended. */
static void look_for_silence(double awake)
{
    double now = clock_now(), stood = 0;
    char reason[128];
    snprintf(reason, sizeof reason, "has not been heard of for %.0f s (stopped, or its link is cut)", watch.silence);
    if (now - awake > watch.silence / 4 || (watch.control >= 0 && watch.is_guard && quiet(now) > watch.silence / 4))
        stood = now - awake;
    for (int i = 0; i < watch.n_link; i++) {
        struct link *l = &watch.links[i];
        l->heard += stood;
        if (l->state == LINK_FREE || l->state == LINK_LEFT || now - l->heard < watch.silence)
            continue;
        if (l->state == LINK_WATCHED)
            lost(l, reason);
        drop(l);
    }
}

static int watches_any(void)
{
    for (int i = 0; i < watch.n_link; i++)
        if (watch.links[i].state == LINK_WATCHED)
            return 1;
    return 0;
}

/* A rank that leaves hears the guard leave too, for a second at most, since a connection that is closed over unread
 * bytes loses what was sent last. The guard stays as long as anybody. */
static int goes_on(double *until)
{
    if (watch.is_guard)
        return watch.control >= 0 || watches_any();
    if (!atomic_load(&watch.closing))
        return 1;
    *until = *until > 0 ? *until : clock_now() + 1;
    return watches_any() && clock_now() < *until;
}

static void wait_for_news(void)
{
    int n = watch.n_link, closing = atomic_load(&watch.closing);
    for (int i = 0; i < n; i++)
        watch.polled[i] = (struct pollfd){watch.links[i].state ? watch.links[i].fd : -1, POLLIN, 0};
    watch.polled[n] = (struct pollfd){closing ? -1 : watch.wake, POLLIN, 0};
    watch.polled[n + 1] = (struct pollfd){watch.listener, POLLIN, 0};
    watch.polled[n + 2] = (struct pollfd){watch.is_guard ? watch.control : -1, POLLIN, 0};
    poll(watch.polled, (nfds_t)n + 3, (int)(1000 * watch.silence / SIGNS / 2) + 1);
}

static void *look(void *unused)
{
    double awake = clock_now(), said = 0, until = 0;
    while (goes_on(&until)) {
        int n = watch.n_link;
        wait_for_news();
        for (int i = 0; i < n; i++)
            if (watch.polled[i].revents)
                hear(&watch.links[i]);
        if (watch.polled[n + 1].revents)
            let_in();
        if (watch.polled[n + 2].revents) {
            close(watch.control);
            watch.control = -1;
        }
        look_for_silence(awake);
        awake = clock_now();
        if (awake - said >= watch.silence / SIGNS && !atomic_load(&watch.closing)) {
            send_all(0);
            said = awake;
        }
    }
    return unused;
}

/* Signals stay with the thread that does the work. */
static int begin(struct error *err)
{
    sigset_t all, before;
    pthread_attr_t small; /* it shall be there where memory is short */
    watch.wake = eventfd(0, EFD_CLOEXEC);
    if (watch.wake < 0)
        return error_set_errno(err, "an eventfd");
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watch.runs = !pthread_create(&watch.thread, &small, look, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&small);
    return watch.runs ? 0 : error_set(err, ERROR_UNAVAILABLE, "cannot start the thread that watches ranks");
}

/* 0 as well where what started us does not say. */
static int rank_told(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return atoi(getenv(names[i]));
    return 0;
}

static char start_line[LINE];

/* Only rank 0 speaks, and before others. */
static void end_start(int number)
{
    (void)number;
    if (rank_told() == 0)
        watch.speak(start_line);
    _exit(error_exit_code(ERROR_UNAVAILABLE));
}

void watch_start(int begins)
{
    char host[WATCH_HOST] = "";
    double patience = watch.silence * 5 / 3; /* 25 s, unless told otherwise */
    gethostname(host, sizeof host - 1);
    snprintf(start_line, sizeof start_line,
             "isara: rank 0 on %s: not all ranks have answered in the %.0f s since MPI began (one is stopped, has no "
             "memory, or is not reached over the network that MPI takes); all ranks end",
             host, patience);
    signal(SIGALRM, begins ? end_start : SIG_DFL);
    alarm(begins && watch.silence > 0 ? (unsigned)patience + 1 + (rank_told() > 0) : 0);
}

/* UCX aborts when the other end is gone: that one is the better reason. */
static void hold_abort(int number)
{
    signal(number, SIG_DFL);
    pause_ms(2000);
}

static int make(const struct watch_team *team, int n_link, struct error *err)
{
    watch.team = *team;
    watch.links = mem_calloc((size_t)n_link, sizeof *watch.links);
    watch.polled = mem_calloc((size_t)n_link + 3, sizeof *watch.polled);
    watch.n_link = n_link;
    return watch.links && watch.polled
               ? 0
               : error_set_nomem(err, (size_t)n_link * sizeof *watch.links, "connections of ranks");
}

static int take_all(void *to, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = recv(watch.control, (char *)to + got, bytes - got, 0);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return -1;
        got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* In a session of its own no signal to the ranks' group reaches it; standard input and output are theirs. */
static void guard(void)
{
    struct watch_team team = {0};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    watch.is_guard = 1;
    if (take_all(&team.size, sizeof team.size))
        _exit(0);
    close(0);
    close(1);
    char(*hosts)[WATCH_HOST] = mem_calloc((size_t)team.size, sizeof *hosts);
    team.hosts = (const char(*)[WATCH_HOST])hosts;
    /* some may be strangers, or come twice */
    if (!hosts || take_all(hosts, (size_t)team.size * sizeof *hosts) || make(&team, 2 * team.size + 8, NULL))
        _exit(1);
    look(NULL);
    _exit(0);
}

int watch_prepare(void (*speak)(const char *line), struct error *err)
{
    const char *told = getenv("ISARA_RANK_SILENCE");
    int ends[2];
    watch.speak = speak;
    watch.silence = told ? atof(told) : SILENCE;
    if (watch.silence <= 0 || rank_told() > 0)
        return 0;
    int rc = door_open(&watch.door, &watch.listener, err);
    if (!rc && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        rc = error_set_errno(err, "a pair of sockets");
    launcher_remember();
    pid_t pid = rc ? -1 : fork();
    if (!rc && pid < 0)
        rc = error_set_errno(err, "a process that watches ranks");
    if (rc) {
        watch.door.port = 0;
        return rc;
    }
    watch.control = ends[pid == 0];
    close(ends[pid != 0]);
    if (pid == 0)
        guard();
    close(watch.listener);
    watch.listener = -1;
    return 0;
}

static int give_all(const void *from, size_t bytes, struct error *err)
{
    return send(watch.control, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes
               ? 0
               : error_set_errno(err, "the process that watches ranks");
}

int watch_open(const struct watch_team *team, struct door *door, struct error *err)
{
    *door = watch.door;
    if (watch.control < 0)
        return 0;
    int rc = give_all(&team->size, sizeof team->size, err);
    return rc ? rc : give_all(team->hosts, (size_t)team->size * sizeof *team->hosts, err);
}

int watch_join(const struct watch_team *team, const struct door *door, struct error *err)
{
    int rc = make(team, 1, err);
    if (rc || watch.silence <= 0)
        return rc;
    int fd = door_enter(door, team->rank);
    if (fd < 0)
        return error_set(err, ERROR_UNAVAILABLE, "no connection to rank 0 over TCP");
    watch.links[0] = (struct link){.state = LINK_WATCHED, .fd = fd, .rank = 0, .heard = clock_now()};
    send_code(&watch.links[0], 0, ""); /* watched from here on */
    signal(SIGABRT, hold_abort);
    if (!(rc = begin(err)))
        return 0;
    send_all(LEAVES); /* who hears nothing of others is not watched either */
    drop(&watch.links[0]);
    return rc;
}

void watch_hold(void)
{
    if (watch.runs)
        pause_ms(2000);
}

void watch_last_word(const char *line, int code)
{
    if (!watch.runs)
        return;
    send_code(&watch.links[0], code, line);
    pause_ms(5000);
}

void watch_close(int code)
{
    if (watch.runs) {
        if (code)
            part(code);
        else
            send_all(LEAVES);
        atomic_store(&watch.closing, 1);
        (void)!write(watch.wake, &(uint64_t){1}, sizeof(uint64_t));
        pthread_join(watch.thread, NULL);
        close(watch.wake);
    }
    for (int i = 0; i < watch.n_link; i++)
        if (watch.links && watch.links[i].state != LINK_FREE)
            close(watch.links[i].fd);
    if (watch.control >= 0)
        close(watch.control);
    mem_free(watch.links);
    mem_free(watch.polled);
    watch = (struct watch){.listener = -1, .wake = -1, .control = -1};
}
