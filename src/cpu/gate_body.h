/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of activations: gates and soft caps. */
#include "cpu/activate.h"
#include "cpu/kernels_unit.h"

/* y = cap tanh(x / cap) */
void KERNEL(soft_cap)(float *x, float cap, size_t n)
{
    vf c = v_set(cap);
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        v_store_n(x + i, v_mul(c, activate_any(ACT_TANH, v_div(v_load_n(x + i, left), c))), left);
    }
}
LANE_FN void gate_of(const struct gate_row *r, enum activation act, enum dtype x_dtype)
{
    for (int i = 0; i < r->n; i += LANES) {
        int left = r->n - i;
        vf x = load_as(r->g, x_dtype, (size_t)i, left), v = act == ACT_SILU ? v_silu(x) : activate_any(act, x);
        if (r->u)
            v = v_mul(v, load_as(r->u, x_dtype, (size_t)i, left));
        store_as(r->y, r->y_dtype, (size_t)i, v, left);
    }
}
void KERNEL(gate)(const struct gate_row *r)
{
    if (r->act == ACT_SILU && r->x_dtype == DTYPE_BF16) /* constants let the compiler choose once */
        gate_of(r, ACT_SILU, DTYPE_BF16);
    else if (r->act == ACT_SILU)
        gate_of(r, ACT_SILU, DTYPE_F32);
    else
        gate_of(r, r->act, r->x_dtype);
}
