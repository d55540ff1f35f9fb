/* SPDX-License-Identifier: Apache-2.0 */
/* How positions rotate: by GGUF's keys and its list of divisors, in Hugging Face's words. */
#include "io/gguf_synthesis.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rope {
    double theta, factor, attention; /* factor: of linear scaling; attention: cosines and sines are multiplied by it */
    int64_t head_dim;                /* what of it rotates */
    int yarn;
};

static void put_linear(struct synthesis *s, double factor)
{
    gguf_put_config(s, "rope_scaling",
                    factor == 1 ? json_null() : json_pack("{s:s,s:f}", "rope_type", "linear", "factor", factor));
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
        *want = 1 / ((1 - smooth) / l->factor + smooth);
        if (wave < l->original / l->high)
            *want = 1;
        else if (wave > l->original)
            *want = l->factor;
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
    json_t *original = l.original < 0x1p53 && l.original == floor(l.original) ? json_integer((json_int_t)l.original)
                                                                              : json_real(l.original);
    gguf_put_config(s, "rope_scaling",
                    json_pack("{s:s,s:f,s:f,s:f,s:o}", "rope_type", "llama3", "factor", gguf_shortest(l.factor),
                              "low_freq_factor", 1.0, "high_freq_factor", l.high, "original_max_position_embeddings",
                              original));
    return 1;
}

/* Any divisors at all: longrope's factors, the same for short and for long texts. */
static void put_divisors(struct synthesis *s, const float *f, const struct rope *r, int64_t n_ctx)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->head_dim / 2; i++)
        s->bad |= json_array_append_new(list, json_real(f ? gguf_shortest((double)f[i]) : r->factor)) != 0;
    gguf_put_config(s, "rope_scaling",
                    json_pack("{s:s,s:O,s:o,s:f,s:I}", "rope_type", "longrope", "short_factor", list, "long_factor",
                              list, "attention_factor", gguf_shortest(r->attention), "original_max_position_embeddings",
                              (json_int_t)n_ctx));
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
        put_linear(s, gguf_shortest(r->factor * (double)f[0]));
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
    gguf_key_of(s, "rope.scaling.type", type_key);
    gguf_key_of(s, "rope.scaling.factor", key);
    if (gguf_has(s->g, type_key) && gguf_get_string(s->g, type_key, &type))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a string", s->path, type_key);
    int none = is_word(&type, "none");
    r->yarn = is_word(&type, "yarn");
    if (!none && !r->yarn && !is_word(&type, "linear"))
        return error_set(s->err, ERROR_DATA, "%s: metadata %s is \"%.*s\"; wanted none, linear or yarn", s->path,
                         type_key, (int)(type.len < 64 ? type.len : 64), type.data);
    if (!gguf_has(s->g, key))
        gguf_key_of(s, "rope.scale_linear", key);
    r->factor = 0;
    if (gguf_has(s->g, key) && (gguf_get_float(s->g, key, &r->factor) || !isfinite(r->factor) || r->factor < 0))
        return error_set(s->err, ERROR_DATA, "%s: wanted metadata %s to be a positive number, found something else",
                         s->path, key);
    r->factor = none || r->factor == 0 ? 1 : gguf_shortest(r->factor);
    r->yarn &= r->factor != 1;
    return 0;
}

/* llama.cpp's ramp and attention factor are transformers' defaults. */
static int put_yarn(struct synthesis *s, const struct rope *r, int64_t n_ctx)
{
    int64_t original = n_ctx;
    double fast = 32, slow = 1;
    int rc = gguf_take_int(s, "rope.scaling.original_context_length", 1, 1 << 30, &original);
    if (!rc)
        rc = gguf_take_float(s, "rope.scaling.yarn_beta_fast", 1, &fast);
    if (!rc)
        rc = gguf_take_float(s, "rope.scaling.yarn_beta_slow", 1, &slow);
    json_t *rule =
        json_pack("{s:s,s:f,s:I,s:f,s:f}", "rope_type", "yarn", "factor", r->factor, "original_max_position_embeddings",
                  (json_int_t)original, "beta_fast", fast, "beta_slow", slow);
    double attention = r->attention * (0.1 * log(r->factor) + 1);
    if (rule && r->attention != 1)
        s->bad |= json_object_set_new(rule, "attention_factor", json_real(attention)) != 0;
    gguf_put_config(s, "rope_scaling", rule);
    return rc;
}

static json_t *list_of(struct synthesis *s, const struct gguf_tensor *t, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        float f;
        storage_to_f32(t->storage, t->data, (uint64_t)i, 1, &f);
        s->bad |= json_array_append_new(list, json_real(gguf_shortest((double)f))) != 0;
    }
    return list;
}

/* Two lists of divisors, for texts within the original context and beyond it. */
static int take_longrope(struct synthesis *s, const struct rope *r, int64_t n_ctx)
{
    const struct gguf_tensor *t[2] = {gguf_find(s->g, "rope_factors_short.weight"),
                                      gguf_find(s->g, "rope_factors_long.weight")};
    int64_t original = n_ctx, n = r->head_dim / 2;
    int rc = gguf_take_int(s, "rope.scaling.original_context_length", 1, 1 << 30, &original);
    for (int k = 0; k < 2 && !rc; k++)
        if (!t[k] || t[k]->storage != STORAGE_F32 || t[k]->n_element != (uint64_t)n)
            rc = error_set(s->err, ERROR_DATA,
                           "%s: tensor rope_factors_%s.weight: wanted %" PRId64 " values of type F32", s->path,
                           k ? "long" : "short", n);
    if (rc)
        return rc;
    gguf_put_config(s, "original_max_position_embeddings", json_integer(original));
    gguf_put_config(s, "rope_scaling",
                    json_pack("{s:s,s:o,s:o,s:f,s:I}", "rope_type", "longrope", "short_factor", list_of(s, t[0], n),
                              "long_factor", list_of(s, t[1], n), "attention_factor", gguf_shortest(r->attention),
                              "original_max_position_embeddings", (json_int_t)original));
    return 0;
}

static int take_share(struct synthesis *s, struct rope *r)
{
    int64_t head_dim = r->head_dim;
    int rc = gguf_take_int(s, "rope.dimension_count", 1, head_dim, &r->head_dim);
    if (rc || r->head_dim == head_dim)
        return rc;
    if (!s->arch->rotary || r->head_dim % 2)
        return error_set(s->err, ERROR_DATA,
                         "%s: rope.dimension_count: %" PRId64 " of %" PRId64
                         " dimensions of a head are rotated; wanted %s",
                         s->path, r->head_dim, head_dim, s->arch->rotary ? "an even number" : "all");
    gguf_put_config(s, s->arch->rotary, json_real((double)r->head_dim / (double)head_dim));
    return 0;
}

int gguf_take_rope(struct synthesis *s, int64_t head_dim, int64_t n_ctx)
{
    struct rope r = {10000, 1, 1, head_dim, 0};
    int rc;
    if ((rc = gguf_take_float(s, "rope.freq_base", 1, &r.theta)) ||
        (rc = gguf_take_float(s, "rope.scaling.attn_factor", 1, &r.attention)) || (rc = take_share(s, &r)))
        return rc;
    gguf_put_config(s, "rope_theta", json_real(r.theta));
    if ((rc = take_factor(s, &r)))
        return rc;
    const struct gguf_tensor *freqs = gguf_find(s->g, "rope_freqs.weight");
    if (s->arch->longrope && gguf_find(s->g, "rope_factors_long.weight"))
        return take_longrope(s, &r, n_ctx);
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
