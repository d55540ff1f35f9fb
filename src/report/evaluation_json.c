/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation's tree as the object that --json prints. */
#include "report/evaluation.h"

#include <math.h>
#include <stdio.h>

static int put(json_t *o, const char *name, json_t *value)
{
    return json_object_set_new(o, name, value);
}

static int put_basis(json_t *o, const struct report_evaluation *e)
{
    const struct report_basis *b = &e->basis;
    int rc = put(o, "task", json_string(b->task)) | put(o, "n", json_integer(e->n));
    rc |= put(o, "n_rows", json_integer(b->n_row)) | put(o, "missing", json_integer(b->n_missing));
    rc |= put(o, "truncated", json_integer(b->n_truncated)) | put(o, "unparsed", json_integer(b->n_unparsed));
    rc |= put(o, "threshold", isnan(b->threshold) ? json_null() : json_real(b->threshold));
    rc |= put(o, "prompt_style", b->style ? json_string(b->style) : json_null());
    rc |= put(o, "judge", b->judge ? json_string(b->judge) : json_null());
    return rc | put(o, "judge_sha256", b->judge_sha256 ? json_string(b->judge_sha256) : json_null());
}

static int put_with(json_t *o, const char *name, const char *tail, json_t *value)
{
    char key[128];
    snprintf(key, sizeof key, "%s_%s", name, tail);
    return put(o, key, value);
}

static int put_value(json_t *o, const char *name, const struct report_value *v)
{
    int rc = put(o, name, json_real(v->value));
    if (!isnan(v->low) && !isnan(v->high))
        rc |= put_with(o, name, "low", json_real(v->low)) | put_with(o, name, "high", json_real(v->high));
    if (!isnan(v->p))
        rc |= put_with(o, name, "p", json_real(v->p));
    return v->partial ? rc | put_with(o, name, "n", json_integer(v->n)) : rc;
}

int report_evaluation_json(const struct report_evaluation *e, json_t **out, struct error *err)
{
    json_t *o = *out = json_object();
    int rc = o ? put_basis(o, e) : -1;
    for (const struct report_entry *x = e->first; x && !rc; x = x->next) {
        if (x->kind == REPORT_VALUE)
            rc = put_value(o, x->name, &x->value);
        else if (x->kind == REPORT_FACT)
            rc = json_object_set(o, x->name, x->fact);
    }
    if (!rc && e->complete != REPORT_UNFINISHED)
        rc = put(o, "complete", json_boolean(e->complete == REPORT_COMPLETE));
    if (rc) {
        json_decref(o);
        *out = NULL;
        return error_set_nomem(err, 64, "a report");
    }
    return 0;
}
