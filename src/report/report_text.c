/* SPDX-License-Identifier: Apache-2.0 */
/* The tree as the summary that align prints and keeps as summary.txt. */
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* bytes of a question or an answer */
enum { SHOWN = 150 };

static void say_round(struct buf *text, const struct report_round *x)
{
    if (!x->attempts)
        buf_printf(text, "round %d: no question was asked; tuned on the seeds alone", x->number);
    else
        buf_printf(text, "round %d: %d of %d attempts kept, %.1f %% (95 %%: %.1f to %.1f)", x->number, x->kept,
                   x->attempts, 100 * x->share, 100 * x->low, 100 * x->high);
    for (int i = 0; i < x->n_reason; i++)
        buf_printf(text, "; %d %s", x->reasons[i].n, x->reasons[i].text);
    buf_putc(text, '\n');
}

static void say_overlap(struct buf *text, const struct report_run *r)
{
    const struct report_overlap *o = &r->overlap;
    const char *seeds = o->seeds_left_out ? " (left out)" : " (kept)";
    if (r->has_test)
        buf_printf(text,
                   "test overlap: %d of %d seeds are test questions%s; %d generated questions are near one (ROUGE-L "
                   "above %g): %d left out for it, %d kept\n",
                   o->seeds, r->n_seed, o->seeds ? seeds : "", o->generated, o->threshold, o->left_out, o->kept);
}

/* "+0.3619 ( +0.2731 to  +0.4852) +0.82   8e-09" */
static void change_text(struct buf *text, const struct report_compared *c)
{
    if (isnan(c->change))
        buf_printf(text, " %30s %6s %9s", "", "", "");
    else
        buf_printf(text, " %+9.4f (%+9.4f to %+8.4f) %+6.2f %9.2g", c->change, c->low, c->high, c->dz, c->p_holm);
}

static void arm_line(struct buf *text, const struct report_arm *x)
{
    buf_printf(text, "%-17s %6ld", x->name, x->steps);
    if (isnan(x->logprob))
        buf_printf(text, " %10s", "-");
    else
        buf_printf(text, " %9.4f%s", x->logprob, x->n_missing ? "*" : " ");
    change_text(text, &x->to);
    if (x->n_judged) {
        char share[64];
        snprintf(share, sizeof share, "%.1f %% (%.1f to %.1f) of %d%s", 100 * x->rate, 100 * x->rate_low,
                 100 * x->rate_high, x->n_judged, x->n_unjudged ? " *" : "");
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

static const char *interval_text(const char *kind)
{
    if (!strcmp(kind, "BCa"))
        return "BCa bootstrap";
    return !strcmp(kind, "t") ? "by Student's t" : "studentised bootstrap";
}

/* Those of the judge and of the answers. */
static void say_more_columns(struct buf *text, const struct report_run *r)
{
    if (r->has_judge)
        buf_printf(
            text,
            "flagged by the judge: answers with a probability above %g (strictly), with Wilson's 95 %% interval\n"
            "p behind it: exact McNemar against pretrained, after Holm over %d arm%s\n",
            r->threshold, r->tested_flags, r->tested_flags == 1 ? "" : "s");
    if (r->arms[0].n_answered)
        buf_printf(
            text,
            "answers: questions answered; missing in all arms together: %d\nempty: of these without a word\ncut: "
            "of these at the token limit\n",
            r->answers_missing);
}

/* What the columns of the table are, a line each. */
static void say_head(struct buf *text, const struct report_run *r)
{
    buf_printf(
        text,
        "\n%s of %d\nsteps: optimizer steps behind the model\nlikelihood: mean over the questions of a reference "
        "answer's mean log-likelihood a token\nchange: the same less pretrained's",
        !strcmp(r->set, "test") ? "test questions" : "held-out seeds", r->n_item);
    if (r->tested)
        buf_printf(text,
                   ", with its 95 %% interval (%s)\ndz: the change in its standard deviations\np: Wilcoxon's signed "
                   "ranks, after Holm over %d arm%s",
                   interval_text(r->interval), r->tested, r->tested > 1 ? "s" : "");
    buf_putc(text, '\n');
    say_more_columns(text, r);
    buf_printf(text, "%-17s %6s %9s  %30s %6s %9s%s%s\n", "arm", "steps", "likelihood", "change", "dz", "p",
               r->has_judge ? "  flagged by the judge                 p" : "",
               r->arms[0].n_answered ? " answers empty  cut" : "");
}

/* Effects on the flags, beside their p. */
static void say_effects(struct buf *text, const struct report_run *r)
{
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_compared *c = &r->arms[i].to;
        if (isnan(c->p_flags))
            continue;
        buf_printf(text, "  %-17s %d no longer flagged, %d newly; Cohen's h %+.2f", r->arms[i].name, c->n_better,
                   c->n_worse, c->h);
        if (isfinite(c->ratio_low))
            buf_printf(text, "; risk ratio %.2f (%.2f to %.2f)", c->ratio, c->ratio_low, c->ratio_high);
        buf_putc(text, '\n');
    }
}

/* What the columns rest on. */
static void say_notes(struct buf *text, const struct report_run *r)
{
    if (r->has_judge)
        buf_printf(text, "judge %s sha256 %.16s; the prompts of all arms have the template's form\n", r->judge,
                   r->judge_sha256);
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_arm *x = &r->arms[i];
        if (x->n_dropped)
            buf_printf(text,
                       "%s: %d examples asked for; %d to %d, %.1f on average, stood in the prompts, since %d of %d "
                       "prompts had no room for all\n",
                       x->name, x->contexts_asked, x->contexts_least, x->contexts_most, x->contexts_mean, x->n_dropped,
                       r->n_item);
    }
    if (r->answers_missing || r->any_fewer)
        buf_puts(text, "* over fewer than all questions; a change is over those that both arms have\n");
}

static void compared_line(struct buf *text, const struct report_control *x)
{
    const struct report_compared *c = &x->by;
    buf_printf(text, "  %-17s", x->arm);
    if (isnan(c->change))
        buf_printf(text, " %9s", "-");
    change_text(text, c);
    if (!isnan(c->p_flags))
        buf_printf(text, "; %d no longer flagged, %d newly, h %+.2f, p %.2g", c->n_better, c->n_worse, c->h,
                   c->p_flags_holm);
    buf_putc(text, '\n');
}

/* The least effects that the printed tests find, over the likelihoods or the flags; nothing where they cannot find
 * any. */
static void say_found(struct buf *text, const struct report_run *r, int flags)
{
    int n = 0;
    buf_puts(text, flags ? "the same for the flags, in points, where as many answers change their flag as here:"
                         : "found 4 times in 5 by these very tests, at this n and after Holm, are changes of:");
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_compared *c = &r->arms[i].to;
        if (isnan(flags ? c->p_flags : c->p))
            continue;
        buf_printf(text, "%s %s ", n++ ? "," : "", r->arms[i].name);
        if (isnan(flags ? c->found_flags : c->found))
            buf_puts(text, "none");
        else if (flags)
            buf_printf(text, "%.1f", 100 * c->found_flags);
        else
            buf_printf(text, "%.2g", c->found);
    }
    buf_putc(text, '\n');
}

static void say_power(struct buf *text, const struct report_run *r)
{
    if (r->tested)
        say_found(text, r, 0);
    if (r->tested_flags)
        say_found(text, r, 1);
    if (r->tested)
        buf_printf(text,
                   "p and intervals are over questions only: how another --seed would draw contexts, questions%s and "
                   "rows is not in them; run several seeds for that\n",
                   r->arms[0].n_answered ? ", answers" : "");
}

static void say_arms(struct buf *text, const struct report_run *r)
{
    say_head(text, r);
    for (int i = 0; i < r->n_arm; i++)
        arm_line(text, &r->arms[i]);
    if (!r->n_item)
        return;
    say_effects(text, r);
    say_notes(text, r);
    if (r->last.n)
        buf_printf(text,
                   "\nlast round less each control: change, its interval, dz and p as above, after Holm over these "
                   "%d%s\n",
                   r->last.n, r->has_judge ? "; flags: exact McNemar, after Holm over these" : "");
    for (int i = 0; i < r->last.n; i++)
        compared_line(text, &r->last.list[i]);
    if (r->first.n)
        buf_puts(text, "first round less as many steps on the seeds alone (one test, not corrected)\n");
    for (int i = 0; i < r->first.n; i++)
        compared_line(text, &r->first.list[i]);
    say_power(text, r);
}

/* One line, cut. */
static void one_line(struct buf *b, const char *s)
{
    for (size_t i = 0; s[i] && i < SHOWN; i++)
        buf_putc(b, s[i] == '\n' ? ' ' : s[i]);
    if (strlen(s) > SHOWN) {
        while (b->len && ((unsigned char)b->data[b->len - 1] & 0xc0) == 0x80)
            b->data[--b->len] = 0;
        if (b->len && (unsigned char)b->data[b->len - 1] >= 0xc0)
            b->data[--b->len] = 0;
        buf_puts(b, "...");
    }
}

static void say_sample(struct buf *text, const struct report_run *r, const struct report_sample *s)
{
    buf_puts(text, "  ");
    one_line(text, s->question);
    buf_putc(text, '\n');
    for (int k = 0; k < r->n_arm; k++) {
        if (k && k < r->n_arm - 1 && !r->arms[k].round) /* controls are in the files */
            continue;
        buf_printf(text, "    %-12s ", r->arms[k].name);
        one_line(text, s->answers[k] ? s->answers[k] : "(none)");
        buf_putc(text, '\n');
    }
}

void report_elsewhere_text(const struct report_run *r, struct buf *out)
{
    for (int i = 0; i < r->n_elsewhere; i++) {
        const struct report_elsewhere *x = &r->elsewhere[i];
        buf_printf(out, "%s%s by %s at %s", i ? ", " : "", strcmp(x->role, "asker") ? "answered" : "asked", x->model,
                   x->endpoint);
    }
}

static void say_elsewhere(struct buf *text, const struct report_run *r)
{
    if (!r->n_elsewhere)
        return;
    buf_puts(text, "not self-alignment: ");
    report_elsewhere_text(r, text);
    buf_puts(text, ", not by the model itself\n");
    for (int i = 0; i < r->n_elsewhere; i++) {
        const struct report_elsewhere *x = &r->elsewhere[i];
        buf_printf(text,
                   "%s: %ld texts, %ld refused, in %ld requests; by its count %.0f tokens of prompts and %.0f "
                   "of answers",
                   x->role, x->texts, x->refused, x->requests, x->prompt_tokens, x->completion_tokens);
        if (x->uncounted)
            buf_printf(text, " (nothing was said of %ld)", x->uncounted);
        buf_putc(text, '\n');
    }
}

void report_run_text(const struct report_run *r, struct buf *text)
{
    say_elsewhere(text, r);
    for (int i = 0; i < r->n_round; i++)
        say_round(text, &r->rounds[i]);
    buf_printf(text, "scaling: %d kept pairs from %d seeds, %.2f times as many\n", r->kept, r->n_given, r->scaling);
    if (r->attempts_taken)
        buf_printf(text, "round 1: %d attempts were taken from another run\n", r->attempts_taken);
    if (r->novelty_ran_out)
        buf_printf(text, "round %d kept too few of its attempts (stop-novelty %g): nothing was tuned in it\n",
                   r->novelty_ran_out, r->stop_novelty);
    say_overlap(text, r);
    say_arms(text, r);
    for (int i = 0; i < r->n_sample; i++) {
        buf_puts(text, i ? "\n" : "\nSide by side\n");
        say_sample(text, r, &r->samples[i]);
    }
    if (r->tuned)
        buf_printf(text, "\naligned model: %s/round-%d/model\nsha256 %s\n", r->output, r->tuned,
                   r->arms[r->n_arm - 1].model_sha256);
}
