/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints read right: GGUF types against the Python package gguf, layout and names against transformers' own GGUF
 * loader (tests/golden, made by tools/golden_gguf.py), a published safetensors model, and row reads against whole
 * reads. */
#include "tests/check.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/gguf.h"
#include "io/jsontext.h"
#include "io/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void assert_ok(int rc, const struct error *err)
{
    if (rc)
        fail_msg("%s", err->message);
}

static void gguf_types_equal_the_python_package(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_map gm, sm;
    struct gguf *g;
    struct safetensors *s;
    assert_ok(file_map(&gm, "tests/golden/gguf_types.gguf", &err), &err);
    assert_ok(file_map(&sm, "tests/golden/gguf_types.safetensors", &err), &err);
    assert_ok(gguf_parse(&g, gm.data, gm.size, "types", &err), &err);
    assert_ok(safetensors_parse(&s, sm.data, sm.size, "expected", &err), &err);
    assert_int_equal(gguf_n_tensor(g), 17);
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        long e = safetensors_find(s, t->name);
        float y[1024], part[100];
        assert_true(e >= 0 && t->n_element == 1024);
        storage_to_f32(t->storage, t->data, 0, 1024, y);
        if (memcmp(y, safetensors_data(s, (size_t)e), sizeof y))
            fail_msg("%s differs", t->name);
        storage_to_f32(t->storage, t->data, 231, 100, part); /* from inside a block to inside another */
        assert_memory_equal(part, y + 231, sizeof part);
    }
    gguf_free(g);
    safetensors_free(s);
    file_unmap(&gm);
    file_unmap(&sm);
}

static void gguf_metadata_is_typed(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_map m;
    struct gguf *g;
    int64_t i, ints[3];
    double d, floats[2];
    int b;
    struct gguf_string str, strings[3];
    enum gguf_type element;
    assert_ok(file_map(&m, "tests/golden/gguf_types.gguf", &err), &err);
    assert_ok(gguf_parse(&g, m.data, m.size, "types", &err), &err);
    assert_int_equal(gguf_get_int(g, "test.u32", &i), 0);
    assert_int_equal(i, 7);
    assert_int_equal(gguf_get_int(g, "test.i64", &i), 0);
    assert_int_equal(i, -5);
    assert_int_equal(gguf_get_float(g, "test.f32", &d), 0);
    assert_true(d == 0.5);
    assert_int_equal(gguf_get_bool(g, "test.bool", &b), 0);
    assert_int_equal(b, 1);
    assert_int_equal(gguf_get_string(g, "test.string", &str), 0);
    assert_int_equal(str.len, 6);
    assert_memory_equal(str.data, "gr\xc3\xbc\xc3\x9f", 6);
    assert_int_equal(gguf_array_length(g, "test.strings", &element), 3);
    assert_int_equal(element, GGUF_STRING);
    assert_int_equal(gguf_array_strings(g, "test.strings", strings), 0);
    assert_true(strings[0].len == 1 && strings[1].len == 0 && strings[2].len == 2 && strings[0].data[0] == 'a');
    assert_int_equal(gguf_array_ints(g, "test.ints", ints), 0);
    assert_true(ints[0] == 3 && ints[1] == -1 && ints[2] == 2);
    assert_int_equal(gguf_array_floats(g, "test.floats", floats), 0);
    assert_true(floats[0] == 0.25 && floats[1] == -2.5);
    assert_int_equal(gguf_get_int(g, "test.string", &i), -1);
    assert_int_equal(gguf_get_string(g, "absent", &str), -1);
    assert_int_equal(gguf_array_length(g, "test.u32", NULL), -1);
    gguf_free(g);
    file_unmap(&m);
}

static void gguf_names_rows_and_config_equal_transformers(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck;
    struct file_map m;
    struct safetensors *s;
    json_t *expected, *want;
    const char *key;
    assert_ok(checkpoint_open(&ck, "tests/golden/tiny_llama.gguf", &err), &err);
    assert_ok(file_map(&m, "tests/golden/tiny_llama.safetensors", &err), &err);
    assert_ok(safetensors_parse(&s, m.data, m.size, "expected", &err), &err);
    assert_ok(jsontext_load(&expected, "tests/golden/tiny_llama.json", 1 << 20, &err), &err);
    assert_int_equal(checkpoint_n_tensor(ck), safetensors_n_tensor(s));
    for (size_t i = 0; i < safetensors_n_tensor(s); i++) {
        const struct tensor_info *e = safetensors_tensor(s, i), *t = checkpoint_find(ck, e->name);
        if (!t)
            fail_msg("%s is missing", e->name);
        assert_int_equal(t->n_dim, e->n_dim);
        assert_memory_equal(t->shape, e->shape, sizeof t->shape);
        float *y = malloc(t->n_element * 4);
        assert_ok(checkpoint_read_f32(ck, t, 0, t->n_row, y, &err), &err);
        if (memcmp(y, safetensors_data(s, i), t->n_element * 4))
            fail_msg("%s differs", e->name);
        free(y);
    }
    json_object_foreach(expected, key, want) if (!json_equal(want, json_object_get(checkpoint_config(ck), key)))
        fail_msg("config %s differs", key);
    json_t *eps = json_object_get(checkpoint_config(ck), "rms_norm_eps");
    assert_true(json_real_value(eps) == 1e-5);
    assert_int_equal(json_integer_value(json_object_get(checkpoint_generation_config(ck), "eos_token_id")), 2);
    json_decref(expected);
    safetensors_free(s);
    file_unmap(&m);
    checkpoint_close(ck);
}

static void smollm2_tensors_equal_transformers(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck;
    char hex[65], line[256], name[160], got[65];
    const char *reduced = getenv("ISARA_REDUCED");
    if (!check_smollm2())
        SKIP_TEST("SmolLM2 is not here (tools/get-smollm2)");
    assert_ok(checkpoint_open(&ck, check_smollm2(), &err), &err);
    FILE *f = fopen("tests/golden/smollm2_tensors.txt", "r");
    assert_non_null(f);
    int n = 0, stop = reduced && *reduced ? 12 : 1000;
    float *y = malloc((size_t)49152 * 576 * 4);
    while (n < stop && fgets(line, sizeof line, f) && sscanf(line, "%64s %159s", hex, name) == 2) {
        const struct tensor_info *t = checkpoint_find(ck, name);
        if (!t)
            fail_msg("%s is missing", name);
        assert_ok(checkpoint_read_f32(ck, t, 0, t->n_row, y, &err), &err);
        sha256_bytes(y, t->n_element * 4, got);
        if (strcmp(got, hex))
            fail_msg("%s differs", name);
        n++;
    }
    fclose(f);
    free(y);
    assert_int_equal(n, stop == 12 ? 12 : (int)checkpoint_n_tensor(ck));
    assert_true(json_real_value(json_object_get(checkpoint_config(ck), "rope_theta")) == 100000.0);
    assert_true(json_is_true(json_object_get(checkpoint_config(ck), "tie_word_embeddings")));
    assert_int_equal(json_integer_value(json_object_get(checkpoint_config(ck), "num_key_value_heads")), 3);
    assert_int_equal(checkpoint_dtype(ck), DTYPE_F32);
    checkpoint_close(ck);
}

static void any_rows_equal_the_whole(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck;
    assert_ok(checkpoint_open(&ck, "tests/golden/tiny_llama.gguf", &err), &err);
    for (size_t i = 0; i < checkpoint_n_tensor(ck); i++) {
        const struct tensor_info *t = checkpoint_tensor(ck, i);
        float *all = malloc(t->n_element * 4), *some = malloc(t->n_element * 4);
        assert_ok(checkpoint_read_f32(ck, t, 0, t->n_row, all, &err), &err);
        for (int64_t first = 0; first < t->n_row; first += 3) {
            int64_t n = t->n_row - first < 5 ? t->n_row - first : 5;
            assert_ok(checkpoint_read_f32(ck, t, first, n, some, &err), &err);
            assert_memory_equal(some, all + first * t->n_col, (size_t)(n * t->n_col) * 4);
        }
        assert_int_not_equal(checkpoint_read_f32(ck, t, t->n_row, 1, some, &err), 0);
        assert_int_not_equal(checkpoint_read_f32(ck, t, -1, 1, some, &err), 0);
        free(all);
        free(some);
    }
    checkpoint_close(ck);
}

/* Values by flat index as the publisher of the mirror gives them (reference_values.json), and the tied matrix found
 * under either name. */
static void published_safetensors_model_reads(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck;
    char path[4096], hex[65];
    if (!check_data("tinystories_656K_llama/model.safetensors"))
        SKIP_TEST("reference data tinystories_656K_llama is not here");
    snprintf(path, sizeof path, "%s", check_data("tinystories_656K_llama"));
    assert_ok(checkpoint_open(&ck, path, &err), &err);
    assert_int_equal(checkpoint_n_tensor(ck), 20);
    const struct tensor_info *head = checkpoint_find(ck, "lm_head.weight");
    assert_non_null(head);
    assert_ptr_equal(checkpoint_find(ck, "model.embed_tokens.weight"), head);
    assert_true(head->n_row == 2048 && head->n_col == 128 && head->storage == STORAGE_F32);
    assert_null(checkpoint_find(ck, "absent"));
    const struct tensor_info *absent;
    assert_int_equal(checkpoint_need(ck, "absent", &absent, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "absent"));
    json_t *values = NULL, *v;
    const char *place;
    assert_ok(jsontext_load(&values, check_data("tinystories_656K_llama/reference_values.json"), 1 << 20, &err), &err);
    json_object_foreach(json_object_get(values, "checked_flat_index_values"), place, v)
    {
        char name[128];
        int64_t at;
        assert_int_equal(sscanf(place, "%127[^[][%" SCNd64 "]", name, &at), 2);
        const struct tensor_info *t = checkpoint_find(ck, name);
        float *all = malloc(t->n_element * 4);
        assert_ok(checkpoint_read_f32(ck, t, 0, t->n_row, all, &err), &err);
        assert_true(all[at] == (float)json_real_value(v));
        free(all);
    }
    json_decref(values);
    assert_ok(checkpoint_check_finite(ck, &err), &err);
    assert_ok(checkpoint_sha256(ck, hex, &err), &err);
    assert_string_equal(hex, "187d0d5e8360d9625e40e0b35ec57d1ef0eea1a60ddcf09412246bed3484852f");
    assert_non_null(checkpoint_file(ck, "tokenizer.json"));
    assert_null(checkpoint_file(ck, "tokenizer.model"));
    assert_non_null(checkpoint_generation_config(ck));
    checkpoint_close(ck);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_types_equal_the_python_package),
        cmocka_unit_test(gguf_metadata_is_typed),
        cmocka_unit_test(gguf_names_rows_and_config_equal_transformers),
        cmocka_unit_test(smollm2_tensors_equal_transformers),
        cmocka_unit_test(any_rows_equal_the_whole),
        cmocka_unit_test(published_safetensors_model_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
