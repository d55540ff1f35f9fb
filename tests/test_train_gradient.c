/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of whole tiny models: every parameter's, from one training pass in f32, against central differences of the
 * double-precision oracle. */
#include "check.h"

#include "gradients.h"

#include <stdlib.h>

enum { N_ROW = 4 };
static int32_t ids[N_ROW][12] = {{3, 7, 7, 1, 20, 4, 2}, {9, 2}, {5, 6, 28, 0, 0, 11, 12, 13, 2}, {1, 1, 8, 2}};
static uint8_t targets[N_ROW][12] = {{0, 0, 0, 1, 1, 1, 1}, {0, 1}, {0, 0, 1, 0, 1, 1, 0, 0, 0}, {0, 0, 0, 1}};
static struct train_row rows[N_ROW] = {
    {.ids = ids[0], .target = targets[0], .n = 7, .label = 1},
    {.ids = ids[1], .target = targets[1], .n = 2, .label = 6},
    {.ids = ids[2], .target = targets[2], .n = 9, .label = 0},
    {.ids = ids[3], .target = targets[3], .n = 4, .label = 5},
};

static struct device *device;
static int open_device(void **state)
{
    (void)state;
    return device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL);
}
static int close_device(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

static struct model *tiny(const char *extra, enum dtype dtype)
{
    struct model *m;
    struct error err = {0};
    json_t *config = oracle_config(extra);
    if (model_init(&m, device, config, "tiny", &(struct model_options){.dtype = dtype, .seed = 4}, &err))
        fail_msg("%s", err.message);
    json_decref(config);
    return m;
}

static struct gradient_rows four_rows(const char *extra)
{
    return (struct gradient_rows){rows, N_ROW, extra ? extra : "the plain model", 0.25f};
}

static void check_model(const char *extra, int recompute, int stride)
{
    static const int all[] = {N_ROW};
    const struct gradient_rows r = four_rows(extra);
    struct model *m = tiny(extra, DTYPE_F32);
    double *flat = oracle_weights(m, 4), loss;
    float *got = gradients_of(m, &r, recompute, all, 1, &loss);
    if (getenv("ISARA_REDUCED") && *getenv("ISARA_REDUCED"))
        stride *= 13;
    gradients_check(m, flat, &r, got, loss, &(struct gradient_bound){1e-5, 1e-7, stride});
    free(got);
    free(flat);
    model_close(m);
}

static void test_tied_model(void **state)
{
    (void)state;
    check_model(NULL, 0, 3);
}

static void test_untied_model_with_odd_sizes(void **state)
{
    (void)state;
    check_model("{\"tie_word_embeddings\":false,\"head_dim\":6,\"num_key_value_heads\":1,\"hidden_size\":18,"
                "\"intermediate_size\":21,\"num_hidden_layers\":3}",
                0, 3);
}

static void test_recomputed_activations(void **state)
{
    (void)state;
    check_model("{\"num_hidden_layers\":3}", 1, 3);
}

static void test_classifiers(void **state)
{
    (void)state;
    check_model("{\"architectures\":[\"LlamaForSequenceClassification\"],\"num_labels\":3,\"problem_type\":\"multi_"
                "label_classification\"}",
                0, 3);
    /* pad_token_id is what three rows end with: they are read before it. */
    check_model("{\"architectures\":[\"LlamaForSequenceClassification\"],\"num_labels\":3,\"problem_type\":\"multi_"
                "label_classification\",\"pad_token_id\":2}",
                0, 7);
    int labels[N_ROW];
    for (int i = 0; i < N_ROW; i++) {
        labels[i] = rows[i].label;
        rows[i].label = 1 << i % 3;
    }
    check_model("{\"architectures\":[\"LlamaForSequenceClassification\"],\"num_labels\":3}", 1, 3);
    for (int i = 0; i < N_ROW; i++)
        rows[i].label = labels[i];
}

/* Pairs of texts of odd and even lengths. The bias cancels: its gradient is exactly zero. */
static void test_reward_model(void **state)
{
    (void)state;
    for (int i = 0; i < N_ROW; i++) {
        rows[i].rejected = ids[(i + 1) % N_ROW];
        rows[i].n_rejected = rows[(i + 1) % N_ROW].n;
    }
    check_model("{\"architectures\":[\"LlamaForScore\"]}", 0, 3);
    check_model("{\"architectures\":[\"LlamaModelForScore\"],\"score_bias\":true}", 1, 7);
    for (int i = 0; i < N_ROW; i++)
        rows[i].n_rejected = 0;
}

static void test_vocabulary_of_more_than_one_stretch(void **state)
{
    (void)state;
    check_model("{\"vocab_size\":4133,\"num_hidden_layers\":1}", 0, 997);
}

/* Same row order, same bits: every way to cut the four rows into micro-batches, with and without recomputation, in f32
 * and bf16. */
static void check_bits(const char *extra)
{
    static const int splits[][4] = {{4}, {1, 2, 3, 4}, {2, 4}, {1, 4}, {3, 4}};
    static const int counts[] = {1, 4, 2, 2, 2};
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    const struct gradient_rows r = four_rows(extra);
    for (int d = 0; d < 2; d++) {
        struct model *m = tiny(extra, dtypes[d]);
        double loss, other;
        float *first = gradients_of(m, &r, 0, splits[0], counts[0], &loss);
        for (int i = 0; i < 10; i++) {
            float *again = gradients_of(m, &r, i & 1, splits[i / 2], counts[i / 2], &other);
            assert_true(loss == other);
            assert_memory_equal(first, again, (size_t)m->n_element * 4);
            free(again);
        }
        free(first);
        model_close(m);
    }
}

static void test_bits_do_not_depend_on_the_split_or_on_recomputation(void **state)
{
    (void)state;
    check_bits(NULL);
    check_bits("{\"architectures\":[\"LlamaForSequenceClassification\"],\"num_labels\":3,\"problem_type\":\"multi_"
               "label_classification\"}");
    for (int i = 0; i < N_ROW; i++) {
        rows[i].rejected = ids[(i + 1) % N_ROW];
        rows[i].n_rejected = rows[(i + 1) % N_ROW].n;
    }
    check_bits("{\"architectures\":[\"LlamaForScore\"]}");
    for (int i = 0; i < N_ROW; i++)
        rows[i].n_rejected = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tied_model),
        cmocka_unit_test(test_untied_model_with_odd_sizes),
        cmocka_unit_test(test_recomputed_activations),
        cmocka_unit_test(test_classifiers),
        cmocka_unit_test(test_reward_model),
        cmocka_unit_test(test_vocabulary_of_more_than_one_stretch),
        cmocka_unit_test(test_bits_do_not_depend_on_the_split_or_on_recomputation),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
