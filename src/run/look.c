/* SPDX-License-Identifier: Apache-2.0 */
/* The journal for people who look: in pages, with what they look for, without the numbers behind a text. */
#include "run/parts.h"

#include "base/buf.h"

#include <math.h>
#include <string.h>

/* What fits the filter: ?1 the round, ?2 the reason, ?3 a pattern of LIKE. */
static const char fits[] =
    " FROM attempt WHERE (?1 = 0 OR round = ?1) AND (?2 IS NULL OR reason = ?2 OR ?2 = 'waiting' AND reason IS NULL OR "
    "?2 = 'rejected' AND reason <> 'kept') AND (?3 IS NULL OR question LIKE ?3 ESCAPE '\\' OR answer LIKE ?3 ESCAPE "
    "'\\')";

static void pattern_of(const char *words, struct buf *out)
{
    buf_putc(out, '%');
    for (const char *s = words; *s; s++) {
        if (*s == '%' || *s == '_' || *s == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *s);
    }
    buf_putc(out, '%');
}

static void bind_filter(sqlite3_stmt *s, const struct run_filter *f, const struct buf *pattern)
{
    sqlite3_bind_int(s, 1, f->round);
    if (f->reason)
        sqlite3_bind_text(s, 2, f->reason, -1, SQLITE_TRANSIENT);
    if (pattern->len)
        sqlite3_bind_text(s, 3, pattern->data, (int)pattern->len, SQLITE_TRANSIENT);
}

static double real_of(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
}

static const char *text_of(sqlite3_stmt *s, int at)
{
    return (const char *)sqlite3_column_text(s, at);
}

static int put_shown(sqlite3_stmt *s, const struct run_looker *to, struct error *err)
{
    const struct run_shown x = {.round = sqlite3_column_int(s, 0),
                                .index = sqlite3_column_int(s, 1),
                                .question = text_of(s, 2),
                                .question_error = text_of(s, 3),
                                .answer = text_of(s, 4),
                                .answer_error = text_of(s, 5),
                                .kept = sqlite3_column_int(s, 6),
                                .reason = text_of(s, 7),
                                .match = sqlite3_column_type(s, 8) == SQLITE_NULL ? -1 : sqlite3_column_int(s, 8),
                                .f1 = real_of(s, 9),
                                .score = real_of(s, 10)};
    return to->put(to->user, &x, err);
}

static int look_rows(struct run *r, const struct run_filter *f, const struct buf *pattern, const struct run_looker *to,
                     struct error *err)
{
    struct buf sql = BUF_INIT;
    sqlite3_stmt *s;
    buf_printf(&sql,
               "SELECT round, idx, question, question_error, answer, answer_error, kept, reason, matched, f1, score%s "
               "ORDER BY round, idx LIMIT ?4 OFFSET ?5",
               fits);
    int rc = sql.failed ? error_set_nomem(err, sql.len, "SQL") : run_prepare(r, &s, sql.data, err), step = SQLITE_DONE;
    buf_free(&sql);
    if (rc)
        return rc;
    bind_filter(s, f, pattern);
    sqlite3_bind_int(s, 4, f->n);
    sqlite3_bind_int(s, 5, f->from);
    while (!rc && (step = sqlite3_step(s)) == SQLITE_ROW)
        rc = put_shown(s, to, err);
    if (!rc && step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot read attempts", err);
    sqlite3_finalize(s);
    return rc;
}

static int count_rows(struct run *r, const struct run_filter *f, const struct buf *pattern, int *n, struct error *err)
{
    struct buf sql = BUF_INIT;
    sqlite3_stmt *s;
    buf_printf(&sql, "SELECT count(*)%s", fits);
    int rc = sql.failed ? error_set_nomem(err, sql.len, "SQL") : run_prepare(r, &s, sql.data, err);
    buf_free(&sql);
    if (rc)
        return rc;
    bind_filter(s, f, pattern);
    if (sqlite3_step(s) != SQLITE_ROW)
        rc = run_sqlite_error(r, "cannot read attempts", err);
    *n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return rc;
}

int run_look(struct run *r, const struct run_filter *f, const struct run_looker *to, int *total, struct error *err)
{
    struct buf pattern = BUF_INIT;
    if (f->words && *f->words)
        pattern_of(f->words, &pattern);
    int rc = pattern.failed ? error_set_nomem(err, pattern.len, "a search") : count_rows(r, f, &pattern, total, err);
    rc = rc ? rc : look_rows(r, f, &pattern, to, err);
    buf_free(&pattern);
    return rc;
}

int run_count(struct run *r, int round, struct run_counts *out, struct error *err)
{
    sqlite3_stmt *s;
    *out = (struct run_counts){0};
    int rc = run_prepare(r, &s,
                         "SELECT count(*), count(coalesce(answer, answer_error)), count(neighbours), count(reason) "
                         "FROM attempt WHERE round = ?",
                         err);
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    if (sqlite3_step(s) != SQLITE_ROW)
        rc = run_sqlite_error(r, "cannot read attempts", err);
    *out = (struct run_counts){sqlite3_column_int(s, 0), sqlite3_column_int(s, 1), sqlite3_column_int(s, 2),
                               sqlite3_column_int(s, 3)};
    sqlite3_finalize(s);
    return rc;
}

/* Rows of a name and a number. */
static int put_numbers(struct run *r, const char *sql, int round, const struct run_numbers *to, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, sql, err), step = SQLITE_DONE;
    if (rc)
        return rc;
    sqlite3_bind_int(s, 1, round);
    while (!rc && (step = sqlite3_step(s)) == SQLITE_ROW)
        rc = text_of(s, 0) ? to->put(to->user, text_of(s, 0), sqlite3_column_int(s, 1), err) : 0;
    if (!rc && step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot count", err);
    sqlite3_finalize(s);
    return rc;
}

int run_count_reasons(struct run *r, int round, const struct run_numbers *to, struct error *err)
{
    return put_numbers(
        r,
        "SELECT reason, count(*) FROM attempt WHERE round = ? AND reason IS NOT NULL GROUP BY reason ORDER BY reason",
        round, to, err);
}

int run_count_results(struct run *r, const struct run_numbers *to, struct error *err)
{
    return put_numbers(r, "SELECT arm, count(*) FROM result GROUP BY arm ORDER BY arm", 0, to, err);
}

int run_get_facts(struct run *r, const char *prefix, const struct run_fact_looker *to, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, "SELECT name, value FROM fact WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
                         err),
        step = SQLITE_DONE;
    if (rc)
        return rc;
    sqlite3_bind_text(s, 1, prefix, -1, SQLITE_TRANSIENT);
    while (!rc && (step = sqlite3_step(s)) == SQLITE_ROW)
        rc = to->put(to->user, text_of(s, 0), text_of(s, 1), err);
    if (!rc && step != SQLITE_DONE)
        rc = run_sqlite_error(r, "cannot read", err);
    sqlite3_finalize(s);
    return rc;
}
