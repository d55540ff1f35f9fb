/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's products over a cache in bf16 in AVX-512. */
#define ISA avx512
#define PAIRS 1
#include "cpu/scores_body.h"
#include "cpu/values_body.h"
