/* SPDX-License-Identifier: Apache-2.0 */
/* The whole method on a small random model of every family: it runs to its end, and twice with the same bytes. The
 * configurations are those of tests/golden/families, one a family. */
#include "check.h"

#include "io/file.h"
#include "io/jsontext.h"
#include "model/families.h"
#include "tiny_align.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 768, VOCAB = 260, END = 256 };

static const char *const names[] = {"llama_gelu", "mistral", "qwen2", "qwen3", "gemma", "gemma2",   "gemma3",
                                    "phi3",       "smollm3", "olmo2", "gpt2",  "opt",   "opt_post", "gpt_neox"};

static const char *key_of(const struct family *f, const char *ours)
{
    for (int i = 0; i < f->n_alias; i++)
        if (!strcmp(f->aliases[i].ours, ours))
            return f->aliases[i].theirs;
    return ours;
}

static void copy_file(const char *from, const char *to, const char *name)
{
    char path[2][1300];
    struct buf b = BUF_INIT;
    snprintf(path[0], sizeof path[0], "%s/%s", from, name);
    snprintf(path[1], sizeof path[1], "%s/%s", to, name);
    assert_int_equal(file_read(&b, path[0], 1 << 24, NULL), 0);
    assert_int_equal(file_write(path[1], b.data, b.len, NULL), 0);
    buf_free(&b);
}

/* A random model of the golden configuration with the tiny model's tokenizer. */
static void make_model(const char *name, const char *directory)
{
    char path[400];
    json_t *c;
    snprintf(path, sizeof path, "tests/golden/families/%s/config.json", name);
    assert_int_equal(jsontext_load(&c, path, 1 << 20, NULL), 0);
    const struct family *f = family_find(json_string_value(json_object_get(c, "model_type")));
    assert_non_null(f);
    json_object_set_new(c, key_of(f, "vocab_size"), json_integer(VOCAB));
    json_object_set_new(c, key_of(f, "max_position_embeddings"), json_integer(CONTEXT));
    json_object_set_new(c, "eos_token_id", json_integer(END));
    struct device *d = tiny_device(1);
    struct model *m;
    struct train_data data = {0};
    struct train_options o;
    struct train_result r;
    struct error err = {0, ""};
    static const int32_t ids[] = {70, 71, 72, 73, 74, END};
    train_options_default(&o);
    o.dtype = DTYPE_F32;
    o.max_steps = 1;
    if (model_init(&m, d, c, name, &(struct model_options){.dtype = DTYPE_F32, .seed = 3}, &err) ||
        train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(m), .max_length = 64}, ids, 6, 1,
                           "row", &err))
        fail_msg("%s: %s", name, err.message);
    struct train_job job = {.model = m, .data = &data, .options = &o, .directory = directory};
    if (train_run(&job, &r, &err))
        fail_msg("%s: %s", name, err.message);
    copy_file(tiny.model, directory, "tokenizer.json");
    copy_file(tiny.model, directory, "tokenizer_config.json");
    train_data_free(&data);
    model_close(m);
    device_close(d);
    json_decref(c);
}

static void align_in(const char *model, const char *output, int threads)
{
    struct align_options o;
    struct align_result r;
    tiny_align_options(&o, output);
    o.model = model;
    o.rounds = 1;
    tiny_align(&o, threads, &r);
    assert_int_equal(r.rounds, 1);
    align_result_free(&r);
}

static void every_family_is_aligned_to_the_end(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char model[1200], runs[2][1200], hex[2][65];
        snprintf(model, sizeof model, "%s/of-%s", tiny.root, names[k]);
        make_model(names[k], model);
        for (int i = 0; i < 2; i++) {
            snprintf(runs[i], sizeof runs[i], "%s/run-%d-%s", tiny.root, i, names[k]);
            align_in(model, runs[i], 1 + i);
            tiny_align_hash(runs[i], "round-1/model/model.safetensors", hex[i]);
        }
        assert_string_equal(hex[0], hex[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family_is_aligned_to_the_end)};
    return cmocka_run_group_tests(tests, tiny_align_setup, tiny_align_teardown);
}
