/* SPDX-License-Identifier: Apache-2.0 */
/* Time of every operator but the products at SmolLM2-135M's shapes, as a share of what this machine can do, measured in
 * the same run: for operators that move memory the rate of memcpy over a large area (counted as read + written bytes),
 * for those that compute the rate of independent fused multiply-adds. Prints one line an operator; the best of several
 * repetitions. usage: bench_ops [threads] */
#include "base/clock.h"
#include "base/mem.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { C = 576, H = 9, K = 3, D = 64, F = 1536, V = 49152, ROWS = 1024 };

/* With one thread its own time, which other processes disturb less. */
static double now(const struct device *d)
{
    struct timespec t;
    if (device_n_thread(d) > 1)
        return clock_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bench {
    struct device *device;
    struct queue *q;
    double bytes_per_s, flops_per_s, last; /* last: seconds of the operator timed last */
};

static struct span fresh(struct bench *b, size_t bytes, float scale)
{
    struct buffer *buffer;
    struct error err = {0};
    if (buffer_new(&buffer, b->device, bytes, "bench", &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    float *x = cpu_ptr((struct span){buffer, 0});
    uint32_t state = 12345;
    for (size_t i = 0; i < bytes / 4; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = scale * ((float)(state >> 8) * 0x1p-23f - 1);
    }
    return (struct span){buffer, 0};
}

static struct span numbers(struct bench *b, int n, int (*at)(int))
{
    struct span s = fresh(b, (size_t)n * 4, 0);
    for (int i = 0; i < n; i++)
        ((int32_t *)cpu_ptr(s))[i] = at(i);
    return s;
}

/* ---- what the machine can do */
static char *from, *to;
static void copy_piece(void *context, int piece, int worker)
{
    (void)context;
    (void)worker;
    memcpy(to + ((size_t)piece << 20), from + ((size_t)piece << 20), 1 << 20);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void fma_512(float *out)
{
    __m512 a[12], x = _mm512_set1_ps(0.999f);
    for (int i = 0; i < 12; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int k = 0; k < 1 << 20; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            a[i] = _mm512_fmadd_ps(a[i], x, x);
    }
    for (int i = 1; i < 12; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    _mm512_storeu_ps(out, a[0]);
}
__attribute__((target("avx2,fma"))) static void fma_256(float *out)
{
    __m256 a[12], x = _mm256_set1_ps(0.999f);
    for (int i = 0; i < 12; i++)
        a[i] = _mm256_set1_ps((float)i);
    for (int k = 0; k < 1 << 20; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            a[i] = _mm256_fmadd_ps(a[i], x, x);
    }
    for (int i = 1; i < 12; i++)
        a[0] = _mm256_add_ps(a[0], a[i]);
    _mm256_storeu_ps(out, a[0]);
}
#endif
static int fma_lanes;
static volatile float sink;
static void fma_piece(void *context, int piece, int worker)
{
    (void)piece;
    (void)worker;
    (void)context;
    float sums[16] = {0};
#if defined(__x86_64__)
    if (fma_lanes == 16)
        fma_512(sums);
    else if (fma_lanes == 8)
        fma_256(sums);
#endif
    sink = sums[0];
}

static void measure_limits(struct bench *b)
{
    enum { MIB = 256 };
    struct pool *pool = cpu_pool(b->q);
    int n = device_n_thread(b->device);
    from = mem_slab((size_t)MIB << 20);
    to = mem_slab((size_t)MIB << 20);
    if (!from || !to)
        exit(1);
    memset(from, 1, (size_t)MIB << 20);
    memset(to, 2, (size_t)MIB << 20);
    fma_lanes = isa_available(ISA_AVX2) ? 8 : 0;
    if (isa_available(ISA_AVX512))
        fma_lanes = 16;
    for (int i = 0; i < 5; i++) {
        double start = now(b->device);
        pool_run(pool, MIB, copy_piece, NULL);
        double rate = 2.0 * MIB * (1 << 20) / (now(b->device) - start);
        b->bytes_per_s = rate > b->bytes_per_s ? rate : b->bytes_per_s;
        start = now(b->device);
        pool_run(pool, n, fma_piece, NULL);
        rate = fma_lanes ? 24.0 * fma_lanes * (1 << 20) * n / (now(b->device) - start) : 0;
        b->flops_per_s = rate > b->flops_per_s ? rate : b->flops_per_s;
    }
    mem_slab_free(from, (size_t)MIB << 20);
    mem_slab_free(to, (size_t)MIB << 20);
    printf("%s, %d threads: memcpy %.1f GB/s, fused multiply-add %.0f GFLOP/s\n", device_isa(b->device), n,
           b->bytes_per_s * 1e-9, b->flops_per_s * 1e-9);
}

#define TIME(name, bytes_moved, flops, ...)                                                                           \
    do {                                                                                                              \
        double best = 1e9, spent = 0;                                                                                 \
        for (int r_ = 0; r_ < 200 && (r_ < 3 || spent < 0.3); r_++) {                                                 \
            double start_ = now(b->device);                                                                           \
            __VA_ARGS__;                                                                                              \
            queue_drain(b->q);                                                                                        \
            double t_ = now(b->device) - start_;                                                                      \
            best = t_ < best ? t_ : best;                                                                             \
            spent += t_;                                                                                              \
        }                                                                                                             \
        b->last = best;                                                                                               \
        printf("%-34s %9.3f ms %8.1f GB/s (%3.0f %% of memcpy) %8.1f GFLOP/s (%3.0f %% of peak)\n", name, best * 1e3, \
               (bytes_moved) / best * 1e-9, 100 * (bytes_moved) / best / b->bytes_per_s, (flops) / best * 1e-9,       \
               b->flops_per_s > 0 ? 100 * (flops) / best / b->flops_per_s : 0);                                       \
    } while (0)

static int itself(int i)
{
    return i;
}
static int target_of(int i)
{
    return (int)((unsigned)i * 7919u % V);
}

/* One way of a norm over ROWS rows of C. */
static struct norm_args norm_of(struct span x, struct span w, struct span y, enum dtype y_dtype, struct span inverse)
{
    return (struct norm_args){.kind = NORM_RMS,
                              .n_row = ROWS,
                              .n_col = C,
                              .eps = 1e-5f,
                              .x = x,
                              .weight = w,
                              .bias = SPAN_NONE,
                              .y = y,
                              .y_dtype = y_dtype,
                              .inverse = inverse,
                              .mean = SPAN_NONE};
}

static void bench_rows(struct bench *b)
{
    double rc = (double)ROWS * C * 4, rf = (double)ROWS * F * 4;
    struct span x = fresh(b, ROWS * C * 4, 1), y = fresh(b, ROWS * C * 4, 1), dx = fresh(b, ROWS * C * 4, 1),
                w = fresh(b, C * 4, 1), dw = fresh(b, C * 4, 1);
    struct span inverse = fresh(b, ROWS * 4, 1), wide = fresh(b, (size_t)ROWS * 2 * F * 4, 3),
                act = fresh(b, (size_t)ROWS * F * 4, 1);
    struct span positions = numbers(b, ROWS, itself), freq = fresh(b, D * 2, 1), table = fresh(b, ROWS * D * 4, 1);
    const struct norm_args to_f32 = norm_of(x, w, y, DTYPE_F32, inverse);
    const struct norm_args to_bf16 = norm_of(x, w, y, DTYPE_BF16, inverse);
    TIME("norm rms f32", 2 * rc, 4.0 * ROWS * C, tensor_norm(b->q, &to_f32));
    TIME("norm rms to bf16", 1.5 * rc, 4.0 * ROWS * C, tensor_norm(b->q, &to_bf16));
    TIME("norm_dx rms", 6 * rc, 14.0 * ROWS * C,
         tensor_norm_dx(b->q, &(struct norm_dx_args){.kind = NORM_RMS,
                                                     .n_row = ROWS,
                                                     .n_col = C,
                                                     .x = x,
                                                     .weight = w,
                                                     .inverse = inverse,
                                                     .dy = y,
                                                     .dx = dx,
                                                     .accumulate = 1,
                                                     .dweight = dw}));
    TIME("rope_table 1024 rows", 4.0 * ROWS * D, 0,
         tensor_rope_table(
             b->q, &(struct rope_table_args){
                       .n_row = ROWS, .n_rotated = D, .positions = positions, .inv_freq = freq, .table = table}));
    TIME("rope 9 heads", 2 * rc, 6.0 * ROWS * C,
         tensor_rope(b->q, &(struct rope_args){
                               .n_row = ROWS, .n_head = H, .head_dim = D, .x = x, .x_stride = C, .table = table}));
    TIME("gate silu f32", 3 * rf, 20.0 * ROWS * F,
         tensor_gate(b->q, &(struct gate_args){ACT_SILU, 1, ROWS, F, wide, act, DTYPE_F32, DTYPE_F32}));
    TIME("gate silu to bf16", 2.5 * rf, 20.0 * ROWS * F,
         tensor_gate(b->q, &(struct gate_args){ACT_SILU, 1, ROWS, F, wide, act, DTYPE_BF16, DTYPE_F32}));
    TIME("gate_dx silu", 5 * rf, 45.0 * ROWS * F,
         tensor_gate_dx(b->q, &(struct gate_dx_args){ACT_SILU, 1, ROWS, F, wide, act, wide, DTYPE_F32}));
    TIME("add", 3 * rc, 1.0 * ROWS * C, tensor_add(b->q, &(struct add_args){ROWS * C, x, y, SPAN_NONE}));
    TIME("cast f32 to bf16", 1.5 * rf, 0,
         tensor_cast(b->q, &(struct cast_args){(size_t)ROWS * F, act, DTYPE_F32, wide, DTYPE_BF16}));
    TIME("gather_rows", 2 * rc, 0, tensor_gather_rows(b->q, &(struct gather_rows_args){ROWS, C, x, positions, y}));
    TIME("scatter_add_rows", 3 * rc, 1.0 * ROWS * C,
         tensor_scatter_add_rows(b->q, &(struct scatter_add_rows_args){ROWS, C, x, positions, y}));
}

static void bench_vocabulary(struct bench *b)
{
    enum { N = 160 };
    double row = (double)N * V;
    struct span logits = fresh(b, (size_t)N * V * 4, 10), targets = numbers(b, N, target_of), nll = fresh(b, N * 4, 1),
                ids = fresh(b, N * 64 * 4, 1);
    struct span values = fresh(b, N * 64 * 4, 1), raw = fresh(b, N * 64 * 4, 1), bias = fresh(b, N * 4, 1),
                uniform = fresh(b, N * 4, 0.5f), knobs = fresh(b, N * 16, 0);
    float *x = cpu_ptr(logits);
    for (size_t i = 0; i + 3 < (size_t)N * V;
         i++) /* bell-shaped, with a few that stand out, as a language model's are */
        x[i] = (x[i] + x[i + 1] + x[i + 2] + x[i + 3]) * 0.22f + (i % 4099 == 0 ? 12 : 0);
    for (int t = 0; t < N; t++) {
        float *k = (float *)cpu_ptr(knobs) + 4 * t, own[4] = {0.8f, 50, 0.95f, 0};
        memcpy(k, own, sizeof own);
        ((float *)cpu_ptr(uniform))[t] += 0.5f;
    }
    TIME("cross_entropy 160 x 49152", 4 * row, 20 * row,
         tensor_cross_entropy(b->q, &(struct cross_entropy_args){
                                        .n_row = N, .n_vocab = V, .logits = logits, .targets = targets, .nll = nll}));
    struct candidates_args c = {.n_row = N,
                                .n_vocab = V,
                                .n_top = 10,
                                .log_softmax = 1,
                                .logits = logits,
                                .bias = bias,
                                .values = values,
                                .ids = ids,
                                .raw = raw};
    TIME("candidates 10 of 160 x 49152", 4 * row, 20 * row, tensor_candidates(b->q, &c));
    c.n_top = 64;
    TIME("candidates 64 of 160 x 49152", 4 * row, 20 * row, tensor_candidates(b->q, &c));
    struct sample_args s = {
        .n_row = N, .n_vocab = V, .logits = logits, .knobs = knobs, .uniform = uniform, .ids = ids, .raw = raw};
    TIME("sample top_k 50 top_p 0.95", 4 * row, 20 * row, tensor_sample(b->q, &s));
    for (int t = 0; t < N; t++) {
        ((float *)cpu_ptr(knobs))[4 * t + 1] = 0;
        ((float *)cpu_ptr(knobs))[4 * t + 2] = 1;
    }
    TIME("sample, no filter", 4 * row, 20 * row, tensor_sample(b->q, &s));
    TIME("cross_entropy with gradient", 8 * row, 22 * row,
         tensor_cross_entropy(
             b->q,
             &(struct cross_entropy_args){
                 .n_row = N, .n_vocab = V, .logits = logits, .targets = targets, .nll = nll, .grad_scale = 0.01f}));
}

/* What memory allows an optimizer: four streams read, three of them written, with hardly any arithmetic, in the pieces
 * that AdamW takes; with plain stores and with stores past the caches. */
enum { STREAM_PIECE = 1 << 15 };
static float *streams[4];
static int past_caches;
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void stream_512(size_t at)
{
    float *p = streams[0] + at, *g = streams[1] + at, *m = streams[2] + at, *v = streams[3] + at;
    for (size_t i = 0; i < STREAM_PIECE; i += 16) {
        __m512 d = _mm512_loadu_ps(g + i), a = _mm512_add_ps(_mm512_loadu_ps(p + i), d),
               c = _mm512_add_ps(_mm512_loadu_ps(m + i), d), e = _mm512_add_ps(_mm512_loadu_ps(v + i), d);
        if (past_caches) {
            _mm512_stream_ps(p + i, a);
            _mm512_stream_ps(m + i, c);
            _mm512_stream_ps(v + i, e);
        } else {
            _mm512_storeu_ps(p + i, a);
            _mm512_storeu_ps(m + i, c);
            _mm512_storeu_ps(v + i, e);
        }
    }
}
#endif
static void stream_piece(void *context, int piece, int worker)
{
    (void)context;
    (void)worker;
    size_t at = (size_t)piece * STREAM_PIECE;
#if defined(__x86_64__)
    if (fma_lanes == 16) {
        stream_512(at);
        return;
    }
#endif
    for (size_t i = at; i < at + STREAM_PIECE; i++) {
        streams[0][i] += streams[1][i];
        streams[2][i] += streams[1][i];
        streams[3][i] += streams[1][i];
    }
}

/* Bytes a second; streams are p, g, m, v of n floats. */
static double stream_limit(struct bench *b, size_t n)
{
    double best[2] = {1e9, 1e9};
    for (int i = 0; i < 12; i++) {
        past_caches = i % 2;
        double start = now(b->device);
        pool_run(cpu_pool(b->q), (int)(n / STREAM_PIECE), stream_piece, NULL);
        double t = now(b->device) - start;
        best[i % 2] = t < best[i % 2] ? t : best[i % 2];
    }
    double bytes = 28.0 * (double)n;
    printf("four streams read, three written: %.1f GB/s, written past the caches %.1f GB/s\n", bytes / best[0] * 1e-9,
           bytes / best[1] * 1e-9);
    return bytes / (best[0] < best[1] ? best[0] : best[1]);
}

static void bench_optimizer(struct bench *b)
{
    size_t n = 32 << 20, k = C, rows = n / k / 32 * 32;
    struct span p = fresh(b, n * 4, 1), g = fresh(b, n * 4, 1), m = fresh(b, n * 4, 1), v = fresh(b, n * 4, 0),
                out = fresh(b, 64, 0);
    struct span all[4] = {p, g, m, v};
    for (int i = 0; i < 4; i++)
        streams[i] = cpu_ptr(all[i]);
    double limit = stream_limit(b, n);
    TIME("sum_squares 32M", 4.0 * (double)n, 2.0 * (double)n,
         tensor_sum_squares(b->q, &(struct sum_squares_args){.n = n, .x = g, .out = out}));
    TIME("adamw 32M", 28.0 * (double)n, 12.0 * (double)n,
         tensor_adamw(b->q, &(struct adamw_args){n, p, g, m, v, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.1f, 1, 0.1f, 0.001f,
                                                 DTYPE_F32, 0, 0, NULL, 0, 0}));
    printf("    %.0f %% of the streams' limit\n", 100 * 28.0 * (double)n / b->last / limit);
    struct weight *w;
    struct error err = {0};
    if (weight_new(&w, b->device, (struct weight_shape){(int64_t)rows, (int64_t)k, DTYPE_BF16}, "bench", &err))
        exit(1);
    n = rows * k;
    TIME("weight_pack 32M to bf16", 6.0 * (double)n, 0,
         tensor_weight_pack(b->q, &(struct weight_pack_args){w, 0, (int64_t)rows, p, DTYPE_F32, 0}));
    TIME("adamw 32M and packing to bf16", 30.0 * (double)n, 12.0 * (double)n,
         tensor_adamw(b->q, &(struct adamw_args){n, p, g, m, v, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.1f, 1, 0.1f, 0.001f,
                                                 DTYPE_F32, 0, 0, w, 0, 0}));
    printf("    %.0f %% of the streams' limit\n", 100 * 30.0 * (double)n / b->last / limit);
    weight_free(w);
    n = 32 << 20;
    TIME("fill 128 MiB", 4.0 * (double)n, 0, tensor_fill(b->q, &(struct fill_args){n * 4, g}));
}

/* 32 requests of 5 beams after prompts of 170 tokens and 30 generated: pages of the prompt are shared by the beams, the
 * rest is their own. */
static void bench_decode(struct bench *b, enum dtype dtype, int page, int shared)
{
    enum { REQUESTS = 32, BEAMS = 5, PROMPT = 170, LENGTH = 200, TABLE = 16 };
    struct kv_layout layout = {dtype, page, K, D};
    int n = REQUESTS * BEAMS, n_page = 0;
    struct span table = fresh(b, (size_t)n * TABLE * 4, 0), seq = numbers(b, n, itself),
                position = numbers(b, n, itself);
    int32_t *ids = cpu_ptr(table);
    for (int s = 0; s < n; s++) {
        ((int32_t *)cpu_ptr(position))[s] = LENGTH - 1;
        for (int p = 0; p * page < LENGTH; p++)
            ids[s * TABLE + p] =
                shared && s % BEAMS && (p + 1) * page <= PROMPT ? ids[(s - s % BEAMS) * TABLE + p] : n_page++;
    }
    struct span pages = fresh(b, kv_page_bytes(b->device, &layout) * (size_t)n_page, dtype == DTYPE_BF16 ? 0 : 1),
                q = fresh(b, (size_t)n * C * 4, 1), out = fresh(b, (size_t)n * C * 4, 1);
    char name[64];
    snprintf(name, sizeof name, "attend 160 x 200, %s page %d%s", dtype_name(dtype), page, shared ? " shared" : "");
    double flops = 4.0 * n * H * LENGTH * D;
    TIME(name, (double)kv_page_bytes(b->device, &layout) * n_page, flops,
         tensor_attend(b->q, &(struct attend_args){.layout = layout,
                                                   .n_row = n,
                                                   .n_head = H,
                                                   .n_seq = n,
                                                   .scale = 0.125f,
                                                   .q = q,
                                                   .pages = pages,
                                                   .block_table = table,
                                                   .table_stride = TABLE,
                                                   .row_seq = seq,
                                                   .positions = position,
                                                   .out = out}));
    TIME("kv_store 160 rows", 2.0 * n * K * D * (4.0 + (double)dtype_size(dtype)), 0,
         tensor_kv_store(b->q, &(struct kv_store_args){.layout = layout,
                                                       .n_row = n,
                                                       .k = q,
                                                       .v = q,
                                                       .stride = C,
                                                       .pages = pages,
                                                       .block_table = table,
                                                       .table_stride = TABLE,
                                                       .row_seq = seq,
                                                       .positions = position}));
}

static int zero(int i)
{
    return i * 0;
}

static void bench_prefill(struct bench *b)
{
    enum { T = 512 };
    struct kv_layout layout = {DTYPE_BF16, 64, K, D};
    struct span table = numbers(b, 16, itself), seq = numbers(b, T, zero), position = numbers(b, T, itself),
                q = fresh(b, T * C * 4, 1), out = fresh(b, T * C * 4, 1);
    struct span pages = fresh(b, kv_page_bytes(b->device, &layout) * 16, 0);
    TIME("attend prefill 512, bf16", 0.0, 4.0 * T * (T + 1) / 2 * H * D,
         tensor_attend(b->q, &(struct attend_args){.layout = layout,
                                                   .n_row = T,
                                                   .n_head = H,
                                                   .n_seq = 1,
                                                   .scale = 0.125f,
                                                   .q = q,
                                                   .pages = pages,
                                                   .block_table = table,
                                                   .table_stride = 16,
                                                   .row_seq = seq,
                                                   .positions = position,
                                                   .out = out}));
}

static int border_of(int i)
{
    return i * 256;
}
static int border_whole(int i)
{
    return i * 1024;
}

static void bench_train(struct bench *b, int length)
{
    int all = (H + 2 * K) * D, n_seq = ROWS / length;
    struct span x = fresh(b, (size_t)ROWS * (size_t)all * 4, 1), dx = fresh(b, (size_t)ROWS * (size_t)all * 4, 1),
                out = fresh(b, ROWS * C * 4, 1), dout = fresh(b, ROWS * C * 4, 1);
    struct span lse = fresh(b, ROWS * H * 4, 1),
                borders = numbers(b, n_seq + 1, length == 256 ? border_of : border_whole);
    struct attend_train_args f = {.n_row = ROWS,
                                  .n_seq = n_seq,
                                  .n_head = H,
                                  .n_kv_head = K,
                                  .head_dim = D,
                                  .max_len = length,
                                  .causal = 1,
                                  .scale = 0.125f,
                                  .q = x,
                                  .k = span_at(x, C * 4),
                                  .v = span_at(x, (C + K * D) * 4),
                                  .stride = all,
                                  .borders = borders,
                                  .out = out,
                                  .lse = lse};
    double products = 2.0 * n_seq * length * (length + 1.0) / 2 * H * D;
    printf("%d sequences of %d:\n", n_seq, length);
    TIME("attend_train", 0.0, 2 * products, tensor_attend_train(b->q, &f));
    TIME("attend_train_dx", 0.0, 5 * products,
         tensor_attend_train_dx(
             b->q, &(struct attend_train_dx_args){f, dout, dx, span_at(dx, C * 4), span_at(dx, (C + K * D) * 4), all}));
}

int main(int argc, char **argv)
{
    struct bench bench = {0}, *b = &bench;
    struct error err = {0};
    if (device_open(&b->device, DEVICE_CPU, &(struct device_options){.n_thread = argc > 1 ? atoi(argv[1]) : 0}, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return error_exit_code(err.code);
    }
    b->q = device_queue(b->device);
    measure_limits(b);
    bench_rows(b);
    bench_vocabulary(b);
    bench_optimizer(b);
    bench_decode(b, DTYPE_BF16, 32, 1);
    bench_decode(b, DTYPE_BF16, 64, 1);
    bench_decode(b, DTYPE_BF16, 64, 0);
    bench_decode(b, DTYPE_F32, 64, 1);
    bench_prefill(b);
    bench_train(b, 256);
    bench_train(b, 1024);
    return 0; /* buffers go with the process */
}
