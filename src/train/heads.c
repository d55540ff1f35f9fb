/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of the small heads, on the host in double, where so few numbers belong: logits become their gradients in
 * place.
 *
 * A row takes two target rows: a classifier's one and its padding, a reward model's chosen and rejected text. What a
 * row's loss is divided by is its weight: labels (multi-label, as BCEWithLogitsLoss takes the mean), else 1. The bias
 * of a score head cancels in the difference of two scores, so its gradient is zero and it is not trained. */
#include "train/parts.h"

#include "base/maths.h"

#include <math.h>

/* log(1 + e^x) in the form that does not overflow; *slope: its derivative. */
static double softplus(double x, double *slope)
{
    double e = maths_exp(-fabs(x));
    *slope = x >= 0 ? 1 / (1 + e) : e / (1 + e);
    return (x > 0 ? x : 0) + maths_log(1 + e);
}

static double multi_label(float *z, int n, int labels, double scale)
{
    double loss = 0, p;
    for (int j = 0; j < n; j++) {
        double x = (double)z[j], y = labels >> j & 1;
        loss += softplus(x, &p) - y * x;
        z[j] = (float)((p - y) * scale);
    }
    return loss;
}

static double single_label(float *z, int n, int labels, double scale)
{
    double most = (double)z[0], sum = 0, loss = 0;
    for (int j = 1; j < n; j++)
        most = (double)z[j] > most ? (double)z[j] : most;
    for (int j = 0; j < n; j++)
        sum += maths_exp((double)z[j] - most);
    for (int j = 0; j < n; j++) {
        double x = (double)z[j] - most, y = labels >> j & 1;
        loss += y * (maths_log(sum) - x);
        z[j] = (float)((maths_exp(x) / sum - y) * scale);
    }
    return loss;
}

/* -log sigmoid(chosen - rejected). */
static double pairwise_loss(float *chosen, float *rejected, double scale)
{
    double p, loss = softplus((double)*rejected - (double)*chosen, &p);
    *chosen = (float)(-p * scale);
    *rejected = (float)(p * scale);
    return loss;
}

void head_loss(const struct model_desc *d, const struct train_row *const *rows, int n_row, float *logits, double scale,
               double *loss)
{
    int n = d->n_label;
    for (int i = 0; i < n_row; i++) {
        float *z = logits + (size_t)i * 2 * (size_t)n;
        if (d->task == MODEL_REWARD) {
            *loss += pairwise_loss(z, z + n, scale);
            continue;
        }
        *loss += d->problem == PROBLEM_SINGLE_LABEL ? single_label(z, n, rows[i]->label, scale)
                                                    : multi_label(z, n, rows[i]->label, scale);
        for (int j = 0; j < n; j++)
            z[n + j] = 0;
    }
}

double row_weight(const struct train_row *r, const struct model_desc *d)
{
    if (d->task == MODEL_LM)
        return row_targets(r, (int)d->task);
    return d->task == MODEL_CLASSIFY && d->problem == PROBLEM_MULTI_LABEL ? d->n_label : 1;
}
