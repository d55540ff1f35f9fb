/* SPDX-License-Identifier: Apache-2.0 */
/* An alignment over a quantised file with --train-lora-r: a round's model is an adapter, which is asked, answers and is
 * tuned on beside the file's own blocks; the same bits for any number of threads and after a kill. Who trains through
 * the library has the file's matrices as the program has them. */
#include "check.h"
#include "tiny_align.h"

#include "isara.h"

#include "io/checkpoint.h"
#include "io/file.h"

#include <string.h>

static char file[1200], reference[1100];

/* The second round goes on from the first one's adapter. */
static void options(struct align_options *o, const char *output)
{
    tiny_align_options(o, output);
    o->model = file;
    o->dtype = DTYPE_Q8;
    o->attempts = 4;
    o->retriever = RETRIEVER_BM25;
    o->start = ALIGN_START_LAST;
    o->train.lora_r = 2;
    o->train.lora_targets = "all-linear";
    o->train.learning_rate = 0.01;
}

static int setup(void **state)
{
    struct align_options o;
    struct align_result r;
    int rc = tiny_align_setup(state);
    snprintf(file, sizeof file, "%s/tiny.gguf", tiny.root);
    tiny_align_gguf(file);
    snprintf(reference, sizeof reference, "%s/reference", tiny.root);
    options(&o, reference);
    tiny_align(&o, 1, &r);
    align_result_free(&r);
    return rc;
}

static void a_rounds_model_is_an_adapter_over_the_file(void **state)
{
    (void)state;
    struct checkpoint *ck;
    char path[1300];
    for (int t = 1; t <= 2; t++) {
        snprintf(path, sizeof path, "%s/round-%d/model/model.safetensors", reference, t);
        assert_false(file_exists(path));
        snprintf(path, sizeof path, "%s/round-%d/model", reference, t);
        assert_int_equal(checkpoint_open(&ck, path, NULL), 0);
        assert_true(checkpoint_is_adapted(ck));
        assert_string_equal(checkpoint_path(ck), file);
        checkpoint_close(ck);
    }
}

static void same(const char *run)
{
    static const char *const files[] = {"round-1/generated.jsonl",
                                        "round-2/generated.jsonl",
                                        "round-1/model/adapter_model.safetensors",
                                        "round-2/model/adapter_model.safetensors",
                                        "config.resolved.json",
                                        "arms/round-2.jsonl"};
    char x[65], y[65];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        tiny_align_hash(reference, files[i], x);
        tiny_align_hash(run, files[i], y);
        if (strcmp(x, y))
            fail_msg("%s differs between %s and %s", files[i], reference, run);
    }
}

static void a_killed_run_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    static const long after[] = {3, 9, 20};
    struct align_options o;
    struct align_result r;
    char run[1200];
    snprintf(run, sizeof run, "%s/killed", tiny.root);
    options(&o, run);
    for (int i = 0; i < 3; i++)
        tiny_align_until(&o, after[i], 0);
    tiny_align(&o, 2, &r);
    align_result_free(&r);
    same(run);
}

static double first_loss(struct isara_model *m, const char *options)
{
    struct isara_error err = {0};
    struct isara_trained trained = {0};
    char rows[1200], out[1200];
    snprintf(rows, sizeof rows, "%s/rows.jsonl", tiny.root);
    snprintf(out, sizeof out, "%s/by-api", tiny.root);
    FILE *f = fopen(rows, "w");
    assert_non_null(f);
    fputs("{\"prompt\": \"Question: Who sings?\\nAnswer:\", \"completion\": \" The kettle sings.\"}\n", f);
    fclose(f);
    tree_remove(out, NULL);
    if (isara_train(m, &(struct isara_training){.data = rows, .output = out, .options = options}, &trained, &err))
        fail_msg("%s", err.message);
    return trained.first_loss;
}

/* In bf16 a look-up in blocks gives the file's own values, not these rounded: the losses tell how a model lies there.
 */
static void a_caller_trains_as_the_program_does(void **state)
{
    (void)state;
    static const char *const adapter = "{\"lora_r\": 2, \"max_steps\": 1}", *const all = "{\"max_steps\": 1}";
    struct isara_error err = {0};
    struct isara_request ask = {.prompt = "Question:", .options = "{\"max_new_tokens\": 2}"};
    struct isara_model *kept = NULL, *plain = NULL;
    struct isara_session *session = NULL;
    if (isara_open(&kept, file, "{\"keep_blocks\": true}", &err) || isara_open(&plain, file, NULL, &err) ||
        isara_generate(plain, &ask, 1, &err) || isara_begin(&session, plain, NULL, &err))
        fail_msg("%s", err.message);
    assert_int_equal(isara_train(plain, &(struct isara_training){"x", "y", adapter, NULL, NULL}, NULL, &err),
                     ISARA_USAGE);
    assert_non_null(strstr(err.message, "session"));
    isara_end(session);
    double over_blocks = first_loss(kept, adapter), over_values = first_loss(plain, all);
    assert_true(over_blocks != over_values);
    assert_true(first_loss(plain, adapter) == over_blocks);
    assert_true(first_loss(kept, all) == over_values);
    assert_int_equal(isara_generate(plain, &ask, 1, &err), 0);
    isara_close(kept);
    isara_close(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rounds_model_is_an_adapter_over_the_file),
                                       cmocka_unit_test(a_killed_run_goes_on_with_the_same_bits),
                                       cmocka_unit_test(a_caller_trains_as_the_program_does)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
