/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of attention in plain C where fmaf is one instruction: the same bits, without a call for each. */
#define ISA fma
#include "cpu/softmax_body.h"
