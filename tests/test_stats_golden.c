/* SPDX-License-Identifier: Apache-2.0 */
/* stats/ equals scipy and statsmodels to 1e-10 (tools/golden_stats.py made the values). */
#include "tests/check.h"

#include "base/mem.h"
#include "stats/stats.h"

#include <jansson.h>
#include <math.h>

static json_t *golden, *exact;

static void near(double found, double wanted, const char *what)
{
    double allowed = 1e-10 * (fabs(wanted) > 1 ? fabs(wanted) : 1);
    if (!(fabs(found - wanted) <= allowed))
        fail_msg("%s: found %.17g, wanted %.17g", what, found, wanted);
}

static double at(const json_t *row, size_t i)
{
    return json_number_value(json_array_get(row, i));
}

#define EACH(name)                                                   \
    size_t row_index;                                                \
    json_t *row;                                                     \
    assert_true(json_array_size(json_object_get(golden, name)) > 0); \
    json_array_foreach(json_object_get(golden, name), row_index, row)

static void normal_distribution(void **state)
{
    (void)state;
    {
        EACH("normal_sf")
        {
            near(stats_normal_sf(at(row, 0)), at(row, 1), "normal sf");
            near(stats_normal_sf(at(row, 0)) / at(row, 1), 1, "normal sf, relative");
            near(stats_normal_cdf(-at(row, 0)), at(row, 1), "normal cdf");
        }
    }
    EACH("normal_quantile") near(stats_normal_quantile(at(row, 0)), at(row, 1), "normal quantile");
    assert_true(isnan(stats_normal_quantile(1.5)) && isinf(stats_normal_quantile(0)));
}

static void gamma_beta_and_t(void **state)
{
    (void)state;
    {
        EACH("lgamma") near(stats_lgamma(at(row, 0)), at(row, 1), "lgamma");
    }
    {
        EACH("beta_cdf") near(stats_beta_cdf(at(row, 0), at(row, 1), at(row, 2)), at(row, 3), "beta cdf");
    }
    {
        EACH("beta_quantile")
        near(stats_beta_quantile(at(row, 0), at(row, 1), at(row, 2)), at(row, 3), "beta quantile");
    }
    {
        EACH("t_cdf") near(stats_t_cdf(at(row, 0), at(row, 1)), at(row, 2), "t cdf");
    }
    {
        EACH("t_quantile") near(stats_t_quantile(at(row, 0), at(row, 1)), at(row, 2), "t quantile");
    }
    EACH("binomial_cdf")
    near(stats_binomial_cdf((long)at(row, 0), (long)at(row, 1), at(row, 2)), at(row, 3), "binomial cdf");
}

static void relative(double found, double wanted, const char *what)
{
    if (!(fabs(found - wanted) <= 1e-10 * fabs(wanted)))
        fail_msg("%s: found %.17g, wanted %.17g", what, found, wanted);
}

/* Relative to the value, however small: where logarithms of the size of the counts cancel (tools/golden_stats_exact.py
 * made the values). */
static void quantiles_keep_their_digits(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    assert_true(json_array_size(json_object_get(exact, "t_quantile")) == 80);
    json_array_foreach(json_object_get(exact, "t_quantile"), i, row)
        relative(stats_t_quantile(at(row, 0), at(row, 1)), at(row, 2), "t quantile");
    assert_true(json_array_size(json_object_get(exact, "clopper_pearson")) == 27);
    json_array_foreach(json_object_get(exact, "clopper_pearson"), i, row)
    {
        struct stats_interval found = stats_clopper_pearson((long)at(row, 0), (long)at(row, 1), at(row, 2));
        relative(found.low, at(row, 3), "clopper-pearson low");
        relative(found.high, at(row, 4), "clopper-pearson high");
    }
    assert_true(stats_t_cdf(INFINITY, 3) == 1 && stats_t_cdf(-INFINITY, 3) == 0);
}

/* 50 of 100 and 60 of 100 questions, 40 of them the same: ratio 5/6, log's standard error sqrt(30 / 3000) = 0.1. */
static void a_ratio_of_paired_shares(void **state)
{
    (void)state;
    struct stats_ratio r = stats_risk_ratio_paired(40, 10, 20, 0.95);
    near(r.ratio, 5.0 / 6, "paired ratio");
    near(r.low, 5.0 / 6 * exp(-0.1959963984540054), "paired ratio low");
    near(r.high, 5.0 / 6 * exp(0.1959963984540054), "paired ratio high");
    r = stats_risk_ratio_paired(0, 0, 20, 0.95);
    assert_true(r.ratio == 0 && isnan(r.low) && isnan(stats_risk_ratio_paired(0, 3, 0, 0.95).ratio));
}

static void intervals_of_shares(void **state)
{
    (void)state;
    {
        EACH("wilson")
        {
            struct stats_interval i = stats_wilson((long)at(row, 0), (long)at(row, 1), at(row, 2));
            near(i.low, at(row, 3), "wilson low");
            near(i.high, at(row, 4), "wilson high");
        }
    }
    EACH("clopper_pearson")
    {
        struct stats_interval i = stats_clopper_pearson((long)at(row, 0), (long)at(row, 1), at(row, 2));
        near(i.low, at(row, 3), "clopper-pearson low");
        near(i.high, at(row, 4), "clopper-pearson high");
    }
    assert_true(isnan(stats_wilson(0, 0, 0.95).low) && isnan(stats_clopper_pearson(3, 2, 0.95).high));
}

static void mcnemar_is_exact(void **state)
{
    (void)state;
    EACH("mcnemar") near(stats_mcnemar((long)at(row, 0), (long)at(row, 1)).p, at(row, 2), "mcnemar");
    assert_true(stats_mcnemar(0, 0).p == 1);
}

static double *numbers(const json_t *array, int *n)
{
    *n = (int)json_array_size(array);
    double *x = mem_alloc((size_t)(*n + 1) * sizeof *x);
    for (int i = 0; i < *n; i++)
        x[i] = at(array, (size_t)i);
    return x;
}

static void samples_one_by_one(void **state)
{
    (void)state;
    static const double qs[] = {0, 0.1, 0.5, 0.77, 1};
    EACH("samples")
    {
        int n, n_boot, n_q;
        double *x = numbers(json_object_get(row, "x"), &n), *boot = numbers(json_object_get(row, "boot"), &n_boot);
        double *q = numbers(json_object_get(row, "q"), &n_q), *jackknife = mem_alloc((size_t)n * sizeof *x), sum = 0;
        struct stats_test t;
        assert_int_equal(stats_wilcoxon(x, n, &t, NULL), 0);
        near(t.statistic, at(json_object_get(row, "wilcoxon"), 0), "wilcoxon statistic");
        near(t.p, at(json_object_get(row, "wilcoxon"), 1), "wilcoxon p");
        struct stats_interval i = stats_t_interval(x, n, 0.95);
        near(i.low, at(json_object_get(row, "t_interval"), 0), "t low");
        near(i.high, at(json_object_get(row, "t_interval"), 1), "t high");
        near(stats_sd(x, n), json_number_value(json_object_get(row, "sd")), "sd");
        near(stats_cohen_dz(x, n), json_number_value(json_object_get(row, "dz")), "dz");
        for (int k = 0; k < n; k++)
            sum += x[k];
        for (int k = 0; k < n; k++)
            jackknife[k] = (sum - x[k]) / (n - 1);
        i = stats_bca(boot, n_boot, sum / n, jackknife, n, 0.95);
        near(i.low, at(json_object_get(row, "bca"), 0), "bca low");
        near(i.high, at(json_object_get(row, "bca"), 1), "bca high");
        mem_free(jackknife);
        mem_free(boot);
        jackknife = NULL;
        double *sorted = numbers(json_object_get(row, "x"), &n);
        for (int a = 0; a < n; a++)
            for (int b = a + 1; b < n; b++)
                if (sorted[b] < sorted[a]) {
                    double swap = sorted[a];
                    sorted[a] = sorted[b];
                    sorted[b] = swap;
                }
        for (int k = 0; k < n_q; k++)
            near(stats_quantile_sorted(sorted, n, qs[k]), q[k], "quantile");
        mem_free(sorted);
        mem_free(x);
        mem_free(q);
    }
}

static void corrections_for_many_tests(void **state)
{
    (void)state;
    EACH("corrections")
    {
        int n;
        double *p = numbers(json_object_get(row, "p"), &n), adjusted[16];
        assert_int_equal(stats_holm(p, n, adjusted, NULL), 0);
        for (int i = 0; i < n; i++)
            near(adjusted[i], at(json_object_get(row, "holm"), (size_t)i), "holm");
        mem_free(p);
    }
}

static void cohens_h(void **state)
{
    (void)state;
    EACH("cohen_h") near(stats_cohen_h(at(row, 0), at(row, 1)), at(row, 2), "cohen h");
}

/* By hand: 1, 2 and 4 have the mean 7/3 and the variance 7/3; all three ranks on one side have p = 2/8; their t
 * interval is 7/3 +- 4.302653 sqrt(7/9). */
static void paired_differences_by_hand(void **state)
{
    (void)state;
    const double d[] = {1, 2, 4};
    struct stats_paired p;
    struct error err = {0};
    assert_int_equal(stats_paired(d, 3, &(struct stats_bootstrap){2000, 0.95, 1}, &p, &err), 0);
    assert_true(fabs(p.change.mean - 7.0 / 3) < 1e-12 && fabs(p.dz - sqrt(7.0 / 3)) < 1e-12);
    assert_true(fabs(p.test.p - 0.25) < 1e-12 && p.test.n == 3);
    assert_int_equal(p.change.kind, STATS_MEAN_T);
    assert_true(fabs(p.change.interval.low - (7.0 / 3 - 4.302652729749464 * sqrt(7.0 / 9))) < 1e-9);
    assert_true(fabs(p.change.interval.high - (7.0 / 3 + 4.302652729749464 * sqrt(7.0 / 9))) < 1e-9);
}

int main(void)
{
    json_error_t e;
    golden = json_load_file("tests/golden/stats.json", 0, &e);
    if (!golden) {
        printf("%s: %s\n", "tests/golden/stats.json", e.text);
        return 1;
    }
    exact = json_load_file("tests/golden/stats_exact.json", 0, &e);
    if (!exact) {
        printf("tests/golden/stats_exact.json: %s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paired_differences_by_hand),
        cmocka_unit_test(normal_distribution),
        cmocka_unit_test(gamma_beta_and_t),
        cmocka_unit_test(intervals_of_shares),
        cmocka_unit_test(mcnemar_is_exact),
        cmocka_unit_test(samples_one_by_one),
        cmocka_unit_test(corrections_for_many_tests),
        cmocka_unit_test(cohens_h),
        cmocka_unit_test(quantiles_keep_their_digits),
        cmocka_unit_test(a_ratio_of_paired_shares),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(golden);
    json_decref(exact);
    return rc;
}
