/* SPDX-License-Identifier: Apache-2.0 */
/* Several runs: side by side, their spread over random seeds, and in what they differ. */
#include "report/runs.h"

#include "io/file.h"
#include "report/sections.h"

static const struct column arm_columns[] = {
    {"group", "runs with", COLUMN_TEXT, 0},
    {"arm", "arm", COLUMN_TEXT, 0},
    {"n", "runs", COLUMN_COUNT, 0},
    {"logprob", "likelihood, mean", COLUMN_NUMBER, 4},
    {"logprob_sd", "its sd", COLUMN_NUMBER, 4},
    {"change", "change, mean", COLUMN_CHANGE, 4},
    {"change_sd", "its sd", COLUMN_NUMBER, 4},
    {"flagged", "flagged, mean", COLUMN_SHARE, 1},
    {"flagged_sd", "its sd", COLUMN_SHARE, 1},
};
static const struct column group_columns[] = {
    {"group", "runs with", COLUMN_TEXT, 0},
    {"n", "runs", COLUMN_COUNT, 0},
    {"pairs", "random seeds in common", COLUMN_COUNT, 0},
    {"logprob", "likelihood less the first group's", COLUMN_CHANGE, 4},
    {"flagged", "flagged less the first group's", COLUMN_CHANGE, 4},
    {"settings", "in which it differs", COLUMN_TEXT, 0},
};
static const struct column run_columns[] = {
    {"run", "run", COLUMN_TEXT, 0},
    {"group", "runs with", COLUMN_TEXT, 0},
    {"seed", "random seed", COLUMN_TEXT, 0},
    {"arm", "arm", COLUMN_TEXT, 0},
    {"steps", "optimizer steps", COLUMN_COUNT, 0},
    {"logprob", "likelihood", COLUMN_NUMBER, 4},
    {"change", "change", COLUMN_CHANGE, 4},
    {"flagged", "flagged", COLUMN_SHARE, 1},
};
enum {
    N_ARM_COLUMN = (int)(sizeof arm_columns / sizeof *arm_columns),
    N_GROUP_COLUMN = (int)(sizeof group_columns / sizeof *group_columns),
    N_RUN_COLUMN = (int)(sizeof run_columns / sizeof *run_columns)
};

static void put_value(struct table_row *row, const struct compared_value *v)
{
    row_interval(row, v->mean, v->low, v->high);
    row_number(row, v->sd);
}

static void arms_table(struct section *s, const struct report_runs *c)
{
    struct table *t = section_table(s, "comparison", "Arms over the runs of a group", arm_columns, N_ARM_COLUMN);
    for (int i = 0; i < c->n_arm; i++) {
        const struct compared_arm *a = &c->arms[i];
        struct table_row *row = table_add(t);
        row_text(row, c->groups[a->group].name);
        row_text(row, a->arm);
        row_number(row, a->logprob.n > a->flagged.n ? a->logprob.n : a->flagged.n);
        put_value(row, &a->logprob);
        put_value(row, &a->change);
        put_value(row, &a->flagged);
    }
    table_note(t, "mean over the runs of a group with Student's 95 %% interval, and the standard deviation over them; "
                  "runs of a group differ in the random seed alone");
}

static void groups_table(struct section *s, const struct report_runs *c)
{
    struct table *t = section_table(s, "groups", "The last round of each group less the first group's", group_columns,
                                    N_GROUP_COLUMN);
    for (int g = 0; g < c->n_group; g++) {
        const struct compared_group *x = &c->groups[g];
        struct table_row *row = table_add(t);
        row_text(row, x->name);
        row_number(row, x->n);
        row_number(row, g ? x->logprob.n : NAN);
        row_interval(row, x->logprob.mean, x->logprob.low, x->logprob.high);
        row_interval(row, x->flagged.mean, x->flagged.low, x->flagged.high);
        row_text(row, x->settings);
        if (row)
            row->marked = x->logprob.mean < 0 || x->flagged.mean > 0;
    }
    table_note(t, "pairs of runs with the same random seed; Student's 95 %% interval, not corrected for the number of "
                  "groups");
}

static void groups_figure(struct section *s, const struct report_runs *c)
{
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_BARS,
                                                          .name = "comparison-arms",
                                                          .title = "Change of the likelihood by arm and group",
                                                          .x_title = "arm",
                                                          .y_title = "change a token, mean over runs",
                                                          .y_kind = COLUMN_CHANGE,
                                                          .digits = 3});
    for (int g = 0; g < c->n_group; g++) {
        struct series *x = figure_series(f, c->groups[g].name);
        for (int i = 0; i < c->n_arm; i++)
            if (c->arms[i].group == g && c->arms[i].change.n)
                series_add(x, &(struct point){.name = c->arms[i].arm,
                                              .x = i,
                                              .y = c->arms[i].change.mean,
                                              .low = c->arms[i].change.low,
                                              .high = c->arms[i].change.high});
    }
}

static void runs_table(struct section *s, const struct report_runs *c)
{
    struct table *t = section_table(s, "runs", "Every run's arms", run_columns, N_RUN_COLUMN);
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->runs[i].n_arm; k++) {
            const struct report_arm *x = &c->runs[i].arms[k];
            struct table_row *row = table_add(t);
            row_text(row, path_base(c->runs[i].output));
            row_text(row, c->groups[c->group[i]].name);
            row_text(row, report_fact_find(&c->runs[i].settings, "seed"));
            row_text(row, x->name);
            row_number(row, (double)x->steps);
            row_number(row, x->logprob);
            row_interval(row, x->to.change, x->to.low, x->to.high);
            row_interval(row, x->n_judged ? x->rate : NAN, x->rate_low, x->rate_high);
        }
    table_note(t, "the intervals of a run are over its questions");
}

void report_runs_document(struct document *d, const struct report_runs *c)
{
    document_begin(d, "Runs by ISARA side by side");
    document_summary(d, "%d runs in %d group%s of the same settings.%s%s", c->n, c->n_group, c->n_group == 1 ? "" : "s",
                     c->n_warning ? " " : "", c->n_warning ? c->warnings[0] : "");
    struct section *s = document_section(d, "comparison", "Side by side");
    for (int i = 0; i < c->n_warning; i++)
        section_text(s, "%s", c->warnings[i]);
    arms_table(s, c);
    groups_figure(s, c);
    if (c->n_group > 1)
        groups_table(s, c);
    runs_table(document_section(d, "runs", "Every run"), c);
    sections_about(d, &c->runs[0]);
    sections_checklist(d, &c->runs[0]);
}
