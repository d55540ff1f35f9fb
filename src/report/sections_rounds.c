/* SPDX-License-Identifier: Apache-2.0 */
/* What the rounds made and kept, and what became of the same questions. */
#include "report/sections.h"

static const struct column round_columns[] = {
    {"round", "round", COLUMN_COUNT, 0},
    {"attempts", "attempts", COLUMN_COUNT, 0},
    {"questions", "questions read", COLUMN_COUNT, 0},
    {"kept", "kept", COLUMN_COUNT, 0},
    {"share", "share kept", COLUMN_SHARE, 1},
    {"repeats", "repeats", COLUMN_COUNT, 0},
    {"nearest", "nearness to an earlier question", COLUMN_NUMBER, 3},
    {"word_pairs", "different word pairs", COLUMN_NUMBER, 3},
    {"steps", "optimizer steps", COLUMN_COUNT, 0},
    {"model", "model SHA-256", COLUMN_TEXT, 0},
};
static const struct column reason_columns[] = {
    {"round", "round", COLUMN_COUNT, 0},
    {"reason", "reason", COLUMN_TEXT, 0},
    {"text", "what it means", COLUMN_TEXT, 0},
    {"n", "attempts", COLUMN_COUNT, 0},
};
enum {
    N_ROUND_COLUMN = (int)(sizeof round_columns / sizeof *round_columns),
    N_REASON_COLUMN = (int)(sizeof reason_columns / sizeof *reason_columns)
};

static const char rounds_title[] = "Rounds: what was made and kept", reasons_title[] = "Why attempts were not kept";
static const char round_note[] = "share kept with Wilson's 95 % interval";

static void put_counts(struct table_row *row, const struct report_round *x)
{
    row_number(row, x->attempts);
    row_number(row, x->parsed);
    row_number(row, x->kept);
    row_interval(row, x->share, x->low, x->high);
    row_number(row, x->repeats);
}

static void put_reason(struct table_row *row, const struct report_round *x, int reason)
{
    row_number(row, x->number);
    row_text(row, x->reasons[reason].name);
    row_text(row, x->reasons[reason].text);
    row_number(row, x->reasons[reason].n);
}

static void rounds_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "rounds", "Rounds", round_columns, N_ROUND_COLUMN);
    for (int i = 0; i < r->n_round; i++) {
        const struct report_round *x = &r->rounds[i];
        struct table_row *row = table_add(t);
        row_number(row, x->number);
        put_counts(row, x);
        row_number(row, x->nearest);
        row_number(row, x->pairs);
        row_number(row, (double)x->steps);
        row_text(row, x->model_sha256);
    }
    table_note(t,
               "%s; nearness: of the kept, mean ROUGE-L F1 with the nearest earlier question; different word pairs: of "
               "the kept questions, those among all their word pairs",
               round_note);
    table_note(t, "%d kept pairs from %d seeds, %.2f times as many", r->kept, r->n_given, r->scaling);
    if (r->novelty_ran_out)
        table_note(t, "round %d kept too few of its attempts (stop-novelty %g): nothing was tuned in it",
                   r->novelty_ran_out, r->stop_novelty);
}

static void reasons_table(struct section *s, const struct report_run *r)
{
    struct table *t = section_table(s, "reasons", reasons_title, reason_columns, N_REASON_COLUMN);
    for (int i = 0; i < r->n_round; i++)
        for (int k = 0; k < r->rounds[i].n_reason; k++) {
            put_reason(table_add(t), &r->rounds[i], k);
        }
}

static void rounds_figure(struct section *s, const struct report_run *r)
{
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_LINES,
                                                          .name = "acceptance",
                                                          .title = "Share of the attempts that a round kept",
                                                          .x_title = "round",
                                                          .y_title = "kept, 95 % interval",
                                                          .y_kind = COLUMN_SHARE});
    struct series *kept = figure_series(f, "kept");
    for (int i = 0; i < r->n_round; i++)
        series_add(kept, &(struct point){.x = r->rounds[i].number,
                                         .y = r->rounds[i].share,
                                         .low = r->rounds[i].low,
                                         .high = r->rounds[i].high});
}

static void novelty_figure(struct section *s, const struct report_run *r)
{
    struct figure *f = section_figure(s, &(struct figure){.kind = FIGURE_LINES,
                                                          .name = "novelty",
                                                          .title = "How new the kept questions are, by round",
                                                          .x_title = "round",
                                                          .y_title = "nearness to earlier ones; different word pairs",
                                                          .y_kind = COLUMN_SHARE});
    struct series *nearness = figure_series(f, "nearness"), *pairs = figure_series(f, "word pairs");
    for (int i = 0; i < r->n_round; i++) {
        const struct report_round *x = &r->rounds[i];
        series_add(nearness, &(struct point){.x = x->number, .y = x->nearest, .low = NAN, .high = NAN});
        series_add(pairs, &(struct point){.x = x->number, .y = x->pairs, .low = NAN, .high = NAN});
    }
}

void sections_rounds(struct document *d, const struct report_run *r)
{
    if (!r->n_round)
        return;
    struct section *s = document_section(d, "rounds", rounds_title);
    rounds_table(s, r);
    rounds_figure(s, r);
    novelty_figure(s, r);
    reasons_table(s, r);
}

static const struct column made_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"round", "round", COLUMN_COUNT, 0},
    {"seeds", "random seeds", COLUMN_COUNT, 0},
    {"attempts", "attempts", COLUMN_COUNT, 0},
    {"questions", "questions read", COLUMN_COUNT, 0},
    {"kept", "kept", COLUMN_COUNT, 0},
    {"share", "share kept", COLUMN_SHARE, 1},
    {"repeats", "repeats", COLUMN_COUNT, 0},
};
static const struct column arm_reason_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"round", "round", COLUMN_COUNT, 0},
    {"reason", "reason", COLUMN_TEXT, 0},
    {"text", "what it means", COLUMN_TEXT, 0},
    {"n", "attempts", COLUMN_COUNT, 0},
};
enum {
    N_MADE_COLUMN = (int)(sizeof made_columns / sizeof *made_columns),
    N_ARM_REASON_COLUMN = (int)(sizeof arm_reason_columns / sizeof *arm_reason_columns)
};

void sections_rounds_of_arms(struct document *d, const struct report_comparison *c)
{
    if (!c->n_made)
        return;
    struct section *s = document_section(d, "rounds", rounds_title);
    struct table *t = section_table(s, "rounds", "Rounds of every arm", made_columns, N_MADE_COLUMN);
    for (int i = 0; i < c->n_made; i++) {
        const struct report_made *m = &c->made[i];
        struct table_row *row = table_add(t);
        row_text(row, m->arm);
        row_text(row, m->model);
        row_number(row, m->round.number);
        row_number(row, m->n_run);
        put_counts(row, &m->round);
    }
    table_note(t,
               "arms that align, up to the round that was measured; the random seeds' attempts are counted together; "
               "%s",
               round_note);
    t = section_table(s, "reasons", reasons_title, arm_reason_columns, N_ARM_REASON_COLUMN);
    for (int i = 0; i < c->n_made; i++)
        for (int k = 0; k < c->made[i].round.n_reason; k++) {
            struct table_row *row = table_add(t);
            row_text(row, c->made[i].arm);
            row_text(row, c->made[i].model);
            put_reason(row, &c->made[i].round, k);
        }
}
