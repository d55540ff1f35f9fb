/* SPDX-License-Identifier: Apache-2.0 */
/* Names are those of llama.cpp's conversion scripts and loader, and of transformers' checkpoints. */
#include "io/gguf_arch.h"

#include <math.h>
#include <string.h>

enum { W = GGUF_WEIGHT, B = GGUF_BIAS };

#define TOP(gguf, hf, parts, change) \
    {                                \
        gguf, hf, 0, parts, change   \
    }
#define LAYER(gguf, hf, parts, change) \
    {                                  \
        gguf, hf, 1, parts, change     \
    }
#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

static const struct gguf_name llama_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_AS_IS),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_norm", "input_layernorm", W, GGUF_AS_IS),
    LAYER("attn_q", "self_attn.q_proj", W | B, GGUF_PAIRS_Q),
    LAYER("attn_k", "self_attn.k_proj", W | B, GGUF_PAIRS_K),
    LAYER("attn_v", "self_attn.v_proj", W | B, GGUF_AS_IS),
    LAYER("attn_output", "self_attn.o_proj", W | B, GGUF_AS_IS),
    LAYER("ffn_norm", "post_attention_layernorm", W, GGUF_AS_IS),
    LAYER("ffn_gate", "mlp.gate_proj", W | B, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.up_proj", W | B, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W | B, GGUF_AS_IS),
};
static const struct gguf_name qwen_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_AS_IS),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_norm", "input_layernorm", W, GGUF_AS_IS),
    LAYER("attn_q", "self_attn.q_proj", W | B, GGUF_AS_IS),
    LAYER("attn_k", "self_attn.k_proj", W | B, GGUF_AS_IS),
    LAYER("attn_v", "self_attn.v_proj", W | B, GGUF_AS_IS),
    LAYER("attn_q_norm", "self_attn.q_norm", W, GGUF_AS_IS),
    LAYER("attn_k_norm", "self_attn.k_norm", W, GGUF_AS_IS),
    LAYER("attn_output", "self_attn.o_proj", W, GGUF_AS_IS),
    LAYER("ffn_norm", "post_attention_layernorm", W, GGUF_AS_IS),
    LAYER("ffn_gate", "mlp.gate_proj", W, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.up_proj", W, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W, GGUF_AS_IS),
};
static const struct gguf_name gemma_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_PLUS_ONE),
    LAYER("attn_norm", "input_layernorm", W, GGUF_PLUS_ONE),
    LAYER("attn_q", "self_attn.q_proj", W, GGUF_AS_IS),
    LAYER("attn_k", "self_attn.k_proj", W, GGUF_AS_IS),
    LAYER("attn_v", "self_attn.v_proj", W, GGUF_AS_IS),
    LAYER("attn_output", "self_attn.o_proj", W, GGUF_AS_IS),
    LAYER("ffn_norm", "post_attention_layernorm", W, GGUF_PLUS_ONE),
    LAYER("ffn_gate", "mlp.gate_proj", W, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.up_proj", W, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W, GGUF_AS_IS),
};
/* Gemma 2 and 3: a norm before and after each half. */
static const struct gguf_name sandwich_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_PLUS_ONE),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_norm", "input_layernorm", W, GGUF_PLUS_ONE),
    LAYER("attn_q", "self_attn.q_proj", W, GGUF_AS_IS),
    LAYER("attn_k", "self_attn.k_proj", W, GGUF_AS_IS),
    LAYER("attn_v", "self_attn.v_proj", W, GGUF_AS_IS),
    LAYER("attn_q_norm", "self_attn.q_norm", W, GGUF_PLUS_ONE),
    LAYER("attn_k_norm", "self_attn.k_norm", W, GGUF_PLUS_ONE),
    LAYER("attn_output", "self_attn.o_proj", W, GGUF_AS_IS),
    LAYER("post_attention_norm", "post_attention_layernorm", W, GGUF_PLUS_ONE),
    LAYER("ffn_norm", "pre_feedforward_layernorm", W, GGUF_PLUS_ONE),
    LAYER("ffn_gate", "mlp.gate_proj", W, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.up_proj", W, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W, GGUF_AS_IS),
    LAYER("post_ffw_norm", "post_feedforward_layernorm", W, GGUF_PLUS_ONE),
};
static const struct gguf_name phi3_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_AS_IS),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_norm", "input_layernorm", W, GGUF_AS_IS),
    LAYER("attn_qkv", "self_attn.qkv_proj", W, GGUF_AS_IS),
    LAYER("attn_output", "self_attn.o_proj", W, GGUF_AS_IS),
    LAYER("ffn_norm", "post_attention_layernorm", W, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.gate_up_proj", W, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W, GGUF_AS_IS),
};
static const struct gguf_name olmo2_names[] = {
    TOP("token_embd", "model.embed_tokens", W, GGUF_AS_IS),
    TOP("output_norm", "model.norm", W, GGUF_AS_IS),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_q", "self_attn.q_proj", W, GGUF_AS_IS),
    LAYER("attn_k", "self_attn.k_proj", W, GGUF_AS_IS),
    LAYER("attn_v", "self_attn.v_proj", W, GGUF_AS_IS),
    LAYER("attn_q_norm", "self_attn.q_norm", W, GGUF_AS_IS),
    LAYER("attn_k_norm", "self_attn.k_norm", W, GGUF_AS_IS),
    LAYER("attn_output", "self_attn.o_proj", W, GGUF_AS_IS),
    LAYER("post_attention_norm", "post_attention_layernorm", W, GGUF_AS_IS),
    LAYER("ffn_gate", "mlp.gate_proj", W, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.up_proj", W, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.down_proj", W, GGUF_AS_IS),
    LAYER("post_ffw_norm", "post_feedforward_layernorm", W, GGUF_AS_IS),
};

static const struct gguf_name gpt2_names[] = {
    TOP("token_embd", "transformer.wte", W, GGUF_AS_IS),
    TOP("position_embd", "transformer.wpe", W, GGUF_AS_IS),
    TOP("output_norm", "transformer.ln_f", W | B, GGUF_AS_IS),
    TOP("output", "lm_head", W, GGUF_AS_IS),
    LAYER("attn_norm", "ln_1", W | B, GGUF_AS_IS),
    LAYER("attn_qkv", "attn.c_attn", W | B, GGUF_TURNED),
    LAYER("attn_output", "attn.c_proj", W | B, GGUF_TURNED),
    LAYER("ffn_norm", "ln_2", W | B, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.c_fc", W | B, GGUF_TURNED),
    LAYER("ffn_down", "mlp.c_proj", W | B, GGUF_TURNED),
};
static const char *const gpt2_aliases[] = {"hidden_size",
                                           "n_embd",
                                           "num_hidden_layers",
                                           "n_layer",
                                           "num_attention_heads",
                                           "n_head",
                                           "intermediate_size",
                                           "n_inner",
                                           "max_position_embeddings",
                                           "n_positions",
                                           "rms_norm_eps",
                                           "layer_norm_epsilon",
                                           NULL};
static const struct gguf_name neox_names[] = {
    TOP("token_embd", "gpt_neox.embed_in", W, GGUF_AS_IS),
    TOP("output_norm", "gpt_neox.final_layer_norm", W | B, GGUF_AS_IS),
    TOP("output", "embed_out", W, GGUF_AS_IS),
    LAYER("attn_norm", "input_layernorm", W | B, GGUF_AS_IS),
    LAYER("attn_qkv", "attention.query_key_value", W | B, GGUF_QKV),
    LAYER("attn_output", "attention.dense", W | B, GGUF_AS_IS),
    LAYER("ffn_norm", "post_attention_layernorm", W | B, GGUF_AS_IS),
    LAYER("ffn_up", "mlp.dense_h_to_4h", W | B, GGUF_AS_IS),
    LAYER("ffn_down", "mlp.dense_4h_to_h", W | B, GGUF_AS_IS),
};
static const char *const neox_aliases[] = {"rms_norm_eps", "layer_norm_eps", "rope_theta", "rotary_emb_base", NULL};
static const struct gguf_setting neox_settings[] = {
    {"use_parallel_residual", "use_parallel_residual", GGUF_KIND_BOOL, 0},
};
static const struct gguf_name bert_names[] = {
    TOP("token_embd", "embeddings.word_embeddings", W, GGUF_AS_IS),
    TOP("position_embd", "embeddings.position_embeddings", W, GGUF_AS_IS),
    TOP("token_types", "embeddings.token_type_embeddings", W, GGUF_AS_IS),
    TOP("token_embd_norm", "embeddings.LayerNorm", W | B, GGUF_AS_IS),
    LAYER("attn_q", "attention.self.query", W | B, GGUF_AS_IS),
    LAYER("attn_k", "attention.self.key", W | B, GGUF_AS_IS),
    LAYER("attn_v", "attention.self.value", W | B, GGUF_AS_IS),
    LAYER("attn_output", "attention.output.dense", W | B, GGUF_AS_IS),
    LAYER("attn_output_norm", "attention.output.LayerNorm", W | B, GGUF_AS_IS),
    LAYER("ffn_up", "intermediate.dense", W | B, GGUF_AS_IS),
    LAYER("ffn_down", "output.dense", W | B, GGUF_AS_IS),
    LAYER("layer_output_norm", "output.LayerNorm", W | B, GGUF_AS_IS),
};
static const char *const bert_aliases[] = {"rms_norm_eps", "layer_norm_eps", NULL};

static const struct gguf_setting gemma2_settings[] = {
    {"attention.sliding_window", "sliding_window", GGUF_KIND_INT, 4096},
    {"attn_logit_softcapping", "attn_logit_softcapping", GGUF_KIND_FLOAT, 50},
    {"final_logit_softcapping", "final_logit_softcapping", GGUF_KIND_FLOAT, 30},
};
static const struct gguf_setting gemma3_settings[] = {
    {"attention.sliding_window", "sliding_window", GGUF_KIND_INT, (double)NAN},
    {"final_logit_softcapping", "final_logit_softcapping", GGUF_KIND_FLOAT, (double)NAN},
    {"rope.freq_base_swa", "rope_local_base_freq", GGUF_KIND_FLOAT, 10000},
};
static const struct gguf_setting phi3_settings[] = {
    {"attention.sliding_window", "sliding_window", GGUF_KIND_INT, (double)NAN},
};

#define SILU "{\"hidden_act\": \"silu\", \"attention_bias\": false, \"mlp_bias\": false}"
#define GEMMA_ACT "\"hidden_activation\": \"gelu_pytorch_tanh\", \"attention_bias\": false"
static const struct gguf_arch archs[] = {
    {.name = "llama",
     .model_type = "llama",
     .class = "LlamaForCausalLM",
     .layer = "model.layers.",
     .names = llama_names,
     .n_name = COUNT(llama_names),
     .fixed = SILU,
     .biases = 1},
    /* written as the architecture above, which llama.cpp runs it with */
    {.name = "llama",
     .model_type = "mistral",
     .class = "MistralForCausalLM",
     .layer = "model.layers.",
     .names = llama_names,
     .n_name = COUNT(llama_names),
     .fixed = SILU},
    {.name = "qwen2",
     .model_type = "qwen2",
     .class = "Qwen2ForCausalLM",
     .layer = "model.layers.",
     .names = qwen_names,
     .n_name = COUNT(qwen_names),
     .fixed = "{\"hidden_act\": \"silu\"}",
     .square = 1,
     .no_frequencies = 1},
    {.name = "qwen3",
     .model_type = "qwen3",
     .class = "Qwen3ForCausalLM",
     .layer = "model.layers.",
     .names = qwen_names,
     .n_name = COUNT(qwen_names),
     .fixed = "{\"hidden_act\": \"silu\", \"attention_bias\": false}",
     .no_frequencies = 1},
    {.name = "gemma",
     .model_type = "gemma",
     .class = "GemmaForCausalLM",
     .layer = "model.layers.",
     .names = gemma_names,
     .n_name = COUNT(gemma_names),
     .fixed = "{\"hidden_act\": \"gelu_pytorch_tanh\", " GEMMA_ACT "}",
     .no_frequencies = 1},
    {.name = "gemma2",
     .model_type = "gemma2",
     .class = "Gemma2ForCausalLM",
     .layer = "model.layers.",
     .names = sandwich_names,
     .n_name = COUNT(sandwich_names),
     .settings = gemma2_settings,
     .n_setting = COUNT(gemma2_settings),
     .fixed = "{" GEMMA_ACT "}",
     .scale_layers = 46,
     .window_pattern = 2,
     .no_frequencies = 1},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .class = "Gemma3ForCausalLM",
     .layer = "model.layers.",
     .names = sandwich_names,
     .n_name = COUNT(sandwich_names),
     .settings = gemma3_settings,
     .n_setting = COUNT(gemma3_settings),
     .fixed = "{" GEMMA_ACT "}",
     .scale_layers = 62,
     .window_pattern = 6,
     .no_frequencies = 1},
    {.name = "phi3",
     .model_type = "phi3",
     .class = "Phi3ForCausalLM",
     .layer = "model.layers.",
     .names = phi3_names,
     .n_name = COUNT(phi3_names),
     .settings = phi3_settings,
     .n_setting = COUNT(phi3_settings),
     .fixed = "{\"hidden_act\": \"silu\"}",
     .rotary = "partial_rotary_factor",
     .window_unused = 1,
     .longrope = 1,
     .square = 1,
     .no_frequencies = 1},
    {.name = "olmo2",
     .model_type = "olmo2",
     .class = "Olmo2ForCausalLM",
     .layer = "model.layers.",
     .names = olmo2_names,
     .n_name = COUNT(olmo2_names),
     .fixed = "{\"hidden_act\": \"silu\", \"attention_bias\": false}",
     .headed = 1,
     .square = 1,
     .no_frequencies = 1},
    {.name = "smollm3",
     .model_type = "smollm3",
     .class = "SmolLM3ForCausalLM",
     .layer = "model.layers.",
     .names = llama_names,
     .n_name = COUNT(llama_names),
     .fixed =
         "{\"hidden_act\": \"silu\", \"attention_bias\": false, \"mlp_bias\": false, \"no_rope_layer_interval\": 4}",
     .no_frequencies = 1},
    {
        .name = "gpt2",
        .model_type = "gpt2",
        .class = "GPT2LMHeadModel",
        .layer = "transformer.h.",
        .names = gpt2_names,
        .n_name = COUNT(gpt2_names),
        .fixed = "{\"activation_function\": \"gelu_new\"}",
        .aliases = gpt2_aliases,
        .layer_norm = 1,
        .positions = 1,
        .square = 1,
    },
    {
        .name = "gptneox",
        .model_type = "gpt_neox",
        .class = "GPTNeoXForCausalLM",
        .layer = "gpt_neox.layers.",
        .names = neox_names,
        .n_name = COUNT(neox_names),
        .settings = neox_settings,
        .n_setting = COUNT(neox_settings),
        .fixed = "{\"hidden_act\": \"gelu\", \"attention_bias\": true}",
        .aliases = neox_aliases,
        .layer_norm = 1,
        .rotary = "rotary_pct",
        .headed = 1,
        .square = 1,
        .no_frequencies = 1,
    },
    {
        .name = "bert",
        .model_type = "bert",
        .class = "BertModel",
        .layer = "encoder.layer.",
        .names = bert_names,
        .n_name = COUNT(bert_names),
        .fixed = "{\"hidden_act\": \"gelu\"}",
        .aliases = bert_aliases,
        .layer_norm = 1,
        .encoder = 1,
        .positions = 1,
        .square = 1,
    },
};

const struct gguf_arch *gguf_arch_find(const char *name, size_t n)
{
    for (int i = 0; i < COUNT(archs); i++)
        if (strlen(archs[i].name) == n && !memcmp(archs[i].name, name, n))
            return &archs[i];
    return NULL;
}

const struct gguf_arch *gguf_arch_of_type(const char *model_type)
{
    for (int i = 0; i < COUNT(archs); i++)
        if (!strcmp(archs[i].model_type, model_type))
            return &archs[i];
    return NULL;
}

const char *gguf_arch_names(void)
{
    return "llama, qwen2, qwen3, gemma, gemma2, gemma3, phi3, olmo2, smollm3, gpt2, gptneox or bert";
}

/* Does text begin with name and end in one of its parts? */
static int fits(const struct gguf_name *n, const char *name, const char *text, const char **tail)
{
    size_t k = strlen(name);
    if (strncmp(text, name, k))
        return 0;
    *tail = text + k;
    return (n->parts & GGUF_WEIGHT && !strcmp(*tail, ".weight")) || (n->parts & GGUF_BIAS && !strcmp(*tail, ".bias"));
}

const struct gguf_name *gguf_arch_tensor(const struct gguf_arch *a, const char *part, int of_layer, const char **tail)
{
    for (int i = 0; i < a->n_name; i++)
        if (a->names[i].of_layer == of_layer && fits(&a->names[i], a->names[i].gguf, part, tail))
            return &a->names[i];
    return NULL;
}

const struct gguf_name *gguf_arch_hf_tensor(const struct gguf_arch *a, const char *part, int of_layer,
                                            const char **tail)
{
    for (int i = 0; i < a->n_name; i++)
        if (a->names[i].of_layer == of_layer && fits(&a->names[i], a->names[i].hf, part, tail))
            return &a->names[i];
    return NULL;
}

const struct gguf_setting *gguf_arch_setting(const struct gguf_arch *a, const char *suffix)
{
    for (int i = 0; i < a->n_setting; i++)
        if (!strcmp(a->settings[i].suffix, suffix))
            return &a->settings[i];
    return NULL;
}
