/* SPDX-License-Identifier: Apache-2.0 */
#include <arm_neon.h>

#define V float32x4_t
#define V_LANES 4
#define V_LOAD(p) vld1q_f32(p)
#define V_STORE(p, v) vst1q_f32(p, v)
#define V_ZERO vdupq_n_f32(0)
#define B float32x4_t
#define B_LOAD(p) vld1q_f32((const float *)(p))
#define B_SET1(p) vdupq_n_f32(*(const float *)(p))
#define V_MAC(a, b, c) vfmaq_f32(c, a, b)
#define TILE_FORM FORM_F32
#define TILE_ROWS 12
#define TILE_WIDE(m) wide_in_32_registers(m)
#define TILE_WIDEST 8
#include "cpu/linear_tile.h"

const struct product_kernel kernel_neon = {
    .lanes = &lanes_neon, .form = FORM_F32, .rows = TILE_ROWS, .at_once = at_once, .run = run_product};

#define LANES_NAME lanes_neon
#include "cpu/linear_lanes.h"
