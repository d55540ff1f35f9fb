/* SPDX-License-Identifier: Apache-2.0 */
#include "report/files.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "report/cards.h"
#include "report/comparison.h"
#include "report/html.h"
#include "report/sections.h"
#include "report/tables.h"

#include <stdio.h>
#include <string.h>

enum { MOST_GENERATED = 1 << 30 };

static int write_text(const char *directory, const char *name, struct buf *text, struct error *err)
{
    char *path = path_join(directory, name);
    int rc = path && !text->failed ? file_write(path, buf_text(text), text->len, err)
                                   : error_set_nomem(err, text->len, name);
    mem_free(path);
    buf_free(text);
    return rc;
}

/* What a run wrote of itself at its end stays as it was: it is what run.db is compared with. */
static int write_metrics(const struct report_run *r, const char *directory, struct error *err)
{
    json_t *metrics = NULL;
    char *path = path_join(directory, "metrics.json");
    int rc = path ? report_run_json(r, &metrics, err) : error_set_nomem(err, 64, "path");
    if (!rc && !(file_same(r->output, directory) && file_exists(path)))
        rc = jsontext_write(path, metrics, err);
    json_decref(metrics);
    mem_free(path);
    return rc;
}

/* All rounds' attempts in one text. */
static int join_generated(const struct report_run *r, struct buf *all, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < r->n_round && !rc; i++) {
        char name[48];
        snprintf(name, sizeof name, "round-%d/generated.jsonl", r->rounds[i].number);
        char *path = path_join(r->output, name);
        rc = path ? 0 : error_set_nomem(err, 64, "path");
        if (!rc && file_exists(path))
            rc = file_read(all, path, MOST_GENERATED, err);
        mem_free(path);
    }
    return rc;
}

static int write_generated(const struct report_run *r, const char *directory, struct error *err)
{
    struct buf all = BUF_INIT;
    int rc = join_generated(r, &all, err);
    if (!rc)
        return write_text(directory, "generated.jsonl", &all, err);
    buf_free(&all);
    return rc;
}

static int compare_generated(const struct report_run *r, const char *directory, struct differences *x,
                             struct error *err)
{
    struct buf all = BUF_INIT, found = BUF_INIT;
    char *path = path_join(directory, "generated.jsonl");
    int rc = path ? 0 : error_set_nomem(err, 64, "path");
    if (!rc && file_exists(path)) {
        rc = join_generated(r, &all, err);
        rc = rc ? rc : file_read(&found, path, MOST_GENERATED, err);
        if (!rc && strcmp(buf_text(&all), buf_text(&found)))
            differences_add(x, "generated.jsonl: is not the files round-*/generated.jsonl one after the other");
    }
    mem_free(path);
    buf_free(&all);
    buf_free(&found);
    return rc;
}

int report_files_compare(const struct report_run *r, const struct document *d, const char *directory,
                         struct differences *x, struct error *err)
{
    int rc = document_check(d, err);
    rc = rc ? rc : tables_compare(d, directory, x, err);
    return rc ? rc : compare_generated(r, directory, x, err);
}

static int write_cards(const struct report_run *r, const struct document *d, const char *directory, struct error *err)
{
    struct buf model = BUF_INIT, dataset = BUF_INIT, results = BUF_INIT;
    char *hidden = path_join(directory, ".eval_results");
    card_model(&model, r, d);
    card_dataset(&dataset, r);
    card_eval_results(&results, r);
    int rc = hidden ? dirs_make(hidden, err) : error_set_nomem(err, 64, "path");
    rc = rc ? rc : write_text(directory, "README.md", &model, err);
    rc = rc ? rc : write_text(directory, "dataset_card.md", &dataset, err);
    rc = rc ? rc : write_text(hidden, "isara.yaml", &results, err);
    buf_free(&model);
    buf_free(&dataset);
    buf_free(&results);
    mem_free(hidden);
    return rc;
}

static int write_page(const struct document *d, const char *directory, struct error *err)
{
    struct buf page = BUF_INIT;
    report_html(d, &page);
    return write_text(directory, "report.html", &page, err);
}

int report_files_write(const struct report_run *r, const struct document *d, const char *directory, struct error *err)
{
    int rc = document_check(d, err);
    rc = rc ? rc : dirs_make(directory, err);
    rc = rc ? rc : write_metrics(r, directory, err);
    rc = rc ? rc : write_page(d, directory, err);
    rc = rc ? rc : tables_write(d, directory, err);
    rc = rc ? rc : write_generated(r, directory, err);
    rc = rc ? rc : write_cards(r, d, directory, err);
    return rc ? rc : figures_write_events(d, r->begun, directory, err);
}

static int write_comparison(const struct report_runs *c, const char *directory, struct error *err)
{
    json_t *object = NULL;
    char *path = path_join(directory, "comparison.json");
    int rc = path ? report_runs_json(c, &object, err) : error_set_nomem(err, 64, "path");
    rc = rc ? rc : jsontext_write(path, object, err);
    json_decref(object);
    mem_free(path);
    return rc;
}

int report_runs_write(const struct report_runs *c, const struct document *d, const char *directory, struct error *err)
{
    int rc = document_check(d, err);
    rc = rc ? rc : dirs_make(directory, err);
    rc = rc ? rc : write_comparison(c, directory, err);
    rc = rc ? rc : write_page(d, directory, err);
    return rc ? rc : tables_write(d, directory, err);
}

int report_comparison_write(const struct report_comparison *c, const char *directory, struct error *err)
{
    struct document d;
    report_comparison_document(&d, c);
    int rc = document_check(&d, err);
    rc = rc ? rc : dirs_make(directory, err);
    rc = rc ? rc : write_page(&d, directory, err);
    rc = rc ? rc : tables_write(&d, directory, err);
    document_free(&d);
    return rc;
}
