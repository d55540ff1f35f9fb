/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of attention in AVX-512. */
#define ISA avx512
#include "cpu/softmax_body.h"
