/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of an experiment, each once: known by the SHA-256 of what decides its bits. */
#include "experiment/parts.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const char *job_verb_name(enum job_verb v)
{
    static const char *const names[] = {"align", "train", "eval"};
    return names[v];
}

enum { HASH_DIGITS = 16 }; /* of a directory's name */

char *job_file(const struct experiment *x, const struct job *j, const char *name)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/work/%.*s%s%s", x->o.output, HASH_DIGITS, j->hash, name ? "/" : "", name ? name : "");
    return buf_take(&b);
}

void job_unread(const struct experiment *x, const struct job *j, struct error *err)
{
    char *whole = job_file(x, j, NULL);
    const struct error was = *err;
    if (whole)
        error_set(err, was.code, "%s; delete %s to have this job done anew", was.message, whole);
    mem_free(whole);
}

static int hash_json(const json_t *value, char hash[65], struct error *err)
{
    char *text = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!text)
        return error_set_nomem(err, 1024, "a job");
    sha256_bytes(text, strlen(text), hash);
    free(text);
    return 0;
}

/* Without what decides nothing before the first answers are there. */
static int hash_asking(struct job *j, struct error *err)
{
    json_t *asking = json_copy(j->canonical), *value;
    const char *name;
    void *next;
    int rc = asking ? 0 : error_set_nomem(err, 1024, "a job");
    json_object_foreach_safe(asking, next, name, value) if (align_comes_later(name)) json_object_del(asking, name);
    rc = rc ? rc : hash_json(asking, j->asking, err);
    json_decref(asking);
    return rc;
}

int job_hash(struct job *j, struct error *err)
{
    int rc = hash_json(j->canonical, j->hash, err);
    return rc || j->verb != JOB_ALIGN ? rc : hash_asking(j, err);
}

int jobs_add(struct experiment *x, struct job *j, int *index, struct error *err)
{
    int rc = j->canonical && j->options ? job_hash(j, err) : error_set_nomem(err, 1024, "a job");
    for (*index = 0; !rc && *index < x->n_job; ++*index)
        if (!strcmp(x->jobs[*index].hash, j->hash))
            break;
    if (!rc && *index == x->n_job && x->n_job == x->cap_job) {
        int cap = x->cap_job ? 2 * x->cap_job : 32;
        struct job *jobs = mem_resize(x->jobs, (size_t)cap * sizeof *jobs);
        x->jobs = jobs ? jobs : x->jobs;
        x->cap_job = jobs ? cap : x->cap_job;
        rc = jobs ? 0 : error_set_nomem(err, (size_t)cap * sizeof *jobs, "jobs");
    }
    if (!rc && *index == x->n_job) {
        x->jobs[x->n_job++] = *j;
    } else {
        json_decref(j->canonical);
        json_decref(j->options);
    }
    if (!rc)
        x->jobs[*index].n_use++;
    return rc;
}

void jobs_free(struct experiment *x)
{
    for (int i = 0; i < x->n_job; i++) {
        json_decref(x->jobs[i].canonical);
        json_decref(x->jobs[i].options);
        json_decref(x->jobs[i].result);
    }
    mem_free(x->jobs);
    mem_free(x->order);
    for (int i = 0; i < x->n_cell; i++)
        mem_free(x->cells[i].evals);
    mem_free(x->cells);
    mem_free(x->measures);
    mem_free(x->variants.items);
}
