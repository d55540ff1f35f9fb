/* SPDX-License-Identifier: Apache-2.0 */
/* An experiment: each metric of each test by arm, beside the controls, and over tests. */
#include "report/sections.h"

#include <stdio.h>
#include <string.h>

static const struct column value_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},         {"seeds", "random seeds", COLUMN_COUNT, 0},
    {"rows", "questions", COLUMN_COUNT, 0}, {"value", "mean", COLUMN_NUMBER, 4},
    {"sd", "sd", COLUMN_NUMBER, 4},
};
static const struct column beside_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"control", "less", COLUMN_TEXT, 0},
    {"change", "change, over questions", COLUMN_CHANGE, 4},
    {"seeds_change", "change, over random seeds", COLUMN_CHANGE, 4},
    {"dz", "dz", COLUMN_CHANGE, 2},
    {"n", "questions", COLUMN_COUNT, 0},
    {"p", "p", COLUMN_P, 0},
    {"p_holm", "p, after Holm", COLUMN_P, 0},
    {"found", "least change found", COLUMN_NUMBER, 4},
};
static const struct column arm_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"kind", "kind", COLUMN_TEXT, 0},
    {"seeds", "seeds", COLUMN_TEXT, 0},
    {"seed_count", "so many of them", COLUMN_COUNT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"random_seed", "random seed", COLUMN_COUNT, 0},
    {"steps", "optimizer steps", COLUMN_COUNT, 0},
    {"kept", "pairs kept", COLUMN_COUNT, 0},
};
enum {
    N_VALUE_COLUMN = (int)(sizeof value_columns / sizeof *value_columns),
    N_BESIDE_COLUMN = (int)(sizeof beside_columns / sizeof *beside_columns),
    N_ARM_COLUMN = (int)(sizeof arm_columns / sizeof *arm_columns),
    NAME = 96
};

/* Those of one model, test and metric, which stand together. */
struct metric {
    const struct report_measured *list;
    int n, number;
};

static void name_of(const struct metric *m, const char *what, char name[NAME])
{
    snprintf(name, NAME, "%s-%d", what, m->number);
}

static void title_of(const struct report_comparison *c, const struct metric *m, char title[NAME * 3])
{
    int several = c->n_model > 1;
    snprintf(title, NAME * 3, "%.90s%s%.90s%s%.90s", m->list->metric, *m->list->test ? ", test " : "", m->list->test,
             several ? ", model " : "", several ? m->list->model : "");
}

static void values_table(struct section *s, const struct metric *m, const char *title)
{
    char name[NAME];
    name_of(m, "values", name);
    struct table *t = section_table(s, name, title, value_columns, N_VALUE_COLUMN);
    for (int i = 0; i < m->n; i++) {
        const struct report_measured *x = &m->list[i];
        struct table_row *row = table_add(t);
        int most = 0;
        for (int k = 0; k < x->n; k++)
            most = x->rows[k] > most ? x->rows[k] : most;
        row_text(row, x->arm);
        row_number(row, x->n_value);
        row_number(row, most);
        row_interval(row, x->mean, x->low, x->high);
        row_number(row, x->sd);
    }
    table_note(t, "mean over the random seeds with Student's 95 %% interval, and the standard deviation over them%s%s",
               m->list->better ? "; better is " : "", m->list->better ? m->list->better : "");
}

static int is_worse(const struct report_measured *x, const struct report_beside *b)
{
    double change = b->n ? b->change : b->seeds_change;
    if (!x->better || isnan(change))
        return 0;
    return strcmp(x->better, "lower") ? change < 0 : change > 0;
}

static void beside_table(struct section *s, const struct metric *m, const char *title)
{
    char name[NAME];
    struct table *t = NULL;
    name_of(m, "beside", name);
    for (int i = 0; i < m->n; i++)
        for (int k = 0; k < m->list[i].n_beside; k++) {
            const struct report_beside *b = &m->list[i].beside[k];
            t = t ? t : section_table(s, name, title, beside_columns, N_BESIDE_COLUMN);
            struct table_row *row = table_add(t);
            row_text(row, m->list[i].arm);
            row_text(row, b->control);
            row_interval(row, b->n ? b->change : NAN, b->low, b->high);
            row_interval(row, b->seeds_change, b->seeds_low, b->seeds_high);
            row_number(row, b->n ? b->dz : NAN);
            row_number(row, b->n ? b->n : NAN);
            row_number(row, b->n ? b->p : NAN);
            row_number(row, b->n ? b->p_holm : NAN);
            row_number(row, b->n ? b->found : NAN);
            if (row)
                row->marked = is_worse(&m->list[i], b);
        }
    table_note(t,
               "change: the arm's value less the control's, question by question, each its mean over the random seeds, "
               "with a 95 %% interval over the questions; the same over the random seeds by Student's t; p: Wilcoxon's "
               "signed ranks over the questions, corrected by Holm over this table's arms and controls; least change "
               "found: what "
               "this test, so corrected, finds four times in five");
}

static void metric_figure(struct section *s, const struct metric *m, const char *title)
{
    char name[NAME];
    name_of(m, "by-arm", name);
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_POINTS,
                                                          .name = name,
                                                          .title = title,
                                                          .x_title = "arm",
                                                          .y_title = "mean over the random seeds, 95 % interval",
                                                          .y_kind = COLUMN_NUMBER,
                                                          .digits = 3});
    struct series *x = figure_series(f, m->list->metric);
    for (int i = 0; i < m->n; i++)
        if (!isnan(m->list[i].mean))
            series_add(x, &(struct point){.name = m->list[i].arm,
                                          .x = i,
                                          .y = m->list[i].mean,
                                          .low = m->list[i].low,
                                          .high = m->list[i].high});
}

static const struct column finding_columns[] = {
    {"metric", "metric", COLUMN_TEXT, 0},
    {"test", "test", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"arm", "furthest ahead", COLUMN_TEXT, 0},
    {"control", "best control", COLUMN_TEXT, 0},
    {"change", "change, over questions", COLUMN_CHANGE, 4},
    {"seeds_change", "change, over random seeds", COLUMN_CHANGE, 4},
    {"p_holm", "p, after Holm", COLUMN_P, 0},
    {"better", "arms better", COLUMN_COUNT, 0},
    {"arms", "of", COLUMN_COUNT, 0},
};
enum { N_FINDING_COLUMN = (int)(sizeof finding_columns / sizeof *finding_columns) };

static void findings_table(struct section *s, const struct report_comparison *c)
{
    struct table *t =
        section_table(s, "findings", "The best arm beside the best control", finding_columns, N_FINDING_COLUMN);
    for (int i = 0; i < c->n_finding; i++) {
        const struct report_finding *f = &c->findings[i];
        struct table_row *row = table_add(t);
        row_text(row, f->arm->metric);
        row_text(row, f->arm->test);
        row_text(row, f->arm->model);
        row_text(row, f->arm->arm);
        row_text(row, f->control->arm);
        row_interval(row, f->beside->change, f->beside->low, f->beside->high);
        row_interval(row, f->beside->seeds_change, f->beside->seeds_low, f->beside->seeds_high);
        row_number(row, f->beside->p_holm);
        row_number(row, f->n_better);
        row_number(row, f->n_arm);
        if (row)
            row->marked = !f->n_better;
    }
    table_note(t,
               "of the arms that are no control, the one furthest ahead of the best of its controls, by the mean. An "
               "arm counts as better where the 95 %% interval over the questions lies on the better side of 0 and p "
               "after Holm is below 0.05. Which control is the best was read off the same questions, which is in "
               "its favour");
}

/* What a reader wants to know first, in sentences and as a table. */
static void findings_section(struct document *d, const struct report_comparison *c)
{
    if (!c->n_finding)
        return;
    struct section *s = document_section(d, "findings", "What was found");
    struct buf text = BUF_INIT;
    for (int i = 0; i < c->n_finding; i++) {
        buf_reset(&text);
        report_finding_text(c, &c->findings[i], &text);
        section_text(s, "%s.", buf_text(&text));
    }
    d->failed |= text.failed;
    buf_free(&text);
    findings_table(s, c);
}

static struct section *costs_section(struct document *d)
{
    struct section *s = document_section(d, "tax", "What it cost elsewhere");
    section_text(s, "%s. %s.", sections_tax_of_answers, sections_tax_elsewhere);
    return s;
}

/* Each aim is a section of its own; what alignment may have cost stands in one. */
static void metric_sections(struct document *d, const struct report_comparison *c)
{
    struct section *costs = NULL;
    struct metric m = {.number = 0};
    for (int i = 0; i < c->n; i += m.n) {
        char name[NAME], title[NAME * 3];
        m.list = &c->list[i];
        m.number++;
        m.n = report_metric_size(c, i);
        name_of(&m, "metric", name);
        title_of(c, &m, title);
        if (report_is_cost(m.list->metric))
            costs = costs ? costs : costs_section(d);
        struct section *s = report_is_cost(m.list->metric) ? costs : document_section(d, name, title);
        values_table(s, &m, title);
        metric_figure(s, &m, title);
        beside_table(s, &m, title);
    }
}

/* An arm's metric over the tests, one row an arm. */
static void heat(struct section *s, const struct report_comparison *c, const struct report_measured *of, int number)
{
    char name[NAME], title[NAME * 3];
    snprintf(name, sizeof name, "over-tests-%d", number);
    snprintf(title, sizeof title, "%.90s by arm and test", of->metric);
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_HEAT,
                                                          .name = name,
                                                          .title = title,
                                                          .x_title = "test",
                                                          .y_title = "arm",
                                                          .y_kind = COLUMN_NUMBER,
                                                          .digits = 3});
    for (int a = 0; a < c->n_arm; a++) {
        struct series *row = figure_series(f, c->arms[a].name);
        for (int i = 0; i < c->n; i++) {
            const struct report_measured *m = &c->list[i];
            if (!strcmp(m->arm, c->arms[a].name) && !strcmp(m->metric, of->metric) && !strcmp(m->model, of->model))
                series_add(row, &(struct point){.name = m->test, .x = i, .y = m->mean, .low = m->low, .high = m->high});
        }
    }
}

/* Every metric that several tests have. */
static void tests_section(struct document *d, const struct report_comparison *c)
{
    struct section *s = NULL;
    int number = 0;
    for (int i = 0; i < c->n; i++) {
        const struct report_measured *m = &c->list[i];
        int first = 1, several = 0;
        for (int k = 0; k < c->n; k++) {
            const struct report_measured *x = &c->list[k];
            int alike = !strcmp(x->metric, m->metric) && !strcmp(x->model, m->model);
            first &= !alike || k >= i;
            several |= alike && strcmp(x->test, m->test) != 0;
        }
        if (!first || !several)
            continue;
        s = s ? s : document_section(d, "tests", "Over tests");
        heat(s, c, m, ++number);
    }
}

static void arms_section(struct document *d, const struct report_comparison *c)
{
    struct table *t =
        section_table(document_section(d, "arms", "Arms"), "arms", "Every arm's runs", arm_columns, N_ARM_COLUMN);
    for (int a = 0; a < c->n_arm; a++)
        for (int i = 0; i < c->arms[a].n_run; i++) {
            const struct report_arm_of *x = &c->arms[a];
            struct table_row *row = table_add(t);
            row_text(row, x->name);
            row_text(row, x->kind);
            row_text(row, x->seeds);
            row_number(row, x->seed_count ? x->seed_count : NAN);
            row_text(row, x->runs[i].model);
            row_number(row, (double)x->runs[i].random_seed);
            row_number(row, x->runs[i].steps < 0 ? NAN : (double)x->runs[i].steps);
            row_number(row, x->runs[i].kept < 0 ? NAN : (double)x->runs[i].kept);
        }
}

void report_comparison_document(struct document *d, const struct report_comparison *c)
{
    document_begin(d, c->name);
    document_summary(d, "%d arms, %d model%s, %d random seed%s, of %s (SHA-256 %.16s).", c->n_arm, c->n_model,
                     c->n_model == 1 ? "" : "s", c->n_random_seed, c->n_random_seed == 1 ? "" : "s", c->name,
                     c->sha256);
    findings_section(d, c);
    tests_section(d, c);
    metric_sections(d, c);
    sections_power_of_arms(d, c);
    sections_attempts_of_arms(d, c);
    sections_rounds_of_arms(d, c);
    arms_section(d, c);
    sections_overlap_of_arms(d, c);
    sections_grounds(d, c);
    sections_stated(d, c->about);
    sections_checklist_of_experiment(d, c);
}
