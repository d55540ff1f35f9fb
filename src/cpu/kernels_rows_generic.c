/* SPDX-License-Identifier: Apache-2.0 */
/* Norms, losses, sums and conversions in plain C. */
#define ISA generic
#include "cpu/norm_body.h"
#include "cpu/pointwise_body.h"
#include "cpu/loss_body.h"
