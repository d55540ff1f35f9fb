/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in AVX2. */
#define ISA avx2
#include "cpu/gate_body.h"
