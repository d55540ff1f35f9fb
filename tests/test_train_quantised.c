/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters over a quantised file whose matrices stay as they are: gradients are PEFT's over the values that
 * transformers makes of the file (tests/golden/adapters/quantised.json); what is trained in f32 has the bits of
 * training over the values, and in any type the same for any number of threads and across an interruption, in the
 * memory of the blocks. What was trained stands beside the blocks in inference too, with any products, and is trained
 * on. */
#include "lora_place.h"
#include "training.h"

#include "base/mem.h"
#include "io/file.h"
#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char file[] = "tests/golden/tiny_q4.gguf";

static void test_gradients_are_pefts(void **state)
{
    (void)state;
    const char *name;
    json_t *golden = json_load_file("tests/golden/adapters/quantised.json", 0, NULL), *wanted, *v;
    int32_t ids[32];
    size_t i;
    assert_non_null(golden);
    json_array_foreach(json_object_get(golden, "ids"), i, v) ids[i] = (int32_t)json_integer_value(v);
    json_object_foreach(json_object_get(golden, "models"), name, wanted)
    {
        char path[300], factors[300], targets[300] = "";
        const json_t *module;
        struct lora_place p;
        struct train_data data = {0};
        snprintf(path, sizeof path, "tests/golden/%s.gguf", name);
        snprintf(factors, sizeof factors, "tests/golden/adapters/quantised_%s", name);
        json_array_foreach(json_object_get(wanted, "modules"), i, module)
        {
            size_t used = strlen(targets);
            snprintf(targets + used, sizeof targets - used, "%s%s", i ? "," : "", json_string_value(module));
        }
        lora_place_open(&p, path, 2, &(struct model_options){.dtype = DTYPE_F32, .keep_blocks = 1});
        assert_int_equal(
            train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(p.model), .max_length = 32}, ids,
                               (int)json_array_size(json_object_get(golden, "ids")),
                               (int)json_integer_value(json_object_get(golden, "prompt")), "row", NULL),
            0);
        lora_place_expect(&p, &(struct lora_options){2, 5, targets}, factors, &data, wanted);
        train_data_free(&data);
        lora_place_close(&p);
    }
    json_decref(golden);
}

static void note_slabs(void *user, const struct train_step *s)
{
    (void)s;
    *(size_t *)user = mem_slab_bytes();
}

static struct training make(enum dtype dtype, const char *directory)
{
    struct training r = {.source = file, .directory = directory, .n_thread = 2};
    training_options(&r.options);
    r.options.dtype = dtype;
    r.options.lora_r = 3;
    r.options.lora_targets = "all-linear";
    r.options.max_steps = 6;
    return r;
}

static void test_the_bits_are_those_of_training_over_the_values(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("train_quantised", &whole);
    for (int t = DTYPE_F32; t <= DTYPE_BF16; t++) {
        size_t over_values = 0, over_blocks = 0;
        struct training r = make((enum dtype)t, directory);
        tree_remove(directory, NULL);
        tree_remove(whole, NULL);
        r.on_step = note_slabs;
        r.user = &over_blocks;
        training_must_end(&r);
        double over = r.result.first_loss;
        r = make((enum dtype)t, whole);
        r.dequantised = 1;
        r.on_step = note_slabs;
        r.user = &over_values;
        training_must_end(&r);
        if (t == DTYPE_F32)
            training_same_end(directory, whole, "adapter_model.safetensors");
        else /* a look-up gives the file's own values, not these rounded to bf16 */
            assert_true(fabs(over / r.result.first_loss - 1) < 0.01);
        /* of the matrices 52,352 values are in blocks of less than a byte a value (the embedding: 34 bytes of 32) */
        assert_true(over_blocks + (size_t)45000 * (dtype_size((enum dtype)t) - 1) < over_values);
    }
}

static void test_an_interrupted_run_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("train_quantised_cut", &whole);
    struct training r = make(DTYPE_BF16, whole);
    training_must_end(&r);
    r = make(DTYPE_BF16, directory);
    r.n_thread = 1;
    r.interrupt_at = 3;
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 0;
    r.n_thread = 2;
    training_must_end(&r);
    assert_int_equal(r.result.resumed_from, 3);
    training_same_end(directory, whole, "adapter_model.safetensors");
}

static void test_the_weights_themselves_are_not_tuned(void **state)
{
    (void)state;
    struct lora_place p;
    struct train_options o;
    struct train_data data;
    struct train_result result;
    struct error err = {0};
    training_options(&o);
    training_data(&data, 0, N_ROW);
    lora_place_open(&p, file, 1, &(struct model_options){.dtype = DTYPE_F32, .keep_blocks = 1});
    struct train_job job = {.model = p.model, .source = p.source, .data = &data, .options = &o};
    assert_int_equal(train_run(&job, &result, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "lora_r"));
    train_data_free(&data);
    lora_place_close(&p);
}

enum { N_SCORE = 30 };

static void score(const struct model *m, float *out)
{
    int32_t ids[N_SCORE + 1];
    for (int i = 0; i <= N_SCORE; i++)
        ids[i] = 7 * i % 40 + 3;
    assert_int_equal(model_score(m, &(struct model_text){ids, N_SCORE + 1, 1}, 1, out, NULL), 0);
}

static void score_of(const char *path, const char *isa, const struct model_options *o, float *out)
{
    struct device *d = NULL;
    struct checkpoint *ck = NULL;
    struct model *m = NULL;
    struct error err = {0};
    if (device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = isa ? 1 : 2, .isa = isa}, &err) ||
        checkpoint_open(&ck, path, &err) || model_open(&m, d, ck, o, &err))
        fail_msg("%s", err.message);
    score(m, out);
    model_close(m);
    checkpoint_close(ck);
    device_close(d);
}

static double distance(const float *a, const float *b)
{
    double most = 0;
    for (int i = 0; i < N_SCORE; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void train_adapter(const char *directory, const char *source, const char *targets, double rate)
{
    struct training r = make(DTYPE_F32, directory);
    r.source = source;
    r.options.lora_targets = targets;
    r.options.learning_rate = rate;
    r.options.lora_alpha = 6;
    tree_remove(directory, NULL);
    training_must_end(&r);
}

static void test_an_adapter_stands_beside_the_blocks(void **state)
{
    (void)state;
    static const char *const targets[] = {"all-linear", "k_proj,v_proj,up_proj"};
    char directory[300];
    snprintf(directory, sizeof directory, "%s", check_tmpdir("train_quantised_beside"));
    for (int i = 0; i < 2; i++) {
        float merged[N_SCORE], beside[N_SCORE], q8[N_SCORE], again[N_SCORE], base[N_SCORE], base_q8[N_SCORE];
        train_adapter(directory, file, targets[i], 0.05);
        score_of(directory, NULL, &(struct model_options){.dtype = DTYPE_F32}, merged);
        score_of(directory, NULL, &(struct model_options){.dtype = DTYPE_F32, .keep_blocks = 1}, beside);
        score_of(directory, NULL, &(struct model_options){.dtype = DTYPE_Q8}, q8);
        score_of(directory, "generic", &(struct model_options){.dtype = DTYPE_Q8}, again);
        score_of(file, NULL, &(struct model_options){.dtype = DTYPE_F32}, base);
        score_of(file, NULL, &(struct model_options){.dtype = DTYPE_Q8}, base_q8);
        printf("%s: the adapter %.3g, beside and merged %.3g, q8 %.3g, q8 of the base %.3g\n", targets[i],
               distance(base, merged), distance(merged, beside), distance(merged, q8), distance(base, base_q8));
        assert_true(distance(base, merged) > 0.3);
        assert_true(distance(merged, beside) < 2e-5);
        assert_true(distance(merged, q8) < 2 * distance(base, base_q8));
        assert_memory_equal(q8, again, sizeof q8);
    }
}

static void test_adapters_take_each_others_place(void **state)
{
    (void)state;
    char directory[300];
    struct lora_place p;
    struct checkpoint *adapted;
    float base[N_SCORE], with[N_SCORE], got[N_SCORE];
    snprintf(directory, sizeof directory, "%s", check_tmpdir("train_quantised_place"));
    train_adapter(directory, file, "q_proj,down_proj", 0.05);
    score_of(directory, NULL, &(struct model_options){.dtype = DTYPE_Q8}, with);
    lora_place_open(&p, file, 2, &(struct model_options){.dtype = DTYPE_Q8});
    score(p.model, base);
    assert_int_equal(checkpoint_open(&adapted, directory, NULL), 0);
    assert_true(model_adapter_stands(p.model, adapted));
    assert_int_equal(model_set_adapter(p.model, adapted, NULL), 0);
    score(p.model, got);
    assert_memory_equal(got, with, sizeof got);
    assert_true(distance(base, with) > 0.1);
    assert_int_equal(model_set_adapter(p.model, p.source, NULL), 0);
    score(p.model, got);
    assert_memory_equal(got, base, sizeof got);
    checkpoint_close(adapted);
    lora_place_close(&p);
}

/* With a learning rate of nothing it comes out as it went in. One beside matrices that are not in blocks was merged
 * with them and is not trained on. */
static void test_an_adapter_is_trained_on(void **state)
{
    (void)state;
    char first[300], second[320];
    struct training r;
    snprintf(first, sizeof first, "%s", check_tmpdir("train_quantised_on"));
    snprintf(second, sizeof second, "%s-second", first);
    train_adapter(first, file, "q_proj,v_proj,o_proj,down_proj", 0.05);
    train_adapter(second, first, "q_proj,v_proj,o_proj,down_proj", 0);
    same_file(in_directory(first, "adapter_model.safetensors"), in_directory(second, "adapter_model.safetensors"));
    r = make(DTYPE_F32, second);
    r.source = first;
    r.options.lora_r = 2;
    tree_remove(second, NULL);
    assert_int_equal(training_here(&r), ERROR_CONFIG);
    assert_non_null(strstr(r.err.message, "rank 3"));
}

/* Slabs of a step of 4 x 256 tokens beside quantised weights of so many bytes. */
static size_t planned(int n_layer, int n_embd, int n_ff, size_t weights, int recompute)
{
    struct model_desc d;
    struct train_options o;
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f}", "model_type", "llama", "num_hidden_layers", n_layer,
                  "hidden_size", n_embd, "intermediate_size", n_ff, "num_attention_heads", 32, "num_key_value_heads",
                  32, "vocab_size", 32000, "max_position_embeddings", 2048, "rms_norm_eps", 1e-6);
    assert_int_equal(model_desc_parse(&d, config, "config", NULL), 0);
    json_decref(config);
    train_options_default(&o);
    o.lora_r = 16;
    o.max_length = 256;
    o.recompute = recompute;
    return train_memory_slabs(&(struct train_base){&d, weights, 1}, &o, 4 * 256);
}

/* LLaMA 7B in Q4_K_M: 4.1 GB, of 5.5 GiB that its tuning is to take. */
static void test_activations_of_large_models_are_computed_again(void **state)
{
    (void)state;
    const size_t large = 4081000000u, small = 668000000, gib = (size_t)1 << 30;
    assert_true(planned(32, 4096, 11008, large, -1) < 5 * gib + gib / 2);
    assert_int_equal(planned(32, 4096, 11008, large, -1), planned(32, 4096, 11008, large, 1));
    assert_true(planned(32, 4096, 11008, large, 0) > 8 * gib);
    assert_int_equal(planned(22, 2048, 5632, small, -1), planned(22, 2048, 5632, small, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_pefts),
        cmocka_unit_test(test_the_bits_are_those_of_training_over_the_values),
        cmocka_unit_test(test_an_interrupted_run_goes_on_with_the_same_bits),
        cmocka_unit_test(test_the_weights_themselves_are_not_tuned),
        cmocka_unit_test(test_an_adapter_stands_beside_the_blocks),
        cmocka_unit_test(test_adapters_take_each_others_place),
        cmocka_unit_test(test_an_adapter_is_trained_on),
        cmocka_unit_test(test_activations_of_large_models_are_computed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
