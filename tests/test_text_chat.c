/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations: the prompt, and which tokens are the assistant's, under templates with and without generation
 * blocks. */
#include "check.h"

#include "base/mem.h"
#include "io/file.h"
#include "text/chat.h"
#include "train/train.h"

#include <string.h>

/* Letters, "ab" in one token, and four special tokens. */
static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
    "{\"id\":0,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
    "\"special\":true},"
    "{\"id\":1,\"content\":\"</"
    "s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true},"
    "{\"id\":2,\"content\":\"<u>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
    "\"special\":true},"
    "{\"id\":3,\"content\":\"<a>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
    "\"special\":true}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
    "\"use_regex\":false},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"<u>\","
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
    "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{\"<s>\":0,\"</"
    "s>\":1,\"<u>\":2,\"<a>\":3,\"a\":4,\"b\":5,\"c\":6,\"d\":7,\"ab\":8,\"\xc4\x8a\":9,\":\":10,\"\xc4\xa0\":11,\"::"
    "\":12},"
    "\"merges\":[\"a b\",\": :\"]}}";

#define MARKS                                                                                                     \
    "{{ bos_token }}{% for m in messages %}{{ '<u>' if m.role == 'user' else '<a>' }}{{ m.content + eos_token + " \
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"

static struct tokenizer *open_with(const char *template)
{
    struct tokenizer *t;
    struct error err = {0};
    json_t *config = json_pack("{s:s,s:s,s:s}", "bos_token", "<s>", "eos_token", "</s>", "chat_template", template);
    char *text = json_dumps(config, 0);
    if (tokenizer_open_json(&t, "test", tokenizer_json, sizeof tokenizer_json - 1, text, &err))
        fail_msg("%s", err.message);
    free(text);
    json_decref(config);
    return t;
}

/* Targets in brackets, as text. */
static void expect(const char *template, const char *conversation, const char *wanted, int n_turn, int n_skipped,
                   int crosses)
{
    struct tokenizer *t = open_with(template);
    struct chat *c;
    struct chat_row row;
    struct error err = {0};
    struct buf shown = BUF_INIT;
    json_t *record = json_loads(conversation, 0, NULL);
    assert_non_null(record);
    if (chat_open(&c, t, &err) || chat_row(c, record, &row, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < row.ids.n; i++) {
        if (row.target[i] && (!i || !row.target[i - 1]))
            buf_putc(&shown, '[');
        tokenizer_decode(t, &row.ids.ids[i], 1, 0, &shown, NULL);
        if (row.target[i] && (i + 1 == row.ids.n || !row.target[i + 1]))
            buf_putc(&shown, ']');
    }
    assert_string_equal(shown.data, wanted);
    assert_int_equal(row.n_turn, n_turn);
    assert_int_equal(row.n_skipped, n_skipped);
    assert_int_equal(row.crosses, crosses);
    buf_free(&shown);
    chat_row_free(&row);
    json_decref(record);
    chat_close(c);
    tokenizer_close(t);
}

#define TWO                                                                                                        \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"ab\"},{\"role\":\"assistant\",\"content\":\"cd\"},{\"role\":" \
    "\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"ab c\"}]}"

static void test_only_the_assistants_turns_and_their_ends_are_targets(void **state)
{
    (void)state;
    expect(MARKS, TWO, "<s><u>ab</s>\n<a>[cd</s>]\n<u>a</s>\n<a>[ab c</s>]\n", 2, 0, 0);
    /* generation blocks say it themselves, here without the end of the turn */
    expect("{% for m in messages %}{% if m.role == 'assistant' %}<a>{% generation %}{{ m.content }}{% endgeneration "
           "%}</s>{% else %}<u>{{ m.content }}{% endif %}{% endfor %}",
           TWO, "<u>ab<a>[cd]</s><u>a<a>[ab c]</s>", 2, 0, 0);
    /* no special token ends the turn: all of it is trained, the line feed too */
    expect("{% for m in messages %}{{ m.role[0] if m.role == 'assistant' else 'b' }}: {{ m.content + '\n' }}{% endfor "
           "%}{% if add_generation_prompt %}a: {% endif %}",
           TWO, "b: ab\na: [cd\n]b: a\na: [ab c\n]", 2, 0, 0);
}

static void test_a_turn_that_begins_inside_a_token_is_said(void **state)
{
    (void)state;
    expect("{% for m in messages %}{% if m.role == 'user' %}b{{ m.content }}:{% else %}:{{ m.content }}</s>{% endif "
           "%}{% endfor %}",
           "{\"messages\":[{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"}]}",
           "bc[::d</s>]", 1, 0, 1);
}

static void test_turns_that_the_template_rewrites_are_left_out_and_counted(void **state)
{
    (void)state;
    expect("{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content }}{% elif loop.last %}<a>{{ m.content "
           "}}</s>{% else %}<a></s>{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
           TWO, "<u>ab<a></s><u>a<a>[ab c</s>]", 2, 1, 0);
}

static void renders(const char *config, const char *conversation, const char *wanted)
{
    struct tokenizer *t;
    struct chat *c = NULL;
    struct error err = {0};
    struct buf text = BUF_INIT;
    json_t *record = json_loads(conversation, 0, NULL);
    assert_int_equal(tokenizer_open_json(&t, "test", tokenizer_json, sizeof tokenizer_json - 1, config, &err), 0);
    int rc = chat_open(&c, t, &err);
    rc = rc ? rc : chat_render(c, record, 1, &text, &err);
    if (wanted ? rc || strcmp(text.data, wanted) : !rc)
        fail_msg("%s: \"%s\", %s", conversation, text.data ? text.data : "", err.message);
    buf_free(&text);
    json_decref(record);
    chat_close(c);
    tokenizer_close(t);
}

/* As transformers 5.24 chooses and what it hands over (get_chat_template, special_tokens_map). */
static void test_named_templates_and_every_special_token(void **state)
{
    (void)state;
    static const char both[] = "{\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},{\"name\":\"tool_use\","
                               "\"template\":\"T\"},{\"name\":\"rag\",\"template\":\"R\"}]}";
    static const char tools_only[] = "{\"chat_template\":{\"tool_use\":\"T\"}}",
                      other[] = "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"R\"}]}";
    static const char special[] = "{\"sep_token\":\"<u>\",\"cls_token\":{\"content\":\"<a>\"},\"mask_token\":\"<m>\","
                                  "\"image_token\":\"<i>\",\"extra_special_tokens\":{\"think\":\"<t>\"},"
                                  "\"chat_template\":\"{{ sep_token }}{{ cls_token }}{{ mask_token }}{{ image_token "
                                  "}}{{ think }}{{ nothing_token }}\"}";
#define PLAIN "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"
    renders(both, PLAIN "}", "D");
    renders(both, PLAIN ",\"tools\":null}", "D");
    renders(both, PLAIN ",\"tools\":[]}", "T");
    renders(both, PLAIN ",\"tools\":[{\"a\":1}]}", "T");
    renders(tools_only, PLAIN ",\"tools\":[]}", "T");
    renders(tools_only, PLAIN "}", NULL);
    renders(other, PLAIN "}", NULL);
    renders(special, PLAIN "}", "<u><a><m><i><t>");
    renders("{\"tokenizer_class\":\"C\",\"model_specific_special_tokens\":{\"think\":\"<t>\"},\"chat_template\":\"{{ "
            "think }}|{{ tokenizer_class }}|{{ unk_token }}|{{ pad_token }}\"}",
            PLAIN "}", "<t>|||"); /* the model's unk_token is not the configuration's */
    renders("{\"chat_template\":\"{{ documents }}|{{ x }}|{{ tools }}\"}",
            PLAIN ",\"documents\":[{\"title\":\"d\"}],\"chat_template_kwargs\":{\"x\":3}}", "[{'title': 'd'}]|3|None");
    /* of a message: null is not there, reasoning has its other names too */
    renders("{\"chat_template\":\"{{ messages[0] }}\"}",
            "{\"messages\":[{\"role\":\"user\",\"content\":null,\"n\":{\"x\":null}}]}",
            "{'role': 'user', 'n': {'x': None}}");
    renders("{\"chat_template\":\"{{ messages[0] }}\"}", "{\"messages\":[{\"role\":\"user\",\"reasoning\":\"r\"}]}",
            "{'thinking': 'r', 'role': 'user', 'reasoning': 'r', 'reasoning_content': 'r'}");
    renders("{\"chat_template\":\"{{ 'a\\\\x00b' }}\"}", PLAIN "}", NULL);
}

static int leaves_end(const char *template)
{
    struct tokenizer *t = open_with(template);
    struct chat *c;
    struct chat_row row;
    struct error err = {0};
    json_t *record = json_loads(TWO, 0, NULL);
    assert_int_equal(chat_open(&c, t, &err), 0);
    assert_int_equal(chat_row(c, record, &row, &err), 0);
    int left = row.end_untrained;
    chat_row_free(&row);
    json_decref(record);
    chat_close(c);
    tokenizer_close(t);
    return left;
}

static void test_a_generation_block_that_leaves_the_end_is_said(void **state)
{
    (void)state;
    assert_int_equal(
        leaves_end("{% for m in messages %}<a>{% generation %}{{ m.content }}{% endgeneration %}</s>{% endfor %}"), 1);
    assert_int_equal(
        leaves_end("{% for m in messages %}<a>{% generation %}{{ m.content }}</s>{% endgeneration %}{% endfor %}"), 0);
    assert_int_equal(leaves_end(MARKS), 0);
}

static void test_prompts_and_what_is_wrong_with_conversations(void **state)
{
    (void)state;
    struct tokenizer *t = open_with(MARKS), *plain, *strange;
    struct chat *c;
    struct error err = {0};
    struct buf text = BUF_INIT;
    struct tokens ids = TOKENS_INIT;
    json_t *one = json_loads("{\"messages\":[{\"role\":\"user\",\"content\":\"ab\"}]}", 0, NULL),
           *none = json_loads("{\"messages\":[]}", 0, NULL),
           *bare = json_loads("{\"messages\":[{\"content\":\"a\"}]}", 0, NULL);
    assert_int_equal(chat_open(&c, t, &err), 0);
    assert_int_equal(chat_render(c, one, 1, &text, &err), 0);
    assert_string_equal(text.data, "<s><u>ab</s>\n<a>");
    assert_int_equal(chat_encode(c, text.data, text.len, &ids, &err), 0);
    assert_int_equal(ids.n, 6);
    assert_int_equal(ids.ids[0], 0);
    assert_int_equal(ids.ids[5], 3);
    assert_int_equal(chat_render(c, none, 1, &text, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "at least one message"));
    assert_int_equal(chat_render(c, bare, 1, &text, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "\"messages\"[0]"));
    chat_close(c);
    assert_int_equal(tokenizer_open_json(&plain, "plain.json", tokenizer_json, sizeof tokenizer_json - 1, NULL, &err),
                     0);
    assert_int_equal(chat_open(&c, plain, &err), ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "has none"));
    strange = open_with("{% include 'x' %}");
    assert_int_equal(chat_open(&c, strange, &err), ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "\"include\""));
    tokenizer_close(t);
    tokenizer_close(plain);
    tokenizer_close(strange);
    tokens_free(&ids);
    buf_free(&text);
    json_decref(one);
    json_decref(none);
    json_decref(bare);
}

static void test_conversations_become_training_rows(void **state)
{
    (void)state;
    struct tokenizer *t = open_with(MARKS);
    struct model_desc d = {.n_vocab = 13, .n_ctx = 100, .n_eos = 1, .eos_ids = {1}};
    struct train_data data;
    struct error err = {0};
    char path[300];
    int targets = 0;
    snprintf(path, sizeof path, "%s/rows.jsonl", check_tmpdir("text_chat"));
    static const char rows[] = TWO "\n{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n";
    assert_int_equal(file_write(path, rows, sizeof rows - 1, NULL), 0);
    if (train_data_read(&data, (struct record_source){.path = path},
                        &(struct row_maker){.tokenizer = t, .desc = &d, .max_length = 90}, &err))
        fail_msg("%s", err.message);
    assert_int_equal(data.n, 1); /* the second has no turn to train on */
    assert_int_equal(data.n_dropped, 1);
    assert_int_equal(data.n_turn, 2);
    for (int i = 0; i < data.rows[0].n; i++)
        targets += data.rows[0].target[i];
    assert_int_equal(targets, 3 + 4);
    assert_int_equal(data.n_target, targets);
    train_data_free(&data);
    tokenizer_close(t);
}

/* ShareGPT's and TRL's forms of one conversation are the same row as its messages. */
static void test_conversations_of_every_form_are_the_same_row(void **state)
{
    (void)state;
    static const char rows[] = TWO
        "\n{\"conversations\":[{\"from\":\"human\",\"value\":\"ab\"},{\"from\":\"gpt\",\"value\":\"cd\"},{\"from\":"
        "\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"ab c\"}]}\n"
        "{\"prompt\":[{\"role\":\"user\",\"content\":\"ab\"},{\"role\":\"assistant\",\"content\":\"cd\"},{\"role\":"
        "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}],\"completion\":[{\"role\":\"assistant\","
        "\"content\":"
        "\"ab c\"}]}\n"
        "{\"system\":\"ab\",\"conversations\":[{\"from\":\"human\",\"value\":\"ab\"},{\"from\":\"gpt\",\"value\":"
        "\"cd\"}]"
        "}\n{\"messages\":[{\"role\":\"system\",\"content\":\"ab\"},{\"role\":\"user\",\"content\":\"ab\"},{\"role\":"
        "\"assistant\",\"content\":\"cd\"}]}\n";
    struct tokenizer *t = open_with(MARKS);
    struct model_desc d = {.n_vocab = 13, .n_ctx = 100, .n_eos = 1, .eos_ids = {1}};
    struct train_data data;
    struct error err = {0, ""};
    char path[300];
    snprintf(path, sizeof path, "%s/rows.jsonl", check_tmpdir("text_chat"));
    assert_int_equal(file_write(path, rows, sizeof rows - 1, NULL), 0);
    if (train_data_read(&data, (struct record_source){.path = path},
                        &(struct row_maker){.tokenizer = t, .desc = &d, .max_length = 90}, &err))
        fail_msg("%s", err.message);
    assert_int_equal(data.n, 5);
    for (int i = 1; i < 5; i++) {
        const struct train_row *a = &data.rows[i < 3 ? 0 : 3], *b = &data.rows[i];
        assert_int_equal(a->n, b->n);
        assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
        assert_memory_equal(a->target, b->target, (size_t)a->n);
    }
    train_data_free(&data);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_assistants_turns_and_their_ends_are_targets),
        cmocka_unit_test(test_a_turn_that_begins_inside_a_token_is_said),
        cmocka_unit_test(test_turns_that_the_template_rewrites_are_left_out_and_counted),
        cmocka_unit_test(test_named_templates_and_every_special_token),
        cmocka_unit_test(test_a_generation_block_that_leaves_the_end_is_said),
        cmocka_unit_test(test_prompts_and_what_is_wrong_with_conversations),
        cmocka_unit_test(test_conversations_become_training_rows),
        cmocka_unit_test(test_conversations_of_every_form_are_the_same_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
