/* SPDX-License-Identifier: Apache-2.0 */
/* What llama.cpp's conversion does to a Hugging Face checkpoint, undone. Key and tensor names are those of ggml's gguf
 * specification. */
#include "io/gguf_hf.h"

#include "io/gguf_keys.h"
#include "io/gguf_synthesis.h"
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

int64_t gguf_hf_row(int64_t r, int64_t n_row, int64_t heads, enum gguf_change change)
{
    int64_t d = n_row / heads, head = r / d, in = r % d, half = d / 2, third = d / 3;
    if (change == GGUF_QKV)
        return in / third * heads * third + head * third + in % third;
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
    if (change == GGUF_PAIRS_Q || change == GGUF_PAIRS_K || change == GGUF_QKV)
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
    if (gguf_tensor_harmless(name) || (arch && gguf_tensor_rope(arch, name)))
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
        int rc = gguf_take_int(s, sizes[i].suffix, 0, sizes[i].max, &v[i]);
        if (rc)
            return rc;
        gguf_put_config(s, sizes[i].key, json_integer(v[i]));
    }
    kv = v[2];
    *n_layer = v[1];
    *n_ctx = v[4];
    *head_dim = v[0] / v[2];
    int rc;
    if ((rc = gguf_take_int(s, "attention.head_count_kv", 1, v[2], &kv)) ||
        (rc = gguf_take_int(s, "attention.key_length", 1, 1 << 16, head_dim)) ||
        (rc = gguf_take_float(
             s, s->arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 0, &eps)))
        return rc;
    if (*head_dim < 2 || (*head_dim % 2 && !s->arch->positions))
        return error_set(s->err, ERROR_DATA, "%s: heads of %" PRId64 " dimensions; wanted an even number", s->path,
                         *head_dim);
    if ((rc = gguf_check_keys(s->g, s->arch, *head_dim, v[4], s->path, s->err)) ||
        (rc = gguf_check_tensors(s->g, s->arch, v[1], s->path, s->err)))
        return rc;
    if (!s->arch->positions) {
        gguf_put_config(s, "num_key_value_heads", json_integer(kv));
        gguf_put_config(s, "head_dim", json_integer(*head_dim));
    }
    gguf_put_config(s, "rms_norm_eps", json_real(eps));
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
        gguf_put_config(s, groups[k].key, json_boolean(n));
    }
    return 0;
}

static int take_vocabulary(struct synthesis *s)
{
    const struct gguf_tensor *embed = gguf_find(s->g, "token_embd.weight");
    if (!embed || embed->n_dim != 2)
        return error_set(s->err, ERROR_DATA,
                         "%s: wanted a matrix token_embd.weight, found none; is this a vocabulary-only file?", s->path);
    gguf_put_config(s, "vocab_size", json_integer((json_int_t)embed->dim[1]));
    const struct gguf_tensor *types = gguf_find(s->g, "token_types.weight");
    if (s->arch->encoder && types)
        gguf_put_config(s, "type_vocab_size", json_integer((json_int_t)types->dim[1]));
    else if (!s->arch->encoder)
        gguf_put_config(s, "tie_word_embeddings", json_boolean(!gguf_find(s->g, "output.weight")));
    return 0;
}

static int take_bool(struct synthesis *s, const char *key, int *on)
{
    return gguf_get_bool(s->g, key, on)
               ? error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be true or false", s->path, key)
               : 0;
}

/* What only this architecture has. */
static int take_settings(struct synthesis *s)
{
    for (int i = 0; i < s->arch->n_setting; i++) {
        const struct gguf_setting *t = &s->arch->settings[i];
        double x = t->missing;
        int64_t n = 0;
        int on = 0;
        char key[96];
        gguf_key_of(s, t->suffix, key);
        int there = gguf_has(s->g, key), rc = 0;
        if (there && t->kind == GGUF_KIND_INT)
            rc = gguf_take_int(s, t->suffix, 0, 1 << 30, &n);
        else if (there && t->kind == GGUF_KIND_BOOL)
            rc = take_bool(s, key, &on);
        else if (there)
            rc = gguf_take_float(s, t->suffix, 0, &x);
        if (rc)
            return rc;
        if (t->kind == GGUF_KIND_BOOL)
            gguf_put_config(s, t->key, json_boolean(on));
        else if (t->kind == GGUF_KIND_INT && (there || !isnan(x)))
            gguf_put_config(s, t->key, json_integer(there ? n : (json_int_t)x));
        else if (!isnan(x))
            gguf_put_config(s, t->key, json_real(x));
    }
    return 0;
}

/* Which layers a window holds for: a number, a list of truth values, or llama.cpp's own of the architecture. */
static int take_pattern(struct synthesis *s, int64_t n_layer)
{
    char key[96];
    int64_t every = s->arch->window_pattern;
    gguf_key_of(s, "attention.sliding_window_pattern", key);
    int64_t n = gguf_array_length(s->g, key, NULL);
    if (!s->arch->window_pattern)
        return 0;
    if (n < 0) {
        if (gguf_has(s->g, key) && (gguf_get_int(s->g, key, &every) || every < 1))
            return error_set(s->err, ERROR_DATA,
                             "%s: wanted metadata %s to be a positive integer or a list, found something else", s->path,
                             key);
        gguf_put_config(s, "sliding_window_pattern", json_integer(every));
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
    gguf_put_config(s, "layer_types", types);
    free(list);
    return 0;
}

/* llama.cpp knows by the number of layers which models scale attention by the width over the heads. */
static int take_scale(struct synthesis *s, int64_t n_layer, int64_t head_dim)
{
    int64_t width = 0, heads = 1;
    if (!s->arch->scale_layers)
        return 0;
    int rc = gguf_take_int(s, "embedding_length", 0, 1 << 24, &width);
    if (!rc)
        rc = gguf_take_int(s, "attention.head_count", 0, 1 << 16, &heads);
    gguf_put_config(s, "query_pre_attn_scalar",
                    json_integer(n_layer == s->arch->scale_layers ? width / heads : head_dim));
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
    gguf_put_config(s, "architectures", json_pack("[s]", s->arch->class));
    gguf_put_config(s, "model_type", json_string(s->arch->model_type));
    gguf_put_config(s, "torch_dtype", json_string("float32"));
    int rc;
    if ((rc = take_fixed(s)) || (rc = take_shape(s, &head_dim, &n_layer, &n_ctx)) || (rc = take_settings(s)) ||
        (rc = take_pattern(s, n_layer)) || (rc = take_scale(s, n_layer, head_dim)) ||
        (!s->arch->positions && (rc = gguf_take_rope(s, head_dim, n_ctx))) || (rc = take_vocabulary(s)) ||
        (rc = take_biases(s, n_layer)))
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
