/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/linear_bench.h"

#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

const char *const linear_isas[N_ISA] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "neon"};
float linear_x[MAX_X], linear_w[MAX_W], linear_y[MAX_W + 2 * GUARD], linear_other[MAX_W + 2 * GUARD], linear_dy[MAX_Y],
    linear_bias[MAX_N], linear_residual[MAX_Y];

static void fill(float *to, int n, uint64_t name)
{
    struct rng_stream s = {7, name, 0};
    for (int i = 0; i < n; i++)
        to[i] = 2 * rng_uniform(&s, (uint64_t)i) - 1;
}

int linear_setup(void **state)
{
    (void)state;
    fill(linear_x, MAX_X, 1);
    fill(linear_w, MAX_W, 2);
    fill(linear_dy, MAX_Y, 3);
    fill(linear_bias, MAX_N, 4);
    fill(linear_residual, MAX_Y, 5);
    return 0;
}

int linear_reduced(void)
{
    const char *r = getenv("ISARA_REDUCED");
    return r && *r;
}

float linear_half(float f)
{
    return bf16_to_f32(f32_to_bf16(f));
}

struct span linear_at(struct buffer *b)
{
    return (struct span){b, 0};
}

static struct buffer *linear_buffer(struct linear_bench *b, const void *from, size_t bytes)
{
    struct buffer *out;
    struct error err;
    assert_int_equal(buffer_new(&out, b->d, bytes, "test", &err), 0);
    if (from)
        queue_upload(b->q, linear_at(out), from, bytes);
    return out;
}

int linear_open(struct linear_bench *b, const char *isa, int n_thread)
{
    struct error err;
    memset(b, 0, sizeof *b);
    if (device_open(&b->d, DEVICE_CPU, &(struct device_options){.n_thread = n_thread, .isa = isa}, &err))
        return -1;
    b->q = device_queue(b->d);
    b->x = linear_buffer(b, linear_x, sizeof linear_x);
    b->w = linear_buffer(b, linear_w, sizeof linear_w);
    b->dy = linear_buffer(b, linear_dy, sizeof linear_dy);
    b->bias = linear_buffer(b, linear_bias, sizeof linear_bias);
    b->residual = linear_buffer(b, linear_residual, sizeof linear_residual);
    b->y = linear_buffer(b, NULL, sizeof linear_y);
    b->rows = linear_buffer(b, NULL, MAX_ROWS * 4);
    return 0;
}

void linear_close(struct linear_bench *b)
{
    weight_free(b->packed);
    struct buffer *all[] = {b->x, b->w, b->y, b->dy, b->bias, b->residual, b->rows};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_free(all[i]);
    device_close(b->d);
}

void linear_pack(struct linear_bench *b, int n, int k, enum dtype t)
{
    struct error err;
    weight_free(b->packed);
    assert_int_equal(weight_new(&b->packed, b->d, (struct weight_shape){n, k, t}, "w", &err), 0);
    int cut = n / 2;
    tensor_weight_pack(b->q, &(struct weight_pack_args){.w = b->packed, .n_row = cut, .src = linear_at(b->w)});
    tensor_weight_pack(b->q,
                       &(struct weight_pack_args){
                           .w = b->packed, .row = cut, .n_row = n - cut, .src = {b->w, (size_t)cut * (size_t)k * 4}});
}

void linear_prepare_y(struct linear_bench *b, const float *start, int count)
{
    memset(linear_y, 0xA5, sizeof linear_y);
    if (start)
        memcpy(linear_y + GUARD, start, (size_t)count * 4);
    queue_upload(b->q, linear_at(b->y), linear_y, sizeof linear_y);
}

void linear_fetch_y(struct linear_bench *b, int count)
{
    queue_download(b->q, linear_y, linear_at(b->y), sizeof linear_y);
    assert_int_equal(queue_wait(b->q, NULL), 0);
    float mark;
    memset(&mark, 0xA5, 4);
    for (int i = 0; i < GUARD; i++)
        if (memcmp(&linear_y[i], &mark, 4) || memcmp(&linear_y[GUARD + count + i], &mark, 4))
            fail_msg("wrote outside: %d", i);
    memmove(linear_y, linear_y + GUARD, (size_t)count * 4);
}

struct span linear_y_span(const struct linear_bench *b)
{
    return (struct span){b->y, GUARD * 4};
}
