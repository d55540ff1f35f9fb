/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define V __m512
#define V_LANES 16
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_STORE(p, v) _mm512_storeu_ps(p, v)
#define V_SET1(x) _mm512_set1_ps(x)
#define V_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define TILE_ROWS 12
#define TILE_NAME kernel_avx512
#define LANES_NAME lanes_avx512
#include "cpu/linear_tile.h"
