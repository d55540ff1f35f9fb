/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over a row of logits: its maximum and the sum of exponentials (16 lanes, folded 8 apart, 4, 2, 1), and what is
 * derived from them. */
#include "cpu/kernels_unit.h"

float KERNEL(row_max)(const float *x, int n)
{
    vf top = v_set(-INFINITY);
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        top = v_max(top, v_load(x + i));
    if (i < n)
        top = v_max(top, v_select(v_first_lanes(n - i), v_load_n(x + i, n - i), v_set(-INFINITY)));
    return v_fold_max(top);
}

/* keep: the exponentials replace the row. */
float KERNEL(row_exp_sum)(float *x, int n, float max, int keep)
{
    vf sum = v_zero(), m = v_set(max);
    for (int i = 0; i < n; i += LANES) {
        vf e = v_exp(v_sub(v_load_n(x + i, n - i), m));
        if (n - i < LANES)
            e = v_select(v_first_lanes(n - i), e, v_zero());
        if (keep)
            v_store_n(x + i, e, n - i);
        sum = v_add(sum, e);
    }
    return v_fold(sum);
}

float KERNEL(exp_one)(float x)
{
    return f_exp(x);
}

/* Fills free places first; afterwards only what is greater than the last: ids come in order, so ties stay with the
 * lower. */
LANE_FN void top_push(struct top_list *top, float value, int32_t id)
{
    int at = top->n < top->max ? top->n++ : top->max - 1;
    for (; at && top->values[at - 1] < value; at--) {
        top->values[at] = top->values[at - 1];
        top->ids[at] = top->ids[at - 1];
    }
    top->values[at] = value;
    top->ids[at] = id;
}

void KERNEL(row_log_softmax)(float *y, const float *x, int n, float max, float log_sum)
{
    vf m = v_set(max), l = v_set(log_sum);
    for (int i = 0; i < n; i += LANES)
        v_store_n(y + i, v_sub(v_sub(v_load_n(x + i, n - i), m), l), n - i);
}

void KERNEL(row_top)(struct top_list *top, const float *x, int n, const float *bias)
{
    vf b = v_set(bias ? *bias : 0);
    float values[LANES];
    for (int i = 0; i < n; i += LANES) {
        vf v = v_load_n(x + i, n - i);
        if (bias)
            v = v_add(v, b);
        int full = top->n == top->max;
        unsigned hits = v_bits(full ? v_lt(v_set(top->values[top->max - 1]), v) : v_ge(v, v_set(-INFINITY)));
        if (n - i < LANES)
            hits &= (1u << (n - i)) - 1;
        if (!hits)
            continue;
        v_store(values, v);
        for (; hits; hits &= hits - 1) {
            int lane = __builtin_ctz(hits);
            if (top->n < top->max || values[lane] > top->values[top->max - 1])
                top_push(top, values[lane], i + lane);
        }
    }
}

/* ids of elements in low..high (high not included unless it is infinite), in order; returns how many. */
int KERNEL(row_band)(int32_t *ids, const float *x, int n, float low, float high)
{
    int count = 0;
    vf from = v_set(low), to = v_set(high);
    for (int i = 0; i < n; i += LANES) {
        vf v = v_load_n(x + i, n - i);
        unsigned hits = v_bits(v_ge(v, from));
        if (high < INFINITY)
            hits &= v_bits(v_lt(v, to));
        if (n - i < LANES)
            hits &= (1u << (n - i)) - 1;
        for (; hits; hits &= hits - 1)
            ids[count++] = i + __builtin_ctz(hits);
    }
    return count;
}

/* Sixteen double lanes; a square of f32 is exact in double. */
double KERNEL(squares)(const float *x, size_t n)
{
    double sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; i + j < n; j++)
        sum[j] += (double)x[i + j] * (double)x[i + j];
    for (int half = 8; half; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}

void KERNEL(adamw)(const struct adamw_args *a, float *param, const float *grad, float *m, float *v, size_t n)
{
    vf keep = v_set(1 - a->lr * a->decay), new1 = v_set(1 - a->beta1), beta2 = v_set(a->beta2),
       new2 = v_set(1 - a->beta2);
    vf scale = v_set(a->grad_scale), c1 = v_set(a->c1), c2 = v_set(a->c2), eps = v_set(a->eps), lr = v_set(a->lr);
    for (size_t i = 0; i < n; i += LANES) {
        int left = n - i < LANES ? (int)(n - i) : LANES;
        vf g = v_mul(v_load_n(grad + i, left), scale), first = v_load_n(m + i, left), second = v_load_n(v + i, left);
        first = v_add(first, v_mul(new1, v_sub(g, first)));
        second = v_add(v_mul(second, beta2), v_mul(v_mul(g, new2), g));
        vf step = v_div(v_div(first, c1), v_add(v_sqrt(v_div(second, c2)), eps));
        v_store_n(m + i, first, left);
        v_store_n(v + i, second, left);
        v_store_n(param + i, v_sub(v_mul(v_load_n(param + i, left), keep), v_mul(lr, step)), left);
    }
}

/* bf16 by adding 16 random bits and cutting 16 off: up with the probability that makes the mean exact. */
void KERNEL(round_moments)(const struct moments *m, size_t n, uint32_t key, uint32_t first)
{
    for (size_t i = 0; i < n; i += LANES) {
        size_t count = n - i < LANES ? n - i : LANES;
        uint32_t a[LANES] = {0}, b[LANES] = {0};
        memcpy(a, m->m + i, count * sizeof *a);
        memcpy(b, m->v + i, count * sizeof *b);
        for (uint32_t j = 0; j < LANES; j++) {
            uint32_t r = noise_of(key, first + (uint32_t)i + j);
            a[j] = (a[j] + (r & 0xffff)) >> 16;
            b[j] = (b[j] + (r >> 16)) >> 16;
        }
        for (size_t j = 0; j < count; j++) {
            m->m_kept[i + j] = (uint16_t)a[j];
            m->v_kept[i + j] = (uint16_t)b[j];
        }
    }
}
