/* SPDX-License-Identifier: Apache-2.0 */
/* isara experiment FILE.yaml: a call of isara_experiment. */
#include "cli/parts.h"

#include <stdlib.h>

int verb_experiment(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    static const char *const own[] = {"threads", "isa", "dry-run", NULL};
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    char *given = NULL;
    (void)verb;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one experiment file (YAML), found %d arguments", options->n_rest);
    if (options_text(options, "seed"))
        return error_set(err, ERROR_USAGE, "--seed: an experiment has its random_seeds in its file");
    int rc = v->dry_run ? 0 : cli_require(v->output, "output", "the experiment's directory", err);
    rc = rc ? rc : options_json(options, own, &given, err);
    if (rc)
        return rc;
    isara_experiment(options->rest[0], v->output, given, &report, &problem);
    free(given);
    cli_show_report(&report, v->json && report.json);
    return cli_error(&problem, err);
}
