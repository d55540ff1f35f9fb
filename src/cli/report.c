/* SPDX-License-Identifier: Apache-2.0 */
/* isara report: what run directories say, as tables, cards and logs that other programs read. */
#include "cli/parts.h"

#include "base/mem.h"
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
    if (!rc && v->labels_in)
        rc = method_labels_in(&r, v->labels_in, err);
    if (!rc && v->labels_out)
        rc = method_labels_out(&r, v->labels_out, err);
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

static int write_many(struct report_run *runs, int n, const char *output, struct error *err)
{
    struct report_runs c;
    struct document d = {.arena = ARENA_INIT};
    int rc = report_runs_fill(&c, runs, n, err);
    if (!rc) {
        report_runs_document(&d, &c);
        rc = report_runs_write(&c, &d, output, err);
    }
    document_free(&d);
    report_runs_free(&c);
    return rc;
}

static int report_many(const struct options *options, const struct cli_values *v, struct error *err)
{
    int n = options->n_rest, rc = 0;
    if (!v->output)
        return error_set(err, ERROR_USAGE, "%d runs: wanted --output DIR, where their comparison is to be written", n);
    if (v->verify)
        return error_set(err, ERROR_USAGE, "--verify: wanted one run directory, found %d", n);
    struct report_run *runs = mem_calloc((size_t)n, sizeof *runs);
    if (!runs)
        return error_set_nomem(err, (size_t)n * sizeof *runs, "runs");
    for (int i = 0; i < n && !rc; i++)
        rc = method_results(options->rest[i], &runs[i], err);
    if (!rc && v->about)
        rc = cli_read_about(&runs[0], v->about, err);
    rc = rc ? rc : write_many(runs, n, v->output, err);
    if (!rc)
        puts(v->output);
    for (int i = 0; i < n; i++)
        report_run_free(&runs[i]);
    mem_free(runs);
    return rc;
}

int verb_report(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    if (!options->n_rest)
        return error_set(err, ERROR_USAGE, "wanted a run directory, or several: isara report RUN... [--output DIR]");
    return options->n_rest > 1 ? report_many(options, v, err) : report_one(options->rest[0], v, err);
}
