/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment's tree as results.json (docs/FORMATS.md). */
#include "report/comparison.h"

#include <math.h>

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *texts(const char *const *list, int n)
{
    json_t *out = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(out, json_string(list[i]));
    return out;
}

static json_t *run_json(const struct report_arm_run *r)
{
    json_t *o = json_pack("{s:s, s:I}", "model", r->model, "random_seed", (json_int_t)r->random_seed);
    if (r->steps >= 0)
        json_object_set_new(o, "steps", json_integer(r->steps));
    if (r->kept >= 0)
        json_object_set_new(o, "kept", json_integer(r->kept));
    if (r->round >= 0)
        json_object_set_new(o, "round", json_integer(r->round));
    json_object_set_new(o, "jobs", texts(r->jobs, r->n_job));
    if (r->overlap) {
        json_object_set_new(o, "seeds", json_integer(r->n_seed));
        json_object_set_new(o, "test_overlap", report_overlap_json(r->overlap));
    }
    return o;
}

static json_t *arm_json(const struct report_arm_of *a)
{
    json_t *runs = json_array();
    for (int i = 0; i < a->n_run; i++)
        json_array_append_new(runs, run_json(&a->runs[i]));
    return json_pack("{s:s, s:s, s:s, s:i, s:s?, s:O, s:o}", "name", a->name, "kind", a->kind, "seeds", a->seeds,
                     "seed_count", a->seed_count, "as", a->as, "options", a->options, "runs", runs);
}

static json_t *beside_json(const struct report_beside *b)
{
    json_t *o = json_pack("{s:s, s:o, s:o, s:o}", "control", b->control, "seeds_change", real(b->seeds_change),
                          "seeds_low", real(b->seeds_low), "seeds_high", real(b->seeds_high));
    json_object_set_new(o, "n", json_integer(b->n));
    if (!b->n)
        return o;
    json_object_set_new(o, "change", real(b->change));
    json_object_set_new(o, "low", real(b->low));
    json_object_set_new(o, "high", real(b->high));
    json_object_set_new(o, "interval", json_string(b->interval));
    json_object_set_new(o, "dz", real(b->dz));
    json_object_set_new(o, "n_tested", json_integer(b->n_tested));
    json_object_set_new(o, "p_wilcoxon", real(b->p));
    json_object_set_new(o, "p_holm", real(b->p_holm));
    json_object_set_new(o, "found_4_in_5", real(b->found));
    return o;
}

static json_t *measured_json(const struct report_measured *m)
{
    json_t *values = json_array(), *rows = json_array(), *beside = json_array();
    for (int i = 0; i < m->n; i++) {
        json_array_append_new(values, real(m->values[i]));
        json_array_append_new(rows, json_integer(m->rows[i]));
    }
    for (int i = 0; i < m->n_beside; i++)
        json_array_append_new(beside, beside_json(&m->beside[i]));
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s?}", "arm", m->arm, "model", m->model, "test", m->test, "metric",
                          m->metric, "better", m->better);
    json_object_set_new(o, "values", values);
    json_object_set_new(o, "rows", rows);
    json_object_set_new(o, "n_seeds", json_integer(m->n_value));
    json_object_set_new(o, "mean", real(m->mean));
    json_object_set_new(o, "sd", real(m->sd));
    json_object_set_new(o, "low", real(m->low));
    json_object_set_new(o, "high", real(m->high));
    json_object_set_new(o, "beside", beside);
    return o;
}

static json_t *finding_json(const struct report_finding *f)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "metric", f->arm->metric, "model", f->arm->model, "test",
                     f->arm->test, "arm", f->arm->arm, "control", f->control->arm, "n_arm", f->n_arm, "n_better",
                     f->n_better);
}

static json_t *made_json(const struct report_made *m)
{
    json_t *o = report_round_json(&m->round);
    json_object_set_new(o, "arm", json_string(m->arm));
    json_object_set_new(o, "model", json_string(m->model));
    json_object_set_new(o, "n_seeds", json_integer(m->n_run));
    return o;
}

static json_t *power_json(const struct report_power *p)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o}", "metric", p->of->metric, "model", p->of->model, "test",
                     p->of->test, "n_tests", p->n, "n_none", p->n_none, "n_questions", p->n_question, "least",
                     real(p->least), "most", real(p->most));
}

int report_comparison_json(const struct report_comparison *c, json_t **out, struct error *err)
{
    json_t *seeds = json_array(), *arms = json_array(), *list = json_array(), *findings = json_array(),
           *power = json_array(), *rounds = json_array();
    for (int i = 0; i < c->n_random_seed; i++)
        json_array_append_new(seeds, json_integer((json_int_t)c->random_seeds[i]));
    for (int i = 0; i < c->n_arm; i++)
        json_array_append_new(arms, arm_json(&c->arms[i]));
    for (int i = 0; i < c->n; i++)
        json_array_append_new(list, measured_json(&c->list[i]));
    for (int i = 0; i < c->n_finding; i++)
        json_array_append_new(findings, finding_json(&c->findings[i]));
    for (int i = 0; i < c->n_power; i++)
        json_array_append_new(power, power_json(&c->power[i]));
    for (int i = 0; i < c->n_made; i++)
        json_array_append_new(rounds, made_json(&c->made[i]));
    *out = json_pack("{s:s, s:s, s:O?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "experiment", c->name, "sha256",
                     c->sha256, "about", c->about, "random_seeds", seeds, "models", texts(c->models, c->n_model),
                     "controls", texts(c->controls, c->n_control), "arms", arms, "findings", findings, "power", power,
                     "rounds", rounds, "results", list);
    return *out ? 0 : error_set_nomem(err, 4096, "results");
}
