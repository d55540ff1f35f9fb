/* SPDX-License-Identifier: Apache-2.0 */
/* Three runs made by hand, two of which differ in the random seed alone: numbers by hand. */
#include "tests/check.h"
#include "tests/file_schema.h"

#include "report/html.h"
#include "report/runs.h"
#include "report/sections.h"

#include <math.h>
#include <string.h>

enum { N = 3 };
static struct report_arm arms[N][2];
static struct report_fact settings[N][3], manifest[N][1];

/* Likelihoods of the last round are -0.75, -0.25 (another seed) and -0.5 (another recipe, the first seed). */
static void make(struct report_run *runs)
{
    static const char *const recipes[] = {"isara", "isara", "lima"}, *const seeds[] = {"0", "1", "0"};
    static const double logprob[] = {-0.75, -0.25, -0.5};
    for (int i = 0; i < N; i++) {
        arms[i][0] = (struct report_arm){.name = "pretrained", .logprob = -1, .to = {.change = NAN}, .rate = NAN};
        arms[i][1] = (struct report_arm){.name = "round-1",
                                         .round = 1,
                                         .logprob = logprob[i],
                                         .n_judged = 4,
                                         .rate = i / 4.0,
                                         .to = {.change = logprob[i] + 1}};
        settings[i][0] = (struct report_fact){"recipe", recipes[i]};
        settings[i][1] = (struct report_fact){"k", i == 2 ? "8" : "5"};
        settings[i][2] = (struct report_fact){"seed", seeds[i]};
        manifest[i][0] = (struct report_fact){"test.sha256", "abc"};
        runs[i] = (struct report_run){.output = "run",
                                      .set = "test",
                                      .judge = "",
                                      .judge_sha256 = "",
                                      .arms = arms[i],
                                      .n_arm = 2,
                                      .settings = {settings[i], 3},
                                      .manifest = {manifest[i], 1}};
    }
}

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) < 1e-9))
        fail_msg("wanted %.12g, found %.12g", wanted, found);
}

static void groups_and_their_spread(void **state)
{
    (void)state;
    struct report_run runs[N];
    struct report_runs c;
    struct error err;
    json_t *json;
    make(runs);
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_int_equal(c.n_group, 2);
    assert_string_equal(c.groups[0].name, "recipe isara");
    assert_string_equal(c.groups[1].settings, "recipe lima, k 8");
    assert_int_equal(c.n_arm, 4);
    assert_null(c.unlike);
    const struct compared_arm *a = &c.arms[1];
    assert_string_equal(a->arm, "round-1");
    assert_int_equal(a->logprob.n, 2);
    near(a->logprob.mean, -0.5);
    near(a->logprob.sd, sqrt(0.125));
    near(a->logprob.high, -0.5 + 12.706204736174698 * 0.25); /* t(0.975, 1) times sd / sqrt(2) */
    near(a->flagged.mean, 0.125);
    near(c.groups[1].logprob.mean, 0.25); /* over the one random seed in common */
    assert_true(c.groups[1].logprob.n == 1 && isnan(c.groups[1].logprob.sd) && isnan(c.groups[0].logprob.mean));
    assert_true(runs[0].n_same == 2 && runs[2].n_same == 1 && runs[0].n_group == 2);
    assert_int_equal(report_runs_json(&c, &json, &err), 0);
    assert_int_equal(json_array_size(json_object_get(json, "arms")), 4);
    file_schema_check(file_schema("comparison.json"), json, NULL);
    json_decref(json);
    report_runs_free(&c);
    manifest[1][0].value = "another";
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_string_equal(c.unlike, "test set");
    report_runs_free(&c);
}

static int page_says(const struct report_runs *c, const char *wanted)
{
    struct document d;
    struct buf page = BUF_INIT;
    report_runs_document(&d, c);
    report_html(&d, &page);
    int found = strstr(buf_text(&page), wanted) != NULL;
    buf_free(&page);
    document_free(&d);
    return found;
}

/* A copy of a run, and one that was stopped. */
static void what_would_mislead_is_said(void **state)
{
    (void)state;
    json_t *json;
    struct report_run runs[N];
    struct report_runs c;
    struct error err;
    make(runs);
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_true(!c.n_warning && !page_says(&c, "the same draw again") && !page_says(&c, "is not finished"));
    report_runs_free(&c);
    settings[1][2].value = "0";
    runs[1].output = "copy";
    runs[2].n_arm = 1;
    manifest[2][0].value = "another";
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_int_equal(c.n_warning, 3);
    assert_true(page_says(&c, "copy has the settings and the random seed of run: it is the same draw again"));
    assert_true(page_says(&c, "run is not finished: no round of it is measured."));
    assert_true(page_says(&c, "The runs do not share the test set, so that"));
    assert_int_equal(report_runs_json(&c, &json, &err), 0);
    file_schema_check(file_schema("comparison.json"), json, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "warnings")), 3);
    json_decref(json);
    report_runs_free(&c);
}

/* Only what a draw gave once is in the numbers; of a run that was copied while it went on, what is finished. */
static void a_copy_is_left_out(void **state)
{
    (void)state;
    struct report_run runs[N];
    struct report_runs c;
    struct error err;
    json_t *json;
    make(runs);
    settings[1][2].value = "0";
    runs[1].output = "copy";
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_true(c.draw[0] == 0 && c.draw[1] == 0 && c.draw[2] == 2);
    assert_int_equal(c.groups[0].n, 1);
    assert_int_equal(runs[0].n_same, 1);
    near(c.arms[1].logprob.mean, -0.75); /* not (-0.75 - 0.25) / 2 */
    assert_true(c.arms[1].logprob.n == 1 && isnan(c.arms[1].logprob.sd));
    near(c.groups[1].logprob.mean, 0.25);
    assert_int_equal(report_runs_json(&c, &json, &err), 0);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(json, "runs"), 1), "same_draw_as")), "run");
    json_decref(json);
    report_runs_free(&c);
    runs[0].n_arm = 1;
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    assert_true(c.draw[0] == 1 && c.draw[1] == 1);
    near(c.arms[1].logprob.mean, -0.25);
    report_runs_free(&c);
}

static void the_checklist_knows_of_others(void **state)
{
    (void)state;
    struct report_run runs[N];
    struct report_runs c;
    struct document d;
    struct error err;
    int n = 0;
    make(runs);
    assert_int_equal(report_runs_fill(&c, runs, N, &err), 0);
    report_runs_document(&d, &c);
    assert_int_equal(document_check(&d, &err), 0);
    assert_int_equal(document_table(&d, "comparison")->n_row, 4);
    assert_int_equal(document_table(&d, "runs")->n_row, 6);
    for (const struct table_row *r = document_table(&d, "checklist")->first; r; r = r->next)
        n += r->cells[3].link && !strcmp(r->cells[3].link, "comparison");
    assert_int_equal(n, 3); /* variance, other recipes, ablation */
    document_free(&d);
    report_runs_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_and_their_spread), cmocka_unit_test(what_would_mislead_is_said),
        cmocka_unit_test(a_copy_is_left_out), cmocka_unit_test(the_checklist_knows_of_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
