/* SPDX-License-Identifier: Apache-2.0 */
/* A log that Inspect (inspect_ai) opens: OUTPUT/MODEL/DATE_TASK_ID.json, its schema of version 2. Every value of a
 * question is a scorer of its own; ids are digests of what they name. */
#include "eval/parts.h"

#include "base/build.h"
#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ID_CHARS = 22 };

static json_t *id_of(const struct eval_log *l, const char *what, int i)
{
    char text[200], hex[65];
    snprintf(text, sizeof text, "%s %.17g %.100s %d", l->e->task, l->now, what, i);
    sha256_bytes(text, strlen(text), hex);
    return json_stringn(hex, ID_CHARS);
}

static json_t *time_text(double at)
{
    char text[40];
    time_t seconds = (time_t)at;
    struct tm t;
    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S+00:00", &t);
    return json_string(text);
}

static json_t *message(const struct eval_log *l, int i, const char *role, const json_t *content)
{
    const char *text = json_string_value(content);
    return json_pack("{s:o, s:s, s:s, s:s}", "id", id_of(l, role, i), "content", text ? text : "", "role", role,
                     "source", strcmp(role, "user") ? "generate" : "input");
}

/* What was answered, with why it ended. */
static json_t *output_of(const struct eval_log *l, int i, const json_t *line)
{
    const json_t *answer = json_array_get(json_object_get(line, "filtered_resps"), 0);
    const char *stop = json_is_false(json_object_get(line, "ended")) ? "max_tokens" : "stop",
               *text = json_string_value(answer);
    if (!text)
        return json_pack("{s:s, s:[]}", "model", l->model, "choices");
    return json_pack("{s:s, s:[{s:o, s:s}], s:s}", "model", l->model, "choices", "message",
                     message(l, i, "assistant", answer), "stop_reason", stop, "completion", text);
}

static json_t *scores_of(const json_t *line)
{
    json_t *scores = json_object(), *name;
    const json_t *answer = json_array_get(json_object_get(line, "filtered_resps"), 0);
    size_t k;
    json_array_foreach(json_object_get(line, "metrics"), k, name)
    {
        json_t *value = json_object_get(line, json_string_value(name));
        if (json_is_number(value))
            json_object_set_new(scores, json_string_value(name),
                                json_pack("{s:O, s:s?}", "value", value, "answer", json_string_value(answer)));
    }
    return scores;
}

static json_t *sample_of(const struct eval_log *l, int i, const json_t *line)
{
    const json_t *doc = json_object_get(line, "doc"), *question = json_object_get(doc, "question");
    const json_t *prompt = json_object_get(json_object_get(json_object_get(line, "arguments"), "gen_args_0"), "arg_0");
    const char *asked = json_string_value(question ? question : prompt);
    json_t *messages = json_array(), *output = output_of(l, i, line), *choice, *s;
    json_array_append_new(messages, message(l, i, "user", question ? question : prompt));
    if ((choice = json_array_get(json_object_get(output, "choices"), 0)))
        json_array_append(messages, json_object_get(choice, "message"));
    s = json_pack("{s:O, s:i, s:s, s:O, s:o, s:o, s:o, s:{s:O, s:O?, s:O?}, s:o}", "id",
                  json_object_get(line, "doc_id"), "epoch", 1, "input", asked ? asked : "", "target",
                  json_object_get(line, "target"), "messages", messages, "output", output, "scores", scores_of(line),
                  "metadata", "doc", doc, "prompt", prompt, "error", json_object_get(line, "error"), "uuid",
                  id_of(l, "sample", i));
    return s;
}

/* Each value of the set that samples have, with its standard error, as results_of gave them to lm-eval's file. */
static json_t *set_scores(const struct eval_log *l)
{
    json_t *all = json_array(), *name;
    size_t k;
    json_array_foreach(json_object_get(json_array_get(l->samples, 0), "metrics"), k, name)
    {
        const char *metric = json_string_value(name);
        char key[128], error[128];
        snprintf(key, sizeof key, "%s,none", metric);
        snprintf(error, sizeof error, "%s_stderr,none", metric);
        json_t *value = json_object_get(l->values, key), *se = json_object_get(l->values, error), *metrics;
        if (!value)
            continue;
        metrics = json_pack("{s:{s:s, s:O}}", "mean", "name", "mean", "value", value);
        if (json_is_number(se))
            json_object_set_new(metrics, "stderr", json_pack("{s:s, s:O}", "name", "stderr", "value", se));
        json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "name", metric, "scorer", metric, "metrics", metrics));
    }
    return all;
}

static json_t *eval_spec(const struct eval_log *l)
{
    const char *test = l->options->test ? l->options->test : l->options->data;
    json_t *spec =
        json_pack("{s:o, s:o, s:o, s:s, s:o, s:i, s:{s:s?, s:i, s:b}, s:s, s:{}, s:O?, s:{s:i}, s:{s:s}}", "eval_id",
                  id_of(l, "eval", 0), "run_id", id_of(l, "run", 0), "created", time_text(l->started), "task",
                  l->e->task, "task_id", id_of(l, "task", 0), "task_version", 1, "dataset", "name", test, "samples",
                  l->e->n, "shuffled", 0, "model", l->model, "model_args", "task_args", l->e->settings, "config",
                  "epochs", 1, "packages", "isara", build_version);
    return spec;
}

json_t *eval_inspect_log(const struct eval_log *l)
{
    json_t *samples = json_array(), *line;
    size_t i;
    json_array_foreach(l->samples, i, line) json_array_append_new(samples, sample_of(l, (int)i, line));
    return json_pack("{s:i, s:s, s:o, s:{s:s, s:[]}, s:{s:i, s:i, s:o}, s:{s:o, s:o}, s:o}", "version", 2, "status",
                     "success", "eval", eval_spec(l), "plan", "name", "plan", "steps", "results", "total_samples",
                     l->e->n, "completed_samples", l->e->n, "scores", set_scores(l), "stats", "started_at",
                     time_text(l->started), "completed_at", time_text(l->now), "samples", samples);
}

void eval_inspect_name(const struct eval_log *l, struct buf *out)
{
    char text[40];
    time_t seconds = (time_t)l->now;
    struct tm t;
    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H-%M-%S-00-00", &t);
    json_t *id = id_of(l, "task", 0);
    buf_printf(out, "%s_%s_%s.json", text, l->e->task, json_string_value(id));
    json_decref(id);
}
