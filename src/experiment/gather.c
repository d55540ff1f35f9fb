/* SPDX-License-Identifier: Apache-2.0 */
/* From the jobs' directories to the tree of results: each arm on each metric with each random seed, and beside its
 * controls. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "eval/measured.h"
#include "report/comparison.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>

static const double LEVEL = 0.95;

struct gathering {
    const struct experiment *x;
    struct report_comparison *c;
    struct measured *jobs; /* [n_job], read when asked for */
    unsigned char *is_read;
    int cap;
    struct error *err;
};

static int read_job(const struct experiment *x, const struct job *j, struct measured *m, struct error *err)
{
    char *directory = job_file(x, j, "eval");
    int rc = directory ? 0 : error_set_nomem(err, 64, "a path");
    const struct measured_from from = {.directory = directory,
                                       .task = j->task,
                                       .threshold = json_number_value(json_object_get(j->canonical, "threshold")),
                                       .report = json_object_get(j->result, "report")};
    if (!rc && (rc = measured_read(m, &from, err)))
        job_unread(x, j, err);
    mem_free(directory);
    return rc;
}

static const struct measured *measured_of(struct gathering *g, int job)
{
    if (!g->is_read[job] && read_job(g->x, &g->x->jobs[job], &g->jobs[job], g->err))
        return NULL;
    g->is_read[job] = 1;
    return &g->jobs[job];
}

static const struct cell *cell_of(const struct experiment *x, int variant, int model, int random_seed)
{
    return &x->cells[(variant * x->spec.models.n + model) * x->spec.n_random_seed + random_seed];
}

/* One table: a metric of a test with a model. */
struct place {
    int model, measure;
    const char *column;
};

static const struct measured_column *value_of(struct gathering *g, const struct place *p, int variant, int random_seed)
{
    const struct cell *c = cell_of(g->x, variant, p->model, random_seed);
    const struct measured *m = measured_of(g, c->evals[p->measure]);
    return m ? measured_find(m, p->column) : NULL;
}

/* Student's t over the random seeds that have a value. x: room for n. */
static void over_seeds(const double *values, int n, double *x, struct report_measured *m)
{
    m->n_value = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(values[i]))
            x[m->n_value++] = values[i];
    struct stats_interval t = stats_t_interval(x, m->n_value, LEVEL);
    m->mean = m->n_value ? stats_mean(x, m->n_value) : NAN;
    m->sd = m->n_value > 1 ? stats_sd(x, m->n_value) : NAN;
    m->low = t.low;
    m->high = t.high;
}

static void *room(struct gathering *g, size_t bytes)
{
    void *p = arena_alloc(&g->c->arena, bytes + 8);
    if (!p)
        error_set_nomem(g->err, bytes, "results");
    return p;
}

static int measure_arm(struct gathering *g, const struct place *p, int variant, struct report_measured *m)
{
    const struct experiment *x = g->x;
    const struct measure *measure = &x->measures[p->measure];
    int n = x->spec.n_random_seed;
    struct buf name = BUF_INIT;
    int answers = !strncmp(p->column, "answers.", 8);
    buf_printf(&name, "%s%s%s", answers ? "" : measure->metric->name, answers ? "" : ".", p->column);
    *m = (struct report_measured){.arm = x->variants.items[variant].name,
                                  .model = x->spec.models.items[p->model].name,
                                  .test = measure->test ? measure->test->name : "",
                                  .metric = arena_strdup(&g->c->arena, buf_text(&name)),
                                  .better = measured_better(p->column),
                                  .values = room(g, (size_t)n * sizeof *m->values),
                                  .rows = room(g, (size_t)n * sizeof *m->rows),
                                  .n = n};
    double *work = room(g, (size_t)n * sizeof *work);
    buf_free(&name);
    if (!m->values || !m->rows || !work || !m->metric)
        return ERROR_NOMEM;
    for (int r = 0; r < n; r++) {
        int job = cell_of(x, variant, p->model, r)->evals[p->measure];
        const struct measured_column *c = value_of(g, p, variant, r);
        if (!g->is_read[job])
            return g->err->code;
        m->values[r] = c ? measured_mean(&g->jobs[job], c, &m->rows[r]) : NAN;
    }
    over_seeds(m->values, n, work, m);
    return 0;
}

/* --- beside a control --- */

/* Each question's mean over the random seeds that have it. */
struct questions {
    const double *values; /* [n]; NULL: questions have no value */
    int n;
};
/* One metric of a test with a model: its arms, and the tests of the family that Holm's correction is over. */
struct table {
    struct report_measured *list;
    struct questions *questions; /* [n] */
    int n;
    struct tested {
        struct report_beside *beside;
        const struct questions *mine, *theirs;
    } * tested;
    int n_tested;
};

/* Leaves *out empty where questions have no value. */
static int by_question(struct gathering *g, const struct place *p, int variant, struct questions *out)
{
    const struct experiment *x = g->x;
    double *sum = NULL;
    int *count = NULL, n = 0;
    for (int r = 0; r < x->spec.n_random_seed; r++) {
        const struct measured_column *c = value_of(g, p, variant, r);
        const struct measured *m = &g->jobs[cell_of(x, variant, p->model, r)->evals[p->measure]];
        if (!c || !c->rows || (sum && m->n_row != n))
            return 0;
        if (!sum) {
            n = m->n_row;
            sum = room(g, (size_t)n * sizeof *sum);
            count = room(g, (size_t)n * sizeof *count);
        }
        if (!sum || !count)
            return ERROR_NOMEM;
        for (int i = 0; i < n; i++)
            if (!isnan(c->rows[i])) {
                sum[i] += c->rows[i];
                count[i]++;
            }
    }
    for (int i = 0; i < n; i++)
        sum[i] = count[i] ? sum[i] / count[i] : NAN;
    *out = (struct questions){sum, n};
    return 0;
}

static int test_questions(struct table *t, const struct tested *of, struct error *err)
{
    struct report_beside *out = of->beside;
    struct measured_change c;
    int rc = measured_change(of->mine->values, of->theirs->values, of->mine->n, &c, err);
    out->n = rc ? 0 : c.n;
    if (!out->n)
        return rc;
    out->change = c.paired.change.mean;
    out->low = c.paired.change.interval.low;
    out->high = c.paired.change.interval.high;
    out->interval = stats_mean_kind_name(c.paired.change.kind);
    out->dz = c.paired.dz;
    out->p = c.paired.test.p;
    out->n_tested = c.paired.test.n;
    if (isfinite(out->p))
        t->tested[t->n_tested++] = *of;
    return 0;
}

/* The differences of the same random seed's values. */
static int test_seeds(struct gathering *g, const struct report_measured *a, const struct report_measured *b,
                      struct report_beside *out)
{
    double *d = room(g, (size_t)a->n * sizeof *d);
    int n = 0;
    for (int i = 0; d && i < a->n; i++)
        if (isfinite(a->values[i]) && isfinite(b->values[i]))
            d[n++] = a->values[i] - b->values[i];
    if (!d)
        return ERROR_NOMEM;
    struct stats_interval t = stats_t_interval(d, n, LEVEL);
    out->seeds_change = n ? stats_mean(d, n) : NAN;
    out->seeds_low = t.low;
    out->seeds_high = t.high;
    return 0;
}

static int compare_arm(struct gathering *g, struct table *t, int variant)
{
    const struct experiment *x = g->x;
    struct report_measured *m = &t->list[variant];
    int rc = 0;
    m->beside = room(g, (size_t)x->spec.controls.n * sizeof *m->beside);
    for (int k = 0; m->beside && k < x->spec.controls.n && !rc; k++) {
        const struct variant *v = &x->variants.items[variant];
        const struct spec_arm *arm = spec_arm_find(&x->spec, x->spec.controls.items[k]);
        const struct variant *control = variant_beside(&x->variants, v, arm);
        if (!control || control == v)
            continue;
        int other = (int)(control - x->variants.items);
        struct report_beside *b = &m->beside[m->n_beside++];
        *b = (struct report_beside){.control = control->name,
                                    .change = NAN,
                                    .low = NAN,
                                    .high = NAN,
                                    .dz = NAN,
                                    .p = NAN,
                                    .p_holm = NAN,
                                    .found = NAN};
        const struct tested of = {b, &t->questions[variant], &t->questions[other]};
        if (of.mine->values && of.theirs->values && of.mine->n == of.theirs->n)
            rc = test_questions(t, &of, g->err);
        rc = rc ? rc : test_seeds(g, m, &t->list[other], b);
    }
    return m->beside ? rc : ERROR_NOMEM;
}

/* Holm over all tests of a table, and what each of them finds then. */
static int correct_table(struct gathering *g, const struct table *t)
{
    int n = t->n_tested;
    double *p = room(g, (size_t)n * sizeof *p);
    if (!p)
        return ERROR_NOMEM;
    for (int i = 0; i < n; i++)
        p[i] = t->tested[i].beside->p;
    int rc = n ? stats_holm(p, n, p, g->err) : 0;
    for (int i = 0; i < n && !rc; i++) {
        const struct tested *one = &t->tested[i];
        one->beside->p_holm = p[i];
        rc = measured_finds(one->mine->values, one->theirs->values, one->mine->n, n, &one->beside->found, g->err);
    }
    return rc;
}

static int compare_table(struct gathering *g, const struct place *p, struct table *t)
{
    size_t most = (size_t)t->n * (size_t)g->x->spec.controls.n;
    int rc = 0;
    t->questions = room(g, (size_t)t->n * sizeof *t->questions);
    t->tested = room(g, most * sizeof *t->tested);
    if (!t->questions || !t->tested)
        return ERROR_NOMEM;
    for (int v = 0; v < t->n && !rc; v++)
        rc = by_question(g, p, v, &t->questions[v]);
    for (int v = 0; v < t->n && !rc; v++)
        rc = compare_arm(g, t, v);
    return rc ? rc : correct_table(g, t);
}

static int add_table(struct gathering *g, const struct place *p)
{
    struct report_comparison *c = g->c;
    int n = g->x->variants.n, rc = 0;
    if (c->n + n > g->cap) {
        int cap = 2 * (c->n + n);
        struct report_measured *list = room(g, (size_t)cap * sizeof *list);
        if (!list)
            return ERROR_NOMEM;
        if (c->n)
            memcpy(list, c->list, (size_t)c->n * sizeof *list);
        c->list = list;
        g->cap = cap;
    }
    struct table t = {.list = &c->list[c->n], .n = n};
    for (int v = 0; v < n && !rc; v++)
        rc = measure_arm(g, p, v, &t.list[v]);
    rc = rc ? rc : compare_table(g, p, &t);
    c->n += rc ? 0 : n;
    return rc;
}

/* Answers are the same for every task that asks for them; they are looked at once a test. */
static int is_first_of_test(const struct experiment *x, int measure)
{
    const struct measure *m = &x->measures[measure];
    for (int i = 0; i < measure; i++)
        if (x->measures[i].test == m->test && m->test)
            return 0;
    return m->test != NULL;
}

/* Of every test: what the answers are like, which may be a cost, or what a metric is about. */
static int add_measure(struct gathering *g, int model, int measure, int of_answers)
{
    const struct experiment *x = g->x;
    const struct measured *m = measured_of(g, cell_of(x, 0, model, 0)->evals[measure]);
    int rc = m ? 0 : g->err->code;
    for (int k = 0; m && k < m->n && !rc; k++) {
        const struct place p = {model, measure, m->columns[k].name};
        int is_of_answers = !strncmp(p.column, "answers.", 8);
        if (is_of_answers == of_answers && (!of_answers || is_first_of_test(x, measure)))
            rc = add_table(g, &p);
    }
    return rc;
}

static int add_tables(struct gathering *g)
{
    const struct experiment *x = g->x;
    int rc = 0;
    for (int model = 0; model < x->spec.models.n; model++)
        for (int of_answers = 0; of_answers < 2; of_answers++)
            for (int i = 0; i < x->n_measure && !rc; i++)
                rc = add_measure(g, model, i, of_answers);
    return rc;
}

int gather_results(const struct experiment *x, struct report_comparison *c, struct error *err)
{
    struct gathering g = {.x = x, .c = c, .err = err};
    g.jobs = mem_calloc((size_t)x->n_job + 1, sizeof *g.jobs);
    g.is_read = mem_calloc((size_t)x->n_job + 1, 1);
    int rc = g.jobs && g.is_read ? add_tables(&g) : error_set_nomem(err, (size_t)x->n_job * sizeof *g.jobs, "results");
    for (int i = 0; g.jobs && i < x->n_job; i++)
        arena_free(&g.jobs[i].arena);
    mem_free(g.jobs);
    mem_free(g.is_read);
    return rc;
}
