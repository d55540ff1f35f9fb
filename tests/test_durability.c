/* SPDX-License-Identifier: Apache-2.0 */
/* In what order bytes are made durable. This program's own fsync, fdatasync and rename stand before the system's, for
 * the library and for SQLite alike, and write down who was called on what: data are synced before they get their name,
 * the directory after it; the journal syncs its log at every commit. */
#include "tests/check.h"
#include "tests/tiny_model.h"

#include "io/appender.h"
#include "io/file.h"
#include "method/method.h"
#include "run/parts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

enum kind { SYNC, DATASYNC, RENAME };
static struct call {
    enum kind kind;
    char path[700], to[700];
} calls[20000];
static int n_call;

static void note(enum kind kind, int fd, const char *path, const char *to)
{
    char link[64];
    if (n_call == (int)(sizeof calls / sizeof *calls))
        return;
    struct call *c = &calls[n_call++];
    *c = (struct call){.kind = kind};
    if (kind == RENAME) {
        snprintf(c->path, sizeof c->path, "%s", path);
        snprintf(c->to, sizeof c->to, "%s", to);
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, c->path, sizeof c->path - 1);
    c->path[n > 0 ? n : 0] = 0;
}

SHOWN int fsync(int fd)
{
    note(SYNC, fd, NULL, NULL);
    return (int)syscall(SYS_fsync, fd);
}

SHOWN int fdatasync(int fd)
{
    note(DATASYNC, fd, NULL, NULL);
    return (int)syscall(SYS_fdatasync, fd);
}

SHOWN int rename(const char *from, const char *to)
{
    note(RENAME, -1, from, to);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Of two paths, one of which may be relative: the same file or directory name at their ends. */
static int ends_alike(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);
    return n >= k && !strcmp(path + n - k, end);
}

static const char *folder_of(const char *path, char folder[700])
{
    snprintf(folder, 700, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    return folder;
}

/* Every rename: the file was synced by its temporary name before, its directory is synced after, before the next
 * rename. */
static int check_renames(void)
{
    char folder[700];
    int n = 0;
    for (int i = 0; i < n_call; i++) {
        if (calls[i].kind != RENAME)
            continue;
        int before = 0, after = 0;
        for (int k = i - 1; k >= 0 && !before && calls[k].kind != RENAME; k--)
            before = calls[k].kind == SYNC && ends_alike(calls[k].path, calls[i].path);
        for (int k = i + 1; k < n_call && !after && calls[k].kind != RENAME; k++)
            after = calls[k].kind == SYNC && ends_alike(calls[k].path, folder_of(calls[i].to, folder));
        if (!before || !after)
            fail_msg("%s was renamed to %s without fsync of %s", calls[i].path, calls[i].to,
                     before ? "its directory behind it" : "the file before it");
        n++;
    }
    return n;
}

static void a_file_is_synced_then_named_then_its_name_is_synced(void **state)
{
    (void)state;
    char path[1200];
    snprintf(path, sizeof path, "%s/file", check_tmpdir("durability"));
    n_call = 0;
    assert_int_equal(file_write(path, "abc", 3, NULL), 0);
    assert_int_equal(n_call, 3);
    assert_int_equal(check_renames(), 1);
    assert_true(ends_alike(calls[1].to, path));
}

static void an_appended_record_is_synced_before_it_counts(void **state)
{
    (void)state;
    struct appender *a;
    char path[1200];
    snprintf(path, sizeof path, "%s/log.jsonl", check_tmpdir("durability"));
    assert_int_equal(appender_open(&a, path, 1, NULL), 0);
    n_call = 0;
    assert_int_equal(appender_append(a, "{}", 2, NULL), 0);
    assert_int_equal(n_call, 1);
    assert_int_equal(calls[0].kind, DATASYNC);
    assert_true(ends_alike(calls[0].path, "log.jsonl"));
    appender_close(a);
}

static void the_journal_syncs_at_every_commit(void **state)
{
    (void)state;
    char directory[1200];
    struct run *r;
    struct error err = {0};
    sqlite3_stmt *s;
    json_t *settings = json_pack("{s:s}", "a", "b");
    snprintf(directory, sizeof directory, "%s/run", check_tmpdir("durability"));
    if (run_open(&r, directory, &(struct run_start){.settings = settings, .manifest = settings}, &err))
        fail_msg("%s", err.message);
    assert_int_equal(run_prepare(r, &s, "PRAGMA synchronous", &err), 0);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), 2); /* FULL */
    sqlite3_finalize(s);
    assert_int_equal(run_prepare(r, &s, "PRAGMA journal_mode", &err), 0);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 0), "wal");
    sqlite3_finalize(s);
    for (int i = 0; i < 5; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        n_call = 0;
        assert_int_equal(run_put_fact(r, "name", value, &err), 0);
        int synced = 0;
        for (int k = 0; k < n_call; k++)
            synced += calls[k].kind != RENAME && ends_alike(calls[k].path, "run.db-wal");
        assert_true(synced >= 1);
    }
    run_close(r);
    json_decref(settings);
}

/* A whole alignment: every file that it leaves by rename is durable in that order, and a round's model is so before the
 * journal says that the round is done. */
static void an_alignment_names_nothing_that_is_not_durable(void **state)
{
    (void)state;
    char root[1024], model[1100], seeds[1100], output[1100];
    struct device *d;
    struct align_options o;
    struct align_result r;
    struct error err = {0};
    snprintf(root, sizeof root, "%s", check_tmpdir("durability"));
    snprintf(model, sizeof model, "%s/model", root);
    snprintf(seeds, sizeof seeds, "%s/seeds.jsonl", root);
    snprintf(output, sizeof output, "%s/run", root);
    assert_int_equal(device_open(&d, DEVICE_CPU, &(struct device_options){.n_thread = 1}, &err), 0);
    tiny_model_make(d, root);
    align_options_default(&o);
    o.model = model;
    o.seeds = seeds;
    o.output = output;
    o.rounds = 1;
    o.attempts = 4;
    o.k = 2;
    o.dtype = DTYPE_F32;
    o.stop_novelty = 0;
    o.samples = 1;
    o.ask.max_new_tokens = o.answer.max_new_tokens = 20;
    o.ask.num_beams = o.answer.num_beams = 1;
    o.ask.do_sample = 1;
    o.sift.threshold = 1;
    o.sift.question_min_words = 0;
    o.sift.answer_min_words = 0;
    o.sift.need_end = 0;
    o.sift.repetition = 1;
    o.sift.copy = 1;
    o.train.max_steps = 4;
    o.train.save_steps = 2;
    n_call = 0;
    if (method_align(d, &o, &r, &err))
        fail_msg("%s", err.message);
    assert_true(check_renames() > 8);
    int named = -1, committed = -1;
    for (int i = 0; i < n_call; i++) {
        if (calls[i].kind == RENAME && ends_alike(calls[i].to, "round-1/model/model.safetensors"))
            named = i;
        if (calls[i].kind != RENAME && named >= 0 && committed < 0 && ends_alike(calls[i].path, "run.db-wal"))
            committed = i;
    }
    assert_true(named > 0 && committed > named);
    align_result_free(&r);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_synced_then_named_then_its_name_is_synced),
        cmocka_unit_test(an_appended_record_is_synced_before_it_counts),
        cmocka_unit_test(the_journal_syncs_at_every_commit),
        cmocka_unit_test(an_alignment_names_nothing_that_is_not_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
