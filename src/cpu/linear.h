/* SPDX-License-Identifier: Apache-2.0 */
/* The inner kernels of the matrix products. */
#ifndef CPU_LINEAR_H
#define CPU_LINEAR_H

#include "cpu/weight.h"

/* acc[j] += sum_k x[k] b[k][j], one fused chain over k for each of 32 lanes. */
void linear_chain_generic(float *acc, const float *x, int64_t k, const float *b);

#endif
