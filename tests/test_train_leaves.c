/* SPDX-License-Identifier: Apache-2.0 */
/* The step's gradient as a tree of leaves: the sums are those of a recursion over the leaves' own gradients, and
 * neither micro-batches nor threads change them. */
#include "check.h"

#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100, MOST = 16, N_ROW = 11 };
static const char model_path[] = "tests/golden/lora/model";

static float value(int leaf, int i)
{
    return (float)sin(1000.0 * leaf + 7.0 * i) * (i % 3 ? 1.0f : 1e6f);
}

static float tree(int first, int n, int i)
{
    return n == 1 ? value(first, i) : tree(first, n / 2, i) + tree(first + n / 2, n / 2, i);
}

static void leaves_are_added_in_a_fixed_tree(void **state)
{
    (void)state;
    struct device *d;
    assert_int_equal(device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL), 0);
    for (int n_leaf = 1; n_leaf <= MOST; n_leaf *= 2) {
        struct leaves l;
        struct queue *q = device_queue(d);
        float x[N];
        assert_int_equal(leaves_init(&l, d, n_leaf, N, NULL), 0);
        for (int round = 0; round < 2; round++) { /* the buffers are used again */
            for (int leaf = 0; leaf < n_leaf; leaf++) {
                for (int i = 0; i < N; i++)
                    x[i] = value(leaf, i);
                queue_upload(q, (struct span){l.now, 0}, x, sizeof x);
                leaves_add(&l, q, leaf);
            }
            queue_download(q, x, (struct span){l.now, 0}, sizeof x);
            assert_int_equal(queue_wait(q, NULL), 0);
            for (int i = 0; i < N; i++)
                assert_float_equal(x[i], tree(0, n_leaf, i), 0);
        }
        leaves_deinit(&l);
    }
    device_close(d);
}

static void every_row_is_in_one_leaf(void **state)
{
    (void)state;
    for (int n_leaf = 1; n_leaf <= 8; n_leaf *= 2)
        for (int n_row = 1; n_row < 20; n_row++) {
            assert_int_equal(leaf_first(0, n_leaf, n_row), 0);
            assert_int_equal(leaf_first(n_leaf, n_leaf, n_row), n_row);
            for (int i = 0; i < n_leaf; i++) {
                int n = leaf_first(i + 1, n_leaf, n_row) - leaf_first(i, n_leaf, n_row);
                assert_true(n == n_row / n_leaf || n == (n_row + n_leaf - 1) / n_leaf);
            }
        }
}

struct outcome {
    double loss, norm;
    float weights[64];
};
static void note(void *user, const struct train_step *s)
{
    struct outcome *o = user;
    o->loss = s->loss;
    o->norm = s->grad_norm;
}

static void train(int leaves, int batch, int accumulation, int threads, int lora, struct outcome *out)
{
    struct device *d;
    struct checkpoint *source;
    struct model *m;
    struct train_data data = {0};
    struct train_result result;
    struct train_options o;
    struct error err = {0};
    assert_int_equal(device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = threads}, NULL), 0);
    assert_int_equal(checkpoint_open(&source, model_path, NULL), 0);
    assert_int_equal(model_open(&m, d, source, &(struct model_options){.dtype = DTYPE_F32}, NULL), 0);
    for (int i = 0; i < N_ROW; i++) {
        int32_t ids[16];
        char id[16];
        for (int j = 0; j < 16; j++)
            ids[j] = (i * 11 + 7 * j) % 40 + 3;
        snprintf(id, sizeof id, "%d", i);
        assert_int_equal(train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(m), .max_length = 32},
                                            ids, 5 + i, 2, id, NULL),
                         0);
    }
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.learning_rate = 0.01;
    o.max_steps = 3;
    o.batch_size = batch;
    o.accumulation = accumulation;
    o.gradient_leaves = leaves;
    o.lora_r = lora;
    o.shuffle = 0;
    struct train_job job = {.model = m, .source = source, .data = &data, .options = &o, .on_step = note, .user = out};
    if (train_run(&job, &result, &err))
        fail_msg("%s", err.message);
    int32_t text[9] = {3, 9, 4, 20, 7, 8, 11, 5, 6};
    assert_int_equal(model_score(m, &(struct model_text){text, 9, 1}, 1, out->weights, NULL), 0);
    train_data_free(&data);
    model_close(m);
    checkpoint_close(source);
    device_close(d);
}

static void leaves_decide_the_bits_and_nothing_else_does(void **state)
{
    (void)state;
    for (int lora = 0; lora <= 2; lora += 2) {
        struct outcome one = {0}, four = {0}, other = {0};
        train(1, 8, 1, 2, lora, &one);
        train(4, 8, 1, 2, lora, &four);
        assert_true(fabs(one.loss - four.loss) < 1e-4 * one.loss);
        assert_true(memcmp(&one, &four, sizeof one) != 0);
        train(4, 1, 8, 2, lora, &other);
        assert_memory_equal(&four, &other, sizeof four);
        train(4, 3, 3, 1, lora, &other); /* nine rows a step: other leaves, other bits */
        assert_true(memcmp(&four, &other, sizeof four) != 0);
        train(4, 4, 2, 1, lora, &other);
        assert_memory_equal(&four, &other, sizeof four);
        train(16, 8, 1, 2, lora, &other); /* some leaves are empty */
        assert_true(fabs(one.loss - other.loss) < 1e-4 * one.loss);
    }
}

static void other_numbers_than_powers_of_two_are_refused(void **state)
{
    (void)state;
    struct train_options o;
    struct error err = {0};
    train_options_default(&o);
    assert_int_equal(o.gradient_leaves, 1);
    o.gradient_leaves = 6;
    assert_int_equal(train_options_check(&o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "gradient_leaves"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_are_added_in_a_fixed_tree),
        cmocka_unit_test(every_row_is_in_one_leaf),
        cmocka_unit_test(leaves_decide_the_bits_and_nothing_else_does),
        cmocka_unit_test(other_numbers_than_powers_of_two_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
