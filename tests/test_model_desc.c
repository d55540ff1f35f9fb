/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: what is read, what is filled in, and that every contradiction is refused by its key. */
#include "check.h"

#include "model/parts.h"

#include <math.h>
#include <string.h>

static const char base[] = "{\"model_type\":\"llama\",\"hidden_size\":48,\"num_hidden_layers\":2,\"num_attention_"
                           "heads\":4,\"num_key_value_heads\":2,"
                           "\"intermediate_size\":80,\"vocab_size\":100,\"max_position_embeddings\":64,\"eos_token_"
                           "id\":[2,5],\"bos_token_id\":1}";

/* The base config with one key set to a JSON value (NULL: removed). */
static json_t *with(const char *key, const char *value)
{
    json_t *c = json_loads(base, 0, NULL);
    if (key && !value)
        json_object_del(c, key);
    else if (key)
        json_object_set_new(c, key, json_loads(value, JSON_DECODE_ANY, NULL));
    return c;
}

static int parse(struct model_desc *d, const char *key, const char *value, struct error *err)
{
    json_t *c = with(key, value);
    int rc = model_desc_parse(d, c, "x/config.json", err);
    json_decref(c);
    return rc;
}

static void test_plain_config_is_read_and_defaults_are_the_familys(void **state)
{
    (void)state;
    struct model_desc d;
    assert_int_equal(parse(&d, NULL, NULL, NULL), 0);
    assert_int_equal(d.head_dim, 12);
    assert_int_equal(d.n_kv_head, 2);
    assert_int_equal(d.tied, 0);
    assert_int_equal(d.n_eos, 2);
    assert_int_equal(d.eos_ids[1], 5);
    assert_int_equal(d.pad_id, -1);
    assert_true(d.norm_eps == 1e-6f && d.rope_theta == 10000);
    assert_true(fabs(d.rotations[0].inv_freq[3] - pow(10000, -0.5)) < 1e-9);
    double per_layer = 2 * 48 + (48 + 2 * 24) * 48 + 48 * 48 + 3 * 80 * 48;
    assert_true(d.n_param == 2 * per_layer + 48 + 2 * 100 * 48);
}

static void test_head_size_may_differ_from_hidden_over_heads(void **state)
{
    (void)state;
    struct model_desc d;
    assert_int_equal(parse(&d, "head_dim", "20", NULL), 0);
    assert_int_equal(d.head_dim, 20);
}

static void test_rope_scalings_follow_transformers(void **state)
{
    (void)state;
    struct model_desc d;
    assert_int_equal(parse(&d, "rope_scaling", "{\"type\":\"linear\",\"factor\":4.0}", NULL), 0);
    assert_true(d.rotations[0].inv_freq[0] == 0.25f);
    /* ROPE_INIT_FUNCTIONS["llama3"] of transformers 5.24.0 for this dictionary, head size 12, theta 10000. */
    static const float llama3[6] = {1.0f,           0.2154434472f,    0.04641588405f,
                                    0.00308676064f, 0.0002693042916f, 5.801986845e-05f};
    assert_int_equal(parse(&d, "rope_scaling",
                           "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                           "\"original_max_position_embeddings\":1024}",
                           NULL),
                     0);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(d.rotations[0].inv_freq[i] / llama3[i] - 1) < 1e-6f);
    assert_int_equal(parse(&d, "rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":500000.0}", NULL), 0);
    assert_true(d.rope_theta == 500000);
}

/* LlamaRotaryEmbedding(AutoConfig.from_pretrained(DIR)).inv_freq of transformers 5.24.0: the second and the last value
 * of head size 12. */
static void test_rope_keys_that_contradict_each_other_are_read_as_transformers_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *extra;
        float second, last;
    } cases[] = {
        {"{\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500.0}}", 0.354953676f, 0.00563453929f},
        {"{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0},\"rope_theta\":77.0}", 0.121206209f,
         0.00669675507f},
        {"{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0,\"rope_theta\":500.0},\"rope_theta\":77.0}",
         0.0887384191f, 0.00140863482f},
        {"{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0},\"rope_parameters\":{\"rope_type\":\"default\","
         "\"rope_theta\":300.0}}",
         0.0538608618f, 0.000116039737f},
        {"{\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0,\"rope_theta\":300.0}}",
         0.193248644f, 0.00431223447f},
        {"{\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"default\",\"factor\":2.0}}", 0.215443447f,
         0.000464158948f},
        {"{\"rope_scaling\":{\"factor\":2.0}}", 0.215443447f, 0.000464158948f},
        {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0}"
         "}",
         0.101989336f, 5.80198684e-05f},
        {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
         "\"original_max_position_embeddings\":1024},"
         "\"original_max_position_embeddings\":32}",
         0.0330410488f, 5.80198684e-05f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_desc d;
        struct error err = {0};
        json_t *c = with(NULL, NULL), *extra = json_loads(cases[i].extra, 0, NULL);
        json_object_update(c, extra);
        if (model_desc_parse(&d, c, "x", &err))
            fail_msg("%s: %s", cases[i].extra, err.message);
        if (fabsf(d.rotations[0].inv_freq[1] / cases[i].second - 1) > 1e-6f ||
            fabsf(d.rotations[0].inv_freq[5] / cases[i].last - 1) > 1e-6f)
            fail_msg("%s: %.9g and %.9g", cases[i].extra, (double)d.rotations[0].inv_freq[1],
                     (double)d.rotations[0].inv_freq[5]);
        json_decref(c);
        json_decref(extra);
    }
}

/* The same keys at values at which they do nothing, and keys that never do anything. */
static void test_harmless_keys_stop_nobody(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"sliding_window", "null"},
        {"sliding_window", "64"},
        {"pretraining_tp", "2"},
        {"quantization_config", "null"},
        {"quantization_config", "{}"},
        {"logit_scale", "1.0"},
        {"layer_types", "[\"full_attention\",\"full_attention\"]"},
        {"rope_interleaved", "false"},
        {"num_local_experts", "0"},
        {"attention_dropout", "0.1"},
        {"head_dim", "null"},
        {"num_key_value_heads", "null"},
        {"rope_scaling", "null"},
        {"eos_token_id", "-1"},
        {"of_another_program", "7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_desc d;
        struct error err = {0};
        if (parse(&d, cases[i].key, cases[i].value, &err))
            fail_msg("%s = %s: \"%s\"", cases[i].key, cases[i].value, err.message);
    }
}

static void test_contradictions_name_their_key(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"model_type", "\"mpt\"", "model_type"},
        {"model_type", NULL, "model_type"},
        {"hidden_size", NULL, "hidden_size"},
        {"hidden_size", "-4", "hidden_size"},
        {"hidden_size", "48.5", "hidden_size"},
        {"hidden_size", "50", "hidden_size 50"},
        {"num_key_value_heads", "3", "num_key_value_heads 3"},
        {"num_attention_heads", "16", "head size 3"},
        {"head_dim", "7", "head size 7"},
        {"vocab_size", "0", "vocab_size"},
        {"eos_token_id", "100", "eos_token_id"},
        {"eos_token_id", "[1,\"x\"]", "eos_token_id"},
        {"hidden_act", "\"gelu_neo\"", "hidden_act"},
        {"attention_bias", "\"yes\"", "attention_bias"},
        {"mlp_bias", "1", "mlp_bias"},
        {"rms_norm_eps", "0", "rms_norm_eps"},
        {"rope_theta", "\"big\"", "rope_theta"},
        {"rope_theta", "1e-300", "rope_theta 1e-300"},
        {"rope_scaling", "{\"type\":\"ntk\",\"factor\":2.0}", "rope_scaling"},
        {"rope_scaling", "{\"type\":\"yarn\",\"factor\":2.0,\"truncate\":1}", "truncate"},
        {"rope_scaling", "{\"type\":\"yarn\",\"factor\":-2.0}", "factor"},
        {"rope_scaling", "{\"type\":\"dynamic\"}", "factor"},
        {"rope_scaling", "{\"type\":\"linear\"}", "factor"},
        {"rope_scaling", "[]", "rope_scaling"},
        {"architectures", "[\"OPTForCausalLM\"]", "architectures"},
        {"quantization_config", "{\"bits\":4}", "quantization_config"},
        {"rope_scaling", "{\"rope_type\":\"longrope\",\"factor\":2.0}", "long_factor"},
        {"rope_scaling",
         "{\"rope_type\":\"longrope\",\"factor\":2.0,\"long_factor\":[1,1,1,1,1,1],\"short_factor\":[1,1,0,1,1,1]}",
         "short_factor"},
        {"rope_scaling", "{\"rope_type\":\"linear\",\"factor\":2.0,\"partial_rotary_factor\":0.5}",
         "partial_rotary_factor"},
        {"rope_parameters", "{\"full_attention\":{\"rope_type\":\"default\"}}", "rope_parameters"},
        {"rope_parameters", "{\"rope_type\":3}", "rope_parameters"},
        {"partial_rotary_factor", "0.5", "partial_rotary_factor"},
        {"rope_interleaved", "true", "rope_interleaved"},
        {"sliding_window", "16", "sliding_window"},
        {"layer_types", "[\"full_attention\",\"sliding_attention\"]", "layer_types"},
        {"is_causal", "false", "is_causal"},
        {"logit_scale", "0.5", "logit_scale"},
        {"embedding_multiplier", "12", "embedding_multiplier"},
        {"final_logit_softcapping", "30.0", "final_logit_softcapping"},
        {"use_qk_norm", "true", "use_qk_norm"},
        {"num_local_experts", "8", "num_local_experts"},
        {"hidden_activation", "\"swiglu\"", "hidden_activation"},
        {"tie_word_embeddings", "\"yes\"", "tie_word_embeddings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_desc d;
        struct error err = {0};
        int rc = parse(&d, cases[i].key, cases[i].value, &err);
        if (rc != ERROR_CONFIG || !strstr(err.message, cases[i].says) || !strstr(err.message, "x/config.json"))
            fail_msg("%s = %s: rc %d, \"%s\"", cases[i].key, cases[i].value ? cases[i].value : "(absent)", rc,
                     err.message);
    }
}

static void test_classifier_takes_its_labels_from_the_config(void **state)
{
    (void)state;
    struct model_desc d;
    json_t *c = with("architectures", "[\"LlamaForSequenceClassification\"]");
    json_object_set_new(c, "id2label", json_pack("{s:s,s:s,s:s}", "0", "a", "1", "b", "2", "c"));
    assert_int_equal(model_desc_parse(&d, c, "x", NULL), 0);
    assert_int_equal(d.task, MODEL_CLASSIFY);
    assert_int_equal(d.n_label, 3);
    json_decref(c);
}

static void test_parameters_tile_the_flat_order(void **state)
{
    (void)state;
    struct model m = {0};
    assert_int_equal(parse(&m.desc, NULL, NULL, NULL), 0);
    assert_int_equal(model_tables(&m, NULL), 0);
    assert_int_equal(m.n_param, 2 * 9 + 3);
    double count = 0;
    int64_t end = 0;
    for (int i = 0; i < m.n_param; i++) {
        const struct model_param *p = &m.params[i];
        assert_true(p->offset >= end && p->offset < end + 16);
        end = p->offset + p->count;
        count += (double)p->count;
    }
    assert_true(count == m.desc.n_param && end <= m.n_element);
    assert_string_equal(m.params[3].name, "model.layers.0.self_attn.k_proj.weight");
    assert_true(m.params[3].offset == m.params[2].offset + 48 * 48); /* q, k, v are consecutive rows */
    for (int i = 0; i < m.n_group; i++)
        assert_true(m.groups[i].offset % 16 == 0);
    arena_free(&m.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_config_is_read_and_defaults_are_the_familys),
        cmocka_unit_test(test_head_size_may_differ_from_hidden_over_heads),
        cmocka_unit_test(test_rope_scalings_follow_transformers),
        cmocka_unit_test(test_rope_keys_that_contradict_each_other_are_read_as_transformers_reads_them),
        cmocka_unit_test(test_harmless_keys_stop_nobody),
        cmocka_unit_test(test_contradictions_name_their_key),
        cmocka_unit_test(test_classifier_takes_its_labels_from_the_config),
        cmocka_unit_test(test_parameters_tile_the_flat_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
