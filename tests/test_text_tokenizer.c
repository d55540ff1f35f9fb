/* SPDX-License-Identifier: Apache-2.0 */
/* Published token ids: every vector file that the reference data has for a tokenizer we read. */
#include "tests/check.h"

#include "text/tokenizer.h"

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
    if (got.n != n || memcmp(got.ids, ids, n * sizeof *ids)) {
        printf("\"%s\" gave", text);
        for (size_t i = 0; i < got.n; i++)
            printf(" %d", got.ids[i]);
        fail_msg("other ids than published");
    }
    tokens_free(&got);
}
#define EXPECT(tok, text, flags, ...) expect(tok, text, flags, (const int32_t[]){__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / 4)

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
        cmocka_unit_test(llama2_known_strings),
        cmocka_unit_test(tinystories_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
