/* SPDX-License-Identifier: Apache-2.0 */
/* Products with weights in blocks of whole numbers, on every instruction set this machine has: against the formula of
 * cpu/linear_q8.h in double precision over GGUF's own values of the blocks, at odd sizes and at the ends of the
 * integers' range; and the same bits for every instruction set, number of rows and of threads. What blocks hold is held
 * to the values of the Python package gguf (tests/golden/gguf_types). */
#include "tests/check.h"

#include "base/rng.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "tensor/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 150, MAX_N = 200, MAX_K = 512, GUARD = 64, ROOM = MAX_ROWS * (MAX_N + 8) };
static const char *const isas[] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"};
enum { N_ISA = 6 };
static const enum dtype types[] = {DTYPE_Q8,   DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,
                                   DTYPE_Q5_1, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};
enum { N_TYPE = 8 };
static float x[MAX_ROWS * MAX_K], w[MAX_N * MAX_K], y[MAX_N * MAX_K + 2 * GUARD], extra[MAX_ROWS * MAX_N];
static unsigned char blocks[MAX_N * MAX_K / 32 * 34];

struct bench {
    struct device *d;
    struct queue *q;
    struct buffer *x, *w, *y, *extra, *rows;
    struct weight *packed;
};

static struct span at(struct buffer *b)
{
    return (struct span){b, 0};
}

static double uniform(uint64_t name, int i)
{
    struct rng_stream s = {11, name, 0};
    return rng_uniform(&s, (uint64_t)i);
}

static int is_k(int type)
{
    return types[type] >= DTYPE_Q4_K;
}

static int has_min(int type)
{
    enum dtype t = types[type];
    return t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K;
}

static int k_of(int type, int k) /* rounded up to whole blocks */
{
    return is_k(type) ? (k + 255) / 256 * 256 : k;
}

static size_t row_bytes(int type, int k)
{
    enum storage t = storage_of_dtype(types[type]);
    return (size_t)(k / storage_block_elements(t) * storage_block_bytes(t));
}

/* Rows of blocks with any integers (every byte `byte` unless that is -1), scales of either sign; `w` holds their values
 * as GGUF's own conversion gives them. */
static void make_blocks_of(int n, int k, int type, int byte)
{
    enum storage t = storage_of_dtype(types[type]);
    int bytes = storage_block_bytes(t);
    for (int i = 0; i < n * k / storage_block_elements(t); i++) {
        unsigned char *b = blocks + i * bytes;
        for (int j = 0; j < bytes; j++)
            b[j] = (unsigned char)(byte < 0 ? (int)(256 * uniform(1, i * bytes + j)) : byte);
        double d = (uniform(2, i) - 0.4) / 40, m = uniform(3, i) - 0.5;
        uint16_t scale = f32_to_f16((float)(is_k(type) ? d / 32 : d)),
                 min = f32_to_f16((float)(is_k(type) ? m / 64 : m));
        memcpy(types[type] == DTYPE_Q6_K ? b + 208 : b, &scale, 2);
        if (has_min(type))
            memcpy(b + 2, &min, 2);
    }
    storage_to_f32(t, blocks, 0, (uint64_t)(n * k), w);
}

#define make_blocks(n, k, type) make_blocks_of(n, k, type, -1)

/* Blocks of a row differ in size by factors of up to 2^20, so that every shift occurs. */
static void make_rows(void)
{
    for (int i = 0; i < MAX_ROWS * MAX_K; i++)
        x[i] = (float)ldexp(2 * uniform(4, i) - 1, -(int)(20 * uniform(5, i / 32) * uniform(6, i / 32)));
    for (int i = 0; i < MAX_ROWS * MAX_N; i++)
        extra[i] = (float)(2 * uniform(7, i) - 1);
}

static struct buffer *buffer_of(struct bench *b, size_t bytes)
{
    struct buffer *out;
    struct error err;
    assert_int_equal(buffer_new(&out, b->d, bytes, "test", &err), 0);
    return out;
}

static int bench_open(struct bench *b, const char *isa, int n_thread)
{
    struct error err;
    memset(b, 0, sizeof *b);
    if (device_open(&b->d, DEVICE_CPU, &(struct device_options){.n_thread = n_thread, .isa = isa}, &err))
        return -1;
    b->q = device_queue(b->d);
    b->x = buffer_of(b, sizeof x);
    b->w = buffer_of(b, sizeof w);
    b->y = buffer_of(b, sizeof y);
    b->extra = buffer_of(b, sizeof extra);
    b->rows = buffer_of(b, MAX_ROWS * 4);
    queue_upload(b->q, at(b->x), x, sizeof x);
    queue_upload(b->q, at(b->extra), extra, sizeof extra);
    return 0;
}

static void bench_close(struct bench *b)
{
    weight_free(b->packed);
    struct buffer *all[] = {b->x, b->w, b->y, b->extra, b->rows};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_free(all[i]);
    device_close(b->d);
}

/* In two calls that cut a panel; from floats when `values` is given, else from `blocks`. */
static void pack(struct bench *b, int n, int k, int type, const float *values)
{
    struct error err;
    weight_free(b->packed);
    assert_int_equal(weight_new(&b->packed, b->d, (struct weight_shape){n, k, types[type]}, "w", &err), 0);
    size_t row = values ? (size_t)k * 4 : row_bytes(type, k);
    queue_upload(b->q, at(b->w), values ? (const void *)values : blocks, (size_t)n * row);
    enum dtype from = values ? DTYPE_F32 : types[type];
    int cut = n / 2;
    tensor_weight_pack(b->q,
                       &(struct weight_pack_args){.w = b->packed, .n_row = cut, .src = at(b->w), .src_dtype = from});
    tensor_weight_pack(
        b->q, &(struct weight_pack_args){
                  .w = b->packed, .row = cut, .n_row = n - cut, .src = {b->w, (size_t)cut * row}, .src_dtype = from});
}

static void mark_y(struct bench *b)
{
    memset(y, 0xA5, sizeof y);
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

static void forward(struct bench *b, int m, int n)
{
    mark_y(b);
    tensor_linear(b->q, &(struct linear_args){.w = b->packed, .n_row = m, .x = at(b->x), .y = y_span(b)});
    fetch_y(b, m * n);
}

/* The row as its integers say it: the finest halving of largest / 127 that holds the block's largest value, up to 12
 * times. */
static void row_as_integers(const float *row, int k, double *out)
{
    float largest = 0;
    for (int i = 0; i < k; i++)
        largest = fabsf(row[i]) > largest ? fabsf(row[i]) : largest;
    for (int b = 0; b < k; b += 32) {
        float most = 0;
        int end = b + 32 < k ? b + 32 : k, halvings = 0;
        for (int i = b; i < end; i++)
            most = fabsf(row[i]) > most ? fabsf(row[i]) : most;
        while (halvings < 12 && ldexpf(most, halvings + 1) <= largest)
            halvings++;
        for (int i = b; i < end; i++) {
            double q = nearbyintf(row[i] * (127 / largest * (float)(1 << halvings)));
            assert_true(fabs(q) <= 127);
            out[i] = ldexp(q * (double)largest / 127, -halvings);
            assert_true(fabs(out[i] - (double)row[i]) <= ldexp((double)largest / 127, -halvings) * 0.500001);
        }
    }
}

static void check(const char *isa, int type, int m, int n, int k)
{
    static double row[MAX_K];
    for (int r = 0; r < m; r++) {
        row_as_integers(x + r * k, k, row);
        for (int c = 0; c < n; c++) {
            double sum = 0, size = 0;
            for (int i = 0; i < k; i++) {
                sum += row[i] * (double)w[c * k + i];
                size += fabs(row[i]) * (fabs((double)w[c * k + i]) + (has_min(type) ? 1 : 0));
            }
            if (!(fabs(sum - (double)y[r * n + c]) <= 1.2e-7 * (k / 16 + 4) * size + 1e-30))
                fail_msg("%s %s m %d n %d k %d: row %d column %d is %.9g, wanted %.9g", isa, dtype_name(types[type]), m,
                         n, k, r, c, y[r * n + c], sum);
        }
    }
}

static void products_match_double_precision(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 32},  {2, 33, 64}, {3, 31, 96},   {4, 65, 320}, {5, 200, 64},  {6, 32, 32},
                                    {7, 7, 160}, {8, 64, 96}, {9, 100, 128}, {17, 63, 32}, {40, 66, 192}, {0, 5, 32}};
    for (int i = 0; i < N_ISA; i++) {
        struct bench b;
        if (bench_open(&b, isas[i], 2))
            continue;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int type = 0; type < N_TYPE; type++) {
                int m = shapes[s][0], n = shapes[s][1], k = k_of(type, shapes[s][2]);
                make_blocks(n, k, type);
                pack(&b, n, k, type, NULL);
                forward(&b, m, n);
                check(isas[i], type, m, n, k);
            }
        bench_close(&b);
    }
}

/* Sums of 255 * 127 twice leave 16 bits; 32 of them must not leave 32 once shifted. */
static void the_ends_of_the_range_do_not_saturate(void **state)
{
    (void)state;
    enum { M = 4, N = 33, K = 256 };
    static const int extremes[] = {0x80, 0x7f, 0xff};
    static float kept[M * K];
    memcpy(kept, x, sizeof kept);
    for (int i = 0; i < M * K; i++)
        x[i] = (i / K % 2 ? -1.0f : 1.0f) * (i / K < 2 || i % 2 ? 3.0f : -3.0f);
    for (int i = 0; i < N_ISA; i++) {
        struct bench b;
        if (bench_open(&b, isas[i], 1))
            continue;
        for (int type = 0; type < N_TYPE; type++)
            for (int byte = 0; byte < 3; byte++) {
                make_blocks_of(N, K, type, extremes[byte]);
                pack(&b, N, K, type, NULL);
                forward(&b, M, N);
                check(isas[i], type, M, N, K);
            }
        bench_close(&b);
    }
    memcpy(x, kept, sizeof kept);
}

/* Of every type two rows of 512, and what the Python package makes of them. */
static void values_are_the_packages(void **state)
{
    (void)state;
    struct file_map blocks_map, values_map;
    struct gguf *g;
    struct safetensors *s;
    struct bench b;
    struct error err;
    assert_int_equal(bench_open(&b, NULL, 1), 0);
    assert_int_equal(file_map(&blocks_map, "tests/golden/gguf_types.gguf", &err), 0);
    assert_int_equal(file_map(&values_map, "tests/golden/gguf_types.safetensors", &err), 0);
    assert_int_equal(gguf_parse(&g, blocks_map.data, blocks_map.size, "gguf_types.gguf", &err), 0);
    assert_int_equal(safetensors_parse(&s, values_map.data, values_map.size, "gguf_types.safetensors", &err), 0);
    for (int type = 0; type < N_TYPE; type++) {
        const char *name = storage_name(storage_of_dtype(types[type]));
        const struct gguf_tensor *t = gguf_find(g, name);
        assert_int_equal(t->n_byte, 2 * row_bytes(type, 512));
        memcpy(blocks, t->data, t->n_byte);
        pack(&b, 2, 512, type, NULL);
        mark_y(&b);
        tensor_weight_unpack(b.q, &(struct weight_unpack_args){.w = b.packed, .n_row = 2, .dst = y_span(&b)});
        fetch_y(&b, 2 * 512);
        if (memcmp(y, safetensors_data(s, (size_t)safetensors_find(s, name)), 2 * 512 * 4))
            fail_msg("%s is not what gguf has", name);
    }
    safetensors_free(s);
    gguf_free(g);
    file_unmap(&blocks_map);
    file_unmap(&values_map);
    bench_close(&b);
}

static void blocks_from_a_file_are_kept(void **state)
{
    (void)state;
    enum { N = 70, FIRST = 5, COUNT = 60 };
    static const int32_t tokens[] = {69, 0, -1, 33};
    struct bench b;
    assert_int_equal(bench_open(&b, NULL, 2), 0);
    for (int type = 0; type < N_TYPE; type++) {
        const int K = k_of(type, 96);
        assert_true(weight_supported(b.d, types[type]));
        make_blocks(N, K, type);
        pack(&b, N, K, type, NULL);
        mark_y(&b);
        tensor_weight_unpack(
            b.q, &(struct weight_unpack_args){.w = b.packed, .row = FIRST, .n_row = COUNT, .dst = y_span(&b)});
        fetch_y(&b, COUNT * K);
        assert_memory_equal(y, w + FIRST * K, (size_t)(COUNT * K) * 4);
        mark_y(&b);
        queue_upload(b.q, at(b.rows), tokens, sizeof tokens);
        tensor_embed(b.q, &(struct embed_args){.w = b.packed, .n_row = 4, .tokens = at(b.rows), .y = y_span(&b)});
        fetch_y(&b, 4 * K);
        for (int i = 0; i < 4 * K; i++)
            assert_true(y[i] == (tokens[i / K] < 0 ? 0 : w[tokens[i / K] * K + i % K]));
        /* the file's bytes, N rounded up to whole panels */
        assert_int_equal(weight_bytes(b.d, (struct weight_shape){N, K, types[type]}), 96 * row_bytes(type, K));
    }
    bench_close(&b);
}

/* From floats: the nearest of 255 steps of the block's largest / 127; K need not be whole blocks. */
static void floats_become_the_nearest_of_255_steps(void **state)
{
    (void)state;
    enum { M = 3, N = 40, K = 75 };
    static float values[N * K];
    struct bench b;
    assert_int_equal(bench_open(&b, NULL, 2), 0);
    for (int i = 0; i < N * K; i++)
        values[i] = (float)(2 * uniform(8, i) - 1);
    pack(&b, N, K, 0, values);
    mark_y(&b);
    tensor_weight_unpack(b.q, &(struct weight_unpack_args){.w = b.packed, .n_row = N, .dst = y_span(&b)});
    fetch_y(&b, N * K);
    for (int i = 0; i < N * K; i++)
        assert_true(fabsf(y[i] - values[i]) <= 1.001f / 254);
    memcpy(w, y, N * K * 4);
    forward(&b, M, N);
    check("from floats", 0, M, N, K);
    bench_close(&b);
}

static double silu(double v)
{
    return v / (1 + exp(-v));
}

/* Everything around the sums, against the sums of a plain call. */
static void epilogues_follow_the_sums(void **state)
{
    (void)state;
    enum { M = 11, N = 72, MOST_K = 256, F = N / 2 };
    static float sums[M * N], wide[M * MOST_K];
    static uint16_t halves[M * MOST_K];
    for (int i = 0; i < M * MOST_K; i++)
        halves[i] = f32_to_bf16(x[i]);
    for (int i = 0; i < N_ISA; i++)
        for (int type = 0; type < N_TYPE; type++) {
            struct bench b;
            int32_t backwards[M];
            const int K = k_of(type, 64);
            if (bench_open(&b, isas[i], 2))
                continue;
            make_blocks(N, K, type);
            pack(&b, N, K, type, NULL);
            for (int r = 0; r < M; r++)
                backwards[r] = M - 1 - r;
            queue_upload(b.q, at(b.rows), backwards, sizeof backwards);
            forward(&b, M, N);
            memcpy(sums, y, sizeof sums);
            struct linear_args a = {.w = b.packed,
                                    .n_row = M,
                                    .x = at(b.x),
                                    .y = y_span(&b),
                                    .residual = at(b.extra),
                                    .bias = {b.extra, 4096},
                                    .rows = at(b.rows),
                                    .y_stride = N + 3};
            mark_y(&b);
            tensor_linear(b.q, &a);
            fetch_y(&b, (M - 1) * (N + 3) + N);
            for (int j = 0; j < M * N; j++)
                assert_true(y[j / N * (N + 3) + j % N] ==
                            sums[(M - 1 - j / N) * N + j % N] + extra[1024 + j % N] + extra[j]);
            a = (struct linear_args){.w = b.packed, .n_row = M, .x = at(b.x), .y = y_span(&b), .gate = 1};
            mark_y(&b);
            tensor_linear(b.q, &a);
            fetch_y(&b, M * F);
            for (int j = 0; j < M * F; j++) {
                double wanted = silu((double)sums[j / F * N + j % F]) * (double)sums[j / F * N + F + j % F];
                assert_true(fabs((double)y[j] - wanted) <= 1e-6 * fabs(wanted) + 1e-7);
            }
            /* bf16 rows give what their values give */
            queue_upload(b.q, at(b.w), halves, sizeof halves);
            mark_y(&b);
            tensor_linear(b.q, &(struct linear_args){
                                   .w = b.packed, .n_row = M, .x = at(b.w), .x_dtype = DTYPE_BF16, .y = y_span(&b)});
            fetch_y(&b, M * N);
            memcpy(sums, y, sizeof sums);
            for (int j = 0; j < M * K; j++)
                wide[j] = bf16_to_f32(halves[j]);
            queue_upload(b.q, at(b.x), wide, sizeof wide);
            forward(&b, M, N);
            assert_memory_equal(sums, y, sizeof sums);
            bench_close(&b);
        }
}

static void the_same_bits_everywhere(void **state)
{
    (void)state;
    /* enough rows for each of three threads to have its own */
    enum { M = 150, N = 130 };
    static float wanted[M * N];
    for (int type = 0; type < N_TYPE; type++) {
        const int K = k_of(type, 192);
        int first = 1;
        make_blocks(N, K, type);
        for (int i = 0; i < N_ISA; i++)
            for (int n_thread = 1; n_thread <= 3; n_thread++) {
                struct bench b;
                if (bench_open(&b, isas[i], n_thread))
                    continue;
                pack(&b, N, K, type, NULL);
                for (int m = M; m >= 1; m -= n_thread == 2 && m <= 40 ? 1 : 11) {
                    forward(&b, m, N);
                    if (first)
                        memcpy(wanted, y, sizeof wanted);
                    first = 0;
                    if (memcmp(wanted, y, (size_t)(m * N) * 4))
                        fail_msg("%s %s, %d threads: rows of %d differ from generic rows of %d",
                                 dtype_name(types[type]), isas[i], n_thread, m, M);
                }
                bench_close(&b);
            }
    }
}

/* Rows [row, row + n) of b's weight := blocks of a type, whose products are put beside the others' in `sums`. */
struct mixed {
    int n_range, n;
    struct {
        int n, type;
    } ranges[3];
};

static void pack_mixed(struct bench *b, const struct mixed *m, int n_row, float *sums)
{
    enum { K = 256 };
    struct error err;
    struct weight *alone, *all;
    struct weight_ranges r = {.k = K, .n = m->n_range};
    size_t bytes = 0;
    int row = 0;
    for (int i = 0; i < m->n_range; i++) {
        r.ranges[i] = (struct weight_range){m->ranges[i].n, types[m->ranges[i].type]};
        bytes += weight_bytes(b->d, (struct weight_shape){r.ranges[i].n, K, r.ranges[i].dtype});
    }
    assert_int_equal(weight_new_ranges(&all, b->d, &r, "w", &err), 0);
    assert_int_equal(weight_ranges_bytes(b->d, &r), bytes);
    for (int i = 0; i < m->n_range; i++) {
        int n = m->ranges[i].n, type = m->ranges[i].type;
        make_blocks(n, K, type);
        pack(b, n, K, type, NULL);
        tensor_weight_pack(b->q, &(struct weight_pack_args){
                                     .w = all, .row = row, .n_row = n, .src = at(b->w), .src_dtype = types[type]});
        assert_int_equal(weight_row_dtype(all, row + n - 1), types[type]);
        forward(b, n_row, n);
        for (int j = 0; j < n_row * n; j++)
            sums[j / n * m->n + row + j % n] = y[j];
        mark_y(b);
        tensor_weight_unpack(b->q, &(struct weight_unpack_args){.w = all, .row = row, .n_row = n, .dst = y_span(b)});
        fetch_y(b, n * K);
        assert_memory_equal(y, w, (size_t)(n * K) * 4);
        row += n;
    }
    alone = b->packed;
    b->packed = all;
    weight_free(alone);
}

static void rows_of_several_types(void **state)
{
    (void)state;
    enum { MOST = 40, N = 144 };
    static float sums[MOST * N];
    static const int rows[] = {1, 2, 5, MOST};
    static const struct mixed cases[] = {{3, 128, {{64, 5}, {32, 7}, {32, 6}}}, /* as q, k and v */
                                         {2, 128, {{64, 5}, {64, 0}}},          /* as gate and up */
                                         {2, 144, {{96, 1}, {48, 7}}}};
    for (int i = 0; i < N_ISA; i++)
        for (int c = 0; c < 3; c++)
            for (int r = 0; r < 4; r++) {
                struct bench b;
                int n = cases[c].n, m = rows[r], half = n / 2;
                if (bench_open(&b, isas[i], 2))
                    continue;
                pack_mixed(&b, &cases[c], m, sums);
                forward(&b, m, n);
                assert_memory_equal(y, sums, (size_t)(m * n) * 4);
                mark_y(&b);
                tensor_linear(
                    b.q, &(struct linear_args){.w = b.packed, .n_row = m, .x = at(b.x), .y = y_span(&b), .gate = 1});
                fetch_y(&b, m * half);
                for (int j = 0; j < m * half; j++) {
                    const float *row = sums + j / half * n + j % half;
                    double wanted = silu((double)row[0]) * (double)row[half];
                    assert_true(fabs((double)y[j] - wanted) <= 1e-6 * fabs(wanted) + 1e-7);
                }
                bench_close(&b);
            }
}

static void rows_without_a_scale(void **state)
{
    (void)state;
    enum { M = 6, N = 40, K = 256 };
    static float kept[M * K];
    memcpy(kept, x, sizeof kept);
    for (int k = 0; k < K; k++) {
        x[1 * K + k] = k == 40 ? NAN : 1;
        x[2 * K + k] = k == 3 ? -INFINITY : 1;
        x[3 * K + k] = 0;
        x[4 * K + k] = k % 2 ? 1e-38f : -1e-40f;
    }
    for (int i = 0; i < N_ISA; i++)
        for (int type = 0; type < N_TYPE; type++) {
            struct bench b;
            if (bench_open(&b, isas[i], 2))
                continue;
            make_blocks(N, K, type);
            pack(&b, N, K, type, NULL);
            forward(&b, M, N);
            for (int j = 0; j < M * N; j++) {
                assert_int_equal(isnan(y[j]) != 0, j / N == 1 || j / N == 2);
                assert_true((y[j] == 0) == (j / N == 3 || j / N == 4));
            }
            bench_close(&b);
        }
    memcpy(x, kept, sizeof kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_double_precision),
        cmocka_unit_test(the_ends_of_the_range_do_not_saturate),
        cmocka_unit_test(values_are_the_packages),
        cmocka_unit_test(blocks_from_a_file_are_kept),
        cmocka_unit_test(floats_become_the_nearest_of_255_steps),
        cmocka_unit_test(epilogues_follow_the_sums),
        cmocka_unit_test(the_same_bits_everywhere),
        cmocka_unit_test(rows_of_several_types),
        cmocka_unit_test(rows_without_a_scale),
    };
    make_rows();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
