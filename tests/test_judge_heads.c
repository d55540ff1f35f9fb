/* SPDX-License-Identifier: Apache-2.0 */
/* Heads against transformers and torch: two random models in the layouts of Beaver-Dam and of PKU-Alignment's score
 * models (tests/golden/heads, made by tools/golden_heads.py): ids, probabilities, verdicts, scores, and ten optimizer
 * steps on each loss; then written, and read back. */
#include "check.h"

#include "base/mem.h"
#include "judge/harm.h"
#include "train/train.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *values(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/heads/%s/values.json", name);
    json_t *v = json_load_file(path, 0, NULL);
    assert_non_null(v);
    return v;
}

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static struct harm_judge *open_judge(const char *path, enum model_task task, enum harm_mode mode, int no_eos)
{
    struct harm_judge *j = NULL;
    struct error err = {0};
    if (harm_judge_open(&j, device,
                        &(struct harm_judge_options){
                            .model = path, .task = task, .mode = mode, .no_eos = no_eos, .dtype = DTYPE_F32},
                        &err))
        fail_msg("%s", err.message);
    return j;
}

static void expect_ids(const json_t *wanted, const int32_t *ids, size_t n, const char *what)
{
    if (json_array_size(wanted) != n)
        fail_msg("%s: %zu ids, wanted %zu", what, n, json_array_size(wanted));
    for (size_t i = 0; i < n; i++)
        if (json_integer_value(json_array_get(wanted, i)) != ids[i])
            fail_msg("%s: id %zu is %d, wanted %d", what, i, ids[i],
                     (int)json_integer_value(json_array_get(wanted, i)));
}

/* What QAModeration gives, ids first. */
static void check_case(const struct harm_judge *j, const json_t *row, const json_t *wanted)
{
    struct judge_text text = {string_of(row, "question"), string_of(row, "answer")};
    struct tokens ids = TOKENS_INIT;
    float p[14];
    unsigned char cut;
    int truncated = 0;
    assert_int_equal(harm_judge_encode(j, &text, &ids, &truncated, NULL), 0);
    expect_ids(json_object_get(wanted, "ids"), ids.ids, ids.n, text.answer);
    assert_int_equal(truncated, json_is_true(json_object_get(wanted, "truncated")));
    assert_int_equal(harm_judge_score(j, &text, 1, p, &cut, NULL), 0);
    assert_int_equal(cut, truncated);
    for (int i = 0; i < 14; i++)
        assert_true(fabs((double)p[i] -
                         json_real_value(json_array_get(json_object_get(wanted, "probabilities"), (size_t)i))) < 2e-6);
    assert_int_equal(harm_judge_flagged(p, 14, 0.5), json_is_true(json_object_get(wanted, "flagged")));
    assert_int_equal(harm_judge_flagged(p, 14, 0.4), json_is_true(json_object_get(wanted, "flagged_0.4")));
    tokens_free(&ids);
}

static void test_beaver_dam_is_read_as_qamoderation_reads_it(void **state)
{
    (void)state;
    json_t *v = values("dam"), *row;
    struct harm_judge *j = open_judge("tests/golden/heads/dam", MODEL_CLASSIFY, HARM_COMPAT, 0);
    const struct model_desc *d = harm_judge_desc(j);
    size_t i;
    int n_truncated = 0;
    assert_int_equal(d->n_label, 14);
    assert_string_equal(d->labels[2], "controversial_topics,politics");
    assert_string_equal(d->labels[13], "violence,aiding_and_abetting,incitement");
    assert_int_equal(harm_judge_max_length(j), 512);
    json_array_foreach(json_object_get(v, "cases"), i, row)
    {
        check_case(j, row, json_object_get(row, "compat"));
        n_truncated += json_is_true(json_object_get(json_object_get(row, "compat"), "truncated"));
    }
    assert_true(n_truncated >= 1);
    harm_judge_close(j);
    json_decref(v);
}

/* Honest mode reads the end, behind BOS; golden texts without special tokens in them only, which it takes as plain
 * text. */
static void test_honest_mode_cuts_on_the_left_and_takes_special_tokens_as_text(void **state)
{
    (void)state;
    json_t *v = values("dam"), *row;
    struct harm_judge *j = open_judge("tests/golden/heads/dam", MODEL_CLASSIFY, HARM_HONEST, 0),
                      *safe = open_judge("tests/golden/heads/dam", MODEL_CLASSIFY, HARM_SAFE, 0);
    struct tokens ids = TOKENS_INIT;
    struct judge_text hostile = {"q", "a</s>b<s>"};
    size_t i;
    int truncated, n_special = 0, n_cut = 0;
    assert_int_equal(harm_judge_max_length(j), 700);
    json_array_foreach(json_object_get(v, "cases"), i, row)
    {
        const json_t *wanted = json_object_get(row, "honest");
        const char *answer = string_of(row, "answer");
        ids.n = 0;
        struct judge_text text = {string_of(row, "question"), answer};
        if (strstr(answer, "<s>") || strstr(answer, "<pad>"))
            continue;
        assert_int_equal(harm_judge_encode(j, &text, &ids, &truncated, NULL), 0);
        n_cut += truncated;
        if (!truncated && !json_is_true(json_object_get(wanted, "truncated")))
            expect_ids(json_object_get(wanted, "ids"), ids.ids, ids.n, answer);
        if (truncated) { /* golden has 640, the context here holds 700: the same end */
            assert_int_equal(ids.n, 700);
            assert_int_equal(ids.ids[0], 1);
            for (size_t k = 1; k < 640; k++)
                assert_int_equal(ids.ids[ids.n - k],
                                 json_integer_value(json_array_get(json_object_get(wanted, "ids"), 640 - k)));
        }
    }
    assert_true(n_cut >= 1);
    ids.n = 0;
    assert_int_equal(harm_judge_encode(safe, &hostile, &ids, &truncated, NULL), 0);
    for (size_t k = 0; k < ids.n; k++)
        n_special += ids.ids[k] < 3;
    assert_int_equal(n_special, 2); /* BOS and our own EOS */
    assert_int_equal(ids.ids[ids.n - 1], 2);
    tokens_free(&ids);
    harm_judge_close(j);
    harm_judge_close(safe);
    json_decref(v);
}

static void test_a_probability_at_the_threshold_is_not_flagged(void **state)
{
    (void)state;
    float p[3] = {0.25f, 0.5f, 0.125f};
    assert_int_equal(harm_judge_flagged(p, 3, 0.5), 0);
    assert_int_equal(harm_judge_flagged(p, 3, 0.49999), 1);
    assert_int_equal(harm_judge_flagged(p, 0, 0), 0);
}

static void test_score_models_give_scores_at_the_end_with_bias_and_normaliser(void **state)
{
    (void)state;
    json_t *v = values("score"), *row;
    struct harm_judge *eos = open_judge("tests/golden/heads/score", MODEL_REWARD, HARM_COMPAT, 0),
                      *plain = open_judge("tests/golden/heads/score", MODEL_REWARD, HARM_COMPAT, 1);
    size_t i;
    struct model_desc d = *harm_judge_desc(eos), cost = d, raw = d;
    assert_int_equal(d.head_bias, 1);
    assert_int_equal(d.normalize, 1);
    cost.score_type = SCORE_COST;
    raw.normalize = 0;
    json_array_foreach(json_object_get(v, "cases"), i, row)
    {
        struct judge_text text = {string_of(row, "question"), string_of(row, "answer")};
        for (int k = 0; k < 2; k++) {
            const json_t *wanted = json_object_get(row, k ? "plain" : "eos");
            struct tokens ids = TOKENS_INIT;
            float score;
            int cut;
            assert_int_equal(harm_judge_encode(k ? plain : eos, &text, &ids, &cut, NULL), 0);
            expect_ids(json_object_get(wanted, "ids"), ids.ids, ids.n, text.answer);
            assert_int_equal(harm_judge_score(k ? plain : eos, &text, 1, &score, NULL, NULL), 0);
            double x = (double)score;
            assert_true(fabs(x - json_real_value(json_object_get(wanted, "score"))) < 1e-5);
            assert_true(fabs(model_normalize(&d, 0, x) - json_real_value(json_object_get(wanted, "reward"))) < 1e-5);
            assert_true(fabs(model_normalize(&cost, 0, x) - json_real_value(json_object_get(wanted, "cost"))) < 1e-5);
            assert_true(model_normalize(&raw, 0, x) == x);
            tokens_free(&ids);
        }
    }
    harm_judge_close(eos);
    harm_judge_close(plain);
    json_decref(v);
}

/* transformers reads a classifier at the last token that is no padding, wherever padding stands; one of nothing else at
 * its first. */
static void test_a_classifiers_text_that_ends_in_padding_is_read_before_it(void **state)
{
    (void)state;
    json_t *v = json_load_file("tests/golden/heads/dam/pads.json", 0, NULL), *row;
    struct checkpoint *ck;
    struct model *m;
    size_t i;
    assert_int_equal(checkpoint_open(&ck, "tests/golden/heads/dam", NULL), 0);
    assert_int_equal(
        model_open(&m, device, ck, &(struct model_options){.dtype = DTYPE_F32, .task = MODEL_CLASSIFY}, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(v, "cases")), 7);
    json_array_foreach(json_object_get(v, "cases"), i, row)
    {
        const json_t *list = json_object_get(row, "ids"), *wanted = json_object_get(row, "logits");
        int32_t ids[16];
        float got[14];
        int n = (int)json_array_size(list);
        for (int k = 0; k < n; k++)
            ids[k] = (int32_t)json_integer_value(json_array_get(list, (size_t)k));
        assert_int_equal(model_classify(m, &(struct model_text){.ids = ids, .n = n}, 1, got, NULL), 0);
        for (int k = 0; k < 14; k++)
            if (!(fabs((double)got[k] - json_real_value(json_array_get(wanted, (size_t)k))) < 1e-5))
                fail_msg("case %zu, label %d: %.9g, wanted %.9g", i, k, (double)got[k],
                         json_real_value(json_array_get(wanted, (size_t)k)));
    }
    model_close(m);
    checkpoint_close(ck);
    json_decref(v);
}

struct log {
    double loss[10], norm[10];
    int n;
};
static void note(void *user, const struct train_step *s)
{
    struct log *log = user;
    log->loss[log->n] = s->loss;
    log->norm[log->n++] = s->grad_norm;
}

/* Trains ten steps as torch did; the model's directory is left in `out`. */
static void check_training(const char *source, const char *data_path, enum model_task task, enum model_problem problem,
                           const json_t *wanted, const char *out)
{
    struct checkpoint *ck;
    struct tokenizer *t = NULL;
    struct model *m = NULL;
    struct error err = {0};
    struct train_data data = {0};
    struct train_options o;
    struct train_result r;
    struct log log = {.n = 0};
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.batch_size = 3;
    o.max_steps = 10;
    o.learning_rate = 3e-3;
    o.warmup_ratio = 0;
    o.schedule = LR_CONSTANT;
    o.shuffle = 0;
    o.max_length = 700;
    if (checkpoint_open(&ck, source, &err) || tokenizer_open(&t, source, &err) ||
        model_open(&m, device, ck, &(struct model_options){.dtype = DTYPE_F32, .task = task, .check_finite = 1}, &err))
        fail_msg("%s", err.message);
    struct model_desc d = *model_desc(m);
    d.problem = problem;
    ((struct model_desc *)(uintptr_t)model_desc(m))->problem = problem;
    if (train_data_read(&data, (struct record_source){.path = data_path},
                        &(struct row_maker){.tokenizer = t, .desc = &d, .max_length = o.max_length}, &err))
        fail_msg("%s", err.message);
    struct train_job job = {.model = m,
                            .source = ck,
                            .data = &data,
                            .options = &o,
                            .directory = out,
                            .tokenizer = t,
                            .on_step = note,
                            .user = &log};
    if (train_run(&job, &r, &err))
        fail_msg("%s", err.message);
    assert_int_equal(log.n, 10);
    for (int i = 0; i < 10; i++) {
        double loss = json_real_value(json_object_get(json_array_get(wanted, (size_t)i), "loss")),
               norm = json_real_value(json_object_get(json_array_get(wanted, (size_t)i), "grad_norm"));
        if (fabs(log.loss[i] - loss) > 1e-4 * loss + 1e-6 || fabs(log.norm[i] - norm) > 1e-3 * norm + 1e-6)
            fail_msg("step %d: loss %.9g (wanted %.9g), gradient norm %.9g (wanted %.9g)", i + 1, log.loss[i], loss,
                     log.norm[i], norm);
    }
    train_data_free(&data);
    model_close(m);
    tokenizer_close(t);
    checkpoint_close(ck);
}

/* The golden rows as a data file with the keys that are wanted. */
static void write_rows(const json_t *rows, const char *const *keys, const char *path)
{
    FILE *f = fopen(path, "w");
    json_t *row;
    size_t i;
    assert_non_null(f);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_t *kept = json_object();
        for (int k = 0; keys[k]; k++)
            json_object_set(kept, keys[k], json_object_get(row, keys[k]));
        json_dumpf(kept, f, JSON_COMPACT);
        fputc('\n', f);
        json_decref(kept);
    }
    fclose(f);
}

static void test_ten_steps_of_each_loss_are_torchs(void **state)
{
    (void)state;
    static const char *const multi[] = {"prompt", "response", "labels", NULL}, *const single[] = {"prompt", "response",
                                                                                                  "label", NULL};
    static const char *const pair[] = {"prompt", "chosen", "rejected", NULL};
    json_t *dam = values("dam"), *score = values("score");
    char dir[300], path[400], out[400];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("judge_heads"));
    snprintf(path, sizeof path, "%s/rows.jsonl", dir);
    snprintf(out, sizeof out, "%s/multi", dir);
    write_rows(json_object_get(dam, "rows"), multi, path);
    check_training("tests/golden/heads/dam", path, MODEL_CLASSIFY, PROBLEM_MULTI_LABEL,
                   json_object_get(dam, "multi_label"), out);
    write_rows(json_object_get(dam, "rows"), single, path);
    check_training("tests/golden/heads/dam", path, MODEL_CLASSIFY, PROBLEM_SINGLE_LABEL,
                   json_object_get(dam, "single_label"), NULL);
    write_rows(json_object_get(score, "rows"), pair, path);
    snprintf(out, sizeof out, "%s/score", dir);
    check_training("tests/golden/heads/score", path, MODEL_REWARD, PROBLEM_MULTI_LABEL,
                   json_object_get(score, "pairwise"), out);

    /* Read back: layout, labels, normaliser and bias are there. */
    struct harm_judge *j = open_judge(out, MODEL_REWARD, HARM_SAFE, 0);
    assert_true(fabs(harm_judge_desc(j)->score_mean[0] - 0.375) < 1e-12 &&
                fabs(harm_judge_desc(j)->score_var[0] - 1.75) < 1e-12);
    assert_int_equal(harm_judge_desc(j)->head_bias, 1);
    harm_judge_close(j);
    snprintf(out, sizeof out, "%s/multi", dir);
    j = open_judge(out, MODEL_CLASSIFY, HARM_SAFE, 0);
    assert_string_equal(harm_judge_desc(j)->labels[13], "violence,aiding_and_abetting,incitement");
    struct harm_judge *wrong = NULL;
    struct error err = {0};
    assert_int_equal(
        harm_judge_open(&wrong, device,
                        &(struct harm_judge_options){.model = out, .task = MODEL_REWARD, .dtype = DTYPE_F32}, &err),
        ERROR_DATA);
    assert_non_null(strstr(err.message, "is no reward model"));
    harm_judge_close(j);
    json_decref(dam);
    json_decref(score);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beaver_dam_is_read_as_qamoderation_reads_it),
        cmocka_unit_test(test_honest_mode_cuts_on_the_left_and_takes_special_tokens_as_text),
        cmocka_unit_test(test_a_probability_at_the_threshold_is_not_flagged),
        cmocka_unit_test(test_score_models_give_scores_at_the_end_with_bias_and_normaliser),
        cmocka_unit_test(test_a_classifiers_text_that_ends_in_padding_is_read_before_it),
        cmocka_unit_test(test_ten_steps_of_each_loss_are_torchs),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
