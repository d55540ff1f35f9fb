/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of activations in plain C where fmaf is one instruction: the same bits, without a call for each. */
#define ISA fma
#include "cpu/gate_dx_body.h"
