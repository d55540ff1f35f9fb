/* SPDX-License-Identifier: Apache-2.0 */
/* L1-regularised logistic regression without an intercept, min |w|_1 + C sum weight_i log(1 + exp(-y_i w.x_i)), by the
 * algorithm that scikit-learn's liblinear solver runs (newGLMNET: Yuan, Ho, Lin 2012), with its stopping rule and its
 * random order, because alpaca_eval's published numbers are where that stops and not the optimum. */
#ifndef MEASURE_LOGISTIC_H
#define MEASURE_LOGISTIC_H

#include "base/error.h"

#include <stdint.h>

/* x [n,n_feature]; y -1 or 1; weight >= 0, rows of 0 are left out */
struct logistic_rows {
    const double *x;
    const signed char *y;
    const double *weight;
    int n, n_feature;
};
/* w [n_feature]; tolerance 1e-4 and at most 100 Newton steps as scikit-learn; seed of the coordinates' order. */
int logistic_l1(const struct logistic_rows *rows, double C, uint32_t seed, double *w, struct error *err);

#endif
