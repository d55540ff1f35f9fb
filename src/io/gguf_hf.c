/* SPDX-License-Identifier: Apache-2.0 */
/* What llama.cpp's conversion does to a Hugging Face checkpoint, undone. Key and tensor names are those of ggml's gguf
 * specification. */
#include "io/gguf_hf.h"

#include "io/gguf_keys.h"
#include "io/jsontext.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct gguf_arch *find_architecture(const struct gguf *g, struct gguf_string *name)
{
    if (gguf_get_string(g, "general.architecture", name))
        *name = (struct gguf_string){"", 0};
    return gguf_arch_find(name->data, name->len);
}

int64_t gguf_hf_row(int64_t r, int64_t n_row, int64_t heads)
{
    int64_t d = n_row / heads, head = r / d, in = r % d, half = d / 2;
    return head * d + in % half * 2 + in / half;
}

/* How many heads' rows a tensor has. */
static int64_t heads_of(const struct gguf *g, const struct gguf_arch *arch, enum gguf_change change)
{
    char key[96];
    int64_t heads = 0;
    snprintf(key, sizeof key, "%s.attention.head_count_kv", arch->name);
    if (change == GGUF_PAIRS_K && !gguf_same_int(g, key, &heads))
        return heads;
    snprintf(key, sizeof key, "%s.attention.head_count", arch->name);
    if (change == GGUF_PAIRS_Q || change == GGUF_PAIRS_K)
        gguf_same_int(g, key, &heads);
    return heads;
}

int gguf_hf_name(const struct gguf *g, const char *name, struct buf *out, enum gguf_change *change, int64_t *heads)
{
    struct gguf_string arch_name;
    const struct gguf_arch *arch = find_architecture(g, &arch_name);
    const char *tail;
    int64_t layer;
    const char *part = gguf_tensor_part(name, &layer);
    const struct gguf_name *found = arch ? gguf_arch_tensor(arch, part, layer >= 0, &tail) : NULL;
    *heads = 0;
    *change = GGUF_AS_IS;
    if (gguf_tensor_harmless(name))
        return 1;
    if (!found) {
        buf_puts(out, name);
        return 0;
    }
    if (layer >= 0)
        buf_printf(out, "%s%" PRId64 ".", arch->layer, layer);
    buf_printf(out, "%s%s", found->hf, tail);
    *change = found->change;
    *heads = heads_of(g, arch, found->change);
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
    const char *path;
    const struct gguf_arch *arch;
    json_t *config;
    struct error *err;
    int bad; /* an allocation failed */
};

/* key: LLaMA's. */
static void put(struct synthesis *s, const char *key, json_t *value)
{
    for (const char *const *alias = s->arch->aliases; alias && alias[0]; alias += 2)
        if (!strcmp(alias[0], key))
            key = alias[1];
    s->bad |= json_object_set_new(s->config, key, value) != 0;
}

static void key_of(const struct synthesis *s, const char *suffix, char key[96])
{
    snprintf(key, 96, "%s.%s", s->arch->name, suffix);
}

/* *out keeps its value when the key is absent and optional. */
static int take_int(struct synthesis *s, const char *suffix, int optional, int64_t max, int64_t *out)
{
    char key[96];
    key_of(s, suffix, key);
    if (!gguf_has(s->g, key) && optional)
        return 0;
    if (gguf_same_int(s->g, key, out) || *out < 1 || *out > max)
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be one integer in 1..%" PRId64 ", found %s",
                         s->path, key, max, gguf_has(s->g, key) ? "something else" : "nothing");
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
    double theta, factor, attention; /* factor: of linear scaling; attention: cosines and sines are multiplied by it */
    int64_t head_dim;
    int yarn;
};

static void put_linear(struct synthesis *s, double factor)
{
    put(s, "rope_scaling", factor == 1 ? json_null() : json_pack("{s:s,s:f}", "rope_type", "linear", "factor", factor));
}

struct llama3 {
    double factor, high, original; /* low_freq_factor is 1: only ratios to it show */
};

static double wave_of(const struct rope *r, int64_t i)
{
    return 2 * M_PI * pow(r->theta, 2.0 * (double)i / (double)r->head_dim);
}

/* The first divisor that is another than the rule's, or -1. */
static int64_t llama3_differs(const struct llama3 *l, const float *f, const struct rope *r, double *want)
{
    for (int64_t i = 0; i < r->head_dim / 2; i++) {
        double wave = wave_of(r, i), smooth = (l->original / wave - 1) / (l->high - 1);
        *want = wave < l->original / l->high ? 1
                : wave > l->original         ? l->factor
                                             : 1 / ((1 - smooth) / l->factor + smooth);
        if (!(fabs((double)f[i] - *want) <= 1e-5 * *want))
            return i;
    }
    return -1;
}

static double snapped(double x, double step)
{
    double near = round(x / step) * step;
    return fabs(x - near) < 1e-3 * fabs(x) ? near : x;
}

/* Between full and no scaling the divisor's inverse is a line over the inverse wavelength; two points, or one and the
 * usual ratio of 4, give its rule. */
static struct llama3 llama3_fit(const float *f, const struct rope *r)
{
    struct llama3 l = {(double)f[r->head_dim / 2 - 1], 4, 8192};
    double x[2] = {0, 0}, y[2] = {0, 0};
    int n = 0;
    for (int64_t i = 0; i < r->head_dim / 2; i++) {
        double v = (double)f[i], t = (1 / v - 1 / l.factor) / (1 - 1 / l.factor);
        if (!(t > 1e-6 && t < 1 - 1e-6))
            continue;
        int k = n ? 1 : 0;
        x[k] = 1 / wave_of(r, i);
        y[k] = t;
        n++;
    }
    if (n > 1) {
        double slope = (y[1] - y[0]) / (x[1] - x[0]), below = slope * x[0] - y[0];
        l.high = snapped(1 + 1 / below, 0.25);
        l.original = snapped(slope * (l.high - 1), 1);
    } else if (n) {
        l.original = snapped((3 * y[0] + 1) / x[0], 1);
    }
    return l;
}

static int put_llama3(struct synthesis *s, const float *f, const struct rope *r)
{
    double want = 0;
    struct llama3 l = {(double)f[r->head_dim / 2 - 1], 4, 8192};
    if (llama3_differs(&l, f, r, &want) >= 0)
        l = llama3_fit(f, r);
    if (r->attention != 1 || llama3_differs(&l, f, r, &want) >= 0)
        return 0;
    json_t *original = l.original == floor(l.original) ? json_integer((json_int_t)l.original) : json_real(l.original);
    put(s, "rope_scaling",
        json_pack("{s:s,s:f,s:f,s:f,s:o}", "rope_type", "llama3", "factor", shortest(l.factor), "low_freq_factor", 1.0,
                  "high_freq_factor", l.high, "original_max_position_embeddings", original));
    return 1;
}

/* Any divisors at all: longrope's factors, the same for short and for long texts. */
static void put_divisors(struct synthesis *s, const float *f, const struct rope *r, int64_t n_ctx)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->head_dim / 2; i++)
        s->bad |= json_array_append_new(list, json_real(f ? shortest((double)f[i]) : r->factor)) != 0;
    put(s, "rope_scaling",
        json_pack("{s:s,s:O,s:o,s:f,s:I}", "rope_type", "longrope", "short_factor", list, "long_factor", list,
                  "attention_factor", shortest(r->attention), "original_max_position_embeddings", (json_int_t)n_ctx));
}

/* Llama-3's scaling of low frequencies is not in the metadata: the conversion stores its effect, a divisor per
 * frequency. The same divisor for all is linear scaling. */
static int take_frequencies(struct synthesis *s, const struct gguf_tensor *freqs, const struct rope *r, int64_t n_ctx)
{
    enum { MAX_HALF = 1024 };
    float f[MAX_HALF];
    int64_t half = r->head_dim / 2, same = 1;
    if (freqs->storage != STORAGE_F32 || half > MAX_HALF || freqs->n_element != (uint64_t)half)
        return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight: wanted %" PRId64 " values of type F32",
                         s->path, half);
    storage_to_f32(freqs->storage, freqs->data, 0, (uint64_t)half, f);
    for (int64_t i = 0; i < half; i++)
        if (!(f[i] > 0) || !isfinite(f[i]))
            return error_set(s->err, ERROR_DATA, "%s: tensor rope_freqs.weight: wanted positive numbers", s->path);
    while (same < half && f[same] == f[0])
        same++;
    if (r->yarn || (same < half && r->factor != 1))
        return error_set(s->err, ERROR_DATA,
                         "%s: tensor rope_freqs.weight together with a rope.scaling.factor of %g: wanted one of them",
                         s->path, r->factor);
    if (same == half && r->attention == 1)
        put_linear(s, shortest(r->factor * (double)f[0]));
    else if (same == half || !put_llama3(s, f, r))
        put_divisors(s, f, r, n_ctx);
    return 0;
}

static int is_word(const struct gguf_string *s, const char *word)
{
    return s->len == strlen(word) && !memcmp(s->data, word, s->len);
}

/* As llama.cpp: without a type the scaling is linear; the factor's old name is scale_linear; 0 means none. */
static int take_factor(struct synthesis *s, struct rope *r)
{
    char key[96], type_key[96];
    struct gguf_string type = {"linear", 6};
    key_of(s, "rope.scaling.type", type_key);
    key_of(s, "rope.scaling.factor", key);
    if (gguf_has(s->g, type_key) && gguf_get_string(s->g, type_key, &type))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a string", s->path, type_key);
    int none = is_word(&type, "none");
    r->yarn = is_word(&type, "yarn");
    if (!none && !r->yarn && !is_word(&type, "linear"))
        return error_set(s->err, ERROR_DATA, "%s: metadata %s is \"%.*s\"; wanted none, linear or yarn", s->path,
                         type_key, (int)(type.len < 64 ? type.len : 64), type.data);
    if (!gguf_has(s->g, key))
        key_of(s, "rope.scale_linear", key);
    r->factor = 0;
    if (gguf_has(s->g, key) && (gguf_get_float(s->g, key, &r->factor) || !isfinite(r->factor) || r->factor < 0))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a positive number, found something else",
                         s->path, key);
    r->factor = none || r->factor == 0 ? 1 : shortest(r->factor);
    r->yarn &= r->factor != 1;
    return 0;
}

/* llama.cpp's ramp and attention factor are transformers' defaults. */
static int put_yarn(struct synthesis *s, const struct rope *r, int64_t n_ctx)
{
    int64_t original = n_ctx;
    double fast = 32, slow = 1;
    int rc = take_int(s, "rope.scaling.original_context_length", 1, 1 << 30, &original);
    if (!rc)
        rc = take_float(s, "rope.scaling.yarn_beta_fast", 1, &fast);
    if (!rc)
        rc = take_float(s, "rope.scaling.yarn_beta_slow", 1, &slow);
    json_t *rule =
        json_pack("{s:s,s:f,s:I,s:f,s:f}", "rope_type", "yarn", "factor", r->factor, "original_max_position_embeddings",
                  (json_int_t)original, "beta_fast", fast, "beta_slow", slow);
    double attention = r->attention * (0.1 * log(r->factor) + 1);
    if (rule && r->attention != 1)
        s->bad |= json_object_set_new(rule, "attention_factor", json_real(attention)) != 0;
    put(s, "rope_scaling", rule);
    return rc;
}

static int take_rope(struct synthesis *s, int64_t head_dim, int64_t n_ctx)
{
    struct rope r = {10000, 1, 1, head_dim, 0};
    int64_t rotated = head_dim;
    int rc;
    if ((rc = take_float(s, "rope.freq_base", 1, &r.theta)) ||
        (rc = take_int(s, "rope.dimension_count", 1, 1 << 20, &rotated)) ||
        (rc = take_float(s, "rope.scaling.attn_factor", 1, &r.attention)))
        return rc;
    if (rotated != head_dim)
        return error_set(s->err, ERROR_DATA,
                         "%s: rope.dimension_count: %" PRId64 " of %" PRId64
                         " dimensions of a head are rotated; wanted all",
                         s->path, rotated, head_dim);
    put(s, "rope_theta", json_real(r.theta));
    if ((rc = take_factor(s, &r)))
        return rc;
    const struct gguf_tensor *freqs = gguf_find(s->g, "rope_freqs.weight");
    if (freqs)
        return take_frequencies(s, freqs, &r, n_ctx);
    if (r.yarn)
        return put_yarn(s, &r, n_ctx);
    if (r.attention != 1)
        put_divisors(s, NULL, &r, n_ctx);
    else
        put_linear(s, r.factor);
    return 0;
}

static int take_shape(struct synthesis *s, int64_t *head_dim, int64_t *n_layer, int64_t *n_ctx)
{
    static const struct {
        const char *suffix, *key;
        int64_t max;
    } sizes[] = {
        {"embedding_length", "hidden_size", 1 << 24},
        {"block_count", "num_hidden_layers", 1 << 16},
        {"attention.head_count", "num_attention_heads", 1 << 16},
        {"feed_forward_length", "intermediate_size", 1 << 24},
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
    *n_layer = v[1];
    *n_ctx = v[4];
    *head_dim = v[0] / v[2];
    int rc;
    if ((rc = take_int(s, "attention.head_count_kv", 1, v[2], &kv)) ||
        (rc = take_int(s, "attention.key_length", 1, 1 << 16, head_dim)) ||
        (rc = take_float(s, s->arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
                         0, &eps)))
        return rc;
    if (*head_dim < 2 || *head_dim % 2)
        return error_set(s->err, ERROR_DATA, "%s: heads of %" PRId64 " dimensions; wanted an even number", s->path,
                         *head_dim);
    if ((rc = gguf_check_keys(s->g, s->arch, *head_dim, v[4], s->path, s->err)) ||
        (rc = gguf_check_tensors(s->g, s->arch, v[1], s->path, s->err)))
        return rc;
    put(s, "num_key_value_heads", json_integer(kv));
    put(s, "head_dim", json_integer(*head_dim));
    put(s, "rms_norm_eps", json_real(eps));
    return 0;
}

/* Biases that config.json switches on together must stand together, in every layer. */
static int take_biases(struct synthesis *s, int64_t n_layer)
{
    static const struct {
        const char *key, *parts[4];
        int n;
    } groups[] = {{"attention_bias", {"attn_q", "attn_k", "attn_v", "attn_output"}, 4},
                  {"mlp_bias", {"ffn_gate", "ffn_up", "ffn_down"}, 3}};
    for (int k = 0; k < 2 && s->arch->biases; k++) {
        char name[96];
        const char *found = NULL;
        int64_t n = 0, all = n_layer * groups[k].n;
        for (int64_t i = 0; i < all; i++) {
            snprintf(name, sizeof name, "blk.%" PRId64 ".%s.bias", i / groups[k].n, groups[k].parts[i % groups[k].n]);
            const struct gguf_tensor *t = gguf_find(s->g, name);
            n += t != NULL;
            found = found || !t ? found : t->name;
        }
        if (n && n < all)
            return error_set(
                s->err, ERROR_DATA,
                "%s: tensor %s: wanted such biases in all of %s, %s and the others of every layer (%" PRId64
                "), found %" PRId64,
                s->path, found, groups[k].parts[0], groups[k].parts[1], all, n);
        put(s, groups[k].key, json_boolean(n));
    }
    return 0;
}

static int take_vocabulary(struct synthesis *s)
{
    const struct gguf_tensor *embed = gguf_find(s->g, "token_embd.weight");
    if (!embed || embed->n_dim != 2)
        return error_set(s->err, ERROR_DATA,
                         "%s: wanted a matrix token_embd.weight, found none; is this a vocabulary-only file?", s->path);
    put(s, "vocab_size", json_integer((json_int_t)embed->dim[1]));
    put(s, "tie_word_embeddings", json_boolean(!gguf_find(s->g, "output.weight")));
    return 0;
}

/* What only this architecture has. */
static int take_settings(struct synthesis *s)
{
    for (int i = 0; i < s->arch->n_setting; i++) {
        const struct gguf_setting *t = &s->arch->settings[i];
        double x = t->missing;
        int64_t n = 0;
        char key[96];
        key_of(s, t->suffix, key);
        int there = gguf_has(s->g, key), rc = 0;
        if (there && t->kind == GGUF_KIND_INT)
            rc = take_int(s, t->suffix, 0, 1 << 30, &n);
        else if (there)
            rc = take_float(s, t->suffix, 0, &x);
        if (rc)
            return rc;
        if (t->kind == GGUF_KIND_INT && (there || !isnan(x)))
            put(s, t->key, json_integer(there ? n : (json_int_t)x));
        else if (!isnan(x))
            put(s, t->key, json_real(x));
    }
    return 0;
}

/* Which layers a window holds for: a number, a list of truth values, or llama.cpp's own of the architecture. */
static int take_pattern(struct synthesis *s, int64_t n_layer)
{
    char key[96];
    int64_t every = s->arch->window_pattern;
    key_of(s, "attention.sliding_window_pattern", key);
    int64_t n = gguf_array_length(s->g, key, NULL);
    if (!s->arch->window_pattern)
        return 0;
    if (n < 0) {
        if (gguf_has(s->g, key) && (gguf_get_int(s->g, key, &every) || every < 1))
            return error_set(s->err, ERROR_DATA,
                             "%s: wanted metadata %s to be a positive integer or a list, found something else", s->path,
                             key);
        put(s, "sliding_window_pattern", json_integer(every));
    }
    unsigned char *list = n >= 0 ? malloc((size_t)n_layer + 1) : NULL;
    if (n >= 0 && (!list || n != n_layer || gguf_array_bools(s->g, key, list))) {
        free(list);
        return error_set(s->err, ERROR_DATA,
                         "%s: wanted metadata %s to be a list of %" PRId64 " truth values, found something else",
                         s->path, key, n_layer);
    }
    json_t *types = json_array();
    for (int64_t i = 0; i < n_layer; i++) {
        int window = list ? list[i] : (i + 1) % every != 0;
        s->bad |= json_array_append_new(types, json_string(window ? "sliding_attention" : "full_attention")) != 0;
    }
    put(s, "layer_types", types);
    free(list);
    return 0;
}

/* llama.cpp knows by the number of layers which models scale attention by the width over the heads. */
static int take_scale(struct synthesis *s, int64_t n_layer, int64_t head_dim)
{
    int64_t width = 0, heads = 1;
    if (!s->arch->scale_layers)
        return 0;
    int rc = take_int(s, "embedding_length", 0, 1 << 24, &width);
    if (!rc)
        rc = take_int(s, "attention.head_count", 0, 1 << 16, &heads);
    put(s, "query_pre_attn_scalar", json_integer(n_layer == s->arch->scale_layers ? width / heads : head_dim));
    return rc;
}

static int take_fixed(struct synthesis *s)
{
    json_error_t why;
    json_t *fixed = jsontext_document(s->arch->fixed, strlen(s->arch->fixed), 0, &why);
    s->bad |= !fixed || json_object_update(s->config, fixed);
    json_decref(fixed);
    return 0;
}

static void put_ids(const struct gguf *g, json_t *object, int *bad)
{
    static const struct {
        const char *gguf, *hf;
    } ids[] = {
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
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
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
    int64_t head_dim = 0, n_layer = 0, n_ctx = 0, split = 1;
    s->arch = find_architecture(s->g, &name);
    if (!s->arch)
        return error_set(s->err, ERROR_DATA, "%s: architecture \"%.*s\"; wanted %s", s->path,
                         (int)(name.len < 64 ? name.len : 64), name.data, gguf_arch_names());
    if (!gguf_get_int(s->g, "split.count", &split) && split > 1)
        return error_set(s->err, ERROR_DATA, "%s: one of %" PRId64 " parts; join them with llama-gguf-split --merge",
                         s->path, split);
    put(s, "architectures", json_pack("[s]", s->arch->class));
    put(s, "model_type", json_string(s->arch->model_type));
    put(s, "torch_dtype", json_string("float32"));
    int rc;
    if ((rc = take_fixed(s)) || (rc = take_shape(s, &head_dim, &n_layer, &n_ctx)) || (rc = take_settings(s)) ||
        (rc = take_pattern(s, n_layer)) || (rc = take_scale(s, n_layer, head_dim)) ||
        (rc = take_rope(s, head_dim, n_ctx)) || (rc = take_vocabulary(s)) || (rc = take_biases(s, n_layer)))
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
