/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that treat every element alike: rotation, activations, conversions, sums. */
static void rope_kernel(float *head, const float *table, int half, int inverse)
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

static void add_kernel(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    if (i < n)
        v_store_n(y + i, v_add(v_load_n(y + i, (int)(n - i)), v_load_n(x + i, (int)(n - i))), (int)(n - i));
}

static void divide_kernel(float *y, float a, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        v_store_n(y + i, v_div(v_load_n(y + i, left), v_set(a)), left);
    }
}

LANE_FN vf load_as(const void *x, enum dtype t, size_t i, int left)
{
    if (t == DTYPE_BF16)
        return v_load_bf16_n((const uint16_t *)x + i, left);
    return v_load_n((const float *)x + i, left);
}
LANE_FN void store_as(void *y, enum dtype t, size_t i, vf v, int left)
{
    if (t == DTYPE_BF16)
        v_store_bf16_n((uint16_t *)y + i, v, left);
    else
        v_store_n((float *)y + i, v, left);
}

static void cast_kernel(void *y, enum dtype y_dtype, const void *x, enum dtype x_dtype, size_t n)
{
    if (x_dtype == DTYPE_F16 || y_dtype == DTYPE_F16) {
        for (size_t i = 0; i < n; i++) {
            float v = x_dtype == DTYPE_F16 ? f16_to_f32(((const uint16_t *)x)[i])
                      : x_dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)x)[i]) : ((const float *)x)[i];
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

LANE_FN vf activate(enum activation act, vf x)
{
    switch (act) {
    case ACT_SILU:
        return v_silu(x);
    case ACT_RELU:
        return v_max(v_zero(), x);
    case ACT_GELU:
        return v_gelu(x);
    default:
        return v_gelu_tanh(x);
    }
}
LANE_FN vf slope(enum activation act, vf x, vf *value)
{
    switch (act) {
    case ACT_SILU:
        return v_silu_slope(x, value);
    case ACT_RELU:
        *value = v_max(v_zero(), x);
        return v_select(v_lt(v_zero(), x), v_set(1), v_zero());
    case ACT_GELU:
        return v_gelu_slope(x, value);
    default:
        return v_gelu_tanh_slope(x, value);
    }
}

LANE_FN void gate_row(enum activation act, void *y, enum dtype y_dtype, const void *g, const void *u, enum dtype x_dtype, int n)
{
    for (int i = 0; i < n; i += LANES) {
        int left = n - i;
        vf v = activate(act, load_as(g, x_dtype, (size_t)i, left));
        if (u)
            v = v_mul(v, load_as(u, x_dtype, (size_t)i, left));
        store_as(y, y_dtype, (size_t)i, v, left);
    }
}
static void gate_kernel(enum activation act, void *y, enum dtype y_dtype, const void *g, const void *u, enum dtype x_dtype, int n)
{
    if (act == ACT_SILU && x_dtype == DTYPE_BF16) /* constants let the compiler choose once */
        gate_row(ACT_SILU, y, y_dtype, g, u, DTYPE_BF16, n);
    else if (act == ACT_SILU)
        gate_row(ACT_SILU, y, y_dtype, g, u, DTYPE_F32, n);
    else
        gate_row(act, y, y_dtype, g, u, x_dtype, n);
}

LANE_FN void gate_dx_row(enum activation act, float *dg, float *du, const void *g, const void *u, enum dtype x_dtype, const float *dy, int n)
{
    for (int i = 0; i < n; i += LANES) {
        int left = n - i;
        vf x = load_as(g, x_dtype, (size_t)i, left), d = v_load_n(dy + i, left), value, s = slope(act, x, &value);
        if (u) {
            vf up = load_as(u, x_dtype, (size_t)i, left);
            v_store_n(du + i, v_mul(d, value), left);
            s = v_mul(s, up);
        }
        v_store_n(dg + i, v_mul(d, s), left);
    }
}
static void gate_dx_kernel(enum activation act, float *dg, float *du, const void *g, const void *u, enum dtype x_dtype, const float *dy, int n)
{
    if (act == ACT_SILU && x_dtype == DTYPE_BF16)
        gate_dx_row(ACT_SILU, dg, du, g, u, DTYPE_BF16, dy, n);
    else if (act == ACT_SILU)
        gate_dx_row(ACT_SILU, dg, du, g, u, DTYPE_F32, dy, n);
    else
        gate_dx_row(act, dg, du, g, u, x_dtype, dy, n);
}
