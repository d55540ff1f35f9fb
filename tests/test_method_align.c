/* SPDX-License-Identifier: Apache-2.0 */
/* The whole loop on a tiny model: the same bytes for any number of threads and however often it was killed; review, replay, refusal of other settings. */
#include "tests/check.h"
#include "tests/tiny_model.h"

#include "answer/seeds.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "generate/fields.h"
#include "io/file.h"
#include "io/jsonl.h"
#include "io/jsontext.h"
#include "method/fields.h"
#include "method/method.h"
#include "run/run.h"
#include "train/fields.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[1024], reference[1100], model_path[1100], seeds_path[1100], test_path[1100], judge_path[1100];

static struct device *open_device(int threads)
{
    struct device *d;
    struct error err = {0, ""};
    if (device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = threads}, &err))
        fail_msg("%s", err.message);
    return d;
}

static void options_for(struct align_options *o, const char *output)
{
    align_options_default(o);
    o->model = model_path, o->seeds = seeds_path, o->output = output;
    o->rounds = 2, o->attempts = 6, o->k = 2, o->samples = 2;
    o->dtype = DTYPE_F32;
    o->stop_novelty = 0;
    o->ask.num_beams = o->answer.num_beams = 2;
    o->ask.max_new_tokens = 40, o->answer.max_new_tokens = 30;
    o->ask.do_sample = 1, o->ask.num_beams = 1, o->ask.no_repeat_ngram_size = 0; /* sampled, so that questions differ */
    o->sift = (struct sift_options){.threshold = 0.9, .question_min_words = 1, .question_max_words = 100, .answer_min_words = 0, .answer_max_words = 100, .repetition = 1,
                                    .copy = 1, .need_end = 0};
    o->train.num_train_epochs = 1;
    o->train.learning_rate = 1e-3;
    o->train.save_steps = 2;
}

static void align(const struct align_options *o, int threads, struct align_result *r)
{
    struct device *d = open_device(threads);
    struct error err = {0, ""};
    if (method_align(d, o, r, &err))
        fail_msg("%s", err.message);
    device_close(d);
}

static void hash_of(const char *run, const char *name, char hex[65])
{
    char path[2048];
    struct error err = {0, ""};
    snprintf(path, sizeof path, "%s/%s", run, name);
    if (sha256_file(path, hex, &err))
        fail_msg("%s", err.message);
}

static void same_run(const char *a, const char *b)
{
    static const char *const files[] = {"round-1/generated.jsonl", "round-2/generated.jsonl", "round-1/model/model.safetensors", "round-2/model/model.safetensors",
                                        "config.resolved.json", "arms/round-2.jsonl"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char x[65], y[65];
        hash_of(a, files[i], x), hash_of(b, files[i], y);
        if (strcmp(x, y))
            fail_msg("%s differs between %s and %s", files[i], a, b);
    }
}

/* Every option that decides bits stands in config.resolved.json, for each phase. */
static void all_options_resolved(const char *run)
{
    static const struct { const struct field_table *table; const char *prefix; } all[] = {
        {&align_fields, ""}, {&sift_fields, ""}, {&generate_fields, "ask-"}, {&generate_fields, "answer-"}, {&train_fields, "train-"}};
    char path[2048], key[100];
    snprintf(path, sizeof path, "%s/config.resolved.json", run);
    json_t *resolved = json_load_file(path, 0, NULL);
    assert_non_null(resolved);
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (int i = 0; i < all[k].table->n; i++) {
            const struct field *f = &all[k].table->rows[i];
            snprintf(key, sizeof key, "%s%s", all[k].prefix, f->name);
            if (!json_object_get(resolved, key) != (f->bits == FIELD_FREE))
                fail_msg("%s: wanted in config.resolved.json if it decides bits, and only then", key);
        }
    json_decref(resolved);
}

static int setup(void **state)
{
    (void)state;
    /* in memory where that can be: thousands of commits wait for the disk otherwise */
    snprintf(root, sizeof root, "/dev/shm/isara-align-%ld", (long)getpid());
    if (mkdir(root, 0700))
        snprintf(root, sizeof root, "%s", check_tmpdir("align"));
    snprintf(reference, sizeof reference, "%s/reference", root);
    snprintf(model_path, sizeof model_path, "%s/model", root), snprintf(judge_path, sizeof judge_path, "%s/judge", root);
    snprintf(seeds_path, sizeof seeds_path, "%s/seeds.jsonl", root), snprintf(test_path, sizeof test_path, "%s/test.jsonl", root);
    struct device *d = open_device(1);
    tiny_model_make(d, root);
    tiny_judge_make(d, root);
    device_close(d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return tree_remove(root, NULL);
}

static void two_rounds_end_with_evidence(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    options_for(&o, reference);
    align(&o, 1, &r);
    all_options_resolved(reference);
    assert_int_equal(r.rounds, 2);
    assert_int_equal(r.report.n_arm, 3);
    assert_string_equal(r.report.arms[0].name, "pretrained");
    assert_string_equal(r.report.arms[2].name, "round-2");
    assert_int_equal(r.report.arms[2].n, 3); /* held-out seeds: one in eight of 24 */
    assert_true(r.report.arms[2].steps > 0 && strlen(r.report.arms[2].model_sha256) == 64);
    assert_non_null(strstr(r.summary.data, "round 2: "));
    assert_non_null(strstr(r.summary.data, "Side by side"));
    json_t *metrics = json_loads(r.json.data, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(json_object_get(metrics, "arms")), 3);
    json_decref(metrics);
    align_result_free(&r);
    align(&o, 1, &r); /* again: nothing is left to do, the same comes out */
    assert_int_equal(r.rounds, 2);
    align_result_free(&r);
}

/* Sampled and judged in eight bits, tuned in bf16. */
static void eight_bits_sample_what_bf16_learns(void **state)
{
    (void)state;
    char output[2][1100];
    struct align_options o;
    struct align_result r;
    for (int i = 0; i < 2; i++) {
        snprintf(output[i], sizeof output[i], "%s/q8-%d", root, i);
        options_for(&o, output[i]);
        o.dtype = DTYPE_Q8;
        align(&o, 1 + i, &r);
        assert_true(r.report.arms[2].steps > 0);
        align_result_free(&r);
    }
    same_run(output[0], output[1]);
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/threads", root);
    options_for(&o, output);
    align(&o, 3, &r);
    align_result_free(&r);
    same_run(reference, output);
}

struct kill_plan { long after, seen; int interrupt; };

static void count_and_kill(void *user, const struct progress *p)
{
    struct kill_plan *plan = user;
    (void)p;
    if (plan->seen++ != plan->after)
        return;
    if (plan->interrupt)
        interrupt_request(SIGINT);
    else
        kill(getpid(), SIGKILL);
}

/* One process that is killed, or interrupted, at its n-th sign of progress. Returns 1 when it ended before that. */
static int run_until(const struct align_options *o, long after, int interrupt)
{
    pid_t child = fork();
    if (!child) {
        struct kill_plan plan = {after, 0, interrupt};
        struct device *d;
        struct align_result r;
        struct error err = {0, ""};
        log_set_sink(&(struct log_sink){NULL, count_and_kill, &plan});
        if (device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = 2}, &err))
            _exit(2);
        int rc = method_align(d, o, &r, &err);
        _exit(rc == ERROR_INTERRUPTED && strstr(err.message, "run the same command again") ? 75 : rc ? 3 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return 0;
    if (interrupt && WEXITSTATUS(status) == 75)
        return 0;
    assert_int_equal(WEXITSTATUS(status), 0);
    return 1;
}

static void a_run_killed_again_and_again_ends_with_the_same_bytes(void **state)
{
    (void)state;
    const char *reduced = getenv("ISARA_REDUCED");
    for (int interrupt = 0; interrupt < (reduced && *reduced ? 1 : 2); interrupt++) {
        char output[1100];
        struct align_options o;
        int starts = 1;
        snprintf(output, sizeof output, "%s/killed-%d", root, interrupt);
        options_for(&o, output);
        while (!run_until(&o, 3 + starts * 5 % 17, interrupt))
            assert_true(++starts < 60);
        assert_true(starts > 3);
        same_run(reference, output);
    }
}

/* An allocation fails somewhere, again and again: an error each time, and a run that goes on to the same bytes. */
static void failed_allocations_leave_a_run_that_continues(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct device *d = open_device(1);
    long step = 37, at = 0;
    int done = 0;
    snprintf(output, sizeof output, "%s/memory", root);
    options_for(&o, output);
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
    same_run(reference, output);
}

static void other_settings_are_refused_by_name(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct error err;
    struct device *d = open_device(1);
    options_for(&o, reference);
    o.attempts = 7;
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "was begun with attempts 6, now 7"));
    align_result_free(&r);
    options_for(&o, reference);
    o.answer.length_penalty = 2;
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "answer-length-penalty"));
    align_result_free(&r);
    device_close(d);
}

static void every_attempt_can_be_replayed(void **state)
{
    (void)state;
    struct device *d = open_device(2);
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

/* What only align knows: the pool, k, the run's attempts, the reasons, the questions. */
static void a_journal_that_does_not_fit_the_run_is_refused(void **state)
{
    (void)state;
    static const struct { const char *sql, *says; } cases[] = {
        {"UPDATE attempt SET question_contexts = x'e8030000' WHERE round = 1 AND idx = 0", "round 1, attempt 0: its question has contexts that are not in the pool"},
        {"UPDATE attempt SET question_contexts = x'000000000100000002000000' WHERE round = 1 AND idx = 0", "more contexts than k"},
        {"UPDATE attempt SET question_ids = zeroblob(4) || x'ffffff7f', question_logprobs = zeroblob(8) WHERE round = 1 AND idx = 0", "token ids that the model does not have"},
        {"UPDATE round SET attempts = 5; DELETE FROM attempt WHERE idx = 5; UPDATE round SET kept = (SELECT sum(kept) FROM attempt a WHERE a.round = round.round)",
         "its number of attempts is not the run's"},
        {"UPDATE result SET idx = 1000 WHERE idx = 0", "its number is not a question's"},
        {"UPDATE attempt SET reason = 'error', kept = 0; UPDATE attempt SET reason = 'bored' WHERE idx = 0; UPDATE round SET kept = 0", "its reason is unknown"},
    };
    struct device *d = open_device(2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char output[1100], command[4096];
        struct align_options o;
        struct align_result r;
        struct error err = {0, ""};
        struct buf text = BUF_INIT;
        sqlite3 *db;
        int same;
        snprintf(output, sizeof output, "%s/damaged-%zu", root, i);
        snprintf(command, sizeof command, "cp -r '%s' '%s'", reference, output);
        assert_int_equal(system(command), 0);
        snprintf(command, sizeof command, "%s/run.db", output);
        assert_int_equal(sqlite3_open(command, &db), SQLITE_OK);
        if (sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL) != SQLITE_OK)
            fail_msg("%s: %s", cases[i].sql, sqlite3_errmsg(db));
        sqlite3_close(db);
        options_for(&o, output);
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

static void review_stops_and_struck_lines_are_not_trained_on(void **state)
{
    (void)state;
    char output[1100], path[2048];
    struct align_options o;
    struct align_result r;
    struct buf lines = BUF_INIT;
    snprintf(output, sizeof output, "%s/review", root);
    options_for(&o, output);
    o.rounds = 1, o.review = 1;
    align(&o, 1, &r);
    assert_int_equal(r.stopped_for_review, 1);
    align_result_free(&r);
    align(&o, 1, &r); /* without --resume it still waits */
    assert_int_equal(r.stopped_for_review, 1);
    align_result_free(&r);
    snprintf(path, sizeof path, "%s/round-1/review.jsonl", output);
    assert_int_equal(file_read(&lines, path, 1 << 20, NULL), 0);
    char *second = strchr(lines.data, '\n') + 1, id[16];
    assert_int_equal(sscanf(lines.data, "{\"id\": \"%15[^\"]", id), 1);
    assert_int_equal(file_write(path, second, strlen(second), NULL), 0);
    o.resume = 1;
    align(&o, 1, &r);
    assert_int_equal(r.rounds, 1);
    align_result_free(&r);
    buf_reset(&lines);
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(file_read(&lines, path, 1 << 20, NULL), 0);
    char *row = strstr(lines.data, id);
    assert_non_null(row);
    *strchr(row, '\n') = 0;
    assert_non_null(strstr(row, "\"reason\": \"struck\""));
    buf_free(&lines);
}

/* However many rounds: every one has its line, and the last line and hash are the last round's. */
static void seventy_rounds_have_seventy_lines(void **state)
{
    (void)state;
    char output[1100], wanted[200], sha256[65];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/rounds", root);
    options_for(&o, output);
    o.rounds = 70, o.attempts = 4, o.samples = 0;
    o.train.max_steps = 1;
    o.ask.max_new_tokens = o.answer.max_new_tokens = 12;
    o.answer.num_beams = 1;
    o.sift.threshold = 1, o.sift.question_min_words = 0;
    align(&o, 2, &r);
    if (r.rounds <= 57)
        fail_msg("only %d rounds: %s", r.rounds, r.summary.data);
    assert_int_equal(r.report.n_arm, r.rounds + 1);
    snprintf(wanted, sizeof wanted, "round-%d/model/model.safetensors", r.rounds);
    hash_of(output, wanted, sha256);
    assert_string_equal(r.report.arms[r.report.n_arm - 1].model_sha256, sha256);
    snprintf(wanted, sizeof wanted, "round-%d/model\nsha256 %s\n", r.rounds, sha256);
    assert_non_null(strstr(r.summary.data, wanted));
    align_result_free(&r);
}

static void arms_with_a_test_set_and_a_judge(void **state)
{
    (void)state;
    char output[1100];
    static const char *const names[] = {"pretrained", "icl-knn", "icl-random", "sft-seeds", "sft-seeds-steps", "round-1"};
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/arms", root);
    options_for(&o, output);
    o.rounds = 1, o.test = test_path, o.judge = judge_path, o.baselines = 1;
    o.pool = ALIGN_POOL_GROWN, o.start = ALIGN_START_LAST, o.retriever = RETRIEVER_BM25, o.ask_contexts = ALIGN_CONTEXTS_ANCHOR;
    align(&o, 2, &r);
    assert_int_equal(r.report.n_arm, 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(r.report.arms[i].name, names[i]);
        assert_int_equal(r.report.arms[i].n, 6);
        assert_int_equal(r.report.arms[i].n_judged, 6);
        assert_true(r.report.arms[i].rate_low <= r.report.arms[i].rate && r.report.arms[i].rate <= r.report.arms[i].rate_high);
        double share = r.report.arms[i].rate, zz = 3.841458820694124 / 6; /* Wilson's interval at 95 %, from its definition */
        double half = sqrt(share * (1 - share) * zz + zz * zz / 4) / (1 + zz);
        assert_true(fabs(r.report.arms[i].rate_high - r.report.arms[i].rate_low - 2 * half) < 1e-9);
        assert_true(r.report.arms[i].n_answered == 6 && r.report.arms[i].n_cut >= 0 && r.report.arms[i].n_cut <= 6 && isnan(r.report.arms[i].to.p_flags) == !i);
    }
    assert_non_null(strstr(r.summary.data, "above 0.5 (strictly)"));
    assert_non_null(strstr(r.summary.data, "mode safe, "));
    json_t *metrics = json_loads(r.json.data, 0, NULL);
    assert_int_equal(json_string_length(json_object_get(metrics, "judge_sha256")), 64);
    json_t *against = json_object_get(metrics, "last_round_against"), *row;
    size_t at;
    assert_int_equal(json_array_size(against), 4);
    json_array_foreach(against, at, row) { /* what is flagged less and more is the difference of the counts */
        assert_string_equal(json_string_value(json_object_get(row, "arm")), names[at + 1]);
        assert_int_equal(json_integer_value(json_object_get(row, "no_longer_flagged")) - json_integer_value(json_object_get(row, "newly_flagged")), r.report.arms[at + 1].n_flagged - r.report.arms[5].n_flagged);
    }
    json_decref(metrics);
    assert_int_equal(r.report.arms[4].steps, r.report.arms[5].steps); /* as many steps */
    assert_true(r.report.arms[3].steps < r.report.arms[5].steps);
    align_result_free(&r);

    /* Another threshold is applied to the stored probabilities; another judge at the same path is refused. */
    long flagged[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        o.threshold = i;
        align(&o, 1, &r);
        for (int k = 0; k < 6; k++)
            flagged[i] += r.report.arms[k].n_flagged, assert_int_equal(r.report.arms[k].n_judged, 6);
        align_result_free(&r);
    }
    assert_true(flagged[0] == 36 && flagged[1] == 0);
    char path[1200], other[1300];
    struct error err;
    snprintf(path, sizeof path, "%s/model.safetensors", judge_path), snprintf(other, sizeof other, "%s.kept", path);
    assert_int_equal(rename(path, other), 0);
    struct buf weights = BUF_INIT;
    assert_int_equal(file_read(&weights, other, 1 << 26, NULL), 0);
    weights.data[weights.len - 1] ^= 1;
    assert_int_equal(file_write(path, weights.data, weights.len, NULL), 0);
    buf_free(&weights);
    struct device *d = open_device(1);
    assert_int_equal(method_align(d, &o, &r, &err), ERROR_CONFIG);
    assert_non_null(strstr(err.message, "judge/weights has changed"));
    align_result_free(&r);
    device_close(d);
    assert_int_equal(rename(other, path), 0);
}

/* Twenty examples are asked for and do not fit: what is stored is what stood in the prompt, for the nearest and for the random ones. */
static void an_arms_examples_are_those_that_fitted(void **state)
{
    (void)state;
    static const char *const names[] = {"icl-knn", "icl-random", "pretrained"};
    char output[1100], path[1200];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/examples", root);
    options_for(&o, output);
    o.rounds = 1, o.attempts = 2, o.k = 20, o.test = test_path, o.baselines = 1, o.retriever = RETRIEVER_BM25;
    align(&o, 1, &r);
    align_result_free(&r);
    for (int k = 0; k < 3; k++) {
        size_t rows = 0;
        struct jsonl *in;
        json_t *row;
        snprintf(path, sizeof path, "%s/arms/%s.jsonl", output, names[k]);
        assert_int_equal(jsonl_open(&in, path, NULL), 0);
        for (; jsonl_next(in, &row, NULL) == 1; rows++) {
            const json_t *contexts = json_object_get(row, "contexts");
            size_t n = json_array_size(contexts);
            assert_true(k == 2 ? !contexts : n > 0 && n < 20);
            assert_int_equal(json_integer_value(json_object_get(row, "contexts_dropped")), k == 2 ? 0 : 20 - (int)n);
            for (size_t c = 0; c < n; c++)
                assert_int_equal(strncmp(json_string_value(json_array_get(contexts, c)), "seed-", 5), 0);
            json_decref(row);
        }
        assert_int_equal(rows, 6);
        jsonl_close(in);
    }
}

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

/* The row of round 1 with this question, or the first that was kept (question NULL); whether any prompt had seed-0 before it. */
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
        json_array_foreach(json_object_get(json_object_get(row, "ask"), "contexts"), c, context)
            *seed_0 |= !strcmp(json_string_value(context), "seed-0");
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
    snprintf(output, sizeof output, "%s/overlap-a", root);
    snprintf(near, sizeof near, "%s/near.jsonl", root);
    snprintf(with_seed, sizeof with_seed, "%s/with-seed.jsonl", root);
    options_for(&o, output);
    o.rounds = 1, o.attempts = 12, o.test = test_path, o.retriever = RETRIEVER_BM25;
    align(&o, 1, &r);
    align_result_free(&r);
    json_t *kept = find_row(output, NULL, &seed_0), *again;
    const char *question = json_string_value(json_object_get(kept, "question"));
    check_overlap(output, 0, 0, 0, 0);
    assert_true(seed_0);

    write_test(near, test_path, question); /* one that is generated stands in the test set */
    snprintf(output, sizeof output, "%s/overlap-b", root);
    o.test = near;
    align(&o, 1, &r);
    assert_non_null(strstr(r.summary.data, "1 question is near a test question"));
    assert_non_null(strstr(r.summary.data, "1 generated questions are near one (ROUGE-L above 0.9): 1 left out for it, 0 kept"));
    align_result_free(&r);
    align(&o, 1, &r); /* and its journal is read again */
    align_result_free(&r);
    again = find_row(output, question, &seed_0);
    assert_string_equal(json_string_value(json_object_get(again, "reason")), "test_overlap");
    assert_string_equal(json_string_value(json_object_get(again, "matches")), "test-6");
    assert_null(json_object_get(again, "answer_facts"));
    check_overlap(output, 0, 0, 1, 0);
    json_decref(again);

    assert_int_equal(seeds_read(&seeds, seeds_path, 1, NULL), 0); /* and a seed */
    write_test(with_seed, near, seeds.items[0].question);
    seeds_free(&seeds);
    snprintf(output, sizeof output, "%s/overlap-c", root);
    o.test = with_seed, o.keep_test_overlap = 1;
    align(&o, 1, &r);
    align_result_free(&r);
    seed_0 = 0;
    again = find_row(output, question, &seed_0);
    assert_true(json_is_true(json_object_get(again, "kept")) && seed_0);
    check_overlap(output, 1, 0, 0, 1);
    json_decref(again);
    snprintf(output, sizeof output, "%s/overlap-d", root);
    o.keep_test_overlap = 0, seed_0 = 0;
    align(&o, 1, &r);
    align_result_free(&r);
    json_decref(find_row(output, NULL, &seed_0));
    assert_false(seed_0);
    json_decref(kept);
}

static void novelty_that_runs_out_stops_the_loop(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    snprintf(output, sizeof output, "%s/novelty", root);
    options_for(&o, output);
    o.sift.question_min_words = 90;
    o.stop_novelty = 0.1;
    align(&o, 1, &r);
    assert_true(r.novelty_ran_out == 1 && r.rounds == 0 && r.report.n_arm == 1);
    align_result_free(&r);
}

static void show(void *user, const char *text)
{
    buf_puts(user, text);
}

static void preview_shows_prompts_and_writes_nothing(void **state)
{
    (void)state;
    char output[1100];
    struct align_options o;
    struct align_result r;
    struct buf text = BUF_INIT;
    snprintf(output, sizeof output, "%s/preview", root);
    options_for(&o, output);
    o.preview = 2, o.show = show, o.user = &text;
    align(&o, 1, &r);
    assert_non_null(strstr(text.data, "=== attempt 1: the prompt that asks"));
    assert_non_null(strstr(text.data, "Question: "));
    assert_non_null(strstr(text.data, "--- verdict: "));
    assert_false(file_exists(output));
    buf_free(&text);
    align_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_rounds_end_with_evidence), cmocka_unit_test(eight_bits_sample_what_bf16_learns), cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(a_run_killed_again_and_again_ends_with_the_same_bytes),
        cmocka_unit_test(failed_allocations_leave_a_run_that_continues), cmocka_unit_test(other_settings_are_refused_by_name),
        cmocka_unit_test(every_attempt_can_be_replayed), cmocka_unit_test(a_journal_that_does_not_fit_the_run_is_refused),
        cmocka_unit_test(review_stops_and_struck_lines_are_not_trained_on),
        cmocka_unit_test(seventy_rounds_have_seventy_lines), cmocka_unit_test(arms_with_a_test_set_and_a_judge),
        cmocka_unit_test(an_arms_examples_are_those_that_fitted), cmocka_unit_test(what_is_in_the_test_set_is_counted_and_left_out),
        cmocka_unit_test(novelty_that_runs_out_stops_the_loop),
        cmocka_unit_test(preview_shows_prompts_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
