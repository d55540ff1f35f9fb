/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds and generated questions that are in the test set. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "answer/seeds.h"
#include "io/file.h"
#include "io/jsonl.h"

#include <stdlib.h>
#include <string.h>

/* The test set of `from` and one more question. */
static void write_test(const char *path, const char *from, const char *question)
{
    struct buf b = BUF_INIT;
    json_t *row = json_pack("{s:s, s:s}", "question", question, "answer", "So.");
    char *line = json_dumps(row, 0);
    assert_int_equal(file_read(&b, from, 1 << 20, NULL), 0);
    buf_printf(&b, "%s\n", line);
    assert_int_equal(file_write(path, b.data, b.len, NULL), 0);
    json_decref(row);
    free(line);
    buf_free(&b);
}

/* The row of round 1 with this question, or the first that was kept (question NULL); whether any prompt had seed-0
 * before it. */
static json_t *find_row(const char *output, const char *question, int *seed_0)
{
    char path[1300];
    struct jsonl *in;
    json_t *row, *found = NULL, *context;
    size_t c;
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(jsonl_open(&in, path, NULL), 0);
    while (jsonl_next(in, &row, NULL) == 1) {
        const char *asked = json_string_value(json_object_get(row, "question"));
        json_array_foreach(json_object_get(json_object_get(row, "ask"), "contexts"), c, context) *seed_0 |=
            !strcmp(json_string_value(context), "seed-0");
        if (!found && (question ? asked && !strcmp(asked, question) : json_is_true(json_object_get(row, "kept"))))
            found = json_incref(row);
        json_decref(row);
    }
    jsonl_close(in);
    assert_non_null(found);
    return found;
}

/* metrics.json's and manifest.json's counts are the same. */
static void check_overlap(const char *output, int seeds, int seeds_left_out, int left_out, int kept)
{
    char path[1300];
    json_t *both[2];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s.json", output, i ? "manifest" : "metrics");
        json_t *file = json_load_file(path, 0, NULL);
        both[i] = json_incref(json_object_get(file, "test_overlap"));
        json_decref(file);
    }
    assert_true(json_equal(both[0], both[1]));
    assert_int_equal(json_integer_value(json_object_get(both[0], "seeds")), seeds);
    assert_int_equal(json_integer_value(json_object_get(both[0], "seeds_left_out")), seeds_left_out);
    assert_int_equal(json_integer_value(json_object_get(both[0], "generated_left_out")), left_out);
    assert_int_equal(json_integer_value(json_object_get(both[0], "generated_kept")), kept);
    json_decref(both[0]);
    json_decref(both[1]);
}

static void what_is_in_the_test_set_is_counted_and_left_out(void **state)
{
    (void)state;
    char output[1100], near[1100], with_seed[1100];
    struct align_options o;
    struct align_result r;
    struct seeds seeds;
    int seed_0 = 0;
    snprintf(output, sizeof output, "%s/overlap-a", tiny.root);
    snprintf(near, sizeof near, "%s/near.jsonl", tiny.root);
    snprintf(with_seed, sizeof with_seed, "%s/with-seed.jsonl", tiny.root);
    tiny_align_options(&o, output);
    o.rounds = 1;
    o.attempts = 12;
    o.test = tiny.test;
    o.retriever = RETRIEVER_BM25;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    json_t *kept = find_row(output, NULL, &seed_0), *again;
    const char *question = json_string_value(json_object_get(kept, "question"));
    check_overlap(output, 0, 0, 0, 0);
    assert_true(seed_0);

    write_test(near, tiny.test, question); /* one that is generated stands in the test set */
    snprintf(output, sizeof output, "%s/overlap-b", tiny.root);
    o.test = near;
    tiny_align(&o, 1, &r);
    assert_non_null(strstr(r.summary.data, "1 question is near a test question"));
    assert_non_null(strstr(r.summary.data, "1 generated questions are near one (ROUGE-L above 0.9): "
                                           "1 left out for it, 0 kept"));
    align_result_free(&r);
    tiny_align(&o, 1, &r); /* and its journal is read again */
    align_result_free(&r);
    again = find_row(output, question, &seed_0);
    assert_string_equal(json_string_value(json_object_get(again, "reason")), "test_overlap");
    assert_string_equal(json_string_value(json_object_get(again, "matches")), "test-6");
    assert_null(json_object_get(again, "answer_facts"));
    check_overlap(output, 0, 0, 1, 0);
    json_decref(again);

    assert_int_equal(seeds_read(&seeds, tiny.seeds, 1, NULL), 0); /* and a seed */
    write_test(with_seed, near, seeds.items[0].question);
    seeds_free(&seeds);
    snprintf(output, sizeof output, "%s/overlap-c", tiny.root);
    o.test = with_seed;
    o.keep_test_overlap = 1;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    seed_0 = 0;
    again = find_row(output, question, &seed_0);
    assert_true(json_is_true(json_object_get(again, "kept")) && seed_0);
    check_overlap(output, 1, 0, 0, 1);
    json_decref(again);
    snprintf(output, sizeof output, "%s/overlap-d", tiny.root);
    o.keep_test_overlap = 0;
    seed_0 = 0;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    json_decref(find_row(output, NULL, &seed_0));
    assert_false(seed_0);
    json_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_the_test_set_is_counted_and_left_out),
    };
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
