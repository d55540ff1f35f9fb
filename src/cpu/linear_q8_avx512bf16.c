/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/linear_q8_rows.h"
#include "cpu/linear_q8_vnni.h"

KERNEL(run_vnni_q8, DTYPE_Q8)
KERNEL(run_vnni_q4_0, DTYPE_Q4_0)
KERNEL(run_vnni_q4_1, DTYPE_Q4_1)
KERNEL(run_vnni_q5_0, DTYPE_Q5_0)

/* Few rows wait for memory, which several panels read side by side ask for earlier. */
static int at_once(int m)
{
    if (m == 1)
        return 4;
    return m == 2 ? 2 : 1;
}

Q8_RUN_TYPES(run_types, run_vnni_)

const struct product_kernel kernel_q8_vnni = {.lanes = &lanes_avx512,
                                              .form = FORM_BYTES,
                                              .rows = Q8_ROWS,
                                              .ahead_least = 3,
                                              .at_once = at_once,
                                              .run = run_types,
                                              .quantise = quantise};
