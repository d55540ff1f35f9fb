/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of activations in plain C. */
#define ISA generic
#include "cpu/gate_dx_body.h"
