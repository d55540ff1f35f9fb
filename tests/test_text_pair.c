/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt and completion as tokens. The ids of whole texts are those of huggingface/tokenizers 0.23 on this same tokenizer.json, in the form that
 * Llama's has (a blank before every text, <s> in front). */
#include "tests/check.h"

#include "text/pair.h"
#include "text/template.h"

#include <stdio.h>
#include <string.h>

static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":0,\"content\":\"<"
    "unk>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}"
    ",{\"id\":1,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\""
    ":false,\"special\":true},{\"id\":2,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,\"rstr"
    "ip\":false,\"normalized\":false,\"special\":true},{\"id\":3,\"content\":\"<stop>\",\"single_word\":fa"
    "lse,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\""
    ":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81" "\"},{\"type\":\"Rep"
    "lace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81" "\"}]},\"pre_tokenizer\":null,\"pos"
    "t_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_i"
    "d\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"SpecialToken\":{\"id\":\"<s>\",\"ty"
    "pe_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}},\"decoder\":null,\"mo"
    "del\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"<unk>\",\"continuing_subword_prefix\":null,\""
    "end_of_word_suffix\":null,\"fuse_unk\":true,\"byte_fallback\":true,\"ignore_merges\":false,\"vocab\":"
    "{\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"<stop>\":3,\"\xe2\x96\x81" "\":4,\"A\":5,\":\":6,\"N\":7,\"o\":8,"
    "\"\xe2\x96\x81" "N\":9,\"\xe2\x96\x81" "No\":10,\"No\":11,\"<0x0A>\":12,\"b\":13,\"a\":14,\"\xe2\x96\x81" ""
    "a\":15,\"ab\":16},\"merges\":[\"\xe2\x96\x81" " N\",\"\xe2\x96\x81" "N o\",\"N o\",\"\xe2\x96\x81" " "
    "a\",\"a b\"]}}";

static struct tokenizer *tok;

static int open_tokenizer(void **state)
{
    (void)state;
    return tokenizer_open_json(&tok, "test", tokenizer_json, sizeof tokenizer_json - 1, NULL, 0, NULL);
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tok);
    return 0;
}

static void assert_ids(const struct tokens *t, const char *wanted)
{
    char shown[200] = "";
    for (size_t i = 0; i < t->n; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s%d", i ? " " : "", (int)t->ids[i]);
    assert_string_equal(shown, wanted);
}

enum { FLAGS = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL };

static void assert_pair(const char *prompt, const char *completion, const char *prompt_ids, const char *completion_ids, int wanted_apart)
{
    struct tokens p = TOKENS_INIT, c = TOKENS_INIT;
    const struct pair_text a = {prompt, strlen(prompt), NULL}, b = {completion, strlen(completion), NULL};
    int apart = -1;
    assert_int_equal(tokenizer_encode(tok, prompt, strlen(prompt), FLAGS, &p, NULL), 0);
    assert_ids(&p, prompt_ids);
    assert_int_equal(pair_encode_completion(tok, &a, p.ids, p.n, &b, FLAGS, &c, &apart, NULL), 0);
    assert_ids(&c, completion_ids);
    assert_int_equal(apart, wanted_apart);
    tokens_free(&p);
    tokens_free(&c);
}

static void a_completion_is_the_rest_of_both_texts(void **state)
{
    (void)state;
    assert_pair("A:", " No", "1 4 5 6", "10", 0); /* both: 1 4 5 6 10 */
    assert_pair("A:", "No", "1 4 5 6", "11", 0);
    assert_pair("A:", "\nNo", "1 4 5 6", "12 11", 0);
    assert_pair("A:<stop>", "No", "1 4 5 6 3", "10", 0);
    assert_pair("A:", "", "1 4 5 6", "", 0);
}

static void across_a_token_it_stands_apart_without_the_blank(void **state)
{
    (void)state;
    assert_pair("A: N", "o", "1 4 5 6 9", "8", 1); /* both: 1 4 5 6 10 */
    assert_pair("A: ", "No", "1 4 5 6 4", "11", 1);
}

static void special_tokens_are_read_in_our_words_only(void **state)
{
    (void)state;
    const char *text = "<stop>a<stop>";
    struct text_span first = {0, 6};
    const struct text_spans people = {&first, 1, 1};
    struct tokens both = TOKENS_INIT, ours = TOKENS_INIT;
    assert_int_equal(tokenizer_encode_mixed(tok, text, strlen(text), &people, TOKENIZER_PARSE_SPECIAL, &both, NULL), 0);
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), TOKENIZER_PARSE_SPECIAL, &ours, NULL), 0);
    assert_ids(&ours, "3 15 3");
    assert_int_equal(both.ids[both.n - 1], 3);
    for (size_t i = 0; i + 1 < both.n; i++)
        assert_int_not_equal(both.ids[i], 3);
    tokens_free(&both);
    tokens_free(&ours);
}

/* The same through a template: its own <stop> is a token, the question's is text. */
static void a_template_says_whose_words_are_whose(void **state)
{
    (void)state;
    const char *file = "{\"pair\": \"A:{q}<stop>{a}\"}";
    struct template *t = NULL;
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    const struct example shown = {"a", " b<stop> "};
    assert_int_equal(template_read(&t, file, strlen(file), "t", NULL), 0);
    template_answer(t, &shown, 1, "N<stop>", &text, &people);
    assert_string_equal(text.data, "A:a<stop>b<stop>\n\nA:N<stop><stop>");
    assert_int_equal(people.n, 3);
    assert_int_equal(people.v[0].from, 2);
    assert_int_equal(people.v[0].to, 3);
    assert_int_equal(people.v[1].from, 9);
    assert_int_equal(people.v[1].to, 16);
    assert_int_equal(people.v[2].from, 20);
    assert_int_equal(people.v[2].to, 27);
    text_spans_free(&people);
    buf_free(&text);
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_completion_is_the_rest_of_both_texts),
        cmocka_unit_test(across_a_token_it_stands_apart_without_the_blank),
        cmocka_unit_test(special_tokens_are_read_in_our_words_only),
        cmocka_unit_test(a_template_says_whose_words_are_whose),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
