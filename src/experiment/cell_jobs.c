/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of one arm with one model and random seed, each with what decides its bits. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "eval/fields.h"
#include "generate/fields.h"
#include "method/fields.h"

#include <string.h>

static const struct variant *variant_of(const struct experiment *x, const struct cell *c)
{
    return &x->variants.items[c->variant];
}

static int put_text(json_t *o, const char *name, const char *text, struct error *err)
{
    return json_object_set_new(o, name, text ? json_string(text) : json_null()) ? error_set_nomem(err, 64, name) : 0;
}

/* A value that names a file or a directory counts by its content. */
static int put_content(struct experiment *x, const struct field *f, const char *value, json_t *canonical,
                       struct error *err)
{
    const struct input *in = NULL;
    const char *digest = NULL;
    char name[96];
    int rc = 0;
    field_name(f, name, sizeof name);
    if (!value || !*value)
        json_object_del(canonical, name);
    if (!value || !*value)
        return 0;
    if (*value == '{' || (!strcmp(f->name, "template") && !strcmp(value, "chat")))
        digest = value;
    else if (!strcmp(f->argument, "DIR"))
        rc = inputs_model(x->inputs, value, &digest, err);
    else
        rc = inputs_get(x->inputs, value, INPUT_AS_IS, 0, &in, err);
    if (in)
        digest = in->sha256;
    return rc ? rc : put_text(canonical, name, digest, err);
}

static int put_contents(struct experiment *x, const struct field_table *t, const void *object, json_t *canonical,
                        struct error *err)
{
    int rc = canonical ? 0 : error_set_nomem(err, 1024, "options");
    for (int i = 0; i < t->n && !rc; i++) {
        const struct field *f = &t->rows[i];
        if (f->type == FIELD_STRING && (!strcmp(f->argument, "FILE") || !strcmp(f->argument, "DIR")))
            rc = put_content(x, f, *(const char *const *)(const void *)((const char *)object + f->offset), canonical,
                             err);
    }
    return rc;
}

/* What every job is known by besides its options. */
static int put_common(struct experiment *x, struct job *j, struct error *err)
{
    char seed[24];
    const char *digest = NULL;
    int rc = j->canonical ? 0 : error_set_nomem(err, 1024, "options");
    snprintf(seed, sizeof seed, "%llu", j->seed);
    rc = rc ? rc : put_text(j->canonical, "verb", job_verb_name(j->verb), err);
    rc = rc ? rc : put_text(j->canonical, "seed", seed, err);
    if (!rc && j->from < 0)
        rc = inputs_model(x->inputs, j->model, &digest, err);
    if (!rc && j->from >= 0) {
        json_t *made = json_pack("{s:s, s:i}", "job", x->jobs[j->from].hash, "round", j->round);
        rc = made && !json_object_set_new(j->canonical, "model", made) ? 0 : error_set_nomem(err, 64, "a job");
    } else if (!rc) {
        rc = put_text(j->canonical, "model", digest, err);
    }
    if (!rc && j->seeds)
        rc = put_text(j->canonical, "seeds", j->seeds->sha256, err);
    return rc || !j->test ? rc : put_text(j->canonical, "test", j->test->sha256, err);
}

static int set_label(struct experiment *x, const struct cell *c, struct job *j, const char *more, struct error *err)
{
    const struct spec *s = &x->spec;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s%s%s", variant_of(x, c)->name, more ? " " : "", more ? more : "");
    if (s->models.n > 1)
        buf_printf(&b, ", %s", s->models.items[c->model].name);
    if (s->n_random_seed > 1)
        buf_printf(&b, ", seed %llu", s->random_seeds[c->random_seed]);
    j->label = b.failed ? NULL : arena_strdup(&x->arena, buf_text(&b));
    buf_free(&b);
    return j->label ? 0 : error_set_nomem(err, 64, "a name");
}

static int get_seeds(struct experiment *x, const struct variant *v, const struct input **out, struct error *err)
{
    const char *path = v->own_seeds ? v->own_seeds : x->spec.seeds.items[v->seeds].path;
    return inputs_get(x->inputs, path, INPUT_PAIRS, v->seed_count, out, err);
}

static void begin(struct experiment *x, const struct cell *c, enum job_verb verb, struct job *j)
{
    *j = (struct job){.verb = verb,
                      .model = x->spec.models.items[c->model].path,
                      .from = -1,
                      .budget_of = -1,
                      .answers_of = -1,
                      .seed = x->spec.random_seeds[c->random_seed]};
    align_options_default(&j->plan);
}

/* The job as it is if all went well, else nothing is left of it. */
static int add(struct experiment *x, struct job *j, int *index, int rc, struct error *err)
{
    if (!rc)
        return jobs_add(x, j, index, err);
    json_decref(j->canonical);
    json_decref(j->options);
    return rc;
}

/* --- align --- */

/* Of one round with all samples: the other arm's options, and its own over them. */
static int one_round(struct experiment *x, const struct variant *v, struct settings *out, struct error *err)
{
    const struct variant *as = &x->variants.items[v->as];
    struct align_options o;
    json_t *given = NULL;
    char *text = arena_alloc(&x->arena, 24);
    *out = as->settings;
    int rc = text ? switches_align(&as->settings, x->spec.path, &o, &given, err) : error_set_nomem(err, 24, "a number");
    json_decref(given);
    if (rc)
        return rc;
    snprintf(text, 24, "%lld", (long long)o.rounds * o.attempts);
    const struct setting both[] = {{"rounds", "1", 0}, {"attempts", text, 0}};
    const struct settings more = {(struct setting *)(uintptr_t)both, 2};
    rc = settings_add(out, &more, &x->arena, err);
    return rc ? rc : settings_add(out, &v->arm->settings, &x->arena, err);
}

/* What the alignment itself would refuse, hours later. */
static int check_align(const struct experiment *x, const struct variant *v, const struct job *j, struct error *err)
{
    struct align_options o = j->plan;
    o.model = j->model;
    o.seeds = j->seeds->path;
    o.test = j->test->path;
    o.output = "."; /* nothing is written */
    if (v->arm->round > o.rounds)
        return spec_fail(&x->spec, v->arm->line, err, "%.60s: round: wanted one of its rounds (%d), found %d",
                         v->arm->name, o.rounds, v->arm->round);
    int rc = align_options_check(&o, err);
    rc = rc ? rc : align_recipe_check(&o, err);
    return rc ? error_prefix(err, "%s:%ld", x->spec.path, v->arm->line) : 0;
}

int cell_align(struct experiment *x, struct cell *c, struct error *err)
{
    const struct variant *v = variant_of(x, c);
    struct settings settings = v->settings;
    struct job j;
    int index = 0, rc = 0;
    if (v->arm->kind != ARM_ISARA && v->arm->kind != ARM_ISARA_ONE)
        return 0;
    begin(x, c, JOB_ALIGN, &j);
    if (v->arm->kind == ARM_ISARA_ONE)
        rc = one_round(x, v, &settings, err);
    rc = rc ? rc : switches_align(&settings, x->spec.path, &j.plan, &j.options, err);
    if (!rc && !settings_find(&settings, "samples")) {
        j.plan.samples = 0; /* eval answers the questions */
        rc = json_object_set_new(j.options, "samples", json_integer(0)) ? error_set_nomem(err, 64, "options") : 0;
    }
    rc = rc ? rc : get_seeds(x, v, &j.seeds, err);
    rc = rc ? rc : inputs_questions(x->inputs, &x->spec.tests, &j.test, err);
    rc = rc ? rc : check_align(x, v, &j, err);
    j.canonical = rc ? NULL : switches_align_canonical(&j.plan);
    rc = rc ? rc : put_contents(x, &align_fields, &j.plan, j.canonical, err);
    rc = rc ? rc : put_common(x, &j, err);
    rc = rc ? rc : set_label(x, c, &j, NULL, err);
    j.plan.model = j.model;
    j.rounds = j.plan.rounds;
    if (!rc)
        json_object_del(j.canonical, "rounds");
    int wanted = j.rounds;
    rc = add(x, &j, &index, rc, err);
    if (!rc && x->jobs[index].rounds < wanted)
        x->jobs[index].rounds = wanted;
    c->made = rc ? -1 : index;
    c->round = v->arm->round ? v->arm->round : wanted;
    return rc;
}

/* --- train --- */

/* Its own options over those of the arm that it is counted of, so that it differs in nothing that is not named. */
static int train_settings(struct experiment *x, const struct variant *v, struct settings *out, struct error *err)
{
    *out = v->as >= 0 ? x->variants.items[v->as].settings : v->settings;
    return v->as >= 0 ? settings_add(out, &v->arm->settings, &x->arena, err) : 0;
}

static const struct cell *cell_as(const struct experiment *x, const struct cell *c)
{
    int as = variant_of(x, c)->as;
    for (int i = 0; i < x->n_cell && as >= 0; i++)
        if (x->cells[i].variant == as && x->cells[i].model == c->model && x->cells[i].random_seed == c->random_seed)
            return &x->cells[i];
    return NULL;
}

static int put_budget(struct experiment *x, struct job *j, struct error *err)
{
    static const char *const names[] = {"kept", "steps", "epochs"};
    if (j->budget_of < 0)
        return 0;
    json_t *of =
        json_pack("{s:s, s:s, s:i}", "of", x->jobs[j->budget_of].hash, "count", names[j->budget], "round", j->round_of);
    return of && !json_object_set_new(j->canonical, "budget", of) ? 0 : error_set_nomem(err, 64, "a job");
}

static int put_rows(struct experiment *x, struct job *j, const struct settings *s, struct error *err)
{
    const struct setting *t = settings_find(s, "template"), *system = settings_find(s, "system");
    const struct input *in = NULL;
    int rc = 0;
    j->template = t ? t->text : NULL;
    j->system = system ? system->text : NULL;
    if (t && *t->text != '{' && strcmp(t->text, "chat"))
        rc = inputs_get(x->inputs, t->text, INPUT_AS_IS, 0, &in, err);
    const struct setting *keep = settings_find(s, "keep-test-overlap");
    j->keep_overlap = keep && (!strcmp(keep->text, "true") || !strcmp(keep->text, "1"));
    if (!rc && j->keep_overlap && json_object_set_new(j->canonical, "keep-test-overlap", json_true()))
        rc = error_set_nomem(err, 64, "a job");
    const char *template = in ? in->sha256 : j->template, *pairs = j->pairs ? j->pairs->sha256 : NULL;
    rc = rc ? rc : put_text(j->canonical, "template", template, err);
    rc = rc || !j->system ? rc : put_text(j->canonical, "system", j->system, err);
    return rc ? rc : put_text(j->canonical, "pairs", pairs, err);
}

int cell_train(struct experiment *x, struct cell *c, struct error *err)
{
    const struct variant *v = variant_of(x, c);
    const struct cell *as = cell_as(x, c);
    struct settings settings;
    struct job j;
    int index = 0;
    if (v->arm->kind != ARM_SFT_SEEDS && v->arm->kind != ARM_SFT_REAL)
        return 0;
    begin(x, c, JOB_TRAIN, &j);
    j.budget = v->arm->budget;
    j.budget_of = as ? as->made : -1;
    j.round_of = as ? as->round : 0;
    int rc = train_settings(x, v, &settings, err);
    rc = rc ? rc : switches_train(&settings, x->spec.path, &j.plan.train, &j.options, err);
    if (!rc && (rc = train_options_check(&j.plan.train, err)))
        error_prefix(err, "%s:%ld", x->spec.path, v->arm->line);
    rc = rc ? rc : get_seeds(x, v, &j.seeds, err);
    rc = rc ? rc : inputs_questions(x->inputs, &x->spec.tests, &j.test, err);
    if (!rc && v->arm->pairs)
        rc = inputs_get(x->inputs, v->arm->pairs, INPUT_PAIRS, 0, &j.pairs, err);
    j.canonical = rc ? NULL : switches_train_canonical(&j.plan.train);
    rc = rc ? rc : put_common(x, &j, err);
    rc = rc ? rc : put_rows(x, &j, &settings, err);
    rc = rc ? rc : put_budget(x, &j, err);
    rc = rc ? rc : set_label(x, c, &j, NULL, err);
    j.plan.dtype = j.plan.train.dtype;
    rc = add(x, &j, &index, rc, err);
    c->made = rc ? -1 : index;
    return rc;
}

/* --- eval --- */

/* Options as the task has them: contexts and seed where they decide anything. */
static int eval_options_of(struct experiment *x, const struct cell *c, const struct measure *m, struct job *j,
                           struct eval_options *o, struct error *err)
{
    const struct variant *v = variant_of(x, c);
    struct settings settings = v->settings;
    int rc = settings_add(&settings, &m->metric->settings, &x->arena, err);
    rc = rc ? rc : switches_eval(&settings, x->spec.path, o, &j->options, err);
    if (rc)
        return rc;
    int answers = strcmp(m->metric->task, "perplexity") != 0; /* text has no seeds before it */
    int icl = answers && (v->arm->kind == ARM_ICL_KNN || v->arm->kind == ARM_ICL_RANDOM);
    j->arm = icl ? "icl-knn" : "zero-shot";
    if (icl && v->arm->kind == ARM_ICL_RANDOM)
        j->arm = "icl-random";
    j->task = m->metric->task;
    j->test = m->input;
    if (metric_wants_judge(j->task))
        j->judge = m->metric->judge ? m->metric->judge : x->spec.judge;
    if (!answers || (v->arm->kind != ARM_ICL_RANDOM && !o->decode.do_sample))
        j->seed = 0;
    o->task = j->task;
    o->arm = j->arm;
    o->judge = j->judge;
    j->plan.answer = o->decode;
    j->plan.k = icl ? o->k : 0;
    j->plan.dtype = o->dtype;
    if (icl && o->retriever && !strcmp(o->retriever, "encoder") && !o->encoder)
        return spec_fail(&x->spec, v->arm->line, err, "%.60s: retriever: encoder wants encoder: DIR, found none",
                         v->arm->name);
    if (icl)
        return get_seeds(x, v, &j->seeds, err);
    static const char *const unread[] = {"k", "retriever", "encoder"};
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++)
        json_object_del(j->options, unread[i]);
    o->k = 5;
    o->retriever = o->encoder = NULL;
    return 0;
}

/* Only how answers are judged may be another than how others are measured. */
static int judges_only(const struct settings *s)
{
    static const char *const names[] = {"eval-threshold", "eval-judge-mode", "eval-guard-words"};
    int n = 0;
    for (int i = 0; i < s->n; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            n += !strcmp(s->items[i].name, names[k]);
    return n == s->n;
}

/* The measure that answers the same questions in the same way; -1: none. */
static int answered_by(const struct experiment *x, int measure)
{
    const struct measure *m = &x->measures[measure];
    if (strcmp(m->metric->task, "beavertails") || !m->test || m->input->path == m->input->source ||
        !judges_only(&m->metric->settings))
        return -1;
    for (int i = 0; i < x->n_measure; i++)
        if (!strcmp(x->measures[i].metric->task, "qa") && x->measures[i].test == m->test &&
            !x->measures[i].metric->settings.n)
            return i;
    return -1;
}

static int cell_eval(struct experiment *x, struct cell *c, int measure, struct error *err)
{
    const struct measure *m = &x->measures[measure];
    struct eval_options o;
    struct job j;
    char what[160];
    begin(x, c, JOB_EVAL, &j);
    j.from = c->made;
    j.round = c->round;
    int answered = answered_by(x, measure);
    j.answers_of = answered < 0 ? -1 : c->evals[answered];
    int rc = eval_options_of(x, c, m, &j, &o, err);
    rc = rc ? rc : eval_options_check(&o, err);
    j.canonical = rc ? NULL : switches_eval_canonical(&o);
    rc = rc ? rc : put_contents(x, &eval_fields, &o, j.canonical, err);
    rc = rc ? rc : put_common(x, &j, err);
    rc = rc ? rc : put_text(j.canonical, "task", j.task, err);
    if (!rc && j.answers_of >= 0)
        rc = put_text(j.canonical, "answers", x->jobs[j.answers_of].hash, err);
    snprintf(what, sizeof what, "%s%s%s", m->metric->name, m->test && *m->test->name ? " of " : "",
             m->test ? m->test->name : "");
    rc = rc ? rc : set_label(x, c, &j, what, err);
    return add(x, &j, &c->evals[measure], rc, err);
}

int cell_evals(struct experiment *x, struct cell *c, struct error *err)
{
    int rc = 0;
    for (int judging = 0; judging < 2; judging++) /* after what they judge */
        for (int i = 0; i < x->n_measure && !rc; i++)
            if ((answered_by(x, i) >= 0) == judging)
                rc = cell_eval(x, c, i, err);
    return rc;
}
