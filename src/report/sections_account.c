/* SPDX-License-Identifier: Apache-2.0 */
/* What it rests on and what it took: overlap with the test set, cost, settings, machine, the command that does it
 * again. */
#include "report/sections.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct column overlap_columns[] = {
    {"what", "what", COLUMN_TEXT, 0},
    {"n", "number", COLUMN_COUNT, 0},
};
static const struct column cost_columns[] = {
    {"stage", "stage", COLUMN_TEXT, 0},
    {"seconds", "seconds", COLUMN_NUMBER, 1},
    {"cpu_seconds", "processor seconds", COLUMN_NUMBER, 1},
    {"joules", "joules", COLUMN_NUMBER, 1},
    {"tokens", "tokens", COLUMN_COUNT, 0},
    {"gflop", "arithmetic, 10^9 operations", COLUMN_NUMBER, 1},
    {"texts", "texts", COLUMN_COUNT, 0},
    {"seconds_each", "seconds a text", COLUMN_NUMBER, 4},
};
static const struct column fact_columns[] = {
    {"name", "name", COLUMN_TEXT, 0},
    {"value", "value", COLUMN_TEXT, 0},
};
enum {
    N_OVERLAP_COLUMN = (int)(sizeof overlap_columns / sizeof *overlap_columns),
    N_COST_COLUMN = (int)(sizeof cost_columns / sizeof *cost_columns),
    N_FACT_COLUMN = (int)(sizeof fact_columns / sizeof *fact_columns)
};

static const char overlap_title[] = "Overlap with the test set";
static const char of_the_base[] =
    "Whether the pretrained model's own training had the test questions is not known to this program";

static void overlap_section(struct document *d, const struct report_run *r)
{
    const struct report_overlap *o = &r->overlap;
    const struct {
        const char *what;
        int n;
    } counts[] = {{"seeds", r->n_seed},
                  {"seeds that are test questions", o->seeds},
                  {"of these left out of the method", o->seeds_left_out},
                  {"generated questions near a test question", o->generated},
                  {"of these left out of the method", o->left_out},
                  {"of these kept and trained on", o->kept}};
    struct section *s = document_section(d, "contamination", overlap_title);
    struct table *t = section_table(s, "overlap", "Overlap", overlap_columns, N_OVERLAP_COLUMN);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct table_row *row = table_add(t);
        row_text(row, counts[i].what);
        row_number(row, counts[i].n);
        if (row)
            row->marked = o->kept > 0 && i == sizeof counts / sizeof *counts - 1;
    }
    table_note(t, "near: a ROUGE-L F1 above %g with a test question. %s", o->threshold, of_the_base);
}

static const struct column arm_columns[] = {
    {"arm", "arm", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"random_seed", "random seed", COLUMN_COUNT, 0},
    {"seeds", "seeds", COLUMN_COUNT, 0},
    {"seeds_near", "test questions among them", COLUMN_COUNT, 0},
    {"seeds_left_out", "of these left out", COLUMN_COUNT, 0},
    {"threshold", "F1 that is near, above", COLUMN_NUMBER, 2},
    {"generated", "generated questions near one", COLUMN_COUNT, 0},
    {"left_out", "of these left out", COLUMN_COUNT, 0},
    {"kept", "of these kept and trained on", COLUMN_COUNT, 0},
};
enum { N_ARM_COLUMN = (int)(sizeof arm_columns / sizeof *arm_columns) };

static void overlap_row(struct table *t, const char *arm, const struct report_arm_run *run)
{
    const struct report_overlap *o = run->overlap;
    struct table_row *row = table_add(t);
    row_text(row, arm);
    row_text(row, run->model);
    row_number(row, (double)run->random_seed);
    row_number(row, run->n_seed);
    row_number(row, o->seeds);
    row_number(row, o->seeds_left_out);
    row_number(row, o->threshold);
    row_number(row, o->generated);
    row_number(row, o->left_out);
    row_number(row, o->kept);
    if (row)
        row->marked = o->kept > 0;
}

void sections_overlap_of_arms(struct document *d, const struct report_comparison *c)
{
    struct section *s = document_section(d, "contamination", overlap_title);
    struct table *t = NULL;
    section_text(s,
                 "No arm is to learn what it is tested on: seeds, pairs and generated questions are held against the "
                 "questions of all tests, and those that are test questions, or were generated near one, are left "
                 "out unless an arm's settings say keep-test-overlap. %s.",
                 of_the_base);
    for (int a = 0; a < c->n_arm; a++)
        for (int i = 0; i < c->arms[a].n_run; i++) {
            if (!c->arms[a].runs[i].overlap)
                continue;
            t = t ? t : section_table(s, "overlap", "Overlap, by arm that aligns", arm_columns, N_ARM_COLUMN);
            overlap_row(t, c->arms[a].name, &c->arms[a].runs[i]);
        }
    table_note(t, "near: a ROUGE-L F1 with a test question above the one that the arm's settings say; of all rounds of "
                  "the alignment");
}

static const struct column elsewhere_columns[] = {
    {"role", "who", COLUMN_TEXT, 0},
    {"model", "model", COLUMN_TEXT, 0},
    {"endpoint", "endpoint", COLUMN_TEXT, 0},
    {"texts", "texts", COLUMN_COUNT, 0},
    {"refused", "refused", COLUMN_COUNT, 0},
    {"requests", "requests", COLUMN_COUNT, 0},
    {"prompt_tokens", "tokens of prompts", COLUMN_COUNT, 0},
    {"completion_tokens", "tokens of texts", COLUMN_COUNT, 0},
};
enum { N_ELSEWHERE_COLUMN = (int)(sizeof elsewhere_columns / sizeof *elsewhere_columns) };

static void elsewhere_table(struct section *s, const struct report_run *r)
{
    long uncounted = 0;
    struct table *t = section_table(s, "endpoints", "Models elsewhere", elsewhere_columns, N_ELSEWHERE_COLUMN);
    for (int i = 0; i < r->n_elsewhere; i++) {
        const struct report_elsewhere *x = &r->elsewhere[i];
        struct table_row *row = table_add(t);
        row_text(row, x->role);
        row_text(row, x->model);
        row_text(row, x->endpoint);
        row_number(row, (double)x->texts);
        row_number(row, (double)x->refused);
        row_number(row, (double)x->requests);
        row_number(row, x->prompt_tokens);
        row_number(row, x->completion_tokens);
        uncounted += x->uncounted;
    }
    table_note(t,
               "tokens as the servers count them, who said nothing of %ld texts; requests: those behind the texts and "
               "refusals, tries that failed among them",
               uncounted);
}

static void cost_row(struct table *t, const struct report_phase *p)
{
    struct table_row *row = table_add(t);
    row_text(row, p->name);
    row_number(row, p->seconds);
    row_number(row, p->cpu);
    row_number(row, p->joules);
    row_number(row, p->tokens);
    row_number(row, p->gflop);
    row_number(row, p->texts ? p->texts : NAN);
    row_number(row, p->texts ? p->seconds_each : NAN);
}

static void say_energy(struct section *s, const struct report_run *r)
{
    if (isnan(r->joules))
        section_text(s, "Energy was not read: %s.", r->joules_unread ? r->joules_unread : "nothing is known of it");
    else if (isnan(r->co2))
        section_text(s,
                     "Energy of the machine's processors and memory while it ran, other processes' work included: %.1f "
                     "J (%.4g kWh).",
                     r->joules, r->joules / 3.6e6);
    else
        section_text(s,
                     "Energy of the machine's processors and memory while it ran, other processes' work included: %.1f "
                     "J (%.4g kWh); with what the authors state of the grid %.4g g of CO2.",
                     r->joules, r->joules / 3.6e6, r->co2);
}

static void cost_section(struct document *d, const struct report_run *r)
{
    struct section *s = document_section(d, "cost", "What it took");
    struct table *t = section_table(s, "cost", "Cost by stage", cost_columns, N_COST_COLUMN);
    for (int i = 0; i < r->n_phase; i++)
        cost_row(t, &r->phases[i]);
    struct table_row *row = table_add(t);
    row_text(row, "all");
    row_number(row, r->seconds);
    row_number(row, r->cpu);
    row_number(row, r->joules);
    table_note(t, "seconds by the clock over all starts, and of all processors together; tokens of ask and answer: "
                  "those of the texts that were taken, "
                  "without prompts and other beams; of tune: all that were trained on in the rounds; arithmetic: 2 "
                  "operations a parameter and token, 6 in tuning; evidence: tuning the controls, answers, scores and "
                  "judging of every arm");
    if (r->n_elsewhere)
        elsewhere_table(s, r);
    if (r->peak_mib)
        section_text(s, "Peak resident memory, of the start that took most: %d MiB.", r->peak_mib);
    else
        section_text(s, "Peak resident memory was not recorded.");
    say_energy(s, r);
}

/* As a reader has it: a date and a whole number are not those of JSON. */
static void row_fact(struct table_row *row, const struct report_fact *f, double begun)
{
    struct buf text = BUF_INIT;
    char date[40];
    time_t seconds = (time_t)begun;
    struct tm when;
    if (!strcmp(f->name, "time") && begun > 0 && gmtime_r(&seconds, &when) &&
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &when))
        buf_puts(&text, date);
    else if (!strcmp(f->name, "model.parameters") && strtod(f->value, NULL) > 0)
        count_text(&text, strtod(f->value, NULL));
    else
        buf_puts(&text, f->value);
    row_text(row, text.failed ? NULL : buf_text(&text));
    if (text.failed && row)
        row->table->section->document->failed = 1;
    buf_free(&text);
}

static void facts_table(struct section *s, const char *name, const char *title, const struct report_run *r)
{
    const struct report_facts *f = strcmp(name, "settings") ? &r->manifest : &r->settings;
    struct table *t = section_table(s, name, title, fact_columns, N_FACT_COLUMN);
    for (int i = 0; i < f->n; i++) {
        struct table_row *row = table_add(t);
        row_text(row, f->items[i].name);
        row_fact(row, &f->items[i], r->begun);
    }
}

static void command(struct section *s, const struct report_run *r)
{
    static const char *const files[][2] = {{" --model ", "model.path"},     {" --seeds ", "seeds.path"},
                                           {" --test ", "test.path"},       {" --principles ", "principles.path"},
                                           {" --general ", "general.path"}, {" --over-refusal ", "over_refusal.path"}};
    struct buf line = BUF_INIT, config = BUF_INIT;
    buf_printf(&config, "%s/config.resolved.json", r->output);
    buf_puts(&line, "isara align --config ");
    sections_shell_word(&line, buf_text(&config));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = report_fact_find(&r->manifest, files[i][1]);
        if (!path || !strcmp(path, "null") || (i == 2 && !r->has_test))
            continue;
        buf_puts(&line, files[i][0]);
        sections_shell_word(&line, path);
    }
    buf_puts(&line, " --output again");
    section_text(s, "The whole run again, from its own settings, in another directory:");
    section_code(s, buf_text(&line));
    if (line.failed || config.failed)
        s->document->failed = 1;
    buf_free(&line);
    buf_free(&config);
}

void sections_account(struct document *d, const struct report_run *r)
{
    if (r->has_test)
        overlap_section(d, r);
    cost_section(d, r);
    struct section *s = document_section(d, "environment", "Environment and how to do it again");
    if (s)
        command(s, r);
    facts_table(s, "environment", "Program, files and machine", r);
    facts_table(document_section(d, "settings", "Settings"), "settings",
                "Every option, and the hashes of what was read", r);
}
