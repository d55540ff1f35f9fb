/* SPDX-License-Identifier: Apache-2.0 */
/* Products at SmolLM2-135M's shapes against the measured limit of this processor and, when built with
 *   make BUILD=build/bench bench-bins CFLAGS=-DBENCH_DNNL LDLIBS="-ldnnl -lgomp"
 * against oneDNN with packed weights, interleaved, median of 7. Usage: bench_linear [f32|bf16|q8|q4_1|...] [threads]
 * [forward|dx|dw] [rows, 0: all] [large] The K types, and with large every type, are taken at TinyLlama-1.1B's shapes.
 * With one thread times are the thread's own (so that other processes disturb less), and the limit is one core's. */
#include "base/clock.h"
#include "base/mem.h"
#include "bench/multipliers.h"
#include "tensor/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef BENCH_DNNL
#include <dnnl.h>
void omp_set_num_threads(int n); /* oneDNN's threads are OpenMP's */
#endif

enum { REPEATS = 7, MOST_M = 2048, MOST_K = 5632, SHAPES = 5 };
static const int small[SHAPES][2] = {{576, 576}, {960, 576}, {3072, 576}, {576, 1536}, {49152, 576}},
                 large[SHAPES][2] = {{2048, 2048}, {2560, 2048}, {11264, 2048}, {2048, 5632}, {32000, 2048}};
static const int rows[] = {1, 5, 20, 32, 80, 160, 512, 2048};

struct setting {
    struct device *d;
    struct queue *q;
    enum dtype t;
    const char *what;
    struct buffer *x, *x_bf16, *y, *w, *borders;
    struct weight *weight;
    int m, n, k, large;
    double limit; /* GFLOP/s of a thread; 0: not known */
};

static double now(const struct setting *s)
{
    struct timespec t;
    if (device_n_thread(s->d) > 1)
        return clock_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run_isara(const struct setting *s, int count, int x_bf16)
{
    struct span x = {x_bf16 ? s->x_bf16 : s->x, 0}, y = {s->y, 0};
    double start = now(s);
    for (int i = 0; i < count; i++)
        if (!strcmp(s->what, "dx"))
            tensor_linear_dx(
                s->q, &(struct linear_dx_args){.w = s->weight, .n_row = s->m, .dy = y, .dx = x, .way = QUANTISED_BF16});
        else if (!strcmp(s->what, "dw"))
            tensor_linear_dw(s->q, &(struct linear_dw_args){.n = s->n,
                                                            .k = s->k,
                                                            .n_row = s->m,
                                                            .compute = s->t,
                                                            .dy = y,
                                                            .x = x,
                                                            .dw = {s->w, 0},
                                                            .borders = {s->borders, 0},
                                                            .n_seq = 1,
                                                            .fresh = 1});
        else
            tensor_linear(
                s->q, &(struct linear_args){
                          .w = s->weight, .n_row = s->m, .x = x, .x_dtype = x_bf16 ? DTYPE_BF16 : DTYPE_F32, .y = y});
    queue_drain(s->q);
    return (now(s) - start) / count;
}

#ifdef BENCH_DNNL
struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_exec_arg_t args[3];
};

static dnnl_memory_t peer_memory(struct peer *p, const dnnl_memory_desc_t *desc)
{
    dnnl_memory_t m;
    dnnl_memory_create(&m, desc, p->engine, DNNL_MEMORY_ALLOCATE);
    void *data;
    dnnl_memory_get_data_handle(m, &data);
    memset(data, 0, dnnl_memory_desc_get_size(desc));
    return m;
}

static void peer_open(struct peer *p, const struct setting *s)
{
    dnnl_data_type_t t = s->t == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    omp_set_num_threads(device_n_thread(s->d));
    dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags);
    dnnl_memory_desc_t x, w, y;
    dnnl_memory_desc_init_by_tag(&x, 2, (dnnl_dims_t){s->m, s->k}, t, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&w, 2, (dnnl_dims_t){s->k, s->n}, t, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&y, 2, (dnnl_dims_t){s->m, s->n}, dnnl_f32, dnnl_ab);
    dnnl_matmul_desc_t product;
    dnnl_matmul_desc_init(&product, &x, &w, NULL, &y);
    dnnl_primitive_desc_t desc;
    dnnl_primitive_desc_create(&desc, &product, NULL, p->engine, NULL);
    dnnl_primitive_create(&p->product, desc);
    p->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, peer_memory(p, &x)};
    p->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS,
                                   peer_memory(p, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0))};
    p->args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, peer_memory(p, &y)};
    dnnl_primitive_desc_destroy(desc);
}

static double run_peer(const struct setting *s, struct peer *p, int count)
{
    double start = now(s);
    for (int i = 0; i < count; i++)
        dnnl_primitive_execute(p->product, p->stream, 3, p->args);
    dnnl_stream_wait(p->stream);
    return (now(s) - start) / count;
}

static void peer_close(struct peer *p)
{
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(p->args[i].memory);
    dnnl_primitive_destroy(p->product);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
}
#else
struct peer {
    int none;
};
static void peer_open(struct peer *p, const struct setting *s)
{
    (void)s;
    p->none = 1;
}
static double run_peer(const struct setting *s, struct peer *p, int count)
{
    (void)s;
    (void)p;
    (void)count;
    return 0;
}
static void peer_close(struct peer *p)
{
    (void)p;
}
#endif

#if defined(__x86_64__)
/* What tiles can do, as bench/multipliers.h has it for vectors. */
__attribute__((target("amx-tile,amx-bf16"))) static double amx_limit(void)
{
    static struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } t __attribute__((aligned(64)));
    t.palette = 1;
    for (int i = 0; i < 8; i++) {
        t.bytes[i] = 64;
        t.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n tilezero "
                     "%%tmm4\n tilezero %%tmm5"
                     :
                     : "m"(t));
    enum { N = 100000 };
    double start = clock_now();
    for (int n = 0; n < N; n++)
        __asm__ volatile("tdpbf16ps %tmm5,%tmm4,%tmm0\n tdpbf16ps %tmm5,%tmm4,%tmm1\n tdpbf16ps %tmm5,%tmm4,%tmm2\n "
                         "tdpbf16ps %tmm5,%tmm4,%tmm3");
    double seconds = clock_now() - start;
    __asm__ volatile("tilerelease");
    return 4.0 * 16 * 16 * 32 * 2 * N / seconds / 1e9;
}
#endif

static double rate(double (*loop)(int), int operations)
{
    enum { N = 400000 };
    double start = clock_now();
    loop(N);
    return (double)operations * N / (clock_now() - start) / 1e9;
}

static double limit_of(const struct setting *s)
{
    const char *isa = device_isa(s->d);
    int amx = !strcmp(isa, "amx"), pairs = !strcmp(isa, "avx512bf16");
#if defined(__x86_64__)
    if (s->t == DTYPE_BF16 && amx)
        return amx_limit();
#endif
    if (s->t == DTYPE_BF16 && pairs) {
        double dp = rate(multiply_bf16, MULTIPLY_BF16), fma = rate(multiply_f32, MULTIPLY_F32);
        return dp > fma ? dp : fma;
    }
    if (dtype_is_quantised(s->t))
        return amx || pairs ? rate(multiply_q8, MULTIPLY_Q8) : 0;
    return amx || !strncmp(isa, "avx512", 6) ? rate(multiply_f32, MULTIPLY_F32) : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, REPEATS, sizeof *v, by_value);
    return v[REPEATS / 2];
}

/* The best of a few: a limit is what is possible. */
static double best_limit(const struct setting *s)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double now = limit_of(s);
        best = now > best ? now : best;
    }
    return best;
}

/* Workers of both sides spin for some milliseconds after a run and would take the other side's core: a side waits until
 * they sleep, then runs a little before its clock starts. */
static void settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static void measure(struct setting *s)
{
    struct peer peer;
    peer_open(&peer, s);
    double f32[REPEATS], bf16[REPEATS], peers[REPEATS], flops = 2.0 * s->m * s->n * s->k,
                                                        most = s->limit * device_n_thread(s->d);
    run_isara(s, 1, 0);
    int count = (int)(0.02 / run_isara(s, 1, 0)) + 1, warm = count / 4 + 1;
    for (int i = 0; i < REPEATS; i++) {
        settle();
        run_isara(s, warm, 0);
        f32[i] = run_isara(s, count, 0);
        bf16[i] = s->t != DTYPE_F32 && !strcmp(s->what, "forward") ? run_isara(s, count, 1) : f32[i];
        settle();
        run_peer(s, &peer, warm);
        peers[i] = run_peer(s, &peer, count);
    }
    double a = median(f32), b = median(bf16), c = median(peers);
    printf("M %4d N %5d K %4d: x f32 %7.1f GFLOP/s (%3.0f %%), x bf16 %7.1f (%3.0f %%)", s->m, s->n, s->k,
           flops / a / 1e9, flops / a / 1e7 / most, flops / b / 1e9, flops / b / 1e7 / most);
    if (c > 0)
        printf(", oneDNN %7.1f: ratio %.2f (x f32), %.2f (same x)", flops / c / 1e9, c / a, c / b);
    double bytes = (double)weight_bytes(s->d, (struct weight_shape){s->n, s->k, s->t});
    printf(s->m <= 32 ? ", %.1f GB/s of weights\n" : "\n", bytes / b / 1e9);
    fflush(stdout);
    peer_close(&peer);
}

/* Every page is written: untouched memory is one page of zeros, which lies in the first cache whatever its size. */
static void fill(const struct setting *s, struct buffer *b, size_t bytes, enum dtype t)
{
    enum { N = 1 << 20 };
    static uint32_t values[N];
    for (size_t i = 0; i < N; i++) {
        float x = (float)(i * 2654435761u % 4096) / 2048 - 1;
        memcpy(&values[i], &x, 4);
        if (t == DTYPE_BF16)
            values[i] = f32_to_bf16(x) * 0x10001u;
    }
    for (size_t at = 0; at < bytes; at += sizeof values)
        queue_upload(s->q, (struct span){b, at}, values, bytes - at < sizeof values ? bytes - at : sizeof values);
}

static int bench(struct setting *s, int only, struct error *err)
{
    const int(*shapes)[2] = s->t >= DTYPE_Q4_K || s->large ? large : small;
    size_t most = (size_t)49152 * 576 * 4 + (size_t)MOST_M * MOST_K * 4;
    enum dtype from = s->t > DTYPE_Q8 ? s->t : DTYPE_F32; /* any bytes are blocks */
    if (buffer_new(&s->x, s->d, (size_t)MOST_M * MOST_K * 4, "x", err) ||
        buffer_new(&s->x_bf16, s->d, (size_t)MOST_M * MOST_K * 2, "x", err) ||
        buffer_new(&s->y, s->d, (size_t)MOST_M * 49152 * 4, "y", err) || buffer_new(&s->w, s->d, most, "w", err) ||
        buffer_new(&s->borders, s->d, 8, "borders", err))
        return -1;
    fill(s, s->x, (size_t)MOST_M * MOST_K * 4, DTYPE_F32);
    fill(s, s->x_bf16, (size_t)MOST_M * MOST_K * 2, DTYPE_BF16);
    fill(s, s->y, (size_t)MOST_M * 49152 * 4, DTYPE_F32);
    fill(s, s->w, most, DTYPE_F32);
    for (int i = 0; i < SHAPES; i++) {
        s->n = shapes[i][0];
        s->k = shapes[i][1];
        if (weight_new(&s->weight, s->d, (struct weight_shape){s->n, s->k, s->t}, "weight", err))
            return -1;
        tensor_weight_pack(
            s->q, &(struct weight_pack_args){.w = s->weight, .n_row = s->n, .src = {s->w, 0}, .src_dtype = from});
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            s->m = rows[j];
            queue_upload(s->q, (struct span){s->borders, 0}, (int32_t[]){0, s->m}, 8);
            if ((s->n < 40000 || s->m < 1000) && (!only || only == s->m))
                measure(s);
        }
        weight_free(s->weight);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct setting s = {.t = argc > 1 ? dtype_of_name(argv[1], DTYPE_BF16) : DTYPE_BF16,
                        .what = argc > 3 ? argv[3] : "forward",
                        .large = argc > 5 && !strcmp(argv[5], "large")};
    struct device_options options = {.n_thread = argc > 2 ? atoi(argv[2]) : 0};
    if (device_open(&s.d, DEVICE_CPU, &options, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    s.q = device_queue(s.d);
    s.limit = best_limit(&s);
    printf("%s %s, %s%s%s, %d threads, limit measured %.0f GFLOP/s a thread\n", s.what, dtype_name(s.t),
           device_isa(s.d), device_pairs(s.d) ? " by " : "", device_pairs(s.d) ? device_pairs(s.d) : "",
           device_n_thread(s.d), s.limit);
    if (bench(&s, argc > 4 ? atoi(argv[4]) : 0, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct buffer *all[] = {s.x, s.x_bf16, s.y, s.w, s.borders};
    for (int i = 0; i < 5; i++)
        buffer_free(all[i]);
    device_close(s.d);
    return 0;
}
