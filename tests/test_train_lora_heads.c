/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters of classifiers, whose head is trained whole beside them: logits, losses and gradients are PEFT's
 * (tests/golden/adapters/classifier_*, made by tools/golden_adapters.py) over classifiers and over language models;
 * what is trained and written is read again, also merged, and says the same. */
#include "check.h"
#include "lora_place.h"

#include "train/parts.h"

#include <math.h>
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

/* n_label: of a new head over a language model, or 0. */
static void open_place(struct lora_place *p, const char *path, int n_label, enum model_problem problem)
{
    static const char *const labels[] = {"one", "two", "three"};
    struct model_options o = {.dtype = DTYPE_F32, .task = n_label ? MODEL_CLASSIFY : MODEL_LM, .labels = labels};
    o.n_label = n_label;
    o.problem = problem;
    o.set_pad = 1; /* 0, which no text has */
    lora_place_open(p, path, 2, &o);
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
    struct lora_place p;
    struct error err = {0};
    open_place(&p, path, 0, PROBLEM_SINGLE_LABEL);
    if (model_classify(p.model, texts, N_TEXT, out, &err))
        fail_msg("%s: %s", path, err.message);
    lora_place_close(&p);
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

static void expect_gradients(const char *name, const json_t *wanted)
{
    struct lora_place p;
    struct train_data data;
    char path[300], adapter[300];
    struct lora_options o = {2, 5, json_string_value(json_object_get(wanted, "targets"))};
    snprintf(path, sizeof path, "tests/golden/families/%s", name);
    snprintf(adapter, sizeof adapter, "tests/golden/adapters/classifier_%s", name);
    open_place(&p, path, strstr(name, "classifier") ? 0 : 3, PROBLEM_SINGLE_LABEL);
    make_data(&data, model_desc(p.model));
    lora_place_expect(&p, &o, adapter, &data, wanted);
    train_data_free(&data);
    lora_place_close(&p);
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
static void train(const char *path, int n_label, const char *directory)
{
    struct lora_place p;
    struct train_data data;
    struct train_options o;
    struct train_result result;
    struct error err = {0};
    open_place(&p, path, n_label, PROBLEM_MULTI_LABEL);
    make_data(&data, model_desc(p.model));
    train_options_default(&o);
    o.dtype = DTYPE_F32;
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
    lora_place_close(&p);
}

/* The adapter beside its base says the same of the head as the merged model. */
static void expect_head(const char *adapter, const char *merged, const char *first_label)
{
    static const char *const members[] = {"architectures", "id2label", "label2id", "problem_type", "pad_token_id"};
    struct checkpoint *a, *b;
    struct model_desc d;
    assert_int_equal(checkpoint_open(&a, adapter, NULL), 0);
    assert_int_equal(checkpoint_open(&b, merged, NULL), 0);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!json_equal(json_object_get(checkpoint_config(a), members[i]),
                        json_object_get(checkpoint_config(b), members[i])))
            fail_msg("%s: not the \"%s\" of the merged model", adapter, members[i]);
    assert_int_equal(model_desc_parse(&d, checkpoint_config(a), adapter, NULL), 0);
    assert_int_equal(d.task, MODEL_CLASSIFY);
    assert_int_equal(d.problem, PROBLEM_MULTI_LABEL);
    assert_string_equal(d.labels[0], first_label);
    checkpoint_close(a);
    checkpoint_close(b);
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
        train(cases[i].base, cases[i].n_label, directory);
        logits_of(directory, merged);
        logits_of(adapter, beside);
        expect_head(adapter, directory, cases[i].first_label);
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
