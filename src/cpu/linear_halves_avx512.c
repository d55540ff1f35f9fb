/* SPDX-License-Identifier: Apache-2.0 */
/* vdpbf16ps in two fused multiply-adds, bit for bit: the second product of a pair is added first, numbers below the
 * normal ones are zeros going in and coming out, and which of several NaNs comes out follows from the form of the
 * instruction, so the compiler may not choose it. A panel's pairs are taken apart in registers, once for all rows of a
 * tile. */
#include "cpu/flush.h"
#include "cpu/linear.h"

#include <immintrin.h>
#include <string.h>

static inline __attribute__((always_inline)) __m512 half_of(const uint32_t *pairs, int half)
{
    __m512i words = _mm512_loadu_si512(pairs);
    return _mm512_castsi512_ps(half ? _mm512_and_si512(words, _mm512_set1_epi32((int)0xffff0000))
                                    : _mm512_slli_epi32(words, 16));
}
static inline __attribute__((always_inline)) __m512 multiply_add(__m512 a, __m512 b, __m512 c)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}

#define V __m512
#define V_LANES 16
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_STORE(p, v) _mm512_storeu_ps(p, v)
#define V_STREAM(p, v) _mm512_stream_ps(p, v)
#define V_ZERO _mm512_setzero_ps()
#define B __m512
#define B_HALF(p, half) half_of(p, half)
#define B_SET1(p) _mm512_set1_ps(*(const float *)(p))
#define V_MAC(a, b, c) multiply_add(a, b, c)
#define STREAM_ROWS 6
#define TILE_FORM FORM_HALVES
#define TILE_ROWS 12
#define TILE_WIDE(m) wide_in_32_registers(m)
#define TILE_WIDEST 8
#include "cpu/linear_tile.h"

static void run_flushed(const struct product_call *c)
{
    unsigned before = flush_begin(1);
    run_product(c);
    flush_end(1, before);
}

const struct product_kernel kernel_halves_avx512 = {.lanes = &lanes_avx512,
                                                    .form = FORM_HALVES,
                                                    .rows = TILE_ROWS,
                                                    .ahead_least = 2,
                                                    .at_once = at_once,
                                                    .run = run_flushed};
