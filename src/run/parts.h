/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of run/. */
#ifndef RUN_PARTS_H
#define RUN_PARTS_H

#include "run/run.h"

#include <sqlite3.h>

struct run {
    char *directory, *db_path;
    int lock, resumed; /* lock: descriptor, -1 for readers */
    sqlite3 *db;
};
/* database.c: ERROR_IO (or what SQLite's code means) naming the file; a full disk says so. */
int run_sqlite_error(struct run *r, const char *what, struct error *err);
int run_exec(struct run *r, const char *sql, struct error *err);
int run_prepare(struct run *r, sqlite3_stmt **out, const char *sql, struct error *err);
/* Steps a statement that gives no rows, finalizes it. */
int run_finish(struct run *r, sqlite3_stmt *s, const char *what, struct error *err);

/* The tables of a new journal. */
int run_make_tables(struct run *r, struct error *err);
/* check.c: is the file a whole SQLite database with the tables of `schema`, and do its rows have the form of a
 * journal's? */
int run_check_file(struct run *r, const char *schema, struct error *err);

#endif
