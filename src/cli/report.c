/* SPDX-License-Identifier: Apache-2.0 */
/* isara report: what run directories say, as tables, cards and logs that other programs read. */
#include "cli/parts.h"

#include "base/printable.h"
#include "method/method.h"
#include "report/files.h"
#include "report/sections.h"
#include "report/tables.h"

#include <stdio.h>

/* What the directory says of itself against its journal. Nothing is written. */
static int verify(const struct report_run *r, const struct document *d, const struct cli_values *v, struct error *err)
{
    struct cli_model p = {0};
    struct differences x = {.n = 0};
    int n_attempt = 0;
    int rc = cli_open_device(&p, v, err);
    rc = rc ? rc : method_verify(p.device, r, &(struct method_verify){v->verify, v->seed}, &x, err);
    if (!rc)
        rc = tables_compare(d, v->output ? v->output : r->output, &x, err);
    if (x.text.data)
        printable(x.text.data);
    fputs(buf_text(&x.text), stdout);
    for (int i = 0; i < r->n_round; i++)
        n_attempt += r->rounds[i].attempts;
    if (!rc)
        printf("%s: %ld difference%s; %d attempts generated again\n", r->output, x.n, x.n == 1 ? "" : "s",
               n_attempt < v->verify ? n_attempt : v->verify);
    rc = !rc && x.n ? CLI_DIFFERENT : rc;
    differences_free(&x);
    cli_close(&p);
    return rc;
}

/* A journal that says what no run can have said differs too. */
static int unreadable(int rc, const struct cli_values *v, struct error *err)
{
    if (rc != ERROR_DATA || !v->verify)
        return rc;
    printable(err->message);
    printf("%s\n", err->message);
    return CLI_DIFFERENT;
}

static int report_one(const char *run, const struct cli_values *v, struct error *err)
{
    struct report_run r;
    struct document d = {.arena = ARENA_INIT};
    const char *output = v->output ? v->output : run;
    int rc = method_results(run, &r, err);
    if (rc) {
        report_run_free(&r);
        return unreadable(rc, v, err);
    }
    if (v->about)
        rc = cli_read_about(&r, v->about, err);
    if (!rc) {
        report_run_document(&d, &r);
        rc = v->verify ? verify(&r, &d, v, err) : report_files_write(&r, &d, output, err);
    }
    if (!rc && !v->verify)
        puts(output);
    document_free(&d);
    report_run_free(&r);
    return rc;
}

int verb_report(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    if (options->n_rest != 1)
        return error_set(err, ERROR_USAGE, "wanted one run directory: isara report RUN [--output DIR]");
    return report_one(options->rest[0], v, err);
}
