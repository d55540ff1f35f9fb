/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in and out of run.db. Lists of numbers are blobs in the machine's byte order (little-endian everywhere that this
 * builds). */
#include "run/parts.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

static const char *const states[] = {"none", "ask", "retrieve", "answer", "sift", "review", "tune", "done"};

const char *run_state_name(enum run_state s)
{
    return states[s];
}

static void bind_blob(sqlite3_stmt *s, int at, const void *bytes, size_t n)
{
    if (bytes)
        sqlite3_bind_blob64(s, at, bytes, n, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, at);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, at);
}

static void bind_real(sqlite3_stmt *s, int at, double x)
{
    if (!isfinite(x)) /* a journal's numbers are finite (check.c) */
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_double(s, at, x);
}

/* Copies of a column into the arena; *failed is set when it runs out. */
static const char *get_text(sqlite3_stmt *s, int at, struct arena *arena, int *failed)
{
    const unsigned char *text = sqlite3_column_text(s, at);
    char *copy = text ? arena_strndup(arena, (const char *)text, (size_t)sqlite3_column_bytes(s, at)) : NULL;
    *failed |= text && !copy;
    return copy;
}

static const void *get_blob(sqlite3_stmt *s, int at, size_t size, int *n, struct arena *arena, int *failed)
{
    const void *bytes = sqlite3_column_blob(s, at);
    size_t all = (size_t)sqlite3_column_bytes(s, at);
    *n = (int)(all / size);
    void *copy = bytes ? arena_alloc(arena, all) : NULL;
    *failed |= bytes && !copy;
    if (copy)
        memcpy(copy, bytes, all);
    return copy;
}

static double get_real(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
}

int run_get_round(struct run *r, int round, struct run_round *out, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "SELECT state, attempts, kept, steps, model_sha256 FROM round WHERE round = ?", err);
    *out = (struct run_round){0};
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW) {
        const char *state = (const char *)sqlite3_column_text(s, 0), *sha = (const char *)sqlite3_column_text(s, 4);
        for (int i = 0; state && i < (int)(sizeof states / sizeof *states); i++)
            if (!strcmp(states[i], state))
                out->state = (enum run_state)i;
        out->attempts = sqlite3_column_int(s, 1);
        out->kept = sqlite3_column_int(s, 2);
        out->steps = (long)sqlite3_column_int64(s, 3);
        snprintf(out->model_sha256, sizeof out->model_sha256, "%s", sha ? sha : "");
    } else if (step != SQLITE_DONE) {
        rc = run_sqlite_error(r, "cannot read a round", err);
    }
    sqlite3_finalize(s);
    return rc;
}

int run_put_round(struct run *r, int round, const struct run_round *in, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(
        r, &s,
        "INSERT OR REPLACE INTO round(round, state, attempts, kept, steps, model_sha256) VALUES(?, ?, ?, ?, ?, ?)",
        err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    bind_text(s, 2, run_state_name(in->state));
    sqlite3_bind_int(s, 3, in->attempts);
    sqlite3_bind_int(s, 4, in->kept);
    sqlite3_bind_int64(s, 5, in->steps);
    bind_text(s, 6, in->model_sha256);
    return run_finish(r, s, "cannot write a round", err);
}

static int put_text(struct run *r, const char *sql, int round, int index, const struct run_text *t, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, sql, err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, index);
    bind_text(s, 3, t->text);
    bind_text(s, 4, t->error);
    bind_blob(s, 5, t->ids, (size_t)t->n * sizeof *t->ids);
    bind_blob(s, 6, t->logprobs, (size_t)t->n * sizeof *t->logprobs);
    bind_real(s, 7, t->score);
    sqlite3_bind_int(s, 8, t->ended);
    bind_blob(s, 9, t->contexts, (size_t)t->n_context * sizeof *t->contexts);
    sqlite3_bind_int(s, 10, t->dropped);
    return run_finish(r, s, "cannot write an attempt", err);
}

int run_put_question(struct run *r, int round, int index, const struct run_text *t, struct error *err)
{
    return put_text(r,
                    "INSERT INTO attempt(round, idx, question, question_error, question_ids, question_logprobs, "
                    "question_score, question_ended, question_contexts, "
                    "question_dropped) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    round, index, t, err);
}

int run_put_answer(struct run *r, int round, int index, const struct run_text *t, struct error *err)
{
    return put_text(r,
                    "UPDATE attempt SET answer = ?3, answer_error = ?4, answer_ids = ?5, answer_logprobs = ?6, "
                    "answer_score = ?7, answer_ended = ?8, answer_contexts = ?9, "
                    "answer_dropped = ?10 WHERE round = ?1 AND idx = ?2",
                    round, index, t, err);
}

int run_put_edited(struct run *r, int round, int index, const char *question, const char *answer, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(
        r, &s,
        "UPDATE attempt SET question = coalesce(?3, question), answer = coalesce(?4, answer), score = NULL, "
        "question_ids = CASE WHEN ?3 IS NULL THEN question_ids END, "
        "question_logprobs = CASE WHEN ?3 IS NULL THEN question_logprobs END, "
        "question_score = CASE WHEN ?3 IS NULL THEN question_score END, "
        "answer_ids = CASE WHEN ?4 IS NULL THEN answer_ids END, "
        "answer_logprobs = CASE WHEN ?4 IS NULL THEN answer_logprobs END, "
        "answer_score = CASE WHEN ?4 IS NULL THEN answer_score END WHERE round = ?1 AND idx = ?2",
        err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, index);
    bind_text(s, 3, question);
    bind_text(s, 4, answer);
    return run_finish(r, s, "cannot write an attempt", err);
}

int run_put_neighbours(struct run *r, int round, int index, const struct run_neighbours *near, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "UPDATE attempt SET neighbours = ?3, nearness = ?4 WHERE round = ?1 AND idx = ?2", err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, index);
    bind_blob(s, 3, near->items, (size_t)near->n * sizeof *near->items);
    bind_blob(s, 4, near->nearness, (size_t)near->n * sizeof *near->nearness);
    return run_finish(r, s, "cannot write an attempt", err);
}

int run_put_score(struct run *r, int round, int index, double score, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "UPDATE attempt SET score = ?3 WHERE round = ?1 AND idx = ?2", err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, index);
    bind_real(s, 3, score);
    return run_finish(r, s, "cannot write a score", err);
}

int run_put_verdict(struct run *r, int round, int index, const struct run_verdict *v, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(
        r, &s, "UPDATE attempt SET kept = ?3, reason = ?4, matched = ?5, f1 = ?6 WHERE round = ?1 AND idx = ?2", err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, index);
    sqlite3_bind_int(s, 3, v->kept);
    bind_text(s, 4, v->reason);
    sqlite3_bind_int(s, 5, v->match);
    bind_real(s, 6, v->f1);
    return run_finish(r, s, "cannot write a verdict", err);
}

static void get_run_text(sqlite3_stmt *s, int at, struct run_text *t, struct arena *arena, int *failed)
{
    int n;
    t->text = get_text(s, at, arena, failed);
    t->error = get_text(s, at + 1, arena, failed);
    t->ids = get_blob(s, at + 2, sizeof *t->ids, &t->n, arena, failed);
    t->logprobs = get_blob(s, at + 3, sizeof *t->logprobs, &n, arena, failed);
    t->score = get_real(s, at + 4);
    t->ended = sqlite3_column_int(s, at + 5);
    t->contexts = get_blob(s, at + 6, sizeof *t->contexts, &t->n_context, arena, failed);
    t->dropped = sqlite3_column_int(s, at + 7);
}

struct stretch {
    int first, n;
};
/* To attempts[0..n). */
static int get_attempts(struct run *r, int round, const struct stretch *of, struct run_attempt *attempts,
                        struct arena *arena, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(
            r, &s,
            "SELECT idx, question, question_error, question_ids, question_logprobs, question_score, "
            "question_ended, question_contexts, question_dropped,"
            " answer, answer_error, answer_ids, answer_logprobs, answer_score, answer_ended, "
            "answer_contexts, answer_dropped, neighbours, nearness, kept,"
            " reason, matched, f1, score FROM attempt WHERE round = ?1 AND idx >= ?2 AND idx < ?2 + ?3 ORDER BY idx",
            err),
        step, failed = 0;
    for (int i = 0; i < of->n; i++)
        attempts[i] = (struct run_attempt){.index = of->first + i, .score = NAN, .verdict.match = -1};
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    sqlite3_bind_int(s, 2, of->first);
    sqlite3_bind_int(s, 3, of->n);
    while ((step = sqlite3_step(s)) == SQLITE_ROW && !failed) {
        int index = sqlite3_column_int(s, 0) - of->first, count;
        if (index < 0 || index >= of->n)
            continue;
        struct run_attempt *a = &attempts[index];
        get_run_text(s, 1, &a->question, arena, &failed);
        get_run_text(s, 9, &a->answer, arena, &failed);
        struct run_neighbours *near = &a->neighbours;
        near->items = get_blob(s, 17, sizeof *near->items, &near->n, arena, &failed);
        near->nearness = get_blob(s, 18, sizeof *near->nearness, &count, arena, &failed);
        struct run_verdict *v = &a->verdict;
        v->kept = sqlite3_column_int(s, 19);
        v->reason = get_text(s, 20, arena, &failed);
        v->match = v->reason ? sqlite3_column_int(s, 21) : -1;
        v->f1 = get_real(s, 22);
        a->score = get_real(s, 23);
    }
    if (failed)
        rc = error_set_nomem(err, 0, "attempts");
    else if (step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot read attempts", err);
    sqlite3_finalize(s);
    return rc;
}

int run_get_attempts(struct run *r, int round, int n, struct run_attempt *attempts, struct arena *arena,
                     struct error *err)
{
    return get_attempts(r, round, &(struct stretch){0, n}, attempts, arena, err);
}

int run_get_attempt(struct run *r, int round, int index, struct run_attempt *out, struct arena *arena,
                    struct error *err)
{
    return get_attempts(r, round, &(struct stretch){index, 1}, out, arena, err);
}

int run_begin(struct run *r, struct error *err)
{
    return run_exec(r, "BEGIN IMMEDIATE", err);
}

int run_commit(struct run *r, struct error *err)
{
    int rc = run_exec(r, "COMMIT", err);
    if (rc)
        run_rollback(r);
    return rc;
}

void run_rollback(struct run *r)
{
    if (!sqlite3_get_autocommit(r->db))
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
}

int run_put_result(struct run *r, const char *arm, const char *set, int index, const struct run_result *in,
                   struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s,
                         "INSERT OR REPLACE INTO result(arm, part, idx, text, logprob, n_token, probabilities, "
                         "flagged, ended, contexts, dropped)"
                         " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         err);
    if (rc)
        return rc;
    bind_text(s, 1, arm);
    bind_text(s, 2, set);
    sqlite3_bind_int(s, 3, index);
    bind_text(s, 4, in->text);
    bind_real(s, 5, in->logprob);
    sqlite3_bind_int(s, 6, in->n_token);
    bind_blob(s, 7, in->probabilities, (size_t)in->n_probability * sizeof *in->probabilities);
    sqlite3_bind_int(s, 8, in->flagged);
    sqlite3_bind_int(s, 9, in->ended);
    bind_blob(s, 10, in->contexts, (size_t)in->n_context * sizeof *in->contexts);
    sqlite3_bind_int(s, 11, in->dropped);
    return run_finish(r, s, "cannot write a result", err);
}

int run_drop_results(struct run *r, const char *arm, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "DELETE FROM result WHERE arm = ?", err);
    if (rc)
        return rc;
    bind_text(s, 1, arm);
    return run_finish(r, s, "cannot drop results", err);
}

int run_get_results(struct run *r, struct run_results *out, struct arena *arena, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(
            r, &s,
            "SELECT idx, text, logprob, n_token, probabilities, flagged, ended, contexts, dropped FROM result"
            " WHERE arm = ? AND part = ? ORDER BY idx",
            err),
        step, failed = 0;
    out->n_found = 0;
    for (int i = 0; i < out->n; i++)
        out->items[i] = (struct run_result){.logprob = NAN, .flagged = -1, .ended = -1};
    if (rc)
        return rc;
    bind_text(s, 1, out->arm);
    bind_text(s, 2, out->set);
    while ((step = sqlite3_step(s)) == SQLITE_ROW && !failed) {
        int index = sqlite3_column_int(s, 0);
        if (index < 0 || index >= out->n)
            continue;
        struct run_result *x = &out->items[index];
        x->text = get_text(s, 1, arena, &failed);
        x->logprob = get_real(s, 2);
        x->n_token = sqlite3_column_int(s, 3);
        x->probabilities = get_blob(s, 4, sizeof *x->probabilities, &x->n_probability, arena, &failed);
        x->flagged = sqlite3_column_int(s, 5);
        x->ended = sqlite3_column_type(s, 6) == SQLITE_NULL ? -1 : sqlite3_column_int(s, 6);
        x->contexts = get_blob(s, 7, sizeof *x->contexts, &x->n_context, arena, &failed);
        x->dropped = sqlite3_column_int(s, 8);
        out->n_found++;
    }
    if (failed)
        rc = error_set_nomem(err, 0, "results");
    else if (step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot read results", err);
    sqlite3_finalize(s);
    return rc;
}

int run_put_fact(struct run *r, const char *name, const char *value, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "INSERT OR REPLACE INTO fact(name, value) VALUES(?, ?)", err);
    if (rc)
        return rc;
    bind_text(s, 1, name);
    bind_text(s, 2, value);
    return run_finish(r, s, "cannot write", err);
}

int run_get_fact(struct run *r, const char *name, const char **out, struct arena *arena, struct error *err)
{
    sqlite3_stmt *s;
    int failed = 0, rc = run_prepare(r, &s, "SELECT value FROM fact WHERE name = ?", err);
    *out = NULL;
    if (rc)
        return rc;
    bind_text(s, 1, name);
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW)
        *out = get_text(s, 0, arena, &failed);
    if (failed)
        rc = error_set_nomem(err, 0, "a fact");
    else if (step != SQLITE_ROW && step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot read", err);
    sqlite3_finalize(s);
    return rc;
}

int run_drop_fact(struct run *r, const char *name, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "DELETE FROM fact WHERE name = ?", err);
    if (rc)
        return rc;
    bind_text(s, 1, name);
    return run_finish(r, s, "cannot write", err);
}

int run_add_event(struct run *r, const char *kind, const char *text, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "INSERT INTO event(time, kind, text) VALUES(?, ?, ?)", err);
    if (rc)
        return rc;
    sqlite3_bind_double(s, 1, clock_wall());
    bind_text(s, 2, kind);
    bind_text(s, 3, text);
    return run_finish(r, s, "cannot write an event", err);
}
