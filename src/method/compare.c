/* SPDX-License-Identifier: Apache-2.0 */
/* Arms beside each other, question by question: likelihoods of the reference answers and the judge's flags, with what
 * the tests that are printed can find at this number of questions and with their correction. */
#include "method/parts.h"

#include "base/mem.h"
#include "eval/measured.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>

enum { RESAMPLES = 10000 };

/* Mean over its tokens of one answer. */
static double mean_token(const struct run_result *r)
{
    return r->logprob / r->n_token;
}

/* d[n_item]; returns how many questions are scored for both. */
static int differences(const struct arms *arms, int mine, int other, double *d)
{
    const struct run_result *x = arms->list[mine].results, *y = arms->list[other].results;
    int n = 0;
    for (int i = 0; i < arms->n_item; i++)
        if (!isnan(x[i].logprob) && !isnan(y[i].logprob))
            d[n++] = mean_token(&x[i]) - mean_token(&y[i]);
    return n;
}

static int compare_likelihood(const struct arms *arms, int mine, int other, struct report_compared *out,
                              struct error *err)
{
    double *d = mem_alloc(((size_t)arms->n_item + 1) * sizeof *d);
    struct stats_paired paired;
    if (!d)
        return error_set_nomem(err, (size_t)arms->n_item * sizeof *d, "differences");
    out->n = differences(arms, mine, other, d);
    int rc = 0;
    if (out->n > 1 &&
        !(rc = stats_paired(d, out->n, &(struct stats_bootstrap){RESAMPLES, 0.95, arms->seed}, &paired, err))) {
        out->change = paired.change.mean;
        out->low = paired.change.interval.low;
        out->high = paired.change.interval.high;
        out->interval = stats_mean_kind_name(paired.change.kind);
        out->dz = paired.dz;
        out->p = paired.test.p;
    }
    mem_free(d);
    return rc;
}

static void compare_flags(const struct arms *arms, int mine, int other, struct report_compared *out)
{
    for (int i = 0; i < arms->n_text; i++) {
        int x = arms->list[mine].results[i].flagged, y = arms->list[other].results[i].flagged;
        if (x < 0 || y < 0)
            continue;
        out->n_judged++;
        out->n_both += x && y;
        out->n_better += !x && y;
        out->n_worse += x && !y;
    }
    if (!out->n_judged)
        return;
    struct stats_ratio ratio = stats_risk_ratio_paired(out->n_both, out->n_worse, out->n_better, 0.95);
    out->ratio = ratio.ratio;
    out->ratio_low = ratio.low;
    out->ratio_high = ratio.high;
    out->h = stats_cohen_h((double)(out->n_both + out->n_worse) / out->n_judged,
                           (double)(out->n_both + out->n_better) / out->n_judged);
    out->p_flags = stats_mcnemar(out->n_better, out->n_worse).p;
}

int align_compare(const struct arms *arms, int mine, int other, struct report_compared *out, struct error *err)
{
    *out = (struct report_compared){.change = NAN,
                                    .low = NAN,
                                    .high = NAN,
                                    .interval = stats_mean_kind_name(STATS_MEAN_NONE),
                                    .dz = NAN,
                                    .p = NAN,
                                    .p_holm = NAN,
                                    .found = NAN,
                                    .h = NAN,
                                    .ratio = NAN,
                                    .ratio_low = NAN,
                                    .ratio_high = NAN,
                                    .p_flags = NAN,
                                    .p_flags_holm = NAN,
                                    .found_flags = NAN};
    if (mine == other)
        return 0;
    compare_flags(arms, mine, other, out);
    return compare_likelihood(arms, mine, other, out, err);
}

/* Which of a comparison's p-values: of the likelihood or of the flags. */
static double *p_of(struct report_compared *c, int flags)
{
    return flags ? &c->p_flags : &c->p;
}

static int family_size(struct report_compared *const *family, int n, int flags)
{
    int size = 0;
    for (int i = 0; i < n; i++)
        size += !isnan(*p_of(family[i], flags));
    return size;
}

static int correct(struct report_compared *const *family, int n, int flags, struct error *err)
{
    double *p = mem_alloc(((size_t)n + 1) * sizeof *p);
    int size = 0, at = 0;
    if (!p)
        return error_set_nomem(err, (size_t)n * sizeof *p, "p-values");
    for (int i = 0; i < n; i++)
        if (!isnan(*p_of(family[i], flags)))
            p[size++] = *p_of(family[i], flags);
    int rc = stats_holm(p, size, p, err);
    for (int i = 0; i < n && !rc; i++)
        if (!isnan(*p_of(family[i], flags)))
            *(flags ? &family[i]->p_flags_holm : &family[i]->p_holm) = p[at++];
    mem_free(p);
    return rc;
}

int align_correct(struct report_compared *const *family, int n, struct error *err)
{
    int rc = correct(family, n, 0, err);
    return rc ? rc : correct(family, n, 1, err);
}

/* What each arm's tests against the pretrained model find 4 times in 5. */
static int find_power(const struct arms *arms, struct report_compared *const *family, struct error *err)
{
    double *d = mem_alloc(((size_t)arms->n_item + 1) * sizeof *d);
    int size = family_size(family, arms->n, 0), flags = family_size(family, arms->n, 1),
        rc = d ? 0 : error_set_nomem(err, (size_t)arms->n_item * sizeof *d, "differences");
    struct stats_design design = stats_design_for(arms->n_item, size, arms->seed);
    for (int k = 1; k < arms->n && !rc; k++) {
        struct report_compared *c = family[k];
        struct stats_found found;
        design.family = size;
        rc = isnan(c->p) ? 0 : stats_wilcoxon_finds(d, differences(arms, k, 0, d), &design, &found, err);
        c->found = isnan(c->p) || rc ? NAN : found.effect;
        design.family = flags;
        rc = rc || isnan(c->p_flags) ? rc
                                     : stats_mcnemar_finds(c->n_judged, c->n_better + c->n_worse, &design, &found, err);
        c->found_flags = isnan(c->p_flags) || rc ? NAN : found.effect;
    }
    mem_free(d);
    return rc;
}

/* What is counted of one arm alone. */
static void count_answers(const struct arms *arms, const struct arm *arm, struct report_arm *out)
{
    double sum = 0;
    for (int i = 0; i < arms->n_item; i++)
        if (!isnan(arm->results[i].logprob)) {
            sum += mean_token(&arm->results[i]);
            out->n++;
        }
    out->logprob = out->n ? sum / out->n : NAN;
    for (int i = 0; i < arms->n_text; i++) {
        const struct run_result *r = &arm->results[i];
        out->n_answered += r->text != NULL;
        out->n_empty += r->text && !measured_words(r->text);
        out->n_cut += r->text && r->ended == 0;
        out->n_judged += r->flagged >= 0;
        out->n_flagged += r->flagged > 0;
    }
    struct stats_interval w = stats_wilson(out->n_flagged, out->n_judged, 0.95);
    out->rate = out->n_judged ? (double)out->n_flagged / out->n_judged : NAN;
    out->rate_low = w.low;
    out->rate_high = w.high;
}

/* How many examples really stood in the prompts of an in-context arm. */
static void count_contexts(const struct arms *arms, const struct arm *arm, struct report_arm *out)
{
    int known = 0;
    double sum = 0;
    out->contexts_mean = NAN;
    if (arm->contexts == CONTEXTS_NONE)
        return;
    out->contexts_asked = out->contexts_least = arms->k;
    for (int i = 0; i < arms->n_item; i++) {
        const struct run_result *r = &arm->results[i];
        if (!r->n_context && !r->dropped)
            continue;
        known++;
        sum += r->n_context;
        out->n_dropped += r->dropped > 0;
        out->contexts_least = r->n_context < out->contexts_least ? r->n_context : out->contexts_least;
        out->contexts_most = r->n_context > out->contexts_most ? r->n_context : out->contexts_most;
    }
    if (known)
        out->contexts_mean = sum / known;
}

int align_compare_arms(const struct arms *arms, struct report_run *r, struct error *err)
{
    size_t n = (size_t)arms->n + 1;
    struct report_compared **family = mem_calloc(n, sizeof *family);
    r->arms = mem_calloc(n, sizeof *r->arms);
    int rc = family && r->arms ? 0 : error_set_nomem(err, n * sizeof *r->arms, "arms");
    for (int i = 0; i < arms->n && !rc; i++) {
        struct report_arm *x = &r->arms[i];
        memcpy(x->name, arms->list[i].name, sizeof x->name);
        memcpy(x->model_sha256, arms->list[i].sha256, sizeof x->model_sha256);
        x->steps = arms->list[i].steps;
        count_answers(arms, &arms->list[i], x);
        count_contexts(arms, &arms->list[i], x);
        family[i] = &x->to;
        rc = align_compare(arms, i, 0, &x->to, err);
        r->n_arm = i + 1;
    }
    rc = rc ? rc : align_correct(family, arms->n, err);
    rc = rc ? rc : find_power(arms, family, err);
    mem_free(family);
    return rc;
}
