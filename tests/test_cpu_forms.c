/* SPDX-License-Identifier: Apache-2.0 */
/* Forms that operators have beside their plain one: gates of bf16, sums that start from nothing, residuals with a
 * stride, scaling, and moments in bf16. Each is compared with the plain form or with double precision, on every
 * instruction set. */
#include "ops_check.h"

#include "base/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, F = 37 };

/* The gate and its gradient of values that bf16 holds exactly, given as bf16 or as f32. */
static size_t gate_run(struct ops *o, const void *parameter, float *out)
{
    enum dtype t = *(const enum dtype *)parameter;
    enum { N = ROWS * 2 * F };
    float wide[N], dy[ROWS * F];
    uint16_t narrow[N];
    ops_fill(wide, N, 1);
    ops_fill(dy, ROWS * F, 2);
    for (int i = 0; i < N; i++) {
        narrow[i] = f32_to_bf16(4 * wide[i]);
        wide[i] = bf16_to_f32(narrow[i]);
    }
    struct span x = t == DTYPE_BF16 ? ops_new(o, narrow, sizeof narrow) : ops_new(o, wide, sizeof wide),
                g = ops_new(o, dy, sizeof dy);
    struct span y = ops_new(o, NULL, sizeof dy), dx = ops_new(o, NULL, sizeof wide);
    tensor_gate(o->queue, &(struct gate_args){ACT_SILU, 1, ROWS, F, x, y, DTYPE_F32, t});
    tensor_gate_dx(o->queue, &(struct gate_dx_args){ACT_SILU, 1, ROWS, F, x, g, dx, t});
    ops_get(o, out, y, sizeof dy);
    ops_get(o, out + ROWS * F, dx, sizeof wide);
    return ROWS * F * 3;
}

static void gates_of_bf16_are_those_of_the_same_values(void **state)
{
    (void)state;
    size_t n, m;
    float *a = ops_same_bits(gate_run, &(enum dtype){DTYPE_F32}, &n),
          *b = ops_same_bits(gate_run, &(enum dtype){DTYPE_BF16}, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n * sizeof *a);
    free(a);
    free(b);
}

/* dw over `rows` rows, twice, starting from zeros or fresh over garbage. */
struct dw_case {
    int fresh, rows;
    enum dtype compute;
};
static size_t dw_run(struct ops *o, const void *parameter, float *out)
{
    const struct dw_case *c = parameter;
    enum { N = 35, K = 33, MOST = 2100 };
    size_t rows = (size_t)c->rows;
    float *dy = malloc(MOST * N * 4), *x = malloc(MOST * K * 4), zeros[N * K] = {0};
    ops_fill(dy, MOST * N, 3);
    ops_fill(x, MOST * K, 4);
    struct span d = ops_new(o, dy, rows * N * 4), s = ops_new(o, x, rows * K * 4),
                dw = ops_new(o, c->fresh ? NULL : zeros, sizeof zeros);
    struct linear_dw_args a = {
        .n = N, .k = K, .n_row = c->rows, .compute = c->compute, .dy = d, .x = s, .dw = dw, .fresh = c->fresh};
    tensor_linear_dw(o->queue, &a);
    a.fresh = 0;
    tensor_linear_dw(o->queue, &a);
    ops_get(o, out, dw, sizeof zeros);
    free(dy);
    free(x);
    return N * K;
}

static void fresh_sums_are_those_from_zero(void **state)
{
    (void)state;
    static const int rows[] = {2, 34, 2100}; /* more than one run of steps */
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 3; i++) {
            size_t n;
            struct dw_case c = {0, rows[i], t ? DTYPE_BF16 : DTYPE_F32};
            float *zero = ops_same_bits(dw_run, &c, &n);
            c.fresh = 1;
            float *fresh = ops_same_bits(dw_run, &c, &n);
            assert_memory_equal(zero, fresh, n * sizeof *zero);
            free(zero);
            free(fresh);
        }
}

/* Two products side by side in one wide y, each added to what was there. */
static size_t residual_run(struct ops *o, const void *parameter, float *out)
{
    (void)parameter;
    enum { N = 35, K = 3, WIDE = 80 };
    float x[ROWS * K], w[N * K], y[ROWS * WIDE];
    struct weight *weight;
    ops_fill(x, ROWS * K, 5);
    ops_fill(w, N * K, 6);
    ops_fill(y, ROWS * WIDE, 7);
    struct span from = ops_new(o, w, sizeof w), in = ops_new(o, x, sizeof x), all = ops_new(o, y, sizeof y);
    assert_int_equal(weight_new(&weight, o->device, (struct weight_shape){N, K, DTYPE_F32}, "w", NULL), 0);
    tensor_weight_pack(o->queue, &(struct weight_pack_args){weight, 0, N, from, DTYPE_F32, 0});
    for (int i = 0; i < 2; i++) {
        struct span to = span_at(all, (size_t)(i * 41) * 4);
        tensor_linear(o->queue, &(struct linear_args){.w = weight,
                                                      .n_row = ROWS,
                                                      .x = in,
                                                      .y = to,
                                                      .y_stride = WIDE,
                                                      .residual = to,
                                                      .residual_stride = WIDE});
    }
    tensor_scale(o->queue, &(struct scale_args){ROWS * WIDE, 0.5f, all, all});
    ops_get(o, out, all, sizeof y);
    assert_int_equal(queue_wait(o->queue, NULL), 0);
    weight_free(weight);
    return ROWS * WIDE;
}

static void residuals_may_lie_in_wider_rows_and_scaling_scales(void **state)
{
    (void)state;
    size_t n;
    float *got = ops_same_bits(residual_run, NULL, &n);
    for (int t = 0; t < ROWS; t++)
        for (int c = 0; c < 80; c++) {
            int column = c >= 41 && c < 76 ? c - 41 : -1;
            if (c < 35)
                column = c;
            double want = (double)ops_random(7, (uint64_t)(t * 80 + c));
            for (int k = 0; k < 3 && column >= 0; k++)
                want +=
                    (double)ops_random(5, (uint64_t)(t * 3 + k)) * (double)ops_random(6, (uint64_t)(column * 3 + k));
            ops_close_to("y", (size_t)(t * 80 + c), (double)got[t * 80 + c], 0.5 * want, 2e-7, 0);
        }
    free(got);
}

/* AdamW that packs: the master after it, the weight's rows, and the master after AdamW alone. Rows begin and end within
 * panels. */
enum { PACKED_N = 150, PACKED_K = 45, PACKED_ROW = 13, PACKED_ROWS = 120 };
static size_t packing_adamw_run(struct ops *o, const void *parameter, float *out)
{
    enum { N = PACKED_ROWS * PACKED_K, BYTES = N * 4 };
    const enum dtype *dtype = parameter;
    float *x = malloc(BYTES), *all = calloc(PACKED_N * PACKED_K, 4);
    struct span s[2][4], unpacked = ops_new(o, all, PACKED_N * PACKED_K * 4);
    struct weight *w;
    for (int with = 0; with < 2; with++)
        for (int i = 0; i < 4; i++) {
            ops_fill(x, N, 50 + (uint64_t)i);
            for (int j = 0; j < N && i == 3; j++)
                x[j] = fabsf(x[j]);
            s[with][i] = ops_new(o, x, BYTES);
        }
    assert_int_equal(weight_new(&w, o->device, (struct weight_shape){PACKED_N, PACKED_K, *dtype}, "w", NULL), 0);
    tensor_weight_pack(o->queue, &(struct weight_pack_args){w, 0, PACKED_N, unpacked, DTYPE_F32, 0});
    for (int with = 0; with < 2; with++)
        tensor_adamw(o->queue, &(struct adamw_args){.n = N,
                                                    .param = s[with][0],
                                                    .grad = s[with][1],
                                                    .m = s[with][2],
                                                    .v = s[with][3],
                                                    .lr = 0.01f,
                                                    .beta1 = 0.9f,
                                                    .beta2 = 0.95f,
                                                    .eps = 1e-8f,
                                                    .decay = 0.1f,
                                                    .grad_scale = 0.5f,
                                                    .c1 = 0.19f,
                                                    .c2 = 0.0975f,
                                                    .w = with ? w : NULL,
                                                    .row = PACKED_ROW});
    tensor_weight_unpack(o->queue, &(struct weight_unpack_args){w, 0, PACKED_N, unpacked});
    ops_get(o, out, s[1][0], BYTES);
    ops_get(o, out + N, unpacked, PACKED_N * PACKED_K * 4);
    ops_get(o, out + N + PACKED_N * PACKED_K, s[0][0], BYTES);
    assert_int_equal(queue_wait(o->queue, NULL), 0);
    weight_free(w);
    free(x);
    free(all);
    return N + PACKED_N * PACKED_K + N;
}

static void adamw_packs_what_it_writes(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    for (int t = 0; t < 2; t++) {
        size_t n;
        float *got = ops_same_bits(packing_adamw_run, &dtypes[t], &n), *packed = got + PACKED_ROWS * PACKED_K,
              *alone = packed + PACKED_N * PACKED_K;
        assert_memory_equal(got, alone, PACKED_ROWS * PACKED_K * 4);
        for (int i = 0; i < PACKED_N * PACKED_K; i++) {
            int at = i - PACKED_ROW * PACKED_K;
            float want = at < 0 || at >= PACKED_ROWS * PACKED_K ? 0 : got[at];
            if (dtypes[t] != DTYPE_F32)
                want = bf16_to_f32(f32_to_bf16(want));
            assert_memory_equal(&packed[i], &want, 4);
        }
        free(got);
    }
}

/* A weight packed at random, at once and in two calls that meet within a panel. */
enum { RANDOM_N = 150, RANDOM_K = 101, RANDOM_CUT = 45 };
static size_t random_packing_run(struct ops *o, const void *parameter, float *out)
{
    enum { N = RANDOM_N * RANDOM_K };
    const uint64_t *noise = parameter;
    float *x = malloc(N * 4);
    ops_fill(x, N, 70);
    struct span from = ops_new(o, x, N * 4), to = ops_new(o, NULL, N * 4);
    struct weight *w;
    assert_int_equal(weight_new(&w, o->device, (struct weight_shape){RANDOM_N, RANDOM_K, DTYPE_BF16}, "w", NULL), 0);
    for (int way = 0; way < 2; way++) {
        int cut = way ? RANDOM_CUT : RANDOM_N;
        tensor_weight_pack(o->queue, &(struct weight_pack_args){w, 0, cut, from, DTYPE_F32, *noise});
        tensor_weight_pack(o->queue,
                           &(struct weight_pack_args){w, cut, RANDOM_N - cut,
                                                      span_at(from, (size_t)(cut * RANDOM_K) * 4), DTYPE_F32, *noise});
        tensor_weight_unpack(o->queue, &(struct weight_unpack_args){w, 0, RANDOM_N, to});
        ops_get(o, out + way * N, to, N * 4);
        assert_int_equal(queue_wait(o->queue, NULL), 0);
    }
    weight_free(w);
    free(x);
    return 2 * N;
}

/* Rows of bf16 taken as they are, at once and in two calls that meet within a panel: whole panels are turned by words
 * where k is even. */
enum { TAKEN_N = 150, TAKEN_CUT = 45 };
static size_t taking_run(struct ops *o, const void *parameter, float *out)
{
    const int k = *(const int *)parameter, n = TAKEN_N * k;
    uint16_t *x = malloc((size_t)n * 2);
    for (int i = 0; i < n; i++)
        x[i] = f32_to_bf16(ops_random(71, (uint64_t)i));
    struct span from = ops_new(o, x, (size_t)n * 2), to = ops_new(o, NULL, (size_t)n * 4);
    struct weight *w;
    assert_int_equal(weight_new(&w, o->device, (struct weight_shape){TAKEN_N, k, DTYPE_BF16}, "w", NULL), 0);
    for (int way = 0; way < 2; way++) {
        int cut = way ? TAKEN_CUT : TAKEN_N;
        tensor_weight_pack(o->queue, &(struct weight_pack_args){w, 0, cut, from, DTYPE_BF16, 0});
        tensor_weight_pack(o->queue, &(struct weight_pack_args){w, cut, TAKEN_N - cut,
                                                                span_at(from, (size_t)(cut * k) * 2), DTYPE_BF16, 0});
        tensor_weight_unpack(o->queue, &(struct weight_unpack_args){w, 0, TAKEN_N, to});
        ops_get(o, out + way * n, to, (size_t)n * 4);
        assert_int_equal(queue_wait(o->queue, NULL), 0);
    }
    weight_free(w);
    free(x);
    return 2 * (size_t)n;
}

static void bf16_is_taken_as_it_is(void **state)
{
    (void)state;
    static const int widths[] = {64, 70, 33};
    for (int t = 0; t < 3; t++) {
        size_t n;
        float *got = ops_same_bits(taking_run, &widths[t], &n);
        for (size_t i = 0; i < n; i++) {
            float want = bf16_to_f32(f32_to_bf16(ops_random(71, (uint64_t)i % (n / 2))));
            assert_memory_equal(&got[i], &want, 4);
        }
        free(got);
    }
}

static void packing_at_random_is_right_on_average(void **state)
{
    (void)state;
    enum { N = RANDOM_N * RANDOM_K };
    static const uint64_t noises[] = {5, 6};
    float *got[2];
    size_t n;
    for (int i = 0; i < 2; i++) {
        got[i] = ops_same_bits(random_packing_run, &noises[i], &n);
        assert_memory_equal(got[i], got[i] + N, N * 4);
    }
    double off = 0, apart = 0;
    int up = 0;
    for (int i = 0; i < N; i++) {
        double x = (double)ops_random(70, (uint64_t)i), step = ldexp(1, ilogb(x) - 7),
               error = ((double)got[0][i] - x) / step;
        assert_true(fabs(error) < 1);
        off += error;
        apart += got[0][i] != got[1][i];
        up += error > 0;
    }
    assert_true(fabs(off / N) < 0.012);                /* three standard deviations of the mean */
    assert_true(apart / N > 0.25 && apart / N < 0.42); /* a third */
    assert_true(up > N / 3);
    for (int i = 0; i < 2; i++)
        free(got[i]);
}

/* Moments in bf16 after one step, as floats. parameter: the key, what moves the counters, where the call is cut in two
 * (0: it is not). */
static size_t moments_run(struct ops *o, const void *parameter, float *out)
{
    enum { N = 100000 };
    const uint64_t *key_first = parameter;
    float *x = malloc(N * 4);
    uint16_t *h = malloc(N * 2);
    struct span p, g, m[2];
    ops_fill(x, N, 8);
    p = ops_new(o, x, N * 4);
    ops_fill(x, N, 9);
    g = ops_new(o, x, N * 4);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < N; j++)
            h[j] = f32_to_bf16(fabsf(ops_random(10 + (uint64_t)i, (uint64_t)j)));
        m[i] = ops_new(o, h, N * 2);
    }
    for (size_t at = 0, end = key_first[2] ? key_first[2] : N; at < N; at = end, end = N)
        tensor_adamw(o->queue, &(struct adamw_args){.n = end - at,
                                                    .param = span_at(p, at * 4),
                                                    .grad = span_at(g, at * 4),
                                                    .m = span_at(m[0], at * 2),
                                                    .v = span_at(m[1], at * 2),
                                                    .lr = 0.01f,
                                                    .beta1 = 0.9f,
                                                    .beta2 = 0.95f,
                                                    .eps = 1e-8f,
                                                    .grad_scale = 1,
                                                    .c1 = 0.1f,
                                                    .c2 = 0.05f,
                                                    .moments = DTYPE_BF16,
                                                    .key = key_first[0],
                                                    .first = key_first[1] + at});
    for (int i = 0; i < 2; i++) {
        ops_get(o, h, m[i], N * 2);
        for (int j = 0; j < N; j++)
            out[i * N + j] = bf16_to_f32(h[j]);
    }
    free(x);
    free(h);
    return 2 * N;
}

static void moments_in_bf16_are_right_on_average(void **state)
{
    (void)state;
    const uint64_t counters[][3] = {{5, 0, 0}, {5, 1, 0}, {6, 0, 0}};
    size_t n;
    float *got[3];
    for (int i = 0; i < 3; i++)
        got[i] = ops_same_bits(moments_run, counters[i], &n);
    double off[2] = {0}, greatest = 0;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 100000; j++) {
            double g = (double)ops_random(9, (uint64_t)j),
                   old = (double)bf16_to_f32(f32_to_bf16(fabsf(ops_random(10 + (uint64_t)i, (uint64_t)j))));
            double want =
                i ? (double)0.95f * old + (1 - (double)0.95f) * g * g : (double)0.9f * old + (1 - (double)0.9f) * g;
            double error = ((double)got[0][i * 100000 + j] - want) / (fabs(want) + 1e-3);
            off[i] += error / 100000;
            greatest = fmax(greatest, fabs(error));
        }
    assert_true(greatest < 0x1p-7 * 1.001);                  /* one step of bf16, either way */
    assert_true(fabs(off[0]) < 5e-5 && fabs(off[1]) < 5e-5); /* rounding towards zero would be off by 2e-3 */
    assert_memory_not_equal(got[0], got[1], n * sizeof **got);
    assert_memory_not_equal(got[0], got[2], n * sizeof **got);
    for (int i = 0; i < 3; i++)
        free(got[i]);
}

/* Random numbers belong to places, of which there may be more than 2^32: whoever takes a part of them draws the same.
 */
static void moments_in_bf16_do_not_depend_on_who_takes_which(void **state)
{
    (void)state;
    const uint64_t whole_cut[][3] = {{5, (1ull << 32) - 3000, 0}, {5, (1ull << 32) - 3000, 2000}};
    size_t n;
    float *got[2];
    for (int i = 0; i < 2; i++)
        got[i] = ops_same_bits(moments_run, whole_cut[i], &n);
    assert_memory_equal(got[0], got[1], n * sizeof **got);
    for (int i = 0; i < 2; i++)
        free(got[i]);
}

/* The widest weight there is (a vocabulary): dx goes through all of it at once, a block of rows of either type just
 * fits. */
enum { WIDE = 320 << 10, WIDE_K = 2, WIDE_ROWS = 33 };
static float wide_w[WIDE * WIDE_K], wide_dy[WIDE_ROWS * WIDE];

static void check_wide(const char *isa, enum dtype t, int rows, const double *wanted)
{
    struct ops o;
    float got[WIDE_ROWS * WIDE_K];
    struct weight *packed;
    ops_open(&o, isa, 2);
    assert_int_equal(weight_new(&packed, o.device, (struct weight_shape){WIDE, WIDE_K, t}, "w", NULL), 0);
    assert_int_not_equal(
        weight_new(&(struct weight *){NULL}, o.device, (struct weight_shape){WIDE + 1, WIDE_K, t}, "w", NULL), 0);
    struct span s = ops_new(&o, wide_w, sizeof wide_w), d = ops_new(&o, wide_dy, (size_t)rows * WIDE * 4),
                dx = ops_new(&o, NULL, (size_t)rows * WIDE_K * 4);
    tensor_weight_pack(o.queue, &(struct weight_pack_args){.w = packed, .n_row = WIDE, .src = s});
    tensor_linear_dx(o.queue, &(struct linear_dx_args){.w = packed, .n_row = rows, .dy = d, .dx = dx});
    ops_get(&o, got, dx, (size_t)rows * WIDE_K * 4);
    for (int j = 0; j < rows * WIDE_K; j++)
        ops_close_to(isa, (size_t)j, (double)got[j], wanted[j], 0.05, 0);
    weight_free(packed);
    ops_close(&o);
}

/* Values are multiples of 1/64, which bf16 holds exactly. */
static void fill_wide(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rintf(64 * ops_random(seed, i)) / 64;
}

static void a_vocabulary_may_have_327680_tokens(void **state)
{
    (void)state;
    static const char *const isas[] = {"generic", "avx2", "avx512", "avx512bf16", "amx"};
    static double wanted[WIDE_ROWS * WIDE_K];
    fill_wide(wide_w, WIDE * WIDE_K, 1);
    fill_wide(wide_dy, WIDE_ROWS * WIDE, 77);
    for (int r = 0; r < WIDE_ROWS; r++)
        for (int n = 0; n < WIDE; n++)
            for (int k = 0; k < WIDE_K; k++)
                wanted[r * WIDE_K + k] += (double)wide_dy[r * WIDE + n] * (double)wide_w[n * WIDE_K + k];
    for (int k = 0; k < 5; k++) {
        struct device *has;
        if (device_open(&has, DEVICE_CPU, &(struct device_options){.isa = isas[k]}, NULL))
            continue;
        device_close(has);
        check_wide(isas[k], DTYPE_F32, 13, wanted);
        check_wide(isas[k], DTYPE_BF16, WIDE_ROWS, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_of_bf16_are_those_of_the_same_values),
        cmocka_unit_test(a_vocabulary_may_have_327680_tokens),
        cmocka_unit_test(fresh_sums_are_those_from_zero),
        cmocka_unit_test(residuals_may_lie_in_wider_rows_and_scaling_scales),
        cmocka_unit_test(adamw_packs_what_it_writes),
        cmocka_unit_test(bf16_is_taken_as_it_is),
        cmocka_unit_test(packing_at_random_is_right_on_average),
        cmocka_unit_test(moments_in_bf16_are_right_on_average),
        cmocka_unit_test(moments_in_bf16_do_not_depend_on_who_takes_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
