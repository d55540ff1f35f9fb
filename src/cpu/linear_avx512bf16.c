/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 pairs: one instruction adds two products to each of 16 sums. The chain runs over pairs of k in order. */
#include "cpu/linear.h"

#include <immintrin.h>
#include <string.h>

static inline __attribute__((always_inline)) __m512bh pair_everywhere(const char *p)
{
    int word;
    memcpy(&word, p, 4);
    return (__m512bh)_mm512_set1_epi32(word);
}

#define V __m512
#define V_LANES 16
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_STORE(p, v) _mm512_storeu_ps(p, v)
#define V_STREAM(p, v) _mm512_stream_ps(p, v)
#define V_ZERO _mm512_setzero_ps()
#define B __m512bh
#define B_LOAD(p) (__m512bh) _mm512_loadu_si512(p)
#define B_SET1(p) pair_everywhere(p)
#define V_MAC(a, b, c) _mm512_dpbf16_ps(c, a, b)
#define TILE_FORM FORM_PAIRS
#define TILE_ROWS 12
#define TILE_WIDE(m) wide_in_32_registers(m)
#define TILE_WIDEST 8
#include "cpu/linear_tile.h"

const struct product_kernel kernel_avx512bf16 = {.lanes = &lanes_avx512,
                                                 .form = FORM_PAIRS,
                                                 .rows = TILE_ROWS,
                                                 .ahead_least = 3,
                                                 .at_once = at_once,
                                                 .run = run_product};
