/* SPDX-License-Identifier: Apache-2.0 */
/* isara experiment FILE.yaml: arms x models x random seeds. */
#include "cli/parts.h"

#include "base/printable.h"
#include "experiment/experiment.h"
#include "io/jsontext.h"

#include <stdio.h>

static void show(const struct buf *text, const json_t *json, int as_json)
{
    struct buf b = BUF_INIT;
    terminal_end();
    if (as_json && !jsontext_dump(&b, json, 0, NULL)) {
        puts(buf_text(&b));
    } else if (text->data) {
        printable(text->data);
        fputs(text->data, stdout);
    }
    buf_free(&b);
}

int verb_experiment(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    struct buf text = BUF_INIT;
    json_t *json = NULL;
    (void)verb;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one experiment file (YAML), found %d arguments", options->n_rest);
    if (options_text(options, "seed"))
        return error_set(err, ERROR_USAGE, "--seed: an experiment has its random_seeds in its file");
    int rc = v->dry_run ? 0 : cli_require(v->output, "output", "the experiment's directory", err);
    if (rc)
        return rc;
    const struct experiment_options o = {
        .file = options->rest[0], .output = v->output, .isa = v->isa, .threads = v->threads, .dry_run = v->dry_run};
    rc = experiment_run(&o, &text, &json, err);
    if (!rc)
        show(&text, json, v->json);
    json_decref(json);
    buf_free(&text);
    return rc;
}
