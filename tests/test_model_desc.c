/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: what is read, what is filled in, and that every contradiction is refused by its key. */
#include "check.h"

#include "model/parts.h"

#include <math.h>
#include <string.h>

static const char base[] = "{\"model_type\":\"llama\",\"hidden_size\":48,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
                           "\"intermediate_size\":80,\"vocab_size\":100,\"max_position_embeddings\":64,\"eos_token_id\":[2,5],\"bos_token_id\":1}";

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
    assert_true(fabs(d.rope_inv_freq[3] - pow(10000, -0.5)) < 1e-9);
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
    assert_true(d.rope_inv_freq[0] == 0.25f);
    /* ROPE_INIT_FUNCTIONS["llama3"] of transformers 5.24.0 for this dictionary, head size 12, theta 10000. */
    static const float llama3[6] = {1.0f, 0.2154434472f, 0.04641588405f, 0.00308676064f, 0.0002693042916f, 5.801986845e-05f};
    assert_int_equal(parse(&d, "rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                                               "\"original_max_position_embeddings\":1024}", NULL), 0);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(d.rope_inv_freq[i] / llama3[i] - 1) < 1e-6f);
    assert_int_equal(parse(&d, "rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":500000.0}", NULL), 0);
    assert_true(d.rope_theta == 500000);
}

static void test_contradictions_name_their_key(void **state)
{
    (void)state;
    static const struct { const char *key, *value, *says; } cases[] = {
        {"model_type", "\"opt\"", "model_type"},
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
        {"hidden_act", "\"gelu\"", "hidden_act"},
        {"attention_bias", "true", "attention_bias"},
        {"mlp_bias", "1", "mlp_bias"},
        {"rms_norm_eps", "0", "rms_norm_eps"},
        {"rope_theta", "\"big\"", "rope_theta"},
        {"rope_theta", "1e-300", "rope_theta 1e-300"},
        {"rope_scaling", "{\"type\":\"yarn\",\"factor\":2.0}", "rope_scaling"},
        {"rope_scaling", "{\"type\":\"linear\"}", "factor"},
        {"rope_scaling", "[]", "rope_scaling"},
        {"architectures", "[\"OPTForCausalLM\"]", "architectures"},
        {"quantization_config", "{\"bits\":4}", "quantization_config"},
        {"tie_word_embeddings", "\"yes\"", "tie_word_embeddings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_desc d;
        struct error err = {0};
        int rc = parse(&d, cases[i].key, cases[i].value, &err);
        if (rc != ERROR_CONFIG || !strstr(err.message, cases[i].says) || !strstr(err.message, "x/config.json"))
            fail_msg("%s = %s: rc %d, \"%s\"", cases[i].key, cases[i].value ? cases[i].value : "(absent)", rc, err.message);
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
        cmocka_unit_test(test_contradictions_name_their_key),
        cmocka_unit_test(test_classifier_takes_its_labels_from_the_config),
        cmocka_unit_test(test_parameters_tile_the_flat_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
