/* SPDX-License-Identifier: Apache-2.0 */
/* One small model of tests/golden/families (tools/golden_families.py, golden_encoders.py) beside transformers' own
 * values of it. */
#ifndef TESTS_FAMILY_GOLDEN_H
#define TESTS_FAMILY_GOLDEN_H

#include "model/model.h"

enum { FAMILY_GOLDEN_MOST = 64, FAMILY_GOLDEN_WHY = 400 };
struct family_golden {
    const char *name;
    struct device *device;
    struct checkpoint *source;
    struct model *m;
    json_t *values;
    char why[FAMILY_GOLDEN_WHY]; /* the first difference */
};

/* 0, or -1 with why: what is there cannot be opened. */
int family_golden_open(struct family_golden *g, const char *name, const struct device_options *options);
void family_golden_close(struct family_golden *g);
int family_golden_ids(const struct family_golden *g, size_t text,
                      int32_t *ids); /* at most FAMILY_GOLDEN_MOST; their number */

/* 0, or -1 with why. Log-probabilities to 1e-4, losses and training losses to 1e-5 relative, gradient norms to 1e-4
 * relative, ids alike. */
int family_golden_scores(struct family_golden *g);
int family_golden_hidden(struct family_golden *g);
int family_golden_gradients(struct family_golden *g);
int family_golden_training(struct family_golden *g); /* the model is another one afterwards */
int family_golden_generation(struct family_golden *g);

#endif
