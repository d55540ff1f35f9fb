/* SPDX-License-Identifier: Apache-2.0 */
/* Training against PyTorch in float64: ten steps of a random LLaMA with decay and clipping (tests/golden/random_llama,
 * tools/golden_model.py) for every way to cut a step; AdamW, clipping and the schedules on bare numbers
 * (tests/golden/optimizer.json, tools/golden_train.py). And how far bf16 may stray. */
#include "check.h"

#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 10 };
static json_t *values, *optimizer;
static struct train_data data;

static int setup(void **state)
{
    (void)state;
    struct model_desc d = {.n_vocab = 70, .n_ctx = 600};
    const json_t *row, *v;
    size_t i, j;
    values = json_load_file("tests/golden/random_llama/values.json", 0, NULL);
    optimizer = json_load_file("tests/golden/optimizer.json", 0, NULL);
    json_array_foreach(json_object_get(values, "train_rows"), i, row)
    {
        int32_t ids[64];
        const json_t *list = json_object_get(row, "ids");
        json_array_foreach(list, j, v) ids[j] = (int32_t)json_integer_value(v);
        if (train_data_add_ids(&(struct row_maker){.data = &data, .desc = &d, .max_length = 64}, ids,
                               (int)json_array_size(list), (int)json_integer_value(json_object_get(row, "n_prompt")),
                               "row", NULL))
            return -1;
    }
    return values && optimizer && data.n == 10 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    train_data_free(&data);
    json_decref(values);
    json_decref(optimizer);
    return 0;
}

struct log {
    struct train_step steps[400];
    int n;
};

static void note(void *user, const struct train_step *s)
{
    struct log *log = user;
    assert_true(log->n < 400);
    log->steps[log->n++] = *s;
}

static void golden_options(struct train_options *o)
{
    train_options_default(o);
    o->dtype = DTYPE_F32;
    o->learning_rate = 3e-3;
    o->weight_decay = 0.1;
    o->schedule = LR_LINEAR;
    o->warmup_ratio = 0.15;
    o->max_steps = STEPS;
    o->shuffle = 0;
    o->max_length = 64;
}

static void train(const struct train_options *o, const struct train_data *rows, int n_thread, struct log *log)
{
    struct device *device;
    struct checkpoint *source = NULL;
    struct model *model = NULL;
    struct train_result result;
    struct error err = {0};
    *log = (struct log){0};
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = n_thread}, &err) ||
        checkpoint_open(&source, "tests/golden/random_llama", &err) ||
        model_open(&model, device, source, &(struct model_options){.dtype = o->dtype}, &err))
        fail_msg("%s", err.message);
    struct train_job job = {.model = model, .source = source, .data = rows, .options = o, .on_step = note, .user = log};
    if (train_run(&job, &result, &err))
        fail_msg("%s", err.message);
    assert_int_equal(result.allocations, 0);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
}

static double number(int step, const char *key)
{
    return json_number_value(json_object_get(json_array_get(json_object_get(values, "train"), (size_t)step), key));
}

static void test_ten_steps_are_pytorchs_in_float64_however_a_step_is_cut(void **state)
{
    (void)state;
    struct log first, log;
    for (int way = 0; way < 12; way++) {
        struct train_options o;
        golden_options(&o);
        o.accumulation = 1 << way % 3;
        o.batch_size = 4 / o.accumulation;
        o.packing = way / 3 & 1;
        o.recompute = way / 6;
        train(&o, &data, 1 + (way & 1), &log);
        assert_int_equal(log.n, STEPS);
        for (int i = 0; i < STEPS; i++) {
            const struct train_step *s = &log.steps[i];
            if (!(fabs(s->loss / number(i, "loss") - 1) < 1e-5) ||
                !(fabs(s->grad_norm / number(i, "grad_norm") - 1) < 1e-4) ||
                !(fabs(s->learning_rate - number(i, "learning_rate")) < 1e-15))
                fail_msg("way %d, step %d: loss %.9g, wanted %.9g; gradient norm %.9g, wanted %.9g", way, i, s->loss,
                         number(i, "loss"), s->grad_norm, number(i, "grad_norm"));
            if (way && !o.packing)
                assert_true(s->loss == first.steps[i].loss && s->grad_norm == first.steps[i].grad_norm);
        }
        if (!way)
            first = log;
    }
}

static double at(const char *key, int i)
{
    return json_number_value(json_array_get(json_object_get(optimizer, key), (size_t)i));
}

static double at2(const char *key, int i, int j)
{
    return json_number_value(json_array_get(json_array_get(json_object_get(optimizer, key), (size_t)i), (size_t)j));
}

static void test_adamw_and_clipping_are_pytorchs(void **state)
{
    (void)state;
    enum { N = 11 };
    struct device *device;
    struct buffer *b[4], *norm;
    float x[N];
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, NULL), 0);
    struct queue *q = device_queue(device);
    for (int i = 0; i < 4; i++)
        assert_int_equal(buffer_new(&b[i], device, 64 + N * 4, "numbers", NULL), 0);
    assert_int_equal(buffer_new(&norm, device, 8, "norm", NULL), 0);
    for (int i = 0; i < N; i++)
        x[i] = (float)at("start", i);
    queue_upload(q, (struct span){b[0], 0}, x, sizeof x);
    for (int step = 0; step < 5; step++) {
        double squares;
        for (int i = 0; i < N; i++)
            x[i] = (float)at2("gradients", step, i);
        queue_upload(q, (struct span){b[1], 0}, x, sizeof x);
        tensor_sum_squares(q, &(struct sum_squares_args){N, {b[1], 0}, {norm, 0}, 0});
        queue_download(q, &squares, (struct span){norm, 0}, 8);
        assert_int_equal(queue_wait(q, NULL), 0);
        assert_true(fabs(sqrt(squares) / at("norms", step) - 1) < 1e-6);
        for (int part = 0; part < 2; part++) { /* seven with decay, four without */
            size_t first = part ? 7 * 4 : 0;
            tensor_adamw(q, &(struct adamw_args){.n = part ? 4 : 7,
                                                 .param = {b[0], first},
                                                 .grad = {b[1], first},
                                                 .m = {b[2], first},
                                                 .v = {b[3], first},
                                                 .lr = (float)at("learning_rates", step),
                                                 .beta1 = 0.9f,
                                                 .beta2 = 0.95f,
                                                 .eps = 1e-8f,
                                                 .decay = part ? 0 : 0.1f,
                                                 .grad_scale = (float)train_clip(2.5, sqrt(squares)),
                                                 .c1 = (float)(1 - pow(0.9, step + 1)),
                                                 .c2 = (float)(1 - pow(0.95, step + 1))});
        }
        queue_download(q, x, (struct span){b[0], 0}, sizeof x);
        assert_int_equal(queue_wait(q, NULL), 0);
        for (int i = 0; i < N; i++)
            if (!(fabs((double)x[i] - at2("after", step, i)) < 2e-6))
                fail_msg("step %d, number %d: %.9g, wanted %.9g", step, i, (double)x[i], at2("after", step, i));
    }
    for (int i = 0; i < 4; i++)
        buffer_free(b[i]);
    buffer_free(norm);
    device_close(device);
}

static void test_schedules_are_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"cosine", "linear", "constant_with_warmup"};
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 20; i++) {
            struct train_options o;
            train_options_default(&o);
            o.warmup_ratio = 0.15;
            o.schedule = (enum lr_schedule)s;
            double wanted = json_number_value(
                json_array_get(json_object_get(json_object_get(optimizer, "schedules"), names[s]), (size_t)i));
            assert_true(fabs(train_learning_rate(&o, i, 20) - wanted) < 1e-18);
        }
}

/* Rows of a little language that go on for ever: every step's are new. */
static void endless(struct train_data *rows, int n)
{
    struct model_desc d = {.n_vocab = 70, .n_ctx = 600};
    for (int i = 0; i < n; i++) {
        int32_t ids[24];
        int step = 1 + i * 7 % 5;
        for (int j = 0; j < 24; j++)
            ids[j] = (i * 13 + step * j) % 61 + 3;
        assert_int_equal(train_data_add_ids(&(struct row_maker){.data = rows, .desc = &d, .max_length = 64}, ids, 24, 3,
                                            "row", NULL),
                         0);
    }
}

static double mean_tail(const struct log *log)
{
    double sum = 0;
    for (int i = log->n / 2; i < log->n; i++)
        sum += log->steps[i].loss;
    return sum / (log->n - log->n / 2);
}

static void test_bf16_products_and_moments_stay_close_over_a_hundred_steps(void **state)
{
    (void)state;
    struct train_data rows = {0};
    struct log logs[4];
    endless(&rows, 400);
    for (int way = 0; way < 4; way++) {
        struct train_options o;
        train_options_default(&o);
        o.dtype = way == 0 ? DTYPE_F32 : DTYPE_BF16;
        o.bf16_moments = way == 2;
        o.bf16_random = way == 3;
        o.learning_rate = 5e-3;
        o.num_train_epochs = 1;
        train(&o, &rows, 2, &logs[way]);
        assert_int_equal(logs[way].n, 100);
    }
    double f32 = mean_tail(&logs[0]), bf16 = mean_tail(&logs[1]), moments = mean_tail(&logs[2]),
           random = mean_tail(&logs[3]);
    printf("mean loss of the last 50 of 100 steps: f32 %.5f, bf16 %.5f, bf16 with bf16 moments %.5f, with weights at "
           "random %.5f\n",
           f32, bf16, moments, random);
    assert_true(f32 < logs[0].steps[0].loss - 0.5);
    assert_true(fabs(bf16 - f32) < 0.01 * f32 + 0.005);
    assert_true(fabs(moments - f32) < 0.01 * f32 + 0.005);
    assert_true(fabs(random - f32) < 0.01 * f32 + 0.005);
    assert_true(random != bf16);
    train_data_free(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_steps_are_pytorchs_in_float64_however_a_step_is_cut),
        cmocka_unit_test(test_adamw_and_clipping_are_pytorchs),
        cmocka_unit_test(test_schedules_are_transformers),
        cmocka_unit_test(test_bf16_products_and_moments_stay_close_over_a_hundred_steps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
