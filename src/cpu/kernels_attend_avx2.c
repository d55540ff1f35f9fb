/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's products in AVX2. */
#define ISA avx2
#define PAIRS 0
#include "cpu/scores_body.h"
#include "cpu/values_body.h"
