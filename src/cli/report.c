/* SPDX-License-Identifier: Apache-2.0 */
/* isara report: what run directories say, as tables, cards and logs that other programs read. */
#include "cli/parts.h"

#include "base/mem.h"
#include "base/printable.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "method/method.h"
#include "report/files.h"
#include "report/sections.h"

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
        rc = report_files_compare(r, d, v->output ? v->output : r->output, &x, err);
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

/* On standard output: the directory's name, or what its metrics.json or comparison.json has. */
static int say(const struct cli_values *v, const char *output, json_t *metrics, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = v->json ? jsontext_dump(&text, metrics, 1, err) : 0;
    if (!rc)
        puts(v->json ? buf_text(&text) : output);
    json_decref(metrics);
    buf_free(&text);
    return rc;
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
    if (!rc)
        rc = v->labels_in ? method_labels_in(&r, v->labels_in, err) : method_labels_recorded(&r, err);
    if (!rc && v->labels_out)
        rc = method_labels_out(&r, v->labels_out, err);
    if (!rc) {
        report_run_document(&d, &r);
        rc = v->verify ? verify(&r, &d, v, err) : report_files_write(&r, &d, output, err);
    }
    json_t *metrics = NULL;
    if (!rc && !v->verify && v->json)
        rc = report_run_json(&r, &metrics, err);
    if (!rc && !v->verify)
        rc = say(v, output, metrics, err);
    document_free(&d);
    report_run_free(&r);
    return rc;
}

static int write_many(struct report_run *runs, int n, const struct cli_values *v, struct error *err)
{
    struct report_runs c;
    json_t *comparison = NULL;
    struct document d = {.arena = ARENA_INIT};
    int rc = report_runs_fill(&c, runs, n, err);
    if (!rc) {
        report_runs_document(&d, &c);
        rc = report_runs_write(&c, &d, v->output, err);
    }
    if (!rc && v->json)
        rc = report_runs_json(&c, &comparison, err);
    rc = rc ? rc : say(v, v->output, comparison, err);
    document_free(&d);
    report_runs_free(&c);
    return rc;
}

/* A run that is named twice is not two runs, whose numbers would have a spread. */
static int each_once(const struct options *options, struct error *err)
{
    for (int i = 1; i < options->n_rest; i++)
        for (int k = 0; k < i; k++)
            if (file_same(options->rest[i], options->rest[k]))
                return error_set(err, ERROR_USAGE, "%s: is the same run as %s; wanted every run once", options->rest[i],
                                 options->rest[k]);
    return 0;
}

static int report_many(const struct options *options, const struct cli_values *v, struct error *err)
{
    int n = options->n_rest, rc = 0;
    if (!v->output)
        return error_set(err, ERROR_USAGE, "%d runs: wanted --output DIR, where their comparison is to be written", n);
    if (v->verify)
        return error_set(err, ERROR_USAGE, "--verify: wanted one run directory, found %d", n);
    if ((rc = each_once(options, err)) != 0)
        return rc;
    struct report_run *runs = mem_calloc((size_t)n, sizeof *runs);
    if (!runs)
        return error_set_nomem(err, (size_t)n * sizeof *runs, "runs");
    for (int i = 0; i < n && !rc; i++)
        rc = method_results(options->rest[i], &runs[i], err);
    if (!rc && v->about)
        rc = cli_read_about(&runs[0], v->about, err);
    rc = rc ? rc : write_many(runs, n, v, err);
    for (int i = 0; i < n; i++)
        report_run_free(&runs[i]);
    mem_free(runs);
    return rc;
}

static int check_arguments(const struct options *options, const struct cli_values *v, struct error *err)
{
    if (!options->n_rest)
        return error_set(err, ERROR_USAGE, "wanted a run directory, or several: isara report RUN... [--output DIR]");
    if (v->output && (!*v->output || !strcmp(v->output, "-")))
        return error_set(err, ERROR_USAGE, "--output: wanted a directory, found \"%s\"", v->output);
    return 0;
}

int verb_report(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    int rc = check_arguments(options, v, err);
    if (rc)
        return rc;
    return options->n_rest > 1 ? report_many(options, v, err) : report_one(options->rest[0], v, err);
}
