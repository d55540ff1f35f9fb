/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels in AVX-512. */
#define KERNELS_NAME kernels_avx512
#include "cpu/kernels_body.h"
