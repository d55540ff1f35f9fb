/* SPDX-License-Identifier: Apache-2.0 */
/* Products with a packed weight and its gradients. Threads split outputs, never the summed dimension. */
#include "cpu/linear.h"

#include <math.h>
#include <string.h>

struct forward {
    struct queue *q;
    const struct linear_args *a;
    const struct weight *w;
    const int32_t *rows;
    int64_t x_stride, y_stride, n_out;
};

static float x_at(const struct forward *f, int64_t t, int64_t k)
{
    int64_t at = (f->rows ? f->rows[t] : t) * f->x_stride + k;
    float v = f->a->x_dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)cpu_ptr(f->a->x))[at]) : ((const float *)cpu_ptr(f->a->x))[at];
    return f->w->dtype == DTYPE_BF16 ? bf16_to_f32(f32_to_bf16(v)) : v;
}

/* tile [chunk][32] f32 := panel's k begin..begin+n */
static void expand(const struct weight *w, int64_t panel, int64_t begin, int64_t n, float *tile)
{
    const uint16_t *h = panel_bf16(w, panel);
    if (w->dtype == DTYPE_F32) {
        memcpy(tile, panel_f32(w, panel) + begin * PANEL, (size_t)n * PANEL * sizeof *tile);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < PANEL; j++)
            tile[k * PANEL + j] = bf16_to_f32(h[bf16_at(begin + k, j)]);
}

static void product_row(const struct forward *f, int64_t t, int64_t panel, float *acc, float *scratch)
{
    enum { CHUNK = 256 };
    float x[CHUNK];
    memset(acc, 0, PANEL * sizeof *acc);
    for (int64_t begin = 0; begin < f->w->k; begin += CHUNK) {
        int64_t n = f->w->k - begin < CHUNK ? f->w->k - begin : CHUNK;
        for (int64_t i = 0; i < n; i++)
            x[i] = x_at(f, t, begin + i);
        expand(f->w, panel, begin, n, scratch);
        linear_chain_generic(acc, x, n, scratch);
    }
}

static float one_product(const struct forward *f, const float *sums, int64_t n)
{
    const float *bias = cpu_ptr(f->a->bias);
    return bias ? sums[n] + bias[n] : sums[n];
}

static void forward_row(void *context, int piece, int worker)
{
    const struct forward *f = context;
    const struct linear_args *a = f->a;
    int64_t t = piece, n_panel = (f->w->n + PANEL - 1) / PANEL;
    float *scratch = cpu_scratch(f->q, worker), *sums = scratch + 256 * PANEL;
    for (int64_t p = 0; p < n_panel; p++)
        product_row(f, t, p, sums + p * PANEL, scratch);
    const float *residual = cpu_ptr(a->residual);
    for (int64_t n = 0; n < f->n_out; n++) {
        float v = one_product(f, sums, n);
        if (a->gate)
            v = v / (1 + expf(-v)) * one_product(f, sums, f->n_out + n);
        if (residual)
            v = v + residual[t * f->n_out + n];
        if (a->y_dtype == DTYPE_BF16)
            ((uint16_t *)cpu_ptr(a->y))[t * f->y_stride + n] = f32_to_bf16(v);
        else
            ((float *)cpu_ptr(a->y))[t * f->y_stride + n] = v;
    }
}

void cpu_linear(struct queue *q, const struct linear_args *a)
{
    int64_t n_out = a->gate ? a->w->n / 2 : a->w->n;
    struct forward f = {.q = q, .a = a, .w = a->w, .rows = cpu_ptr(a->rows), .n_out = n_out,
                        .x_stride = a->x_stride ? a->x_stride : a->w->k, .y_stride = a->y_stride ? a->y_stride : n_out};
    pool_run(cpu_pool(q), a->n_row, forward_row, &f);
}

struct backward {
    const struct linear_dx_args *a;
    const float *dy;
    float *dx;
    int64_t dy_stride, dx_stride;
};

static void dx_row(void *context, int t, int worker)
{
    (void)worker;
    const struct backward *b = context;
    const struct weight *w = b->a->w;
    for (int64_t k = 0; k < w->k; k++) {
        float sum = 0;
        for (int64_t n = 0; n < w->n; n++) {
            float d = b->dy[t * b->dy_stride + n];
            if (w->dtype == DTYPE_F32)
                sum = fmaf(d, panel_f32(w, n / PANEL)[k * PANEL + n % PANEL], sum);
            else
                sum = fmaf(bf16_to_f32(f32_to_bf16(d)), bf16_to_f32(panel_bf16(w, n / PANEL)[bf16_at(k, n % PANEL)]), sum);
        }
        float *to = b->dx + t * b->dx_stride + k;
        *to = b->a->accumulate ? *to + sum : sum;
    }
}

void cpu_linear_dx(struct queue *q, const struct linear_dx_args *a)
{
    struct backward b = {.a = a, .dy = cpu_ptr(a->dy), .dx = cpu_ptr(a->dx),
                         .dy_stride = a->dy_stride ? a->dy_stride : a->w->n, .dx_stride = a->dx_stride ? a->dx_stride : a->w->k};
    pool_run(cpu_pool(q), a->n_row, dx_row, &b);
}

struct outer {
    const struct linear_dw_args *a;
    const float *dy;
    const void *x;
    float *dw;
    int64_t dy_stride, x_stride;
};

static void dw_row(void *context, int n, int worker)
{
    (void)worker;
    const struct outer *o = context;
    const struct linear_dw_args *a = o->a;
    int half = a->compute == DTYPE_BF16;
    float *dw = o->dw + n * a->k;
    for (int64_t t = 0; t < a->n_row; t++) {
        float d = o->dy[t * o->dy_stride + n];
        d = half ? bf16_to_f32(f32_to_bf16(d)) : d;
        for (int64_t k = 0; k < a->k; k++) {
            float x = a->x_dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)o->x)[t * o->x_stride + k]) : ((const float *)o->x)[t * o->x_stride + k];
            dw[k] = fmaf(d, half ? bf16_to_f32(f32_to_bf16(x)) : x, dw[k]);
        }
    }
}

void cpu_linear_dw(struct queue *q, const struct linear_dw_args *a)
{
    struct outer o = {.a = a, .dy = cpu_ptr(a->dy), .x = cpu_ptr(a->x), .dw = cpu_ptr(a->dw),
                      .dy_stride = a->dy_stride ? a->dy_stride : a->n, .x_stride = a->x_stride ? a->x_stride : a->k};
    pool_run(cpu_pool(q), (int)a->n, dw_row, &o);
}
