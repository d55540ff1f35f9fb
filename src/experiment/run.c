/* SPDX-License-Identifier: Apache-2.0 */
/* All jobs in their order, under one progress line for the whole: what is done is counted in the planned seconds of the
 * jobs that were left at the start, so that what is left of the time follows from what was taken so far. */
#include "experiment/parts.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "dist/dist.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

struct watch {
    struct log_sink outer;
    const struct job *job;
    int index, n;
    double started, job_started, done, total; /* in planned seconds */
};

static void show_whole(struct watch *w, const char *note, int ended)
{
    char text[240];
    double share = (clock_now() - w->job_started) / (w->job->seconds + 1e-9);
    double done = w->done + w->job->seconds * (share < 0.95 ? share : 0.95);
    long whole = (long)w->total + 1, part = ended ? whole : (long)done;
    snprintf(text, sizeof text, "job %d of %d, %s %s%s%s", w->index, w->n, job_verb_name(w->job->verb), w->job->label,
             *note ? ": " : "", note);
    w->outer.progress(w->outer.user, &(struct progress){.stage = "experiment",
                                                        .unit = "planned s",
                                                        .done = part,
                                                        .total = whole,
                                                        .started = w->started,
                                                        .note = text});
}

static void on_progress(void *user, const struct progress *p)
{
    struct watch *w = user;
    char note[160];
    if (!w->outer.progress || !w->job)
        return;
    snprintf(note, sizeof note, "%s %ld of %ld", p->stage ? p->stage : "", p->done, p->total);
    show_whole(w, note, 0);
}

/* What the verbs say of themselves is for those who look closer. */
static void on_line(void *user, enum log_level level, const char *text)
{
    const struct watch *w = user;
    if (w->outer.line)
        w->outer.line(w->outer.user, level == LOG_INFO ? LOG_DEBUG : level, text);
}

/* A job that was begun by another build, or whose files were changed, is refused by the verb itself. */
static void say_failed(const struct experiment *x, const struct job *j, struct error *err)
{
    const struct error was = *err;
    char *directory = job_file(x, j, NULL);
    if ((was.code == ERROR_CONFIG || was.code == ERROR_DATA) && directory)
        error_set(err, was.code, "%s: %s; or delete %s to have this job done anew", j->label, was.message, directory);
    else
        error_prefix(err, "%s", j->label);
    mem_free(directory);
}

static int do_job(struct experiment *x, struct watch *w, struct job *j, struct error *err)
{
    char said[300];
    w->job = j;
    w->index++;
    w->job_started = clock_now();
    int rc = interrupt_check(err);
    rc = rc ? rc : job_run(x, j, err);
    w->done += j->seconds;
    snprintf(said, sizeof said, "job %d of %d: %s %s, %.1f s", w->index, w->n, job_verb_name(j->verb), j->label,
             clock_now() - w->job_started);
    if (!rc && w->outer.line)
        w->outer.line(w->outer.user, LOG_INFO, said);
    else if (rc == ERROR_INTERRUPTED)
        error_set(err, rc,
                  "interrupted in job %d of %d (%s); everything finished is kept: run the same command again to go on",
                  w->index, w->n, j->label);
    else if (rc)
        say_failed(x, j, err);
    return rc;
}

/* All that can be done now; *left: jobs that are not done then. */
static int do_some(struct experiment *x, struct watch *w, int *left, struct error *err)
{
    int rc = 0;
    *left = 0;
    for (int i = 0; i < x->n_job && !rc; i++) {
        struct job *j = &x->jobs[x->order[i]];
        int mine = 0;
        if (!j->done)
            rc = share_take(x, i, &mine, err);
        if (mine) {
            rc = do_job(x, w, j, err);
            share_give_back(x, j);
        }
        *left += !j->done;
    }
    return rc;
}

/* Where others do a job that is waited for, it is looked for from time to time. */
static int do_jobs(struct experiment *x, struct watch *w, struct error *err)
{
    static const struct timespec pause = {0, 100000000};
    int left, rc = share_begin(x, err);
    while (!rc && !(rc = do_some(x, w, &left, err)) && left) {
        nanosleep(&pause, NULL);
        rc = interrupt_check(err);
    }
    return rc;
}

/* One that cannot fit is said before any is begun. */
static int check_memory(const struct experiment *x, struct error *err)
{
    for (int i = 0; i < x->n_job; i++)
        if (!x->jobs[i].done && x->jobs[i].bytes > (double)mem_total())
            return error_set(err, ERROR_FAILED,
                             "%s: memory: the plan needs %.0f MiB, the machine has %.0f; try gradient-checkpointing, a "
                             "smaller per-device-train-batch-size or max-length, fewer beams",
                             x->jobs[i].label, x->jobs[i].bytes / (1 << 20), (double)mem_total() / (1 << 20));
    return 0;
}

static int run_jobs(struct experiment *x, struct error *err)
{
    struct watch w = {.outer = log_get_sink(), .started = clock_now()};
    for (int i = 0; i < x->n_job; i++) {
        w.n += !x->jobs[i].done;
        w.total += x->jobs[i].done ? 0 : x->jobs[i].seconds;
    }
    int rc = check_memory(x, err);
    if (rc)
        return rc;
    log_line(LOG_INFO, "%s: %d jobs, %d of them done already; about %.0f s for the rest", x->spec.path, x->n_job,
             x->n_job - w.n, w.total);
    log_set_sink(&(struct log_sink){on_line, on_progress, &w});
    rc = do_jobs(x, &w, err);
    if (!rc && w.job && w.outer.progress)
        show_whole(&w, "", 1);
    log_set_sink(&w.outer);
    return rc;
}

static int write_times(const struct experiment *x, struct error *err)
{
    json_t *list = json_array();
    for (int i = 0; i < x->n_job; i++) {
        const struct job *j = &x->jobs[x->order[i]];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:O?, s:O?, s:O?}", "hash", j->hash, "verb",
                                              job_verb_name(j->verb), "label", j->label, "planned_seconds", j->seconds,
                                              "seconds", json_object_get(j->result, "seconds"), "peak_mib",
                                              json_object_get(j->result, "peak_mib"), "joules",
                                              json_object_get(j->result, "joules")));
    }
    char *path = path_join(x->o.output, "times.json");
    int rc = path && list ? jsontext_write(path, list, err) : error_set_nomem(err, 64, "times");
    json_decref(list);
    mem_free(path);
    return rc;
}

static int prepare(struct experiment *x, struct error *err)
{
    int rc = spec_read(&x->spec, x->o.file, err);
    rc = rc ? rc : variants_make(&x->variants, &x->spec, err);
    rc = rc ? rc : inputs_open(&x->inputs, x, err);
    rc = rc ? rc : cells_make(x, err);
    for (int i = 0; i < x->n_job && x->o.output && !rc; i++)
        rc = job_look(x, &x->jobs[i], err);
    rc = rc ? rc : experiment_estimate(x, err);
    return rc ? rc : experiment_order(x, err);
}

static int run_all(struct experiment *x, struct buf *text, json_t **json, struct error *err)
{
    int rc = run_jobs(x, err);
    if (rc || dist_group() > 0)
        return rc;
    rc = write_times(x, err);
    rc = rc ? rc : experiment_results(x, text, json, err);
    char *path = rc ? NULL : path_join(x->o.output, "results.json");
    if (!rc)
        rc = path ? jsontext_write(path, *json, err) : error_set_nomem(err, 64, "a path");
    mem_free(path);
    return rc;
}

int experiment_run(const struct experiment_options *o, struct buf *text, json_t **json, struct error *err)
{
    struct experiment x = {.o = *o};
    int lock = -1;
    *json = NULL;
    if (o->dry_run && dist_group() > 0)
        return 0;
    int first = dist_group() == 0, rc = o->dry_run || !first ? 0 : dir_lock(o->output, &lock, err);
    if (!first) /* what the first group writes is there then */
        rc = dist_meet(err);
    rc = rc ? rc : prepare(&x, err);
    if (!rc)
        rc = o->dry_run ? experiment_plan(&x, text, json, err) : run_all(&x, text, json, err);
    jobs_free(&x);
    inputs_close(x.inputs);
    spec_free(&x.spec);
    arena_free(&x.arena);
    if (lock >= 0)
        close(lock);
    return rc;
}
