/* SPDX-License-Identifier: Apache-2.0 */
/* What all tasks of isara eval share: a report that says what it rests on, and a journal that survives being torn. */
#include "tests/check.h"

#include "base/mem.h"
#include "eval/parts.h"
#include "io/file.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static void report_marks_and_refuses(void **state)
{
    (void)state;
    struct eval_report r;
    struct error err = {0};
    struct report_basis f = {.task = "qa", .n_row = 10, .n_missing = 2, .threshold = NAN};
    eval_report_begin(&r, &f, &err);
    eval_report_value(&r, "exact", 0.5, 8, stats_wilson(4, 8, 0.95));
    json_t *json;
    struct buf text = BUF_INIT;
    eval_report_tested(&r, "gain", 0.25, 10, EVAL_NO_INTERVAL, (struct stats_test){0, 0.03125, 6});
    assert_int_equal(report_evaluation_json(&r.tree, &json, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "exact_n")), 8);
    assert_int_equal(json_integer_value(json_object_get(json, "n")), 8);
    assert_int_equal(report_evaluation_text(&r.tree, &text, &err), 0);
    assert_non_null(strstr(text.data, "n 8 *"));
    assert_true(json_real_value(json_object_get(json, "gain_p")) == 0.03125);
    assert_null(json_object_get(json, "exact_p"));
    assert_non_null(strstr(text.data, "n 10\n  gain: Wilcoxon signed-rank p 0.0312 over 6 rows that differ\n"));
    assert_non_null(strstr(text.data, "n 8 of 10, missing 2, truncated 0, unparsed 0, threshold none\nprompt style "
                                      "none (outputs were read), judge none (computed)"));
    json_decref(json);
    buf_free(&text);
    eval_report_value(&r, "f1", NAN, 8, EVAL_NO_INTERVAL);
    assert_int_equal(eval_report_end(&r), ERROR_DATA);
    assert_string_equal(err.message, "f1 cannot be computed: it is not defined for these rows");
    eval_report_begin(&r, &f, &err);
    eval_report_value(&r, "f1", 0, 0, EVAL_NO_INTERVAL);
    assert_int_equal(eval_report_end(&r), ERROR_DATA);
    assert_string_equal(err.message, "f1 cannot be computed: no row has what it needs");
    f.n_row = 0;
    eval_report_begin(&r, &f, &err);
    assert_int_equal(eval_report_end(&r), ERROR_DATA);
}

static void journal_goes_on_where_it_stopped(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("eval-journal");
    char *path = path_join(dir, "journal.jsonl");
    json_t *settings = json_pack("{s:s, s:i}", "model", "m", "seed", 1),
           *other = json_pack("{s:s, s:i}", "model", "m", "seed", 2);
    struct eval_journal *j;
    struct error err = {0};
    assert_int_equal(eval_journal_open(&j, dir, settings, &err), 0);
    assert_int_equal(eval_journal_put(j, "answer", 3, json_pack("{s:s}", "text", "a"), &err), 0);
    assert_int_equal(eval_journal_put(j, "answer", 0, json_pack("{s:s}", "text", "b"), &err), 0);
    assert_int_equal(eval_journal_put(j, "answer", 0, json_pack("{s:s}", "text", "again"), &err), 0);
    eval_journal_close(j);
    uint64_t size;
    assert_int_equal(file_size(path, &size, &err), 0);
    assert_int_equal(truncate(path, (off_t)size - 3), 0); /* as a kill in the middle of a write leaves it */
    assert_int_equal(eval_journal_open(&j, dir, settings, &err), 0);
    assert_int_equal(eval_journal_count(j, "answer"), 1);
    assert_null(eval_journal_get(j, "answer", 0));
    assert_string_equal(json_string_value(json_object_get(eval_journal_get(j, "answer", 3), "text")), "a");
    assert_int_equal(eval_journal_put(j, "answer", 0, json_pack("{s:s}", "text", "c"), &err), 0);
    eval_journal_close(j);
    assert_int_equal(eval_journal_open(&j, dir, settings, &err), 0);
    assert_string_equal(json_string_value(json_object_get(eval_journal_get(j, "answer", 0), "text")), "c");
    eval_journal_close(j);
    /* Settings are compared both ways: one more, one less, another value. */
    json_t *more = json_pack("{s:s, s:i, s:i}", "model", "m", "seed", 1, "k", 5),
           *less = json_pack("{s:s}", "model", "m");
    assert_int_equal(eval_journal_open(&j, dir, more, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "was begun with k = nothing"));
    assert_int_equal(eval_journal_open(&j, dir, less, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "was begun with seed, now there is none"));
    json_decref(more);
    json_decref(less);
    assert_int_equal(eval_journal_open(&j, dir, other, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "was begun with seed = 1, now it is 2"));
    assert_int_equal(eval_journal_open(&j, NULL, other, &err), 0); /* in memory */
    assert_int_equal(eval_journal_put(j, "x", 0, json_object(), &err), 0);
    assert_non_null(eval_journal_get(j, "x", 0));
    eval_journal_close(j);
    json_decref(settings);
    json_decref(other);
    mem_free(path);
}

/* As a program that is not isara calls it: a result comes back, nothing is printed, and what is unknown is refused by
 * name. */
static void runs_from_the_library(void **state)
{
    (void)state;
    const char *text =
        "[{\"preference\":1},{\"preference\":2},{\"preference\":2},{\"preference\":0},{\"preference\":2}]";
    char *path = path_join(check_tmpdir("eval-library"), "annotations.json");
    struct eval_options o;
    struct eval_result r;
    struct error err = {0};
    assert_int_equal(file_write(path, text, strlen(text), &err), 0);
    eval_options_default(&o);
    o.task = "alpaca-eval";
    o.annotations = path;
    if (eval_run(NULL, &o, &r, &err))
        fail_msg("%s", err.message);
    assert_float_equal(json_number_value(json_object_get(r.json, "win_rate")), 70,
                       1e-9); /* (0 + 1 + 1 + 1/2 + 1) / 5 */
    assert_true(json_is_true(json_object_get(r.json, "complete")));
    assert_non_null(strstr(r.text.data, "win_rate                      70.0000"));
    eval_result_free(&r);
    o.judge_order = "random";
    assert_int_equal(eval_run(NULL, &o, &r, &err), ERROR_USAGE);
    assert_string_equal(err.message, "judge_order: wanted both|alpaca, found \"random\"");
    eval_result_free(&r);
    o.judge_order = NULL;
    o.task = "alpaca";
    assert_int_equal(eval_run(NULL, &o, &r, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "--task: wanted alpaca-eval|beavertails|"));
    assert_non_null(strstr(err.message, "|xstest, found \"alpaca\" ("));
    eval_result_free(&r);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_from_the_library),
                                       cmocka_unit_test(report_marks_and_refuses),
                                       cmocka_unit_test(journal_goes_on_where_it_stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
