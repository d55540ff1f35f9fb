/* SPDX-License-Identifier: Apache-2.0 */
/* For the *_body.h files. Each kernels_<part>_<isa>.c defines ISA and includes one: KERNEL(name) is that kernel for
 * this instruction set. Parts are as large as keeps a file's compilation under five seconds. */
#ifndef CPU_KERNELS_UNIT_H
#define CPU_KERNELS_UNIT_H

#include "cpu/kernels.h"
#include "cpu/kernels_names.h"
#include "cpu/vecmath.h"

#define X(type, name, parameters) type KERNEL(name) parameters;
KERNELS(X)
#undef X

LANE_FN vf load_as(const void *x, enum dtype t, size_t i, int left)
{
    if (t == DTYPE_BF16)
        return v_load_bf16_n((const uint16_t *)x + i, left);
    return v_load_n((const float *)x + i, left);
}
LANE_FN void store_as(void *y, enum dtype t, size_t i, vf v, int left)
{
    if (t == DTYPE_BF16)
        v_store_bf16_n((uint16_t *)y + i, v, left);
    else
        v_store_n((float *)y + i, v, left);
}

#endif
