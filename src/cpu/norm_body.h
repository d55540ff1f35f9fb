/* SPDX-License-Identifier: Apache-2.0 */
/* RMS and layer norm, one row at a time. Sums run in 16 lanes, folded 8 apart, 4, 2, 1. With s the row's 1/rms (or
 * 1/deviation) and h = (x - mean) s: y = h w + b, and dx = s (g - h mean(g h) [- mean(g]), g = dy w. */
#include "cpu/kernels_unit.h"

/* 0 adds nothing, not even a sign. */
LANE_FN vf norm_weight(const float *weight, int i, float offset, int left)
{
    vf w = weight ? v_load_n(weight + i, left) : v_set(1 - offset);
    return offset != 0 ? v_add(v_set(offset), w) : w;
}

LANE_FN float row_sum(const float *x, int n)
{
    vf sum = v_zero();
    for (int i = 0; i < n; i += LANES)
        sum = v_add(sum, v_load_n(x + i, n - i));
    return v_fold(sum);
}

LANE_FN float row_squares(const float *x, float mean, int n)
{
    vf sum = v_zero(), m = v_set(mean);
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf d = v_sub(v_load(x + i), m);
        sum = v_fma(d, d, sum);
    }
    if (i < n) {
        vf d = v_select(v_first_lanes(n - i), v_sub(v_load_n(x + i, n - i), m), v_zero());
        sum = v_fma(d, d, sum);
    }
    return v_fold(sum);
}

void KERNEL(norm)(const struct norm_row *r)
{
    int layer = r->kind == NORM_LAYER;
    float mean = layer ? row_sum(r->x, r->n) / (float)r->n : 0;
    float inverse = 1.0f / sqrtf(row_squares(r->x, mean, r->n) / (float)r->n + r->eps);
    vf m = v_set(mean), s = v_set(inverse);
    for (int i = 0; i < r->n; i += LANES) {
        int left = r->n - i;
        vf y = v_mul(v_mul(v_sub(v_load_n(r->x + i, left), m), s), norm_weight(r->weight, i, r->offset, left));
        if (r->bias)
            y = v_add(y, v_load_n(r->bias + i, left));
        if (r->y_dtype == DTYPE_BF16)
            v_store_bf16_n((uint16_t *)r->y + i, y, left);
        else
            v_store_n((float *)r->y + i, y, left);
    }
    if (r->inverse)
        *r->inverse = inverse;
    if (r->mean)
        *r->mean = mean;
}

void KERNEL(norm_dx)(const struct norm_dx_row *r)
{
    vf m = v_set(r->mean), s = v_set(r->inverse), along = v_zero(), total = v_zero();
    for (int i = 0; i < r->n; i += LANES) { /* g is zero past the end, as dy is */
        int left = r->n - i;
        vf g = v_mul(v_load_n(r->dy + i, left), norm_weight(r->weight, i, r->offset, left));
        along = v_fma(g, v_mul(v_sub(v_load_n(r->x + i, left), m), s), along);
        total = v_add(total, g);
    }
    vf a = v_set(v_fold(along) / (float)r->n), b = v_set(r->kind == NORM_LAYER ? v_fold(total) / (float)r->n : 0);
    for (int i = 0; i < r->n; i += LANES) {
        int left = r->n - i;
        vf g = v_mul(v_load_n(r->dy + i, left), norm_weight(r->weight, i, r->offset, left));
        vf h = v_mul(v_sub(v_load_n(r->x + i, left), m), s);
        vf dx = v_mul(s, v_sub(v_fnma(h, a, g), b));
        v_store_n(r->dx + i, r->accumulate ? v_add(v_load_n(r->dx + i, left), dx) : dx, left);
    }
}

void KERNEL(norm_dw)(const struct norm_dw_columns *c)
{
    for (int i = c->begin; i < c->end; i += LANES) {
        int left = c->end - i;
        vf dw = c->dweight ? v_load_n(c->dweight + i, left) : v_zero(),
           db = c->dbias ? v_load_n(c->dbias + i, left) : v_zero();
        for (int r = 0; r < c->n_row * c->n_group; r++) {
            size_t t = (size_t)(r / c->n_group), at = (size_t)(r % c->n_group) * (size_t)c->n_col + (size_t)i;
            vf dy = v_load_n(c->dy + t * c->dy_stride + at, left), x = v_load_n(c->x + t * c->x_stride + at, left);
            vf h = v_mul(v_sub(x, v_set(c->kind == NORM_LAYER ? c->mean[r] : 0)), v_set(c->inverse[r]));
            dw = v_fma(dy, h, dw);
            db = v_add(db, dy);
        }
        if (c->dweight)
            v_store_n(c->dweight + i, dw, left);
        if (c->dbias)
            v_store_n(c->dbias + i, db, left);
    }
}
