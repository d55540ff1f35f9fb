/* SPDX-License-Identifier: Apache-2.0 */
/* What the alignment may have cost besides: how answers changed, general text, refusals; and how to measure what was
 * not. */
#include "report/sections.h"

#include "base/buf.h"

#include <string.h>

const char sections_tax_of_answers[] =
    "answers.words: words an answer; answers.empty: share without a word; answers.cut: share that reached the token "
    "limit; answers.distinct_N: different runs of N words / runs of N words, over all answers";
const char sections_tax_elsewhere[] =
    "nll: negative log-likelihood a token, mean over windows of text; over_refusal: share of prompts that only sound "
    "harmful whose answer begins with a phrase of refusal; refusal: the same of those that are";

static const struct column tax_columns[] = {
    {"metric", "metric", COLUMN_TEXT, 0}, {"arm", "arm", COLUMN_TEXT, 0},         {"n", "questions", COLUMN_COUNT, 0},
    {"value", "value", COLUMN_NUMBER, 4}, {"change", "change", COLUMN_CHANGE, 4}, {"test", "test set", COLUMN_TEXT, 0},
};
enum { N_TAX_COLUMN = (int)(sizeof tax_columns / sizeof *tax_columns) };

void sections_shell_word(struct buf *out, const char *word)
{
    static const char *const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        buf_puts(out, word);
        return;
    }
    buf_putc(out, '\'');
    for (const char *s = word; *s; s++)
        if (*s == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, *s);
    buf_putc(out, '\'');
}

static int is_worse(const struct report_tax *x)
{
    if (!x->better || isnan(x->change))
        return 0;
    return strcmp(x->better, "lower") ? x->change < 0 : x->change > 0;
}

static void add_rows(struct table *t, const struct report_run *r, int elsewhere)
{
    for (int i = 0; i < r->n_tax; i++) {
        const struct report_tax *x = &r->tax[i];
        if ((x->test != NULL) != elsewhere)
            continue;
        struct table_row *row = table_add(t);
        row_text(row, x->metric);
        row_text(row, x->arm);
        row_number(row, x->n);
        row_number(row, x->value);
        row_interval(row, x->change, x->low, x->high);
        if (elsewhere)
            row_text(row, x->test);
        if (row)
            row->marked = is_worse(x);
    }
}

static int has_metric(const struct report_run *r, const char *metric)
{
    for (int i = 0; i < r->n_tax; i++)
        if (!strcmp(r->tax[i].metric, metric))
            return 1;
    return 0;
}

/* isara eval of the pretrained model and of the last round, to where they are looked for. */
static void commands(struct section *s, const struct report_run *r, const char *task, const char *file)
{
    const char *base = report_fact_find(&r->manifest, "model.path"), *last = r->arms[r->n_arm - 1].name;
    struct buf line = BUF_INIT, path = BUF_INIT;
    for (int i = 0; i < 2; i++) {
        buf_reset(&path);
        buf_printf(&line, "%sisara eval --task %s --model ", i ? "\n" : "", task);
        buf_printf(&path, "%s/%s/model", r->output, last);
        sections_shell_word(&line, i || !base ? buf_text(&path) : base);
        buf_reset(&path);
        buf_printf(&path, "%s/eval/%s-%s", r->output, task, i ? last : r->arms[0].name);
        buf_printf(&line, " --test %s --output ", file);
        sections_shell_word(&line, buf_text(&path));
    }
    section_code(s, buf_text(&line));
    s->document->failed |= line.failed || path.failed;
    buf_free(&line);
    buf_free(&path);
}

/* What nobody has measured. */
static void gaps(struct section *s, const struct report_run *r)
{
    if (r->n_arm < 2 || !r->arms[r->n_arm - 1].round)
        return;
    if (!has_metric(r, "nll")) {
        section_text(s,
                     "This run cannot say what became of general text: its perplexity was not measured. These commands "
                     "(or align --general FILE) measure it, of a text of another domain, for the next report:");
        commands(s, r, "perplexity", "GENERAL.txt");
    }
    if (!has_metric(r, "over_refusal")) {
        section_text(s,
                     "This run cannot say whether it refuses more: no prompts that only sound harmful (XSTest's) were "
                     "asked. These commands (or align --over-refusal FILE) ask them:");
        commands(s, r, "xstest", "XSTEST.csv");
    }
}

void sections_tax(struct document *d, const struct report_run *r)
{
    int own = 0, elsewhere = 0;
    for (int i = 0; i < r->n_tax; i++) {
        own += !r->tax[i].test;
        elsewhere += r->tax[i].test != NULL;
    }
    if (!r->n_arm)
        return;
    struct section *s = document_section(d, "tax", "What it cost elsewhere");
    if (own) {
        struct table *t = section_table(s, "tax", "Answers to the same questions", tax_columns, N_TAX_COLUMN - 1);
        add_rows(t, r, 0);
        table_note(t, "%s. change: less the pretrained model's, question by question, with a 95 %% interval",
                   sections_tax_of_answers);
    } else {
        section_text(s, "This run cannot say how its answers changed: it answered no question of its test set "
                        "(align --test, --samples).");
    }
    if (elsewhere) {
        struct table *t = section_table(s, "elsewhere", "Elsewhere", tax_columns, N_TAX_COLUMN);
        add_rows(t, r, 1);
        table_note(t, "evaluations in %s/eval. %s", r->output, sections_tax_elsewhere);
    }
    gaps(s, r);
}
