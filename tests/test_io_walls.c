/* SPDX-License-Identifier: Apache-2.0 */
/* Model files that are no files, and files that another process cuts while they are mapped: an error with the name,
 * neither a wait nor a crash. A file's hash, and when it is not reckoned again. */
#include "check.h"

#include "base/hash.h"
#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody writes into the pipe: whoever opens it for reading in the usual way waits for ever (and is ended by the
 * alarm). */
static void pipes_and_devices_are_refused_without_waiting(void **state)
{
    (void)state;
    char path[1300];
    struct file_map m;
    struct buf text = BUF_INIT;
    struct checkpoint *ck;
    json_t *json;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/config.json", check_tmpdir("pipes"));
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(60);
    assert_int_equal(file_map(&m, path, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "found a pipe"));
    assert_int_equal(file_read_regular(&text, path, 1 << 20, &err), ERROR_DATA);
    assert_int_equal(jsontext_load(&json, path, 1 << 20, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "config.json"));
    *strrchr(path, '/') = 0;
    assert_int_equal(checkpoint_open(&ck, path, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "config.json"));
    assert_int_equal(file_map(&m, "/dev/zero", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "found a device"));
    assert_int_equal(file_map(&m, "/tmp", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "found a directory"));
    alarm(0);
    buf_free(&text);
}

static const char source[] = "tests/golden/lora/model";

/* A copy of a small model whose weights file has been cut to its header after it was opened; the kernel gives SIGBUS
 * for what lies behind. */
static void open_and_cut(struct checkpoint **ck, char path[1300], const char *name)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    const char *dir = check_tmpdir(name);
    struct error err = {0};
    for (int i = 0; i < 2; i++) {
        char from[300];
        snprintf(from, sizeof from, "%s/%s", source, files[i]);
        snprintf(path, 1300, "%s/%s", dir, files[i]);
        assert_int_equal(file_copy(from, path, &err), 0);
    }
    if (checkpoint_open(ck, dir, &err))
        fail_msg("%s", err.message);
    assert_int_equal(truncate(path, 100), 0);
}

static void a_file_that_is_cut_while_it_is_mapped_is_an_error(void **state)
{
    (void)state;
    char path[1300], hex[65];
    struct checkpoint *ck;
    struct error err = {0};
    open_and_cut(&ck, path, "cut");
    const struct tensor_info *t = checkpoint_tensor(ck, checkpoint_n_tensor(ck) - 1);
    float *values = malloc(t->n_element * 4);
    assert_int_equal(checkpoint_read_f32(ck, t, 0, t->n_row, values, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "model.safetensors"));
    assert_non_null(strstr(err.message, "cut off"));
    assert_int_equal(checkpoint_sha256(ck, hex, &err), ERROR_DATA);
    assert_int_equal(checkpoint_check_finite(ck, &err), ERROR_DATA);
    free(values);
    checkpoint_close(ck);
    open_and_cut(&ck, path, "cut_copy");
    assert_int_equal(hf_dir_weights_as_read(check_tmpdir("cut_written"), ck, DTYPE_F32, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "cut off"));
    checkpoint_close(ck);
}

/* The longest name that a file system takes, for files that are written under another name first. */
static void names_of_255_bytes_can_be_written(void **state)
{
    (void)state;
    char path[1600], other[1600];
    const char *dir = check_tmpdir("names");
    struct error err = {0};
    struct buf text = BUF_INIT;
    for (int length = 245; length <= 255; length++) {
        int at = snprintf(path, sizeof path, "%s/", dir);
        memset(path + at, 'n', (size_t)length);
        path[at + length] = 0;
        snprintf(other, sizeof other, "%s", path);
        other[at + length - 1] = 'm';
        if (file_write(path, "one", 3, &err) || file_write(other, "two", 3, &err) || file_read(&text, path, 10, &err))
            fail_msg("%d bytes: %s", length, err.message);
        char *a = path_beside(path, ".partial"), *b = path_beside(other, ".partial"),
             *again = path_beside(path, ".partial");
        assert_true(strlen(path_base(a)) <= 255 && strcmp(a, b) && !strcmp(a, again) &&
                    !strncmp(a, path, (size_t)at + 200));
        assert_string_equal(a + strlen(a) - 8, ".partial");
        mem_free(a);
        mem_free(b);
        mem_free(again);
        buf_reset(&text);
    }
    char *plain = path_beside("a/b.jsonl", ".partial");
    assert_string_equal(plain, "a/b.jsonl.partial");
    mem_free(plain);
    buf_free(&text);
}

/* mkdir's own reason. Root may write everywhere, so a child that is nobody asks. */
static void a_parent_that_cannot_be_written_is_named_as_such(void **state)
{
    (void)state;
    char above[] = "/tmp/isara_parent_XXXXXX", path[64];
    assert_non_null(mkdtemp(above));
    assert_int_equal(chmod(above, 0555), 0);
    snprintf(path, sizeof path, "%s/c", above);
    pid_t child = fork();
    if (!child) {
        struct error err = {0};
        if (!geteuid() && (setgid(65534) || setuid(65534)))
            _exit(3);
        _exit(dirs_make(path, &err) && strstr(err.message, "Permission denied") && strstr(err.message, path) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    rmdir(above);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* 60 MB of each kind of value that takes much more room as a tree. */
static void json_that_would_not_fit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    static const char *const kinds[] = {"[],", "{},", "\"\",", "1,"};
    enum { SIZE = 60000000 };
    char *text = malloc(SIZE);
    struct error err = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t k = strlen(kinds[i]);
        for (size_t at = 0; at + k <= SIZE; at += k)
            memcpy(text + at, kinds[i], k);
        assert_int_equal(jsontext_check_tree(text, SIZE, "x/config.json", &err), ERROR_DATA);
        assert_non_null(strstr(err.message, "x/config.json"));
    }
    memset(text, 'a', SIZE);
    text[0] = text[SIZE - 1] = '"';
    assert_int_equal(jsontext_check_tree(text, SIZE, "x", &err), 0); /* one long text is no tree */
    memset(text, '[', SIZE);
    text[0] = text[SIZE - 1] = '"';
    assert_int_equal(jsontext_check_tree(text, SIZE, "x", &err), 0);
    free(text);
}

/* Bytes of `c`, written into the file that is there; as of long ago, or of now. */
static void fill(const char *path, int c, int long_ago, char hex[65])
{
    static char bytes[100000];
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    memset(bytes, c, sizeof bytes);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, f), sizeof bytes);
    fclose(f);
    assert_int_equal(long_ago ? utimensat(AT_FDCWD, path, times, 0) : 0, 0);
    sha256_bytes(bytes, sizeof bytes, hex);
}

/* The second time the bytes cannot even be read. */
static void a_hash_is_remembered_while_the_file_is_the_same(void **state)
{
    (void)state;
    char path[1300], wanted[65], hex[65];
    struct file_map m;
    snprintf(path, sizeof path, "%s/weights", check_tmpdir("hashes"));
    for (int c = 'a'; c <= 'b'; c++) { /* the second content: the same size and time of writing */
        fill(path, c, 1, wanted);
        assert_int_equal(file_map(&m, path, NULL), 0);
        assert_int_equal(file_map_sha256(&m, path, hex, NULL), 0);
        assert_string_equal(hex, wanted);
        assert_int_equal(mprotect((void *)(uintptr_t)m.data, m.size, PROT_NONE), 0);
        memset(hex, 0, sizeof hex);
        assert_int_equal(file_map_sha256(&m, path, hex, NULL), 0);
        assert_string_equal(hex, wanted);
        file_unmap(&m);
    }
}

static void what_was_written_just_now_is_read_again(void **state)
{
    (void)state;
    char path[1300], wanted[65], hex[65];
    struct file_map m;
    snprintf(path, sizeof path, "%s/weights", check_tmpdir("hashes_now"));
    fill(path, 'a', 0, wanted);
    assert_int_equal(file_map(&m, path, NULL), 0);
    for (int c = 'a'; c <= 'c'; c++) {
        FILE *f = fopen(path, "r+");
        assert_non_null(f);
        fputc(c, f);
        fclose(f);
        assert_int_equal(file_map_sha256(&m, path, hex, NULL), 0);
        sha256_bytes(m.data, m.size, wanted);
        assert_string_equal(hex, wanted);
    }
    file_unmap(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_is_remembered_while_the_file_is_the_same),
        cmocka_unit_test(what_was_written_just_now_is_read_again),
        cmocka_unit_test(pipes_and_devices_are_refused_without_waiting),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_mapped_is_an_error),
        cmocka_unit_test(names_of_255_bytes_can_be_written),
        cmocka_unit_test(a_parent_that_cannot_be_written_is_named_as_such),
        cmocka_unit_test(json_that_would_not_fit_is_refused_before_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
