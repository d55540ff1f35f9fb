/* SPDX-License-Identifier: Apache-2.0 */
/* The report of an evaluation. One list of values becomes either a JSON object or a table, so the two cannot differ. */
#include "eval/parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct eval_report *r, const char *name, json_t *value)
{
    if (json_object_set_new(r->json, name, value) && !r->rc)
        r->rc = error_set_nomem(r->err, 0, "a report");
}

void eval_report_begin(struct eval_report *r, const struct eval_facts *f, struct error *err)
{
    *r = (struct eval_report){.json = json_object(), .n_row = f->n_row, .err = err};
    int n = f->n_row - f->n_missing;
    if (!r->json)
        r->rc = error_set_nomem(err, 64, "a report");
    else if (f->n_row < 1)
        r->rc = error_set(err, ERROR_DATA, "%s: no rows; nothing can be computed", f->task);
    put(r, "task", json_string(f->task));
    put(r, "n", json_integer(n));
    put(r, "n_rows", json_integer(f->n_row));
    put(r, "missing", json_integer(f->n_missing));
    put(r, "truncated", json_integer(f->n_truncated));
    put(r, "unparsed", json_integer(f->n_unparsed));
    put(r, "threshold", isnan(f->threshold) ? json_null() : json_real(f->threshold));
    put(r, "prompt_style", f->style ? json_string(f->style) : json_null());
    put(r, "judge", f->judge ? json_string(f->judge) : json_null());
    put(r, "judge_sha256", f->judge_sha256 ? json_string(f->judge_sha256) : json_null());
    buf_printf(&r->text, "%s: n %d of %d, missing %d, truncated %d, unparsed %d, threshold ", f->task, n, f->n_row,
               f->n_missing, f->n_truncated, f->n_unparsed);
    if (isnan(f->threshold))
        buf_puts(&r->text, "none");
    else
        buf_printf(&r->text, "%g", f->threshold);
    buf_printf(&r->text, "\nprompt style %s, judge %s", f->style ? f->style : "none (outputs were read)",
               f->judge ? f->judge : "none (computed)");
    if (f->judge_sha256)
        buf_printf(&r->text, " sha256 %.16s", f->judge_sha256);
    buf_putc(&r->text, '\n');
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
    char key[96];
    if (!r->rc && (n < 1 || !isfinite(value)))
        r->rc = error_set(r->err, ERROR_DATA, "%s cannot be computed: %s", name,
                          n < 1 ? "no row has what it needs" : "it is not defined for these rows");
    if (r->rc)
        return;
    put(r, name, json_real(value));
    int partial = n < r->n_row;
    r->marked |= partial;
    buf_printf(&r->text, "  %-26s %10.4f", name, value);
    if (!isnan(i.low) && !isnan(i.high)) {
        snprintf(key, sizeof key, "%s_low", name);
        put(r, key, json_real(i.low));
        snprintf(key, sizeof key, "%s_high", name);
        put(r, key, json_real(i.high));
        buf_printf(&r->text, " [%10.4f, %10.4f]", i.low, i.high);
    } else {
        buf_printf(&r->text, "%25s", "");
    }
    snprintf(key, sizeof key, "%s_n", name);
    if (partial)
        put(r, key, json_integer(n));
    buf_printf(&r->text, "  n %d%s\n", n, partial ? " *" : "");
}

void eval_report_fact(struct eval_report *r, const char *name, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    if (!text && !r->rc)
        r->rc = error_set_nomem(r->err, 0, "a report");
    if (text)
        buf_printf(&r->text, "  %-26s %s\n", name, text);
    free(text);
    put(r, name, value);
}

void eval_report_note(struct eval_report *r, const char *format, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    buf_printf(&r->text, "%s\n", line);
}

int eval_report_end(struct eval_report *r)
{
    int rc = r->rc;
    json_decref(r->json);
    buf_free(&r->text);
    *r = (struct eval_report){0};
    return rc;
}

int eval_report_finish(struct eval_report *r, const struct eval_work *w)
{
    put(r, "complete", json_boolean(!r->marked));
    if (r->marked)
        eval_report_note(r, "* over fewer than all rows");
    if (!r->rc && r->text.failed)
        r->rc = error_set_nomem(r->err, r->text.len, "a report");
    if (!r->rc) {
        *w->result = (struct eval_result){r->json, r->text};
        r->json = NULL;
        r->text = (struct buf)BUF_INIT;
    }
    return eval_report_end(r);
}
