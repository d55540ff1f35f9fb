/* SPDX-License-Identifier: Apache-2.0 */
/* How well a probability tells two classes apart, and whether it means what it says. */
#include "stats/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double score;
    int positive;
};

static int by_score(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->score, y = ((const struct ranked *)b)->score;
    return (x > y) - (x < y);
}

/* Mann-Whitney: the share of pairs (a positive, a negative) in the right order, ties half. Sorts r. */
static double auroc(struct ranked *r, int n)
{
    double below = 0, wins = 0, n_positive = 0;
    qsort(r, (size_t)n, sizeof *r, by_score);
    for (int i = 0, j; i < n; i = j) {
        double positive = 0, negative = 0;
        for (j = i; j < n && r[j].score == r[i].score; j++)
            r[j].positive ? positive++ : negative++;
        wins += positive * (below + negative / 2);
        below += negative;
        n_positive += positive;
    }
    return n_positive > 0 && below > 0 ? wins / (n_positive * below) : NAN;
}

/* Equal-width bins over [0, 1], closed on the right as in Guo et al. 2017: sum over bins of n_bin / n |mean p - share
 * positive|. */
static double calibration_error(const struct ranked *r, int n, int n_bin)
{
    double error = 0;
    for (int b = 0; b < n_bin; b++) {
        double p = 0, y = 0;
        for (int i = 0; i < n; i++)
            if ((r[i].score > (double)b / n_bin || (b == 0 && r[i].score <= 0)) &&
                r[i].score <= (double)(b + 1) / n_bin) {
                p += r[i].score;
                y += r[i].positive;
            }
        error += fabs(p - y);
    }
    return n ? error / n : NAN;
}

static double curve_or_error(struct ranked *r, int n, int n_bin)
{
    return n_bin ? calibration_error(r, n, n_bin) : auroc(r, n);
}

static int estimate(const struct stats_classified *rows, int n_bin, const struct stats_bootstrap *how,
                    struct stats_interval *out, double *value, struct error *err)
{
    const double *p = rows->p;
    const unsigned char *y = rows->positive;
    int n = rows->n, n_resample = how->n_resample;
    *value = NAN;
    *out = (struct stats_interval){NAN, NAN};
    for (int i = 0; i < n; i++)
        if (!isfinite(p[i]))
            return error_set(err, ERROR_DATA,
                             "a statistic over %d probabilities: number %d is %g; wanted finite numbers", n, i, p[i]);
    size_t count = (size_t)n + 1;
    struct ranked *r = mem_alloc(count * sizeof *r);
    double *boot = mem_alloc(((size_t)n_resample + 1) * sizeof *boot), *jack = mem_alloc(count * sizeof *jack);
    int rc = r && boot && jack ? 0 : error_set_nomem(err, count * sizeof *r, "a bootstrap"), kept = 0;
    for (int i = 0; !rc && i < n; i++)
        if (isnan(p[i]))
            rc = error_set(err, ERROR_DATA, "a statistic over %d probabilities: value %d is not a number", n, i);
    for (int i = 0; !rc && i < n; i++)
        r[i] = (struct ranked){p[i], y[i] != 0};
    if (!rc)
        *value = curve_or_error(r, n, n_bin);
    for (int b = 0; !rc && b < n_resample && !isnan(*value); b++) {
        struct rng_stream stream = {how->seed, 0x62696e, (uint64_t)b};
        for (int i = 0; i < n; i++) {
            uint32_t at = rng_below(&stream, (uint64_t)i, (uint32_t)n);
            r[i] = (struct ranked){p[at], y[at] != 0};
        }
        double x = curve_or_error(r, n, n_bin);
        if (!isnan(x)) /* a resample without one of the classes says nothing */
            boot[kept++] = x;
    }
    for (int k = 0; !rc && k < n && kept > 1; k++) {
        for (int i = 0, m = 0; i < n; i++)
            if (i != k)
                r[m++] = (struct ranked){p[i], y[i] != 0};
        jack[k] = curve_or_error(r, n - 1, n_bin);
        if (isnan(jack[k]))
            jack[k] = *value;
    }
    if (!rc && kept > 1)
        *out = stats_bca(boot, kept, *value, jack, n, how->level);
    mem_free(r);
    mem_free(boot);
    mem_free(jack);
    return rc;
}

int stats_auroc(const struct stats_classified *rows, const struct stats_bootstrap *how, double *value,
                struct stats_interval *out, struct error *err)
{
    return estimate(rows, 0, how, out, value, err);
}

int stats_calibration_error(const struct stats_classified *rows, int n_bin, const struct stats_bootstrap *how,
                            double *value, struct stats_interval *out, struct error *err)
{
    return estimate(rows, n_bin, how, out, value, err);
}
