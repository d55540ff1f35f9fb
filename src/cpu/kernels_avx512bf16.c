/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels in AVX-512, attention over a cache in bf16 by the instruction for pairs. */
#define KERNELS_NAME kernels_avx512bf16
#include "cpu/kernels_body.h"
