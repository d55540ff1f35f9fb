/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that are killed, interrupted, resumed, refused or go wrong: whatever happens, the same command ends with the
 * weights of a run that nothing happened to, or says by name why it does not. Children do the training, so that they
 * can really be killed. */
#include "check.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "io/safetensors.h"
#include "train/fields.h"
#include "train/parts.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char model_path[] = "tests/golden/lora/model";
enum { N_ROW = 22, ROWS_A_STEP = 4, PER_EPOCH = 6, STEPS = 3 * PER_EPOCH };

/* Rows of a little language: what comes next is 7 more, modulo 40. */
static void make_data(struct train_data *data, int first, int n)
{
    struct model_desc d = {.n_vocab = 48, .n_ctx = 32};
    *data = (struct train_data){0};
    for (int i = first; i < first + n; i++) {
        int32_t ids[20];
        char id[16];
        int length = 5 + i % 13;
        for (int j = 0; j < length; j++)
            ids[j] = (i * 11 + 7 * j) % 40 + 3;
        snprintf(id, sizeof id, "row-%d", i);
        assert_int_equal(train_data_add_ids(data, &d, ids, length, 2, 32, id, NULL), 0);
    }
}

static void plain_options(struct train_options *o)
{
    train_options_default(o);
    o->dtype = DTYPE_F32;
    o->learning_rate = 0.02;
    o->batch_size = ROWS_A_STEP;
    o->seed = 3;
}

struct run { /* one call of train_run */
    const char *source, *directory;
    struct train_options options;
    int n_thread, first_row, n_row;
    long interrupt_at, stop_after;
    void (*on_step)(void *user, const struct train_step *step);
    void *user;
    struct train_result result;
    struct error err;
};

static void interrupt_there(void *user, const struct train_step *s)
{
    const struct run *r = user;
    if (s->step == r->interrupt_at)
        interrupt_request(SIGTERM);
}

static int run_here(struct run *r)
{
    struct device *device;
    struct checkpoint *source = NULL;
    struct model *model = NULL;
    struct train_data data, eval;
    make_data(&data, r->first_row, r->n_row ? r->n_row : N_ROW);
    make_data(&eval, 100, 5);
    r->err = (struct error){0};
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = r->n_thread}, &r->err) ||
        checkpoint_open(&source, r->source ? r->source : model_path, &r->err) ||
        model_open(&model, device, source, &(struct model_options){.dtype = r->options.dtype}, &r->err))
        fail_msg("%s", r->err.message);
    struct train_job job = {.model = model,
                            .source = source,
                            .data = &data,
                            .eval_data = &eval,
                            .options = &r->options,
                            .directory = r->directory,
                            .stop_after = r->stop_after,
                            .on_step = r->interrupt_at ? interrupt_there : r->on_step,
                            .user = r->interrupt_at ? r : r->user};
    int rc = train_run(&job, &r->result, &r->err);
    interrupt_clear();
    model_close(model);
    checkpoint_close(source);
    device_close(device);
    train_data_free(&data);
    train_data_free(&eval);
    return rc;
}

static void must_run(struct run *r)
{
    if (run_here(r))
        fail_msg("%s", r->err.message);
    assert_int_equal(r->result.allocations, 0);
}

static char *in(const char *directory, const char *name)
{
    static char path[4][400];
    static int turn;
    snprintf(path[turn = (turn + 1) % 4], sizeof path[0], "%s/%s", directory, name);
    return path[turn];
}

static void same_file(const char *a, const char *b)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    assert_int_equal(file_read(&x, a, 1 << 24, NULL), 0);
    assert_int_equal(file_read(&y, b, 1 << 24, NULL), 0);
    if (x.len != y.len || memcmp(x.data, y.data, x.len))
        fail_msg("%s and %s differ", a, b);
    buf_free(&x);
    buf_free(&y);
}

static const char *directories(const char *name, const char **whole)
{
    static char a[300], b[320];
    snprintf(a, sizeof a, "%s", check_tmpdir(name));
    snprintf(b, sizeof b, "%s-whole", a);
    tree_remove(b, NULL);
    *whole = b;
    return a;
}

/* Weights and log of both, and nothing left over. */
static void same_end(const char *directory, const char *whole, const char *weights)
{
    same_file(in(directory, weights), in(whole, weights));
    same_file(in(directory, "log.jsonl"), in(whole, "log.jsonl"));
    same_file(in(directory, "trainer_state.json"), in(whole, "trainer_state.json"));
    assert_false(file_exists(in(directory, "checkpoint.safetensors")));
}

/* ---- kill -9 at random moments */
static void nap(long microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

/* A child that trains; killed after so many microseconds unless it is done. 1: it finished. */
static int child_run(struct run *r, long microseconds)
{
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(run_here(r) ? 1 : 0);
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
    const char *whole, *directory = directories(name, &whole);
    struct run r = {.directory = whole, .n_thread = n_thread};
    plain_options(&r.options);
    r.options.dtype = dtype;
    r.options.lora_r = lora_r;
    r.options.bf16_moments = lora_r != 0;
    r.options.bf16_random = dtype == DTYPE_BF16 && !lora_r;
    r.options.save_steps = 2;
    must_run(&r);
    r.directory = directory;
    r.on_step = slow_step;
    int kills = 0;
    const struct rng_stream moments = {1, (uint64_t)(n_thread + 10 * lora_r), 0};
    while (!child_run(&r, kills < 40 ? 3000 + rng_below(&moments, (uint64_t)kills, 25000) : 60000000))
        kills++;
    printf("%s: killed %d times\n", name, kills);
    assert_true(kills > 0);
    same_end(directory, whole, lora_r ? "adapter_model.safetensors" : "model.safetensors");
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
    const char *whole, *directory = directories("interrupted", &whole);
    struct run r = {.directory = whole, .n_thread = 1};
    plain_options(&r.options);
    must_run(&r);
    assert_int_equal(r.result.steps, STEPS);
    for (long at = 1; at < STEPS; at += at == 1 || at == PER_EPOCH ? 1 : 2) { /* the ends of epochs among them */
        tree_remove(directory, NULL);
        r.directory = directory;
        r.interrupt_at = at;
        assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
        assert_int_equal(r.result.steps, at);
        assert_true(file_exists(in(directory, "checkpoint.safetensors")));
        assert_false(file_exists(in(directory, "model.safetensors")));
        r.interrupt_at = 0;
        r.n_thread = 1 + (at & 1);
        must_run(&r);
        assert_int_equal(r.result.resumed_from, at);
        assert_int_equal(r.result.steps, STEPS - at);
        same_end(directory, whole, "model.safetensors");
    }
}

/* One bit anywhere in what a checkpoint holds is found: first and last values, and the checksum itself. */
static void test_a_damaged_checkpoint_is_refused_by_its_checksum(void **state)
{
    (void)state;
    const char *whole, *directory = directories("damaged", &whole);
    char path[1300];
    struct run r = {.directory = directory, .n_thread = 1, .interrupt_at = 2};
    plain_options(&r.options);
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    snprintf(path, sizeof path, "%s", in(directory, "checkpoint.safetensors"));
    struct buf bytes = BUF_INIT;
    assert_int_equal(file_read(&bytes, path, (size_t)1 << 30, NULL), 0);
    uint64_t header;
    memcpy(&header, bytes.data, 8);
    const size_t places[] = {8 + (size_t)header, 8 + (size_t)header + 1001, bytes.len / 2, bytes.len - 1};
    r.interrupt_at = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bytes.data[places[i]] ^= 4;
        assert_int_equal(file_write(path, bytes.data, bytes.len, NULL), 0);
        assert_int_equal(run_here(&r), ERROR_DATA);
        assert_non_null(strstr(r.err.message, "checksum"));
        assert_non_null(strstr(r.err.message, "checkpoint.safetensors"));
        bytes.data[places[i]] ^= 4;
    }
    assert_int_equal(file_write(path, bytes.data, bytes.len, NULL), 0);
    must_run(&r);
    assert_int_equal(r.result.resumed_from, 2);
    buf_free(&bytes);
}

static void test_splits_and_recomputation_may_change_on_the_way(void **state)
{
    (void)state;
    const char *whole, *directory = directories("split", &whole);
    struct run r = {.directory = whole, .n_thread = 1};
    plain_options(&r.options);
    must_run(&r);
    r.directory = directory;
    r.interrupt_at = 4;
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 9;
    r.options.batch_size = 2;
    r.options.accumulation = 2;
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 0;
    r.options.batch_size = 1;
    r.options.accumulation = 4;
    r.options.recompute = 1;
    must_run(&r);
    same_file(in(directory, "model.safetensors"), in(whole, "model.safetensors"));
}

static void test_what_changed_is_named(void **state)
{
    (void)state;
    const char *whole, *directory = directories("changed", &whole);
    struct run r = {.directory = directory, .n_thread = 1, .interrupt_at = 3};
    plain_options(&r.options);
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    r.interrupt_at = 0;
    struct run changed[10];
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
        int rc = run_here(&changed[i]);
        if (rc != ERROR_CONFIG || !strstr(changed[i].err.message, says[i]))
            fail_msg("%s: rc %d \"%s\"", says[i], rc, changed[i].err.message);
    }
    must_run(&r); /* the checkpoint is as it was */
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
    const char *whole, *directory = directories("every", &whole);
    struct run r = {.directory = directory, .n_thread = 1, .interrupt_at = 3};
    plain_options(&r.options);
    r.options.lora_r = 2; /* with these, every option is read */
    r.options.packing = 1;
    r.options.max_length = 32;
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    int n_compared = 0, n_free = 0;
    for (int i = 0; i < train_fields.n; i++) {
        struct run changed = r;
        int free_to_differ = train_fields.rows[i].bits == FIELD_FREE;
        alter(&train_fields.rows[i], &changed.options);
        n_free += free_to_differ;
        changed.interrupt_at += n_free; /* one that is taken goes on by a step */
        int rc = run_here(&changed), refused = rc == ERROR_CONFIG && strstr(changed.err.message, "was written with");
        n_compared += refused;
        if (free_to_differ ? rc != ERROR_INTERRUPTED : !refused)
            fail_msg("%s: rc %d \"%s\"", train_fields.rows[i].name, rc, changed.err.message);
    }
    assert_true(n_compared >= 20);
}

/* ---- a disk that fills up: files may not grow beyond `bytes` */
static int child_with_limit(struct run *r, rlim_t bytes)
{
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
        int rc = run_here(r);
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
    const char *whole, *directory = directories("full", &whole);
    struct run r = {.directory = whole, .n_thread = 1};
    plain_options(&r.options);
    must_run(&r);
    r.directory = directory;
    r.interrupt_at = 5;
    assert_int_equal(run_here(&r), ERROR_INTERRUPTED);
    assert_int_equal(file_copy(in(directory, "checkpoint.safetensors"), in(whole, "kept"), NULL), 0);
    r.interrupt_at = 0;
    r.options.save_steps = 2;
    assert_int_equal(child_with_limit(&r, 8192), 3);
    same_file(in(directory, "checkpoint.safetensors"), in(whole, "kept"));
    r.options.save_steps = 0;
    must_run(&r);
    assert_int_equal(r.result.resumed_from, 5);
    same_end(directory, whole, "model.safetensors");
}

/* ---- divergence: a copy of the model whose last norm overflows */
static void write_broken_model(const char *directory)
{
    struct buf bytes = BUF_INIT;
    struct safetensors *s;
    float huge[16];
    assert_int_equal(dirs_make(directory, NULL), 0);
    assert_int_equal(file_copy(in(model_path, "config.json"), in(directory, "config.json"), NULL), 0);
    assert_int_equal(file_read(&bytes, in(model_path, "model.safetensors"), 1 << 20, NULL), 0);
    assert_int_equal(safetensors_parse(&s, bytes.data, bytes.len, "m", NULL), 0);
    for (int i = 0; i < 16; i++)
        huge[i] = 3e38f;
    size_t at = (size_t)(safetensors_data(s, (size_t)safetensors_find(s, "model.norm.weight")) -
                         (const unsigned char *)bytes.data);
    memcpy(bytes.data + at, huge, sizeof huge);
    safetensors_free(s);
    assert_int_equal(file_write(in(directory, "model.safetensors"), bytes.data, bytes.len, NULL), 0);
    buf_free(&bytes);
}

static void test_divergence_stops_with_step_and_rows(void **state)
{
    (void)state;
    const char *whole, *directory = directories("diverged", &whole);
    write_broken_model(whole);
    struct run r = {.source = whole, .directory = directory, .n_thread = 1};
    plain_options(&r.options);
    r.options.shuffle = 0;
    assert_int_equal(run_here(&r), ERROR_FAILED);
    if (!strstr(r.err.message, "step 1") || !strstr(r.err.message, "row-0, row-1, row-2, row-3"))
        fail_msg("%s", r.err.message);
    assert_false(file_exists(in(directory, "model.safetensors")));
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
    const char *whole, *directory = directories("logs", &whole);
    struct run r = {.directory = directory, .n_thread = 1};
    json_t *root, *entry;
    size_t i;
    int evals = 0;
    plain_options(&r.options);
    must_run(&r);
    assert_int_equal(jsontext_load(&root, in(directory, "trainer_state.json"), 1 << 20, NULL), 0);
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
    plain_options(&o);
    make_data(&data, 0, N_ROW);
    assert_int_equal(device_open(&device, DEVICE_CPU, NULL, NULL), 0);
    assert_int_equal(checkpoint_open(&source, model_path, NULL), 0);
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
    assert_int_equal(checkpoint_open(&source, model_path, NULL), 0);
    assert_int_equal(model_open(&model, device, source, &(struct model_options){.dtype = o->dtype}, NULL), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(train_data_add_ids(&data, model_desc(model), ids, 32, 1, 32, "r", NULL), 0);
    struct train_job job = {
        .model = model, .source = source, .data = &data, .options = o, .on_step = note_slabs, .user = &held};
    assert_int_equal(train_run(&job, &result, NULL), 0);
    *planned = (double)train_memory_slabs(model_desc(model), o, 64 * 32);
    train_data_free(&data);
    model_close(model);
    checkpoint_close(source);
    device_close(device);
    return (double)(held - before);
}

static void slab_options(struct train_options *o)
{
    plain_options(o);
    o->max_length = 32;
    o->batch_size = 64;
    o->max_steps = 1;
}

static void test_the_plan_counts_every_slab(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) {
        struct train_options o;
        slab_options(&o);
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
        cmocka_unit_test(test_kills_at_random_moments_leave_no_trace),
        cmocka_unit_test(test_an_interruption_writes_a_checkpoint_and_any_step_can_be_gone_on_from),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused_by_its_checksum),
        cmocka_unit_test(test_splits_and_recomputation_may_change_on_the_way),
        cmocka_unit_test(test_what_changed_is_named),
        cmocka_unit_test(test_every_option_that_decides_bits_is_compared),
        cmocka_unit_test(test_a_full_disk_leaves_the_last_good_checkpoint),
        cmocka_unit_test(test_divergence_stops_with_step_and_rows),
        cmocka_unit_test(test_logs_are_transformers),
        cmocka_unit_test(test_settings_are_all_there_or_an_error),
        cmocka_unit_test(test_the_plan_counts_every_slab),
        cmocka_unit_test(test_the_plan_counts_the_optimizers_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
