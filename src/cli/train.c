/* SPDX-License-Identifier: Apache-2.0 */
/* isara train: calls of isara_open and isara_train, progress by step. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/energy.h"
#include "base/log.h"
#include "dist/dist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_step(void *user, const struct isara_step_report *s)
{
    struct progress *p = user;
    char note[96];
    snprintf(note, sizeof note, "loss %.4f lr %.2e", s->loss, s->learning_rate);
    p->done = s->step;
    p->total = s->total;
    p->tokens += (double)s->tokens;
    p->note = note;
    progress_show(p);
    p->note = NULL;
}

static int check(const struct cli_values *v, struct error *err)
{
    int known = !v->task || !strcmp(v->task, "sft") || !strcmp(v->task, "classify") || !strcmp(v->task, "reward");
    int rc = known ? 0 : error_set(err, ERROR_USAGE, "--task: wanted sft, classify or reward, found \"%s\"", v->task);
    rc = rc ? rc : cli_require(v->data, "data", "training rows, in any form of docs/FORMATS.md", err);
    rc = rc ? rc : cli_require(v->output, "output", "a directory for the tuned model", err);
    return rc || v->init ? rc
                         : cli_require(v->model, "model", "a Hugging Face directory, a .gguf file or org/name", err);
}

static int open_model(struct isara_model **m, const struct options *options, const struct cli_values *v,
                      struct error *err)
{
    static const char *const own[] = {"seed", "dtype", "threads", "isa", "adapter", "task", NULL};
    struct isara_error problem = {0};
    struct train_options o;
    json_t *all = NULL;
    train_options_default(&o);
    int rc = options_apply(options, SCOPE_PLAIN, GROUP_TRAIN, &o, err);
    rc = rc ? rc : options_object(options, 0, own, &all, err);
    if (!rc && json_object_set_new(all, "keep_blocks", json_boolean(o.lora_r && !v->init)))
        rc = error_set_nomem(err, 64, "options");
    if (!rc && (json_object_set_new(all, "labels", json_string(v->data)) ||
                json_object_set_new(all, "init", json_boolean(v->init != NULL))))
        rc = error_set(err, ERROR_USAGE, "--data: wanted UTF-8 text");
    char *given = rc ? NULL : json_dumps(all, 0);
    json_decref(all);
    if (!rc && !given)
        rc = error_set_nomem(err, 256, "options");
    if (!rc && isara_open(m, v->init ? v->init : v->model, given, &problem))
        rc = cli_error(&problem, err);
    free(given);
    return rc;
}

static void report(const struct isara_trained *r, const struct cli_values *v, const struct progress *p,
                   struct energy *energy)
{
    double seconds = clock_now() - p->started;
    struct buf joules = BUF_INIT, members = BUF_INIT;
    cli_energy(energy, &joules, &members);
    if (r->profile)
        fputs(r->profile, stderr);
    log_line(LOG_INFO, "%ld steps, loss %.4f -> %.4f, %.1f s, %.0f tokens/s, peak %zu MiB resident, %s; model in %s",
             r->steps, r->first_loss, r->last_loss, seconds, p->tokens / (seconds > 0 ? seconds : 1),
             clock_rss_peak() >> 20, buf_text(&joules), v->output);
    if (v->json)
        printf("{\"steps\": %ld, \"first_loss\": %.9g, \"last_loss\": %.9g, \"seconds\": %.3f, \"tokens\": %.0f, "
               "%s}\n",
               r->steps, r->first_loss, r->last_loss, seconds, p->tokens, buf_text(&members));
    buf_free(&joules);
    buf_free(&members);
}

int verb_train(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    static const char *const own[] = {"eval-data", "question-field", "answer-field", "stop-after",
                                      "profile",   "dry-run",        "seed",         NULL};
    (void)verb;
    struct isara_model *m = NULL;
    struct isara_error problem = {0};
    struct isara_trained result = {0};
    struct progress progress = {.stage = "train", .unit = "steps"};
    char *given = NULL;
    int rc = check(v, err);
    rc = rc ? rc : options_json(options, own, &given, err);
    rc = rc ? rc : open_model(&m, options, v, err);
    progress.started = clock_now();
    struct energy *energy = energy_open(NULL);
    const struct isara_training job = {v->data, v->output, given, on_step, &progress};
    if (!rc && isara_train(m, &job, &result, &problem))
        rc = cli_error(&problem, err);
    if (!rc && !v->dry_run && dist_rank() == 0)
        report(&result, v, &progress, energy);
    energy_close(energy);
    isara_free(result.profile);
    free(given);
    isara_close(m);
    return rc;
}
