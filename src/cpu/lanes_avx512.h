/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen lanes in one AVX-512 register; see cpu/lanes.h. */
#include <immintrin.h>

typedef __m512 vf;
typedef __mmask16 vm;

LANE_FN vf v_set(float x)
{
    return _mm512_set1_ps(x);
}
LANE_FN vf v_set_bits(uint32_t x)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int)x));
}
LANE_FN vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
LANE_FN void v_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
LANE_FN vf v_load_mask(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
LANE_FN void v_store_mask(float *p, vf v, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
LANE_FN vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
LANE_FN vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
LANE_FN vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
LANE_FN vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
LANE_FN vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
LANE_FN vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
} /* a*b + c */
LANE_FN vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a*b */
LANE_FN vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
LANE_FN vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
LANE_FN vf v_and(vf a, vf b)
{
    return _mm512_and_ps(a, b);
}
LANE_FN vf v_xor(vf a, vf b)
{
    return _mm512_xor_ps(a, b);
}
LANE_FN vf v_shift_16(vf a)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 16));
} /* the bits of each lane, to the left */
LANE_FN vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
LANE_FN vm v_ge(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
LANE_FN vf v_select(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
LANE_FN unsigned v_bits(vm m)
{
    return m;
} /* lane i at bit i */
LANE_FN vm v_first_lanes(int n)
{
    if (n >= LANES)
        return (__mmask16)0xffff;
    return n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}
/* x * 2^i, i the integer that was rounded into the low bits of t = i + 1.5*2^23; -252 <= i <= 252. Rounds once. */
LANE_FN vf v_scale(vf x, vf t)
{
    return _mm512_scalef_ps(x, _mm512_sub_ps(t, _mm512_set1_ps(0x1.8p23f)));
}
LANE_FN vf v_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
LANE_FN void v_store_bf16(uint16_t *p, vf v)
{
    __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    __m512i out = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), rounded, quiet);
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(out));
}
