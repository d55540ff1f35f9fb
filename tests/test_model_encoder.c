/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders against transformers' hidden states and sentence-transformers' pooled vectors (tests/golden/families, made
 * by tools/golden_encoders.py), what modules.json and the files beside it say, and what is refused. */
#include "check.h"

#include "io/file.h"
#include "io/jsontext.h"
#include "model/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct device *device;
static int open_device(void **state)
{
    (void)state;
    return device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL);
}
static int close_device(void **state)
{
    (void)state;
    device_close(device);
    return 0;
}

static void copy_into(const char *dir, const char *name, const char *file)
{
    char from[300], to[600];
    snprintf(from, sizeof from, "tests/golden/families/%s/%s", name, file);
    snprintf(to, sizeof to, "%s/%s", dir, file);
    assert_int_equal(file_copy(from, to, NULL), 0);
}

static void write_text(const char *dir, const char *file, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A copy of the golden model with a sentence encoder's files beside it; each may be NULL: not there. */
struct beside {
    const char *modules, *pooling, *length, *prompt, *tokenizer;
};
static const char *make_directory(const char *name, const struct beside *b)
{
    static char dir[300];
    char inner[400];
    snprintf(dir, sizeof dir, "%s", check_tmpdir("encoder"));
    snprintf(inner, sizeof inner, "%s/1_Pooling", dir);
    assert_int_equal(mkdir(inner, 0777), 0);
    copy_into(dir, name, "config.json");
    copy_into(dir, name, "model.safetensors");
    if (b->modules)
        write_text(dir, "modules.json", b->modules);
    if (b->pooling)
        write_text(inner, "config.json", b->pooling);
    if (b->length)
        write_text(dir, "sentence_bert_config.json", b->length);
    if (b->prompt)
        write_text(dir, "config_sentence_transformers.json", b->prompt);
    if (b->tokenizer)
        write_text(dir, "tokenizer_config.json", b->tokenizer);
    return dir;
}

static int open_as(const char *dir, enum model_task task, struct model **m, struct error *err)
{
    struct checkpoint *ck = NULL;
    *m = NULL;
    int rc = checkpoint_open(&ck, dir, err);
    rc = rc ? rc
            : model_open(m, device, ck, &(struct model_options){.dtype = DTYPE_F32, .task = task, .check_finite = 1},
                         err);
    checkpoint_close(ck);
    return rc;
}

static struct model *open_body(const char *dir)
{
    struct model *m;
    struct error err = {0};
    if (open_as(dir, MODEL_BODY, &m, &err))
        fail_msg("%s", err.message);
    return m;
}

static int ids_of(const json_t *text, int32_t *ids)
{
    const json_t *list = json_object_get(text, "ids");
    for (size_t j = 0; j < json_array_size(list); j++)
        ids[j] = (int32_t)json_integer_value(json_array_get(list, j));
    return (int)json_array_size(list);
}

static void compare(const float *got, const json_t *wanted, const char *what)
{
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        double w = json_number_value(json_array_get(wanted, i));
        if (!(fabs((double)got[i] - w) < 1e-5))
            fail_msg("%s, number %zu: %g, wanted %g", what, i, (double)got[i], w);
    }
}

enum { MOST = 160 }; /* tokens of a text */

static void check_hidden(const struct model *m, const json_t *text, const char *name)
{
    struct rows rows;
    struct model_batch b;
    struct model_workspace *w;
    struct queue *q = device_queue(device);
    struct span hidden;
    int32_t ids[MOST];
    float got[MOST * 64];
    int n = ids_of(text, ids), c = model_desc(m)->n_embd;
    assert_int_equal(rows_new(&rows, device, MOST + 4, 2, NULL), 0);
    assert_true(rows_add(&rows, (const int32_t[]){4, 11, 2}, 3) >= 0); /* one before it, which must not be seen */
    int first = rows_add(&rows, ids, n);
    if (model_desc(m)->pad_position)
        rows_skip_pads(&rows, first, model_desc(m)->pad_id);
    assert_int_equal(model_workspace_new(&w, m, rows.n_row, rows.n_row, NULL), 0);
    rows_upload(&rows, q);
    rows_batch(&rows, &b);
    model_forward(m, q, w, &b, &hidden);
    queue_download(q, got, span_at(hidden, (size_t)first * (size_t)c * 4), (size_t)n * (size_t)c * 4);
    assert_int_equal(queue_wait(q, NULL), 0);
    compare(got, json_object_get(text, "hidden"), name);
    rows_free(&rows);
    model_workspace_free(w);
}

static void check_pooled(const char *name, const struct beside *b, const json_t *texts, const char *mode)
{
    struct model *m = open_body(make_directory(name, b));
    size_t i;
    const json_t *text;
    json_array_foreach((json_t *)texts, i, text)
    {
        int32_t ids[MOST];
        float got[64];
        int n = ids_of(text, ids);
        assert_int_equal(model_embed(m, &(struct model_text){ids, n, 0}, 1, 0, got, NULL), 0);
        compare(got, json_object_get(json_object_get(text, "pooled"), mode), mode);
    }
    model_close(m);
}

/* The table of positions holds those of pad_token_id and of what is before it too. */
static void robertas_context_is_shorter_than_its_table(void **state)
{
    (void)state;
    int32_t ids[40];
    float got[18];
    struct error err = {0};
    struct model *m = open_body("tests/golden/families/roberta");
    for (int i = 0; i < 40; i++)
        ids[i] = 4 + i;
    assert_int_equal(model_desc(m)->n_ctx, 38);
    assert_int_equal(model_embed(m, &(struct model_text){ids, 38, 0}, 1, 0, got, &err), 0);
    assert_true(model_embed(m, &(struct model_text){ids, 39, 0}, 1, 0, got, &err) != 0);
    assert_non_null(strstr(err.message, "context holds 38"));
    model_close(m);
    m = open_body("tests/golden/families/roberta_masked"); /* its pad_token_id is 3 */
    assert_int_equal(model_desc(m)->n_ctx, 36);
    model_close(m);
    json_t *config;
    struct model_desc d;
    assert_int_equal(jsontext_load(&config, "tests/golden/families/roberta/config.json", 1 << 20, &err), 0);
    json_object_set_new(config, "max_position_embeddings", json_integer(2));
    assert_true(model_desc_parse(&d, config, "short", &err) != 0);
    assert_non_null(strstr(err.message, "pad_token_id"));
    json_decref(config);
    assert_int_equal(jsontext_load(&config, "tests/golden/families/mpnet/config.json", 1 << 20, &err), 0);
    json_object_set_new(config, "pad_token_id", json_integer(3)); /* its positions begin behind 1 nevertheless */
    assert_true(model_desc_parse(&d, config, "mpnet", &err) != 0);
    assert_non_null(strstr(err.message, "pad_token_id"));
    json_decref(config);
}

#define MODULE(type, path) \
    "{\"idx\":0,\"name\":\"0\",\"path\":\"" path "\",\"type\":\"sentence_transformers." type "\"}"
#define PLAIN "[" MODULE("models.Transformer", "") "," MODULE("models.Pooling", "1_Pooling") "]"

static void hidden_states_and_every_pooling_are_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"bert",        "bert_masked",        "roberta", "roberta_masked",
                                        "xlm_roberta", "xlm_roberta_masked", "mpnet",   "mpnet_masked"};
    static const struct {
        const char *mode, *config;
    } poolings[] = {
        {"mean", NULL},
        {"mean", "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_max_tokens\":false}"},
        {"max", "{\"pooling_mode_cls_token\":false,\"pooling_mode_max_tokens\":true}"},
        {"cls", "{\"pooling_mode\":\"cls\"}"},
        {"lasttoken", "{\"pooling_mode\":[\"lasttoken\"],\"include_prompt\":true}"},
        {"mean_sqrt_len_tokens", "{\"pooling_mode_mean_sqrt_len_tokens\":true}"},
    };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char path[300];
        json_t *values, *text;
        size_t i;
        snprintf(path, sizeof path, "tests/golden/families/%s", names[k]);
        struct model *m = open_body(path);
        snprintf(path, sizeof path, "tests/golden/families/%s/values.json", names[k]);
        assert_int_equal(jsontext_load(&values, path, 1 << 20, NULL), 0);
        json_array_foreach(json_object_get(values, "texts"), i, text) check_hidden(m, text, names[k]);
        model_close(m);
        for (size_t p = 0; p < sizeof poolings / sizeof *poolings; p++)
            check_pooled(names[k],
                         &(struct beside){poolings[p].config ? PLAIN : NULL, poolings[p].config, NULL, NULL, NULL},
                         json_object_get(values, "texts"), poolings[p].mode);
        json_decref(values);
    }
}

static const char mean[] = "{\"pooling_mode_mean_tokens\":true}";

static void the_files_beside_a_model_say_how_long_and_how_texts_are(void **state)
{
    (void)state;
    static const char modules[] = "[" MODULE("models.Transformer", "") "," MODULE(
        "sentence_transformer.modules.pooling.Pooling", "1_Pooling") "," MODULE("models.Normalize", "2_Normalize") "]";
    struct model *m = open_body(make_directory(
        "bert", &(struct beside){modules, mean, "{\"max_seq_length\":24,\"do_lower_case\":true}",
                                 "{\"prompts\":{\"query\":\"query: \"},\"default_prompt_name\":\"query\"}",
                                 "{\"model_max_length\":30}"}));
    const struct model_sentence *s = &model_desc(m)->sentence;
    float x[32];
    double sum = 0;
    assert_true(s->given && s->normalize && s->lower_case && s->max_length == 24);
    assert_string_equal(s->prompt, "query: ");
    assert_int_equal(model_embed(m, &(struct model_text){(const int32_t[]){3, 4}, 2, 0}, 1, 0, x, NULL), 0);
    for (int i = 0; i < 21; i++)
        sum += (double)x[i] * (double)x[i];
    assert_true(fabs(sum - 1) < 1e-6);
    model_close(m);
    m = open_body(make_directory("bert", &(struct beside){PLAIN, mean, NULL, NULL, "{\"model_max_length\":30}"}));
    assert_int_equal(model_desc(m)->sentence.max_length, 30);
    assert_false(model_desc(m)->sentence.normalize);
    model_close(m);
    m = open_body(make_directory(
        "bert", &(struct beside){PLAIN, mean, NULL, NULL, "{\"model_max_length\":1000000000000000019884624838656}"}));
    assert_int_equal(model_desc(m)->sentence.max_length, 40);
    model_close(m);
}

static void refused(const struct beside *b, enum model_task task, const char *words)
{
    struct model *m;
    struct error err = {0};
    assert_true(open_as(make_directory("bert", b), task, &m, &err) != 0);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" has no \"%s\"", err.message, words);
}

static void what_is_not_computed_is_refused_by_name(void **state)
{
    (void)state;
    refused(&(struct beside){"[" MODULE("models.Transformer", "") "," MODULE("models.Pooling", "1_Pooling") "," MODULE(
                                 "models.Dense", "2_Dense") "]",
                             mean, NULL, NULL, NULL},
            MODEL_BODY, "models.Dense");
    refused(&(struct beside){PLAIN, "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}", NULL, NULL,
                             NULL},
            MODEL_BODY, "pooling_mode");
    refused(&(struct beside){PLAIN, "{\"pooling_mode_weightedmean_tokens\":true}", NULL, NULL, NULL}, MODEL_BODY,
            "weightedmean");
    refused(&(struct beside){PLAIN, NULL, NULL, NULL, NULL}, MODEL_BODY, "1_Pooling/config.json");
    refused(&(struct beside){"[" MODULE("models.Transformer", "") "," MODULE("models.Pooling", "../x") "]", mean, NULL,
                             NULL, NULL},
            MODEL_BODY, "models.Pooling");
    refused(&(struct beside){PLAIN, "{\"pooling_mode_mean_tokens\":true,\"word_embedding_dimension\":384}", NULL, NULL,
                             NULL},
            MODEL_BODY, "word_embedding_dimension");
    refused(&(struct beside){PLAIN, mean, "{\"max_seq_length\":512}", NULL, NULL}, MODEL_BODY, "max_seq_length");
    refused(&(struct beside){PLAIN, mean, NULL, "{\"prompts\":{},\"default_prompt_name\":\"query\"}", NULL}, MODEL_BODY,
            "default_prompt_name");
    refused(&(struct beside){NULL, NULL, NULL, NULL, NULL}, MODEL_LM, "encoder");
    refused(&(struct beside){NULL, NULL, NULL, NULL, NULL}, MODEL_CLASSIFY, "encoder");
    refused(&(struct beside){NULL, NULL, NULL, NULL, NULL}, MODEL_REWARD, "encoder");
}

static void keys_that_change_an_encoder_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } keys[] = {{"is_decoder", "true"},
                {"position_embedding_type", "\"relative_key\""},
                {"add_cross_attention", "true"},
                {"hidden_act", "\"xielu\""}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *config;
        struct model_desc d;
        struct error err = {0};
        assert_int_equal(jsontext_load(&config, "tests/golden/families/bert/config.json", 1 << 20, NULL), 0);
        assert_int_equal(model_desc_parse(&d, config, "bert", &err), 0);
        assert_int_equal(d.task, MODEL_BODY);
        json_object_set_new(config, keys[i].key, json_loads(keys[i].value, JSON_DECODE_ANY, NULL));
        assert_true(model_desc_parse(&d, config, "bert", &err) != 0);
        assert_non_null(strstr(err.message, keys[i].key));
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_and_every_pooling_are_transformers),
        cmocka_unit_test(robertas_context_is_shorter_than_its_table),
        cmocka_unit_test(the_files_beside_a_model_say_how_long_and_how_texts_are),
        cmocka_unit_test(what_is_not_computed_is_refused_by_name),
        cmocka_unit_test(keys_that_change_an_encoder_are_refused),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
