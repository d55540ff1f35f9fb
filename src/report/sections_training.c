/* SPDX-License-Identifier: Apache-2.0 */
/* How tuning went, step by step. */
#include "report/sections.h"

static const struct column tuning_columns[] = {
    {"model", "model", COLUMN_TEXT, 0},
    {"steps", "optimizer steps", COLUMN_COUNT, 0},
    {"tokens", "tokens", COLUMN_COUNT, 0},
    {"first_loss", "loss of the first step", COLUMN_NUMBER, 4},
    {"last_loss", "loss of the last step", COLUMN_NUMBER, 4},
    {"greatest_norm", "greatest gradient norm", COLUMN_NUMBER, 3},
};
enum { N_TUNING_COLUMN = (int)(sizeof tuning_columns / sizeof *tuning_columns), MOST_POINTS = 400 };

static void tuning_row(struct table *t, const struct report_curve *c)
{
    struct table_row *row = table_add(t);
    double tokens = 0, norm = NAN;
    for (int i = 0; i < c->n; i++) {
        tokens += (double)c->steps[i].tokens;
        norm = fmax(norm, c->steps[i].grad_norm); /* passes a NAN over */
    }
    row_text(row, c->name);
    row_number(row, c->n);
    row_number(row, tokens);
    row_number(row, c->n ? c->steps[0].loss : NAN);
    row_number(row, c->n ? c->steps[c->n - 1].loss : NAN);
    row_number(row, norm);
}

/* At most so many points; the first and the last step are always there. */
static void add_steps(struct figure *f, const struct report_curve *c, double (*value)(const struct report_step *))
{
    struct series *s = figure_series(f, c->name);
    int stride = (c->n + MOST_POINTS - 1) / MOST_POINTS;
    for (int i = 0; i < c->n; i += i + stride < c->n || i == c->n - 1 ? stride : c->n - 1 - i)
        series_add(s,
                   &(struct point){.x = (double)c->steps[i].step, .y = value(&c->steps[i]), .low = NAN, .high = NAN});
}

static double loss(const struct report_step *s)
{
    return s->loss;
}

static double rate(const struct report_step *s)
{
    return s->learning_rate;
}

void sections_training(struct document *d, const struct report_run *r)
{
    if (!r->n_curve)
        return;
    struct section *s = document_section(d, "training", "Tuning");
    struct table *t = section_table(s, "tuning", "Models that the run tuned", tuning_columns, N_TUNING_COLUMN);
    struct figure *losses = section_figure(s, &(struct figure){.kind = FIGURE_LINES,
                                                               .name = "loss",
                                                               .title = "Loss by optimizer step",
                                                               .x_title = "step",
                                                               .y_title = "loss",
                                                               .y_kind = COLUMN_NUMBER,
                                                               .digits = 3});
    struct figure *rates = section_figure(s, &(struct figure){.kind = FIGURE_LINES,
                                                              .name = "learning-rate",
                                                              .title = "Learning rate by optimizer step",
                                                              .x_title = "step",
                                                              .y_title = "learning rate",
                                                              .y_kind = COLUMN_NUMBER,
                                                              .digits = 7});
    for (int i = 0; i < r->n_curve; i++) {
        tuning_row(t, &r->curves[i]);
        add_steps(losses, &r->curves[i], loss);
        add_steps(rates, &r->curves[i], rate);
    }
}
