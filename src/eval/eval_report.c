/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the tree of an evaluation (report/evaluation.h), of which table and JSON are renderings. */
#include "eval/parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void eval_report_begin(struct eval_report *r, const struct report_basis *basis, struct error *err)
{
    *r = (struct eval_report){.n_row = basis->n_row, .err = err};
    r->rc = report_evaluation_begin(&r->tree, basis, err);
    if (!r->rc && basis->n_row < 1)
        r->rc = error_set(err, ERROR_DATA, "%s: no rows; nothing can be computed", basis->task);
}

int eval_mean_interval(const double *x, int n, uint64_t seed, struct stats_interval *out, struct error *err)
{
    struct stats_mean mean;
    int rc = stats_mean_interval(x, n, &(struct stats_bootstrap){2000, 0.95, seed}, &mean, err);
    *out = mean.interval;
    return rc;
}

void eval_report_value(struct eval_report *r, const char *name, double value, int n, struct stats_interval i)
{
    eval_report_tested(r, name, value, n, i, (struct stats_test){0, NAN, 0});
}

void eval_report_tested(struct eval_report *r, const char *name, double value, int n, struct stats_interval i,
                        struct stats_test test)
{
    if (!r->rc && (n < 1 || !isfinite(value)))
        r->rc = error_set(r->err, ERROR_DATA, "%s cannot be computed: %s", name,
                          n < 1 ? "no row has what it needs" : "it is not defined for these rows");
    if (r->rc)
        return;
    const struct report_value v = {value, i.low, i.high, n, n < r->n_row, test.p, test.n};
    r->marked |= v.partial;
    r->rc = report_evaluation_value(&r->tree, name, &v, r->err);
}

void eval_report_fact(struct eval_report *r, const char *name, json_t *value)
{
    if (r->rc)
        json_decref(value);
    else
        r->rc = report_evaluation_fact(&r->tree, name, value, r->err);
}

void eval_report_note(struct eval_report *r, const char *format, ...)
{
    char line[1024];
    va_list ap;
    if (r->rc)
        return;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    r->rc = report_evaluation_note(&r->tree, line, r->err);
}

int eval_report_end(struct eval_report *r)
{
    int rc = r->rc;
    report_evaluation_free(&r->tree);
    *r = (struct eval_report){0};
    return rc;
}

int eval_report_finish(struct eval_report *r, const struct eval_work *w)
{
    struct eval_result *out = w->result;
    r->tree.complete = r->marked ? REPORT_PARTIAL : REPORT_COMPLETE;
    if (!r->rc)
        r->rc = report_evaluation_json(&r->tree, &out->json, r->err);
    if (!r->rc)
        r->rc = report_evaluation_text(&r->tree, &out->text, r->err);
    if (!r->rc) {
        out->tree = r->tree;
        r->tree = (struct report_evaluation){0};
    }
    return eval_report_end(r);
}
