/* SPDX-License-Identifier: Apache-2.0 */
/* What the test that is printed can find. The test's own critical value, at the hardest step of Holm's correction, is
 * put to samples that look like the data: for Wilcoxon's test resamples of the differences around their mean, moved
 * until enough of them are found; for McNemar's the sum over the binomials. Moving a sample can only raise its rank
 * sum, so the share that is found rises with the effect and a bisection over the same numbered draws finds the effect.
 * Where some pairs do not differ at all (an answer is refused or not, a word is there or not) nothing can be moved: a
 * zero would become a difference of one side. There the sizes of the differences stay, zeros among them, and more and
 * more of them get the same sign. */
#include "stats/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

enum { BISECTIONS = 30, MOST_EXACT = 50, LEAST_DRAWS = 300, MOST_DRAWS = 4000 };
static const double DRAWN_VALUES = 2e6; /* of a family's simulations together, so that they take well under a second */

struct stats_design stats_design_for(int n, int family, uint64_t seed)
{
    double draws = DRAWN_VALUES / ((double)n * (family > 1 ? family : 1) + 1);
    return (struct stats_design){.family = family,
                                 .draws = (int)fmin(fmax(draws, LEAST_DRAWS), MOST_DRAWS),
                                 .alpha = 0.05,
                                 .power = 0.8,
                                 .seed = seed};
}

/* The least rank sum of n differences without ties that is significant at `level` on one side of the two; above the
 * greatest one when none is. */
static int exact_critical(int n, double level, double *least, struct error *err)
{
    int most = n * (n + 1) / 2, w = most;
    double *count = mem_calloc((size_t)most + 1, sizeof *count), upper = 0, all = ldexp(1, n);
    if (!count)
        return error_set_nomem(err, ((size_t)most + 1) * sizeof *count, "rank sums");
    count[0] = 1;
    for (int rank = 1; rank <= n; rank++)
        for (int s = most; s >= rank; s--)
            count[s] += count[s - rank];
    for (; w >= 0 && 2 * (upper + count[w]) / all <= level; w--)
        upper += count[w];
    *least = w + 1;
    mem_free(count);
    return 0;
}

static int wilcoxon_critical(int n, double level, double *least, struct error *err)
{
    if (n <= MOST_EXACT)
        return exact_critical(n, level, least, err);
    double middle = (double)n * (n + 1) / 4, sd = sqrt((double)n * (n + 1) * (2.0 * n + 1) / 24);
    *least = middle + 0.5 - stats_normal_quantile(level / 2) * sd;
    return 0;
}

struct shape {
    double *z;             /* [n] ascending: the differences around their mean */
    unsigned short *drawn; /* [draws, n]: how often each stands in a resample */
    int n, draws;
    double critical;
};

/* Rank sum of the positive ones when every value of a resample is moved by `effect`. Both signs' magnitudes are
 * ascending already: negative ones downwards from the border, positive ones upwards, and are merged. Copies of one
 * value rank next to each other, as if told apart by a hair. */
static double rank_sum(const struct shape *s, const unsigned short *drawn, double effect)
{
    int up = 0, down;
    double rank = 0, sum = 0;
    while (up < s->n && s->z[up] + effect <= 0)
        up++;
    for (down = up - 1; up < s->n; up++) {
        double mine = s->z[up] + effect, times = drawn[up];
        for (; down >= 0 && -(s->z[down] + effect) < mine; down--)
            rank += drawn[down];
        sum += times * rank + times * (times + 1) / 2;
        rank += times;
    }
    return sum;
}

static double share_found(const struct shape *s, double effect)
{
    int found = 0;
    for (int r = 0; r < s->draws; r++)
        found += rank_sum(s, s->drawn + (size_t)r * (size_t)s->n, effect) >= s->critical;
    return (double)found / s->draws;
}

/* Differences around their mean, so that it is the population's standard deviation that equals the sample's; turned so
 * that the effect is positive. */
static void make_shape(struct shape *s, const double *d, const struct stats_design *design)
{
    double mean = stats_mean(d, s->n), scale = sqrt((double)s->n / (s->n - 1));
    for (int i = 0; i < s->n; i++)
        s->z[i] = (mean < 0 ? mean - d[i] : d[i] - mean) * scale;
    qsort(s->z, (size_t)s->n, sizeof *s->z, stats_ascending);
    for (int r = 0; r < s->draws; r++) {
        struct rng_stream stream = {design->seed, 0x706f776572, (uint64_t)r};
        for (int i = 0; i < s->n; i++)
            s->drawn[(size_t)r * (size_t)s->n + rng_below(&stream, (uint64_t)i, (uint32_t)s->n)]++;
    }
}

/* A difference of a resample: it is positive when at least the share `from` of all are. */
struct signed_rank {
    double from, rank;
};

static int by_share(const void *a, const void *b)
{
    const struct signed_rank *x = a, *y = b;
    return stats_ascending(&x->from, &y->from);
}

/* The sizes of the differences in a resample, ascending, without zeros; *ties as stats_wilcoxon has them. */
static int draw_ranks(const double *size, int n, const struct rng_stream *stream, struct signed_rank *list,
                      double *ties)
{
    int m = 0;
    *ties = 0;
    for (int i = 0; i < n; i++) {
        double one = size[rng_below(stream, (uint64_t)i, (uint32_t)n)];
        if (one > 0)
            list[m++].from = one;
    }
    qsort(list, (size_t)m, sizeof *list, by_share);
    for (int i = 0, j; i < m; i = j) {
        for (j = i; j < m && list[j].from == list[i].from; j++) {
        }
        double same = j - i;
        *ties += same * same * same - same;
        for (int k = i; k < j; k++)
            list[k].rank = (i + 1 + j) / 2.0;
    }
    for (int i = 0; i < m; i++)
        list[i].from = rng_uniform_double(stream, (uint64_t)n + (uint64_t)i);
    return m;
}

/* The least share of positive signs with which the resample is significant on that side; INFINITY: none is enough. */
static double share_wanted(struct signed_rank *list, int m, double ties, double level)
{
    double n = m, middle = n * (n + 1) / 4, variance = (n * (n + 1) * (2 * n + 1) - ties / 2) / 24, sum = 0;
    double critical = middle + 0.5 - stats_normal_quantile(level / 2) * sqrt(variance);
    qsort(list, (size_t)m, sizeof *list, by_share);
    for (int i = 0; i < m; i++) {
        sum += list[i].rank;
        if (sum >= critical)
            return list[i].from;
    }
    return INFINITY;
}

static int signs_find(const double *d, int n, const struct stats_design *design, struct stats_found *out,
                      struct error *err)
{
    size_t bytes = ((size_t)n + (size_t)design->draws) * sizeof(double) + (size_t)n * sizeof(struct signed_rank);
    struct signed_rank *list = mem_alloc(bytes);
    if (!list)
        return error_set_nomem(err, bytes, "resamples");
    double *size = (double *)(void *)(list + n), *wanted = size + n, ties;
    for (int i = 0; i < n; i++)
        size[i] = fabs(d[i]);
    for (int r = 0; r < design->draws; r++) {
        struct rng_stream stream = {design->seed, 0x7369676e, (uint64_t)r};
        int m = draw_ranks(size, n, &stream, list, &ties);
        wanted[r] = share_wanted(list, m, ties, design->alpha / design->family);
    }
    qsort(wanted, (size_t)design->draws, sizeof *wanted, stats_ascending);
    int enough = (int)ceil(design->power * design->draws);
    double share = wanted[enough > 0 ? enough - 1 : 0];
    if (isfinite(share))
        *out = (struct stats_found){fmax(2 * share - 1, 0) * stats_mean(size, n), (double)enough / design->draws};
    mem_free(list);
    return 0;
}

static int any_zero(const double *d, int n)
{
    for (int i = 0; i < n; i++)
        if (d[i] == 0)
            return 1;
    return 0;
}

int stats_wilcoxon_finds(const double *d, int n, const struct stats_design *design, struct stats_found *out,
                         struct error *err)
{
    *out = (struct stats_found){NAN, NAN};
    if (n < 2 || design->draws < 1 || design->family < 1 || !(stats_sd(d, n) > 0))
        return 0;
    if (any_zero(d, n))
        return signs_find(d, n, design, out, err);
    size_t cells = (size_t)n * (size_t)design->draws;
    struct shape s = {.z = mem_alloc((size_t)n * sizeof *s.z),
                      .drawn = mem_calloc(cells, sizeof *s.drawn),
                      .n = n,
                      .draws = design->draws};
    int rc = s.z && s.drawn ? 0 : error_set_nomem(err, cells * sizeof *s.drawn, "resamples");
    rc = rc ? rc : wilcoxon_critical(n, design->alpha / design->family, &s.critical, err);
    if (!rc) {
        make_shape(&s, d, design);
        double low = 0, high = 2 * fmax(fabs(s.z[0]), fabs(s.z[n - 1])); /* here all are positive */
        for (int i = 0; i < BISECTIONS; i++) {
            double middle = (low + high) / 2;
            *(share_found(&s, middle) < design->power ? &low : &high) = middle;
        }
        double power = share_found(&s, high);
        if (power >= design->power)
            *out = (struct stats_found){high, power};
    }
    mem_free(s.z);
    mem_free(s.drawn);
    return rc;
}

/* The least number of D that go one way for McNemar's test to be significant at `level`; D + 1 when none is enough. */
static long mcnemar_critical(long discordant, double level)
{
    long low = discordant / 2, high = discordant + 1;
    while (high - low > 1) {
        long middle = (low + high) / 2;
        *(stats_mcnemar(middle, discordant - middle).p <= level ? &high : &low) = middle;
    }
    return high;
}

struct flips {
    double weight;
    long critical;
}; /* of D pairs that differ: how likely that many are, and what is significant then */

static double mcnemar_power(const struct flips *flips, long pairs, double one_way)
{
    double power = 0;
    for (long d = 0; d <= pairs; d++)
        if (flips[d].weight > 1e-9 && flips[d].critical <= d)
            power += flips[d].weight * (1 - stats_binomial_cdf(flips[d].critical - 1, d, one_way));
    return power;
}

static void make_flips(struct flips *flips, long pairs, double share, double level)
{
    double before = 0;
    for (long d = 0; d <= pairs; d++) {
        double upto = stats_binomial_cdf(d, pairs, share);
        flips[d].weight = upto - before;
        flips[d].critical = flips[d].weight > 1e-9 ? mcnemar_critical(d, level) : d + 1;
        before = upto;
    }
}

int stats_mcnemar_finds(long pairs, long discordant, const struct stats_design *design, struct stats_found *out,
                        struct error *err)
{
    *out = (struct stats_found){NAN, NAN};
    if (pairs < 1 || discordant < 1 || discordant > pairs || design->family < 1)
        return 0;
    struct flips *flips = mem_alloc(((size_t)pairs + 1) * sizeof *flips);
    if (!flips)
        return error_set_nomem(err, ((size_t)pairs + 1) * sizeof *flips, "pairs that differ");
    double share = (double)discordant / (double)pairs, low = 0.5, high = 1;
    make_flips(flips, pairs, share, design->alpha / design->family);
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        *(mcnemar_power(flips, pairs, middle) < design->power ? &low : &high) = middle;
    }
    double power = mcnemar_power(flips, pairs, high);
    if (power >= design->power)
        *out = (struct stats_found){(2 * high - 1) * share, power};
    mem_free(flips);
    return 0;
}
