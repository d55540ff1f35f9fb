/* SPDX-License-Identifier: Apache-2.0 */
/* What the alignments of arms asked and kept, why they did not keep the rest, and what of it is near the test: from
 * their journals, as the report of a run has it, by arm, model and round over the random seeds. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "report/comparison.h"

#include <string.h>

struct making {
    const struct experiment *x;
    struct report_comparison *c;
    struct report_run *runs; /* [n_job], read when asked for */
    unsigned char *is_read, *is_shown;
    struct error *err;
};

/* An arm with a model; its cells and its runs are by random seed. */
struct made_by {
    const struct report_arm_of *arm;
    const struct cell *cells;
    struct report_arm_run *runs;
};

static void *room(struct making *g, size_t bytes)
{
    void *p = arena_alloc(&g->c->arena, bytes + 8);
    if (!p)
        error_set_nomem(g->err, bytes, "results");
    return p;
}

/* The alignment behind a cell; *out NULL: it has none. */
static int run_of(struct making *g, const struct cell *cell, const struct report_run **out)
{
    const struct job *j = cell->made < 0 ? NULL : &g->x->jobs[cell->made];
    *out = NULL;
    if (!j || j->verb != JOB_ALIGN)
        return 0;
    struct report_run *run = &g->runs[cell->made];
    char *path = g->is_read[cell->made] ? NULL : job_file(g->x, j, "run");
    int rc = path || g->is_read[cell->made] ? 0 : error_set_nomem(g->err, 64, "a path");
    if (path && (rc = method_rounds(path, run, g->err)))
        job_unread(g->x, j, g->err);
    g->is_read[cell->made] = 1;
    mem_free(path);
    *out = rc ? NULL : run;
    return rc;
}

static int put_overlap(struct making *g, const struct made_by *by)
{
    for (int i = 0; i < g->x->spec.n_random_seed; i++) {
        const struct report_run *run;
        int rc = run_of(g, &by->cells[i], &run);
        struct report_overlap *overlap = run ? room(g, sizeof *overlap) : NULL;
        if (rc || (run && !overlap))
            return g->err->code;
        if (!run)
            continue;
        *overlap = run->overlap;
        by->runs[i].overlap = overlap;
        by->runs[i].n_seed = run->n_seed;
    }
    return 0;
}

/* *any: a random seed's alignment had that round, of those that the arm is about. */
static int put_round(struct making *g, const struct made_by *by, int round, int *any)
{
    struct report_made *m = &g->c->made[g->c->n_made];
    *m = (struct report_made){.arm = by->arm->name, .model = by->runs->model};
    m->round.reasons = room(g, SIFT_REASON_COUNT * sizeof *m->round.reasons);
    for (int i = 0; m->round.reasons && i < g->x->spec.n_random_seed; i++) {
        const struct report_run *run;
        if (run_of(g, &by->cells[i], &run))
            return g->err->code;
        if (!run || round > run->n_round || round > by->cells[i].round)
            continue;
        method_add_round(&m->round, &run->rounds[round - 1]);
        m->n_run++;
    }
    *any = m->n_run > 0;
    g->c->n_made += *any;
    return m->round.reasons ? 0 : ERROR_NOMEM;
}

static const char *own(struct making *g, const char *text)
{
    const char *copy = text ? arena_strdup(&g->c->arena, text) : NULL;
    if (text && !copy)
        error_set_nomem(g->err, strlen(text), "results");
    return copy;
}

/* Of each reason the first attempt of the alignment with the first random seed, where no arm before has it. */
static int show_attempts(struct making *g, const struct made_by *by)
{
    const struct report_run *run;
    unsigned char seen[SIFT_REASON_COUNT] = {0};
    int rc = run_of(g, by->cells, &run);
    if (rc || !run || g->is_shown[by->cells->made])
        return rc;
    g->is_shown[by->cells->made] = 1;
    for (int i = 0; i < run->n_attempt && !rc; i++) {
        const struct report_attempt *a = &run->attempts[i];
        int reason = sift_reason_find(a->reason);
        if (a->round > by->cells->round || seen[reason]++)
            continue;
        struct report_shown *s = &g->c->shown[g->c->n_shown++];
        *s = (struct report_shown){by->arm->name, by->runs->model, by->runs->random_seed, *a};
        s->attempt.question = own(g, a->question);
        s->attempt.answer = own(g, a->answer);
        rc = (a->question && !s->attempt.question) || (a->answer && !s->attempt.answer) ? ERROR_NOMEM : 0;
    }
    return rc;
}

static int add_arm(struct making *g, const struct made_by *by)
{
    int any = 1, rc = put_overlap(g, by);
    for (int round = 1; any && !rc; round++)
        rc = put_round(g, by, round, &any);
    return rc ? rc : show_attempts(g, by);
}

/* Rounds of all alignments that arms are about. */
static size_t most_rounds(const struct experiment *x)
{
    size_t n = 1;
    for (int i = 0; i < x->n_cell; i++)
        n += x->cells[i].made < 0 ? 1 : (size_t)x->cells[i].round + 1;
    return n;
}

static int add_arms(struct making *g)
{
    const struct experiment *x = g->x;
    int n_model = x->spec.models.n, n_seed = x->spec.n_random_seed, rc = 0;
    g->c->made = room(g, most_rounds(x) * sizeof *g->c->made);
    g->c->shown = room(g, (size_t)(x->variants.n * n_model) * SIFT_REASON_COUNT * sizeof *g->c->shown);
    if (!g->c->made || !g->c->shown)
        return ERROR_NOMEM;
    for (int i = 0; i < x->variants.n * n_model && !rc; i++) {
        const struct report_arm_of *arm = &g->c->arms[i / n_model];
        rc = add_arm(g, &(struct made_by){arm, &x->cells[i * n_seed], &arm->runs[i % n_model * n_seed]});
    }
    return rc;
}

int gather_made(const struct experiment *x, struct report_comparison *c, struct error *err)
{
    size_t n = (size_t)x->n_job + 1;
    struct making g = {.x = x, .c = c, .err = err};
    g.runs = mem_calloc(n, sizeof *g.runs);
    g.is_read = mem_calloc(n, 1);
    g.is_shown = mem_calloc(n, 1);
    int rc = g.runs && g.is_read && g.is_shown ? add_arms(&g) : error_set_nomem(err, n * sizeof *g.runs, "results");
    for (int i = 0; g.runs && i < x->n_job; i++)
        report_run_free(&g.runs[i]);
    mem_free(g.runs);
    mem_free(g.is_read);
    mem_free(g.is_shown);
    return rc;
}
