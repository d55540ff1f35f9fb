/* SPDX-License-Identifier: Apache-2.0 */
/* Texts: where the method made it worse, first; then the same questions before and after, and attempts with the reason
 * why they were kept or not. */
#include "report/sections.h"

#include <stdio.h>

static const struct column regression_columns[] = {
    {"question_number", "number", COLUMN_COUNT, 0},
    {"question", "question", COLUMN_TEXT, 0},
    {"before", "before", COLUMN_TEXT, 0},
    {"after", "after", COLUMN_TEXT, 0},
    {"newly_flagged", "newly flagged", COLUMN_TEXT, 0},
    {"change", "change of the likelihood a token", COLUMN_CHANGE, 4},
};
static const struct column pair_columns[] = {
    {"question", "question", COLUMN_TEXT, 0},
    {"reference", "reference", COLUMN_TEXT, 0},
    {"before", "before", COLUMN_TEXT, 0},
    {"after", "after", COLUMN_TEXT, 0},
};
static const struct column attempt_columns[] = {
    {"id", "attempt", COLUMN_TEXT, 0},
    {"reason", "reason", COLUMN_TEXT, 0},
    {"question", "question", COLUMN_TEXT, 0},
    {"answer", "answer", COLUMN_TEXT, 0},
    {"nearest_f1", "nearness", COLUMN_NUMBER, 3},
};
enum {
    N_REGRESSION_COLUMN = (int)(sizeof regression_columns / sizeof *regression_columns),
    N_PAIR_COLUMN = (int)(sizeof pair_columns / sizeof *pair_columns),
    N_ATTEMPT_COLUMN = (int)(sizeof attempt_columns / sizeof *attempt_columns)
};

static void regressions_section(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "regressions", "Where it became worse");
    section_text(s,
                 "On %d of %d questions that were measured for both, the last round is worse than the pretrained "
                 "model: its answer is newly flagged, or the reference answer is less likely.%s",
                 r->n_worse, r->n_beside, r->n_worse ? "" : " There is nothing to show.");
    if (!r->n_regression)
        return;
    struct table *t = section_table(s, "regressions", "The worst of them", regression_columns, N_REGRESSION_COLUMN);
    for (int i = 0; i < r->n_regression; i++) {
        const struct report_regression *x = &r->regressions[i];
        struct table_row *row = table_add(t);
        row_number(row, x->index);
        row_text(row, x->question);
        row_text(row, x->before);
        row_text(row, x->after);
        row_text(row, x->newly_flagged ? "yes" : "no");
        row_number(row, x->change);
        if (row)
            row->marked = x->newly_flagged;
    }
    table_note(t, "newly flagged ones first, then by their loss; the numbers are those of arms/*.jsonl, from 0");
}

static void pairs_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "pairs", "The same questions before and after", pair_columns, N_PAIR_COLUMN);
    for (int i = 0; i < r->n_sample; i++) {
        const struct report_sample *x = &r->samples[i];
        struct table_row *row = table_add(t);
        row_text(row, x->question);
        row_text(row, x->reference);
        row_text(row, x->answers[0]);
        row_text(row, r->n_arm > 1 ? x->answers[r->n_arm - 1] : NULL);
    }
    table_note(t, "the first questions of the set, not chosen; every arm's answers are in arms/");
}

static const char attempts_title[] = "Attempts, kept and rejected";

static void put_attempt(struct table_row *row, const struct report_attempt *x)
{
    char id[40];
    snprintf(id, sizeof id, "r%d-a%d", x->round, x->index);
    row_text(row, id);
    row_link(row, x->reason, "reasons");
    row_text(row, x->question);
    row_text(row, x->answer);
    row_number(row, x->f1);
}

static void attempts_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "attempts", attempts_title, attempt_columns, N_ATTEMPT_COLUMN);
    for (int i = 0; i < r->n_attempt; i++)
        put_attempt(table_add(t), &r->attempts[i]);
    table_note(t, "of each round and reason the first %d, not chosen; all are in round-*/generated.jsonl",
               REPORT_EXAMPLES);
}

void sections_samples(struct document *d, const struct report_run *r)
{
    if (r->n_beside)
        regressions_section(d, r);
    if (!r->n_sample && !r->n_attempt)
        return;
    struct section *s = document_section(d, "samples", "Samples");
    if (r->n_sample)
        pairs_table(s, r);
    if (r->n_attempt)
        attempts_table(s, r);
}

static const struct column shown_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"random_seed", "random seed", COLUMN_COUNT, 0},
    {"id", "attempt", COLUMN_TEXT, 0},
    {"reason", "reason", COLUMN_TEXT, 0},
    {"question", "question", COLUMN_TEXT, 0},
    {"answer", "answer", COLUMN_TEXT, 0},
    {"nearest_f1", "nearness", COLUMN_NUMBER, 3},
};
enum { N_SHOWN_COLUMN = (int)(sizeof shown_columns / sizeof *shown_columns) };

void sections_attempts_of_arms(struct document *d, const struct report_comparison *c)
{
    if (!c->n_shown)
        return;
    struct section *s = document_section(d, "samples", "Samples");
    struct table *t = section_table(s, "attempts", attempts_title, shown_columns, N_SHOWN_COLUMN);
    for (int i = 0; i < c->n_shown; i++) {
        struct table_row *row = table_add(t);
        row_text(row, c->shown[i].arm);
        row_text(row, c->shown[i].model);
        row_number(row, (double)c->shown[i].random_seed);
        put_attempt(row, &c->shown[i].attempt);
    }
    table_note(t, "of every arm that aligns and of each reason the first attempt with the first random seed, not "
                  "chosen; an alignment that several arms share stands under the first of them; all attempts are in "
                  "work/*/run/round-*/generated.jsonl");
}
