/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "text/template.h"

#include <string.h>

static struct template *builtin(void)
{
    struct template *t;
    assert_int_equal(template_builtin(&t, NULL), 0);
    return t;
}

static struct template *from(const char *text)
{
    struct template *t;
    struct error err = {0};
    if (template_read(&t, text, strlen(text), "t.yaml", &err))
        fail_msg("%s", err.message);
    return t;
}

static void refuses(const char *text, const char *why)
{
    struct template *t;
    struct error err = {0};
    assert_int_equal(template_read(&t, text, strlen(text), "t.yaml", &err), ERROR_CONFIG);
    assert_null(t);
    if (!strstr(err.message, why))
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static const struct example two[] = {{"Why is the sky blue?", "Air scatters blue light."},
                                     {" What is rust? ", " Iron oxide.\n"}};

static void prompt(const struct template *t, const struct example *examples, size_t n, const char *question,
                   struct buf *b)
{
    assert_int_equal(template_write(t, &(struct template_prompt){NULL, examples, n, question}, b, NULL, NULL), 0);
}

static void builtin_writes_pairs_then_the_beginning_of_one_more(void **state)
{
    (void)state;
    struct template *t = builtin();
    struct buf b = BUF_INIT;
    prompt(t, two, 2, NULL, &b);
    assert_string_equal(b.data, "Question: Why is the sky blue?\nAnswer: Air scatters blue light.\n\nQuestion: What is "
                                "rust?\nAnswer: Iron oxide.\n\nQuestion:");
    buf_reset(&b);
    prompt(t, two, 1, "What is {a} rust?", &b);
    assert_string_equal(
        b.data,
        "Question: Why is the sky blue?\nAnswer: Air scatters blue light.\n\nQuestion: What is {a} rust?\nAnswer:");
    buf_reset(&b);
    prompt(t, NULL, 0, "What is rust?", &b);
    assert_string_equal(b.data, "Question: What is rust?\nAnswer:");
    template_completion(t, "Iron oxide.", &b, NULL);
    assert_string_equal(b.data, "Question: What is rust?\nAnswer: Iron oxide.");
    buf_free(&b);
    template_free(t);
}

static int question(const struct template *t, const char *generated, int at_eos, struct buf *b)
{
    buf_reset(b);
    return template_parse_question(t, generated, strlen(generated), at_eos, b);
}

static int answer(const struct template *t, const char *generated, int at_eos, struct buf *b)
{
    buf_reset(b);
    return template_parse_answer(t, generated, strlen(generated), at_eos, b);
}

static void a_question_ends_at_a_line_break(void **state)
{
    (void)state;
    struct template *t = builtin();
    struct buf b = BUF_INIT;
    assert_int_equal(question(t, " How do I cook rice?\nAnswer: Boil", 0, &b), 1);
    assert_string_equal(b.data, "How do I cook rice?");
    assert_int_equal(question(t, " How do I cook", 0, &b), 0);
    assert_string_equal(b.data, "How do I cook");
    assert_int_equal(question(t, " How do I cook", 1, &b), 1);
    assert_int_equal(question(t, "\n\nAnswer: x", 0, &b), 1);
    assert_int_equal(b.len, 0);
    assert_string_equal(template_ask_stop(t), "\n");
    buf_free(&b);
    template_free(t);
}

static void an_answer_ends_where_the_next_question_would_begin(void **state)
{
    (void)state;
    struct template *t = builtin();
    struct buf b = BUF_INIT;
    assert_int_equal(answer(t, " First.\n\nSecond line. Question: no\n\nQuestion: Next?", 0, &b), 1);
    assert_string_equal(b.data, "First.\n\nSecond line. Question: no");
    assert_int_equal(answer(t, " First.\nQuestion:", 0, &b), 1);
    assert_string_equal(b.data, "First.");
    assert_int_equal(answer(t, " First.\n\nQuest", 0, &b), 0);
    assert_int_equal(answer(t, " All of it. ", 1, &b), 1);
    assert_string_equal(b.data, "All of it.");
    assert_int_equal(answer(t, " Question: again?", 0, &b), 1);
    assert_int_equal(b.len, 0);
    assert_string_equal(template_answer_stop(t), "\nQuestion:");
    buf_free(&b);
    template_free(t);
}

static void a_file_needs_only_the_pair(void **state)
{
    (void)state;
    struct template *t =
        from("pair: \"USER: {q} ASSISTANT:{a}\"\npreamble: \"BEGINNING OF CONVERSATION: \"\nseparator: \"</s>\"\n");
    struct buf b = BUF_INIT;
    prompt(t, two, 1, "Q", &b);
    assert_string_equal(b.data, "BEGINNING OF CONVERSATION: USER: Why is the sky blue? ASSISTANT:Air scatters blue "
                                "light.</s>USER: Q ASSISTANT:");
    buf_reset(&b);
    template_completion(t, "A", &b, NULL);
    assert_string_equal(b.data, "A");
    buf_reset(&b);
    template_describe(t, &b);
    assert_string_equal(b.data,
                        "{\"pair\":\"USER: {q} ASSISTANT:{a}\",\"preamble\":\"BEGINNING OF CONVERSATION: "
                        "\",\"separator\":\"</s>\",\"ask\":\"USER:\","
                        "\"answer\":\"USER: {q} "
                        "ASSISTANT:\",\"completion\":\"{a}\",\"question_end\":\"\\n\",\"answer_end\":\"\\nUSER:\"}");
    template_free(t);
    t = from("{\"pair\": \"{q}\\n{a}\", \"answer_end\": \"###\"}"); /* JSON */
    buf_reset(&b);
    prompt(t, two, 1, NULL, &b);
    assert_string_equal(b.data, "Why is the sky blue?\nAir scatters blue light.\n\n");
    assert_string_equal(template_answer_stop(t), "###");
    template_free(t);
    buf_free(&b);
}

/* What stands before {q} in a pair stands before what is asked for; only blanks at its end would begin a token of the
 * question's first word. */
static void a_derived_ask_keeps_its_line_feed(void **state)
{
    (void)state;
    struct template *t = from("{\"pair\": \"user\\n{q}\\nme\\n{a}\"}");
    struct buf b = BUF_INIT;
    prompt(t, NULL, 0, NULL, &b);
    assert_string_equal(b.data, "user\n");
    assert_string_equal(template_answer_stop(t), "\nuser");
    template_free(t);
    t = from("{\"pair\": \"user \\t{q} {a}\"}");
    buf_reset(&b);
    prompt(t, NULL, 0, NULL, &b);
    assert_string_equal(b.data, "user");
    template_free(t);
    buf_free(&b);
}

static void a_bad_file_is_refused_by_name(void **state)
{
    (void)state;
    refuses("ask: x\n", "\"pair\" is missing");
    refuses("", "\"pair\" is missing");
    refuses("pair: \"{a} {q}\"\n", "{q} once and then {a}");
    refuses("pair: \"{q} {q} {a}\"\n", "{q} once and then {a}");
    refuses("pair: \"{q}{a}\"\nanser: x\n", "unknown field \"anser\"");
    refuses("pair: \"{q}{a}\"\npair: \"{q}{a}\"\n", "twice");
    refuses("pair: [\"{q}\"]\n", "mapping of strings");
    refuses("- pair\n", "mapping of strings");
    refuses("pair: \"{q}\n", "line");
    refuses("{\"pair\": 1}", "wanted a string");
    refuses("{\"pair\": ", "line 1");
    refuses("pair: \"{q}{a}\"\nanswer: no hole\n", "answer: wanted {q}");
    refuses("pair: \"{q}{a}\"\ncompletion: no hole\n", "completion: wanted {a}");
    refuses("pair: \"{q}{a}\"\nquestion_end: \"\"\n", "must not be empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_writes_pairs_then_the_beginning_of_one_more),
        cmocka_unit_test(a_question_ends_at_a_line_break),
        cmocka_unit_test(an_answer_ends_where_the_next_question_would_begin),
        cmocka_unit_test(a_file_needs_only_the_pair),
        cmocka_unit_test(a_derived_ask_keeps_its_line_feed),
        cmocka_unit_test(a_bad_file_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
