/* SPDX-License-Identifier: Apache-2.0 */
/* A real sentence encoder (tools/get-minilm): its cosines are the reference's (smollm2_reference/retrieve.json), its
 * vectors those of sentence-transformers on texts of all lengths (tests/golden/minilm, made by
 * tools/golden_minilm.py). */
#include "tests/check.h"

#include "base/mem.h"
#include "io/checkpoint.h"
#include "retrieve/retrieve.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static struct device *d;
static struct checkpoint *ck;
static struct tokenizer *t;
static struct model *m;

static int open_encoder(void **state)
{
    (void)state;
    const char *own = getenv("ISARA_MINILM"), *path = own && *own ? own : "models/minilm";
    char file[1100];
    struct error err = {0, ""};
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_BODY};
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    if (access(file, R_OK))
        return 0;
    if (device_open(&d, DEVICE_CPU, &(struct device_options){0}, &err) || checkpoint_open(&ck, path, &err) ||
        tokenizer_open(&t, path, &err) || model_open(&m, d, ck, &o, &err))
        fail_msg("%s", err.message);
    return 0;
}

static int close_encoder(void **state)
{
    (void)state;
    model_close(m);
    tokenizer_close(t);
    checkpoint_close(ck);
    device_close(d);
    return 0;
}

static float *embed(const char *const *texts, int n, int *n_cut)
{
    struct error err = {0, ""};
    float *x = mem_alloc((size_t)n * (size_t)model_desc(m)->n_embd * sizeof *x);
    if (retrieve_embed(&(struct embedder){m, t}, texts, n, x, n_cut, &err))
        fail_msg("%s", err.message);
    return x;
}

static void cosines_equal_the_reference(void **state)
{
    (void)state;
    const char *path = check_data("smollm2_reference/retrieve.json"), *texts[64];
    if (!path || !m)
        SKIP_TEST("all-MiniLM-L6-v2 (tools/get-minilm) or its reference values are not there");
    json_t *file = json_load_file(path, 0, NULL), *questions = json_object_get(file, "questions"),
           *wanted = json_object_get(json_object_get(file, "minilm"), "cosine");
    int n = (int)json_array_size(questions), dim = model_desc(m)->n_embd, n_cut;
    for (int i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(questions, (size_t)i));
    assert_int_equal(json_array_size(wanted), n);
    float *x = embed(texts, n, &n_cut);
    assert_int_equal(n_cut, 0);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < dim; k++)
                sum += (double)x[i * dim + k] * (double)x[j * dim + k];
            assert_true(fabs(sum - json_number_value(json_array_get(json_array_get(wanted, (size_t)i), (size_t)j))) <
                        1e-5);
        }
    mem_free(x);
    json_decref(file);
}

static void vectors_are_those_of_sentence_transformers(void **state)
{
    (void)state;
    if (!m)
        SKIP_TEST("all-MiniLM-L6-v2 is not there (tools/get-minilm)");
    json_t *file = json_load_file("tests/golden/minilm/values.json", 0, NULL), *items = json_object_get(file, "items");
    int n = (int)json_array_size(items), every = (int)json_integer_value(json_object_get(file, "every")),
        dim = model_desc(m)->n_embd, n_cut, longest = 0;
    const char *texts[256];
    assert_int_equal(n, 200);
    for (int i = 0; i < n; i++) {
        const json_t *item = json_array_get(items, (size_t)i);
        struct tokens ids = TOKENS_INIT;
        texts[i] = json_string_value(json_object_get(item, "text"));
        assert_int_equal(retrieve_tokens(&(struct embedder){m, t}, texts[i],
                                         json_string_length(json_object_get(item, "text")), &ids, NULL, NULL),
                         0);
        assert_int_equal(ids.n, json_integer_value(json_object_get(item, "n")));
        assert_int_equal(ids.ids[0], tokenizer_id(t, "[CLS]", 5));
        assert_int_equal(ids.ids[ids.n - 1], tokenizer_id(t, "[SEP]", 5));
        longest += ids.n == 256;
        tokens_free(&ids);
    }
    float *x = embed(texts, n, &n_cut);
    assert_true(n_cut > 4 && n_cut <= longest);
    for (int i = 0; i < n; i++) {
        const json_t *values = json_object_get(json_array_get(items, (size_t)i), "values");
        for (size_t k = 0; k < json_array_size(values); k++) {
            double got = (double)x[i * dim + (int)k * every], wanted = json_number_value(json_array_get(values, k));
            if (!(fabs(got - wanted) < 1e-5))
                fail_msg("text %d, number %d: %g, wanted %g", i, (int)k * every, got, wanted);
        }
    }
    mem_free(x);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cosines_equal_the_reference),
                                       cmocka_unit_test(vectors_are_those_of_sentence_transformers)};
    return cmocka_run_group_tests(tests, open_encoder, close_encoder);
}
