/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's calls with its reasons as ours. */
#include "run/parts.h"

#include <errno.h>
#include <unistd.h>

/* SQLITE_FULL says it of the database and its log alone; of the log's index, or beyond a quota, the system does. */
static int is_full(struct run *r, int code, int why)
{
    return code == SQLITE_FULL || sqlite3_extended_errcode(r->db) == SQLITE_IOERR_SHMSIZE ||
           (code == SQLITE_IOERR && (why == ENOSPC || why == EDQUOT));
}

int run_sqlite_error(struct run *r, const char *what, struct error *err)
{
    int code = r->db ? sqlite3_errcode(r->db) & 0xff : SQLITE_NOMEM, why = r->db ? sqlite3_system_errno(r->db) : 0;
    if (code == SQLITE_NOMEM)
        return error_set_nomem(err, 0, "SQLite");
    if (is_full(r, code, why))
        return error_set(err, ERROR_IO, "%s: the disk is full; make room and run the same command again", r->db_path);
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_ERROR || code == SQLITE_TOOBIG ||
        code == SQLITE_FORMAT)
        return error_set(err, ERROR_DATA, "%s: %s: not a journal of isara, or damaged; choose another directory",
                         r->db_path, sqlite3_errmsg(r->db));
    if (code == SQLITE_CANTOPEN && access(r->db_path, R_OK) && errno != ENOENT)
        return error_set_errno(err, "%s: %s", r->db_path, what);
    return error_set(err, code == SQLITE_READONLY || code == SQLITE_PERM ? ERROR_PERMISSION : ERROR_IO, "%s: %s: %s",
                     r->db_path, what, sqlite3_errmsg(r->db));
}

int run_exec(struct run *r, const char *sql, struct error *err)
{
    return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : run_sqlite_error(r, "cannot write", err);
}

int run_prepare(struct run *r, sqlite3_stmt **out, const char *sql, struct error *err)
{
    return sqlite3_prepare_v2(r->db, sql, -1, out, NULL) == SQLITE_OK ? 0 : run_sqlite_error(r, "cannot read", err);
}

int run_finish(struct run *r, sqlite3_stmt *s, const char *what, struct error *err)
{
    int rc = sqlite3_step(s) == SQLITE_DONE ? 0 : run_sqlite_error(r, what, err);
    sqlite3_finalize(s);
    return rc;
}
