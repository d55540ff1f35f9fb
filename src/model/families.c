/* SPDX-License-Identifier: Apache-2.0 */
#include "model/families.h"

#define PART(p) (1u << PART_##p)
enum { PLAIN = PART(ATTN_NORM) | PART(QKV) | PART(O) | PART(MLP_NORM) | PART(GATE_UP) | PART(DOWN) };

static const struct family_tensor llama_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "input_layernorm.weight"}, {PART_QKV, ROWS_Q, "self_attn.q_proj.weight"},
    {PART_QKV, ROWS_K, "self_attn.k_proj.weight"},        {PART_QKV, ROWS_V, "self_attn.v_proj.weight"},
    {PART_QKV_BIAS, ROWS_Q, "self_attn.q_proj.bias"},     {PART_QKV_BIAS, ROWS_K, "self_attn.k_proj.bias"},
    {PART_QKV_BIAS, ROWS_V, "self_attn.v_proj.bias"},     {PART_Q_NORM, ROWS_ALL, "self_attn.q_norm.weight"},
    {PART_K_NORM, ROWS_ALL, "self_attn.k_norm.weight"},   {PART_O, ROWS_ALL, "self_attn.o_proj.weight"},
    {PART_O_BIAS, ROWS_ALL, "self_attn.o_proj.bias"},     {PART_MLP_NORM, ROWS_ALL, "post_attention_layernorm.weight"},
    {PART_GATE_UP, ROWS_GATE, "mlp.gate_proj.weight"},    {PART_GATE_UP, ROWS_UP, "mlp.up_proj.weight"},
    {PART_GATE_UP_BIAS, ROWS_GATE, "mlp.gate_proj.bias"}, {PART_GATE_UP_BIAS, ROWS_UP, "mlp.up_proj.bias"},
    {PART_DOWN, ROWS_ALL, "mlp.down_proj.weight"},        {PART_DOWN_BIAS, ROWS_ALL, "mlp.down_proj.bias"},
};
static const struct family_switch llama_switches[] = {
    {NULL, 1, PLAIN},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
    {"mlp_bias", 0, PART(GATE_UP_BIAS) | PART(DOWN_BIAS)},
};

static const struct family_tensor gemma2_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "input_layernorm.weight"},
    {PART_QKV, ROWS_Q, "self_attn.q_proj.weight"},
    {PART_QKV, ROWS_K, "self_attn.k_proj.weight"},
    {PART_QKV, ROWS_V, "self_attn.v_proj.weight"},
    {PART_QKV_BIAS, ROWS_Q, "self_attn.q_proj.bias"},
    {PART_QKV_BIAS, ROWS_K, "self_attn.k_proj.bias"},
    {PART_QKV_BIAS, ROWS_V, "self_attn.v_proj.bias"},
    {PART_Q_NORM, ROWS_ALL, "self_attn.q_norm.weight"},
    {PART_K_NORM, ROWS_ALL, "self_attn.k_norm.weight"},
    {PART_O, ROWS_ALL, "self_attn.o_proj.weight"},
    {PART_O_BIAS, ROWS_ALL, "self_attn.o_proj.bias"},
    {PART_ATTN_POST, ROWS_ALL, "post_attention_layernorm.weight"},
    {PART_MLP_NORM, ROWS_ALL, "pre_feedforward_layernorm.weight"},
    {PART_GATE_UP, ROWS_GATE, "mlp.gate_proj.weight"},
    {PART_GATE_UP, ROWS_UP, "mlp.up_proj.weight"},
    {PART_DOWN, ROWS_ALL, "mlp.down_proj.weight"},
    {PART_MLP_POST, ROWS_ALL, "post_feedforward_layernorm.weight"},
};
static const struct family_tensor phi3_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "input_layernorm.weight"}, {PART_QKV, ROWS_ALL, "self_attn.qkv_proj.weight"},
    {PART_O, ROWS_ALL, "self_attn.o_proj.weight"},        {PART_MLP_NORM, ROWS_ALL, "post_attention_layernorm.weight"},
    {PART_GATE_UP, ROWS_ALL, "mlp.gate_up_proj.weight"},  {PART_DOWN, ROWS_ALL, "mlp.down_proj.weight"},
};
static const struct family_switch olmo2_switches[] = {
    {NULL, 1,
     PART(QKV) | PART(Q_NORM) | PART(K_NORM) | PART(O) | PART(ATTN_POST) | PART(GATE_UP) | PART(DOWN) | PART(MLP_POST)},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
};
static const struct family_switch plain_switches[] = {{NULL, 1, PLAIN}};
static const struct family_switch gemma_switches[] = {{NULL, 1, PLAIN},
                                                      {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)}};
static const struct family_switch gemma2_switches[] = {
    {NULL, 1, PLAIN | PART(ATTN_POST) | PART(MLP_POST)},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
};
static const struct family_switch gemma3_switches[] = {
    {NULL, 1, PLAIN | PART(ATTN_POST) | PART(MLP_POST) | PART(Q_NORM) | PART(K_NORM)},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
};
static const struct family_switch qwen2_switches[] = {{NULL, 1, PLAIN | PART(QKV_BIAS)}};
static const struct family_switch qwen3_switches[] = {
    {NULL, 1, PLAIN | PART(Q_NORM) | PART(K_NORM)},
    {"attention_bias", 0, PART(QKV_BIAS) | PART(O_BIAS)},
};

static const struct family_default mistral_defaults[] = {
    {"num_key_value_heads", 8}, {"max_position_embeddings", 131072}, {"sliding_window", 4096}, {"bos_token_id", 1},
    {"eos_token_id", 2},
};
static const struct family_default qwen2_defaults[] = {
    {"num_key_value_heads", 32},
    {"max_position_embeddings", 32768},
    {"sliding_window", 4096},
    {"max_window_layers", 28},
};
static const struct family_default qwen3_defaults[] = {
    {"num_key_value_heads", 32}, {"max_position_embeddings", 32768},
    {"sliding_window", 4096},    {"max_window_layers", 28},
    {"head_dim", 128},
};
static const struct family_default gemma_defaults[] = {
    {"num_key_value_heads", 16}, {"max_position_embeddings", 8192},
    {"head_dim", 256},           {"tie_word_embeddings", 1},
    {"bos_token_id", 2},         {"eos_token_id", 1},
    {"pad_token_id", 0},
};
static const struct family_default gemma2_defaults[] = {
    {"num_key_value_heads", 4},
    {"max_position_embeddings", 8192},
    {"head_dim", 256},
    {"tie_word_embeddings", 1},
    {"sliding_window", 4096},
    {"query_pre_attn_scalar", 256},
    {"attn_logit_softcapping", 50},
    {"final_logit_softcapping", 30},
    {"bos_token_id", 2},
    {"eos_token_id", 1},
    {"pad_token_id", 0},
};
static const struct family_default gemma3_defaults[] = {
    {"vocab_size", 262208},
    {"num_attention_heads", 8},
    {"num_key_value_heads", 4},
    {"max_position_embeddings", 131072},
    {"head_dim", 256},
    {"tie_word_embeddings", 1},
    {"sliding_window", 4096},
    {"sliding_window_pattern", 6},
    {"query_pre_attn_scalar", 256},
    {"rope_theta", 1e6},
    {"rope_local_base_freq", 1e4},
    {"bos_token_id", 2},
    {"eos_token_id", 1},
    {"pad_token_id", 0},
};
static const struct family_default phi3_defaults[] = {
    {"max_position_embeddings", 4096},
    {"original_max_position_embeddings", 4096},
    {"bos_token_id", 1},
    {"eos_token_id", 32000},
    {"pad_token_id", 32000},
};
static const struct family_default smollm3_defaults[] = {
    {"num_key_value_heads", 4}, {"max_position_embeddings", 32768}, {"no_rope_layer_interval", 4},
    {"rope_theta", 2e6},        {"tie_word_embeddings", 1},         {"bos_token_id", 128000},
    {"eos_token_id", 128001},   {"pad_token_id", 128004},
};
static const struct family_default olmo2_defaults[] = {{"pad_token_id", 1}, {"eos_token_id", 50279}};
static const struct family_alias gemma2_aliases[] = {{"hidden_act", "hidden_activation"}};

/* Of BERT's descendants, with a comma behind it. */
#define ENCODER_MLP(norm)                                                                                            \
    {PART_GATE_UP, ROWS_ALL, "intermediate.dense.weight"}, {PART_GATE_UP_BIAS, ROWS_ALL, "intermediate.dense.bias"}, \
        {PART_DOWN, ROWS_ALL, "output.dense.weight"}, {PART_DOWN_BIAS, ROWS_ALL, "output.dense.bias"},               \
        {PART_MLP_POST, ROWS_ALL, "output." norm ".weight"}, {PART_MLP_POST_BIAS, ROWS_ALL, "output." norm ".bias"},
static const struct family_tensor bert_tensors[] = {{PART_QKV, ROWS_Q, "attention.self.query.weight"},
                                                    {PART_QKV, ROWS_K, "attention.self.key.weight"},
                                                    {PART_QKV, ROWS_V, "attention.self.value.weight"},
                                                    {PART_QKV_BIAS, ROWS_Q, "attention.self.query.bias"},
                                                    {PART_QKV_BIAS, ROWS_K, "attention.self.key.bias"},
                                                    {PART_QKV_BIAS, ROWS_V, "attention.self.value.bias"},
                                                    {PART_O, ROWS_ALL, "attention.output.dense.weight"},
                                                    {PART_O_BIAS, ROWS_ALL, "attention.output.dense.bias"},
                                                    {PART_ATTN_POST, ROWS_ALL, "attention.output.LayerNorm.weight"},
                                                    {PART_ATTN_POST_BIAS, ROWS_ALL, "attention.output.LayerNorm.bias"},
                                                    ENCODER_MLP("LayerNorm")};
enum { MATRICES = PART(QKV) | PART(O) | PART(GATE_UP) | PART(DOWN) };
enum { MATRIX_BIASES = PART(QKV_BIAS) | PART(O_BIAS) | PART(GATE_UP_BIAS) | PART(DOWN_BIAS) };
enum { POST_NORMS = PART(ATTN_POST) | PART(ATTN_POST_BIAS) | PART(MLP_POST) | PART(MLP_POST_BIAS) };
static const struct family_switch bert_switches[] = {{NULL, 1, MATRICES | MATRIX_BIASES | POST_NORMS}};
static const struct family_default bert_defaults[] = {
    {"max_position_embeddings", 512}, {"pad_token_id", 0}, {"type_vocab_size", 2}};
static const char *const bert_bodies[] = {"BertForMaskedLM", "BertForPreTraining", NULL};
static const struct family_alias bert_beginnings[] = {{"", "bert."}, {NULL, NULL}};
static const struct family_alias bert_endings[] = {
    {"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}, {NULL, NULL}};

static const struct family_default roberta_defaults[] = {
    {"max_position_embeddings", 512}, {"pad_token_id", 1}, {"bos_token_id", 0}, {"eos_token_id", 2},
    {"type_vocab_size", 2},
};
static const char *const roberta_bodies[] = {"RobertaForMaskedLM", NULL};
static const struct family_alias roberta_beginnings[] = {{"", "roberta."}, {NULL, NULL}};
static const char *const xlm_roberta_bodies[] = {"XLMRobertaForMaskedLM", NULL};

static const struct family_tensor mpnet_tensors[] = {{PART_QKV, ROWS_Q, "attention.attn.q.weight"},
                                                     {PART_QKV, ROWS_K, "attention.attn.k.weight"},
                                                     {PART_QKV, ROWS_V, "attention.attn.v.weight"},
                                                     {PART_QKV_BIAS, ROWS_Q, "attention.attn.q.bias"},
                                                     {PART_QKV_BIAS, ROWS_K, "attention.attn.k.bias"},
                                                     {PART_QKV_BIAS, ROWS_V, "attention.attn.v.bias"},
                                                     {PART_O, ROWS_ALL, "attention.attn.o.weight"},
                                                     {PART_O_BIAS, ROWS_ALL, "attention.attn.o.bias"},
                                                     {PART_ATTN_POST, ROWS_ALL, "attention.LayerNorm.weight"},
                                                     {PART_ATTN_POST_BIAS, ROWS_ALL, "attention.LayerNorm.bias"},
                                                     ENCODER_MLP("LayerNorm")};
static const struct family_default mpnet_defaults[] = {
    {"max_position_embeddings", 512}, {"pad_token_id", 1}, {"bos_token_id", 0}, {"eos_token_id", 2}};
static const char *const mpnet_bodies[] = {"MPNetForMaskedLM", NULL};
static const struct family_alias mpnet_beginnings[] = {{"", "mpnet."}, {NULL, NULL}};

static const struct family_tensor gpt2_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "ln_1.weight"},   {PART_ATTN_NORM_BIAS, ROWS_ALL, "ln_1.bias"},
    {PART_QKV, ROWS_ALL, "attn.c_attn.weight"},  {PART_QKV_BIAS, ROWS_ALL, "attn.c_attn.bias"},
    {PART_O, ROWS_ALL, "attn.c_proj.weight"},    {PART_O_BIAS, ROWS_ALL, "attn.c_proj.bias"},
    {PART_MLP_NORM, ROWS_ALL, "ln_2.weight"},    {PART_MLP_NORM_BIAS, ROWS_ALL, "ln_2.bias"},
    {PART_GATE_UP, ROWS_ALL, "mlp.c_fc.weight"}, {PART_GATE_UP_BIAS, ROWS_ALL, "mlp.c_fc.bias"},
    {PART_DOWN, ROWS_ALL, "mlp.c_proj.weight"},  {PART_DOWN_BIAS, ROWS_ALL, "mlp.c_proj.bias"},
};
enum { PRE_NORMS = PART(ATTN_NORM) | PART(ATTN_NORM_BIAS) | PART(MLP_NORM) | PART(MLP_NORM_BIAS) };
static const struct family_switch gpt2_switches[] = {{NULL, 1, MATRICES | MATRIX_BIASES | PRE_NORMS}};
static const struct family_alias gpt2_aliases[] = {
    {"hidden_size", "n_embd"},        {"num_hidden_layers", "n_layer"},           {"num_attention_heads", "n_head"},
    {"intermediate_size", "n_inner"}, {"max_position_embeddings", "n_positions"}, {"hidden_act", "activation_function"},
};
static const struct family_default gpt2_defaults[] = {
    {"n_positions", 1024},
    {"tie_word_embeddings", 1},
    {"bos_token_id", 50256},
    {"eos_token_id", 50256},
};
static const struct family_alias gpt2_beginnings[] = {{"transformer.", ""}, {NULL, NULL}};

static const struct family_tensor opt_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "self_attn_layer_norm.weight"},
    {PART_ATTN_NORM_BIAS, ROWS_ALL, "self_attn_layer_norm.bias"},
    {PART_QKV, ROWS_Q, "self_attn.q_proj.weight"},
    {PART_QKV, ROWS_K, "self_attn.k_proj.weight"},
    {PART_QKV, ROWS_V, "self_attn.v_proj.weight"},
    {PART_QKV_BIAS, ROWS_Q, "self_attn.q_proj.bias"},
    {PART_QKV_BIAS, ROWS_K, "self_attn.k_proj.bias"},
    {PART_QKV_BIAS, ROWS_V, "self_attn.v_proj.bias"},
    {PART_O, ROWS_ALL, "self_attn.out_proj.weight"},
    {PART_O_BIAS, ROWS_ALL, "self_attn.out_proj.bias"},
    {PART_ATTN_POST, ROWS_ALL, "self_attn_layer_norm.weight"},
    {PART_ATTN_POST_BIAS, ROWS_ALL, "self_attn_layer_norm.bias"},
    {PART_MLP_NORM, ROWS_ALL, "final_layer_norm.weight"},
    {PART_MLP_NORM_BIAS, ROWS_ALL, "final_layer_norm.bias"},
    {PART_GATE_UP, ROWS_ALL, "fc1.weight"},
    {PART_GATE_UP_BIAS, ROWS_ALL, "fc1.bias"},
    {PART_DOWN, ROWS_ALL, "fc2.weight"},
    {PART_DOWN_BIAS, ROWS_ALL, "fc2.bias"},
    {PART_MLP_POST, ROWS_ALL, "final_layer_norm.weight"},
    {PART_MLP_POST_BIAS, ROWS_ALL, "final_layer_norm.bias"},
};
static const struct family_switch opt_switches[] = {
    {NULL, 1, MATRICES},
    {"enable_bias", 1, MATRIX_BIASES},
    {"layer_norm_elementwise_affine", 1, PRE_NORMS | POST_NORMS},
};
static const struct family_alias opt_aliases[] = {
    {"intermediate_size", "ffn_dim"},
    {"hidden_act", "activation_function"},
    {"initializer_range", "init_std"},
};
static const struct family_default opt_defaults[] = {
    {"max_position_embeddings", 2048},
    {"tie_word_embeddings", 1},
    {"bos_token_id", 2},
    {"eos_token_id", 2},
    {"pad_token_id", 1},
    {"ffn_dim", 3072},
};
static const struct family_alias opt_beginnings[] = {{"model.decoder.", "decoder."}, {NULL, NULL}};

static const struct family_tensor gpt_neox_tensors[] = {
    {PART_ATTN_NORM, ROWS_ALL, "input_layernorm.weight"},
    {PART_ATTN_NORM_BIAS, ROWS_ALL, "input_layernorm.bias"},
    {PART_QKV, ROWS_HEADS, "attention.query_key_value.weight"},
    {PART_QKV_BIAS, ROWS_HEADS, "attention.query_key_value.bias"},
    {PART_O, ROWS_ALL, "attention.dense.weight"},
    {PART_O_BIAS, ROWS_ALL, "attention.dense.bias"},
    {PART_MLP_NORM, ROWS_ALL, "post_attention_layernorm.weight"},
    {PART_MLP_NORM_BIAS, ROWS_ALL, "post_attention_layernorm.bias"},
    {PART_GATE_UP, ROWS_ALL, "mlp.dense_h_to_4h.weight"},
    {PART_GATE_UP_BIAS, ROWS_ALL, "mlp.dense_h_to_4h.bias"},
    {PART_DOWN, ROWS_ALL, "mlp.dense_4h_to_h.weight"},
    {PART_DOWN_BIAS, ROWS_ALL, "mlp.dense_4h_to_h.bias"},
};
static const struct family_switch gpt_neox_switches[] = {
    {NULL, 1, MATRICES | PRE_NORMS | PART(GATE_UP_BIAS) | PART(DOWN_BIAS)},
    {"attention_bias", 1, PART(QKV_BIAS) | PART(O_BIAS)},
};
static const struct family_alias gpt_neox_aliases[] = {{"rope_theta", "rotary_emb_base"}};
static const struct family_default gpt_neox_defaults[] = {{"bos_token_id", 0}, {"eos_token_id", 2}};
static const struct family_alias gpt_neox_beginnings[] = {{"gpt_neox.", ""}, {NULL, NULL}};
static const struct family_alias gpt_neox_endings[] = {{"embed_out.weight", "lm_head.weight"}, {NULL, NULL}};

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))
#define CLASSES(name) .lm = name "ForCausalLM", .base = name "Model", .classify = name "ForSequenceClassification"
#define SCORES(name) .score = name "ForScore", .score2 = name "ModelForScore"
/* What all descendants of LLaMA share. */
#define LLAMA(eps_)                                                                                    \
    .embed = "model.embed_tokens.weight", .final_norm = "model.norm.weight", .head = "lm_head.weight", \
    .layer = "model.layers.%d.", .norm = NORM_RMS, .eps = "rms_norm_eps", .eps_missing = eps_, .gated = 1
/* What BERT and its descendants share. */
#define ENCODER(tensors_, defaults_)                                                                            \
    .embed = "embeddings.word_embeddings.weight", .positions = "embeddings.position_embeddings.weight",         \
    .embed_norm = "embeddings.LayerNorm.weight", .embed_norm_bias = "embeddings.LayerNorm.bias",                \
    .layer = "encoder.layer.%d.", .tensors = tensors_, .n_tensor = COUNT(tensors_), .switches = bert_switches,  \
    .n_switch = COUNT(bert_switches), .defaults = defaults_, .n_default = COUNT(defaults_), .norm = NORM_LAYER, \
    .eps = "layer_norm_eps", .eps_missing = 1e-12, .place = PLACE_AFTER, .bidirectional = 1, .act = "gelu"
#define BERT(defaults_) .types = "embeddings.token_type_embeddings.weight", ENCODER(bert_tensors, defaults_)

const struct family families[] = {
    {
        .type = "llama",
        CLASSES("Llama"),
        SCORES("Llama"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = llama_switches,
        .n_switch = COUNT(llama_switches),
        .act = "silu",
    },
    {
        .type = "mistral",
        CLASSES("Mistral"),
        SCORES("Mistral"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = plain_switches,
        .n_switch = COUNT(plain_switches),
        .defaults = mistral_defaults,
        .n_default = COUNT(mistral_defaults),
        .act = "silu",
        .window = "sliding_window",
        .layer_types = 1,
    },
    {
        .type = "qwen2",
        CLASSES("Qwen2"),
        SCORES("Qwen2"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = qwen2_switches,
        .n_switch = COUNT(qwen2_switches),
        .defaults = qwen2_defaults,
        .n_default = COUNT(qwen2_defaults),
        .act = "silu",
        .window = "sliding_window",
        .window_switch = "use_sliding_window",
        .window_from = "max_window_layers",
        .layer_types = 1,
    },
    {
        .type = "qwen3",
        CLASSES("Qwen3"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = qwen3_switches,
        .n_switch = COUNT(qwen3_switches),
        .defaults = qwen3_defaults,
        .n_default = COUNT(qwen3_defaults),
        .qk_norm = QK_HEAD,
        .act = "silu",
        .window = "sliding_window",
        .window_switch = "use_sliding_window",
        .window_from = "max_window_layers",
        .layer_types = 1,
    },
    {
        .type = "gemma",
        CLASSES("Gemma"),
        SCORES("Gemma"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = gemma_switches,
        .n_switch = COUNT(gemma_switches),
        .defaults = gemma_defaults,
        .n_default = COUNT(gemma_defaults),
        .scaled_embedding = 1,
        .norm_offset = 1,
        .act = "gelu_pytorch_tanh",
        .gelu_is_tanh = 1,
    },
    {
        .type = "gemma2",
        CLASSES("Gemma2"),
        LLAMA(1e-6),
        .tensors = gemma2_tensors,
        .n_tensor = COUNT(gemma2_tensors),
        .switches = gemma2_switches,
        .n_switch = COUNT(gemma2_switches),
        .aliases = gemma2_aliases,
        .n_alias = COUNT(gemma2_aliases),
        .defaults = gemma2_defaults,
        .n_default = COUNT(gemma2_defaults),
        .place = PLACE_SANDWICH,
        .scaled_embedding = 1,
        .norm_offset = 1,
        .act = "gelu_pytorch_tanh",
        .attention_cap = "attn_logit_softcapping",
        .logit_cap = "final_logit_softcapping",
        .attention_scalar = "query_pre_attn_scalar",
        .window = "sliding_window",
        .window_pattern = 2,
        .layer_types = 1,
    },
    {
        .type = "gemma3_text",
        .lm = "Gemma3ForCausalLM",
        .base = "Gemma3TextModel",
        .classify = "Gemma3TextForSequenceClassification",
        LLAMA(1e-6),
        .tensors = gemma2_tensors,
        .n_tensor = COUNT(gemma2_tensors),
        .switches = gemma3_switches,
        .n_switch = COUNT(gemma3_switches),
        .aliases = gemma2_aliases,
        .n_alias = COUNT(gemma2_aliases),
        .defaults = gemma3_defaults,
        .n_default = COUNT(gemma3_defaults),
        .place = PLACE_SANDWICH,
        .scaled_embedding = 1,
        .qk_norm = QK_HEAD,
        .norm_offset = 1,
        .act = "gelu_pytorch_tanh",
        .logit_cap = "final_logit_softcapping",
        .attention_scalar = "query_pre_attn_scalar",
        .window = "sliding_window",
        .window_every = "sliding_window_pattern",
        .layer_types = 1,
        .local_theta = "rope_local_base_freq",
    },
    {
        .type = "phi3",
        CLASSES("Phi3"),
        LLAMA(1e-5),
        .tensors = phi3_tensors,
        .n_tensor = COUNT(phi3_tensors),
        .switches = plain_switches,
        .n_switch = COUNT(plain_switches),
        .defaults = phi3_defaults,
        .n_default = COUNT(phi3_defaults),
        .adapted = "qkv_proj",
        .act = "silu",
        .rotary = "partial_rotary_factor",
        .rotary_missing = 1,
        .old_longrope = 1,
        .window = "sliding_window",
    },
    {
        .type = "smollm3",
        CLASSES("SmolLM3"),
        LLAMA(1e-6),
        .tensors = llama_tensors,
        .n_tensor = COUNT(llama_tensors),
        .switches = llama_switches,
        .n_switch = COUNT(llama_switches),
        .defaults = smollm3_defaults,
        .n_default = COUNT(smollm3_defaults),
        .act = "silu",
        .rotary_layers = "no_rope_layers",
        .rotary_every = "no_rope_layer_interval",
        .window = "sliding_window",
        .window_switch = "use_sliding_window",
        .window_unrotated = 1,
        .layer_types = 1,
    },
    {
        .type = "olmo2",
        CLASSES("Olmo2"),
        LLAMA(1e-5),
        .tensors = gemma2_tensors,
        .n_tensor = COUNT(gemma2_tensors),
        .switches = olmo2_switches,
        .n_switch = COUNT(olmo2_switches),
        .defaults = olmo2_defaults,
        .n_default = COUNT(olmo2_defaults),
        .place = PLACE_POST,
        .qk_norm = QK_ROW,
        .act = "silu",
    },
    {
        .type = "gpt2",
        .lm = "GPT2LMHeadModel",
        .base = "GPT2Model",
        .classify = "GPT2ForSequenceClassification",
        SCORES("GPT2"),
        .embed = "transformer.wte.weight",
        .positions = "transformer.wpe.weight",
        .final_norm = "transformer.ln_f.weight",
        .final_norm_bias = "transformer.ln_f.bias",
        .head = "lm_head.weight",
        .layer = "transformer.h.%d.",
        .beginnings = gpt2_beginnings,
        .tensors = gpt2_tensors,
        .n_tensor = COUNT(gpt2_tensors),
        .transposed = 1,
        .switches = gpt2_switches,
        .n_switch = COUNT(gpt2_switches),
        .aliases = gpt2_aliases,
        .n_alias = COUNT(gpt2_aliases),
        .defaults = gpt2_defaults,
        .n_default = COUNT(gpt2_defaults),
        .norm = NORM_LAYER,
        .eps = "layer_norm_epsilon",
        .eps_missing = 1e-5,
        .ff_multiple = 4,
        .unscaled = "scale_attn_weights",
        .layer_scale = "scale_attn_by_inverse_layer_idx",
        .adapted = "c_attn",
        .act = "gelu_new",
    },
    {
        .type = "opt",
        .lm = "OPTForCausalLM",
        .base = "OPTModel",
        .classify = "OPTForSequenceClassification",
        SCORES("OPT"),
        .embed = "model.decoder.embed_tokens.weight",
        .positions = "model.decoder.embed_positions.weight",
        .position_offset = 2,
        .final_norm = "model.decoder.final_layer_norm.weight",
        .final_norm_bias = "model.decoder.final_layer_norm.bias",
        .head = "lm_head.weight",
        .layer = "model.decoder.layers.%d.",
        .project_in = "model.decoder.project_in.weight",
        .project_out = "model.decoder.project_out.weight",
        .beginnings = opt_beginnings,
        .tensors = opt_tensors,
        .n_tensor = COUNT(opt_tensors),
        .switches = opt_switches,
        .n_switch = COUNT(opt_switches),
        .aliases = opt_aliases,
        .n_alias = COUNT(opt_aliases),
        .defaults = opt_defaults,
        .n_default = COUNT(opt_defaults),
        .norm = NORM_LAYER,
        .eps_missing = 1e-5,
        .place_switch = "do_layer_norm_before",
        .place_off = PLACE_AFTER,
        .no_final_norm = "_remove_final_layer_norm",
        .affine = "layer_norm_elementwise_affine",
        .embed_width = "word_embed_proj_dim",
        .act = "relu",
    },
    {
        .type = "gpt_neox",
        .lm = "GPTNeoXForCausalLM",
        .base = "GPTNeoXModel",
        .classify = "GPTNeoXForSequenceClassification",
        SCORES("GPTNeoX"),
        .embed = "gpt_neox.embed_in.weight",
        .final_norm = "gpt_neox.final_layer_norm.weight",
        .final_norm_bias = "gpt_neox.final_layer_norm.bias",
        .head = "embed_out.weight",
        .layer = "gpt_neox.layers.%d.",
        .beginnings = gpt_neox_beginnings,
        .endings = gpt_neox_endings,
        .tensors = gpt_neox_tensors,
        .n_tensor = COUNT(gpt_neox_tensors),
        .switches = gpt_neox_switches,
        .n_switch = COUNT(gpt_neox_switches),
        .aliases = gpt_neox_aliases,
        .n_alias = COUNT(gpt_neox_aliases),
        .defaults = gpt_neox_defaults,
        .n_default = COUNT(gpt_neox_defaults),
        .norm = NORM_LAYER,
        .eps = "layer_norm_eps",
        .eps_missing = 1e-5,
        .parallel = 1,
        .parallel_switch = "use_parallel_residual",
        .rotary = "rotary_pct",
        .rotary_missing = 0.25,
        .adapted = "query_key_value",
        .act = "gelu",
    },
    {
        .type = "bert",
        .base = "BertModel",
        .bodies = bert_bodies,
        .beginnings = bert_beginnings,
        .endings = bert_endings,
        BERT(bert_defaults),
    },
    {
        .type = "roberta",
        .base = "RobertaModel",
        .bodies = roberta_bodies,
        .beginnings = roberta_beginnings,
        .positions_from_pad = 1,
        BERT(roberta_defaults),
    },
    {
        .type = "xlm-roberta",
        .base = "XLMRobertaModel",
        .bodies = xlm_roberta_bodies,
        .beginnings = roberta_beginnings,
        .positions_from_pad = 1,
        BERT(roberta_defaults),
    },
    {
        .type = "mpnet",
        .base = "MPNetModel",
        .bodies = mpnet_bodies,
        .beginnings = mpnet_beginnings,
        .positions_from_pad = 1,
        .only_pad = 1,
        .distances = "encoder.relative_attention_bias.weight",
        .buckets = "relative_attention_num_buckets",
        ENCODER(mpnet_tensors, mpnet_defaults),
    },
};

const int n_family = COUNT(families);
