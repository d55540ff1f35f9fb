/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: safetensors byte for byte as the official writer, atomic replacement under a full disk and a dead or living
 * rival, the appender's torn line, directories, the Hugging Face cache. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/appender.h"
#include "io/file.h"
#include "io/hub.h"
#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char tmp[1024];
static const char *in_tmp(const char *name)
{
    static char path[8][1200];
    static int k;
    char *p = path[k++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", tmp, name);
    return p;
}

static void assert_ok(int rc, const struct error *err)
{
    if (rc)
        fail_msg("%s", err->message);
}

static void assert_content(const char *path, const char *want, size_t n)
{
    struct buf b = BUF_INIT;
    assert_int_equal(file_read(&b, path, 1 << 24, NULL), 0);
    assert_int_equal(b.len, n);
    assert_memory_equal(b.data, want, n);
    buf_free(&b);
}

/* The files of tests/golden come from the Python package safetensors. */
static void rewrite(const char *golden, int with_metadata, int pieces)
{
    struct error err = {0};
    struct file_map m;
    struct safetensors *s;
    struct safetensors_writer *w;
    assert_ok(file_map(&m, golden, &err), &err);
    assert_ok(safetensors_parse(&s, m.data, m.size, golden, &err), &err);
    size_t n = safetensors_n_tensor(s);
    struct tensor_info *t = calloc(n, sizeof *t);
    for (size_t i = 0; i < n; i++) /* described backwards: the order is the writer's business */
        t[i] = *safetensors_tensor(s, n - 1 - i);
    json_t *metadata = with_metadata ? json_pack("{s:s}", "format", "pt") : NULL;
    assert_ok(safetensors_create(&w, in_tmp("again.safetensors"), t, n, metadata, &err), &err);
    for (size_t i = 0; i < n; i++)
        for (int p = pieces - 1; p >= 0; p--) {
            uint64_t first = t[i].n_element * (uint64_t)p / (uint64_t)pieces,
                     end = t[i].n_element * (uint64_t)(p + 1) / (uint64_t)pieces;
            const float *values = (const float *)(const void *)safetensors_data(s, n - 1 - i);
            assert_ok(safetensors_write_f32(w, i, first, values + first, end - first, &err), &err);
        }
    assert_ok(safetensors_end(w, 0, &err), &err);
    assert_content(in_tmp("again.safetensors"), (const char *)m.data, m.size);
    json_decref(metadata);
    free(t);
    safetensors_free(s);
    file_unmap(&m);
}

static void safetensors_are_written_as_the_official_writer_does(void **state)
{
    (void)state;
    rewrite("tests/golden/tiny_llama.safetensors", 1, 1);
    rewrite("tests/golden/tiny_llama.safetensors", 1, 3);
    rewrite("tests/golden/gguf_types.safetensors", 0, 2);
}

static void types_are_ordered_and_values_rounded(void **state)
{
    (void)state;
    struct error err = {0};
    struct safetensors_writer *w;
    struct tensor_info t[] = {
        {.name = "b", .storage = STORAGE_BF16, .n_dim = 1, .shape = {3}},
        {.name = "a", .storage = STORAGE_F16, .n_dim = 1, .shape = {3}},
        {.name = "z", .storage = STORAGE_F32, .n_dim = 0},
        {.name = "i", .storage = STORAGE_I64, .n_dim = 1, .shape = {1}},
        {.name = "e", .storage = STORAGE_F32, .n_dim = 2, .shape = {0, 4}},
    };
    const float v[3] = {1.00390625f, -3.0f,
                        65519.0f}; /* the first is a tie in bf16, the last the greatest that f16 rounds down */
    const int64_t i = -7;
    assert_ok(safetensors_create(&w, in_tmp("types.safetensors"), t, 5, NULL, &err), &err);
    assert_ok(safetensors_write_f32(w, 0, 0, v, 3, &err), &err);
    assert_ok(safetensors_write_f32(w, 1, 0, v, 3, &err), &err);
    assert_ok(safetensors_write_f32(w, 2, 0, v, 1, &err), &err);
    assert_int_equal(safetensors_write_f32(w, 2, 1, v, 1, &err), ERROR_INTERNAL);
    const float beyond[2] = {1, -65520};
    assert_int_equal(safetensors_write_f32(w, 1, 1, beyond, 2, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "tensor a: element 2 is -65520, which float16 does not hold"));
    assert_int_equal(safetensors_write_f32(w, 3, 0, v, 1, &err), ERROR_INTERNAL);
    assert_ok(safetensors_write_bytes(w, 3, 0, &i, 8, &err), &err);
    assert_ok(safetensors_end(w, 0, &err), &err);
    struct file_map m;
    struct safetensors *s;
    assert_ok(file_map(&m, in_tmp("types.safetensors"), &err), &err);
    assert_ok(safetensors_parse(&s, m.data, m.size, "types", &err), &err);
    static const char *const order[] = {"i", "e", "z", "b", "a"};
    uint64_t header;
    memcpy(&header, m.data, 8);
    assert_int_equal(header % 8, 0);
    for (size_t k = 0; k < 5; k++)
        assert_string_equal(safetensors_tensor(s, k)->name, order[k]);
    uint16_t half[3];
    memcpy(half, safetensors_data(s, 3), 6);
    assert_int_equal(half[0], 0x3f80); /* even */
    assert_int_equal(half[1], 0xc040);
    memcpy(half, safetensors_data(s, 4), 6);
    assert_int_equal(half[1], 0xc200);
    assert_int_equal(half[2], 0x7bff);
    safetensors_free(s);
    file_unmap(&m);
}

static void an_unfinished_model_is_not_there(void **state)
{
    (void)state;
    struct error err = {0};
    struct safetensors_writer *w;
    struct tensor_info t = {.name = "a", .storage = STORAGE_F32, .n_dim = 1, .shape = {4}};
    const float v[4] = {0};
    assert_ok(safetensors_create(&w, in_tmp("part.safetensors"), &t, 1, NULL, &err), &err);
    assert_ok(safetensors_write_f32(w, 0, 0, v, 3, &err), &err);
    assert_int_equal(safetensors_end(w, 0, &err), ERROR_INTERNAL);
    assert_non_null(strstr(err.message, "12 of 16 bytes"));
    assert_false(file_exists(in_tmp("part.safetensors")));
    assert_ok(safetensors_create(&w, in_tmp("part.safetensors"), &t, 1, NULL, &err), &err);
    assert_ok(safetensors_write_f32(w, 0, 0, v, 4, &err), &err);
    assert_int_equal(safetensors_end(w, ERROR_FAILED, &err), ERROR_FAILED); /* whole, but its writer failed elsewhere */
    assert_false(file_exists(in_tmp("part.safetensors")));
    assert_false(file_exists(in_tmp("part.safetensors.tmp")));
    struct tensor_info twice[] = {t, t};
    assert_int_equal(safetensors_create(&w, in_tmp("part.safetensors"), twice, 2, NULL, &err), ERROR_INTERNAL);
    assert_false(file_exists(in_tmp("part.safetensors.tmp")));
}

/* The file size limit stands for a full disk: writing fails in the middle. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    struct error err = {0};
    char *big = calloc(1, 1 << 20);
    struct rlimit old, small;
    struct tensor_info t = {.name = "a", .storage = STORAGE_F32, .n_dim = 1, .shape = {1 << 18}};
    struct safetensors_writer *w;
    assert_ok(file_write(in_tmp("keep"), "old", 3, &err), &err);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1 << 16;
    setrlimit(RLIMIT_FSIZE, &small);
    int written = file_write(in_tmp("keep"), big, 1 << 20, &err),
        reserved = safetensors_create(&w, in_tmp("keep"), &t, 1, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(written, ERROR_IO);
    assert_int_equal(reserved, ERROR_IO);
    assert_content(in_tmp("keep"), "old", 3);
    assert_false(file_exists(in_tmp("keep.tmp")));
    free(big);
    if (file_exists("/dev/full")) {
        assert_int_equal(file_write("/dev/full", "x", 1, &err), ERROR_IO);
        assert_non_null(strstr(err.message, "/dev/full: the disk is full"));
    }
}

static void a_dead_writers_rubble_is_taken_over_a_living_one_is_respected(void **state)
{
    (void)state;
    struct error err = {0};
    struct atomic_file *f, *g;
    assert_ok(file_write(in_tmp("f.tmp"), "rubble, longer than the new content", 35, &err), &err);
    assert_ok(file_write(in_tmp("f"), "new", 3, &err), &err);
    assert_content(in_tmp("f"), "new", 3);
    assert_false(file_exists(in_tmp("f.tmp")));
    assert_ok(atomic_file_open(&f, in_tmp("f"), &err), &err);
    assert_int_equal(atomic_file_open(&g, in_tmp("f"), &err), ERROR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "another process is writing"));
    assert_true(file_exists(in_tmp("f.tmp")));
    assert_ok(atomic_file_write(f, "abc", 3, &err), &err);
    assert_content(in_tmp("f"), "new", 3); /* not before commit */
    assert_ok(atomic_file_commit(f, &err), &err);
    assert_content(in_tmp("f"), "abc", 3);
    assert_int_equal(file_write(in_tmp("absent/f"), "x", 1, &err), ERROR_NOINPUT);
    assert_int_equal(file_write(tmp, "x", 1, &err), ERROR_IO);
}

static void killed_while_writing_nothing_is_lost(void **state)
{
    (void)state;
    struct error err = {0};
    assert_ok(file_write(in_tmp("k"), "before", 6, &err), &err);
    pid_t child = fork();
    if (!child) {
        struct atomic_file *f;
        if (!atomic_file_open(&f, in_tmp("k"), NULL))
            atomic_file_write(f, "half", 4, NULL);
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_content(in_tmp("k"), "before", 6);
    assert_ok(file_write(in_tmp("k"), "after", 5, &err), &err);
    assert_content(in_tmp("k"), "after", 5);
}

static void a_torn_last_line_is_cut_and_the_rest_kept(void **state)
{
    (void)state;
    struct error err = {0};
    struct appender *a, *b;
    char *big = malloc(10000);
    memset(big, 'x', 10000);
    assert_ok(appender_open(&a, in_tmp("log.jsonl"), 1, &err), &err);
    assert_int_equal(appender_open(&b, in_tmp("log.jsonl"), 0, &err), ERROR_UNAVAILABLE);
    json_t *record = json_pack("{s:i}", "i", 1);
    assert_ok(appender_append_json(a, record, &err), &err);
    json_decref(record);
    assert_ok(appender_append(a, "{\"i\": 2}", 8, &err), &err);
    assert_int_equal(appender_append(a, "a\nb", 3, &err), ERROR_INTERNAL);
    appender_close(a);
    assert_content(in_tmp("log.jsonl"), "{\"i\": 1}\n{\"i\": 2}\n", 18);
    int fd = open(in_tmp("log.jsonl"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, big, 10000), 10000); /* longer than the look-back chunk */
    close(fd);
    assert_ok(appender_open(&a, in_tmp("log.jsonl"), 0, &err), &err);
    assert_int_equal(appender_cut(a), 10000);
    assert_ok(appender_append(a, "3", 1, &err), &err);
    appender_close(a);
    assert_content(in_tmp("log.jsonl"), "{\"i\": 1}\n{\"i\": 2}\n3\n", 20);
    assert_ok(file_write(in_tmp("torn"), big, 10000, &err), &err);
    assert_ok(appender_open(&a, in_tmp("torn"), 0, &err), &err);
    assert_int_equal(appender_cut(a), 10000);
    appender_close(a);
    assert_content(in_tmp("torn"), "", 0);
    free(big);
}

static void a_record_that_does_not_fit_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    struct error err = {0};
    struct appender *a;
    char *big = malloc(100000);
    memset(big, 'x', 100000);
    struct rlimit old, small;
    assert_ok(appender_open(&a, in_tmp("full.jsonl"), 0, &err), &err);
    assert_ok(appender_append(a, "1", 1, &err), &err);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 50000;
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = appender_append(a, big, 100000, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, ERROR_IO);
    assert_ok(appender_append(a, "2", 1, &err), &err);
    appender_close(a);
    assert_content(in_tmp("full.jsonl"), "1\n2\n", 4);
    free(big);
}

static void paths_directories_and_trees(void **state)
{
    (void)state;
    struct error err = {0};
    char *p = path_join("a", "b"), *q = path_join("a/", "b"), *r = path_join("a", "/b"), *s = path_join("", "b");
    assert_string_equal(p, "a/b");
    assert_string_equal(q, "a/b");
    assert_string_equal(r, "/b");
    assert_string_equal(s, "b");
    assert_string_equal(path_base("a/b.c"), "b.c");
    mem_free(p);
    mem_free(q);
    mem_free(r);
    mem_free(s);
    assert_ok(dirs_make(in_tmp("d/e/f"), &err), &err);
    assert_ok(dirs_make(in_tmp("d/e/f/"), &err), &err);
    assert_true(file_is_directory(in_tmp("d/e/f")));
    assert_ok(file_write(in_tmp("d/e/x"), "1", 1, &err), &err);
    assert_int_not_equal(dirs_make(in_tmp("d/e/x/y"), &err), 0);
    assert_ok(file_copy("tests/golden/gguf_types.gguf", in_tmp("d/copy"), &err), &err);
    uint64_t n, m;
    assert_ok(file_size("tests/golden/gguf_types.gguf", &n, &err), &err);
    assert_ok(file_size(in_tmp("d/copy"), &m, &err), &err);
    assert_int_equal(n, m);
    assert_ok(dirs_make(in_tmp("outside"), &err), &err);
    assert_ok(file_write(in_tmp("outside/stays"), "1", 1, &err), &err);
    assert_int_equal(symlink("../outside", in_tmp("d/link")), 0);
    assert_ok(tree_remove(in_tmp("d"), &err), &err);
    assert_false(file_exists(in_tmp("d")));
    assert_true(file_exists(in_tmp("outside/stays")));
    assert_ok(tree_remove(in_tmp("d"), &err), &err);
    struct buf b = BUF_INIT;
    assert_int_equal(file_read(&b, "tests/golden/gguf_types.gguf", 100, &err), ERROR_DATA);
    assert_int_equal(file_read(&b, in_tmp("absent"), 100, &err), ERROR_NOINPUT);
    assert_non_null(strstr(err.message, "absent: No such file"));
    assert_int_equal(file_read(&b, tmp, 100, &err), ERROR_DATA);
    buf_free(&b);
}

static void the_hub_cache_is_searched_offline(void **state)
{
    (void)state;
    struct error err = {0};
    char *found;
    unsetenv("HF_HUB_CACHE");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    unsetenv("TRANSFORMERS_CACHE");
    setenv("HF_HOME", in_tmp("hf"), 1);
    assert_ok(dirs_make(in_tmp("hf/hub/models--org--name/snapshots/abc123"), &err), &err);
    assert_ok(dirs_make(in_tmp("hf/hub/models--org--name/refs"), &err), &err);
    assert_ok(file_write(in_tmp("hf/hub/models--org--name/refs/main"), "abc123\n", 7, &err), &err);
    assert_ok(hub_resolve(&found, "org/name", &err), &err);
    assert_string_equal(found, in_tmp("hf/hub/models--org--name/snapshots/abc123"));
    mem_free(found);
    assert_ok(file_write(in_tmp("hf/hub/models--org--name/snapshots/abc123/a.gguf"), "x", 1, &err), &err);
    assert_ok(hub_resolve(&found, "org/name@abc123", &err), &err);
    assert_string_equal(found, in_tmp("hf/hub/models--org--name/snapshots/abc123/a.gguf"));
    mem_free(found);
    assert_ok(file_write(in_tmp("hf/hub/models--org--name/snapshots/abc123/b.gguf"), "x", 1, &err), &err);
    assert_ok(hub_resolve(&found, "org/name@abc123", &err), &err);
    assert_string_equal(found, in_tmp("hf/hub/models--org--name/snapshots/abc123"));
    mem_free(found);
    assert_int_equal(hub_resolve(&found, "org/name@v2", &err), ERROR_NOINPUT);
    assert_non_null(strstr(err.message, "isara pull org/name@v2"));
    assert_int_equal(hub_resolve(&found, "org/other", &err), ERROR_NOINPUT);
    assert_non_null(strstr(err.message, "isara pull org/other"));
    assert_int_equal(hub_resolve(&found, "no such thing", &err), ERROR_NOINPUT);
    assert_int_equal(hub_resolve(&found, "../..", &err), 0); /* a path that is there */
    mem_free(found);
    assert_int_equal(hub_resolve(&found, "../..nothing/x", &err), ERROR_NOINPUT);
    assert_ok(file_write(in_tmp("hf/hub/models--org--name/refs/evil"), "../../..", 8, &err), &err);
    assert_int_equal(hub_resolve(&found, "org/name@evil", &err), ERROR_NOINPUT);
    setenv("HF_HUB_CACHE", in_tmp("hf/hub"), 1);
    setenv("HF_HOME", "/nonexistent", 1);
    assert_ok(hub_resolve(&found, "org/name", &err), &err);
    mem_free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_are_written_as_the_official_writer_does),
        cmocka_unit_test(types_are_ordered_and_values_rounded),
        cmocka_unit_test(an_unfinished_model_is_not_there),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(a_dead_writers_rubble_is_taken_over_a_living_one_is_respected),
        cmocka_unit_test(killed_while_writing_nothing_is_lost),
        cmocka_unit_test(a_torn_last_line_is_cut_and_the_rest_kept),
        cmocka_unit_test(a_record_that_does_not_fit_leaves_the_file_as_it_was),
        cmocka_unit_test(paths_directories_and_trees),
        cmocka_unit_test(the_hub_cache_is_searched_offline),
    };
    snprintf(tmp, sizeof tmp, "%s", check_tmpdir("io_write"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
