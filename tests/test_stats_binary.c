/* SPDX-License-Identifier: Apache-2.0 */
/* Area under the ROC curve against scikit-learn, calibration error against its definition in numpy
 * (tests/golden/binary.json, tools/golden_binary.py); the intervals. */
#include "check.h"

#include "stats/stats.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { MAX = 600 };
static double p[MAX];
static unsigned char y[MAX];

static int take(const json_t *c)
{
    int n = (int)json_array_size(json_object_get(c, "p"));
    for (int i = 0; i < n; i++) {
        p[i] = json_number_value(json_array_get(json_object_get(c, "p"), (size_t)i));
        y[i] = (unsigned char)json_integer_value(json_array_get(json_object_get(c, "y"), (size_t)i));
    }
    return n;
}

static void test_values_are_those_of_scikit_learn(void **state)
{
    (void)state;
    json_t *golden = json_load_file("tests/golden/binary.json", 0, NULL), *c;
    size_t i;
    assert_non_null(golden);
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        int n = take(c);
        double area, ece;
        struct stats_interval a, e;
        assert_int_equal(
            stats_auroc(&(struct stats_classified){p, y, n}, &(struct stats_bootstrap){200, 0.95, 1}, &area, &a, NULL),
            0);
        assert_int_equal(stats_calibration_error(&(struct stats_classified){p, y, n}, 10,
                                                 &(struct stats_bootstrap){200, 0.95, 1}, &ece, &e, NULL),
                         0);
        assert_true(fabs(area - json_number_value(json_object_get(c, "auroc"))) < 1e-12);
        assert_true(fabs(ece - json_number_value(json_object_get(c, "ece"))) < 1e-12);
        if (n >= 40)
            assert_true(a.low < area && area < a.high && e.low <= ece + 0.05 && a.high <= 1);
    }
    json_decref(golden);
}

static void test_one_class_has_no_area(void **state)
{
    (void)state;
    double area;
    struct stats_interval i;
    p[0] = 0.2;
    p[1] = 0.3;
    y[0] = y[1] = 1;
    assert_int_equal(
        stats_auroc(&(struct stats_classified){p, y, 2}, &(struct stats_bootstrap){50, 0.95, 1}, &area, &i, NULL), 0);
    assert_true(isnan(area) && isnan(i.low) && isnan(i.high));
    assert_int_equal(
        stats_auroc(&(struct stats_classified){p, y, 0}, &(struct stats_bootstrap){50, 0.95, 1}, &area, &i, NULL), 0);
    assert_true(isnan(area));
}

/* Scores of two normal classes whose area is known: the interval holds it about as often as it says. */
static void test_the_interval_covers(void **state)
{
    (void)state;
    int covered = 0, n_trial = 120;
    double truth = stats_normal_cdf(1 / sqrt(2)); /* means one standard deviation apart */
    unsigned long long x = 88172645463325252ull;
    for (int t = 0; t < n_trial; t++) {
        double area;
        struct stats_interval i;
        for (int k = 0; k < 120; k++) {
            double sum = 0;
            for (int j = 0; j < 12; j++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                sum += (double)(x >> 11) / 9007199254740992.0;
            }
            y[k] = k % 3 == 0;
            p[k] = sum - 6 + y[k];
        }
        assert_int_equal(stats_auroc(&(struct stats_classified){p, y, 120},
                                     &(struct stats_bootstrap){200, 0.95, (uint64_t)t}, &area, &i, NULL),
                         0);
        covered += i.low <= truth && truth <= i.high;
    }
    assert_true(covered >= n_trial * 87 / 100);
}

/* Krippendorff's alpha of the data of Wikipedia's article (0.691) and Cohen's kappa of its 2 by 2 table (0.4). */
static void agreement(void **state)
{
    (void)state;
    static const signed char raters[3][15] = {{-1, -1, -1, -1, -1, 3, 4, 1, 2, 1, 1, 3, 3, -1, 3},
                                              {1, -1, 2, 1, 3, 3, 4, 3, -1, -1, -1, -1, -1, -1, -1},
                                              {-1, -1, 2, 1, 3, 4, 4, -1, 2, 1, 1, 3, 3, -1, 4}};
    signed char by_unit[15 * 3];
    for (int i = 0; i < 45; i++)
        by_unit[i] = raters[i % 3][i / 3];
    assert_float_equal(stats_krippendorff_alpha(by_unit, 15, 3), 0.691358024691358, 1e-12);
    assert_float_equal(stats_cohen_kappa(&(struct stats_crossed){20, 5, 10, 15}), 0.4, 1e-12);
    assert_true(isnan(stats_cohen_kappa(&(struct stats_crossed){4, 0, 0, 0})));
    assert_float_equal(stats_rogan_gladen(0.4, 0.8, 0.9), 3.0 / 7, 1e-12);
    assert_float_equal(stats_rogan_gladen(0.05, 0.8, 0.9), 0, 0);
    assert_true(isnan(stats_rogan_gladen(0.4, 0.5, 0.5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agreement),
        cmocka_unit_test(test_values_are_those_of_scikit_learn),
        cmocka_unit_test(test_one_class_has_no_area),
        cmocka_unit_test(test_the_interval_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
