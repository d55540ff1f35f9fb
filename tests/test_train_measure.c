/* SPDX-License-Identifier: Apache-2.0 */
/* What a training run measures and keeps, against numbers from elsewhere: evaluation over all rows at every epoch's end
 * and at a broken one's, the gradient's clip by its formula, the row order by the seed, the type and the generation
 * settings of what is saved. */
#include "check.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/jsontext.h"
#include "tests/training.h"
#include "train/parts.h"

#include <math.h>
#include <string.h>

enum { N_EVAL = 7 };

static struct train_options options(void)
{
    struct train_options o;
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.learning_rate = 0.02;
    o.batch_size = ROWS_A_STEP;
    o.seed = 3;
    o.num_train_epochs = 1;
    return o;
}

struct place {
    struct device *device;
    struct checkpoint *source;
    struct model *model;
};

static void open_place(struct place *p, const char *path, enum dtype dtype)
{
    struct error err = {0};
    if (device_open(&p->device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, &err) ||
        checkpoint_open(&p->source, path, &err) ||
        model_open(&p->model, p->device, p->source, &(struct model_options){.dtype = dtype}, &err))
        fail_msg("%s", err.message);
}

static void close_place(struct place *p)
{
    model_close(p->model);
    checkpoint_close(p->source);
    device_close(p->device);
}

/* What the steps said, and the first master weights afterwards. */
struct seen {
    double loss[64], norm[64];
    int n;
};

static void note(void *user, const struct train_step *s)
{
    struct seen *seen = user;
    seen->loss[seen->n] = s->loss;
    seen->norm[seen->n++] = s->grad_norm;
}

static struct train_result train(const char *source, const char *directory, const struct train_options *o,
                                 struct seen *seen)
{
    struct place p;
    struct train_data data, eval;
    struct train_result result;
    struct error err = {0};
    training_data(&data, 0, N_ROW);
    training_data(&eval, 100, N_EVAL);
    *seen = (struct seen){.n = 0};
    open_place(&p, source, o->dtype);
    struct train_job job = {.model = p.model,
                            .source = p.source,
                            .data = &data,
                            .eval_data = &eval,
                            .options = o,
                            .directory = directory,
                            .on_step = note,
                            .user = seen};
    if (train_run(&job, &result, &err))
        fail_msg("%s", err.message);
    close_place(&p);
    train_data_free(&data);
    train_data_free(&eval);
    return result;
}

/* The mean over target tokens, a row at a time by another path of the program, and not the mean of batches' means. */
static double score_eval(const char *path)
{
    struct place p;
    struct train_data eval;
    double sum = 0;
    long targets = 0;
    training_data(&eval, 100, N_EVAL);
    open_place(&p, path, DTYPE_F32);
    for (int i = 0; i < eval.n; i++) {
        const struct train_row *r = &eval.rows[i];
        float got[32];
        int n_prompt = 1;
        while (!r->target[n_prompt])
            n_prompt++;
        assert_int_equal(model_score(p.model, &(struct model_text){r->ids, r->n, n_prompt}, 1, got, NULL), 0);
        for (int j = 0; j < r->n - n_prompt; j++)
            sum -= (double)got[j];
        targets += r->n - n_prompt;
    }
    close_place(&p);
    train_data_free(&eval);
    return sum / (double)targets;
}

static void evaluation_is_over_all_rows(void **state)
{
    (void)state;
    char directory[300];
    struct seen seen;
    snprintf(directory, sizeof directory, "%s", check_tmpdir("measure_eval"));
    for (int batch = 1; batch <= 8; batch *= 2) { /* seven rows in batches of 1, 2, 4 and all at once */
        struct train_options o = options();
        tree_remove(directory, NULL);
        o.batch_size = batch;
        o.max_steps = 3;
        struct train_result r = train(training_model, directory, &o, &seen);
        double loss = score_eval(directory);
        if (!(fabs(r.eval_loss / loss - 1) < 1e-5))
            fail_msg("batches of %d: %.9g, row by row %.9g", batch, r.eval_loss, loss);
    }
}

static void evaluation_is_at_every_epochs_end_and_at_the_last_step(void **state)
{
    (void)state;
    static const struct {
        double epochs;
        int steps[3];
    } cases[] = {{1.5, {6, 9, 0}}, {2, {6, 12, 0}}, {0.5, {3, 0, 0}}, {1.1, {6, 7, 0}}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct train_options o = options();
        struct seen seen;
        char directory[300], path[400];
        json_t *root, *entry;
        size_t i;
        int n = 0;
        snprintf(directory, sizeof directory, "%s", check_tmpdir("measure_epochs"));
        o.num_train_epochs = cases[c].epochs;
        struct train_result r = train(training_model, directory, &o, &seen);
        snprintf(path, sizeof path, "%s/trainer_state.json", directory);
        assert_int_equal(jsontext_load(&root, path, 1 << 20, NULL), 0);
        json_array_foreach(json_object_get(root, "log_history"), i, entry) if (json_object_get(entry, "eval_loss"))
            assert_int_equal(json_integer_value(json_object_get(entry, "step")), cases[c].steps[n++]);
        assert_int_equal(cases[c].steps[n], 0);
        assert_true(isfinite(r.eval_loss));
        assert_int_equal(seen.n, cases[c].steps[n - 1]);
        json_decref(root);
    }
}

/* One tensor of a saved model. */
static void read_tensor(const char *directory, const char *name, double *out, int n)
{
    struct checkpoint *ck;
    float values[1024];
    assert_int_equal(checkpoint_open(&ck, directory, NULL), 0);
    const struct tensor_info *t = checkpoint_find(ck, name);
    assert_true(t && n <= 1024 && (int)t->n_element >= n && n % t->n_col == 0);
    assert_int_equal(checkpoint_read_f32(ck, t, 0, n / t->n_col, values, NULL), 0);
    for (int i = 0; i < n; i++)
        out[i] = (double)values[i];
    checkpoint_close(ck);
}

/* The first step of AdamW moves a weight by lr g / (|g| + eps): with a large eps, g can be read off the step, and a
 * clip by c makes it lr c g / (c |g| + eps). torch's clip_grad_norm_ has c = max_norm / (norm + 1e-6). */
static void the_gradient_is_clipped_to_max_grad_norm(void **state)
{
    (void)state;
    enum { N = 256 };
    static const char name[] = "model.layers.1.mlp.up_proj.weight";
    struct train_options o = options();
    struct seen seen;
    double before[N], free_step[N], clipped[N];
    char directory[300];
    snprintf(directory, sizeof directory, "%s", check_tmpdir("measure_clip"));
    o.max_steps = 1;
    o.warmup_ratio = 0;
    o.schedule = LR_CONSTANT;
    o.weight_decay = 0;
    o.adam_epsilon = 1;
    o.learning_rate = 0.5;
    read_tensor(training_model, name, before, N);
    o.max_grad_norm = 0; /* none */
    train(training_model, directory, &o, &seen);
    double norm = seen.norm[0];
    read_tensor(directory, name, free_step, N);
    for (int part = 0; part < 3; part++) {
        static const double limits[] = {0.25, 0.5, 2}; /* of the norm */
        double c = limits[part] * norm / (norm + 1e-6), largest = 0;
        c = c < 1 ? c : 1;
        tree_remove(directory, NULL);
        o.max_grad_norm = limits[part] * norm;
        train(training_model, directory, &o, &seen);
        assert_true(seen.norm[0] == norm); /* what is logged is the norm before */
        read_tensor(directory, name, clipped, N);
        for (int i = 0; i < N; i++) {
            double step = before[i] - free_step[i], g = step / (o.learning_rate - fabs(step)),
                   wanted = o.learning_rate * c * g / (c * fabs(g) + 1);
            if (!(fabs(before[i] - clipped[i] - wanted) < 1e-6))
                fail_msg("limit %g of the norm %g: weight %d moved by %.9g, wanted %.9g", o.max_grad_norm, norm, i,
                         before[i] - clipped[i], wanted);
            largest = fabs(wanted) > largest ? fabs(wanted) : largest;
        }
        assert_true(largest > 1e-4);
    }
}

static void the_seed_orders_the_rows(void **state)
{
    (void)state;
    struct seen seen[4];
    for (int i = 0; i < 4; i++) {
        struct train_options o = options();
        o.seed = i == 3 ? 1 : (uint64_t)i;
        o.num_train_epochs = 2;
        train(training_model, NULL, &o, &seen[i]);
    }
    for (int i = 0; i < 3; i++)
        assert_true(seen[i].loss[0] != seen[(i + 1) % 3].loss[0]);
    assert_memory_equal(&seen[1], &seen[3], sizeof seen[1]);
}

struct saves {
    char path[400];
    int there[32];
};

static void look(void *user, const struct train_step *s)
{
    struct saves *saves = user;
    saves->there[s->step] = file_exists(saves->path);
}

/* A step is told before what stands behind it is saved: with save_steps 3, the fourth is the first to see a
 * checkpoint. */
static void a_checkpoint_is_written_every_save_steps(void **state)
{
    (void)state;
    struct train_options o = options();
    struct saves saves = {.there = {0}};
    struct place p;
    struct train_data data;
    struct train_result result;
    const char *directory = check_tmpdir("measure_saves");
    snprintf(saves.path, sizeof saves.path, "%s/checkpoint.safetensors", directory);
    o.save_steps = 3;
    training_data(&data, 0, N_ROW);
    open_place(&p, training_model, o.dtype);
    struct train_job job = {.model = p.model,
                            .source = p.source,
                            .data = &data,
                            .options = &o,
                            .directory = directory,
                            .on_step = look,
                            .user = &saves};
    assert_int_equal(train_run(&job, &result, NULL), 0);
    for (int step = 1; step <= PER_EPOCH; step++)
        assert_int_equal(saves.there[step], step > 3);
    assert_false(file_exists(saves.path));
    close_place(&p);
    train_data_free(&data);
}

/* A source in bf16 with generation settings of its own: both come back. */
static void the_sources_type_and_generation_settings_are_kept(void **state)
{
    (void)state;
    static const char generation[] =
        "{\"temperature\": 0.35, \"eos_token_id\": [2, 7], \"somebodys_own\": {\"key\": [1, null]}}";
    char source[300], directory[300], path[400];
    struct place p;
    struct seen seen;
    struct checkpoint *ck;
    json_t *config, *wanted = json_loads(generation, 0, NULL), *found;
    snprintf(source, sizeof source, "%s", check_tmpdir("measure_source"));
    snprintf(directory, sizeof directory, "%s", check_tmpdir("measure_kept"));
    open_place(&p, training_model, DTYPE_F32);
    assert_int_equal(hf_dir_config(source, checkpoint_config(p.source), DTYPE_BF16, NULL), 0);
    assert_int_equal(hf_dir_weights(source, p.source, DTYPE_BF16, NULL), 0);
    close_place(&p);
    snprintf(path, sizeof path, "%s/generation_config.json", source);
    assert_int_equal(file_write(path, generation, strlen(generation), NULL), 0);
    struct train_options o = options();
    o.max_steps = 1;
    train(source, directory, &o, &seen);
    assert_int_equal(checkpoint_open(&ck, directory, NULL), 0);
    assert_int_equal(checkpoint_dtype(ck), DTYPE_BF16);
    assert_int_equal(checkpoint_find(ck, "model.layers.0.mlp.up_proj.weight")->storage, storage_of_dtype(DTYPE_BF16));
    checkpoint_close(ck);
    snprintf(path, sizeof path, "%s/config.json", directory);
    assert_int_equal(jsontext_load(&config, path, 1 << 20, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(config, "dtype")), "bfloat16");
    assert_null(json_object_get(config, "torch_dtype"));
    snprintf(path, sizeof path, "%s/generation_config.json", directory);
    assert_int_equal(jsontext_load(&found, path, 1 << 20, NULL), 0);
    assert_true(json_equal(found, wanted));
    json_decref(config);
    json_decref(wanted);
    json_decref(found);
}

/* Without generation settings they are made of the configuration's token ids, as transformers makes them. */
static void generation_settings_are_made_of_the_configuration(void **state)
{
    (void)state;
    char directory[300], path[400];
    struct seen seen;
    json_t *found,
        *wanted = json_pack("{s:b, s:i, s:i}", "_from_model_config", 1, "bos_token_id", 1, "eos_token_id", 2);
    struct train_options o = options();
    snprintf(directory, sizeof directory, "%s", check_tmpdir("measure_made"));
    o.max_steps = 1;
    train(training_model, directory, &o, &seen);
    snprintf(path, sizeof path, "%s/generation_config.json", directory);
    assert_int_equal(jsontext_load(&found, path, 1 << 20, NULL), 0);
    assert_true(json_equal(found, wanted));
    json_decref(found);
    json_decref(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_is_over_all_rows),
        cmocka_unit_test(evaluation_is_at_every_epochs_end_and_at_the_last_step),
        cmocka_unit_test(the_gradient_is_clipped_to_max_grad_norm),
        cmocka_unit_test(the_seed_orders_the_rows),
        cmocka_unit_test(a_checkpoint_is_written_every_save_steps),
        cmocka_unit_test(the_sources_type_and_generation_settings_are_kept),
        cmocka_unit_test(generation_settings_are_made_of_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
