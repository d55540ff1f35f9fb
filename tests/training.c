/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/training.h"

#include "base/interrupt.h"
#include "io/file.h"

#include <signal.h>
#include <string.h>

const char training_model[] = "tests/golden/lora/model";

void training_data(struct train_data *data, int first, int n)
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
        assert_int_equal(train_data_add_ids(&(struct row_maker){.data = data, .desc = &d, .max_length = 32}, ids,
                                            length, 2, id, NULL),
                         0);
    }
}

void training_options(struct train_options *o)
{
    train_options_default(o);
    o->dtype = DTYPE_F32;
    o->learning_rate = 0.02;
    o->batch_size = ROWS_A_STEP;
    o->seed = 3;
}

static void interrupt_there(void *user, const struct train_step *s)
{
    const struct training *r = user;
    if (s->step == r->interrupt_at)
        interrupt_request(SIGTERM);
}

int training_here(struct training *r)
{
    struct device *device;
    struct checkpoint *source = NULL;
    struct model *model = NULL;
    struct train_data data, eval;
    training_data(&data, r->first_row, r->n_row ? r->n_row : N_ROW);
    training_data(&eval, 100, 5);
    r->err = (struct error){0};
    if (device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = r->n_thread}, &r->err) ||
        checkpoint_open(&source, r->source ? r->source : training_model, &r->err) ||
        model_open(&model, device, source,
                   &(struct model_options){.dtype = r->options.dtype,
                                           .keep_blocks = !r->dequantised && train_keeps_blocks(&r->options, source)},
                   &r->err))
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

void training_must_end(struct training *r)
{
    if (training_here(r))
        fail_msg("%s", r->err.message);
    assert_int_equal(r->result.allocations, 0);
}

char *in_directory(const char *directory, const char *name)
{
    static char path[4][400];
    static int turn;
    snprintf(path[turn = (turn + 1) % 4], sizeof path[0], "%s/%s", directory, name);
    return path[turn];
}

void same_file(const char *a, const char *b)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    assert_int_equal(file_read(&x, a, 1 << 24, NULL), 0);
    assert_int_equal(file_read(&y, b, 1 << 24, NULL), 0);
    if (x.len != y.len || memcmp(x.data, y.data, x.len))
        fail_msg("%s and %s differ", a, b);
    buf_free(&x);
    buf_free(&y);
}

const char *training_directories(const char *name, const char **whole)
{
    static char a[300], b[320];
    snprintf(a, sizeof a, "%s", check_tmpdir(name));
    snprintf(b, sizeof b, "%s-whole", a);
    tree_remove(b, NULL);
    *whole = b;
    return a;
}

void training_same_end(const char *directory, const char *whole, const char *weights)
{
    same_file(in_directory(directory, weights), in_directory(whole, weights));
    same_file(in_directory(directory, "log.jsonl"), in_directory(whole, "log.jsonl"));
    same_file(in_directory(directory, "trainer_state.json"), in_directory(whole, "trainer_state.json"));
    assert_false(file_exists(in_directory(directory, "checkpoint.safetensors")));
}
