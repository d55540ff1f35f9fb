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
static json_t *values, *optimizer, *soft;
static struct train_data data, soft_data;

static int read_ids(const json_t *list, int32_t *ids)
{
    size_t i;
    const json_t *v;
    json_array_foreach(list, i, v) ids[i] = (int32_t)json_integer_value(v);
    return (int)json_array_size(list);
}

static int read_rows(const json_t *rows, struct train_data *out)
{
    struct model_desc d = {.n_vocab = 70, .n_ctx = 600};
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        int32_t ids[64];
        int n = read_ids(json_object_get(row, "ids"), ids);
        if (train_data_add_ids(&(struct row_maker){.data = out, .desc = &d, .max_length = 64}, ids, n,
                               (int)json_integer_value(json_object_get(row, "n_prompt")), "row", NULL))
            return -1;
    }
    return out->n == 10 ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    values = json_load_file("tests/golden/random_llama/values.json", 0, NULL);
    optimizer = json_load_file("tests/golden/optimizer.json", 0, NULL);
    soft = json_load_file("tests/golden/soft_targets.json", 0, NULL);
    if (!values || !optimizer || !soft)
        return -1;
    return read_rows(json_object_get(values, "train_rows"), &data) |
           read_rows(json_object_get(soft, "rows"), &soft_data);
}

static int teardown(void **state)
{
    (void)state;
    train_data_free(&data);
    train_data_free(&soft_data);
    json_decref(values);
    json_decref(optimizer);
    json_decref(soft);
    return 0;
}

struct log {
    struct train_step steps[400];
    int n;
    double eval_loss;
    struct error err;
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

/* With the hard rows as evaluation data. */
static int train_until(const struct train_options *o, const struct train_data *rows, int n_thread, struct log *log)
{
    struct device *device;
    struct checkpoint *source = NULL;
    struct model *model = NULL;
    struct train_result result;
    *log = (struct log){0};
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = n_thread}, &log->err) ||
        checkpoint_open(&source, "tests/golden/random_llama", &log->err) ||
        model_open(&model, device, source, &(struct model_options){.dtype = o->dtype}, &log->err))
        fail_msg("%s", log->err.message);
    struct train_job job = {
        .model = model, .source = source, .data = rows, .eval_data = &data, .options = o, .on_step = note, .user = log};
    int rc = train_run(&job, &result, &log->err);
    log->eval_loss = result.eval_loss;
    assert_int_equal(result.allocations, 0);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
    return rc;
}

static void train(const struct train_options *o, const struct train_data *rows, int n_thread, struct log *log)
{
    if (train_until(o, rows, n_thread, log))
        fail_msg("%s", log->err.message);
}

static double number_of(const json_t *of, int step, const char *key)
{
    return json_number_value(json_object_get(json_array_get(json_object_get(of, "train"), (size_t)step), key));
}

static double number(int step, const char *key)
{
    return number_of(values, step, key);
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

enum { N_TOP = 8, MOST_LISTS = 16 };

/* What a row's teacher gives each of its targets: the last is sure. Returns how many. */
static int read_lists(const json_t *row, int32_t ids[][N_TOP], float logprobs[][N_TOP])
{
    const json_t *all_ids = json_object_get(row, "top_ids"), *all = json_object_get(row, "top_logprobs");
    int n = (int)json_array_size(all_ids);
    assert_true(n <= MOST_LISTS);
    for (int t = 0; t < n; t++) {
        assert_int_equal(read_ids(json_array_get(all_ids, (size_t)t), ids[t]), N_TOP);
        for (int i = 0; i < N_TOP; i++)
            logprobs[t][i] = (float)json_number_value(json_array_get(json_array_get(all, (size_t)t), (size_t)i));
    }
    return n;
}

/* Of all rows but the one without a teacher. */
static void set_soft_targets(void)
{
    for (int i = 0; i < soft_data.n; i++) {
        int32_t ids[MOST_LISTS][N_TOP];
        float logprobs[MOST_LISTS][N_TOP];
        const struct train_row *r = &soft_data.rows[i];
        int last = read_lists(json_array_get(json_object_get(soft, "rows"), (size_t)i), ids, logprobs) - 1;
        assert_int_equal(row_targets(r, MODEL_LM), last + 1);
        ids[last][0] = r->ids[r->n - 1];
        ids[last][1] = -1;
        logprobs[last][0] = 0;
        if (i != (int)json_integer_value(json_object_get(soft, "without")))
            assert_int_equal(
                train_data_set_soft(&soft_data, i, &(struct soft_targets){N_TOP, ids[0], logprobs[0]}, NULL), 0);
    }
}

static void test_steps_on_soft_targets_are_pytorchs_in_float64(void **state)
{
    (void)state;
    struct log first, log;
    set_soft_targets();
    for (int way = 0; way < 4; way++) {
        struct train_options o;
        golden_options(&o);
        o.accumulation = 1 << way % 3;
        o.batch_size = 4 / o.accumulation;
        o.recompute = way & 1;
        o.packing = way == 3;
        train(&o, &soft_data, 1 + (way & 1), &log);
        assert_int_equal(log.n, STEPS);
        for (int i = 0; i < STEPS; i++) {
            const struct train_step *s = &log.steps[i];
            double loss = number_of(soft, i, "loss"), norm = number_of(soft, i, "grad_norm");
            if (!(fabs(s->loss / loss - 1) < 2e-5) || !(fabs(s->grad_norm / norm - 1) < 1e-4))
                fail_msg("way %d, step %d: loss %.9g, wanted %.9g; gradient norm %.9g, wanted %.9g", way, i, s->loss,
                         loss, s->grad_norm, norm);
            if (way && !o.packing)
                assert_true(s->loss == first.steps[i].loss && s->grad_norm == first.steps[i].grad_norm);
        }
        if (!way)
            first = log;
    }
}

/* A row's own ids as distributions that are sure, but for what stands in the first place (id -2: its own). */
static void set_own_ids(struct train_data *rows, int row, int n_top, int32_t id, float logprob)
{
    static int32_t ids[64 * 300];
    static float logprobs[64 * 300];
    const struct train_row *r = &rows->rows[row];
    int n = 0;
    for (int j = 1; j < r->n; j++)
        if (r->target[j]) {
            for (int i = 0; i < n_top; i++)
                ids[n * n_top + i] = i ? -1 : r->ids[j];
            logprobs[n++ * n_top] = 0;
        }
    ids[0] = id < -1 ? ids[0] : id;
    logprobs[0] = logprob;
    assert_int_equal(train_data_set_soft(rows, row, &(struct soft_targets){n_top, ids, logprobs}, NULL), 0);
}

static void test_ids_are_distributions_that_are_sure(void **state)
{
    (void)state;
    struct log hard, sure;
    struct train_options o;
    golden_options(&o);
    train(&o, &data, 1, &hard);
    for (int i = 0; i < soft_data.n; i++)
        set_own_ids(&soft_data, i, 2, -2, 0);
    train(&o, &soft_data, 2, &sure);
    for (int i = 0; i < STEPS; i++) {
        assert_true(fabs(sure.steps[i].loss / hard.steps[i].loss - 1) < 2e-6);
        assert_true(fabs(sure.steps[i].grad_norm / hard.steps[i].grad_norm - 1) < 2e-6);
    }
    assert_true(fabs(sure.eval_loss / hard.eval_loss - 1) < 2e-6);
}

static void test_soft_targets_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        int n_top, id;
        float logprob;
        const char *says;
    } cases[] = {{2, 70, 0, "row row: soft target 0 is token 70, outside of the vocabulary of 70"},
                 {2, -1, 0, "row row: soft target 0 is token -1"},
                 {2, -2, NAN, "row row: soft target 0: nan is no log-probability"},
                 {2, -2, 0.5f, "row row: soft target 0: 0.5 is no log-probability"},
                 {300, -2, 0, "row row: 300 soft targets a token, wanted at most 256"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log log;
        struct train_options o;
        golden_options(&o);
        set_own_ids(&soft_data, 9, cases[i].n_top, cases[i].id, cases[i].logprob);
        int rc = train_until(&o, &soft_data, 1, &log);
        if (rc != ERROR_DATA || !strstr(log.err.message, cases[i].says))
            fail_msg("%d: %s", rc, log.err.message);
    }
}

static void check_lists(const json_t *row, const int32_t *ids, const float *logprobs)
{
    int32_t wanted[MOST_LISTS][N_TOP];
    float wanted_logprobs[MOST_LISTS][N_TOP];
    const float *want = wanted_logprobs[0];
    int n = read_lists(row, wanted, wanted_logprobs) * N_TOP;
    assert_memory_equal(ids, wanted, (size_t)n * sizeof *ids);
    for (int i = 0; i < n; i++)
        assert_true(fabsf(logprobs[i] - want[i]) < 2e-5f);
}

/* The teacher's pass: the same rows with a context before them. */
static void test_the_greatest_probabilities_are_pytorchs(void **state)
{
    (void)state;
    struct device *device;
    struct checkpoint *source = NULL;
    struct model *model = NULL;
    struct error err = {0};
    int32_t given[10][128], ids[10 * MOST_LISTS * N_TOP];
    float logprobs[10 * MOST_LISTS * N_TOP], scores[10 * MOST_LISTS], alone[10 * MOST_LISTS];
    struct model_text texts[10];
    const struct model_top top = {N_TOP, ids, logprobs, scores};
    const json_t *rows = json_object_get(soft, "rows"), *row;
    size_t i, at = 0;
    json_array_foreach(rows, i, row)
    {
        int n = read_ids(json_object_get(row, "context"), given[i]),
            prompt = n + (int)json_integer_value(json_object_get(row, "n_prompt"));
        texts[i] = (struct model_text){given[i], n + read_ids(json_object_get(row, "ids"), given[i] + n), prompt};
    }
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err) ||
        checkpoint_open(&source, "tests/golden/random_llama", &err) ||
        model_open(&model, device, source, &(struct model_options){.dtype = DTYPE_F32}, &err) ||
        model_score_top(model, texts, 10, &top, &err) || model_score(model, texts, 10, alone, &err))
        fail_msg("%s", err.message);
    json_array_foreach(rows, i, row)
    {
        check_lists(row, ids + at, logprobs + at);
        at += json_array_size(json_object_get(row, "top_ids")) * N_TOP;
    }
    assert_memory_equal(scores, alone, at / N_TOP * sizeof *scores);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
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
        tensor_sum_squares(q, &(struct sum_squares_args){N, {b[1], 0}, {norm, 0}, 0, 0});
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
        cmocka_unit_test(test_steps_on_soft_targets_are_pytorchs_in_float64),
        cmocka_unit_test(test_the_greatest_probabilities_are_pytorchs),
        cmocka_unit_test(test_ids_are_distributions_that_are_sure),
        cmocka_unit_test(test_soft_targets_that_are_none_are_refused),
        cmocka_unit_test(test_adamw_and_clipping_are_pytorchs),
        cmocka_unit_test(test_schedules_are_transformers),
        cmocka_unit_test(test_bf16_products_and_moments_stay_close_over_a_hundred_steps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
