/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that go wrong: a full disk, divergence; what a run writes about itself; and what it takes beside its plan. */
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

/* ---- a disk that fills up: files may not grow beyond `bytes` */
static int child_with_limit(struct training *r, rlim_t bytes)
{
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
        int rc = training_here(r);
        if (rc == ERROR_IO)
            _exit(3);
        _exit(rc ? 1 : 0);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_a_full_disk_leaves_the_last_good_checkpoint(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("full", &whole);
    struct training r = {.directory = whole, .n_thread = 1};
    training_options(&r.options);
    training_must_end(&r);
    r.directory = directory;
    r.interrupt_at = 5;
    assert_int_equal(training_here(&r), ERROR_INTERRUPTED);
    assert_int_equal(file_copy(in_directory(directory, "checkpoint.safetensors"), in_directory(whole, "kept"), NULL),
                     0);
    r.interrupt_at = 0;
    r.options.save_steps = 2;
    assert_int_equal(child_with_limit(&r, 8192), 3);
    same_file(in_directory(directory, "checkpoint.safetensors"), in_directory(whole, "kept"));
    r.options.save_steps = 0;
    training_must_end(&r);
    assert_int_equal(r.result.resumed_from, 5);
    training_same_end(directory, whole, "model.safetensors");
}

/* ---- divergence: a copy of the model whose last norm overflows */
static void write_broken_model(const char *directory)
{
    struct buf bytes = BUF_INIT;
    struct safetensors *s;
    float huge[16];
    assert_int_equal(dirs_make(directory, NULL), 0);
    assert_int_equal(
        file_copy(in_directory(training_model, "config.json"), in_directory(directory, "config.json"), NULL), 0);
    assert_int_equal(file_read(&bytes, in_directory(training_model, "model.safetensors"), 1 << 20, NULL), 0);
    assert_int_equal(safetensors_parse(&s, bytes.data, bytes.len, "m", NULL), 0);
    for (int i = 0; i < 16; i++)
        huge[i] = 3e38f;
    size_t at = (size_t)(safetensors_data(s, (size_t)safetensors_find(s, "model.norm.weight")) -
                         (const unsigned char *)bytes.data);
    memcpy(bytes.data + at, huge, sizeof huge);
    safetensors_free(s);
    assert_int_equal(file_write(in_directory(directory, "model.safetensors"), bytes.data, bytes.len, NULL), 0);
    buf_free(&bytes);
}

static void test_divergence_stops_with_step_and_rows(void **state)
{
    (void)state;
    const char *whole, *directory = training_directories("diverged", &whole);
    write_broken_model(whole);
    struct training r = {.source = whole, .directory = directory, .n_thread = 1};
    training_options(&r.options);
    r.options.shuffle = 0;
    assert_int_equal(training_here(&r), ERROR_FAILED);
    if (!strstr(r.err.message, "step 1") || !strstr(r.err.message, "row-0, row-1, row-2, row-3"))
        fail_msg("%s", r.err.message);
    assert_false(file_exists(in_directory(directory, "model.safetensors")));
}

/* ---- what a run writes about itself */
static void test_logs_are_transformers(void **state)
{
    (void)state;
    static const char *const keys[] = {"best_global_step",
                                       "best_metric",
                                       "best_model_checkpoint",
                                       "epoch",
                                       "eval_steps",
                                       "global_step",
                                       "is_hyper_param_search",
                                       "is_local_process_zero",
                                       "is_world_process_zero",
                                       "log_history",
                                       "logging_steps",
                                       "max_steps",
                                       "num_input_tokens_seen",
                                       "num_train_epochs",
                                       "save_steps",
                                       "stateful_callbacks",
                                       "total_flos",
                                       "train_batch_size",
                                       "trial_name",
                                       "trial_params"};
    const char *whole, *directory = training_directories("logs", &whole);
    struct training r = {.directory = directory, .n_thread = 1};
    json_t *root, *entry;
    size_t i;
    int evals = 0;
    training_options(&r.options);
    training_must_end(&r);
    assert_int_equal(jsontext_load(&root, in_directory(directory, "trainer_state.json"), 1 << 20, NULL), 0);
    assert_int_equal(json_object_size(root), sizeof keys / sizeof *keys);
    for (i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_non_null(json_object_get(root, keys[i]));
    assert_int_equal(json_integer_value(json_object_get(root, "global_step")), STEPS);
    json_array_foreach(json_object_get(root, "log_history"), i, entry)
    {
        evals += !!json_object_get(entry, "eval_loss");
        assert_non_null(json_object_get(entry, json_object_get(entry, "eval_loss") ? "epoch" : "grad_norm"));
    }
    assert_int_equal(evals, 3);
    assert_int_equal(i, STEPS + 3);
    assert_true(r.result.last_loss < r.result.first_loss - 0.3);
    assert_true(isfinite(r.result.eval_loss));
    json_decref(root);
}

/* A setting that memory did not suffice for must not be one that may change from then on. */
static void test_settings_are_all_there_or_an_error(void **state)
{
    (void)state;
    struct train_options o;
    struct device *device;
    struct checkpoint *source;
    struct model *model;
    struct train_data data;
    json_t *whole = NULL;
    int pending = 0, n_failed = 0;
    training_options(&o);
    training_data(&data, 0, N_ROW);
    assert_int_equal(device_open(&device, DEVICE_CPU, NULL, NULL), 0);
    assert_int_equal(checkpoint_open(&source, training_model, NULL), 0);
    assert_int_equal(model_open(&model, device, source, &(struct model_options){.dtype = o.dtype}, NULL), 0);
    struct train_job job = {.model = model, .source = source, .data = &data, .options = &o, .directory = "none"};
    for (long n = -1; !pending; n++) {
        struct trainer t = {.job = &job, .m = model, .order = {.total = STEPS}};
        mem_fail_at(n); /* -1: none; jansson's allocations are among them */
        int rc = state_settings(&t, NULL);
        pending = n >= 0 && mem_fail_pending();
        mem_fail_at(-1);
        if (n < 0)
            whole = json_incref(t.settings);
        if (rc)
            assert_int_equal(rc, ERROR_NOMEM);
        else if (!json_equal(t.settings, whole))
            fail_msg("without allocation %ld a setting is not there, and nobody says so", n);
        n_failed += rc != 0;
        json_decref(t.settings);
    }
    assert_true(n_failed > 60);
    json_decref(whole);
    train_data_free(&data);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
}

/* ---- the plan: slabs are what a run takes; a model this small shows whether every one is counted */
static void note_slabs(void *user, const struct train_step *s)
{
    (void)s;
    *(size_t *)user = mem_slab_bytes();
}

/* Bytes that one step takes over what the device takes by itself, and what was planned. */
static double slabs_of(const struct train_options *o, double *planned)
{
    struct device *device;
    struct checkpoint *source;
    struct model *model;
    struct train_result result;
    struct train_data data = {0};
    int32_t ids[32] = {1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, NULL), 0);
    size_t before = mem_slab_bytes(), held = 0;
    assert_int_equal(checkpoint_open(&source, training_model, NULL), 0);
    assert_int_equal(model_open(&model, device, source, &(struct model_options){.dtype = o->dtype}, NULL), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(
            train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(model), .max_length = 32}, ids, 32,
                               1, "r", NULL),
            0);
    struct train_job job = {
        .model = model, .source = source, .data = &data, .options = o, .on_step = note_slabs, .user = &held};
    assert_int_equal(train_run(&job, &result, NULL), 0);
    *planned = (double)train_memory_slabs(&(struct train_base){model_desc(model), 0, 0}, o, 64 * 32);
    train_data_free(&data);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
    return (double)(held - before);
}

static void slab_options(struct train_options *o)
{
    training_options(o);
    o->max_length = 32;
    o->batch_size = 64;
    o->max_steps = 1;
}

static void test_the_plan_counts_every_slab(void **state)
{
    (void)state;
    for (int way = 0; way < 9; way++) {
        struct train_options o;
        slab_options(&o);
        o.gradient_leaves = way == 8 ? 4 : 1; /* of whose rows activations are then */
        o.dtype = way & 1 ? DTYPE_BF16 : DTYPE_F32;
        o.recompute = way >> 1 & 1;
        o.lora_r = way & 4 ? 4 : 0;
        double planned, took = slabs_of(&o, &planned);
        if (!(fabs(took / planned - 1) < 0.1))
            fail_msg("way %d: planned %.0f bytes, took %.0f", way, planned, took);
    }
}

/* Beside the activations the state of so small a model is a fiftieth: what decides its size is looked at by itself.
 * Slabs are whole pages. */
static void test_the_plan_counts_the_optimizers_state(void **state)
{
    (void)state;
    enum { PAGE = 4096 };
    struct train_options o;
    double planned, more, took, took_more;
    slab_options(&o);
    o.batch_size = 1; /* more leaves of the same rows would be smaller ones */
    took = slabs_of(&o, &planned);
    o.gradient_leaves = 4;
    took_more = slabs_of(&o, &more);
    assert_true(more - planned > 8 * PAGE);
    assert_true(fabs((took_more - took) - (more - planned)) <= 2 * PAGE);
    o.gradient_leaves = 1;
    o.bf16_moments = 1;
    took_more = slabs_of(&o, &more);
    assert_true(planned - more > 4 * PAGE);
    assert_true(fabs((took_more - took) - (more - planned)) <= 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_disk_leaves_the_last_good_checkpoint),
        cmocka_unit_test(test_divergence_stops_with_step_and_rows),
        cmocka_unit_test(test_logs_are_transformers),
        cmocka_unit_test(test_settings_are_all_there_or_an_error),
        cmocka_unit_test(test_the_plan_counts_every_slab),
        cmocka_unit_test(test_the_plan_counts_the_optimizers_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
