/* SPDX-License-Identifier: Apache-2.0 */
#include "model/families.h"

#include <string.h>

#define PART(p) (1u << PART_##p)
enum { PLAIN = PART(ATTN_NORM) | PART(QKV) | PART(O) | PART(MLP_NORM) | PART(GATE_UP) | PART(DOWN) };

static const struct family_tensor llama_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "input_layernorm.weight"},
    {PART_QKV, ROWS_Q, "self_attn.q_proj.weight"},
    {PART_QKV, ROWS_K, "self_attn.k_proj.weight"},
    {PART_QKV, ROWS_V, "self_attn.v_proj.weight"},
    {PART_QKV_BIAS, ROWS_Q, "self_attn.q_proj.bias"},
    {PART_QKV_BIAS, ROWS_K, "self_attn.k_proj.bias"},
    {PART_QKV_BIAS, ROWS_V, "self_attn.v_proj.bias"},
    {PART_O, ROWS_ALL, "self_attn.o_proj.weight"},
    {PART_O_BIAS, ROWS_ALL, "self_attn.o_proj.bias"},
    {PART_MLP_NORM, ROWS_ALL, "post_attention_layernorm.weight"},
    {PART_GATE_UP, ROWS_GATE, "mlp.gate_proj.weight"},
    {PART_GATE_UP, ROWS_UP, "mlp.up_proj.weight"},
    {PART_GATE_UP_BIAS, ROWS_GATE, "mlp.gate_proj.bias"},
    {PART_GATE_UP_BIAS, ROWS_UP, "mlp.up_proj.bias"},
    {PART_DOWN, ROWS_ALL, "mlp.down_proj.weight"},
    {PART_DOWN_BIAS, ROWS_ALL, "mlp.down_proj.bias"},
};
static const struct family_switch llama_switches[] = {
    {NULL, 1, PLAIN},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
    {"mlp_bias", 0, PART(GATE_UP_BIAS) | PART(DOWN_BIAS)},
};

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))
static const struct family families[] = {
    {
        .type = "llama", .lm = "LlamaForCausalLM", .base = "LlamaModel", .classify = "LlamaForSequenceClassification", .score = "LlamaForScore",
        .score2 = "LlamaModelForScore", .embed = "model.embed_tokens.weight", .final_norm = "model.norm.weight", .head = "lm_head.weight",
        .layer = "model.layers.%d.", .tensors = llama_tensors, .n_tensor = COUNT(llama_tensors), .switches = llama_switches, .n_switch = COUNT(llama_switches),
        .norm = NORM_RMS, .eps = "rms_norm_eps", .eps_missing = 1e-6, .place = PLACE_PRE, .gated = 1, .act = "silu",
    },
};

static const struct family *extra;

void family_set_extra(const struct family *f)
{
    extra = f;
}

const struct family *family_find(const char *type)
{
    if (extra && !strcmp(extra->type, type))
        return extra;
    for (int i = 0; i < COUNT(families); i++)
        if (!strcmp(families[i].type, type))
            return &families[i];
    return NULL;
}

const char *family_names(void)
{
    return "\"llama\"";
}

/* transformers' ACT2FN (tests/golden/families/activations.json has its values). */
int activation_find(const char *name)
{
    static const struct { const char *name; enum activation act; } names[] = {
        {"silu", ACT_SILU}, {"swish", ACT_SILU}, {"relu", ACT_RELU}, {"gelu", ACT_GELU}, {"gelu_python", ACT_GELU}, {"gelu_new", ACT_GELU_TANH},
        {"gelu_fast", ACT_GELU_TANH}, {"gelu_accurate", ACT_GELU_TANH}, {"gelu_pytorch_tanh", ACT_GELU_TANH}, {"gelu_python_tanh", ACT_GELU_TANH},
        {"gelu_10", ACT_GELU_10}, {"quick_gelu", ACT_QUICK_GELU}, {"relu2", ACT_RELU2}, {"relu6", ACT_RELU6}, {"leaky_relu", ACT_LEAKY_RELU}, {"hardswish", ACT_HARDSWISH},
        {"sigmoid", ACT_SIGMOID}, {"tanh", ACT_TANH}, {"mish", ACT_MISH}, {"laplace", ACT_LAPLACE}, {"linear", ACT_LINEAR},
    };
    for (int i = 0; i < COUNT(names); i++)
        if (!strcmp(names[i].name, name))
            return (int)names[i].act;
    return -1;
}
