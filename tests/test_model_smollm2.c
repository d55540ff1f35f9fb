/* SPDX-License-Identifier: Apache-2.0 */
/* Two real models against values computed elsewhere: SmolLM2-135M-Instruct (log-probabilities and sentence embeddings,
 * in f32 and bf16) and TinyStories-656K (greedy tokens). Skipped by name where the files are not at hand. */
#include "check.h"

#include "model/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct device *device;

static int open_device(void **state)
{
    (void)state;
    return device_open(&device, DEVICE_CPU, &(struct device_options){0}, NULL);
}
static int close_device(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

static struct model *open_model(const char *path, enum dtype dtype)
{
    struct checkpoint *ck = NULL;
    struct model *m = NULL;
    struct error err = {0};
    if (checkpoint_open(&ck, path, &err) || model_open(&m, device, ck, &(struct model_options){.dtype = dtype}, &err))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    return m;
}

static int reduced(void)
{
    const char *s = getenv("ISARA_REDUCED");
    return s && *s;
}

static json_t *load_data(const char *name)
{
    const char *path = check_data(name);
    json_t *value = path ? json_load_file(path, 0, NULL) : NULL;
    if (!value)
        SKIP_TEST("no reference data %s", name);
    return value;
}

static int32_t *ids_of(const json_t *a, const json_t *b, int *n)
{
    size_t na = json_array_size(a), nb = json_array_size(b);
    int32_t *ids = malloc((na + nb) * sizeof *ids);
    for (size_t i = 0; i < na + nb; i++)
        ids[i] = (int32_t)json_integer_value(i < na ? json_array_get(a, i) : json_array_get(b, i - na));
    *n = (int)(na + nb);
    return ids;
}

/* Scores of all cases; greatest and mean distance to the reference. */
static void score_cases(const json_t *cases, enum dtype dtype, double *greatest, double *mean)
{
    enum { MAX = 16 };
    struct model *m = open_model(check_smollm2(), dtype);
    struct model_text texts[MAX];
    int n = (int)json_array_size(cases), count = 0, at = 0;
    float got[4096];
    assert_true(n <= MAX);
    n = reduced() ? 2 : n;
    for (int i = 0; i < n; i++) {
        const json_t *c = json_array_get(cases, (size_t)i);
        int length;
        texts[i].ids = ids_of(json_object_get(c, "prompt_ids"), json_object_get(c, "completion_ids"), &length);
        texts[i].n = length;
        texts[i].n_prompt = (int)json_array_size(json_object_get(c, "prompt_ids"));
        count += texts[i].n - texts[i].n_prompt;
    }
    assert_true(count <= 4096);
    assert_int_equal(model_score(m, texts, n, got, NULL), 0);
    *greatest = *mean = 0;
    for (int i = 0; i < n; i++) {
        const json_t *wanted = json_object_get(json_array_get(cases, (size_t)i), "logprobs");
        for (size_t j = 0; j < json_array_size(wanted); j++, at++) {
            double off = fabs((double)got[at] - json_number_value(json_array_get(wanted, j)));
            *greatest = fmax(*greatest, off);
            *mean += off / count;
        }
        free((void *)(uintptr_t)texts[i].ids);
    }
    assert_int_equal(at, count);
    model_close(m);
}

static void test_smollm2_scores_in_f32_are_within_1e_4(void **state)
{
    (void)state;
    double greatest, mean;
    if (!check_smollm2())
        SKIP_TEST("no SmolLM2 (tools/get-smollm2)");
    json_t *data = load_data("smollm2_reference/score.json");
    score_cases(json_object_get(data, "cases"), DTYPE_F32, &greatest, &mean);
    printf("SmolLM2 f32: greatest %.3g, mean %.3g\n", greatest, mean);
    assert_true(greatest < 1e-4);
    json_decref(data);
}

static void test_smollm2_scores_in_bf16_are_within_0_4_and_0_04_on_average(void **state)
{
    (void)state;
    double greatest, mean;
    if (!check_smollm2())
        SKIP_TEST("no SmolLM2 (tools/get-smollm2)");
    json_t *data = load_data("smollm2_reference/score.json");
    score_cases(json_object_get(data, "cases"), DTYPE_BF16, &greatest, &mean);
    printf("SmolLM2 bf16: greatest %.3g, mean %.3g\n", greatest, mean);
    assert_true(greatest < 0.4);
    assert_true(mean < 0.04);
    json_decref(data);
}

static void test_smollm2_sentence_embeddings_are_within_1e_4(void **state)
{
    (void)state;
    enum { N = 20, C = 576 };
    if (!check_smollm2())
        SKIP_TEST("no SmolLM2 (tools/get-smollm2)");
    json_t *data = load_data("smollm2_reference/retrieve.json"), *llama = json_object_get(data, "llama"),
           *lists = json_object_get(llama, "ids");
    struct model *m = open_model(check_smollm2(), DTYPE_F32);
    struct model_text texts[N];
    float *got = malloc(N * C * sizeof *got);
    double worst = 0;
    assert_int_equal(json_array_size(lists), N);
    for (int i = 0; i < N; i++) {
        int n;
        texts[i].ids = ids_of(json_array_get(lists, (size_t)i), NULL, &n);
        texts[i].n = n;
    }
    assert_int_equal(model_embed(m, texts, N, 1, got, NULL), 0);
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < 8; c++)
            worst = fmax(worst, fabs((double)got[i * C + c] -
                                     json_number_value(json_array_get(
                                         json_array_get(json_object_get(llama, "first8"), (size_t)i), (size_t)c))));
        for (int j = 0; j < N; j++) {
            double cosine = 0;
            for (int c = 0; c < C; c++)
                cosine += (double)got[i * C + c] * (double)got[j * C + c];
            worst = fmax(worst,
                         fabs(cosine - json_number_value(json_array_get(
                                           json_array_get(json_object_get(llama, "cosine"), (size_t)i), (size_t)j))));
        }
        free((void *)(uintptr_t)texts[i].ids);
    }
    printf("SmolLM2 embeddings: greatest %.3g\n", worst);
    assert_true(worst < 1e-4);
    free(got);
    json_decref(data);
    model_close(m);
}

/* The id with the greatest logit behind the last of n ids. */
static int32_t next_greedy(struct model *m, struct model_workspace *w, struct rows *rows, struct buffer *logits,
                           const int32_t *ids, int n)
{
    struct queue *q = device_queue(device);
    struct model_batch b;
    struct span hidden;
    float z[2048];
    rows_reset(rows);
    rows_add(rows, ids, n);
    rows_upload(rows, q);
    rows_batch(rows, &b);
    model_forward(m, q, w, &b, &hidden);
    model_head(m, q, span_at(hidden, (size_t)(n - 1) * (size_t)m->desc.n_embd * 4), 1, (struct span){logits, 0});
    queue_download(q, z, (struct span){logits, 0}, sizeof z);
    assert_int_equal(queue_wait(q, NULL), 0);
    int32_t best = 0;
    for (int32_t i = 1; i < 2048; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

static void test_tinystories_greedy_tokens(void **state)
{
    (void)state;
    const char *dir = check_data("tinystories_656K_llama");
    if (!dir)
        SKIP_TEST("no reference data tinystories_656K_llama");
    struct model *m = open_model(dir, DTYPE_F32);
    json_t *wanted = load_data("tinystories_656K_llama/greedy_ids_from_bos.json");
    int n = reduced() ? 20 : (int)json_array_size(wanted);
    int32_t ids[256] = {1};
    struct rows rows;
    struct model_workspace *w;
    struct buffer *logits;
    assert_int_equal(m->desc.n_vocab, 2048);
    assert_int_equal(rows_new(&rows, device, 256, 1, NULL), 0);
    assert_int_equal(model_workspace_new(&w, m, 256, 256, NULL), 0);
    assert_int_equal(buffer_new(&logits, device, 2048 * 4, "logits", NULL), 0);
    for (int i = 0; i < n; i++) {
        ids[i + 1] = next_greedy(m, w, &rows, logits, ids, i + 1);
        if (ids[i + 1] != (int32_t)json_integer_value(json_array_get(wanted, (size_t)i)))
            fail_msg("token %d is %d", i, (int)ids[i + 1]);
    }
    rows_free(&rows);
    model_workspace_free(w);
    buffer_free(logits);
    json_decref(wanted);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smollm2_scores_in_f32_are_within_1e_4),
        cmocka_unit_test(test_smollm2_scores_in_bf16_are_within_0_4_and_0_04_on_average),
        cmocka_unit_test(test_smollm2_sentence_embeddings_are_within_1e_4),
        cmocka_unit_test(test_tinystories_greedy_tokens),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
