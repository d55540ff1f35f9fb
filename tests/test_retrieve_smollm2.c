/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings and cosines of SmolLM2 equal transformers' (smollm2_reference/retrieve.json). */
#include "tests/check.h"

#include "base/mem.h"
#include "io/checkpoint.h"
#include "retrieve/retrieve.h"

#include <jansson.h>
#include <math.h>

static void neighbours_equal_the_reference(void **state)
{
    (void)state;
    const char *path = check_data("smollm2_reference/retrieve.json"), *model = check_smollm2();
    if (!path || !model)
        SKIP_TEST("SmolLM2 or its reference values are not there");
    json_t *file = json_load_file(path, 0, NULL), *questions = json_object_get(file, "questions"),
           *wanted = json_object_get(json_object_get(file, "llama"), "cosine");
    struct device *d;
    struct checkpoint *ck;
    struct tokenizer *t;
    struct model *m;
    struct error err = {0, ""};
    struct model_options o = {.dtype = DTYPE_F32, .task = MODEL_LM};
    const char *texts[64];
    int n = (int)json_array_size(questions);
    if (device_open(&d, DEVICE_CPU, &(struct device_options){0}, &err) || checkpoint_open(&ck, model, &err) ||
        tokenizer_open(&t, model, &err) || model_open(&m, d, ck, &o, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(questions, (size_t)i));
    int dim = model_desc(m)->n_embd, found;
    float *x = mem_alloc((size_t)n * (size_t)dim * sizeof *x);
    struct retriever *r;
    struct retriever_hit hits[64];
    assert_int_equal(retrieve_embed(&(struct embedder){m, t}, texts, n, x, NULL, &err), 0);
    assert_int_equal(retriever_new_cosine(&r, x, n, dim, &err), 0);
    assert_int_equal(json_array_size(wanted), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, x + i * dim}, n, hits, &found, &err), 0);
        assert_int_equal(hits[0].index, i);
        for (int k = 0; k < found; k++)
            assert_true(fabs(hits[k].score - json_number_value(json_array_get(json_array_get(wanted, (size_t)i),
                                                                              (size_t)hits[k].index))) < 1e-4);
    }
    retriever_free(r);
    mem_free(x);
    model_close(m);
    tokenizer_close(t);
    checkpoint_close(ck);
    device_close(d);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(neighbours_equal_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
