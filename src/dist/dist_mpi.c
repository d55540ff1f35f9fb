/* SPDX-License-Identifier: Apache-2.0 */
/* MPI's world. Every wait looks again and again and sleeps in between, longer and longer up to a millisecond: a rank
 * that waits must not hold the core that another needs. */
#include "dist/dist.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/threads.h"
#include "dist/dist_copies.h"
#include "dist/dist_watch.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* pieces of one exchange for each rank at most */
enum { TAG = 1, PIECES = 8 };
enum { MESSAGE = 2 };
/* nanoseconds; that of the courier: what is under way should not wait for it */
enum { SHORTEST = 20000, LONGEST = 1000000, COURIERS = 100000, END_PAUSE = 200000000 };

/* A message that has not left yet. */
struct posted {
    MPI_Request request;
    struct posted *next;
    char data[];
};

static struct world {
    int rank, size, neighbours, agreed, threads; /* threads: what MPI_Init_thread gave */
    double sent;
    MPI_Request *requests; /* [PIECES * size] */
    MPI_Status *statuses;  /* beside them: MPICH's MPI_STATUSES_IGNORE makes gcc warn */
    int *codes;            /* [size] */
    struct posted *posted;
    char (*hosts)[WATCH_HOST];
    void (*speak)(const char *line);
    char kind[MPI_MAX_LIBRARY_VERSION_STRING];
} world = {.size = 1, .neighbours = 1};

/* The ranks that work together, and the first of each such group. */
static struct group {
    MPI_Comm comm, firsts;
    int rank, size, number, n_group, first; /* first: its first rank's number among all */
} group = {.comm = MPI_COMM_NULL, .firsts = MPI_COMM_NULL, .size = 1, .n_group = 1};

/* Looks after the exchange that dist_begin began while the caller computes. It alone calls MPI then. */
static struct courier {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int is_there, works, leaves; /* the thread is there; it waits for `n` requests; it is to end */
    int n, rc;
    struct error err;
} courier = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int failed(int code, const char *what, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    watch_hold(); /* a rank that is lost is the better reason */
    MPI_Error_string(code, text, &n);
    return error_set(err, ERROR_FAILED, "rank %d on %s: %s: MPI says %.*s", world.rank, dist_host(), what, n, text);
}

/* The library's name and version: what stands before its second comma or the end of its first line. */
static void read_kind(void)
{
    int n = 0;
    MPI_Get_library_version(world.kind, &n);
    world.kind[strcspn(world.kind, ",\n")] = 0;
}

/* Ranks of a machine that may use the same processors take their part of them each, unless told otherwise. */
static int share_machine(struct error *err)
{
    MPI_Comm machine;
    cpu_set_t mine, all;
    CPU_ZERO(&mine);
    CPU_ZERO(&all);
    sched_getaffinity(0, sizeof mine, &mine);
    int rc = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    if (!rc) {
        MPI_Comm_size(machine, &world.neighbours);
        rc = MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, machine);
        MPI_Comm_free(&machine);
    }
    if (!rc)
        threads_own_at_most(CPU_COUNT(&all) / world.neighbours);
    return rc ? failed(rc, "looking who is on this machine", err) : 0;
}

int dist_neighbours(void)
{
    return world.neighbours;
}

void dist_speak_by(void (*speak)(const char *line))
{
    world.speak = speak;
}

/* Ranks that nobody watches are told of, and work. */
static void tell_unwatched(const int *codes)
{
    char line[256];
    int r = 0;
    while (r < world.size && !codes[r])
        r++;
    if (r == world.size || world.rank > 0)
        return;
    snprintf(line, sizeof line,
             "isara: warning: rank %d on %s has no TCP connection to rank 0: if it hangs, nobody will see it", r,
             world.hosts[r]);
    world.speak(line);
}

static int watch_all(struct error *err)
{
    struct watch_team team = {world.rank, world.size, (const char(*)[WATCH_HOST])world.hosts};
    struct door door = {0};
    char name[MPI_MAX_PROCESSOR_NAME] = "", host[WATCH_HOST] = "";
    int n = 0;
    MPI_Get_processor_name(name, &n);
    snprintf(host, sizeof host, "%.63s", name);
    int rc = dist_gather_all(host, sizeof host, world.hosts, err);
    if (!rc && world.rank == 0)
        watch_open(&team, &door, NULL);
    rc = rc ? rc : dist_broadcast(&door, sizeof door, 0, err);
    int alone = rc ? rc : watch_join(&team, &door, NULL);
    rc = rc ? rc : dist_gather_all(&alone, sizeof alone, world.codes, err);
    if (!rc)
        tell_unwatched(world.codes);
    return rc;
}

int dist_start(int *argc, char ***argv, struct error *err)
{
    const char *copies = dist_copies();
    watch_prepare(world.speak, NULL);
    /* With one TCP connection between two ranks, Open MPI's leave to send stands behind what goes the other way, and
     * both ways take turns. */
    setenv("OMPI_MCA_btl_tcp_links", "2", 0);
    int rc = MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &world.threads);
    if (rc)
        return failed(rc, "beginning", err);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world.size);
    group = (struct group){MPI_COMM_WORLD, MPI_COMM_NULL, world.rank, world.size, 0, 1, 0};
    read_kind();
    world.requests = mem_alloc((size_t)world.size * PIECES * sizeof *world.requests);
    world.statuses = mem_alloc((size_t)world.size * PIECES * sizeof *world.statuses);
    world.codes = mem_alloc((size_t)world.size * sizeof *world.codes);
    world.hosts = mem_calloc((size_t)world.size, sizeof *world.hosts);
    if (!world.requests || !world.statuses || !world.codes || !world.hosts)
        return error_set_nomem(err, 64, "what ranks exchange");
    if (world.size == 1 && copies)
        return error_set(err, ERROR_CONFIG,
                         "%s is %s, but MPI (%s) knows of one process: each copy would do the whole work; start them "
                         "with the mpirun of this MPI, inside of sbatch too, or with an srun --mpi that it "
                         "understands (srun --mpi=list), or one alone (unset %s)",
                         copies, getenv(copies), world.kind, copies);
    if (world.size == 1)
        return 0;
    watch_start(1);
    rc = share_machine(err);
    rc = rc ? rc : watch_all(err);
    watch_start(0);
    return rc;
}

/* Frees what has left. */
static int forget_sent(struct error *err)
{
    struct posted **at = &world.posted;
    while (*at) {
        struct posted *p = *at;
        int done = 0, rc = MPI_Test(&p->request, &done, MPI_STATUS_IGNORE);
        if (rc)
            return failed(rc, "sending", err);
        if (!done) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        mem_free(p);
    }
    return 0;
}

static void end_courier(void)
{
    if (!courier.is_there)
        return;
    pthread_mutex_lock(&courier.lock);
    courier.leaves = 1;
    pthread_cond_broadcast(&courier.changed);
    pthread_mutex_unlock(&courier.lock);
    pthread_join(courier.thread, NULL);
}

/* Sleeps, longer from time to time. */
static void sleep_on(struct timespec *pause, long longest)
{
    nanosleep(pause, NULL);
    pause->tv_nsec = pause->tv_nsec * 2 < longest ? pause->tv_nsec * 2 : longest;
}

static int wait_all(MPI_Request *requests, int n, long longest, struct error *err)
{
    struct timespec pause = {0, SHORTEST};
    int done = 0;
    for (;;) {
        int rc = MPI_Testall(n, requests, &done, world.statuses);
        if (rc)
            return failed(rc, "exchanging", err);
        if (done)
            return 0;
        sleep_on(&pause, longest);
    }
}

/* MPICH's MPI_Finalize flushes each connection, for which UCX's TCP wants an answer, and then waits without giving any:
 * who flushes after another has gone waits for ever. So between machines all begin it at once: nobody looks after MPI
 * between a barrier and that, for longer than all need to leave the barrier. */
static void begin_end_together(void)
{
    struct timespec pause = {0, END_PAUSE};
    MPI_Request request;
    if (strncmp(world.kind, "MPICH", 5) != 0 || world.neighbours == world.size)
        return;
    if (!MPI_Ibarrier(MPI_COMM_WORLD, &request) && !wait_all(&request, 1, LONGEST, NULL))
        nanosleep(&pause, NULL);
}

void dist_end(int code)
{
    int alone = code && world.size > 1 && !dist_agreed(); /* in its failure */
    if (alone) {
        watch_close(code);
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    for (struct posted *p = world.posted; p; p = p->next)
        MPI_Wait(&p->request, MPI_STATUS_IGNORE);
    forget_sent(NULL);
    end_courier();
    if (code) /* known to all: what started us may end some before others */
        watch_close(0);
    begin_end_together();
    mem_free(world.requests);
    mem_free(world.statuses);
    mem_free(world.codes);
    MPI_Finalize();
    watch_close(0);
    mem_free(world.hosts);
}

const char *dist_host(void)
{
    return world.hosts && world.size > 1 ? world.hosts[world.rank] : "";
}

void dist_last_word(const char *line, int code)
{
    watch_last_word(line, code);
}

int dist_rank(void)
{
    return group.rank;
}

int dist_size(void)
{
    return group.size;
}

int dist_split(int size, struct error *err)
{
    int number = world.rank / size, is_first = world.rank % size == 0, n_group = (world.size + size - 1) / size, rc;
    if (n_group == 1)
        return 0;
    if ((rc = MPI_Comm_split(MPI_COMM_WORLD, number, world.rank, &group.comm)) ||
        (rc = MPI_Comm_split(MPI_COMM_WORLD, is_first ? 0 : MPI_UNDEFINED, world.rank, &group.firsts)))
        return failed(rc, "making groups", err);
    MPI_Comm_set_errhandler(group.comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(group.comm, &group.rank);
    MPI_Comm_size(group.comm, &group.size);
    group.number = number;
    group.n_group = n_group;
    group.first = number * size;
    return 0;
}

int dist_group(void)
{
    return group.number;
}

int dist_groups(void)
{
    return group.n_group;
}

int dist_number(int rank)
{
    return group.first + rank;
}

const char *dist_kind(void)
{
    return world.kind;
}

/* Other groups know nothing of it. */
int dist_agreed(void)
{
    return world.agreed && group.n_group == 1;
}

static int start(MPI_Request *request, const struct dist_piece *p, int receiving, struct error *err)
{
    int rc = receiving ? MPI_Irecv(p->data, (int)p->bytes, MPI_BYTE, p->rank, TAG, group.comm, request)
                       : MPI_Isend(p->data, (int)p->bytes, MPI_BYTE, p->rank, TAG, group.comm, request);
    const char *what = receiving ? "receiving" : "sending";
    if (!receiving && p->rank != group.rank)
        world.sent += (double)p->bytes;
    return rc ? failed(rc, what, err) : 0;
}

static int start_all(const struct dist_exchange *x, int *n, struct error *err)
{
    int rc = 0;
    *n = 0;
    if (x->n_send + x->n_receive > PIECES * group.size)
        return error_set(err, ERROR_INTERNAL, "%d pieces at once", x->n_send + x->n_receive);
    for (int i = 0; !rc && i < x->n_receive; i++)
        rc = start(&world.requests[(*n)++], &x->receives[i], 1, err);
    for (int i = 0; !rc && i < x->n_send; i++)
        rc = start(&world.requests[(*n)++], &x->sends[i], 0, err);
    return rc;
}

int dist_exchange(const struct dist_piece *sends, int n_send, const struct dist_piece *receives, int n_receive,
                  struct error *err)
{
    const struct dist_exchange x = {sends, receives, n_send, n_receive};
    int n, rc = start_all(&x, &n, err);
    return rc ? rc : wait_all(world.requests, n, LONGEST, err);
}

static void *carry(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&courier.lock);
    while (!courier.leaves) {
        if (courier.works) {
            pthread_mutex_unlock(&courier.lock);
            int rc = wait_all(world.requests, courier.n, COURIERS, &courier.err);
            pthread_mutex_lock(&courier.lock);
            courier.rc = rc;
            courier.works = 0;
            pthread_cond_broadcast(&courier.changed);
        } else {
            pthread_cond_wait(&courier.changed, &courier.lock);
        }
    }
    pthread_mutex_unlock(&courier.lock);
    return NULL;
}

/* Signals are the main thread's. */
static void hire_courier(void)
{
    sigset_t all, before;
    if (courier.is_there || world.threads < MPI_THREAD_SERIALIZED)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    courier.is_there = !pthread_create(&courier.thread, NULL, carry, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int dist_begin(const struct dist_exchange *x, struct error *err)
{
    int rc = start_all(x, &courier.n, err);
    hire_courier();
    pthread_mutex_lock(&courier.lock);
    courier.rc = rc;
    courier.works = !rc && courier.is_there;
    pthread_cond_broadcast(&courier.changed);
    pthread_mutex_unlock(&courier.lock);
    return rc;
}

int dist_is_done(void)
{
    int done = 0;
    if (!courier.is_there)
        return !MPI_Testall(courier.n, world.requests, &done, world.statuses) && done;
    pthread_mutex_lock(&courier.lock);
    done = !courier.works;
    pthread_mutex_unlock(&courier.lock);
    return done;
}

int dist_finish(struct error *err)
{
    if (!courier.is_there)
        return wait_all(world.requests, courier.n, LONGEST, err);
    pthread_mutex_lock(&courier.lock);
    while (courier.works)
        pthread_cond_wait(&courier.changed, &courier.lock);
    pthread_mutex_unlock(&courier.lock);
    return courier.rc ? error_set(err, courier.err.code, "%s", courier.err.message) : 0;
}

double dist_sent(void)
{
    return world.sent;
}

int dist_broadcast(void *data, size_t bytes, int root, struct error *err)
{
    MPI_Request request;
    int rc = MPI_Ibcast(data, (int)bytes, MPI_BYTE, root, group.comm, &request);
    world.sent += group.rank == root ? (double)bytes * (group.size - 1) : 0;
    return rc ? failed(rc, "telling all", err) : wait_all(&request, 1, LONGEST, err);
}

int dist_gather_all(const void *mine, size_t bytes, void *all, struct error *err)
{
    MPI_Request request;
    int rc = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, group.comm, &request);
    world.sent += (double)bytes * (group.size - 1);
    return rc ? failed(rc, "gathering", err) : wait_all(&request, 1, LONGEST, err);
}

/* The first failed rank's line, with who it is. */
static int tell_failure(int root, int rc, struct error *err)
{
    struct error told = {0}, unheard = {0};
    if (group.rank == root) {
        error_set(&told, rc, "%s", err && err->message[0] ? err->message : error_name(rc));
        error_prefix(&told, "rank %d on %s", dist_number(root), dist_host());
    }
    if (dist_broadcast(&told, sizeof told, root, &unheard))
        return error_set(err, ERROR_FAILED, "%s", unheard.message);
    world.agreed = 1;
    return error_set(err, told.code, "%s", told.message);
}

int dist_agree(int rc, struct error *err)
{
    struct error unheard = {0};
    if (group.size == 1 || world.agreed) /* all are on their way out already */
        return rc;
    int root = 0;
    if (dist_gather_all(&rc, sizeof rc, world.codes, &unheard))
        return rc ? rc : error_set(err, ERROR_FAILED, "%s", unheard.message);
    while (root < group.size && !world.codes[root])
        root++;
    return root < group.size ? tell_failure(root, world.codes[root], err) : 0;
}

void dist_end_together(void)
{
    world.agreed = 1;
}

int dist_meet(struct error *err)
{
    MPI_Request request;
    int rc = group.firsts == MPI_COMM_NULL ? 0 : MPI_Ibarrier(group.firsts, &request);
    if (rc)
        return failed(rc, "waiting for the other groups", err);
    return group.firsts == MPI_COMM_NULL ? 0 : wait_all(&request, 1, LONGEST, err);
}

int dist_post(int rank, const void *data, size_t bytes, struct error *err)
{
    struct posted *p = NULL;
    int rc = forget_sent(err);
    if (rc)
        return rc;
    if (bytes > (size_t)1 << 30)
        return error_set(err, ERROR_FAILED, "a message of %zu bytes for rank %d; wanted at most 2^30", bytes, rank);
    if (!(p = mem_alloc(sizeof *p + bytes)))
        return error_set_nomem(err, bytes, "a message");
    memcpy(p->data, data, bytes);
    rc = MPI_Isend(p->data, (int)bytes, MPI_BYTE, rank, MESSAGE, group.comm, &p->request);
    if (rc) {
        mem_free(p);
        return failed(rc, "sending", err);
    }
    p->next = world.posted;
    world.posted = p;
    return 0;
}

int dist_take(struct buf *b, int *rank, int wait, struct error *err)
{
    struct timespec pause = {0, SHORTEST};
    MPI_Status status;
    MPI_Message message;
    int there = 0, n = 0, rc = 0;
    buf_reset(b);
    *rank = -1;
    for (;;) {
        rc = MPI_Improbe(MPI_ANY_SOURCE, MESSAGE, group.comm, &there, &message, &status);
        if (rc || there || !wait)
            break;
        if ((rc = forget_sent(err)))
            return rc;
        sleep_on(&pause, LONGEST);
        wait = !interrupt_requested();
    }
    if (rc || !there)
        return rc ? failed(rc, "looking for messages", err) : 0;
    MPI_Get_count(&status, MPI_BYTE, &n);
    if (buf_reserve(b, (size_t)n + 1))
        return error_set_nomem(err, (size_t)n, "a message");
    if ((rc = MPI_Mrecv(b->data, n, MPI_BYTE, &message, &status)))
        return failed(rc, "receiving", err);
    b->len = (size_t)n;
    b->data[n] = 0;
    *rank = status.MPI_SOURCE;
    return 0;
}
