/* SPDX-License-Identifier: Apache-2.0 */
/* What a GGUF file says beside the usual: honoured as llama.cpp does, or refused with the name. Files are written here,
 * key by key. */
#include "check.h"

#include "base/buf.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/gguf.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { C = 16, HEADS = 4, D = 4, F = 8, V = 6, LAYERS = 2 };

struct key {
    const char *name;
    enum gguf_type type;
    double number;
    const char *text;
};
/* rows 0: a vector */
struct shape {
    const char *name;
    int rows, columns;
};

static void put_u32(struct buf *b, uint32_t v)
{
    buf_append(b, (char *)&v, 4);
}
static void put_u64(struct buf *b, uint64_t v)
{
    buf_append(b, (char *)&v, 8);
}

static void put_string(struct buf *b, const char *s)
{
    put_u64(b, strlen(s));
    buf_puts(b, s);
}

static void put_key(struct buf *b, const struct key *k)
{
    float f = (float)k->number;
    uint32_t u = (uint32_t)k->number;
    put_string(b, k->name);
    put_u32(b, k->type);
    if (k->type == GGUF_STRING)
        put_string(b, k->text);
    else if (k->type == GGUF_BOOL)
        buf_putc(b, (char)k->number);
    else if (k->type == GGUF_ARRAY) { /* as many of the number as there are layers */
        put_u32(b, GGUF_U32);
        put_u64(b, LAYERS);
        for (int i = 0; i < LAYERS; i++)
            put_u32(b, u);
    } else
        buf_append(b, k->type == GGUF_F32 ? (char *)&f : (char *)&u, 4);
}

static const struct key usual[] = {
    {"general.architecture", GGUF_STRING, 0, "llama"},
    {"llama.context_length", GGUF_U32, 64, NULL},
    {"llama.embedding_length", GGUF_U32, C, NULL},
    {"llama.block_count", GGUF_U32, LAYERS, NULL},
    {"llama.feed_forward_length", GGUF_U32, F, NULL},
    {"llama.attention.head_count", GGUF_U32, HEADS, NULL},
    {"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 1e-5, NULL},
};

static uint32_t first_type; /* of the first tensor, by its number in ggml */

/* Element e of tensor t is 100 t + its row: rows can be told apart. rope_freqs: all `constant`. */
static void write_gguf(const char *path, const struct key *extra, int n_extra, const struct shape *more, float constant)
{
    static const struct shape layer[] = {
        {"attn_norm.weight", 0, C}, {"attn_q.weight", C, C},      {"attn_k.weight", C, C},
        {"attn_v.weight", C, C},    {"attn_output.weight", C, C}, {"ffn_norm.weight", 0, C},
        {"ffn_gate.weight", F, C},  {"ffn_up.weight", F, C},      {"ffn_down.weight", C, F}};
    struct shape all[32] = {{"token_embd.weight", V, C}, {"output_norm.weight", 0, C}};
    char names[LAYERS * 9][64];
    struct buf b = BUF_INIT, data = BUF_INIT;
    int n = 2, n_usual = sizeof usual / sizeof *usual, replaced = 0;
    for (int i = 0; i < LAYERS * 9; i++, n++) {
        snprintf(names[i], sizeof names[i], "blk.%d.%s", i / 9, layer[i % 9].name);
        all[n] = layer[i % 9];
        all[n].name = names[i];
    }
    if (more)
        all[n++] = *more;
    for (int i = 0; i < n_usual; i++)
        for (int j = 0; j < n_extra; j++)
            replaced += !strcmp(usual[i].name, extra[j].name);
    buf_append(&b, "GGUF", 4);
    put_u32(&b, 3);
    put_u64(&b, (uint64_t)n);
    put_u64(&b, (uint64_t)(n_usual + n_extra - replaced));
    for (int i = 0; i < n_usual; i++) {
        int given = 0;
        for (int j = 0; j < n_extra; j++)
            given |= !strcmp(usual[i].name, extra[j].name);
        if (!given)
            put_key(&b, &usual[i]);
    }
    for (int j = 0; j < n_extra; j++)
        put_key(&b, &extra[j]);
    for (int t = 0; t < n; t++) {
        put_string(&b, all[t].name);
        put_u32(&b, all[t].rows ? 2 : 1);
        put_u64(&b, (uint64_t)all[t].columns);
        if (all[t].rows)
            put_u64(&b, (uint64_t)all[t].rows);
        put_u32(&b, t ? 0 : first_type);
        put_u64(&b, data.len);
        for (int r = 0; r < (all[t].rows ? all[t].rows : 1); r++)
            for (int i = 0; i < all[t].columns; i++) {
                float v = strstr(all[t].name, "rope_freqs") ? constant : (float)(100 * t + r);
                buf_append(&data, (char *)&v, 4);
            }
        while (data.len % 32)
            buf_putc(&data, 0);
    }
    while (b.len % 32)
        buf_putc(&b, 0);
    buf_append(&b, data.data, data.len);
    assert_int_equal(file_write(path, b.data, b.len, NULL), 0);
    buf_free(&b);
    buf_free(&data);
}

static char path[256];

static int open_with(struct checkpoint **ck, const struct key *extra, int n_extra, const struct shape *more,
                     float constant, struct error *err)
{
    write_gguf(path, extra, n_extra, more, constant);
    return checkpoint_open(ck, path, err);
}

/* llama.cpp's conversion stores the rows 0, 1, 2, 3 of a head of 4 as 0, 2, 1, 3; without head_count_kv there are as
 * many key heads as heads. */
static void keys_are_put_back_in_order_without_head_count_kv(void **state)
{
    (void)state;
    static const int order[4] = {0, 2, 1, 3};
    struct error err = {0};
    struct checkpoint *ck;
    if (open_with(&ck, NULL, 0, NULL, 0, &err))
        fail_msg("%s", err.message);
    assert_int_equal(json_integer_value(json_object_get(checkpoint_config(ck), "num_key_value_heads")), HEADS);
    for (int which = 0; which < 2; which++) {
        const struct tensor_info *t = checkpoint_find(ck, which ? "model.layers.0.self_attn.k_proj.weight"
                                                                : "model.layers.0.self_attn.q_proj.weight");
        float row[C];
        for (int r = 0; r < C; r++) {
            assert_int_equal(checkpoint_read_f32(ck, t, r, 1, row, &err), 0);
            assert_true(row[0] == (float)(100 * (3 + which) + r / D * D + order[r % D]));
        }
    }
    checkpoint_close(ck);
}

/* The factor of linear scaling that llama.cpp would take (llama-model.cpp: linear where no type is given, the old key
 * where the new one is absent, none turns it off); 0: none. */
static void linear_scaling_is_found_under_all_its_names(void **state)
{
    (void)state;
    static const struct {
        struct key keys[2];
        int n;
        float freqs;
        double factor;
    } cases[] = {
        {{{"llama.rope.scaling.factor", GGUF_F32, 2.5, NULL}}, 1, 0, 2.5},
        {{{"llama.rope.scale_linear", GGUF_F32, 4, NULL}}, 1, 0, 4},
        {{{"llama.rope.scale_linear", GGUF_F32, 4, NULL}, {"llama.rope.scaling.factor", GGUF_F32, 2, NULL}}, 2, 0, 2},
        {{{"llama.rope.scaling.type", GGUF_STRING, 0, "none"}, {"llama.rope.scaling.factor", GGUF_F32, 2, NULL}},
         2,
         0,
         0},
        {{{"llama.rope.scaling.type", GGUF_STRING, 0, "linear"}, {"llama.rope.scale_linear", GGUF_F32, 8, NULL}},
         2,
         0,
         8},
        {{{"llama.rope.scaling.factor", GGUF_F32, 0, NULL}}, 1, 0, 0},
        {{{"llama.rope.scaling.factor", GGUF_F32, 2, NULL}}, 1, 3, 6},
        {{{"llama.rope.freq_base", GGUF_F32, 500, NULL}}, 1, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct checkpoint *ck;
        struct shape freqs = {"rope_freqs.weight", 0, D / 2};
        if (open_with(&ck, cases[i].keys, cases[i].n, cases[i].freqs > 0 ? &freqs : NULL, cases[i].freqs, &err))
            fail_msg("case %zu: %s", i, err.message);
        const json_t *scaling = json_object_get(checkpoint_config(ck), "rope_scaling");
        if (cases[i].factor == 0)
            assert_true(!scaling || json_is_null(scaling));
        else if (json_number_value(json_object_get(scaling, "factor")) != cases[i].factor ||
                 strcmp(json_string_value(json_object_get(scaling, "rope_type")), "linear"))
            fail_msg("case %zu", i);
        checkpoint_close(ck);
    }
}

static void what_would_change_the_numbers_is_refused_by_name(void **state)
{
    (void)state;
    static const struct key bad_keys[] = {
        {"llama.attention.causal", GGUF_BOOL, 0, NULL},
        {"llama.attention.scale", GGUF_F32, 0.3, NULL},
        {"llama.attention.value_length", GGUF_U32, 8, NULL},
        {"llama.attention.sliding_window", GGUF_U32, 16, NULL},
        {"llama.attention.clamp_kqv", GGUF_F32, 8, NULL},
        {"llama.attention.max_alibi_bias", GGUF_F32, 8, NULL},
        {"llama.expert_count", GGUF_U32, 8, NULL},
        {"llama.logit_scale", GGUF_F32, 0.5, NULL},
        {"llama.embedding_scale", GGUF_F32, 12, NULL},
        {"llama.final_logit_softcapping", GGUF_F32, 30, NULL},
        {"llama.use_parallel_residual", GGUF_BOOL, 1, NULL},
        {"llama.rope.dimension_count", GGUF_U32, 2, NULL},
        {"llama.rope.scaling.attn_factor", GGUF_F32, -1.2, NULL},
        {"llama.rope.scaling.type", GGUF_STRING, 0, "longrope"},
        {"llama.rope.scaling.type", GGUF_U32, 1, NULL},
        {"llama.rope.scaling.factor", GGUF_F32, -2, NULL},
        {"llama.tensor_data_layout", GGUF_STRING, 0, "interleaved"},
        {"llama.something_new", GGUF_F32, 2, NULL},
        {"llama.block_count", GGUF_U32, 1, NULL},
        {"llama.pooling_type", GGUF_U32, 3, NULL},
    };
    static const struct shape bad_tensors[] = {
        {"blk.0.attn_output.bias", 0, C}, {"blk.1.ffn_down.scale", 0, 1},       {"blk.0.ffn_gate_inp.weight", 2, C},
        {"output_norm.bias", 0, C},       {"rope_factors_long.weight", 0, 2},   {"blk.0.rope_freqs.weight", 0, 2},
        {"blk.2.attn_norm.weight", 0, C}, {"blk.0.attn_sub_norm.weight", 0, C}, {"token_types.weight", 2, C},
    };
    struct checkpoint *ck;
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++) {
        struct error err = {0};
        int rc = open_with(&ck, &bad_keys[i], 1, NULL, 0, &err);
        if (rc != ERROR_DATA || !strstr(err.message, strchr(bad_keys[i].name, '.') + 1))
            fail_msg("%s: %d \"%s\"", bad_keys[i].name, rc, err.message);
    }
    for (size_t i = 0; i < sizeof bad_tensors / sizeof *bad_tensors; i++) {
        struct error err = {0};
        int rc = open_with(&ck, NULL, 0, &bad_tensors[i], 1, &err);
        if (rc != ERROR_DATA || !strstr(err.message, bad_tensors[i].name))
            fail_msg("%s: %d \"%s\"", bad_tensors[i].name, rc, err.message);
    }
}

static void a_quantisation_that_is_not_read_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct {
        uint32_t number;
        const char *name;
    } types[] = {{16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},    {19, "IQ1_S"}, {20, "IQ4_NL"},
                 {21, "IQ3_S"},   {22, "IQ2_S"},  {23, "IQ4_XS"},     {29, "IQ1_M"}, {9, "Q8_1"},
                 {15, "Q8_K"},    {41, "Q1_0"},   {777, "number 777"}};
    struct checkpoint *ck;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct error err = {0};
        first_type = types[i].number;
        int rc = open_with(&ck, NULL, 0, NULL, 0, &err);
        if (rc != ERROR_DATA || !strstr(err.message, types[i].name) || !strstr(err.message, "token_embd.weight"))
            fail_msg("%s: %d \"%s\"", types[i].name, rc, err.message);
    }
    first_type = 0;
}

static void what_changes_nothing_stops_nobody(void **state)
{
    (void)state;
    static const struct key good[] = {
        {"llama.attention.causal", GGUF_BOOL, 1, NULL},
        {"llama.attention.scale", GGUF_F32, 0.5, NULL},
        {"llama.attention.value_length", GGUF_U32, D, NULL},
        {"llama.expert_count", GGUF_U32, 0, NULL},
        {"llama.logit_scale", GGUF_F32, 1, NULL},
        {"llama.vocab_size", GGUF_U32, V, NULL},
        {"llama.rope.dimension_count", GGUF_U32, D, NULL},
        {"llama.attention.head_count", GGUF_ARRAY, HEADS, NULL},
        {"llama.attention.layer_norm_epsilon", GGUF_F32, 1e-5, NULL},
        {"llama.attention.sliding_window", GGUF_U32, 64, NULL},
        {"llama.tensor_data_layout", GGUF_STRING, 0, "Meta AI original pth"},
        {"llama.rope.scaling.finetuned", GGUF_BOOL, 1, NULL},
        {"general.name", GGUF_STRING, 0, "x"},
        {"other.attention.scale", GGUF_F32, 3, NULL},
    };
    struct checkpoint *ck;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct error err = {0};
        if (open_with(&ck, &good[i], 1, NULL, 0, &err))
            fail_msg("%s: \"%s\"", good[i].name, err.message);
        checkpoint_close(ck);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_put_back_in_order_without_head_count_kv),
        cmocka_unit_test(linear_scaling_is_found_under_all_its_names),
        cmocka_unit_test(what_would_change_the_numbers_is_refused_by_name),
        cmocka_unit_test(a_quantisation_that_is_not_read_is_refused_by_its_name),
        cmocka_unit_test(what_changes_nothing_stops_nobody),
    };
    snprintf(path, sizeof path, "/tmp/isara_test_gguf.%d.gguf", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
