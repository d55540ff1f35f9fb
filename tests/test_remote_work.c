/* SPDX-License-Identifier: Apache-2.0 */
/* Everything long that the program does, on the remote test device: the CPU's bits, although no buffer can be touched
 * and nothing runs before a wait; and a device that fails at any of its waits is an error that comes back, not a
 * result. */
#include "check.h"

#include "model/model.h"
#include "remote/remote.h"
#include "train/train.h"

#include <string.h>

enum { MOST = 4096, N_TEXT = 5 };
struct outcome { /* what a case is compared by */
    float values[MOST];
    int n;
};
struct setting {
    const char *name;
    int (*work)(struct device *d, const struct setting *s, struct outcome *out, struct error *err);
    enum dtype dtype;
    int lora_r;
    enum model_task task;
    int steps, leaves; /* of training; 0: 3 steps, one leaf */
};
static const char model_path[] = "tests/golden/lora/model";

static int open_model(struct model **m, struct checkpoint **source, struct device *d, const struct setting *s,
                      struct error *err)
{
    static const char *const labels[] = {"even", "odd"};
    struct model_options o = {.dtype = s->dtype, .task = s->task};
    if (s->task == MODEL_CLASSIFY) {
        o.n_label = 2;
        o.labels = labels;
    }
    *m = NULL;
    int rc = checkpoint_open(source, model_path, err);
    return rc ? rc : model_open(m, d, *source, &o, err);
}

static void make_texts(int32_t ids[N_TEXT][16], struct model_text *texts)
{
    for (int i = 0; i < N_TEXT; i++) {
        for (int j = 0; j < 16; j++)
            ids[i][j] = (i * 11 + 7 * j) % 40 + 3;
        texts[i] = (struct model_text){ids[i], 5 + 2 * i, 2};
    }
}

static int add_row(struct train_data *data, const struct model_desc *d, const struct setting *s, const int32_t *ids,
                   int n, int i)
{
    char id[16];
    snprintf(id, sizeof id, "row-%d", i);
    int rc = train_data_add_ids(&(struct row_maker){.data = data, .desc = d, .max_length = 32}, ids, n, 2, id, NULL);
    if (!rc && s->task == MODEL_CLASSIFY)
        data->rows[data->n - 1].label = 1 << i % 2;
    return rc;
}

static int take_weights(struct outcome *out, struct model *m, struct error *err)
{
    int32_t ids[N_TEXT][16];
    struct model_text texts[N_TEXT];
    int classify = model_desc(m)->task == MODEL_CLASSIFY;
    float *to = out->values + out->n;
    make_texts(ids, texts);
    out->n += N_TEXT * (classify ? 2 : model_desc(m)->n_embd);
    return classify ? model_classify(m, texts, N_TEXT, to, err) : model_embed(m, texts, N_TEXT, 0, to, err);
}

static void note_step(void *user, const struct train_step *step)
{
    struct outcome *out = user;
    out->values[out->n++] = (float)step->loss;
    out->values[out->n++] = (float)step->grad_norm;
}

static int train_on(struct device *d, const struct setting *s, struct outcome *out, struct error *err)
{
    struct checkpoint *source = NULL;
    struct model *m;
    struct train_data data = {0};
    struct train_result result;
    struct train_options o;
    int32_t ids[N_TEXT][16];
    struct model_text texts[N_TEXT];
    make_texts(ids, texts);
    train_options_default(&o);
    o.dtype = s->dtype;
    o.learning_rate = 0.01;
    o.max_steps = s->steps ? s->steps : 3;
    o.gradient_leaves = s->leaves ? s->leaves : 1;
    o.lora_r = s->lora_r;
    int rc = open_model(&m, &source, d, s, err);
    for (int i = 0; !rc && i < N_TEXT; i++)
        rc = add_row(&data, model_desc(m), s, ids[i], texts[i].n, i);
    struct train_job job = {.model = m,
                            .source = source,
                            .data = &data,
                            .eval_data = &data,
                            .options = &o,
                            .on_step = note_step,
                            .user = out};
    if (!rc && !(rc = train_run(&job, &result, err))) {
        out->values[out->n++] = (float)result.eval_loss;
        rc = take_weights(out, m, err);
    }
    train_data_free(&data);
    model_close(m);
    checkpoint_close(source);
    return rc;
}

static int read_on(struct device *d, const struct setting *s, struct outcome *out, struct error *err)
{
    struct checkpoint *source = NULL;
    struct model *m;
    int32_t ids[N_TEXT][16];
    struct model_text texts[N_TEXT];
    make_texts(ids, texts);
    int rc = open_model(&m, &source, d, s, err);
    if (!rc && s->task == MODEL_CLASSIFY) {
        rc = model_classify(m, texts, N_TEXT, out->values, err);
        out->n = 2 * N_TEXT;
    } else if (!rc && s->lora_r) { /* stands for embedding */
        rc = model_embed(m, texts, N_TEXT, 1, out->values, err);
        out->n = N_TEXT * model_desc(m)->n_embd;
    } else if (!rc) {
        rc = model_score(m, texts, N_TEXT, out->values, err);
        for (int i = 0; i < N_TEXT; i++)
            out->n += texts[i].n - texts[i].n_prompt;
    }
    model_close(m);
    checkpoint_close(source);
    return rc;
}

static const struct setting settings[] = {
    {"train, f32", train_on, DTYPE_F32, 0, MODEL_LM, 0, 0},
    {"train, bf16", train_on, DTYPE_BF16, 0, MODEL_LM, 0, 0},
    {"train an adapter", train_on, DTYPE_F32, 2, MODEL_LM, 0, 0},
    {"train a classifier", train_on, DTYPE_F32, 0, MODEL_CLASSIFY, 0, 0},
    {"score", read_on, DTYPE_BF16, 0, MODEL_LM, 0, 0},
    {"embed", read_on, DTYPE_F32, 1, MODEL_LM, 0, 0},
    {"classify", read_on, DTYPE_F32, 0, MODEL_CLASSIFY, 0, 0},
};
enum { N_SETTING = sizeof settings / sizeof *settings };

static struct device *open_device(enum device_kind kind)
{
    struct device *d;
    assert_int_equal(device_open(&d, kind, &(struct device_options){.n_thread = 2}, NULL), 0);
    return d;
}

static void remote_work_has_the_cpus_bits(void **state)
{
    (void)state;
    static struct outcome cpu, remote;
    for (int i = 0; i < N_SETTING; i++) {
        struct error err;
        struct device *near = open_device(DEVICE_CPU), *far = open_device(DEVICE_REMOTE);
        cpu.n = remote.n = 0;
        if (settings[i].work(near, &settings[i], &cpu, &err) || settings[i].work(far, &settings[i], &remote, &err))
            fail_msg("%s: %s", settings[i].name, err.message);
        assert_true(cpu.n > 4 && cpu.n <= MOST);
        assert_int_equal(cpu.n, remote.n);
        if (memcmp(cpu.values, remote.values, (size_t)cpu.n * sizeof(float)))
            fail_msg("%s: other values on the remote device", settings[i].name);
        device_close(near);
        device_close(far);
    }
}

static long waits_of(int steps, int leaves)
{
    struct setting s = {.name = "steps", .dtype = DTYPE_F32, .steps = steps, .leaves = leaves};
    struct outcome out = {.n = 0};
    struct device *far = open_device(DEVICE_REMOTE);
    assert_int_equal(train_on(far, &s, &out, NULL), 0);
    long n = remote_waits(far);
    device_close(far);
    return n;
}

/* A wait leaves a device idle: a step has one for each leaf's losses, with which the gradient's norm comes, and one
 * behind its update. */
static void a_step_waits_no_more_than_it_must(void **state)
{
    (void)state;
    assert_int_equal(waits_of(4, 1) - waits_of(3, 1), 2);
    assert_int_equal(waits_of(4, 4) - waits_of(3, 4), 5);
}

/* Where the failing wait is only one before memory is given back, all values are there already. */
static int fails_at(const struct setting *s, long wait, const struct outcome *whole)
{
    static struct outcome out;
    struct error err = {0};
    struct device *far = open_device(DEVICE_REMOTE);
    out.n = 0;
    remote_fail_wait(far, wait);
    int rc = s->work(far, s, &out, &err), pending = remote_fail_pending(far);
    device_close(far);
    if (rc && (rc != ERROR_UNAVAILABLE || !strstr(err.message, "remote test device")))
        fail_msg("%s, wait %ld: %d, %s", s->name, wait, rc, err.message);
    if (!rc && (out.n != whole->n || memcmp(out.values, whole->values, (size_t)out.n * sizeof(float))))
        fail_msg("%s: the failure of wait %ld was not told", s->name, wait);
    return pending ? -1 : rc != 0;
}

static void a_failing_wait_comes_back(void **state)
{
    (void)state;
    static struct outcome whole;
    for (int i = 0; i < N_SETTING; i++) {
        struct device *near = open_device(DEVICE_CPU);
        int told = 0, now;
        whole.n = 0;
        assert_int_equal(settings[i].work(near, &settings[i], &whole, NULL), 0);
        device_close(near);
        for (long wait = 0; (now = fails_at(&settings[i], wait, &whole)) >= 0; wait++)
            told += now;
        assert_true(told >= 2); /* while loading and behind the results, at least */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_work_has_the_cpus_bits),
        cmocka_unit_test(a_step_waits_no_more_than_it_must),
        cmocka_unit_test(a_failing_wait_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
