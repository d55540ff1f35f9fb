/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen lanes in an array, for any processor; see cpu/lanes.h. */
typedef struct {
    float x[LANES];
} vf;
/* 1 or 0 a lane */
typedef struct {
    uint32_t x[LANES];
} vm;

#define EACH for (int i = 0; i < LANES; i++)
#define EACH_OF(name, parameters, type, expression) \
    LANE_FN type name parameters                    \
    {                                               \
        type r;                                     \
        EACH r.x[i] = expression;                   \
        return r;                                   \
    }
LANE_FN uint32_t bits_of(float f)
{
    uint32_t b;
    memcpy(&b, &f, 4);
    return b;
}
LANE_FN float float_of(uint32_t b)
{
    float f;
    memcpy(&f, &b, 4);
    return f;
}
LANE_FN float scale_one(float x, float t)
{
    int32_t i = (int32_t)(bits_of(t) - 0x4b400000u), half = i >> 1;
    return x * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(i - half + 127) << 23);
}
EACH_OF(v_set, (float x), vf, x)
EACH_OF(v_set_bits, (uint32_t x), vf, float_of(x))
EACH_OF(v_load, (const float *p), vf, p[i])
EACH_OF(v_load_mask, (const float *p, int n), vf, i < n ? p[i] : 0)
EACH_OF(v_add, (vf a, vf b), vf, a.x[i] + b.x[i])
EACH_OF(v_sub, (vf a, vf b), vf, a.x[i] - b.x[i])
EACH_OF(v_mul, (vf a, vf b), vf, a.x[i] * b.x[i])
EACH_OF(v_div, (vf a, vf b), vf, a.x[i] / b.x[i])
EACH_OF(v_sqrt, (vf a), vf, sqrtf(a.x[i]))
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
EACH_OF(v_fma, (vf a, vf b, vf c), vf, fmaf(a.x[i], b.x[i], c.x[i]))
EACH_OF(v_fnma, (vf a, vf b, vf c), vf, fmaf(-a.x[i], b.x[i], c.x[i]))
#else
/* Each lane is a call of the library's: sixteen at every use would take the compiler half a minute. */
LANE_CALL vf v_fma(vf a, vf b, vf c)
{
    EACH a.x[i] = fmaf(a.x[i], b.x[i], c.x[i]);
    return a;
}
LANE_FN vf v_fnma(vf a, vf b, vf c)
{
    EACH a.x[i] = -a.x[i];
    return v_fma(a, b, c);
}
#endif
EACH_OF(v_max, (vf a, vf b), vf, a.x[i] > b.x[i] ? a.x[i] : b.x[i])
EACH_OF(v_min, (vf a, vf b), vf, a.x[i] < b.x[i] ? a.x[i] : b.x[i])
EACH_OF(v_and, (vf a, vf b), vf, float_of(bits_of(a.x[i]) & bits_of(b.x[i])))
EACH_OF(v_xor, (vf a, vf b), vf, float_of(bits_of(a.x[i]) ^ bits_of(b.x[i])))
EACH_OF(v_shift_16, (vf a), vf, float_of(bits_of(a.x[i]) << 16))
EACH_OF(v_lt, (vf a, vf b), vm, a.x[i] < b.x[i])
EACH_OF(v_ge, (vf a, vf b), vm, a.x[i] >= b.x[i])
EACH_OF(v_select, (vm m, vf yes, vf no), vf, m.x[i] ? yes.x[i] : no.x[i])
EACH_OF(v_first_lanes, (int n), vm, i < n)
EACH_OF(v_scale, (vf x, vf t), vf, scale_one(x.x[i], t.x[i]))
EACH_OF(v_load_bf16, (const uint16_t *p), vf, bf16_to_f32(p[i]))
LANE_FN void v_store(float *p, vf v)
{
    memcpy(p, v.x, sizeof v.x);
}
LANE_FN void v_store_mask(float *p, vf v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = v.x[i];
}
LANE_FN void v_store_bf16(uint16_t *p, vf v)
{
    EACH p[i] = f32_to_bf16(v.x[i]);
}
LANE_FN unsigned v_bits(vm m)
{
    unsigned bits = 0;
    EACH bits |= m.x[i] << i;
    return bits;
}
#undef EACH
#undef EACH_OF
