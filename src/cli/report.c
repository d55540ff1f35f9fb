/* SPDX-License-Identifier: Apache-2.0 */
/* isara report: what run directories say, as tables, cards and logs that other programs read. */
#include "cli/parts.h"

#include "method/method.h"
#include "report/files.h"
#include "report/sections.h"

#include <stdio.h>

static int report_one(const char *run, const struct cli_values *v, struct error *err)
{
    struct report_run r;
    struct document d = {.arena = ARENA_INIT};
    int rc = method_results(run, &r, err);
    if (!rc && v->about)
        rc = cli_read_about(&r, v->about, err);
    if (!rc) {
        report_run_document(&d, &r);
        rc = report_files_write(&r, &d, v->output ? v->output : run, err);
    }
    document_free(&d);
    report_run_free(&r);
    return rc;
}

int verb_report(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one run directory: isara report RUN [--output DIR]");
    int rc = report_one(options->rest[0], v, err);
    if (!rc)
        printf("%s\n", v->output ? v->output : options->rest[0]);
    return rc;
}
