/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation, activations, moves and sums against plain double-precision code at odd sizes; gradients against central
 * differences of that code; and the same bits on every instruction set and thread count. */
#include "tests/ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 130, 255, 256, 257, 576};
enum { N_SIZE = sizeof sizes / sizeof *sizes, ROWS = 11, MOST = 600 };

/* Rope: 5 rows of 3 heads inside a wider row, there and back. */
static size_t rope_run(struct ops *o, const void *parameter, float *out)
{
    int d = *(const int *)parameter, stride = 4 * d + 3;
    float x[5 * (4 * 128 + 3)], freq[64];
    int32_t positions[5] = {0, 1, 7, 99, 1000};
    ops_fill(x, (size_t)(5 * stride), 5);
    for (int i = 0; i < d / 2; i++)
        freq[i] = (float)pow(10000, -2.0 * i / d);
    struct span bx = ops_new(o, x, (size_t)(5 * stride) * 4), bf = ops_new(o, freq, (size_t)(d / 2) * 4),
                bp = ops_new(o, positions, sizeof positions);
    struct span table = ops_new(o, NULL, (size_t)(5 * d) * 4);
    tensor_rope_table(o->queue, &(struct rope_table_args){
                                    .n_row = 5, .n_rotated = d, .positions = bp, .inv_freq = bf, .table = table});
    struct rope_args a = {
        .n_row = 5, .n_head = 3, .head_dim = d, .x = span_at(bx, (size_t)d * 4), .x_stride = stride, .table = table};
    tensor_rope(o->queue, &a);
    ops_get(o, out, bx, (size_t)(5 * stride) * 4);
    a.inverse = 1;
    tensor_rope(o->queue, &a);
    ops_get(o, out + 5 * stride, bx, (size_t)(5 * stride) * 4);
    return (size_t)(10 * stride);
}

static void rope_rotates_and_rotates_back(void **state)
{
    (void)state;
    static const int dims[] = {2, 16, 30, 64, 128};
    for (int k = 0; k < 5; k++) {
        int d = dims[k], stride = 4 * d + 3;
        size_t n;
        float *got = ops_same_bits(rope_run, &d, &n), x[5 * (4 * 128 + 3)];
        static const int positions[5] = {0, 1, 7, 99, 1000};
        ops_fill(x, (size_t)(5 * stride), 5);
        for (int t = 0; t < 5; t++)
            for (int i = 0; i < stride; i++) {
                int at = t * stride + i, e = (i - d) % d, j = e % (d / 2);
                double want = x[at];
                if (i >= d && i < 4 * d) {
                    float angle = (float)positions[t] * (float)pow(10000, -2.0 * j / d);
                    int other = e < d / 2 ? at + d / 2 : at - d / 2;
                    want = x[at] * cos(angle) + (e < d / 2 ? -x[other] : x[other]) * sin(angle);
                }
                ops_close_to("rope", (size_t)at, got[at], want, 5e-7, 0);
                ops_close_to("back", (size_t)at, got[5 * stride + at], x[at], 5e-7, 0);
            }
        free(got);
    }
}

/* A part of each head rotates, by cosines and sines that are multiplied by a factor. */
static size_t partial_rope_run(struct ops *o, const void *parameter, float *out)
{
    enum { D = 20, ROT = 12, HEADS = 2, T = 3 };
    float x[T * HEADS * D], freq[ROT / 2];
    int32_t positions[T] = {5, 0, 77};
    (void)parameter;
    ops_fill(x, T * HEADS * D, 6);
    for (int i = 0; i < ROT / 2; i++)
        freq[i] = (float)pow(500, -2.0 * i / ROT);
    struct span bx = ops_new(o, x, sizeof x), bf = ops_new(o, freq, sizeof freq),
                bp = ops_new(o, positions, sizeof positions), table = ops_new(o, NULL, T * ROT * 4);
    tensor_rope_table(
        o->queue, &(struct rope_table_args){
                      .n_row = T, .n_rotated = ROT, .positions = bp, .inv_freq = bf, .table = table, .factor = 1.25f});
    tensor_rope(o->queue, &(struct rope_args){
                              .n_row = T, .n_head = HEADS, .head_dim = D, .x = bx, .table = table, .n_rotated = ROT});
    ops_get(o, out, bx, sizeof x);
    return T * HEADS * D;
}

static void part_of_a_head_rotates_by_scaled_tables(void **state)
{
    (void)state;
    enum { D = 20, ROT = 12, HEADS = 2, T = 3 };
    static const int positions[T] = {5, 0, 77};
    size_t n;
    float *got = ops_same_bits(partial_rope_run, NULL, &n), x[T * HEADS * D];
    ops_fill(x, T * HEADS * D, 6);
    for (int i = 0; i < T * HEADS * D; i++) {
        int e = i % D, j = e % (ROT / 2);
        float angle = (float)positions[i / (HEADS * D)] * (float)pow(500, -2.0 * j / ROT);
        double other = 0;
        if (e < ROT)
            other = e < ROT / 2 ? -x[i + ROT / 2] : x[i - ROT / 2];
        ops_close_to("rope", (size_t)i, got[i], e < ROT ? 1.25 * (x[i] * cos(angle) + other * sin(angle)) : x[i], 5e-7,
                     0);
    }
    free(got);
}

/* Rows of texts longer than a limit turn by other frequencies: a list, or dynamic NTK's, where theta is multiplied by
 * (stretch * length / limit - stretch + 1)^(D/(D-2)). */
enum { FAR_ROT = 12, FAR_T = 11, FAR_LIMIT = 20 };
static const int32_t far_lengths[FAR_T] = {20, 21, 21, 30, 7, 30, 1, 21, 20, 20, 100};

static size_t far_table_run(struct ops *o, const void *parameter, float *out)
{
    float freq[FAR_ROT / 2], longer[FAR_ROT / 2];
    int32_t positions[FAR_T];
    for (int i = 0; i < FAR_ROT / 2; i++) {
        freq[i] = (float)pow(500, -2.0 * i / FAR_ROT);
        longer[i] = freq[i] / (float)(i + 2);
    }
    for (int t = 0; t < FAR_T; t++)
        positions[t] = far_lengths[t] - 1;
    struct span table = ops_new(o, NULL, FAR_T * FAR_ROT * 4);
    tensor_rope_table(o->queue, &(struct rope_table_args){.n_row = FAR_T,
                                                          .n_rotated = FAR_ROT,
                                                          .positions = ops_new(o, positions, sizeof positions),
                                                          .inv_freq = ops_new(o, freq, sizeof freq),
                                                          .table = table,
                                                          .limit = FAR_LIMIT,
                                                          .stretch = *(const float *)parameter,
                                                          .lengths = ops_new(o, far_lengths, sizeof far_lengths),
                                                          .long_inv_freq = ops_new(o, longer, sizeof longer)});
    ops_get(o, out, table, FAR_T * FAR_ROT * 4);
    return FAR_T * FAR_ROT;
}

static void rows_of_long_texts_turn_by_other_frequencies(void **state)
{
    (void)state;
    static const float stretches[] = {0, 2.5f};
    for (int k = 0; k < 2; k++) {
        size_t n;
        float *got = ops_same_bits(far_table_run, &stretches[k], &n);
        for (int j = 0; j < FAR_T * FAR_ROT; j++) {
            int t = j / FAR_ROT, i = j % (FAR_ROT / 2), length = far_lengths[t], is_far = length > FAR_LIMIT;
            double s = (double)stretches[k], longer = is_far && k ? s * length / FAR_LIMIT - (s - 1) : 1;
            double theta = 500 * pow(longer, FAR_ROT / (FAR_ROT - 2.0));
            double angle = (length - 1) * pow(theta, -2.0 * i / FAR_ROT) / (is_far && !k ? i + 2 : 1);
            ops_close_to("table", (size_t)j, got[j], j % FAR_ROT < FAR_ROT / 2 ? cos(angle) : sin(angle), 2e-5, 0);
        }
        free(got);
    }
}

struct gate_case {
    enum activation act;
    int gated, n;
    enum dtype dtype;
};

static double act_oracle(enum activation act, double x)
{
    switch (act) {
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case ACT_GELU_10: return fmax(-10, fmin(10, 0.5 * x * erfc(-x / sqrt(2))));
    case ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case ACT_RELU2: return x > 0 ? x * x : 0;
    case ACT_RELU6: return fmax(0, fmin(6, x));
    case ACT_LEAKY_RELU: return x < 0 ? 0.01 * x : x;
    case ACT_HARDSWISH: return x * fmax(0, fmin(6, x + 3)) / 6;
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_TANH: return tanh(x);
    case ACT_MISH: return x * tanh(log1p(exp(x)));
    case ACT_LAPLACE: return 0.5 * (1 + erf((x - 0.707107) / (0.282095 * sqrt(2))));
    case ACT_LINEAR: return x;
    default: return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    }
}

static float gx[ROWS * 2 * MOST], gdy[ROWS * MOST];

static size_t gate_run(struct ops *o, const void *parameter, float *out)
{
    const struct gate_case *c = parameter;
    size_t n = (size_t)(ROWS * c->n), width = n * (c->gated ? 2 : 1);
    ops_fill(gx, width, 8);
    ops_fill(gdy, n, 9);
    for (size_t i = 0; i < width; i++)
        gx[i] *= i % 3 ? 4 : 12;
    struct span x = ops_new(o, gx, width * 4), dy = ops_new(o, gdy, n * 4),
                y = ops_new(o, NULL, n * dtype_size(c->dtype));
    tensor_gate(o->queue, &(struct gate_args){c->act, c->gated, ROWS, c->n, x, y, c->dtype, DTYPE_F32});
    if (c->dtype == DTYPE_BF16) {
        uint16_t *h = malloc(n * 2);
        ops_get(o, h, y, n * 2);
        for (size_t i = 0; i < n; i++)
            out[i] = bf16_to_f32(h[i]);
        free(h);
    } else
        ops_get(o, out, y, n * 4);
    tensor_gate_dx(o->queue, &(struct gate_dx_args){c->act, c->gated, ROWS, c->n, x, dy, x, DTYPE_F32});
    ops_get(o, out + n, x, width * 4);
    return n + width;
}

static void gate_check(const struct gate_case *c)
{
    size_t count, n = (size_t)c->n, rows = ROWS * n;
    float *got = ops_same_bits(gate_run, c, &count);
    for (size_t i = 0; i < rows; i++) {
        size_t g = i / n * n * (c->gated ? 2 : 1) + i % n;
        double x = gx[g], u = c->gated ? gx[g + n] : 1, h = 1e-5;
        if ((c->act == ACT_RELU6 && fabs(x - 6) < 1e-3) || (c->act == ACT_HARDSWISH && fabs(fabs(x) - 3) < 1e-3) ||
            (c->act == ACT_GELU_10 && fabs(x - 10) < 1e-3))
            continue; /* a corner */
        double slope = (act_oracle(c->act, x + h) - act_oracle(c->act, x - h)) / (2 * h);
        ops_close_to("y", i, got[i], act_oracle(c->act, x) * u, 2e-6, c->dtype == DTYPE_BF16 ? 0x1p-8 : 1e-6);
        ops_close_to("dgate", i, got[rows + g], gdy[i] * u * slope, 1e-5, 5e-6);
        if (c->gated)
            ops_close_to("dup", i, got[rows + g + n], gdy[i] * act_oracle(c->act, x), 2e-6, 1e-6);
    }
    free(got);
}

static void activations_and_gradients_match_oracle(void **state)
{
    (void)state;
    for (int act = 0; act < ACT_COUNT; act++)
        for (int i = 0; i < N_SIZE; i += ops_reduced() || act > ACT_GELU_TANH ? 5 : 2)
            for (int gated = 0; gated < 2; gated++)
                gate_check(&(struct gate_case){(enum activation)act, gated, sizes[i],
                                               gated && i % 4 ? DTYPE_BF16 : DTYPE_F32});
}

static size_t move_run(struct ops *o, const void *parameter, float *out)
{
    size_t n = *(const size_t *)parameter, bytes = n * 4;
    float *x = malloc(bytes + 4), *y = malloc(bytes + 4);
    ops_fill(x, n, 11);
    ops_fill(y, n, 12);
    if (n > 3) {
        x[0] = NAN;
        x[1] = INFINITY;
        x[2] = -0.0f;
        x[3] = 0x1.018p0f;
    }
    struct span bx = ops_new(o, x, bytes), by = ops_new(o, y, bytes), bh = ops_new(o, NULL, n * 2),
                bc = ops_new(o, NULL, bytes), bz = ops_new(o, NULL, bytes);
    tensor_cast(o->queue, &(struct cast_args){n, bx, DTYPE_F32, bh, DTYPE_BF16});
    tensor_cast(o->queue, &(struct cast_args){n, bh, DTYPE_BF16, bc, DTYPE_F32});
    ops_get(o, out, bc, bytes);
    tensor_cast(o->queue, &(struct cast_args){n, bx, DTYPE_F32, bh, DTYPE_F16});
    tensor_cast(o->queue, &(struct cast_args){n, bh, DTYPE_F16, bc, DTYPE_F32});
    ops_get(o, out + n, bc, bytes);
    tensor_add(o->queue, &(struct add_args){n, bx, by, bz});
    ops_get(o, out + 5 * n, bz, bytes);
    tensor_add(o->queue, &(struct add_args){n, bx, by, SPAN_NONE});
    ops_get(o, out + 2 * n, by, bytes);
    tensor_copy(o->queue, &(struct copy_args){bytes, by, bz});
    ops_get(o, out + 3 * n, bz, bytes);
    tensor_fill(o->queue, &(struct fill_args){bytes, bz});
    ops_get(o, out + 4 * n, bz, bytes);
    free(x);
    free(y);
    return 6 * n;
}

static void moves_and_casts_are_exact(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 7, 8, 9, 15, 16, 17, 63, 65, 4095, 4096, 4097, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t n = counts[i], count;
        float *got = ops_same_bits(move_run, &n, &count);
        for (size_t j = 4; j < n; j++) {
            float x = ops_random(11, j), y = ops_random(12, j);
            assert_float_equal(got[j], bf16_to_f32(f32_to_bf16(x)), 0);
            assert_float_equal(got[n + j], f16_to_f32(f32_to_f16(x)), 0);
            assert_float_equal(got[2 * n + j], y + x, 0);
            assert_float_equal(got[5 * n + j], y + x, 0);
            assert_float_equal(got[3 * n + j], y + x, 0);
            assert_float_equal(got[4 * n + j], 0, 0);
        }
        if (n > 3) {
            assert_true(isnan(got[0]) && isinf(got[1]) && signbit(got[2]));
            assert_float_equal(got[3], 0x1.02p0f, 0); /* a tie goes to even */
        }
        free(got);
    }
}

static size_t rows_run(struct ops *o, const void *parameter, float *out)
{
    size_t n = (size_t) * (const int *)parameter, bytes = 6 * n * 4;
    float x[6 * 300], y[6 * 300];
    int32_t rows[6] = {3, 0, 3, 5, 3, 1}, borders[4] = {0, 1, 4, 6}, valid[3] = {1, 2, 0};
    ops_fill(x, 6 * n, 13);
    ops_fill(y, 6 * n, 14);
    struct span bx = ops_new(o, x, bytes), by = ops_new(o, y, bytes), br = ops_new(o, rows, sizeof rows),
                bb = ops_new(o, borders, sizeof borders);
    struct span bv = ops_new(o, valid, sizeof valid), bg = ops_new(o, NULL, bytes), bm = ops_new(o, NULL, 3 * n * 4);
    tensor_gather_rows(o->queue, &(struct gather_rows_args){6, (int)n, bx, br, bg});
    tensor_scatter_add_rows(o->queue, &(struct scatter_add_rows_args){6, (int)n, bx, br, by});
    ops_get(o, out, bg, bytes);
    ops_get(o, out + 6 * n, by, bytes);
    tensor_pool_rows(o->queue, &(struct pool_rows_args){POOL_MEAN, 3, (int)n, bx, bb, SPAN_NONE, bm});
    ops_get(o, out + 12 * n, bm, 3 * n * 4);
    tensor_pool_rows(o->queue, &(struct pool_rows_args){POOL_MEAN, 3, (int)n, bx, bb, bv, bm});
    ops_get(o, out + 15 * n, bm, 3 * n * 4);
    static const enum pool_kind kinds[] = {POOL_MAX, POOL_FIRST, POOL_LAST};
    for (size_t i = 0; i < 3; i++) {
        tensor_pool_rows(o->queue, &(struct pool_rows_args){kinds[i], 3, (int)n, bx, bb, bv, bm});
        ops_get(o, out + (18 + 3 * i) * n, bm, 3 * n * 4);
    }
    return 27 * n;
}

static void rows_gather_scatter_and_pool(void **state)
{
    (void)state;
    static const int widths[] = {1, 15, 16, 17, 63, 65, 256, 257};
    for (int k = 0; k < 8; k++) {
        int n = widths[k];
        size_t count;
        float *got = ops_same_bits(rows_run, &n, &count);
        float x[6 * 300], y[6 * 300];
        ops_fill(x, (size_t)(6 * n), 13);
        ops_fill(y, (size_t)(6 * n), 14);
        static const int rows[6] = {3, 0, 3, 5, 3, 1};
        for (int i = 0; i < 6; i++)
            for (int c = 0; c < n; c++) {
                assert_float_equal(got[i * n + c], x[rows[i] * n + c], 0);
                y[rows[i] * n + c] += x[i * n + c];
            }
        for (int i = 0; i < 6 * n; i++)
            assert_float_equal(got[6 * n + i], y[i], 0);
        for (int c = 0; c < n; c++) {
            const float *all = got + 12 * n, *some = got + 15 * n;
            ops_close_to("mean", (size_t)c, all[n + c], ((double)x[n + c] + x[2 * n + c] + x[3 * n + c]) / 3, 1e-7,
                         1e-7);
            ops_close_to("mean", (size_t)c, all[2 * n + c], ((double)x[4 * n + c] + x[5 * n + c]) / 2, 1e-7, 1e-7);
            ops_close_to("mean", (size_t)c, some[c], x[c], 0, 0);
            ops_close_to("mean", (size_t)c, some[n + c], ((double)x[n + c] + x[2 * n + c]) / 2, 1e-7, 1e-7);
            ops_close_to("mean", (size_t)c, some[2 * n + c], 0, 0, 0);
            const float *most = got + 18 * n, *first = got + 21 * n, *last = got + 24 * n;
            ops_close_to("max", (size_t)c, most[n + c], (double)(x[n + c] > x[2 * n + c] ? x[n + c] : x[2 * n + c]), 0,
                         0);
            ops_close_to("first", (size_t)c, first[n + c], (double)x[n + c], 0, 0);
            ops_close_to("last", (size_t)c, last[n + c], (double)x[2 * n + c], 0, 0);
            ops_close_to("none", (size_t)c,
                         (double)most[2 * n + c] + (double)first[2 * n + c] + (double)last[2 * n + c], 0, 0, 0);
        }
        free(got);
    }
}

static size_t sums_run(struct ops *o, const void *parameter, float *out)
{
    size_t n = (size_t) * (const int *)parameter;
    float x[7 * 310], half[300], big[1000];
    ops_fill(x, 7 * (n + 5), 41);
    ops_fill(big, 1000, 42);
    for (size_t i = 0; i < n; i++)
        half[i] = 0.5f;
    for (int i = 0; i < 1000; i++)
        big[i] *= 90;
    struct span bx = ops_new(o, x, 7 * (n + 5) * 4), db = ops_new(o, half, n * 4), bb = ops_new(o, big, sizeof big);
    tensor_bias_dw(
        o->queue, &(struct bias_dw_args){.n_row = 3, .n_col = (int)n, .dy = bx, .dy_stride = (int64_t)n + 5, .db = db});
    tensor_bias_dw(
        o->queue,
        &(struct bias_dw_args){
            .n_row = 4, .n_col = (int)n, .dy = span_at(bx, 3 * (n + 5) * 4), .dy_stride = (int64_t)n + 5, .db = db});
    tensor_soft_cap(o->queue, &(struct soft_cap_args){.n = 1000, .cap = 30, .x = bb});
    ops_get(o, out, db, n * 4);
    ops_get(o, out + n, bb, sizeof big);
    return n + 1000;
}

static void biases_sum_rows_in_order_and_caps_are_tanh(void **state)
{
    (void)state;
    static const int widths[] = {1, 16, 17, 63, 65, 257};
    for (int k = 0; k < 6; k++) {
        int n = widths[k];
        size_t count;
        float *got = ops_same_bits(sums_run, &n, &count), x[7 * 310];
        ops_fill(x, (size_t)(7 * (n + 5)), 41);
        for (int i = 0; i < n; i++) {
            float sum = 0.5f;
            for (int t = 0; t < 7; t++)
                sum += x[t * (n + 5) + i];
            assert_float_equal(got[i], sum, 0);
        }
        for (int i = 0; i < 1000; i++)
            ops_close_to("soft cap", (size_t)i, got[n + i], 30 * tanh((double)(ops_random(42, (uint64_t)i) * 90) / 30),
                         0, 5e-7);
        free(got);
    }
}

/* Rows of two tables that are added, as token and position embeddings are. */
static size_t tables_run(struct ops *o, const void *parameter, float *out)
{
    enum { V = 9, C = 21, T = 4 };
    float table[V * C], grad[V * C] = {0}, dy[T * C];
    int32_t tokens[T] = {3, -1, 0, 3}, positions[T] = {0, 1, 2, 6};
    struct weight *w;
    (void)parameter;
    ops_fill(table, V * C, 51);
    ops_fill(dy, T * C, 52);
    assert_int_equal(weight_new(&w, o->device, (struct weight_shape){V, C, DTYPE_F32}, "table", NULL), 0);
    struct span bt = ops_new(o, tokens, sizeof tokens), bp = ops_new(o, positions, sizeof positions),
                y = ops_new(o, NULL, T * C * 4), g = ops_new(o, grad, sizeof grad);
    tensor_weight_pack(o->queue,
                       &(struct weight_pack_args){.w = w, .n_row = V, .src = ops_new(o, table, sizeof table)});
    tensor_embed(o->queue, &(struct embed_args){.w = w, .n_row = T, .tokens = bt, .y = y});
    tensor_embed(o->queue,
                 &(struct embed_args){.w = w, .n_row = T, .tokens = bp, .y = y, .offset = 2, .accumulate = 1});
    tensor_embed_dw(
        o->queue,
        &(struct embed_dw_args){
            .n_vocab = V, .n_row = T, .n_col = C, .tokens = bp, .dy = ops_new(o, dy, sizeof dy), .dw = g, .offset = 2});
    ops_get(o, out, y, T * C * 4);
    ops_get(o, out + T * C, g, sizeof grad);
    weight_free(w);
    return T * C + V * C;
}

static void position_tables_have_an_offset_and_are_added(void **state)
{
    (void)state;
    enum { V = 9, C = 21, T = 4 };
    static const int tokens[T] = {3, -1, 0, 3}, positions[T] = {0, 1, 2, 6};
    size_t count;
    float *got = ops_same_bits(tables_run, NULL, &count), table[V * C], dy[T * C], grad[V * C] = {0};
    ops_fill(table, V * C, 51);
    ops_fill(dy, T * C, 52);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < C; i++) {
            assert_float_equal(got[t * C + i],
                               (tokens[t] < 0 ? 0 : table[tokens[t] * C + i]) + table[(positions[t] + 2) * C + i], 0);
            grad[(positions[t] + 2) * C + i] += dy[t * C + i];
        }
    for (int i = 0; i < V * C; i++)
        assert_float_equal(got[T * C + i], grad[i], 0);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_rotates_and_rotates_back),
        cmocka_unit_test(activations_and_gradients_match_oracle),
        cmocka_unit_test(moves_and_casts_are_exact),
        cmocka_unit_test(rows_gather_scatter_and_pool),
        cmocka_unit_test(part_of_a_head_rotates_by_scaled_tables),
        cmocka_unit_test(rows_of_long_texts_turn_by_other_frequencies),
        cmocka_unit_test(biases_sum_rows_in_order_and_caps_are_tanh),
        cmocka_unit_test(position_tables_have_an_offset_and_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
