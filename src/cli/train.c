/* SPDX-License-Identifier: Apache-2.0 */
/* isara train: rows from a file, one call of the trainer, progress by step. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "tensor/profile.h"

#include <stdio.h>
#include <string.h>

static void on_step(void *user, const struct train_step *s)
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

/* --init config.json: the tokenizer stands beside it; the weights come from the seed. */
static int open_scratch(struct parts *p, const struct cli_values *v, enum dtype dtype, struct error *err)
{
    char *dir = mem_strdup(v->init);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    struct buf text = BUF_INIT;
    json_error_t problem;
    int rc = dir ? 0 : error_set_nomem(err, strlen(v->init), "a path");
    if (slash)
        *slash = 0;
    if (!rc)
        rc = file_read(&text, v->init, 1 << 20, err);
    json_t *config = rc ? NULL : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &problem);
    if (!rc && !config)
        rc = error_set(err, ERROR_CONFIG, "%s:%d: %s", v->init, problem.line, problem.text);
    if (!rc)
        rc = tokenizer_open(&p->tokenizer, slash ? dir : ".", err);
    if (!rc)
        rc = model_init(&p->model, p->device, config, v->init, &(struct model_options){.dtype = dtype, .seed = v->seed},
                        err);
    json_decref(config);
    buf_free(&text);
    mem_free(dir);
    return rc;
}

static int open_parts(struct parts *p, const struct cli_values *v, enum model_task task, enum dtype dtype,
                      struct error *err)
{
    int rc = cli_open_device(p, v, err);
    if (rc || v->init)
        return rc ? rc : open_scratch(p, v, dtype, err);
    rc = cli_open_tokenizer(p, v, 0, err);
    if (!rc && task != MODEL_LM)
        return cli_open_head(p, v, dtype, task, err);
    return rc ? rc : cli_open_model(p, v, dtype, task, err);
}

static void report_data(const char *path, const struct train_data *d)
{
    log_line(LOG_INFO, "%s: %d rows, %ld tokens, %ld of them targets", path, d->n, d->n_token, d->n_target);
    if (d->n_boundary)
        log_line(LOG_WARNING, "%s: %d rows tokenise differently when prompt and completion stand together", path,
                 d->n_boundary);
    if (d->n_left_out)
        log_line(LOG_WARNING, "%s: %d rows with \"kept\": false are left out", path, d->n_left_out);
    if (d->n_first_pair)
        log_line(LOG_WARNING,
                 "%s: the model has no chat template: of %d conversations the first question and answer are trained as "
                 "pairs; %d had other turns or system messages",
                 path, d->n_first_pair, d->n_turn_left);
    if (d->n_turn_skipped)
        log_line(
            LOG_WARNING,
            "%s: %d of %d assistant turns are not trained: the chat template writes them otherwise when more follows",
            path, d->n_turn_skipped, d->n_turn);
    if (d->n_unsafe)
        log_line(LOG_WARNING, "%s: %d rows marked unsafe are left out", path, d->n_unsafe);
    if (d->n_truncated || d->n_dropped)
        log_line(LOG_WARNING, "%s: %d rows cut to --max-length, %d dropped because no target was left", path,
                 d->n_truncated, d->n_dropped);
}

static int read_data(struct train_data *d, const char *path, const struct parts *p, const struct train_options *o,
                     struct error *err)
{
    int rc = train_data_read(d, path, p->tokenizer, model_desc(p->model), o->max_length, err);
    if (!rc)
        report_data(path, d);
    return rc;
}

/* Operators by the time they took, greatest first. */
static void print_profile(const struct op_profile *p)
{
    double all = 0;
    int printed[TENSOR_N_OP] = {0};
    for (int i = 0; i < TENSOR_N_OP; i++)
        all += p->seconds[i];
    fprintf(stderr, "operator              calls    seconds  share\n");
    for (int n = 0; n < TENSOR_N_OP; n++) {
        int most = -1;
        for (int i = 0; i < TENSOR_N_OP; i++)
            if (!printed[i] && p->calls[i] && (most < 0 || p->seconds[i] > p->seconds[most]))
                most = i;
        if (most < 0)
            break;
        printed[most] = 1;
        fprintf(stderr, "%-18s %8ld %10.3f %5.1f %%\n", tensor_op_name(most), p->calls[most], p->seconds[most],
                100 * p->seconds[most] / all);
    }
}

static int task_of(const char *name, enum model_task *task, struct error *err)
{
    static const struct {
        const char *name;
        enum model_task task;
    } tasks[] = {{"sft", MODEL_LM}, {"classify", MODEL_CLASSIFY}, {"reward", MODEL_REWARD}};
    *task = MODEL_LM;
    if (!name)
        return 0;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(name, tasks[i].name)) {
            *task = tasks[i].task;
            return 0;
        }
    return error_set(err, ERROR_USAGE, "--task: wanted sft, classify or reward, found \"%s\"", name);
}

static int read_options(const struct options *options, const struct cli_values *v, struct train_options *o,
                        struct error *err)
{
    train_options_default(o);
    o->seed = v->seed;
    int rc = cli_dtype(v, DTYPE_BF16, &o->dtype, err);
    rc = rc ? rc : options_apply(options, SCOPE_PLAIN, GROUP_TRAIN, o, err);
    return rc ? rc : train_options_check(o, err);
}

static int train(const struct train_job *job, const struct cli_values *v, struct progress *progress, struct error *err)
{
    struct train_result result = {0};
    struct op_profile profile = {0};
    progress->started = clock_now();
    if (v->profile)
        device_set_profile(model_device(job->model), &profile);
    int rc = train_run(job, &result, err);
    if (rc == ERROR_INTERRUPTED)
        error_prefix(err, "checkpoint written to %s; the same command goes on", v->output);
    if (rc)
        return rc;
    if (v->profile)
        print_profile(&profile);
    double seconds = clock_now() - progress->started;
    log_line(LOG_INFO, "%ld steps, loss %.4f -> %.4f, %.1f s, %.0f tokens/s, peak %zu MiB resident; model in %s",
             result.steps, result.first_loss, result.last_loss, seconds, progress->tokens / (seconds > 0 ? seconds : 1),
             clock_rss_peak() >> 20, v->output);
    if (v->json)
        printf("{\"steps\": %ld, \"first_loss\": %.9g, \"last_loss\": %.9g, \"seconds\": %.3f, \"tokens\": %.0f}\n",
               result.steps, result.first_loss, result.last_loss, seconds, progress->tokens);
    return 0;
}

int verb_train(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct parts p = {0};
    struct train_options o;
    struct train_data data = {0}, eval = {0};
    struct progress progress = {.stage = "train", .unit = "steps"};
    enum model_task task = MODEL_LM;
    int rc = read_options(options, v, &o, err);
    rc = rc ? rc : task_of(v->task, &task, err);
    rc = rc ? rc : cli_require(v->data, "data", "training rows, JSON Lines", err);
    rc = rc ? rc : cli_require(v->output, "output", "a directory for the tuned model", err);
    rc = rc ? rc : open_parts(&p, v, task, o.dtype, err);
    rc = rc ? rc : read_data(&data, v->data, &p, &o, err);
    if (!rc && v->eval_data)
        rc = read_data(&eval, v->eval_data, &p, &o, err);
    if (!rc)
        log_line(LOG_INFO, "memory at most %zu MiB",
                 train_memory(model_desc(p.model), &o, o.max_length * o.batch_size) >> 20);
    const struct train_job job = {.model = p.model,
                                  .source = p.checkpoint,
                                  .data = &data,
                                  .eval_data = v->eval_data ? &eval : NULL,
                                  .options = &o,
                                  .directory = v->output,
                                  .tokenizer = p.tokenizer,
                                  .on_step = on_step,
                                  .user = &progress,
                                  .stop_after = v->stop_after};
    if (!rc && !v->dry_run)
        rc = train(&job, v, &progress, err);
    train_data_free(&data);
    train_data_free(&eval);
    cli_close(&p);
    return rc;
}
