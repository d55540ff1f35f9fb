/* SPDX-License-Identifier: Apache-2.0 */
/* What the page of an experiment and its results say beyond the comparisons: what the tests could have shown, what arms
 * that align made and kept, what it rests on. On the tiny model; numbers are worked out from the runs' own lines. */
#include "tests/check.h"
#include "tests/tiny_align.h"
#include "tests/tiny_experiment.h"

#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "stats/stats.h"

#include <string.h>

static int setup(void **state)
{
    json_t *json;
    int rc = tiny_experiment_setup(state);
    if (!rc)
        tiny_experiment(tiny_whole, &json);
    if (!rc)
        json_decref(json);
    return rc;
}

/* Six questions are enough for one test and not for three: of the tuned arm beside the model alone the least change is
 * the one that its differences give by the test's own power, which test_stats_coverage.c looks at. */
static void what_the_tests_could_have_found_stands_there(void **state)
{
    (void)state;
    json_t *results, *one;
    char path[1400];
    double base[64], tuned[64], d[64] = {0};
    int n = 0;
    tiny_experiment_arms("  - pretrained\n  - sft-seeds\n", &one);
    tiny_experiment(tiny_whole, &results);
    tiny_job_path(results, "pretrained", 0, 0, path);
    n = tiny_nll(path, base);
    for (int s = 0; s < 2; s++) {
        tiny_job_path(results, "sft-seeds", s, 1, path);
        tiny_nll(path, tuned);
        for (int i = 0; i < n; i++)
            d[i] += (tuned[i] - base[i]) / 2;
    }
    const struct stats_design design = {.family = 1, .draws = 4000, .alpha = 0.05, .power = 0.8};
    struct stats_found wanted;
    assert_int_equal(stats_wilcoxon_finds(d, n, &design, &wanted, NULL), 0);
    assert_true(wanted.effect > 0);
    const json_t *m = tiny_find(json_object_get(one, "results"), "arm", "sft-seeds", "qa.nll");
    tiny_close_to(tiny_number(json_array_get(json_object_get(m, "beside"), 0), "found_4_in_5"), wanted.effect, 1e-9);
    const json_t *power = tiny_find(json_object_get(one, "power"), "metric", "qa.nll", NULL);
    assert_true(tiny_number(power, "n_tests") == 1 && tiny_number(power, "n_none") == 0 &&
                tiny_number(power, "n_questions") == 6);
    tiny_close_to(tiny_number(power, "least"), wanted.effect, 1e-9);
    m = tiny_find(json_object_get(results, "results"), "arm", "sft-seeds", "qa.nll");
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(m, "beside"), 0), "found_4_in_5")));
    power = tiny_find(json_object_get(results, "power"), "metric", "qa.nll", NULL);
    assert_true(tiny_number(power, "n_tests") == 3 && tiny_number(power, "n_none") == 3);
    json_decref(one);
    json_decref(results);
}

/* Lines of round-t/generated.jsonl with that reason; id, if not NULL, becomes the first one's unless it is set. */
static int count_lines(const char *run, int round, const char *reason, char id[40])
{
    char path[1500];
    json_t *rows = NULL, *row;
    size_t i;
    int n = 0;
    snprintf(path, sizeof path, "%s/round-%d/generated.jsonl", run, round);
    assert_int_equal(jsonl_load(&rows, path, NULL), 0);
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "reason")), reason) != 0)
            continue;
        if (!n++ && id && !*id)
            snprintf(id, 40, "%s", json_string_value(json_object_get(row, "id")));
    }
    json_decref(rows);
    return n;
}

static void run_path(const json_t *results, const char *arm, int random_seed, char path[1410])
{
    char job[1400];
    tiny_job_path(results, arm, random_seed, 0, job);
    snprintf(path, 1410, "%s/run", job);
}

/* What an arm's alignments made is what their own lines have, both random seeds together; what of it is near the test
 * is what each of them says of itself; and the page shows an attempt of each reason. */
static void what_arms_made_is_what_their_runs_have(void **state)
{
    (void)state;
    json_t *results, *r, *metrics = NULL;
    char run[2][1410], path[1500], id[40] = "", line[100];
    struct buf shown = BUF_INIT;
    const char *reason;
    json_t *n;
    size_t i;
    tiny_experiment(tiny_whole, &results);
    for (int s = 0; s < 2; s++)
        run_path(results, "isara", s, run[s]);
    const json_t *list = json_object_get(results, "rounds");
    assert_int_equal(json_array_size(list), 2);
    json_array_foreach((json_t *)(uintptr_t)list, i, r)
    {
        int round = (int)i + 1, sum = 0;
        assert_string_equal(json_string_value(json_object_get(r, "arm")), "isara");
        assert_true(tiny_number(r, "round") == round && tiny_number(r, "n_seeds") == 2);
        json_object_foreach(json_object_get(r, "reasons"), reason, n)
        {
            assert_int_equal(json_integer_value(n),
                             count_lines(run[0], round, reason, NULL) + count_lines(run[1], round, reason, NULL));
            sum += (int)json_integer_value(n);
        }
        int kept = count_lines(run[0], round, "kept", id) + count_lines(run[1], round, "kept", NULL);
        assert_int_equal(tiny_number(r, "kept"), kept);
        assert_int_equal(tiny_number(r, "attempts"), 2 * 4);
        assert_int_equal(sum + kept, 2 * 4);
        struct stats_interval w = stats_wilson(kept, 8, 0.95);
        tiny_close_to(tiny_number(r, "share"), kept / 8.0, 1e-12);
        tiny_close_to(tiny_number(r, "share_low"), w.low, 1e-12);
    }
    snprintf(path, sizeof path, "%s/tables/attempts.csv", tiny_whole);
    snprintf(line, sizeof line, "\nisara,model,3,%s,kept,", id);
    assert_int_equal(file_read(&shown, path, 1 << 20, NULL), 0);
    assert_true(*id && strstr(shown.data, line));
    buf_free(&shown);
    snprintf(path, sizeof path, "%s/metrics.json", run[1]);
    assert_int_equal(jsontext_load(&metrics, path, 1 << 24, NULL), 0);
    r = json_array_get(json_object_get(tiny_find(json_object_get(results, "arms"), "name", "isara", NULL), "runs"), 1);
    assert_true(json_equal(json_object_get(r, "test_overlap"), json_object_get(metrics, "test_overlap")));
    assert_true(json_equal(json_object_get(r, "seeds"), json_object_get(metrics, "seeds")));
    r = json_array_get(json_object_get(tiny_find(json_object_get(results, "arms"), "name", "steps", NULL), "runs"), 1);
    assert_null(json_object_get(r, "test_overlap"));
    json_decref(metrics);
    json_decref(results);
}

/* As many alignments as arms have: an earlier round of one is its own arm, up to that round, and its attempts are not
 * shown twice. */
static void an_earlier_round_is_counted_up_to_it(void **state)
{
    (void)state;
    json_t *json, *both;
    struct buf shown = BUF_INIT;
    char path[1300];
    tiny_experiment(tiny_whole, &json);
    tiny_experiment_arms("  - isara\n  - {name: first, round: 1}\n", &both);
    const json_t *rounds = json_object_get(both, "rounds"), *was = json_object_get(json, "rounds");
    assert_int_equal(json_array_size(rounds), 3);
    assert_true(json_equal(json_array_get(rounds, 0), json_array_get(was, 0)));
    assert_true(json_equal(json_array_get(rounds, 1), json_array_get(was, 1)));
    json_object_set_new(json_array_get(rounds, 2), "arm", json_string("isara"));
    assert_true(json_equal(json_array_get(rounds, 2), json_array_get(was, 0)));
    snprintf(path, sizeof path, "%s/tables/attempts.csv", tiny_whole);
    assert_int_equal(file_read(&shown, path, 1 << 20, NULL), 0);
    assert_non_null(strstr(shown.data, "\nisara,"));
    assert_null(strstr(shown.data, "\nfirst,"));
    buf_free(&shown);
    json_decref(json);
    json_decref(both);
}

/* What it cannot show, what every arm was given and how to do it again stand in its own page, which its checklist leads
 * to. */
static void the_page_says_what_it_rests_on(void **state)
{
    (void)state;
    static const char *const said[] = {
        "href=\"#limitations\"",
        "href=\"#settings\"",
        "href=\"#environment\"",
        "href=\"#terms\"",
        "href=\"#about\"",
        "href=\"#power\">what these tests find at this number of questions",
        "href=\"#contamination\">seeds and generated questions near a test question",
        "href=\"#contamination\">what is counted, and what is not known of the base",
        "href=\"#samples\">generated.jsonl, arms/*.jsonl and run.db in the run",
        "href=\"#samples\">run.db, generated.jsonl and arms/*.jsonl",
        "href=\"#rounds\">attempts, what was read of them, what was kept",
        "href=\"#rounds\">from attempts to training rows",
        "href=\"#table-reasons\"",
        "Scope. 1 base model (model), measured on the test set.",
        "Random seeds. There were 2: ",
        "Controls. No control was tuned",
        "isara experiment experiment.yaml <span",
        ">learning-rate</",
        ">1e-3<",
    };
    struct buf page = BUF_INIT;
    json_t *results, *item, *metrics = json_object();
    char many[80];
    size_t at;
    tiny_results(&results);
    json_array_foreach(json_object_get(results, "results"), at, item)
        json_object_set(metrics, json_string_value(json_object_get(item, "metric")), item);
    snprintf(many, sizeof many, "over the %zu metrics of this report they are not", json_object_size(metrics));
    json_decref(metrics);
    json_decref(results);
    tiny_page(&page);
    assert_non_null(strstr(page.data, many));
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(page.data, said[i]))
            fail_msg("the page lacks '%s'", said[i]);
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_tests_could_have_found_stands_there),
        cmocka_unit_test(what_arms_made_is_what_their_runs_have),
        cmocka_unit_test(the_page_says_what_it_rests_on),
        cmocka_unit_test(an_earlier_round_is_counted_up_to_it),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
