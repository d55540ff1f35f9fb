/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of attention in plain C. */
#define ISA generic
#include "cpu/softmax_body.h"
