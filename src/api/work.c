/* SPDX-License-Identifier: Apache-2.0 */
/* Long work on files: train, align, eval. */
#include "api/parts.h"

#include "base/mem.h"
#include "eval/eval.h"
#include "eval/fields.h"
#include "generate/fields.h"
#include "io/jsontext.h"
#include "method/fields.h"
#include "train/fields.h"

#include <string.h>

struct train_more {
    const char *eval_data;
    unsigned long long seed;
};
static const struct field train_more_rows[] = {
    {FIELD("eval-data", FIELD_STRING, struct train_more, eval_data), .argument = "FILE",
     .help = "rows whose loss is computed at the end"},
    {FIELD("seed", FIELD_U64, struct train_more, seed), .argument = "N",
     .help = "order of rows, random rounding, adapters"},
};
static const struct field_table train_more_fields = {train_more_rows, sizeof train_more_rows / sizeof *train_more_rows};

struct step_call {
    void (*call)(void *user, const struct isara_step_report *r);
    void *user;
};

static void on_step(void *user, const struct train_step *s)
{
    const struct step_call *to = user;
    if (to->call)
        to->call(to->user,
                 &(struct isara_step_report){s->step, s->total, s->loss, s->grad_norm, s->learning_rate, s->epoch});
}

static int train(struct isara_model *m, const char *data, const char *output, struct train_options *o,
                 const struct train_more *more, struct step_call *to, struct error *err)
{
    struct train_data rows = {0}, eval = {0};
    struct train_result result;
    o->seed = more->seed;
    o->dtype = model_dtype(m->model);
    int rc = data && output
                 ? train_options_check(o, err)
                 : error_set(err, ERROR_USAGE, "training needs a file of rows and a directory for the tuned model");
    if (!rc)
        rc = train_data_read(&rows, data, m->tokenizer, model_desc(m->model), o->max_length, err);
    if (!rc && more->eval_data)
        rc = train_data_read(&eval, more->eval_data, m->tokenizer, model_desc(m->model), o->max_length, err);
    struct train_job job = {.model = m->model,
                            .source = m->checkpoint,
                            .data = &rows,
                            .eval_data = more->eval_data ? &eval : NULL,
                            .options = o,
                            .directory = output,
                            .tokenizer = m->tokenizer,
                            .on_step = on_step,
                            .user = to};
    if (!rc)
        rc = train_run(&job, &result, err);
    generate_engine_forget(m->engine);
    train_data_free(&rows);
    train_data_free(&eval);
    return rc;
}

int isara_train(struct isara_model *m, const char *data, const char *output, const char *options,
                void (*call)(void *user, const struct isara_step_report *r), void *user, struct isara_error *to)
{
    struct error err = {0};
    struct train_options o;
    struct train_more more = {0};
    struct step_call step = {call, user};
    json_t *keep;
    train_options_default(&o);
    int rc = api_options(options, (struct api_table[]){{&train_fields, &o, NULL}, {&train_more_fields, &more, NULL}}, 2,
                         &keep, &err);
    if (!rc)
        rc = train(m, data, output, &o, &more, &step, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}

static int run_align(struct align_options *o, const struct api_common *common, char **metrics, struct error *err)
{
    struct device *device = NULL;
    struct align_result r = {0};
    o->dtype = api_dtype(common);
    o->seed = common->seed;
    int rc = o->model && o->seeds && o->output
                 ? align_options_check(o, err)
                 : error_set(err, ERROR_USAGE, "an alignment needs a model, seeds and a run directory");
    if (!rc)
        rc = api_device(&device, common, err);
    if (!rc)
        rc = method_align(device, o, &r, err);
    if (!rc && metrics && r.json.data)
        *metrics = buf_take(&r.json);
    align_result_free(&r);
    device_close(device);
    return rc;
}

int isara_align(const char *model, const char *seeds, const char *output, const char *options, char **metrics,
                struct isara_error *to)
{
    struct error err = {0};
    struct align_options o;
    struct api_common common;
    json_t *keep;
    align_options_default(&o);
    api_common_default(&common);
    if (metrics)
        *metrics = NULL;
    const struct api_table tables[] = {
        {&align_fields, &o, NULL},           {&sift_fields, &o.sift, NULL},
        {&generate_fields, &o.ask, NULL},    {&generate_fields, &o.answer, NULL},
        {&train_fields, &o.train, NULL},     {&api_common_fields, &common, NULL},
        {&generate_fields, &o.ask, "ask_"},  {&generate_fields, &o.answer, "answer_"},
        {&train_fields, &o.train, "train_"},
    };
    int rc = api_options(options, tables, sizeof tables / sizeof *tables, &keep, &err);
    if (!rc && o.seeds)
        rc = error_set(&err, ERROR_USAGE, "options: \"seeds\" is an argument of the call");
    o.model = model;
    o.seeds = seeds;
    o.output = output;
    if (!rc)
        rc = run_align(&o, &common, metrics, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}

#define FILE_ROW(name_, member)                                                                                      \
    {                                                                                                                \
        FIELD(name_, FIELD_STRING, struct eval_options, member), .argument = "FILE", .help = "see isara eval --help" \
    }
static const struct field eval_more_rows[] = {
    FILE_ROW("model", model),
    FILE_ROW("input", input),
    FILE_ROW("adapter", adapter),
    FILE_ROW("output", output),
    {FIELD("limit", FIELD_INT, struct eval_options, limit), .argument = "N", .high = 1e9,
     .help = "the first N rows, 0 = all"},
};
static const struct field_table eval_more_fields = {eval_more_rows, sizeof eval_more_rows / sizeof *eval_more_rows};

static int run_eval(struct eval_options *o, const struct api_common *common, char **result, struct error *err)
{
    struct device *device = NULL;
    struct eval_result r = {0};
    struct buf text = BUF_INIT;
    o->dtype = api_dtype(common);
    o->seed = common->seed;
    int rc = eval_options_check(o, err);
    if (!rc)
        rc = api_device(&device, common, err);
    if (!rc)
        rc = eval_run(device, o, &r, err);
    if (!rc)
        rc = jsontext_dump(&text, r.json, 0, err);
    if (!rc)
        *result = buf_take(&text);
    buf_free(&text);
    eval_result_free(&r);
    device_close(device);
    return rc;
}

int isara_eval(const char *task, const char *options, char **result, struct isara_error *to)
{
    struct error err = {0};
    struct eval_options o;
    struct api_common common;
    json_t *keep;
    eval_options_default(&o);
    api_common_default(&common);
    o.task = task;
    *result = NULL;
    struct generate_engine_asked engine;
    fields_default(&generate_engine_fields, FIELD_PLAIN, &engine);
    const struct api_table tables[] = {{&eval_fields, &o, NULL},
                                       {&eval_more_fields, &o, NULL},
                                       {&generate_fields, &o.decode, NULL},
                                       {&generate_engine_fields, &engine, NULL},
                                       {&api_common_fields, &common, NULL}};
    int rc = api_options(options, tables, sizeof tables / sizeof *tables, &keep, &err);
    o.engine = generate_engine_as_asked(&engine, api_dtype(&common));
    if (!rc)
        rc = run_eval(&o, &common, result, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}
