/* SPDX-License-Identifier: Apache-2.0 */
/* The arms: what is compared, on the same footing. Each is a model (the pretrained one, one tuned on the seeds, a
 * round's) and a way to prompt it; the prompts, the decoding and the questions are the same for all. */
#include "method/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "io/file.h"
#include "judge/harm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pretrained, two in-context, three tuned on the seeds */
enum { N_BASELINE = 6 };

void arms_free(struct arms *arms)
{
    for (int i = 0; i < arms->n; i++) {
        mem_free(arms->list[i].model);
        mem_free(arms->list[i].results);
    }
    mem_free(arms->list);
    mem_free(arms->items);
    *arms = (struct arms){0};
}

static struct arm *add(struct arms *arms, const char *name, struct error *err)
{
    struct run_result *results = mem_calloc((size_t)arms->n_item + 1, sizeof *results);
    if (!results || arms->n == arms->cap) {
        mem_free(results);
        error_set_nomem(err, (size_t)arms->n_item * sizeof *results, "arms");
        return NULL;
    }
    struct arm *arm = &arms->list[arms->n++];
    *arm = (struct arm){.results = results};
    snprintf(arm->name, sizeof arm->name, "%s", name);
    return arm;
}

int arms_questions(struct arms *arms, const struct align_options *o, int n, struct error *err)
{
    arms->set = o->test ? "test" : "holdout";
    arms->items = mem_calloc((size_t)n + 1, sizeof *arms->items);
    if (!arms->items)
        return error_set_nomem(err, (size_t)n * sizeof *arms->items, "questions");
    arms->n_item = n;
    arms->n_text = o->judge || o->baselines || o->samples > n ? n : o->samples;
    arms->threshold = o->threshold;
    arms->k = o->k;
    arms->samples = o->samples;
    arms->seed = o->seed;
    return 0;
}

/* What is measured on: the test set, else the held-out seeds. */
static int choose_items(struct align *a, struct arms *arms, struct error *err)
{
    int n = a->o.test ? a->test.n : a->n_held, rc = arms_questions(arms, &a->o, n, err);
    for (int i = 0; i < n && !rc; i++)
        arms->items[i] = a->o.test ? a->test.items[i] : a->seeds.items[a->held[i]];
    return rc;
}

/* A control that was tuned has its name, its steps and the hash of its weights in the journal. *made 0: it was not. */
static int find_baseline(struct run *run, struct made_model *m, int *made, struct error *err)
{
    struct arena arena = ARENA_INIT;
    const char *done;
    int rc = run_get_fact(run, m->name, &done, &arena, err);
    *made = !rc && done && sscanf(done, "%ld %64s", &m->steps, m->sha256) == 2;
    arena_free(&arena);
    return rc;
}

static void baseline_fact(const char *arm, char fact[64])
{
    snprintf(fact, 64, "baseline-%s", arm);
}

/* Of other steps than are wanted by now, as there are more rounds: its model is put aside, its answers are dropped. */
static int put_aside(struct align *a, const char *arm, struct made_model *m, struct error *err)
{
    struct buf from = BUF_INIT, to = BUF_INIT;
    buf_printf(&from, "%s/%s", a->o.output, m->name);
    buf_printf(&to, "%s/%s.%ld-steps", a->o.output, m->name, m->steps);
    int rc = from.failed || to.failed ? error_set_nomem(err, 256, "a path") : tree_remove(to.data, err);
    if (!rc && rename(from.data, to.data) && errno != ENOENT)
        rc = error_set_errno(err, "%s: cannot be renamed to %s", from.data, to.data);
    rc = rc ? rc : run_drop_results(a->run, arm, err);
    rc = rc ? rc : run_put_fact(a->run, m->name, "", err);
    m->steps = 0;
    m->sha256[0] = 0;
    buf_free(&from);
    buf_free(&to);
    return rc;
}

/* Tuned on the seeds alone; remembered in the journal, so that it is done once. *steps: of its optimizer. */
static int tune_baseline(struct align *a, const char *name, int max_steps, long *steps, struct error *err)
{
    char fact[64], text[128];
    int made = 0;
    baseline_fact(name, fact);
    struct made_model m = {.name = fact, .from = speaker_pretrained(&a->speaker), .max_steps = max_steps};
    int rc = find_baseline(a->run, &m, &made, err);
    if (!rc && made && max_steps && m.steps != max_steps) {
        made = 0;
        rc = put_aside(a, name, &m, err);
    }
    rc = rc ? rc : interrupt_check(err);
    rc = rc ? rc : align_make_model(a, &m, err);
    *steps = m.steps;
    snprintf(text, sizeof text, "%ld %s", m.steps, m.sha256);
    return rc || made ? rc : run_put_fact(a->run, fact, text, err);
}

/* Each of the last round and of the first, if that is another one, has a control of as many steps on the seeds
 * alone. */
static int tune_baselines(struct align *a, struct error *err)
{
    struct run_round round;
    long steps = 0, first_steps = 0, seed_steps = 0, made;
    int rc = 0;
    for (int t = 1; t <= a->o.rounds && !rc; t++) {
        rc = run_get_round(a->run, t, &round, err);
        if (rc || !round.model_sha256[0])
            break;
        steps = a->o.start == ALIGN_START_LAST ? steps + round.steps : round.steps;
        first_steps = t == 1 ? steps : first_steps;
    }
    rc = rc ? rc : tune_baseline(a, "sft-seeds", 0, &seed_steps, err);
    if (!rc && steps)
        rc = tune_baseline(a, "sft-seeds-steps", (int)steps, &made, err);
    if (!rc && first_steps && first_steps != steps && first_steps != seed_steps)
        rc = tune_baseline(a, "sft-seeds-steps-1", (int)first_steps, &made, err);
    return rc;
}

static int list_baselines(struct arms *arms, struct run *run, struct error *err)
{
    static const char *const tuned[] = {"sft-seeds", "sft-seeds-steps", "sft-seeds-steps-1"};
    struct arm *nearest = add(arms, "icl-knn", err), *random = nearest ? add(arms, "icl-random", err) : NULL;
    if (!random)
        return ERROR_NOMEM;
    nearest->contexts = CONTEXTS_NEAREST;
    random->contexts = CONTEXTS_RANDOM;
    int rc = 0;
    for (size_t i = 0; i < sizeof tuned / sizeof *tuned && !rc; i++) {
        char fact[64];
        int made = 0;
        struct made_model m = {.name = fact};
        baseline_fact(tuned[i], fact);
        rc = find_baseline(run, &m, &made, err);
        struct arm *arm = made ? add(arms, tuned[i], err) : NULL;
        if (made && !arm)
            return ERROR_NOMEM;
        if (made) {
            arm->steps = m.steps;
            memcpy(arm->sha256, m.sha256, sizeof arm->sha256);
        }
    }
    return rc;
}

/* Those that have a model. */
static int list_rounds(struct arms *arms, struct run *run, const struct align_options *o, struct error *err)
{
    struct run_round round;
    int rc = 0;
    for (int t = 1; t <= o->rounds && !rc; t++) {
        char name[32];
        long before = t > 1 && o->start == ALIGN_START_LAST ? arms->list[arms->n - 1].steps : 0;
        rc = run_get_round(run, t, &round, err);
        if (rc || !round.model_sha256[0])
            break;
        snprintf(name, sizeof name, "round-%d", t);
        struct arm *arm = add(arms, name, err);
        if (!arm)
            return ERROR_NOMEM;
        arm->round = t;
        arm->steps = round.steps + before;
        memcpy(arm->sha256, round.model_sha256, sizeof arm->sha256);
    }
    return rc;
}

int arms_list(struct arms *arms, struct run *run, const struct align_options *o, const char *pretrained_sha256,
              struct error *err)
{
    arms->cap = N_BASELINE + o->rounds;
    arms->list = mem_calloc((size_t)arms->cap, sizeof *arms->list);
    struct arm *arm = arms->list ? add(arms, "pretrained", err) : NULL;
    if (!arm)
        return error_set_nomem(err, (size_t)arms->cap * sizeof *arms->list, "arms");
    snprintf(arm->sha256, sizeof arm->sha256, "%s", pretrained_sha256);
    int rc = o->baselines && arms->n_item ? list_baselines(arms, run, err) : 0;
    return rc ? rc : list_rounds(arms, run, o, err);
}

int arms_get_results(const struct arms *arms, struct arm *arm, struct run *run, struct arena *arena, struct error *err)
{
    struct run_results stored = {arm->name, arms->set, arm->results, arms->n_item, 0};
    int rc = run_get_results(run, &stored, arena, err);
    for (int i = 0; i < arms->n_item && !rc; i++) { /* what is stored are the probabilities */
        struct run_result *r = &arm->results[i];
        if (r->n_probability)
            r->flagged = harm_judge_flagged(r->probabilities, r->n_probability, arms->threshold);
    }
    return rc;
}

static char *model_of(const struct align *a, const struct arm *arm)
{
    char fact[64];
    if (strncmp(arm->name, "sft-", 4))
        return align_model_path(a, arm->round);
    baseline_fact(arm->name, fact);
    return align_made_path(a, fact);
}

int align_arms(struct align *a, struct arms *arms, struct error *err)
{
    int rc = choose_items(a, arms, err);
    if (!rc && a->o.baselines && arms->n_item && !(rc = align_make_pool(a, 0, err)))
        rc = tune_baselines(a, err);
    rc = rc ? rc : arms_list(arms, a->run, &a->o, a->speaker.source_sha256, err);
    for (int i = 0; i < arms->n && !rc; i++)
        if (!(arms->list[i].model = model_of(a, &arms->list[i])))
            rc = error_set_nomem(err, 64, "a path");
    return rc;
}
