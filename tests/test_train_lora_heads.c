/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters of classifiers, whose head is trained whole beside them: logits, losses and gradients are PEFT's
 * (tests/golden/adapters/classifier_*, made by tools/golden_adapters.py) over classifiers and over language models;
 * what is trained and written is read again, also merged, and says the same. */
#include "check.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"
#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TEXT = 2, MOST_ID = 32 };
static json_t *golden;
static int32_t ids[N_TEXT][MOST_ID];
static struct model_text texts[N_TEXT];

static int setup(void **state)
{
    (void)state;
    const json_t *list, *v;
    size_t i, j;
    if (!(golden = json_load_file("tests/golden/adapters/classifiers.json", 0, NULL)))
        return -1;
    json_array_foreach(json_object_get(golden, "texts"), i, list)
    {
        json_array_foreach(list, j, v) ids[i][j] = (int32_t)json_integer_value(v);
        texts[i] = (struct model_text){ids[i], (int)json_array_size(list), 1};
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

struct place {
    struct device *device;
    struct checkpoint *source;
    struct model *model;
};

/* n_label: of a new head over a language model, or 0. */
static void open_place(struct place *p, const char *path, int n_label, enum dtype dtype)
{
    static const char *const labels[] = {"one", "two", "three"};
    struct error err = {0};
    struct model_options o = {.dtype = dtype, .task = n_label ? MODEL_CLASSIFY : MODEL_LM, .labels = labels};
    o.n_label = n_label;
    o.problem = PROBLEM_SINGLE_LABEL;
    if (device_open(&p->device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err) ||
        checkpoint_open(&p->source, path, &err) || model_open(&p->model, p->device, p->source, &o, &err))
        fail_msg("%s", err.message);
}

static void close_place(struct place *p)
{
    model_close(p->model);
    checkpoint_close(p->source);
    device_close(p->device);
}

static void make_data(struct train_data *data, const struct model_desc *d)
{
    *data = (struct train_data){0};
    for (int i = 0; i < N_TEXT; i++) {
        struct row_maker maker = {.data = data, .desc = d, .max_length = MOST_ID};
        assert_int_equal(train_data_add_ids(&maker, ids[i], texts[i].n, 1, "row", NULL), 0);
        data->rows[i].label = (int)json_integer_value(json_array_get(json_object_get(golden, "labels"), (size_t)i));
    }
}

static void logits_of(const char *path, float *out)
{
    struct place p;
    struct error err = {0};
    open_place(&p, path, 0, DTYPE_F32);
    if (model_classify(p.model, texts, N_TEXT, out, &err))
        fail_msg("%s: %s", path, err.message);
    close_place(&p);
}

static void expect_logits(const char *name, const json_t *wanted)
{
    float got[N_TEXT * MODEL_MAX_LABEL];
    char path[300];
    const json_t *row, *v;
    size_t i, j, at = 0;
    snprintf(path, sizeof path, "tests/golden/adapters/classifier_%s", name);
    logits_of(path, got);
    json_array_foreach(wanted, i, row) json_array_foreach(row, j, v)
    {
        if (!(fabs((double)got[at] - json_number_value(v)) < 1e-4))
            fail_msg("%s: logit %zu of text %zu is %.9g, peft %.9g", name, j, i, (double)got[at], json_number_value(v));
        at++;
    }
}

/* PEFT's tensors as masters. */
static void load_factors(const char *name, struct model *m, struct queue *q, struct span masters)
{
    struct file_map map;
    struct safetensors *s;
    char path[300];
    snprintf(path, sizeof path, "tests/golden/adapters/classifier_%s/adapter_model.safetensors", name);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(safetensors_parse(&s, map.data, map.size, path, NULL), 0);
    assert_int_equal(safetensors_n_tensor(s), m->lora->n_param);
    for (int i = 0; i < m->lora->n_param; i++) {
        const struct model_param *p = &m->lora->params[i];
        long at = safetensors_find(s, p->name);
        if (at < 0)
            fail_msg("%s: PEFT has no %s", name, p->name);
        const float *values = (const float *)(const void *)safetensors_data(s, (size_t)at);
        for (int64_t row = 0, width = p->shape[1]; row < p->shape[0]; row++)
            queue_upload(q, span_at(masters, (size_t)(p->offset + param_own_row(p, row) * width) * 4),
                         values + row * width, (size_t)width * 4);
    }
    assert_int_equal(queue_wait(q, NULL), 0);
    safetensors_free(s);
    file_unmap(&map);
}

/* Of the mean loss, each text in a pass of its own. */
static float *gradients_of(struct place *p, const char *name, double *loss)
{
    struct buffer *masters, *gradients;
    struct train_data data;
    struct pass pass;
    const struct order_sizes sizes = {
        .rows = 2, .sequences = 2, .tokens = 32, .targets = 32, .step_tokens = 64, .step_targets = 64};
    size_t bytes = (size_t)p->model->lora->n_element * 4;
    float *got = malloc(bytes);
    double weight = 0;
    make_data(&data, model_desc(p->model));
    for (int i = 0; i < N_TEXT; i++)
        weight += row_weight(&data.rows[i], model_desc(p->model));
    assert_int_equal(buffer_new(&masters, p->device, bytes, "masters", NULL), 0);
    assert_int_equal(buffer_new(&gradients, p->device, bytes, "gradients", NULL), 0);
    assert_int_equal(pass_new(&pass, p->model, 0, &sizes, NULL), 0);
    load_factors(name, p->model, pass.q, (struct span){masters, 0});
    lora_pack(p->model, pass.q, (struct span){masters, 0});
    pass_begin(&pass, (struct span){gradients, 0});
    for (int i = 0; i < N_TEXT; i++) {
        const struct train_row *row = &data.rows[i];
        pass_run(&pass, &row, 1, (float)(1 / weight), (struct span){gradients, 0});
    }
    pass_end(&pass, (struct span){gradients, 0});
    assert_int_equal(pass_loss(&pass, loss, NULL), 0);
    *loss /= weight;
    queue_download(pass.q, got, (struct span){gradients, 0}, bytes);
    assert_int_equal(queue_wait(pass.q, NULL), 0);
    pass_free(&pass);
    train_data_free(&data);
    buffer_free(masters);
    buffer_free(gradients);
    return got;
}

static void expect_gradients(const char *name, const json_t *wanted)
{
    struct place p;
    char path[300];
    const json_t *norms = json_object_get(wanted, "gradient_norms");
    double loss, wanted_loss = json_number_value(json_object_get(wanted, "loss"));
    struct lora_options o = {2, 5, json_string_value(json_object_get(wanted, "targets"))};
    snprintf(path, sizeof path, "tests/golden/families/%s", name);
    open_place(&p, path, strstr(name, "classifier") ? 0 : 3, DTYPE_F32);
    assert_int_equal(lora_add(p.model, &o, NULL), 0);
    assert_int_equal(p.model->lora->n_param, json_object_size(norms));
    float *got = gradients_of(&p, name, &loss);
    if (!(fabs(loss / wanted_loss - 1) <= 1e-5))
        fail_msg("%s: loss %.9g, peft %.9g", name, loss, wanted_loss);
    for (int i = 0; i < p.model->lora->n_param; i++) {
        const struct model_param *param = &p.model->lora->params[i];
        double w = json_number_value(json_object_get(norms, param->name)), sum = 0;
        for (int64_t j = 0; j < param->count; j++)
            sum += (double)got[param->offset + j] * (double)got[param->offset + j];
        if (!(fabs(sqrt(sum) - w) <= 1e-4 * w))
            fail_msg("%s: %s: gradient %.9g, peft %.9g", name, param->name, sqrt(sum), w);
    }
    free(got);
    close_place(&p);
}

static void pefts_values(void **state)
{
    (void)state;
    const char *name;
    json_t *wanted;
    assert_true(json_object_size(json_object_get(golden, "models")) >= 5);
    json_object_foreach(json_object_get(golden, "models"), name, wanted)
    {
        expect_logits(name, json_object_get(wanted, "logits"));
        expect_gradients(name, wanted);
    }
}

/* Trains an adapter over path and merges it. */
static void train(const char *path, int n_label, enum dtype dtype, const char *directory)
{
    struct place p;
    struct train_data data;
    struct train_options o;
    struct train_result result;
    struct error err = {0};
    open_place(&p, path, n_label, dtype);
    make_data(&data, model_desc(p.model));
    train_options_default(&o);
    o.dtype = dtype;
    o.learning_rate = 0.02;
    o.num_train_epochs = 4;
    o.batch_size = 2;
    o.lora_r = 3;
    struct train_job job = {.model = p.model,
                            .source = p.source,
                            .data = &data,
                            .eval_data = &data,
                            .options = &o,
                            .directory = directory,
                            .merge = 1};
    if (train_run(&job, &result, &err))
        fail_msg("%s: %s", path, err.message);
    assert_int_equal(result.allocations, 0);
    train_data_free(&data);
    close_place(&p);
}

static void expect_labels(const char *adapter, const char *first)
{
    struct place p;
    open_place(&p, adapter, 0, DTYPE_F32);
    assert_int_equal(model_desc(p.model)->task, MODEL_CLASSIFY);
    assert_string_equal(model_desc(p.model)->labels[0], first);
    close_place(&p);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const struct {
        const char *base, *first_label;
        int n_label;
    } cases[] = {{"tests/golden/families/mistral", "one", 3}, {"tests/golden/families/qwen2_classifier", "LABEL_0", 0}};
    for (int i = 0; i < 2; i++) {
        float merged[N_TEXT * MODEL_MAX_LABEL], beside[N_TEXT * MODEL_MAX_LABEL], base[N_TEXT * MODEL_MAX_LABEL];
        char directory[300], adapter[320];
        double moved = 0;
        snprintf(directory, sizeof directory, "%s/m", check_tmpdir("lora_heads"));
        snprintf(adapter, sizeof adapter, "%s/adapter", directory);
        train(cases[i].base, cases[i].n_label, DTYPE_F32, directory);
        logits_of(directory, merged);
        logits_of(adapter, beside);
        expect_labels(adapter, cases[i].first_label);
        if (!cases[i].n_label)
            logits_of(cases[i].base, base);
        for (int k = 0; k < N_TEXT * 3; k++) { /* merged weights are as the base's, bf16 */
            assert_true(fabsf(merged[k] - beside[k]) < 0.1f);
            moved = fmax(moved, fabs((double)(beside[k] - (cases[i].n_label ? 0 : base[k]))));
        }
        assert_true(moved > 0.1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pefts_values), cmocka_unit_test(what_is_written_is_read_again)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
