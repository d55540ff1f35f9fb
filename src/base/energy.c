/* SPDX-License-Identifier: Apache-2.0 */
#include "base/energy.h"

#include "base/mem.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* a counter holds 262 kJ: 4 minutes at a kilowatt */
enum { MOST_COUNTER = 32, PATH = 512, LOOK_SECONDS = 60 };
struct counter {
    char path[PATH];
    uint64_t last, range; /* microjoules; it turns over behind range */
};
struct energy {
    struct counter counters[MOST_COUNTER];
    int n;
    double joules;
    char why[PATH + 160];
    pthread_mutex_t mutex;
    pthread_cond_t end;
    pthread_t thread;
    int is_watched, is_over;
};

/* A file of one line; -1 with errno: it cannot be read. */
static int read_line(const char *directory, const char *name, char *line, size_t size)
{
    char path[PATH + 32];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    errno = 0;
    int rc = fgets(line, (int)size, f) ? 0 : -1, why = errno ? errno : EINVAL;
    fclose(f);
    errno = why;
    line[rc ? 0 : strcspn(line, "\n")] = 0;
    return rc;
}

static int read_number(const char *directory, const char *name, uint64_t *out)
{
    char line[40];
    int n = 0;
    if (read_line(directory, name, line, sizeof line))
        return -1;
    if (sscanf(line, "%" SCNu64 "%n", out, &n) == 1 && !line[n])
        return 0;
    errno = EINVAL;
    return -1;
}

static void lose(struct energy *e, const char *directory, const char *name)
{
    int denied = errno == EACCES || errno == EPERM;
    snprintf(e->why, sizeof e->why, "%.300s/%s: %s%s", directory, name, strerror(errno),
             denied ? " (root can let it be read: chmod a+r)" : "");
    e->n = 0;
}

/* A processor, or memory beside it; cores and the like are in their processor's counter. */
static int is_counted(const char *name)
{
    return !strncmp(name, "package", 7) || !strcmp(name, "dram");
}

static void add_counter(struct energy *e, const char *path)
{
    char name[64];
    struct counter *c = &e->counters[e->n];
    if (read_line(path, "name", name, sizeof name) || !is_counted(name) || e->n == MOST_COUNTER)
        return;
    snprintf(c->path, sizeof c->path, "%s", path);
    if (read_number(path, "energy_uj", &c->last))
        lose(e, path, "energy_uj");
    else if (read_number(path, "max_energy_range_uj", &c->range))
        lose(e, path, "max_energy_range_uj");
    else
        e->n++;
}

static void find_counters(struct energy *e, const char *root)
{
    char pattern[PATH];
    glob_t g = {0};
    snprintf(pattern, sizeof pattern, "%.400s/intel-rapl:*", root);
    if (!glob(pattern, 0, NULL, &g))
        for (size_t i = 0; i < g.gl_pathc && !e->why[0]; i++)
            if (strlen(g.gl_pathv[i]) < PATH)
                add_counter(e, g.gl_pathv[i]);
    globfree(&g);
    if (!e->n && !e->why[0])
        snprintf(e->why, sizeof e->why,
                 "%.300s has no counter of a processor: a virtual machine, a processor without one, or the kernel's "
                 "module intel_rapl_msr is not loaded",
                 root);
}

/* Under the mutex. */
static void look(struct energy *e)
{
    for (int i = 0; i < e->n; i++) {
        struct counter *c = &e->counters[i];
        uint64_t now;
        int failed = read_number(c->path, "energy_uj", &now);
        if (!failed && now < c->last && c->last > c->range) {
            failed = 1;
            errno = ERANGE;
        }
        if (failed) {
            lose(e, c->path, "energy_uj");
            return;
        }
        uint64_t more = now < c->last ? c->range - c->last + now : now - c->last;
        c->last = now;
        e->joules += 1e-6 * (double)more;
    }
}

static void *watch(void *user)
{
    struct energy *e = user;
    pthread_mutex_lock(&e->mutex);
    while (!e->is_over) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_SECONDS;
        pthread_cond_timedwait(&e->end, &e->mutex, &until);
        look(e);
    }
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

/* Signals are for the threads that work. */
static void start_watch(struct energy *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    e->is_watched = !pthread_create(&e->thread, NULL, watch, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!e->is_watched)
        snprintf(e->why, sizeof e->why, "no thread could be started that looks at the counters");
}

struct energy *energy_open(const char *root)
{
    struct energy *e = mem_calloc(1, sizeof *e);
    if (!e)
        return NULL;
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->end, NULL);
    find_counters(e, root ? root : "/sys/class/powercap");
    if (!e->why[0])
        start_watch(e);
    return e;
}

void energy_close(struct energy *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->mutex);
    e->is_over = 1;
    pthread_cond_signal(&e->end);
    pthread_mutex_unlock(&e->mutex);
    if (e->is_watched)
        pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->end);
    pthread_mutex_destroy(&e->mutex);
    mem_free(e);
}

double energy_joules(struct energy *e)
{
    if (!e)
        return NAN;
    pthread_mutex_lock(&e->mutex);
    look(e);
    double joules = e->why[0] ? NAN : e->joules;
    pthread_mutex_unlock(&e->mutex);
    return joules;
}

const char *energy_why(struct energy *e)
{
    if (!e)
        return "there was no memory to look";
    pthread_mutex_lock(&e->mutex);
    const char *why = e->why[0] ? e->why : NULL;
    pthread_mutex_unlock(&e->mutex);
    return why;
}
