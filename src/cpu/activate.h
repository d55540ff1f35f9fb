/* SPDX-License-Identifier: Apache-2.0 */
/* Every activation and its slope in lanes, for the products' epilogue and the plain operators alike. `act` is a
 * constant wherever that pays. */
#ifndef CPU_ACTIVATE_H
#define CPU_ACTIVATE_H

#include "cpu/vecmath.h"
#include "tensor/ops.h"

/* transformers' LaplaceActivation: (1 + erf((x - mu) / (sigma sqrt 2))) / 2, mu = sqrt(1/2), sigma = sqrt(1/(4 pi)). */
#define LAPLACE_MU 0x1.6a09fap-1f
#define LAPLACE_SIGMA 0x1.20dd74p-2f

/* x tanh(log(1 + e^x)): with e = e^min(x, 20), (e^2 + 2e) / (e^2 + 2e + 2); above 20 the factor is 1 in f32. */
LANE_CALL vf v_mish_factor(vf x)
{
    vf e = v_exp_called(v_min(v_set(20), x)), n = v_fma(e, e, v_add(e, e));
    return v_div(n, v_add(n, v_set(2)));
}
LANE_FN vf v_clip(vf x, float low, float high) /* NaN stays NaN */
{
    return v_max(v_set(low), v_min(v_set(high), x));
}

/* What the sigmoid of these takes, and by how much it rises with x. */
LANE_CALL vf sigmoid_of(enum activation act, vf x, vf *rise)
{
    vf u = x, slope = v_set(1);
    if (act == ACT_QUICK_GELU) {
        slope = v_set(1.702f);
        u = v_mul(slope, x);
    } else if (act == ACT_GELU_TANH) {
        u = v_gelu_tanh_inner(x);
        if (rise)
            slope = v_gelu_tanh_rise(x);
    }
    if (rise)
        *rise = slope;
    return v_sigmoid_called(u);
}

LANE_FN vf activate(enum activation act, vf x)
{
    vf y;
    switch (act) {
    case ACT_SILU: return v_silu(x);
    case ACT_GELU_TANH:
    case ACT_QUICK_GELU:
    case ACT_SIGMOID: y = sigmoid_of(act, x, NULL); return act == ACT_SIGMOID ? y : v_mul(x, y);
    case ACT_GELU:
    case ACT_GELU_10:
    case ACT_LAPLACE:
        y = v_phi(act == ACT_LAPLACE ? v_div(v_sub(x, v_set(LAPLACE_MU)), v_set(LAPLACE_SIGMA)) : x);
        y = act == ACT_LAPLACE ? y : v_mul(x, y);
        return act == ACT_GELU_10 ? v_clip(y, -10, 10) : y;
    case ACT_RELU: return v_max(v_zero(), x);
    case ACT_RELU2: return v_mul(x, v_max(v_zero(), x));
    case ACT_RELU6: return v_clip(x, 0, 6);
    case ACT_LEAKY_RELU: return v_select(v_lt(x, v_zero()), v_mul(v_set(0.01f), x), x);
    case ACT_HARDSWISH: /* x relu6(x + 3) / 6 */ return v_mul(x, v_div(v_clip(v_add(x, v_set(3)), 0, 6), v_set(6)));
    case ACT_TANH: return v_tanh(x);
    case ACT_MISH: return v_mul(x, v_mish_factor(x));
    default: return x;
    }
}

/* Where the activation is no constant: one copy a file. */
static __attribute__((noinline, unused)) vf activate_any(enum activation act, vf x)
{
    return activate(act, x);
}

/* 1 where low < x < high, else 0. */
LANE_FN vf v_inside(vf x, float low, float high)
{
    return v_select(v_lt(v_set(low), x), v_select(v_lt(x, v_set(high)), v_set(1), v_zero()), v_zero());
}
LANE_CALL vf v_mish_slope(vf x, vf *value) /* t + x (1 - t^2) sigmoid(x), t the factor */
{
    vf t = v_mish_factor(x);
    *value = v_mul(x, t);
    return v_fma(v_mul(x, v_fnma(t, t, v_set(1))), v_sigmoid_called(x), t);
}
/* Of what is made of the normal distribution function: x Phi(x), perhaps clipped, or Phi((x - mu) / sigma). */
LANE_CALL vf phi_slope(enum activation act, vf x, vf *value)
{
    vf z = act == ACT_LAPLACE ? v_div(v_sub(x, v_set(LAPLACE_MU)), v_set(LAPLACE_SIGMA)) : x, phi = v_phi(z);
    vf density = v_mul(v_set(0x1.988454p-2f), v_exp_called(v_mul(v_set(-0.5f), v_mul(z, z)))); /* 1/sqrt(2 pi) */
    if (act == ACT_LAPLACE) {
        *value = phi;
        return v_div(density, v_set(LAPLACE_SIGMA));
    }
    *value = v_mul(x, phi);
    vf g = v_fma(x, density, phi);
    if (act == ACT_GELU_10) {
        g = v_mul(g, v_inside(*value, -10, 10));
        *value = v_clip(*value, -10, 10);
    }
    return g;
}
LANE_CALL vf sigmoid_slope(enum activation act, vf x, vf *value)
{
    vf rise, s = sigmoid_of(act, x, &rise), rest = v_sub(v_set(1), s);
    *value = act == ACT_SIGMOID ? s : v_mul(x, s);
    vf g = v_mul(*value, rest);
    return act == ACT_SIGMOID ? g : v_fma(g, rise, s);
}

/* Derivatives, and the function beside them (to the last bit or so: not always the forward pass's rounding). */
LANE_FN vf slope(enum activation act, vf x, vf *value)
{
    switch (act) {
    case ACT_SILU: return v_silu_slope(x, value);
    case ACT_GELU_TANH:
    case ACT_QUICK_GELU:
    case ACT_SIGMOID: return sigmoid_slope(act, x, value);
    case ACT_GELU:
    case ACT_GELU_10:
    case ACT_LAPLACE: return phi_slope(act, x, value);
    case ACT_MISH: return v_mish_slope(x, value);
    default: break;
    }
    vf y = *value = activate_any(act, x);
    switch (act) {
    case ACT_RELU: return v_inside(x, 0, INFINITY);
    case ACT_RELU2: return v_mul(v_set(2), v_max(v_zero(), x));
    case ACT_RELU6: return v_inside(x, 0, 6);
    case ACT_LEAKY_RELU: return v_select(v_lt(x, v_zero()), v_set(0.01f), v_set(1));
    case ACT_HARDSWISH: /* 0 below -3, 1 above 3, (2x + 3) / 6 between */
        y = v_div(v_add(v_add(x, x), v_set(3)), v_set(6));
        return v_select(v_lt(x, v_set(-3)), v_zero(), v_select(v_lt(x, v_set(3)), y, v_set(1)));
    case ACT_TANH: return v_fnma(y, y, v_set(1));
    default: return v_set(1);
    }
}

static __attribute__((noinline, unused)) vf slope_any(enum activation act, vf x, vf *value)
{
    return slope(act, x, value);
}

#endif
