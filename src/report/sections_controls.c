/* SPDX-License-Identifier: Apache-2.0 */
/* The method beside its controls, and what these tests could have found. */
#include "report/sections.h"

static const struct column control_columns[] = {
    {"of", "arm", COLUMN_TEXT, 0},
    {"beside", "beside", COLUMN_TEXT, 0},
    {"change", "change", COLUMN_CHANGE, 4},
    {"dz", "dz", COLUMN_CHANGE, 2},
    {"p_holm", "p, after Holm", COLUMN_P, 0},
    {"no_longer_flagged", "no longer flagged", COLUMN_COUNT, 0},
    {"newly_flagged", "newly flagged", COLUMN_COUNT, 0},
    {"cohen_h", "Cohen's h", COLUMN_CHANGE, 2},
    {"p_flags_holm", "p of the flags, after Holm", COLUMN_P, 0},
};
static const struct column power_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"n", "questions", COLUMN_COUNT, 0},
    {"found", "least change of the likelihood", COLUMN_NUMBER, 4},
    {"n_judged", "judged", COLUMN_COUNT, 0},
    {"found_flags", "least change of the flagged share", COLUMN_SHARE, 1},
};
enum {
    N_CONTROL_COLUMN = (int)(sizeof control_columns / sizeof *control_columns),
    N_POWER_COLUMN = (int)(sizeof power_columns / sizeof *power_columns)
};

static void add_family(struct table *t, const struct report_family *f)
{
    for (int i = 0; i < f->n; i++) {
        const struct report_compared *c = &f->list[i].by;
        struct table_row *row = table_add(t);
        row_text(row, f->of);
        row_text(row, f->list[i].arm);
        row_interval(row, c->change, c->low, c->high);
        row_number(row, c->dz);
        row_number(row, c->p_holm);
        row_number(row, isnan(c->p_flags) ? NAN : c->n_better);
        row_number(row, isnan(c->p_flags) ? NAN : c->n_worse);
        row_number(row, c->h);
        row_number(row, c->p_flags_holm);
        if (row)
            row->marked = c->change < 0 || (!isnan(c->p_flags) && c->n_worse > c->n_better);
    }
}

static void controls_figure(struct section *s, const struct report_run *r)
{
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_POINTS,
                                                          .name = "controls",
                                                          .title = "The last round less each control",
                                                          .x_title = "control",
                                                          .y_title = "change a token, 95 % interval",
                                                          .y_kind = COLUMN_CHANGE,
                                                          .digits = 3});
    struct series *change = figure_series(f, "change");
    for (int i = 0; i < r->last.n; i++)
        series_add(change, &(struct point){.name = r->last.list[i].arm,
                                           .x = i,
                                           .y = r->last.list[i].by.change,
                                           .low = r->last.list[i].by.low,
                                           .high = r->last.list[i].by.high});
}

static const char power_title[] = "What these tests find four times in five";
static const char power_note[] =
    "by the very tests of the tables, at their number of questions and after Holm, at p 0.05";

static void power_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "power", power_title, power_columns, N_POWER_COLUMN);
    for (int i = 1; i < r->n_arm; i++) {
        const struct report_compared *c = &r->arms[i].to;
        struct table_row *row = table_add(t);
        row_text(row, r->arms[i].name);
        row_number(row, c->n);
        row_number(row, c->found);
        row_number(row, c->n_judged);
        row_number(row, c->found_flags);
    }
    table_note(t, "%s; an empty cell: no change, however large", power_note);
}

static const struct column metric_columns[] = {
    {"metric", "metric", COLUMN_TEXT, 0},
    {"test", "test", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"tests", "tests", COLUMN_COUNT, 0},
    {"questions", "questions, at least", COLUMN_COUNT, 0},
    {"least", "from", COLUMN_NUMBER, 4},
    {"most", "to", COLUMN_NUMBER, 4},
    {"none", "tests that find none", COLUMN_COUNT, 0},
};
enum { N_METRIC_COLUMN = (int)(sizeof metric_columns / sizeof *metric_columns) };

/* Of an experiment: each test's own stands beside its change. */
void sections_power_of_arms(struct document *d, const struct report_comparison *c)
{
    if (!c->n_power)
        return;
    struct section *s = document_section(d, "power", "Power");
    section_text(s, "Where an arm and a control do not differ by these tests, a difference below the least change that "
                    "the test finds may be there all the same. It stands beside every change in the tables above; here "
                    "is its range over the arms and controls of each metric.");
    struct table *t = section_table(s, "power", power_title, metric_columns, N_METRIC_COLUMN);
    for (int i = 0; i < c->n_power; i++) {
        const struct report_power *p = &c->power[i];
        struct table_row *row = table_add(t);
        row_text(row, p->of->metric);
        row_text(row, p->of->test);
        row_text(row, p->of->model);
        row_number(row, p->n);
        row_number(row, p->n_question);
        row_number(row, p->least);
        row_number(row, p->most);
        row_number(row, p->n_none);
        if (row)
            row->marked = p->n_none == p->n;
    }
    table_note(t,
               "%s; tests that find none: no change, however large, is found so often, or the two arms do not differ "
               "on any question",
               power_note);
}

void sections_controls(struct document *d, const struct report_run *r)
{
    if (r->last.n + r->first.n) {
        struct section *s = document_section(d, "controls", "The method beside its controls");
        struct table *t =
            section_table(s, "controls", "Differences from each control", control_columns, N_CONTROL_COLUMN);
        add_family(t, &r->last);
        add_family(t, &r->first);
        table_note(t, "as in the tables above; corrected by Holm over the %d controls of %s", r->last.n, r->last.of);
        if (r->first.n)
            table_note(t, "%s beside as many steps on the seeds alone is one test and not corrected", r->first.of);
        controls_figure(s, r);
    }
    if (r->tested + r->tested_flags)
        power_table(document_section(d, "power", "Power"), r);
}
