/* SPDX-License-Identifier: Apache-2.0 */
/* What a run writes while it goes: one line of log.jsonl and a few TensorBoard scalars a step. log.jsonl is the record;
 * when a run goes on from a checkpoint, lines behind it are dropped first, so that an interrupted run's log equals an
 * unbroken one's. trainer_state.json is made from it. */
#include "train/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "train/events.h"

#include <math.h>
#include <string.h>

struct runlog {
    char *path, *state_path;
    FILE *file;
    struct events *events;
};

enum { MAX_LOG = 1 << 30 };

/* The lines of steps 1..last in `text`, which a kill may have cut anywhere. */
static int lines_until(const struct buf *text, long last, size_t *until, struct error *err)
{
    size_t end = 0;
    json_error_t why;
    while (end < text->len) {
        const char *line = text->data + end, *stop = memchr(line, '\n', text->len - end);
        json_t *value = stop ? jsontext_document(line, (size_t)(stop - line), 0, &why) : NULL;
        if (stop && !value && !why.text[0])
            return error_set_nomem(err, text->len, "log.jsonl");
        int keep = value && json_is_integer(json_object_get(value, "step")) &&
                   json_integer_value(json_object_get(value, "step")) <= last;
        json_decref(value);
        if (!keep)
            break;
        end = (size_t)(stop - text->data) + 1;
    }
    *until = end;
    return 0;
}

static int trim_log(const char *path, long last, struct error *err)
{
    struct buf text = BUF_INIT;
    size_t until = 0;
    int rc = file_exists(path) ? file_read(&text, path, MAX_LOG, err) : 0;
    if (!rc)
        rc = lines_until(&text, last, &until, err);
    if (!rc)
        rc = file_write(path, text.data, until, err);
    buf_free(&text);
    return rc;
}

int runlog_open(struct runlog **out, const struct trainer *t, struct error *err)
{
    struct runlog *j = *out = mem_calloc(1, sizeof *j);
    if (!j)
        return error_set_nomem(err, sizeof *j, "a run log");
    j->path = path_join(t->job->directory, "log.jsonl");
    j->state_path = path_join(t->job->directory, "trainer_state.json");
    int rc = j->path && j->state_path ? trim_log(j->path, t->step, err) : error_set_nomem(err, 256, "a path");
    if (!rc && !(j->file = fopen(j->path, "ab")))
        rc = error_set_errno(err, "%s: opening", j->path);
    if (!rc)
        rc = events_open(&j->events, t->job->directory, err);
    if (rc) {
        runlog_close(j);
        *out = NULL;
    }
    return rc;
}

static int add_events(struct runlog *j, const struct train_step *s, double eval_loss, struct error *err)
{
    const struct {
        const char *tag;
        double value;
    } scalars[] = {
        {"train/loss", s->loss},
        {"train/learning_rate", s->learning_rate},
        {"train/grad_norm", s->grad_norm},
        {"train/epoch", s->epoch},
    };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof scalars / sizeof *scalars; i++)
        rc = events_add(j->events, s->step, scalars[i].tag, scalars[i].value, err);
    if (!rc && !isnan(eval_loss))
        rc = events_add(j->events, s->step, "eval/loss", eval_loss, err);
    return rc;
}

int runlog_step(struct runlog *j, const struct train_step *s, double eval_loss, struct error *err)
{
    int bad = fprintf(j->file,
                      "{\"step\": %ld, \"loss\": %.9g, \"grad_norm\": %.9g, \"learning_rate\": %.9g, \"epoch\": %.9g, "
                      "\"tokens\": %ld, \"target_tokens\": %ld",
                      s->step, s->loss, s->grad_norm, s->learning_rate, s->epoch, s->tokens, s->target_tokens) < 0;
    if (!isnan(eval_loss))
        bad |= fprintf(j->file, ", \"eval_loss\": %.9g", eval_loss) < 0;
    bad |= fputs("}\n", j->file) < 0;
    if (fflush(j->file) || bad)
        return error_set_errno(err, "%s: writing", j->path);
    return add_events(j, s, eval_loss, err);
}

/* log_history as transformers' Trainer keeps it: one object a step, the evaluation in one of its own. */
static int log_history(const struct runlog *j, json_t *history, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = file_read(&text, j->path, MAX_LOG, err);
    long number = 0;
    for (char *line = text.data, *stop; !rc && line && (stop = strchr(line, '\n')); line = stop + 1) {
        json_t *step = NULL;
        if ((rc = jsontext_parse(&step, (struct jsontext){line, (size_t)(stop - line), j->path, ++number, 1}, NULL,
                                 err)))
            break;
        json_t *loss = json_object_get(step, "eval_loss");
        if (loss) {
            json_t *eval = json_pack("{s:O,s:O,s:O}", "epoch", json_object_get(step, "epoch"), "eval_loss", loss,
                                     "step", json_object_get(step, "step"));
            json_object_del(step, "eval_loss");
            json_array_append_new(history, step);
            json_array_append_new(history, eval);
        } else {
            json_array_append_new(history, step);
        }
    }
    buf_free(&text);
    return rc;
}

int runlog_state(struct runlog *j, const struct trainer *t, struct error *err)
{
    const struct train_options *o = t->job->options;
    json_t *history = json_array();
    int rc = log_history(j, history, err);
    json_t *state = json_pack(
        "{s:n,s:n,s:n,s:f,s:I,s:I,s:I,s:I,s:i,s:i,s:b,s:b,s:b,s:i,s:f,s:n,s:n,s:{},s:I,s:O}", "best_metric",
        "best_model_checkpoint", "best_global_step", "epoch", (double)t->step / (double)t->order.per_epoch,
        "global_step", (json_int_t)t->step, "max_steps", (json_int_t)t->order.total, "num_train_epochs",
        (json_int_t)ceil(o->max_steps > 0 ? (double)t->order.total / (double)t->order.per_epoch : o->num_train_epochs),
        "save_steps", (json_int_t)o->save_steps, "logging_steps", 1, "train_batch_size", o->batch_size,
        "is_local_process_zero", 1, "is_world_process_zero", 1, "is_hyper_param_search", 0, "num_input_tokens_seen", 0,
        "total_flos", 0.0, "trial_name", "trial_params", "stateful_callbacks", "eval_steps",
        (json_int_t)t->order.per_epoch, "log_history", history);
    if (!rc && !state)
        rc = error_set_nomem(err, 1024, "trainer_state.json");
    if (!rc)
        rc = jsontext_write(j->state_path, state, err);
    json_decref(state);
    json_decref(history);
    return rc;
}

void runlog_close(struct runlog *j)
{
    if (!j)
        return;
    if (j->file)
        fclose(j->file);
    events_close(j->events);
    mem_free(j->path);
    mem_free(j->state_path);
    mem_free(j);
}
