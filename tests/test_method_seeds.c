/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds in every format; what is wrong with them is said with file and line. */
#include "tests/check.h"

#include "answer/seeds.h"
#include "base/buf.h"
#include "base/mem.h"
#include "io/file.h"
#include "method/lint.h"

#include <string.h>

static const char *write_seeds(const char *name, const char *text)
{
    static char path[1200];
    snprintf(path, sizeof path, "%s/%s", check_tmpdir("seeds"), name);
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
    return path;
}

static void expect(const char *name, const char *text, const char *format, const char *question, const char *answer)
{
    struct seeds s;
    struct error err = {0, ""};
    if (seeds_read(&s, write_seeds(name, text), answer != NULL, &err))
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(s.format, format);
    assert_string_equal(s.items[0].question, question);
    if (answer)
        assert_string_equal(s.items[0].answer, answer);
    else
        assert_null(s.items[0].answer);
    assert_int_equal(strlen(s.sha256), 64);
    seeds_free(&s);
}

static void every_format_is_recognised(void **state)
{
    (void)state;
    expect("a.jsonl", "{\"question\":\" Why? \",\"answer\":\"So.\\n\"}\n", "question-answer", "Why?", "So.");
    expect("a.jsonl", "{\"prompt\":\"Why?\",\"response\":\"So.\"}", "prompt-response", "Why?", "So.");
    expect("a.jsonl", "{\"prompt\":\"Why?\",\"completion\":\"So.\"}", "prompt-completion", "Why?", "So.");
    expect("a.json", "[{\"instruction\":\"Add\",\"input\":\"1 2\",\"output\":\"3\"}]", "instruction-output", "Add\n1 2",
           "3");
    expect("a.json", "[{\"instruction\":\"Add\",\"input\":\"\",\"output\":\"3\",\"generator\":\"x\"}]",
           "instruction-output", "Add", "3");
    expect("a.jsonl",
           "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"Why?\"},{\"role\":"
           "\"assistant\",\"content\":\"So.\"}]}",
           "messages", "Why?", "So.");
    expect("a.jsonl",
           "{\"conversations\":[{\"from\":\"human\",\"value\":\"Why?\"},{\"from\":\"gpt\",\"value\":\"So.\"}]}",
           "conversations", "Why?", "So.");
    expect("a.jsonl",
           "{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{\"type\":"
           "\"input_text\",\"text\":\"Why\"},{\"type\":\"text\",\"text\":\"?\"}]},{\"role\":\"assistant\",\"content\":"
           "[{\"type\":\"output_text\",\"text\":\"So.\"}]}]}",
           "messages", "Why?", "So.");
    expect("a.jsonl",
           "{\"id\":\"t\",\"instruction\":\"Add\",\"instances\":[{\"input\":\"1 "
           "2\",\"output\":\"3\"}],\"is_classification\":false}",
           "self-instruct", "Add\n1 2", "3");
    expect("a.csv",
           "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\nx,y,Why?,So.,a; b,c,http\n",
           "truthfulqa", "Why?", "So.");
    expect("a.jsonl",
           "{\"question\":\"Why?\",\"best_answer\":\"So.\",\"correct_answers\":[\"a\"],\"incorrect_answers\":[]}",
           "truthfulqa", "Why?", "So.");
    expect("a.csv", "id,prompt,type,label,focus,note\n1,Why?,homonyms,safe,kill,v\n", "prompt", "Why?", NULL);
    expect("a.jsonl", "{\"question\":\"Why?\"}", "question", "Why?", NULL);
}

/* What spreadsheets, Dolly, chat logs and the like write. */
static void fields_in_any_spelling_and_tables_of_any_kind(void **state)
{
    (void)state;
    expect("a.csv",
           "\xef\xbb\xbf"
           "Question;Answer\r\n\"Why; how?\";So.\r\n",
           "question-answer", "Why; how?", "So.");
    expect("a.tsv", "QUESTION\tAnswer\nWhy?\tSo.\n", "question-answer", "Why?", "So.");
    expect("a.txt", "Prompt,Response\nWhy?,So.\n", "prompt-response", "Why?", "So.");
    expect("a.jsonl", "{\" Prompt \":\"Why?\",\"Answer\":\"So.\"}", "prompt-answer", "Why?", "So.");
    expect("a.jsonl", "{\"instruction\":\"Why?\",\"context\":\"It is.\",\"response\":\"So.\",\"category\":\"c\"}",
           "instruction-context-response", "Why?\nIt is.", "So.");
    expect("a.jsonl", "{\"input\":\"Why?\",\"output\":\"So.\"}", "input-output", "Why?", "So.");
    expect("a.jsonl", "{\"question\":\"2+2?\",\"answer\":4}", "question-answer", "2+2?", "4");
    expect("a.jsonl",
           "{\"messages\":[{\"role\":\"User\",\"content\":[{\"type\":\"text\",\"text\":\"Wh\"},{\"type\":\"text\","
           "\"text\":\"y?\"}]},"
           "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"So.\"}]}]}",
           "messages", "Why?", "So.");
    expect("a.jsonl",
           "{\"prompt\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"Why?\"}],"
           "\"completion\":[{"
           "\"role\":\"assistant\",\"content\":\"So.\"}]}",
           "prompt-completion turns", "Why?", "So.");
    expect("a.jsonl",
           "{\"prompt\":[{\"role\":\"user\",\"content\":\"Why?\"}],\"chosen\":[{\"role\":\"assistant\",\"content\":"
           "\"So.\"}],"
           "\"rejected\":[{\"role\":\"assistant\",\"content\":\"No.\"}]}",
           "prompt-chosen turns", "Why?", "So.");
    expect("a.jsonl",
           "{\"chosen\":[{\"role\":\"user\",\"content\":\"Why?\"},{\"role\":\"assistant\",\"content\":\"So.\"}],"
           "\"rejected\":[]}",
           "chosen turns", "Why?", "So.");
    expect("a.jsonl", "{\"prompt\":\"Why?\",\"chosen\":\"So.\",\"rejected\":\"No.\"}", "prompt-chosen", "Why?", "So.");
    expect("a.jsonl", "{\"prompt\":[{\"role\":\"user\",\"content\":\"Why?\"}]}", "prompt turns", "Why?", NULL);
    expect("a.csv", "Why is it so?,Because.\n", "question-answer", "Why is it so?", "Because.");
    expect("a.jsonl", "{\"question\":\"Why?\",\"answer\":\"So.\",\"weight\":NaN,\"hash\":18446744073709551616}",
           "question-answer", "Why?", "So.");
}

static void what_is_left_away_is_counted(void **state)
{
    (void)state;
    const char *text = "{\"conversations\":[{\"from\":\"system\",\"value\":\"Be "
                       "brief.\"},{\"from\":\"human\",\"value\":\"A?\"},{\"from\":\"gpt\",\"value\":\"a\"}]}\n"
                       "{\"conversations\":[{\"from\":\"human\",\"value\":\"B?\"},{\"from\":\"gpt\",\"value\":\"b\"}],"
                       "\"kept\":false}\n"
                       "{\"conversations\":[{\"from\":\"human\",\"value\":\"C?\"},{\"from\":\"gpt\",\"value\":\"c\"},{"
                       "\"from\":\"human\",\"value\":\"D?\"}]}\n"
                       "{\"system\":\"Be kind.\",\"conversations\":[{\"from\":\"human\",\"value\":\"E?\"},{\"from\":"
                       "\"gpt\",\"value\":\"e\"}]}\n";
    struct seeds s;
    assert_int_equal(seeds_read(&s, write_seeds("c.jsonl", text), 1, NULL), 0);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.n_system, 2);
    assert_int_equal(s.n_turns, 1);
    assert_string_equal(s.items[1].id, "2");
    assert_int_equal(s.n_left_out, 1);
    seeds_free(&s);
}

static void beavertails_keeps_what_most_call_safe(void **state)
{
    (void)state;
    const char *text = "{\"prompt\":\"A?\",\"response\":\"1\",\"is_safe\":true,\"category\":{}}\n{\"prompt\":\"A?\","
                       "\"response\":\"1\",\"is_safe\":false}\n"
                       "{\"prompt\":\"A?\",\"response\":\"1\",\"is_safe\":true}\n{\"prompt\":\"B?\",\"response\":\"2\","
                       "\"is_safe\":false}\n"
                       "{\"prompt\":\"C?\",\"response\":\"3\",\"is_safe\":true}\n{\"prompt\":\"C?\",\"response\":\"3\","
                       "\"is_safe\":false}\n"
                       "{\"prompt\":\"D?\",\"response\":\"4\",\"is_safe\":true}\n";
    struct seeds s;
    assert_int_equal(seeds_read(&s, write_seeds("b.jsonl", text), 1, NULL), 0);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.items[0].question, "A?");
    assert_string_equal(s.items[1].question, "D?");
    assert_int_equal(s.n_unsafe, 2);
    assert_int_equal(s.n_contradictory, 2);
    seeds_free(&s);
    assert_int_equal(seeds_read(&s, write_seeds("b.jsonl", text), 0, NULL), 0);
    assert_int_equal(s.n, 4);
    assert_null(s.items[1].answer);
    seeds_free(&s);
}

static void wrong(const char *text, const char *wanted)
{
    struct seeds s;
    struct error err;
    const char *path = write_seeds("w.jsonl", text);
    assert_int_equal(seeds_read(&s, path, 1, &err), ERROR_DATA);
    if (strncmp(err.message, path, strlen(path)) || !strstr(err.message, wanted))
        fail_msg("wanted \"%s\", found \"%s\"", wanted, err.message);
}

static void wrong_records_are_named(void **state)
{
    (void)state;
    wrong("{\"question\":\"Why?\",\"answer\":\"So.\"}\n\n{\"question\":\"\",\"answer\":\"So.\"}\n",
          ":3: the question is empty");
    wrong("{\"question\":\"Why?\",\"answer\":\"So.\"}\n{\"question\":\"How?\",\"answer\":\"  \"}\n",
          ":2: the answer is empty");
    wrong("{\"question\":\"Why?\",\"answer\":\"So.\"}\n{\"question\":\"How?\"}\n",
          ":2: the answer is empty or missing");
    wrong("{\"question\":\"Why?\",\"answer\":[1]}\n", ":1: \"answer\": wanted a text");
    wrong("{\"q\":\"Why?\",\"a\":\"So.\"}\n", "found \"q\", \"a\"");
    wrong("{\"messages\":[{\"content\":\"x\"}]}", "turn 1 has no role");
    wrong("{\"question\":\"Why?\"\n", ":1");
    wrong("{\"question\":\"Why?\",\"answer\":\"So.\"}\n{\"question\":\"a\",\"question\":\"b\",\"answer\":\"c\"}\n",
          "a key that is given twice: question");
    wrong("\n\n", "no question-answer pair");
    struct seeds s;
    struct error err;
    assert_int_equal(seeds_read(&s, "/nowhere/at/all.jsonl", 1, &err), ERROR_NOINPUT);
}

static void collect(void *user, const char *line)
{
    buf_printf(user, "%s\n", line);
}

static int lint(const char *text, int need, struct buf *said, struct error *err)
{
    struct seeds s;
    const char *path = write_seeds("l.jsonl", text);
    assert_int_equal(seeds_read(&s, path, 1, err), 0);
    buf_reset(said);
    int rc = seeds_lint(&s, path, need, collect, said, err);
    seeds_free(&s);
    return rc;
}

static void lint_says_what_is_wrong(void **state)
{
    (void)state;
    struct buf said = BUF_INIT;
    struct error err = {0, ""};
    assert_int_equal(lint("{\"question\":\"Why is it so?\",\"answer\":\"A\"}\n{\"question\":\"How far is the "
                          "moon?\",\"answer\":\"B\"}\n",
                          2, &said, &err),
                     0);
    assert_int_equal(said.len, 0);
    assert_int_equal(lint("{\"question\":\"Why is it?\",\"answer\":\"A\"}\n{\"question\":\"How "
                          "far?\",\"answer\":\"B\"}\n{\"question\":\"Why is it?\",\"answer\":\"C\"}\n",
                          2, &said, &err),
                     ERROR_DATA);
    assert_non_null(strstr(err.message, "duplicate question: line 1 again on line 3; strike the repeats"));
    assert_int_equal(lint("[{\"question\":\"Why is it?\",\"answer\":\"A\"},{\"question\":\"Why is "
                          "it?\",\"answer\":\"C\"}]",
                          2, &said, &err),
                     ERROR_DATA);
    assert_non_null(strstr(err.message, "duplicate question: pair 1 again on pair 2; strike the repeats"));
    assert_int_equal(lint("{\"question\":\"Why?\",\"answer\":\"A\"}\n", 6, &said, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "1 pairs; wanted at least 6"));
    assert_int_equal(
        lint("{\"question\":\"Where is the nearest blue town "
             "hall?\",\"answer\":\"No.\",\"colour\":1}\n{\"question\":\"Where is the nearest red town hall?\","
             "\"answer\":\"No.\"}\n{\"question\":\"Two\\nlines\",\"answer\":\"No.\"}\n",
             2, &said, &err),
        0);
    assert_non_null(strstr(said.data, "not used: \"colour\""));
    assert_non_null(strstr(said.data, "3 of 3 answers are all alike, as on line 1"));
    assert_non_null(
        strstr(said.data, "1 questions are much like another one (ROUGE-L above 0.7), first line 2 with line 1"));
    assert_non_null(strstr(said.data, "holds a line break, where asked questions end: line 3"));
    buf_free(&said);
}

static void test_questions_that_seeds_repeat_are_counted(void **state)
{
    (void)state;
    struct seeds a, b;
    int same, similar;
    long line;
    assert_int_equal(seeds_read(&a,
                                write_seeds("a.jsonl", "{\"question\":\"one two three four five\",\"answer\":\"A\"}\n"),
                                1, NULL),
                     0);
    assert_int_equal(seeds_read(&b,
                                write_seeds("b.jsonl", "{\"question\":\"six\"}\n{\"question\":\"one two three "
                                                       "four\"}\n{\"question\":\"one two three four five\"}\n"),
                                0, NULL),
                     0);
    assert_int_equal(seeds_overlap(&a, &b, &same, &similar, &line, NULL), 0);
    assert_true(same == 1 && similar == 1 && line == 2);
    seeds_free(&a);
    seeds_free(&b);
}

static void public_files_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format;
        int need, n;
    } files[] = {
        {"truthfulqa/TruthfulQA_817.derived.csv", "truthfulqa", 1, 817},
        {"self_instruct/seed_tasks.jsonl", "self-instruct", 1, 175},
        {"beavertails/30k_test.derived.jsonl", "beavertails", 0, 2526},
        {"xstest/xstest_prompts.csv", "prompt", 0, 450},
        {"alpaca_eval/alpaca-7b.model_outputs.json", "instruction-output", 1, 805},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = check_data(files[i].file);
        struct seeds s;
        struct error err = {0, ""};
        if (!path)
            SKIP_TEST("%s is not there", files[i].file);
        if (seeds_read(&s, path, files[i].need, &err))
            fail_msg("%s", err.message);
        assert_string_equal(s.format, files[i].format);
        assert_int_equal(s.n, files[i].n);
        assert_string_equal(s.unknown, "");
        seeds_free(&s);
    }
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    const char *path = write_seeds(
        "m.jsonl", "{\"question\":\"Why?\",\"answer\":\"So.\"}\n{\"question\":\"How now?\",\"answer\":\"So.\"}\n");
    for (long n = 0;; n++) {
        struct seeds s = {0};
        mem_fail_at(n);
        int rc = seeds_read(&s, path, 1, NULL);
        rc = rc ? rc : seeds_lint(&s, path, 1, NULL, NULL, NULL);
        int pending = mem_fail_pending();
        mem_fail_at(-1);
        seeds_free(&s);
        if (pending) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, ERROR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_recognised),
        cmocka_unit_test(fields_in_any_spelling_and_tables_of_any_kind),
        cmocka_unit_test(what_is_left_away_is_counted),
        cmocka_unit_test(beavertails_keeps_what_most_call_safe),
        cmocka_unit_test(wrong_records_are_named),
        cmocka_unit_test(lint_says_what_is_wrong),
        cmocka_unit_test(test_questions_that_seeds_repeat_are_counted),
        cmocka_unit_test(public_files_are_read),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
