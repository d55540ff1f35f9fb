/* SPDX-License-Identifier: Apache-2.0 */
/* Included once by each kernels_<isa>.c, which defines KERNELS_NAME: all bodies, then the table. */
#include "cpu/activate.h"
#include "cpu/kernels.h"
#include "cpu/vecmath.h"

#include "cpu/norm_body.h"
#include "cpu/pointwise_body.h"
#include "cpu/attend_body.h"
#include "cpu/loss_body.h"

const struct kernels KERNELS_NAME = {
#define X(type, name, parameters) .name = name##_kernel,
    KERNELS(X)
#undef X
};
