/* SPDX-License-Identifier: Apache-2.0 */
/* Published token ids: every vector file that the reference data has for a tokenizer we read. */
#include "tests/check.h"

#include "io/file.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct tokenizer *open_data(const char *name)
{
    struct tokenizer *tok;
    struct error err = {0};
    const char *path = check_data(name);
    if (!path)
        return NULL;
    if (tokenizer_open(&tok, path, &err))
        fail_msg("%s", err.message);
    return tok;
}

static void expect(const struct tokenizer *tok, const char *text, int flags, const int32_t *ids, size_t n)
{
    struct tokens got = TOKENS_INIT;
    struct error err = {0};
    if (tokenizer_encode(tok, text, strlen(text), flags, &got, &err))
        fail_msg("%s", err.message);
    if (got.n != n || (n && memcmp(got.ids, ids, n * sizeof *ids))) {
        printf("\"%s\" gave", text);
        for (size_t i = 0; i < got.n; i++)
            printf(" %d", got.ids[i]);
        fail_msg("other ids than published");
    }
    tokens_free(&got);
}
#define EXPECT(tok, text, flags, ...) \
    expect(tok, text, flags, (const int32_t[]){__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / 4)

/* texts separated by lines "__ggml_vocab_test__", and a line of ids for each */
static void check_vectors(const char *tokenizer, const char *vectors)
{
    struct tokenizer *tok = open_data(tokenizer);
    struct buf texts = BUF_INIT, ids = BUF_INIT;
    struct error err = {0};
    char name[256];
    if (!tok)
        SKIP_TEST("no %s", tokenizer);
    snprintf(name, sizeof name, "%s.inp", vectors);
    assert_int_equal(file_read(&texts, check_data(name), 1 << 20, &err), 0);
    snprintf(name, sizeof name, "%s.out", vectors);
    assert_int_equal(file_read(&ids, check_data(name), 1 << 20, &err), 0);
    const char *mark = "\n__ggml_vocab_test__\n";
    char *text = texts.data, *line = ids.data;
    int n = 0;
    while (*line) { /* the texts end in a separator, the ids in a line feed or not */
        char *end = strstr(text, mark), *eol = strchr(line, '\n'), *p = line;
        int32_t want[512];
        size_t n_want = 0;
        assert_non_null(end);
        *end = 0;
        if (eol)
            *eol = 0;
        for (char *stop; want[n_want] = (int32_t)strtol(p, &stop, 10), stop != p; p = stop)
            n_want++;
        expect(tok, text, TOKENIZER_PARSE_SPECIAL, want, n_want);
        n++;
        text = end + strlen(mark);
        line = eol ? eol + 1 : "";
    }
    expect(tok, text, TOKENIZER_PARSE_SPECIAL, NULL, 0); /* the 47th is empty */
    assert_int_equal(n + 1, 47);
    buf_free(&texts);
    buf_free(&ids);
    tokenizer_close(tok);
}

static void vectors_gpt2_gguf(void **state)
{
    (void)state;
    check_vectors("tokenizer_vectors/ggml-vocab-gpt-2.gguf", "tokenizer_vectors/ggml-vocab-gpt-2.gguf");
}

static void vectors_llama_spm_gguf(void **state)
{
    (void)state;
    check_vectors("tokenizer_vectors/ggml-vocab-llama-spm.gguf", "tokenizer_vectors/ggml-vocab-llama-spm.gguf");
}

static void vectors_bert_gguf(void **state)
{
    (void)state;
    check_vectors("tokenizer_vectors/ggml-vocab-bert-bge.gguf", "tokenizer_vectors/ggml-vocab-bert-bge.gguf");
}

static void vectors_llama_tokenizer_model(void **state)
{
    (void)state;
    check_vectors("llama_tokenizer/tokenizer.model", "tokenizer_vectors/ggml-vocab-llama-spm.gguf");
}

static void vectors_llama2_tokenizer_json(void **state)
{
    (void)state;
    check_vectors("llama_tokenizer/llama2_tokenizer.json", "tokenizer_vectors/ggml-vocab-llama-spm.gguf");
}

static void vectors_roberta_vocab_and_merges(void **state)
{
    (void)state;
    check_vectors("opt_tokenizer/gpt2-vocab.json", "tokenizer_vectors/ggml-vocab-roberta-bpe.gguf");
}

/* lines "text => id,id,..." */
static void vectors_gpt2_from_merges_alone(void **state)
{
    (void)state;
    struct tokenizer *tok = open_data("gpt2_bpe/vocab.bpe");
    struct buf lines = BUF_INIT;
    if (!tok)
        SKIP_TEST("no gpt2_bpe/vocab.bpe");
    assert_int_equal(tokenizer_size(tok), 50257);
    assert_int_equal(file_read(&lines, check_data("gpt2_bpe/ggml_gpt-2.txt"), 1 << 20, NULL), 0);
    int n = 0;
    for (char *line = strtok(lines.data, "\n"); line; line = strtok(NULL, "\n")) {
        char *arrow = strstr(line, " => "), *p = arrow + 4, *stop;
        int32_t want[512];
        size_t n_want = 0;
        assert_non_null(arrow);
        *arrow = 0;
        for (; want[n_want] = (int32_t)strtol(p, &stop, 10), stop != p; p = *stop ? stop + 1 : stop)
            n_want++;
        expect(tok, line, 0, want, n_want);
        n++;
    }
    assert_int_equal(n, 100);
    buf_free(&lines);
    tokenizer_close(tok);
}

/* ids and the way back, from a file {"cases": [{"text", "ids"}]} */
static void smollm2_gguf_splits_digits(void **state)
{
    (void)state;
    const char *path = check_smollm2(), *cases = check_data("smollm2_reference/tokenizer.json");
    struct tokenizer *tok;
    struct error err = {0};
    if (!path || !cases)
        SKIP_TEST("no SmolLM2 or no smollm2_reference");
    json_t *doc = json_load_file(cases, 0, NULL), *list = json_object_get(doc, "cases");
    if (tokenizer_open(&tok, path, &err))
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(list), 16);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(list, i), "text"));
        const json_t *ids = json_object_get(json_array_get(list, i), "ids");
        int32_t want[512];
        size_t n = json_array_size(ids);
        struct buf back = BUF_INIT;
        for (size_t k = 0; k < n; k++)
            want[k] = (int32_t)json_integer_value(json_array_get(ids, k));
        expect(tok, text, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, want, n);
        assert_int_equal(tokenizer_decode(tok, want, n, 0, &back, NULL), 0);
        assert_string_equal(back.data ? back.data : "", text);
        buf_free(&back);
    }
    const struct tokenizer_info *info = tokenizer_info(tok);
    assert_int_equal(info->bos, 1);
    assert_int_equal(info->eos, 2);
    assert_int_equal(info->pad, 2);
    assert_true(!info->add_bos && info->chat_template);
    assert_false(info->is_byte_level); /* 21 bytes have no token in its vocabulary */
    assert_int_equal(tokenizer_size(tok), 49152);
    json_decref(doc);
    tokenizer_close(tok);
}

static void llama2_known_strings(void **state)
{
    (void)state;
    struct tokenizer *tok = open_data("llama_tokenizer/llama2_tokenizer.json");
    if (!tok)
        SKIP_TEST("no llama_tokenizer/llama2_tokenizer.json");
    EXPECT(tok, "I love you.</s>", TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, 1, 306, 5360, 366, 29889, 2);
    EXPECT(tok, "I love you.</s>", TOKENIZER_ADD_SPECIAL, 1, 306, 5360, 366, 21106, 29879, 29958);
    EXPECT(tok, "abs</s>USER", TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, 1, 6425, 2, 3148, 1001);
    assert_int_equal(tokenizer_size(tok), 32000);
    assert_int_equal(tokenizer_info(tok)->bos, 1);
    assert_true(tokenizer_info(tok)->add_bos);
    assert_string_equal(tokenizer_token(tok, 13, NULL), "<0x0A>");
    assert_int_equal(tokenizer_id(tok, "</s>", 4), 2);
    assert_true(tokenizer_is_special(tok, 2));
    tokenizer_close(tok);
}

static void tinystories_directory(void **state)
{
    (void)state;
    struct tokenizer *tok = open_data("tinystories_656K_llama");
    if (!tok)
        SKIP_TEST("no tinystories_656K_llama");
    const struct tokenizer_info *info = tokenizer_info(tok);
    assert_int_equal(info->bos, 1);
    assert_int_equal(info->eos, 2);
    assert_int_equal(info->pad, 0);
    assert_true(info->add_bos && !info->add_eos);
    assert_int_equal(tokenizer_size(tok), 2048);
    struct tokens ids = TOKENS_INIT;
    struct buf text = BUF_INIT;
    const char *story = "Once upon a time, there was a little girl.\nShe was happy.";
    assert_int_equal(tokenizer_encode(tok, story, strlen(story), TOKENIZER_ADD_SPECIAL, &ids, NULL), 0);
    assert_int_equal(ids.ids[0], 1);
    assert_int_equal(tokenizer_decode(tok, ids.ids, ids.n, 1, &text, NULL), 0);
    assert_string_equal(text.data, story);
    tokens_free(&ids);
    buf_free(&text);
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_gpt2_gguf),
        cmocka_unit_test(vectors_llama_spm_gguf),
        cmocka_unit_test(vectors_bert_gguf),
        cmocka_unit_test(vectors_llama_tokenizer_model),
        cmocka_unit_test(vectors_llama2_tokenizer_json),
        cmocka_unit_test(vectors_roberta_vocab_and_merges),
        cmocka_unit_test(vectors_gpt2_from_merges_alone),
        cmocka_unit_test(smollm2_gguf_splits_digits),
        cmocka_unit_test(llama2_known_strings),
        cmocka_unit_test(tinystories_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
