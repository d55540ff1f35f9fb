/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in plain C. */
#define ISA generic
#include "cpu/gate_body.h"
