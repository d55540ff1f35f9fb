/* SPDX-License-Identifier: Apache-2.0 */
/* Families that differ from LLaMA in every field of their rows: whole texts, generation over the paged cache, and every
 * parameter's gradient against the double-precision oracle. The rows are made up; together they set every switch both
 * ways. */
#include "check.h"

#include "generate/generate.h"
#include "gradients.h"
#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PART(p) (1u << PART_##p)
enum {
    MATRICES = PART(QKV) | PART(O) | PART(GATE_UP) | PART(DOWN),
    BIASES = PART(QKV_BIAS) | PART(O_BIAS) | PART(GATE_UP_BIAS) | PART(DOWN_BIAS)
};
enum {
    BEFORE = PART(ATTN_NORM) | PART(MLP_NORM),
    BEFORE_BIASES = PART(ATTN_NORM_BIAS) | PART(MLP_NORM_BIAS),
    BEHIND = PART(ATTN_POST) | PART(MLP_POST)
};
enum { BEHIND_BIASES = PART(ATTN_POST_BIAS) | PART(MLP_POST_BIAS), HEADS = PART(Q_NORM) | PART(K_NORM) };

static const struct family_tensor tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "n1.w"},
    {PART_ATTN_NORM_BIAS, ROWS_ALL, "n1.b"},
    {PART_QKV, ROWS_Q, "q.w"},
    {PART_QKV, ROWS_K, "k.w"},
    {PART_QKV, ROWS_V, "v.w"},
    {PART_QKV_BIAS, ROWS_Q, "q.b"},
    {PART_QKV_BIAS, ROWS_K, "k.b"},
    {PART_QKV_BIAS, ROWS_V, "v.b"},
    {PART_Q_NORM, ROWS_ALL, "qn.w"},
    {PART_K_NORM, ROWS_ALL, "kn.w"},
    {PART_O, ROWS_ALL, "o.w"},
    {PART_O_BIAS, ROWS_ALL, "o.b"},
    {PART_ATTN_POST, ROWS_ALL, "p1.w"},
    {PART_ATTN_POST_BIAS, ROWS_ALL, "p1.b"},
    {PART_MLP_NORM, ROWS_ALL, "n2.w"},
    {PART_MLP_NORM_BIAS, ROWS_ALL, "n2.b"},
    {PART_GATE_UP, ROWS_GATE, "gate.w"},
    {PART_GATE_UP, ROWS_UP, "up.w"},
    {PART_GATE_UP_BIAS, ROWS_GATE, "gate.b"},
    {PART_GATE_UP_BIAS, ROWS_UP, "up.b"},
    {PART_DOWN, ROWS_ALL, "down.w"},
    {PART_DOWN_BIAS, ROWS_ALL, "down.b"},
    {PART_MLP_POST, ROWS_ALL, "p2.w"},
    {PART_MLP_POST_BIAS, ROWS_ALL, "p2.b"},
};
static const struct family_alias aliases[] = {{"hidden_size", "width"},
                                              {"num_hidden_layers", "depth"},
                                              {"intermediate_size", "inner"},
                                              {"hidden_act", "activation"}};

/* Heads one after the other in one matrix. */
static const struct family_tensor fused[] = {
    {PART_ATTN_NORM, ROWS_ALL, "n1.w"}, {PART_ATTN_NORM_BIAS, ROWS_ALL, "n1.b"},
    {PART_QKV, ROWS_HEADS, "qkv.w"},    {PART_QKV_BIAS, ROWS_HEADS, "qkv.b"},
    {PART_O, ROWS_ALL, "o.w"},          {PART_O_BIAS, ROWS_ALL, "o.b"},
    {PART_MLP_NORM, ROWS_ALL, "n2.w"},  {PART_MLP_NORM_BIAS, ROWS_ALL, "n2.b"},
    {PART_GATE_UP, ROWS_ALL, "up.w"},   {PART_GATE_UP_BIAS, ROWS_ALL, "up.b"},
    {PART_DOWN, ROWS_ALL, "down.w"},    {PART_DOWN_BIAS, ROWS_ALL, "down.b"},
};

#define ROW                                                                                                           \
    .type = "made-up", .lm = "MadeUpForCausalLM", .classify = "MadeUpForSequenceClassification", .embed = "tokens.w", \
    .head = "head.w", .layer = "block.%d.", .n_switch = 1, .aliases = aliases, .n_alias = 4, .eps = "epsilon",        \
    .eps_missing = 1e-4
#define APART .tensors = tensors, .n_tensor = sizeof tensors / sizeof *tensors
#define FUSED .tensors = fused, .n_tensor = sizeof fused / sizeof *fused
#define SWITCHES(parts_)                       \
    .switches = (const struct family_switch[]) \
    {                                          \
        {                                      \
            NULL, 1, parts_                    \
        }                                      \
    }

static const struct family rows[] = {
    {/* layer norms and biases everywhere, learned positions, no gate */
     ROW, APART, SWITCHES(MATRICES | BIASES | BEFORE | BEFORE_BIASES), .final_norm = "last.w",
     .final_norm_bias = "last.b", .positions = "positions.w", .position_offset = 2, .norm = NORM_LAYER, .transposed = 1,
     .act = "relu2"},
    /* four norms a layer that multiply by 1 + w, scaled embedding, caps, alternating windows, a scale of its own,
     * the other gelu in the gate */
    {ROW, APART, SWITCHES(MATRICES | BEFORE | BEHIND), .final_norm = "last.w", .norm = NORM_RMS,
     .place = PLACE_SANDWICH, .gated = 1, .norm_offset = 1, .scaled_embedding = 1, .attention_cap = "cap",
     .logit_cap = "last_cap", .attention_scalar = "scalar", .window = "window", .window_pattern = 2,
     .local_theta = "local_theta", .act = "gelu_pytorch_tanh"},
    {/* parallel halves, part of a head rotates, biases, no gate */
     ROW, FUSED, SWITCHES(MATRICES | BIASES | BEFORE | BEFORE_BIASES), .final_norm = "last.w",
     .final_norm_bias = "last.b", .norm = NORM_LAYER, .parallel = 1, .rotary = "share", .rotary_missing = 0.5,
     .act = "gelu"},
    {/* norms behind the products only, queries and keys normalised as rows, a window in every layer */
     ROW, APART, SWITCHES(MATRICES | BEHIND | HEADS), .final_norm = "last.w", .norm = NORM_RMS, .place = PLACE_POST,
     .gated = 1, .qk_norm = QK_ROW, .window = "window", .act = "tanh"},
    {/* norms behind the sums and none at the end, heads normalised, biases of queries, keys and values */
     ROW, APART, SWITCHES(MATRICES | PART(QKV_BIAS) | BEHIND | BEHIND_BIASES | HEADS), .norm = NORM_LAYER,
     .place = PLACE_AFTER, .gated = 1, .qk_norm = QK_HEAD, .rotary_layers = "rotates", .act = "silu"},
    {/* attention sees what comes behind too */
     ROW, APART, SWITCHES(MATRICES | BEFORE | PART(O_BIAS)), .final_norm = "last.w", .norm = NORM_RMS, .gated = 1,
     .bidirectional = 1, .act = "gelu"},
    {/* a narrow embedding between projections, norms without weights */
     ROW, APART, SWITCHES(MATRICES | BIASES), .project_in = "in.w", .project_out = "out.w", .embed_width = "word",
     .affine = "affine", .final_norm = "last.w", .norm = NORM_LAYER, .act = "gelu"},
    {/* the same with norms behind the sums, which a key says */
     ROW, APART, SWITCHES(MATRICES | BEFORE | BEHIND), .project_in = "in.w", .project_out = "out.w",
     .embed_width = "word", .place_switch = "affine", .place_off = PLACE_AFTER, .final_norm = "last.w",
     .norm = NORM_LAYER, .gated = 1, .act = "silu"},
};
enum { N_FAMILY = sizeof rows / sizeof *rows, N_ROW = 3 };

static int32_t ids[N_ROW][12] = {{3, 7, 7, 1, 20, 4, 2, 9, 9}, {9, 2, 5}, {5, 6, 28, 0, 0, 11, 12, 13, 2, 8, 1}};
static uint8_t targets[N_ROW][12] = {{0, 0, 0, 1, 1, 1, 1, 1, 1}, {0, 1, 1}, {0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1}};
static const struct train_row train_rows[N_ROW] = {{.ids = ids[0], .target = targets[0], .n = 9, .label = 1},
                                                   {.ids = ids[1], .target = targets[1], .n = 3, .label = 2},
                                                   {.ids = ids[2], .target = targets[2], .n = 11, .label = 1}};

static struct device *device;
static int open_device(void **state)
{
    (void)state;
    return device_open(&device, DEVICE_CPU, &(struct device_options){.n_thread = 2}, NULL);
}
static int close_device(void **state)
{
    (void)state;
    family_set_extra(NULL);
    device_close(device);
    return 0;
}

/* Vectors would begin at 0 and 1: all get values of their own. flat: what the model then holds. */
static void stir(struct model *m, double *flat)
{
    struct buffer *b;
    struct queue *q = device_queue(device);
    size_t n = (size_t)m->n_element;
    float *single = malloc(n * sizeof *single);
    for (int i = 0; i < m->n_param; i++)
        for (int64_t j = m->params[i].offset; m->params[i].ndim == 1 && j < m->params[i].offset + m->params[i].count;
             j++)
            flat[j] = (double)(float)(flat[j] + 0.3 * sin((double)(7 * j + i)));
    for (size_t i = 0; i < n; i++)
        single[i] = (float)flat[i];
    assert_int_equal(buffer_new(&b, device, n * 4, "masters", NULL), 0);
    queue_upload(q, (struct span){b, 0}, single, n * 4);
    model_pack(m, q, (struct span){b, 0}, 0);
    assert_int_equal(queue_wait(q, NULL), 0);
    buffer_free(b);
    free(single);
}

static struct model *made_up_as(const struct family *f, const char *class, double **flat)
{
    struct model *m;
    struct error err = {0};
    json_t *config = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:f, s:i, s:f, s:f, s:f, s:i, s:f, s:[i,i,i], s:i, s:b}",
        "architectures", class, "model_type", "made-up", "width", 20, "depth", 3, "num_attention_heads", 4,
        "num_key_value_heads", f->qk_norm == QK_ROW || f->tensors == fused ? 4 : 2, "head_dim", 8, "inner", 18,
        "vocab_size", 29, "tie_word_embeddings", f->parallel ? 0 : 1, "initializer_range", 0.25,
        "max_position_embeddings", 320, "cap", 1.5, "last_cap", 2.5, "scalar", 5.0, "window", 4, "local_theta", 50.0,
        "rotates", 1, 0, 1, "word", 13, "affine", 0);
    assert_non_null(config);
    family_set_extra(f);
    if (model_init(&m, device, config, "made up", &(struct model_options){.dtype = DTYPE_F32, .seed = 4}, &err))
        fail_msg("%s", err.message);
    json_decref(config);
    *flat = oracle_weights(m, 4);
    stir(m, *flat);
    return m;
}

static struct model *made_up(const struct family *f, double **flat)
{
    return made_up_as(f, f->lm, flat);
}

/* log p(ids[i]) under the oracle, i >= 1. */
static void oracle_logprobs(const struct model *m, const double *flat, const int32_t *text, int n, double *out)
{
    int c = model_width(&m->desc), v = m->desc.n_vocab;
    double *hidden = calloc((size_t)n * (size_t)(c + v), sizeof *hidden), *logits = hidden + n * c;
    oracle_hidden(m, flat, text, n, hidden);
    oracle_logits(m, flat, hidden, n, logits);
    for (int i = 1; i < n; i++) {
        double sum = 0, *z = logits + (i - 1) * v;
        for (int j = 0; j < v; j++)
            sum += exp(z[j]);
        out[i] = z[text[i]] - log(sum);
    }
    free(hidden);
}

static void texts_score_as_the_oracle_says(void **state)
{
    (void)state;
    for (int f = 0; f < N_FAMILY; f++) {
        double *flat, wanted[12];
        struct model *m = made_up(&rows[f], &flat);
        for (int i = 0; i < N_ROW; i++) {
            float got[12];
            struct model_text text = {ids[i], train_rows[i].n, 1};
            assert_int_equal(model_score(m, &text, 1, got, NULL), 0);
            oracle_logprobs(m, flat, ids[i], text.n, wanted);
            for (int j = 1; j < text.n; j++)
                if (!(fabs(wanted[j] - (double)got[j - 1]) < 2e-5))
                    fail_msg("family %d, text %d, token %d: %g, wanted %g", f, i, j, (double)got[j - 1], wanted[j]);
        }
        free(flat);
        model_close(m);
    }
}

struct generated {
    const struct model *m;
    const double *flat;
    const int32_t *prompt;
    int n_prompt, family;
};

/* Every generated token's log-probability is the oracle's for the whole text. */
static int check_generated(void *user, int index, const struct generate_result *r)
{
    const struct generated *g = user;
    (void)index;
    assert_int_equal(r->error.code, 0);
    int n = g->n_prompt + r->sequences[0].n;
    int32_t *text = malloc((size_t)n * sizeof *text);
    double *wanted = malloc((size_t)n * sizeof *wanted);
    memcpy(text, g->prompt, (size_t)g->n_prompt * sizeof *text);
    memcpy(text + g->n_prompt, r->sequences[0].ids, (size_t)r->sequences[0].n * sizeof *text);
    oracle_logprobs(g->m, g->flat, text, n, wanted);
    for (int i = g->n_prompt; i < n; i++)
        if (!(fabs(wanted[i] - (double)r->sequences[0].logprobs[i - g->n_prompt]) < 3e-5))
            fail_msg("family %d, generated token %d: %g, wanted %g", g->family, i,
                     (double)r->sequences[0].logprobs[i - g->n_prompt], wanted[i]);
    free(text);
    free(wanted);
    return 0;
}

static void generation_follows_the_oracle_beyond_a_chunk(void **state)
{
    (void)state;
    for (int f = 0; f < N_FAMILY; f++) {
        double *flat;
        int32_t prompt[270];
        if (rows[f].bidirectional) /* such a model reads, and does not write */
            continue;
        struct model *m = made_up(&rows[f], &flat);
        struct generate_engine *e;
        for (int i = 0; i < 270; i++)
            prompt[i] = (i * i + 3 * i) % 29;
        for (int n = 3; n <= 251; n += 248) {
            struct generate_request r = {.prompt = prompt, .n_prompt = n};
            struct generated g = {m, flat, prompt, n, f};
            generate_options_default(&r.options);
            r.options.max_new_tokens = 9;
            assert_int_equal(generate_engine_new(&e, m, NULL, NULL, NULL), 0);
            assert_int_equal(generate_run(e, &r, 1, check_generated, &g, NULL), 0);
            generate_engine_free(e);
        }
        free(flat);
        model_close(m);
    }
}

static void gradients_are_the_oracles_differences(void **state)
{
    (void)state;
    static const int ends[] = {1, N_ROW};
    for (int f = 0; f < N_FAMILY; f++) {
        char name[32];
        const struct gradient_rows r = {train_rows, N_ROW, name, 0.25f};
        double *flat, loss,
            again; /* what sees the tokens behind it has nothing to predict: it is trained as a classifier */
        struct model *m = made_up_as(&rows[f], rows[f].bidirectional ? rows[f].classify : rows[f].lm, &flat);
        float *got = gradients_of(m, &r, 0, ends, 2, &loss), *anew = gradients_of(m, &r, 1, ends, 2, &again);
        snprintf(name, sizeof name, "family %d", f);
        gradients_check(m, flat, &r, got, loss, &(struct gradient_bound){3e-5, 2e-6, INT64_MAX});
        assert_memory_equal(got, anew, (size_t)m->n_element * sizeof *got); /* activations computed again */
        assert_true(loss == again);
        free(got);
        free(anew);
        free(flat);
        model_close(m);
    }
}

/* Where the file has a row of queries, keys and values of four heads of 8. */
static int64_t in_heads(int64_t row)
{
    int64_t kind = row / 32, head = row / 8 % 4;
    return head * 24 + kind * 8 + row % 8;
}

/* The flat order from the file, by the names and the row alone. */
static double *flat_of_file(const struct model *m, const struct checkpoint *ck, const struct family *f)
{
    double *flat = calloc((size_t)m->n_element, sizeof *flat);
    float *values = malloc((size_t)m->n_element * sizeof *values);
    for (int i = 0; i < m->n_param; i++) {
        const struct model_param *p = &m->params[i];
        const struct tensor_info *info = checkpoint_find(ck, p->name);
        int by_heads = strstr(p->name, "qkv.") != NULL;
        int turned = f->transposed && p->ndim == 2 && !strncmp(p->name, "block.", 6);
        int64_t n = p->shape[0], k = p->ndim == 2 ? p->shape[1] : 1;
        assert_non_null(info);
        assert_int_equal(info->shape[0], turned ? k : n);
        assert_int_equal(checkpoint_read_f32(ck, info, 0, turned ? k : n, values, NULL), 0);
        for (int64_t j = 0; j < n * k; j++) {
            int64_t from = by_heads ? in_heads(j / k) * k + j % k : j;
            flat[p->offset + j] = (double)values[turned ? j % k * n + j / k : from];
        }
    }
    free(values);
    return flat;
}

/* What train writes of a made-up model is read back: the same scores, and those that the oracle has of the file's own
 * numbers. */
static void files_hold_what_the_row_says(void **state)
{
    (void)state;
    for (int f = 0; f < N_FAMILY; f++) {
        double *flat;
        struct model *m = made_up(&rows[f], &flat), *again = NULL;
        struct train_data data = {0};
        struct train_options o;
        struct train_result result;
        struct checkpoint *ck = NULL;
        struct error err = {0};
        char dir[300];
        float before[12], after[12];
        snprintf(dir, sizeof dir, "%s", check_tmpdir("families"));
        train_options_default(&o);
        o.dtype = DTYPE_F32;
        o.learning_rate = 0.001;
        o.max_steps = 2;
        for (int i = 0; i < N_ROW; i++)
            assert_int_equal(
                train_data_add_ids(&(struct row_maker){.data = &data, .desc = model_desc(m), .max_length = 32}, ids[i],
                                   train_rows[i].n, 2, "row", NULL),
                0);
        struct train_job job = {.model = m, .data = &data, .options = &o, .directory = dir};
        if (train_run(&job, &result, &err) || checkpoint_open(&ck, dir, &err) ||
            model_open(&again, device, ck, &(struct model_options){.dtype = DTYPE_F32}, &err))
            fail_msg("family %d: %s", f, err.message);
        struct model_text text = {ids[2], 11, 1};
        assert_int_equal(model_score(m, &text, 1, before, NULL), 0);
        assert_int_equal(model_score(again, &text, 1, after, NULL), 0);
        assert_memory_equal(before, after, 10 * sizeof *before);
        double *written = flat_of_file(again, ck, &rows[f]), wanted[12];
        oracle_logprobs(again, written, ids[2], 11, wanted);
        for (int j = 1; j < 11; j++)
            assert_true(fabs(wanted[j] - (double)before[j - 1]) < 2e-5);
        free(written);
        free(flat);
        train_data_free(&data);
        model_close(again);
        checkpoint_close(ck);
        model_close(m);
    }
}

/* Eight heads of 1024 that share a key head need more than the scratch that every device begins with: opening the model
 * has asked for it. */
static void wide_heads_have_room(void **state)
{
    (void)state;
    enum { LENGTH = 130 };
    static int32_t text[LENGTH];
    static float got[LENGTH];
    static double wanted[LENGTH];
    struct model *m;
    struct error err = {0};
    json_t *config = oracle_config("{\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":8,\"num_key_"
                                   "value_heads\":1,\"head_dim\":1024,"
                                   "\"intermediate_size\":8}");
    if (model_init(&m, device, config, "wide", &(struct model_options){.dtype = DTYPE_F32, .seed = 4}, &err))
        fail_msg("%s", err.message);
    double *flat = oracle_weights(m, 4);
    for (int i = 0; i < LENGTH; i++)
        text[i] = (i * i + 3 * i) % 29;
    assert_int_equal(model_score(m, &(struct model_text){text, LENGTH, 1}, 1, got, NULL), 0);
    oracle_logprobs(m, flat, text, LENGTH, wanted);
    for (int i = 1; i < LENGTH; i++)
        if (!(fabs(wanted[i] - (double)got[i - 1]) < 1e-4))
            fail_msg("token %d: %g, wanted %g", i, (double)got[i - 1], wanted[i]);
    json_decref(config);
    free(flat);
    model_close(m);
}

/* The names of a row's tensors are all there, and no others. */
static void parameters_have_the_rows_names(void **state)
{
    (void)state;
    double *flat;
    struct model *m = made_up(&rows[0], &flat);
    int learned = 0, gates = 0, biases = 0;
    for (int i = 0; i < m->n_param; i++) {
        learned += !strcmp(m->params[i].name, "positions.w") && m->params[i].shape[0] == 322;
        gates += strstr(m->params[i].name, "gate.") != NULL;
        biases += !strcmp(m->params[i].name, "block.2.k.b") && m->params[i].count == 16 && m->params[i].decay == 0;
    }
    assert_int_equal(learned, 1);
    assert_int_equal(gates, 0);
    assert_int_equal(biases, 1);
    assert_int_equal(m->n_param, 4 + 3 * 16);
    free(flat);
    model_close(m);
}

/* What the configuration says of single layers, and what new vectors hold. */
static void layers_and_new_vectors_are_as_the_row_says(void **state)
{
    (void)state;
    static const int caps[] = {LAYER_WINDOW | LAYER_SECOND_ROPE, 0, LAYER_WINDOW | LAYER_SECOND_ROPE},
                     after[] = {0, LAYER_NO_ROPE, 0};
    for (int f = 0; f < N_FAMILY; f++) {
        double *flat;
        struct model *m = made_up(&rows[f], &flat);
        for (int l = 0; l < 3; l++) {
            assert_true(f != 1 || m->desc.layers[l] == caps[l]);
            assert_true(f != 4 || m->desc.layers[l] == after[l]);
            assert_true(f != 3 || m->desc.layers[l] == LAYER_WINDOW);
            assert_true((f != 0 && f != 2) || m->desc.layers[l] == 0);
        }
        assert_true(f != 1 || fabs((double)m->desc.rotations[1].inv_freq[1] - pow(50, -2.0 / 8)) < 1e-7);
        for (int i = 0; i < m->n_param; i++) {
            const struct model_param *p = &m->params[i];
            size_t n = strlen(p->name);
            if (p->ndim == 1) /* norms multiply by 1 in the beginning, biases add nothing */
                assert_true(p->start == (!strcmp(p->name + n - 2, ".b") || rows[f].norm_offset == 1 ? 0 : 1));
        }
        free(flat);
        model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_score_as_the_oracle_says),
        cmocka_unit_test(generation_follows_the_oracle_beyond_a_chunk),
        cmocka_unit_test(gradients_are_the_oracles_differences),
        cmocka_unit_test(parameters_have_the_rows_names),
        cmocka_unit_test(wide_heads_have_room),
        cmocka_unit_test(layers_and_new_vectors_are_as_the_row_says),
        cmocka_unit_test(files_hold_what_the_row_says),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
