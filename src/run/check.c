/* SPDX-License-Identifier: Apache-2.0 */
/* Is this file a journal, and does it hold only what this program could have written? Everything above run/ indexes by
 * the numbers in it and hands its texts to JSON, so a file that was damaged, or made by somebody else, is refused here
 * by what is wrong in it.
 *
 * A rule is an SQL condition that holds for a bad row, with the words for it. All rules of a table are asked in one
 * pass over its rows. In the rules ?1 to ?6 are the round, its attempts, the size of its pool, k, the vocabulary and
 * the round's state; of a table without rounds, ?1 is what its comment says. */
#include "run/parts.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

enum { MAX_PARAMETER = 7 };
struct rule {
    const char *bad, *text;
};
struct table {
    const char *from, *place;
    const struct rule *rules;
    int n;
};
#define TABLE(from, place, rules)                               \
    {                                                           \
        from, place, rules, (int)(sizeof rules / sizeof *rules) \
    }

/* A generated text: column t and those that its name begins. */
#define TEXT_RULES(t)                                                                                \
    {"NOT is_text(" t ") OR NOT is_text(" t "_error)", "its " t " is not UTF-8 text"},               \
        {t " IS NOT NULL AND " t "_error IS NOT NULL", "its " t " has a text and an error"},         \
        {"NOT are_ints(" t "_ids, 0, ?5)", "its " t " has token ids that the model does not have"},  \
        {"NOT are_floats(" t "_logprobs, 4, -1e30, 1e30)",                                           \
         "its " t " has log-probabilities that are no finite numbers"},                              \
        {"coalesce(length(" t "_ids), 0) <> coalesce(length(" t "_logprobs), 0)",                    \
         "its " t " has not one log-probability a token"},                                           \
        {"NOT is_number(" t "_score)", "its " t " has a score that is no finite number"},            \
        {"NOT is_int(" t "_ended, 0, 2)", "its " t "_ended is neither 0 nor 1"},                     \
        {"NOT are_ints(" t "_contexts, 0, ?3)", "its " t " has contexts that are not in the pool"},  \
        {"NOT is_int(" t "_dropped, 0, ?4 + 1)", "its " t " dropped contexts that it did not have"}, \
    {                                                                                                \
        "coalesce(length(" t "_contexts), 0) / 4 + coalesce(" t "_dropped, 0) > ?4",                 \
            "its " t " has more contexts than k"                                                     \
    }

static const struct rule attempt_rules[] = {
    {"idx IS NULL OR NOT is_int(idx, 0, ?2)", "its number is not one of the round's"},
    TEXT_RULES("question"),
    {"question IS NULL AND question_error IS NULL", "it has neither a question nor an error"},
    {"NOT are_ints(neighbours, 0, ?3)", "it has neighbours that are not in the pool"},
    {"coalesce(length(neighbours), 0) / 4 > ?4", "it has more neighbours than k"},
    {"NOT are_floats(nearness, 8, -1e300, 1e300)", "it has neighbours whose nearness is no finite number"},
    {"coalesce(length(neighbours), 0) * 2 <> coalesce(length(nearness), 0)", "it has not one nearness a neighbour"},
    {"length(neighbours) > 0 AND question IS NULL", "it has neighbours of a question that is not there"},
    TEXT_RULES("answer"),
    {"(answer IS NOT NULL OR answer_error IS NOT NULL) AND coalesce(length(neighbours), 0) = 0",
     "it has an answer without contexts"},
    {"?6 >= 4 AND length(neighbours) > 0 AND answer IS NULL AND answer_error IS NULL",
     "it has neither an answer nor an error"},
    {"NOT is_reason(reason)", "its reason is unknown"},
    {"(reason IS NULL) <> (kept IS NULL) OR NOT is_int(kept, 0, 2)", "its verdict is neither 0 nor 1 with a reason"},
    {"kept IS NOT NULL AND (kept = 1) <> (reason = 'kept')", "its verdict and its reason contradict each other"},
    {"kept = 1 AND (question IS NULL OR answer IS NULL)", "it is kept but has no question or no answer"},
    {"?6 >= 5 AND reason IS NULL", "it has no verdict"},
    {"reason = 'answer_copied' AND (matched IS NULL OR NOT is_int(matched, 0, ?3))",
     "it matches a context that is not in the pool"},
    {"reason = 'test_overlap' AND (matched IS NULL OR NOT is_int(matched, 0, ?7))",
     "it matches a test question that is not there"},
    {"reason NOT IN ('answer_copied', 'test_overlap') AND NOT is_int(matched, -1, idx)",
     "it matches an attempt that is not before it"},
    {"NOT is_number(score)", "its score is no finite number"},
    {"score IS NOT NULL AND answer IS NULL", "it has a score of an answer that is not there"},
    {"NOT is_number(f1) OR f1 < 0 OR f1 > 1.000001", "its nearest F1 is not between 0 and 1"},
};
static const struct rule round_rules[] = {
    /* ?1 rounds, ?2 attempts, ?3 the most attempts, ?4 the least */
    {"NOT is_int(round, 1, ?1 + 1)", "its number is not one of the run's"},
    {"state NOT IN ('ask', 'retrieve', 'answer', 'sift', 'review', 'tune', 'done')", "its state is unknown"},
    {"attempts IS NULL OR NOT is_int(attempts, ?4, ?3 + 1) OR attempts % ?2 OR attempts = 0 AND EXISTS(SELECT 1 FROM "
     "attempt a WHERE a.round = round.round)",
     "its number of attempts is not the run's"},
    {"kept IS NULL OR NOT is_int(kept, 0, attempts + 1)", "its number of kept pairs is not between 0 and its attempts"},
    {"steps IS NULL OR NOT is_int(steps, 0, 2147483648)", "its number of steps is out of range"},
    {"NOT is_text(model_sha256) OR coalesce(model_sha256, '') <> '' AND (length(model_sha256) <> 64 OR model_sha256 "
     "GLOB '*[^0-9a-f]*')",
     "its model's SHA-256 is none"},
    {"state <> 'done' AND coalesce(model_sha256, '') <> ''", "it has a model before it is done"},
    {"round > 1 AND NOT EXISTS(SELECT 1 FROM round p WHERE p.round = round.round - 1 AND p.state = 'done' AND "
     "p.model_sha256 <> '')",
     "the round before it is not done"},
};
static const struct rule result_rules[] = {
    /* ?1 questions, ?2 the pool of examples, ?3 k */
    {"typeof(arm) <> 'text' OR NOT is_text(arm) OR typeof(part) <> 'text' OR NOT is_text(part)",
     "its arm or set is not text"},
    {"idx IS NULL OR NOT is_int(idx, 0, ?1)", "its number is not a question's"},
    {"NOT is_text(text)", "its answer is not UTF-8 text"},
    {"NOT is_number(logprob) OR logprob > 0.001", "its log-likelihood is no finite number up to 0"},
    {"NOT is_int(n_token, 0, 2147483648) OR logprob IS NOT NULL AND coalesce(n_token, 0) < 1",
     "its log-likelihood is of no tokens"},
    {"NOT are_floats(probabilities, 4, 0, 1)", "its probabilities are not between 0 and 1"},
    {"NOT is_int(flagged, -1, 2) OR flagged >= 0 AND coalesce(length(probabilities), 0) = 0",
     "it is judged without probabilities"},
    {"length(probabilities) <> (SELECT max(length(probabilities)) FROM result)",
     "it has fewer probabilities than other rows"},
    {"NOT is_int(ended, -1, 2)", "ended is neither 0 nor 1"},
    {"NOT are_ints(contexts, 0, ?2)", "it has contexts that are not in the pool"},
    {"NOT is_int(dropped, 0, ?3 + 1) OR coalesce(length(contexts), 0) / 4 + coalesce(dropped, 0) > ?3",
     "it has more contexts than k"},
};
static const struct rule fact_rules[] = {
    {"typeof(name) <> 'text' OR NOT is_text(name) OR typeof(value) <> 'text' OR NOT is_text(value)",
     "it is not UTF-8 text"},
    {"(name GLOB 'seconds-*' OR name GLOB 'cpu-seconds-*' OR name GLOB 'joules-*') AND (length(value) NOT BETWEEN 1 "
     "AND 30 OR value GLOB '*[^0-9.]*')",
     "its seconds are no number"},
    {"name IN ('threshold', 'peak-mib') AND (length(value) NOT BETWEEN 1 AND 30 OR value GLOB '*[^-+0-9.e]*')",
     "it is no number"},
    {"name GLOB 'baseline-*' AND value NOT GLOB '[0-9]* [0-9a-f]*'", "it has not a baseline's steps and SHA-256"},
};
static const struct rule event_rules[] = {
    {"NOT is_number(time) OR NOT is_text(kind) OR NOT is_text(text)", "it is no event"},
};
static const struct rule orphan_rules[] = {
    {"NOT EXISTS(SELECT 1 FROM round r WHERE r.round = attempt.round)", "it is of a round that was not begun"},
};
static const struct rule begun_rules[] = {
    {"NOT EXISTS(SELECT 1 FROM fact WHERE name = 'settings')",
     "it stands in a run that was not begun: the settings are gone"},
};

static const struct table attempts =
    TABLE("attempt WHERE round = ?1 AND", "printf('round %d, attempt %d', round, idx)", attempt_rules);
static const struct table rounds = TABLE("round WHERE", "printf('round %d', round)", round_rules);
static const struct table results = TABLE("result WHERE", "printf('result %d', rowid)", result_rules);
static const struct table facts = TABLE("fact WHERE", "printf('fact %d', rowid)", fact_rules);
static const struct table events = TABLE("event WHERE", "printf('event %d', id)", event_rules);
static const struct table orphans = TABLE("attempt WHERE", "printf('attempt %d', rowid)", orphan_rules);
static const struct table begun = TABLE("round WHERE", "printf('round %d', round)", begun_rules);

static int damaged(const struct run *r, const char *place, const char *what, struct error *err)
{
    return error_set(err, ERROR_DATA,
                     "%s: %s: %s; the journal is damaged: put back a copy of it, or choose another directory",
                     r->db_path, place, what);
}

/* NULL is fine for all of the functions: what must be there is a rule of its own. */
static void is_text(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int type = sqlite3_value_type(v[0]);
    const char *text = type == SQLITE_TEXT ? (const char *)sqlite3_value_text(v[0]) : NULL;
    size_t length = text ? (size_t)sqlite3_value_bytes(v[0]) : 0;
    if (type == SQLITE_TEXT && !text)
        sqlite3_result_error_nomem(c);
    else
        sqlite3_result_int(c, type == SQLITE_NULL ||
                                  (text && utf8_valid(text, length) == length && !memchr(text, 0, length)));
}

static void is_int(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int type = sqlite3_value_type(v[0]);
    sqlite3_int64 x = sqlite3_value_int64(v[0]);
    sqlite3_result_int(c, type == SQLITE_NULL || (type == SQLITE_INTEGER && x >= sqlite3_value_int64(v[1]) &&
                                                  x < sqlite3_value_int64(v[2])));
}

static void is_number(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int type = sqlite3_value_type(v[0]);
    sqlite3_result_int(c, type == SQLITE_NULL || type == SQLITE_INTEGER ||
                              (type == SQLITE_FLOAT && isfinite(sqlite3_value_double(v[0]))));
}

/* A list of 32-bit numbers in [low, high). */
static void are_ints(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const char *bytes = sqlite3_value_blob(v[0]);
    int type = sqlite3_value_type(v[0]), length = sqlite3_value_bytes(v[0]),
        good = type == SQLITE_NULL || (type == SQLITE_BLOB && length % 4 == 0);
    sqlite3_int64 low = sqlite3_value_int64(v[1]), high = sqlite3_value_int64(v[2]);
    for (int at = 0; good && at < length; at += 4) {
        int32_t x;
        memcpy(&x, bytes + at, sizeof x);
        good = x >= low && x < high;
    }
    sqlite3_result_int(c, good);
}

static double real_at(const char *bytes, int size)
{
    double wide;
    float narrow;
    if (size == sizeof wide) {
        memcpy(&wide, bytes, sizeof wide);
        return wide;
    }
    memcpy(&narrow, bytes, sizeof narrow);
    return (double)narrow;
}

/* A list of floats (size 4) or doubles (8) in [low, high]. */
static void are_floats(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const char *bytes = sqlite3_value_blob(v[0]);
    int type = sqlite3_value_type(v[0]), length = sqlite3_value_bytes(v[0]), size = sqlite3_value_int(v[1]);
    int good = type == SQLITE_NULL || (type == SQLITE_BLOB && length % size == 0);
    double low = sqlite3_value_double(v[2]), high = sqlite3_value_double(v[3]);
    for (int at = 0; good && at < length; at += size) {
        double x = real_at(bytes + at, size);
        good = x >= low && x <= high;
    }
    sqlite3_result_int(c, good);
}

static void is_reason(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const struct run_bounds *b = sqlite3_user_data(c);
    int type = sqlite3_value_type(v[0]);
    const char *name = type == SQLITE_TEXT ? (const char *)sqlite3_value_text(v[0]) : NULL;
    sqlite3_result_int(c, type == SQLITE_NULL || (name && (!b->reason || b->reason(name) >= 0)));
}

static int add_functions(struct run *r, const struct run_bounds *b, struct error *err)
{
    static const struct {
        const char *name;
        int n;
        void (*call)(sqlite3_context *, int, sqlite3_value **);
    } list[] = {
        {"is_text", 1, is_text},   {"is_int", 3, is_int},         {"is_number", 1, is_number},
        {"are_ints", 3, are_ints}, {"are_floats", 4, are_floats}, {"is_reason", 1, is_reason},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (sqlite3_create_function_v2(r->db, list[i].name, list[i].n, SQLITE_UTF8, (void *)b, list[i].call, NULL, NULL,
                                       NULL) != SQLITE_OK)
            return run_sqlite_error(r, "cannot check", err);
    return 0;
}

/* The first row that breaks a rule is the error. */
static int check_table(struct run *r, const struct table *t, const sqlite3_int64 parameters[MAX_PARAMETER],
                       struct error *err)
{
    struct buf sql = BUF_INIT;
    sqlite3_stmt *s;
    buf_printf(&sql, "SELECT %s, CASE", t->place);
    for (int i = 0; i < t->n; i++)
        buf_printf(&sql, " WHEN %s THEN %d", t->rules[i].bad, i);
    buf_printf(&sql, " END AS fault FROM %s fault IS NOT NULL LIMIT 1", t->from);
    int rc = sql.failed ? error_set_nomem(err, sql.len, "SQL") : run_prepare(r, &s, sql.data, err);
    buf_free(&sql);
    if (rc)
        return rc;
    for (int i = 0; i < sqlite3_bind_parameter_count(s); i++)
        sqlite3_bind_int64(s, i + 1, parameters[i]);
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW)
        rc = damaged(r, (const char *)sqlite3_column_text(s, 0), t->rules[sqlite3_column_int(s, 1)].text, err);
    else if (step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot check", err);
    sqlite3_finalize(s);
    return rc;
}

/* Two counts of a round. */
static int count_two(struct run *r, const char *sql, int round, int counts[2], struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, sql, err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    if (sqlite3_step(s) != SQLITE_ROW)
        rc = run_sqlite_error(r, "cannot check", err);
    counts[0] = sqlite3_column_int(s, 0);
    counts[1] = sqlite3_column_int(s, 1);
    sqlite3_finalize(s);
    return rc;
}

static int check_round(struct run *r, int t, const struct run_round *round,
                       const sqlite3_int64 parameters[MAX_PARAMETER], struct error *err)
{
    static const char counted[] = "SELECT count(DISTINCT idx), coalesce(sum(kept), 0) FROM attempt WHERE round = ?";
    char place[32];
    int counts[2], rc = check_table(r, &attempts, parameters, err);
    if (rc || (rc = count_two(r, counted, t, counts, err)))
        return rc;
    snprintf(place, sizeof place, "round %d", t);
    if (round->state > RUN_STATE_ASK && counts[0] != round->attempts)
        return damaged(r, place, "some of its attempts are gone", err);
    if (round->state > RUN_STATE_REVIEW &&
        counts[1] != round->kept) /* in review, the verdicts are ahead of the count */
        return damaged(r, place, "its number of kept pairs is not that of its attempts", err);
    return 0;
}

/* Pairs that a person added to the round, and nothing. */
static const char added_pairs[] = "SELECT count(*), 0 FROM fact WHERE name GLOB printf('review-r%d-p*', ?)";

static sqlite3_int64 known(int limit)
{
    return limit ? limit : INT32_MAX;
}

int run_check(struct run *r, const struct run_bounds *b, struct error *err)
{
    const sqlite3_int64 of_rounds[MAX_PARAMETER] = {known(b->rounds), b->attempts ? b->attempts : 1,
                                                    b->rounds ? b->most_attempts : INT32_MAX,
                                                    b->attempts > 0 && !b->none};
    const sqlite3_int64 of_results[MAX_PARAMETER] = {known(b->questions), known(b->pool), known(b->k)};
    sqlite3_int64 pool = known(b->pool);
    struct run_round round;
    int rc = add_functions(r, b, err);
    if (rc || (rc = check_table(r, &facts, of_results, err)) || (rc = check_table(r, &rounds, of_rounds, err)) ||
        (rc = check_table(r, &begun, of_rounds, err)) || (rc = check_table(r, &orphans, of_rounds, err)))
        return rc;
    for (int t = 1; !(rc = run_get_round(r, t, &round, err)) && round.state != RUN_STATE_NONE; t++) {
        const sqlite3_int64 of_attempts[MAX_PARAMETER] = {
            t, round.attempts, pool, known(b->k), known(b->vocab), round.state, known(b->questions)};
        if ((rc = check_round(r, t, &round, of_attempts, err)))
            return rc;
        int added[2] = {0, 0};
        if (b->grown && (rc = count_two(r, added_pairs, t, added, err)))
            return rc;
        if (b->grown)
            pool += round.kept + added[0];
    }
    if (rc || (rc = check_table(r, &results, of_results, err)))
        return rc;
    return check_table(r, &events, of_results, err);
}

/* The text of one row's first column. */
static int ask_text(struct run *r, const char *sql, struct buf *out, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, sql, err);
    if (rc)
        return rc;
    int step = sqlite3_step(s);
    const char *text = step == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot check", err);
    buf_puts(out, text ? text : "");
    sqlite3_finalize(s);
    return rc || !out->failed ? rc : error_set_nomem(err, out->len, "a text");
}

/* Tables and columns as the schema makes them, and nothing that could run (views, triggers, virtual tables). */
static int check_schema(struct run *r, const char *schema, struct error *err)
{
    static const char programs[] =
        "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' LIMIT 1";
    static const char columns[] = "SELECT group_concat(x, ' ') FROM (SELECT m.name || '.' || c.name || ':' || c.type "
                                  "|| c.\"notnull\" || c.pk || c.hidden AS x FROM sqlite_master m,"
                                  " pragma_table_xinfo(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid)";
    struct buf found = BUF_INIT, wanted = BUF_INIT, program = BUF_INIT;
    struct run model = {.directory = r->directory, .db_path = r->db_path, .lock = -1};
    int rc = ask_text(r, programs, &program, err);
    if (!rc && program.len)
        rc = damaged(r, "schema", "has views, triggers or virtual tables, which no journal has", err);
    if (!rc && (sqlite3_open(":memory:", &model.db) != SQLITE_OK ||
                sqlite3_exec(model.db, schema, NULL, NULL, NULL) != SQLITE_OK))
        rc = run_sqlite_error(&model, "cannot check", err);
    if (!rc && !(rc = ask_text(&model, columns, &wanted, err)) && !(rc = ask_text(r, columns, &found, err)) &&
        (!found.len || strcmp(found.data, wanted.data)))
        rc = damaged(r, "schema", "its tables are not a journal's", err);
    sqlite3_close(model.db);
    buf_free(&found);
    buf_free(&wanted);
    buf_free(&program);
    return rc;
}

int run_check_file(struct run *r, const char *schema, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = check_schema(r, schema, err);
    if (!rc)
        rc = ask_text(r, "PRAGMA integrity_check(1)", &text, err);
    if (!rc && strcmp(text.data, "ok"))
        rc = damaged(r, "SQLite", text.data, err);
    buf_free(&text);
    return rc ? rc : run_check(r, &(struct run_bounds){0}, err);
}
