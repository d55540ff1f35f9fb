/* SPDX-License-Identifier: Apache-2.0 */
/* Result files with lm-evaluation-harness's names and keys: OUTPUT/MODEL/results_DATE.json and samples_TASK_DATE.jsonl.
 * What a report says beyond them stands under "isara". */
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

/* lm-eval's: runs of "<>:/|\?*[] become "__". */
void eval_sanitize(const char *name, struct buf *out)
{
    for (const char *s = name; *s;) {
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

static json_t *results_of(const struct eval_answers *e, json_t *report, const json_t *samples,
                          const struct eval_options *v, double now, double started)
{
    const char *name, *task = e->task, *model = v->model ? v->model : v->input;
    json_t *values = json_pack("{s:s, s:s, s:i}", "name", task, "alias", task, "sample_len", e->n), *value,
           *names = json_object_get(json_array_get(samples, 0), "metrics");
    size_t i;
    json_array_foreach(names, i, value)
    {
        char key[128];
        if (!json_is_number(json_object_get(report, name = json_string_value(value))))
            continue;
        snprintf(key, sizeof key, "%s,none", name);
        json_object_set(values, key, json_object_get(report, name));
        snprintf(key, sizeof key, "%s_stderr,none", name);
        json_object_set_new(values, key, standard_error(samples, name));
    }
    char seconds[32];
    struct buf sanitized = BUF_INIT;
    eval_sanitize(model, &sanitized);
    snprintf(seconds, sizeof seconds, "%.3f", now - started);
    int shots = v->arm && strcmp(v->arm, "zero-shot") ? v->k : 0;
    json_t *all =
        json_pack("{s:{s:o}, s:{s:O?}, s:{s:i}, s:{s:i}, s:{s:{s:i,s:i}}, s:{s:s, s:s, s:O?, s:i, s:I}, s:f, s:s, s:s, "
                  "s:s?, s:s, s:O}",
                  "results", task, values, "configs", task, e->settings, "versions", task, 1, "n-shot", task, shots,
                  "n-samples", task, "original", e->n, "effective", e->n, "config", "model", "isara", "model_args",
                  model, "gen_kwargs", e->settings, "limit", v->limit, "random_seed", (json_int_t)v->seed, "date", now,
                  "model_source", "isara", "model_name", model, "model_name_sanitized",
                  sanitized.failed ? NULL : sanitized.data, "total_evaluation_time_seconds", seconds, "isara", report);
    buf_free(&sanitized);
    return all;
}

int eval_save(const struct eval_answers *e, struct eval_report *r, const struct eval_options *v,
              json_t *(*sample)(void *user, int i), void *user)
{
    if (!v->output || r->rc)
        return r->rc;
    double now = clock_wall();
    char date[40];
    struct buf directory = BUF_INIT, path = BUF_INIT, lines = BUF_INIT;
    json_t *samples = json_array(), *results = NULL, *report = NULL;
    date_name(now, date);
    buf_printf(&directory, "%s/", v->output);
    eval_sanitize(v->model ? v->model : v->input, &directory);
    int rc = directory.failed ? error_set_nomem(r->err, 64, "path") : dirs_make(directory.data, r->err);
    for (int i = 0; i < e->n && !rc; i++) {
        json_t *given = sample(user, i), *s = given ? sample_line(e, i, given) : NULL;
        rc = s && !json_array_append(samples, s) ? jsontext_dump(&lines, s, 0, r->err)
                                                 : error_set_nomem(r->err, 64, "a sample");
        buf_putc(&lines, '\n');
        json_decref(given);
        json_decref(s);
    }
    if (!rc) {
        buf_printf(&path, "%s/samples_%s_%s.jsonl", directory.data, e->task, date);
        rc = path.failed || lines.failed ? error_set_nomem(r->err, lines.len, "samples")
                                         : file_write(path.data, lines.data, lines.len, r->err);
    }
    rc = rc ? rc : report_evaluation_json(&r->tree, &report, r->err);
    if (!rc) {
        results = results_of(e, report, samples, v, now, e->started ? e->started : now);
        buf_reset(&path);
        buf_printf(&path, "%s/results_%s.json", directory.data, date);
        rc = path.failed || !results ? error_set_nomem(r->err, 64, "results")
                                     : jsontext_write(path.data, results, r->err);
    }
    if (!rc)
        eval_report_note(r, "results: %s", path.data);
    json_decref(samples);
    json_decref(results);
    json_decref(report);
    buf_free(&directory);
    buf_free(&path);
    buf_free(&lines);
    return r->rc = rc;
}
