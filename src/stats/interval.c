/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals of shares and means, and effect sizes. */
#include "stats/stats.h"

#include "base/maths.h"

#include <math.h>

static const struct stats_interval undefined = {NAN, NAN};

struct stats_interval stats_wilson(long k, long n, double level)
{
    if (n < 1 || k < 0 || k > n)
        return undefined;
    double z = stats_normal_quantile(0.5 + level / 2), share = (double)k / (double)n, zz = z * z / (double)n;
    double centre = (share + zz / 2) / (1 + zz);
    double half = z * sqrt(share * (1 - share) / (double)n + zz / (4 * (double)n)) / (1 + zz);
    return (struct stats_interval){k == 0 ? 0 : centre - half, k == n ? 1 : centre + half};
}

struct stats_interval stats_clopper_pearson(long k, long n, double level)
{
    if (n < 1 || k < 0 || k > n)
        return undefined;
    double tail = (1 - level) / 2;
    return (struct stats_interval){
        k == 0 ? 0 : stats_beta_quantile(tail, (double)k, (double)(n - k) + 1),
        k == n ? 1 : stats_beta_quantile(1 - tail, (double)k + 1, (double)(n - k)),
    };
}

double stats_mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / n : NAN;
}

double stats_sd(const double *x, int n)
{
    if (n < 2)
        return NAN;
    double mean = stats_mean(x, n), sum = 0;
    for (int i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (n - 1));
}

struct stats_interval stats_t_interval(const double *x, int n, double level)
{
    if (n < 2)
        return undefined;
    double mean = stats_mean(x, n), half = stats_t_quantile(0.5 + level / 2, n - 1) * stats_sd(x, n) / sqrt(n);
    return (struct stats_interval){mean - half, mean + half};
}

double stats_cohen_h(double p1, double p2)
{
    return 2 * asin(sqrt(p1)) - 2 * asin(sqrt(p2));
}

double stats_cohen_dz(const double *d, int n)
{
    double sd = stats_sd(d, n);
    return sd > 0 ? stats_mean(d, n) / sd : NAN;
}

struct stats_ratio stats_risk_ratio_paired(long both, long first, long second, double level)
{
    struct stats_ratio r = {NAN, NAN, NAN};
    if (both < 0 || first < 0 || second < 0 || both + second < 1)
        return r;
    r.ratio = (double)(both + first) / (double)(both + second);
    if (both + first < 1)
        return r;
    double se = sqrt((double)(first + second) / ((double)(both + first) * (double)(both + second)));
    double half = stats_normal_quantile(0.5 + level / 2) * se;
    r.low = r.ratio * maths_exp(-half);
    r.high = r.ratio * maths_exp(half);
    return r;
}
