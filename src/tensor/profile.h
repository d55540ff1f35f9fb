/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a device goes, by operator. While a profile is set, every operator is waited for before the next
 * begins. */
#ifndef TENSOR_PROFILE_H
#define TENSOR_PROFILE_H

#include "tensor/ops.h"

enum {
#define X(op) TENSOR_OP_##op,
    TENSOR_OPS(X)
#undef X
        TENSOR_N_OP
};
struct op_profile {
    double seconds[TENSOR_N_OP];
    long calls[TENSOR_N_OP];
};
void device_set_profile(struct device *d, struct op_profile *profile); /* NULL: off. Borrowed, added to */
const char *tensor_op_name(int op);

#endif
