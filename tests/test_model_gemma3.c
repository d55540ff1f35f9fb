/* SPDX-License-Identifier: Apache-2.0 */
/* A real pretrained model of another family, out of its GGUF file: Gemma 3 270M against values computed elsewhere
 * (log-probabilities of texts shorter and longer than its window; token ids of llama.cpp). Skipped by name where the
 * files are not at hand; tools/verify-gemma3 shows every reference value. */
#include "check.h"

#include "model/model.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *load_data(const char *name)
{
    const char *path = check_data(name);
    json_t *value = path ? json_load_file(path, JSON_ALLOW_NUL, NULL) : NULL;
    if (!value)
        SKIP_TEST("no reference data %s", name);
    return value;
}

static int append_ids(int32_t *ids, int n, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        ids[n++] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static double greatest_distance(const struct model *m, const json_t *c)
{
    static int32_t ids[1024];
    static float got[1024];
    const json_t *wanted = json_object_get(c, "logprobs");
    int n_prompt = append_ids(ids, 0, json_object_get(c, "prompt_ids")),
        n = append_ids(ids, n_prompt, json_object_get(c, "completion_ids"));
    double greatest = 0;
    assert_int_equal(model_score(m, &(struct model_text){ids, n, n_prompt}, 1, got, NULL), 0);
    for (int i = 0; i < n - n_prompt; i++)
        greatest = fmax(greatest, fabs((double)got[i] - json_number_value(json_array_get(wanted, (size_t)i))));
    return greatest;
}

/* The longest text is longer than the window of 512. */
static void scores_in_f32_are_within_1e_4(void **state)
{
    (void)state;
    struct device *device;
    struct checkpoint *ck;
    struct model *m;
    struct error err = {0};
    if (!check_gemma3())
        SKIP_TEST("no Gemma 3 (tools/get-gemma3)");
    json_t *data = load_data("gemma3_reference/score.json"), *cases = json_object_get(data, "cases");
    assert_int_equal(device_open(&device, DEVICE_CPU, &(struct device_options){0}, NULL), 0);
    if (checkpoint_open(&ck, check_gemma3(), &err) ||
        model_open(&m, device, ck, &(struct model_options){.dtype = DTYPE_F32}, &err))
        fail_msg("%s", err.message);
    checkpoint_close(ck);
    size_t longest = 0, most = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        size_t n =
            json_array_size(json_object_get(c, "prompt_ids")) + json_array_size(json_object_get(c, "completion_ids"));
        longest = n > most ? i : longest;
        most = n > most ? n : most;
    }
    double short_one = greatest_distance(m, json_array_get(cases, longest ? 0 : 1)),
           long_one = greatest_distance(m, json_array_get(cases, longest));
    printf("Gemma 3 f32: greatest %.3g, of the text of %zu tokens %.3g\n", short_one, most, long_one);
    assert_true(most > 512 && short_one < 1e-4 && long_one < 1e-4);
    model_close(m);
    device_close(device);
    json_decref(data);
}

static void ids_are_llama_cpps(void **state)
{
    (void)state;
    struct tokenizer *tok;
    struct error err = {0};
    int bad = 0;
    if (!check_gemma3())
        SKIP_TEST("no Gemma 3 (tools/get-gemma3)");
    json_t *data = load_data("gemma3_reference/tokenizer.json");
    if (tokenizer_open(&tok, check_gemma3(), &err))
        fail_msg("%s", err.message);
    for (int k = 0; k < 2; k++) {
        const json_t *cases = json_object_get(data, k ? "disputed" : "cases");
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *c = json_array_get(cases, i), *text = json_object_get(c, "text"),
                         *ids = json_object_get(c, "ids");
            struct tokens got = TOKENS_INIT;
            int same = !tokenizer_encode(tok, json_string_value(text), json_string_length(text),
                                         TOKENIZER_PARSE_SPECIAL, &got, NULL) &&
                       got.n == json_array_size(ids);
            for (size_t j = 0; j < got.n && same; j++)
                same = got.ids[j] == json_integer_value(json_array_get(ids, j));
            if (!same)
                printf("  \"%s\" has other ids\n", json_string_value(text));
            bad += !same;
            tokens_free(&got);
        }
    }
    tokenizer_close(tok);
    json_decref(data);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_in_f32_are_within_1e_4),
        cmocka_unit_test(ids_are_llama_cpps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
