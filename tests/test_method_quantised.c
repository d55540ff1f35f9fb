/* SPDX-License-Identifier: Apache-2.0 */
/* An alignment over a quantised file with --train-lora-r: a round's model is an adapter, which is asked, answers and is
 * tuned on beside the file's own blocks; the same bits for any number of threads and after a kill. */
#include "check.h"
#include "tiny_align.h"

#include "io/checkpoint.h"
#include "io/file.h"
#include "model/gguf_out.h"
#include "text/gguf_out.h"

#include <string.h>

static char file[1200], reference[1100];

static void write_gguf(const char *from, const char *to)
{
    struct checkpoint *ck;
    struct tokenizer *t = NULL;
    struct gguf_writer *w = NULL;
    struct gguf_model *g;
    struct error err = {0};
    if (checkpoint_open(&ck, from, &err) || tokenizer_open(&t, from, &err) || gguf_writer_new(&w, &err))
        fail_msg("%s", err.message);
    int rc = gguf_model_put(&g, w, ck, STORAGE_Q8_0, &err);
    rc = rc ? rc : tokenizer_to_gguf(t, gguf_model_desc(g)->n_vocab, w, &err);
    rc = rc ? rc : gguf_model_write(g, w, to, &err);
    gguf_model_free(g);
    if (gguf_writer_end(w, rc, &err))
        fail_msg("%s", err.message);
    tokenizer_close(t);
    checkpoint_close(ck);
}

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
    write_gguf(tiny.model, file);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rounds_model_is_an_adapter_over_the_file),
                                       cmocka_unit_test(a_killed_run_goes_on_with_the_same_bits)};
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
