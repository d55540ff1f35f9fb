/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of ranks that share an experiment (--ranks-per-arm). The first rank of each goes through the same jobs in the
 * same order and does the first that nobody does and nothing is missing for; a file says that a job is taken. Files and
 * not messages, since a rank that aligns for hours answers none. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "dist/dist.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char taken[] = "taken";

/* The first group takes away what an earlier run left that was ended in the middle of it; then the others begin. */
int share_begin(const struct experiment *x, struct error *err)
{
    for (int i = 0; i < x->n_job && dist_group() == 0; i++) {
        char *path = job_file(x, &x->jobs[i], taken);
        if (!path)
            return error_set_nomem(err, 64, "a path");
        unlink(path);
        mem_free(path);
    }
    return dist_group() == 0 ? dist_meet(err) : 0;
}

/* Who asks first asks for all that are asked alike. */
static int is_asked(const struct experiment *x, int at)
{
    const struct job *j = &x->jobs[x->order[at]];
    for (int i = 0; i < at && j->verb == JOB_ALIGN; i++) {
        const struct job *before = &x->jobs[x->order[i]];
        if (before->verb == JOB_ALIGN && !before->done && !strcmp(before->asking, j->asking))
            return 0;
    }
    return 1;
}

static int is_done(const struct experiment *x, int job)
{
    return job < 0 || x->jobs[job].done;
}

static int take(const struct experiment *x, const struct job *j, int *mine, struct error *err)
{
    char *directory = job_file(x, j, NULL), *path = job_file(x, j, taken);
    int rc = directory && path ? dirs_make(directory, err) : error_set_nomem(err, 64, "a path");
    int fd = rc ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (!rc && fd < 0 && errno != EEXIST)
        rc = error_set_errno(err, "%s", path);
    *mine = fd >= 0;
    if (fd >= 0)
        close(fd);
    mem_free(directory);
    mem_free(path);
    return rc;
}

int share_take(struct experiment *x, int at, int *mine, struct error *err)
{
    struct job *j = &x->jobs[x->order[at]];
    int rc = dist_groups() > 1 ? job_look(x, j, err) : 0;
    *mine = !rc && !j->done && is_done(x, j->from) && is_done(x, j->budget_of) && is_done(x, j->answers_of) &&
            is_asked(x, at);
    if (rc || !*mine || dist_groups() == 1)
        return rc;
    rc = take(x, j, mine, err);
    rc = rc || !*mine ? rc : job_look(x, j, err); /* done by another meanwhile */
    *mine &= !rc && !j->done;
    return rc;
}

void share_give_back(const struct experiment *x, const struct job *j)
{
    char *path = job_file(x, j, taken);
    if (path && dist_groups() > 1)
        unlink(path);
    mem_free(path);
}
