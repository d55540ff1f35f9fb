/* SPDX-License-Identifier: Apache-2.0 */
/* A journal that was damaged or made by somebody else: refused by what is wrong in it, whatever it is. Each case is a
 * sound journal of two rounds with one thing changed. */
#include "tests/check.h"

#include "base/mem.h"
#include "io/file.h"
#include "run/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ATTEMPTS = 4, POOL = 5, K = 2, VOCAB = 50, QUESTIONS = 3 };
static const char sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static unsigned char *sound;
static size_t sound_length;

static int reason(const char *name)
{
    return !strcmp(name, "kept") || !strcmp(name, "error") || !strcmp(name, "question_repeat") ||
                   !strcmp(name, "answer_copied") || !strcmp(name, "test_overlap")
               ? 0
               : -1;
}

static const struct run_bounds bounds = {.rounds = 2,
                                         .attempts = ATTEMPTS,
                                         .most_attempts = ATTEMPTS,
                                         .k = K,
                                         .pool = POOL,
                                         .grown = 1,
                                         .vocab = VOCAB,
                                         .questions = QUESTIONS,
                                         .reason = reason};

/* Attempt 0 is kept, 1 repeats it, 2 has no question, 3 copies a context. */
static void put_round(struct run *r, int round)
{
    int32_t ids[] = {0, 49, 7};
    float logprobs[] = {-0.5f, -1.25f, 0};
    int contexts[] = {4, 1};
    double nearness[] = {0.9, -0.25};
    struct run_text text = {"Why?", NULL, ids, logprobs, 3, -0.6, 1, contexts, 2, 0},
                    fault = {NULL, "too long", NULL, NULL, 0, NAN, 0, NULL, 0, 0};
    for (int i = 0; i < ATTEMPTS; i++) {
        assert_int_equal(run_put_question(r, round, i, i == 2 ? &fault : &text, NULL), 0);
        if (i == 0 || i == 3) {
            assert_int_equal(run_put_neighbours(r, round, i, &(struct run_neighbours){contexts, nearness, 2}, NULL), 0);
            assert_int_equal(run_put_answer(r, round, i, &text, NULL), 0);
        }
    }
    assert_int_equal(run_put_verdict(r, round, 0, &(struct run_verdict){"kept", 1, -1, 0.25}, NULL), 0);
    assert_int_equal(run_put_verdict(r, round, 1, &(struct run_verdict){"question_repeat", 0, 0, 1}, NULL), 0);
    assert_int_equal(run_put_verdict(r, round, 2, &(struct run_verdict){"error", 0, -1, NAN}, NULL), 0);
    assert_int_equal(run_put_verdict(r, round, 3, &(struct run_verdict){"answer_copied", 0, 4, 0}, NULL), 0);
}

static int begin(struct run **r, const char *dir, struct error *err)
{
    json_t *settings = json_pack("{s:i, s:i}", "rounds", 2, "attempts", ATTEMPTS), *manifest = json_object();
    int rc = run_open(r, dir, &(struct run_start){.settings = settings, .manifest = manifest}, err);
    json_decref(settings);
    json_decref(manifest);
    return rc;
}

static int make_sound(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("run_hostile_sound");
    char path[2048];
    struct run *r;
    float p[2] = {0.25f, 1};
    int contexts[] = {4};
    snprintf(path, sizeof path, "%s/run.db", dir);
    assert_int_equal(begin(&r, dir, NULL), 0);
    for (int t = 1; t <= 2; t++) {
        struct run_round round = {RUN_STATE_DONE, ATTEMPTS, 1, 12, ""};
        memcpy(round.model_sha256, sha, sizeof sha);
        put_round(r, t);
        assert_int_equal(run_put_round(r, t, &round, NULL), 0);
    }
    assert_int_equal(run_put_result(r, "pretrained", "test", 0,
                                    &(struct run_result){"So.", -2.5, 3, p, 2, 1, 0, contexts, 1, 1}, NULL),
                     0);
    assert_int_equal(
        run_put_result(r, "pretrained", "test", 2, &(struct run_result){"No.", NAN, 0, p, 2, 1, 1, NULL, 0, 0}, NULL),
        0);
    assert_int_equal(run_put_result(r, "round-1", "test", 2,
                                    &(struct run_result){NULL, -0.25, 1, NULL, 0, -1, -1, NULL, 0, 0}, NULL),
                     0);
    run_put_fact(r, "seconds-ask", "1.250", NULL);
    run_put_fact(r, "baseline-sft-seeds", "12 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL);
    assert_int_equal(run_check(r, &bounds, NULL), 0);
    run_close(r);
    struct file_map map;
    assert_int_equal(file_map(&map, path, NULL), 0);
    sound = mem_alloc(map.size);
    memcpy(sound, map.data, map.size);
    sound_length = map.size;
    file_unmap(&map);
    return 0;
}

static int free_sound(void **state)
{
    (void)state;
    mem_free(sound);
    return 0;
}

/* Opens a copy of the sound journal, of so many bytes, after the SQL. */
static int read_damaged(const char *sql, size_t length, struct error *err)
{
    char path[2048];
    const char *dir = check_tmpdir("run_hostile");
    sqlite3 *db;
    struct run *r;
    snprintf(path, sizeof path, "%s/run.db", dir);
    FILE *f = fopen(path, "wb"); /* without file_write's fsync, which there is much of here */
    assert_true(f && fwrite(sound, 1, length, f) == length && !fclose(f));
    if (sql) {
        char *message = NULL;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
        if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
            fail_msg("%s: %s", sql, message);
        sqlite3_close(db);
    }
    *err = (struct error){0, ""};
    int rc = run_open_readonly(&r, dir, err);
    if (rc)
        return rc;
    rc = run_check(r, &bounds, err);
    run_close(r);
    return rc;
}

static const struct {
    const char *sql, *says;
} wrongs[] = {
    {"UPDATE attempt SET question = x'fffe00ff' WHERE idx = 1", "round 1, attempt 1: its question is not UTF-8 text"},
    {"UPDATE attempt SET answer = CAST(x'c328' AS TEXT) WHERE idx = 3",
     "round 1, attempt 3: its answer is not UTF-8 text"},
    {"UPDATE attempt SET question = CAST(x'410042' AS TEXT) WHERE idx = 0 AND round = 2",
     "round 2, attempt 0: its question is not UTF-8 text"},
    {"UPDATE attempt SET question_error = x'00' WHERE idx = 2", "question is not UTF-8 text"},
    {"UPDATE attempt SET question_error = 'both' WHERE idx = 0", "its question has a text and an error"},
    {"UPDATE attempt SET question = NULL WHERE idx = 1", "neither a question nor an error"},
    {"UPDATE attempt SET question_ids = x'000000003200000007000000' WHERE idx = 0",
     "token ids that the model does not have"}, /* 50 of 50 */
    {"UPDATE attempt SET question_ids = x'ffffffff3100000007000000' WHERE idx = 0",
     "token ids that the model does not have"},
    {"UPDATE attempt SET question_ids = x'0000000031000000070000' WHERE idx = 0",
     "token ids that the model does not have"}, /* a short blob */
    {"UPDATE attempt SET answer_ids = 'twelve bytes' WHERE idx = 0", "token ids that the model does not have"},
    {"UPDATE attempt SET question_logprobs = NULL WHERE idx = 0", "not one log-probability a token"},
    {"UPDATE attempt SET answer_logprobs = x'0000803f' WHERE idx = 3",
     "its answer has not one log-probability a token"},
    {"UPDATE attempt SET answer_logprobs = x'0000803f0000807f0000803f' WHERE idx = 3",
     "log-probabilities that are no finite numbers"},
    {"UPDATE attempt SET answer_logprobs = x'0000803f0000c07f0000803f' WHERE idx = 3",
     "log-probabilities that are no finite numbers"},
    {"UPDATE attempt SET answer_score = 9e999 WHERE idx = 3", "a score that is no finite number"},
    {"UPDATE attempt SET answer_score = 'x' WHERE idx = 3", "a score that is no finite number"},
    {"UPDATE attempt SET answer_ended = 2 WHERE idx = 3", "answer_ended is neither 0 nor 1"},
    {"UPDATE attempt SET question_contexts = x'0400000005000000' WHERE idx = 0 AND round = 1",
     "round 1, attempt 0: its question has contexts that are not in the pool"},
    {"UPDATE attempt SET question_contexts = x'0400000006000000' WHERE idx = 0 AND round = 2",
     "round 2, attempt 0: its question has contexts that are not in the pool"},
    {"UPDATE attempt SET question_contexts = x'ffffffff' WHERE idx = 0", "contexts that are not in the pool"},
    {"UPDATE attempt SET answer_contexts = x'040000000100' WHERE idx = 0", "contexts that are not in the pool"},
    {"UPDATE attempt SET question_contexts = x'010000000200000003000000' WHERE idx = 0", "more contexts than k"},
    {"UPDATE attempt SET question_dropped = 1 WHERE idx = 0", "more contexts than k"},
    {"UPDATE attempt SET question_dropped = -1 WHERE idx = 0", "dropped contexts that it did not have"},
    {"UPDATE attempt SET question_dropped = 4294967297 WHERE idx = 0", "dropped contexts that it did not have"},
    {"UPDATE attempt SET neighbours = x'0400000005000000' WHERE idx = 0 AND round = 1",
     "neighbours that are not in the pool"},
    {"UPDATE attempt SET neighbours = zeroblob(400000), nearness = zeroblob(800000) WHERE idx = 0",
     "more neighbours than k"},
    {"UPDATE attempt SET nearness = x'000000000000f03f' WHERE idx = 0", "not one nearness a neighbour"},
    {"UPDATE attempt SET nearness = x'000000000000f07f000000000000f03f' WHERE idx = 0", "nearness is no finite number"},
    {"UPDATE attempt SET neighbours = x'01000000', nearness = x'000000000000f03f' WHERE idx = 2",
     "neighbours of a question that is not there"},
    {"UPDATE attempt SET neighbours = NULL, nearness = NULL WHERE idx = 0", "an answer without contexts"},
    {"UPDATE attempt SET answer = NULL WHERE idx = 0", "neither an answer nor an error"},
    {"UPDATE attempt SET answer = NULL, answer_error = 'x' WHERE idx = 0", "kept but has no question or no answer"},
    {"UPDATE attempt SET reason = 'bored', kept = 0 WHERE idx = 1", "its reason is unknown"},
    {"UPDATE attempt SET reason = NULL WHERE idx = 1", "its verdict is neither 0 nor 1 with a reason"},
    {"UPDATE attempt SET kept = 2 WHERE idx = 1", "its verdict is neither 0 nor 1 with a reason"},
    {"UPDATE attempt SET kept = 1 WHERE idx = 3", "its verdict and its reason contradict each other"},
    {"UPDATE attempt SET reason = NULL, kept = NULL WHERE idx = 1", "it has no verdict"},
    {"UPDATE attempt SET matched = 1 WHERE idx = 1", "matches an attempt that is not before it"},
    {"UPDATE attempt SET matched = -2 WHERE idx = 1", "matches an attempt that is not before it"},
    {"UPDATE attempt SET matched = 5 WHERE idx = 3 AND round = 1", "matches a context that is not in the pool"},
    {"UPDATE attempt SET matched = NULL WHERE idx = 3", "matches a context that is not in the pool"},
    {"UPDATE attempt SET reason = 'test_overlap', kept = 0, matched = 3 WHERE idx = 1",
     "matches a test question that is not there"},
    {"UPDATE attempt SET reason = 'test_overlap', kept = 0, matched = NULL WHERE idx = 1",
     "matches a test question that is not there"},
    {"UPDATE attempt SET f1 = 9e999 WHERE idx = 3", "its nearest F1 is not between 0 and 1"},
    {"UPDATE attempt SET f1 = -0.5 WHERE idx = 3", "its nearest F1 is not between 0 and 1"},
    {"UPDATE attempt SET idx = 4 WHERE idx = 3", "round 1, attempt 4: its number is not one of the round's"},
    {"UPDATE attempt SET idx = NULL WHERE idx = 3", "its number is not one of the round's"},
    {"UPDATE attempt SET round = 3 WHERE round = 2", "of a round that was not begun"},
    {"DELETE FROM attempt WHERE idx = 1 AND round = 2", "round 2: some of its attempts are gone"},
    {"UPDATE round SET attempts = -1", "round 1: its number of attempts is not the run's"},
    {"UPDATE round SET attempts = 0", "its number of attempts is not the run's"},
    {"UPDATE round SET attempts = 2000000000 WHERE round = 2", "round 2: some of its attempts are gone"},
    {"UPDATE round SET attempts = 'four' WHERE round = 2", "its number of attempts is not the run's"},
    {"UPDATE round SET attempts = NULL", "its number of attempts is not the run's"},
    {"UPDATE round SET kept = 2 WHERE round = 1", "its number of kept pairs is not that of its attempts"},
    {"UPDATE round SET kept = 5 WHERE round = 1", "its number of kept pairs is not between 0 and its attempts"},
    {"UPDATE round SET steps = -1", "its number of steps is out of range"},
    {"UPDATE round SET state = 'dreaming' WHERE round = 2", "its state is unknown"},
    {"UPDATE round SET state = x'646f6e65' WHERE round = 2", "its state is unknown"},
    {"UPDATE round SET state = 'ask' WHERE round = 1", "round 1: it has a model before it is done"},
    {"UPDATE round SET state = 'tune', model_sha256 = '' WHERE round = 1", "round 2: the round before it is not done"},
    {"DELETE FROM round WHERE round = 1", "the round before it is not done"},
    {"UPDATE round SET round = 0 WHERE round = 1", "its number is not one of the run's"},
    {"UPDATE round SET round = 3 WHERE round = 2", "round 3: the round before it is not done"},
    {"UPDATE round SET model_sha256 = '../../etc/passwd' WHERE round = 2", "its model's SHA-256 is none"},
    {"UPDATE result SET logprob = 9e999", "its log-likelihood is no finite number up to 0"},
    {"UPDATE result SET logprob = -9e999", "its log-likelihood is no finite number up to 0"},
    {"UPDATE result SET logprob = 3", "its log-likelihood is no finite number up to 0"},
    {"UPDATE result SET n_token = 0 WHERE idx = 0", "its log-likelihood is of no tokens"},
    {"UPDATE result SET n_token = -3", "its log-likelihood is of no tokens"},
    {"UPDATE result SET idx = 3 WHERE idx = 2", "its number is not a question's"},
    {"UPDATE result SET idx = -1 WHERE idx = 0", "its number is not a question's"},
    {"UPDATE result SET text = x'fffe00ff'", "its answer is not UTF-8 text"},
    {"UPDATE result SET arm = x'00ff' WHERE idx = 0", "its arm or set is not text"},
    {"UPDATE result SET probabilities = x'0000803e' WHERE idx = 0", "fewer probabilities than other rows"},
    {"UPDATE result SET probabilities = x'0000803e0000'", "its probabilities are not between 0 and 1"},
    {"UPDATE result SET probabilities = x'0000803e00000040' WHERE idx = 0",
     "its probabilities are not between 0 and 1"},
    {"UPDATE result SET probabilities = NULL WHERE idx = 0", "judged without probabilities"},
    {"UPDATE result SET flagged = 7", "judged without probabilities"},
    {"UPDATE result SET ended = 3 WHERE idx = 0", "ended is neither 0 nor 1"},
    {"UPDATE result SET contexts = x'05000000' WHERE idx = 0", "it has contexts that are not in the pool"},
    {"UPDATE result SET contexts = x'0400000001000000' WHERE idx = 0", "it has more contexts than k"},
    {"UPDATE result SET dropped = -1 WHERE idx = 0", "it has more contexts than k"},
    {"UPDATE fact SET value = x'ff' WHERE name = 'settings'", "it is not UTF-8 text"},
    {"UPDATE fact SET value = 'nan' WHERE name = 'seconds-ask'", "its seconds are no number"},
    {"UPDATE fact SET value = 'so many' WHERE name GLOB 'baseline*'", "a baseline's steps and SHA-256"},
    {"DELETE FROM fact WHERE name = 'settings'", "the settings are gone"},
    {"UPDATE event SET text = x'ff'", "it is no event"},
    {"PRAGMA user_version = 1000", "not a journal of this version"},
    {"PRAGMA application_id = 1", "not a journal of this version"},
    {"DROP TABLE attempt", "its tables are not a journal's"},
    {"ALTER TABLE attempt DROP COLUMN neighbours", "its tables are not a journal's"},
    {"ALTER TABLE attempt ADD COLUMN more BLOB", "its tables are not a journal's"},
    {"CREATE TABLE more(x)", "its tables are not a journal's"},
    {"CREATE VIEW v AS SELECT 1", "views, triggers or virtual tables"},
    {"CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM attempt; END", "views, triggers or virtual tables"},
    {"ALTER TABLE attempt RENAME TO a; CREATE VIEW attempt AS SELECT * FROM a", "views, triggers or virtual tables"},
};

static void each_thing_that_is_wrong_is_named(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(read_damaged(NULL, sound_length, &err), 0);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        int rc = read_damaged(wrongs[i].sql, sound_length, &err);
        if (rc != ERROR_DATA || !strstr(err.message, wrongs[i].says) || !strstr(err.message, "run.db"))
            fail_msg("%s: %d, %s", wrongs[i].sql, rc, err.message);
    }
}

static void what_a_broken_run_may_have_is_accepted(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "DELETE FROM attempt WHERE round = 2 AND idx > 0; UPDATE round SET state = 'ask', model_sha256 = '', steps = 0 "
        "WHERE round = 2",
        "UPDATE round SET state = 'answer', model_sha256 = '', steps = 0 WHERE round = 2; UPDATE attempt SET answer = "
        "NULL, answer_ids = NULL, answer_logprobs = NULL, answer_contexts = NULL, kept = NULL, reason = NULL WHERE "
        "round = 2",
        "UPDATE round SET state = 'review', model_sha256 = NULL, kept = 1 WHERE round = 2; UPDATE attempt SET kept = "
        "0, reason = 'error' WHERE round = 2 AND kept",
        "UPDATE round SET model_sha256 = '' WHERE round = 2", /* nothing new was found */
        /* the pair that round 1 kept */
        "UPDATE attempt SET question_contexts = x'0400000005000000' WHERE round = 2 AND idx = 0",
        "UPDATE attempt SET reason = 'test_overlap', kept = 0, matched = 2 WHERE idx = 1", /* the third test question */
        "DELETE FROM result",
        "DELETE FROM event",
        "DELETE FROM round; DELETE FROM attempt; DELETE FROM fact",
    };
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (read_damaged(cases[i], sound_length, &err))
            fail_msg("%s: %s", cases[i], err.message);
}

static void a_file_cut_anywhere_or_with_other_bytes_is_refused_or_sound(void **state)
{
    (void)state;
    struct error err;
    unsigned char *bytes = sound;
    for (size_t length = 1; length < sound_length; length += length < 600 ? 97 : 4000)
        assert_int_equal(read_damaged(NULL, length, &err), ERROR_DATA);
    for (size_t at = 0; at < sound_length;
         at += 97) { /* SQLite has no checksums: what reads well may pass, but nothing may crash */
        unsigned char was = bytes[at];
        bytes[at] = (unsigned char)(was ^ (1u << at % 8));
        int rc = read_damaged(NULL, sound_length, &err);
        if (rc && !strstr(err.message, "run.db"))
            fail_msg("byte %zu: %d, %s", at, rc, err.message);
        bytes[at] = was;
    }
}

static void other_files_are_left_as_they_are(void **state)
{
    (void)state;
    char dir[1024], path[2048];
    struct error err;
    struct run *r;
    sqlite3 *db;
    struct file_map before, after;
    snprintf(dir, sizeof dir, "%s", check_tmpdir("run_hostile_other"));
    snprintf(path, sizeof path, "%s/run.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK); /* somebody's own database: no application id, no version */
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE people(name)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(file_map(&before, path, NULL), 0);
    assert_int_equal(begin(&r, dir, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "run.db"));
    assert_int_equal(file_map(&after, path, NULL), 0);
    assert_true(before.size == after.size && !memcmp(before.data, after.data, before.size));
    file_unmap(&before);
    file_unmap(&after);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(begin(&r, dir, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "no regular file"));
    unlink(path);
    assert_int_equal(begin(&r, dir, NULL), 0);
    run_close(r);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(begin(&r, dir, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "run.db: is empty"));
    assert_int_equal(file_write(path, (const char *)sound, sound_length, NULL), 0);
    assert_int_equal(begin(&r, dir, &err), 0);
    run_put_fact(r, "settings", "[1]", NULL);
    run_close(r);
    assert_int_equal(begin(&r, dir, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "not a JSON object"));
}

/* As a user who may not read: in a child, because the tests may run as one who may everything. */
static int as_a_stranger(const char *dir, int readonly, struct error *err)
{
    int to[2], status;
    assert_int_equal(pipe(to), 0);
    pid_t child = fork();
    if (!child) {
        struct error own = {0, ""};
        struct run *r = NULL;
        if (!geteuid() && (setgid(65534) || setuid(65534)))
            _exit(99);
        int rc = readonly ? run_open_readonly(&r, dir, &own) : begin(&r, dir, &own);
        run_close(rc ? NULL : r);
        if (write(to[1], &own, sizeof own) != (ssize_t)sizeof own)
            _exit(99);
        _exit(rc ? 1 : 0);
    }
    assert_int_equal(read(to[0], err, sizeof *err), (int)sizeof *err);
    waitpid(child, &status, 0);
    close(to[0]);
    close(to[1]);
    return err->code;
}

static void what_may_not_be_read_or_written_says_so(void **state)
{
    (void)state;
    char dir[64] = "/tmp/isara-run-XXXXXX", path[128];
    struct error err;
    struct run *r;
    assert_non_null(mkdtemp(dir)); /* the build directory may be closed to strangers */
    snprintf(path, sizeof path, "%s/run.db", dir);
    assert_int_equal(begin(&r, dir, NULL), 0);
    run_close(r);
    chmod(dir, 0555);
    chmod(path, 0);
    assert_int_equal(as_a_stranger(dir, 1, &err), ERROR_PERMISSION);
    assert_true(strstr(err.message, path) && strstr(err.message, "Permission denied"));
    chmod(path, 0444);
    assert_int_equal(as_a_stranger(dir, 1, &err), 0); /* a run in a directory that only others may change */
    assert_int_equal(as_a_stranger(dir, 0, &err), ERROR_PERMISSION);
    assert_non_null(strstr(err.message, dir));
    chmod(dir, 0700);
    if (!geteuid()) {
        assert_int_equal(as_a_stranger(dir, 1, &err), ERROR_PERMISSION);
        assert_true(strstr(err.message, path) && strstr(err.message, "Permission denied"));
    }
    snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thing_that_is_wrong_is_named),
        cmocka_unit_test(what_a_broken_run_may_have_is_accepted),
        cmocka_unit_test(a_file_cut_anywhere_or_with_other_bytes_is_refused_or_sound),
        cmocka_unit_test(other_files_are_left_as_they_are),
        cmocka_unit_test(what_may_not_be_read_or_written_says_so),
    };
    return cmocka_run_group_tests(tests, make_sound, free_sound);
}
