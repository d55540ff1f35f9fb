/* SPDX-License-Identifier: Apache-2.0 */
/* The length-controlled win rate is scikit-learn's, called as alpaca_eval does (tools/golden_length_controlled.py made
 * the values). */
#include "tests/check.h"

#include "base/mem.h"
#include "io/file.h"
#include "measure/alpaca.h"

#include <math.h>
#include <string.h>

/* Outputs of the golden file's lengths. */
static json_t *rows_of(const json_t *g)
{
    json_t *rows = json_array();
    char text[2][64];
    for (size_t i = 0; i < json_array_size(json_object_get(g, "preferences")); i++) {
        const json_t *lengths = json_array_get(json_object_get(g, "lengths"), i);
        for (size_t k = 0; k < 2; k++) {
            size_t n = (size_t)json_integer_value(json_array_get(lengths, k));
            memset(text[k], 'x', n);
            text[k][n] = 0;
        }
        json_array_append_new(rows, json_pack("{s:s, s:s, s:O}", "output_1", text[0], "output_2", text[1], "preference",
                                              json_array_get(json_object_get(g, "preferences"), i)));
    }
    return rows;
}

static void check(const json_t *g, const char *gamed, int n_weight)
{
    struct alpaca_controlled c;
    struct error err = {0};
    json_t *rows = rows_of(g);
    if (alpaca_length_controlled(rows, "here", gamed, &c, &err))
        fail_msg("%s", err.message);
    double wanted = json_number_value(json_object_get(g, "win_rate"));
    if (!(fabs(c.win_rate - wanted) < 1e-9))
        fail_msg("win rate %.15g, wanted %.15g; C %.15g, wanted %.15g", c.win_rate, wanted, c.C,
                 json_number_value(json_object_get(g, "C")));
    for (int j = 0; j < n_weight; j++)
        assert_true(fabs(c.w[j] - json_number_value(json_array_get(json_object_get(g, "w"), (size_t)j))) < 1e-10);
    if (gamed)
        assert_true(fabs(c.standard_error - json_number_value(json_object_get(g, "standard_error"))) < 1e-9);
    json_decref(rows);
}

static json_t *golden;

static void minimal_is_sklearns(void **state)
{
    (void)state;
    size_t i;
    json_t *g;
    assert_true(json_array_size(json_object_get(golden, "minimal")) == 4);
    json_array_foreach(json_object_get(golden, "minimal"), i, g) check(g, NULL, 2);
}

static void v1_takes_the_users_file(void **state)
{
    (void)state;
    const json_t *g = json_object_get(golden, "v1");
    const char *csv = json_string_value(json_object_get(g, "gamed"));
    char *path = path_join(check_tmpdir("length"), "df_gamed.csv");
    assert_int_equal(file_write(path, csv, strlen(csv), NULL), 0);
    check(g, path, 3);
    mem_free(path);
}

/* scikit-learn 1.9.1 on the published file: 25.773115249827. */
static void alpaca_7b(void **state)
{
    (void)state;
    const char *path = check_data("alpaca_eval/alpaca-7b.alpaca_eval_gpt4.annotations.json");
    if (!path)
        SKIP_TEST("alpaca_eval's annotations are not there");
    json_t *a = json_load_file(path, 0, NULL);
    struct alpaca_controlled c;
    assert_int_equal(alpaca_length_controlled(a, path, NULL, &c, NULL), 0);
    if (!(fabs(c.win_rate - 25.773115249827) < 1e-9))
        fail_msg("%.15g C %g w %.15g %.15g", c.win_rate, c.C, c.w[0], c.w[1]);
    assert_true(!alpaca_is_extreme(26.46, c.win_rate) && alpaca_is_extreme(20, 45) && alpaca_is_extreme(50, 37));
    json_decref(a);
}

static void what_cannot_be_computed_is_an_error(void **state)
{
    (void)state;
    struct alpaca_controlled c;
    struct error err = {0};
    json_t *same = json_loads("[{\"output_1\":\"a\",\"output_2\":\"b\",\"preference\":1},{\"output_1\":\"a\",\"output_"
                              "2\":\"b\",\"preference\":2}]",
                              0, NULL);
    assert_int_equal(alpaca_length_controlled(same, "here", NULL, &c, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "cannot be computed"));
    json_decref(same);
    json_t *bare = json_loads("[{\"preference\":1}]", 0, NULL);
    assert_int_equal(alpaca_length_controlled(bare, "here", NULL, &c, &err), ERROR_DATA);
    json_decref(bare);
}

static int setup(void **state)
{
    (void)state;
    golden = json_load_file("tests/golden/length_controlled.json", 0, NULL);
    return golden ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimal_is_sklearns),
        cmocka_unit_test(v1_takes_the_users_file),
        cmocka_unit_test(alpaca_7b),
        cmocka_unit_test(what_cannot_be_computed_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
