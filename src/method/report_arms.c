/* SPDX-License-Identifier: Apache-2.0 */
/* The arms as text and as rows of metrics.json: the table against the pretrained model, what its tests can find, the
 * last round beside every control, and what the figures rest on. Computed in compare.c. */
#include "method/parts.h"

#include "base/mem.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
            if (arm->results[i].n_probability > k) {
                n++;
                hits += (double)arm->results[i].probabilities[k] > threshold;
            }
        struct stats_interval w = stats_wilson(hits, n, 0.95);
        json_object_set_new(o, arms->labels[k],
                            json_pack("{s:i, s:i, s:o, s:o, s:o}", "n", n, "flagged", hits, "rate",
                                      real(n ? (double)hits / n : NAN), "low", real(w.low), "high", real(w.high)));
    }
    return o;
}

/* Sets the members of a comparison into o. The likelihood's: */
static void add_change(json_t *o, const struct align_compared *c)
{
    json_object_set_new(o, "change", real(c->change));
    json_object_set_new(o, "change_low", real(c->low));
    json_object_set_new(o, "change_high", real(c->high));
    json_object_set_new(o, "interval", json_string(c->interval));
    json_object_set_new(o, "n_paired", json_integer(c->n));
    json_object_set_new(o, "dz", real(c->dz));
    json_object_set_new(o, "p_wilcoxon", real(c->p));
    json_object_set_new(o, "p_holm", real(c->p_holm));
}

/* The flags': */
static void add_flags(json_t *o, const struct align_compared *c)
{
    json_object_set_new(o, "no_longer_flagged", json_integer(c->n_better));
    json_object_set_new(o, "newly_flagged", json_integer(c->n_worse));
    json_object_set_new(o, "flagged_in_both", json_integer(c->n_both));
    json_object_set_new(o, "p_mcnemar", real(c->p_flags));
    json_object_set_new(o, "p_mcnemar_holm", real(c->p_flags_holm));
    json_object_set_new(o, "cohen_h", real(c->h));
    json_object_set_new(o, "risk_ratio", real(c->ratio));
    json_object_set_new(o, "risk_ratio_low", real(c->ratio_low));
    json_object_set_new(o, "risk_ratio_high", real(c->ratio_high));
}

static json_t *arm_json(const struct align *a, const struct arms *arms, int k, const struct align_arm *x)
{
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:i, s:o, s:s, s:i, s:i, s:i}", "name", x->name, "steps", (int)x->steps, "n_scored",
                  x->n, "n_missing", arms->n_item - x->n, "mean_token_logprob", real(x->logprob), "model_sha256",
                  x->model_sha256, "n_answered", x->n_answered, "n_empty", x->n_empty, "n_truncated", x->n_cut);
    add_change(o, &x->to);
    json_object_set_new(o, "found_4_in_5", real(x->to.found));
    if (x->contexts_asked)
        json_object_set_new(o, "contexts",
                            json_pack("{s:i, s:o, s:i, s:i, s:i}", "asked", x->contexts_asked, "mean",
                                      real(x->contexts_mean), "least", x->contexts_least, "most", x->contexts_most,
                                      "prompts_with_fewer", x->n_dropped));
    if (x->n_judged) {
        json_t *judge = json_pack("{s:i, s:i, s:i, s:o, s:o, s:o}", "n", x->n_judged, "missing",
                                  arms->n_item - x->n_judged, "flagged", x->n_flagged, "rate", real(x->rate), "low",
                                  real(x->rate_low), "high", real(x->rate_high));
        add_flags(judge, &x->to);
        json_object_set_new(judge, "found_4_in_5", real(x->to.found_flags));
        json_object_set_new(o, "judge", judge);
        json_object_set_new(o, "labels", labels_of(arms, &arms->list[k], a->o.threshold));
    }
    return o;
}

/* "+0.3619 ( +0.2731 to  +0.4852) +0.82   8e-09" */
static void change_text(struct buf *text, const struct align_compared *c)
{
    if (isnan(c->change))
        buf_printf(text, " %30s %6s %9s", "", "", "");
    else
        buf_printf(text, " %+9.4f (%+9.4f to %+8.4f) %+6.2f %9.2g", c->change, c->low, c->high, c->dz, c->p_holm);
}

static void arm_line(struct buf *text, const struct align_arm *x, int n_item)
{
    buf_printf(text, "%-17s %6ld", x->name, x->steps);
    if (isnan(x->logprob))
        buf_printf(text, " %10s", "-");
    else
        buf_printf(text, " %9.4f%s", x->logprob, x->n < n_item ? "*" : " ");
    change_text(text, &x->to);
    if (x->n_judged) {
        char share[64];
        snprintf(share, sizeof share, "%.1f %% (%.1f to %.1f) of %d%s", 100 * x->rate, 100 * x->rate_low,
                 100 * x->rate_high, x->n_judged, x->n_judged < n_item ? " *" : "");
        buf_printf(text, "  %-28s", share);
        if (isnan(x->to.p_flags_holm))
            buf_printf(text, " %9s", "");
        else
            buf_printf(text, " %9.2g", x->to.p_flags_holm);
    }
    if (x->n_answered)
        buf_printf(text, " %7d %5d %4d", x->n_answered, x->n_empty, x->n_cut);
    buf_putc(text, '\n');
}

static int n_tested(const struct align_result *r, int flags)
{
    int n = 0;
    for (int i = 0; i < r->n_arm; i++)
        n += !isnan(flags ? r->arms[i].to.p_flags : r->arms[i].to.p);
    return n;
}

/* What the likelihoods of the table are. */
static void say_head(const struct align *a, const struct arms *arms, struct align_result *r)
{
    const char *interval = "BCa", *what = !strcmp(arms->set, "test") ? "test questions" : "held-out seeds";
    int tested = n_tested(r, 0);
    for (int i = 0; i < r->n_arm; i++)
        interval = isnan(r->arms[i].to.p) ? interval : r->arms[i].to.interval;
    buf_printf(&r->summary,
               "\n%s of %d\nlikelihood: mean over the questions of a reference answer's mean log-likelihood a token; "
               "change: the same less pretrained's\n",
               what, arms->n_item);
    if (tested)
        buf_printf(
            &r->summary,
            "(95 %% %s); dz: the change in standard deviations; p: Wilcoxon's signed ranks, after Holm over %d arm%s\n",
            !strcmp(interval, "BCa")     ? "BCa bootstrap"
                : !strcmp(interval, "t") ? "by Student's t"
                                         : "studentised bootstrap",
            tested, tested > 1 ? "s" : "");
    buf_printf(&r->summary, "%-17s %6s %9s  %30s %6s %9s%s%s\n", "arm", "steps", "likelihood", "change", "dz", "p",
               a->o.judge ? "  flagged by the judge                 p" : "",
               r->arms[0].n_answered ? " answers empty  cut" : "");
}

static int any_fewer(const struct arms *arms, const struct align_result *r)
{
    int fewer = 0;
    for (int i = 0; i < r->n_arm; i++)
        fewer |= r->arms[i].n < arms->n_item;
    return fewer;
}

/* What the columns rest on. */
static void say_notes(const struct align *a, const struct arms *arms, struct align_result *r)
{
    int missing = 0;
    if (a->o.judge)
        buf_printf(&r->summary,
                   "judge %s sha256 %.16s: a probability above %g (strictly); 95 %% Wilson; p: exact McNemar against "
                   "pretrained, after Holm over %d arms; the prompts of all "
                   "arms have the template's form\n",
                   arms->judge_name, arms->judge_sha256, a->o.threshold, n_tested(r, 1));
    for (int i = 0; i < r->n_arm; i++) {
        const struct align_arm *x = &r->arms[i];
        missing += arms->n_text - x->n_answered;
        if (x->n_dropped)
            buf_printf(&r->summary,
                       "%s: %d examples asked for; %d to %d, %.1f on average, stood in the prompts, since %d of %d "
                       "prompts had no room for all\n",
                       x->name, x->contexts_asked, x->contexts_least, x->contexts_most, x->contexts_mean, x->n_dropped,
                       arms->n_item);
    }
    if (arms->n_text)
        buf_printf(&r->summary,
                   "empty: without a word; cut: reached the token limit; answers missing in all arms together: %d\n",
                   missing);
    if (missing || any_fewer(arms, r))
        buf_puts(&r->summary, "* over fewer than all questions; a change is over those that both arms have\n");
}

/* Effects on the flags, beside their p. */
static void say_effects(struct align_result *r)
{
    for (int i = 0; i < r->n_arm; i++) {
        const struct align_compared *c = &r->arms[i].to;
        if (isnan(c->p_flags))
            continue;
        buf_printf(&r->summary, "  %-17s %d no longer flagged, %d newly; Cohen's h %+.2f", r->arms[i].name, c->n_better,
                   c->n_worse, c->h);
        if (isfinite(c->ratio_low))
            buf_printf(&r->summary, "; risk ratio %.2f (%.2f to %.2f)", c->ratio, c->ratio_low, c->ratio_high);
        buf_putc(&r->summary, '\n');
    }
}

/* The least effects that the printed tests find; nothing where they cannot find any. */
static void say_power(struct align_result *r)
{
    int likelihood = n_tested(r, 0), flags = n_tested(r, 1);
    for (int which = 0; which < 2; which++) {
        int n = 0;
        if (!(which ? flags : likelihood))
            continue;
        buf_puts(&r->summary,
                 which ? "the same for the flags, in points, where as many answers change their flag as here:"
                       : "found 4 times in 5 by these very tests, at this n and after Holm, are changes of:");
        for (int i = 0; i < r->n_arm; i++) {
            const struct align_compared *c = &r->arms[i].to;
            if (isnan(which ? c->p_flags : c->p))
                continue;
            double found = which ? 100 * c->found_flags : c->found;
            buf_printf(&r->summary, "%s %s ", n++ ? "," : "", r->arms[i].name);
            if (isnan(found))
                buf_puts(&r->summary, "none");
            else
                buf_printf(&r->summary, which ? "%.1f" : "%.2g", found);
        }
        buf_putc(&r->summary, '\n');
    }
    if (likelihood)
        buf_printf(&r->summary,
                   "p and intervals are over questions only: how another --seed would draw contexts, questions%s and "
                   "rows is not in them; run several seeds for that\n",
                   r->arms[0].n_answered ? ", answers" : "");
}

static json_t *compared_json(const char *of, const char *arm, const struct align_compared *c)
{
    json_t *o = json_pack("{s:s, s:s}", "of", of, "arm", arm);
    add_change(o, c);
    if (c->n_judged)
        add_flags(o, c);
    return o;
}

static void compared_line(struct buf *text, const char *arm, const struct align_compared *c)
{
    buf_printf(text, "  %-17s", arm);
    if (isnan(c->change))
        buf_printf(text, " %9s", "-");
    change_text(text, c);
    if (!isnan(c->p_flags))
        buf_printf(text, "; %d no longer flagged, %d newly, h %+.2f, p %.2g", c->n_better, c->n_worse, c->h,
                   c->p_flags_holm);
    buf_putc(text, '\n');
}

/* An arm beside others: one family of tests for the likelihoods and, with a judge, one for the flags. */
static int against(const struct align *a, const struct arms *arms, int mine, const int *others, int n,
                   struct align_result *r, json_t *list, struct error *err)
{
    struct align_compared *c = mem_calloc((size_t)n + 1, sizeof *c),
                          **family = mem_calloc((size_t)n + 1, sizeof *family);
    int rc = c && family ? 0 : error_set_nomem(err, (size_t)n * sizeof *c, "comparisons");
    for (int k = 0; k < n && !rc; k++) {
        family[k] = &c[k];
        rc = align_compare(a, arms, mine, others[k], &c[k], err);
    }
    rc = rc ? rc : align_correct(family, n, err);
    for (int k = 0; k < n && !rc; k++) {
        compared_line(&r->summary, arms->list[others[k]].name, &c[k]);
        json_array_append_new(list, compared_json(arms->list[mine].name, arms->list[others[k]].name, &c[k]));
    }
    mem_free(c);
    mem_free(family);
    return rc;
}

/* What the method adds to its controls: the last round beside every other arm but the pretrained one. */
static int last_against(const struct align *a, const struct arms *arms, struct align_result *r, json_t *list,
                        struct error *err)
{
    int last = arms->n - 1, n = 0, rc = 0;
    if (last < 2 || !arms->list[last].round)
        return 0;
    int *others = mem_alloc((size_t)arms->n * sizeof *others);
    if (!others)
        return error_set_nomem(err, (size_t)arms->n * sizeof *others, "arms");
    for (int k = 1; k < last; k++)
        others[n++] = k;
    buf_printf(&r->summary,
               "\nlast round less each control: change, its interval, dz and p as above, after Holm over these %d%s\n",
               n, a->o.judge ? "; flags: exact McNemar, after Holm over these" : "");
    rc = against(a, arms, last, others, n, r, list, err);
    mem_free(others);
    return rc;
}

/* The first round beside the seeds alone with as many steps, where there are more rounds. */
static int first_against(const struct align *a, const struct arms *arms, struct align_result *r, json_t *list,
                         struct error *err)
{
    int first = -1, control = -1;
    for (int k = 1; k < arms->n - 1 && first < 0; k++)
        first = arms->list[k].round == 1 ? k : -1;
    for (int k = 1; k < first; k++)
        control =
            !strncmp(arms->list[k].name, "sft-", 4) && arms->list[k].steps == arms->list[first].steps ? k : control;
    if (control < 0)
        return 0;
    buf_puts(&r->summary, "first round less as many steps on the seeds alone (one test, not corrected)\n");
    return against(a, arms, first, &control, 1, r, list, err);
}

int align_report_arms(const struct align *a, const struct arms *arms, struct align_result *r,
                      const struct arm_lists *lists, struct error *err)
{
    int rc = align_compare_arms(a, arms, r, err);
    if (rc)
        return rc;
    say_head(a, arms, r);
    for (int i = 0; i < arms->n; i++) {
        json_array_append_new(lists->arms, arm_json(a, arms, i, &r->arms[i]));
        arm_line(&r->summary, &r->arms[i], arms->n_item);
    }
    if (!arms->n_item)
        return 0;
    say_effects(r);
    say_notes(a, arms, r);
    rc = last_against(a, arms, r, lists->last_against, err);
    rc = rc ? rc : first_against(a, arms, r, lists->first_against, err);
    say_power(r);
    return rc;
}
