/* SPDX-License-Identifier: Apache-2.0 */
/* The rule: a key of the architecture, or a tensor, that would change the numbers and is not computed with is an error
 * with its name. So the tables list what is known; what is not known may change the numbers and is refused too.
 * Meanings are those of ggml's gguf specification and of llama.cpp's loader. */
#include "io/gguf_keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum rule {
    READ,     /* io/gguf_hf.c computes with it */
    HARMLESS, /* `why` says so */
    ZERO,     /* off at 0 or false */
    ONE,      /* off at 0 or 1, the ways of llama.cpp to say that nothing is scaled */
    TRUE_ONLY,
    CAUSAL,
    HEAD_SIZE,     /* the same as the keys' */
    HEAD_SCALE,    /* 0, or what it is without the key */
    WHOLE_CONTEXT, /* 0, or a window that hides nothing */
    POOLING,
    ROW_LAYOUT,
    PATTERN, /* read where the architecture has one */
};

static const struct {
    const char *suffix;
    enum rule rule;
    const char *why;
} keys[] = {
    {"context_length", READ, ""},
    {"embedding_length", READ, ""},
    {"block_count", READ, ""},
    {"feed_forward_length", READ, ""},
    {"attention.head_count", READ, ""},
    {"attention.head_count_kv", READ, ""},
    {"attention.key_length", READ, ""},
    {"attention.layer_norm_rms_epsilon", READ, ""},
    {"attention.sliding_window_pattern", PATTERN, "none: the architecture has no layers with and without a window"},
    {"rope.freq_base", READ, ""},
    {"rope.dimension_count", READ, ""},
    {"rope.scaling.type", READ, ""},
    {"rope.scaling.factor", READ, ""},
    {"rope.scale_linear", READ, ""},
    {"vocab_size", HARMLESS, "the embedding has as many rows"},
    {"attention.layer_norm_epsilon", HARMLESS,
     "of a norm that these models do not have; theirs is layer_norm_rms_epsilon"},
    {"rope.scaling.original_context_length", READ, ""},
    {"rope.scaling.yarn_beta_fast", READ, ""},
    {"rope.scaling.yarn_beta_slow", READ, ""},
    {"rope.scaling.yarn_ext_factor", TRUE_ONLY, "1"},
    {"rope.scaling.yarn_attn_factor", TRUE_ONLY, "1"},
    {"rope.scaling.finetuned", HARMLESS, "how the model was made"},
    {"expert_used_count", HARMLESS, "there are no experts"},
    {"attention.value_length", HEAD_SIZE, "the same as attention.key_length"},
    {"attention.causal", CAUSAL, "true where attention is causal, false in an encoder"},
    {"attention.scale", HEAD_SCALE, "1/sqrt(head size)"},
    {"attention.sliding_window", WHOLE_CONTEXT, "0 or the context length (attention sees the whole context)"},
    {"attention.clamp_kqv", ZERO, "0 (nothing is clamped)"},
    {"attention.max_alibi_bias", ZERO, "0 (rotary positions)"},
    {"attn_logit_softcapping", ZERO, "0 (attention is not capped)"},
    {"final_logit_softcapping", ZERO, "0 (logits are not capped)"},
    {"use_parallel_residual", ZERO, "false (attention before the MLP)"},
    {"expert_count", ZERO, "0 (isara reads dense models only)"},
    {"expert_shared_count", ZERO, "0 (isara reads dense models only)"},
    {"logit_scale", ONE, "1"},
    {"embedding_scale", ONE, "1"},
    {"residual_scale", ONE, "1"},
    {"rope.scaling.attn_factor", READ, ""},
    {"pooling_type", POOLING,
     "0 or 1 (a text's embedding is the mean of its tokens'); in an encoder 2 (its first) or 3 (its last) too"},
    {"tensor_data_layout", ROW_LAYOUT, "\"reference\" or \"Meta AI original pth\""},
};

/* Tensors without which the model is the same, and why. */
static const struct {
    const char *name, *why;
    int of_layer;
} left_out[] = {
    {"rope_freqs.weight", "its effect is read from it (io/gguf_hf.c)", 0},
    {"attn_rot_embd.weight", "rotary frequencies, which follow from rope.freq_base", 1},
    {"attn_rot_embd", "rotary frequencies, which follow from rope.freq_base", 1},
};

int gguf_same_int(const struct gguf *g, const char *key, int64_t *out)
{
    int64_t n = gguf_array_length(g, key, NULL);
    if (n < 0)
        return gguf_get_int(g, key, out);
    int64_t *all = n > 0 && n <= 1 << 16 ? malloc((size_t)n * sizeof *all) : NULL;
    int rc = all ? gguf_array_ints(g, key, all) : -1;
    for (int64_t i = 1; !rc && i < n; i++)
        rc = all[i] == all[0] ? 0 : -1;
    if (!rc)
        *out = all[0];
    free(all);
    return rc;
}

static int string_is(const struct gguf *g, const char *key, const char *text)
{
    struct gguf_string s;
    return !gguf_get_string(g, key, &s) && s.len == strlen(text) && !memcmp(s.data, text, s.len);
}

/* A number or a truth value; NAN for anything else. */
static double value_of(const struct gguf *g, const char *key)
{
    double x;
    int on;
    if (!gguf_get_float(g, key, &x))
        return x;
    return gguf_get_bool(g, key, &on) ? (double)NAN : on;
}

static int rule_holds(const struct gguf *g, const struct gguf_arch *arch, const char *key, enum rule rule,
                      int64_t head_dim, int64_t n_ctx)
{
    int64_t i = -1;
    double x = value_of(g, key);
    switch (rule) {
    case READ:
    case HARMLESS: return 1;
    case ZERO: return x == 0;
    case ONE: return x == 0 || x == 1;
    case TRUE_ONLY: return x == 1;
    case CAUSAL: return x == !arch->encoder;
    case HEAD_SIZE: return !gguf_same_int(g, key, &i) && i == head_dim;
    case HEAD_SCALE: return x == 0 || fabs(x * sqrt((double)head_dim) - 1) < 1e-6;
    case WHOLE_CONTEXT: return x == 0 || x >= (double)n_ctx;
    case POOLING: return x == 0 || x == 1 || (arch->encoder && (x == 2 || x == 3));
    case PATTERN: return arch->window_pattern > 0;
    case ROW_LAYOUT: return string_is(g, key, "reference") || string_is(g, key, "Meta AI original pth");
    }
    return 0;
}

int gguf_check_keys(const struct gguf *g, const struct gguf_arch *arch, int64_t head_dim, int64_t n_ctx,
                    const char *path, struct error *err)
{
    size_t n = strlen(arch->name);
    for (size_t i = 0; i < gguf_n_key(g); i++) {
        const char *key = gguf_key_at(g, i), *suffix = key + n + 1;
        size_t k = 0;
        if (strncmp(key, arch->name, n) || key[n] != '.' || gguf_arch_setting(arch, suffix))
            continue;
        while (k < sizeof keys / sizeof *keys && strcmp(keys[k].suffix, suffix))
            k++;
        if (k == sizeof keys / sizeof *keys)
            return error_set(err, ERROR_DATA,
                             "%s: metadata %s is not understood and may change the model's numbers; isara reads plain "
                             "models of this architecture",
                             path, key);
        if (!rule_holds(g, arch, key, keys[k].rule, head_dim, n_ctx))
            return error_set(err, ERROR_DATA, "%s: metadata %s: wanted %s, found another value (%g)", path, key,
                             keys[k].why, value_of(g, key));
    }
    return 0;
}

const char *gguf_tensor_part(const char *name, int64_t *layer)
{
    size_t digits = strncmp(name, "blk.", 4) ? 0 : strspn(name + 4, "0123456789");
    *layer = digits && digits < 10 && name[4 + digits] == '.' ? strtol(name + 4, NULL, 10) : -1;
    return *layer < 0 ? name : name + 5 + digits;
}

int gguf_tensor_rope(const struct gguf_arch *arch, const char *name)
{
    return arch->longrope && (!strcmp(name, "rope_factors_long.weight") || !strcmp(name, "rope_factors_short.weight"));
}

const char *gguf_tensor_harmless(const char *name)
{
    int64_t layer;
    const char *part = gguf_tensor_part(name, &layer);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (left_out[i].of_layer == (layer >= 0) && !strcmp(part, left_out[i].name))
            return left_out[i].why;
    return NULL;
}

int gguf_check_tensors(const struct gguf *g, const struct gguf_arch *arch, int64_t n_layer, const char *path,
                       struct error *err)
{
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const char *name = gguf_tensor_at(g, i)->name;
        int64_t layer;
        const char *tail, *part = gguf_tensor_part(name, &layer);
        if (layer >= n_layer)
            return error_set(err, ERROR_DATA,
                             "%s: tensor %s is of a layer beyond block_count %" PRId64 "; the file contradicts itself",
                             path, name, n_layer);
        int known = gguf_arch_tensor(arch, part, layer >= 0, &tail) != NULL;
        if (!known && !gguf_tensor_harmless(name) && !gguf_tensor_rope(arch, name))
            return error_set(err, ERROR_DATA,
                             "%s: tensor %s would change the model's numbers and is not computed with (biases, scales, "
                             "experts and other additions are not supported)",
                             path, name);
    }
    return 0;
}
