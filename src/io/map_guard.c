/* SPDX-License-Identifier: Apache-2.0 */
#include "io/map_guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 4096 };

static struct {
    atomic_uintptr_t start; /* 0: free */
    atomic_size_t size;     /* whole pages */
    atomic_int cut;
} maps[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static size_t page;

/* Only system calls and atomics: this runs inside whatever was reading. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr / page * page;
    for (int i = 0; i < MOST; i++) {
        uintptr_t start = atomic_load(&maps[i].start);
        size_t size = atomic_load(&maps[i].size);
        if (!start || at < start || at - start >= size)
            continue;
        if (mmap((void *)at, size - (at - start), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED)
            break;
        atomic_store(&maps[i].cut, 1);
        return;
    }
    sigaction(SIGBUS, &before, NULL); /* the fault comes again, and ends as it would have */
}

/* Again when somebody else has taken the signal meanwhile. */
static void install_handler(void)
{
    struct sigaction now, ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (sigaction(SIGBUS, NULL, &now) || ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus_error))
        return;
    before = now;
    sigaction(SIGBUS, &ours, NULL);
}

int map_guard_add(const void *start, size_t size)
{
    int free = -1;
    pthread_mutex_lock(&lock);
    install_handler();
    for (int i = 0; i < MOST && free < 0; i++)
        if (!atomic_load(&maps[i].start))
            free = i;
    if (free >= 0) {
        atomic_store(&maps[free].cut, 0);
        atomic_store(&maps[free].size, (size + page - 1) / page * page);
        atomic_store(&maps[free].start, (uintptr_t)start);
    }
    pthread_mutex_unlock(&lock);
    return free;
}

void map_guard_remove(int guard)
{
    if (guard >= 0)
        atomic_store(&maps[guard].start, 0);
}

int map_guard_is_cut(int guard)
{
    return guard >= 0 && atomic_load(&maps[guard].cut);
}
