/* SPDX-License-Identifier: Apache-2.0 */
/* Reward models of the families (tests/golden/heads/reward_NAME, tools/golden_rewards.py): PKU-Alignment's classes and
 * classifiers of one label give transformers' scores and train as they do; a language model of every family becomes
 * one. */
#include "check.h"

#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/jsontext.h"
#include "train/train.h"

#include <math.h>
#include <string.h>

enum { MOST = 64 };
struct reward {
    const char *name;
    struct device *device;
    struct checkpoint *source;
    struct model *m;
    json_t *values;
};

static void open_reward(struct reward *r, const char *name)
{
    char path[256];
    struct error err = {0};
    const struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_REWARD, .check_finite = 1};
    *r = (struct reward){.name = name};
    snprintf(path, sizeof path, "tests/golden/heads/%s", name);
    if (device_open(&r->device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err) ||
        checkpoint_open(&r->source, path, &err) || model_open(&r->m, r->device, r->source, &o, &err))
        fail_msg("%s: %s", name, err.message);
    snprintf(path, sizeof path, "tests/golden/heads/%s/values.json", name);
    assert_int_equal(jsontext_load(&r->values, path, 1 << 20, NULL), 0);
}

static void close_reward(struct reward *r)
{
    json_decref(r->values);
    model_close(r->m);
    checkpoint_close(r->source);
    device_close(r->device);
}

/* Of pair `i` the chosen (0) or the rejected text (1). */
static int ids_of(const struct reward *r, size_t i, size_t which, int32_t ids[MOST])
{
    const json_t *list = json_array_get(json_array_get(json_object_get(r->values, "pairs"), i), which);
    int n = (int)json_array_size(list);
    assert_in_range(n, 1, MOST);
    for (int k = 0; k < n; k++)
        ids[k] = (int32_t)json_integer_value(json_array_get(list, (size_t)k));
    return n;
}

static void expect_scores(const struct reward *r)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t which = 0; which < 2; which++) {
            int32_t ids[MOST];
            float got;
            struct model_text text = {ids, ids_of(r, i, which, ids), 1};
            const json_t *of_pair = json_array_get(json_object_get(r->values, "scores"), i);
            double wanted = json_number_value(json_array_get(of_pair, which));
            assert_int_equal(model_classify(r->m, &text, 1, &got, NULL), 0);
            if (!(fabs((double)got - wanted) < 1e-4))
                fail_msg("%s: text %zu of pair %zu: %.9g, wanted %.9g", r->name, which, i, (double)got, wanted);
        }
}

static void note_step(void *user, const struct train_step *s)
{
    const struct reward *r = user;
    const json_t *wanted = json_array_get(json_object_get(r->values, "train"), (size_t)s->step - 1);
    double loss = json_number_value(json_object_get(wanted, "loss")),
           norm = json_number_value(json_object_get(wanted, "grad_norm"));
    if (!(fabs(s->loss / loss - 1) < 2e-5) || !(fabs(s->grad_norm / norm - 1) < 1e-4))
        fail_msg("%s: step %ld: loss %.9g, wanted %.9g; gradient norm %.9g, wanted %.9g", r->name, s->step, s->loss,
                 loss, s->grad_norm, norm);
}

static void add_pairs(const struct reward *r, struct train_data *data)
{
    struct train_row rows[2] = {{0}};
    static int32_t rejected[2][MOST];
    for (size_t i = 0; i < 2; i++) {
        int32_t ids[MOST];
        int n = ids_of(r, i, 0, ids);
        assert_int_equal(
            train_data_add_ids(&(struct row_maker){.data = data, .desc = model_desc(r->m), .max_length = MOST}, ids, n,
                               1, "row", NULL),
            0);
        rows[i].n_rejected = ids_of(r, i, 1, rejected[i]);
    }
    for (int i = 0; i < 2; i++) {
        data->rows[i].rejected = mem_alloc(sizeof rejected[i]);
        assert_non_null(data->rows[i].rejected);
        memcpy(data->rows[i].rejected, rejected[i], sizeof rejected[i]);
        data->rows[i].n_rejected = rows[i].n_rejected;
    }
}

static void expect_training(struct reward *r, const char *directory)
{
    struct train_data data = {0};
    struct train_options o;
    struct train_result result;
    struct error err = {0};
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.learning_rate = 3e-3;
    o.weight_decay = 0.1;
    o.adam_epsilon = 1e-4;
    o.schedule = LR_CONSTANT;
    o.warmup_ratio = 0;
    o.max_steps = 5;
    o.batch_size = 2;
    o.shuffle = 0;
    o.max_length = MOST;
    add_pairs(r, &data);
    struct train_job job = {.model = r->m,
                            .source = r->source,
                            .data = &data,
                            .options = &o,
                            .directory = directory,
                            .on_step = note_step,
                            .user = r};
    if (train_run(&job, &result, &err))
        fail_msg("%s: %s", r->name, err.message);
    train_data_free(&data);
}

/* What was written opens again as what it was. */
static void expect_same_kind(const struct reward *r, const char *directory)
{
    struct checkpoint *written;
    struct model *m = NULL;
    struct error err = {0};
    const struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_REWARD};
    const json_t *classes = json_object_get(checkpoint_config(r->source), "architectures");
    if (checkpoint_open(&written, directory, &err) || model_open(&m, r->device, written, &o, &err))
        fail_msg("%s: %s", directory, err.message);
    assert_true(json_equal(json_object_get(checkpoint_config(written), "architectures"), classes));
    model_close(m);
    checkpoint_close(written);
}

static void scores_and_training_are_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"reward_gpt2",  "reward_opt_post", "reward_gpt_neox", "reward_qwen2",
                                        "reward_qwen3", "reward_gemma3",   "reward_phi3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct reward r;
        const char *directory = check_tmpdir(names[i]);
        open_reward(&r, names[i]);
        expect_scores(&r);
        expect_training(&r, directory);
        expect_same_kind(&r, directory);
        close_reward(&r);
    }
}

/* A language model with a new head says in its configuration what its files then are. */
static void a_language_model_becomes_one(void **state)
{
    (void)state;
    static const char *const classes[][2] = {{"gpt2", "GPT2ForScore"},
                                             {"opt", "OPTForScore"},
                                             {"gpt_neox", "GPTNeoXForScore"},
                                             {"mistral", "MistralForScore"},
                                             {"gemma2", "Gemma2ForSequenceClassification"},
                                             {"olmo2", "Olmo2ForSequenceClassification"},
                                             {"smollm3", "SmolLM3ForSequenceClassification"}};
    struct device *d;
    assert_int_equal(device_open(&d, DEVICE_CPU, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        char path[256];
        struct checkpoint *source;
        struct model *m = NULL;
        struct error err = {0};
        const struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_REWARD};
        snprintf(path, sizeof path, "tests/golden/families/%s", classes[i][0]);
        if (checkpoint_open(&source, path, &err) || model_open(&m, d, source, &o, &err))
            fail_msg("%s: %s", path, err.message);
        assert_int_equal(model_desc(m)->task, MODEL_REWARD);
        assert_int_equal(model_desc(m)->n_label, 1);
        const json_t *class = json_array_get(json_object_get(model_config(m), "architectures"), 0);
        assert_string_equal(json_string_value(class), classes[i][1]);
        model_close(m);
        checkpoint_close(source);
    }
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_and_training_are_transformers),
                                       cmocka_unit_test(a_language_model_becomes_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
