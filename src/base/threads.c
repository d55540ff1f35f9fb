/* SPDX-License-Identifier: Apache-2.0 */
/* Workers spin a little between runs (operators follow each other within microseconds), then sleep on a condition. A
 * run waits only for workers that have joined it: who comes late, because asleep or not scheduled, finds it closed.
 * Each worker has its own stretch of a run's pieces, so that from run to run it meets the same data in its caches, and
 * helps with the others' when it is through. A pool of as many threads as there are CPUs ties each worker to one: a
 * woken worker is otherwise often put on its waker's CPU and stays there, while another idles. A caller that is found
 * on a worker's CPU moves to the free one. */
#include "base/threads.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
    int end;         /* of its stretch of pieces */
    atomic_int next; /* piece of it */
    char apart[128]; /* from the lines that others write */
};

struct pool {
    int n_thread, n_started;
    struct worker *workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_ullong state; /* generation, bumped for every run; OPEN while it may be joined; number of workers inside */
    atomic_int sleeping;
    atomic_int stop;
    cpu_set_t cpus; /* that the process may use */
    int free_cpu;   /* the one without a worker; -1: workers are not tied */
    void (*fn)(void *, int, int);
    void *context;
};
enum { SPINS = 2000, INSIDE = 0xffff, OPEN = 0x10000, GENERATION_SHIFT = 17 };

static unsigned long long generation_of(struct pool *p)
{
    return atomic_load(&p->state) >> GENERATION_SHIFT;
}

static void work(struct pool *p, int worker)
{
    for (int i = 0; i < p->n_thread; i++) {
        struct worker *of = &p->workers[(worker + i) % p->n_thread];
        while (atomic_load_explicit(&of->next, memory_order_relaxed) < of->end) {
            int piece = atomic_fetch_add(&of->next, 1);
            if (piece < of->end)
                p->fn(p->context, piece, worker);
        }
    }
}

static void relax(int turn)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    if (turn % 64 == 63)
        sched_yield();
}

/* Joins the run if it is still open. Returns its generation either way. */
static unsigned long long join_run(struct pool *p, int worker)
{
    unsigned long long state = atomic_load(&p->state);
    while (state & OPEN)
        if (atomic_compare_exchange_weak(&p->state, &state, state + 1)) {
            work(p, worker);
            atomic_fetch_sub(&p->state, 1);
            break;
        }
    return state >> GENERATION_SHIFT;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;
    unsigned long long seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && generation_of(p) == seen; i++)
            relax(i);
        if (generation_of(p) == seen) {
            pthread_mutex_lock(&p->mutex);
            atomic_fetch_add(&p->sleeping, 1);
            while (generation_of(p) == seen)
                pthread_cond_wait(&p->wake, &p->mutex);
            atomic_fetch_sub(&p->sleeping, 1);
            pthread_mutex_unlock(&p->mutex);
        }
        seen = join_run(p, w->index);
        if (atomic_load(&p->stop)) /* looked at last: the generation just seen may be the one that stops */
            return NULL;
    }
}

static void start_generation(struct pool *p, unsigned open)
{
    atomic_store(&p->state, (generation_of(p) + 1) << GENERATION_SHIFT | open);
    if (atomic_load(&p->sleeping)) {
        pthread_mutex_lock(&p->mutex);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->mutex);
    }
}

/* Ties worker i to the i-th CPU of those that the process may use, if there is one for each; where that is refused,
 * nothing is lost but speed. */
static void tie_workers(struct pool *p)
{
    cpu_set_t one;
    p->free_cpu = -1;
    if (p->n_thread == 1 || sched_getaffinity(0, sizeof p->cpus, &p->cpus) || CPU_COUNT(&p->cpus) != p->n_thread)
        return;
    for (int cpu = 0, i = 0; cpu < CPU_SETSIZE && i < p->n_thread; cpu++) {
        if (!CPU_ISSET(cpu, &p->cpus))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (i == 0)
            p->free_cpu = cpu;
        else if (pthread_setaffinity_np(p->workers[i].thread, sizeof one, &one))
            p->free_cpu = -1;
        i++;
    }
}

static void give_way(const struct pool *p)
{
    cpu_set_t one;
    if (p->free_cpu < 0 || sched_getcpu() == p->free_cpu)
        return;
    CPU_ZERO(&one);
    CPU_SET(p->free_cpu, &one);
    if (!pthread_setaffinity_np(pthread_self(), sizeof one, &one))
        pthread_setaffinity_np(pthread_self(), sizeof p->cpus, &p->cpus);
}

int pool_new(struct pool **out, int n_thread, struct error *err)
{
    struct pool *p = mem_calloc(1, sizeof *p);
    if (!p)
        return error_set_nomem(err, sizeof *p, "the thread pool");
    p->n_thread = n_thread < 1 ? 1 : n_thread;
    p->n_started = 1;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->workers = mem_calloc((size_t)p->n_thread, sizeof *p->workers);
    if (!p->workers) {
        pool_free(p);
        return error_set_nomem(err, (size_t)n_thread * sizeof(struct worker), "the thread pool");
    }
    for (int i = 1; i < p->n_thread; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i])) {
            pool_free(p);
            return error_set(err, ERROR_UNAVAILABLE, "cannot start thread %d of %d; try --threads 1", i + 1, n_thread);
        }
        p->n_started = i + 1;
    }
    tie_workers(p);
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, 1);
    start_generation(p, 0);
    for (int i = 1; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    mem_free(p->workers);
    mem_free(p);
}

int pool_size(const struct pool *p)
{
    return p->n_thread;
}

static int stretch_begin(const struct pool *p, int n, int64_t worker)
{
    return (int)(worker * n / p->n_thread);
}

int pool_stretch_end(const struct pool *p, int n, int piece)
{
    return stretch_begin(p, n, (((int64_t)piece + 1) * p->n_thread - 1) / n + 1);
}

void pool_run(struct pool *p, int n, void (*fn)(void *, int, int), void *context)
{
    if (p->n_thread == 1 || n <= 1) {
        for (int i = 0; i < n; i++)
            fn(context, i, 0);
        return;
    }
    give_way(p);
    p->fn = fn;
    p->context = context;
    for (int i = 0; i < p->n_thread; i++) {
        p->workers[i].end = stretch_begin(p, n, i + 1);
        atomic_store_explicit(&p->workers[i].next, stretch_begin(p, n, i), memory_order_relaxed);
    }
    start_generation(p, OPEN);
    work(p, 0);
    atomic_fetch_and(&p->state, ~(unsigned long long)OPEN);
    for (int i = 0; atomic_load(&p->state) & INSIDE; i++)
        relax(i);
}

int threads_available(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n;
}

static int own_most = 1 << 20;

void threads_own_at_most(int n)
{
    own_most = n < 1 ? 1 : n;
}

int threads_own(void)
{
    int n = threads_available();
    return n < own_most ? n : own_most;
}
