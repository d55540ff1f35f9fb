/* SPDX-License-Identifier: Apache-2.0 */
/* Tests over pairs, the bootstrap, and corrections for looking more than once. Random draws are numbered, so a result
 * depends on the data and the seed only. */
#include "stats/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct stats_test stats_mcnemar(long b, long c)
{
    long n = b + c, least = b < c ? b : c;
    double p = n ? 2 * stats_binomial_cdf(least, n, 0.5) : 1;
    return (struct stats_test){(double)least, p > 1 ? 1 : p, (int)n};
}

/* What is not a number has no rank and no mean. */
static int refuse_nonfinite(const double *x, int n, struct error *err)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return error_set(err, ERROR_DATA, "a statistic over %d values: value %d is %g; wanted finite numbers", n, i,
                             x[i]);
    return 0;
}

int stats_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_magnitude(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* P(W <= w) of the signed-rank statistic of n values without ties: counts of subsets of 1..n by their sum (exact in
 * doubles to 2^53). */
static int signed_rank_cdf(int n, double w, double *p, struct error *err)
{
    int sum = n * (n + 1) / 2;
    double *count = mem_calloc((size_t)sum + 1, sizeof *count), below = 0, all = 0;
    if (!count)
        return error_set_nomem(err, ((size_t)sum + 1) * sizeof *count, "rank sums");
    count[0] = 1;
    for (int rank = 1; rank <= n; rank++)
        for (int s = sum; s >= rank; s--)
            count[s] += count[s - rank];
    for (int s = 0; s <= sum; s++) {
        all += count[s];
        below += s <= w ? count[s] : 0;
    }
    *p = below / all;
    mem_free(count);
    return 0;
}

int stats_wilcoxon(const double *d, int n, struct stats_test *out, struct error *err)
{
    double *x = mem_alloc(((size_t)n + 1) * sizeof *x), plus = 0, ties = 0;
    int m = 0, rc = x ? refuse_nonfinite(d, n, err) : error_set_nomem(err, ((size_t)n + 1) * sizeof *x, "differences");
    *out = (struct stats_test){NAN, NAN, 0};
    if (rc) {
        mem_free(x);
        return rc;
    }
    for (int i = 0; i < n; i++)
        if (d[i] != 0)
            x[m++] = d[i];
    qsort(x, (size_t)m, sizeof *x, compare_magnitude);
    for (int i = 0, j; i < m; i = j) {
        for (j = i; j < m && fabs(x[j]) == fabs(x[i]); j++) {
        }
        double same = j - i, rank = (i + 1 + j) / 2.0;
        ties += same * same * same - same;
        for (int k = i; k < j; k++)
            plus += x[k] > 0 ? rank : 0;
    }
    double all = (double)m * (m + 1) / 2, least = plus < all - plus ? plus : all - plus;
    *out = (struct stats_test){least, 1, m};
    if (m > 0 && m <= 50 && ties == 0 && m == n) {
        rc = signed_rank_cdf(m, least, &out->p, err);
        out->p = out->p * 2 > 1 ? 1 : out->p * 2;
    } else if (m > 0) {
        double gap = plus - all / 2, variance = ((double)m * (m + 1) * (2.0 * m + 1) - ties / 2) / 24;
        gap -= 0.5 * ((gap > 0) - (gap < 0));
        out->p = 2 * stats_normal_sf(fabs(gap) / sqrt(variance));
    }
    mem_free(x);
    return rc;
}

int stats_paired(const double *d, int n, const struct stats_bootstrap *how, struct stats_paired *out, struct error *err)
{
    int rc = stats_mean_interval(d, n, how, &out->change, err);
    out->dz = stats_cohen_dz(d, n);
    return rc ? rc : stats_wilcoxon(d, n, &out->test, err);
}

double stats_quantile_sorted(const double *sorted, int n, double q)
{
    if (n < 1 || !(q >= 0 && q <= 1))
        return NAN;
    double place = q * (n - 1);
    int i = (int)place;
    return i + 1 < n ? sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

struct stats_interval stats_bca(double *boot, int n_boot, double estimate, const double *jackknife, int n, double level)
{
    int below = 0, upto = 0;
    qsort(boot, (size_t)n_boot, sizeof *boot, stats_ascending);
    for (int i = 0; i < n_boot; i++) {
        below += boot[i] < estimate;
        upto += boot[i] <= estimate;
    }
    double z0 = stats_normal_quantile((below + upto) / (2.0 * n_boot)), mean = stats_mean(jackknife, n), cubes = 0,
           squares = 0;
    for (int i = 0; i < n; i++) {
        double u = (n - 1) * (mean - jackknife[i]);
        cubes += u * u * u / ((double)n * n * n);
        squares += u * u / ((double)n * n);
    }
    double a = squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0, ends[2];
    if (!isfinite(z0)) /* all resamples on one side: the percentile interval is what is left */
        z0 = 0;
    for (int side = 0; side < 2; side++) {
        double z = z0 + stats_normal_quantile(side ? 0.5 + level / 2 : 0.5 - level / 2);
        ends[side] = stats_quantile_sorted(boot, n_boot, stats_normal_cdf(z0 + z / (1 - a * z)));
    }
    return (struct stats_interval){ends[0], ends[1]};
}

int stats_bootstrap_mean(const double *x, int n, const struct stats_bootstrap *how, struct stats_interval *out,
                         struct error *err)
{
    int n_resample = how->n_resample;
    *out = (struct stats_interval){NAN, NAN};
    int rc = refuse_nonfinite(x, n, err);
    if (rc || n < 2 || n_resample < 1)
        return rc;
    size_t bytes = ((size_t)n + (size_t)n_resample) * sizeof(double);
    double *boot = mem_alloc(bytes), sum = 0;
    if (!boot)
        return error_set_nomem(err, bytes, "bootstrap");
    double *jackknife = boot + n_resample;
    for (int i = 0; i < n; i++)
        sum += x[i];
    for (int i = 0; i < n; i++)
        jackknife[i] = (sum - x[i]) / (n - 1);
    for (int r = 0; r < n_resample; r++) {
        struct rng_stream s = {how->seed, 0x626f6f74, (uint64_t)r};
        double total = 0;
        for (int i = 0; i < n; i++)
            total += x[rng_below(&s, (uint64_t)i, (uint32_t)n)];
        boot[r] = total / n;
    }
    *out = stats_bca(boot, n_resample, sum / n, jackknife, n, how->level);
    mem_free(boot);
    return 0;
}

/* Ends from the resamples' t values: mean - t se. A resample without spread has t = +-infinity. */
static int studentised(const double *x, int n, const struct stats_bootstrap *how, struct stats_interval *out,
                       struct error *err)
{
    size_t bytes = ((size_t)how->n_resample + (size_t)n) * sizeof(double);
    double *t = mem_alloc(bytes);
    if (!t)
        return error_set_nomem(err, bytes, "bootstrap");
    double *drawn = t + how->n_resample, mean = stats_mean(x, n), se = stats_sd(x, n) / sqrt(n);
    for (int r = 0; r < how->n_resample; r++) {
        struct rng_stream s = {how->seed, 0x626f6f74, (uint64_t)r};
        for (int i = 0; i < n; i++)
            drawn[i] = x[rng_below(&s, (uint64_t)i, (uint32_t)n)];
        double gap = stats_mean(drawn, n) - mean, spread = stats_sd(drawn, n) / sqrt(n);
        t[r] = gap > 0 ? INFINITY : -INFINITY;
        if (spread > 1e-12 * se)
            t[r] = gap / spread;
    }
    qsort(t, (size_t)how->n_resample, sizeof *t, stats_ascending);
    out->low = mean - stats_quantile_sorted(t, how->n_resample, 0.5 + how->level / 2) * se;
    out->high = mean - stats_quantile_sorted(t, how->n_resample, 0.5 - how->level / 2) * se;
    mem_free(t);
    return 0;
}

const char *stats_mean_kind_name(enum stats_mean_kind kind)
{
    static const char *const names[] = {"none", "t", "studentised", "BCa"};
    return names[kind];
}

int stats_mean_interval(const double *x, int n, const struct stats_bootstrap *how, struct stats_mean *out,
                        struct error *err)
{
    enum { LEAST_BOOTSTRAP = 5, LEAST_BCA = 20 };
    *out = (struct stats_mean){stats_mean(x, n), {NAN, NAN}, STATS_MEAN_NONE};
    int rc = refuse_nonfinite(x, n, err);
    if (rc || n < 2)
        return rc;
    if (n >= LEAST_BCA) {
        out->kind = STATS_MEAN_BCA;
        return stats_bootstrap_mean(x, n, how, &out->interval, err);
    }
    if (n >= LEAST_BOOTSTRAP && stats_sd(x, n) > 0) {
        out->kind = STATS_MEAN_STUDENTISED;
        rc = studentised(x, n, how, &out->interval, err);
    }
    if (!rc && !(isfinite(out->interval.low) && isfinite(out->interval.high))) {
        out->kind = STATS_MEAN_T;
        out->interval = stats_t_interval(x, n, how->level);
    }
    return rc;
}

struct ranked {
    double p;
    int at;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : x->at - y->at;
}

int stats_holm(const double *p, int n, double *out, struct error *err)
{
    struct ranked *r = mem_alloc(((size_t)n + 1) * sizeof *r);
    int rc = r ? refuse_nonfinite(p, n, err) : error_set_nomem(err, ((size_t)n + 1) * sizeof *r, "p-values");
    double greatest = 0;
    for (int i = 0; i < n && !rc; i++)
        r[i] = (struct ranked){p[i], i};
    if (!rc)
        qsort(r, (size_t)n, sizeof *r, compare_ranked);
    for (int i = 0; i < n && !rc; i++) {
        double q = (n - i) * r[i].p;
        greatest = q > greatest ? q : greatest;
        out[r[i].at] = greatest > 1 ? 1 : greatest;
    }
    mem_free(r);
    return rc;
}
