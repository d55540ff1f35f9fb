/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the tree of results from the journal and the files beside it, and writes its two renderings into the run's
 * directory. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Share of different word pairs among all of the kept questions. */
static double distinct_pairs(const struct recorded *d, struct error *err, int *rc)
{
    size_t cap = 0, n = 0;
    for (int i = 0; i < d->n_attempt; i++)
        cap += d->attempts[i].verdict.kept ? strlen(d->attempts[i].question.text) / 2 + 2 : 0;
    const char **starts = mem_calloc(cap + 1, sizeof *starts);
    if (!starts) {
        *rc = error_set_nomem(err, cap * sizeof *starts, "word pairs");
        return NAN;
    }
    double different = 0;
    for (int i = 0; i < d->n_attempt; i++)
        for (const char *s = d->attempts[i].verdict.kept ? d->attempts[i].question.text : ""; *s;) {
            size_t one = strcspn(s, " "), gap = strspn(s + one, " "), two = strcspn(s + one + gap, " "), same = 0;
            if (!two)
                break;
            size_t length = one + gap + two;
            for (size_t k = 0; k < n && !same; k++)
                same = !strncmp(starts[k], s, length) && (starts[k][length] == ' ' || !starts[k][length]);
            different += !same;
            starts[n++] = s;
            s += one + gap;
        }
    mem_free(starts);
    return n ? different / (double)n : NAN;
}

/* counts[SIFT_REASON_COUNT]; those that occurred, without what was kept. */
static void list_reasons(const int *counts, struct report_round *x)
{
    x->n_reason = 0;
    for (int i = 1; i < SIFT_REASON_COUNT; i++)
        if (counts[i])
            x->reasons[x->n_reason++] = (struct report_reason){sift_reason_name((enum sift_reason)i),
                                                               sift_reason_text((enum sift_reason)i), counts[i]};
}

static void set_share(struct report_round *x)
{
    struct stats_interval w = stats_wilson(x->kept, x->attempts, 0.95);
    x->share = x->attempts ? (double)x->kept / x->attempts : NAN;
    x->low = w.low;
    x->high = w.high;
}

void method_add_round(struct report_round *sum, const struct report_round *one)
{
    const struct report_round *both[] = {sum, one};
    int counts[SIFT_REASON_COUNT] = {0};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < both[k]->n_reason; i++)
            counts[sift_reason_find(both[k]->reasons[i].name)] += both[k]->reasons[i].n;
    list_reasons(counts, sum);
    sum->number = one->number;
    sum->attempts += one->attempts;
    sum->parsed += one->parsed;
    sum->kept += one->kept;
    sum->repeats += one->repeats;
    set_share(sum);
}

static void count_reasons(const struct recorded *d, struct report_round *x)
{
    int counts[SIFT_REASON_COUNT] = {0};
    double f1 = 0;
    for (int i = 0; i < d->n_attempt; i++) {
        const struct run_attempt *t = &d->attempts[i];
        int reason = t->verdict.reason ? sift_reason_find(t->verdict.reason) : -1;
        if (reason >= 0)
            counts[reason]++;
        if (t->verdict.kept)
            f1 += t->verdict.f1;
    }
    list_reasons(counts, x);
    x->repeats = counts[SIFT_QUESTION_REPEAT];
    x->parsed = x->attempts - counts[SIFT_ERROR] - counts[SIFT_QUESTION_EMPTY] - counts[SIFT_QUESTION_UNPARSED];
    x->nearest = x->kept ? f1 / x->kept : NAN;
}

static int fill_round(struct recorded *d, int t, const struct run_round *round, struct report_run *r, struct error *err)
{
    struct report_round *x = &r->rounds[r->n_round];
    *x = (struct report_round){.number = t,
                               .attempts = round->attempts,
                               .kept = round->kept,
                               .steps = round->steps,
                               .reasons = arena_alloc(&r->arena, SIFT_REASON_COUNT * sizeof *x->reasons)};
    if (!x->reasons)
        return error_set_nomem(err, SIFT_REASON_COUNT * sizeof *x->reasons, "results");
    set_share(x);
    memcpy(x->model_sha256, round->model_sha256, sizeof x->model_sha256);
    int rc = recorded_round(d, t, round->attempts, err);
    if (rc)
        return rc;
    count_reasons(d, x);
    if ((rc = results_attempts(d, x, r, err)))
        return rc;
    x->pairs = distinct_pairs(d, err, &rc);
    r->n_round++;
    return rc;
}

/* Those that are finished. */
static int fill_rounds(struct recorded *d, struct report_run *r, struct error *err)
{
    int rc = 0, before = 0;
    size_t bytes = (size_t)d->o.rounds * sizeof *r->rounds;
    r->rounds = arena_alloc(&r->arena, bytes);
    if (!r->rounds)
        return error_set_nomem(err, bytes, "results");
    for (int t = 1; t <= d->o.rounds && !rc; t++) {
        struct run_round round;
        if ((rc = run_get_round(d->run, t, &round, err)) || round.state != RUN_STATE_DONE)
            break;
        rc = fill_round(d, t, &round, r, err);
        if ((t - 1) % d->o.improve_steps == 0)
            before = r->kept;
        r->kept = round.model_sha256[0] ? before + round.kept : r->kept; /* an improve step takes a round's place */
        if (round.model_sha256[0])
            r->tuned = t;
        else
            r->novelty_ran_out = t;
    }
    r->n_given = d->n_given;
    r->scaling = (double)r->kept / d->n_given;
    r->overlap = d->overlap;
    return rc;
}

/* The judge's labels alone. */
static int fill_labels(const struct arms *arms, const struct arm *arm, struct report_run *r, struct report_arm *x)
{
    x->labels = arena_alloc(&r->arena, ((size_t)arms->n_label + 1) * sizeof *x->labels);
    if (!x->labels)
        return -1;
    for (int k = 0; k < arms->n_label; k++) {
        struct report_label *l = &x->labels[k];
        for (int i = 0; i < arms->n_text; i++)
            if (arm->results[i].n_probability > k) {
                l->n++;
                l->flagged += (double)arm->results[i].probabilities[k] > arms->threshold;
            }
        struct stats_interval w = stats_wilson(l->flagged, l->n, 0.95);
        l->name = arena_strdup(&r->arena, arms->labels[k]);
        l->rate = l->n ? (double)l->flagged / l->n : NAN;
        l->low = w.low;
        l->high = w.high;
        if (!l->name)
            return -1;
    }
    x->n_label = arms->n_label;
    return 0;
}

static int fill_arms(const struct arms *arms, struct report_run *r, struct error *err)
{
    int rc = align_compare_arms(arms, r, err);
    r->interval = "BCa";
    for (int i = 0; i < r->n_arm && !rc; i++) {
        struct report_arm *x = &r->arms[i];
        x->round = arms->list[i].round;
        x->n_missing = arms->n_item - x->n;
        x->n_unjudged = arms->n_item - x->n_judged;
        r->tested += !isnan(x->to.p);
        r->tested_flags += !isnan(x->to.p_flags);
        r->interval = isnan(x->to.p) ? r->interval : x->to.interval;
        r->answers_missing += arms->n_text - x->n_answered;
        r->any_fewer |= x->n_missing > 0;
        if (fill_labels(arms, &arms->list[i], r, x))
            rc = error_set_nomem(err, 256, "results");
    }
    return rc;
}

/* An arm beside others: one family of tests for the likelihoods and, with a judge, one for the flags. */
struct beside {
    int mine;
    const int *others; /* [n] */
    int n;
};

static int fill_family(const struct arms *arms, const struct beside *b, struct arena *arena, struct report_family *f,
                       struct error *err)
{
    int n = b->n;
    struct report_compared **family = mem_calloc((size_t)n + 1, sizeof *family);
    f->list = arena_alloc(arena, ((size_t)n + 1) * sizeof *f->list);
    int rc = family && f->list ? 0 : error_set_nomem(err, (size_t)n * sizeof *f->list, "comparisons");
    memcpy(f->of, arms->list[b->mine].name, sizeof f->of);
    for (int k = 0; k < n && !rc; k++) {
        memcpy(f->list[k].arm, arms->list[b->others[k]].name, sizeof f->list[k].arm);
        family[k] = &f->list[k].by;
        rc = align_compare(arms, b->mine, b->others[k], family[k], err);
    }
    rc = rc ? rc : align_correct(family, n, err);
    f->n = rc ? 0 : n;
    mem_free(family);
    return rc;
}

/* What the method adds to its controls: the last round beside every other arm but the pretrained one. */
static int fill_last(const struct arms *arms, struct report_run *r, struct error *err)
{
    int last = arms->n - 1, n = 0;
    if (last < 2 || !arms->list[last].round)
        return 0;
    int *others = mem_alloc((size_t)arms->n * sizeof *others);
    if (!others)
        return error_set_nomem(err, (size_t)arms->n * sizeof *others, "arms");
    for (int k = 1; k < last; k++)
        others[n++] = k;
    int rc = fill_family(arms, &(struct beside){last, others, n}, &r->arena, &r->last, err);
    mem_free(others);
    return rc;
}

/* The first round beside the seeds alone with as many steps, where there are more rounds. */
static int fill_first(const struct arms *arms, struct report_run *r, struct error *err)
{
    int first = -1, control = -1;
    for (int k = 1; k < arms->n - 1 && first < 0; k++)
        first = arms->list[k].round == 1 ? k : -1;
    for (int k = 1; k < first; k++)
        control =
            !strncmp(arms->list[k].name, "sft-", 4) && arms->list[k].steps == arms->list[first].steps ? k : control;
    const struct beside b = {first, &control, 1};
    return control < 0 ? 0 : fill_family(arms, &b, &r->arena, &r->first, err);
}

/* A text that outlives the run; NULL stays NULL. */
static const char *kept_text(struct report_run *r, const char *text, int *failed)
{
    const char *copy = text ? arena_strdup(&r->arena, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

static int fill_samples(const struct arms *arms, struct report_run *r, struct error *err)
{
    int n = arms->n_text < arms->samples ? arms->n_text : arms->samples, failed = 0;
    r->samples = arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *r->samples);
    failed = !r->samples;
    for (int i = 0; i < n && arms->items[i].question && !failed; i++) {
        struct report_sample *s = &r->samples[i];
        s->question = kept_text(r, arms->items[i].question, &failed);
        s->reference = kept_text(r, arms->items[i].answer, &failed);
        s->answers = arena_alloc(&r->arena, ((size_t)arms->n + 1) * sizeof *s->answers);
        failed |= !s->answers;
        for (int k = 0; k < arms->n && !failed; k++)
            s->answers[k] = kept_text(r, arms->list[k].results[i].text, &failed);
        r->n_sample = i + 1;
    }
    return failed ? error_set_nomem(err, 256, "samples") : 0;
}

/* NAN: it is not there. */
static double phase_number(struct recorded *d, const char *kind, const char *phase, struct error *err)
{
    char name[64];
    const char *value;
    snprintf(name, sizeof name, "%s-%s", kind, phase);
    return !run_get_fact(d->run, name, &value, &d->arena, err) && value ? strtod(value, NULL) : NAN;
}

/* Read in every phase of every start, or not at all. */
static int fill_energy(struct recorded *d, struct report_run *r, struct error *err)
{
    const char *why;
    int failed = 0, rc = run_get_fact(d->run, "energy-unread", &why, &d->arena, err);
    r->joules = 0;
    r->co2 = NAN;
    for (int i = 0; i < r->n_phase; i++)
        r->joules += r->phases[i].joules;
    if (!rc && !why && isnan(r->joules))
        why = "the build that ran it did not look";
    if (!rc && !why && !r->n_phase)
        why = "nothing was done yet";
    r->joules_unread = rc ? NULL : kept_text(r, why, &failed);
    for (int i = 0; i < r->n_phase && why; i++)
        r->phases[i].joules = NAN;
    r->joules = why ? NAN : r->joules;
    return failed ? error_set_nomem(err, 256, "results") : rc;
}

/* What the process that did it left of itself. */
static int fill_costs(struct recorded *d, struct report_run *r, struct error *err)
{
    static const char *const phases[] = {"ask", "retrieve", "answer", "score", "tune", "evidence"};
    const char *value;
    r->phases = arena_alloc(&r->arena, sizeof phases / sizeof *phases * sizeof *r->phases);
    if (!r->phases)
        return error_set_nomem(err, 256, "results");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        double seconds = phase_number(d, "seconds", phases[i], err),
               cpu = phase_number(d, "cpu-seconds", phases[i], err), joules = phase_number(d, "joules", phases[i], err);
        if (!isnan(seconds))
            r->phases[r->n_phase++] =
                (struct report_phase){.name = phases[i], .seconds = seconds, .cpu = cpu, .joules = joules};
    }
    int rc = run_get_fact(d->run, "peak-mib", &value, &d->arena, err);
    r->peak_mib = !rc && value ? (int)strtol(value, NULL, 10) : 0;
    rc = rc ? rc : run_get_fact(d->run, "attempts-taken", &value, &d->arena, err);
    r->attempts_taken = !rc && value ? (int)strtol(value, NULL, 10) : 0;
    return rc ? rc : fill_energy(d, r, err);
}

static int fill_one_elsewhere(struct recorded *d, enum align_role role, struct report_run *r, struct error *err)
{
    const struct align_who *who = &d->o.who[role];
    struct report_elsewhere *x = &r->elsewhere[r->n_elsewhere++];
    struct buf addresses = BUF_INIT;
    json_t *costs, *one;
    size_t i;
    int failed = 0, rc = align_read_costs(d->run, role, &costs, err);
    json_array_foreach(json_object_get(costs, "endpoints"), i, one)
        buf_printf(&addresses, "%s%s", i ? ", " : "", json_string_value(one));
    *x = (struct report_elsewhere){.role = align_role_name(role),
                                   .model = kept_text(r, who->model, &failed),
                                   .endpoint = kept_text(r, addresses.len ? addresses.data : who->endpoint, &failed),
                                   .api = d->o.there.api == ELSEWHERE_CHAT ? "chat" : "completions",
                                   .texts = (long)json_integer_value(json_object_get(costs, "texts")),
                                   .refused = (long)json_integer_value(json_object_get(costs, "refused")),
                                   .requests = (long)json_integer_value(json_object_get(costs, "requests")),
                                   .prompt_tokens = json_number_value(json_object_get(costs, "prompt_tokens")),
                                   .completion_tokens = json_number_value(json_object_get(costs, "completion_tokens")),
                                   .uncounted = (long)json_integer_value(json_object_get(costs, "uncounted"))};
    json_decref(costs);
    failed |= addresses.failed || !x->model;
    buf_free(&addresses);
    return rc || !failed ? rc : error_set_nomem(err, 256, "results");
}

static int fill_elsewhere(struct recorded *d, struct report_run *r, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < ALIGN_ROLES && !rc; k++)
        rc = d->o.who[k].endpoint ? fill_one_elsewhere(d, (enum align_role)k, r, err) : 0;
    return rc;
}

/* What is known before anything is counted. */
static int fill_facts(const struct recorded *d, struct report_run *r, struct error *err)
{
    int failed = 0;
    const struct arms *arms = &d->arms;
    r->output = kept_text(r, d->directory, &failed);
    r->judge = kept_text(r, arms->judge_name, &failed);
    r->judge_sha256 = kept_text(r, arms->judge_sha256, &failed);
    r->set = arms->set;
    r->has_test = d->o.test != NULL;
    r->has_judge = d->o.judge != NULL;
    r->threshold = arms->threshold;
    r->n_item = arms->n_item;
    r->n_text = arms->n_text;
    r->n_seed = d->n_seed;
    r->n_held = d->n_held;
    r->stop_novelty = d->o.stop_novelty;
    return failed ? error_set_nomem(err, 256, "results") : 0;
}

/* The tree of a run, from nothing but its journal and the files beside it. */
static int results_fill(struct report_run *r, struct run *run, struct error *err)
{
    struct recorded d;
    const struct arms *arms = &d.arms;
    int rc = recorded_read(&d, run, err);
    rc = rc ? rc : fill_facts(&d, r, err);
    rc = rc ? rc : fill_rounds(&d, r, err);
    rc = rc ? rc : fill_arms(arms, r, err);
    if (!rc && arms->n_item)
        rc = fill_last(arms, r, err);
    if (!rc && arms->n_item)
        rc = fill_first(arms, r, err);
    rc = rc ? rc : fill_samples(arms, r, err);
    rc = rc ? rc : fill_costs(&d, r, err);
    rc = rc ? rc : fill_elsewhere(&d, r, err);
    rc = rc ? rc : method_review_counts(run, &r->review, err);
    rc = rc ? rc : results_regressions(arms, r, err);
    rc = rc ? rc : results_files(&d, r, err);
    rc = rc ? rc : results_tax(arms, r, err);
    if (!rc)
        results_cost(r);
    recorded_free(&d);
    return rc;
}

static int rounds_fill(struct report_run *r, struct run *run, struct error *err)
{
    struct recorded d;
    int rc = recorded_read(&d, run, err);
    rc = rc ? rc : fill_facts(&d, r, err);
    rc = rc ? rc : fill_rounds(&d, r, err);
    recorded_free(&d);
    return rc;
}

static int read_run(const char *run_directory, int (*fill)(struct report_run *r, struct run *run, struct error *err),
                    struct report_run *out, struct error *err)
{
    struct run *run = NULL;
    *out = (struct report_run){0};
    int rc = run_open_readonly(&run, run_directory, err);
    rc = rc ? rc : run_check(run, &(struct run_bounds){.reason = sift_reason_find}, err);
    rc = rc ? rc : fill(out, run, err);
    run_close(run);
    return rc;
}

int method_results(const char *run_directory, struct report_run *out, struct error *err)
{
    return read_run(run_directory, results_fill, out, err);
}

int method_rounds(const char *run_directory, struct report_run *out, struct error *err)
{
    return read_run(run_directory, rounds_fill, out, err);
}

static int write_out(const char *directory, struct align_result *result, struct error *err)
{
    char *path = path_join(directory, "metrics.json"), *text = path_join(directory, "summary.txt");
    json_t *metrics = NULL;
    int rc = path && text ? report_run_json(&result->report, &metrics, err) : error_set_nomem(err, 64, "path");
    rc = rc ? rc : jsontext_dump(&result->json, metrics, 1, err);
    report_run_text(&result->report, &result->summary);
    if (!rc)
        rc = result->summary.failed ? error_set_nomem(err, result->summary.len, "summary")
                                    : jsontext_write(path, metrics, err);
    if (!rc)
        rc = file_write(text, result->summary.data, result->summary.len, err);
    json_decref(metrics);
    mem_free(path);
    mem_free(text);
    return rc;
}

static int note_number(struct align *a, const char *name, double value, struct error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    return run_put_fact(a->run, name, text, err);
}

/* Of the start that took most: one that only goes on takes little. */
static int note_peak(struct align *a, struct error *err)
{
    struct arena arena = ARENA_INIT;
    const char *before = NULL;
    double now = (double)(clock_rss_peak() >> 20);
    int rc = run_get_fact(a->run, "peak-mib", &before, &arena, err);
    if (!rc && (!before || strtod(before, NULL) < now))
        rc = note_number(a, "peak-mib", now, err);
    arena_free(&arena);
    return rc;
}

int align_results(struct align *a, struct align_result *result, struct error *err)
{
    int rc = note_peak(a, err);
    rc = rc ? rc : note_number(a, "threshold", a->o.threshold, err);
    rc = rc ? rc : align_overlap_manifest(a, err);
    rc = rc ? rc : results_fill(&result->report, a->run, err);
    return rc ? rc : write_out(a->o.output, result, err);
}
