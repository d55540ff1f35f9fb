/* SPDX-License-Identifier: Apache-2.0 */
/* A training that rank 0 begins: the others are told its model, rows and options, and all enter the trainer, whose
 * exchanges are their own (train/share.c). */
#include "crew/parts.h"

#include "base/mem.h"
#include "dist/dist.h"

static void put_row(struct buf *b, const struct train_row *r)
{
    int n_target = 0;
    for (int i = 1; i < r->n; i++)
        n_target += r->target[i] != 0;
    wire_put(b, r, sizeof *r); /* what its pointers point to follows */
    wire_put(b, r->ids, (size_t)r->n * sizeof *r->ids);
    wire_put(b, r->target, (size_t)r->n);
    wire_put_int(b, n_target);
    size_t n_soft = (size_t)n_target * (size_t)r->soft.n_top;
    wire_put(b, r->soft.ids, n_soft * sizeof *r->soft.ids);
    wire_put(b, r->soft.logprobs, n_soft * sizeof *r->soft.logprobs);
}

static int tell_job(struct crew *c, const struct train_job *job, struct error *err)
{
    struct buf *b = &c->out;
    wire_begin(b, WORD_TRAIN);
    wire_put_int(b, (int64_t)model_origin(job->model)->number);
    wire_put(b, job->options, sizeof *job->options);
    wire_put_text(b, job->options->lora_targets);
    wire_put_text(b, checkpoint_path(job->source));
    wire_put_text(b, checkpoint_adapter(job->source));
    wire_put_text(b, job->directory);
    wire_put_text(b, job->tokenizer ? tokenizer_info(job->tokenizer)->source : NULL);
    wire_put_text(b, job->chat_template);
    wire_put_int(b, job->merge);
    wire_put_int(b, job->stop_after);
    wire_put(b, job->data, sizeof *job->data);
    for (int i = 0; i < job->data->n; i++)
        put_row(b, &job->data->rows[i]);
    return crew_tell_all(err);
}

/* Rows with a text that is rejected and an evaluation between epochs are not taken along: nobody asks for them. */
static int is_plain(const struct train_job *job)
{
    int plain = job->source && !job->eval_data;
    for (int i = 0; i < job->data->n && plain; i++)
        plain = !job->data->rows[i].rejected && job->data->rows[i].target;
    return plain;
}

int crew_train(const struct train_job *job, struct train_result *result, struct error *err)
{
    struct crew *c = crew_of_rank_0();
    int there = 0, rc = 0;
    if (c->size > 1) {
        rc = crew_check_train(job->options, err);
        rc = rc ? rc : crew_share_model(job->model, &there, err);
        if (!rc && (!there || !is_plain(job)))
            rc = error_set(err, ERROR_USAGE, "this training cannot be shared by %d processes; start one", c->size);
        rc = rc ? rc : tell_job(c, job, err);
        rc = rc ? rc : dist_agree(rc, err); /* that all have read it */
    }
    rc = rc ? rc : train_run(job, result, err);
    model_forget_origin(job->model);
    return rc;
}

static int read_row(struct train_row *r, struct wire *w)
{
    wire_get(w, r, sizeof *r);
    r->rejected = NULL;
    r->soft.ids = NULL;
    r->soft.logprobs = NULL;
    r->ids = wire_get_array(w, r->n, sizeof *r->ids);
    r->target = wire_get_array(w, r->n, 1);
    int64_t n_soft = wire_get_int(w) * r->soft.n_top;
    if (n_soft) {
        r->soft.ids = wire_get_array(w, n_soft, sizeof *r->soft.ids);
        r->soft.logprobs = wire_get_array(w, n_soft, sizeof *r->soft.logprobs);
    }
    return r->ids && r->target && !w->broken && (!n_soft || (r->soft.ids && r->soft.logprobs)) ? 0 : -1;
}

static int read_rows(struct train_data *data, struct wire *w, struct error *err)
{
    wire_get(w, data, sizeof *data);
    int n = data->n, rc = 0;
    data->n = 0;
    data->rows = n >= 0 && (size_t)n <= w->left ? mem_calloc((size_t)n + 1, sizeof *data->rows) : NULL;
    if (!data->rows)
        return error_set_nomem(err, (size_t)n * sizeof *data->rows, "training rows");
    for (; data->n < n && !rc; data->n++)
        rc = read_row(&data->rows[data->n], w);
    return rc ? error_set_nomem(err, (size_t)n * sizeof *data->rows, "training rows") : 0;
}

int server_train(struct server *s, struct wire *w, struct error *err)
{
    struct train_options options;
    struct train_data data = {0};
    struct train_result result = {0};
    struct checkpoint *source = NULL;
    struct served_model *m = server_model(s, (uint64_t)wire_get_int(w), err);
    wire_get(w, &options, sizeof options);
    options.lora_targets = wire_get_text(w);
    const char *path = wire_get_text(w), *adapter = wire_get_text(w), *directory = wire_get_text(w),
               *tokenizer = wire_get_text(w);
    struct train_job job = {.model = m ? m->model : NULL,
                            .data = &data,
                            .options = &options,
                            .directory = directory,
                            .chat_template = wire_get_text(w),
                            .merge = (int)wire_get_int(w),
                            .stop_after = (long)wire_get_int(w)};
    int rc = m ? server_tokenizer(m, tokenizer, err) : ERROR_INTERNAL;
    rc = rc ? rc : read_rows(&data, w, err);
    rc = rc ? rc : crew_open_origin(&source, &(struct model_origin){0, (char *)path, (char *)adapter, {0}}, err);
    rc = dist_agree(rc, err);
    if (!rc) {
        job.source = source;
        job.tokenizer = m->tokenizer;
        rc = train_run(&job, &result, err);
    }
    checkpoint_close(source);
    train_data_free(&data);
    return rc;
}
