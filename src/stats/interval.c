/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals of shares and means, effect sizes, and what a sample of a given size can show. */
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

double stats_cohen_d(const double *x, int nx, const double *y, int ny)
{
    if (nx < 2 || ny < 2)
        return NAN;
    double sx = stats_sd(x, nx), sy = stats_sd(y, ny);
    double pooled = sqrt(((nx - 1) * sx * sx + (ny - 1) * sy * sy) / (nx + ny - 2));
    return pooled > 0 ? (stats_mean(x, nx) - stats_mean(y, ny)) / pooled : NAN;
}

double stats_cohen_dz(const double *d, int n)
{
    double sd = stats_sd(d, n);
    return sd > 0 ? stats_mean(d, n) / sd : NAN;
}

struct stats_ratio stats_risk_ratio(long k1, long n1, long k2, long n2, double level)
{
    struct stats_ratio r = {NAN, NAN, NAN};
    if (n1 < 1 || n2 < 1 || k2 < 1)
        return r;
    r.ratio = ((double)k1 / (double)n1) / ((double)k2 / (double)n2);
    if (k1 < 1)
        return r;
    double se = sqrt(1 / (double)k1 - 1 / (double)n1 + 1 / (double)k2 - 1 / (double)n2);
    double half = stats_normal_quantile(0.5 + level / 2) * se;
    r.low = r.ratio * maths_exp(-half);
    r.high = r.ratio * maths_exp(half);
    return r;
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

static double power_of(double shift, double alpha)
{
    double z = stats_normal_quantile(1 - alpha / 2);
    return stats_normal_sf(z - shift) + stats_normal_cdf(-z - shift);
}

double stats_power(double effect, double n, double alpha)
{
    return power_of(fabs(effect) * sqrt(n / 2), alpha);
}

double stats_power_paired(double effect, double n, double alpha)
{
    return power_of(fabs(effect) * sqrt(n), alpha);
}

/* The shift of the statistic with this power, by bisection (power rises with it). */
static double shift_of(double alpha, double power)
{
    double low = 0, high = 100;
    if (!(power > alpha && power < 1))
        return NAN;
    for (int i = 0; i < 200; i++) {
        double middle = (low + high) / 2;
        *(power_of(middle, alpha) < power ? &low : &high) = middle;
    }
    return (low + high) / 2;
}

double stats_detectable(double n, double alpha, double power)
{
    return n >= 1 ? shift_of(alpha, power) / sqrt(n / 2) : NAN;
}

double stats_detectable_paired(double n, double alpha, double power)
{
    return n >= 1 ? shift_of(alpha, power) / sqrt(n) : NAN;
}

double stats_share_from_h(double p2, double effect)
{
    double angle = asin(sqrt(p2)) + effect / 2;
    if (!(angle >= 0 && angle <= 1.57079632679489661923))
        return NAN;
    return sin(angle) * sin(angle);
}
