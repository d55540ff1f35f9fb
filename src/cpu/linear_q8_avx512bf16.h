/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a Q8 panel to words of a BF16 panel, 64 values at a time. A byte b = q + 128 put into bits 8..15 of the float 2^15 makes 2^15 + b, and
 * (2^15 + b) scale - (2^15 + 128) scale in one rounding is q scale: the scale has 11 bits and 2^15 + 128 has 9, so the second product
 * is exact. The processor rounds to bf16. */
#ifndef CPU_LINEAR_Q8_AVX512BF16_H
#define CPU_LINEAR_Q8_AVX512BF16_H

#include "cpu/linear.h"

#include <immintrin.h>

#define Q8_TARGET __attribute__((target("avx512vbmi")))

/* Dword i of part p: byte 16 p + i of the 64. */
Q8_TARGET static inline __m512 q8_part(__m512i bytes, int part, __m512 scale, __m512 offset)
{
    const __m512i base = _mm512_set1_epi32(0x47000000);
    __m512i index = _mm512_slli_epi32(_mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(16 * part)), 8);
    __m512 v = _mm512_castsi512_ps(_mm512_mask_permutexvar_epi8(base, 0x2222222222222222ull, index, bytes));
    return _mm512_fmsub_ps(v, scale, offset);
}

Q8_TARGET static void q8_words(const char *blocks, int64_t n_block, uint32_t *out)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (int64_t b = 0; b < n_block; b++, blocks += Q8_BLOCK) {
        __m512 scale[4], offset[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            scale[i] = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)))));
            offset[i] = _mm512_mul_ps(scale[i], _mm512_set1_ps(32768 + 128));
        }
        const char *q = blocks + Q8_SCALES;
#pragma GCC unroll 2
        for (int k = 0; k < K_STEP; k += 2, q += 2 * PANEL, out += PANEL) {
            _mm_prefetch(q + 2 * Q8_BLOCK, _MM_HINT_T0);
            __m512i bytes = _mm512_loadu_si512(q);
            __m512 v0 = q8_part(bytes, 0, scale[0], offset[0]), v1 = q8_part(bytes, 1, scale[1], offset[1]);
            __m512 v2 = q8_part(bytes, 2, scale[2], offset[2]), v3 = q8_part(bytes, 3, scale[3], offset[3]);
            _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(v1, v0));
            _mm512_storeu_si512(out + 16, (__m512i)_mm512_cvtne2ps_pbh(v3, v2));
        }
    }
}

#endif
