/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's products over a cache in bf16 in plain C. */
#define ISA generic
#define PAIRS 1
#include "cpu/scores_body.h"
#include "cpu/values_body.h"
