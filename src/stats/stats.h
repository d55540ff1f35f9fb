/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a number is. Intervals, paired tests, corrections, effect sizes and power, with special functions of our
 * own, equal to scipy and statsmodels to 1e-10 where they have the same thing (tests/golden/stats.json,
 * tools/golden_stats.py). Quantiles of Student's t and Clopper-Pearson limits keep ten digits of their own size,
 * however small, up to a million rows (tests/golden/stats_exact.json, by mpmath).
 *
 * All are pure: no state, doubles in, doubles out, random resampling from counter-based numbers by the caller's seed. A
 * quantity that is not defined for its input (no data, zero variance) is NAN, never a made-up number. Two-sided
 * throughout. */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include "base/error.h"

#include <stdint.h>

/* Special functions (stats/special.c). */
double stats_lgamma(double x); /* x > 0 */
double stats_normal_cdf(double z);
double stats_normal_sf(double z);                    /* 1 - cdf without cancellation */
double stats_normal_quantile(double p);              /* 0 < p < 1 */
double stats_beta_cdf(double x, double a, double b); /* regularised incomplete beta */
double stats_beta_quantile(double p, double a, double b);
double stats_t_cdf(double t, double df);
double stats_t_quantile(double p, double df);
double stats_binomial_cdf(long k, long n, double p); /* P(X <= k) */

struct stats_interval {
    double low, high;
};
/* Of a share k of n; level 0.95 for 95 %. */
struct stats_interval stats_wilson(long k, long n, double level);
struct stats_interval stats_clopper_pearson(long k, long n, double level);
/* Of a mean, Student's t over n values (variance over seeds). n < 2: NAN. */
struct stats_interval stats_t_interval(const double *x, int n, double level);
double stats_mean(const double *x, int n);
double stats_sd(const double *x, int n); /* n - 1 in the denominator */

struct stats_bootstrap {
    int n_resample;
    double level;
    uint64_t seed;
};
/* Bootstrap of the mean of x (paired differences): bias-corrected and accelerated (Efron 1987), n_resample draws from
 * (seed). Constant data give a point; n < 2 gives NAN. ERROR_NOMEM. */
int stats_bootstrap_mean(const double *x, int n, const struct stats_bootstrap *how, struct stats_interval *out,
                         struct error *err);

/* A mean with an interval that covers at its n (tests/test_stats_coverage.c measures all three): BCa from 20 values on;
 * below that the studentised bootstrap, since BCa then covers about 88 % and less; Student's t for fewer than 5 values,
 * or where resamples without spread leave the bootstrap without limits. Constant data give a point; n < 2 gives NAN.
 * ERROR_NOMEM; ERROR_DATA: a value is not finite. */
enum stats_mean_kind { STATS_MEAN_NONE, STATS_MEAN_T, STATS_MEAN_STUDENTISED, STATS_MEAN_BCA };
const char *stats_mean_kind_name(enum stats_mean_kind kind); /* "none", "t", "studentised", "BCa" */
struct stats_mean {
    double mean;
    struct stats_interval interval;
    enum stats_mean_kind kind;
};
int stats_mean_interval(const double *x, int n, const struct stats_bootstrap *how, struct stats_mean *out,
                        struct error *err);
/* The BCa step alone: interval from the bootstrap distribution (sorted in place), the estimate and the n leave-one-out
 * estimates. */
struct stats_interval stats_bca(double *boot, int n_boot, double estimate, const double *jackknife, int n,
                                double level);
/* For qsort of doubles, ascending. */
int stats_ascending(const void *a, const void *b);
/* Linear interpolation between order statistics of a sorted sample, as numpy's default; q in 0..1. */
double stats_quantile_sorted(const double *sorted, int n, double q);

/* n: values the test rests on */
struct stats_test {
    double statistic, p;
    int n;
};
/* Discordant pairs: b of one kind, c of the other; exact binomial. */
struct stats_test stats_mcnemar(long b, long c);
/* Wilcoxon signed-rank over paired differences; zeros are dropped. Exact for up to 50 without ties, else normal with
 * ties and continuity correction (scipy's correction=True). The statistic is the smaller rank sum. */
int stats_wilcoxon(const double *d, int n, struct stats_test *out, struct error *err);
/* Probabilities p[n] of a class and whether each row is of it (stats/binary.c), each with the bootstrap's BCa interval
 * over rows (n_resample draws from the seed; resamples that lack one of the classes are left out). NAN where there are
 * not both classes. ERROR_NOMEM.
 * Area under the ROC curve: the share of pairs in the right order, ties half. Expected calibration error: n_bin equal
 * bins, sum of n_b / n |mean p - share|. */
struct stats_classified {
    const double *p;
    const unsigned char *positive;
    int n;
};
int stats_auroc(const struct stats_classified *rows, const struct stats_bootstrap *how, double *value,
                struct stats_interval *out, struct error *err);
int stats_calibration_error(const struct stats_classified *rows, int n_bin, const struct stats_bootstrap *how,
                            double *value, struct stats_interval *out, struct error *err);

/* Adjusted p-values in the input's order (out may be p). */
int stats_holm(const double *p, int n, double *out, struct error *err);

double stats_cohen_h(double p1, double p2);
double stats_cohen_dz(const double *d, int n); /* paired: mean / sd of the differences */
/* What is said of n paired differences: their mean with its interval, their size, Wilcoxon's test. Errors as those
 * have them. */
struct stats_paired {
    struct stats_mean change;
    struct stats_test test;
    double dz;
};
int stats_paired(const double *d, int n, const struct stats_bootstrap *how, struct stats_paired *out,
                 struct error *err);
struct stats_ratio {
    double ratio, low, high;
};
/* The ratio of two shares of the same questions: `both` have it in both, `first` and `second` in one only; the log of
 * the ratio has variance (first + second) / ((both + first)(both + second)). NAN where it is not defined. */
struct stats_ratio stats_risk_ratio_paired(long both, long first, long second, double level);

/* What the very test that is printed finds, with its n and its correction (stats/power.c). family: the number of tests
 * that Holm's correction is over; an effect counts as found when family * p <= alpha, which is enough whatever the
 * other tests give. */
struct stats_design {
    int family, draws;
    double alpha, power;
    uint64_t seed;
};
/* alpha 0.05, power 0.8; draws enough, and few enough that a family's take well under a second together. */
struct stats_design stats_design_for(int n, int family, uint64_t seed);
/* the least effect found with at least that power, and its power; NAN: none is, however large, or nothing can be
 * said */
struct stats_found {
    double effect, power;
};
/* Wilcoxon's signed-rank test over n paired differences shaped like d: `draws` resamples around their mean, moved by
 * `effect` (in d's units) to the side of their mean. Where some are 0: resamples of their sizes, of which so many have
 * the same sign that the mean is `effect`. ERROR_NOMEM. */
int stats_wilcoxon_finds(const double *d, int n, const struct stats_design *design, struct stats_found *out,
                         struct error *err);
/* McNemar's exact test where `discordant` of the pairs differ, as a share. effect: share that goes one way less share
 * that goes the other. Summed, not drawn. ERROR_NOMEM. */
int stats_mcnemar_finds(long pairs, long discordant, const struct stats_design *design, struct stats_found *out,
                        struct error *err);

/* Agreement (stats/agreement.c). Two raters' yes and no over the same rows, as counts: */
struct stats_crossed {
    long both, first, second, neither; /* said yes */
};
double stats_cohen_kappa(const struct stats_crossed *x);
/* Krippendorff's alpha for nominal data: ratings[unit * n_rater + rater] is a category 0..STATS_CATEGORIES-1, or
 * negative where the rater gave none. NAN where all pairs are of one category. */
enum { STATS_CATEGORIES = 16 };
double stats_krippendorff_alpha(const signed char *ratings, int n_unit, int n_rater);
/* The true share when a test of that sensitivity and specificity finds `found`, within 0..1 (Rogan and Gladen 1978);
 * NAN for a test that is no better than chance. */
double stats_rogan_gladen(double found, double sensitivity, double specificity);

#endif
