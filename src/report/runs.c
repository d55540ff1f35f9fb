/* SPDX-License-Identifier: Apache-2.0 */
#include "report/runs.h"

#include "base/buf.h"
#include "stats/stats.h"

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
        c->groups[g].n++;
        c->group[i] = g;
    }
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
        const struct report_arm *arm = c->group[i] == a->group ? arm_named(&c->runs[i], a->arm) : NULL;
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
            for (int k = 0; c->group[i] == g && k < c->runs[i].n_arm; k++) {
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
    const char *seed = report_fact_find(&r->settings, "seed");
    for (int i = 0; i < c->n; i++)
        if (c->group[i] == group && same_text(seed, report_fact_find(&c->runs[i].settings, "seed")))
            return &c->runs[i];
    return NULL;
}

static struct compared_value beside_first(const struct report_runs *c, int group, arm_value value, double *x)
{
    int n = 0;
    for (int i = 0; i < c->n && group; i++) {
        const struct report_run *other = c->group[i] == group ? with_seed_of(c, 0, &c->runs[i]) : NULL;
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

static const char *again(const struct report_runs *c)
{
    for (int i = 1; i < c->n; i++)
        if (with_seed_of(c, c->group[i], &c->runs[i]) != &c->runs[i])
            return c->runs[i].output;
    return NULL;
}

int report_runs_fill(struct report_runs *c, struct report_run *runs, int n, struct error *err)
{
    *c = (struct report_runs){.arena = ARENA_INIT, .runs = runs, .n = n};
    size_t n_arm = 0;
    for (int i = 0; i < n; i++)
        n_arm += (size_t)runs[i].n_arm;
    double *x = arena_alloc(&c->arena, (size_t)n * sizeof *x);
    c->group = arena_alloc(&c->arena, (size_t)n * sizeof *c->group);
    c->groups = arena_alloc(&c->arena, (size_t)n * sizeof *c->groups);
    c->arms = arena_alloc(&c->arena, (n_arm + 1) * sizeof *c->arms);
    if (!x || !c->group || !c->groups || !c->arms || fill_groups(c))
        return error_set_nomem(err, 4096, "a comparison");
    fill_arms(c, x);
    for (int g = 0; g < c->n_group; g++) {
        c->groups[g].logprob = beside_first(c, g, logprob_of, x);
        c->groups[g].flagged = beside_first(c, g, flagged_of, x);
    }
    c->unlike = unlike(c);
    c->again = again(c);
    return 0;
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

int report_runs_json(const struct report_runs *c, json_t **out, struct error *err)
{
    json_t *runs = json_array(), *groups = json_array(), *arms = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(runs, json_pack("{s:s, s:s, s:s?}", "run", c->runs[i].output, "group",
                                              c->groups[c->group[i]].name, "seed",
                                              report_fact_find(&c->runs[i].settings, "seed")));
    for (int g = 0; g < c->n_group; g++)
        json_array_append_new(groups, json_pack("{s:s, s:s, s:i, s:o, s:o}", "group", c->groups[g].name, "settings",
                                                c->groups[g].settings, "runs", c->groups[g].n, "logprob_beside_first",
                                                value_json(&c->groups[g].logprob), "flagged_beside_first",
                                                value_json(&c->groups[g].flagged)));
    for (int i = 0; i < c->n_arm; i++) {
        const struct compared_arm *a = &c->arms[i];
        json_array_append_new(arms, json_pack("{s:s, s:s, s:o, s:o, s:o}", "group", c->groups[a->group].name, "arm",
                                              a->arm, "mean_token_logprob", value_json(&a->logprob), "change",
                                              value_json(&a->change), "flagged", value_json(&a->flagged)));
    }
    *out = json_pack("{s:o, s:o, s:o}", "runs", runs, "groups", groups, "arms", arms);
    return *out ? 0 : error_set_nomem(err, 4096, "a comparison");
}
