/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt and completion as tokens. The ids of whole texts are those of huggingface/tokenizers 0.23 on this same
 * tokenizer.json, in the form that Llama's has (a blank before every text, <s> in front). */
#include "tests/check.h"

#include "text/pair.h"
#include "text/template.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":0,\"content\":\"<"
    "unk>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}"
    ",{\"id\":1,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\""
    ":false,\"special\":true},{\"id\":2,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,\"rstr"
    "ip\":false,\"normalized\":false,\"special\":true},{\"id\":3,\"content\":\"<stop>\",\"single_word\":fa"
    "lse,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\""
    ":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81"
    "\"},{\"type\":\"Rep"
    "lace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81"
    "\"}]},\"pre_tokenizer\":null,\"pos"
    "t_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_i"
    "d\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"SpecialToken\":{\"id\":\"<s>\",\"ty"
    "pe_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}},\"decoder\":null,\"mo"
    "del\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"<unk>\",\"continuing_subword_prefix\":null,\""
    "end_of_word_suffix\":null,\"fuse_unk\":true,\"byte_fallback\":true,\"ignore_merges\":false,\"vocab\":"
    "{\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"<stop>\":3,\"\xe2\x96\x81"
    "\":4,\"A\":5,\":\":6,\"N\":7,\"o\":8,"
    "\"\xe2\x96\x81"
    "N\":9,\"\xe2\x96\x81"
    "No\":10,\"No\":11,\"<0x0A>\":12,\"b\":13,\"a\":14,\"\xe2\x96\x81"
    ""
    "a\":15,\"ab\":16},\"merges\":[\"\xe2\x96\x81"
    " N\",\"\xe2\x96\x81"
    "N o\",\"N o\",\"\xe2\x96\x81"
    " "
    "a\",\"a b\"]}}";

static struct tokenizer *tok;

static int open_tokenizer(void **state)
{
    (void)state;
    return tokenizer_open_json(&tok, "test", tokenizer_json, sizeof tokenizer_json - 1, NULL, NULL);
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

static void assert_texts(const struct tokenizer *t, const struct pair_text *prompt, const struct pair_text *completion,
                         const char *prompt_ids, const char *completion_ids, int wanted_apart)
{
    struct tokens p = TOKENS_INIT, c = TOKENS_INIT;
    int apart = -1;
    assert_int_equal(tokenizer_encode(t, prompt->text, prompt->n, FLAGS, &p, NULL), 0);
    p.n = pair_without_end(t, p.ids, p.n);
    assert_ids(&p, prompt_ids);
    const struct text_pair pair = {*prompt, *completion, p.ids, p.n, FLAGS};
    assert_int_equal(pair_encode_completion(t, &pair, &c, &apart, NULL), 0);
    assert_ids(&c, completion_ids);
    assert_int_equal(apart, wanted_apart);
    tokens_free(&p);
    tokens_free(&c);
}

static void assert_pair(const char *prompt, const char *completion, const char *prompt_ids, const char *completion_ids,
                        int wanted_apart)
{
    assert_texts(tok, &(struct pair_text){prompt, strlen(prompt), NULL},
                 &(struct pair_text){completion, strlen(completion), NULL}, prompt_ids, completion_ids, wanted_apart);
}

/* The tokenizer without its normalizer, with another pre-tokenizer; <stop> sought before or behind normalisation; </s>
 * behind every text or not. */
static struct tokenizer *other(const char *pre, int normalized_stop, int ends)
{
    struct tokenizer *t;
    struct error err = {0};
    json_t *doc = json_loads(tokenizer_json, 0, NULL), *vocab = json_object_get(json_object_get(doc, "model"), "vocab"),
           *post = json_object_get(doc, "post_processor");
    json_object_set_new(doc, "normalizer", json_null());
    json_object_set_new(doc, "pre_tokenizer", json_loads(pre, 0, NULL));
    json_object_set_new(json_array_get(json_object_get(doc, "added_tokens"), 3), "normalized",
                        json_boolean(normalized_stop));
    json_object_set_new(vocab, "\xc4\xa0", json_integer(17));
    json_object_set_new(vocab, "\xc4\x8a", json_integer(18));
    if (ends) {
        json_array_append_new(json_object_get(post, "single"),
                              json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", "</s>", "type_id", 0));
        json_object_set_new(json_object_get(post, "special_tokens"), "</s>",
                            json_pack("{s:s, s:[i], s:[s]}", "id", "</s>", "ids", 2, "tokens", "</s>"));
    }
    char *text = json_dumps(doc, 0);
    static const char config[] = "{\"eos_token\":\"</s>\"}";
    if (tokenizer_open_json(&t, "test", text, strlen(text), config, &err))
        fail_msg("%s", err.message);
    free(text);
    json_decref(doc);
    return t;
}

#define METASPACE \
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"first\",\"split\":false}"
#define BYTES(prefix) \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"trim_offsets\":true,\"use_regex\":true}"

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

static void without_the_blank_whatever_puts_it_there(void **state)
{
    (void)state;
    const struct pair_text prompt = {"A: N", 4, NULL}, completion = {"o", 1, NULL};
    struct tokenizer *spaced = other(METASPACE, 0, 0), *bytes = other(BYTES("true"), 0, 0);
    assert_texts(spaced, &prompt, &completion, "1 4 5 6 9", "8", 1);
    assert_texts(bytes, &prompt, &completion, "1 17 5 6 17 7", "8", 1);
    tokenizer_close(spaced);
    tokenizer_close(bytes);
}

static void an_end_that_the_tokenizer_appends_is_none_of_the_completion(void **state)
{
    (void)state;
    struct tokenizer *t = other(METASPACE, 0, 1);
    assert_texts(t, &(struct pair_text){"A:", 2, NULL}, &(struct pair_text){" No", 3, NULL}, "1 4 5 6", "10", 0);
    tokenizer_close(t);
}

static void peoples_words_stay_text_on_both_sides_of_the_border(void **state)
{
    (void)state;
    struct text_span stop = {0, 6}, behind = {1, 7};
    const struct text_spans first = {&stop, 1, 1}, second = {&behind, 1, 1};
    assert_texts(tok, &(struct pair_text){"A:A:A:", 6, NULL}, &(struct pair_text){"<stop>N", 7, &first},
                 "1 4 5 6 5 6 5 6", "0 8 0 7", 0);
    assert_texts(tok, &(struct pair_text){"A:", 2, NULL}, &(struct pair_text){"o<stop>", 7, NULL}, "1 4 5 6", "8 3", 0);
    struct tokenizer *bytes = other(BYTES("false"), 0, 0), *normalized = other(BYTES("false"), 1, 0);
    assert_texts(bytes, &(struct pair_text){"N", 1, NULL}, &(struct pair_text){"o<stop>", 7, &second}, "1 7",
                 "8 0 0 8 0 0", 1);
    struct tokens ids = TOKENS_INIT;
    assert_int_equal(tokenizer_encode_mixed(normalized, &(struct pair_text){"o<stop>", 7, &second},
                                            TOKENIZER_PARSE_SPECIAL, &ids, NULL),
                     0);
    assert_ids(&ids, "8 0 0 8 0 0");
    tokens_free(&ids);
    assert_int_equal(tokenizer_encode_mixed(normalized, &(struct pair_text){"o<stop>", 7, NULL},
                                            TOKENIZER_PARSE_SPECIAL, &ids, NULL),
                     0);
    assert_ids(&ids, "8 3");
    tokens_free(&ids);
    tokenizer_close(bytes);
    tokenizer_close(normalized);
}

static void special_tokens_are_read_in_our_words_only(void **state)
{
    (void)state;
    const char *text = "<stop>a<stop>";
    struct text_span first = {0, 6};
    const struct text_spans people = {&first, 1, 1};
    struct tokens both = TOKENS_INIT, ours = TOKENS_INIT;
    assert_int_equal(tokenizer_encode_mixed(tok, &(struct pair_text){text, strlen(text), &people},
                                            TOKENIZER_PARSE_SPECIAL, &both, NULL),
                     0);
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
    struct template_prompt prompt = {NULL, &shown, 1, "N<stop>"};
    assert_int_equal(template_write(t, &prompt, &text, &people, NULL), 0);
    assert_string_equal(text.data, "A:a<stop>b<stop>\n\nA:N<stop><stop>");
    assert_int_equal(people.n, 3);
    assert_int_equal(people.v[0].from, 2);
    assert_int_equal(people.v[0].to, 3);
    assert_int_equal(people.v[1].from, 9);
    assert_int_equal(people.v[1].to, 16);
    assert_int_equal(people.v[2].from, 20);
    assert_int_equal(people.v[2].to, 27);
    people.n = 0;
    buf_reset(&text);
    prompt.question = NULL;
    assert_int_equal(template_write(t, &prompt, &text, &people, NULL), 0);
    assert_string_equal(text.data, "A:a<stop>b<stop>\n\nA:");
    assert_int_equal(people.n, 2);
    assert_int_equal(people.v[1].from, 9);
    assert_int_equal(people.v[1].to, 16);
    people.n = 0;
    buf_reset(&text);
    template_completion(t, " b<stop> ", &text, &people);
    assert_string_equal(text.data, "b<stop>");
    assert_int_equal(people.n, 1);
    assert_int_equal(people.v[0].from, 0);
    assert_int_equal(people.v[0].to, 7);
    text_spans_free(&people);
    buf_free(&text);
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_completion_is_the_rest_of_both_texts),
        cmocka_unit_test(across_a_token_it_stands_apart_without_the_blank),
        cmocka_unit_test(without_the_blank_whatever_puts_it_there),
        cmocka_unit_test(an_end_that_the_tokenizer_appends_is_none_of_the_completion),
        cmocka_unit_test(peoples_words_stay_text_on_both_sides_of_the_border),
        cmocka_unit_test(special_tokens_are_read_in_our_words_only),
        cmocka_unit_test(a_template_says_whose_words_are_whose),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
