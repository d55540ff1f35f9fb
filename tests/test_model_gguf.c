/* SPDX-License-Identifier: Apache-2.0 */
/* Models written as GGUF: what was made by the Python package gguf in llama.cpp's layout comes out in that layout
 * again, every type as the package makes it, and what llama.cpp's architecture cannot say is refused by name.
 * tools/check-llama-cpp.py runs such files in llama.cpp. */
#include "check.h"

#include "io/checkpoint.h"
#include "io/file.h"
#include "io/gguf_write.h"
#include "io/jsontext.h"
#include "io/safetensors.h"
#include "model/families.h"
#include "model/gguf_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char path[300];

static int write_to(const char *to, const char *model, enum storage type, struct error *err)
{
    struct checkpoint *ck;
    struct gguf_writer *w = NULL;
    struct gguf_model *g = NULL;
    int rc = checkpoint_open(&ck, model, err);
    if (!rc)
        rc = gguf_writer_new(&w, err);
    if (!rc)
        rc = gguf_model_put(&g, w, ck, type, err);
    if (!rc)
        rc = gguf_model_write(g, w, to, err);
    gguf_model_free(g);
    rc = gguf_writer_end(w, rc, err);
    checkpoint_close(ck);
    return rc;
}

static int write_model(const char *model, enum storage type, struct error *err)
{
    return write_to(path, model, type, err);
}

static void must(int rc, const struct error *err)
{
    if (rc)
        fail_msg("%s", err->message);
}

struct file {
    struct file_map map;
    struct gguf *gguf;
};

static struct file open_file(const char *name)
{
    struct file f;
    struct error err = {0};
    must(file_map(&f.map, name, &err), &err);
    must(gguf_parse(&f.gguf, f.map.data, f.map.size, name, &err), &err);
    return f;
}

static void close_file(struct file *f)
{
    gguf_free(f->gguf);
    file_unmap(&f->map);
}

/* Names, dimensions and the order of rows are those of the package's file, which transformers reads. */
static void llamas_layout_is_made_again(void **state)
{
    (void)state;
    struct error err = {0};
    must(write_model("tests/golden/tiny_llama.gguf", STORAGE_F32, &err), &err);
    struct file ours = open_file(path), theirs = open_file("tests/golden/tiny_llama.gguf");
    assert_int_equal(gguf_n_tensor(ours.gguf), gguf_n_tensor(theirs.gguf));
    for (size_t i = 0; i < gguf_n_tensor(theirs.gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(theirs.gguf, i), *o = gguf_find(ours.gguf, t->name);
        static float a[4096], b[4096];
        assert_true(t->n_element <= 4096);
        if (!o || o->n_dim != t->n_dim || memcmp(o->dim, t->dim, sizeof o->dim))
            fail_msg("%s is missing or of another shape", t->name);
        storage_to_f32(t->storage, t->data, 0, t->n_element, a);
        storage_to_f32(o->storage, o->data, 0, t->n_element, b);
        if (memcmp(a, b, t->n_element * sizeof *a))
            fail_msg("%s differs", t->name);
    }
    static const char *const keys[] = {"llama.context_length",       "llama.embedding_length",
                                       "llama.block_count",          "llama.feed_forward_length",
                                       "llama.attention.head_count", "llama.attention.head_count_kv",
                                       "llama.rope.dimension_count", "llama.vocab_size"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        int64_t x = -1, y = -2;
        gguf_get_int(ours.gguf, keys[k], &x);
        gguf_get_int(theirs.gguf, keys[k], &y);
        if (x != y)
            fail_msg("%s is %lld", keys[k], (long long)x);
    }
    close_file(&ours);
    close_file(&theirs);
}

static void every_type_is_what_the_package_makes(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_map m;
    struct safetensors *s;
    struct gguf_writer *w;
    must(file_map(&m, "tests/golden/gguf_quantised.safetensors", &err), &err);
    must(safetensors_parse(&s, m.data, m.size, "expected", &err), &err);
    static float x[384];
    memcpy(x, safetensors_data(s, (size_t)safetensors_find(s, "values")), sizeof x);
    static const enum storage types[] = {STORAGE_F32, STORAGE_F16, STORAGE_BF16, STORAGE_Q8_0};
    must(gguf_writer_new(&w, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_int_equal(gguf_put_tensor(w, storage_name(types[i]), types[i], 2, (uint64_t[]){64, 6}), i);
    must(gguf_writer_begin(w, path, &err), &err);
    for (int i = 3; i >= 0; i--) {
        must(gguf_write_f32(w, i, 128, x + 128, 256, &err), &err);
        must(gguf_write_f32(w, i, 0, x, 128, &err), &err);
    }
    must(gguf_writer_end(w, 0, &err), &err);
    struct file f = open_file(path);
    assert_memory_equal(gguf_find(f.gguf, "Q8_0")->data, safetensors_data(s, (size_t)safetensors_find(s, "q8_0")),
                        384 / 32 * 34);
    assert_memory_equal(gguf_find(f.gguf, "F32")->data, x, sizeof x);
    for (int i = 0; i < 384; i++) {
        float half, brain;
        storage_to_f32(STORAGE_F16, gguf_find(f.gguf, "F16")->data, (uint64_t)i, 1, &half);
        storage_to_f32(STORAGE_BF16, gguf_find(f.gguf, "BF16")->data, (uint64_t)i, 1, &brain);
        assert_true(half == f16_to_f32(f32_to_f16(x[i])) && brain == bf16_to_f32(f32_to_bf16(x[i])));
    }
    close_file(&f);
    safetensors_free(s);
    file_unmap(&m);
}

/* All tensors come back bit for bit, and with them the rotary frequencies, which lie in the file as divisors. */
static void a_scaled_llama_comes_back(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *a, *b;
    struct model_desc da, db;
    must(write_model("tests/golden/random_llama", STORAGE_F32, &err), &err);
    must(checkpoint_open(&a, "tests/golden/random_llama", &err), &err);
    must(checkpoint_open(&b, path, &err), &err);
    assert_int_equal(checkpoint_n_tensor(a), checkpoint_n_tensor(b));
    for (size_t i = 0; i < checkpoint_n_tensor(a); i++) {
        const struct tensor_info *t = checkpoint_tensor(a, i), *u = checkpoint_find(b, t->name);
        static float x[8192], y[8192];
        assert_true(u && t->n_element <= 8192);
        must(checkpoint_read_f32(a, t, 0, t->n_row, x, &err), &err);
        must(checkpoint_read_f32(b, u, 0, u->n_row, y, &err), &err);
        if (memcmp(x, y, t->n_element * sizeof *x))
            fail_msg("%s differs", t->name);
    }
    must(model_desc_parse(&da, checkpoint_config(a), "a", &err), &err);
    must(model_desc_parse(&db, checkpoint_config(b), "b", &err), &err);
    for (int i = 0; i < da.n_rotated / 2; i++)
        assert_true(fabsf(da.rotations[0].inv_freq[i] / db.rotations[0].inv_freq[i] - 1) < 1e-6f);
    const json_t *rope = json_object_get(checkpoint_config(b), "rope_scaling");
    assert_true(json_number_value(json_object_get(rope, "original_max_position_embeddings")) == 64 &&
                json_number_value(json_object_get(rope, "factor")) == 4);
    checkpoint_close(a);
    checkpoint_close(b);
}

static float *values_of(const struct checkpoint *ck, const struct tensor_info *t)
{
    struct error err = {0};
    float *x = malloc((size_t)t->n_element * sizeof *x);
    assert_non_null(x);
    must(checkpoint_read_f32(ck, t, 0, t->n_row, x, &err), &err);
    return x;
}

/* Every tensor of the file, under Hugging Face's name, is the directory's; norms that lie there as 1 + w lose what that
 * sum rounds. */
static void compare_tensors(const char *model)
{
    struct error err = {0};
    struct checkpoint *a, *b;
    must(checkpoint_open(&a, model, &err), &err);
    must(checkpoint_open(&b, path, &err), &err);
    const struct family *family = family_find(json_string_value(json_object_get(checkpoint_config(a), "model_type")));
    assert_true(family && checkpoint_n_tensor(b) > 5);
    for (size_t i = 0; i < checkpoint_n_tensor(b); i++) {
        const struct tensor_info *t = checkpoint_tensor(b, i), *u = family_find_tensor(family, a, t->name);
        if (!u || u->n_element != t->n_element || u->n_row != t->n_row)
            fail_msg("%s: %s is not the model's", model, t->name);
        float *x = values_of(a, u), *y = values_of(b, t);
        for (uint64_t k = 0; k < t->n_element; k++)
            if (fabsf(x[k] - y[k]) > (strstr(t->name, "norm") ? 2e-7f : 0))
                fail_msg("%s: %s differs", model, t->name);
        free(x);
        free(y);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

/* Of every golden model: it comes back, or the one thing that llama.cpp has no words for is named. */
static void every_family_comes_back_or_is_refused(void **state)
{
    (void)state;
    static const char *const written[] = {
        "llama_bare",         "llama_linear", "llama_llama3",  "llama_yarn", "llama_yarn_given",   "llama_longrope",
        "mistral_bare",       "mistral_full", "mistral_mixed", "qwen2_bare", "qwen3_bare",         "qwen3_mixed",
        "gemma_bare",         "gemma2_bare",  "gemma3_bare",   "gpt2_bare",  "gpt_neox_bare",      "phi3",
        "phi3_yarn",          "olmo2_bare",   "smollm3_bare",  "bert_bare",  "phi3_longrope_past", "llama_dynamic_past",
        "llama_longrope_past"};
    static const struct {
        const char *model, *named;
    } refused[] = {{"llama_gelu", "activation"},
                   {"gemma", "bias has no place"},
                   {"gemma_head", "lm_head.weight has no place"},
                   {"gemma2_mixed", "activation"},
                   {"gemma3_local", "scale of attention"},
                   {"qwen2_mixed", "the width 20"},
                   {"qwen3_biases", "bias has no place"},
                   {"gpt2_unscaled", "activation"},
                   {"smollm3_mixed", "have a window or rotate"},
                   {"olmo2_tied", "the width 20"}};
    char model[256];
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct error err = {0};
        snprintf(model, sizeof model, "tests/golden/families/%s", written[i]);
        must(write_model(model, STORAGE_F32, &err), &err);
        compare_tensors(model);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct error err = {0};
        snprintf(model, sizeof model, "tests/golden/families/%s", refused[i].model);
        int rc = write_model(model, STORAGE_F32, &err);
        if (rc != ERROR_CONFIG || !strstr(err.message, refused[i].named))
            fail_msg("%s: %d \"%s\"", model, rc, err.message);
    }
}

/* A directory with the bundled model's weights and a few other keys in its config.json. */
static const char *altered(const char *change)
{
    static char dir[256], file[300];
    json_t *config, *more = json_loads(change, 0, NULL);
    struct error err = {0};
    snprintf(dir, sizeof dir, "%s", check_tmpdir("model_gguf"));
    must(jsontext_load(&config, "models/miniature/config.json", 1 << 20, &err), &err);
    json_object_update(config, more);
    snprintf(file, sizeof file, "%s/config.json", dir);
    must(jsontext_write(file, config, &err), &err);
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    must(file_copy("models/miniature/model.safetensors", file, &err), &err);
    json_decref(config);
    json_decref(more);
    return dir;
}

static void what_llama_cpp_cannot_say_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *change, *named;
    } cases[] = {
        {"{\"hidden_act\": \"gelu\"}", "activation"},
        {"{\"architectures\": [\"LlamaForSequenceClassification\"], \"num_labels\": 3}", "classifier"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        int rc = write_model(altered(cases[i].change), STORAGE_F16, &err);
        if (rc != ERROR_CONFIG || !strstr(err.message, cases[i].named))
            fail_msg("%s: %d \"%s\"", cases[i].change, rc, err.message);
    }
    struct error err = {0};
    must(write_model(altered("{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}}"), STORAGE_F16, &err),
         &err);
    struct file f = open_file(path);
    double factor = 0;
    assert_int_equal(gguf_get_float(f.gguf, "llama.rope.scaling.factor", &factor), 0);
    assert_true(factor == 2);
    close_file(&f);
}

static void a_number_beyond_f16_is_an_error(void **state)
{
    (void)state;
    struct error err = {0};
    struct gguf_writer *w;
    float x[32] = {0, 1e5f};
    for (int k = 0; k < 2; k++) {
        must(gguf_writer_new(&w, &err), &err);
        gguf_put_tensor(w, "big", k ? STORAGE_Q8_0 : STORAGE_F16, 1, (uint64_t[]){32});
        x[1] = k ? 1e8f : 1e5f;
        must(gguf_writer_begin(w, path, &err), &err);
        int rc = gguf_write_f32(w, 0, 0, x, 32, &err);
        assert_int_equal(gguf_writer_end(w, rc, &err), ERROR_DATA);
        assert_non_null(strstr(err.message, "tensor big"));
    }
}

/* B and A with one alpha (0: the scale is in B): llama.cpp's sum is the merged matrix in its own layout. */
static void check_factors(const char *adapter, const char *model)
{
    enum { MOST = 16384 };
    struct error err = {0};
    struct checkpoint *ck;
    struct gguf_writer *w;
    double alpha = 0;
    char merged_path[320], base_path[320];
    snprintf(merged_path, sizeof merged_path, "%s.merged", path);
    snprintf(base_path, sizeof base_path, "%s.base", path);
    must(checkpoint_open(&ck, adapter, &err), &err);
    must(gguf_writer_new(&w, &err), &err);
    must(gguf_writer_end(w, gguf_adapter_write(w, ck, STORAGE_F32, path, &err), &err), &err);
    checkpoint_close(ck);
    must(write_to(merged_path, adapter, STORAGE_F32, &err), &err);
    must(write_to(base_path, model, STORAGE_F32, &err), &err);
    struct file f = open_file(path), sum = open_file(merged_path), base = open_file(base_path);
    assert_int_equal(gguf_get_float(f.gguf, "adapter.lora.alpha", &alpha), 0);
    assert_true(gguf_n_tensor(f.gguf) > 0 && gguf_n_tensor(f.gguf) % 2 == 0);
    for (size_t i = 0; i < gguf_n_tensor(f.gguf); i += 2) {
        const struct gguf_tensor *a = gguf_tensor_at(f.gguf, i), *b = gguf_tensor_at(f.gguf, i + 1);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(strstr(a->name, ".lora_a") - a->name), a->name);
        const struct gguf_tensor *from = gguf_find(base.gguf, name), *to = gguf_find(sum.gguf, name);
        static float fa[MOST], fb[MOST], x[MOST], y[MOST];
        assert_true(from && to && a->n_element <= MOST && b->n_element <= MOST && from->n_element <= MOST);
        uint64_t rank = a->dim[1], columns = a->dim[0];
        assert_true(b->dim[0] == rank && columns == from->dim[0] && b->dim[1] == from->dim[1]);
        storage_to_f32(a->storage, a->data, 0, a->n_element, fa);
        storage_to_f32(b->storage, b->data, 0, b->n_element, fb);
        storage_to_f32(from->storage, from->data, 0, from->n_element, x);
        storage_to_f32(to->storage, to->data, 0, to->n_element, y);
        for (uint64_t k = 0; k < from->n_element; k++) {
            double s = 0;
            for (uint64_t r = 0; r < rank; r++)
                s += (double)fb[k / columns * rank + r] * (double)fa[r * columns + k % columns];
            double scale = alpha != 0 ? alpha / (double)rank : 1;
            if (fabs((double)x[k] + scale * s - (double)y[k]) > 1e-6)
                fail_msg("%s, element %d", name, (int)k);
        }
    }
    close_file(&f);
    close_file(&sum);
    close_file(&base);
}

static void an_adapters_factors_give_the_merged_matrix(void **state)
{
    (void)state;
    check_factors("tests/golden/lora/adapter", "tests/golden/lora/model");
    check_factors("tests/golden/adapters/pattern", "tests/golden/adapters/model");
}

/* GPT-2's matrices lie as [inputs, outputs]: B A is the transpose of what is added to them. */
static void factors_of_transposed_matrices_are_llama_cpps(void **state)
{
    (void)state;
    enum { MOST = 16384 };
    static float fa[MOST], fb[MOST];
    struct error err = {0};
    struct checkpoint *base, *merged;
    struct gguf_writer *w;
    double alpha = 0;
    must(checkpoint_open(&merged, "tests/golden/adapters/conv1d", &err), &err);
    must(checkpoint_open(&base, "tests/golden/families/gpt2_unscaled", &err), &err);
    must(gguf_writer_new(&w, &err), &err);
    must(gguf_writer_end(w, gguf_adapter_write(w, merged, STORAGE_F32, path, &err), &err), &err);
    struct file f = open_file(path);
    const struct gguf_tensor *a = gguf_find(f.gguf, "blk.0.attn_qkv.weight.lora_a"),
                             *b = gguf_find(f.gguf, "blk.0.attn_qkv.weight.lora_b");
    const struct tensor_info *from = checkpoint_find(base, "h.0.attn.c_attn.weight"),
                             *to = checkpoint_find(merged, "h.0.attn.c_attn.weight");
    assert_true(a && b && from && to && !gguf_get_float(f.gguf, "adapter.lora.alpha", &alpha));
    int64_t rank = (int64_t)a->dim[1], in = from->n_row, out = from->n_col;
    assert_true((int64_t)a->dim[0] == in && (int64_t)b->dim[0] == rank && (int64_t)b->dim[1] == out);
    storage_to_f32(a->storage, a->data, 0, a->n_element, fa);
    storage_to_f32(b->storage, b->data, 0, b->n_element, fb);
    float *x = values_of(base, from), *y = values_of(merged, to);
    for (int64_t i = 0; i < in * out; i++) {
        double s = 0;
        for (int64_t r = 0; r < rank; r++)
            s += (double)fb[i % out * rank + r] * (double)fa[r * in + i / out];
        assert_true(fabs((double)x[i] + alpha / (double)rank * s - (double)y[i]) < 1e-6);
    }
    free(x);
    free(y);
    close_file(&f);
    checkpoint_close(base);
    checkpoint_close(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llamas_layout_is_made_again),
        cmocka_unit_test(every_type_is_what_the_package_makes),
        cmocka_unit_test(a_scaled_llama_comes_back),
        cmocka_unit_test(every_family_comes_back_or_is_refused),
        cmocka_unit_test(what_llama_cpp_cannot_say_is_refused),
        cmocka_unit_test(a_number_beyond_f16_is_an_error),
        cmocka_unit_test(an_adapters_factors_give_the_merged_matrix),
        cmocka_unit_test(factors_of_transposed_matrices_are_llama_cpps),
    };
    snprintf(path, sizeof path, "%s/model.gguf", check_tmpdir("model_gguf_out"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
