/* SPDX-License-Identifier: Apache-2.0 */
/* A run's journal from untrusted bytes. Bytes that begin as SQLite's files do are the file; others are instructions
 * that write odd values into the cells of a sound journal, which gets behind SQLite's own checks. What is accepted can
 * be read as the method reads it: every index is in its list, every text is UTF-8. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "run/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 3, POOL = 4, K = 2, VOCAB = 40, QUESTIONS = 2, MOST = 1 << 20 };

static int reason(const char *name)
{
    return !strcmp(name, "kept") || !strcmp(name, "error") || !strcmp(name, "answer_copied") ||
                   !strcmp(name, "question_repeat")
               ? 0
               : -1;
}

static void check_text(const struct run_text *t, int pool)
{
    size_t n = t->text ? strlen(t->text) : 0;
    if ((t->text && utf8_valid(t->text, n) != n) || (t->text && t->error) || t->n_context > K || t->dropped < 0)
        abort();
    for (int i = 0; i < t->n; i++)
        if (t->ids[i] < 0 || t->ids[i] >= VOCAB || !isfinite(t->logprobs[i]))
            abort();
    for (int i = 0; i < t->n_context; i++)
        if (t->contexts[i] < 0 || t->contexts[i] >= pool)
            abort();
}

static void read_round(struct run *r, int t, const struct run_round *round, int pool)
{
    struct arena arena = ARENA_INIT;
    struct run_attempt a[ATTEMPTS];
    if (round->attempts < 1 || round->attempts > ATTEMPTS || run_get_attempts(r, t, round->attempts, a, &arena, NULL))
        abort();
    for (int i = 0; i < round->attempts; i++) {
        check_text(&a[i].question, pool);
        check_text(&a[i].answer, pool);
        if (a[i].neighbours.n > K || (a[i].neighbours.n && !a[i].question.text) ||
            (a[i].verdict.kept && (!a[i].question.text || !a[i].answer.text)) || a[i].verdict.match >= POOL + ATTEMPTS)
            abort();
        for (int k = 0; k < a[i].neighbours.n; k++)
            if (a[i].neighbours.items[k] < 0 || a[i].neighbours.items[k] >= pool ||
                !isfinite(a[i].neighbours.nearness[k]))
                abort();
        if (a[i].verdict.reason && reason(a[i].verdict.reason) < 0)
            abort();
    }
    arena_free(&arena);
}

static void read_all(struct run *r)
{
    struct arena arena = ARENA_INIT;
    struct run_result results[QUESTIONS];
    struct run_round round;
    json_t *settings;
    struct run_results stored = {"pretrained", "test", results, QUESTIONS, 0};
    int pool = POOL;
    if (!run_settings(r, &settings, NULL))
        json_decref(settings);
    for (int t = 1; !run_get_round(r, t, &round, NULL) && round.state != RUN_STATE_NONE; t++) {
        read_round(r, t, &round, pool);
        pool += round.kept;
    }
    if (run_get_results(r, &stored, &arena, NULL))
        abort();
    for (int i = 0; i < QUESTIONS; i++)
        if (isinf(results[i].logprob) || (!isnan(results[i].logprob) && results[i].n_token < 1) ||
            results[i].flagged < -1 || results[i].flagged > 1)
            abort();
    arena_free(&arena);
}

static const char schema_of[] =
    "SELECT group_concat(sql, ';') FROM sqlite_master WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%'";
static unsigned char *sound;
static sqlite3_int64 n_sound;
static char *schema;

/* A journal in memory with a round that is done; its bytes and its tables are kept. */
static void make_sound(void)
{
    struct run r = {.directory = (char *)"fuzz", .db_path = (char *)"fuzz/run.db", .lock = -1};
    int contexts[] = {3, 1};
    int32_t ids[] = {0, 39};
    float logprobs[] = {-1, -0.5f}, p[] = {0.5f, 0};
    double nearness[] = {0.5, 0.25};
    struct run_text text = {"Why?", NULL, ids, logprobs, 2, -0.75, 1, contexts, 2, 0};
    struct run_round round = {RUN_STATE_DONE, ATTEMPTS, 1, 7,
                              "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    sqlite3_stmt *s;
    if (sqlite3_open(":memory:", &r.db) || run_exec(&r, "PRAGMA page_size=512", NULL) || run_make_tables(&r, NULL))
        abort();
    for (int i = 0; i < ATTEMPTS; i++) {
        run_put_question(&r, 1, i, &text, NULL);
        run_put_neighbours(&r, 1, i, &(struct run_neighbours){contexts, nearness, 2}, NULL);
        run_put_answer(&r, 1, i, &text, NULL);
        run_put_verdict(&r, 1, i, &(struct run_verdict){i ? "question_repeat" : "kept", !i, i - 1, 0.5}, NULL);
    }
    run_put_round(&r, 1, &round, NULL);
    run_put_fact(&r, "settings", "{\"rounds\":1}", NULL);
    run_put_result(
        &r, "pretrained", "test", 1,
        &(struct run_result){
            .text = "So.", .logprob = -2, .n_token = 2, .probabilities = p, .n_probability = 2, .flagged = 0},
        NULL);
    if (run_prepare(&r, &s, schema_of, NULL) || sqlite3_step(s) != SQLITE_ROW ||
        !(schema = strdup((const char *)sqlite3_column_text(s, 0))))
        abort();
    sqlite3_finalize(s);
    if (!(sound = sqlite3_serialize(r.db, "main", &n_sound, 0)))
        abort();
    sqlite3_close(r.db);
}

/* clang-format off */
static const char *const columns[] = {
    "round.round", "round.state", "round.attempts", "round.kept", "round.steps", "round.model_sha256",
    "attempt.round", "attempt.idx", "attempt.question", "attempt.question_error", "attempt.question_ids",
    "attempt.question_logprobs", "attempt.question_score", "attempt.question_ended", "attempt.question_contexts",
    "attempt.question_dropped", "attempt.neighbours", "attempt.nearness", "attempt.answer", "attempt.answer_error",
    "attempt.answer_ids", "attempt.answer_logprobs", "attempt.answer_contexts", "attempt.answer_dropped",
    "attempt.kept", "attempt.reason", "attempt.matched", "attempt.f1", "result.idx", "result.text", "result.logprob",
    "result.n_token", "result.probabilities", "result.flagged", "result.ended", "fact.name", "fact.value",
};
/* clang-format on */

/* Instructions of 8 bytes: which column of which table, which row, what kind of value, the value. */
static void damage(struct run *r, const uint8_t *data, size_t size)
{
    static const char *const words[] = {"kept",     "error",           "ask",           "sift", "done",
                                        "settings", "question_repeat", "answer_copied", "",     "x"};
    static const double reals[] = {INFINITY, -INFINITY, 1e300, -0.5, 0.5, 1.5};
    for (; size >= 8; data += 8, size -= 8) {
        char sql[200], table[16];
        const char *column = columns[data[0] % (sizeof columns / sizeof *columns)], *dot = strchr(column, '.');
        int32_t whole;
        sqlite3_stmt *s;
        memcpy(&whole, data + 4, sizeof whole);
        snprintf(table, sizeof table, "%.*s", (int)(dot - column), column);
        snprintf(sql, sizeof sql, "UPDATE %s SET %s = ? WHERE rowid = %d", table, dot + 1, data[1] % 4);
        if (sqlite3_prepare_v2(r->db, sql, -1, &s, NULL))
            continue; /* the file's own tables */
        switch (data[2] % 6) {
        case 0: sqlite3_bind_int64(s, 1, whole); break;
        case 1: sqlite3_bind_double(s, 1, reals[data[3] % 6]); break;
        case 2: sqlite3_bind_text(s, 1, words[data[3] % 10], -1, SQLITE_STATIC); break;
        case 3: sqlite3_bind_blob(s, 1, data + 3, data[3] % 6, SQLITE_TRANSIENT); break;
        case 4: sqlite3_bind_text(s, 1, (const char *)data + 4, 4, SQLITE_TRANSIENT); break;
        default: sqlite3_bind_null(s, 1); break;
        }
        sqlite3_step(s);
        sqlite3_finalize(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char magic[] = "SQLite format 3";
    const struct run_bounds bounds = {.rounds = 1,
                                      .attempts = 1,
                                      .most_attempts = ATTEMPTS,
                                      .k = K,
                                      .pool = POOL,
                                      .grown = 1,
                                      .vocab = VOCAB,
                                      .questions = QUESTIONS,
                                      .reason = reason};
    struct run r = {.directory = (char *)"fuzz", .db_path = (char *)"fuzz/run.db", .lock = -1};
    struct error err = {0};
    if (!sound)
        make_sound();
    int whole = size >= sizeof magic && !memcmp(data, magic, sizeof magic);
    size_t n = whole ? size : (size_t)n_sound;
    unsigned char *bytes = sqlite3_malloc64(n + 1);
    if (n > MOST || !bytes || sqlite3_open(":memory:", &r.db))
        abort();
    memcpy(bytes, whole ? data : sound, n);
    if (n > 20)
        bytes[18] = bytes[19] = 1; /* a write-ahead log cannot be in memory */
    if (sqlite3_deserialize(r.db, "main", bytes, (sqlite3_int64)n, (sqlite3_int64)n,
                            SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) == SQLITE_OK) {
        if (!whole)
            damage(&r, data, size);
        if (!run_check_file(&r, schema, &err) && !run_check(&r, &bounds, &err))
            read_all(&r);
        else if (!strstr(err.message, "run.db"))
            abort();
    }
    sqlite3_close(r.db);
    return 0;
}
