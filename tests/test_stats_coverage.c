/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals hold what they promise and tests hold their level: exactly (sums over the binomial) where that can be done, else by
 * simulation from numbered draws, so that the result is the same at every run. */
#include "tests/check.h"

#include "base/rng.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

static int reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

/* Probability that the interval of k ~ B(n, p) holds p. */
static double coverage(struct stats_interval (*interval)(long, long, double), int n, double p)
{
    double sum = 0, before = 0;
    for (int k = 0; k <= n; k++) {
        double cdf = stats_binomial_cdf(k, n, p);
        struct stats_interval i = interval(k, n, 0.95);
        sum += i.low <= p && p <= i.high ? cdf - before : 0;
        before = cdf;
    }
    return sum;
}

/* Between two limits of its intervals the coverage is a sum of neighbouring binomial terms, which has one maximum and no minimum inside: it is least at the limits themselves,
 * where the sum leaves one term out. So everywhere is: beside every limit, on both sides. */
static void clopper_pearson_covers_everywhere(void **state)
{
    (void)state;
    enum { MOST = 250 };
    static struct stats_interval all[MOST + 1];
    int sizes[] = {1, 2, 3, 5, 10, 64, 250}, n_size = reduced() ? 6 : 7;
    for (int s = 0; s < n_size; s++) {
        int n = sizes[s];
        double least = 1;
        for (int k = 0; k <= n; k++)
            all[k] = stats_clopper_pearson(k, n, 0.95);
        for (int i = 0; i < 4 * (n + 1); i++) {
            double p = (i & 1 ? all[i / 4].low : all[i / 4].high) + (i & 2 ? 1e-9 : -1e-9), sum = 0, before = 0;
            if (p <= 0 || p >= 1)
                continue;
            for (int k = 0; k <= n; k++) {
                double cdf = stats_binomial_cdf(k, n, p);
                sum += all[k].low <= p && p <= all[k].high ? cdf - before : 0;
                before = cdf;
            }
            least = sum < least ? sum : least;
        }
        if (least < 0.95 - 1e-9 || least > 0.9999)
            fail_msg("n %d: covers %.12g somewhere", n, least);
    }
}

static void wilson_covers_on_average(void **state)
{
    (void)state;
    int sizes[] = {20, 64, 250}, n_size = reduced() ? 2 : 3;
    for (int s = 0; s < n_size; s++) {
        double sum = 0;
        for (int i = 0; i < 100; i++)
            sum += coverage(stats_wilson, sizes[s], (i + 0.5) / 100);
        if (fabs(sum / 100 - 0.95) > 0.01)
            fail_msg("n %d: %g", sizes[s], sum / 100);
    }
}

/* Skewed data (exponential), n = 250: BCa's interval of the mean, 93-96 %. */
static void bca_covers_at_250(void **state)
{
    (void)state;
    int runs = reduced() ? 60 : 600, hits = 0;
    double x[250];
    for (int r = 0; r < runs; r++) {
        struct rng_stream s = {11, 0, (uint64_t)r};
        for (int i = 0; i < 250; i++)
            x[i] = -log(1 - rng_uniform_double(&s, (uint64_t)i));
        struct stats_interval i;
        assert_int_equal(stats_bootstrap_mean(x, 250, 500, 0.95, (uint64_t)r, &i, NULL), 0);
        hits += i.low <= 1 && 1 <= i.high;
    }
    double share = (double)hits / runs, slack = reduced() ? 0.05 : 0.0;
    if (share < 0.93 - slack || share > 0.96 + slack)
        fail_msg("covered %d of %d", hits, runs);
}

/* Under no effect a test at 5 % rejects at most 5 % of the time, up to what the number of runs can tell (3 standard errors). */
static void tests_hold_their_level(void **state)
{
    (void)state;
    int runs = reduced() ? 100 : 1500, wilcoxon = 0, exact = 0, flips = 0, two = 0;
    for (int r = 0; r < runs; r++) {
        double d[64], e[12];
        struct rng_stream s = {12, 1, (uint64_t)r};
        for (int i = 0; i < 64; i++)
            d[i] = rng_normal(&s, (uint64_t)i);
        for (int i = 0; i < 12; i++)
            e[i] = rng_normal(&s, 100 + (uint64_t)i);
        struct stats_test t;
        stats_wilcoxon(d, 64, &t, NULL), wilcoxon += t.p <= 0.05;
        stats_wilcoxon(e, 12, &t, NULL), exact += t.p <= 0.05;
        stats_permutation_paired(d, 64, 199, (uint64_t)r, &t, NULL), flips += t.p <= 0.05;
        stats_permutation_two(d, 30, d + 30, 34, 99, (uint64_t)r, &t, NULL), two += t.p <= 0.05;
    }
    double most = 0.05 + 3 * sqrt(0.05 * 0.95 / runs);
    assert_true(wilcoxon <= most * runs && exact <= most * runs && flips <= most * runs && two <= most * runs);
    assert_true(wilcoxon > 0 && exact > 0 && flips > 0 && two > 0);
    double reject = 0; /* McNemar, exactly: 40 discordant pairs, fair coin */
    for (int k = 0; k <= 40; k++)
        reject += stats_mcnemar(k, 40 - k).p <= 0.05 ? stats_binomial_cdf(k, 40, 0.5) - stats_binomial_cdf(k - 1, 40, 0.5) : 0;
    assert_true(reject > 0.005 && reject <= 0.05);
}

/* With the detectable effect the test finds it about as often as asked. */
static void detectable_effect_is_detected(void **state)
{
    (void)state;
    int runs = reduced() ? 100 : 1000, found = 0;
    double effect = stats_detectable_paired(64, 0.05, 0.8);
    for (int r = 0; r < runs; r++) {
        double d[64], sum = 0;
        struct rng_stream s = {13, 1, (uint64_t)r};
        for (int i = 0; i < 64; i++)
            sum += d[i] = rng_normal(&s, (uint64_t)i) + effect;
        found += fabs(sum / 8) > 1.959963984540054; /* z test, known variance */
    }
    assert_true(fabs((double)found / runs - 0.8) < (reduced() ? 0.13 : 0.04));
}

static void degenerate_data_give_no_number(void **state)
{
    (void)state;
    struct stats_interval i;
    struct stats_test t;
    double same[5] = {2, 2, 2, 2, 2}, zeros[3] = {0, 0, 0};
    assert_int_equal(stats_bootstrap_mean(same, 1, 10, 0.95, 0, &i, NULL), 0);
    assert_true(isnan(i.low));
    assert_int_equal(stats_bootstrap_mean(same, 5, 100, 0.95, 0, &i, NULL), 0);
    assert_true(i.low == 2 && i.high == 2);
    assert_int_equal(stats_wilcoxon(zeros, 3, &t, NULL), 0);
    assert_true(t.p == 1 && t.n == 0);
    assert_true(isnan(stats_cohen_dz(same, 5)) && isnan(stats_mean(same, 0)) && isnan(stats_t_interval(same, 1, 0.95).low));
    assert_true(isnan(stats_risk_ratio(1, 5, 0, 5, 0.95).ratio) && isnan(stats_detectable(0, 0.05, 0.8)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clopper_pearson_covers_everywhere), cmocka_unit_test(wilson_covers_on_average), cmocka_unit_test(bca_covers_at_250),
        cmocka_unit_test(tests_hold_their_level), cmocka_unit_test(detectable_effect_is_detected), cmocka_unit_test(degenerate_data_give_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
