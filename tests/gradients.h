/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of one training pass, and whether they are the oracle's. */
#ifndef TESTS_GRADIENTS_H
#define TESTS_GRADIENTS_H

#include "oracle.h"

struct gradient_rows {
    const struct train_row *rows;
    int n;
    const char *name; /* in messages */
    float scale;      /* the gradients are those of the rows' summed losses times this */
};
/* Of all weights, or of all its adapters', in the flat order, from micro-batches that end where `ends` says. *loss: the
 * summed losses. The caller's (free). */
float *gradients_of(struct model *m, const struct gradient_rows *r, int recompute, const int *ends, int n_micro,
                    double *loss);

struct gradient_bound {
    double relative, absolute; /* of a parameter's greatest gradient; besides */
    int64_t stride;            /* one element in so many is looked at, but at least 20, or all */
};
/* Every parameter's gradients and the loss against central differences of the double-precision oracle at `flat` (which
 * is as it was afterwards). */
void gradients_check(const struct model *m, double *flat, const struct gradient_rows *r, const float *got, double loss,
                     const struct gradient_bound *bound);

#endif
