/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/linear_q8_vnni.h"

KERNEL(run_vnni_q5_1, DTYPE_Q5_1)
KERNEL(run_vnni_q4_k, DTYPE_Q4_K)
KERNEL(run_vnni_q5_k, DTYPE_Q5_K)
KERNEL(run_vnni_q6_k, DTYPE_Q6_K)
