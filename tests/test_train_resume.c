/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that are killed, interrupted, resumed or refused: whatever happens, the same command ends with the weights of a
 * run that nothing happened to, or says by name why it does not. Children do the training, so that they can really be
 * killed. */
#include "tests/training.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- kill -9 at random moments */
static void nap(long microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

/* A child that trains; killed after so many microseconds unless it is done. 1: it finished. */
static int child_run(struct training *r, long microseconds)
{
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(training_here(r) ? 1 : 0);
    int status, waited = 0;
    while (waited < microseconds && waitpid(child, &status, WNOHANG) == 0) {
        nap(500);
        waited += 500;
    }
    if (waited >= microseconds)
        kill(child, SIGKILL);
    else {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return 1;
    }
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void slow_step(void *user, const struct train_step *s)
{
    (void)user;
    (void)s;
    nap(1000);
}

static void killed_and_whole(const char *name, int n_thread, enum dtype dtype, int lora_r)
{
    const char *whole, *directory = training_directories(name, &whole);
    struct training r = {.directory = whole, .n_thread = n_thread};
    training_options(&r.options);
    r.options.dtype = dtype;
    r.options.lora_r = lora_r;
    r.options.bf16_moments = lora_r != 0;
    r.options.bf16_random = dtype == DTYPE_BF16 && !lora_r;
    r.options.save_steps = 2;
    training_must_end(&r);
    r.directory = directory;
    r.on_step = slow_step;
    int kills = 0;
    const struct rng_stream moments = {1, (uint64_t)(n_thread + 10 * lora_r), 0};
    while (!child_run(&r, kills < 40 ? 3000 + rng_below(&moments, (uint64_t)kills, 25000) : 60000000))
        kills++;
    printf("%s: killed %d times\n", name, kills);
    assert_true(kills > 0);
    training_same_end(directory, whole, lora_r ? "adapter_model.safetensors" : "model.safetensors");
}

static void test_kills_at_random_moments_leave_no_trace(void **state)
{
    (void)state;
    killed_and_whole("kill_1", 1, DTYPE_F32, 0);
    killed_and_whole("kill_2", 2, DTYPE_BF16, 0);
    killed_and_whole("kill_lora", 2, DTYPE_BF16, 2);
}

/* ---- interruptions */
static void test_an_interruption_writes_a_checkpoint_and_any_step_can_be_gone_on_from(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("interrupted", &whole);
    struct training r = {.directory = whole, .n_thread = 1};
    training_options(&r.options);
    training_must_end(&r);
    assert_int_equal(r.result.steps, STEPS);
    for (long at = 1; at < STEPS; at += at == 1 || at == PER_EPOCH ? 1 : 2) { /* the ends of epochs among them */
        tree_remove(directory, NULL);
        r.directory = directory;
        r.interrupt_at = at;
        assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
        assert_int_equal(r.result.steps, at);
        assert_true(file_exists(in_directory(directory, "checkpoint.safetensors")));
        assert_false(file_exists(in_directory(directory, "model.safetensors")));
        r.interrupt_at = 0;
        r.n_thread = 1 + (at & 1);
        training_must_end(&r);
        assert_int_equal(r.result.resumed_from, at);
        assert_int_equal(r.result.steps, STEPS - at);
        training_same_end(directory, whole, "model.safetensors");
    }
}

/* One bit anywhere in what a checkpoint holds is found: first and last values, and the checksum itself. */
static void test_a_damaged_checkpoint_is_refused_by_its_checksum(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("damaged", &whole);
    char path[1300];
    struct training r = {.directory = directory, .n_thread = 1, .interrupt_at = 2};
    training_options(&r.options);
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    snprintf(path, sizeof path, "%s", in_directory(directory, "checkpoint.safetensors"));
    struct buf bytes = BUF_INIT;
    assert_int_equal(file_read(&bytes, path, (size_t)1 << 30, NULL), 0);
    uint64_t header;
    memcpy(&header, bytes.data, 8);
    const size_t places[] = {8 + (size_t)header, 8 + (size_t)header + 1001, bytes.len / 2, bytes.len - 1};
    r.interrupt_at = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bytes.data[places[i]] ^= 4;
        assert_int_equal(file_write(path, bytes.data, bytes.len, NULL), 0);
        assert_int_equal(training_here(&r), ERROR_DATA);
        assert_non_null(strstr(r.err.message, "checksum"));
        assert_non_null(strstr(r.err.message, "checkpoint.safetensors"));
        bytes.data[places[i]] ^= 4;
    }
    assert_int_equal(file_write(path, bytes.data, bytes.len, NULL), 0);
    training_must_end(&r);
    assert_int_equal(r.result.resumed_from, 2);
    buf_free(&bytes);
}

static void test_splits_and_recomputation_may_change_on_the_way(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("split", &whole);
    struct training r = {.directory = whole, .n_thread = 1};
    training_options(&r.options);
    training_must_end(&r);
    r.directory = directory;
    r.interrupt_at = 4;
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 9;
    r.options.batch_size = 2;
    r.options.accumulation = 2;
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 0;
    r.options.batch_size = 1;
    r.options.accumulation = 4;
    r.options.recompute = 1;
    training_must_end(&r);
    same_file(in_directory(directory, "model.safetensors"), in_directory(whole, "model.safetensors"));
}

static void test_what_changed_is_named(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("changed", &whole);
    struct training r = {.directory = directory, .n_thread = 1, .interrupt_at = 3};
    training_options(&r.options);
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 0;
    struct training changed[10];
    static const char *const says[10] = {"learning_rate", "seed",   "rows a step", "steps", "data",
                                         "weight_decay",  "lora_r", "moments",     "dtype", "bf16_random"};
    for (int i = 0; i < 10; i++)
        changed[i] = r;
    changed[0].options.learning_rate = 0.01;
    changed[1].options.seed = 4;
    changed[2].options.batch_size = 5;
    changed[2].options.max_steps = STEPS;
    changed[3].options.max_steps = 17;
    changed[4].first_row = 1;
    changed[5].options.weight_decay = 0.1;
    changed[6].options.lora_r = 2;
    changed[7].options.bf16_moments = 1;
    changed[8].options.dtype = DTYPE_BF16;
    changed[9].options.bf16_random = 1;
    for (int i = 0; i < 10; i++) {
        int rc = training_here(&changed[i]);
        if (rc != ERROR_CONFIG || !strstr(changed[i].err.message, says[i]))
            fail_msg("%s: rc %d \"%s\"", says[i], rc, changed[i].err.message);
    }
    training_must_end(&r); /* the checkpoint is as it was */
    assert_int_equal(r.result.resumed_from, 3);
}

/* Another value of an option. */
static void alter(const struct field *f, void *object)
{
    char *p = (char *)object + f->offset;
    int *i = (int *)(void *)p;
    double *d = (double *)(void *)p;
    if (f->type == FIELD_FLAG)
        *i = !*i;
    else if (f->type == FIELD_INT)
        ++*i;
    else if (f->type == FIELD_CHOICE)
        *i = *i ? 0 : 1;
    else if (f->type == FIELD_DOUBLE)
        *d = *d > 0 ? *d / 2 : f->high / 2;
    else if (f->type == FIELD_STRING)
        *(const char **)(void *)p = "k_proj";
    else
        fail_msg("%s: a type that this test does not alter", f->name);
}

/* Whatever row the table has: a run that differs in it is refused, unless the row says that it changes no bit. */
static void test_every_option_that_decides_bits_is_compared(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("every", &whole);
    struct training r = {.directory = directory, .n_thread = 1, .interrupt_at = 3};
    training_options(&r.options);
    r.options.lora_r = 2; /* with these, every option is read */
    r.options.packing = 1;
    r.options.max_length = 32;
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    int n_compared = 0, n_free = 0;
    for (int i = 0; i < train_fields.n; i++) {
        struct training changed = r;
        int free_to_differ = train_fields.rows[i].bits == FIELD_FREE;
        alter(&train_fields.rows[i], &changed.options);
        n_free += free_to_differ;
        changed.interrupt_at += n_free; /* one that is taken goes on by a step */
        int rc = training_here(&changed),
            refused = rc == ERROR_CONFIG && strstr(changed.err.message, "was written with");
        n_compared += refused;
        if (free_to_differ ? rc != ERROR_INTERRUPTED : !refused)
            fail_msg("%s: rc %d \"%s\"", train_fields.rows[i].name, rc, changed.err.message);
    }
    assert_true(n_compared >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kills_at_random_moments_leave_no_trace),
        cmocka_unit_test(test_an_interruption_writes_a_checkpoint_and_any_step_can_be_gone_on_from),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused_by_its_checksum),
        cmocka_unit_test(test_splits_and_recomputation_may_change_on_the_way),
        cmocka_unit_test(test_what_changed_is_named),
        cmocka_unit_test(test_every_option_that_decides_bits_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
