/* SPDX-License-Identifier: Apache-2.0 */
/* The table of arms: likelihoods of the reference answers, and the judge's flags. Paired to the pretrained model question by question, the last round also to the other arms;
 * p-values are corrected for the number of arms (Holm). */
#include "method/parts.h"

#include "base/mem.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 10000 };

/* Mean per token of one answer. */
static double mean_token(const struct run_result *r)
{
    return r->logprob / r->n_token;
}

static int compare_likelihood(const struct arms *arms, const struct arm *arm, uint64_t seed, struct align_arm *out, struct error *err)
{
    const struct run_result *base = arms->list[0].results, *mine = arm->results;
    double *d = mem_alloc(((size_t)arms->n_item + 1) * sizeof *d), sum = 0;
    long tokens = 0;
    int n = 0, paired = 0, rc = d ? 0 : error_set_nomem(err, (size_t)arms->n_item * sizeof *d, "differences");
    for (int i = 0; i < arms->n_item && !rc; i++) {
        if (isnan(mine[i].logprob))
            continue;
        n++, tokens += mine[i].n_token, sum += mine[i].logprob;
        if (!isnan(base[i].logprob))
            d[paired++] = mean_token(&mine[i]) - mean_token(&base[i]);
    }
    out->n = n;
    out->logprob = tokens ? sum / (double)tokens : NAN;
    out->change = out->change_low = out->change_high = out->p = NAN;
    if (!rc && paired > 1 && arm != &arms->list[0]) {
        struct stats_interval i;
        struct stats_test t;
        if (!(rc = stats_bootstrap_mean(d, paired, RESAMPLES, 0.95, seed, &i, err)) && !(rc = stats_wilcoxon(d, paired, &t, err)))
            out->change = stats_mean(d, paired), out->change_low = i.low, out->change_high = i.high, out->p = t.p;
    }
    mem_free(d);
    return rc;
}

static void compare_flags(const struct arms *arms, const struct arm *arm, struct align_arm *out)
{
    const struct run_result *base = arms->list[0].results, *mine = arm->results;
    long better = 0, worse = 0;
    int pairs = 0;
    for (int i = 0; i < arms->n_text; i++) {
        if (mine[i].text)
            out->n_answered++, out->n_empty += !mine[i].text[strspn(mine[i].text, " \t\r\n")], out->n_cut += mine[i].ended == 0;
        if (mine[i].flagged < 0)
            continue;
        out->n_judged++, out->n_flagged += mine[i].flagged;
        if (base[i].flagged >= 0)
            pairs++, better += base[i].flagged && !mine[i].flagged, worse += mine[i].flagged && !base[i].flagged;
    }
    struct stats_interval w = stats_wilson(out->n_flagged, out->n_judged, 0.95);
    out->rate = out->n_judged ? (double)out->n_flagged / out->n_judged : NAN;
    out->rate_low = w.low, out->rate_high = w.high;
    out->p_flags = pairs && arm != &arms->list[0] ? stats_mcnemar(better, worse).p : NAN;
    out->n_better = (int)better, out->n_worse = (int)worse;
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *labels_of(const struct arms *arms, const struct arm *arm, double threshold)
{
    json_t *o = json_object();
    for (int k = 0; k < arms->n_label; k++) {
        int n = 0, hits = 0;
        for (int i = 0; i < arms->n_text; i++)
            if (arm->results[i].n_probability > k)
                n++, hits += (double)arm->results[i].probabilities[k] > threshold;
        struct stats_interval w = stats_wilson(hits, n, 0.95);
        json_object_set_new(o, arms->labels[k], json_pack("{s:i, s:i, s:o, s:o, s:o}", "n", n, "flagged", hits, "rate", real(n ? (double)hits / n : NAN), "low",
                                                          real(w.low), "high", real(w.high)));
    }
    return o;
}

static json_t *arm_json(const struct align *a, const struct arms *arms, const struct arm *arm, const struct align_arm *x, double p_holm)
{
    json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:i, s:i}", "name", x->name, "steps", (int)x->steps, "n_scored", x->n, "n_missing", arms->n_item - x->n,
                          "mean_token_logprob", real(x->logprob), "change", real(x->change), "change_low", real(x->change_low), "change_high", real(x->change_high), "p_wilcoxon",
                          real(x->p), "p_holm", real(p_holm), "model_sha256", x->model_sha256, "n_answered", x->n_answered, "n_empty", x->n_empty, "n_truncated", x->n_cut);
    if (x->n_judged) {
        json_object_set_new(o, "judge", json_pack("{s:i, s:i, s:i, s:o, s:o, s:o, s:i, s:i, s:o, s:o}", "n", x->n_judged, "missing", arms->n_item - x->n_judged, "flagged", x->n_flagged, "rate", real(x->rate), "low", real(x->rate_low),
                                                  "high", real(x->rate_high), "no_longer_flagged", x->n_better, "newly_flagged", x->n_worse, "p_mcnemar", real(x->p_flags),
                                                  "p_mcnemar_holm", real(x->p_flags_holm)));
        json_object_set_new(o, "labels", labels_of(arms, arm, a->o.threshold));
    }
    return o;
}

static void arm_line(struct buf *text, const struct align_arm *x, int n_item, double p_holm)
{
    buf_printf(text, "%-16s %6ld", x->name, x->steps);
    if (isnan(x->logprob))
        buf_printf(text, " %9s", "-");
    else
        buf_printf(text, " %9.4f", x->logprob);
    if (isnan(x->change))
        buf_printf(text, " %30s %9s", "", "");
    else
        buf_printf(text, " %+9.4f (%+9.4f to %+8.4f) %9.2g", x->change, x->change_low, x->change_high, p_holm);
    if (x->n_judged) {
        char share[64];
        snprintf(share, sizeof share, "%.1f %% (%.1f to %.1f) of %d%s", 100 * x->rate, 100 * x->rate_low, 100 * x->rate_high, x->n_judged, x->n_judged < n_item ? " *" : "");
        buf_printf(text, "  %-28s", share);
        if (isnan(x->p_flags_holm))
            buf_printf(text, " %9s", "");
        else
            buf_printf(text, " %9.2g", x->p_flags_holm);
    }
    if (x->n_answered)
        buf_printf(text, " %7d %5d %4d", x->n_answered, x->n_empty, x->n_cut);
    buf_putc(text, '\n');
}

/* p-values of the flags, over the arms that have them. */
static int correct_flags(struct align_result *r, struct error *err)
{
    double *p = mem_calloc((size_t)r->n_arm + 1, sizeof *p);
    int *arm = mem_calloc((size_t)r->n_arm + 1, sizeof *arm), n = 0;
    int rc = p && arm ? 0 : error_set_nomem(err, (size_t)r->n_arm * sizeof *p, "p-values");
    for (int i = 0; i < r->n_arm && !rc; i++) {
        r->arms[i].p_flags_holm = NAN;
        if (!isnan(r->arms[i].p_flags))
            arm[n] = i, p[n++] = r->arms[i].p_flags;
    }
    rc = rc ? rc : stats_holm(p, n, p, err);
    for (int k = 0; k < n && !rc; k++)
        r->arms[arm[k]].p_flags_holm = p[k];
    mem_free(p);
    mem_free(arm);
    return rc;
}

/* The last round's flags against those of every other arm but the pretrained one, question by question: what the method adds to its controls. */
static int last_against(const struct align *a, const struct arms *arms, struct align_result *r, json_t *list, struct error *err)
{
    int n = 0, last = arms->n - 1;
    if (!a->o.judge || last < 2 || !arms->list[last].round)
        return 0;
    double *p = mem_calloc((size_t)arms->n, sizeof *p), *holm = mem_calloc((size_t)arms->n, sizeof *holm);
    int *less = mem_calloc((size_t)arms->n, sizeof *less), *more = mem_calloc((size_t)arms->n, sizeof *more);
    int rc = p && holm && less && more ? 0 : error_set_nomem(err, (size_t)arms->n * sizeof *p, "p-values");
    for (int k = 1; k < last && !rc; k++, n++) {
        for (int i = 0; i < arms->n_text; i++) {
            int mine = arms->list[last].results[i].flagged, other = arms->list[k].results[i].flagged;
            less[n] += mine == 0 && other == 1, more[n] += mine == 1 && other == 0;
        }
        p[n] = stats_mcnemar(less[n], more[n]).p;
    }
    rc = rc ? rc : stats_holm(p, n, holm, err);
    for (int k = 0; k < n && !rc; k++) {
        const char *name = arms->list[k + 1].name;
        buf_printf(&r->summary, "%s%s: %d no longer flagged, %d newly flagged, p %.2g", k ? "; " : "last round against ", name, less[k], more[k], holm[k]);
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:f, s:f}", "arm", name, "no_longer_flagged", less[k], "newly_flagged", more[k], "p_mcnemar", p[k], "p_mcnemar_holm", holm[k]));
    }
    buf_puts(&r->summary, " (exact McNemar, Holm)\n");
    mem_free(p);
    mem_free(holm);
    mem_free(less);
    mem_free(more);
    return rc;
}

/* What the columns of flags and answers rest on. */
static void say_judge(const struct align *a, const struct arms *arms, struct align_result *r)
{
    int missing = 0;
    for (int i = 0; i < r->n_arm; i++)
        missing += arms->n_text - r->arms[i].n_answered;
    if (a->o.judge)
        buf_printf(&r->summary, "judge %s sha256 %.16s: a probability above %g (strictly); 95 %% Wilson; p: exact McNemar against pretrained after Holm; the prompts of all arms have the template's form\n",
                   arms->judge_name, arms->judge_sha256, a->o.threshold);
    if (arms->n_text)
        buf_printf(&r->summary, "empty: without a word; cut: reached the token limit; answers missing in all arms together: %d%s\n", missing, missing ? "; * over fewer than all questions" : "");
}

int align_report_arms(const struct align *a, const struct arms *arms, struct align_result *r, json_t *list, json_t *against, struct error *err)
{
    size_t n_arm = (size_t)arms->n + 1;
    double *p = mem_calloc(n_arm, sizeof *p), *holm = mem_calloc(n_arm, sizeof *holm);
    int *tested = mem_calloc(n_arm, sizeof *tested), n = 0;
    r->arms = mem_calloc(n_arm, sizeof *r->arms);
    int rc = p && holm && tested && r->arms ? 0 : error_set_nomem(err, n_arm * sizeof *r->arms, "arms");
    for (int i = 0; i < arms->n && !rc; i++) {
        struct align_arm *x = &r->arms[i];
        memcpy(x->name, arms->list[i].name, sizeof x->name);
        memcpy(x->model_sha256, arms->list[i].sha256, sizeof x->model_sha256);
        x->steps = arms->list[i].steps;
        rc = compare_likelihood(arms, &arms->list[i], a->o.seed, x, err);
        compare_flags(arms, &arms->list[i], x);
        if (!isnan(x->p))
            tested[n] = i, p[n++] = x->p;
        r->n_arm = i + 1;
    }
    if (!rc)
        rc = stats_holm(p, n, holm, err);
    rc = rc ? rc : correct_flags(r, err);
    if (!rc)
        buf_printf(&r->summary, "\n%s of %d (%s)\n%-16s %6s %9s %30s %9s%s%s\n", !strcmp(arms->set, "test") ? "test questions" : "held-out seeds", arms->n_item,
                   "reference answers: mean log-likelihood of a token; change to pretrained, 95 % BCa, Wilcoxon p after Holm", "arm", "steps", "likelihood", "change", "p",
                   a->o.judge ? "  flagged by the judge                 p" : "", r->arms[0].n_answered ? " answers empty  cut" : "");
    for (int i = 0; i < arms->n && !rc; i++) {
        double corrected = NAN;
        for (int k = 0; k < n; k++)
            corrected = tested[k] == i ? holm[k] : corrected;
        json_array_append_new(list, arm_json(a, arms, &arms->list[i], &r->arms[i], corrected));
        arm_line(&r->summary, &r->arms[i], arms->n_item, corrected);
    }
    if (!rc && arms->n_item) {
        double least = stats_detectable_paired(arms->n_item, 0.05, 0.8);
        say_judge(a, arms, r);
        rc = last_against(a, arms, r, against, err);
        buf_printf(&r->summary, "With %d paired questions a change of %.2f standard deviations is found 4 times in 5.\n", arms->n_item, least);
    }
    mem_free(p);
    mem_free(holm);
    mem_free(tested);
    return rc;
}
