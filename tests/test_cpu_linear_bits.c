/* SPDX-License-Identifier: Apache-2.0 */
/* Bits of linear layers: the same on every instruction set (f32), with every number of threads, in every company of
 * rows and however they are split. */
#include "tests/linear_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum which { FORWARD, GATED, DX, DX_ADDED, DW, N_WHICH };
static int run_which(struct linear_bench *b, enum which which, int m, int n, int k, enum dtype t)
{
    const int counts[] = {[FORWARD] = m * n, [GATED] = m * (n / 2), [DW] = n * k, [DX] = m * k, [DX_ADDED] = m * k};
    int count = counts[which];
    linear_prepare_y(b, which == DX_ADDED || which == DW ? linear_w : NULL, count);
    if (which == FORWARD || which == GATED)
        tensor_linear(b->q, &(struct linear_args){.w = b->packed,
                                                  .n_row = m,
                                                  .x = linear_at(b->x),
                                                  .y = linear_y_span(b),
                                                  .gate = which == GATED,
                                                  .bias = linear_at(b->bias),
                                                  .residual = linear_at(b->residual)});
    else if (which == DW)
        tensor_linear_dw(b->q, &(struct linear_dw_args){.n = n,
                                                        .k = k,
                                                        .n_row = m,
                                                        .compute = t,
                                                        .dy = linear_at(b->dy),
                                                        .x = linear_at(b->x),
                                                        .dw = linear_y_span(b)});
    else
        tensor_linear_dx(b->q, &(struct linear_dx_args){.w = b->packed,
                                                        .n_row = m,
                                                        .dy = linear_at(b->dy),
                                                        .dx = linear_y_span(b),
                                                        .accumulate = which == DX_ADDED});
    linear_fetch_y(b, count);
    return count;
}

static void f32_bits_are_equal_on_every_instruction_set(void **state)
{
    (void)state;
    static const int shapes[][3] = {{33, 100, 65}, {6, 64, 576}, {2, 576, 40}};
    static float wanted[N_WHICH][MAX_W];
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < N_ISA; i++) {
            struct linear_bench b;
            if (linear_open(&b, linear_isas[i], 2))
                continue;
            linear_pack(&b, shapes[s][1], shapes[s][2], DTYPE_F32);
            for (int which = 0; which < N_WHICH; which++) {
                int count = run_which(&b, (enum which)which, shapes[s][0], shapes[s][1], shapes[s][2], DTYPE_F32);
                if (i == 0)
                    memcpy(wanted[which], linear_y, (size_t)count * 4);
                if (memcmp(wanted[which], linear_y, (size_t)count * 4))
                    fail_msg("product %d differs between generic and %s", which, linear_isas[i]);
            }
            linear_close(&b);
        }
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static float wanted[N_WHICH][MAX_W];
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++)
            for (int n_thread = 1; n_thread <= 3; n_thread++) {
                struct linear_bench b;
                if (linear_open(&b, linear_isas[i], n_thread))
                    continue;
                linear_pack(&b, 200, 100, (enum dtype)t);
                for (int which = 0; which < N_WHICH; which++) {
                    int count = run_which(&b, (enum which)which, 64, 200, 100, (enum dtype)t);
                    if (n_thread == 1)
                        memcpy(wanted[which], linear_y, (size_t)count * 4);
                    assert_memory_equal(wanted[which], linear_y, (size_t)count * 4);
                }
                linear_close(&b);
            }
}

static void a_row_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    enum { N = 130, K = 96, M = 65 };
    static float wanted[3][MAX_Y];
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct linear_bench b;
            if (linear_open(&b, linear_isas[i], 2))
                continue;
            linear_pack(&b, N, K, (enum dtype)t);
            for (int m = M; m >= 1; m -= linear_reduced() ? 16 : 1)
                for (int which = 0; which < 3; which++) {
                    int count = run_which(&b, (enum which)which, m, N, K, (enum dtype)t);
                    if (m == M)
                        memcpy(wanted[which], linear_y, (size_t)count * 4);
                    if (memcmp(wanted[which], linear_y, (size_t)count * 4))
                        fail_msg("%s product %d type %d: rows of %d differ from those of %d", linear_isas[i], which, t,
                                 m, M);
                }
            linear_close(&b);
        }
}

static void dw_does_not_depend_on_how_rows_are_split(void **state)
{
    (void)state;
    enum { N = 70, K = 50, M = 64 };
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct linear_bench b;
            if (linear_open(&b, linear_isas[i], 2))
                continue;
            run_which(&b, DW, M, N, K, (enum dtype)t);
            memcpy(linear_other, linear_y, N * K * 4);
            for (int cut = 0; cut <= M; cut += t ? 2 : 1) {
                linear_prepare_y(&b, linear_w, N * K);
                struct linear_dw_args a = {.n = N,
                                           .k = K,
                                           .n_row = cut,
                                           .compute = (enum dtype)t,
                                           .dy = linear_at(b.dy),
                                           .x = linear_at(b.x),
                                           .dw = linear_y_span(&b)};
                tensor_linear_dw(b.q, &a);
                a.n_row = M - cut;
                a.dy.offset = (size_t)cut * N * 4;
                a.x.offset = (size_t)cut * K * 4;
                tensor_linear_dw(b.q, &a);
                linear_fetch_y(&b, N * K);
                assert_memory_equal(linear_other, linear_y, N * K * 4);
            }
            linear_close(&b);
        }
}

/* A NaN among the inputs reaches its own row and nothing else, although rows share tiles and padding. */
static void a_row_of_nan_stays_alone(void **state)
{
    (void)state;
    enum { N = 40, K = 40, M = 7 };
    for (int i = 0; i < N_ISA; i++)
        for (int t = 0; t < 2; t++) {
            struct linear_bench b;
            if (linear_open(&b, linear_isas[i], 2))
                continue;
            linear_pack(&b, N, K, (enum dtype)t);
            float nan_row[K];
            for (int k = 0; k < K; k++)
                nan_row[k] = NAN;
            queue_upload(b.q, (struct span){b.x, 3 * K * 4}, nan_row, sizeof nan_row);
            linear_prepare_y(&b, NULL, 0);
            tensor_linear(
                b.q, &(struct linear_args){.w = b.packed, .n_row = M, .x = linear_at(b.x), .y = linear_y_span(&b)});
            linear_fetch_y(&b, M * N);
            for (int j = 0; j < M * N; j++)
                assert_int_equal(isnan(linear_y[j]) != 0, j / N == 3);
            linear_close(&b);
        }
}

static void unpack_gives_the_values_back(void **state)
{
    (void)state;
    struct linear_bench b;
    assert_int_equal(linear_open(&b, NULL, 2), 0);
    for (int t = 0; t < 2; t++) {
        linear_pack(&b, 70, 33, (enum dtype)t);
        linear_prepare_y(&b, NULL, 0);
        tensor_weight_unpack(
            b.q, &(struct weight_unpack_args){.w = b.packed, .row = 5, .n_row = 60, .dst = linear_y_span(&b)});
        linear_fetch_y(&b, 60 * 33);
        for (int i = 0; i < 60 * 33; i++)
            assert_true(linear_y[i] == (t ? linear_half(linear_w[5 * 33 + i]) : linear_w[5 * 33 + i]));
    }
    linear_close(&b);
}

static void embedding_and_its_gradient(void **state)
{
    (void)state;
    enum { V = 50, C = 70, T = 9 };
    static const int32_t tokens[T] = {3, 49, 3, -1, 0, 17, 3, 49, 32};
    struct linear_bench b;
    assert_int_equal(linear_open(&b, NULL, 3), 0);
    queue_upload(b.q, linear_at(b.rows), tokens, sizeof tokens);
    for (int t = 0; t < 2; t++) {
        linear_pack(&b, V, C, (enum dtype)t);
        linear_prepare_y(&b, NULL, 0);
        tensor_embed(
            b.q, &(struct embed_args){.w = b.packed, .n_row = T, .tokens = linear_at(b.rows), .y = linear_y_span(&b)});
        linear_fetch_y(&b, T * C);
        for (int i = 0; i < T * C; i++) {
            float v = tokens[i / C] < 0 ? 0 : linear_w[tokens[i / C] * C + i % C];
            assert_true(linear_y[i] == (t ? linear_half(v) : v));
        }
    }
    linear_prepare_y(&b, linear_w, V * C);
    tensor_embed_dw(b.q, &(struct embed_dw_args){.n_vocab = V,
                                                 .n_row = T,
                                                 .n_col = C,
                                                 .tokens = linear_at(b.rows),
                                                 .dy = linear_at(b.dy),
                                                 .dw = linear_y_span(&b)});
    linear_fetch_y(&b, V * C);
    memcpy(linear_other, linear_w, V * C * 4);
    for (int t = 0; t < T; t++)
        for (int c = 0; c < C && tokens[t] >= 0; c++)
            linear_other[tokens[t] * C + c] += linear_dy[t * C + c];
    assert_memory_equal(linear_other, linear_y, V * C * 4);
    linear_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_bits_are_equal_on_every_instruction_set),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_row_does_not_depend_on_its_neighbours),
        cmocka_unit_test(dw_does_not_depend_on_how_rows_are_split),
        cmocka_unit_test(a_row_of_nan_stays_alone),
        cmocka_unit_test(unpack_gives_the_values_back),
        cmocka_unit_test(embedding_and_its_gradient),
    };
    return cmocka_run_group_tests(tests, linear_setup, NULL);
}
