/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy against people: what labels of people say of the answers, and of the judge. */
#include "report/sections.h"

#include <math.h>

static const struct column people_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"n", "answers with a label", COLUMN_COUNT, 0},
    {"people", "bad, by people", COLUMN_SHARE, 1},
    {"judge", "flagged by the judge", COLUMN_SHARE, 1},
    {"corrected", "the judge's share, corrected", COLUMN_SHARE, 1},
};
static const struct column agreement_columns[] = {
    {"what", "what", COLUMN_TEXT, 0},
    {"value", "value", COLUMN_NUMBER, 3},
};
enum {
    N_PEOPLE_COLUMN = (int)(sizeof people_columns / sizeof *people_columns),
    N_AGREEMENT_COLUMN = (int)(sizeof agreement_columns / sizeof *agreement_columns)
};

static void agreement_table(struct section *s, const struct report_people *p)
{
    const struct {
        const char *what;
        double value;
    } list[] = {{"between people: Krippendorff's alpha", p->alpha},
                {"between people: Cohen's kappa, mean over pairs", p->kappa_raters},
                {"the judge and people: Cohen's kappa", p->kappa_judge},
                {"the judge: share of bad answers that it flags", p->sensitivity},
                {"the judge: share of good answers that it passes", p->specificity}};
    struct table *t = section_table(s, "agreement", "Agreement", agreement_columns, N_AGREEMENT_COLUMN);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct table_row *row = table_add(t);
        row_text(row, list[i].what);
        row_number(row, list[i].value);
    }
    table_note(t, "people: the majority of %d column%s of labels; a tie is no label", p->n_rater,
               p->n_rater == 1 ? "" : "s");
}

static const struct column better_columns[] = {
    {"better", "better", COLUMN_TEXT, 0},
    {"n", "times", COLUMN_COUNT, 0},
};
enum { N_BETTER_COLUMN = (int)(sizeof better_columns / sizeof *better_columns) };

static void better_table(struct section *s, const struct report_run *r)
{
    const struct report_people *p = &r->people;
    const struct {
        const char *what;
        int n;
    } list[] = {{r->n_arm ? r->arms[r->n_arm - 1].name : "the last round", p->n_after},
                {r->n_arm ? r->arms[0].name : "pretrained", p->n_before},
                {"neither", p->n_same}};
    struct table *t =
        section_table(s, "better", "Which of two answers people found better", better_columns, N_BETTER_COLUMN);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct table_row *row = table_add(t);
        row_text(row, list[i].what);
        row_number(row, list[i].n);
    }
    if (isnan(p->wins))
        table_note(t, "side by side, one side or the other by chance, without a word on whose they are");
    else
        table_note(
            t,
            "side by side, one side or the other by chance, without a word on whose they are; where one was "
            "better it was the last round's in %.1f %% (95 %% by Clopper and Pearson: %.1f to %.1f; sign test: p "
            "%.2g); several people's judgements of one question are counted as if they were of several",
            100 * p->wins, 100 * p->wins_low, 100 * p->wins_high, p->p_wins);
}

void sections_people(struct document *d, const struct report_run *r)
{
    const struct report_people *p = &r->people;
    if (!p->n_labelled && !(p->n_after + p->n_before + p->n_same))
        return;
    struct section *s = document_section(d, "people", p->n_labelled ? "The judge against people" : "People");
    if (p->n_after + p->n_before + p->n_same)
        better_table(s, r);
    if (!p->n_labelled)
        return;
    section_text(
        s,
        "%d of %d answers on the sheet have a label. The sheet was shuffled and did not say which model wrote an "
        "answer.",
        p->n_labelled, p->n_sheet);
    struct table *t = section_table(s, "people", "Answers by people and by the judge", people_columns, N_PEOPLE_COLUMN);
    for (int i = 0; i < p->n_arm; i++) {
        const struct report_labelled *x = &p->arms[i];
        struct table_row *row = table_add(t);
        row_text(row, x->arm);
        row_number(row, x->n);
        row_interval(row, x->rate, x->low, x->high);
        row_number(row, x->judged);
        row_number(row, x->corrected);
    }
    table_note(t, "Wilson's 95 %% interval; corrected: by what the judge missed and wrongly flagged on the labelled "
                  "answers (Rogan and Gladen)");
    agreement_table(s, p);
}
