/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of attention in AVX2. */
#define ISA avx2
#include "cpu/softmax_body.h"
