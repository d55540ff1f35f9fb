/* SPDX-License-Identifier: Apache-2.0 */
/* Model files that are no files, and files that another process cuts while they are mapped: an error with the name, neither a wait nor a crash. */
#include "check.h"

#include "io/checkpoint.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nobody writes into the pipe: whoever opens it for reading in the usual way waits for ever (and is ended by the alarm). */
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

/* A copy of a small model whose weights file has been cut to its header after it was opened; the kernel gives SIGBUS for what lies behind. */
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
    uint16_t *narrow = malloc(t->n_element * 2);
    assert_int_equal(checkpoint_read_f32(ck, t, 0, t->n_row, values, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "model.safetensors"));
    assert_non_null(strstr(err.message, "cut off"));
    assert_int_equal(checkpoint_read_bf16(ck, t, 0, t->n_row, narrow, &err), ERROR_DATA);
    assert_int_equal(checkpoint_sha256(ck, hex, &err), ERROR_DATA);
    assert_int_equal(checkpoint_check_finite(ck, &err), ERROR_DATA);
    free(values);
    free(narrow);
    checkpoint_close(ck);
    open_and_cut(&ck, path, "cut_copy");
    assert_int_equal(hf_dir_weights_as_read(check_tmpdir("cut_written"), ck, DTYPE_F32, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "cut off"));
    checkpoint_close(ck);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_and_devices_are_refused_without_waiting),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_mapped_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
