/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/dist_launcher.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* It has that many seconds, and its children then one. */
enum { PATIENCE = 7, LOOKS = 5 };

/* A process as /proc tells of it: its number comes again one day, with another start. */
struct process {
    long pid, parent;
    unsigned long long started; /* clock ticks since the machine's */
    char name[16];
};
static struct process launcher; /* pid 0: none */

static int read_process(long pid, struct process *p)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    char *name = strchr(text, '('), *rest = strrchr(text, ')');
    *p = (struct process){.pid = pid};
    if (!name || !rest)
        return 0;
    snprintf(p->name, sizeof p->name, "%.*s", (int)(rest - name - 1), name + 1);
    /* proc(5): state, ppid, then 17 others before starttime */
    return sscanf(rest + 1, " %*c %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                  &p->parent, &p->started) == 2;
}

static int is_launcher(const char *name)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "prterun"}; /* and mpirun.mpich, ... */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(name, names[i], strlen(names[i])))
            return 1;
    return 0;
}

void launcher_remember(void)
{
    struct process p;
    int found = read_process(getppid(), &p);
    if (found && !strcmp(p.name, "hydra_pmi_proxy"))
        found = read_process(p.parent, &p);
    if (found && is_launcher(p.name))
        launcher = p;
}

static int is_there(const struct process *p)
{
    struct process now;
    return read_process(p->pid, &now) && now.started == p->started;
}

/* SIGTERM to what holds connections to other machines. */
static void end_children(void)
{
    DIR *all = opendir("/proc");
    struct dirent *entry;
    struct process p;
    while (all && (entry = readdir(all)))
        if (atol(entry->d_name) > 0 && read_process(atol(entry->d_name), &p) && p.parent == launcher.pid)
            kill((pid_t)p.pid, SIGTERM);
    if (all)
        closedir(all);
}

static int outlasts(int seconds)
{
    for (int i = 0; i < seconds * LOOKS && is_there(&launcher); i++)
        nanosleep(&(struct timespec){0, 1000000000 / LOOKS}, NULL);
    return is_there(&launcher);
}

/* The launcher waits for the end of what its ranks print. */
static void close_all(void)
{
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    while (all && (entry = readdir(all)))
        if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(all))
            close(atoi(entry->d_name));
    if (all)
        closedir(all);
}

void launcher_end(void)
{
    if (!launcher.pid)
        return;
    close_all();
    if (!outlasts(PATIENCE))
        return;
    end_children();
    if (outlasts(1))
        kill((pid_t)launcher.pid, SIGKILL);
}
