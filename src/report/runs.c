/* SPDX-License-Identifier: Apache-2.0 */
#include "report/runs.h"

#include "base/buf.h"
#include "stats/stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Settings that say what bits a run has, not what it was meant to do. */
static int is_setting(const char *name)
{
    static const char *const not_these[] = {"seed", "build", "bits", "threshold"};
    for (size_t i = 0; i < sizeof not_these / sizeof *not_these; i++)
        if (!strcmp(name, not_these[i]))
            return 0;
    return !strchr(name, '/'); /* a file's hash */
}

static int same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static int differs(const struct report_runs *c, const char *name)
{
    const char *first = report_fact_find(&c->runs[0].settings, name);
    for (int i = 1; i < c->n; i++)
        if (!same_text(first, report_fact_find(&c->runs[i].settings, name)))
            return 1;
    return 0;
}

/* "recipe lima, attempts 64": the settings of a run that are not those of all. */
static const char *group_settings(struct report_runs *c, const struct report_run *r)
{
    struct buf text = BUF_INIT;
    for (int i = 0; i < r->settings.n; i++) {
        const struct report_fact *f = &r->settings.items[i];
        if (is_setting(f->name) && differs(c, f->name))
            buf_printf(&text, "%s%s %.40s", text.len ? ", " : "", f->name, f->value);
    }
    if (!text.len)
        buf_puts(&text, "the same settings");
    const char *name = text.failed ? NULL : arena_strdup(&c->arena, text.data);
    buf_free(&text);
    return name;
}

/* "recipe lima" of "recipe lima, attempts 64" where no other group begins so. */
static int shorten(struct report_runs *c)
{
    for (int g = 0; g < c->n_group; g++) {
        const char *settings = c->groups[g].settings;
        size_t n = strcspn(settings, ",");
        int same = strncmp(settings, "recipe ", 7) != 0;
        for (int i = 0; i < c->n_group; i++)
            same |= i != g && !strncmp(c->groups[i].settings, settings, n) && strcspn(c->groups[i].settings, ",") == n;
        if (!same && !(c->groups[g].name = arena_strndup(&c->arena, settings, n)))
            return -1;
    }
    return 0;
}

static const char *seed_of(const struct report_run *r)
{
    return report_fact_find(&r->settings, "seed");
}

static int is_finished(const struct report_run *r)
{
    return r->n_arm && r->arms[r->n_arm - 1].round && !isnan(r->arms[r->n_arm - 1].to.change);
}

static int same_draw(const struct report_runs *c, int a, int b)
{
    return c->group[a] == c->group[b] && same_text(seed_of(&c->runs[a]), seed_of(&c->runs[b]));
}

static void find_draws(struct report_runs *c)
{
    for (int i = 0; i < c->n; i++) {
        int first = i;
        for (int k = c->n - 1; k >= 0; k--)
            if (same_draw(c, i, k) && (is_finished(&c->runs[k]) || !is_finished(&c->runs[first])))
                first = k;
        c->draw[i] = first;
    }
}

static int fill_groups(struct report_runs *c)
{
    for (int i = 0; i < c->n; i++) {
        const char *settings = group_settings(c, &c->runs[i]);
        int g = 0;
        if (!settings)
            return -1;
        while (g < c->n_group && strcmp(c->groups[g].settings, settings))
            g++;
        if (g == c->n_group)
            c->groups[c->n_group++] = (struct compared_group){.name = settings, .settings = settings};
        c->group[i] = g;
    }
    find_draws(c);
    for (int i = 0; i < c->n; i++)
        c->groups[c->group[i]].n += c->draw[i] == i;
    for (int i = 0; i < c->n; i++) {
        c->runs[i].n_same = c->groups[c->group[i]].n;
        c->runs[i].n_group = c->n_group;
    }
    return shorten(c);
}

static struct compared_value value_of(const double *x, int n)
{
    struct stats_interval t = stats_t_interval(x, n, 0.95);
    return (struct compared_value){n, n ? stats_mean(x, n) : NAN, n > 1 ? stats_sd(x, n) : NAN, t.low, t.high};
}

static const struct report_arm *arm_named(const struct report_run *r, const char *name)
{
    for (int i = 0; i < r->n_arm; i++)
        if (!strcmp(r->arms[i].name, name))
            return &r->arms[i];
    return NULL;
}

static double logprob_of(const struct report_arm *x)
{
    return x->logprob;
}
static double change_of(const struct report_arm *x)
{
    return x->to.change;
}
static double flagged_of(const struct report_arm *x)
{
    return x->n_judged ? x->rate : NAN;
}

typedef double (*arm_value)(const struct report_arm *x);

/* Over the runs of a group; x has room for all. */
static struct compared_value over_group(const struct report_runs *c, const struct compared_arm *a, arm_value value,
                                        double *x)
{
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        int is_in = c->group[i] == a->group && c->draw[i] == i;
        const struct report_arm *arm = is_in ? arm_named(&c->runs[i], a->arm) : NULL;
        if (arm && isfinite(value(arm)))
            x[n++] = value(arm);
    }
    return value_of(x, n);
}

static int known(const struct report_runs *c, int group, const char *arm)
{
    for (int i = 0; i < c->n_arm; i++)
        if (c->arms[i].group == group && !strcmp(c->arms[i].arm, arm))
            return 1;
    return 0;
}

static void fill_arms(struct report_runs *c, double *x)
{
    for (int g = 0; g < c->n_group; g++)
        for (int i = 0; i < c->n; i++)
            for (int k = 0; c->group[i] == g && c->draw[i] == i && k < c->runs[i].n_arm; k++) {
                struct compared_arm a = {.arm = c->runs[i].arms[k].name, .group = g};
                if (known(c, g, a.arm))
                    continue;
                a.logprob = over_group(c, &a, logprob_of, x);
                a.change = over_group(c, &a, change_of, x);
                a.flagged = over_group(c, &a, flagged_of, x);
                c->arms[c->n_arm++] = a;
            }
}

static const struct report_arm *last_of(const struct report_run *r)
{
    return r->n_arm && r->arms[r->n_arm - 1].round ? &r->arms[r->n_arm - 1] : NULL;
}

/* The run of a group with the random seed of r, or NULL. */
static const struct report_run *with_seed_of(const struct report_runs *c, int group, const struct report_run *r)
{
    for (int i = 0; i < c->n; i++)
        if (c->group[i] == group && same_text(seed_of(r), seed_of(&c->runs[i])))
            return &c->runs[c->draw[i]];
    return NULL;
}

static struct compared_value beside_first(const struct report_runs *c, int group, arm_value value, double *x)
{
    int n = 0;
    for (int i = 0; i < c->n && group; i++) {
        int is_in = c->group[i] == group && c->draw[i] == i;
        const struct report_run *other = is_in ? with_seed_of(c, 0, &c->runs[i]) : NULL;
        const struct report_arm *mine = last_of(&c->runs[i]), *theirs = other ? last_of(other) : NULL;
        if (mine && theirs && isfinite(value(mine) - value(theirs)))
            x[n++] = value(mine) - value(theirs);
    }
    return value_of(x, n);
}

/* What all must share. */
static const char *unlike(const struct report_runs *c)
{
    static const struct {
        const char *fact, *text;
    } shared[] = {{"test.sha256", "test set"}, {"model.sha256", "base model"}, {"seeds.sha256", "seeds"}};
    for (size_t k = 0; k < sizeof shared / sizeof *shared; k++)
        for (int i = 1; i < c->n; i++)
            if (!same_text(report_fact_find(&c->runs[0].manifest, shared[k].fact),
                           report_fact_find(&c->runs[i].manifest, shared[k].fact)))
                return shared[k].text;
    return NULL;
}

static int warn(struct report_runs *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int warn(struct report_runs *c, const char *format, ...)
{
    char text[1200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const char *kept = arena_strdup(&c->arena, text);
    c->warnings[c->n_warning] = kept;
    c->n_warning += kept != NULL;
    return kept ? 0 : -1;
}

/* What would make the numbers look surer than they are. */
static int find_warnings(struct report_runs *c)
{
    int failed = 0;
    if (c->unlike)
        failed |= warn(c, "The runs do not share the %s, so that their numbers are not to be compared.", c->unlike);
    for (int i = 0; i < c->n; i++)
        if (c->draw[i] != i)
            failed |=
                warn(c,
                     "%.500s has the settings and the random seed of %.500s: it is the same draw again and is left "
                     "out of means, standard deviations and intervals.",
                     c->runs[i].output, c->runs[c->draw[i]].output);
    for (int i = 0; i < c->n; i++)
        if (!is_finished(&c->runs[i]))
            failed |= warn(c, "%.1000s is not finished: no round of it is measured.", c->runs[i].output);
    return failed;
}

int report_runs_fill(struct report_runs *c, struct report_run *runs, int n, struct error *err)
{
    *c = (struct report_runs){.arena = ARENA_INIT, .runs = runs, .n = n};
    size_t n_arm = 0;
    for (int i = 0; i < n; i++)
        n_arm += (size_t)runs[i].n_arm;
    double *x = arena_alloc(&c->arena, (size_t)n * sizeof *x);
    c->group = arena_alloc(&c->arena, (size_t)n * sizeof *c->group);
    c->draw = arena_alloc(&c->arena, (size_t)n * sizeof *c->draw);
    c->warnings = arena_alloc(&c->arena, (2 * (size_t)n + 1) * sizeof *c->warnings);
    c->groups = arena_alloc(&c->arena, (size_t)n * sizeof *c->groups);
    c->arms = arena_alloc(&c->arena, (n_arm + 1) * sizeof *c->arms);
    if (!x || !c->group || !c->draw || !c->warnings || !c->groups || !c->arms || fill_groups(c))
        return error_set_nomem(err, 4096, "a comparison");
    fill_arms(c, x);
    for (int g = 0; g < c->n_group; g++) {
        c->groups[g].logprob = beside_first(c, g, logprob_of, x);
        c->groups[g].flagged = beside_first(c, g, flagged_of, x);
    }
    c->unlike = unlike(c);
    return find_warnings(c) ? error_set_nomem(err, 4096, "a comparison") : 0;
}

void report_runs_free(struct report_runs *c)
{
    arena_free(&c->arena);
    *c = (struct report_runs){.arena = ARENA_INIT};
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *value_json(const struct compared_value *v)
{
    return json_pack("{s:i, s:o, s:o, s:o, s:o}", "runs", v->n, "mean", real(v->mean), "sd", real(v->sd), "low",
                     real(v->low), "high", real(v->high));
}

static json_t *run_json(const struct report_runs *c, int i)
{
    json_t *o = json_pack("{s:s, s:s, s:s?}", "run", c->runs[i].output, "group", c->groups[c->group[i]].name, "seed",
                          seed_of(&c->runs[i]));
    if (c->draw[i] != i)
        json_object_set_new(o, "same_draw_as", json_string(c->runs[c->draw[i]].output));
    return o;
}

static json_t *group_json(const struct compared_group *g)
{
    return json_pack("{s:s, s:s, s:i, s:o, s:o}", "group", g->name, "settings", g->settings, "runs", g->n,
                     "logprob_beside_first", value_json(&g->logprob), "flagged_beside_first", value_json(&g->flagged));
}

int report_runs_json(const struct report_runs *c, json_t **out, struct error *err)
{
    json_t *runs = json_array(), *groups = json_array(), *arms = json_array(), *warnings = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(runs, run_json(c, i));
    for (int g = 0; g < c->n_group; g++)
        json_array_append_new(groups, group_json(&c->groups[g]));
    for (int i = 0; i < c->n_arm; i++) {
        const struct compared_arm *a = &c->arms[i];
        json_array_append_new(arms, json_pack("{s:s, s:s, s:o, s:o, s:o}", "group", c->groups[a->group].name, "arm",
                                              a->arm, "mean_token_logprob", value_json(&a->logprob), "change",
                                              value_json(&a->change), "flagged", value_json(&a->flagged)));
    }
    for (int i = 0; i < c->n_warning; i++)
        json_array_append_new(warnings, json_string(c->warnings[i]));
    *out = json_pack("{s:o, s:o, s:o, s:o}", "runs", runs, "groups", groups, "arms", arms, "warnings", warnings);
    return *out ? 0 : error_set_nomem(err, 4096, "a comparison");
}
