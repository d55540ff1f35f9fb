/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that treat every element alike: rotation, activations, conversions, sums. */
#include "cpu/kernels_unit.h"

void KERNEL(rope)(float *head, const float *table, int half, int inverse)
{
    vf flip = v_set(inverse ? -0.0f : 0.0f);
    for (int i = 0; i < half; i += LANES) {
        int left = half - i;
        vf a = v_load_n(head + i, left), b = v_load_n(head + half + i, left);
        vf c = v_load_n(table + i, left), s = v_xor(v_load_n(table + half + i, left), flip);
        v_store_n(head + i, v_sub(v_mul(a, c), v_mul(b, s)), left);
        v_store_n(head + half + i, v_add(v_mul(b, c), v_mul(a, s)), left);
    }
}

void KERNEL(add)(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    if (i < n)
        v_store_n(y + i, v_add(v_load_n(y + i, (int)(n - i)), v_load_n(x + i, (int)(n - i))), (int)(n - i));
}

/* sum[begin..end) += rows x [n_row], in order */
void KERNEL(column_sums)(float *sum, const float *x, size_t stride, int n_row, int begin, int end)
{
    for (int i = begin; i < end; i += LANES) {
        vf s = v_load_n(sum + i, end - i);
        for (int t = 0; t < n_row; t++)
            s = v_add(s, v_load_n(x + (size_t)t * stride + (size_t)i, end - i));
        v_store_n(sum + i, s, end - i);
    }
}

void KERNEL(divide)(float *y, float a, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        v_store_n(y + i, v_div(v_load_n(y + i, left), v_set(a)), left);
    }
}

static float load_one(const void *x, enum dtype t, size_t i)
{
    switch (t) {
    case DTYPE_F16: return f16_to_f32(((const uint16_t *)x)[i]);
    case DTYPE_BF16: return bf16_to_f32(((const uint16_t *)x)[i]);
    default: return ((const float *)x)[i];
    }
}

void KERNEL(cast)(void *y, enum dtype y_dtype, const void *x, enum dtype x_dtype, size_t n)
{
    if (x_dtype == DTYPE_F16 || y_dtype == DTYPE_F16) {
        for (size_t i = 0; i < n; i++) {
            float v = load_one(x, x_dtype, i);
            if (y_dtype == DTYPE_F32)
                ((float *)y)[i] = v;
            else
                ((uint16_t *)y)[i] = y_dtype == DTYPE_F16 ? f32_to_f16(v) : f32_to_bf16(v);
        }
        return;
    }
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        store_as(y, y_dtype, i, load_as(x, x_dtype, i, left), left);
    }
}
