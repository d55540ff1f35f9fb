/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's products in plain C. */
#define ISA generic
#define PAIRS 0
#include "cpu/scores_body.h"
#include "cpu/values_body.h"
