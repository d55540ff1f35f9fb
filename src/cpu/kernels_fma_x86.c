/* SPDX-License-Identifier: Apache-2.0 */
/* The generic kernels where fmaf is one instruction: the same plain C and the same bits, without a call for each. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("fma"))), apply_to = function)
#else
#pragma GCC target("fma")
#endif
#define KERNELS_NAME kernels_fma
#include "cpu/kernels_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
