/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define V __m512
#define V_LANES 16
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_STORE(p, v) _mm512_storeu_ps(p, v)
#define V_STREAM(p, v) _mm512_stream_ps(p, v)
#define V_ZERO _mm512_setzero_ps()
#define B __m512
#define B_LOAD(p) _mm512_loadu_ps(p)
#define B_SET1(p) _mm512_set1_ps(*(const float *)(p))
#define V_MAC(a, b, c) _mm512_fmadd_ps(a, b, c)
#define TILE_FORM FORM_F32
#define TILE_ROWS 12
#define TILE_WIDE(m) wide_in_32_registers(m)
#define TILE_WIDEST 8
#include "cpu/linear_tile.h"

const struct product_kernel kernel_avx512 = {.lanes = &lanes_avx512,
                                             .form = FORM_F32,
                                             .rows = TILE_ROWS,
                                             .ahead_least = 3,
                                             .at_once = at_once,
                                             .run = run_product};

#define LANES_NAME lanes_avx512
#include "cpu/linear_lanes.h"
