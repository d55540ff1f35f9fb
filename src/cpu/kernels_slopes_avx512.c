/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of activations in AVX-512. */
#define ISA avx512
#include "cpu/gate_dx_body.h"
