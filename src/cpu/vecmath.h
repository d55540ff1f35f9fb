/* SPDX-License-Identifier: Apache-2.0 */
/* exp, log, sigmoid and the activations in single precision, by one polynomial each and one order of operations, so
 * their bits are equal on every instruction set. Polynomials are minimax fits made for these intervals
 * (tools/fit_vecmath.py). Errors against the exact value (tests/test_cpu_vecmath.c): exp and log 1 ulp, tanh 2, sigmoid
 * and silu 3, Phi 1e-7 absolute. NaN stays NaN. */
#ifndef CPU_VECMATH_H
#define CPU_VECMATH_H

#include "cpu/lanes.h"

/* exp(x) = 2^n exp(r), r = x - n ln 2, exp(r) = 1 + r + r^2 P(r). Overflows to infinity; gradual underflow to zero. */
LANE_FN vf v_exp(vf x)
{
    const vf magic = v_set(0x1.8p23f); /* adding it rounds to an integer and leaves that in the low bits */
    x = v_max(v_set(-105.0f), v_min(v_set(89.5f), x));
    vf t = v_fma(x, v_set(0x1.715476p0f), magic);
    vf n = v_sub(t, magic);
    vf r = v_fnma(n, v_set(0x1.62e4p-1f), x);
    r = v_fnma(n, v_set(0x1.7f7d1cp-20f), r);
    vf p = v_set(0x1.9e08c6p-13f);
    p = v_fma(p, r, v_set(0x1.6d5278p-10f));
    p = v_fma(p, r, v_set(0x1.11130cp-7f));
    p = v_fma(p, r, v_set(0x1.5554e4p-5f));
    p = v_fma(p, r, v_set(0x1.555554p-3f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(v_mul(r, r), p, r);
    return v_scale(v_add(p, v_set(1)), t);
}

/* For what is rare or makes many other calls. */
LANE_CALL vf v_exp_called(vf x)
{
    return v_exp(x);
}
LANE_FN float f_exp(float x)
{
    return v_first(v_exp_called(v_set(x)));
}

/* Natural logarithm of a positive normal number (infinity and NaN pass through). x = 2^e m, m in [sqrt 1/2, sqrt 2). */
LANE_FN float f_log(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (bits >= 0x7f800000u)
        return x;
    uint32_t shifted = bits - 0x3f3504f3u; /* of sqrt 1/2 */
    float e = (float)((int32_t)shifted >> 23), m;
    bits = (shifted & 0x7fffffu) + 0x3f3504f3u;
    memcpy(&m, &bits, 4);
    float f = m - 1, p = 0x1.14733ep-4f;
    p = fmaf(p, f, -0x1.de01dcp-4f);
    p = fmaf(p, f, 0x1.e6c00ap-4f);
    p = fmaf(p, f, -0x1.fc28cap-4f);
    p = fmaf(p, f, 0x1.233ba2p-3f);
    p = fmaf(p, f, -0x1.555c44p-3f);
    p = fmaf(p, f, 0x1.99a476p-3f);
    p = fmaf(p, f, -0x1.000006p-2f);
    p = fmaf(p, f, 0x1.555548p-2f);
    float square = f * f, low = fmaf(e, 0x1.7f7d1cp-20f, fmaf(square * f, p, -0.5f * square));
    return fmaf(e, 0x1.62e4p-1f, f + low);
}

LANE_FN vf v_sigmoid(vf x)
{
    return v_div(v_set(1), v_add(v_set(1), v_exp(v_neg(x))));
}
LANE_CALL vf v_sigmoid_called(vf x)
{
    return v_sigmoid(x);
}
LANE_FN vf v_silu(vf x)
{
    return v_div(x, v_add(v_set(1), v_exp(v_neg(x))));
}

/* Below 0.625: x + x^3 P(x^2); above: 1 - 2/(exp(2|x|) + 1) with x's sign. */
LANE_CALL vf v_tanh(vf x)
{
    vf z = v_min(v_set(10), v_abs(x)), s = v_mul(x, x), sign = v_and(x, v_set(-0.0f));
    vf p = v_set(-0x1.750ce2p-8f);
    p = v_fma(p, s, v_set(0x1.51f8cep-6f));
    p = v_fma(p, s, v_set(-0x1.b835a4p-5f));
    p = v_fma(p, s, v_set(0x1.1106f6p-3f));
    p = v_fma(p, s, v_set(-0x1.555532p-2f));
    vf near = v_fma(v_mul(s, x), p, x);
    vf far = v_sub(v_set(1), v_div(v_set(2), v_add(v_exp_called(v_add(z, z)), v_set(1))));
    return v_select(v_lt(z, v_set(0.625f)), near, v_xor(far, sign));
}

/* The normal distribution function. With z = |x| / sqrt 2: below 1, erf z = z + z P(z^2); above, erfc z = exp(-z^2) t
 * Q(t), t = 1/(1 + z/2). */
LANE_CALL vf v_phi(vf x)
{
    vf z = v_min(v_set(10), v_abs(v_mul(x, v_set(0x1.6a09e6p-1f)))), s = v_mul(z, z);
    vf p = v_set(0x1.4771fcp-14f);
    p = v_fma(p, s, v_set(-0x1.a3515ep-11f));
    p = v_fma(p, s, v_set(0x1.53f224p-8f));
    p = v_fma(p, s, v_set(-0x1.b7f71ap-6f));
    p = v_fma(p, s, v_set(0x1.ce2ce6p-4f));
    p = v_fma(p, s, v_set(-0x1.81273ep-2f));
    p = v_fma(p, s, v_set(0x1.06eba8p-3f));
    vf near = v_fnma(v_set(0.5f), v_fma(z, p, z), v_set(0.5f));
    vf t = v_div(v_set(1), v_fma(z, v_set(0.5f), v_set(1)));
    vf q = v_set(-0x1.39babp-5f);
    q = v_fma(q, t, v_set(0x1.c2b246p-3f));
    q = v_fma(q, t, v_set(-0x1.9e24fap-2f));
    q = v_fma(q, t, v_set(0x1.c6006ep-3f));
    q = v_fma(q, t, v_set(-0x1.40f6fep-8f));
    q = v_fma(q, t, v_set(0x1.95b16ep-3f));
    q = v_fma(q, t, v_set(0x1.f2c98cp-3f));
    q = v_fma(q, t, v_set(0x1.21263cp-2f));
    q = v_fma(q, t, v_set(0x1.20dad2p-2f));
    vf far = v_mul(v_mul(v_set(0.5f), v_exp_called(v_neg(s))), v_mul(t, q));
    vf tail = v_select(v_lt(z, v_set(1)), near, far);
    return v_select(v_lt(x, v_zero()), tail, v_sub(v_set(1), tail));
}
LANE_CALL vf v_gelu(vf x)
{
    return v_mul(x, v_phi(x));
}
/* x (1 + tanh u)/2 = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
LANE_CALL vf v_gelu_tanh_inner(vf x)
{
    vf cube = v_mul(v_mul(x, x), x);
    return v_mul(v_set(0x1.988454p0f), v_fma(v_set(0.044715f), cube, x)); /* 2 sqrt(2/pi) */
}
LANE_CALL vf v_gelu_tanh(vf x)
{
    return v_mul(x, v_sigmoid_called(v_gelu_tanh_inner(x)));
}

/* The derivative, and the function beside it (to the last bit or so: not always the forward pass's rounding). */
LANE_FN vf v_silu_slope(vf x, vf *value)
{
    vf s = v_sigmoid(x);
    *value = v_mul(x, s);
    return v_fma(*value, v_sub(v_set(1), s), s);
}
LANE_CALL vf v_gelu_tanh_rise(vf x) /* of v_gelu_tanh_inner */
{
    return v_mul(v_set(0x1.988454p0f), v_fma(v_set(3 * 0.044715f), v_mul(x, x), v_set(1)));
}

#endif
