/* SPDX-License-Identifier: Apache-2.0 */
/* Norms, losses, sums and conversions in AVX2. */
#define ISA avx2
#include "cpu/norm_body.h"
#include "cpu/pointwise_body.h"
#include "cpu/loss_body.h"
