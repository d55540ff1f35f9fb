/* SPDX-License-Identifier: Apache-2.0 */
/* alpaca_eval's published numbers come out of its published annotations; its order randomisation is CPython's. */
#include "tests/check.h"

#include "measure/alpaca.h"

#include <math.h>

static int of_text(const char *text, struct alpaca_metrics *m, struct error *err)
{
    json_t *a = json_loads(text, JSON_DECODE_ANY, NULL);
    int rc = alpaca_metrics_of(a, "here", m, err);
    json_decref(a);
    return rc;
}

static void metrics_by_hand(void **state)
{
    (void)state;
    struct alpaca_metrics m;
    struct error err;
    assert_int_equal(of_text("[{\"preference\":1},{\"preference\":2},{\"preference\":2,\"output_2\":"
                             "\"\\u00e9t\\u00e9\"},{\"preference\":0},{\"preference\":2},"
                             "{\"preference\":null}]",
                             &m, &err),
                     0);
    assert_true(fabs(m.win_rate - 70) < 1e-12 && fabs(m.standard_error - 20) < 1e-12 &&
                fabs(m.discrete_win_rate - 70) < 1e-12);
    assert_true(m.n_wins == 3 && m.n_wins_base == 1 && m.n_draws == 1 && m.n_total == 5 && m.n_missing == 1 &&
                m.n_rows == 6 && m.avg_length == 3);
    assert_int_equal(of_text("[{\"preference\":null}]", &m, &err), ERROR_DATA);
    assert_int_equal(of_text("[{\"preference\":1},{\"preference\":7}]", &m, &err), ERROR_DATA);
    assert_string_equal(err.message, "here: record 1: preference is 7; wanted 0 or 1 to 2");
    assert_int_equal(of_text("[{\"preference\":\"1\"}]", &m, &err), ERROR_DATA);
    assert_int_equal(of_text("{}", &m, &err), ERROR_DATA);
}

static void alpaca_7b_is_recomputed(void **state)
{
    (void)state;
    const char *path = check_data("alpaca_eval/alpaca-7b.alpaca_eval_gpt4.annotations.json");
    if (!path)
        SKIP_TEST("alpaca_eval's annotations are not there");
    json_t *a = json_load_file(path, 0, NULL);
    struct alpaca_metrics m;
    assert_int_equal(alpaca_metrics_of(a, path, &m, NULL), 0);
    assert_true(fabs(m.win_rate - 26.459627329192543) < 1e-10);
    assert_true(fabs(m.standard_error - 1.535711469748) < 1e-9);
    assert_true(m.n_wins == 205 && m.n_wins_base == 584 && m.n_draws == 16 && m.n_total == 805 && m.avg_length == 396);
    assert_true(fabs(m.discrete_win_rate - 26.459627329192543) < 1e-10);
    json_decref(a);
}

static void outputs_switch_as_in_cpython(void **state)
{
    (void)state;
    static const struct {
        const char *instruction;
        double random;
    } vectors[] = {
        {"1+1=", 0.5906878844628146},
        {"2+2", 0.28642635449077236},
        {"2+3", 0.8105304193734497},
        {"1+1", 0.11617053131616839},
        {"hello", 0.3703273324920633},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe3\x81\xae\xe9\xa6\x96\xe9\x83\xbd\xe3\x81\xaf?", 0.6595150465635713},
        {"What is the capital of France?", 0.004623105042085296},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int switched;
        double random;
        assert_int_equal(alpaca_switched(vectors[i].instruction, &switched, &random, NULL), 0);
        assert_true(random == vectors[i].random);
        assert_int_equal(switched, vectors[i].random >= 0.5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_by_hand),
        cmocka_unit_test(alpaca_7b_is_recomputed),
        cmocka_unit_test(outputs_switch_as_in_cpython),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
