/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of results made by hand: what stands in it stands in both renderings, and what does not is in neither. */
#include "tests/check.h"
#include "tests/file_schema.h"

#include "report/html.h"
#include "report/report.h"
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct report_compared nothing(void)
{
    return (struct report_compared){.change = NAN,
                                    .low = NAN,
                                    .high = NAN,
                                    .interval = "none",
                                    .dz = NAN,
                                    .p = NAN,
                                    .p_holm = NAN,
                                    .found = NAN,
                                    .h = NAN,
                                    .ratio = NAN,
                                    .ratio_low = NAN,
                                    .ratio_high = NAN,
                                    .p_flags = NAN,
                                    .p_flags_holm = NAN,
                                    .found_flags = NAN};
}

static struct report_compared change(void)
{
    struct report_compared c = nothing();
    c.n = 8;
    c.change = 0.25;
    c.low = 0.125;
    c.high = 0.5;
    c.interval = "BCa";
    c.dz = 1.5;
    c.p = 0.01;
    c.p_holm = 0.02;
    return c;
}

struct made {
    struct report_run run;
    struct report_arm arms[2];
    struct report_round round;
    struct report_reason reason;
    struct report_sample sample;
    const char *answers[2];
    struct report_control control;
};

static void make(struct made *m)
{
    *m = (struct made){.arms = {{.name = "pretrained", .n = 8, .logprob = -1, .n_answered = 8, .to = nothing()},
                                {.name = "round-1",
                                 .round = 1,
                                 .steps = 6,
                                 .n = 7,
                                 .n_missing = 1,
                                 .logprob = -0.75,
                                 .n_answered = 8,
                                 .n_cut = 2,
                                 .model_sha256 = "abc",
                                 .to = change()}},
                       .round = {.number = 1,
                                 .attempts = 4,
                                 .parsed = 4,
                                 .kept = 3,
                                 .share = 0.75,
                                 .low = 0.3,
                                 .high = 0.95,
                                 .nearest = 0.5,
                                 .pairs = NAN,
                                 .n_reason = 1},
                       .reason = {"question_repeat", "question repeats a kept one", 1},
                       .sample = {.question = "Why\nnot?"},
                       .answers = {"Because.", NULL},
                       .control = {"sft-seeds", change()}};
    m->round.reasons = &m->reason;
    m->sample.answers = m->answers;
    m->run =
        (struct report_run){.output = "out",
                            .set = "test",
                            .has_test = 1,
                            .n_item = 8,
                            .n_text = 8,
                            .n_seed = 9,
                            .n_given = 9,
                            .judge = "",
                            .judge_sha256 = "",
                            .threshold = 0.5,
                            .rounds = &m->round,
                            .n_round = 1,
                            .tuned = 1,
                            .kept = 3,
                            .scaling = 1.0 / 3,
                            .arms = m->arms,
                            .n_arm = 2,
                            .tested = 1,
                            .interval = "BCa",
                            .any_fewer = 1,
                            .last = {.of = "round-1", .list = &m->control, .n = 1},
                            .samples = &m->sample,
                            .n_sample = 1,
                            .peak_mib = 5,
                            .joules = NAN,
                            .co2 = NAN,
                            .joules_unread = "no counter",
                            .overlap = {.threshold = 0.7, .seeds = 2, .seeds_left_out = 2, .generated = 1, .kept = 1}};
}

static void has(const struct buf *text, const char *wanted)
{
    if (!strstr(text->data, wanted))
        fail_msg("wanted \"%s\" in\n%s", wanted, text->data);
}

static void text_says_what_is_there(void **state)
{
    (void)state;
    struct made m;
    struct buf text = BUF_INIT;
    make(&m);
    report_run_text(&m.run, &text);
    has(&text, "round 1: 3 of 4 attempts kept, 75.0 % (95 %: 30.0 to 95.0); 1 question repeats a kept one\nscaling: 3 "
               "kept pairs from 9 seeds, 0.33 times as many\n");
    has(&text, "test overlap: 2 of 9 seeds are test questions (left out); 1 generated questions are near one (ROUGE-L "
               "above 0.7): 0 left out for it, 1 kept\n");
    has(&text, "\ntest questions of 8\n");
    has(&text, "\nchange: the same less pretrained's, with its 95 % interval (BCa bootstrap)\ndz: the change in its "
               "standard deviations\np: Wilcoxon's signed ranks, after Holm over 1 arm\nanswers: questions answered; "
               "missing in all arms together: 0\nempty: of these without a word\ncut: of these at the token limit\n");
    has(&text,
        "round-1                6   -0.7500*   +0.2500 (  +0.1250 to  +0.5000)  +1.50      0.02       8     0    2\n");
    has(&text, "* over fewer than all questions");
    has(&text, "last round less each control: change, its interval, dz and p as above, after Holm over these 1\n  "
               "sft-seeds           +0.2500 ");
    has(&text, "are changes of: round-1 none\n");
    has(&text, "Side by side\n  Why not?\n    pretrained   Because.\n    round-1      (none)\n");
    has(&text, "aligned model: out/round-1/model\nsha256 abc\n");
    assert_null(strstr(text.data, "nan"));
    assert_null(strstr(text.data, "judge"));
    buf_free(&text);
}

static const json_t *at(const json_t *list, size_t i, const char *name)
{
    const json_t *value = json_object_get(json_array_get(list, i), name);
    if (!value)
        fail_msg("no \"%s\"", name);
    return value;
}

static void json_says_the_same(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    json_t *o = NULL;
    make(&m);
    if (report_run_json(&m.run, &o, &err))
        fail_msg("%s", err.message);
    const json_t *rounds = json_object_get(o, "rounds"), *arms = json_object_get(o, "arms"),
                 *last = json_object_get(o, "last_round_against");
    assert_true(json_is_null(at(rounds, 0, "distinct_word_pairs_of_kept")));
    assert_int_equal(json_integer_value(json_object_get(at(rounds, 0, "reasons"), "question_repeat")), 1);
    assert_true(json_is_null(at(arms, 0, "change")));
    assert_float_equal(json_real_value(at(arms, 1, "change_high")), 0.5, 0);
    assert_int_equal(json_integer_value(at(arms, 1, "n_missing")), 1);
    assert_null(json_object_get(json_array_get(arms, 1), "judge"));
    assert_string_equal(json_string_value(at(last, 0, "of")), "round-1");
    assert_float_equal(json_real_value(at(last, 0, "p_holm")), 0.02, 0);
    assert_int_equal(json_array_size(json_object_get(o, "first_round_against")), 0);
    assert_true(json_is_null(json_object_get(at(json_object_get(o, "samples"), 0, "answers"), "round-1")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "test_overlap"), "seeds_left_out")), 2);
    json_decref(o);
}

static const char *value_in(const struct document *d, const char *table, const char *name)
{
    for (const struct table_row *r = document_table(d, table)->first; r; r = r->next)
        if (!strcmp(r->cells[0].text, name))
            return r->cells[1].text;
    fail_msg("no \"%s\" in the table %s", name, table);
    return NULL;
}

/* Facts as people read them, not as JSON has them. 1795983889 is 2026-11-29 20:24:49 by date -u -d @1795983889. */
static void facts_are_readable(void **state)
{
    (void)state;
    struct made m;
    struct document d;
    struct error err;
    struct buf page = BUF_INIT;
    struct report_fact facts[] = {
        {"model.parameters", "268098176.0"}, {"time", "1795983889.0"},       {"build", "1.0"},
        {"principles.path", "laws.txt"},     {"general.path", "a text.txt"}, {"over_refusal.path", "xstest.csv"}};
    make(&m);
    m.run.manifest = (struct report_facts){facts, 6};
    m.run.begun = 1795983889.25;
    report_run_document(&d, &m.run);
    assert_int_equal(document_check(&d, &err), 0);
    assert_string_equal(value_in(&d, "environment", "model.parameters"), "268,098,176");
    assert_string_equal(value_in(&d, "environment", "time"), "2026-11-29 20:24:49 UTC");
    assert_string_equal(value_in(&d, "environment", "build"), "1.0");
    report_html(&d, &page);
    has(&page, "Peak resident memory, of the start that took most: 5 MiB.");
    has(&page, "Energy was not read: no counter.");
    has(&page, "--principles</span> laws.txt <span");
    has(&page, "--general</span> &#39;a text.txt&#39; <span");
    has(&page, "--over-refusal</span> xstest.csv <span");
    has(&page, "(unknown, 268,098,176 parameters)");
    buf_free(&page);
    document_free(&d);
    m.run.peak_mib = 0;
    m.run.n_arm = 1;
    report_run_document(&d, &m.run);
    report_html(&d, &page);
    has(&page, "Peak resident memory was not recorded.");
    has(&page, "This run is not finished: 1 of its planned rounds have a model, and nothing is measured yet.");
    buf_free(&page);
    document_free(&d);
    count_text(&page, 999);
    count_text(&page, -1000);
    assert_string_equal(buf_text(&page), "999-1,000");
    buf_free(&page);
}

/* Nothing but what must be there. */
static void the_least_is_as_documented(void **state)
{
    (void)state;
    struct error err = {0};
    const struct report_run nothing_yet = {.set = "holdout", .judge = "", .judge_sha256 = ""};
    json_t *o = NULL;
    assert_int_equal(report_run_json(&nothing_yet, &o, &err), 0);
    file_schema_check(file_schema("metrics.json"), o, NULL);
    json_decref(o);
}

/* A judged arm with examples in its prompts, beside a control: every key of the page occurs. */
static void the_most_is_as_documented(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    struct report_label label = {"toxic", 8, 2, 0.25, 0.1, 0.6};
    struct report_phase phase = {.name = "ask",
                                 .seconds = 1.5,
                                 .cpu = 2.5,
                                 .joules = 3.5,
                                 .tokens = 8,
                                 .gflop = NAN,
                                 .texts = 2,
                                 .seconds_each = 0.75};
    struct report_tax tax[] = {{.arm = "round-1", .metric = "answers.words", .n = 8, .value = 9.5, .interval = "BCa"},
                               {.arm = "round-1", .metric = "nll", .test = "of an evaluation"}};
    const struct file_schema *schema = file_schema("metrics.json");
    unsigned char *used = calloc((size_t)file_schema_rows(schema), 1);
    json_t *o = NULL;
    make(&m);
    m.arms[1].contexts_asked = 3;
    m.arms[1].n_judged = 8;
    m.arms[1].labels = &label;
    m.arms[1].n_label = 1;
    m.control.by.n_judged = 8;
    m.run.phases = &phase;
    m.run.n_phase = 1;
    m.run.joules_unread = NULL;
    m.run.first = m.run.last;
    m.run.tax = tax;
    m.run.n_tax = 2;
    m.run.elsewhere[0] = (struct report_elsewhere){"answerer", "m", "http://h/v1", "chat", 8, 1, 9, 100, 20, 0};
    m.run.n_elsewhere = 1;
    m.run.review.struck = 2;
    assert_int_equal(report_run_json(&m.run, &o, &err), 0);
    assert_int_equal(json_array_size(json_object_get(o, "tax")), 1);
    file_schema_check(schema, o, used);
    file_schema_all_used(schema, used);
    json_decref(o);
    free(used);
}

static const struct table *table_of(const struct document *d, const char *name)
{
    for (const struct section *s = d->first; s; s = s->next)
        for (const struct block *b = s->first; b; b = b->next)
            if (b->kind == BLOCK_TABLE && !strcmp(b->table->name, name))
                return b->table;
    fail_msg("no table %s", name);
    return NULL;
}

/* The cell of a row as people read it. */
static void expect_cell(const struct table *t, int row, const char *column, const char *wanted)
{
    const struct table_row *r = t->first;
    struct buf text = BUF_INIT;
    while (row-- && r)
        r = r->next;
    assert_non_null(r);
    for (int i = 0; i < t->n_column; i++)
        if (!strcmp(t->columns[i].name, column))
            cell_text(&text, &r->cells[i], &t->columns[i]);
    assert_string_equal(buf_text(&text), wanted);
    buf_free(&text);
}

static void the_document_says_the_same(void **state)
{
    (void)state;
    struct made m;
    struct document d;
    struct error err = {0};
    make(&m);
    report_run_document(&d, &m.run);
    assert_int_equal(document_check(&d, &err), 0);
    const struct table *arms = table_of(&d, "arms"), *rounds = table_of(&d, "rounds");
    assert_int_equal(arms->n_row, 2);
    expect_cell(arms, 0, "change", "");
    expect_cell(arms, 1, "change", "+0.2500 (+0.1250 to +0.5000)");
    expect_cell(arms, 1, "p_holm", "0.02");
    expect_cell(rounds, 0, "share", "75.0 % (30.0 to 95.0)");
    expect_cell(rounds, 0, "word_pairs", "");
    expect_cell(table_of(&d, "controls"), 0, "beside", "sft-seeds");
    assert_non_null(document_find(&d, "rounds"));
    int n_not = 0;
    const struct table *points = table_of(&d, "checklist");
    for (const struct table_row *r = points->first; r; r = r->next) { /* each has an answer, and each place is there */
        n_not += !strcmp(r->cells[2].text, "not applicable");
        assert_true(r->cells[3].text && r->cells[3].text[0]);
        if (strcmp(r->cells[2].text, "not applicable") && !r->cells[3].link)
            fail_msg("%s: its place is not there", r->cells[1].text);
        if (!strcmp(r->cells[1].text, "funding disclosed"))
            assert_string_equal(r->cells[3].link, "about");
    }
    assert_true(points->n_row == 54 && n_not == 8);
    assert_non_null(strstr(d.summary, "+0.2500 a token"));
    document_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_says_what_is_there),    cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(facts_are_readable),         cmocka_unit_test(the_document_says_the_same),
        cmocka_unit_test(the_least_is_as_documented), cmocka_unit_test(the_most_is_as_documented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
