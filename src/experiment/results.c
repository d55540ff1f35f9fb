/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of results: who was compared, from the file and the jobs; the numbers are gather.c's. */
#include "experiment/parts.h"

#include "report/comparison.h"

#include <string.h>

static json_t *options_of(const struct settings *s)
{
    json_t *o = json_object();
    for (int i = 0; i < s->n; i++) {
        json_t *before = json_object_get(o, s->items[i].name), *text = json_string(s->items[i].text);
        if (json_is_array(before))
            json_array_append_new(before, text);
        else if (before)
            json_object_set_new(o, s->items[i].name, json_pack("[O, o]", before, text));
        else
            json_object_set_new(o, s->items[i].name, text);
    }
    return o;
}

static int fill_run(const struct experiment *x, const struct cell *c, struct report_comparison *to,
                    struct report_arm_run *r, struct error *err)
{
    const struct job *made = c->made < 0 ? NULL : &x->jobs[c->made];
    *r = (struct report_arm_run){.model = x->spec.models.items[c->model].name,
                                 .random_seed = x->spec.random_seeds[c->random_seed],
                                 .steps = -1,
                                 .kept = -1,
                                 .round = -1};
    r->jobs = arena_alloc(&to->arena, ((size_t)x->n_measure + 2) * sizeof *r->jobs);
    if (!r->jobs)
        return error_set_nomem(err, 64, "results");
    if (made) {
        r->jobs[r->n_job++] = made->hash;
        r->steps = job_steps(made, c->round);
    }
    if (made && made->verb == JOB_ALIGN) {
        r->round = job_round(made, c->round);
        r->kept = job_kept(made, c->round);
    }
    for (int i = 0; i < x->n_measure; i++)
        r->jobs[r->n_job++] = x->jobs[c->evals[i]].hash;
    return 0;
}

static int fill_arm(const struct experiment *x, int variant, struct report_comparison *c, struct error *err)
{
    static const char *const kinds[] = {"pretrained", "icl-knn", "icl-random",     "sft-seeds",
                                        "sft-real",   "isara",   "isara-one-round"};
    const struct variant *v = &x->variants.items[variant];
    struct report_arm_of *a = &c->arms[variant];
    int n = x->spec.models.n * x->spec.n_random_seed, rc = 0;
    *a = (struct report_arm_of){.name = v->name,
                                .kind = kinds[v->arm->kind],
                                .seeds = v->own_seeds ? "own" : x->spec.seeds.items[v->seeds].name,
                                .as = v->as < 0 ? NULL : x->variants.items[v->as].name,
                                .seed_count = v->seed_count,
                                .options = options_of(&v->settings),
                                .runs = arena_alloc(&c->arena, ((size_t)n + 1) * sizeof *a->runs)};
    c->n_arm = variant + 1;
    if (!a->options || !a->runs)
        return error_set_nomem(err, 64, "results");
    for (; a->n_run < n && !rc; a->n_run++)
        rc = fill_run(x, &x->cells[variant * n + a->n_run], c, &a->runs[a->n_run], err);
    return rc;
}

static int fill(const struct experiment *x, struct report_comparison *c, struct error *err)
{
    const struct spec *s = &x->spec;
    const char *end = strrchr(s->path, '/');
    int rc = 0;
    c->name = end ? end + 1 : s->path;
    c->sha256 = s->sha256;
    c->about = json_incref(s->about);
    c->random_seeds = s->random_seeds;
    c->n_random_seed = s->n_random_seed;
    c->controls = s->controls.items;
    c->n_control = s->controls.n;
    c->models = arena_alloc(&c->arena, ((size_t)s->models.n + 1) * sizeof *c->models);
    c->arms = arena_alloc(&c->arena, ((size_t)x->variants.n + 1) * sizeof *c->arms);
    if (!c->models || !c->arms)
        return error_set_nomem(err, 64, "results");
    for (; c->n_model < s->models.n; c->n_model++)
        c->models[c->n_model] = s->models.items[c->n_model].name;
    for (int v = 0; v < x->variants.n && !rc; v++)
        rc = fill_arm(x, v, c, err);
    rc = rc ? rc : gather_made(x, c, err);
    rc = rc ? rc : gather_results(x, c, err);
    return rc ? rc : findings_make(c, err);
}

int experiment_results(const struct experiment *x, struct buf *text, json_t **json, struct error *err)
{
    struct report_comparison c = {.n = 0};
    int rc = fill(x, &c, err);
    rc = rc ? rc : report_comparison_json(&c, json, err);
    rc = rc ? rc : report_comparison_write(&c, x->o.output, err);
    if (!rc)
        report_comparison_text(&c, text);
    if (!rc && text->failed)
        rc = error_set_nomem(err, text->len, "results");
    report_comparison_free(&c);
    return rc;
}
