/* SPDX-License-Identifier: Apache-2.0 */
/* What an alignment may have cost besides: what the arms' answers are like, from the journal, and evaluations that
 * stand in the run's directory (eval/NAME, written by isara eval --output) of general text and of prompts that only
 * sound harmful. All by the columns that an experiment's arms have too (eval/measured.h). */
#include "method/parts.h"

#include "base/mem.h"
#include "eval/measured.h"
#include "io/file.h"

#include <math.h>
#include <string.h>

struct taxed { /* one arm on one set */
    const char *arm;
    struct measured m;
    json_t *settings; /* of an evaluation, without what is of the model; null: of the run itself */
    int listed;
};
struct taxing {
    struct report_run *r;
    struct taxed *list;
    int n;
};

static struct report_tax *push(struct report_run *r)
{
    if ((r->n_tax & (r->n_tax - 1)) == 0) {
        struct report_tax *all = arena_alloc(&r->arena, (2 * (size_t)r->n_tax + 1) * sizeof *all);
        if (all && r->n_tax)
            memcpy(all, r->tax, (size_t)r->n_tax * sizeof *all);
        r->tax = all;
    }
    return r->tax ? &r->tax[r->n_tax++] : NULL;
}

static int fill_change(struct report_tax *x, const struct taxed *mine, const struct taxed *base, struct error *err)
{
    const struct measured_column *a = measured_find(&mine->m, x->metric), *b = measured_find(&base->m, x->metric);
    struct measured_change c;
    if (!a || !b || !a->rows != !b->rows || mine->m.n_row != base->m.n_row)
        return 0;
    if (!a->rows) {
        x->change = a->whole - b->whole;
        return 0;
    }
    int rc = measured_change(a->rows, b->rows, mine->m.n_row, &c, err);
    if (rc || !c.n)
        return rc;
    x->n_both = c.n;
    x->change = c.paired.change.mean;
    x->low = c.paired.change.interval.low;
    x->high = c.paired.change.interval.high;
    x->interval = stats_mean_kind_name(c.paired.change.kind);
    return 0;
}

static const char *own(struct report_run *r, const char *text, int *failed)
{
    const char *copy = text ? arena_strdup(&r->arena, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

/* base: the pretrained model's on the same set; NULL: there is none. */
static int put_value(struct taxing *t, const struct taxed *of, const char *column, const struct taxed *base,
                     struct error *err)
{
    const struct measured_column *c = measured_find(&of->m, column);
    struct report_tax *x = c ? push(t->r) : NULL;
    int failed = 0, n = 0;
    if (!x)
        return c ? error_set_nomem(err, 4096, "results") : 0;
    double value = measured_mean(&of->m, c, &n);
    *x =
        (struct report_tax){.arm = own(t->r, of->arm, &failed),
                            .metric = own(t->r, column, &failed),
                            .better = measured_better(column),
                            .test = own(t->r, json_string_value(json_object_get(of->settings, "test-sha256")), &failed),
                            .n = n,
                            .value = value,
                            .change = NAN,
                            .low = NAN,
                            .high = NAN,
                            .interval = stats_mean_kind_name(STATS_MEAN_NONE)};
    if (failed)
        return error_set_nomem(err, 256, "results");
    return base && base != of ? fill_change(x, of, base, err) : 0;
}

/* An evaluation's answers are like those to the run's own questions. */
static int is_wanted(const struct taxed *of, const char *column)
{
    return json_is_null(of->settings) || strncmp(column, "answers.", 8) != 0;
}

/* Those on one set, metric by metric. */
static int put_group(struct taxing *t, struct taxed **group, int n, struct error *err)
{
    const struct measured *first = &group[0]->m;
    const struct taxed *base = NULL;
    int rc = 0;
    for (int k = 0; k < n && !base; k++)
        base = strcmp(group[k]->arm, t->r->arms[0].name) ? NULL : group[k];
    for (int i = 0; i < first->n; i++)
        for (int k = 0; k < n && !rc && is_wanted(group[0], first->columns[i].name); k++)
            rc = put_value(t, group[k], first->columns[i].name, base, err);
    return rc;
}

static int put_groups(struct taxing *t, struct error *err)
{
    struct taxed **group = mem_alloc(((size_t)t->n + 1) * sizeof *group);
    int rc = group ? 0 : error_set_nomem(err, (size_t)t->n * sizeof *group, "results");
    for (int i = 0; i < t->n && !rc; i++) {
        int n = 0;
        for (int k = i; k < t->n && !t->list[i].listed; k++)
            if (json_equal(t->list[k].settings, t->list[i].settings))
                group[n++] = &t->list[k];
        for (int k = 0; k < n; k++)
            group[k]->listed = 1;
        rc = n ? put_group(t, group, n, err) : 0;
    }
    mem_free(group);
    return rc;
}

/* The arms' answers to the run's own questions. */
static int take_answers(struct taxing *t, const struct arms *arms, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < arms->n && arms->n_text && !rc; i++) {
        struct taxed *x = &t->list[t->n++];
        *x = (struct taxed){.arm = arms->list[i].name, .m = {.n_row = arms->n_text}, .settings = json_null()};
        for (int k = 0; k < arms->n_text && !rc; k++)
            rc = measured_answer(&x->m, k, arms->list[i].results[k].text, arms->list[i].results[k].ended, err);
        rc = rc ? rc : measured_diversity(&x->m, err);
    }
    return rc;
}

/* The arm whose model an evaluation asked, as it is, or NULL. */
static const char *arm_of(const struct report_run *r, const json_t *settings)
{
    const char *sha256 = json_string_value(json_object_get(settings, "model-sha256")),
               *how = json_string_value(json_object_get(settings, "arm")),
               *base = report_fact_find(&r->manifest, "model.sha256");
    if (!sha256 || !*sha256 || (how && strcmp(how, "zero-shot")))
        return NULL;
    if (base && !strcmp(base, sha256))
        return r->n_arm ? r->arms[0].name : NULL;
    for (int i = 0; i < r->n_arm; i++)
        if (!strcmp(r->arms[i].model_sha256, sha256))
            return r->arms[i].name;
    return NULL;
}

/* What is left must be the same for two arms to be comparable. */
static void forget_model(json_t *settings)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(settings, next, name, value) if (!strncmp(name, "model", 5) || !strcmp(name, "build"))
        json_object_del(settings, name);
}

static int take_evaluation(struct taxing *t, const char *directory, struct error *err)
{
    json_t *settings = NULL;
    int rc = measured_settings(directory, &settings, err);
    const char *task = json_string_value(json_object_get(settings, "task")), *arm = rc ? NULL : arm_of(t->r, settings);
    if (arm && task && (!strcmp(task, "perplexity") || !strcmp(task, "xstest"))) {
        struct taxed *x = &t->list[t->n++];
        *x = (struct taxed){.arm = arm, .settings = json_incref(settings)};
        rc = measured_read(&x->m, &(struct measured_from){.directory = directory, .task = task}, err);
        forget_model(settings);
    }
    json_decref(settings);
    return rc;
}

int results_tax(const struct arms *arms, struct report_run *r, struct error *err)
{
    struct taxing t = {.r = r};
    struct arena arena = ARENA_INIT;
    const char **directories = NULL;
    int n = 0;
    char *place = path_join(r->output, "eval");
    int rc = place ? measured_list(place, &arena, &directories, &n, err) : error_set_nomem(err, 64, "a path");
    t.list = rc ? NULL : mem_calloc((size_t)(n + arms->n) + 1, sizeof *t.list);
    if (!rc && !t.list)
        rc = error_set_nomem(err, (size_t)n * sizeof *t.list, "results");
    rc = rc ? rc : take_answers(&t, arms, err);
    for (int i = 0; i < n && !rc; i++)
        rc = take_evaluation(&t, directories[i], err);
    rc = rc ? rc : put_groups(&t, err);
    for (int i = 0; i < t.n; i++) {
        arena_free(&t.list[i].m.arena);
        json_decref(t.list[i].settings);
    }
    mem_free(t.list);
    mem_free(place);
    arena_free(&arena);
    return rc;
}
