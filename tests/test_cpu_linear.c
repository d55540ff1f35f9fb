/* SPDX-License-Identifier: Apache-2.0 */
/* The three products on every instruction set this machine has: against sums in double precision at odd sizes, with
 * guard bytes around outputs; and the promises about bits (instruction sets in f32, threads, rows, splits of dw). */
#include "tests/check.h"

#include "base/rng.h"
#include "tensor/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROWS = 65,
    MAX_N = 576,
    MAX_K = 576,
    MAX_X = MAX_ROWS * MAX_K,
    MAX_W = MAX_N * MAX_K,
    MAX_Y = MAX_ROWS * MAX_N,
    GUARD = 64
};
static const char *const isas[] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"};
enum { N_ISA = 6 };
static float x[MAX_X], w[MAX_W], y[MAX_W + 2 * GUARD], other[MAX_W + 2 * GUARD], dy[MAX_Y], bias[MAX_N],
    residual[MAX_Y];
static double sums[MAX_W], sizes[MAX_W];

static void fill(float *to, int n, uint64_t name)
{
    struct rng_stream s = {7, name, 0};
    for (int i = 0; i < n; i++)
        to[i] = 2 * rng_uniform(&s, (uint64_t)i) - 1;
}

static int setup(void **state)
{
    (void)state;
    fill(x, MAX_X, 1);
    fill(w, MAX_W, 2);
    fill(dy, MAX_Y, 3);
    fill(bias, MAX_N, 4);
    fill(residual, MAX_Y, 5);
    return 0;
}

static int reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

static float half(float f)
{
    return bf16_to_f32(f32_to_bf16(f));
}

/* A device with its buffers, or d NULL when the machine lacks the instruction set. */
struct bench {
    struct device *d;
    struct queue *q;
    struct buffer *x, *w, *y, *dy, *bias, *residual, *rows;
    struct weight *packed;
};

static struct span at(struct buffer *b)
{
    return (struct span){b, 0};
}

static struct buffer *buffer_of(struct bench *b, const void *from, size_t bytes)
{
    struct buffer *out;
    struct error err;
    assert_int_equal(buffer_new(&out, b->d, bytes, "test", &err), 0);
    if (from)
        queue_upload(b->q, at(out), from, bytes);
    return out;
}

static int bench_open(struct bench *b, const char *isa, int n_thread)
{
    struct error err;
    memset(b, 0, sizeof *b);
    if (device_open(&b->d, DEVICE_CPU, &(struct device_options){.n_thread = n_thread, .isa = isa}, &err))
        return -1;
    b->q = device_queue(b->d);
    b->x = buffer_of(b, x, sizeof x);
    b->w = buffer_of(b, w, sizeof w);
    b->dy = buffer_of(b, dy, sizeof dy);
    b->bias = buffer_of(b, bias, sizeof bias);
    b->residual = buffer_of(b, residual, sizeof residual);
    b->y = buffer_of(b, NULL, sizeof y);
    b->rows = buffer_of(b, NULL, MAX_ROWS * 4);
    return 0;
}

static void bench_close(struct bench *b)
{
    weight_free(b->packed);
    struct buffer *all[] = {b->x, b->w, b->y, b->dy, b->bias, b->residual, b->rows};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_free(all[i]);
    device_close(b->d);
}

/* The first n x k values of w as a weight, packed in two calls that cut a panel. */
static void pack(struct bench *b, int n, int k, enum dtype t)
{
    struct error err;
    weight_free(b->packed);
    assert_int_equal(weight_new(&b->packed, b->d, n, k, t, "w", &err), 0);
    int cut = n / 2;
    tensor_weight_pack(b->q, &(struct weight_pack_args){.w = b->packed, .n_row = cut, .src = at(b->w)});
    tensor_weight_pack(b->q,
                       &(struct weight_pack_args){
                           .w = b->packed, .row = cut, .n_row = n - cut, .src = {b->w, (size_t)cut * (size_t)k * 4}});
}

/* Marks y, lets run write from GUARD on, fetches count floats and checks that the rest is as it was. */
static void prepare_y(struct bench *b, const float *start, int count)
{
    memset(y, 0xA5, sizeof y);
    if (start)
        memcpy(y + GUARD, start, (size_t)count * 4);
    queue_upload(b->q, at(b->y), y, sizeof y);
}

static void fetch_y(struct bench *b, int count)
{
    queue_download(b->q, y, at(b->y), sizeof y);
    assert_int_equal(queue_wait(b->q, NULL), 0);
    float mark;
    memset(&mark, 0xA5, 4);
    for (int i = 0; i < GUARD; i++)
        if (memcmp(&y[i], &mark, 4) || memcmp(&y[GUARD + count + i], &mark, 4))
            fail_msg("wrote outside: %d", i);
    memmove(y, y + GUARD, (size_t)count * 4);
}

static struct span y_span(const struct bench *b)
{
    return (struct span){b->y, GUARD * 4};
}

static void assert_close(const char *what, const char *isa, int m, int n, int k, int count, int depth)
{
    for (int i = 0; i < count; i++)
        if (!(fabs(sums[i] - y[i]) <= 6e-8 * (depth + 2) * sizes[i] + 1e-30))
            fail_msg("%s %s m %d n %d k %d: element %d is %.9g, wanted %.9g", what, isa, m, n, k, i, y[i], sums[i]);
}

static void oracle_forward(int m, int n, int k, enum dtype t)
{
    for (int i = 0; i < m * n; i++) {
        sums[i] = sizes[i] = 0;
        for (int j = 0; j < k; j++) {
            double a = x[i / n * k + j], b = w[i % n * k + j];
            double p = t == DTYPE_BF16 ? (double)half((float)a) * half((float)b) : a * b;
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
            double a = dy[i / k * n + j], b = w[j * k + i % k];
            double p = t == DTYPE_BF16 ? (double)half((float)a) * half((float)b) : a * b;
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
            double a = dy[j * n + i / k], b = x[j * k + i % k];
            double p = t == DTYPE_BF16 ? (double)half((float)a) * half((float)b) : a * b;
            sums[i] += p;
            sizes[i] += fabs(p);
        }
    }
}

static void check_forward(struct bench *b, const char *isa, int m, int n, int k)
{
    prepare_y(b, NULL, 0);
    tensor_linear(b->q, &(struct linear_args){.w = b->packed, .n_row = m, .x = at(b->x), .y = y_span(b)});
    fetch_y(b, m * n);
    assert_close("forward", isa, m, n, k, m * n, k);
}

static void check_dx(struct bench *b, const char *isa, int m, int n, int k)
{
    prepare_y(b, NULL, 0);
    tensor_linear_dx(b->q, &(struct linear_dx_args){.w = b->packed, .n_row = m, .dy = at(b->dy), .dx = y_span(b)});
    fetch_y(b, m * k);
    assert_close("dx", isa, m, n, k, m * k, n);
}

static void check_dw(struct bench *b, const char *isa, int m, int n, int k, enum dtype t)
{
    prepare_y(b, w, n * k);
    tensor_linear_dw(b->q,
                     &(struct linear_dw_args){
                         .n = n, .k = k, .n_row = m, .compute = t, .dy = at(b->dy), .x = at(b->x), .dw = y_span(b)});
    fetch_y(b, n * k);
    assert_close("dw", isa, m, n, k, n * k, m);
}

static void check_sizes(struct bench *benches, int n, int k, const int *rows, int n_rows, enum dtype t)
{
    for (int i = 0; i < N_ISA; i++)
        if (benches[i].d)
            pack(&benches[i], n, k, t);
    for (int r = 0; r < n_rows; r++) {
        oracle_forward(rows[r], n, k, t);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_forward(&benches[i], isas[i], rows[r], n, k);
        oracle_dx(rows[r], n, k, t);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_dx(&benches[i], isas[i], rows[r], n, k);
        if (t == DTYPE_BF16 && rows[r] % 2)
            continue;
        oracle_dw(rows[r], n, k, t, w);
        for (int i = 0; i < N_ISA; i++)
            if (benches[i].d)
                check_dw(&benches[i], isas[i], rows[r], n, k, t);
    }
}

static void products_match_double_precision(void **state)
{
    (void)state;
    static const int extents[] = {1, 7, 15, 16, 17, 31, 33, 63, 65, 100},
                     all_rows[] = {0, 1, 2, 5, 7, 8, 9, 16, 17, 31, 33, 63, 65}, few[] = {1, 6};
    struct bench benches[N_ISA];
    for (int i = 0; i < N_ISA; i++)
        bench_open(&benches[i], isas[i], 2);
    for (int t = 0; t < 2; t++) {
        for (int n = 0; n < 10; n++)
            for (int k = 0; k < 10; k++)
                check_sizes(benches, extents[n], extents[k], few, reduced() ? 1 : 2, (enum dtype)t);
        check_sizes(benches, 65, 100, all_rows, 13, (enum dtype)t);
        check_sizes(benches, 100, 33, all_rows, 13, (enum dtype)t);
        if (!reduced()) {
            static const int large[] = {2, 40};
            check_sizes(benches, 576, 65, large, 2, (enum dtype)t);
            check_sizes(benches, 65, 576, large, 2, (enum dtype)t);
        }
    }
    for (int i = 0; i < N_ISA; i++)
        if (benches[i].d)
            bench_close(&benches[i]);
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

static void put_inputs(struct bench *b, const struct variant *v, int m, int k)
{
    int32_t rows[MAX_ROWS];
    static uint16_t packed[MAX_X];
    int stride = k + v->stride;
    for (int t = 0; t < m; t++)
        rows[t] = m - 1 - t;
    queue_upload(b->q, at(b->rows), rows, (size_t)m * 4);
    memset(other, 0, sizeof other);
    for (int t = 0; t < m; t++)
        for (int i = 0; i < k; i++) {
            packed[t * stride + i] = f32_to_bf16(x[t * k + i]);
            other[t * stride + i] = x[t * k + i];
        }
    if (v->x_bf16)
        queue_upload(b->q, at(b->x), packed, (size_t)m * (size_t)stride * 2);
    else
        queue_upload(b->q, at(b->x), other, (size_t)m * (size_t)stride * 4);
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

static void run_variant(struct bench *b, const struct variant *v, int m, int n, int k)
{
    int n_out = v->gate ? n / 2 : n;
    put_inputs(b, v, m, k);
    prepare_y(b, NULL, 0);
    struct linear_args a = {.w = b->packed,
                            .n_row = m,
                            .x = at(b->x),
                            .x_dtype = v->x_bf16 ? DTYPE_BF16 : DTYPE_F32,
                            .x_stride = v->stride ? k + v->stride : 0,
                            .y = y_span(b),
                            .y_dtype = v->y_bf16 ? DTYPE_BF16 : DTYPE_F32,
                            .y_stride = v->stride ? n_out + v->stride : 0,
                            .gate = v->gate};
    a.act = acts[v->act];
    a.activate = v->act > 0 && !v->gate;
    a.rows = v->rows ? at(b->rows) : SPAN_NONE;
    a.bias = v->bias ? at(b->bias) : SPAN_NONE;
    a.residual = v->residual ? at(b->residual) : SPAN_NONE;
    tensor_linear(b->q, &a);
    int stride = n_out + v->stride, last = m ? (m - 1) * stride + n_out : 0;
    fetch_y(b, v->y_bf16 ? (last + 1) / 2 : last);
    for (int i = 0; i < m * n_out; i++) {
        int from = i / n_out * stride + i % n_out;
        uint16_t h;
        memcpy(&h, (uint16_t *)y + from, 2);
        other[i] = v->y_bf16 ? bf16_to_f32(h) : y[from];
    }
}

static void check_variant(struct bench *b, const char *isa, const struct variant *v, enum dtype t, int m, int n, int k)
{
    run_variant(b, v, m, n, k);
    static float rounded[MAX_X];
    memcpy(rounded, x, sizeof x);
    if (v->x_bf16)
        for (int i = 0; i < m * k; i++)
            x[i] = half(x[i]);
    oracle_forward(m, n, k, t);
    memcpy(x, rounded, sizeof x);
    int n_out = v->gate ? n / 2 : n;
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n_out; c++) {
            const double *s = sums + (v->rows ? m - 1 - r : r) * n;
            double sum = s[c] + (v->bias ? bias[c] : 0);
            if (v->gate || v->act)
                sum = activated(acts[v->act], sum);
            if (v->gate)
                sum *= (s[n_out + c] + (v->bias ? bias[n_out + c] : 0));
            sum += v->residual ? residual[r * n_out + c] : 0;
            double bound = (v->gate || v->act ? 2e-4 : 3e-5) + (v->y_bf16 ? fabs(sum) / 250 : 0);
            if (!(fabs(sum - other[r * n_out + c]) <= bound))
                fail_msg("%s gate %d bias %d residual %d rows %d x %d y %d: row %d column %d is %g, wanted %g", isa,
                         v->gate, v->bias, v->residual, v->rows, v->x_bf16, v->y_bf16, r, c, other[r * n_out + c], sum);
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
        struct bench b;
        if (bench_open(&b, isas[i], 2))
            continue;
        for (int t = 0; t < 2; t++)
            for (int s = 0; s < (reduced() ? 1 : 3); s++) {
                pack(&b, shapes[s][1], shapes[s][2], (enum dtype)t);
                for (int e = 0; e < 128; e++) {
                    struct variant v = variant_of(e);
                    check_variant(&b, isas[i], &v, (enum dtype)t, shapes[s][0], shapes[s][1], shapes[s][2]);
                }
            }
        bench_close(&b);
    }
}

static void residual_may_be_the_output(void **state)
{
    (void)state;
    struct bench b;
    assert_int_equal(bench_open(&b, NULL, 2), 0);
    pack(&b, 40, 24, DTYPE_F32);
    prepare_y(&b, residual, 9 * 40);
    tensor_linear(
        b.q, &(struct linear_args){.w = b.packed, .n_row = 9, .x = at(b.x), .y = y_span(&b), .residual = y_span(&b)});
    fetch_y(&b, 9 * 40);
    memcpy(other, y, 9 * 40 * 4);
    prepare_y(&b, NULL, 0);
    tensor_linear(b.q, &(struct linear_args){
                           .w = b.packed, .n_row = 9, .x = at(b.x), .y = y_span(&b), .residual = at(b.residual)});
    fetch_y(&b, 9 * 40);
    assert_memory_equal(other, y, 9 * 40 * 4);
    bench_close(&b);
}

enum which { FORWARD, GATED, DX, DX_ADDED, DW, N_WHICH };
static int run_which(struct bench *b, enum which which, int m, int n, int k, enum dtype t)
{
    const int counts[] = {[FORWARD] = m * n, [GATED] = m * (n / 2), [DW] = n * k, [DX] = m * k, [DX_ADDED] = m * k};
    int count = counts[which];
    prepare_y(b, which == DX_ADDED || which == DW ? w : NULL, count);
    if (which == FORWARD || which == GATED)
        tensor_linear(b->q, &(struct linear_args){.w = b->packed,
                                                  .n_row = m,
                                                  .x = at(b->x),
                                                  .y = y_span(b),
                                                  .gate = which == GATED,
                                                  .bias = at(b->bias),
                                                  .residual = at(b->residual)});
    else if (which == DW)
        tensor_linear_dw(
            b->q, &(struct linear_dw_args){
                      .n = n, .k = k, .n_row = m, .compute = t, .dy = at(b->dy), .x = at(b->x), .dw = y_span(b)});
    else
        tensor_linear_dx(
            b->q, &(struct linear_dx_args){
                      .w = b->packed, .n_row = m, .dy = at(b->dy), .dx = y_span(b), .accumulate = which == DX_ADDED});
    fetch_y(b, count);
    return count;
}

static void f32_bits_are_equal_on_every_instruction_set(void **state)
{
    (void)state;
    static const int shapes[][3] = {{33, 100, 65}, {6, 64, 576}, {2, 576, 40}};
    static float wanted[N_WHICH][MAX_W];
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < N_ISA; i++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            pack(&b, shapes[s][1], shapes[s][2], DTYPE_F32);
            for (int which = 0; which < N_WHICH; which++) {
                int count = run_which(&b, (enum which)which, shapes[s][0], shapes[s][1], shapes[s][2], DTYPE_F32);
                if (i == 0)
                    memcpy(wanted[which], y, (size_t)count * 4);
                if (memcmp(wanted[which], y, (size_t)count * 4))
                    fail_msg("product %d differs between generic and %s", which, isas[i]);
            }
            bench_close(&b);
        }
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static float wanted[N_WHICH][MAX_W];
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++)
            for (int n_thread = 1; n_thread <= 3; n_thread++) {
                struct bench b;
                if (bench_open(&b, isas[i], n_thread))
                    continue;
                pack(&b, 200, 100, (enum dtype)t);
                for (int which = 0; which < N_WHICH; which++) {
                    int count = run_which(&b, (enum which)which, 64, 200, 100, (enum dtype)t);
                    if (n_thread == 1)
                        memcpy(wanted[which], y, (size_t)count * 4);
                    assert_memory_equal(wanted[which], y, (size_t)count * 4);
                }
                bench_close(&b);
            }
}

static void a_row_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    enum { N = 130, K = 96, M = 65 };
    static float wanted[3][MAX_Y];
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            pack(&b, N, K, (enum dtype)t);
            for (int m = M; m >= 1; m -= reduced() ? 16 : 1)
                for (int which = 0; which < 3; which++) {
                    int count = run_which(&b, (enum which)which, m, N, K, (enum dtype)t);
                    if (m == M)
                        memcpy(wanted[which], y, (size_t)count * 4);
                    if (memcmp(wanted[which], y, (size_t)count * 4))
                        fail_msg("%s product %d type %d: rows of %d differ from those of %d", isas[i], which, t, m, M);
                }
            bench_close(&b);
        }
}

static void dw_does_not_depend_on_how_rows_are_split(void **state)
{
    (void)state;
    enum { N = 70, K = 50, M = 64 };
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            run_which(&b, DW, M, N, K, (enum dtype)t);
            memcpy(other, y, N * K * 4);
            for (int cut = 0; cut <= M; cut += t ? 2 : 1) {
                prepare_y(&b, w, N * K);
                struct linear_dw_args a = {.n = N,
                                           .k = K,
                                           .n_row = cut,
                                           .compute = (enum dtype)t,
                                           .dy = at(b.dy),
                                           .x = at(b.x),
                                           .dw = y_span(&b)};
                tensor_linear_dw(b.q, &a);
                a.n_row = M - cut;
                a.dy.offset = (size_t)cut * N * 4;
                a.x.offset = (size_t)cut * K * 4;
                tensor_linear_dw(b.q, &a);
                fetch_y(&b, N * K);
                assert_memory_equal(other, y, N * K * 4);
            }
            bench_close(&b);
        }
}

static void dw_by_sequences_does_not_depend_on_how_they_are_split(void **state)
{
    (void)state;
    enum { N = 70, K = 50, M = 64, S = 5 };
    static const int32_t borders[S + 1] = {0, 10, 10, 44, 46, 64};
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            queue_upload(b.q, at(b.rows), borders, sizeof borders);
            oracle_dw(M, N, K, (enum dtype)t, w);
            for (int cut = 0; cut <= S; cut++) {
                prepare_y(&b, w, N * K);
                struct linear_dw_args a = {.n = N,
                                           .k = K,
                                           .n_row = borders[cut],
                                           .compute = (enum dtype)t,
                                           .dy = at(b.dy),
                                           .x = at(b.x),
                                           .dw = y_span(&b),
                                           .borders = at(b.rows)};
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
                fetch_y(&b, N * K);
                if (cut == 0)
                    memcpy(other, y, N * K * 4);
                assert_memory_equal(other, y, N * K * 4);
                assert_close("dw by sequences", isas[i], M, N, K, N * K, M);
            }
            bench_close(&b);
        }
}

/* A NaN among the inputs reaches its own row and nothing else, although rows share tiles and padding. */
static void a_row_of_nan_stays_alone(void **state)
{
    (void)state;
    enum { N = 40, K = 40, M = 7 };
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            pack(&b, N, K, (enum dtype)t);
            float nan_row[K];
            for (int k = 0; k < K; k++)
                nan_row[k] = NAN;
            queue_upload(b.q, (struct span){b.x, 3 * K * 4}, nan_row, sizeof nan_row);
            prepare_y(&b, NULL, 0);
            tensor_linear(b.q, &(struct linear_args){.w = b.packed, .n_row = M, .x = at(b.x), .y = y_span(&b)});
            fetch_y(&b, M * N);
            for (int j = 0; j < M * N; j++)
                assert_int_equal(isnan(y[j]) != 0, j / N == 3);
            bench_close(&b);
        }
}

static void unpack_gives_the_values_back(void **state)
{
    (void)state;
    struct bench b;
    assert_int_equal(bench_open(&b, NULL, 2), 0);
    for (int t = 0; t < 2; t++) {
        pack(&b, 70, 33, (enum dtype)t);
        prepare_y(&b, NULL, 0);
        tensor_weight_unpack(b.q,
                             &(struct weight_unpack_args){.w = b.packed, .row = 5, .n_row = 60, .dst = y_span(&b)});
        fetch_y(&b, 60 * 33);
        for (int i = 0; i < 60 * 33; i++)
            assert_true(y[i] == (t ? half(w[5 * 33 + i]) : w[5 * 33 + i]));
    }
    bench_close(&b);
}

static void embedding_and_its_gradient(void **state)
{
    (void)state;
    enum { V = 50, C = 70, T = 9 };
    static const int32_t tokens[T] = {3, 49, 3, -1, 0, 17, 3, 49, 32};
    struct bench b;
    assert_int_equal(bench_open(&b, NULL, 3), 0);
    queue_upload(b.q, at(b.rows), tokens, sizeof tokens);
    for (int t = 0; t < 2; t++) {
        pack(&b, V, C, (enum dtype)t);
        prepare_y(&b, NULL, 0);
        tensor_embed(b.q, &(struct embed_args){.w = b.packed, .n_row = T, .tokens = at(b.rows), .y = y_span(&b)});
        fetch_y(&b, T * C);
        for (int i = 0; i < T * C; i++) {
            float v = tokens[i / C] < 0 ? 0 : w[tokens[i / C] * C + i % C];
            assert_true(y[i] == (t ? half(v) : v));
        }
    }
    prepare_y(&b, w, V * C);
    tensor_embed_dw(b.q,
                    &(struct embed_dw_args){
                        .n_vocab = V, .n_row = T, .n_col = C, .tokens = at(b.rows), .dy = at(b.dy), .dw = y_span(&b)});
    fetch_y(&b, V * C);
    memcpy(other, w, V * C * 4);
    for (int t = 0; t < T; t++)
        for (int c = 0; c < C && tokens[t] >= 0; c++)
            other[tokens[t] * C + c] += dy[t * C + c];
    assert_memory_equal(other, y, V * C * 4);
    bench_close(&b);
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
        cmocka_unit_test(f32_bits_are_equal_on_every_instruction_set),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_row_does_not_depend_on_its_neighbours),
        cmocka_unit_test(dw_does_not_depend_on_how_rows_are_split),
        cmocka_unit_test(dw_by_sequences_does_not_depend_on_how_they_are_split),
        cmocka_unit_test(a_row_of_nan_stays_alone),
        cmocka_unit_test(unpack_gives_the_values_back),
        cmocka_unit_test(embedding_and_its_gradient),
        cmocka_unit_test(an_unknown_instruction_set_is_named),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
