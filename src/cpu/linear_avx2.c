/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define V __m256
#define V_LANES 8
#define V_LOAD(p) _mm256_loadu_ps(p)
#define V_STORE(p, v) _mm256_storeu_ps(p, v)
#define V_SET1(x) _mm256_set1_ps(x)
#define V_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define TILE_ROWS 6
#define TILE_NAME kernel_avx2
#define LANES_NAME lanes_avx2
#include "cpu/linear_tile.h"
