/* SPDX-License-Identifier: Apache-2.0 */
/* isara_experiment: its jobs are calls of isara.h, so that it stands above the others. */
#include "api/call.h"
#include "api/rows.h"
#include "experiment/experiment.h"
#include "io/jsontext.h"

static const struct field rows[] = {ROW_THREADS(struct experiment_options), ROW_ISA(struct experiment_options),
                                    ROW_DRY_RUN(struct experiment_options)};
static const struct field_table fields = {rows, sizeof rows / sizeof *rows};

static int run(const struct experiment_options *o, struct isara_report *out, struct error *err)
{
    struct buf text = BUF_INIT, json = BUF_INIT;
    json_t *tree = NULL;
    int rc = o->file && (o->output || o->dry_run)
                 ? experiment_run(o, &text, &tree, err)
                 : error_set(err, ERROR_USAGE, "an experiment needs its file and a directory");
    if (!rc && out && tree)
        rc = jsontext_dump(&json, tree, 0, err);
    if (!rc && out)
        rc = api_give(out, &json, &text, err);
    json_decref(tree);
    buf_free(&json);
    buf_free(&text);
    return rc;
}

int isara_experiment(const char *file, const char *output, const char *options, struct isara_report *out,
                     struct isara_error *to)
{
    struct error err = {0};
    struct experiment_options o = {.file = file, .output = output};
    const struct api_table table = {&fields, &o, NULL};
    json_t *keep;
    if (out)
        *out = (struct isara_report){NULL, NULL};
    int rc = api_options(options, &table, 1, &keep, &err);
    rc = rc ? rc : run(&o, out, &err);
    json_decref(keep);
    return api_return(to, rc, &err);
}
