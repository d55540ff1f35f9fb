/* SPDX-License-Identifier: Apache-2.0 */
/* isara eval --task utility: how often a reward model prefers an answer to the reference answer of the same prompt. A
 * cost model's scores are turned round, so that more is always better; scores are normalised where the model's
 * configuration says so; equal scores are ties and count half. */
#include "eval/parts.h"

#include "answer/seeds.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16 };
struct utility {
    struct eval_answers e;
    struct seeds test;
    const char **questions, **references;
    json_t *outputs;
    struct harm_judge *judge;
    char name[512];
};

static int read_texts(struct utility *u, const struct eval_options *v, struct error *err)
{
    int found = 0, rc = eval_require(v->test, "test", "prompts, in any of the formats of docs/FORMATS.md", err);
    rc = rc ? rc
            : eval_require(v->reference, "reference",
                           "the answers that are compared with: JSON Lines with \"answer\" (or \"text\", \"output\", "
                           "\"response\")",
                           err);
    rc = rc ? rc : seeds_read_fields(&u->test, eval_source(v, v->test), 0, err);
    rc = rc ? rc : eval_outputs_load(&u->outputs, v, v->reference, err);
    u->e.n = v->limit && v->limit < u->test.n ? v->limit : u->test.n;
    u->questions = mem_calloc((size_t)u->e.n + 1, sizeof *u->questions);
    u->references = mem_calloc((size_t)u->e.n + 1, sizeof *u->references);
    if (!rc && (!u->questions || !u->references))
        rc = error_set_nomem(err, (size_t)u->e.n * sizeof *u->questions, "questions");
    for (int i = 0; i < u->e.n && !rc; i++) {
        u->questions[i] = u->test.items[i].question;
        u->references[i] = eval_output_text(eval_output_of(u->outputs, u->questions[i], i));
        found += u->references[i] != NULL;
    }
    u->e.questions = u->questions;
    return rc || found ? rc
                       : error_set(err, ERROR_DATA, "%s: no answer belongs to any of the %d prompts of %s",
                                   v->reference, u->e.n, v->test);
}

static int open_judge(struct utility *u, struct device *device, const struct eval_options *v, struct error *err)
{
    static const char *const types[] = {"reward", "cost, sign turned", "critic"};
    enum dtype dtype = v->dtype;
    int rc = eval_require(v->judge, "judge",
                          "a reward or cost model (LlamaForScore; isara train --task reward makes one)", err);
    rc = rc ? rc
            : harm_judge_open(&u->judge, device,
                              &(struct harm_judge_options){
                                  .model = v->judge, .task = MODEL_REWARD, .no_eos = !v->append_eos, .dtype = dtype},
                              err);
    if (!rc)
        snprintf(u->name, sizeof u->name, "%s (%s%s, %s EOS, %s)", v->judge,
                 types[harm_judge_desc(u->judge)->score_type],
                 harm_judge_desc(u->judge)->normalize ? ", normalised" : "", v->append_eos ? "at" : "without",
                 dtype_name(dtype));
    return rc;
}

/* More is better. */
static double utility_of(const struct utility *u, double raw)
{
    const struct model_desc *d = harm_judge_desc(u->judge);
    double x = model_normalize(d, 0, raw);
    return d->task == MODEL_REWARD && d->score_type == SCORE_COST ? -x : x;
}

static int score_chunk(struct utility *u, const int *rows, int n, struct error *err)
{
    struct judge_text texts[2 * CHUNK];
    float scores[2 * CHUNK * MODEL_MAX_LABEL];
    unsigned char truncated[2 * CHUNK];
    int width = harm_judge_desc(u->judge)->n_label;
    for (int i = 0; i < n; i++) {
        texts[2 * i] = (struct judge_text){u->questions[rows[i]], eval_answers_text(&u->e, rows[i])};
        texts[2 * i + 1] = (struct judge_text){u->questions[rows[i]], u->references[rows[i]]};
    }
    int rc = harm_judge_score(u->judge, texts, 2 * n, scores, truncated, err);
    for (int i = 0; i < n && !rc; i++)
        rc = eval_journal_put(u->e.journal, "score", rows[i],
                              json_pack("{s:f, s:f, s:b}", "score", utility_of(u, (double)scores[2 * i * width]),
                                        "reference_score", utility_of(u, (double)scores[(2 * i + 1) * width]),
                                        "truncated", truncated[2 * i] || truncated[2 * i + 1]),
                              err);
    return rc ? rc : interrupt_check(err);
}

static int score_all(struct utility *u, struct error *err)
{
    struct progress progress = {.stage = "utility", .unit = "pairs", .total = u->e.n, .started = clock_now()};
    int rc = 0;
    for (int i = 0; i < u->e.n && !rc;) {
        int rows[CHUNK], n = 0;
        for (; i < u->e.n && n < CHUNK; i++)
            if (eval_answers_text(&u->e, i) && u->references[i] && !eval_journal_get(u->e.journal, "score", i))
                rows[n++] = i;
        if (n)
            rc = score_chunk(u, rows, n, err);
        progress.done = i;
        progress_show(&progress);
    }
    return rc;
}

static int fill_report(struct utility *u, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct report_basis f = {
        .task = "utility", .threshold = NAN, .judge = u->name, .judge_sha256 = harm_judge_sha256(u->judge)};
    struct eval_report r;
    struct stats_interval wins, means;
    int n = 0, ties = 0, won = 0;
    double *win = mem_alloc(((size_t)u->e.n + 1) * sizeof *win),
           *difference = mem_alloc(((size_t)u->e.n + 1) * sizeof *difference);
    int rc = win && difference ? 0 : error_set_nomem(err, (size_t)u->e.n * sizeof *win, "pairs");
    eval_answers_count(&u->e, &f);
    f.n_missing = 0;
    for (int i = 0; i < u->e.n && !rc; i++) {
        const json_t *row = eval_journal_get(u->e.journal, "score", i);
        f.n_missing += !row;
        if (!row)
            continue;
        double d =
            json_real_value(json_object_get(row, "score")) - json_real_value(json_object_get(row, "reference_score"));
        f.n_truncated += json_is_true(json_object_get(row, "truncated"));
        ties += d == 0;
        won += d > 0;
        win[n] = 50 * ((d > 0) - (d < 0)) + 50;
        difference[n++] = d;
    }
    eval_report_begin(&r, &f, err);
    r.rc = r.rc ? r.rc : rc;
    r.rc = r.rc ? r.rc : eval_mean_interval(win, n, v->seed, &wins, err);
    r.rc = r.rc ? r.rc : eval_mean_interval(difference, n, v->seed, &means, err);
    if (!r.rc) {
        eval_report_value(&r, "win_rate", n ? stats_mean(win, n) : NAN, n, wins);
        eval_report_fact(&r, "n_wins", json_integer(won));
        eval_report_fact(&r, "n_ties", json_integer(ties));
        eval_report_fact(&r, "n_losses", json_integer(n - won - ties));
        eval_report_value(&r, "mean_difference", n ? stats_mean(difference, n) : NAN, n, means);
        qsort(difference, (size_t)n, sizeof *difference, stats_ascending);
        eval_report_value(&r, "median_difference", n ? stats_quantile_sorted(difference, n, 0.5) : NAN, n,
                          EVAL_NO_INTERVAL);
    }
    eval_report_note(&r,
                     "win rate in percent against %s, ties half; 95 %% intervals over prompts by " EVAL_INTERVALS
                     "; scores are relative: their scale means nothing between reward models",
                     v->reference);
    mem_free(win);
    mem_free(difference);
    return eval_report_finish(&r, w);
}

static int run_utility(const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct utility u = {.e = {.task = w->task->name, .want_answers = 1}};
    int rc = read_texts(&u, v, err);
    rc = rc ? rc : open_judge(&u, w->device, v, err);
    if (!rc && !(u.e.more_settings = json_pack("{s:s, s:s, s:s}", "judge", u.name, "judge-sha256",
                                               harm_judge_sha256(u.judge), "reference", v->reference)))
        rc = error_set_nomem(err, 64, "settings");
    rc = rc ? rc : eval_answers_open(&u.e, w, err);
    rc = rc ? rc : score_all(&u, err);
    rc = rc ? rc : fill_report(&u, w, err);
    eval_answers_close(&u.e);
    harm_judge_close(u.judge);
    seeds_free(&u.test);
    json_decref(u.outputs);
    mem_free(u.questions);
    mem_free(u.references);
    return rc;
}

const struct eval_task eval_utility = {"utility", "win rate against reference answers under a reward or cost model",
                                       run_utility};
