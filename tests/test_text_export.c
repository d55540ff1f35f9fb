/* SPDX-License-Identifier: Apache-2.0 */
/* What is exported gives the same ids when it is read again. The same against the tokenizers library:
 * tools/check-tokenizer-export.py. */
#include "tests/check.h"

#include "base/mem.h"
#include "io/file.h"
#include "text/tokenizer.h"

#include <string.h>

static struct tokenizer *open_or_fail(const char *path)
{
    struct tokenizer *tok;
    struct error err = {0};
    if (tokenizer_open(&tok, path, &err))
        fail_msg("%s", err.message);
    return tok;
}

static void write_file(const char *dir, const char *name, const struct buf *b)
{
    char *path = path_join(dir, name);
    struct error err = {0};
    if (file_write(path, b->data, b->len, &err))
        fail_msg("%s", err.message);
    mem_free(path);
}

static void compare(const struct tokenizer *a, const struct tokenizer *b, const char *text, size_t n)
{
    struct tokens x = TOKENS_INIT, y = TOKENS_INIT;
    struct buf s = BUF_INIT, t = BUF_INIT;
    for (int flags = 0; flags < 4; flags++) {
        x.n = y.n = 0;
        assert_int_equal(tokenizer_encode(a, text, n, flags, &x, NULL), 0);
        assert_int_equal(tokenizer_encode(b, text, n, flags, &y, NULL), 0);
        assert_int_equal(x.n, y.n);
        if (x.n)
            assert_memory_equal(x.ids, y.ids, x.n * sizeof *x.ids);
        buf_reset(&s);
        buf_reset(&t);
        assert_int_equal(tokenizer_decode(a, x.ids, x.n, flags & 1, &s, NULL), 0);
        assert_int_equal(tokenizer_decode(b, x.ids, x.n, flags & 1, &t, NULL), 0);
        assert_int_equal(s.len, t.len);
        if (s.len)
            assert_memory_equal(s.data, t.data, s.len);
    }
    tokens_free(&x);
    tokens_free(&y);
    buf_free(&s);
    buf_free(&t);
}

static void round_trip(const char *path, const char *name)
{
    struct tokenizer *tok = open_or_fail(path), *again;
    struct buf json = BUF_INIT, config = BUF_INIT, map = BUF_INIT, texts = BUF_INIT;
    struct error err = {0};
    char sub[128];
    snprintf(sub, sizeof sub, "export-%s", name);
    const char *dir = check_tmpdir(sub);
    if (tokenizer_export(tok, &json, &config, &map, &err))
        fail_msg("%s", err.message);
    write_file(dir, "tokenizer.json", &json);
    write_file(dir, "tokenizer_config.json", &config);
    write_file(dir, "special_tokens_map.json", &map);
    again = open_or_fail(dir);
    const struct tokenizer_info *a = tokenizer_info(tok), *b = tokenizer_info(again);
    assert_int_equal(a->bos, b->bos);
    assert_int_equal(a->eos, b->eos);
    assert_int_equal(a->pad, b->pad);
    assert_int_equal(a->unk, b->unk);
    assert_int_equal(a->add_bos, b->add_bos);
    assert_int_equal(a->add_eos, b->add_eos);
    assert_int_equal(tokenizer_size(tok), tokenizer_size(again));
    if (a->chat_template)
        assert_string_equal(a->chat_template, b->chat_template);
    const char *inp = check_data("tokenizer_vectors/ggml-vocab-gpt-2.gguf.inp");
    if (inp) {
        assert_int_equal(file_read(&texts, inp, 1 << 20, NULL), 0);
        for (char *p = texts.data, *end; (end = strstr(p, "\n__ggml_vocab_test__\n")); p = end + 21)
            compare(tok, again, p, (size_t)(end - p));
    }
    static const char hard[] =
        "  a  b<s></s> <|endoftext|>x<|im_end|>\n 12345 ====== \xe2\x96\x81\xe2\x96\x81 \xf0\x9f\x99\x82 it's";
    compare(tok, again, hard, sizeof hard - 1);
    tokenizer_close(again);
    tokenizer_close(tok);
    buf_free(&json);
    buf_free(&config);
    buf_free(&map);
    buf_free(&texts);
}

static void every_source(void **state)
{
    (void)state;
    static const char *const names[] = {
        "tokenizer_vectors/ggml-vocab-gpt-2.gguf", "tokenizer_vectors/ggml-vocab-llama-spm.gguf",
        "llama_tokenizer/tokenizer.model",         "llama_tokenizer/llama2_tokenizer.json",
        "opt_tokenizer/gpt2-merges.txt",           "tinystories_656K_llama"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096], flat[64];
        if (!check_data(names[i]))
            SKIP_TEST("no %s", names[i]);
        snprintf(path, sizeof path, "%s", check_data(names[i]));
        snprintf(flat, sizeof flat, "%zu", i);
        round_trip(path, flat);
    }
}

static void smollm2(void **state)
{
    (void)state;
    if (!check_smollm2())
        SKIP_TEST("no SmolLM2");
    round_trip(check_smollm2(), "smollm2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_source), cmocka_unit_test(smollm2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
