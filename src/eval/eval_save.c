/* SPDX-License-Identifier: Apache-2.0 */
/* Result files with lm-evaluation-harness's names and keys: OUTPUT/MODEL/results_DATE.json and samples_TASK_DATE.jsonl.
 * What a report says beyond them stands under "isara". */
#include "eval/measured.h"
#include "eval/parts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* lm-eval's: runs of "<>:/|\?*[] become "__"; but nothing of ./ and ../ in front, which would hide a directory. */
void eval_sanitize(const char *name, struct buf *out)
{
    size_t hidden = *name == '.' ? strspn(name, "./") : 0;
    if (!name[hidden])
        buf_putc(out, '_');
    for (const char *s = name + hidden; *s;) {
        size_t bad = strspn(s, "\"<>:/|\\?*[]");
        if (bad)
            buf_puts(out, "__");
        else
            buf_putc(out, *s);
        s += bad ? bad : 1;
    }
}

static void date_name(double now, char name[40])
{
    time_t seconds = (time_t)now;
    struct tm t;
    localtime_r(&seconds, &t);
    size_t n = strftime(name, 32, "%Y-%m-%dT%H-%M-%S", &t);
    snprintf(name + n, 8, ".%06d", (int)((now - floor(now)) * 1e6));
}

static json_t *digest_text(const char *text)
{
    char hex[65];
    sha256_bytes(text ? text : "", text ? strlen(text) : 0, hex);
    return json_string(hex);
}

static json_t *digest_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_t *digest = digest_text(text);
    free(text);
    return digest;
}

/* given: what the task says of the row ("doc", "target", metrics). */
static json_t *sample_line(const struct eval_answers *e, int i, const json_t *given)
{
    const json_t *row = eval_answers_row(e, i), *doc = json_object_get(given, "doc");
    json_t *s = json_object(), *names = json_array(), *value;
    const char *name, *prompt = json_string_value(json_object_get(row, "prompt")),
                      *target = json_string_value(json_object_get(given, "target"));
    json_object_set_new(s, "doc_id", json_integer(i));
    json_object_set(s, "doc", (json_t *)doc);
    json_object_set_new(s, "target", json_string(target ? target : ""));
    json_object_set_new(s, "arguments", json_pack("{s:{s:s?, s:{}}}", "gen_args_0", "arg_0", prompt, "arg_1"));
    json_object_set_new(s, "resps", json_pack("[[O?]]", json_object_get(row, "raw")));
    json_object_set_new(s, "filtered_resps", json_pack("[O?]", json_object_get(row, "text")));
    json_object_set_new(s, "filter", json_string("none"));
    json_object_foreach((json_t *)given, name, value) if (strcmp(name, "doc") && strcmp(name, "target"))
        json_array_append_new(names, json_string(name));
    json_object_set_new(s, "metrics", names);
    json_object_set_new(s, "doc_hash", digest_json(doc));
    json_object_set_new(s, "prompt_hash", digest_text(prompt));
    json_object_set_new(s, "target_hash", digest_text(target));
    static const char *const kept[] = {"question", "ended",   "error",       "contexts",
                                       "dropped",  "n_token", "sum_logprob", NULL};
    for (int k = 0; kept[k]; k++)
        if (json_object_get(row, kept[k]))
            json_object_set(s, kept[k], json_object_get(row, kept[k]));
    json_object_foreach((json_t *)given, name, value) if (strcmp(name, "doc") && strcmp(name, "target"))
        json_object_set(s, name, value);
    return s;
}

/* Standard error of the mean over the samples that have the metric, as lm-eval gives it. */
static json_t *standard_error(const json_t *samples, const char *metric)
{
    double *x = mem_alloc((json_array_size(samples) + 1) * sizeof *x);
    int n = 0;
    size_t i;
    json_t *s;
    json_array_foreach((json_t *)samples, i, s) if (x && json_is_number(json_object_get(s, metric))) x[n++] =
        json_number_value(json_object_get(s, metric));
    double se = x && n > 1 ? stats_sd(x, n) / sqrt(n) : NAN;
    mem_free(x);
    return isfinite(se) ? json_real(se) : json_string("N/A");
}

/* The values that samples have, each with its standard error. */
static json_t *values_of(const struct eval_log *l, const json_t *report)
{
    const char *task = l->e->task, *name;
    json_t *values = json_pack("{s:s, s:s, s:i}", "name", task, "alias", task, "sample_len", l->e->n), *metric;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(l->samples, 0), "metrics"), i, metric)
    {
        char key[128];
        if (!json_is_number(json_object_get(report, name = json_string_value(metric))))
            continue;
        snprintf(key, sizeof key, "%s,none", name);
        json_object_set(values, key, json_object_get(report, name));
        snprintf(key, sizeof key, "%s_stderr,none", name);
        json_object_set_new(values, key, standard_error(l->samples, name));
    }
    return values;
}

/* Of the values that are better one way; the others have no arrow in lm-eval's table. */
static json_t *directions_of(const struct eval_log *l)
{
    json_t *directions = json_object(), *metric;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(l->samples, 0), "metrics"), i, metric)
    {
        const char *better = measured_better(json_string_value(metric));
        if (better)
            json_object_set_new(directions, json_string_value(metric), json_boolean(!strcmp(better, "higher")));
    }
    return directions;
}

/* lm-eval's: of the digests of all samples' documents, prompts and targets. */
static json_t *task_hash(const json_t *samples)
{
    static const char *const parts[] = {"doc_hash", "prompt_hash", "target_hash"};
    struct buf all = BUF_INIT;
    json_t *s;
    size_t i;
    json_array_foreach((json_t *)samples, i, s) for (int k = 0; k < 3; k++)
        buf_puts(&all, json_string_value(json_object_get(s, parts[k])));
    json_t *digest = all.failed ? NULL : digest_text(buf_text(&all));
    buf_free(&all);
    return digest;
}

static json_t *results_of(const struct eval_log *l, json_t *report)
{
    const struct eval_options *v = l->options;
    const char *task = l->e->task;
    char seconds[32];
    struct buf sanitized = BUF_INIT;
    eval_sanitize(l->model, &sanitized);
    snprintf(seconds, sizeof seconds, "%.3f", l->now - l->started);
    int shots = v->arm && strcmp(v->arm, "zero-shot") ? v->k : 0;
    json_t *all = json_pack(
        "{s:{s:O}, s:{s:[]}, s:{s:O?}, s:{s:i}, s:{s:i}, s:{s:o}, s:{s:{s:i,s:i}}, s:{s:s, s:s, s:O?, s:i, s:I}}",
        "results", task, l->values, "group_subtasks", task, "configs", task, l->e->settings, "versions", task, 1,
        "n-shot", task, shots, "higher_is_better", task, directions_of(l), "n-samples", task, "original", l->e->n,
        "effective", l->e->n, "config", "model", "isara", "model_args", l->model, "gen_kwargs", l->e->settings, "limit",
        v->limit, "random_seed", (json_int_t)v->seed);
    json_t *more = json_pack("{s:f, s:{s:o}, s:s, s:s, s:s?, s:f, s:f, s:s, s:O}", "date", l->now, "task_hashes", task,
                             task_hash(l->samples), "model_source", "isara", "model_name", l->model,
                             "model_name_sanitized", sanitized.failed ? NULL : sanitized.data, "start_time", l->started,
                             "end_time", l->now, "total_evaluation_time_seconds", seconds, "isara", report);
    if (all && (!more || json_object_update(all, more))) {
        json_decref(all);
        all = NULL;
    }
    json_decref(more);
    buf_free(&sanitized);
    return all;
}

/* The samples' lines, also as the text of their file. */
static int make_samples(struct eval_log *l, json_t *(*sample)(void *user, int i), void *user, struct buf *lines,
                        struct error *err)
{
    int rc = 0;
    for (int i = 0; i < l->e->n && !rc; i++) {
        json_t *given = sample(user, i), *s = given ? sample_line(l->e, i, given) : NULL;
        rc = s && !json_array_append(l->samples, s) ? jsontext_dump(lines, s, 0, err)
                                                    : error_set_nomem(err, 64, "a sample");
        buf_putc(lines, '\n');
        json_decref(given);
        json_decref(s);
    }
    return rc || !lines->failed ? rc : error_set_nomem(err, lines->len, "samples");
}

static int write_json(const struct buf *path, json_t *value, struct error *err)
{
    int rc = path->failed || !value ? error_set_nomem(err, 64, "results") : jsontext_write(path->data, value, err);
    json_decref(value);
    return rc;
}

/* path: in; out: of the results, for people. */
static int write_files(struct eval_log *l, const struct buf *lines, const char *directory, struct buf *path,
                       struct eval_report *r)
{
    char date[40];
    json_t *report = NULL;
    date_name(l->now, date);
    buf_printf(path, "%s/samples_%s_%s.jsonl", directory, l->e->task, date);
    int rc =
        path->failed ? error_set_nomem(r->err, 64, "path") : file_write(path->data, lines->data, lines->len, r->err);
    rc = rc ? rc : report_evaluation_json(&r->tree, &report, r->err);
    if (rc)
        return rc;
    l->values = values_of(l, report);
    buf_reset(path);
    buf_printf(path, "%s/", directory);
    eval_inspect_name(l, path);
    rc = write_json(path, eval_inspect_log(l), r->err);
    buf_reset(path);
    buf_printf(path, "%s/results_%s.json", directory, date);
    rc = rc ? rc : write_json(path, results_of(l, report), r->err);
    json_decref(report);
    json_decref(l->values);
    return rc;
}

int eval_save(const struct eval_answers *e, struct eval_report *r, const struct eval_options *v,
              json_t *(*sample)(void *user, int i), void *user)
{
    if (!v->output || r->rc)
        return r->rc;
    struct buf directory = BUF_INIT, path = BUF_INIT, lines = BUF_INIT;
    struct eval_log log = {
        .e = e, .options = v, .model = v->model ? v->model : v->input, .samples = json_array(), .now = clock_wall()};
    log.started = e->started ? e->started : log.now;
    buf_printf(&directory, "%s/", v->output);
    eval_sanitize(log.model, &directory);
    int rc = directory.failed ? error_set_nomem(r->err, 64, "path") : dirs_make(directory.data, r->err);
    rc = rc ? rc : make_samples(&log, sample, user, &lines, r->err);
    rc = rc ? rc : write_files(&log, &lines, directory.data, &path, r);
    if (!rc)
        eval_report_note(r, "results: %s", path.data);
    json_decref(log.samples);
    buf_free(&directory);
    buf_free(&path);
    buf_free(&lines);
    return r->rc = rc;
}
