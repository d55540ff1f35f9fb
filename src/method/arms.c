/* SPDX-License-Identifier: Apache-2.0 */
/* The arms: what is compared, on the same footing. Each is a model (the pretrained one, one tuned on the seeds, a
 * round's) and a way to prompt it; the prompts, the decoding and the questions are the same for all. */
#include "method/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "io/file.h"

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

static struct arm *add(struct arms *arms, const char *name, char *model, struct error *err)
{
    struct run_result *results = mem_calloc((size_t)arms->n_item + 1, sizeof *results);
    if (!model || !results || arms->n == arms->cap) {
        mem_free(model);
        mem_free(results);
        error_set_nomem(err, (size_t)arms->n_item * sizeof *results, "arms");
        return NULL;
    }
    struct arm *arm = &arms->list[arms->n++];
    *arm = (struct arm){.model = model, .results = results};
    snprintf(arm->name, sizeof arm->name, "%s", name);
    return arm;
}

/* What is measured on: the test set, else the held-out seeds. */
static int choose_items(struct align *a, struct arms *arms, struct error *err)
{
    int n = a->o.test ? a->test.n : a->n_held;
    arms->set = a->o.test ? "test" : "holdout";
    arms->items = mem_calloc((size_t)n + 1, sizeof *arms->items);
    if (!arms->items)
        return error_set_nomem(err, (size_t)n * sizeof *arms->items, "questions");
    for (int i = 0; i < n; i++)
        arms->items[i] = a->o.test ? a->test.items[i] : a->seeds.items[a->held[i]];
    arms->n_item = n;
    arms->n_text = a->o.judge || a->o.baselines || a->o.samples > n ? n : a->o.samples;
    return 0;
}

/* Tuned on the seeds alone; remembered in the journal, so that it is done once. */
static int tune_baseline(struct align *a, struct arms *arms, const char *name, int max_steps, struct error *err)
{
    char fact[64], text[128];
    const char *done;
    snprintf(fact, sizeof fact, "baseline-%s", name);
    struct arm *arm = add(arms, name, align_made_path(a, fact), err);
    if (!arm)
        return ERROR_NOMEM;
    struct made_model m = {.name = fact, .from = checkpoint_path(a->speaker.source), .max_steps = max_steps};
    int rc = run_get_fact(a->run, fact, &done, &a->arena, err);
    int made = !rc && done && sscanf(done, "%ld %64s", &m.steps, m.sha256) == 2;
    rc = rc ? rc : interrupt_check(err);
    rc = rc ? rc : align_make_model(a, &m, err);
    arm->steps = m.steps;
    memcpy(arm->sha256, m.sha256, sizeof arm->sha256);
    snprintf(text, sizeof text, "%ld %s", m.steps, m.sha256);
    return rc || made ? rc : run_put_fact(a->run, fact, text, err);
}

/* steps: of the last round and of the first, if that is another one; each has a control of as many steps on the seeds
 * alone. */
static int add_baselines(struct align *a, struct arms *arms, long steps, long first_steps, struct error *err)
{
    struct arm *nearest = add(arms, "icl-knn", align_model_path(a, 0), err),
               *random = nearest ? add(arms, "icl-random", align_model_path(a, 0), err) : NULL;
    if (!random)
        return ERROR_NOMEM;
    nearest->contexts = CONTEXTS_NEAREST;
    random->contexts = CONTEXTS_RANDOM;
    int rc = tune_baseline(a, arms, "sft-seeds", 0, err);
    long seed_steps = rc ? 0 : arms->list[arms->n - 1].steps;
    if (!rc && steps)
        rc = tune_baseline(a, arms, "sft-seeds-steps", (int)steps, err);
    if (!rc && first_steps && first_steps != steps && first_steps != seed_steps)
        rc = tune_baseline(a, arms, "sft-seeds-steps-1", (int)first_steps, err);
    return rc;
}

int align_arms(struct align *a, struct arms *arms, struct error *err)
{
    struct run_round round;
    long steps = 0, first_steps = 0;
    int n = 0, rc = choose_items(a, arms, err);
    for (int t = 1; t <= a->o.rounds && !rc; t++, n++) {
        rc = run_get_round(a->run, t, &round, err);
        if (rc || !round.model_sha256[0])
            break;
        steps = a->o.start == ALIGN_START_LAST ? steps + round.steps : round.steps;
        first_steps = t == 1 ? steps : first_steps;
    }
    arms->cap = N_BASELINE + n;
    arms->list = mem_calloc((size_t)arms->cap, sizeof *arms->list);
    if (!rc && !arms->list)
        rc = error_set_nomem(err, (size_t)arms->cap * sizeof *arms->list, "arms");
    struct arm *arm = rc ? NULL : add(arms, "pretrained", align_model_path(a, 0), err);
    if (!rc && !arm)
        rc = ERROR_NOMEM;
    if (!rc)
        snprintf(arm->sha256, sizeof arm->sha256, "%s", a->speaker.source_sha256);
    if (!rc && a->o.baselines && arms->n_item && !(rc = align_make_pool(a, 0, err)))
        rc = add_baselines(a, arms, steps, first_steps, err);
    for (int t = 1; t <= n && !rc; t++) {
        char name[32];
        snprintf(name, sizeof name, "round-%d", t);
        if ((rc = run_get_round(a->run, t, &round, err)))
            return rc;
        if (!(arm = add(arms, name, align_model_path(a, t), err)))
            return ERROR_NOMEM;
        arm->round = t;
        arm->steps = round.steps + (a->o.start == ALIGN_START_LAST && t > 1 ? arms->list[arms->n - 2].steps : 0);
        snprintf(arm->sha256, sizeof arm->sha256, "%s", round.model_sha256);
    }
    return rc;
}
