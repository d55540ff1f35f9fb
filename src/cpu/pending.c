/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that have no CPU implementation yet. */
#include "cpu/cpu.h"

#define PENDING(op)                                           \
    void cpu_##op(struct queue *q, const struct op##_args *args) \
    {                                                         \
        (void)q, (void)args;                                  \
        __builtin_trap();                                     \
    }
PENDING(attend_train_dx)
PENDING(cross_entropy)
PENDING(candidates)
PENDING(sample)
PENDING(sum_squares)
PENDING(adamw)
