/* SPDX-License-Identifier: Apache-2.0 */
/* Long work on files: align, what it left, eval. */
#include "api/parts.h"

#include "api/rows.h"
#include "base/mem.h"
#include "eval/eval.h"
#include "eval/fields.h"
#include "generate/fields.h"
#include "io/jsontext.h"
#include "method/fields.h"
#include "method/plan.h"
#include "train/fields.h"

#include <stdlib.h>
#include <string.h>

int api_give(struct isara_report *out, struct buf *json, struct buf *text, struct error *err)
{
    if (json->data && !(out->json = buf_take(json)))
        return error_set_nomem(err, json->len, "a report");
    out->text = text->data ? buf_take(text) : mem_strdup("");
    return out->text ? 0 : error_set_nomem(err, text->len, "a report");
}

struct align_more {
    struct api_common common;
    int preview;
    const char *question_field, *answer_field;
};
static const struct field align_more_rows[] = {ROW_PREVIEW(struct align_more), ROW_QUESTION_FIELD(struct align_more),
                                               ROW_ANSWER_FIELD(struct align_more)};
static const struct field_table align_more_fields = {align_more_rows, sizeof align_more_rows / sizeof *align_more_rows};

static void show(void *user, const char *text)
{
    buf_puts(user, text);
}

static int run_align(struct align_options *o, const struct align_more *more, struct isara_report *out,
                     struct error *err)
{
    struct device *device = NULL;
    struct align_result r = {0};
    struct buf shown = BUF_INIT;
    o->dtype = api_dtype(&more->common);
    o->seed = more->common.seed;
    o->preview = more->preview;
    o->question_field = more->question_field;
    o->answer_field = more->answer_field;
    o->show = show;
    o->user = &shown;
    int rc = o->model && o->seeds && (o->output || o->preview)
                 ? align_options_check(o, err)
                 : error_set(err, ERROR_USAGE, "an alignment needs a model, seeds and a run directory");
    rc = rc ? rc : api_device(&device, &more->common, err);
    rc = rc ? rc : plan_before(o, device, err);
    rc = rc ? rc : method_align(device, o, &r, err);
    if (!rc && out)
        rc = api_give(out, &r.json, o->preview ? &shown : &r.summary, err);
    buf_free(&shown);
    align_result_free(&r);
    device_close(device);
    return rc;
}

int isara_align(const char *model, const char *seeds, const char *output, const char *options, struct isara_report *out,
                struct isara_error *to)
{
    struct error err = {0};
    struct align_options o;
    struct align_more more = {0};
    json_t *keep;
    align_options_default(&o);
    api_common_default(&more.common);
    if (out)
        *out = (struct isara_report){NULL, NULL};
    const struct api_table tables[] = {
        {&align_fields, &o, NULL},
        {&sift_fields, &o.sift, NULL},
        {&generate_fields, &o.ask, NULL},
        {&generate_fields, &o.answer, NULL},
        {&train_fields, &o.train, NULL},
        {&api_common_fields, &more.common, NULL},
        {&align_more_fields, &more, NULL},
        {&generate_fields, &o.ask, "ask_"},
        {&generate_fields, &o.answer, "answer_"},
        {&train_fields, &o.train, "train_"},
    };
    int rc = api_options(options, tables, sizeof tables / sizeof *tables, &keep, &err);
    if (!rc) { /* what is given goes over the recipe's */
        const char *recipe = o.recipe;
        json_t *first = keep; /* recipe lies in it */
        keep = NULL;
        align_options_default(&o);
        rc = align_recipe_apply(&o, recipe, &err);
        rc = rc ? rc : api_options(options, tables, sizeof tables / sizeof *tables, &keep, &err);
        json_decref(first);
    }
    if (!rc && o.seeds)
        rc = error_set(&err, ERROR_USAGE, "options: \"seeds\" is an argument of the call");
    o.model = model;
    o.seeds = seeds;
    o.output = output;
    if (!rc)
        rc = run_align(&o, &more, out, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}

int isara_results(const char *run_directory, struct isara_report *out, struct isara_error *to)
{
    struct error err = {0};
    struct report_run r;
    struct buf text = BUF_INIT, dump = BUF_INIT;
    json_t *json = NULL;
    *out = (struct isara_report){NULL, NULL};
    int rc = method_results(run_directory, &r, &err);
    rc = rc ? rc : report_run_json(&r, &json, &err);
    rc = rc ? rc : jsontext_dump(&dump, json, 1, &err);
    if (!rc)
        report_run_text(&r, &text);
    rc = rc ? rc : api_give(out, &dump, &text, &err);
    json_decref(json);
    buf_free(&text);
    buf_free(&dump);
    report_run_free(&r);
    return api_return(to, rc, &err);
}

static const struct field eval_more_rows[] = {
    ROW_MODEL(struct eval_options),       ROW_INPUT(struct eval_options), ROW_ADAPTER(struct eval_options),
    ROW_OUTPUT(struct eval_options),      ROW_LIMIT(struct eval_options), ROW_QUESTION_FIELD(struct eval_options),
    ROW_ANSWER_FIELD(struct eval_options)};
static const struct field_table eval_more_fields = {eval_more_rows, sizeof eval_more_rows / sizeof *eval_more_rows};

static int run_eval(struct eval_options *o, const struct api_common *common, struct isara_report *out,
                    struct error *err)
{
    struct device *device = NULL;
    struct eval_result r = {0};
    struct buf json = BUF_INIT;
    o->dtype = api_dtype(common);
    o->seed = common->seed;
    int rc = eval_options_check(o, err);
    rc = rc ? rc : api_device(&device, common, err);
    rc = rc ? rc : eval_run(device, o, &r, err);
    char *text = rc ? NULL : json_dumps(r.json, 0);
    if (!rc && !text)
        rc = error_set_nomem(err, 0, "a report");
    if (!rc)
        buf_puts(&json, text);
    rc = rc ? rc : api_give(out, &json, &r.text, err);
    free(text);
    buf_free(&json);
    eval_result_free(&r);
    device_close(device);
    return rc;
}

static int list_tasks(struct isara_report *out, struct error *err)
{
    struct buf none = BUF_INIT, text = BUF_INIT;
    const char *summary;
    for (int i = 0; eval_task_name(i, &summary); i++)
        buf_printf(&text, "%-12s %s\n", eval_task_name(i, NULL), summary);
    int rc = api_give(out, &none, &text, err);
    buf_free(&text);
    return rc;
}

int isara_eval(const char *task, const char *options, struct isara_report *out, struct isara_error *to)
{
    struct error err = {0};
    struct eval_options o;
    struct api_common common;
    struct generate_engine_asked engine = {0}; /* not every row has a default */
    json_t *keep;
    *out = (struct isara_report){NULL, NULL};
    if (task && !strcmp(task, "list"))
        return api_return(to, list_tasks(out, &err), &err);
    eval_options_default(&o);
    api_common_default(&common);
    o.task = task;
    fields_default(&generate_engine_fields, FIELD_PLAIN, &engine);
    const struct api_table tables[] = {{&eval_fields, &o, NULL},
                                       {&eval_more_fields, &o, NULL},
                                       {&generate_fields, &o.decode, NULL},
                                       {&generate_engine_fields, &engine, NULL},
                                       {&api_common_fields, &common, NULL}};
    int rc = api_options(options, tables, sizeof tables / sizeof *tables, &keep, &err);
    o.engine = generate_engine_as_asked(&engine, api_dtype(&common));
    if (!rc)
        rc = run_eval(&o, &common, out, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}
