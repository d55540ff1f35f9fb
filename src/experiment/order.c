/* SPDX-License-Identifier: Apache-2.0 */
/* In which order jobs are done, and the plan that --dry-run prints. */
#include "experiment/parts.h"

#include "base/mem.h"

#include <string.h>

static const double MIB = 1 << 20;

static int is_ready(const struct job *j, const char *placed)
{
    return (j->from < 0 || placed[j->from]) && (j->budget_of < 0 || placed[j->budget_of]) &&
           (j->answers_of < 0 || placed[j->answers_of]);
}

int experiment_order(struct experiment *x, struct error *err)
{
    x->order = mem_calloc((size_t)x->n_job + 1, sizeof *x->order);
    char *placed = mem_calloc((size_t)x->n_job + 1, 1);
    int rc = x->order && placed ? 0 : error_set_nomem(err, (size_t)x->n_job * sizeof *x->order, "jobs");
    for (int n = 0; n < x->n_job && !rc; n++) {
        int best = -1;
        for (int i = 0; i < x->n_job; i++)
            if (!placed[i] && is_ready(&x->jobs[i], placed) && (best < 0 || x->jobs[i].seconds < x->jobs[best].seconds))
                best = i;
        x->order[n] = best; /* one is always ready: jobs only need earlier ones */
        placed[best] = 1;
    }
    mem_free(placed);
    return rc;
}

static void print_time(struct buf *out, double seconds)
{
    if (seconds >= 3600)
        buf_printf(out, "%7.1f h  ", seconds / 3600);
    else if (seconds >= 60)
        buf_printf(out, "%7.1f min", seconds / 60);
    else
        buf_printf(out, "%7.1f s  ", seconds);
}

static void sums(const struct experiment *x, double *seconds, double *left, double *bytes)
{
    *seconds = *left = *bytes = 0;
    for (int i = 0; i < x->n_job; i++) {
        const struct job *j = &x->jobs[i];
        *seconds += j->seconds;
        *left += j->done ? 0 : j->seconds;
        *bytes = j->bytes > *bytes ? j->bytes : *bytes;
    }
}

static void plan_text(const struct experiment *x, struct buf *out)
{
    const struct spec *s = &x->spec;
    double seconds, left, bytes;
    int wanted = 0, done = 0;
    for (int i = 0; i < x->n_job; i++) {
        wanted += x->jobs[i].n_use;
        done += x->jobs[i].done;
    }
    buf_printf(out, "experiment   %s: %d arms, %d model%s, %d random seed%s, %d metric%s\n", s->path, x->variants.n,
               s->models.n, s->models.n == 1 ? "" : "s", s->n_random_seed, s->n_random_seed == 1 ? "" : "s",
               s->n_metric, s->n_metric == 1 ? "" : "s");
    buf_printf(out, "jobs         %d for the %d that arms want by themselves; %d are done\n\n", x->n_job, wanted, done);
    buf_printf(out, "%4s %-16s %-5s %10s %8s %4s  %s\n", "", "hash", "verb", "time", "MiB", "uses", "first wanted by");
    for (int n = 0; n < x->n_job; n++) {
        const struct job *j = &x->jobs[x->order[n]];
        buf_printf(out, "%4d %.16s %-5s ", n + 1, j->hash, job_verb_name(j->verb));
        print_time(out, j->seconds);
        buf_printf(out, "%8.0f %4d  %s%s\n", j->bytes / MIB, j->n_use, j->label, j->done ? " (done)" : "");
    }
    sums(x, &seconds, &left, &bytes);
    buf_puts(out, "\ntime         about ");
    buf_printf(out,
               "%.2f hours in all, %.2f left; assuming texts as long as the seeds' and half of the attempts kept\n",
               seconds / 3600, left / 3600);
    buf_printf(out, "memory       %.0f MiB at the peak; the machine has %.0f\n", bytes / MIB,
               (double)mem_total() / MIB);
}

static json_t *plan_json(const struct experiment *x)
{
    double seconds, left, bytes;
    json_t *list = json_array();
    sums(x, &seconds, &left, &bytes);
    for (int n = 0; n < x->n_job; n++) {
        const struct job *j = &x->jobs[x->order[n]];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?, s:f, s:f, s:i, s:b}", "hash", j->hash, "verb",
                                              job_verb_name(j->verb), "label", j->label, "task", j->task, "seconds",
                                              j->seconds, "bytes", j->bytes, "uses", j->n_use, "done", j->done));
    }
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:o}", "experiment", x->spec.path, "sha256", x->spec.sha256,
                     "seconds", seconds, "seconds_left", left, "peak_bytes", bytes, "machine_bytes",
                     (double)mem_total(), "jobs", list);
}

int experiment_plan(const struct experiment *x, struct buf *text, json_t **json, struct error *err)
{
    plan_text(x, text);
    *json = plan_json(x);
    return *json && !text->failed ? 0 : error_set_nomem(err, text->len, "a plan");
}
