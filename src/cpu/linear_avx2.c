/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define V __m256
#define V_LANES 8
#define V_LOAD(p) _mm256_loadu_ps(p)
#define V_STORE(p, v) _mm256_storeu_ps(p, v)
#define V_ZERO _mm256_setzero_ps()
#define B __m256
#define B_LOAD(p) _mm256_loadu_ps((const float *)(p))
#define B_SET1(p) _mm256_set1_ps(*(const float *)(p))
#define V_MAC(a, b, c) _mm256_fmadd_ps(a, b, c)
#define TILE_FORM FORM_F32
#define TILE_ROWS 6
#define TILE_WIDE(m) ((m) <= 3 ? 4 : 2)
#define TILE_WIDEST 4
#include "cpu/linear_tile.h"

const struct product_kernel kernel_avx2 = {.lanes = &lanes_avx2,
                                           .form = FORM_F32,
                                           .rows = TILE_ROWS,
                                           .ahead_least = 3,
                                           .at_once = at_once,
                                           .run = run_product};

#define LANES_NAME lanes_avx2
#include "cpu/linear_lanes.h"
