/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's products in plain C where fmaf is one instruction: the same bits, without a call for each. */
#define ISA fma
#define PAIRS 0
#include "cpu/scores_body.h"
#include "cpu/values_body.h"
