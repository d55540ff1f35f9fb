/* SPDX-License-Identifier: Apache-2.0 */
/* Norms, losses, sums and conversions in plain C where fmaf is one instruction: the same bits, without a call for each.
 */
#define ISA fma
#include "cpu/norm_body.h"
#include "cpu/pointwise_body.h"
#include "cpu/loss_body.h"
