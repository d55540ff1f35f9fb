/* SPDX-License-Identifier: Apache-2.0 */
/* A model, or the last one of a run. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the manifest names as the model that was tuned; none is no error here. */
static char *pretrained_of(const char *run)
{
    char *path = path_join(run, "manifest.json");
    json_t *manifest = NULL;
    if (!path || jsontext_load(&manifest, path, 1 << 20, NULL))
        manifest = NULL;
    const char *model = json_string_value(json_object_get(json_object_get(manifest, "model"), "path"));
    char *copy = model ? mem_strdup(model) : NULL;
    json_decref(manifest);
    mem_free(path);
    return copy;
}

/* The template that a run's models were made with. */
static int read_words(struct run *run, struct cli_found *out, struct error *err)
{
    json_t *settings = NULL;
    int rc = run_settings(run, &settings, err);
    out->words = json_incref(json_object_get(settings, "template"));
    out->pretrained = pretrained_of(run_directory(run));
    json_decref(settings);
    return rc;
}

/* What is known of RUN/round-N/model, or a control's; nothing of another directory. */
static int read_around(const char *model, struct cli_found *out, struct error *err)
{
    char *directory = path_join(model, "../.."), *real = realpath(model, NULL);
    struct run *run = NULL;
    int rc = directory ? 0 : error_set_nomem(err, 256, "a path");
    if (!rc && real && !strcmp(path_base(real), "model") && run_exists(directory))
        rc = run_open_readonly(&run, directory, err);
    if (!rc && run)
        rc = read_words(run, out, err);
    run_close(run);
    free(real);
    mem_free(directory);
    return rc;
}

/* The model of a run's last finished round. */
static int last_model(const char *path, struct cli_found *out, struct error *err)
{
    struct run *run = NULL;
    struct run_round round;
    char name[64] = "";
    int rc = run_open_readonly(&run, path, err);
    if (!rc)
        rc = read_words(run, out, err);
    for (int t = 1; !rc && !(rc = run_get_round(run, t, &round, err)) && round.state != RUN_STATE_NONE; t++)
        if (round.model_sha256[0])
            snprintf(name, sizeof name, "round-%d/model", t);
    run_close(run);
    if (!rc && !*name)
        rc = error_set(err, ERROR_NOINPUT, "%s: no round of this run has a model yet", path);
    out->made = rc ? NULL : path_join(path, name);
    if (!rc && !out->made)
        rc = error_set_nomem(err, 256, "a path");
    return rc;
}

int cli_find_model(const struct options *options, struct cli_values *v, struct cli_found *out, struct error *err)
{
    const char *path = options->n_rest ? options->rest[0] : v->model;
    *out = (struct cli_found){NULL, NULL, NULL};
    if (options->n_rest > 1 || (options->n_rest && v->model))
        return error_set(err, ERROR_USAGE, "wanted one model: --model M or RUN, found %s too",
                         options->n_rest > 1 ? options->rest[1] : v->model);
    if (!path)
        return error_set(err, ERROR_USAGE, "wanted --model M, or a run directory");
    char *db = path_join(path, "run.db");
    int rc = db && file_exists(db) ? last_model(path, out, err) : read_around(path, out, err);
    mem_free(db);
    v->model = out->made ? out->made : path;
    if (out->made)
        log_line(LOG_INFO, "%s: the last round's model, %s", path, out->made);
    return rc;
}

void cli_found_free(struct cli_found *f)
{
    json_decref(f->words);
    mem_free(f->made);
    mem_free(f->pretrained);
}
