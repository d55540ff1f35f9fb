/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels in AVX2. */
#define KERNELS_NAME kernels_avx2
#include "cpu/kernels_body.h"
