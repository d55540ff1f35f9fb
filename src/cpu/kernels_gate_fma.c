/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in plain C where fmaf is one instruction: the same bits, without a call for each. */
#define ISA fma
#include "cpu/gate_body.h"
