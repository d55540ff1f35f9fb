/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and the remote test backend: same bits as the CPU's, nothing before queue_wait, memory that the host cannot
 * touch, no allocation between making buffers and waiting, and clean failure wherever memory runs out. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/backend.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { T = 9, N = 40, K = 50 };
static float x[T * K], w[N * K];

static int setup(void **state)
{
    (void)state;
    struct rng_stream s = {3, 1, 4};
    for (int i = 0; i < T * K; i++)
        x[i] = rng_uniform(&s, (uint64_t)i) - 0.5f;
    for (int i = 0; i < N * K; i++)
        w[i] = rng_uniform(&s, (uint64_t)(i + T * K)) - 0.5f;
    return 0;
}

static struct span new_span(struct device *d, size_t bytes)
{
    struct buffer *b;
    struct error err;
    assert_int_equal(buffer_new(&b, d, bytes, "test", &err), 0);
    return (struct span){b, 0};
}

static void product_on(struct device *d, float *y, enum dtype t)
{
    struct error err;
    struct weight *weight;
    struct queue *q = device_queue(d);
    struct span sx = new_span(d, sizeof x), sw = new_span(d, sizeof w), sy = new_span(d, T * N * 4);
    assert_int_equal(weight_new(&weight, d, (struct weight_shape){N, K, t}, "w", &err), 0);
    mem_guard_enter();
    queue_upload(q, sx, x, sizeof x);
    queue_upload(q, sw, w, sizeof w);
    tensor_weight_pack(q, &(struct weight_pack_args){.w = weight, .n_row = N, .src = sw});
    tensor_linear(q, &(struct linear_args){.w = weight, .n_row = T, .x = sx, .y = sy});
    queue_download(q, y, sy, T * N * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
    assert_int_equal(mem_guard_leave(), 0);
    weight_free(weight);
    buffer_free(sx.buffer);
    buffer_free(sw.buffer);
    buffer_free(sy.buffer);
}

static void remote_has_the_cpus_bits(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++) {
        struct device *cpu, *remote;
        struct error err;
        float a[T * N], b[T * N];
        assert_int_equal(device_open(&cpu, DEVICE_CPU, NULL, &err), 0);
        assert_int_equal(device_open(&remote, DEVICE_REMOTE, NULL, &err), 0);
        assert_string_equal(device_isa(cpu), device_isa(remote));
        product_on(cpu, a, (enum dtype)t);
        product_on(remote, b, (enum dtype)t);
        assert_memory_equal(a, b, sizeof a);
        device_close(cpu);
        device_close(remote);
    }
}

static void remote_does_nothing_before_the_wait(void **state)
{
    (void)state;
    struct device *d;
    struct error err;
    assert_int_equal(device_open(&d, DEVICE_REMOTE, NULL, &err), 0);
    struct queue *q = device_queue(d);
    struct span s = new_span(d, 64);
    char first[64], second[64] = "unchanged";
    memset(first, 'a', sizeof first);
    queue_upload(q, s, first, sizeof first);
    memset(first, 'b', sizeof first); /* the upload has read it */
    queue_download(q, second, s, sizeof second);
    assert_string_equal(second, "unchanged");
    assert_int_equal(queue_wait(q, NULL), 0);
    assert_int_equal(second[0], 'a');
    assert_int_equal(second[63], 'a');
    buffer_free(s.buffer);
    device_close(d);
}

static void remote_memory_cannot_be_touched(void **state)
{
    (void)state;
    struct device *d;
    struct error err;
    assert_int_equal(device_open(&d, DEVICE_REMOTE, &(struct device_options){.n_thread = 1}, &err), 0);
    struct span s = new_span(d, 4096);
    queue_upload(device_queue(d), s, x, 64);
    assert_int_equal(queue_wait(device_queue(d), NULL), 0);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    /* write(2) reads the page for us: a fault becomes an error instead of a signal. */
    assert_int_equal(write(ends[1], s.buffer->data, 1), -1);
    close(ends[0]);
    close(ends[1]);
    buffer_free(s.buffer);
    device_close(d);
}

static void an_upload_larger_than_the_log_arrives(void **state)
{
    (void)state;
    struct device *d;
    struct error err;
    size_t bytes = (size_t)70 << 20;
    char *from = mem_slab(bytes), *to = mem_slab(bytes);
    assert_non_null(from);
    assert_non_null(to);
    for (size_t i = 0; i < bytes; i += 4093)
        from[i] = (char)i;
    assert_int_equal(device_open(&d, DEVICE_REMOTE, NULL, &err), 0);
    struct span s = new_span(d, bytes);
    queue_upload(device_queue(d), s, from, bytes);
    queue_download(device_queue(d), to, s, bytes);
    assert_int_equal(queue_wait(device_queue(d), NULL), 0);
    assert_int_equal(memcmp(from, to, bytes), 0);
    buffer_free(s.buffer);
    device_close(d);
    mem_slab_free(from, bytes);
    mem_slab_free(to, bytes);
}

static int open_and_make(int remote, struct error *err)
{
    struct device *d;
    struct buffer *b = NULL;
    struct weight *weight = NULL;
    struct device_options two = {.n_thread = 2};
    int code = remote ? device_open(&d, DEVICE_REMOTE, &two, err) : device_open(&d, DEVICE_CPU, &two, err);
    if (code)
        return code;
    code = buffer_new(&b, d, 1000, "b", err);
    if (!code)
        code = weight_new(&weight, d, (struct weight_shape){10, 10, DTYPE_F32}, "w", err);
    weight_free(weight);
    buffer_free(b);
    device_close(d);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    size_t before = mem_slab_bytes();
    for (int remote = 0; remote < 2; remote++)
        for (long i = 0;; i++) {
            struct error err = {0};
            mem_fail_at(i);
            int code = open_and_make(remote, &err);
            int reached = !mem_fail_pending();
            mem_fail_at(-1);
            assert_int_equal(mem_slab_bytes(), before);
            if (!reached) {
                assert_int_equal(code, 0);
                break;
            }
            assert_int_equal(code, ERROR_NOMEM);
            assert_non_null(strstr(err.message, "out of memory"));
        }
}

static void impossible_weights_are_refused(void **state)
{
    (void)state;
    struct device *d;
    struct weight *weight;
    struct error err;
    assert_int_equal(device_open(&d, DEVICE_CPU, NULL, &err), 0);
    assert_int_equal(weight_new(&weight, d, (struct weight_shape){(int64_t)1 << 40, 8, DTYPE_F32}, "huge", &err),
                     ERROR_DATA);
    assert_int_equal(weight_new(&weight, d, (struct weight_shape){8, -1, DTYPE_F32}, "negative", &err), ERROR_DATA);
    assert_int_equal(weight_new(&weight, d, (struct weight_shape){8, 8, DTYPE_I32}, "integers", &err),
                     ERROR_UNAVAILABLE);
    assert_null(weight);
    assert_true(weight_bytes(d, (struct weight_shape){33, 8, DTYPE_F32}) >= 33 * 8 * 4);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_has_the_cpus_bits),        cmocka_unit_test(remote_does_nothing_before_the_wait),
        cmocka_unit_test(remote_memory_cannot_be_touched), cmocka_unit_test(an_upload_larger_than_the_log_arrives),
        cmocka_unit_test(every_allocation_may_fail),       cmocka_unit_test(impossible_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
