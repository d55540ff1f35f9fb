/* SPDX-License-Identifier: Apache-2.0 */
/* One job, through the calls of isara.h as any program makes them, in a directory of its own. Those calls go on where
 * they were stopped; done.json, written last, says that nothing is left to do. Everything is done in this process: each
 * call opens what it needs and closes it, so nothing is carried from one job to the next but the program itself. */
#include "experiment/parts.h"

#include "base/clock.h"
#include "base/energy.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "isara.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RESULT = 1 << 26 };

/* DIR/work/HASH/NAME is there. */
static int has_file(const struct experiment *x, const struct job *j, const char *name)
{
    char *path = job_file(x, j, name);
    int has = path && file_exists(path);
    mem_free(path);
    return has;
}

/* --- what earlier jobs gave --- */

static const json_t *round_arm(const struct job *align, int round)
{
    const json_t *arms = json_object_get(json_object_get(align->result, "report"), "arms"), *arm;
    char name[32];
    size_t i;
    snprintf(name, sizeof name, "round-%d", round);
    json_array_foreach((json_t *)(uintptr_t)arms, i, arm)
    {
        const char *found = json_string_value(json_object_get(arm, "name"));
        if (found && !strcmp(found, name))
            return arm;
    }
    return NULL;
}

int job_round(const struct job *align, int round)
{
    while (round > 0 && !round_arm(align, round))
        round--;
    return round;
}

long job_steps(const struct job *j, int round)
{
    if (j->verb == JOB_TRAIN)
        return (long)json_integer_value(json_object_get(j->result, "steps"));
    return (long)json_integer_value(json_object_get(round_arm(j, job_round(j, round)), "steps"));
}

long job_kept(const struct job *align, int round)
{
    const json_t *rounds = json_object_get(json_object_get(align->result, "report"), "rounds"), *r;
    long kept = 0;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rounds, i, r) if ((int)i < job_round(align, round)) kept +=
        (long)json_integer_value(json_object_get(r, "kept"));
    return kept;
}

/* The path of the model that a job takes; mem_free. */
static char *model_of(const struct experiment *x, const struct job *j)
{
    const struct job *from = j->from < 0 ? NULL : &x->jobs[j->from];
    char name[48] = "model";
    int round = from && from->verb == JOB_ALIGN ? job_round(from, j->round) : -1;
    if (!from || round == 0)
        return mem_strdup(j->model);
    if (round > 0)
        snprintf(name, sizeof name, "run/round-%d/model", round);
    return job_file(x, from, name);
}

/* --- options of a call --- */

static json_t *begin_options(const struct experiment *x, const struct job *j)
{
    json_t *o = json_copy(j->options);
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", j->seed);
    json_object_set_new(o, "seed", json_string(seed));
    if (x->o.threads)
        json_object_set_new(o, "threads", json_integer(x->o.threads));
    if (x->o.isa)
        json_object_set_new(o, "isa", json_string(x->o.isa));
    return o;
}

static char *end_options(json_t *o, struct error *err)
{
    char *text = o ? json_dumps(o, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    if (!text)
        error_set_nomem(err, 1024, "options");
    return text;
}

static int failed(const struct isara_error *from, struct error *to)
{
    return from->code ? error_set(to, from->code, "%s", from->message) : 0;
}

/* The report into the job's result; takes r. */
static int take_report(struct isara_report *r, json_t *result, struct error *err)
{
    json_t *tree = NULL;
    int rc = 0;
    if (r->json)
        rc = jsontext_parse(&tree, jsontext_whole(r->json, strlen(r->json), "a report"), NULL, err);
    isara_free(r->json);
    isara_free(r->text);
    *r = (struct isara_report){NULL, NULL};
    if (!rc && json_object_set_new(result, "report", tree))
        rc = error_set(err, ERROR_INTERNAL, "a job ended without results");
    return rc;
}

/* --- the three verbs --- */

static int do_align(const struct experiment *x, struct job *j, json_t *result, struct error *err)
{
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    json_t *o = begin_options(x, j);
    char *output = job_file(x, j, "run"), *from = NULL;
    int rc = asked_find(x, j, &from, err);
    json_object_set_new(o, "test", json_string(j->test->path));
    if (from)
        json_object_set_new(o, "attempts-from", json_string(from));
    char *given = end_options(o, err);
    rc = rc || (given && output) ? rc : ERROR_NOMEM;
    if (!rc) {
        isara_align(j->model, j->seeds->path, output, given, &report, &problem);
        rc = failed(&problem, err);
    }
    rc = rc ? rc : take_report(&report, result, err);
    free(given);
    mem_free(from);
    mem_free(output);
    return rc;
}

static void show_step(void *user, const struct isara_step_report *s)
{
    struct progress *p = user;
    p->done = s->step;
    p->total = s->total;
    p->tokens += (double)s->tokens;
    progress_show(p);
}

/* As much as the alignment that is counted of; *n_real: pairs that it kept. */
static void set_budget(const struct experiment *x, const struct job *j, json_t *o, int *n_real)
{
    const struct job *as = j->budget_of < 0 ? NULL : &x->jobs[j->budget_of];
    if (!as)
        return;
    *n_real = (int)job_kept(as, j->round_of);
    long steps = job_steps(as, j->round_of);
    int rounds = job_round(as, j->round_of);
    if (j->budget != BUDGET_PLAIN && !rounds)
        log_line(LOG_WARNING, "%s: the arm it is counted of tuned nothing; it is tuned as its options say", j->label);
    else if (j->budget == BUDGET_STEPS)
        json_object_set_new(o, "max-steps", json_integer(steps));
    else if (j->budget == BUDGET_EPOCHS)
        json_object_set_new(o, "num-train-epochs", json_real(as->plan.train.num_train_epochs * rounds));
}

static int open_for_training(struct isara_model **m, const struct experiment *x, const struct job *j, struct error *err)
{
    struct isara_error problem = {0};
    json_t *o = json_pack("{s:s, s:s}", "task", "sft", "dtype", dtype_name(j->plan.train.dtype));
    if (x->o.threads)
        json_object_set_new(o, "threads", json_integer(x->o.threads));
    if (x->o.isa)
        json_object_set_new(o, "isa", json_string(x->o.isa));
    char *given = end_options(o, err);
    if (!given)
        return ERROR_NOMEM;
    isara_open(m, j->model, given, &problem);
    free(given);
    return failed(&problem, err);
}

/* Steps of all starts together are the trainer's own count. */
static int total_steps(const char *directory, json_t *result, struct error *err)
{
    json_t *state = NULL;
    char *path = path_join(directory, "trainer_state.json");
    int rc = path ? jsontext_load(&state, path, MOST_RESULT, err) : error_set_nomem(err, 64, "a path");
    if (!rc && json_object_set(result, "steps", json_object_get(state, "global_step")))
        rc = error_set(err, ERROR_DATA, "%s: wanted \"global_step\"", path);
    json_decref(state);
    mem_free(path);
    return rc;
}

static int do_train(const struct experiment *x, struct job *j, json_t *result, struct error *err)
{
    struct isara_error problem = {0};
    struct isara_model *m = NULL;
    struct isara_trained trained;
    struct progress progress = {.stage = "tune", .unit = "steps", .started = clock_now()};
    char *rows = job_file(x, j, "rows.jsonl"), *output = job_file(x, j, "model");
    int n_real = 0;
    json_t *o = begin_options(x, j);
    json_object_del(o, "dtype");
    json_object_del(o, "threads");
    json_object_del(o, "isa");
    set_budget(x, j, o, &n_real);
    char *given = end_options(o, err);
    int rc = given && rows && output ? rows_write(j, rows, n_real, err) : ERROR_NOMEM;
    rc = rc ? rc : open_for_training(&m, x, j, err);
    if (!rc) {
        const struct isara_training job = {rows, output, given, show_step, &progress};
        isara_train(m, &job, &trained, &problem);
        rc = failed(&problem, err);
    }
    rc = rc ? rc : total_steps(output, result, err);
    isara_close(m);
    free(given);
    mem_free(rows);
    mem_free(output);
    return rc;
}

/* What answers: a model in its way, or what another evaluation has from it. */
static int put_answerer(const struct experiment *x, const struct job *j, json_t *o, struct error *err)
{
    char *path = j->answers_of < 0 ? model_of(x, j) : job_file(x, j, "answers.jsonl");
    int rc = path ? 0 : error_set_nomem(err, 64, "a path");
    if (!rc && j->answers_of >= 0)
        rc = answers_write(x, &x->jobs[j->answers_of], path, err);
    if (!rc && json_object_set_new(o, j->answers_of < 0 ? "model" : "input", json_string(path)))
        rc = error_set_nomem(err, 64, "options");
    if (j->answers_of < 0)
        json_object_set_new(o, "arm", json_string(j->arm));
    if (j->seeds && j->answers_of < 0)
        json_object_set_new(o, "seeds", json_string(j->seeds->path));
    mem_free(path);
    return rc;
}

static int do_eval(const struct experiment *x, struct job *j, json_t *result, struct error *err)
{
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    json_t *o = begin_options(x, j);
    char *output = job_file(x, j, "eval");
    int rc = o && output ? put_answerer(x, j, o, err) : error_set_nomem(err, 64, "options");
    json_object_set_new(o, "output", json_string(output));
    json_object_set_new(o, "test", json_string(j->test->path));
    if (j->judge)
        json_object_set_new(o, "judge", json_string(j->judge));
    char *given = end_options(o, rc ? NULL : err);
    rc = rc || given ? rc : ERROR_NOMEM;
    if (!rc) {
        isara_eval(j->task, given, &report, &problem);
        rc = failed(&problem, err);
    }
    rc = rc ? rc : take_report(&report, result, err);
    free(given);
    mem_free(output);
    return rc;
}

/* --- a job's directory --- */

/* A model or an adapter. */
static int has_model(const struct experiment *x, const struct job *j, const char *directory)
{
    char name[96];
    snprintf(name, sizeof name, "%s/config.json", directory);
    if (has_file(x, j, name))
        return 1;
    snprintf(name, sizeof name, "%s/adapter_config.json", directory);
    return has_file(x, j, name);
}

/* Does what it made stand there still? */
static int has_made(const struct experiment *x, const struct job *j)
{
    char name[64];
    int rounds = j->verb == JOB_ALIGN ? job_round(j, j->rounds) : 0, has = 1;
    if (j->verb == JOB_TRAIN)
        return has_model(x, j, "model");
    for (int t = 1; t <= rounds && has; t++) {
        snprintf(name, sizeof name, "run/round-%d/model", t);
        has = has_model(x, j, name);
    }
    return has && (j->verb != JOB_EVAL || has_file(x, j, "eval"));
}

int job_look(const struct experiment *x, struct job *j, struct error *err)
{
    char *path = job_file(x, j, "done.json");
    json_t *found = NULL;
    int rc = path ? 0 : error_set_nomem(err, 64, "a path");
    if (!rc && file_exists(path))
        rc = jsontext_load(&found, path, MOST_RESULT, err);
    const char *hash = json_string_value(json_object_get(found, "hash"));
    if (!rc && found && (!hash || strcmp(hash, j->hash)))
        rc = error_set(err, ERROR_DATA, "%s: is of another job (hash %.16s, wanted %.16s); delete its directory", path,
                       hash ? hash : "none", j->hash);
    json_decref(j->result);
    j->result = rc ? NULL : json_incref(found);
    j->done = !rc && found && has_made(x, j);
    json_decref(found);
    mem_free(path);
    return rc;
}

static int write_json(const struct experiment *x, const struct job *j, const char *name, const json_t *value,
                      struct error *err)
{
    char *path = job_file(x, j, name);
    int rc = path ? jsontext_write(path, value, err) : error_set_nomem(err, 64, "a path");
    mem_free(path);
    return rc;
}

static int begin_directory(const struct experiment *x, const struct job *j, struct error *err)
{
    char *path = job_file(x, j, NULL);
    json_t *what = json_pack("{s:s, s:s, s:O}", "hash", j->hash, "label", j->label, "job", j->canonical);
    int rc = path && what ? dirs_make(path, err) : error_set_nomem(err, 64, "a path");
    if (!rc && !has_file(x, j, "job.json"))
        rc = write_json(x, j, "job.json", what, err);
    json_decref(what);
    mem_free(path);
    return rc;
}

int job_run(const struct experiment *x, struct job *j, struct error *err)
{
    static int (*const verbs[])(const struct experiment *x, struct job *j, json_t *result,
                                struct error *err) = {do_align, do_train, do_eval};
    double start = clock_now();
    struct energy *energy = energy_open(NULL);
    json_t *result = json_pack("{s:s}", "hash", j->hash);
    int rc = result ? begin_directory(x, j, err) : error_set_nomem(err, 64, "a job");
    rc = rc ? rc : verbs[j->verb](x, j, result, err);
    if (!rc) {
        json_object_set_new(result, "planned_seconds", json_real(j->seconds));
        json_object_set_new(result, "seconds", json_real(clock_now() - start));
        json_object_set_new(result, "peak_mib", json_integer((json_int_t)(clock_rss_peak() >> 20)));
        json_object_set_new(result, "joules", energy_why(energy) ? json_null() : json_real(energy_joules(energy)));
        rc = write_json(x, j, "done.json", result, err);
        rc = rc || j->verb != JOB_ALIGN ? rc : asked_put(x, j, err);
    }
    if (!rc) {
        json_decref(j->result);
        j->result = json_incref(result);
        j->done = 1;
    }
    energy_close(energy);
    json_decref(result);
    return rc;
}
