/* SPDX-License-Identifier: Apache-2.0 */
/* What a Hugging Face directory stores beside or instead of the usual: a head of its own under the tied flag, names
 * without "model.", tensors that nobody reads, a type of its own for each tensor. Two ways to store the same model give
 * the same bits. */
#include "check.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/file.h"
#include "io/hf_dir.h"
#include "io/safetensors.h"
#include "train/parts.h"

#include <stdlib.h>
#include <string.h>

enum { C = 16, V = 40, F = 24, MAX = 24 };
static const char config[] = "{\"architectures\":[\"%s\"],\"model_type\":\"llama\",\"hidden_size\":16,\"num_hidden_"
                             "layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                             "\"intermediate_size\":24,\"vocab_size\":40,\"max_position_embeddings\":32,\"eos_token_"
                             "id\":2,\"tie_word_embeddings\":%s,\"torch_dtype\":\"bfloat16\"}";

/* values: whose values it has (NULL: its own) */
struct tensor {
    const char *name, *values;
    int rows, columns;
    enum storage storage;
};

static const struct tensor body[] = {
    {"model.embed_tokens.weight", NULL, V, C, STORAGE_F32},
    {"model.norm.weight", NULL, C, 0, STORAGE_F32},
    {"model.layers.0.input_layernorm.weight", NULL, C, 0, STORAGE_F32},
    {"model.layers.0.self_attn.q_proj.weight", NULL, C, C, STORAGE_F32},
    {"model.layers.0.self_attn.k_proj.weight", NULL, C / 2, C, STORAGE_F32},
    {"model.layers.0.self_attn.v_proj.weight", NULL, C / 2, C, STORAGE_F32},
    {"model.layers.0.self_attn.o_proj.weight", NULL, C, C, STORAGE_F32},
    {"model.layers.0.post_attention_layernorm.weight", NULL, C, 0, STORAGE_F32},
    {"model.layers.0.mlp.gate_proj.weight", NULL, F, C, STORAGE_F32},
    {"model.layers.0.mlp.up_proj.weight", NULL, F, C, STORAGE_F32},
    {"model.layers.0.mlp.down_proj.weight", NULL, C, F, STORAGE_F32},
};
enum { N_BODY = sizeof body / sizeof *body };

static const char *short_name(const char *name, int bare)
{
    return bare && !strncmp(name, "model.", 6) ? name + 6 : name;
}

/* A directory with the body (without "model." when bare) and, where there is one, a head; values are a function of the
 * name. matrices: the type of the body's matrices. */
struct files {
    const char *class, *tied;
    int bare;
    enum storage matrices;
    const struct tensor *head;
};

static const char *write_model(const char *name, const struct files *f)
{
    int n = N_BODY + (f->head != NULL);
    static char dirs[4][1200];
    static int turn;
    char *dir = dirs[turn++ % 4], path[1300], text[1000];
    struct tensor all[MAX];
    struct tensor_info info[MAX] = {{0}};
    struct safetensors_writer *w;
    struct error err = {0};
    snprintf(dir, sizeof dirs[0], "%s", check_tmpdir(name));
    for (int i = 0; i < n; i++) {
        all[i] = i < N_BODY ? body[i] : *f->head;
        enum storage s = i < N_BODY && all[i].columns ? f->matrices : all[i].storage;
        info[i] = (struct tensor_info){.name = short_name(all[i].name, f->bare),
                                       .storage = s,
                                       .n_dim = all[i].columns ? 2 : 1,
                                       .shape = {all[i].rows, all[i].columns}};
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (safetensors_create(&w, path, info, (size_t)n, NULL, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < n; i++) {
        const char *of = all[i].values ? all[i].values : all[i].name;
        struct rng_stream s = {1, hash64(of, strlen(of)), 0};
        int count = all[i].rows * (all[i].columns ? all[i].columns : 1);
        float values[V * C];
        for (int k = 0; k < count; k++)
            values[k] = all[i].columns ? (float)(0.5 * rng_normal(&s, (uint64_t)k))
                                       : 1 + (float)(0.01 * rng_normal(&s, (uint64_t)k));
        assert_int_equal(safetensors_write_f32(w, (size_t)i, 0, values, (uint64_t)count, &err), 0);
    }
    assert_int_equal(safetensors_end(w, 0, &err), 0);
    snprintf(text, sizeof text, config, f->class, f->tied);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(file_write(path, text, strlen(text), NULL), 0);
    return dir;
}

struct opened {
    struct device *device;
    struct checkpoint *ck;
    struct model *m;
};

static int open_model(struct opened *o, const char *dir, enum model_task task, struct error *err)
{
    *o = (struct opened){0};
    int rc = device_open(&o->device, DEVICE_CPU, &(struct device_options){.n_thread = 1}, err);
    if (!rc)
        rc = checkpoint_open(&o->ck, dir, err);
    return rc ? rc
              : model_open(&o->m, o->device, o->ck, &(struct model_options){.dtype = DTYPE_F32, .task = task}, err);
}

static void close_model(struct opened *o)
{
    model_close(o->m);
    checkpoint_close(o->ck);
    device_close(o->device);
}

static const int32_t ids[] = {1, 5, 9, 4, 7, 20, 30, 11};

static void score(const char *dir, float out[5])
{
    struct opened o;
    struct error err = {0};
    if (open_model(&o, dir, MODEL_LM, &err) || model_score(o.m, &(struct model_text){ids, 8, 3}, 1, out, &err))
        fail_msg("%s: %s", dir, err.message);
    close_model(&o);
}

static const struct tensor own_head = {"lm_head.weight", NULL, V, C, STORAGE_F32},
                           same_head = {"lm_head.weight", "model.embed_tokens.weight", V, C, STORAGE_F32};

static void a_stored_head_that_differs_is_used_whatever_the_flag_says(void **state)
{
    (void)state;
    float flag[5], no_flag[5], equal[5], none[5];
    score(write_model("tied_other", &(struct files){"LlamaForCausalLM", "true", 0, STORAGE_F32, &own_head}), flag);
    score(write_model("untied", &(struct files){"LlamaForCausalLM", "false", 0, STORAGE_F32, &own_head}), no_flag);
    score(write_model("tied_same", &(struct files){"LlamaForCausalLM", "true", 0, STORAGE_F32, &same_head}), equal);
    score(write_model("tied_none", &(struct files){"LlamaForCausalLM", "true", 0, STORAGE_F32, NULL}), none);
    assert_memory_equal(flag, no_flag, sizeof flag);
    assert_memory_equal(equal, none, sizeof equal);
    assert_memory_not_equal(flag, equal, sizeof flag);
}

static void a_model_without_prefix_embeds_as_with_it(void **state)
{
    (void)state;
    struct error err = {0};
    float x[2][C];
    for (int bare = 0; bare < 2; bare++) {
        struct opened o;
        const struct files files = {"LlamaModel", "false", bare, STORAGE_F32, bare ? NULL : &own_head};
        const char *dir = write_model("bare", &files);
        if (open_model(&o, dir, MODEL_BODY, &err) ||
            model_embed(o.m, &(struct model_text){ids, 8, 0}, 1, 1, x[bare], &err))
            fail_msg("%s", err.message);
        close_model(&o);
    }
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    struct opened o;
    assert_int_equal(open_model(&o, write_model("bare", &(struct files){"LlamaModel", "false", 1, STORAGE_F32, NULL}),
                                MODEL_LM, &err),
                     ERROR_DATA);
    assert_non_null(strstr(err.message, "lm_head.weight"));
    close_model(&o);
}

static void a_tensor_that_is_not_computed_with_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct tensor t;
        int harmless;
    } cases[] = {
        {{"model.layers.0.self_attn.q_proj.bias", NULL, C, 0, STORAGE_F32}, 0},
        {{"model.layers.0.mlp.down_proj.scale", NULL, C, 0, STORAGE_F32}, 0},
        {{"model.layers.1.input_layernorm.weight", NULL, C, 0, STORAGE_F32}, 0},
        {{"model.layers.0.self_attn.q_norm.weight", NULL, C / 2, 0, STORAGE_F32}, 0},
        {{"model.norm.bias", NULL, C, 0, STORAGE_F32}, 0},
        {{"lm_head.bias", NULL, V, 0, STORAGE_F32}, 0},
        {{"model.layers.0.self_attn.rotary_emb.inv_freq", NULL, 4, 0, STORAGE_F32}, 1},
        {{"v_head.summary.weight", NULL, 1, C, STORAGE_F32}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opened o;
        struct error err = {0};
        int rc = open_model(
            &o, write_model("unused", &(struct files){"LlamaForCausalLM", "true", 0, STORAGE_F32, &cases[i].t}),
            MODEL_LM, &err);
        close_model(&o);
        if (cases[i].harmless ? rc != 0 : rc != ERROR_DATA || !strstr(err.message, cases[i].t.name))
            fail_msg("%s: %d \"%s\"", cases[i].t.name, rc, err.message);
    }
}

static void check_types(const char *dir)
{
    struct checkpoint *ck;
    struct error err = {0};
    assert_int_equal(checkpoint_open(&ck, dir, &err), 0);
    for (size_t i = 0; i < checkpoint_n_tensor(ck); i++) {
        const struct tensor_info *t = checkpoint_tensor(ck, i);
        enum storage want = t->n_dim == 1 ? STORAGE_F32 : STORAGE_BF16;
        if (!strcmp(t->name, "lm_head.weight"))
            want = STORAGE_F16;
        if (t->storage != want)
            fail_msg("%s is %s", t->name, storage_name(t->storage));
    }
    assert_int_equal(checkpoint_n_tensor(ck), N_BODY + 1);
    checkpoint_close(ck);
}

/* Matrices in bf16, norms in f32, a head in f16: so they stand after convert, and after a step of training that changes
 * nothing; with the same values. */
static void each_tensor_is_saved_in_the_type_it_was_read_in(void **state)
{
    (void)state;
    const struct tensor half_head = {"lm_head.weight", NULL, V, C, STORAGE_F16};
    const char *from = write_model("mixed", &(struct files){"LlamaForCausalLM", "true", 0, STORAGE_BF16, &half_head});
    char converted[1200], trained[1200];
    snprintf(converted, sizeof converted, "%s", check_tmpdir("mixed_converted"));
    snprintf(trained, sizeof trained, "%s", check_tmpdir("mixed_trained"));
    struct opened o;
    struct error err = {0};
    struct train_options options;
    struct train_data data = {0};
    struct train_result result;
    float before[5], after[5];
    if (open_model(&o, from, MODEL_LM, &err) ||
        hf_dir_config(converted, checkpoint_config(o.ck), checkpoint_dtype(o.ck), &err) ||
        hf_dir_weights_as_read(converted, o.ck, checkpoint_dtype(o.ck), &err))
        fail_msg("%s", err.message);
    check_types(converted);
    train_options_default(&options);
    options.dtype = DTYPE_F32;
    options.learning_rate = 1e-12;
    options.max_steps = 1;
    assert_int_equal(train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(o.m), .max_length = 32},
                                        ids, 8, 2, "one", &err),
                     0);
    struct train_job job = {.model = o.m, .source = o.ck, .data = &data, .options = &options, .directory = trained};
    if (train_run(&job, &result, &err))
        fail_msg("%s", err.message);
    train_data_free(&data);
    close_model(&o);
    check_types(trained);
    score(from, before);
    score(converted, after);
    assert_memory_equal(before, after, sizeof before);
    score(trained, after);
    assert_memory_equal(before, after, sizeof before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_head_that_differs_is_used_whatever_the_flag_says),
        cmocka_unit_test(a_model_without_prefix_embeds_as_with_it),
        cmocka_unit_test(a_tensor_that_is_not_computed_with_is_refused_by_name),
        cmocka_unit_test(each_tensor_is_saved_in_the_type_it_was_read_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
