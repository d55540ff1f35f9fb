/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of activations. */
#include "cpu/activate.h"
#include "cpu/kernels_unit.h"

/* g *= 1 - (y / cap)^2, y what the soft cap gave */
void KERNEL(soft_cap_dx)(float *g, const float *y, float cap, size_t n)
{
    vf c = v_set(cap);
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        vf t = v_div(v_load_n(y + i, left), c);
        v_store_n(g + i, v_mul(v_load_n(g + i, left), v_fnma(t, t, v_set(1))), left);
    }
}

LANE_FN void gate_dx_of(const struct gate_dx_row *r, enum activation act)
{
    for (int i = 0; i < r->n; i += LANES) {
        int left = r->n - i;
        vf x = load_as(r->g, r->x_dtype, (size_t)i, left), d = v_load_n(r->dy + i, left), value,
           s = act == ACT_SILU ? v_silu_slope(x, &value) : slope_any(act, x, &value);
        if (r->u) {
            vf up = load_as(r->u, r->x_dtype, (size_t)i, left);
            v_store_n(r->du + i, v_mul(d, value), left);
            s = v_mul(s, up);
        }
        v_store_n(r->dg + i, v_mul(d, s), left);
    }
}
void KERNEL(gate_dx)(const struct gate_dx_row *r)
{
    if (r->act == ACT_SILU)
        gate_dx_of(r, ACT_SILU);
    else
        gate_dx_of(r, r->act);
}
