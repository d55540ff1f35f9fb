/* SPDX-License-Identifier: Apache-2.0 */
/* Every arm with every model and random seed, and the jobs that it needs: alignments first, since those that differ in
 * nothing but the number of their rounds are one; then what is counted of them; then the measuring. */
#include "experiment/parts.h"

#include "base/mem.h"

#include <string.h>

/* Of its test set; those of the other tasks have a form of their own. */
static enum input_form form_of(const char *task)
{
    if (!strcmp(task, "beavertails"))
        return INPUT_PROMPTS;
    return !strcmp(task, "qa") || !strcmp(task, "utility") ? INPUT_QUESTIONS : INPUT_AS_IS;
}

static int make_measures(struct experiment *x, struct error *err)
{
    struct spec *s = &x->spec;
    x->measures = mem_calloc((size_t)s->n_metric * (size_t)s->tests.n + 1, sizeof *x->measures);
    int rc = x->measures ? 0 : error_set_nomem(err, 64, "metrics");
    for (int m = 0; m < s->n_metric && !rc; m++) {
        const struct spec_metric *metric = &s->metrics[m];
        enum input_form form = form_of(metric->task);
        for (int t = 0; t < (metric->test ? 1 : s->tests.n) && !rc; t++) {
            struct measure *to = &x->measures[x->n_measure++];
            to->metric = metric;
            to->test = metric->test ? NULL : &s->tests.items[t];
            rc = inputs_get(x->inputs, metric->test ? metric->test : to->test->path, form, 0, &to->input, err);
        }
    }
    return rc;
}

static int make_cells(struct experiment *x, struct error *err)
{
    struct spec *s = &x->spec;
    size_t n = (size_t)x->variants.n * (size_t)s->models.n * (size_t)s->n_random_seed;
    x->cells = mem_calloc(n + 1, sizeof *x->cells);
    if (!x->cells)
        return error_set_nomem(err, n * sizeof *x->cells, "arms");
    for (int v = 0; v < x->variants.n; v++)
        for (int m = 0; m < s->models.n; m++)
            for (int r = 0; r < s->n_random_seed; r++) {
                struct cell *c = &x->cells[x->n_cell++];
                *c = (struct cell){.variant = v, .model = m, .random_seed = r, .made = -1};
                c->evals = mem_calloc((size_t)x->n_measure + 1, sizeof *c->evals);
                if (!c->evals)
                    return error_set_nomem(err, 64, "arms");
            }
    return 0;
}

/* Alignments are found by their content without rounds; what they are known by has the most that an arm wants. */
static int settle_rounds(struct experiment *x, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < x->n_job && !rc; i++) {
        struct job *j = &x->jobs[i];
        int failed = json_object_set_new(j->canonical, "rounds", json_integer(j->rounds)) |
                     json_object_set_new(j->options, "rounds", json_integer(j->rounds));
        j->plan.rounds = j->rounds;
        rc = failed ? error_set_nomem(err, 64, "a job") : job_hash(j, err);
    }
    return rc;
}

static int each_cell(struct experiment *x, int (*make)(struct experiment *x, struct cell *c, struct error *err),
                     struct error *err)
{
    int rc = 0;
    for (int i = 0; i < x->n_cell && !rc; i++)
        if ((rc = make(x, &x->cells[i], err)) != 0)
            error_prefix(err, "arm %s", x->variants.items[x->cells[i].variant].name);
    return rc;
}

int cells_make(struct experiment *x, struct error *err)
{
    int rc = make_measures(x, err);
    rc = rc ? rc : make_cells(x, err);
    rc = rc ? rc : each_cell(x, cell_align, err);
    rc = rc ? rc : settle_rounds(x, err);
    rc = rc ? rc : each_cell(x, cell_train, err);
    return rc ? rc : each_cell(x, cell_evals, err);
}
