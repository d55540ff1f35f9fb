/* SPDX-License-Identifier: Apache-2.0 */
/* A written Hugging Face directory holds the source's values under the source's names (tools/check-transformers-load.py
 * loads such a directory in transformers). */
#include "tests/check.h"

#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

static void assert_ok(int rc, const struct error *err)
{
    if (rc)
        fail_msg("%s", err->message);
}

static void write_dir(const char *dir, const struct checkpoint *ck, enum dtype t)
{
    struct error err = {0};
    assert_ok(dirs_make(dir, &err), &err);
    assert_ok(hf_dir_config(dir, checkpoint_config(ck), t, &err), &err);
    assert_ok(hf_dir_generation(dir, checkpoint_generation_config(ck), checkpoint_config(ck), &err), &err);
    assert_ok(hf_dir_tokenizer(dir, ck, NULL, &err), &err);
    assert_ok(hf_dir_weights(dir, ck, t, &err), &err);
}

/* Every tensor of b equals a's of the same name, rounded to t. */
static void assert_same_values(const struct checkpoint *a, const struct checkpoint *b, enum dtype t)
{
    struct error err = {0};
    for (size_t i = 0; i < checkpoint_n_tensor(b); i++) {
        const struct tensor_info *y = checkpoint_tensor(b, i), *x = checkpoint_find(a, y->name);
        assert_non_null(x);
        assert_int_equal(x->n_element, y->n_element);
        assert_int_equal(y->storage, storage_of_dtype(t));
        float *p = malloc(x->n_element * 4), *q = malloc(x->n_element * 4);
        assert_ok(checkpoint_read_f32(a, x, 0, x->n_row, p, &err), &err);
        assert_ok(checkpoint_read_f32(b, y, 0, y->n_row, q, &err), &err);
        for (uint64_t k = 0; k < x->n_element; k++) {
            float want = p[k];
            if (t == DTYPE_BF16)
                want = bf16_to_f32(f32_to_bf16(want));
            else if (t == DTYPE_F16)
                want = f16_to_f32(f32_to_f16(want));
            if (memcmp(&want, &q[k], 4))
                fail_msg("%s[%llu] is %g, wanted %g", y->name, (unsigned long long)k, (double)q[k], (double)want);
        }
        free(p);
        free(q);
    }
}

static void gguf_becomes_a_directory_with_the_same_values(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck, *again, *third;
    char dir[1200], copy[1300], hex[2][65];
    assert_ok(checkpoint_open(&ck, "tests/golden/tiny_llama.gguf", &err), &err);
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    for (int i = 0; i < 3; i++) {
        snprintf(dir, sizeof dir, "%s", check_tmpdir("io_hf_dir"));
        write_dir(dir, ck, types[i]);
        assert_ok(checkpoint_open(&again, dir, &err), &err);
        assert_int_equal(checkpoint_n_tensor(again), checkpoint_n_tensor(ck));
        assert_same_values(ck, again, types[i]);
        assert_int_equal(checkpoint_dtype(again), types[i]);
        assert_string_equal(json_string_value(json_object_get(checkpoint_config(again), "torch_dtype")),
                            hf_dtype_name(types[i]));
        snprintf(copy, sizeof copy, "%s/copy", dir);
        write_dir(copy, again, types[i]);
        assert_ok(checkpoint_open(&third, copy, &err), &err);
        assert_ok(checkpoint_sha256(again, hex[0], &err), &err);
        assert_ok(checkpoint_sha256(third, hex[1], &err), &err);
        assert_string_equal(hex[0], hex[1]);
        checkpoint_close(third);
        checkpoint_close(again);
    }
    checkpoint_close(ck);
}

static void a_tied_head_is_written_once_as_embeddings(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint *ck, *again;
    char source[4096], dir[1200], path[1300];
    struct file_map a, b;
    if (!check_data("tinystories_656K_llama/model.safetensors"))
        SKIP_TEST("reference data tinystories_656K_llama is not here");
    snprintf(source, sizeof source, "%s", check_data("tinystories_656K_llama"));
    snprintf(dir, sizeof dir, "%s", check_tmpdir("io_hf_dir_tied"));
    assert_ok(checkpoint_open(&ck, source, &err), &err);
    write_dir(dir, ck, DTYPE_F32);
    assert_ok(checkpoint_open(&again, dir, &err), &err);
    assert_null(checkpoint_find(again, "lm_head.weight"));
    assert_int_equal(checkpoint_n_tensor(again), checkpoint_n_tensor(ck));
    assert_same_values(ck, again, DTYPE_F32);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    assert_ok(file_map(&a, path, &err), &err);
    assert_ok(file_map(&b, checkpoint_file(ck, "tokenizer.json"), &err), &err);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    file_unmap(&a);
    file_unmap(&b);
    checkpoint_close(again);
    checkpoint_close(ck);
}

/* Whatever a tokenizer may be read from goes along, byte for byte: templates beside the default one too. */
static void every_file_of_a_tokenizer_is_copied(void **state)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "tokenizer.model",
                                        "spiece.model",
                                        "sentencepiece.bpe.model",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "additional_chat_templates/tool_use.jinja",
                                        "additional_chat_templates/rag.jinja"};
    (void)state;
    struct error err = {0};
    struct checkpoint *ck;
    char source[1100], dir[1100], from[1300], to[1300];
    int n = 0;
    if (!file_exists("models/miniature/model.safetensors"))
        SKIP_TEST("models/miniature is not here");
    snprintf(source, sizeof source, "%s", check_tmpdir("io_hf_dir_source"));
    snprintf(dir, sizeof dir, "%s", check_tmpdir("io_hf_dir_copy"));
    snprintf(to, sizeof to, "%s/additional_chat_templates", source);
    assert_ok(dirs_make(to, &err), &err);
    for (int i = 0; i < 2; i++) {
        static const char *const weights[] = {"config.json", "model.safetensors"};
        snprintf(from, sizeof from, "models/miniature/%s", weights[i]);
        snprintf(to, sizeof to, "%s/%s", source, weights[i]);
        assert_ok(file_copy(from, to, &err), &err);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(from, sizeof from, "%s/%s", source, names[i]);
        assert_ok(file_write(from, names[i], strlen(names[i]), &err), &err);
    }
    assert_ok(checkpoint_open(&ck, source, &err), &err);
    assert_ok(dirs_make(dir, &err), &err);
    assert_ok(hf_dir_tokenizer(dir, ck, &n, &err), &err);
    assert_int_equal(n, sizeof names / sizeof *names - 2);
    checkpoint_close(ck);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf text = BUF_INIT;
        snprintf(to, sizeof to, "%s/%s", dir, names[i]);
        assert_ok(file_read(&text, to, 1000, &err), &err);
        assert_string_equal(text.data, names[i]);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_becomes_a_directory_with_the_same_values),
        cmocka_unit_test(a_tied_head_is_written_once_as_embeddings),
        cmocka_unit_test(every_file_of_a_tokenizer_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
