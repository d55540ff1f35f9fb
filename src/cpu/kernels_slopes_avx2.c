/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of activations in AVX2. */
#define ISA avx2
#include "cpu/gate_dx_body.h"
