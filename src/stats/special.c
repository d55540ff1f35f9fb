/* SPDX-License-Identifier: Apache-2.0 */
/* Special functions. Each is one classical expansion, taken where it converges fast: Stirling's series after shifting
 * the argument up, the power series and the continued fraction of erfc, Lentz's continued fraction of the incomplete
 * beta. Quantiles are found by bracketed Newton steps on those, so that they are as good as the functions that they
 * invert. */
#include "stats/stats.h"

#include "base/maths.h"

#include <float.h>
#include <math.h>

#define SQRT2 1.4142135623730950488
#define LOG_SQRT_2PI 0.91893853320467274178

double stats_lgamma(double x)
{
    double shift = 1;
    if (!(x > 0))
        return NAN;
    for (; x < 16; x++)
        shift *= x;
    double r = 1 / x, r2 = r * r;
    double series =
        r * (1.0 / 12 -
             r2 * (1.0 / 360 -
                   r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 * (1.0 / 1188 - r2 * (691.0 / 360360 - r2 / 156))))));
    return (x - 0.5) * maths_log(x) - x + LOG_SQRT_2PI + series - maths_log(shift);
}

/* erfc(x) for x >= 0. */
static double erfc_positive(double x)
{
    if (x < 2.5) { /* erf(x) = 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!! : all terms positive */
        double term = x, sum = x;
        for (int n = 1; n < 200 && term > sum * 1e-18; n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 1 - 1.1283791670955125739 * maths_exp(-x * x) * sum;
    }
    double f = x; /* exp(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))), from the inside out */
    for (int n = 120; n >= 1; n--)
        f = x + 0.5 * n / f;
    return x > 38 ? 0 : 0.56418958354775628695 * maths_exp(-x * x) / f;
}

double stats_normal_sf(double z)
{
    if (isnan(z))
        return NAN;
    return z >= 0 ? 0.5 * erfc_positive(z / SQRT2) : 1 - 0.5 * erfc_positive(-z / SQRT2);
}

double stats_normal_cdf(double z)
{
    return stats_normal_sf(-z);
}

double stats_normal_quantile(double p)
{
    if (p == 0)
        return -INFINITY;
    if (!(p > 0 && p < 1))
        return p == 1 ? INFINITY : NAN;
    if (p > 0.5)
        return -stats_normal_quantile(1 - p);
    /* Abramowitz and Stegun 26.2.23 to begin with, then Halley's steps. */
    double t = sqrt(-2 * maths_log(p));
    double z = -(t - (2.515517 + 0.802853 * t + 0.010328 * t * t) /
                         (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t));
    for (int i = 0; i < 4; i++) {
        double e = stats_normal_cdf(z) - p, u = e * maths_exp(z * z / 2 + LOG_SQRT_2PI);
        z -= u / (1 + z * u / 2);
    }
    return z;
}

/* Continued fraction of the incomplete beta, modified Lentz; converges fast for x < (a+1)/(a+b+2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m < 100000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        double step = d * c;
        f *= step;
        if (fabs(step - 1) < 1e-16)
            break;
    }
    return f;
}

/* What Stirling's formula leaves of log gamma: lgamma(x) - ((x - 1/2) log x - x + log sqrt(2 pi)). */
static double stirling_rest(double x)
{
    if (x < 16)
        return stats_lgamma(x) - ((x - 0.5) * maths_log(x) - x + LOG_SQRT_2PI);
    double r = 1 / x;
    double r2 = r * r;
    return r * (1.0 / 12 -
                r2 * (1.0 / 360 -
                      r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 * (1.0 / 1188 - r2 * (691.0 / 360360 - r2 / 156))))));
}

/* log(ratio) - (ratio - 1), where both the ratio and what it has above 1 are known. */
static double log_ratio(double ratio, double above)
{
    return (above < -0.5 ? maths_log(ratio) : log1p(above)) - above;
}

/* x^a y^b / B(a, b) for x + y = 1, both given so that neither loses digits. By Stirling's formula the large parts of
 * the three logarithms cancel on paper instead of in the machine: what is left is the distance of x from the mean a /
 * (a + b). */
static double beta_front(double x, double y, double a, double b)
{
    double n = a + b;
    double gap = x <= y ? n * x - a : b - n * y;
    double log_power = a * log_ratio(x * n / a, gap / a) + b * log_ratio(y * n / b, -gap / b);
    double log_rest = stirling_rest(n) - stirling_rest(a) - stirling_rest(b);
    return maths_exp(log_power + log_rest - LOG_SQRT_2PI) * sqrt(a) * sqrt(b / n);
}

/* P(X <= x) of Beta(a, b); y = 1 - x. */
static double beta_below(double x, double y, double a, double b)
{
    if (x <= 0 || y <= 0)
        return x <= 0 ? 0 : 1;
    double front = beta_front(x, y, a, b);
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(y, b, a) / b;
}

double stats_beta_cdf(double x, double a, double b)
{
    if (!(a > 0 && b > 0) || isnan(x))
        return NAN;
    return beta_below(x, 1 - x, a, b);
}

double stats_beta_quantile(double p, double a, double b)
{
    if (!(p >= 0 && p <= 1) || !(a > 0 && b > 0))
        return NAN;
    double low = 0, high = 1, x = a / (a + b);
    for (int i = 0; i < 200 && high - low > 4 * DBL_EPSILON * low && high > 0; i++) {
        double e = stats_beta_cdf(x, a, b) - p;
        if (e > 0)
            high = x;
        else
            low = x;
        double density = x > 0 && x < 1 ? beta_front(x, 1 - x, a, b) / (x * (1 - x)) : 0;
        double next = density > 0 ? x - e / density : -1;
        if (fabs(next - x) <= 1e-16 * x)
            break;
        x = next > low && next < high ? next : (low + high) / 2;
    }
    return p == 0 || p == 1 ? p : x;
}

/* P(T < -t) and P(-t < T < 0) for t >= 0, each without cancellation. */
static double t_tail(double t, double df)
{
    double all = df + t * t;
    return 0.5 * beta_below(df / all, t * (t / all), df / 2, 0.5);
}

static double t_centre(double t, double df)
{
    double all = df + t * t;
    return 0.5 * beta_below(t * (t / all), df / all, 0.5, df / 2);
}

double stats_t_cdf(double t, double df)
{
    if (!(df > 0) || isnan(t))
        return NAN;
    if (isinf(t))
        return t > 0;
    return t > 0 ? 0.5 + t_centre(t, df) : t_tail(-t, df);
}

static double t_density(double t, double df)
{
    double all = df + t * t; /* beta's density at df / all, and its change with t */
    return beta_front(df / all, t * (t / all), df / 2, 0.5) / t;
}

/* The t > 0 below which a share lies that grows with t: by Newton's steps between limits. centre: the share is P(0 < T
 * < t), else it is P(T > t), which falls. */
static double t_find(double share, double df, int centre)
{
    double low = 0, high = 1;
    while (high < 1e300 && (centre ? t_centre(high, df) < share : t_tail(high, df) > share)) {
        low = high;
        high *= 2;
    }
    double t = low + (high - low) / 2;
    for (int i = 0; i < 200 && high - low > 2 * DBL_EPSILON * high; i++) {
        double excess = centre ? t_centre(t, df) - share : share - t_tail(t, df);
        *(excess > 0 ? &high : &low) = t;
        double next = t - excess / t_density(t, df);
        if (fabs(next - t) <= 1e-16 * t)
            break;
        t = next > low && next < high ? next : low + (high - low) / 2;
    }
    return t;
}

double stats_t_quantile(double p, double df)
{
    if (!(p > 0 && p < 1) || !(df > 0))
        return NAN;
    if (p > 0.5)
        return p > 0.75 ? t_find(1 - p, df, 0) : t_find(p - 0.5, df, 1);
    if (p == 0.5)
        return 0;
    return p < 0.25 ? -t_find(p, df, 0) : -t_find(0.5 - p, df, 1);
}

double stats_binomial_cdf(long k, long n, double p)
{
    if (n < 0 || !(p >= 0 && p <= 1))
        return NAN;
    if (k < 0)
        return 0;
    return k >= n ? 1 : stats_beta_cdf(1 - p, (double)(n - k), (double)k + 1);
}
