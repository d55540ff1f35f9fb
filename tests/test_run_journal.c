/* SPDX-License-Identifier: Apache-2.0 */
/* run.db: what is put is there after a kill; one process at a time; other settings are refused by name. */
#include "tests/check.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/network.h"
#include "run/parts.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static json_t *settings(int rounds, const char *bits)
{
    return json_pack("{s:i, s:s, s:s}", "rounds", rounds, "pool", "seeds", "bits", bits);
}

static int open_run(struct run **r, const char *dir, int rounds, const char *bits, int accept, struct error *err)
{
    json_t *s = settings(rounds, bits), *m = json_pack("{s:s}", "version", "test");
    int rc = run_open(r, dir, &(struct run_start){.settings = s, .manifest = m, .accept_different_bits = accept}, err);
    json_decref(s);
    json_decref(m);
    return rc;
}

static void same_command_continues_other_settings_are_refused(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("run_settings");
    struct run *r;
    struct error err;
    assert_int_equal(open_run(&r, dir, 2, "generic", 0, &err), 0);
    assert_int_equal(run_resumed(r), 0);
    run_close(r);
    assert_int_equal(open_run(&r, dir, 2, "generic", 0, &err), 0);
    assert_int_equal(run_resumed(r), 1);
    run_close(r);
    assert_int_equal(open_run(&r, dir, 3, "generic", 0, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "was begun with rounds 2, now 3"));
    assert_int_equal(open_run(&r, dir, 2, "avx2", 0, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "--accept-different-bits"));
    assert_int_equal(open_run(&r, dir, 2, "avx2", 1, &err), 0);
    run_close(r);
    char path[2048];
    snprintf(path, sizeof path, "%s/config.resolved.json", dir);
    assert_true(file_exists(path));
    struct run *reader;
    assert_int_equal(run_open_readonly(&reader, dir, &err), 0);
    json_t *s;
    assert_int_equal(run_settings(reader, &s, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(s, "rounds")), 2);
    json_decref(s);
    run_close(reader);
    assert_int_equal(run_open_readonly(&reader, "/nowhere/there", &err), ERROR_NOINPUT);
}

static void a_second_process_is_refused_while_the_first_lives(void **state)
{
    (void)state;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("run_lock"));
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        struct run *r;
        if (open_run(&r, dir, 2, "x", 0, NULL) || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct run *r;
    struct error err;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "process %ld is working on this run", (long)child);
    assert_int_equal(open_run(&r, dir, 2, "x", 0, &err), ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, wanted));
    assert_int_equal(run_open_readonly(&r, dir, &err), 0); /* looking is allowed */
    run_close(r);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(open_run(&r, dir, 2, "x", 0, &err), 0);
    assert_int_equal(run_resumed(r), 1);
    run_close(r);
    close(ready[0]);
    close(ready[1]);
}

static void put_attempts(struct run *r)
{
    int32_t ids[] = {5, 6, 7};
    float logprobs[] = {-0.5f, -1.25f, -3e-9f};
    int contexts[] = {3, 1}, neighbours[] = {9, 2, 4};
    double nearness[] = {0.9, 0.8, 0.1};
    struct run_text q = {"Why?", NULL, ids, logprobs, 3, -0.6, 1, contexts, 2, 1},
                    a = {NULL, "too long", NULL, NULL, 0, NAN, 0, NULL, 0, 0};
    assert_int_equal(run_put_question(r, 1, 4, &q, NULL), 0);
    assert_int_equal(run_put_neighbours(r, 1, 4, &(struct run_neighbours){neighbours, nearness, 3}, NULL), 0);
    assert_int_equal(run_put_answer(r, 1, 4, &a, NULL), 0);
    assert_int_equal(run_put_verdict(r, 1, 4, &(struct run_verdict){"error", 0, -1, 0.25}, NULL), 0);
}

/* How many of the three questions the pretrained model's results have. */
static int get_results(struct run *r, struct run_result results[3], struct arena *arena)
{
    struct run_results stored = {"pretrained", "test", results, 3, 0};
    assert_int_equal(run_get_results(r, &stored, arena, NULL), 0);
    return stored.n_found;
}

static void rows_come_back_as_they_were_put_even_after_a_kill(void **state)
{
    (void)state;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("run_rows"));
    pid_t child = fork();
    if (!child) {
        struct run *r;
        float p[2] = {0.25f, 0.75f};
        if (open_run(&r, dir, 2, "x", 0, NULL))
            _exit(1);
        put_attempts(r);
        run_put_round(r, 1, &(struct run_round){RUN_STATE_ASK, 8, 0, 0, ""}, NULL);
        run_put_result(r, "pretrained", "test", 1,
                       &(struct run_result){"So.", -2.5, 3, p, 2, 1, 0, (const int[]){7, 2}, 2, 3}, NULL);
        run_begin(r, NULL);
        run_put_verdict(r, 1, 4, &(struct run_verdict){"kept", 1, -1, 0.25}, NULL); /* not committed */
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    struct run *r;
    struct run_attempt a[8];
    struct run_round round;
    struct run_result results[3];
    struct arena arena = ARENA_INIT;
    assert_int_equal(open_run(&r, dir, 2, "x", 0, NULL), 0);
    assert_int_equal(run_get_attempts(r, 1, 8, a, &arena, NULL), 0);
    assert_null(a[3].question.text);
    assert_string_equal(a[4].question.text, "Why?");
    assert_true(a[4].question.n == 3 && a[4].question.ids[2] == 7 && a[4].question.logprobs[2] == -3e-9f &&
                a[4].question.ended && a[4].question.dropped == 1);
    assert_true(a[4].question.n_context == 2 && a[4].question.contexts[0] == 3 && a[4].neighbours.n == 3 &&
                a[4].neighbours.items[0] == 9 && a[4].neighbours.nearness[2] == 0.1);
    assert_string_equal(a[4].answer.error, "too long");
    assert_true(isnan(a[4].answer.score) && !a[4].verdict.kept && a[4].verdict.f1 == 0.25);
    assert_string_equal(a[4].verdict.reason, "error");
    assert_int_equal(run_get_round(r, 1, &round, NULL), 0);
    assert_true(round.state == RUN_STATE_ASK && round.attempts == 8);
    assert_int_equal(run_get_round(r, 2, &round, NULL), 0);
    assert_int_equal(round.state, RUN_STATE_NONE);
    assert_true(get_results(r, results, &arena) == 1 && results[0].flagged == -1 && isnan(results[0].logprob) &&
                results[1].logprob == -2.5 && results[1].probabilities[1] == 0.75f && results[1].ended == 0 &&
                results[0].ended == -1);
    assert_true(results[1].n_context == 2 && results[1].contexts[0] == 7 && results[1].contexts[1] == 2 &&
                results[1].dropped == 3 && !results[0].contexts);
    /* A journal of version 1, which did not know whether an answer ended: it is brought up to date, and says that it is
     * not known. */
    assert_int_equal(sqlite3_exec(r->db,
                                  "ALTER TABLE result DROP COLUMN ended; ALTER TABLE result DROP COLUMN contexts; "
                                  "ALTER TABLE result DROP COLUMN dropped; ALTER TABLE attempt DROP COLUMN score; "
                                  "PRAGMA user_version=1;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    run_close(r);
    assert_int_equal(open_run(&r, dir, 2, "x", 0, NULL), 0);
    assert_true(get_results(r, results, &arena) == 1 && results[1].ended == -1 &&
                results[1].probabilities[1] == 0.75f && !results[1].contexts && !results[1].dropped);
    arena_free(&arena);
    run_close(r);
}

static void what_is_rolled_back_is_as_it_was(void **state)
{
    (void)state;
    struct run *r;
    struct run_attempt a[6];
    struct arena arena = ARENA_INIT;
    assert_int_equal(open_run(&r, check_tmpdir("run_rollback"), 2, "x", 0, NULL), 0);
    put_attempts(r);
    assert_int_equal(run_put_verdict(r, 1, 4, &(struct run_verdict){"question_repeat", 0, 2, 0.5}, NULL), 0);
    assert_int_equal(run_begin(r, NULL), 0);
    assert_int_equal(run_put_verdict(r, 1, 4, &(struct run_verdict){"kept", 1, -1, 0.75}, NULL), 0);
    run_rollback(r);
    assert_int_equal(run_get_attempts(r, 1, 6, a, &arena, NULL), 0);
    assert_string_equal(a[4].verdict.reason, "question_repeat");
    assert_true(!a[4].verdict.kept && a[4].verdict.match == 2 && a[4].verdict.f1 == 0.5 && a[3].verdict.match == -1);
    assert_int_equal(run_begin(r, NULL), 0);
    assert_int_equal(run_put_verdict(r, 1, 4, &(struct run_verdict){"kept", 1, -1, 0.75}, NULL), 0);
    assert_int_equal(run_commit(r, NULL), 0);
    assert_int_equal(run_get_attempts(r, 1, 6, a, &arena, NULL), 0);
    assert_true(a[4].verdict.kept && a[4].verdict.match == -1 && a[4].verdict.f1 == 0.75);
    arena_free(&arena);
    run_close(r);
}

static int threshold_may(const json_t *was, const json_t *is, const char *name)
{
    (void)was;
    (void)is;
    return !strcmp(name, "threshold");
}

/* A setting more, a setting less, and the one that may differ; that one holds from then on. */
static void settings_are_compared_from_both_sides(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *says;
    } cases[] = {
        {"{\"k\": 5, \"threshold\": 0.5}", NULL},
        {"{\"k\": 5, \"threshold\": 0.25}", NULL},
        {"{\"k\": 5}", NULL},
        {"{\"k\": 5, \"threshold\": 0.5, \"pool\": \"grown\"}", "was begun with pool nothing, now \"grown\""},
        {"{\"threshold\": 0.5}", "was begun with k 5, now nothing"},
        {"{\"k\": 6, \"threshold\": 0.5}", "was begun with k 5, now 6"},
    };
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("run_sides"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *settings = json_loads(cases[i].settings, 0, NULL), *manifest = json_object();
        struct run *r = NULL;
        struct error err = {0, ""};
        const struct run_start start = {.settings = settings, .manifest = manifest, .may_change = threshold_may};
        int rc = run_open(&r, dir, &start, &err);
        if (rc != (cases[i].says ? ERROR_CONFIG : 0) || (cases[i].says && !strstr(err.message, cases[i].says)))
            fail_msg("%s: %d: %s", cases[i].settings, rc, err.message);
        json_t *now = NULL;
        if (!rc)
            assert_int_equal(run_settings(r, &now, &err), 0);
        assert_true(rc || json_equal(now, settings));
        json_decref(now);
        run_close(rc ? NULL : r);
        json_decref(settings);
        json_decref(manifest);
    }
}

static void a_full_disk_is_said(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("run_full");
    struct run *r;
    struct error err = {0, ""};
    int rc = 0;
    assert_int_equal(open_run(&r, dir, 2, "x", 0, &err), 0);
    sqlite3_exec(r->db, "PRAGMA max_page_count=20", NULL, NULL, NULL); /* a page limit stands for the disk */
    char *text = mem_calloc(40001, 1);
    memset(text, 'x', 40000);
    for (int i = 0; i < 10 && !rc; i++)
        rc = run_put_result(r, "a", "b", i, &(struct run_result){text, 0, 0, NULL, 0, 0, 1, NULL, 0, 0}, &err);
    assert_int_equal(rc, ERROR_IO);
    assert_non_null(strstr(err.message, "the disk is full"));
    mem_free(text);
    run_close(r);
}

/* What the log needs beside itself; a limit on the size of files stands for the disk. */
static void no_room_for_the_index_of_the_log_is_a_full_disk(void **state)
{
    (void)state;
    const char *dir = check_tmpdir("run_index");
    struct run *r;
    struct error err = {0, ""};
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit = before;
    limit.rlim_cur = 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc = open_run(&r, dir, 2, "x", 0, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, ERROR_IO);
    assert_non_null(strstr(err.message, "run.db: the disk is full; make room and run the same command again"));
    assert_int_equal(open_run(&r, dir, 2, "x", 0, &err), 0);
    run_close(r);
}

static void another_file_is_no_journal(void **state)
{
    (void)state;
    char path[2048];
    const char *dir = check_tmpdir("run_other");
    struct run *r;
    struct error err;
    snprintf(path, sizeof path, "%s/run.db", dir);
    assert_int_equal(file_write(path,
                                "this is not a database, it is a text that is long enough to look at "
                                ".......................................................",
                                120, NULL),
                     0);
    assert_int_equal(open_run(&r, dir, 2, "x", 0, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "run.db"));
}

static void network_file_systems_are_known(void **state)
{
    (void)state;
    assert_string_equal(network_name(0x6969), "NFS");
    assert_string_equal(network_name((long)(int)0xff534d42), "CIFS");
    assert_null(network_name(0xef53)); /* ext4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_command_continues_other_settings_are_refused),
        cmocka_unit_test(a_second_process_is_refused_while_the_first_lives),
        cmocka_unit_test(rows_come_back_as_they_were_put_even_after_a_kill),
        cmocka_unit_test(a_full_disk_is_said),
        cmocka_unit_test(no_room_for_the_index_of_the_log_is_a_full_disk),
        cmocka_unit_test(what_is_rolled_back_is_as_it_was),
        cmocka_unit_test(settings_are_compared_from_both_sides),
        cmocka_unit_test(another_file_is_no_journal),
        cmocka_unit_test(network_file_systems_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
