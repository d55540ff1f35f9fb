/* SPDX-License-Identifier: Apache-2.0 */
#include <arm_neon.h>

#define V float32x4_t
#define V_LANES 4
#define V_LOAD(p) vld1q_f32(p)
#define V_STORE(p, v) vst1q_f32(p, v)
#define V_SET1(x) vdupq_n_f32(x)
#define V_FMA(a, b, c) vfmaq_f32(c, a, b)
#define TILE_ROWS 12
#define TILE_NAME kernel_neon
#define LANES_NAME lanes_neon
#include "cpu/linear_tile.h"
