/* SPDX-License-Identifier: Apache-2.0 */
/* What each job takes, by the plan of an alignment (method/plan.h): a tuning is one without attempts, an evaluation's
 * memory one whose attempts are the test's questions. An evaluation's time is that of the texts that it reads, scores
 * and writes, and every job opens its models. */
#include "experiment/parts.h"

#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"

#include <string.h>

struct opened { /* the model that jobs are estimated for */
    const char *path;
    struct checkpoint *source;
    struct tokenizer *tokenizer;
    struct model_desc desc;
    struct plan_rates rates; /* of the machine */
};

static void close_model(struct opened *m)
{
    tokenizer_close(m->tokenizer);
    checkpoint_close(m->source);
    m->tokenizer = NULL;
    m->source = NULL;
    m->path = NULL;
}

static int open_model(struct opened *m, const char *path, struct error *err)
{
    if (m->path && !strcmp(m->path, path))
        return 0;
    close_model(m);
    int rc = checkpoint_open(&m->source, path, err);
    rc = rc ? rc : tokenizer_open_of(&m->tokenizer, m->source, err);
    rc = rc ? rc : model_desc_parse(&m->desc, checkpoint_config(m->source), checkpoint_path(m->source), err);
    m->path = rc ? NULL : path;
    return rc;
}

/* Steps that are counted of an alignment are those of the seeds and half of its attempts. */
static void expect_budget(const struct experiment *x, struct job *j, int n_seed)
{
    const struct align_options *as = &x->jobs[j->budget_of].plan;
    double half = 0.5 * as->attempts * (as->rounds < j->round_of ? as->rounds : j->round_of);
    if (j->budget == BUDGET_STEPS)
        j->plan.train.max_steps = 1 + (int)((n_seed + half) * as->train.num_train_epochs / as->train.batch_size);
    else if (j->budget == BUDGET_EPOCHS)
        j->plan.train.num_train_epochs = as->train.num_train_epochs * j->round_of;
    else
        j->plan.attempts = (int)(2 * half);
}

static int shape_plan(const struct experiment *x, struct job *j, const struct seeds *s, struct error *err)
{
    int n = 0, rc = 0;
    if (j->verb == JOB_ALIGN)
        return 0;
    j->plan.rounds = 1;
    j->plan.attempts = 0;
    if (j->verb == JOB_TRAIN && j->budget_of >= 0)
        expect_budget(x, j, s->n);
    if (j->verb == JOB_EVAL) {
        rc = inputs_count(j->test, &n, err);
        j->plan.attempts = j->answers_of < 0 ? n : n / 8; /* reading is quick beside writing */
    }
    return rc;
}

/* --- texts of an evaluation --- */

static int is_task(const struct job *j, const char *name)
{
    return j->task && !strcmp(j->task, name);
}

/* What answers: every question behind its contexts, then an answer as long as the seeds'. */
static int answering_texts(const struct job *j, const struct opened *m, const struct plan *p, struct plan_texts *w,
                           struct error *err)
{
    double pair = p->question_tokens + p->answer_tokens, prompt = pair * j->plan.k + p->question_tokens;
    struct plan_file answers = {0};
    int n = 0, rc = inputs_count(j->test, &n, err);
    w->rows = n * j->plan.answer.num_beams;
    w->read = n * prompt;
    w->written = n * j->plan.answer.num_beams * p->answer_tokens;
    if (!rc && is_task(j, "truthfulqa"))
        rc = plan_file(&answers, m->tokenizer, j->test->source, 1, err);
    double choices = is_task(j, "qa") ? n * p->answer_tokens : answers.tokens;
    w->read += choices > 0 ? n * prompt + choices : 0;
    w->scored = choices;
    return rc;
}

/* Of an evaluation: its own model's, and the judge's. */
static int eval_seconds(struct job *j, const struct plan_model *model, const struct opened *m, const struct plan *p,
                        struct error *err)
{
    struct plan_texts w = {.rows = 160};
    struct plan_file text;
    int rc = 0;
    if (is_task(j, "perplexity")) {
        rc = plan_file(&text, m->tokenizer, j->test->source, 0, err);
        w.read = w.scored = text.tokens;
    } else if (j->answers_of < 0) {
        rc = answering_texts(j, m, p, &w, err);
    }
    j->seconds = plan_texts_seconds(model, j->plan.dtype, &w);
    j->seconds += j->answers_of < 0 ? plan_open_seconds(model, p->loaded) : 0;
    return rc;
}

/* What reads the answers, or compares each with another: a model of its own. */
static int judge_seconds(struct job *j, const struct plan_model *answers, const struct plan *p, struct error *err)
{
    struct opened judge = {0};
    struct plan_model model = *answers;
    double loaded = 0;
    int n = 0, rc = j->judge ? inputs_count(j->test, &n, err) : 0;
    if (rc || !j->judge || !file_exists(j->judge))
        return rc;
    rc = open_model(&judge, j->judge, err);
    model.desc = &judge.desc;
    model.source = judge.source;
    model.tokenizer = judge.tokenizer;
    rc = rc ? rc : plan_loaded(&loaded, &model, j->plan.dtype, err);
    const struct plan_texts w = {
        .read = n * (is_task(j, "beavertails") ? 1 : 2) * (p->question_tokens + p->answer_tokens), .rows = n};
    if (!rc)
        j->seconds += plan_texts_seconds(&model, j->plan.dtype, &w) + plan_open_seconds(&model, loaded);
    close_model(&judge);
    return rc;
}

/* --- jobs --- */

/* An alignment opens models to ask, to tune and to measure, and scores the test's references after every round. */
static int align_seconds(struct job *j, const struct plan_model *m, const struct plan *p, struct error *err)
{
    int n = 0, rc = inputs_count(j->test, &n, err), opened = 2 * j->plan.rounds + 2;
    const struct plan_texts w = {.read = (j->plan.rounds + 1.0) * n * (p->question_tokens + p->answer_tokens),
                                 .scored = (j->plan.rounds + 1.0) * n * p->answer_tokens,
                                 .rows = n};
    j->seconds = p->ask_seconds + p->answer_seconds + p->tune_seconds + plan_texts_seconds(m, j->plan.dtype, &w) +
                 opened * plan_open_seconds(m, p->loaded);
    j->asking_seconds = (p->ask_seconds + p->answer_seconds) / j->plan.rounds;
    return rc;
}

static int take_plan(struct job *j, const struct plan_model *model, const struct opened *m, const struct plan *p,
                     struct error *err)
{
    int rc = 0;
    switch (j->verb) {
    case JOB_ALIGN: j->bytes = p->peak; return align_seconds(j, model, p, err);
    case JOB_TRAIN:
        j->seconds = p->tune_seconds + 2 * plan_open_seconds(model, p->loaded); /* as long again to write it */
        j->bytes = p->tune;
        break;
    case JOB_EVAL:
        rc = eval_seconds(j, model, m, p, err);
        rc = rc ? rc : judge_seconds(j, model, p, err);
        j->bytes = p->answer;
        break;
    }
    return rc;
}

/* One before it that is the same but for its random seed. */
static const struct job *alike(const struct experiment *x, int i)
{
    const struct job *j = &x->jobs[i];
    for (int k = i - 1; k >= 0; k--) {
        const struct job *o = &x->jobs[k];
        int same = o->verb == j->verb && o->task == j->task && o->judge == j->judge && o->model == j->model &&
                   o->seeds == j->seeds && o->test == j->test && o->budget == j->budget &&
                   (o->budget_of < 0) == (j->budget_of < 0) && (o->answers_of < 0) == (j->answers_of < 0) &&
                   o->round_of == j->round_of;
        if (same && o->bytes > 0 && !memcmp(&o->plan, &j->plan, sizeof j->plan))
            return o;
    }
    return NULL;
}

static int estimate_job(struct experiment *x, int i, struct device *device, struct opened *m, struct error *err)
{
    struct job *j = &x->jobs[i];
    const struct job *same = alike(x, i);
    struct seeds seeds = {0};
    struct plan p;
    const struct input *in = j->seeds;
    if (same) {
        j->seconds = same->seconds;
        j->asking_seconds = same->asking_seconds;
        j->bytes = same->bytes;
        return 0;
    }
    const struct align_options as_given = j->plan;
    int rc = in ? 0 : inputs_get(x->inputs, x->spec.seeds.items[0].path, INPUT_PAIRS, 0, &in, err);
    rc = rc ? rc : open_model(m, j->model, err);
    rc = rc ? rc : inputs_seeds(x->inputs, in, &seeds, err);
    if (!rc && in->limit && in->limit < seeds.n)
        seeds.n = in->limit;
    rc = rc ? rc : shape_plan(x, j, &seeds, err);
    const struct plan_model model = {
        .desc = &m->desc, .source = m->source, .tokenizer = m->tokenizer, .device = device, .rates = &m->rates};
    rc = rc ? rc : plan_align(&p, &model, &seeds, &j->plan, err);
    rc = rc ? rc : take_plan(j, &model, m, &p, err);
    if (j->verb != JOB_ALIGN)
        j->plan = as_given; /* which is what others are compared with */
    seeds_free(&seeds);
    return rc;
}

/* What is done was planned when it was. */
static int was_planned(const struct experiment *x, struct job *j)
{
    const json_t *seconds = json_object_get(j->result, "planned_seconds");
    if (x->o.dry_run || !j->done || !seconds)
        return 0;
    j->seconds = json_number_value(seconds);
    return 1;
}

/* A first round that several alignments have in common is asked and answered once. */
static void share_asking(struct experiment *x)
{
    for (int i = 0; i < x->n_job; i++) {
        struct job *j = &x->jobs[i];
        double shared = 0;
        for (int k = 0; k < i && j->verb == JOB_ALIGN; k++) {
            const struct job *o = &x->jobs[k];
            double both = o->plan.attempts < j->plan.attempts ? o->plan.attempts : j->plan.attempts;
            if (o->verb == JOB_ALIGN && !strcmp(o->asking, j->asking) && both > shared)
                shared = both;
        }
        j->seconds -= shared ? j->asking_seconds * shared / j->plan.attempts : 0;
    }
}

int experiment_estimate(struct experiment *x, struct error *err)
{
    struct device *device = NULL;
    struct opened m = {0};
    int rc = device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = x->o.threads, .isa = x->o.isa}, err);
    for (int i = 0; i < x->n_job && !rc; i++)
        rc = was_planned(x, &x->jobs[i]) ? 0 : estimate_job(x, i, device, &m, err);
    share_asking(x);
    close_model(&m);
    device_close(device);
    return rc;
}
