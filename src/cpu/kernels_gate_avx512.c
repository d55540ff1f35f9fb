/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in AVX-512. */
#define ISA avx512
#include "cpu/gate_body.h"
