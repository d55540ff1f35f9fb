/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of config.json that no other file here reads, in two tables: those that change a model's numbers, each
 * refused by name unless it stands at the value at which it does nothing; and those that are harmless, with the reason.
 * What stands in neither is named in the log. */
#include "model/desc_read.h"

#include "base/log.h"

#include <string.h>

enum inert { INERT_FALSE, INERT_TRUE, INERT_ZERO, INERT_ONE, INERT_ABSOLUTE, INERT_NEVER };

/* Null, absent and an empty list or object are inert everywhere. */
static const struct {
    const char *name;
    enum inert inert;
    const char *wanted;
} changing[] = {
    {"qkv_bias", INERT_FALSE, "false (biases are not supported)"},
    {"use_qkv_bias", INERT_FALSE, "false (biases are not supported)"},
    {"use_bias", INERT_FALSE, "false (biases are not supported)"},
    {"lm_head_bias", INERT_FALSE, "false (biases are not supported)"},
    {"quantization_config", INERT_NEVER, "none: convert the checkpoint to plain weights"},
    {"compression_config", INERT_NEVER, "none: convert the checkpoint to plain weights"},
    {"partial_rotary_factor", INERT_ONE, "1 (all of a head turned)"},
    {"rotary_pct", INERT_ONE, "1 (all of a head turned)"},
    {"rope_interleaved", INERT_FALSE, "false (halves of a head turned against each other)"},
    {"no_rope_layers", INERT_NEVER, "none: every layer has rotary positions"},
    {"no_rope_layer_interval", INERT_ZERO, "none: every layer has rotary positions"},
    {"use_sliding_window", INERT_FALSE, "false (attention sees the whole context)"},
    {"attention_chunk_size", INERT_ZERO, "none (attention sees the whole context)"},
    {"use_bidirectional_attention", INERT_FALSE, "false (attention is causal)"},
    {"is_causal", INERT_TRUE, "true (attention is causal)"},
    {"logit_scale", INERT_ONE, "1"},
    {"logits_scaling", INERT_ONE, "1"},
    {"embedding_multiplier", INERT_ONE, "1"},
    {"residual_multiplier", INERT_ONE, "1"},
    {"attention_multiplier", INERT_NEVER, "none: attention is scaled by 1/sqrt(head_dim)"},
    {"query_pre_attn_scalar", INERT_NEVER, "none: attention is scaled by 1/sqrt(head_dim)"},
    {"lm_head_multiplier", INERT_ONE, "1"},
    {"scale_emb", INERT_ONE, "1"},
    {"scale_depth", INERT_NEVER, "none: residuals are not scaled"},
    {"dim_model_base", INERT_NEVER, "none: logits are not scaled"},
    {"final_logit_softcapping", INERT_ZERO, "none: logits are not capped"},
    {"attn_logit_softcapping", INERT_ZERO, "none: attention is not capped"},
    {"clip_qkv", INERT_ZERO, "none: queries, keys and values are not clipped"},
    {"use_qk_norm", INERT_FALSE, "false (queries and keys are not normalised)"},
    {"qk_norm", INERT_FALSE, "false (queries and keys are not normalised)"},
    {"qk_layernorm", INERT_FALSE, "false (queries and keys are not normalised)"},
    {"use_parallel_residual", INERT_FALSE, "false (attention before the MLP)"},
    {"parallel_attn", INERT_FALSE, "false (attention before the MLP)"},
    {"num_experts", INERT_ZERO, "none: the model is dense"},
    {"num_local_experts", INERT_ZERO, "none: the model is dense"},
    {"n_routed_experts", INERT_ZERO, "none: the model is dense"},
    {"alibi", INERT_FALSE, "false (rotary positions)"},
    {"position_embedding_type", INERT_ABSOLUTE, "absolute"},
    {"add_cross_attention", INERT_FALSE, "false (there is no other model to attend to)"},
    {"ffn_dim_multiplier", INERT_NEVER, "none: intermediate_size says it"},
};

static const struct {
    const char *name, *why;
} harmless[] = {
    {"_name_or_path", "where the file came from"},
    {"transformers_version", "who wrote it"},
    {"torch_dtype", "the weights say their types"},
    {"dtype", "the weights say their types"},
    {"use_cache", "how, not what is computed"},
    {"_attn_implementation", "how, not what is computed"},
    {"_attn_implementation_autoset", "how, not what is computed"},
    {"attn_implementation", "how, not what is computed"},
    {"pretraining_tp", "the same products in slices"},
    {"attention_dropout", "training only; no dropout is applied, as at its default of 0"},
    {"attention_probs_dropout_prob", "training only; encoders are not trained"},
    {"hidden_dropout_prob", "training only; encoders are not trained"},
    {"cross_attention_hidden_size", "of a model that attends to another"},
    {"finetuning_task", "what it was trained for"},
    {"directionality", "of the program that the first BERTs were made with"},
    {"pooler_fc_size", "of a head that no transformers model has"},
    {"pooler_num_attention_heads", "of a head that no transformers model has"},
    {"pooler_num_fc_layers", "of a head that no transformers model has"},
    {"pooler_size_per_head", "of a head that no transformers model has"},
    {"pooler_type", "of a head that no transformers model has"},
    {"attn_pdrop", "training only; no dropout is applied, as at 0"},
    {"embd_pdrop", "training only; no dropout is applied, as at 0"},
    {"resid_pdrop", "training only; no dropout is applied, as at 0"},
    {"dropout", "training only; no dropout is applied, as at 0"},
    {"activation_dropout", "training only; no dropout is applied, as at 0"},
    {"layerdrop", "training only; no layer is left out, as at 0"},
    {"reorder_and_upcast_attn", "attention is in f32 as it is"},
    {"summary_activation", "of a head that is not read"},
    {"summary_first_dropout", "of a head that is not read"},
    {"summary_proj_to_labels", "of a head that is not read"},
    {"summary_type", "of a head that is not read"},
    {"summary_use_proj", "of a head that is not read"},
    {"task_specific_params", "of generation, and not read by it"},
    {"n_ctx", "max_position_embeddings in other words"},
    {"prefix", "of generation, and not read by it"},
    {"hidden_dropout", "training only; no dropout is applied, as at its default of 0"},
    {"gradient_checkpointing", "how, not what is computed"},
    {"auto_map", "code of others is not run; architectures and model_type decide"},
    {"cache_implementation", "how, not what is computed"},
    {"use_auth_token", "of a download"},
    {"is_llama_config", "model_type says it"},
    {"transformers.js_config", "of another program"},
    {"unsloth_fixed", "of another program"},
    {"unsloth_version", "of another program"},
    {"unk_token_id", "the tokenizer's"},
    {"label2id", "id2label the other way round"},
    {"num_labels", "read with the head"},
    {"id2label", "read with the head"},
    {"problem_type", "read with the head"},
    {"classifier_dropout", "training only"},
    {"layer_types", "read with the windows"},
    {"sliding_window", "read with the windows"},
    {"max_window_layers", "where a sliding window begins; there is none"},
    {"original_max_position_embeddings", "read with rope_scaling"},
    {"rope_scaling", "read"},
    {"rope_parameters", "read"},
    {"rope_theta", "read"},
    {"return_dict", "how, not what is computed"},
    {"output_attentions", "how, not what is computed"},
    {"output_hidden_states", "how, not what is computed"},
    {"is_decoder", "checked below"},
    {"is_encoder_decoder", "every model here is a decoder"},
    {"chunk_size_feed_forward", "the same products in slices"},
};

static int is_empty(const json_t *v)
{
    return !v || (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

static int is_inert(const json_t *v, enum inert inert)
{
    switch (inert) {
    case INERT_FALSE: return json_is_false(v);
    case INERT_TRUE: return json_is_true(v);
    case INERT_ZERO: return json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0);
    case INERT_ONE: return json_is_number(v) && json_number_value(v) == 1;
    case INERT_ABSOLUTE: return json_is_string(v) && !strcmp(json_string_value(v), "absolute");
    default: return 0;
    }
}

/* What the family's row reads. */
static int row_reads(const struct family *f, const char *key)
{
    const char *const keys[] = {
        f->eps,           f->rotary,          f->attention_cap, f->logit_cap,     f->attention_scalar,
        f->window,        f->window_switch,   f->window_from,   f->window_every,  f->local_theta,
        f->rotary_layers, f->rotary_every,    f->place_switch,  f->no_final_norm, f->affine,
        f->embed_width,   f->parallel_switch, f->unscaled,      f->layer_scale};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i] && !strcmp(keys[i], key))
            return 1;
    for (int i = 0; i < f->n_switch; i++)
        if (f->switches[i].key && !strcmp(f->switches[i].key, key))
            return 1;
    for (int i = 0; i < f->n_alias; i++)
        if (!strcmp(f->aliases[i].theirs, key))
            return 1;
    return 0;
}

/* What desc.c reads by itself. */
static int is_read(const char *key)
{
    static const char *const names[] = {"model_type",
                                        "architectures",
                                        "hidden_size",
                                        "num_hidden_layers",
                                        "num_attention_heads",
                                        "num_key_value_heads",
                                        "intermediate_size",
                                        "vocab_size",
                                        "max_position_embeddings",
                                        "head_dim",
                                        "rms_norm_eps",
                                        "initializer_range",
                                        "tie_word_embeddings",
                                        "bos_token_id",
                                        "eos_token_id",
                                        "pad_token_id",
                                        "hidden_act",
                                        "hidden_activation",
                                        "score_type",
                                        "score_dim",
                                        "do_normalize",
                                        "bias",
                                        "score_bias",
                                        "mean",
                                        "var",
                                        "normalizer_type",
                                        "type_vocab_size"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(key, names[i]))
            return 1;
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        if (!strcmp(key, changing[i].name))
            return 1;
    return 0;
}

static const char *harmless_reason(const char *key)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (!strcmp(key, harmless[i].name))
            return harmless[i].why;
    return NULL;
}

int config_check_keys(const struct config_reader *r)
{
    const char *key;
    json_t *v;
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++) {
        const json_t *found = config_value(r->config, changing[i].name);
        if (!row_reads(r->family, changing[i].name) && !is_empty(found) && !is_inert(found, changing[i].inert))
            return config_refuse(r, changing[i].name, changing[i].wanted, found);
    }
    const json_t *decoder = config_value(r->config, "is_decoder");
    if (r->family->bidirectional && json_is_true(decoder))
        return config_refuse(r, "is_decoder", "false (attention sees what comes behind too)", decoder);
    json_object_foreach((json_t *)r->config, key, v)
    {
        const char *why = harmless_reason(key);
        if (!json_is_null(v) && !why && !is_read(key) && !row_reads(r->family, key))
            log_line(LOG_INFO, "%s: key \"%s\" is not known to this family and not used", r->where, key);
    }
    return 0;
}
