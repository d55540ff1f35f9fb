/* SPDX-License-Identifier: Apache-2.0 */
/* Arms and metrics of an experiment's file. */
#include "experiment/parts.h"

#include "base/fields.h"
#include "io/file.h"

#include <string.h>

enum { MOST_ROUND = 1000 };

static int read_choice(struct spec_yaml *y, const struct spec_node *value, const char *choices, int *out,
                       const char **text, struct error *err)
{
    int rc = spec_text(y, value, choices, text, err);
    *out = rc ? -1 : field_choice(choices, *text);
    return rc;
}

static int read_kind(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct spec_arm *arm,
                     struct error *err)
{
    const char *text;
    int kind, rc = read_choice(y, value, ARM_KINDS, &kind, &text, err);
    if (!rc && kind < 0)
        return spec_fail(s, spec_line(value), err, "kind: wanted one of " ARM_KINDS ", found \"%.60s\"", text);
    arm->kind = rc ? ARM_ISARA : (enum arm_kind)kind;
    return rc;
}

static int read_budget(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct spec_arm *arm,
                       struct error *err)
{
    const char *text;
    int budget, rc = read_choice(y, value, ARM_BUDGETS, &budget, &text, err);
    if (!rc && budget < 0)
        return spec_fail(s, spec_line(value), err, "budget: wanted one of " ARM_BUDGETS ", found \"%.60s\"", text);
    arm->budget = rc ? BUDGET_PLAIN : (enum arm_budget)budget;
    return rc;
}

static int read_file(struct spec *s, struct spec_yaml *y, const struct spec_node *value, const char **out,
                     struct error *err)
{
    int rc = spec_text(y, value, "a file", out, err);
    if (rc)
        return rc;
    for (int i = 0; i < s->seeds.n; i++)
        if (!strcmp(s->seeds.items[i].name, *out))
            return 0; /* a category */
    *out = spec_path(s, *out);
    return file_exists(*out) ? 0 : spec_fail(s, spec_line(value), err, "%.300s: no such file", *out);
}

static int read_round(struct spec *s, struct spec_yaml *y, const struct spec_node *value, struct spec_arm *arm,
                      struct error *err)
{
    unsigned long long round = 0;
    int rc = spec_int(y, value, "the number of a round", &round, err);
    if (!rc && (round < 1 || round > MOST_ROUND))
        rc = spec_fail(s, spec_line(value), err, "round: wanted 1 to %d, found %llu", MOST_ROUND, round);
    arm->round = rc ? 0 : (int)round;
    return rc;
}

static int read_key(struct spec *s, struct spec_yaml *y, const struct spec_node *arm_node, int i, struct spec_arm *arm,
                    struct error *err)
{
    const struct spec_node *value, *key = spec_pair(y, arm_node, i, &value);
    const char *name;
    int rc = spec_text(y, key, "a key", &name, err);
    if (rc)
        return rc;
    if (!strcmp(name, "name"))
        return spec_text(y, value, "a name", &arm->name, err);
    if (!strcmp(name, "as"))
        return spec_text(y, value, "the name of an arm", &arm->as, err);
    if (!strcmp(name, "seeds"))
        return read_file(s, y, value, &arm->seeds, err);
    if (!strcmp(name, "pairs"))
        return read_file(s, y, value, &arm->pairs, err);
    if (!strcmp(name, "budget"))
        return read_budget(s, y, value, arm, err);
    if (!strcmp(name, "round"))
        return read_round(s, y, value, arm, err);
    if (strcmp(name, "kind"))
        return spec_setting(y, key, value, &arm->settings, err);
    arm->kind_given = 1;
    return read_kind(s, y, value, arm, err);
}

static int read_arm(struct spec *s, struct spec_yaml *y, const struct spec_node *n, struct spec_arm *arm,
                    struct error *err)
{
    const struct spec_node *value;
    int rc = 0;
    *arm = (struct spec_arm){.kind = ARM_ISARA, .line = spec_line(n)};
    if (!spec_is_mapping(n) && !spec_is_list(n))
        rc = spec_text(y, n, "an arm", &arm->name, err);
    else
        rc = spec_check_mapping(y, n, "an arm: {name: ..., kind: ..., options}", err);
    for (int i = 0; !rc && spec_is_mapping(n) && spec_pair(y, n, i, &value); i++)
        rc = read_key(s, y, n, i, arm, err);
    if (rc)
        return rc;
    if (!arm->name || !*arm->name)
        return spec_fail(s, arm->line, err, "an arm without a name; wanted {name: ...}");
    for (const char *c = arm->name; *c; c++)
        if ((unsigned char)*c < ' ')
            return spec_fail(s, arm->line, err, "an arm's name: wanted one line of text, found the character %d in it",
                             *c);
    int kind = arm->kind_given ? (int)arm->kind : field_choice(ARM_KINDS, arm->name);
    if (!arm->kind_given && kind < 0 && !spec_is_mapping(n))
        return spec_fail(s, arm->line, err, "arms: wanted one of " ARM_KINDS " or {name: ...}, found \"%.60s\"",
                         arm->name);
    arm->kind = kind < 0 ? ARM_ISARA : (enum arm_kind)kind;
    return 0;
}

int spec_read_arms(struct spec *s, struct spec_yaml *y, const struct spec_node *list, struct error *err)
{
    int n = 0, rc = 0;
    if (!spec_is_list(list))
        return spec_fail(s, spec_line(list), err, "arms: wanted a list, as [pretrained, {name: isara, rounds: 2}]");
    while (spec_item(y, list, n))
        n++;
    s->arms = arena_alloc(&s->arena, ((size_t)n + 1) * sizeof *s->arms);
    if (!s->arms)
        return error_set_nomem(err, (size_t)n * sizeof *s->arms, "arms");
    for (; s->n_arm < n && !rc; s->n_arm++) {
        struct spec_arm *arm = &s->arms[s->n_arm];
        rc = read_arm(s, y, spec_item(y, list, s->n_arm), arm, err);
        for (int k = 0; !rc && k < s->n_arm; k++)
            if (!strcmp(s->arms[k].name, arm->name))
                rc = spec_fail(s, arm->line, err, "an arm \"%.60s\" stands on line %ld already; give it another name",
                               arm->name, s->arms[k].line);
    }
    return rc;
}

const struct spec_arm *spec_arm_find(const struct spec *s, const char *name)
{
    for (int i = 0; i < s->n_arm; i++)
        if (!strcmp(s->arms[i].name, name))
            return &s->arms[i];
    return NULL;
}

static unsigned users_of(enum arm_kind kind)
{
    unsigned tuned = kind == ARM_SFT_SEEDS || kind == ARM_SFT_REAL ? SWITCH_TRAIN : 0;
    return SWITCH_EVAL | tuned | (kind >= ARM_ISARA ? (unsigned)SWITCH_ALIGN : 0);
}

/* The arm that is counted of: the one named, else the only or first ISARA. */
static int find_as(struct spec *s, struct spec_arm *arm, struct error *err)
{
    for (int i = 0; i < s->n_arm && !arm->as; i++)
        if (s->arms[i].kind == ARM_ISARA)
            arm->as = s->arms[i].name;
    const struct spec_arm *as = arm->as ? spec_arm_find(s, arm->as) : NULL;
    if (as && as->kind == ARM_ISARA)
        return 0;
    return spec_fail(s, arm->line, err,
                     "%.60s: wanted \"as\", the name of an arm of kind isara whose steps or pairs are counted, found "
                     "%s%.60s",
                     arm->name, arm->as ? "" : "none", arm->as ? arm->as : "");
}

static int check_arm(struct spec *s, struct spec_arm *arm, struct error *err)
{
    int counted = arm->kind == ARM_SFT_REAL || arm->kind == ARM_ISARA_ONE ||
                  (arm->kind == ARM_SFT_SEEDS && arm->budget != BUDGET_PLAIN);
    int rc = counted ? find_as(s, arm, err) : 0;
    if (!rc && !counted && arm->as)
        rc = spec_fail(s, arm->line, err, "%.60s: \"as\" says nothing of this kind of arm; take it away", arm->name);
    if (!rc && arm->budget != BUDGET_PLAIN && arm->kind != ARM_SFT_SEEDS)
        rc = spec_fail(s, arm->line, err, "%.60s: \"budget\" is of arms of kind sft-seeds only", arm->name);
    if (!rc && (arm->kind == ARM_SFT_REAL) != (arm->pairs != NULL))
        rc = spec_fail(s, arm->line, err, "%.60s: %s", arm->name,
                       arm->pairs ? "\"pairs\" is of arms of kind sft-real only"
                                  : "wanted \"pairs\", a file of real question-answer pairs");
    if (!rc && arm->round && arm->kind < ARM_ISARA)
        rc = spec_fail(s, arm->line, err, "%.60s: \"round\" is of arms of kind isara only", arm->name);
    for (int i = 0; i < arm->settings.n && !rc; i++)
        if (!(switch_users(arm->settings.items[i].name) & users_of(arm->kind)))
            rc = spec_fail(s, arm->settings.items[i].line, err,
                           "%.60s: %.60s is no option of what this arm does; take it away, or write eval-%.60s for how "
                           "it is measured",
                           arm->name, arm->settings.items[i].name, arm->settings.items[i].name);
    return rc;
}

static int check_ablated(struct spec *s, struct error *err)
{
    for (int i = 0; i < s->n_arm; i++)
        if (s->arms[i].kind == ARM_ISARA && !s->arms[i].round)
            return 0;
    return s->n_ablation
               ? spec_fail(s, s->ablations[0].line, err,
                           "ablate: wanted an arm of kind isara (without \"round\") whose options it changes, "
                           "found none")
               : 0;
}

static int check_control(struct spec *s, struct error *err)
{
    for (int i = 0; i < s->controls.n; i++)
        if (!spec_arm_find(s, s->controls.items[i]))
            return spec_fail(s, s->control_line, err, "control: wanted the name of an arm, found \"%.60s\"",
                             s->controls.items[i]);
    for (int i = 1; i < s->controls.n; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(s->controls.items[i], s->controls.items[k]))
                return spec_fail(s, s->control_line, err, "control: \"%.60s\" stands twice; give it once",
                                 s->controls.items[i]);
    if (s->controls.n)
        return 0;
    s->controls.items = arena_alloc(&s->arena, sizeof *s->controls.items);
    if (!s->controls.items)
        return error_set_nomem(err, 64, "controls");
    s->controls.n = 1;
    s->controls.items[0] = s->arms[0].name;
    for (int i = s->n_arm - 1; i >= 0; i--)
        if (s->arms[i].kind == ARM_PRETRAINED)
            s->controls.items[0] = s->arms[i].name;
    return 0;
}

/* --- metrics --- */

static int add_metric(struct spec *s, const struct spec_metric *m, struct error *err)
{
    struct spec_metric *all = arena_alloc(&s->arena, ((size_t)s->n_metric + 1) * sizeof *all);
    if (!all)
        return error_set_nomem(err, 64, "metrics");
    if (s->n_metric)
        memcpy(all, s->metrics, (size_t)s->n_metric * sizeof *all);
    all[s->n_metric++] = *m;
    s->metrics = all;
    return 0;
}

/* What measures a model by its answers to a test set, or its likelihood of one. */
#define METRIC_TASKS "qa|truthfulqa|beavertails|utility|alpaca-eval|xstest|perplexity"

/* {task: ..., name: ..., test: ..., judge: ..., options of eval} */
static int read_metric_pair(struct spec *s, struct spec_yaml *y, const struct spec_node *n, int i,
                            struct spec_metric *m, struct error *err)
{
    const struct spec_node *value, *key = spec_pair(y, n, i, &value);
    const char *name;
    char prefixed[96];
    int rc = spec_text(y, key, "a key", &name, err);
    if (rc)
        return rc;
    if (!strcmp(name, "task"))
        return spec_text(y, value, "a task", &m->task, err);
    if (!strcmp(name, "name"))
        return spec_text(y, value, "a name", &m->name, err);
    if (!strcmp(name, "test"))
        return read_file(s, y, value, &m->test, err);
    if (!strcmp(name, "judge")) {
        rc = spec_text(y, value, "a judge: a Hugging Face directory or org/name", &m->judge, err);
        if (!rc && !*m->judge)
            rc = spec_fail(s, spec_line(value), err, "judge: wanted a directory or org/name, found nothing");
        m->judge = rc ? NULL : spec_path(s, m->judge);
        return rc;
    }
    snprintf(prefixed, sizeof prefixed, "eval-%s", name);
    for (char *c = prefixed; *c; c++)
        *c = *c == '_' ? '-' : *c;
    if (!(switch_users(prefixed) & SWITCH_EVAL))
        return spec_fail(s, spec_line(key), err, "metrics: \"%.60s\" is no option of isara eval here", name);
    const struct setting option = {arena_strdup(&s->arena, prefixed), NULL, spec_line(key)};
    return option.name ? spec_values(y, &option, value, &m->settings, err) : error_set_nomem(err, 64, "a name");
}

int spec_read_metrics(struct spec *s, struct spec_yaml *y, const struct spec_node *list, struct error *err)
{
    const struct spec_node *n, *value;
    int rc = spec_is_list(list) ? 0 : spec_fail(s, spec_line(list), err, "metrics: wanted a list, as [qa, truthfulqa]");
    for (int i = 0; !rc && (n = spec_item(y, list, i)) != NULL; i++) {
        struct spec_metric m = {.line = spec_line(n)};
        if (!spec_is_mapping(n))
            rc = spec_text(y, n, "a task of isara eval", &m.task, err);
        else
            rc = spec_check_mapping(y, n, "a task of isara eval", err);
        for (int k = 0; !rc && spec_is_mapping(n) && spec_pair(y, n, k, &value); k++)
            rc = read_metric_pair(s, y, n, k, &m, err);
        if (!rc && (!m.task || field_choice(METRIC_TASKS, m.task) < 0))
            rc = spec_fail(s, m.line, err, "metrics: wanted tasks of " METRIC_TASKS ", found \"%.60s\"",
                           m.task ? m.task : "none");
        m.name = m.name ? m.name : m.task;
        for (int k = 0; !rc && k < s->n_metric; k++)
            if (!strcmp(s->metrics[k].name, m.name))
                rc = spec_fail(s, m.line, err, "metrics: \"%.60s\" stands twice; give one a name of its own", m.name);
        rc = rc ? rc : add_metric(s, &m, err);
    }
    return rc;
}

/* What is measured when nothing else is said, and the alignment tax. */
static int usual_metrics(struct spec *s, struct error *err)
{
    int rc = 0;
    if (!s->n_metric) {
        rc = add_metric(s, &(struct spec_metric){.task = "qa", .name = "qa"}, err);
        if (!rc && s->judge)
            rc = add_metric(s, &(struct spec_metric){.task = "beavertails", .name = "beavertails"}, err);
    }
    if (!rc && s->general)
        rc = add_metric(s, &(struct spec_metric){.task = "perplexity", .name = "general", .test = s->general}, err);
    if (!rc && s->over_refusal)
        rc = add_metric(s, &(struct spec_metric){.task = "xstest", .name = "over_refusal", .test = s->over_refusal},
                        err);
    return rc;
}

int metric_wants_judge(const char *task)
{
    return !strcmp(task, "beavertails") || !strcmp(task, "alpaca-eval") || !strcmp(task, "utility");
}

/* A machine elsewhere may judge instead. */
static int check_judges(struct spec *s, struct error *err)
{
    for (int i = 0; i < s->n_metric; i++) {
        const struct spec_metric *m = &s->metrics[i];
        int elsewhere = settings_find(&m->settings, "eval-endpoint") || settings_find(&s->settings, "eval-endpoint");
        if (metric_wants_judge(m->task) && !m->judge && !s->judge && !elsewhere)
            return spec_fail(s, m->line, err, "metrics: %.60s wants a judge, found none; give judge: DIR", m->name);
        int compares = !strcmp(m->task, "utility") || !strcmp(m->task, "alpaca-eval");
        if (compares && !settings_find(&m->settings, "eval-reference") &&
            !settings_find(&s->settings, "eval-reference"))
            return spec_fail(s, m->line, err,
                             "metrics: %.60s wants what the answers are compared with, found none; give {task: %.60s, "
                             "reference: FILE}",
                             m->name, m->task);
    }
    return 0;
}

int spec_check_arms(struct spec *s, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < s->n_arm && !rc; i++)
        rc = check_arm(s, &s->arms[i], err);
    rc = rc ? rc : check_control(s, err);
    rc = rc ? rc : check_ablated(s, err);
    rc = rc ? rc : check_judges(s, err);
    return rc ? rc : usual_metrics(s, err);
}
