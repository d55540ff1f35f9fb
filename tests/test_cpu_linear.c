/* SPDX-License-Identifier: Apache-2.0 */
/* Products of linear layers, their gradients and what is fused with them against double precision. */
#include "tests/linear_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double sums[MAX_W], sizes[MAX_W];

struct shape {
    int m, n, k;
};

static void assert_close(const char *what, const char *isa, struct shape s, int count, int depth)
{
    for (int i = 0; i < count; i++)
        if (!(fabs(sums[i] - linear_y[i]) <= 6e-8 * (depth + 2) * sizes[i] + 1e-30))
            fail_msg("%s %s m %d n %d k %d: element %d is %.9g, wanted %.9g", what, isa, s.m, s.n, s.k, i, linear_y[i],
                     sums[i]);
}

static void oracle_forward(int m, int n, int k, enum dtype t)
{
    for (int i = 0; i < m * n; i++) {
        sums[i] = sizes[i] = 0;
        for (int j = 0; j < k; j++) {
            double a = linear_x[i / n * k + j], b = linear_w[i % n * k + j];
            double p = t == DTYPE_BF16 ? (double)linear_half((float)a) * linear_half((float)b) : a * b;
            sums[i] += p;
            sizes[i] += fabs(p);
        }
    }
}

static void oracle_dx(int m, int n, int k, enum dtype t)
{
    for (int i = 0; i < m * k; i++) {
        sums[i] = sizes[i] = 0;
        for (int j = 0; j < n; j++) {
            double a = linear_dy[i / k * n + j], b = linear_w[j * k + i % k];
            double p = t == DTYPE_BF16 ? (double)linear_half((float)a) * linear_half((float)b) : a * b;
            sums[i] += p;
            sizes[i] += fabs(p);
        }
    }
}

static void oracle_dw(int m, int n, int k, enum dtype t, const float *start)
{
    for (int i = 0; i < n * k; i++) {
        sums[i] = start[i];
        sizes[i] = fabs(start[i]);
        for (int j = 0; j < m; j++) {
            double a = linear_dy[j * n + i / k], b = linear_x[j * k + i % k];
            double p = t == DTYPE_BF16 ? (double)linear_half((float)a) * linear_half((float)b) : a * b;
            sums[i] += p;
            sizes[i] += fabs(p);
        }
    }
}

static void check_forward(struct linear_bench *b, const char *isa, int m, int n, int k)
{
    linear_prepare_y(b, NULL, 0);
    tensor_linear(b->q, &(struct linear_args){.w = b->packed, .n_row = m, .x = linear_at(b->x), .y = linear_y_span(b)});
    linear_fetch_y(b, m * n);
    assert_close("forward", isa, (struct shape){m, n, k}, m * n, k);
}

static void check_dx(struct linear_bench *b, const char *isa, int m, int n, int k)
{
    linear_prepare_y(b, NULL, 0);
    tensor_linear_dx(
        b->q, &(struct linear_dx_args){.w = b->packed, .n_row = m, .dy = linear_at(b->dy), .dx = linear_y_span(b)});
    linear_fetch_y(b, m * k);
    assert_close("dx", isa, (struct shape){m, n, k}, m * k, n);
}

static void check_dw(struct linear_bench *b, const char *isa, int m, int n, int k, enum dtype t)
{
    linear_prepare_y(b, linear_w, n * k);
    tensor_linear_dw(b->q, &(struct linear_dw_args){.n = n,
                                                    .k = k,
                                                    .n_row = m,
                                                    .compute = t,
                                                    .dy = linear_at(b->dy),
                                                    .x = linear_at(b->x),
                                                    .dw = linear_y_span(b)});
    linear_fetch_y(b, n * k);
    assert_close("dw", isa, (struct shape){m, n, k}, n * k, m);
}

static void check_sizes(struct linear_bench *benches, int n, int k, const int *rows, int n_rows, enum dtype t)
{
    for (int i = 0; i < N_ISA; i++)
        if (benches[i].d)
            linear_pack(&benches[i], n, k, t);
    for (int r = 0; r < n_rows; r++) {
        oracle_forward(rows[r], n, k, t);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_forward(&benches[i], linear_isas[i], rows[r], n, k);
        oracle_dx(rows[r], n, k, t);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_dx(&benches[i], linear_isas[i], rows[r], n, k);
        if (t == DTYPE_BF16 && rows[r] % 2)
            continue;
        oracle_dw(rows[r], n, k, t, linear_w);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_dw(&benches[i], linear_isas[i], rows[r], n, k, t);
    }
}

static void products_match_double_precision(void **state)
{
    (void)state;
    static const int extents[] = {1, 7, 15, 16, 17, 31, 33, 63, 65, 100},
                     all_rows[] = {0, 1, 2, 5, 7, 8, 9, 16, 17, 31, 33, 63, 65}, few[] = {1, 6};
    struct linear_bench benches[N_ISA];
    for (int i = 0; i < N_ISA; i++)
        linear_open(&benches[i], linear_isas[i], 2);
    for (int t = 0; t < 2; t++) {
        for (int n = 0; n < 10; n++)
            for (int k = 0; k < 10; k++)
                check_sizes(benches, extents[n], extents[k], few, linear_reduced() ? 1 : 2, (enum dtype)t);
        check_sizes(benches, 65, 100, all_rows, 13, (enum dtype)t);
        check_sizes(benches, 100, 33, all_rows, 13, (enum dtype)t);
        if (!linear_reduced()) {
            static const int large[] = {2, 40};
            check_sizes(benches, 576, 65, large, 2, (enum dtype)t);
            check_sizes(benches, 65, 576, large, 2, (enum dtype)t);
        }
    }
    for (int i = 0; i < N_ISA; i++)
        if (benches[i].d)
            linear_close(&benches[i]);
}

static double gelu_tanh(double v)
{
    return 0.5 * v * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v)));
}

static double silu(double v)
{
    return v / (1 + exp(-v));
}

/* Everything that linear can do after and around the sums. Rows are taken backwards. */
struct variant {
    int gate, bias, residual, rows, x_bf16, y_bf16, stride;
    int act; /* 0: silu in gates only; 1: the other gelu, 2: squared relu, in gates and without one */
};

static void put_inputs(struct linear_bench *b, const struct variant *v, int m, int k)
{
    int32_t rows[MAX_ROWS];
    static uint16_t packed[MAX_X];
    int stride = k + v->stride;
    for (int t = 0; t < m; t++)
        rows[t] = m - 1 - t;
    queue_upload(b->q, linear_at(b->rows), rows, (size_t)m * 4);
    memset(linear_other, 0, sizeof linear_other);
    for (int t = 0; t < m; t++)
        for (int i = 0; i < k; i++) {
            packed[t * stride + i] = f32_to_bf16(linear_x[t * k + i]);
            linear_other[t * stride + i] = linear_x[t * k + i];
        }
    if (v->x_bf16)
        queue_upload(b->q, linear_at(b->x), packed, (size_t)m * (size_t)stride * 2);
    else
        queue_upload(b->q, linear_at(b->x), linear_other, (size_t)m * (size_t)stride * 4);
}

static const enum activation acts[] = {ACT_SILU, ACT_GELU_TANH, ACT_RELU2};

static double activated(enum activation act, double sum)
{
    switch (act) {
    case ACT_GELU_TANH: return gelu_tanh(sum);
    case ACT_RELU2: return fmax(sum, 0) * sum;
    default: return silu(sum);
    }
}

static void run_variant(struct linear_bench *b, const struct variant *v, int m, int n, int k)
{
    int n_out = v->gate ? n / 2 : n;
    put_inputs(b, v, m, k);
    linear_prepare_y(b, NULL, 0);
    struct linear_args a = {.w = b->packed,
                            .n_row = m,
                            .x = linear_at(b->x),
                            .x_dtype = v->x_bf16 ? DTYPE_BF16 : DTYPE_F32,
                            .x_stride = v->stride ? k + v->stride : 0,
                            .y = linear_y_span(b),
                            .y_dtype = v->y_bf16 ? DTYPE_BF16 : DTYPE_F32,
                            .y_stride = v->stride ? n_out + v->stride : 0,
                            .gate = v->gate};
    a.act = acts[v->act];
    a.activate = v->act > 0 && !v->gate;
    a.rows = v->rows ? linear_at(b->rows) : SPAN_NONE;
    a.bias = v->bias ? linear_at(b->bias) : SPAN_NONE;
    a.residual = v->residual ? linear_at(b->residual) : SPAN_NONE;
    tensor_linear(b->q, &a);
    int stride = n_out + v->stride, last = m ? (m - 1) * stride + n_out : 0;
    linear_fetch_y(b, v->y_bf16 ? (last + 1) / 2 : last);
    for (int i = 0; i < m * n_out; i++) {
        int from = i / n_out * stride + i % n_out;
        uint16_t h;
        memcpy(&h, (uint16_t *)linear_y + from, 2);
        linear_other[i] = v->y_bf16 ? bf16_to_f32(h) : linear_y[from];
    }
}

static void check_variant(struct linear_bench *b, const char *isa, const struct variant *v, enum dtype t,
                          struct shape shape)
{
    int m = shape.m, n = shape.n, k = shape.k;
    run_variant(b, v, m, n, k);
    static float rounded[MAX_X];
    memcpy(rounded, linear_x, sizeof linear_x);
    if (v->x_bf16)
        for (int i = 0; i < m * k; i++)
            linear_x[i] = linear_half(linear_x[i]);
    oracle_forward(m, n, k, t);
    memcpy(linear_x, rounded, sizeof linear_x);
    int n_out = v->gate ? n / 2 : n;
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n_out; c++) {
            const double *s = sums + (v->rows ? m - 1 - r : r) * n;
            double sum = s[c] + (v->bias ? linear_bias[c] : 0);
            if (v->gate || v->act)
                sum = activated(acts[v->act], sum);
            if (v->gate)
                sum *= (s[n_out + c] + (v->bias ? linear_bias[n_out + c] : 0));
            sum += v->residual ? linear_residual[r * n_out + c] : 0;
            double bound = (v->gate || v->act ? 2e-4 : 3e-5) + (v->y_bf16 ? fabs(sum) / 250 : 0);
            if (!(fabs(sum - linear_other[r * n_out + c]) <= bound))
                fail_msg("%s gate %d bias %d residual %d rows %d x %d y %d: row %d column %d is %g, wanted %g", isa,
                         v->gate, v->bias, v->residual, v->rows, v->x_bf16, v->y_bf16, r, c,
                         linear_other[r * n_out + c], sum);
        }
}

static struct variant variant_of(int i)
{
    return (struct variant){i & 1,      i >> 1 & 1, i >> 2 & 1,         i >> 3 & 1,
                            i >> 4 & 1, i >> 5 & 1, i >> 6 & 1 ? 3 : 0, i % 5 < 3 ? 0 : i % 5 - 2};
}

static void epilogues_match_double_precision(void **state)
{
    (void)state;
    static const int shapes[][3] = {{5, 66, 33}, {18, 128, 64}, {33, 100, 17}};
    for (int i = 0; i < N_ISA; i++) {
        struct linear_bench b;
        if (linear_open(&b, linear_isas[i], 2))
            continue;
        for (int t = 0; t < 2; t++)
            for (int s = 0; s < (linear_reduced() ? 1 : 3); s++) {
                linear_pack(&b, shapes[s][1], shapes[s][2], (enum dtype)t);
                for (int e = 0; e < 128; e++) {
                    struct variant v = variant_of(e);
                    check_variant(&b, linear_isas[i], &v, (enum dtype)t,
                                  (struct shape){shapes[s][0], shapes[s][1], shapes[s][2]});
                }
            }
        linear_close(&b);
    }
}

static void residual_may_be_the_output(void **state)
{
    (void)state;
    struct linear_bench b;
    assert_int_equal(linear_open(&b, NULL, 2), 0);
    linear_pack(&b, 40, 24, DTYPE_F32);
    linear_prepare_y(&b, linear_residual, 9 * 40);
    tensor_linear(
        b.q,
        &(struct linear_args){
            .w = b.packed, .n_row = 9, .x = linear_at(b.x), .y = linear_y_span(&b), .residual = linear_y_span(&b)});
    linear_fetch_y(&b, 9 * 40);
    memcpy(linear_other, linear_y, 9 * 40 * 4);
    linear_prepare_y(&b, NULL, 0);
    tensor_linear(
        b.q,
        &(struct linear_args){
            .w = b.packed, .n_row = 9, .x = linear_at(b.x), .y = linear_y_span(&b), .residual = linear_at(b.residual)});
    linear_fetch_y(&b, 9 * 40);
    assert_memory_equal(linear_other, linear_y, 9 * 40 * 4);
    linear_close(&b);
}

static void dw_by_sequences_does_not_depend_on_how_they_are_split(void **state)
{
    (void)state;
    enum { N = 70, K = 50, M = 64, S = 5 };
    static const int32_t borders[S + 1] = {0, 10, 10, 44, 46, 64};
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct linear_bench b;
            if (linear_open(&b, linear_isas[i], 2))
                continue;
            queue_upload(b.q, linear_at(b.rows), borders, sizeof borders);
            oracle_dw(M, N, K, (enum dtype)t, linear_w);
            for (int cut = 0; cut <= S; cut++) {
                linear_prepare_y(&b, linear_w, N * K);
                struct linear_dw_args a = {.n = N,
                                           .k = K,
                                           .n_row = borders[cut],
                                           .compute = (enum dtype)t,
                                           .dy = linear_at(b.dy),
                                           .x = linear_at(b.x),
                                           .dw = linear_y_span(&b),
                                           .borders = linear_at(b.rows)};
                a.n_seq = cut;
                tensor_linear_dw(b.q, &a);
                /* The second call's rows begin anew at zero. */
                int32_t rest[S + 1] = {0};
                for (int j = cut; j <= S; j++)
                    rest[j - cut] = borders[j] - borders[cut];
                queue_upload(b.q, (struct span){b.rows, 64}, rest, sizeof rest);
                a.borders.offset = 64;
                a.n_seq = S - cut;
                a.n_row = M - borders[cut];
                a.dy.offset = (size_t)borders[cut] * N * 4;
                a.x.offset = (size_t)borders[cut] * K * 4;
                tensor_linear_dw(b.q, &a);
                linear_fetch_y(&b, N * K);
                if (cut == 0)
                    memcpy(linear_other, linear_y, N * K * 4);
                assert_memory_equal(linear_other, linear_y, N * K * 4);
                assert_close("dw by sequences", linear_isas[i], (struct shape){M, N, K}, N * K, M);
            }
            linear_close(&b);
        }
}

static void an_unknown_instruction_set_is_named(void **state)
{
    (void)state;
    struct device *d;
    struct error err;
    assert_int_equal(device_open(&d, DEVICE_CPU, &(struct device_options){.isa = "mmx"}, &err), ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "'mmx'"));
    assert_non_null(strstr(err.message, "generic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_double_precision),
        cmocka_unit_test(epilogues_match_double_precision),
        cmocka_unit_test(residual_may_be_the_output),
        cmocka_unit_test(dw_by_sequences_does_not_depend_on_how_they_are_split),
        cmocka_unit_test(an_unknown_instruction_set_is_named),
    };
    return cmocka_run_group_tests(tests, linear_setup, NULL);
}
