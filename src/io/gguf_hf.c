/* SPDX-License-Identifier: Apache-2.0 */
/* What llama.cpp's conversion does to a Hugging Face checkpoint, undone. Key and tensor names are those of ggml's gguf specification. */
#include "io/gguf_hf.h"

#include "io/gguf_keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct architecture {
    const char *gguf, *model_type, *class;
    int interleaved; /* q and k rows are permuted */
} architectures[] = {
    {"llama", "llama", "LlamaForCausalLM", 1},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", 0},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", 0},
};

static const struct architecture *find_architecture(const struct gguf *g, struct gguf_string *name)
{
    if (gguf_get_string(g, "general.architecture", name))
        *name = (struct gguf_string){"", 0};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (name->len == strlen(architectures[i].gguf) && !memcmp(name->data, architectures[i].gguf, name->len))
            return &architectures[i];
    return NULL;
}

int64_t gguf_hf_row(int64_t r, int64_t n_row, int64_t heads)
{
    int64_t d = n_row / heads, head = r / d, in = r % d, half = d / 2;
    return head * d + in % half * 2 + in / half;
}

int gguf_hf_name(const struct gguf *g, const char *name, struct buf *out, int64_t *heads)
{
    static const struct { const char *gguf, *hf; } whole[] = {
        {"token_embd.", "model.embed_tokens."}, {"output_norm.", "model.norm."}, {"output.", "lm_head."},
    }, layer[] = {
        {"attn_norm.", "input_layernorm."},    {"attn_q.", "self_attn.q_proj."},      {"attn_k.", "self_attn.k_proj."},
        {"attn_v.", "self_attn.v_proj."},      {"attn_output.", "self_attn.o_proj."}, {"attn_q_norm.", "self_attn.q_norm."},
        {"attn_k_norm.", "self_attn.k_norm."}, {"ffn_norm.", "post_attention_layernorm."}, {"ffn_gate.", "mlp.gate_proj."},
        {"ffn_up.", "mlp.up_proj."},           {"ffn_down.", "mlp.down_proj."},
    };
    struct gguf_string arch_name;
    const struct architecture *arch = find_architecture(g, &arch_name);
    *heads = 0;
    if (gguf_tensor_harmless(name))
        return 1;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strncmp(name, whole[i].gguf, strlen(whole[i].gguf))) {
            buf_printf(out, "%s%s", whole[i].hf, name + strlen(whole[i].gguf));
            return 0;
        }
    int digits = (int)strspn(strncmp(name, "blk.", 4) ? "" : name + 4, "0123456789");
    const char *rest = digits && name[4 + digits] == '.' ? name + 5 + digits : "";
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++)
        if (!strncmp(rest, layer[i].gguf, strlen(layer[i].gguf))) {
            buf_printf(out, "model.layers.%.*s.%s%s", digits, name + 4, layer[i].hf, rest + strlen(layer[i].gguf));
            if (arch && arch->interleaved && (i == 1 || (i == 2 && gguf_same_int(g, "llama.attention.head_count_kv", heads))))
                gguf_same_int(g, "llama.attention.head_count", heads);
            return 0;
        }
    buf_puts(out, name);
    return 0;
}

/* The shortest decimal that is this float: 1e-05, not 9.999999747378752e-06. */
static double shortest(double v)
{
    char text[40];
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtof(text, NULL) == (float)v)
            return strtod(text, NULL);
    }
    return v;
}

struct synthesis {
    const struct gguf *g;
    const char *path, *arch;
    json_t *config;
    struct error *err;
    int bad; /* an allocation failed */
};

static void put(struct synthesis *s, const char *key, json_t *value)
{
    s->bad |= json_object_set_new(s->config, key, value) != 0;
}

static void key_of(const struct synthesis *s, const char *suffix, char key[96])
{
    snprintf(key, 96, "%s.%s", s->arch, suffix);
}

/* *out keeps its value when the key is absent and optional. */
static int take_int(struct synthesis *s, const char *suffix, int optional, int64_t max, int64_t *out)
{
    char key[96];
    key_of(s, suffix, key);
    if (!gguf_has(s->g, key) && optional)
        return 0;
    if (gguf_same_int(s->g, key, out) || *out < 1 || *out > max)
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be one integer in 1..%" PRId64 ", found %s", s->path, key, max,
                         gguf_has(s->g, key) ? "something else" : "nothing");
    return 0;
}

static int take_float(struct synthesis *s, const char *suffix, int optional, double *out)
{
    char key[96];
    key_of(s, suffix, key);
    if (!gguf_has(s->g, key) && optional)
        return 0;
    if (gguf_get_float(s->g, key, out) || !isfinite(*out) || *out <= 0)
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a positive number, found %s", s->path, key,
                         gguf_has(s->g, key) ? "something else" : "nothing");
    *out = shortest(*out);
    return 0;
}

struct rope {
    double theta, factor; /* factor: of linear scaling */
    int64_t head_dim;
};

static void put_linear(struct synthesis *s, double factor)
{
    put(s, "rope_scaling", factor == 1 ? json_null() : json_pack("{s:s,s:f}", "rope_type", "linear", "factor", factor));
}

/* Llama-3's scaling of low frequencies is not in the metadata: the conversion stores its effect, a divisor per frequency. With the
 * constants all published models share (low 1, high 4, original context 8192) the factor is the largest divisor; the rest must follow. */
static int llama3_scaling(struct synthesis *s, const float *f, const struct rope *r)
{
    const double low = 1, high = 4, original = 8192;
    int64_t half = r->head_dim / 2;
    double factor = (double)f[half - 1];
    if (r->factor != 1)
        return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight together with a rope.scaling.factor of %g: wanted one of them", s->path, r->factor);
    for (int64_t i = 0; i < half; i++) {
        double wave = 2 * M_PI * pow(r->theta, 2.0 * (double)i / (double)r->head_dim);
        double smooth = (original / wave - low) / (high - low);
        double want = wave < original / high ? 1 : wave > original / low ? factor : 1 / ((1 - smooth) / factor + smooth);
        if (!(fabs((double)f[i] - want) <= 1e-3 * want))
            return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight: value %" PRId64 " is %g, wanted %g for Llama-3's rule with factor %g; other rules are not read",
                             s->path, i, (double)f[i], want, factor);
    }
    put(s, "rope_scaling", json_pack("{s:s,s:f,s:f,s:f,s:i}", "rope_type", "llama3", "factor", shortest(factor), "low_freq_factor", low, "high_freq_factor", high,
                                     "original_max_position_embeddings", (int)original));
    return 0;
}

/* The same divisor for every frequency is linear scaling. */
static int take_frequencies(struct synthesis *s, const struct gguf_tensor *freqs, const struct rope *r)
{
    enum { MAX_HALF = 1024 };
    float f[MAX_HALF];
    int64_t half = r->head_dim / 2, same = 1;
    if (freqs->storage != STORAGE_F32 || half > MAX_HALF || freqs->n_element != (uint64_t)half)
        return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight: wanted %" PRId64 " values of type F32", s->path, half);
    storage_to_f32(freqs->storage, freqs->data, 0, (uint64_t)half, f);
    while (same < half && f[same] == f[0])
        same++;
    if (same < half)
        return llama3_scaling(s, f, r);
    if (!(f[0] > 0) || !isfinite(f[0]))
        return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight: wanted positive numbers", s->path);
    put_linear(s, shortest(r->factor * (double)f[0]));
    return 0;
}

/* As llama.cpp: without a type the scaling is linear; the factor's old name is scale_linear; 0 means none. */
static int take_factor(struct synthesis *s, double *factor)
{
    char key[96], type_key[96];
    struct gguf_string type = {"linear", 6};
    key_of(s, "rope.scaling.type", type_key);
    key_of(s, "rope.scaling.factor", key);
    if (gguf_has(s->g, type_key) && gguf_get_string(s->g, type_key, &type))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a string", s->path, type_key);
    int none = type.len == 4 && !memcmp(type.data, "none", 4);
    if (!none && (type.len != 6 || memcmp(type.data, "linear", 6)))
        return error_set(s->err, ERROR_DATA, "%s: metadata %s is \"%.*s\"; wanted none or linear", s->path, type_key, (int)(type.len < 64 ? type.len : 64), type.data);
    if (!gguf_has(s->g, key))
        key_of(s, "rope.scale_linear", key);
    *factor = 0;
    if (gguf_has(s->g, key) && (gguf_get_float(s->g, key, factor) || !isfinite(*factor) || *factor < 0))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a positive number, found something else", s->path, key);
    *factor = none || *factor == 0 ? 1 : shortest(*factor);
    return 0;
}

static int take_rope(struct synthesis *s, int64_t head_dim)
{
    struct rope r = {10000, 1, head_dim};
    int64_t rotated = head_dim;
    int rc;
    if ((rc = take_float(s, "rope.freq_base", 1, &r.theta)) || (rc = take_int(s, "rope.dimension_count", 1, 1 << 20, &rotated)))
        return rc;
    if (rotated != head_dim)
        return error_set(s->err, ERROR_DATA, "%s: rope.dimension_count: %" PRId64 " of %" PRId64 " dimensions of a head are rotated; wanted all", s->path, rotated, head_dim);
    put(s, "rope_theta", json_real(r.theta));
    if ((rc = take_factor(s, &r.factor)))
        return rc;
    const struct gguf_tensor *freqs = gguf_find(s->g, "rope_freqs.weight");
    if (freqs)
        return take_frequencies(s, freqs, &r);
    put_linear(s, r.factor);
    return 0;
}

static int take_shape(struct synthesis *s, int64_t *head_dim)
{
    static const struct { const char *suffix, *key; int64_t max; } sizes[] = {
        {"embedding_length", "hidden_size", 1 << 24},      {"block_count", "num_hidden_layers", 1 << 16},
        {"attention.head_count", "num_attention_heads", 1 << 16}, {"feed_forward_length", "intermediate_size", 1 << 24},
        {"context_length", "max_position_embeddings", 1 << 30},
    };
    int64_t v[5], kv;
    double eps;
    for (int i = 0; i < 5; i++) {
        int rc = take_int(s, sizes[i].suffix, 0, sizes[i].max, &v[i]);
        if (rc)
            return rc;
        put(s, sizes[i].key, json_integer(v[i]));
    }
    kv = v[2];
    *head_dim = v[0] / v[2];
    int rc;
    if ((rc = take_int(s, "attention.head_count_kv", 1, v[2], &kv)) || (rc = take_int(s, "attention.key_length", 1, 1 << 16, head_dim)) ||
        (rc = take_float(s, "attention.layer_norm_rms_epsilon", 0, &eps)))
        return rc;
    if (*head_dim < 2 || *head_dim % 2)
        return error_set(s->err, ERROR_DATA, "%s: heads of %" PRId64 " dimensions; wanted an even number", s->path, *head_dim);
    if ((rc = gguf_check_keys(s->g, s->arch, *head_dim, v[4], s->path, s->err)) || (rc = gguf_check_tensors(s->g, v[1], s->path, s->err)))
        return rc;
    put(s, "num_key_value_heads", json_integer(kv));
    put(s, "head_dim", json_integer(*head_dim));
    put(s, "rms_norm_eps", json_real(eps));
    return 0;
}

/* Of queries, keys or values in any layer; others are refused (gguf_check_tensors). */
static int has_bias(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const char *name = gguf_tensor_at(g, i)->name, *dot = strrchr(name, '.');
        if (dot && !strcmp(dot, ".bias"))
            return 1;
    }
    return 0;
}

static int take_vocabulary(struct synthesis *s)
{
    const struct gguf_tensor *embed = gguf_find(s->g, "token_embd.weight");
    if (!embed || embed->n_dim != 2)
        return error_set(s->err, ERROR_DATA, "%s: wanted a matrix token_embd.weight, found none; is this a vocabulary-only file?", s->path);
    put(s, "vocab_size", json_integer((json_int_t)embed->dim[1]));
    put(s, "tie_word_embeddings", json_boolean(!gguf_find(s->g, "output.weight")));
    put(s, "attention_bias", json_boolean(has_bias(s->g)));
    put(s, "mlp_bias", json_false());
    return 0;
}

static void put_ids(const struct gguf *g, json_t *object, int *bad)
{
    static const struct { const char *gguf, *hf; } ids[] = {
        {"tokenizer.ggml.bos_token_id", "bos_token_id"},
        {"tokenizer.ggml.eos_token_id", "eos_token_id"},
        {"tokenizer.ggml.padding_token_id", "pad_token_id"},
    };
    int64_t id;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (!gguf_get_int(g, ids[i].gguf, &id))
            *bad |= json_object_set_new(object, ids[i].hf, json_integer(id)) != 0;
}

/* llama.cpp ends a generation at the end of a turn or of a message, too. */
static void put_ends(const struct gguf *g, json_t *generation, int *bad)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    json_t *list = json_array();
    int64_t seen[3], id;
    size_t n = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t k = 0;
        if (gguf_get_int(g, keys[i], &id))
            continue;
        while (k < n && seen[k] != id)
            k++;
        if (k < n)
            continue;
        seen[n++] = id;
        *bad |= json_array_append_new(list, json_integer(id)) != 0;
    }
    if (n > 1)
        *bad |= json_object_set(generation, "eos_token_id", list) != 0;
    else if (n && !json_object_get(generation, "eos_token_id"))
        *bad |= json_object_set(generation, "eos_token_id", json_array_get(list, 0)) != 0;
    json_decref(list);
}

static int synthesise(struct synthesis *s)
{
    struct gguf_string name;
    int64_t head_dim, split = 1;
    const struct architecture *arch = find_architecture(s->g, &name);
    if (!arch)
        return error_set(s->err, ERROR_DATA, "%s: architecture \"%.*s\"; wanted llama, qwen2 or qwen3", s->path, (int)(name.len < 64 ? name.len : 64), name.data);
    if (!gguf_get_int(s->g, "split.count", &split) && split > 1)
        return error_set(s->err, ERROR_DATA, "%s: one of %" PRId64 " parts; join them with llama-gguf-split --merge", s->path, split);
    s->arch = arch->gguf;
    put(s, "architectures", json_pack("[s]", arch->class));
    put(s, "model_type", json_string(arch->model_type));
    put(s, "hidden_act", json_string("silu"));
    put(s, "torch_dtype", json_string("float32"));
    int rc;
    if ((rc = take_shape(s, &head_dim)) || (rc = take_rope(s, head_dim)) || (rc = take_vocabulary(s)))
        return rc;
    put_ids(s->g, s->config, &s->bad);
    return 0;
}

int gguf_hf_config(json_t **config, json_t **generation, const struct gguf *g, const char *path, struct error *err)
{
    struct synthesis s = {.g = g, .path = path, .config = json_object(), .err = err};
    json_t *made = json_object();
    *config = *generation = NULL;
    int rc = s.config && made ? synthesise(&s) : 0;
    if (!rc && made) {
        put_ids(g, made, &s.bad);
        put_ends(g, made, &s.bad);
    }
    if (!rc && (s.bad || !s.config || !made))
        rc = error_set_nomem(err, sizeof *made, "a configuration");
    if (rc) {
        json_decref(s.config);
        json_decref(made);
        return rc;
    }
    *config = s.config;
    *generation = made;
    return 0;
}
