/* SPDX-License-Identifier: Apache-2.0 */
/* Fine-tuning: rows from a file, one call of the trainer. */
#include "api/parts.h"

#include "api/rows.h"
#include "base/log.h"
#include "crew/crew.h"
#include "base/mem.h"
#include "io/file.h"
#include "method/plan.h"
#include "tensor/profile.h"
#include "train/fields.h"

#include <string.h>

struct more { /* what train_options does not have */
    const char *eval_data, *question_field, *answer_field;
    unsigned long long seed;
    int stop_after, profile, dry_run;
};
static const struct field rows[] = {
    ROW_EVAL_DATA(struct more), ROW_SEED(struct more),           ROW_STOP_AFTER(struct more),  ROW_PROFILE(struct more),
    ROW_DRY_RUN(struct more),   ROW_QUESTION_FIELD(struct more), ROW_ANSWER_FIELD(struct more)};
static const struct field_table more_fields = {rows, sizeof rows / sizeof *rows};

struct work { /* one call */
    struct isara_model *model;
    const struct isara_training *job;
    struct train_options options;
    struct more more;
    struct train_data data, eval;
};

static void on_step(void *user, const struct train_step *s)
{
    const struct work *w = user;
    const struct isara_step_report r = {s->step,  s->total,  s->loss,          s->grad_norm, s->learning_rate,
                                        s->epoch, s->tokens, s->target_tokens, s->seconds};
    if (w->job->on_step)
        w->job->on_step(w->job->user, &r);
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

/* Operators by the time they took, greatest first. */
static void say_profile(const struct op_profile *p, struct buf *out)
{
    double all = 0;
    int printed[TENSOR_N_OP] = {0};
    for (int i = 0; i < TENSOR_N_OP; i++)
        all += p->seconds[i];
    buf_printf(out, "operator              calls    seconds  share\n");
    for (int n = 0; n < TENSOR_N_OP; n++) {
        int most = -1;
        for (int i = 0; i < TENSOR_N_OP; i++)
            if (!printed[i] && p->calls[i] && (most < 0 || p->seconds[i] > p->seconds[most]))
                most = i;
        if (most < 0)
            break;
        printed[most] = 1;
        buf_printf(out, "%-18s %8ld %10.3f %5.1f %%\n", tensor_op_name(most), p->calls[most], p->seconds[most],
                   100 * p->seconds[most] / all);
    }
}

static int read_rows(const struct work *w, const char *path, struct train_data *out, struct error *err)
{
    const struct isara_model *m = w->model;
    int rc = train_data_read(out, (struct record_source){path, w->more.question_field, w->more.answer_field, 0},
                             &(struct row_maker){.tokenizer = m->tokenizer,
                                                 .desc = model_desc(m->model),
                                                 .max_length = w->options.max_length},
                             err);
    if (!rc)
        report_data(path, out);
    return rc;
}

static int set_options(struct work *w, json_t **keep, struct error *err)
{
    const struct api_table tables[] = {{&train_fields, &w->options, NULL}, {&more_fields, &w->more, NULL}};
    train_options_default(&w->options);
    int rc = api_options(w->job->options, tables, 2, keep, err);
    w->options.seed = w->more.seed;
    w->options.dtype = model_dtype(w->model->model);
    if (w->options.dtype == DTYPE_Q8 && w->options.lora_r)
        w->options.dtype = DTYPE_BF16; /* the activations' */
    rc = rc ? rc : train_options_check(&w->options, err);
    rc = rc ? rc : train_check_source(&w->options, w->model->checkpoint, model_desc(w->model->model), err);
    return rc || (w->job->data && w->job->output)
               ? rc
               : error_set(err, ERROR_USAGE, "training needs a file of rows and a directory for the tuned model");
}

static int train(struct work *w, struct isara_trained *out, struct error *err)
{
    struct isara_model *m = w->model;
    struct train_result result = {0};
    struct op_profile profile = {0};
    struct buf table = BUF_INIT;
    const struct train_job job = {.model = m->model,
                                  .source = m->checkpoint,
                                  .data = &w->data,
                                  .eval_data = w->more.eval_data ? &w->eval : NULL,
                                  .options = &w->options,
                                  .directory = w->job->output,
                                  .tokenizer = m->tokenizer,
                                  .on_step = on_step,
                                  .user = w,
                                  .stop_after = w->more.stop_after};
    if (w->more.profile)
        device_set_profile(m->device, &profile);
    int rc = crew_train(&job, &result, err);
    device_set_profile(m->device, NULL);
    if (m->engine)
        generate_engine_forget(m->engine);
    if (rc == ERROR_INTERRUPTED)
        error_prefix(err, "checkpoint written to %s; the same command goes on", w->job->output);
    *out = (struct isara_trained){result.steps, result.first_loss, result.last_loss, result.eval_loss, NULL};
    if (!rc && w->more.profile) {
        say_profile(&profile, &table);
        out->profile = buf_take(&table);
        rc = out->profile ? 0 : error_set_nomem(err, 1024, "a profile");
    }
    buf_free(&table);
    return rc;
}

static void say_memory(const struct work *w)
{
    const struct model *m = w->model->model;
    const struct train_base base = {model_desc(m), model_packed_bytes(m),
                                    train_keeps_blocks(&w->options, w->model->checkpoint)};
    int tokens = w->options.max_length * w->options.batch_size;
    log_line(LOG_INFO, "memory at most %zu MiB", train_memory(&base, &w->options, tokens) >> 20);
    if (!w->options.lora_r && w->model->checkpoint && checkpoint_any_blocks(w->model->checkpoint))
        log_line(LOG_INFO, "%s", plan_dequantised);
}

int isara_train(struct isara_model *m, const struct isara_training *job, struct isara_trained *out,
                struct isara_error *to)
{
    struct error err = {0};
    struct work w = {.model = m, .job = job};
    struct isara_trained result = {0};
    json_t *keep = NULL;
    int rc = set_options(&w, &keep, &err);
    rc = rc ? rc : api_keep_blocks(m, w.options.lora_r > 0, &err);
    rc = rc ? rc : read_rows(&w, job->data, &w.data, &err);
    if (!rc && w.more.eval_data)
        rc = read_rows(&w, w.more.eval_data, &w.eval, &err);
    if (!rc)
        say_memory(&w);
    if (!rc && w.more.dry_run)
        rc = dirs_check(job->output, &err);
    else if (!rc)
        rc = train(&w, &result, &err);
    train_data_free(&w.data);
    train_data_free(&w.eval);
    json_decref(keep);
    if (out && !rc)
        *out = result;
    else
        mem_free(result.profile);
    return api_return(to, rc, &err);
}
