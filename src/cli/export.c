/* SPDX-License-Identifier: Apache-2.0 */
/* isara export: what a run kept, as a file that other trainers take. */
#include "cli/parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "method/method.h"

#include <stdio.h>
#include <string.h>

static void say(const char *run, enum export_format format, const struct export_counts *n)
{
    if (format == EXPORT_DPO)
        log_line(LOG_INFO, "%s: %d preferences; %d questions left out whose answers are the same or worse", run,
                 n->preferences, n->left_out);
    else
        log_line(LOG_INFO, "%s: %d pairs: %d seeds, %d kept", run, n->seeds + n->kept, n->seeds, n->kept);
}

/* A file of the run is not written over. */
static int check_place(const char *run, const char *path, struct error *err)
{
    char *inside = path_join(run, path_base(path));
    int own = inside && file_exists(path) && file_same(inside, path);
    mem_free(inside);
    return own ? error_set(err, ERROR_CONFIG, "--output %s: is a file of the run, which is read: choose another", path)
               : 0;
}

static int write_out(const char *run, const char *path, const struct buf *text, struct error *err)
{
    if (!path || !strcmp(path, "-"))
        return fwrite(text->data, 1, text->len, stdout) == text->len ? 0 : error_set_errno(err, "standard output");
    int rc = check_place(run, path, err);
    return rc ? rc : file_write(path, text->data, text->len, err);
}

int verb_export(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    struct export_counts n = {0};
    struct buf text = BUF_INIT;
    int format = v->format ? field_choice(METHOD_EXPORTS, v->format) : -1;
    if (!options->n_rest)
        return error_set(err, ERROR_USAGE, "wanted a run directory: isara export RUN --format messages");
    if (format < 0)
        return error_set(err, ERROR_USAGE, "--format: wanted %s, found \"%s\"", METHOD_EXPORTS,
                         v->format ? v->format : "nothing");
    if (format == EXPORT_DPO && v->with_seeds)
        return error_set(err, ERROR_USAGE, "--with-seeds: --format dpo has none");
    const char *run = options->rest[0];
    const struct export_options o = {(enum export_format)format, v->with_seeds};
    int rc = method_export(run, &o, &text, &n, err);
    rc = rc ? rc : write_out(run, v->output, &text, err);
    if (!rc)
        say(run, o.format, &n);
    if (!rc && v->json && v->output && strcmp(v->output, "-"))
        printf("{\"seeds\": %d, \"kept\": %d, \"preferences\": %d, \"left_out\": %d}\n", n.seeds, n.kept, n.preferences,
               n.left_out);
    buf_free(&text);
    return rc;
}
