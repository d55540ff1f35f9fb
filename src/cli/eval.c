/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval: a call of isara_eval. */
#include "cli/parts.h"

#include <stdlib.h>

int verb_eval(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    static const char *const own[] = {"model", "input", "question-field", "answer-field", "adapter", "output",
                                      "limit", "seed",  "dtype",          "threads",      "isa",     NULL};
    struct isara_error problem = {0};
    struct isara_report report = {NULL, NULL};
    char *given;
    (void)verb;
    int rc = options_json(options, own, &given, err);
    if (rc)
        return rc;
    isara_eval(v->task, given, &report, &problem);
    free(given);
    cli_show_report(&report, v->json && report.json);
    return cli_error(&problem, err);
}
