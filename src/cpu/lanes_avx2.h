/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen lanes in two AVX2 registers; see cpu/lanes.h. */
#include <immintrin.h>

typedef struct {
    __m256 a, b;
} vf;
/* all ones or all zeros a lane */
typedef struct {
    __m256 a, b;
} vm;

#define BOTH(name, call)                             \
    LANE_FN vf name(vf x, vf y)                      \
    {                                                \
        return (vf){call(x.a, y.a), call(x.b, y.b)}; \
    }
BOTH(v_add, _mm256_add_ps)
BOTH(v_sub, _mm256_sub_ps)
BOTH(v_mul, _mm256_mul_ps)
BOTH(v_div, _mm256_div_ps)
BOTH(v_max, _mm256_max_ps)
BOTH(v_min, _mm256_min_ps)
BOTH(v_and, _mm256_and_ps)
BOTH(v_xor, _mm256_xor_ps)
#undef BOTH
LANE_FN vf v_set(float x)
{
    return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
LANE_FN vf v_set_bits(uint32_t x)
{
    __m256 v = _mm256_castsi256_ps(_mm256_set1_epi32((int)x));
    return (vf){v, v};
}
LANE_FN vf v_load(const float *p)
{
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
LANE_FN void v_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}
LANE_FN __m256i lanes_below(int n) /* lanes 0..n-1 of eight */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LANE_FN vf v_load_mask(const float *p, int n)
{
    return (vf){_mm256_maskload_ps(p, lanes_below(n)),
                n > 8 ? _mm256_maskload_ps(p + 8, lanes_below(n - 8)) : _mm256_setzero_ps()};
}
LANE_FN void v_store_mask(float *p, vf v, int n)
{
    _mm256_maskstore_ps(p, lanes_below(n), v.a);
    if (n > 8)
        _mm256_maskstore_ps(p + 8, lanes_below(n - 8), v.b);
}
LANE_FN vf v_sqrt(vf x)
{
    return (vf){_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)};
}
LANE_FN vf v_fma(vf x, vf y, vf z)
{
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
LANE_FN vf v_fnma(vf x, vf y, vf z)
{
    return (vf){_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
LANE_FN vf v_shift_16(vf x)
{
    return (vf){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.a), 16)),
                _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.b), 16))};
}
LANE_FN vm v_lt(vf x, vf y)
{
    return (vm){_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
LANE_FN vm v_ge(vf x, vf y)
{
    return (vm){_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)};
}
LANE_FN vf v_select(vm m, vf yes, vf no)
{
    return (vf){_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}
LANE_FN unsigned v_bits(vm m)
{
    return (unsigned)_mm256_movemask_ps(m.a) | (unsigned)_mm256_movemask_ps(m.b) << 8;
}
LANE_FN vm v_first_lanes(int n)
{
    return (vm){_mm256_castsi256_ps(lanes_below(n)), _mm256_castsi256_ps(lanes_below(n - 8))};
}
LANE_FN __m256 scale_half(__m256 x, __m256 t)
{
    __m256i i = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(0x4b400000)), half = _mm256_srai_epi32(i, 1);
    __m256i one = _mm256_slli_epi32(_mm256_add_epi32(half, _mm256_set1_epi32(127)), 23);
    __m256i two = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(two));
}
LANE_FN vf v_scale(vf x, vf t)
{
    return (vf){scale_half(x.a, t.a), scale_half(x.b, t.b)};
}
LANE_FN __m256 widen(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
LANE_FN vf v_load_bf16(const uint16_t *p)
{
    return (vf){widen(_mm_loadu_si128((const __m128i *)p)), widen(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
LANE_FN __m256i narrow(__m256 v) /* eight bf16 in the low halves of eight words */
{
    __m256i bits = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}
LANE_FN void v_store_bf16(uint16_t *p, vf v)
{
    __m256i packed = _mm256_packus_epi32(narrow(v.a), narrow(v.b));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}
