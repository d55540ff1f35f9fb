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

/* y = cap tanh(x / cap) */
static void soft_cap_kernel(float *x, float cap, size_t n)
{
    vf c = v_set(cap);
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        v_store_n(x + i, v_mul(c, activate_any(ACT_TANH, v_div(v_load_n(x + i, left), c))), left);
    }
}
/* g *= 1 - (y / cap)^2, y what the soft cap gave */
static void soft_cap_dx_kernel(float *g, const float *y, float cap, size_t n)
{
    vf c = v_set(cap);
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        vf t = v_div(v_load_n(y + i, left), c);
        v_store_n(g + i, v_mul(v_load_n(g + i, left), v_fnma(t, t, v_set(1))), left);
    }
}

/* sum[begin..end) += rows x [n_row], in order */
static void column_sums_kernel(float *sum, const float *x, size_t stride, int n_row, int begin, int end)
{
    for (int i = begin; i < end; i += LANES) {
        vf s = v_load_n(sum + i, end - i);
        for (int t = 0; t < n_row; t++)
            s = v_add(s, v_load_n(x + (size_t)t * stride + (size_t)i, end - i));
        v_store_n(sum + i, s, end - i);
    }
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

static float load_one(const void *x, enum dtype t, size_t i)
{
    switch (t) {
    case DTYPE_F16: return f16_to_f32(((const uint16_t *)x)[i]);
    case DTYPE_BF16: return bf16_to_f32(((const uint16_t *)x)[i]);
    default: return ((const float *)x)[i];
    }
}

static void cast_kernel(void *y, enum dtype y_dtype, const void *x, enum dtype x_dtype, size_t n)
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
static void gate_kernel(const struct gate_row *r)
{
    if (r->act == ACT_SILU && r->x_dtype == DTYPE_BF16) /* constants let the compiler choose once */
        gate_of(r, ACT_SILU, DTYPE_BF16);
    else if (r->act == ACT_SILU)
        gate_of(r, ACT_SILU, DTYPE_F32);
    else
        gate_of(r, r->act, r->x_dtype);
}

LANE_FN void gate_dx_of(const struct gate_dx_row *r, enum activation act, enum dtype x_dtype)
{
    for (int i = 0; i < r->n; i += LANES) {
        int left = r->n - i;
        vf x = load_as(r->g, x_dtype, (size_t)i, left), d = v_load_n(r->dy + i, left), value,
           s = act == ACT_SILU ? v_silu_slope(x, &value) : slope_any(act, x, &value);
        if (r->u) {
            vf up = load_as(r->u, x_dtype, (size_t)i, left);
            v_store_n(r->du + i, v_mul(d, value), left);
            s = v_mul(s, up);
        }
        v_store_n(r->dg + i, v_mul(d, s), left);
    }
}
static void gate_dx_kernel(const struct gate_dx_row *r)
{
    if (r->act == ACT_SILU && r->x_dtype == DTYPE_BF16)
        gate_dx_of(r, ACT_SILU, DTYPE_BF16);
    else if (r->act == ACT_SILU)
        gate_dx_of(r, ACT_SILU, DTYPE_F32);
    else
        gate_dx_of(r, r->act, r->x_dtype);
}
