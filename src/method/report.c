/* SPDX-License-Identifier: Apache-2.0 */
/* What came out, in numbers that say how sure they are: metrics.json and a plain-text summary of the same. Paired to the pretrained model question by question; p-values are
 * corrected for the number of arms (Holm). */
#include "method/parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
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

/* Share of different word pairs among all of the kept questions. */
static double distinct_pairs(const struct align *a, struct error *err, int *rc)
{
    size_t cap = 0, n = 0;
    for (int i = 0; i < a->n_attempt; i++)
        cap += a->attempts[i].kept ? strlen(a->attempts[i].question.text) / 2 + 2 : 0;
    const char **starts = mem_calloc(cap + 1, sizeof *starts);
    if (!starts) {
        *rc = error_set_nomem(err, cap * sizeof *starts, "word pairs");
        return NAN;
    }
    double different = 0;
    for (int i = 0; i < a->n_attempt; i++)
        for (const char *s = a->attempts[i].kept ? a->attempts[i].question.text : ""; *s;) {
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

static int round_json(struct align *a, int t, const struct run_round *round, json_t *list, struct buf *text, struct error *err)
{
    int counts[SIFT_REASON_COUNT] = {0}, repeated = 0, rc = align_load_round(a, t, round->attempts, err);
    double f1 = 0;
    json_t *reasons = json_object();
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        int reason = a->attempts[i].reason ? sift_reason_find(a->attempts[i].reason) : -1;
        if (reason >= 0)
            counts[reason]++;
        if (a->attempts[i].kept)
            f1 += a->attempts[i].f1;
        repeated += reason == SIFT_QUESTION_REPEAT;
    }
    int unparsed = counts[SIFT_ERROR] + counts[SIFT_QUESTION_EMPTY] + counts[SIFT_QUESTION_UNPARSED];
    struct stats_interval w = stats_wilson(round->kept, round->attempts, 0.95);
    buf_printf(text, "round %d: %d of %d attempts kept, %.1f %% (95 %%: %.1f to %.1f)", t, round->kept, round->attempts, 100.0 * round->kept / round->attempts, 100 * w.low,
               100 * w.high);
    for (int i = 1; i < SIFT_REASON_COUNT; i++)
        if (counts[i]) {
            buf_printf(text, "; %d %s", counts[i], sift_reason_text((enum sift_reason)i));
            json_object_set_new(reasons, sift_reason_name((enum sift_reason)i), json_integer(counts[i]));
        }
    buf_putc(text, '\n');
    double pairs = distinct_pairs(a, err, &rc);
    json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:i, s:o, s:o, s:i, s:s}", "round", t, "attempts", round->attempts, "questions_parsed", round->attempts - unparsed, "kept", round->kept, "share",
                                          real((double)round->kept / round->attempts), "reasons", reasons, "repeats", repeated, "mean_nearest_f1_of_kept",
                                          real(round->kept ? f1 / round->kept : NAN), "distinct_word_pairs_of_kept", real(pairs), "steps", (int)round->steps, "model_sha256",
                                          round->model_sha256));
    return rc;
}

static int rounds_json(struct align *a, json_t *list, struct buf *text, struct error *err)
{
    int rc = 0, kept = 0;
    for (int t = 1; t <= a->o.rounds && !rc; t++) {
        struct run_round round;
        if ((rc = run_get_round(a->run, t, &round, err)) || round.state != RUN_STATE_DONE)
            break;
        rc = round_json(a, t, &round, list, text, err);
        kept += round.model_sha256[0] ? round.kept : 0;
    }
    buf_printf(text, "scaling: %d kept pairs from %d seeds, %.2f times as many\n", kept, a->n_given, (double)kept / a->n_given);
    return rc;
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
    double p[ALIGN_MAX_ARM];
    int arm[ALIGN_MAX_ARM], n = 0;
    for (int i = 0; i < r->n_arm; i++) {
        r->arms[i].p_flags_holm = NAN;
        if (!isnan(r->arms[i].p_flags))
            arm[n] = i, p[n++] = r->arms[i].p_flags;
    }
    int rc = stats_holm(p, n, p, err);
    for (int k = 0; k < n && !rc; k++)
        r->arms[arm[k]].p_flags_holm = p[k];
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

static int arms_json(struct align *a, struct arms *arms, struct align_result *r, json_t *list, struct error *err)
{
    double p[ALIGN_MAX_ARM], holm[ALIGN_MAX_ARM];
    int tested[ALIGN_MAX_ARM], n = 0, rc = 0;
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
        buf_printf(&r->summary, "With %d paired questions a change of %.2f standard deviations is found 4 times in 5.\n", arms->n_item, least);
    }
    return rc;
}

/* One line, cut. */
static void one_line(struct buf *b, const char *s, size_t most)
{
    for (size_t i = 0; s[i] && i < most; i++)
        buf_putc(b, s[i] == '\n' ? ' ' : s[i]);
    if (strlen(s) > most) {
        while (b->len && ((unsigned char)b->data[b->len - 1] & 0xc0) == 0x80)
            b->data[--b->len] = 0;
        if (b->len && (unsigned char)b->data[b->len - 1] >= 0xc0)
            b->data[--b->len] = 0;
        buf_puts(b, "...");
    }
}

static void samples(const struct align *a, const struct arms *arms, struct buf *text, json_t *list)
{
    int n = arms->n_text < a->o.samples ? arms->n_text : a->o.samples;
    for (int i = 0; i < n; i++) {
        json_t *row = json_pack("{s:s, s:s?}", "question", arms->items[i].question, "reference", arms->items[i].answer), *answers = json_object();
        buf_puts(text, i ? "\n" : "\nSide by side\n");
        buf_puts(text, "  ");
        one_line(text, arms->items[i].question, 150);
        buf_putc(text, '\n');
        for (int k = 0; k < arms->n; k++) {
            const char *answer = arms->list[k].results[i].text;
            json_object_set_new(answers, arms->list[k].name, answer ? json_string(answer) : json_null());
            if (k && k < arms->n - 1 && arms->list[k].round == 0) /* baselines are in the files */
                continue;
            buf_printf(text, "    %-12s ", arms->list[k].name);
            one_line(text, answer ? answer : "(none)", 150);
            buf_putc(text, '\n');
        }
        json_object_set_new(row, "answers", answers);
        json_array_append_new(list, row);
    }
}

static json_t *seconds_json(struct align *a, struct error *err)
{
    static const char *const phases[] = {"ask", "retrieve", "answer", "tune", "evidence"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        char name[64];
        const char *value;
        snprintf(name, sizeof name, "seconds-%s", phases[i]);
        if (!run_get_fact(a->run, name, &value, &a->arena, err) && value)
            json_object_set_new(o, phases[i], json_real(strtod(value, NULL)));
    }
    return o;
}

static int write_out(struct align *a, json_t *metrics, struct align_result *r, struct error *err)
{
    char *path = path_join(a->o.output, "metrics.json"), *text = path_join(a->o.output, "summary.txt");
    int rc = path && text ? jsontext_dump(&r->json, metrics, 1, err) : error_set_nomem(err, 64, "path");
    if (!rc)
        rc = r->summary.failed ? error_set_nomem(err, r->summary.len, "summary") : jsontext_write(path, metrics, err);
    if (!rc)
        rc = file_write(text, r->summary.data, r->summary.len, err);
    mem_free(path), mem_free(text);
    return rc;
}

int align_report(struct align *a, struct arms *arms, struct align_result *r, struct error *err)
{
    json_t *rounds = json_array(), *list = json_array(), *side = json_array();
    int rc = rounds_json(a, rounds, &r->summary, err);
    if (r->novelty_ran_out)
        buf_printf(&r->summary, "round %d kept too few of its attempts (stop-novelty %g): nothing was tuned in it\n", r->novelty_ran_out, a->o.stop_novelty);
    if (!rc)
        rc = arms_json(a, arms, r, list, err);
    if (!rc)
        samples(a, arms, &r->summary, side);
    if (!rc && r->rounds)
        buf_printf(&r->summary, "\naligned model: %s/round-%d/model\nsha256 %s\n", a->o.output, r->rounds, r->arms[r->n_arm - 1].model_sha256);
    json_t *metrics = json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:f, s:i}", "set", arms->set, "n", arms->n_item, "answered", arms->n_text, "seeds", a->seeds.n, "held_out",
                                a->n_held, "judge", arms->judge_name, "judge_sha256", arms->judge_sha256, "novelty_ran_out", r->novelty_ran_out, "rounds", rounds, "arms", list, "samples", side,
                                "seconds", seconds_json(a, err), "threshold", a->o.threshold, "peak_resident_mib", (int)(clock_rss_peak() >> 20));
    if (!rc)
        rc = metrics ? write_out(a, metrics, r, err) : error_set_nomem(err, 4096, "metrics");
    json_decref(metrics);
    return rc;
}
