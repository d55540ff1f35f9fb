/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals hold what they promise and tests hold their level: exactly (sums over the binomial) where that can be done,
 * else by simulation from numbered draws, so that the result is the same at every run. */
#include "tests/check.h"

#include "base/rng.h"
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Between two limits of its intervals the coverage is a sum of neighbouring binomial terms, which has one maximum and
 * no minimum inside: it is least at the limits themselves, where the sum leaves one term out. So everywhere is: beside
 * every limit, on both sides. */
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
        assert_int_equal(stats_bootstrap_mean(x, 250, &(struct stats_bootstrap){500, 0.95, (uint64_t)r}, &i, NULL), 0);
        hits += i.low <= 1 && 1 <= i.high;
    }
    double share = (double)hits / runs, slack = reduced() ? 0.05 : 0.0;
    if (share < 0.93 - slack || share > 0.96 + slack)
        fail_msg("covered %d of %d", hits, runs);
}

/* Under no effect a test at 5 % rejects at most 5 % of the time, up to what the number of runs can tell (3 standard
 * errors). */
static void tests_hold_their_level(void **state)
{
    (void)state;
    int runs = reduced() ? 100 : 1500, wilcoxon = 0, exact = 0;
    for (int r = 0; r < runs; r++) {
        double d[64], e[12];
        struct rng_stream s = {12, 1, (uint64_t)r};
        for (int i = 0; i < 64; i++)
            d[i] = rng_normal(&s, (uint64_t)i);
        for (int i = 0; i < 12; i++)
            e[i] = rng_normal(&s, 100 + (uint64_t)i);
        struct stats_test t;
        stats_wilcoxon(d, 64, &t, NULL);
        wilcoxon += t.p <= 0.05;
        stats_wilcoxon(e, 12, &t, NULL);
        exact += t.p <= 0.05;
    }
    double most = 0.05 + 3 * sqrt(0.05 * 0.95 / runs);
    assert_true(wilcoxon <= most * runs && exact <= most * runs);
    assert_true(wilcoxon > 0 && exact > 0);
    double reject = 0; /* McNemar, exactly: 40 discordant pairs, fair coin */
    for (int k = 0; k <= 40; k++)
        reject += stats_mcnemar(k, 40 - k).p <= 0.05
                      ? stats_binomial_cdf(k, 40, 0.5) - stats_binomial_cdf(k - 1, 40, 0.5)
                      : 0;
    assert_true(reject > 0.005 && reject <= 0.05);
}

/* What is said to be found 4 times in 5 is: by resampling, moving and testing in the open, with stats_wilcoxon itself
 * and Holm's hardest step. Copies are told apart by a hair. */
static double found_in_the_open(const double *d, int n, const struct stats_design *design, double effect)
{
    int runs = reduced() ? 200 : 800, found = 0;
    double mean = stats_mean(d, n), scale = sqrt((double)n / (n - 1));
    for (int r = 0; r < runs; r++) {
        double x[256];
        struct rng_stream s = {77, 5, (uint64_t)r};
        for (int i = 0; i < n; i++) {
            double one = d[rng_below(&s, (uint64_t)i, (uint32_t)n)] - mean;
            x[i] = scale * one + (mean < 0 ? -effect : effect) + 1e-9 * rng_normal(&s, 1000 + (uint64_t)i);
        }
        struct stats_test t;
        assert_int_equal(stats_wilcoxon(x, n, &t, NULL), 0);
        found += design->family * t.p <= design->alpha && (stats_mean(x, n) > 0) == (mean > 0);
    }
    return (double)found / runs;
}

static void the_effect_that_is_printed_is_found_by_the_test_that_is_printed(void **state)
{
    (void)state;
    static const struct {
        int n, family, skewed;
    } cases[] = {{64, 2, 0}, {64, 6, 1}, {200, 6, 1}, {40, 6, 0}, {12, 2, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double d[256];
        struct rng_stream s = {5, 6, c};
        struct stats_design design = {.family = cases[c].family, .draws = 1500, .alpha = 0.05, .power = 0.8, .seed = 3};
        struct stats_found f;
        for (int i = 0; i < cases[c].n; i++) {
            double u = rng_normal(&s, (uint64_t)i);
            d[i] = cases[c].skewed ? 0.1 - exp(u) : u + 0.1;
        }
        assert_int_equal(stats_wilcoxon_finds(d, cases[c].n, &design, &f, NULL), 0);
        double open = found_in_the_open(d, cases[c].n, &design, f.effect),
               less = found_in_the_open(d, cases[c].n, &design, f.effect / 2);
        if (!(f.power >= 0.8 && f.power < 0.83 && fabs(open - f.power) < (reduced() ? 0.1 : 0.045) && less < 0.6))
            fail_msg("case %zu: effect %g, said %g, in the open %g, half of it %g", c, f.effect, f.power, open, less);
    }
}

/* Differences of which many are none: of a yes and a no (one random seed, or the mean of three), and of a share. */
static double one_of_many_zeros(const struct rng_stream *s, int kind, int i)
{
    double sum = 0, share = rng_uniform_double(s, (uint64_t)i);
    if (kind == 2)
        return share < 0.6 ? 0 : rng_normal(s, 5000 + (uint64_t)i);
    for (int k = 0; k < (kind ? 3 : 1); k++) {
        double u = rng_uniform_double(s, (uint64_t)(1000 * (k + 1) + i));
        sum += (u < 0.12) - (u > 0.84);
    }
    return kind ? sum / 3 : sum;
}

/* As above, in the open: the sizes stay and the signs are drawn, so many of them alike that the mean is the effect. */
static double signs_found_in_the_open(const double *d, int n, const struct stats_design *design, double effect)
{
    int runs = reduced() ? 200 : 800, found = 0;
    double mean = 0;
    for (int i = 0; i < n; i++)
        mean += fabs(d[i]) / n;
    for (int r = 0; r < runs; r++) {
        double x[256];
        struct rng_stream s = {78, 5, (uint64_t)r};
        for (int i = 0; i < n; i++) {
            double size = fabs(d[rng_below(&s, (uint64_t)i, (uint32_t)n)]);
            x[i] = rng_uniform_double(&s, 1000 + (uint64_t)i) < (1 + effect / mean) / 2 ? size : -size;
        }
        struct stats_test t;
        assert_int_equal(stats_wilcoxon(x, n, &t, NULL), 0);
        found += design->family * t.p <= design->alpha && stats_mean(x, n) > 0;
    }
    return (double)found / runs;
}

static void pairs_that_do_not_differ_stay_so(void **state)
{
    (void)state;
    static const struct {
        int n, family, kind;
    } cases[] = {{200, 6, 0}, {250, 1, 0}, {120, 6, 1}, {200, 3, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double d[256];
        int n = cases[c].n, discordant = 0;
        struct rng_stream s = {15, 6, c};
        struct stats_design design = {.family = cases[c].family, .draws = 1500, .alpha = 0.05, .power = 0.8, .seed = 3};
        struct stats_found f, exact;
        for (int i = 0; i < n; i++)
            discordant += (d[i] = one_of_many_zeros(&s, cases[c].kind, i)) != 0;
        assert_int_equal(stats_wilcoxon_finds(d, n, &design, &f, NULL), 0);
        double open = signs_found_in_the_open(d, n, &design, f.effect),
               less = signs_found_in_the_open(d, n, &design, f.effect / 2);
        if (!(f.power >= 0.8 && f.power < 0.83 && fabs(open - f.power) < (reduced() ? 0.1 : 0.045) && less < 0.6))
            fail_msg("case %zu: effect %g, said %g, in the open %g, half of it %g", c, f.effect, f.power, open, less);
        assert_int_equal(stats_mcnemar_finds(n, discordant, &design, &exact, NULL), 0);
        if (!cases[c].kind && !(fabs(f.effect / exact.effect - 1) < 0.08)) /* the same pairs as a table of flags */
            fail_msg("case %zu: effect %g, by McNemar's test %g", c, f.effect, exact.effect);
    }
}

/* Where nobody differs often enough, nothing is claimed either: 4 of 60. */
static void too_few_that_differ_find_nothing(void **state)
{
    (void)state;
    double d[60] = {1, -1, 1, 1};
    struct stats_design design = stats_design_for(60, 1, 1);
    struct stats_found f;
    assert_true(design.draws == 4000 && design.alpha == 0.05 && design.power == 0.8);
    assert_int_equal(stats_design_for(1000, 40, 1).draws, 300);
    assert_int_equal(stats_design_for(1000, 1, 1).draws, 1998);
    assert_int_equal(stats_wilcoxon_finds(d, 60, &design, &f, NULL), 0);
    assert_true(isnan(f.effect) && isnan(f.power));
}

/* Six differences can at best give 2 / 2^6: enough for one test, not for two. And the effect of 0.35 standard
 * deviations at n = 64 is not found 4 times in 5 after Holm over six. */
static void where_no_test_is_possible_nothing_is_claimed(void **state)
{
    (void)state;
    double d[64] = {1, 2, 3.5, -1, 0.5, 4};
    struct stats_design design = {.family = 1, .draws = 1000, .alpha = 0.05, .power = 0.8, .seed = 1};
    struct stats_found f;
    stats_wilcoxon_finds(d, 6, &design, &f, NULL);
    assert_true(f.effect > 0 && f.power >= 0.8);
    design.family = 2;
    stats_wilcoxon_finds(d, 6, &design, &f, NULL);
    assert_true(isnan(f.effect) && isnan(f.power));
    stats_wilcoxon_finds(d, 1, &design, &f, NULL);
    assert_true(isnan(f.effect));
    struct rng_stream s = {9, 9, 9};
    for (int i = 0; i < 64; i++)
        d[i] = rng_normal(&s, (uint64_t)i);
    design.family = 6;
    stats_wilcoxon_finds(d, 64, &design, &f, NULL);
    assert_true(f.effect / stats_sd(d, 64) > 0.4 && f.effect / stats_sd(d, 64) < 0.55);
    stats_mcnemar_finds(250, 0, &design, &f, NULL);
    assert_true(isnan(f.effect));
    stats_mcnemar_finds(250, 5, &design, &f, NULL);
    assert_true(isnan(f.effect)); /* 5 of 5 one way: p 0.06 */
}

/* The same for McNemar's test by drawing tables. */
static void mcnemars_effect_is_found(void **state)
{
    (void)state;
    struct stats_design design = {.family = 6, .alpha = 0.05, .power = 0.8};
    struct stats_found f;
    int runs = reduced() ? 200 : 2000, found = 0;
    assert_int_equal(stats_mcnemar_finds(250, 69, &design, &f, NULL), 0);
    double worse = (69.0 / 250 - f.effect) / 2, better = worse + f.effect;
    for (int r = 0; r < runs; r++) {
        struct rng_stream s = {21, 1, (uint64_t)r};
        long b = 0, c = 0;
        for (int i = 0; i < 250; i++) {
            double u = rng_uniform_double(&s, (uint64_t)i);
            b += u < better;
            c += u >= better && u < better + worse;
        }
        found += b > c && 6 * stats_mcnemar(b, c).p <= 0.05;
    }
    assert_true(f.power >= 0.8 && f.power < 0.801);
    if (!(fabs((double)found / runs - 0.8) < (reduced() ? 0.1 : 0.03)))
        fail_msg("effect %g: found %d of %d", f.effect, found, runs);
}

/* Below 20 values: BCa does not cover, what is used instead does; on normal, heavy-tailed and skewed data. */
static void what_is_used_for_few_values_covers(void **state)
{
    (void)state;
    int sizes[] = {3, 5, 8, 12, 19}, runs = reduced() ? 150 : 500;
    for (int s = 0; s < 5; s++)
        for (int shape = 0; shape < 3; shape++) {
            int n = sizes[s], mean_hits = 0, bca_hits = 0;
            double truth = shape == 2 ? 1 : 0;
            for (int r = 0; r < runs; r++) {
                struct rng_stream stream = {31, (uint64_t)(shape * 100 + n), (uint64_t)r};
                double x[20];
                for (int i = 0; i < n; i++) {
                    double z = rng_normal(&stream, (uint64_t)i), a = rng_normal(&stream, 100 + (uint64_t)i),
                           b = rng_normal(&stream, 200 + (uint64_t)i), c = rng_normal(&stream, 300 + (uint64_t)i);
                    const double shapes[] = {z, z / sqrt((a * a + b * b + c * c) / 3), (z * z + a * a) / 2};
                    x[i] = shapes[shape];
                }
                struct stats_mean m;
                struct stats_interval bca;
                assert_int_equal(stats_mean_interval(x, n, &(struct stats_bootstrap){400, 0.95, (uint64_t)r}, &m, NULL),
                                 0);
                assert_int_equal(
                    stats_bootstrap_mean(x, n, &(struct stats_bootstrap){400, 0.95, (uint64_t)r}, &bca, NULL), 0);
                assert_true(m.kind == STATS_MEAN_STUDENTISED || m.kind == STATS_MEAN_T);
                mean_hits += m.interval.low <= truth && truth <= m.interval.high;
                bca_hits += bca.low <= truth && truth <= bca.high;
            }
            double share = (double)mean_hits / runs, bca_share = (double)bca_hits / runs;
            double slack = reduced() ? 0.06 : 0;
            if (share < (n < 5 ? 0.85 : 0.9) - slack || share < bca_share || bca_share > 0.935 + slack)
                fail_msg("n %d, shape %d: %g, BCa %g", n, shape, share, bca_share);
        }
}

static void what_is_not_finite_is_refused(void **state)
{
    (void)state;
    double x[6] = {1, 2, NAN, 4, 5, 6}, y[6] = {1, 2, 3, 4, INFINITY, 6}, out[6];
    struct error err;
    struct stats_test t;
    struct stats_mean m;
    struct stats_interval i;
    assert_int_equal(stats_wilcoxon(x, 6, &t, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "value 2 is nan"));
    assert_int_equal(stats_bootstrap_mean(x, 6, &(struct stats_bootstrap){10, 0.95, 0}, &i, &err), ERROR_DATA);
    assert_int_equal(stats_mean_interval(y, 6, &(struct stats_bootstrap){10, 0.95, 0}, &m, &err), ERROR_DATA);
    assert_int_equal(stats_holm(x, 6, out, &err), ERROR_DATA);
    unsigned char one_class[6] = {0, 1, 0, 1, 0, 1};
    double value;
    assert_int_equal(stats_auroc(&(struct stats_classified){x, one_class, 6}, &(struct stats_bootstrap){10, 0.95, 0},
                                 &value, &i, &err),
                     ERROR_DATA);
}

/* scipy 1.17.1, wilcoxon(d, zero_method="wilcox", correction=True, method="approx"): zeros and ties with a negative, a
 * positive and no sum; the sign turns nothing but the sum. */
static void wilcoxons_continuity_is_for_both_signs(void **state)
{
    (void)state;
    static const double d[] = {-3, -1, 0, 2, -2, -4, 0, 1, -5, -1};
    double turned[10], even[] = {1, -1, 2, -2, 0};
    struct stats_test t;
    for (int i = 0; i < 10; i++)
        turned[i] = -d[i];
    assert_int_equal(stats_wilcoxon(d, 10, &t, NULL), 0);
    assert_true(t.statistic == 6.5 && t.n == 8 && fabs(t.p - 0.12118138858542601) < 1e-10);
    assert_int_equal(stats_wilcoxon(turned, 10, &t, NULL), 0);
    assert_true(t.statistic == 6.5 && fabs(t.p - 0.12118138858542601) < 1e-10);
    assert_int_equal(stats_wilcoxon(even, 5, &t, NULL), 0);
    assert_true(t.p == 1);
}

static void degenerate_data_give_no_number(void **state)
{
    (void)state;
    struct stats_interval i;
    struct stats_test t;
    double same[5] = {2, 2, 2, 2, 2}, zeros[3] = {0, 0, 0};
    assert_int_equal(stats_bootstrap_mean(same, 1, &(struct stats_bootstrap){10, 0.95, 0}, &i, NULL), 0);
    assert_true(isnan(i.low));
    assert_int_equal(stats_bootstrap_mean(same, 5, &(struct stats_bootstrap){100, 0.95, 0}, &i, NULL), 0);
    assert_true(i.low == 2 && i.high == 2);
    assert_int_equal(stats_wilcoxon(zeros, 3, &t, NULL), 0);
    assert_true(t.p == 1 && t.n == 0);
    assert_true(isnan(stats_cohen_dz(same, 5)) && isnan(stats_mean(same, 0)) &&
                isnan(stats_t_interval(same, 1, 0.95).low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clopper_pearson_covers_everywhere),
        cmocka_unit_test(wilson_covers_on_average),
        cmocka_unit_test(bca_covers_at_250),
        cmocka_unit_test(tests_hold_their_level),
        cmocka_unit_test(degenerate_data_give_no_number),
        cmocka_unit_test(wilcoxons_continuity_is_for_both_signs),
        cmocka_unit_test(the_effect_that_is_printed_is_found_by_the_test_that_is_printed),
        cmocka_unit_test(pairs_that_do_not_differ_stay_so),
        cmocka_unit_test(too_few_that_differ_find_nothing),
        cmocka_unit_test(where_no_test_is_possible_nothing_is_claimed),
        cmocka_unit_test(mcnemars_effect_is_found),
        cmocka_unit_test(what_is_used_for_few_values_covers),
        cmocka_unit_test(what_is_not_finite_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
