/* SPDX-License-Identifier: Apache-2.0 */
#include "stats/stats.h"

#include <math.h>

double stats_cohen_kappa(const struct stats_crossed *x)
{
    double n = (double)x->both + (double)x->first + (double)x->second + (double)x->neither;
    double one = ((double)x->both + (double)x->first) / n, other = ((double)x->both + (double)x->second) / n;
    double same = ((double)x->both + (double)x->neither) / n, chance = one * other + (1 - one) * (1 - other);
    return n > 0 && chance < 1 ? (same - chance) / (1 - chance) : NAN;
}

double stats_krippendorff_alpha(const signed char *ratings, int n_unit, int n_rater)
{
    double totals[STATS_CATEGORIES] = {0}, same = 0, n = 0, chance = 0;
    for (int u = 0; u < n_unit; u++) {
        double counts[STATS_CATEGORIES] = {0}, m = 0;
        for (int r = 0; r < n_rater; r++) {
            int value = ratings[u * n_rater + r];
            if (value < 0 || value >= STATS_CATEGORIES)
                continue;
            counts[value]++;
            m++;
        }
        if (m < 2)
            continue;
        n += m;
        for (int c = 0; c < STATS_CATEGORIES; c++) {
            totals[c] += counts[c];
            same += counts[c] * (counts[c] - 1) / (m - 1);
        }
    }
    for (int c = 0; c < STATS_CATEGORIES; c++)
        chance += totals[c] * (totals[c] - 1);
    double expected = n * (n - 1) - chance; /* pairs of different values, were they drawn at random */
    return n > 1 && expected > 0 ? 1 - (n - 1) * (n - same) / expected : NAN;
}

double stats_rogan_gladen(double found, double sensitivity, double specificity)
{
    double informed = sensitivity + specificity - 1;
    return informed > 0 ? fmin(fmax((found + specificity - 1) / informed, 0), 1) : NAN;
}
