/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters: gradients, log-probabilities and the merged matrices are PEFT's (tests/golden/lora, float64); what is
 * trained is the same bits for every split, with recomputation and for any number of threads; what is written loads
 * again and says the same merged as it did beside the base. */
#include "check.h"
#include "lora_place.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"
#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char model_path[] = "tests/golden/lora/model", adapter_path[] = "tests/golden/lora/adapter";
static json_t *golden;
static struct train_data data;

static int setup(void **state)
{
    (void)state;
    const json_t *row;
    size_t i, j;
    struct model_desc d = {.n_vocab = 48, .n_ctx = 32};
    if (!(golden = json_load_file("tests/golden/lora/lora.json", 0, NULL)))
        return -1;
    json_array_foreach(json_object_get(golden, "rows"), i, row)
    {
        int32_t ids[32];
        const json_t *list = json_object_get(row, "ids"), *v;
        json_array_foreach(list, j, v) ids[j] = (int32_t)json_integer_value(v);
        if (train_data_add_ids(&(struct row_maker){.data = &data, .desc = &d, .max_length = 32}, ids,
                               (int)json_array_size(list), (int)json_integer_value(json_object_get(row, "n_prompt")),
                               "row", NULL))
            return -1;
    }
    return data.n == 4 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    train_data_free(&data);
    json_decref(golden);
    return 0;
}

static void open_place(struct lora_place *p, const char *path, int n_thread, enum dtype dtype)
{
    lora_place_open(p, path, n_thread, &(struct model_options){.dtype = dtype});
}

static void test_loss_and_gradients_are_pefts(void **state)
{
    (void)state;
    struct lora_place p;
    double loss, wanted_loss = json_number_value(json_object_get(golden, "loss"));
    open_place(&p, model_path, 2, DTYPE_F32);
    assert_int_equal(lora_add(p.model, &(struct lora_options){3, 5, "all-linear"}, NULL), 0);
    float *got = lora_place_gradients(&p, adapter_path, &data, &loss);
    if (!(fabs(loss / wanted_loss - 1) < 1e-6))
        fail_msg("loss %.9g, wanted %.9g", loss, wanted_loss);
    for (int i = 0; i < p.model->lora->n_param; i++) {
        const struct model_param *param = &p.model->lora->params[i];
        const json_t *wanted = json_object_get(json_object_get(golden, "gradients"), param->name);
        assert_int_equal(json_array_size(wanted), param->count);
        double worst = 0, greatest = 0;
        for (int64_t j = 0; j < param->count; j++) {
            double w = json_number_value(json_array_get(wanted, (size_t)j));
            greatest = fmax(greatest, fabs(w));
            worst = fmax(worst, fabs(w - (double)got[param->offset + j]));
        }
        if (!(worst <= 1e-5 * greatest + 1e-8))
            fail_msg("%s: gradients up to %g differ by %g", param->name, greatest, worst);
    }
    free(got);
    lora_place_close(&p);
}

static void test_an_adapter_is_read_as_its_merged_model(void **state)
{
    (void)state;
    struct lora_place p;
    const char *name;
    json_t *wanted;
    open_place(&p, adapter_path, 1, DTYPE_F32);
    assert_true(checkpoint_is_adapted(p.source));
    json_object_foreach(json_object_get(golden, "merged"), name, wanted)
    {
        const struct tensor_info *t = checkpoint_find(p.source, name);
        float *got = malloc(t->n_element * 4);
        assert_null(checkpoint_raw(p.source, t));
        assert_int_equal(checkpoint_read_f32(p.source, t, 0, 1, got, NULL), 0);
        assert_int_equal(checkpoint_read_f32(p.source, t, 1, t->n_row - 1, got + t->n_col, NULL), 0);
        for (uint64_t i = 0; i < t->n_element; i++) {
            double w = json_number_value(json_array_get(wanted, i)); /* float64: ours is that, rounded once */
            if (!(fabs(w - (double)got[i]) <= fabs(w) * 0x1p-24 + 1e-12))
                fail_msg("%s[%d]: %.9g, wanted %.12g", name, (int)i, (double)got[i], w);
        }
        free(got);
    }
    for (int i = 0; i < data.n; i++) {
        const struct train_row *r = &data.rows[i];
        const json_t *list = json_array_get(json_object_get(golden, "logprobs"), (size_t)i);
        int n = (int)json_array_size(list);
        float got[32];
        assert_int_equal(model_score(p.model, &(struct model_text){r->ids, r->n, r->n - n}, 1, got, NULL), 0);
        for (int j = 0; j < n; j++)
            assert_true(fabs((double)got[j] - json_number_value(json_array_get(list, (size_t)j))) < 1e-5);
    }
    lora_place_close(&p);
}

/* use_rslora: alpha / sqrt(r) for alpha / r, so what is added to the base is sqrt(r) times as much. */
static void test_rslora_scales_by_the_root_of_the_rank(void **state)
{
    (void)state;
    char directory[300], path[400], from[400];
    struct lora_place base, adapted;
    const char *name;
    json_t *config, *wanted;
    struct buf weights = BUF_INIT;
    snprintf(directory, sizeof directory, "%s", check_tmpdir("lora_rslora"));
    snprintf(from, sizeof from, "%s/adapter_model.safetensors", adapter_path);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_int_equal(file_read(&weights, from, 1 << 24, NULL), 0);
    assert_int_equal(file_write(path, weights.data, weights.len, NULL), 0);
    buf_free(&weights);
    snprintf(from, sizeof from, "%s/adapter_config.json", adapter_path);
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    assert_int_equal(jsontext_load(&config, from, 1 << 20, NULL), 0);
    double root = sqrt(json_number_value(json_object_get(config, "r")));
    assert_true(root > 1.5);
    json_object_set_new(config, "use_rslora", json_true());
    json_object_set_new(config, "base_model_name_or_path", json_string(model_path));
    assert_int_equal(jsontext_write(path, config, NULL), 0);
    json_decref(config);
    open_place(&base, model_path, 1, DTYPE_F32);
    open_place(&adapted, directory, 1, DTYPE_F32);
    json_object_foreach(json_object_get(golden, "merged"), name, wanted)
    {
        const struct tensor_info *t = checkpoint_find(adapted.source, name);
        float *was = malloc(t->n_element * 4), *got = malloc(t->n_element * 4);
        assert_int_equal(checkpoint_read_f32(base.source, checkpoint_find(base.source, name), 0, t->n_row, was, NULL),
                         0);
        assert_int_equal(checkpoint_read_f32(adapted.source, t, 0, t->n_row, got, NULL), 0);
        for (uint64_t i = 0; i < t->n_element; i++) {
            double w = (double)was[i] + root * (json_number_value(json_array_get(wanted, i)) - (double)was[i]);
            if (!(fabs(w - (double)got[i]) <= fabs(w) * 1e-6 + 1e-7))
                fail_msg("%s[%d]: %.9g, wanted %.12g", name, (int)i, (double)got[i], w);
        }
        free(was);
        free(got);
    }
    lora_place_close(&adapted);
    lora_place_close(&base);
}

/* An adapter of the family's default modules: the names, the loss and the norms of the gradients that PEFT has. */
static void expect_pefts_gradients(const char *name, const struct train_data *d, const json_t *wanted)
{
    struct lora_place p;
    char path[300], factors[300], names[LORA_N_MODULE + 1][64];
    const struct lora_options o = {2, 5, NULL};
    const json_t *modules = json_object_get(wanted, "modules");
    snprintf(path, sizeof path, "tests/golden/families/%s", name);
    snprintf(factors, sizeof factors, "tests/golden/adapters/default_%s", name);
    open_place(&p, path, 2, DTYPE_F32);
    lora_targets(&p.model->desc, &o, names);
    for (size_t i = 0; i <= json_array_size(modules); i++) {
        const char *module = json_string_value(json_array_get(modules, i));
        assert_string_equal(names[i], module ? module : "");
    }
    lora_place_expect(&p, &o, factors, d, wanted);
    lora_place_close(&p);
}

/* PEFT's own loading of what PEFT wrote (tools/golden_adapters.py). */
static void expect_pefts_sum(const char *directory, const struct model_text *text, double wanted)
{
    struct lora_place p;
    struct error err = {0};
    float lp[32];
    double total = 0;
    open_place(&p, directory, 1, DTYPE_F32);
    if (model_score(p.model, text, 1, lp, &err))
        fail_msg("%s: %s", directory, err.message);
    for (int i = 0; i < text->n - text->n_prompt; i++)
        total += (double)lp[i];
    if (!(fabs(total - wanted) <= 2e-4))
        fail_msg("%s: %.6f, peft %.6f", directory, total, wanted);
    lora_place_close(&p);
}

/* A file of golden_adapters.py; its ids go to ids. */
static json_t *load_sums(const char *path, int32_t ids[32], struct model_text *text)
{
    json_t *all;
    struct error err = {0};
    if (jsontext_load(&all, path, 1 << 20, &err))
        fail_msg("%s", err.message);
    const json_t *list = json_object_get(all, "ids");
    *text = (struct model_text){.ids = ids,
                                .n = (int)json_array_size(list),
                                .n_prompt = (int)json_integer_value(json_object_get(all, "prompt"))};
    for (int i = 0; i < text->n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return all;
}

static void test_unusual_adapters_are_read_as_peft_reads_them(void **state)
{
    (void)state;
    json_t *sum;
    const char *name;
    int32_t ids[32];
    struct model_text text;
    json_t *all = load_sums("tests/golden/adapters/adapters.json", ids, &text);
    json_object_foreach(json_object_get(all, "sums"), name, sum)
    {
        char dir[300];
        snprintf(dir, sizeof dir, "tests/golden/adapters/%s", name);
        expect_pefts_sum(dir, &text, json_real_value(sum));
    }
    json_decref(all);
}

static void test_every_familys_default_modules_are_pefts(void **state)
{
    (void)state;
    json_t *wanted;
    const char *name;
    int32_t ids[32];
    struct model_text text;
    struct train_data one = {0};
    struct model_desc d = {.n_vocab = 48, .n_ctx = 64};
    json_t *all = load_sums("tests/golden/adapters/defaults.json", ids, &text);
    assert_int_equal(train_data_add_ids(&(struct row_maker){.data = &one, .desc = &d, .max_length = 32}, ids, text.n,
                                        text.n_prompt, "row", NULL),
                     0);
    assert_true(json_object_size(json_object_get(all, "models")) >= 16);
    json_object_foreach(json_object_get(all, "models"), name, wanted)
    {
        char dir[300];
        snprintf(dir, sizeof dir, "tests/golden/adapters/default_%s", name);
        expect_pefts_sum(dir, &text, json_number_value(json_object_get(wanted, "sum")));
        expect_pefts_gradients(name, &one, wanted);
    }
    train_data_free(&one);
    json_decref(all);
}

static void test_an_adapter_without_tensors_is_none(void **state)
{
    (void)state;
    struct safetensors_writer *w;
    struct checkpoint *ck = NULL;
    struct error err = {0};
    char dir[300], path[400];
    static const char config[] = "{\"peft_type\":\"LORA\",\"r\":3}";
    snprintf(dir, sizeof dir, "%s", check_tmpdir("lora_empty"));
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    assert_int_equal(file_write(path, config, sizeof config - 1, NULL), 0);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    assert_int_equal(safetensors_create(&w, path, NULL, 0, NULL, &err), 0);
    assert_int_equal(safetensors_end(w, 0, &err), 0);
    assert_int_equal(checkpoint_open_adapter(&ck, model_path, dir, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "no tensors"));
}

static void expect_refused(const char *config, const char *weights_from, const char *base, const char *says)
{
    char dir[300], path[400], from[400];
    struct checkpoint *ck = NULL;
    struct error err = {0};
    snprintf(dir, sizeof dir, "%s/a", check_tmpdir("lora_refused"));
    assert_int_equal(dirs_make(dir, NULL), 0);
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    assert_int_equal(file_write(path, config, strlen(config), NULL), 0);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    snprintf(from, sizeof from, "%s/%s", weights_from,
             strstr(weights_from, "adapter") ? "adapter_model.safetensors" : "model.safetensors");
    assert_int_equal(file_copy(from, path, NULL), 0);
    int rc = checkpoint_open_adapter(&ck, base, dir, &err);
    if (!rc || !strstr(err.message, says))
        fail_msg("%s: rc %d \"%s\", wanted \"%s\"", config, rc, err.message, says);
    assert_null(ck);
}

static void test_what_is_not_computed_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"lora_alpha\":5,\"use_dora\":true}", adapter_path, model_path,
                   "use_dora");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"lora_alpha\":5,\"modules_to_save\":[\"lm_head\"]}", adapter_path,
                   model_path, "\"modules_to_save\"");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"target_modules\":[\"q_proj\",\"embed_tokens\"]}", adapter_path,
                   model_path, "embed_tokens");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":4}", adapter_path, model_path, "\"r\"");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"rank_pattern\":{\"o_proj\":2}}", adapter_path, model_path,
                   "rank_pattern");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"rank_pattern\":{\"(o|q)_proj\":2}}", adapter_path, model_path,
                   "rank_pattern");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"init_lora_weights\":\"pissa_niter_4\"}", adapter_path, model_path,
                   "init_lora_weights");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"init_lora_weights\":\"olora\"}", adapter_path, model_path,
                   "init_lora_weights");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"init_lora_weights\":\"corda\"}", adapter_path, model_path,
                   "init_lora_weights");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"init_lora_weights\":\"loftq\"}", adapter_path, model_path,
                   "init_lora_weights");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"use_something_new\":true}", adapter_path, model_path,
                   "use_something_new");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"trainable_token_indices\":[3]}", adapter_path, model_path,
                   "trainable_token_indices");
    expect_refused("{\"peft_type\":\"LORA\",\"lora_alpha\":5,\"bias\":\"all\"}", adapter_path, model_path, "\"bias\"");
    expect_refused("{\"peft_type\":\"IA3\",\"lora_alpha\":5}", adapter_path, model_path, "\"peft_type\"");
    expect_refused("{\"peft_type\":\"LORA\",\"r\":3,\"lora_alpha\":\"5\"}", adapter_path, model_path, "\"lora_alpha\"");
    expect_refused("{\"peft_type\":\"LORA\",\"lora_alpha\":5}", adapter_path, NULL, "base_model_name_or_path");
    expect_refused("{\"peft_type\":\"LORA\",\"lora_alpha\":5}", adapter_path, "tests/golden/random_llama",
                   "made for another model");
    expect_refused("{\"peft_type\":\"LORA\",\"lora_alpha\":5}", model_path, model_path, "adapts nothing");
    expect_refused("{\"peft_type\":\"LORA\",\"lora_alpha\":5}", adapter_path, adapter_path,
                   "is an adapter, wanted a base model");
    struct model_desc d = {.family = "llama",
                           .n_layer = 1,
                           .n_embd = 8,
                           .n_head = 1,
                           .n_kv_head = 1,
                           .head_dim = 8,
                           .n_ff = 8,
                           .parts = 1u << PART_QKV | 1u << PART_DOWN};
    struct error err = {0};
    int64_t n;
    int widest;
    assert_int_equal(lora_sizes(&d, &(struct lora_options){4, 8, "q_proj,w_proj"}, &n, &widest, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "wanted some of q_proj,k_proj,v_proj,down_proj with"));
    assert_non_null(strstr(err.message, "\"w_proj\""));
    assert_int_equal(lora_sizes(&d, &(struct lora_options){4, 8, "q_proj,v_proj"}, &n, &widest, &err), 0);
    assert_int_equal(n, 64 + 2 * 32);
    assert_int_equal(widest, 8);
}

static void train_options(struct train_options *o, enum dtype dtype, const char *targets)
{
    train_options_default(o);
    o->dtype = dtype;
    o->learning_rate = 0.02;
    o->num_train_epochs = 6;
    o->batch_size = 4;
    o->lora_r = 3;
    o->lora_alpha = 5;
    o->lora_targets = targets;
}

/* SHA-256 of the adapter that training writes. */
static void train(const char *directory, const struct train_options *o, int n_thread, int merge,
                  struct train_result *result, char hex[65])
{
    struct lora_place p;
    struct error err = {0};
    struct checkpoint *written;
    open_place(&p, model_path, n_thread, o->dtype);
    struct train_job job = {.model = p.model,
                            .source = p.source,
                            .data = &data,
                            .eval_data = &data,
                            .options = o,
                            .directory = directory,
                            .merge = merge};
    if (train_run(&job, result, &err))
        fail_msg("%s", err.message);
    assert_null(p.model->lora);
    assert_int_equal(result->allocations, 0);
    if (checkpoint_open(&written, directory, &err) || checkpoint_sha256(written, hex, &err))
        fail_msg("%s", err.message);
    checkpoint_close(written);
    lora_place_close(&p);
}

static void test_bits_do_not_depend_on_split_recomputation_or_threads(void **state)
{
    (void)state;
    static const struct {
        int batch, accumulation, recompute, threads;
    } ways[] = {{4, 1, 0, 2}, {1, 4, 0, 1}, {2, 2, 1, 2}, {4, 1, 1, 1}};
    for (int way = 0; way < 4; way++) {
        struct train_options o;
        char first[65], again[65];
        train_options(&o, way & 1 ? DTYPE_BF16 : DTYPE_F32, way & 2 ? "q_proj,v_proj" : "all-linear");
        for (int i = 0; i < 4; i++) {
            struct train_result result;
            o.batch_size = ways[i].batch;
            o.accumulation = ways[i].accumulation;
            o.recompute = ways[i].recompute;
            train(check_tmpdir("lora_bits"), &o, ways[i].threads, 0, &result, i ? again : first);
            assert_true(result.last_loss < result.first_loss - 0.1);
            if (i)
                assert_string_equal(first, again);
        }
    }
}

/* In the first step the gradient of A is 0, as B is; what is left of AdamW is its decay: A (1 - learning rate x
 * decay). */
static void test_weight_decay_reaches_the_adapter(void **state)
{
    (void)state;
    struct file_map map[2];
    struct safetensors *s[2];
    int n = 0;
    for (int i = 0; i < 2; i++) {
        struct train_options o;
        struct train_result result;
        char hex[65], path[300];
        const char *directory = check_tmpdir(i ? "lora_decayed" : "lora_not_decayed");
        train_options(&o, DTYPE_F32, "all-linear");
        o.max_steps = 1;
        o.schedule = LR_CONSTANT;
        o.warmup_ratio = 0;
        o.weight_decay = i ? 0.5 : 0;
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
        train(directory, &o, 1, 0, &result, hex);
        assert_int_equal(file_map(&map[i], path, NULL), 0);
        assert_int_equal(safetensors_parse(&s[i], map[i].data, map[i].size, path, NULL), 0);
    }
    for (size_t t = 0; t < safetensors_n_tensor(s[0]); t++) {
        const struct tensor_info *info = safetensors_tensor(s[0], t);
        const float *plain = (const void *)safetensors_data(s[0], t),
                    *decayed = (const void *)safetensors_data(s[1], t);
        assert_string_equal(info->name, safetensors_tensor(s[1], t)->name);
        for (uint64_t k = 0; strstr(info->name, "lora_A") && k < info->n_element; k++, n++)
            if (!(fabs((double)decayed[k] - (double)plain[k] * (1 - 0.02 * 0.5)) <= 1e-6 * fabs((double)plain[k])))
                fail_msg("%s[%d] is %g, without decay %g", info->name, (int)k, (double)decayed[k], (double)plain[k]);
    }
    assert_true(n > 100);
    for (int i = 0; i < 2; i++) {
        safetensors_free(s[i]);
        file_unmap(&map[i]);
    }
}

static double score_data(const char *path)
{
    struct lora_place p;
    double sum = 0;
    open_place(&p, path, 1, DTYPE_F32);
    for (int i = 0; i < data.n; i++) {
        const struct train_row *r = &data.rows[i];
        float got[32];
        int n_prompt = 1;
        while (!r->target[n_prompt])
            n_prompt++;
        assert_int_equal(model_score(p.model, &(struct model_text){r->ids, r->n, n_prompt}, 1, got, NULL), 0);
        for (int j = 0; j < r->n - n_prompt; j++)
            sum -= (double)got[j];
    }
    lora_place_close(&p);
    return sum / (double)data.n_target;
}

static void test_what_is_written_says_what_was_trained(void **state)
{
    (void)state;
    struct train_options o;
    struct train_result result;
    char hex[65], directory[300];
    for (int merge = 0; merge < 2; merge++) {
        snprintf(directory, sizeof directory, "%s", check_tmpdir(merge ? "lora_merged" : "lora_written"));
        train_options(&o, DTYPE_F32, "all-linear");
        train(directory, &o, 2, merge, &result, hex);
        double loss = score_data(directory);
        if (!(fabs(loss / result.eval_loss - 1) < 1e-5))
            fail_msg("%s: loss %.9g, in training it was %.9g", directory, loss, result.eval_loss);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_and_gradients_are_pefts),
        cmocka_unit_test(test_an_adapter_is_read_as_its_merged_model),
        cmocka_unit_test(test_rslora_scales_by_the_root_of_the_rank),
        cmocka_unit_test(test_unusual_adapters_are_read_as_peft_reads_them),
        cmocka_unit_test(test_every_familys_default_modules_are_pefts),
        cmocka_unit_test(test_an_adapter_without_tensors_is_none),
        cmocka_unit_test(test_what_is_not_computed_is_refused_by_name),
        cmocka_unit_test(test_bits_do_not_depend_on_split_recomputation_or_threads),
        cmocka_unit_test(test_weight_decay_reaches_the_adapter),
        cmocka_unit_test(test_what_is_written_says_what_was_trained),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
