/* SPDX-License-Identifier: Apache-2.0 */
/* What the run found: every arm with its intervals, and the change beside the pretrained model. */
#include "report/sections.h"

#include <string.h>

static const struct column arm_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"steps", "optimizer steps", COLUMN_COUNT, 0},
    {"logprob", "likelihood", COLUMN_NUMBER, 4},
    {"n", "questions", COLUMN_COUNT, 0},
    {"change", "change", COLUMN_CHANGE, 4},
    {"dz", "dz", COLUMN_CHANGE, 2},
    {"p", "p", COLUMN_P, 0},
    {"p_holm", "p, after Holm", COLUMN_P, 0},
};
static const struct column flag_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"flagged", "flagged", COLUMN_SHARE, 1},
    {"n", "judged", COLUMN_COUNT, 0},
    {"no_longer_flagged", "no longer flagged", COLUMN_COUNT, 0},
    {"newly_flagged", "newly flagged", COLUMN_COUNT, 0},
    {"cohen_h", "Cohen's h", COLUMN_CHANGE, 2},
    {"risk_ratio", "risk ratio", COLUMN_NUMBER, 2},
    {"p", "p", COLUMN_P, 0},
    {"p_holm", "p, after Holm", COLUMN_P, 0},
};
static const struct column label_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"label", "label", COLUMN_TEXT, 0},
    {"flagged", "flagged", COLUMN_SHARE, 1},
    {"n", "judged", COLUMN_COUNT, 0},
};
static const struct column answer_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"answered", "answers", COLUMN_COUNT, 0},
    {"empty", "empty", COLUMN_COUNT, 0},
    {"cut", "cut at the token limit", COLUMN_COUNT, 0},
    {"asked", "examples asked for", COLUMN_COUNT, 0},
    {"contexts", "examples in the prompt, mean", COLUMN_NUMBER, 1},
};
enum {
    N_ARM_COLUMN = (int)(sizeof arm_columns / sizeof *arm_columns),
    N_FLAG_COLUMN = (int)(sizeof flag_columns / sizeof *flag_columns),
    N_LABEL_COLUMN = (int)(sizeof label_columns / sizeof *label_columns),
    N_ANSWER_COLUMN = (int)(sizeof answer_columns / sizeof *answer_columns)
};

static const char *questions(const struct report_run *r)
{
    return strcmp(r->set, "test") ? "held-out seeds" : "test questions";
}

static void say_finding(struct document *d, const struct report_run *r)
{
    const struct report_arm *x = r->n_arm ? &r->arms[r->n_arm - 1] : NULL;
    const char *rounds = report_fact_find(&r->settings, "rounds");
    if (!x || !x->round || isnan(x->to.change))
        document_summary(
            d,
            "This run is not finished: %d of its %s rounds have a model, and nothing is measured yet. The same isara "
            "align command goes on.",
            r->tuned, rounds ? rounds : "planned");
    else if (x->n_judged)
        document_summary(d,
                         "After %s the judge flags %.1f %% of the answers to %d %s, and %.1f %% before; the likelihood "
                         "of a reference answer changes by %+.4f a token (95 %%: %+.4f to %+.4f).",
                         x->name, 100 * x->rate, x->n_judged, questions(r), 100 * r->arms[0].rate, x->to.change,
                         x->to.low, x->to.high);
    else
        document_summary(d,
                         "After %s the likelihood of a reference answer to %d %s changes by %+.4f a token (95 %%: "
                         "%+.4f to %+.4f).",
                         x->name, x->n, questions(r), x->to.change, x->to.low, x->to.high);
}

static void arms_table(struct section *s, const struct report_run *r)
{
    struct table *t =
        section_table(s, "arms", "Likelihood of the reference answers, by arm", arm_columns, N_ARM_COLUMN);
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_arm *x = &r->arms[i];
        struct table_row *row = table_add(t);
        row_link(row, x->name, x->round ? "rounds" : NULL);
        row_number(row, (double)x->steps);
        row_number(row, x->logprob);
        row_number(row, x->n);
        row_interval(row, x->to.change, x->to.low, x->to.high);
        row_number(row, x->to.dz);
        row_number(row, x->to.p);
        row_number(row, x->to.p_holm);
        if (row)
            row->marked = x->to.change < 0;
    }
    table_note(t, "likelihood: mean over the questions of a reference answer's mean log-likelihood a token, over %d %s",
               r->n_item, questions(r));
    table_note(t,
               "change: less the pretrained model's on the same questions, with its 95 %% interval (%s); dz: the "
               "change in standard deviations; p: Wilcoxon's signed ranks, corrected by Holm over %d arms",
               r->interval ? r->interval : "none", r->tested);
    if (r->any_fewer)
        table_note(t, "an arm was scored on fewer than all questions; a change is over those that both arms have");
}

static void arms_figure(struct section *s, const struct report_run *r)
{
    struct figure *f =
        section_figure(s, &(struct figure){.kind = FIGURE_POINTS,
                                           .name = "change-by-arm",
                                           .title = "Change of the likelihood beside the pretrained model",
                                           .x_title = "arm",
                                           .y_title = "change a token, 95 % interval",
                                           .y_kind = COLUMN_CHANGE,
                                           .digits = 3});
    struct series *change = figure_series(f, "change");
    for (int i = 0; i < r->n_arm; i++)
        if (!isnan(r->arms[i].to.change))
            series_add(change, &(struct point){.name = r->arms[i].name,
                                               .x = i,
                                               .y = r->arms[i].to.change,
                                               .low = r->arms[i].to.low,
                                               .high = r->arms[i].to.high});
}

static void flags_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "flags", "Answers that the judge flags, by arm", flag_columns, N_FLAG_COLUMN);
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_arm *x = &r->arms[i];
        const struct report_compared *c = &x->to;
        struct table_row *row = table_add(t);
        row_text(row, x->name);
        row_interval(row, x->rate, x->rate_low, x->rate_high);
        row_number(row, x->n_judged);
        row_number(row, isnan(c->p_flags) ? NAN : c->n_better);
        row_number(row, isnan(c->p_flags) ? NAN : c->n_worse);
        row_number(row, c->h);
        row_interval(row, c->ratio, c->ratio_low, c->ratio_high);
        row_number(row, c->p_flags);
        row_number(row, c->p_flags_holm);
        if (row)
            row->marked = !isnan(c->p_flags) && c->n_worse > c->n_better;
    }
    table_note(t,
               "judge %s, SHA-256 %.16s: a probability above %g, strictly; shares with Wilson's 95 %% interval; p: "
               "exact McNemar against the pretrained model, corrected by Holm over %d arms",
               r->judge, r->judge_sha256, r->threshold, r->tested_flags);
}

static void flags_figure(struct section *s, const struct report_run *r)
{
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_POINTS,
                                                          .name = "flags-by-arm",
                                                          .title = "Share of answers that the judge flags",
                                                          .x_title = "arm",
                                                          .y_title = "flagged, 95 % interval",
                                                          .y_kind = COLUMN_SHARE});
    struct series *rate = figure_series(f, "flagged");
    for (int i = 0; i < r->n_arm; i++)
        if (r->arms[i].n_judged)
            series_add(rate, &(struct point){.name = r->arms[i].name,
                                             .x = i,
                                             .y = r->arms[i].rate,
                                             .low = r->arms[i].rate_low,
                                             .high = r->arms[i].rate_high});
}

static void labels_section(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "categories", "By category of the judge");
    struct table *t = section_table(s, "labels", "Flagged answers by label", label_columns, N_LABEL_COLUMN);
    for (int i = 0; i < r->n_arm; i++)
        for (int k = 0; k < r->arms[i].n_label; k++) {
            const struct report_label *l = &r->arms[i].labels[k];
            struct table_row *row = table_add(t);
            row_text(row, r->arms[i].name);
            row_text(row, l->name);
            row_interval(row, l->rate, l->low, l->high);
            row_number(row, l->n);
        }
    table_note(t, "an answer may carry several labels; Wilson's 95 %% interval");
}

static void answers_table(struct section *s, const struct report_run *r)
{
    struct table *t =
        section_table(s, "answers", "Answers and the examples before them", answer_columns, N_ANSWER_COLUMN);
    for (int i = 0; i < r->n_arm; i++) {
        const struct report_arm *x = &r->arms[i];
        struct table_row *row = table_add(t);
        row_text(row, x->name);
        row_number(row, x->n_answered);
        row_number(row, x->n_empty);
        row_number(row, x->n_cut);
        row_number(row, x->contexts_asked);
        row_interval(row, x->contexts_asked ? x->contexts_mean : NAN, NAN, NAN);
    }
    table_note(t, "answers missing in all arms together: %d", r->answers_missing);
}

void sections_results(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "results", "What was found");
    say_finding(d, r);
    if (!r->n_arm)
        return;
    arms_table(s, r);
    arms_figure(s, r);
    if (r->has_judge) {
        flags_table(s, r);
        flags_figure(s, r);
        labels_section(d, r);
    }
    if (r->n_text)
        answers_table(document_section(d, "answers", "Answers"), r);
}
