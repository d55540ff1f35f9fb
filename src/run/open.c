/* SPDX-License-Identifier: Apache-2.0 */
/* Beginning, continuing and locking a run. The lock is flock on run.lock: the system drops it when the process dies,
 * however it dies. */
#include "run/parts.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/network.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* "isar"; version 1 had no result.ended, 2 no contexts of results, 3 no scores of answers */
enum { APPLICATION_ID = 0x69736172, VERSION = 4 };

static const char schema[] =
    "CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE round(round INTEGER PRIMARY KEY, state TEXT NOT NULL, attempts INTEGER, kept INTEGER, steps INTEGER, "
    "model_sha256 TEXT);"
    "CREATE TABLE attempt(round INTEGER, idx INTEGER, question TEXT, question_error TEXT, question_ids BLOB, "
    "question_logprobs BLOB, question_score REAL,"
    " question_ended INTEGER, question_contexts BLOB, question_dropped INTEGER, neighbours BLOB, nearness BLOB, answer "
    "TEXT, answer_error TEXT, answer_ids BLOB,"
    " answer_logprobs BLOB, answer_score REAL, answer_ended INTEGER, answer_contexts BLOB, answer_dropped INTEGER, "
    "kept INTEGER, reason TEXT, matched INTEGER,"
    " f1 REAL, score REAL, PRIMARY KEY(round, idx));"
    "CREATE TABLE result(arm TEXT, part TEXT, idx INTEGER, text TEXT, logprob REAL, n_token INTEGER, probabilities "
    "BLOB, flagged INTEGER, ended INTEGER,"
    " contexts BLOB, dropped INTEGER,"
    " PRIMARY KEY(arm, part, idx));"
    "CREATE TABLE event(id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL, kind TEXT, text TEXT);";

static int take_lock(struct run *r, struct error *err)
{
    char *path = path_join(r->directory, "run.lock"), pid[32] = "";
    if (!path)
        return error_set_nomem(err, 0, "path");
    int rc = 0;
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0) {
        rc = error_set_errno(err, "%s: cannot open", path);
    } else if (flock(r->lock, LOCK_EX | LOCK_NB)) {
        int busy = errno == EWOULDBLOCK;
        ssize_t n = pread(r->lock, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = 0;
        pid[strcspn(pid, "\n")] = 0;
        rc = busy ? error_set(err, ERROR_UNAVAILABLE,
                              "%s: process %s is working on this run; wait for it, or choose another directory",
                              r->directory, pid)
                  : error_set_errno(err, "%s: cannot lock (wanted a file system with locks; choose another --output)",
                                    path);
    } else {
        snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(r->lock, 0) || pwrite(r->lock, pid, strlen(pid), 0) < 0)
            rc = error_set_errno(err, "%s: cannot write", path);
    }
    mem_free(path);
    return rc;
}

/* The index of SQLite's write-ahead log is memory that processes of one machine share. */
static int on_network(const struct run *r)
{
    char name[64];
    return network_under(r->directory, name, sizeof name);
}

static int pragma(struct run *r, const char *sql, long *value, struct error *err)
{
    sqlite3_stmt *s;
    int rc = run_prepare(r, &s, sql, err);
    if (rc)
        return rc;
    if (sqlite3_step(s) == SQLITE_ROW)
        *value = (long)sqlite3_column_int64(s, 0);
    else
        rc = run_sqlite_error(r, "cannot read", err);
    sqlite3_finalize(s);
    return rc;
}

/* A file of no bytes is one that is about to become a journal, but not beside what was written after a journal was
 * begun. */
static int check_kind(struct run *r, struct error *err)
{
    struct stat s;
    if (stat(r->db_path, &s))
        return errno == ENOENT ? 0 : error_set_errno(err, "%s", r->db_path);
    if (!S_ISREG(s.st_mode))
        return error_set(err, ERROR_DATA, "%s: is no regular file; wanted a journal", r->db_path);
    if (s.st_size)
        return 0;
    char *settings = path_join(r->directory, "config.resolved.json");
    if (!settings)
        return error_set_nomem(err, 64, "path");
    int begun = file_exists(settings);
    mem_free(settings);
    return begun
               ? error_set(
                     err, ERROR_DATA,
                     "%s: is empty, although a run was begun here; put back a copy of it, or choose another directory",
                     r->db_path)
               : 0;
}

/* The URI of a database that nobody can be writing to: without its directory's leave, SQLite can make no index of the
 * write-ahead log and would not open it. */
static int immutable_uri(const struct run *r, struct buf *uri, struct error *err)
{
    static const char hex[] = "0123456789ABCDEF";
    buf_puts(uri, "file:");
    for (const char *s = r->db_path; *s; s++)
        if (*s == '%' || *s == '?' || *s == '#') {
            buf_putc(uri, '%');
            buf_putc(uri, hex[(unsigned char)*s >> 4]);
            buf_putc(uri, hex[*s & 15]);
        } else {
            buf_putc(uri, *s);
        }
    buf_puts(uri, "?immutable=1");
    return uri->failed ? error_set_nomem(err, uri->len, "path") : 0;
}

static int open_file(struct run *r, int readonly, struct error *err)
{
    struct buf uri = BUF_INIT, log = BUF_INIT;
    int rc = check_kind(r, err), flags = readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    if (rc)
        return rc;
    buf_printf(&log, "%s-wal", r->db_path);
    if (log.failed)
        return error_set_nomem(err, 64, "path");
    int alone = readonly && access(r->directory, W_OK) && !file_exists(log.data);
    buf_free(&log);
    if (alone)
        rc = immutable_uri(r, &uri, err);
    if (!rc && sqlite3_open_v2(alone ? uri.data : r->db_path, &r->db, alone ? flags | SQLITE_OPEN_URI : flags, NULL) !=
                   SQLITE_OK)
        rc = run_sqlite_error(r, "cannot open", err);
    buf_free(&uri);
    if (rc)
        return rc;
    sqlite3_busy_timeout(r->db, 10000);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

int run_make_tables(struct run *r, struct error *err)
{
    char setup[200];
    snprintf(setup, sizeof setup, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", APPLICATION_ID, VERSION);
    int rc = run_exec(r, "BEGIN IMMEDIATE;", err);
    if (!rc)
        rc = run_exec(r, schema, err);
    return rc ? rc : run_exec(r, setup, err);
}

static int upgrade(struct run *r, long version, struct error *err)
{
    char setup[400];
    snprintf(setup, sizeof setup,
             "BEGIN IMMEDIATE; %s%sALTER TABLE attempt ADD COLUMN score REAL; PRAGMA user_version=%d; COMMIT;",
             version < 2 ? "ALTER TABLE result ADD COLUMN ended INTEGER; " : "",
             version < 3
                 ? "ALTER TABLE result ADD COLUMN contexts BLOB; ALTER TABLE result ADD COLUMN dropped INTEGER; "
                 : "",
             VERSION);
    return run_exec(r, setup, err);
}

/* Nothing is changed before it is known whose file it is. */
static int open_db(struct run *r, int readonly, struct error *err)
{
    long id, version, tables;
    int rc = open_file(r, readonly, err);
    if (rc || (rc = pragma(r, "PRAGMA application_id", &id, err)) ||
        (rc = pragma(r, "PRAGMA user_version", &version, err)) ||
        (rc = pragma(r, "SELECT count(*) FROM sqlite_master", &tables, err)))
        return rc;
    int fresh = !readonly && id == 0 && version == 0 && tables == 0,
        old = !readonly && id == APPLICATION_ID && version >= 1 && version < VERSION;
    if (!fresh && !old && (id != APPLICATION_ID || version != VERSION))
        return error_set(err, ERROR_DATA,
                         "%s: not a journal of this version of isara (id %lx, version %ld; wanted %x, %d)", r->db_path,
                         id, version, APPLICATION_ID, VERSION);
    const char *form = on_network(r) ? "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;"
                                     : "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;";
    if (!readonly && (rc = run_exec(r, form, err)))
        return rc;
    if (fresh)
        return run_make_tables(r, err);
    if (old && (rc = upgrade(r, version, err)))
        return rc;
    return run_check_file(r, schema, err);
}

static int new_run(struct run **out, const char *directory, struct error *err)
{
    struct run *r = mem_calloc(1, sizeof *r);
    if (r) {
        r->lock = -1;
        r->directory = mem_strdup(directory);
        r->db_path = path_join(directory, "run.db");
    }
    if (!r || !r->directory || !r->db_path) {
        run_close(r);
        return error_set_nomem(err, 0, "run");
    }
    *out = r;
    return 0;
}

void run_close(struct run *r)
{
    if (!r)
        return;
    sqlite3_close(r->db);
    if (r->lock >= 0)
        close(r->lock);
    mem_free(r->directory);
    mem_free(r->db_path);
    mem_free(r);
}

const char *run_directory(const struct run *r)
{
    return r->directory;
}

static void show(const json_t *v, char *text, size_t n)
{
    char *s = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
    snprintf(text, n, "%.*s", (int)n - 1, s ? s : "nothing");
    free(s);
}

/* The first difference between what the run was begun with and what is wanted now that may not be; *changed: there was
 * one that may. */
static int compare(struct run *r, const json_t *old, const struct run_start *start, int *changed, struct error *err)
{
    const char *key;
    const json_t *new = start->settings;
    json_t *v;
    char was[200], is[200];
    *changed = 0;
    for (int side = 0; side < 2; side++)
        json_object_foreach((json_t *)(side ? old : new), key, v)
        {
            const json_t *a = json_object_get(old, key), *b = json_object_get(new, key);
            int bits = !strcmp(key, "bits") || !strcmp(key, "build");
            if ((a && b && json_equal(a, b)) || (bits && start->accept_different_bits))
                continue;
            if (start->may_change && start->may_change(old, new, key)) {
                *changed = 1;
                continue;
            }
            show(a, was, sizeof was);
            show(b, is, sizeof is);
            if (bits)
                return error_set(
                    err, ERROR_CONFIG,
                    "%s: was begun where the same numbers may have other bits (%s %s, now %s); continue there, or give "
                    "--accept-different-bits",
                    r->directory, key, was, is);
            if (strchr(key, '/')) /* a file of the model's */
                return error_set(err, ERROR_CONFIG,
                                 "%s: %s has changed since the run was begun (SHA-256 %s, now %s); put back what was "
                                 "there, or choose another --output",
                                 r->directory, key, was, is);
            return error_set(
                err, ERROR_CONFIG,
                "%s: was begun with %s %s, now %s; give the same again to continue, or choose another --output",
                r->directory, key, was, is);
        }
    return 0;
}

static int write_member(struct run *r, const char *name, const json_t *value, struct error *err)
{
    char *path = path_join(r->directory, name);
    int rc = path ? jsontext_write(path, value, err) : error_set_nomem(err, 0, "path");
    mem_free(path);
    return rc;
}

/* config.resolved.json: the settings, and the paths that make it a --config of its own. */
static int write_resolved(struct run *r, const json_t *settings, const json_t *manifest, struct error *err)
{
    static const char *const inputs[] = {"model", "seeds", "test", "principles"};
    json_t *all = json_copy((json_t *)settings);
    int rc = all ? 0 : -1;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs && !rc; i++) {
        json_t *path = json_object_get(json_object_get(manifest, inputs[i]), "path");
        if (json_is_string(path))
            rc = json_object_set(all, inputs[i], path);
    }
    static const char *const fields[][2] = {{"question", "question-field"}, {"answer", "answer-field"}};
    for (int i = 0; i < 2 && !rc; i++) {
        json_t *name = json_object_get(json_object_get(manifest, "fields"), fields[i][0]);
        if (name)
            rc = json_object_set(all, fields[i][1], name);
    }
    rc = rc ? error_set_nomem(err, 64, "settings") : write_member(r, "config.resolved.json", all, err);
    json_decref(all);
    return rc;
}

static int put_settings(struct run *r, const struct run_start *start, struct error *err)
{
    char *text = json_dumps(start->settings, JSON_COMPACT);
    int rc = text ? run_put_fact(r, "settings", text, err) : error_set_nomem(err, 0, "settings");
    free(text);
    return rc;
}

static int begin(struct run *r, const struct run_start *start, struct error *err)
{
    int rc = write_resolved(r, start->settings, start->manifest, err);
    rc = rc ? rc : write_member(r, "manifest.json", start->manifest, err);
    rc = rc ? rc : run_add_event(r, "begun", "", err);
    return rc ? rc : put_settings(r, start, err); /* last: before it, the run was not begun */
}

/* Other settings hold from now on. The journal has them last: until then the next start does the same again. */
static int extend(struct run *r, const struct run_start *start, struct error *err)
{
    json_t *manifest = NULL;
    char *path = path_join(r->directory, "manifest.json");
    int rc = path ? jsontext_load(&manifest, path, 1 << 24, err) : error_set_nomem(err, 0, "path");
    if (!rc && start->extend)
        start->extend(manifest, start->manifest);
    rc = rc ? rc : write_resolved(r, start->settings, start->manifest, err);
    rc = rc ? rc : write_member(r, "manifest.json", manifest, err);
    rc = rc ? rc : run_add_event(r, "extended", "", err);
    rc = rc ? rc : put_settings(r, start, err);
    json_decref(manifest);
    mem_free(path);
    return rc;
}

static int begin_or_compare(struct run *r, const struct run_start *start, struct error *err)
{
    json_t *old = NULL;
    int changed = 0, rc = run_settings(r, &old, err);
    r->resumed = old != NULL;
    if (!rc && old)
        rc = compare(r, old, start, &changed, err);
    json_decref(old);
    if (rc || !r->resumed)
        return rc ? rc : begin(r, start, err);
    return changed ? extend(r, start, err) : run_add_event(r, "continued", "", err);
}

int run_open(struct run **out, const char *directory, const struct run_start *start, struct error *err)
{
    struct run *r;
    int rc = dirs_make(directory, err);
    if (rc || (rc = new_run(&r, directory, err)))
        return rc;
    network_tell(directory);
    if ((rc = take_lock(r, err)) || (rc = open_db(r, 0, err)) || (rc = begin_or_compare(r, start, err))) {
        run_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

int run_resumed(const struct run *r)
{
    return r->resumed;
}

static int open_existing(struct run **out, const char *directory, int readonly, struct error *err)
{
    struct run *r;
    int rc = new_run(&r, directory, err);
    if (rc)
        return rc;
    if (access(r->db_path, F_OK) && errno != ENOENT && errno != ENOTDIR)
        rc = error_set_errno(err, "%s: cannot open", r->db_path);
    else if (!file_exists(r->db_path))
        rc = error_set(err, ERROR_NOINPUT, "%s: no run.db there; wanted a run directory of isara align", directory);
    if (rc || (rc = open_db(r, readonly, err))) {
        run_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

int run_open_readonly(struct run **out, const char *directory, struct error *err)
{
    return open_existing(out, directory, 1, err);
}

int run_open_beside(struct run **out, const char *directory, struct error *err)
{
    return open_existing(out, directory, 0, err);
}

int run_lock(struct run *r, struct error *err)
{
    int rc = take_lock(r, err);
    if (rc)
        run_unlock(r);
    return rc;
}

void run_unlock(struct run *r)
{
    if (r->lock >= 0)
        close(r->lock);
    r->lock = -1;
}

/* The lock itself must not be tried: whoever begins to work meanwhile would be refused. */
int run_is_live(const struct run *r, long *pid)
{
    char *path = path_join(r->directory, "run.lock"), text[32] = "";
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
    if (fd >= 0)
        close(fd);
    mem_free(path);
    text[n > 0 ? n : 0] = 0;
    *pid = strtol(text, NULL, 10);
    return *pid > 0 && *pid != (long)getpid() && (!kill((pid_t)*pid, 0) || errno == EPERM);
}

int run_exists(const char *directory)
{
    char *db = path_join(directory, "run.db");
    int there = db && file_exists(db);
    mem_free(db);
    return there;
}

int run_check_start(const char *directory, const struct run_start *start, struct error *err)
{
    struct run *r = NULL;
    json_t *old = NULL;
    int changed, rc = dirs_check(directory, err);
    if (rc || !start->settings || !run_exists(directory))
        return rc;
    rc = run_open_readonly(&r, directory, err);
    rc = rc ? rc : run_settings(r, &old, err);
    if (!rc && old)
        rc = compare(r, old, start, &changed, err);
    json_decref(old);
    run_close(r);
    return rc;
}

int run_settings(struct run *r, json_t **settings, struct error *err)
{
    struct arena arena = ARENA_INIT;
    const char *text;
    *settings = NULL;
    int rc = run_get_fact(r, "settings", &text, &arena, err);
    if (!rc && text && (!(*settings = json_loads(text, JSON_REJECT_DUPLICATES, NULL)) || !json_is_object(*settings))) {
        json_decref(*settings);
        *settings = NULL;
        rc = error_set(err, ERROR_DATA,
                       "%s: the stored settings are not a JSON object; the journal is damaged: put back a copy of it, "
                       "or choose another directory",
                       r->db_path);
    }
    arena_free(&arena);
    return rc;
}
