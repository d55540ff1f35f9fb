/* SPDX-License-Identifier: Apache-2.0 */
/* Norms of rows, and of heads inside rows, against plain double-precision code at odd sizes; gradients against central
 * differences of that code; and the same bits on every instruction set and thread count. */
#include "tests/ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 130, 255, 256, 257, 576};
enum { N_SIZE = sizeof sizes / sizeof *sizes, ROWS = 11, MOST = 600 };

struct norm_case {
    enum norm_kind kind;
    int n, bias;
    enum dtype y_dtype;
};

struct moments {
    double inverse, mean;
};

static void norm_oracle(const struct norm_case *c, const double *x, const double *w, const double *b, double *y,
                        struct moments *out)
{
    double m = 0, ss = 0;
    for (int i = 0; i < c->n && c->kind == NORM_LAYER; i++)
        m += x[i] / c->n;
    for (int i = 0; i < c->n; i++)
        ss += (x[i] - m) * (x[i] - m) / c->n;
    out->inverse = 1 / sqrt(ss + 1e-3f);
    out->mean = m;
    for (int i = 0; i < c->n; i++)
        y[i] = (x[i] - m) * out->inverse * w[i] + (c->bias ? b[i] : 0);
}

static void norm_inputs(const struct norm_case *c, float *x, float *w, float *b, float *dy)
{
    ops_fill(x, (size_t)(ROWS * c->n), 1);
    ops_fill(w, (size_t)c->n, 2);
    ops_fill(b, (size_t)c->n, 3);
    ops_fill(dy, (size_t)(ROWS * c->n), 4);
    for (int i = 0; i < ROWS * c->n; i++)
        x[i] += 0.5f;
}

static float nx[ROWS * MOST], nw[MOST], nb[MOST], ndy[ROWS * MOST];

/* out: y, inverse, mean, dx (accumulated on 0.25), dweight (on 0.5), dbias (on 0.5; rows in two calls) */
static size_t norm_run(struct ops *o, const void *parameter, float *out)
{
    const struct norm_case *c = parameter;
    size_t n = (size_t)c->n, all = ROWS * n, row = 4 * n;
    norm_inputs(c, nx, nw, nb, ndy);
    float *start = malloc(all * 4), *half = malloc(n * 4);
    for (size_t i = 0; i < all; i++)
        start[i] = 0.25f;
    for (size_t i = 0; i < n; i++)
        half[i] = 0.5f;
    struct span x = ops_new(o, nx, all * 4), w = ops_new(o, nw, row), b = c->bias ? ops_new(o, nb, row) : SPAN_NONE,
                dy = ops_new(o, ndy, all * 4);
    struct span y = ops_new(o, NULL, all * dtype_size(c->y_dtype)), inverse = ops_new(o, NULL, ROWS * 4),
                mean = ops_new(o, NULL, ROWS * 4);
    struct span dx = ops_new(o, start, all * 4), dw = ops_new(o, half, row), db = ops_new(o, half, row);
    tensor_norm(o->queue, &(struct norm_args){.kind = c->kind,
                                              .n_row = ROWS,
                                              .n_col = c->n,
                                              .eps = 1e-3f,
                                              .x = x,
                                              .weight = w,
                                              .bias = b,
                                              .y = y,
                                              .y_dtype = c->y_dtype,
                                              .inverse = inverse,
                                              .mean = mean});
    for (int t = 0; t < ROWS; t += 4) {
        size_t at = (size_t)t * n * 4;
        tensor_norm_dx(o->queue, &(struct norm_dx_args){.kind = c->kind,
                                                        .n_row = t + 4 < ROWS ? 4 : ROWS - t,
                                                        .n_col = c->n,
                                                        .x = span_at(x, at),
                                                        .weight = w,
                                                        .inverse = span_at(inverse, (size_t)t * 4),
                                                        .mean = span_at(mean, (size_t)t * 4),
                                                        .dy = span_at(dy, at),
                                                        .dx = span_at(dx, at),
                                                        .accumulate = 1,
                                                        .dweight = dw,
                                                        .dbias = c->bias ? db : SPAN_NONE});
    }
    float *p = out;
    if (c->y_dtype == DTYPE_BF16) {
        uint16_t *h = malloc(all * 2);
        ops_get(o, h, y, all * 2);
        for (size_t i = 0; i < all; i++)
            p[i] = bf16_to_f32(h[i]);
        free(h);
    } else
        ops_get(o, p, y, all * 4);
    ops_get(o, p += all, inverse, ROWS * 4);
    if (c->kind == NORM_LAYER)
        ops_get(o, p + ROWS, mean, ROWS * 4);
    else
        memset(p + ROWS, 0, ROWS * 4);
    ops_get(o, p += 2 * ROWS, dx, all * 4);
    ops_get(o, p += all, dw, row);
    ops_get(o, p += n, db, row);
    free(start);
    free(half);
    return 2 * all + 2 * ROWS + 2 * n;
}

/* Loss = sum of y*dy; d(loss)/d(what[i]) by central differences of the oracle. */
static double norm_slope(const struct norm_case *c, double *x, double *w, double *b, double *what, const float *dy)
{
    struct moments moments;
    double y[MOST], sum[2] = {0}, was = *what;
    for (int side = 0; side < 2; side++) {
        *what = was + (side ? 1e-5 : -1e-5);
        norm_oracle(c, x, w, b, y, &moments);
        for (int i = 0; i < c->n; i++)
            sum[side] += y[i] * dy[i];
    }
    *what = was;
    return (sum[1] - sum[0]) / 2e-5;
}

static void norm_check(const struct norm_case *c)
{
    size_t count, n = (size_t)c->n;
    float *got = ops_same_bits(norm_run, c, &count), *dx = got + ROWS * n + 2 * ROWS, *dw = dx + ROWS * n;
    double x[MOST], w[MOST], b[MOST], y[MOST], sw[MOST] = {0}, sb[MOST] = {0};
    struct moments moments;
    for (size_t t = 0; t < ROWS; t++) {
        for (size_t i = 0; i < n; i++) {
            x[i] = nx[t * n + i];
            w[i] = nw[i];
            b[i] = nb[i];
        }
        norm_oracle(c, x, w, b, y, &moments);
        ops_close_to("inverse", t, got[ROWS * n + t], moments.inverse, 0, 1e-6);
        if (c->kind == NORM_LAYER)
            ops_close_to("mean", t, got[ROWS * n + ROWS + t], moments.mean, 1e-6, 1e-6);
        for (size_t i = 0; i < n; i++) {
            ops_close_to("y", t * n + i, got[t * n + i], y[i], 3e-6, c->y_dtype == DTYPE_BF16 ? 0x1p-8 : 2e-6);
            sw[i] += ndy[t * n + i] * (x[i] - moments.mean) * moments.inverse;
            sb[i] += ndy[t * n + i];
            if (t == 0 || i % 37 == 0)
                ops_close_to("dx", t * n + i, dx[t * n + i], 0.25 + norm_slope(c, x, w, b, &x[i], ndy + t * n), 1e-5,
                             1e-5);
        }
    }
    for (size_t i = 0; i < n; i++) {
        ops_close_to("dweight", i, dw[i], 0.5 + sw[i], 1e-5, 1e-5);
        ops_close_to("dbias", i, dw[n + i], 0.5 + (c->bias ? sb[i] : 0), 1e-5, 1e-5);
    }
    free(got);
}

static void norms_and_gradients_match_oracle(void **state)
{
    (void)state;
    for (int i = 0; i < N_SIZE; i += ops_reduced() ? 5 : 1) {
        norm_check(&(struct norm_case){NORM_RMS, sizes[i], 0, DTYPE_F32});
        norm_check(&(struct norm_case){NORM_LAYER, sizes[i], 1, DTYPE_F32});
        norm_check(&(struct norm_case){NORM_RMS, sizes[i], 0, DTYPE_BF16});
    }
}

/* The heads of three rows inside wider rows, normalised in place or out of it, and back: the same as one row a head. */
static size_t grouped_norm_run(struct ops *o, const void *parameter, float *out)
{
    const struct norm_case *c = parameter;
    enum { T = 3, HEADS = 4, WIDE = 3 };
    size_t n = (size_t)c->n, stride = HEADS * n + WIDE, rows = T * HEADS * n * 4, wide = T * stride * 4;
    float *x = malloc(wide), *dy = malloc(wide), *half = calloc(n, 4);
    norm_inputs(&(struct norm_case){c->kind, c->n, 1, DTYPE_F32}, nx, nw, nb, ndy);
    ops_fill(x, T * stride, 31);
    ops_fill(dy, T * stride, 32);
    struct span bx = ops_new(o, x, wide), w = ops_new(o, nw, n * 4),
                b = c->kind == NORM_LAYER ? ops_new(o, nb, n * 4) : SPAN_NONE, bdy = ops_new(o, dy, wide);
    struct span y = ops_new(o, NULL, rows), inverse = ops_new(o, NULL, T * HEADS * 4),
                mean = ops_new(o, NULL, T * HEADS * 4), dw = ops_new(o, half, n * 4);
    tensor_norm(o->queue, &(struct norm_args){.kind = c->kind,
                                              .n_row = T,
                                              .n_col = c->n,
                                              .eps = 1e-3f,
                                              .x = bx,
                                              .weight = w,
                                              .bias = b,
                                              .y = y,
                                              .y_dtype = DTYPE_F32,
                                              .inverse = inverse,
                                              .mean = mean,
                                              .n_group = HEADS,
                                              .x_stride = (int64_t)stride});
    ops_get(o, out, y, rows);
    tensor_norm_dx(o->queue, &(struct norm_dx_args){.kind = c->kind,
                                                    .n_row = T,
                                                    .n_col = c->n,
                                                    .x = bx,
                                                    .weight = w,
                                                    .inverse = inverse,
                                                    .mean = mean,
                                                    .dy = bdy,
                                                    .dx = bdy,
                                                    .dweight = dw,
                                                    .n_group = HEADS,
                                                    .x_stride = (int64_t)stride,
                                                    .dy_stride = (int64_t)stride,
                                                    .dx_stride = (int64_t)stride});
    ops_get(o, out + rows / 4, bdy, wide);
    ops_get(o, out + rows / 4 + wide / 4, dw, n * 4);
    free(x);
    free(dy);
    free(half);
    return rows / 4 + wide / 4 + n;
}

static void heads_inside_rows_are_normalised_each_by_itself(void **state)
{
    (void)state;
    enum { T = 3, HEADS = 4, WIDE = 3 };
    static const struct norm_case cases[] = {
        {NORM_RMS, 16, 0, DTYPE_F32}, {NORM_RMS, 33, 0, DTYPE_F32}, {NORM_LAYER, 17, 1, DTYPE_F32}};
    for (int k = 0; k < 3; k++) {
        size_t count, n = (size_t)cases[k].n, stride = HEADS * n + WIDE;
        struct norm_case c = cases[k];
        float *got = ops_same_bits(grouped_norm_run, &c, &count), *fx = malloc(T * stride * 4),
              *fdy = malloc(T * stride * 4);
        double x[MOST], w[MOST], b[MOST], y[MOST], dw[MOST] = {0};
        struct moments moments;
        ops_fill(fx, T * stride, 31);
        ops_fill(fdy, T * stride, 32);
        for (size_t t = 0; t < T; t++)
            for (size_t h = 0; h < HEADS; h++) {
                size_t from = t * stride + h * n, to = (t * HEADS + h) * n;
                for (size_t i = 0; i < n; i++) {
                    x[i] = fx[from + i];
                    w[i] = nw[i];
                    b[i] = nb[i];
                }
                norm_oracle(&c, x, w, b, y, &moments);
                for (size_t i = 0; i < n; i++) {
                    ops_close_to("y", to + i, got[to + i], y[i], 3e-6, 2e-6);
                    ops_close_to("dx", from + i, got[T * HEADS * n + from + i],
                                 norm_slope(&c, x, w, b, &x[i], fdy + from), 2e-5, 1e-5);
                    dw[i] += fdy[from + i] * (x[i] - moments.mean) * moments.inverse;
                }
            }
        for (size_t i = 0; i < n; i++)
            ops_close_to("dweight", i, got[T * HEADS * n + T * stride + i], dw[i], 1e-5, 1e-5);
        for (size_t t = 0; t < T; t++)
            for (size_t i = 0; i < WIDE; i++) /* what lies between the rows stays */
                assert_float_equal(got[T * HEADS * n + t * stride + HEADS * n + i], fdy[t * stride + HEADS * n + i], 0);
        free(got);
        free(fx);
        free(fdy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_and_gradients_match_oracle),
        cmocka_unit_test(heads_inside_rows_are_normalised_each_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
