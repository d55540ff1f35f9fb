/* SPDX-License-Identifier: Apache-2.0 */
/* MPI's world. Every wait looks again and again and sleeps in between, longer and longer up to a millisecond: a rank
 * that waits must not hold the core that another needs. */
#include "dist/dist.h"

#include "base/mem.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* pieces of one exchange for each rank at most */
enum { TAG = 1, PIECES = 8 };
enum { MESSAGE = 2 };
/* nanoseconds */
enum { SHORTEST = 20000, LONGEST = 1000000 };

/* A message that has not left yet. */
struct posted {
    MPI_Request request;
    struct posted *next;
    char data[];
};

static struct world {
    int rank, size, agreed;
    MPI_Request *requests; /* [PIECES * size] */
    int *codes;            /* [size] */
    struct posted *posted;
    char kind[MPI_MAX_LIBRARY_VERSION_STRING];
} world = {.size = 1};

static int failed(int code, const char *what, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    MPI_Error_string(code, text, &n);
    return error_set(err, ERROR_FAILED, "rank %d: %s: MPI says %.*s", world.rank, what, n, text);
}

/* The library's name and version: what stands before its second comma or the end of its first line. */
static void read_kind(void)
{
    int n = 0;
    MPI_Get_library_version(world.kind, &n);
    world.kind[strcspn(world.kind, ",\n")] = 0;
}

int dist_start(int *argc, char ***argv, struct error *err)
{
    const char *tasks = getenv("SLURM_NTASKS");
    int provided, rc = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    if (rc)
        return failed(rc, "beginning", err);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world.size);
    read_kind();
    world.requests = mem_alloc((size_t)world.size * PIECES * sizeof *world.requests);
    world.codes = mem_alloc((size_t)world.size * sizeof *world.codes);
    if (!world.requests || !world.codes)
        return error_set_nomem(err, 64, "what ranks exchange");
    if (world.size == 1 && tasks && atol(tasks) > 1)
        return error_set(err, ERROR_CONFIG,
                         "SLURM_NTASKS is %s, but MPI (%s) knows of one process: each copy would do the whole work; "
                         "start them with mpirun inside of sbatch, or with an srun --mpi that this MPI understands "
                         "(srun --mpi=list), or one alone (unset SLURM_NTASKS)",
                         tasks, world.kind);
    return 0;
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

void dist_end(int code)
{
    if (code && world.size > 1 && !world.agreed)
        MPI_Abort(MPI_COMM_WORLD, code);
    for (struct posted *p = world.posted; p; p = p->next)
        MPI_Wait(&p->request, MPI_STATUS_IGNORE);
    forget_sent(NULL);
    mem_free(world.requests);
    mem_free(world.codes);
    MPI_Finalize();
}

int dist_rank(void)
{
    return world.rank;
}

int dist_size(void)
{
    return world.size;
}

const char *dist_kind(void)
{
    return world.kind;
}

int dist_agreed(void)
{
    return world.agreed;
}

/* Sleeps, longer from time to time. */
static void sleep_on(struct timespec *pause)
{
    nanosleep(pause, NULL);
    pause->tv_nsec = pause->tv_nsec * 2 < LONGEST ? pause->tv_nsec * 2 : LONGEST;
}

static int wait_all(MPI_Request *requests, int n, struct error *err)
{
    struct timespec pause = {0, SHORTEST};
    int done = 0;
    for (;;) {
        int rc = MPI_Testall(n, requests, &done, MPI_STATUSES_IGNORE);
        if (rc)
            return failed(rc, "exchanging", err);
        if (done)
            return 0;
        sleep_on(&pause);
    }
}

static int start(MPI_Request *request, const struct dist_piece *p, int receiving, struct error *err)
{
    int rc = receiving ? MPI_Irecv(p->data, (int)p->bytes, MPI_BYTE, p->rank, TAG, MPI_COMM_WORLD, request)
                       : MPI_Isend(p->data, (int)p->bytes, MPI_BYTE, p->rank, TAG, MPI_COMM_WORLD, request);
    const char *what = receiving ? "receiving" : "sending";
    return rc ? failed(rc, what, err) : 0;
}

int dist_exchange(const struct dist_piece *sends, int n_send, const struct dist_piece *receives, int n_receive,
                  struct error *err)
{
    int n = 0, rc = 0;
    if (n_send + n_receive > PIECES * world.size)
        return error_set(err, ERROR_INTERNAL, "%d pieces at once", n_send + n_receive);
    for (int i = 0; !rc && i < n_receive; i++)
        rc = start(&world.requests[n++], &receives[i], 1, err);
    for (int i = 0; !rc && i < n_send; i++)
        rc = start(&world.requests[n++], &sends[i], 0, err);
    return rc ? rc : wait_all(world.requests, n, err);
}

int dist_broadcast(void *data, size_t bytes, int root, struct error *err)
{
    MPI_Request request;
    int rc = MPI_Ibcast(data, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD, &request);
    return rc ? failed(rc, "telling all", err) : wait_all(&request, 1, err);
}

int dist_gather_all(const void *mine, size_t bytes, void *all, struct error *err)
{
    MPI_Request request;
    int rc = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD, &request);
    return rc ? failed(rc, "gathering", err) : wait_all(&request, 1, err);
}

/* The first failed rank's line, with who it is. */
static int tell_failure(int root, int rc, struct error *err)
{
    struct error told = {0}, unheard = {0};
    char host[MPI_MAX_PROCESSOR_NAME] = "";
    int n = 0;
    if (world.rank == root) {
        MPI_Get_processor_name(host, &n);
        error_set(&told, rc, "%s", err && err->message[0] ? err->message : error_name(rc));
        error_prefix(&told, "rank %d on %s", root, host);
    }
    if (dist_broadcast(&told, sizeof told, root, &unheard))
        return error_set(err, ERROR_FAILED, "%s", unheard.message);
    world.agreed = 1;
    return error_set(err, told.code, "%s", told.message);
}

int dist_agree(int rc, struct error *err)
{
    struct error unheard = {0};
    if (world.size == 1 || world.agreed) /* all are on their way out already */
        return rc;
    int root = 0;
    if (dist_gather_all(&rc, sizeof rc, world.codes, &unheard))
        return rc ? rc : error_set(err, ERROR_FAILED, "%s", unheard.message);
    while (root < world.size && !world.codes[root])
        root++;
    return root < world.size ? tell_failure(root, world.codes[root], err) : 0;
}

void dist_end_together(void)
{
    world.agreed = 1;
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
    rc = MPI_Isend(p->data, (int)bytes, MPI_BYTE, rank, MESSAGE, MPI_COMM_WORLD, &p->request);
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
    while (!(rc = MPI_Improbe(MPI_ANY_SOURCE, MESSAGE, MPI_COMM_WORLD, &there, &message, &status)) && !there && wait) {
        if ((rc = forget_sent(err)))
            return rc;
        sleep_on(&pause);
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
