/* SPDX-License-Identifier: Apache-2.0 */
/* Products with a quantised weight whose values are expanded have the bits of products with an f32 or a bf16 weight
 * that holds GGUF's own values of the same blocks: on every instruction set, for both directions, few rows and many,
 * parts of panels and of blocks. */
#include "tests/check.h"

#include "base/rng.h"
#include "io/storage.h"
#include "tensor/ops.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 150, MAX_N = 132, MAX_K = 256, FIRST_TYPE = DTYPE_Q8, LAST_TYPE = DTYPE_Q6_K };
static const char *const isas[] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"};
static float x[MAX_ROWS * MAX_K], w[MAX_N * MAX_K], y[2][MAX_ROWS * MAX_K];
static unsigned char blocks[MAX_N * MAX_K * 2];

struct bench {
    struct device *d;
    struct queue *q;
    struct buffer *x, *w, *y;
    struct weight *quantised, *plain; /* of the same values */
};

static struct span at(struct buffer *b)
{
    return (struct span){b, 0};
}

static double uniform(uint64_t name, int i)
{
    struct rng_stream s = {13, name, 0};
    return rng_uniform(&s, (uint64_t)i);
}

static int bench_open(struct bench *b, const char *isa)
{
    *b = (struct bench){0};
    if (device_open(&b->d, DEVICE_CPU, &(struct device_options){.n_thread = 2, .isa = isa}, NULL))
        return -1;
    b->q = device_queue(b->d);
    assert_int_equal(buffer_new(&b->x, b->d, sizeof x, "x", NULL), 0);
    assert_int_equal(buffer_new(&b->w, b->d, sizeof w, "w", NULL), 0);
    assert_int_equal(buffer_new(&b->y, b->d, sizeof y[0], "y", NULL), 0);
    queue_upload(b->q, at(b->x), x, sizeof x);
    return 0;
}

static void bench_close(struct bench *b)
{
    weight_free(b->quantised);
    weight_free(b->plain);
    buffer_free(b->x);
    buffer_free(b->w);
    buffer_free(b->y);
    device_close(b->d);
}

/* Any integers, scales and minima that are small numbers of either sign. */
static void make_blocks(enum storage s, int n)
{
    int bytes = storage_block_bytes(s), scale = s == STORAGE_Q6_K ? 208 : 0;
    int both = s == STORAGE_Q4_1 || s == STORAGE_Q5_1 || s == STORAGE_Q4_K || s == STORAGE_Q5_K;
    for (int i = 0; i < n / storage_block_elements(s); i++) {
        unsigned char *b = blocks + i * bytes;
        for (int j = 0; j < bytes; j++)
            b[j] = (unsigned char)(256 * uniform(1, i * bytes + j));
        for (int j = 0; j <= both; j++) {
            uint16_t h = f32_to_f16((float)(uniform(2 + (uint64_t)j, i) - 0.4) / (i % 7 ? 40 : 1 << 16));
            memcpy(b + scale + 2 * j, &h, 2);
        }
    }
    storage_to_f32(s, blocks, 0, (uint64_t)n, w);
}

static void pack(struct bench *b, int n, int k, enum dtype t, enum dtype as)
{
    enum storage s = storage_of_dtype(t);
    size_t bytes = (size_t)(n * k / storage_block_elements(s) * storage_block_bytes(s));
    make_blocks(s, n * k);
    weight_free(b->quantised);
    weight_free(b->plain);
    assert_int_equal(weight_new(&b->quantised, b->d, (struct weight_shape){n, k, t}, "w", NULL), 0);
    assert_int_equal(weight_new(&b->plain, b->d, (struct weight_shape){n, k, as}, "w", NULL), 0);
    queue_upload(b->q, at(b->w), blocks, bytes);
    tensor_weight_pack(b->q, &(struct weight_pack_args){b->quantised, 0, n, at(b->w), t, 0});
    queue_upload(b->q, at(b->w), w, (size_t)(n * k) * 4);
    tensor_weight_pack(b->q, &(struct weight_pack_args){b->plain, 0, n, at(b->w), DTYPE_F32, 0});
}

static void fetch(struct bench *b, int i)
{
    queue_download(b->q, y[i], at(b->y), sizeof y[i]);
    assert_int_equal(queue_wait(b->q, NULL), 0);
}

static void clear(struct bench *b)
{
    tensor_fill(b->q, &(struct fill_args){sizeof y[0], at(b->y)});
}

static void same(const char *what, const char *isa, enum dtype t, enum dtype as)
{
    if (memcmp(y[0], y[1], sizeof y[0]))
        fail_msg("%s of %s as %s on %s: other bits than of its values", what, dtype_name(t), dtype_name(as), isa);
}

static void compare(struct bench *b, const char *isa, int m, enum dtype t, enum dtype as)
{
    int n = (int)MAX_N, k = (int)MAX_K;
    enum quantised_way way = as == DTYPE_BF16 ? QUANTISED_BF16 : QUANTISED_F32;
    for (int gate = 0; gate < 2; gate++) {
        for (int i = 0; i < 2; i++) {
            clear(b);
            tensor_linear(b->q, &(struct linear_args){.w = i ? b->quantised : b->plain,
                                                      .n_row = m,
                                                      .x = at(b->x),
                                                      .y = at(b->y),
                                                      .gate = gate,
                                                      .way = way});
            fetch(b, i);
        }
        same(gate ? "the gate" : "forward", isa, t, as);
    }
    for (int some = 0; some < 2; some++) {
        for (int i = 0; i < 2; i++) {
            clear(b);
            tensor_linear_dx(b->q, &(struct linear_dx_args){.w = i ? b->quantised : b->plain,
                                                            .n_row = m,
                                                            .dy = at(b->x),
                                                            .dy_stride = n,
                                                            .dx = at(b->y),
                                                            .dx_stride = k,
                                                            .accumulate = some,
                                                            .first = some ? 32 : 0,
                                                            .count = some ? 65 : 0,
                                                            .way = way});
            fetch(b, i);
        }
        same(some ? "a part of dx" : "dx", isa, t, as);
    }
}

static void expanded_values_have_the_bits_of_their_type(void **state)
{
    (void)state;
    static const int rows[] = {1, 6, MAX_ROWS};
    for (int i = 0; i < 6; i++) {
        struct bench b;
        if (bench_open(&b, isas[i]))
            continue;
        for (int t = FIRST_TYPE; t <= LAST_TYPE; t++)
            for (int as = DTYPE_F32; as <= DTYPE_BF16; as++) {
                pack(&b, MAX_N, MAX_K, (enum dtype)t, (enum dtype)as);
                for (int r = 0; r < 3; r++)
                    compare(&b, isas[i], rows[r], (enum dtype)t, (enum dtype)as);
            }
        bench_close(&b);
    }
}

/* int8 that was made of floats may end inside a block; the values are then those that unpacking gives. */
static void a_last_block_may_be_a_part(void **state)
{
    (void)state;
    enum { M = 20, N = 40, K = 75 };
    for (int i = 0; i < 6; i++) {
        struct bench b;
        if (bench_open(&b, isas[i]))
            continue;
        for (int as = DTYPE_F32; as <= DTYPE_BF16; as++) {
            weight_free(b.quantised);
            weight_free(b.plain);
            assert_int_equal(weight_new(&b.quantised, b.d, (struct weight_shape){N, K, DTYPE_Q8}, "w", NULL), 0);
            assert_int_equal(weight_new(&b.plain, b.d, (struct weight_shape){N, K, (enum dtype)as}, "w", NULL), 0);
            tensor_weight_pack(b.q, &(struct weight_pack_args){b.quantised, 0, N, at(b.x), DTYPE_F32, 0});
            tensor_weight_unpack(b.q, &(struct weight_unpack_args){b.quantised, 0, N, at(b.w)});
            tensor_weight_pack(b.q, &(struct weight_pack_args){b.plain, 0, N, at(b.w), DTYPE_F32, 0});
            enum quantised_way way = as == DTYPE_BF16 ? QUANTISED_BF16 : QUANTISED_F32;
            for (int back = 0; back < 2; back++) {
                for (int j = 0; j < 2; j++) {
                    struct weight *weight = j ? b.quantised : b.plain;
                    clear(&b);
                    if (back)
                        tensor_linear_dx(b.q, &(struct linear_dx_args){
                                                  .w = weight, .n_row = M, .dy = at(b.x), .dx = at(b.y), .way = way});
                    else
                        tensor_linear(b.q, &(struct linear_args){
                                               .w = weight, .n_row = M, .x = at(b.x), .y = at(b.y), .way = way});
                    fetch(&b, j);
                }
                same(back ? "dx of 75 k" : "forward of 75 k", isas[i], DTYPE_Q8, (enum dtype)as);
            }
        }
        bench_close(&b);
    }
}

int main(void)
{
    for (int i = 0; i < MAX_ROWS * MAX_K; i++)
        x[i] = (float)(2 * uniform(9, i) - 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(expanded_values_have_the_bits_of_their_type),
                                       cmocka_unit_test(a_last_block_may_be_a_part)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
