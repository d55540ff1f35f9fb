/* SPDX-License-Identifier: Apache-2.0 */
/* What a family's row can switch against transformers' own values (tests/golden/families, made by tools/golden_families.py): log-probabilities to 1e-4, losses to 1e-5
 * and every parameter's gradient norm to 1e-4 relative. */
#include "check.h"

#include "gradients.h"
#include "io/jsontext.h"

#include <math.h>
#include <stdlib.h>

static const char *const names[] = {"llama_biases"};
enum { N_NAME = sizeof names / sizeof *names, MOST = 32 };

struct golden {
    struct device *device;
    struct checkpoint *source;
    struct model *m;
    json_t *values;
};

static void open_golden(struct golden *g, const char *name)
{
    char path[256];
    struct error err = {0};
    snprintf(path, sizeof path, "tests/golden/families/%s", name);
    assert_int_equal(device_open(&g->device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL), 0);
    if (checkpoint_open(&g->source, path, &err) || model_open(&g->m, g->device, g->source, &(struct model_options){.dtype = DTYPE_F32}, &err))
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "tests/golden/families/%s/values.json", name);
    assert_int_equal(jsontext_load(&g->values, path, 1 << 20, NULL), 0);
}

static void close_golden(struct golden *g)
{
    json_decref(g->values);
    model_close(g->m);
    checkpoint_close(g->source);
    device_close(g->device);
}

static int ids_of(const json_t *values, size_t i, int32_t *ids)
{
    const json_t *list = json_array_get(json_object_get(values, "ids"), i);
    for (size_t j = 0; j < json_array_size(list); j++)
        ids[j] = (int32_t)json_integer_value(json_array_get(list, j));
    return (int)json_array_size(list);
}

static void check_text(const struct golden *g, const char *name, size_t i)
{
    int32_t ids[MOST];
    float got[MOST];
    int n = ids_of(g->values, i, ids);
    const json_t *wanted = json_array_get(json_object_get(g->values, "logprobs"), i);
    assert_int_equal(model_score(g->m, &(struct model_text){ids, n, 1}, 1, got, NULL), 0);
    for (int j = 0; j < n - 1; j++) {
        double w = json_number_value(json_array_get(wanted, (size_t)j));
        if (!(fabs(w - (double)got[j]) < 1e-4))
            fail_msg("%s, text %zu, token %d: %g, wanted %g", name, i, j + 1, (double)got[j], w);
    }
}

static void check_gradients(const struct golden *g, const char *name, size_t i)
{
    int32_t ids[MOST];
    uint8_t targets[MOST];
    int n = ids_of(g->values, i, ids);
    double loss, wanted = json_number_value(json_array_get(json_object_get(g->values, "losses"), i));
    for (int j = 0; j < n; j++)
        targets[j] = j > 0;
    struct train_row row = {.ids = ids, .target = targets, .n = n};
    const struct gradient_rows one = {&row, 1, name, 1 / (float)(n - 1)};
    float *got = gradients_of(g->m, &one, 0, (const int[]){1}, 1, &loss);
    if (!(fabs(loss / (n - 1) / wanted - 1) < 1e-5))
        fail_msg("%s, text %zu: loss %.9g, wanted %.9g", name, i, loss / (n - 1), wanted);
    for (int k = 0; k < model_n_param(g->m); k++) {
        const struct model_param *param = model_param(g->m, k);
        double sum = 0, norm = json_number_value(json_object_get(json_array_get(json_object_get(g->values, "gradient_norms"), i), param->name));
        for (int64_t j = param->offset; j < param->offset + param->count; j++)
            sum += (double)got[j] * (double)got[j];
        if (!(norm > 0 && fabs(sqrt(sum) / norm - 1) < 1e-4))
            fail_msg("%s, text %zu, %s: gradient norm %.9g, wanted %.9g", name, i, param->name, sqrt(sum), norm);
    }
    free(got);
}

static void every_switch_gives_transformers_values(void **state)
{
    (void)state;
    for (int k = 0; k < N_NAME; k++) {
        struct golden g;
        open_golden(&g, names[k]);
        for (size_t i = 0; i < json_array_size(json_object_get(g.values, "ids")); i++) {
            check_text(&g, names[k], i);
            check_gradients(&g, names[k], i);
        }
        close_golden(&g);
    }
}

/* Every name is known, and its function is transformers'. */
static void every_activation_is_transformers(void **state)
{
    (void)state;
    enum { N = 19 };
    struct device *d;
    struct buffer *b;
    json_t *golden, *values;
    float x[N], got[N];
    const char *name;
    size_t i;
    assert_int_equal(device_open(&d, DEVICE_CPU, NULL, NULL), 0);
    assert_int_equal(buffer_new(&b, d, 2 * N * 4, "activations", NULL), 0);
    assert_int_equal(jsontext_load(&golden, "tests/golden/families/activations.json", 1 << 20, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(golden, "x")), N);
    for (i = 0; i < N; i++)
        x[i] = (float)json_number_value(json_array_get(json_object_get(golden, "x"), i));
    json_object_foreach(json_object_get(golden, "values"), name, values) {
        int act = activation_find(name);
        if (act < 0)
            fail_msg("%s is not known", name);
        queue_upload(device_queue(d), (struct span){b, 0}, x, sizeof x);
        tensor_gate(device_queue(d), &(struct gate_args){(enum activation)act, 0, 1, N, {b, 0}, {b, N * 4}, DTYPE_F32, DTYPE_F32});
        queue_download(device_queue(d), got, (struct span){b, N * 4}, sizeof got);
        assert_int_equal(queue_wait(device_queue(d), NULL), 0);
        for (i = 0; i < N; i++) {
            double wanted = json_number_value(json_array_get(values, i));
            if (!(fabs((double)got[i] - wanted) <= 1e-6 + 2e-6 * fabs(wanted)))
                fail_msg("%s(%g) is %.9g, wanted %.9g", name, (double)x[i], (double)got[i], wanted);
        }
    }
    json_array_foreach(json_object_get(golden, "left_out"), i, values)
        assert_int_equal(activation_find(json_string_value(values)), -1);
    json_decref(golden);
    buffer_free(b);
    device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_switch_gives_transformers_values), cmocka_unit_test(every_activation_is_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
