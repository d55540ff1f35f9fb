/* SPDX-License-Identifier: Apache-2.0 */
/* What lies between attention's two products, and behind them. */
#include "cpu/kernels_unit.h"

/* Lanes i.. of a row that are keys from..n. */
LANE_FN vf only_seen(const struct softmax_row *r, int i, vf x, vf other)
{
    if (i < r->from)
        x = v_select(v_first_lanes(r->from - i), other, x);
    return r->n - i < LANES ? v_select(v_first_lanes(r->n - i), x, other) : x;
}

static __attribute__((noinline, unused)) vf soft_capped(vf x, float cap, vf *t)
{
    *t = v_tanh(v_div(x, v_set(cap)));
    return v_mul(v_set(cap), *t);
}

/* s[from..n) := exp(s - max), 0 up to width elsewhere, rounded for BF16, as words of two packed to the front, and the
 * sum is of what was stored. */
LANE_FN void softmax_any(const struct softmax_row *r, int half, int words, struct softmax_state *state)
{
    float *s = r->s;
    uint16_t *packed = (uint16_t *)(void *)s, part[LANES];
    vf top = v_set(-INFINITY), total = v_zero(), t;
    for (int i = r->from / LANES * LANES; r->soft_cap > 0 && i < r->n; i += LANES)
        v_store(s + i, soft_capped(v_load(s + i), r->soft_cap, &t));
    for (int i = r->from / LANES * LANES; i < r->n; i += LANES)
        top = v_max(top, only_seen(r, i, v_load(s + i), v_set(-INFINITY)));
    state->max = v_fold_max(top);
    vf m = v_set(state->max);
    for (int i = 0; i < r->width; i += LANES) {
        int seen = i < r->n && i + LANES > r->from;
        vf p = seen ? only_seen(r, i, v_exp(v_sub(v_load(s + i), m)), v_zero()) : v_zero();
        if (half) {
            uint16_t *to = words ? packed + i : part;
            v_store_bf16(to, p);
            p = v_load_bf16(to);
        }
        if (!words)
            v_store(s + i, p);
        total = v_add(total, p);
    }
    state->sum = v_fold(total);
}
void KERNEL(softmax)(const struct softmax_row *r, struct softmax_state *state)
{
    if (r->words)
        softmax_any(r, 1, 1, state);
    else if (r->dtype == DTYPE_BF16)
        softmax_any(r, 1, 0, state);
    else
        softmax_any(r, 0, 0, state);
}

/* Joins a chunk's state to the rows before it: both are brought to the greater maximum. */
void KERNEL(merge)(struct softmax_state *whole, const struct softmax_state *part, float *o, const float *part_o, int n)
{
    float top = whole->max > part->max ? whole->max : part->max;
    float a = f_exp(whole->max - top), b = f_exp(part->max - top);
    whole->max = top;
    whole->sum = fmaf(whole->sum, a, part->sum * b);
    for (int i = 0; i < n; i += LANES) {
        int left = n - i;
        v_store_n(o + i, v_fma(v_load_n(o + i, left), v_set(a), v_mul(v_load_n(part_o + i, left), v_set(b))), left);
    }
}

/* Keys past a row's end have weight zero and may have turned +0 into -0 or not: adding +0 settles it. */
void KERNEL(finish)(void *out, enum dtype out_dtype, const struct softmax_state *state, const float *o, int n,
                    float *lse)
{
    vf sum = v_set(state->sum);
    for (int i = 0; i < n; i += LANES)
        store_as(out, out_dtype, (size_t)i, v_add(v_div(v_load_n(o + i, n - i), sum), v_zero()), n - i);
    if (lse)
        *lse = state->max + f_log(state->sum);
}

void KERNEL(copy_scaled)(float *y, const float *x, float scale, int n)
{
    for (int i = 0; i < n; i += LANES)
        v_store_n(y + i, v_mul(v_load_n(x + i, n - i), v_set(scale)), n - i);
}

/* Rounded to bf16; y of bf16 or f32. */
void KERNEL(round_scaled)(void *y, enum dtype y_dtype, const float *x, float scale, int n)
{
    for (int i = 0; i < n; i += LANES) {
        uint16_t part[LANES];
        v_store_bf16(part, v_mul(v_load_n(x + i, n - i), v_set(scale)));
        store_as(y, y_dtype, (size_t)i, v_load_bf16(part), n - i);
    }
}

float KERNEL(dot)(const float *x, const float *y, int n)
{
    vf sum = v_zero();
    for (int i = 0; i < n; i += LANES)
        sum = v_fma(v_load_n(x + i, n - i), v_load_n(y + i, n - i), sum);
    return v_fold(sum);
}

/* Backward, in keys from..n: s := p = exp(s - lse), dp := p (dp - delta) scale, by the slope of the soft cap; both zero
 * elsewhere up to width. */
void KERNEL(softmax_dx)(const struct softmax_dx_row *r)
{
    vf l = v_set(r->lse), e = v_set(r->delta), c = v_set(r->scale), t = v_zero();
    for (int i = 0; i < r->width; i += LANES) {
        vf x = v_load(r->s + i), d = v_load(r->dp + i);
        if (r->soft_cap > 0)
            x = soft_capped(x, r->soft_cap, &t);
        vf p = v_exp(v_sub(x, l));
        d = v_mul(v_mul(p, v_sub(d, e)), c);
        if (r->soft_cap > 0)
            d = v_mul(d, v_fnma(t, t, v_set(1)));
        vm in = v_first_lanes(r->n - i), before = v_first_lanes(r->from - i);
        v_store(r->s + i, v_select(before, v_zero(), v_select(in, p, v_zero())));
        v_store(r->dp + i, v_select(before, v_zero(), v_select(in, d, v_zero())));
    }
}
