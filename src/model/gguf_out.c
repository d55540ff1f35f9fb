/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_out.h"

#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/gguf_arch.h"
#include "io/gguf_hf.h"
#include "model/gguf_parts.h"
#include "model/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* elements in flight */
enum { PIECE = 1 << 18 };

struct gguf_model {
    struct model tables; /* the descriptor and the parameters' names; nothing is loaded */
    const struct checkpoint *source;
    const struct gguf_arch *arch;
    struct gguf_target *targets; /* [n] */
    int n;
    float *lists; /* [n_list][n_rotated / 2]: divisors of the rotary frequencies, which are the file's first tensors */
    int n_list;
};

void gguf_model_free(struct gguf_model *g)
{
    if (!g)
        return;
    arena_free(&g->tables.arena);
    mem_free(g->targets);
    mem_free(g->lists);
    mem_free(g);
}

const struct model_desc *gguf_model_desc(const struct gguf_model *g)
{
    return &g->tables.desc;
}

/* --- names --- */

int gguf_target_find(struct gguf_target *t, const struct gguf_arch *arch, const struct model_desc *d, const char *name)
{
    const char *part = name, *tail;
    size_t n = strlen(arch->layer);
    long layer = -1;
    if (!strncmp(name, arch->layer, n)) {
        char *end;
        layer = strtol(name + n, &end, 10);
        part = *end == '.' ? end + 1 : end;
    }
    const struct gguf_name *found = gguf_arch_hf_tensor(arch, part, layer >= 0, &tail);
    if (!found)
        return -1;
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%ld.%s%s", layer, found->gguf, tail);
    else
        snprintf(t->name, sizeof t->name, "%s%s", found->gguf, tail);
    t->change = found->change;
    if (t->change == GGUF_PAIRS_Q || t->change == GGUF_QKV)
        t->heads = d->n_head;
    else
        t->heads = t->change == GGUF_PAIRS_K ? d->n_kv_head : 0;
    return 0;
}

/* --- metadata --- */

struct key_writer {
    struct gguf_writer *w;
    const struct gguf_arch *arch;
    char name[96];
};

static const char *key_of(struct key_writer *k, const char *suffix)
{
    snprintf(k->name, sizeof k->name, "%s.%s", k->arch->name, suffix);
    return k->name;
}

static void put_number(struct key_writer *k, const char *suffix, int64_t value)
{
    gguf_put_u32(k->w, key_of(k, suffix), (uint32_t)value);
}

static const json_t *rope_rule(const struct checkpoint *source)
{
    const json_t *old = json_object_get(checkpoint_config(source), "rope_scaling");
    return json_object_size(old) ? old : json_object_get(checkpoint_config(source), "rope_parameters");
}

static int is_longrope(const struct gguf_arch *arch, const struct checkpoint *source)
{
    const json_t *rule = rope_rule(source);
    return arch->longrope && json_is_array(json_object_get(rule, "long_factor")) &&
           json_is_array(json_object_get(rule, "short_factor"));
}

/* Where the architecture has no window, a context of its length sees the same; and where it has one list of frequencies
 * for all texts, the context ends with those that turn by it. */
static int context_of(const struct gguf_arch *arch, const struct model_desc *d, const struct checkpoint *source)
{
    int limit = is_longrope(arch, source) ? d->n_ctx : model_turn_limit(d), n = d->n_ctx < limit ? d->n_ctx : limit;
    int windows = gguf_arch_setting(arch, "attention.sliding_window") && !arch->window_unused;
    if (!d->window || d->window >= n || windows)
        return n;
    log_line(LOG_WARNING,
             "llama.cpp's architecture %s uses no sliding window: context_length becomes the window's %d, up to which "
             "nothing is hidden",
             arch->name, d->window);
    return d->window;
}

static void put_sizes(struct key_writer *k, const struct model_desc *d, const struct checkpoint *source)
{
    put_number(k, "vocab_size", d->n_vocab);
    put_number(k, "context_length", context_of(k->arch, d, source));
    put_number(k, "embedding_length", d->n_embd);
    put_number(k, "block_count", d->n_layer);
    put_number(k, "feed_forward_length", d->n_ff);
    put_number(k, "attention.head_count", d->n_head);
    put_number(k, "attention.head_count_kv", d->n_kv_head);
    if (!k->arch->positions) {
        put_number(k, "attention.key_length", d->head_dim);
        put_number(k, "attention.value_length", d->head_dim);
    }
    gguf_put_f32(k->w,
                 key_of(k, k->arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"),
                 d->norm_eps);
}

/* The theta of layers with a window, from their last frequency. */
static float local_theta(const struct model_desc *d)
{
    double f = (double)d->rotations[1].inv_freq[d->n_rotated / 2 - 1];
    return (float)maths_pow(f, -(double)d->n_rotated / (d->n_rotated - 2));
}

/* What llama.cpp makes a text's vector of. */
static int put_encoder(struct key_writer *k, const struct model_desc *d, const char *path, struct error *err)
{
    enum sentence_pooling p = d->sentence.pooling;
    if (!k->arch->encoder)
        return 0;
    if (p != SENTENCE_MEAN && p != SENTENCE_CLS && p != SENTENCE_LAST)
        return error_set(err, ERROR_CONFIG, "%s: its pooling is none of mean, cls and lasttoken, which llama.cpp has",
                         path);
    gguf_put_bool(k->w, key_of(k, "attention.causal"), 0);
    int pooling = p == SENTENCE_LAST ? 3 : 1;
    put_number(k, "pooling_type", p == SENTENCE_CLS ? 2 : pooling);
    if (d->n_type)
        gguf_put_u32(k->w, "tokenizer.ggml.token_type_count", (uint32_t)d->n_type);
    return 0;
}

static void put_settings(struct key_writer *k, const struct model_desc *d)
{
    if (gguf_arch_setting(k->arch, "use_parallel_residual"))
        gguf_put_bool(k->w, key_of(k, "use_parallel_residual"), d->parallel);
    if (gguf_arch_setting(k->arch, "attention.sliding_window") && d->window)
        put_number(k, "attention.sliding_window", d->window);
    if (gguf_arch_setting(k->arch, "attn_logit_softcapping") && d->attention_cap > 0)
        gguf_put_f32(k->w, key_of(k, "attn_logit_softcapping"), d->attention_cap);
    if (gguf_arch_setting(k->arch, "final_logit_softcapping") && d->logit_cap > 0)
        gguf_put_f32(k->w, key_of(k, "final_logit_softcapping"), d->logit_cap);
    if (gguf_arch_setting(k->arch, "rope.freq_base_swa") && d->window && d->n_rotated > 2)
        gguf_put_f32(k->w, key_of(k, "rope.freq_base_swa"), local_theta(d));
    if (k->arch->window_pattern && d->window) {
        unsigned char list[MODEL_MAX_LAYER];
        int usual = 1;
        for (int l = 0; l < d->n_layer; l++) {
            list[l] = (d->layers[l] & LAYER_WINDOW) != 0;
            usual &= list[l] == ((l + 1) % k->arch->window_pattern != 0);
        }
        if (!usual)
            gguf_put_bools(k->w, key_of(k, "attention.sliding_window_pattern"), list, (size_t)d->n_layer);
    }
}

static void put_member(struct key_writer *k, const char *suffix, const json_t *rule, const char *name)
{
    const json_t *x = json_object_get(rule, name);
    if (json_is_number(x))
        gguf_put_f32(k->w, key_of(k, suffix), (float)json_number_value(x));
}

/* By the rule's own name, for architectures that read no list of divisors. Whether nothing was left out shows when the
 * header is read back. */
static int put_yarn(struct gguf_model *g, struct key_writer *k, struct error *err)
{
    const json_t *rule = rope_rule(g->source), *original = json_object_get(rule, "original_max_position_embeddings"),
                 *type = json_object_get(rule, "rope_type");
    type = type ? type : json_object_get(rule, "type");
    if (!json_is_string(type) || strcmp(json_string_value(type), "yarn"))
        return error_set(
            err, ERROR_CONFIG,
            "%s: its rotary frequencies are scaled one by one, which llama.cpp's architecture %s does not do",
            checkpoint_path(g->source), k->arch->name);
    gguf_put_string(k->w, key_of(k, "rope.scaling.type"), "yarn");
    put_member(k, "rope.scaling.factor", rule, "factor");
    put_number(k, "rope.scaling.original_context_length",
               json_is_integer(original) ? json_integer_value(original) : g->tables.desc.n_ctx);
    put_member(k, "rope.scaling.yarn_beta_fast", rule, "beta_fast");
    put_member(k, "rope.scaling.yarn_beta_slow", rule, "beta_slow");
    return 0;
}

/* Fills divisors; returns 1 when they are all the same. */
static int find_divisors(const struct model_desc *d, float *divisors)
{
    int one = 1;
    for (int i = 0; i < d->n_rotated / 2; i++) {
        double plain = 1 / maths_pow(d->rope_theta, 2.0 * i / d->n_rotated),
               ratio = plain / (double)d->rotations[0].inv_freq[i];
        divisors[i] = fabs(ratio - 1) < 1e-6 ? 1 : (float)ratio;
        one &= fabs((double)divisors[i] / (double)divisors[0] - 1) < 1e-6;
    }
    return one;
}

static void put_list(struct gguf_model *g, struct key_writer *k, const char *name)
{
    gguf_put_tensor(k->w, name, STORAGE_F32, 1, (uint64_t[]){(uint64_t)g->tables.desc.n_rotated / 2});
    g->n_list++;
}

/* Both lists of the rule; a text's length, which is not known here, chooses. */
static void put_longrope(struct gguf_model *g, struct key_writer *k)
{
    static const char *const names[][2] = {{"long_factor", "rope_factors_long.weight"},
                                           {"short_factor", "rope_factors_short.weight"}};
    const struct model_desc *d = &g->tables.desc;
    const json_t *rule = rope_rule(g->source), *config = checkpoint_config(g->source),
                 *original = json_object_get(config, "original_max_position_embeddings");
    original = original ? original : json_object_get(rule, "original_max_position_embeddings");
    put_number(k, "rope.scaling.original_context_length",
               json_is_integer(original) ? json_integer_value(original) : d->rotations[0].limit);
    gguf_put_f32(k->w, key_of(k, "rope.scaling.attn_factor"), d->rotations[0].factor);
    for (int i = 0; i < 2; i++) {
        const json_t *list = json_object_get(rule, names[i][0]);
        for (int j = 0; j < d->n_rotated / 2; j++)
            g->lists[i * (d->n_rotated / 2) + j] = (float)json_number_value(json_array_get(list, (size_t)j));
        put_list(g, k, names[i][1]);
    }
}

/* What the plain frequencies are divided by: nothing, one number (linear), or a list, which only some architectures
 * read; and what cosines and sines are multiplied by. */
static int put_rope(struct gguf_model *g, struct key_writer *k, struct error *err)
{
    const struct model_desc *d = &g->tables.desc;
    size_t bytes = (size_t)d->n_rotated * sizeof *g->lists;
    if (!d->n_rotated)
        return 0;
    g->lists = mem_calloc(1, bytes);
    if (!g->lists)
        return error_set_nomem(err, bytes, "rotary frequencies");
    put_number(k, "rope.dimension_count", d->n_rotated);
    gguf_put_f32(k->w, key_of(k, "rope.freq_base"), (float)d->rope_theta);
    if (is_longrope(k->arch, g->source)) {
        put_longrope(g, k);
        return 0;
    }
    int one = find_divisors(d, g->lists), listed = !one && !k->arch->no_frequencies;
    if ((listed || one) && d->rotations[0].factor != 1)
        gguf_put_f32(k->w, key_of(k, "rope.scaling.attn_factor"), d->rotations[0].factor);
    if (listed)
        put_list(g, k, "rope_freqs.weight");
    if (one && g->lists[0] != 1.0f) {
        gguf_put_string(k->w, key_of(k, "rope.scaling.type"), "linear");
        gguf_put_f32(k->w, key_of(k, "rope.scaling.factor"), g->lists[0]);
    }
    return listed || one ? 0 : put_yarn(g, k, err);
}

static uint32_t file_type(enum storage type)
{
    switch (type) {
    case STORAGE_F16: return 1;
    case STORAGE_Q8_0: return 7;
    case STORAGE_BF16: return 32;
    default: return 0;
    }
}

/* --- tensors --- */

static enum storage storage_for(const struct gguf_target *t, enum storage type)
{
    size_t n = strlen(t->name);
    int norm = n > 12 && !strcmp(t->name + n - 12, "_norm.weight");
    if (t->n_col <= 1 || norm || !strncmp(t->name, "position_embd.", 14) || !strncmp(t->name, "token_types.", 12))
        return STORAGE_F32;
    return type == STORAGE_Q8_0 && t->n_col % 32 ? STORAGE_F16 : type;
}

static int put_tensor(struct gguf_model *g, struct gguf_writer *w, const struct model_param *p, enum storage type,
                      struct error *err)
{
    struct gguf_target *t = &g->targets[g->n];
    t->info = family_find_tensor(family_find(g->tables.desc.family), g->source, p->name);
    if (!t->info)
        return error_set(err, ERROR_DATA, "%s: wanted tensor %s, found none", checkpoint_path(g->source), p->name);
    if (gguf_target_find(t, g->arch, &g->tables.desc, p->name))
        return error_set(err, ERROR_CONFIG, "%s: tensor %s has no place in llama.cpp's architecture %s",
                         checkpoint_path(g->source), p->name, g->arch->name);
    int turned = t->change == GGUF_TURNED && t->info->n_dim == 2;
    t->n_row = turned ? t->info->n_col : t->info->n_row;
    t->n_col = turned ? t->info->n_row : t->info->n_col;
    uint64_t dim[2] = {(uint64_t)(p->ndim == 2 ? t->n_col : t->n_row), (uint64_t)t->n_row};
    t->index = gguf_put_tensor(w, t->name, storage_for(t, type), p->ndim, dim);
    g->n++;
    return 0;
}

static int put_tensors(struct gguf_model *g, struct gguf_writer *w, enum storage type, struct error *err)
{
    const struct model *m = &g->tables;
    g->targets = mem_calloc((size_t)m->n_param, sizeof *g->targets);
    int rc = g->targets ? model_check_unused(m, g->source, err)
                        : error_set_nomem(err, (size_t)m->n_param * sizeof *g->targets, "tensors");
    for (int i = 0; i < m->n_param && !rc; i++)
        rc = put_tensor(g, w, &m->params[i], type, err);
    return rc;
}

static int describe_model(struct gguf_model *g, struct gguf_writer *w, enum storage type, struct error *err)
{
    struct model_desc *d = &g->tables.desc;
    const char *path = checkpoint_path(g->source);
    int rc = model_desc_parse(d, checkpoint_config(g->source), path, err);
    if (!rc)
        rc = sentence_read(d, g->source, err);
    if (rc)
        return rc;
    g->arch = gguf_arch_of_type(d->family);
    if (!g->arch)
        return error_set(err, ERROR_CONFIG, "%s: llama.cpp has no architecture for models of type \"%s\" (it has %s)",
                         path, d->family, gguf_arch_names());
    if (d->task != (g->arch->encoder ? MODEL_BODY : MODEL_LM))
        return error_set(err, ERROR_CONFIG, "%s: is a classifier or a reward model; GGUF is written of language models",
                         path);
    if (g->arch->square && d->n_head * d->head_dim != d->n_embd)
        return error_set(err, ERROR_CONFIG,
                         "%s: %d heads of %d are not the width %d, which llama.cpp's architecture %s wants", path,
                         d->n_head, d->head_dim, d->n_embd, g->arch->name);
    if (g->arch->headed && d->tied)
        return error_set(err, ERROR_CONFIG,
                         "%s: embedding and head are one matrix, for which llama.cpp's architecture %s has no words",
                         path, g->arch->name);
    struct key_writer k = {.w = w, .arch = g->arch};
    gguf_put_string(w, "general.architecture", g->arch->name);
    gguf_put_string(w, "general.type", "model");
    gguf_put_string(w, "general.name", path_base(path));
    gguf_put_u32(w, "general.file_type", file_type(type));
    gguf_put_u32(w, "general.quantization_version", 2);
    put_sizes(&k, d, g->source);
    put_settings(&k, d);
    if ((rc = put_encoder(&k, d, path, err)) || (rc = put_rope(g, &k, err)) || (rc = model_tables(&g->tables, err)))
        return rc;
    return put_tensors(g, w, type, err);
}

int gguf_model_put(struct gguf_model **out, struct gguf_writer *w, const struct checkpoint *source, enum storage type,
                   struct error *err)
{
    struct gguf_model *g = mem_calloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return error_set_nomem(err, sizeof *g, "a GGUF model");
    g->source = source;
    int rc = describe_model(g, w, type, err);
    if (rc)
        gguf_model_free(g);
    else
        *out = g;
    return rc;
}

/* --- is it the same model? --- */

static int nearly_equal(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(b);
}

static int same_frequencies(const float *a, const float *b, int n)
{
    for (int i = 0; i < n; i++)
        if (!nearly_equal((double)a[i], (double)b[i]))
            return 0;
    return 1;
}

/* For texts as long as b's context. */
static int same_rotation(const struct model_desc *a, const struct model_desc *b, int kind)
{
    const struct model_rotation *x = &a->rotations[kind], *y = &b->rotations[kind];
    int n = a->n_rotated / 2, changes = y->limit && y->limit < b->n_ctx;
    if (changes && (x->limit != y->limit || !same_frequencies(x->long_inv_freq, y->long_inv_freq, n)))
        return 0;
    return same_frequencies(x->inv_freq, y->inv_freq, n) && nearly_equal((double)x->factor, (double)y->factor);
}

static double scale_of(const struct model_desc *d)
{
    return d->attention_scale > 0 ? (double)d->attention_scale : 1 / sqrt(d->head_dim);
}

/* The name of the first thing that is not the same, or NULL. */
static const char *desc_difference(const struct model_desc *a, const struct model_desc *b)
{
    const struct {
        const char *name;
        int same;
    } list[] = {
        {"sizes", a->n_layer == b->n_layer && a->n_head == b->n_head && a->n_kv_head == b->n_kv_head &&
                      a->head_dim == b->head_dim && a->n_embd == b->n_embd},
        {"feed-forward and vocabulary sizes", a->n_ff == b->n_ff && a->n_vocab == b->n_vocab},
        {"norm", a->norm == b->norm && nearly_equal((double)a->norm_eps, (double)b->norm_eps) && a->place == b->place &&
                     a->norm_offset == b->norm_offset},
        {"activation", a->act == b->act && a->gated == b->gated},
        {"tie_word_embeddings", a->task != MODEL_LM || a->tied == b->tied},
        {"parallel or bidirectional layers", a->parallel == b->parallel && a->bidirectional == b->bidirectional},
        {"norm of queries and keys", a->qk_norm == b->qk_norm},
        {"biases", a->parts == b->parts},
        {"share of a head that rotates", a->n_rotated == b->n_rotated},
        {"learned positions", a->n_position == b->n_position && a->position_offset == b->position_offset},
        {"token types", a->n_type == b->n_type},
        {"scale of attention", nearly_equal(scale_of(a), scale_of(b))},
        {"soft caps", a->attention_cap == b->attention_cap && a->logit_cap == b->logit_cap},
        {"scale of embeddings", a->embed_scale == b->embed_scale},
        {"rotary frequencies", same_rotation(a, b, 0)},
        {"rotary frequencies of layers with a window", same_rotation(a, b, 1)},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (!list[i].same)
            return list[i].name;
    int sees_all = !b->window && a->window >= b->n_ctx;
    if (a->window != b->window && !sees_all)
        return "sliding window";
    int ignored = sees_all || !a->window ? LAYER_WINDOW : 0;
    for (int l = 0; l < a->n_layer; l++)
        if ((a->layers[l] & ~ignored) != (b->layers[l] & ~ignored))
            return "which layers have a window or rotate";
    return NULL;
}

static int compare_desc(const struct gguf_model *g, const void *bytes, size_t size, const char *path, struct error *err)
{
    struct gguf *parsed;
    json_t *config = NULL, *generation = NULL;
    struct model_desc read;
    int rc = gguf_parse(&parsed, bytes, size, path, err);
    if (rc)
        return rc;
    rc = gguf_hf_config(&config, &generation, parsed, path, err);
    if (!rc)
        rc = model_desc_parse(&read, config, path, err);
    const char *what = rc ? NULL : desc_difference(&g->tables.desc, &read);
    if (what)
        rc = error_set(err, ERROR_CONFIG,
                       "%s: its %s cannot be said to llama.cpp's architecture %s, which would compute something else",
                       checkpoint_path(g->source), what, g->arch->name);
    json_decref(config);
    json_decref(generation);
    gguf_free(parsed);
    return rc;
}

/* Reads the header that is going to be written as if the file were there: its data are pages that nobody touches, but
 * for the lists, which come first. */
static int check_header(const struct gguf_model *g, struct gguf_writer *w, const char *path, struct error *err)
{
    const struct buf *header;
    uint64_t size;
    int rc = gguf_writer_header(w, &header, &size, err);
    if (rc)
        return rc;
    char *file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (file == MAP_FAILED)
        return error_set_nomem(err, size, "a look at the GGUF file");
    memcpy(file, header->data, header->len);
    size_t half = (size_t)g->tables.desc.n_rotated / 2, bytes = half * sizeof *g->lists;
    for (int i = 0; i < g->n_list; i++)
        memcpy(file + header->len + (size_t)i * ((bytes + 31) / 32 * 32), g->lists + (size_t)i * half, bytes);
    rc = compare_desc(g, file, size, path, err);
    munmap(file, size);
    return rc;
}

/* --- values --- */

static int read_checked(const struct checkpoint *source, const struct tensor_info *t, int64_t row, int64_t n,
                        float *out, struct error *err)
{
    int rc = checkpoint_read_f32(source, t, row, n, out, err);
    return rc ? rc : tensor_check_finite(source, t, (uint64_t)(row * t->n_col), out, (uint64_t)(n * t->n_col), err);
}

static int write_turned(struct gguf_writer *w, const struct checkpoint *source, const struct gguf_target *t,
                        struct error *err)
{
    size_t n = (size_t)t->info->n_element;
    float *all = mem_alloc(n * sizeof *all), *row = mem_alloc((size_t)t->n_col * sizeof *row);
    int rc = all && row ? read_checked(source, t->info, 0, t->info->n_row, all, err)
                        : error_set_nomem(err, n * sizeof *all, t->name);
    for (int64_t r = 0; r < t->n_row && !rc; r++) {
        for (int64_t i = 0; i < t->n_col; i++)
            row[i] = all[i * t->n_row + r];
        rc = gguf_write_f32(w, t->index, (uint64_t)(r * t->n_col), row, (uint64_t)t->n_col, err);
    }
    mem_free(all);
    mem_free(row);
    return rc;
}

static int write_tensor(struct gguf_writer *w, const struct checkpoint *source, const struct gguf_target *t,
                        float *piece, struct error *err)
{
    int64_t rows = t->heads ? 1 : PIECE / t->n_col;
    int rc = 0;
    if (t->change == GGUF_TURNED && t->info->n_dim == 2)
        return write_turned(w, source, t, err);
    if (t->n_col > PIECE)
        return error_set(err, ERROR_DATA, "%s: tensor %s: rows of more than %d elements", checkpoint_path(source),
                         t->info->name, PIECE);
    for (int64_t r = 0; r < t->n_row && !rc; r += rows) {
        int64_t n = t->n_row - r < rows ? t->n_row - r : rows,
                to = t->heads ? gguf_hf_row(r, t->n_row, t->heads, t->change) : r;
        rc = read_checked(source, t->info, r, n, piece, err);
        for (int64_t i = 0; i < n * t->n_col && t->change == GGUF_PLUS_ONE; i++)
            piece[i] += 1;
        if (!rc)
            rc = gguf_write_f32(w, t->index, (uint64_t)(to * t->n_col), piece, (uint64_t)(n * t->n_col), err);
    }
    return rc;
}

int gguf_model_write(struct gguf_model *g, struct gguf_writer *w, const char *path, struct error *err)
{
    float *piece = mem_alloc(PIECE * sizeof *piece);
    int rc = piece ? check_header(g, w, path, err) : error_set_nomem(err, PIECE * sizeof *piece, "writing weights");
    if (!rc)
        rc = gguf_writer_begin(w, path, err);
    size_t half = (size_t)g->tables.desc.n_rotated / 2;
    for (int i = 0; i < g->n_list && !rc; i++)
        rc = gguf_write_f32(w, i, 0, g->lists + (size_t)i * half, half, err);
    for (int i = 0; i < g->n && !rc; i++)
        rc = write_tensor(w, g->source, &g->targets[i], piece, err);
    mem_free(piece);
    int cut = checkpoint_check_whole(g->source, err);
    return cut ? cut : rc;
}
