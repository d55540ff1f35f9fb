/* SPDX-License-Identifier: Apache-2.0 */
/* A run that was begun: however often it is killed it ends with the same bytes; its attempts can be replayed; other
 * settings and a journal that is not its own are refused. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "base/mem.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static char reference[1100];

static void a_run_killed_again_and_again_ends_with_the_same_bytes(void **state)
{
    (void)state;
    const char *reduced = getenv("ISARA_REDUCED");
    for (int interrupt = 0; interrupt < (reduced && *reduced ? 1 : 2); interrupt++) {
        char output[1100];
        struct align_options o;
        int starts = 1;
        snprintf(output, sizeof output, "%s/killed-%d", tiny.root, interrupt);
        tiny_align_options(&o, output);
        while (!tiny_align_until(&o, 3 + starts * 5 % 17, interrupt))
            assert_true(++starts < 60);
        assert_true(starts > 3);
        tiny_align_same(reference, output);
    }
}

/* An allocation fails somewhere, again and again: an error each time, and a run that goes on to the same bytes. */
static void failed_allocations_leave_a_run_that_continues(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct device *d = tiny_device(1);
    long step = 37, at = 0;
    int done = 0;
    snprintf(output, sizeof output, "%s/memory", tiny.root);
    tiny_align_options(&o, output);
    for (int run = 0; !done; run++, at += step, step += 61) {
        struct align_result r;
        struct error err = {0, ""};
        mem_fail_at(at);
        int rc = method_align(d, &o, &r, &err);
        done = mem_fail_pending();
        mem_fail_at(-1);
        if (rc != (done ? 0 : ERROR_NOMEM))
            fail_msg("allocation %ld: %d: %s", at, rc, err.message);
        align_result_free(&r);
        assert_true(run < 400);
    }
    device_close(d);
    tiny_align_same(reference, output);
}

static void other_settings_are_refused_by_name(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err;
    struct device *d = tiny_device(1);
    tiny_align_options(&o, reference);
    o.attempts = 7;
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "was begun with attempts 6, now 7"));
    align_result_free(&r);
    tiny_align_options(&o, reference);
    o.answer.length_penalty = 2;
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "answer-length-penalty"));
    align_result_free(&r);
    device_close(d);
}

static void every_attempt_can_be_replayed(void **state)
{
    (void)state;
    struct device *d = tiny_device(2);
    static const char *const ids[] = {"r1-a0", "r1-a5", "r2-a3"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct buf text = BUF_INIT;
        struct error err = {0, ""};
        int same;
        if (method_replay(d, reference, ids[i], &same, &text, &err))
            fail_msg("%s", err.message);
        if (!same)
            fail_msg("%s: %s", ids[i], text.data);
        buf_free(&text);
    }
    struct buf text = BUF_INIT;
    struct error err;
    int same;
    assert_int_equal(method_replay(d, reference, "r1-a99", &same, &text, &err), ERROR_NOINPUT);
    assert_int_equal(method_replay(d, reference, "17", &same, &text, &err), ERROR_USAGE);
    buf_free(&text);
    device_close(d);
}

static void change(const char *run, const char *sql)
{
    char path[1200];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/run.db", run);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int holds(const char *run, const char *name, const char *text)
{
    char command[2600];
    snprintf(command, sizeof command, "grep -q '%s' '%s/%s'", text, run, name);
    return system(command) == 0;
}

/* Two more attempts than the reference has, another rate: all but the first six are made as ever, and nothing tells
 * afterwards that those were not. */
static void the_first_round_of_another_run_can_be_taken(void **state)
{
    (void)state;
    char own[1100], taking[1100], other[1100], from[1100];
    struct align_options o;
    struct align_result r;
    snprintf(own, sizeof own, "%s/own", tiny.root);
    snprintf(taking, sizeof taking, "%s/taking", tiny.root);
    snprintf(other, sizeof other, "%s/other", tiny.root);
    snprintf(from, sizeof from, "%s/from", tiny.root);
    tiny_align_options(&o, own);
    o.attempts = 8;
    o.train.learning_rate = 3e-3;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    o.output = taking;
    o.attempts_from = reference;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    tiny_align_same(own, taking);
    tiny_align_copy(reference, from); /* a question that no model wrote shows where it comes from */
    change(from, "UPDATE attempt SET question = 'was taken' WHERE round = 1 AND idx = 5; "
                 "UPDATE attempt SET question = 'was not' WHERE round = 2");
    o.output = other;
    o.attempts_from = from;
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    assert_true(holds(other, "round-1/generated.jsonl", "was taken"));
    assert_false(holds(other, "round-2/generated.jsonl", "was not"));
    assert_true(holds(other, "metrics.json", "\"attempts_taken\": 6"));
    change(from, "UPDATE attempt SET answer = NULL, answer_error = NULL, answer_ids = NULL, answer_logprobs = NULL, "
                 "answer_score = NULL, answer_ended = NULL, answer_contexts = NULL, answer_dropped = NULL, "
                 "kept = NULL, reason = NULL, matched = NULL, f1 = NULL, neighbours = NULL, nearness = NULL "
                 "WHERE round = 1; DELETE FROM attempt WHERE round = 2 OR idx > 2; DELETE FROM round WHERE round = 2; "
                 "UPDATE round SET state = 'ask', kept = 0, steps = 0, model_sha256 = ''; DELETE FROM result");
    snprintf(other, sizeof other, "%s/half", tiny.root); /* of a donor that was killed while it asked */
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    assert_true(holds(other, "metrics.json", "\"attempts_taken\": 3"));
    tiny_align_same(other, own);
}

static void attempts_that_were_made_otherwise_are_not_taken(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    struct error err;
    struct device *d = tiny_device(1);
    snprintf(output, sizeof output, "%s/refused", tiny.root);
    tiny_align_options(&o, output);
    o.attempts_from = reference;
    o.answer.length_penalty = 2;
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "asked and answered with another answer-length-penalty"));
    align_result_free(&r);
    device_close(d);
}

/* What only align knows: the pool, k, the run's attempts, the reasons, the questions. */
static void a_journal_that_does_not_fit_the_run_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *says;
    } cases[] = {
        {"UPDATE attempt SET question_contexts = x'e8030000' WHERE round = 1 AND idx = 0",
         "round 1, attempt 0: its question has contexts that are not in the pool"},
        {"UPDATE attempt SET question_contexts = x'000000000100000002000000' WHERE round = 1 AND idx = 0",
         "more contexts than k"},
        {"UPDATE attempt SET question_ids = zeroblob(4) || x'ffffff7f', question_logprobs = zeroblob(8) "
         "WHERE round = 1 AND idx = 0",
         "token ids that the model does not have"},
        {"UPDATE round SET attempts = 5; DELETE FROM attempt WHERE idx = 5; "
         "UPDATE round SET kept = (SELECT sum(kept) FROM attempt a WHERE a.round = round.round)",
         "its number of attempts is not the run's"},
        {"UPDATE result SET idx = 1000 WHERE idx = 0", "its number is not a question's"},
        {"UPDATE attempt SET reason = 'error', kept = 0; UPDATE attempt SET reason = 'bored' WHERE idx = 0; "
         "UPDATE round SET kept = 0",
         "its reason is unknown"},
    };
    struct device *d = tiny_device(2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char output[1100], path[1200];
        struct align_options o;
        struct align_result r;
        struct error err = {0, ""};
        struct buf text = BUF_INIT;
        sqlite3 *db;
        int same;
        snprintf(output, sizeof output, "%s/damaged-%zu", tiny.root, i);
        tiny_align_copy(reference, output);
        snprintf(path, sizeof path, "%s/run.db", output);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL) != SQLITE_OK)
            fail_msg("%s: %s", cases[i].sql, sqlite3_errmsg(db));
        sqlite3_close(db);
        tiny_align_options(&o, output);
        int rc = method_align(d, &o, &r, &err);
        if (rc != ERROR_DATA || !strstr(err.message, cases[i].says))
            fail_msg("%s: %d: %s", cases[i].sql, rc, err.message);
        align_result_free(&r);
        err = (struct error){0, ""};
        rc = method_replay(d, output, "r1-a1", &same, &text, &err);
        if (rc != ERROR_DATA || !strstr(err.message, cases[i].says))
            fail_msg("replay, %s: %d: %s", cases[i].sql, rc, err.message);
        buf_free(&text);
    }
    device_close(d);
}

static int setup(void **state)
{
    return tiny_align_reference(state, tiny_align_options, reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_killed_again_and_again_ends_with_the_same_bytes),
        cmocka_unit_test(failed_allocations_leave_a_run_that_continues),
        cmocka_unit_test(other_settings_are_refused_by_name),
        cmocka_unit_test(the_first_round_of_another_run_can_be_taken),
        cmocka_unit_test(attempts_that_were_made_otherwise_are_not_taken),
        cmocka_unit_test(every_attempt_can_be_replayed),
        cmocka_unit_test(a_journal_that_does_not_fit_the_run_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
