/* SPDX-License-Identifier: Apache-2.0 */
/* The logit processors of one row. */
#ifndef CPU_RULES_H
#define CPU_RULES_H

#include "cpu/kernels.h"

/* Applies the rules of `row` to its n_vocab scores. Ids out of range are ignored. */
void rules_apply(const struct logit_rules *rules, int row, float *scores, int n_vocab);
/* Whether it may change any. */
int rules_change(const struct logit_rules *rules, int row);

#endif
