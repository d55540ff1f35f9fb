/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels in plain C. */
#define KERNELS_NAME kernels_generic
#include "cpu/kernels_body.h"
