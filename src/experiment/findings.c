/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree of results, what is to be said first: which arm gains most over the best of its controls; and what the
 * tests could have shown. */
#include "experiment/parts.h"

#include "report/comparison.h"

#include <math.h>
#include <string.h>

static const double SIGNIFICANT = 0.05;

struct metric { /* its arms, in a row */
    const struct report_measured *list;
    int n;
};

static const struct report_measured *arm_find(const struct metric *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->list[i].arm, name))
            return &t->list[i];
    return NULL;
}

static int is_control(const struct metric *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->list[i].n_beside; k++)
            if (!strcmp(t->list[i].beside[k].control, name))
                return 1;
    return 0;
}

/* 1: greater is better, -1: smaller is. */
static int direction(const struct report_measured *m)
{
    return strcmp(m->better, "lower") ? 1 : -1;
}

/* Beside the best of its controls; the arm stays NULL where there is none to compare. */
static struct report_finding beside_best(const struct metric *t, const struct report_measured *m)
{
    struct report_finding best = {.n_arm = 0};
    for (int k = 0; k < m->n_beside; k++) {
        const struct report_beside *b = &m->beside[k];
        const struct report_measured *control = arm_find(t, b->control);
        if (!control || !b->n || isnan(b->change))
            continue;
        if (!best.arm || direction(m) * (control->mean - best.control->mean) > 0)
            best = (struct report_finding){.arm = m, .control = control, .beside = b};
    }
    return best;
}

static int is_better(const struct report_finding *f)
{
    const struct report_beside *b = f->beside;
    double near = direction(f->arm) > 0 ? b->low : -b->high;
    return near > 0 && b->p_holm < SIGNIFICANT;
}

static struct report_finding find(const struct metric *t)
{
    struct report_finding most = {.n_arm = 0};
    int n_arm = 0, n_better = 0;
    for (int i = 0; i < t->n; i++) {
        const struct report_measured *m = &t->list[i];
        struct report_finding f = {.n_arm = 0};
        if (!is_control(t, m->arm))
            f = beside_best(t, m);
        if (!f.arm)
            continue;
        n_arm++;
        n_better += is_better(&f);
        if (!most.arm || direction(m) * (f.beside->change - most.beside->change) > 0)
            most = f;
    }
    most.n_arm = n_arm;
    most.n_better = n_better;
    return most;
}

static void add_test(struct report_power *p, const struct report_beside *b)
{
    p->n_question = p->n && p->n_question < b->n ? p->n_question : b->n;
    p->n++;
    p->n_none += isnan(b->found);
    p->least = fmin(p->least, b->found); /* of a number and NAN: the number */
    p->most = fmax(p->most, b->found);
}

static struct report_power power_of(const struct metric *t)
{
    struct report_power p = {.of = t->list, .least = NAN, .most = NAN};
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->list[i].n_beside; k++)
            if (t->list[i].beside[k].n && isfinite(t->list[i].beside[k].p))
                add_test(&p, &t->list[i].beside[k]);
    return p;
}

int findings_make(struct report_comparison *c, struct error *err)
{
    c->findings = arena_alloc(&c->arena, ((size_t)c->n + 1) * sizeof *c->findings);
    c->power = arena_alloc(&c->arena, ((size_t)c->n + 1) * sizeof *c->power);
    if (!c->findings || !c->power)
        return error_set_nomem(err, (size_t)c->n * sizeof *c->findings, "findings");
    for (int i = 0, n; i < c->n; i += n) {
        n = report_metric_size(c, i);
        const struct report_power power = power_of(&(struct metric){&c->list[i], n});
        if (power.n)
            c->power[c->n_power++] = power;
        if (!c->list[i].better || report_is_cost(c->list[i].metric))
            continue;
        const struct report_finding f = find(&(struct metric){&c->list[i], n});
        if (f.arm)
            c->findings[c->n_finding++] = f;
    }
    return 0;
}
