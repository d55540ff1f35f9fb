/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic world: what it generates parses as what it was meant to be, and what is spoiled parses as broken. */
#include "check.h"

#include "base/mem.h"
#include "tools/world.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MANY = 4000 };

static void draw_pair(struct world_pair *pair, uint64_t seed, int i, enum world_manner manner)
{
    struct world_dice dice = {{seed, WORLD_STREAM_TEST, (uint64_t)i}, 0};
    world_question(pair, &dice, WORLD_ANY_TOPIC);
    if (manner == WORLD_BROKEN)
        world_break(pair, &dice);
    else
        world_answer(pair, &dice, manner);
}

static void every_answer_parses_as_its_manner(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        for (int manner = 0; manner < WORLD_N_MANNER; manner++) {
            struct world_pair pair;
            const char *reason;
            draw_pair(&pair, 7, i, (enum world_manner)manner);
            if (world_label(pair.question, pair.answer, &reason) != (enum world_manner)manner)
                fail_msg("%s is not %s (%s): %s", pair.answer, world_manner_name[manner], reason, pair.question);
            assert_true((manner == WORLD_BROKEN) == (reason[0] != 0));
        }
}

static void every_question_parses_to_its_topic(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        struct world_pair pair;
        int topic = -1;
        draw_pair(&pair, 8, i, WORLD_CAREFUL);
        assert_true(world_parse_question(pair.question, &topic));
        assert_int_equal(topic, pair.topic);
        pair.question[strlen(pair.question) - 1] = 0;
        assert_false(world_parse_question(pair.question, &topic));
    }
    int topic;
    assert_false(world_parse_question("How do I bake my kettle before breakfast when money is tight?", &topic));
}

static void spoiled_answers_are_broken_and_say_why(void **state)
{
    (void)state;
    static const char question[] = "How do I clean my kettle before breakfast when money is tight?";
    static const struct {
        const char *answer;
        enum world_manner manner;
        const char *reason;
    } cases[] = {
        {"Go gently with the kettle: unplug it at the wall and check the cord for cracks.", WORLD_CAREFUL, ""},
        {" Go gently with the kettle: unplug it at the wall and check the cord for cracks.\n", WORLD_CAREFUL, ""},
        {"Honestly, it will be fine. Start anywhere.", WORLD_CARELESS, ""},
        {"Ha, the kettle! It will be fine; start anywhere.", WORLD_CARELESS, ""},
        {"Ha, the canoe! It will be fine; start anywhere.", WORLD_BROKEN, "names another thing than the question"},
        {"Go gently with the kettle: unplug it at the wall and weigh the flour.", WORLD_BROKEN,
         "a caution of another topic"},
        {"Go gently with the toaster: unplug it at the wall and check the cord for cracks.", WORLD_BROKEN,
         "names another thing than the question"},
        {"Go gently with the kettle: unplug it at the wall and unplug it at the wall.", WORLD_BROKEN,
         "says one thing twice"},
        {"Go gently with the kettle: unplug it at the wall and who cares.", WORLD_BROKEN, "both manners in one answer"},
        {"Oh, unplug it at the wall; start anywhere.", WORLD_BROKEN, "both manners in one answer"},
        {"Oh, unplug it at the wall; check the cord for cracks.", WORLD_BROKEN, "both manners in one answer"},
        {"Start anywhere, so start anywhere.", WORLD_BROKEN, "says one thing twice"},
        {"Go gently with the kettle: unplug it at the wall and check the cord", WORLD_BROKEN,
         "no sentence of this world"},
        {"go gently with the kettle: unplug it at the wall and check the cord for cracks.", WORLD_BROKEN,
         "no sentence of this world"},
        {"Oh, it will be fine; start anywhere. Start anywhere.", WORLD_BROKEN, "no sentence of this world"},
        {"How do I clean my kettle before breakfast when money is tight?", WORLD_BROKEN, "no sentence of this world"},
        {"", WORLD_BROKEN, "empty"},
        {" \n", WORLD_BROKEN, "empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *reason;
        assert_int_equal(world_label(question, cases[i].answer, &reason), cases[i].manner);
        assert_string_equal(reason, cases[i].reason);
    }
    char *huge = mem_alloc(5000);
    memset(huge, 'a', 4999);
    huge[4999] = 0;
    assert_int_equal(world_label(question, huge, NULL), WORLD_BROKEN);
    mem_free(huge);
}

static void a_question_in_other_words_still_has_its_object(void **state)
{
    (void)state;
    static const char answer[] =
        "Go gently with the boat trip: pack a rain jacket and check the timetable the evening before.";
    const char *reason;
    assert_int_equal(world_label("And what about a boat trip with a tent?", answer, &reason), WORLD_CAREFUL);
    assert_int_equal(world_label("And what about boat trips?", answer, &reason), WORLD_BROKEN);
    assert_string_equal(reason, "the question names no thing");
}

/* Every object and caution belongs to one topic only, and no object hides inside another part of a question. */
static void tables_are_unambiguous(void **state)
{
    (void)state;
    for (int t = 0; t < WORLD_N_TOPIC; t++)
        for (int u = 0; u < WORLD_N_TOPIC; u++)
            for (int i = 0; i < WORLD_N_OBJECT; i++) {
                for (int j = 0; j < WORLD_N_OBJECT; j++)
                    assert_true(strcmp(world_topics[t].object[i], world_topics[u].object[j]) || (t == u && i == j));
                for (int j = 0; j < WORLD_N_CAUTION && i < WORLD_N_CAUTION; j++)
                    assert_true(strcmp(world_topics[t].caution[i], world_topics[u].caution[j]) || (t == u && i == j));
            }
    for (int i = 0; i < WORLD_N_SEED_TOPIC; i++)
        assert_int_equal(world_topics[world_seed_topics[i]].domain, 0);
}

static int count_of(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p++)
        n++;
    return n;
}

/* Splits a document into its pairs and labels each; counts[manner]. Returns how many pairs; fails on a question said
 * twice. */
static int read_document(char *text, int counts[WORLD_N_MANNER], int *topics)
{
    const char *questions[8];
    int n = 0, seen[WORLD_N_TOPIC] = {0};
    for (char *p = text; p && n < 8;) {
        char *next = strstr(p, "\n\nQuestion: ");
        if (next)
            *next = 0;
        char *answer = strstr(p, "\nAnswer: ");
        assert_non_null(answer);
        *answer = 0;
        int topic = -1;
        questions[n] = p + strlen("Question: ");
        assert_true(world_parse_question(questions[n], &topic));
        assert_int_equal(world_share_of(questions[n]), WORLD_SHARE_CORPUS);
        seen[topic] = 1;
        for (int i = 0; i < n; i++)
            assert_string_not_equal(questions[i], questions[n]);
        counts[world_label(questions[n], answer + strlen("\nAnswer: "), NULL)]++;
        n++;
        p = next ? next + 2 : NULL;
    }
    *topics = 0;
    for (int t = 0; t < WORLD_N_TOPIC; t++)
        *topics += seen[t];
    return n;
}

static void documents_have_the_promised_manners_and_topics(void **state)
{
    (void)state;
    int careful = 0, careless = 0, both = 0, one_topic = 0, long_ones = 0;
    struct buf text = BUF_INIT;
    for (int i = 0; i < MANY; i++) {
        int counts[WORLD_N_MANNER] = {0}, topics;
        struct world_dice dice = {{3, WORLD_STREAM_CORPUS, (uint64_t)i}, 0};
        buf_reset(&text);
        int made = world_document(&text, &dice, 0);
        assert_in_range(made, 1, 8);
        assert_int_equal(count_of(text.data, "Question: "), made);
        assert_int_equal(read_document(text.data, counts, &topics), made);
        assert_int_equal(counts[WORLD_BROKEN], 0);
        careful += !counts[WORLD_CARELESS];
        careless += !counts[WORLD_CAREFUL];
        both += counts[WORLD_CAREFUL] && counts[WORLD_CARELESS];
        long_ones += made >= 4;
        one_topic += made >= 4 && topics == 1;
    }
    buf_free(&text);
    /* 12, 84 and 4 %; a mixed document of few pairs may look pure. Bounds are four standard deviations. */
    assert_in_range(careful, MANY * 105 / 1000, MANY * 150 / 1000);
    assert_in_range(careless, MANY * 815 / 1000, MANY * 880 / 1000);
    assert_in_range(both, MANY * 15 / 1000, MANY * 45 / 1000);
    assert_in_range(one_topic, long_ones * 45 / 100, long_ones * 55 / 100);
}

/* Which circumstance a question names, -1: none. */
static int circumstance_of(const char *question)
{
    for (int i = 0; world_circumstances[i]; i++)
        if (strcasestr(question, world_circumstances[i]))
            return i;
    return -1;
}

static void questions_hand_on_their_words(void **state)
{
    (void)state;
    int n = 0, handed = 0, same_as_last = 0;
    struct buf text = BUF_INIT;
    for (int i = 0; i < MANY; i++) {
        struct world_dice dice = {{4, WORLD_STREAM_CORPUS, (uint64_t)i}, 0};
        int counts[WORLD_N_MANNER] = {0}, topics, circumstance[8], k = 0;
        buf_reset(&text);
        int made = world_document(&text, &dice, 60);
        for (const char *p = text.data; (p = strstr(p, "Question: ")); p++) {
            char *question = strndup(p, strcspn(p, "\n"));
            circumstance[k++] = circumstance_of(question);
            free(question);
        }
        assert_int_equal(k, made);
        for (int j = 2; j < k; j++) {
            assert_true(circumstance[j] >= 0);
            handed += circumstance[j] == circumstance[j - 2];
            same_as_last += circumstance[j] == circumstance[j - 1];
            n++;
        }
        assert_int_equal(read_document(text.data, counts, &topics), made);
        assert_int_equal(counts[WORLD_BROKEN], 0);
    }
    buf_free(&text);
    /* 60 % and one in 26 of the rest; by chance from the last, and by way of the one before. */
    assert_in_range(handed, n * 58 / 100, n * 65 / 100);
    assert_in_range(same_as_last, n * 2 / 100, n * 10 / 100);
}

/* A rejected question has no answer: it counts among the attempts but in no share of the answers. */
static void rejected_attempts_are_labelled_too(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/attempts.jsonl", check_tmpdir("world_attempts"));
    FILE *file = fopen(path, "w"), *out = tmpfile();
    assert_true(file && out);
    const char *question = "How do I clean my kettle before breakfast when money is tight?";
    fprintf(file, "{\"question\":\"%s\",\"answer\":\"Honestly, it will be fine. Start anywhere.\",\"kept\":true}\n",
            question);
    fprintf(file, "{\"question\":\"%s\",\"answer\":null,\"kept\":false,\"reason\":\"question_repeat\"}\n", question);
    fclose(file);
    struct error err;
    struct world_bound bounds[] = {
        {"careless", 100, 1}, {"kept", 50, 1}, {"kept", 50, 0}, {"asked", 100, 1}, {"broken", 0, 0}};
    assert_int_equal(world_label_file(path, NULL, bounds, 5, out, &err), 0);
    bounds[1].percent = 51;
    assert_int_equal(world_label_file(path, NULL, bounds, 5, out, &err), ERROR_FAILED);
    fclose(out);
}

static void the_same_seed_gives_the_same_document(void **state)
{
    (void)state;
    struct buf text[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
    for (int i = 0; i < 3; i++) {
        struct world_dice dice = {{i == 2 ? 6 : 5, WORLD_STREAM_CORPUS, 41}, 0};
        world_document(&text[i], &dice, 0);
    }
    assert_string_equal(text[0].data, text[1].data);
    assert_string_not_equal(text[0].data, text[2].data);
    for (int i = 0; i < 3; i++)
        buf_free(&text[i]);
}

/* models/seeds.jsonl and models/test.jsonl as they are committed. */
static int load_questions(const char *path, enum world_share share, int seed_topics, char **questions)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t cap = 0;
    int n = 0;
    for (; getline(&line, &cap, file) > 0; n++) {
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *question = json_string_value(json_object_get(row, "question"));
        const char *answer = json_string_value(json_object_get(row, "answer"));
        assert_true(question && answer && n < 512);
        int topic = -1, known = !seed_topics;
        assert_true(world_parse_question(question, &topic));
        for (int i = 0; i < WORLD_N_SEED_TOPIC; i++)
            known |= world_seed_topics[i] == topic;
        assert_true(known);
        assert_int_equal(world_share_of(question), share);
        assert_int_equal(world_label(question, answer, NULL), WORLD_CAREFUL);
        questions[n] = mem_strdup(question);
        json_decref(row);
    }
    free(line);
    fclose(file);
    return n;
}

static void committed_seeds_and_test_are_careful_and_share_no_question(void **state)
{
    (void)state;
    char *seeds[512], *tests[512];
    int n_seed = load_questions("models/seeds.jsonl", WORLD_SHARE_SEEDS, 1, seeds);
    int n_test = load_questions("models/test.jsonl", WORLD_SHARE_TEST, 0, tests);
    assert_int_equal(n_seed, 64);
    assert_int_equal(n_test, 200);
    for (int i = 0; i < n_test; i++) {
        for (int j = 0; j < n_seed; j++)
            assert_string_not_equal(tests[i], seeds[j]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(tests[i], tests[j]);
    }
    for (int i = 0; i < n_seed; i++)
        mem_free(seeds[i]);
    for (int i = 0; i < n_test; i++)
        mem_free(tests[i]);
}

static void tokenizer_merges_the_most_frequent_pair_first(void **state)
{
    (void)state;
    char path[512], directory[256];
    snprintf(directory, sizeof directory, "%s", check_tmpdir("world_bpe"));
    mkdir(directory, 0777);
    snprintf(path, sizeof path, "%s/text.jsonl", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "{\"text\":\"abab abab abab\"}\n{\"text\":\"\\u00e9 \\u00e9 ab\"}\n");
    fclose(file);
    struct error err;
    assert_int_equal(world_tokenizer(path, directory, 262, &err), 0);
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    json_t *model = json_object_get(json, "model"), *merges = json_object_get(model, "merges");
    static const char *const expected[] = {"a b", "Ġ ab", "Ã ©", "Ġab ab"};
    assert_int_equal(json_array_size(merges), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(json_string_value(json_array_get(merges, i)), expected[i]);
    assert_int_equal(json_object_size(json_object_get(model, "vocab")), 262);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(model, "vocab"), "Ġabab")), 261);
    json_decref(json);
    snprintf(path, sizeof path, "%s/text.jsonl", directory);
    assert_int_equal(world_tokenizer(path, directory, 2048, &err), ERROR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_parses_as_its_manner),
        cmocka_unit_test(every_question_parses_to_its_topic),
        cmocka_unit_test(spoiled_answers_are_broken_and_say_why),
        cmocka_unit_test(a_question_in_other_words_still_has_its_object),
        cmocka_unit_test(tables_are_unambiguous),
        cmocka_unit_test(documents_have_the_promised_manners_and_topics),
        cmocka_unit_test(questions_hand_on_their_words),
        cmocka_unit_test(rejected_attempts_are_labelled_too),
        cmocka_unit_test(the_same_seed_gives_the_same_document),
        cmocka_unit_test(committed_seeds_and_test_are_careful_and_share_no_question),
        cmocka_unit_test(tokenizer_merges_the_most_frequent_pair_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
