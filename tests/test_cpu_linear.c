/* SPDX-License-Identifier: Apache-2.0 */
/* Products against sums in double precision. */
#include "tests/check.h"

#include "base/rng.h"
#include "tensor/ops.h"

#include <math.h>
#include <stdlib.h>

static void product_matches_oracle(void **state)
{
    (void)state;
    struct device *d;
    struct error err = {0};
    assert_int_equal(device_open_cpu(&d, &(struct device_options){.n_thread = 2}, &err), 0);
    struct queue *q = device_queue(d);
    enum { T = 5, N = 33, K = 17 };
    float x[T * K], w[N * K], y[T * N], back[N * K];
    struct rng_stream s = {1, 2, 3};
    for (int i = 0; i < T * K; i++)
        x[i] = rng_uniform(&s, (uint64_t)i) - 0.5f;
    for (int i = 0; i < N * K; i++)
        w[i] = rng_uniform(&s, (uint64_t)i + 10000) - 0.5f;
    struct buffer *bx, *bw, *by;
    struct weight *weight;
    assert_int_equal(buffer_new(&bx, d, sizeof x, "x", &err), 0);
    assert_int_equal(buffer_new(&bw, d, sizeof w, "w", &err), 0);
    assert_int_equal(buffer_new(&by, d, sizeof y, "y", &err), 0);
    assert_int_equal(weight_new(&weight, d, N, K, DTYPE_F32, "w", &err), 0);
    queue_upload(q, (struct span){bx, 0}, x, sizeof x);
    queue_upload(q, (struct span){bw, 0}, w, sizeof w);
    tensor_weight_pack(q, &(struct weight_pack_args){.w = weight, .n_row = N, .src = {bw, 0}});
    tensor_linear(q, &(struct linear_args){.w = weight, .n_row = T, .x = {bx, 0}, .y = {by, 0}});
    tensor_weight_unpack(q, &(struct weight_unpack_args){.w = weight, .n_row = N, .dst = {bw, 0}});
    queue_download(q, y, (struct span){by, 0}, sizeof y);
    queue_download(q, back, (struct span){bw, 0}, sizeof back);
    queue_wait(q);
    assert_memory_equal(back, w, sizeof w);
    for (int t = 0; t < T; t++)
        for (int n = 0; n < N; n++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += (double)x[t * K + k] * w[n * K + k];
            assert_true(fabs(sum - y[t * N + n]) < 1e-5);
        }
    weight_free(weight);
    buffer_free(bx), buffer_free(bw), buffer_free(by);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(product_matches_oracle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
