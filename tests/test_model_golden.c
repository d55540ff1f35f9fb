/* SPDX-License-Identifier: Apache-2.0 */
/* Every family against transformers' own values (tests/golden/families, made by tools/golden_families.py):
 * log-probabilities, hidden states, losses, every parameter's gradient norm, five training steps, greedy and beam ids.
 * And every activation. */
#include "check.h"

#include "family_golden.h"
#include "io/jsontext.h"
#include "model/families.h"

#include <dirent.h>
#include <math.h>
#include <string.h>

static void check(struct family_golden *g)
{
    if (family_golden_scores(g) || family_golden_hidden(g) || family_golden_gradients(g) ||
        family_golden_generation(g) || family_golden_training(g))
        fail_msg("%s", g->why);
}

static void every_family_gives_transformers_values(void **state)
{
    (void)state;
    const struct dirent *entry;
    int n = 0;
    DIR *names = opendir("tests/golden/families");
    assert_non_null(names);
    while ((entry = readdir(names))) {
        struct family_golden g;
        if (strchr(entry->d_name, '.'))
            continue;
        if (family_golden_open(&g, entry->d_name, &(struct device_options){.n_thread = 2}))
            fail_msg("%s", g.why);
        check(&g);
        family_golden_close(&g);
        n++;
    }
    closedir(names);
    assert_true(n > 0);
}

static const char *class_with(const char *name, enum model_task task, struct error *err)
{
    static const char *const labels[] = {"no", "yes"};
    static char class[100];
    struct family_golden g;
    struct model *m = NULL;
    struct model_options o = {.dtype = DTYPE_F32, .task = task, .labels = labels};
    o.n_label = task == MODEL_CLASSIFY ? 2 : 0;
    if (family_golden_open(&g, name, &(struct device_options){.n_thread = 1}))
        fail_msg("%s", g.why);
    int rc = model_open(&m, g.device, g.source, &o, err);
    const json_t *list = rc ? NULL : json_object_get(model_config(m), "architectures");
    snprintf(class, sizeof class, "%s", rc ? "" : json_string_value(json_array_get(list, 0)));
    model_close(m);
    family_golden_close(&g);
    return class;
}

/* A language model that becomes a classifier or score model says so in its own family's words. */
static void a_new_head_is_of_the_familys_class(void **state)
{
    (void)state;
    struct error err = {0};
    assert_string_equal(class_with("mistral", MODEL_CLASSIFY, &err), "MistralForSequenceClassification");
    assert_string_equal(class_with("gemma3", MODEL_CLASSIFY, &err), "Gemma3TextForSequenceClassification");
    assert_string_equal(class_with("gemma", MODEL_REWARD, &err), "GemmaForScore");
    assert_string_equal(class_with("qwen2", MODEL_REWARD, &err), "Qwen2ForScore");
    assert_string_equal(class_with("gemma2", MODEL_REWARD, &err), "Gemma2ForSequenceClassification");
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
    json_object_foreach(json_object_get(golden, "values"), name, values)
    {
        int act = activation_find(name);
        if (act < 0)
            fail_msg("%s is not known", name);
        queue_upload(device_queue(d), (struct span){b, 0}, x, sizeof x);
        tensor_gate(device_queue(d),
                    &(struct gate_args){(enum activation)act, 0, 1, N, {b, 0}, {b, N * 4}, DTYPE_F32, DTYPE_F32});
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family_gives_transformers_values),
                                       cmocka_unit_test(a_new_head_is_of_the_familys_class),
                                       cmocka_unit_test(every_activation_is_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
