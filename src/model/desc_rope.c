/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions of config.json, as transformers 5 reads them: rope_scaling, when it holds something, stands for the whole of rope_parameters; theta is the one
 * inside, else rope_theta beside it; rope_type goes before its old name type. */
#include "model/desc_read.h"

#include "base/log.h"
#include "base/maths.h"

#include <float.h>
#include <string.h>

struct scaling {
    const json_t *object; /* NULL: none */
    const char *key;      /* rope_scaling or rope_parameters */
    int llama3, linear;
    double factor, low, high, original;
};

/* Llama-3.1's frequencies as transformers' modeling_rope_utils computes them. */
static double llama3_frequency(double f, const struct scaling *s)
{
    const double two_pi = 6.283185307179586;
    double wavelength = two_pi / f;
    if (wavelength > s->original / s->low)
        return f / s->factor;
    if (wavelength < s->original / s->high)
        return f;
    double smooth = (s->original / wavelength - s->low) / (s->high - s->low);
    return (1 - smooth) * f / s->factor + smooth * f;
}

static int find_object(struct scaling *s, const struct config_reader *r)
{
    const json_t *old = config_value(r->config, "rope_scaling"), *joint = config_value(r->config, "rope_parameters");
    int has_old = old && !(json_is_object(old) && !json_object_size(old));
    s->key = has_old || !joint ? "rope_scaling" : "rope_parameters";
    s->object = has_old ? old : joint;
    if (s->object && !json_is_object(s->object))
        return config_refuse(r, s->key, "an object with \"rope_type\"", s->object);
    if (has_old && joint && !json_equal(old, joint))
        log_line(LOG_INFO, "%s: rope_scaling and rope_parameters differ; rope_scaling is taken, as transformers does", r->where);
    return 0;
}

static int find_type(struct scaling *s, const struct config_reader *r)
{
    const json_t *type = config_value(s->object, "rope_type");
    type = type ? type : config_value(s->object, "type");
    const char *name = type ? json_string_value(type) : "default";
    s->llama3 = name && !strcmp(name, "llama3");
    s->linear = name && !strcmp(name, "linear");
    if (!name || (!s->llama3 && !s->linear && strcmp(name, "default")))
        return config_refuse(r, s->key, "rope_type default, linear or llama3", s->object);
    return 0;
}

/* Keys inside that no rule reads: some would turn only a part of a head, or scale what is turned. */
static int check_members(const struct scaling *s, const struct config_reader *r)
{
    static const char *const known[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    static const char *const llama3[] = {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)s->object, key, v) {
        int is_known = json_is_null(v) || ((s->llama3 || s->linear) && !strcmp(key, "factor"));
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            is_known |= !strcmp(key, known[i]);
        for (size_t i = 0; s->llama3 && i < sizeof llama3 / sizeof *llama3; i++)
            is_known |= !strcmp(key, llama3[i]);
        if (json_is_object(v))
            return config_refuse(r, s->key, "one rule for all layers", s->object);
        if (!is_known)
            log_line(LOG_WARNING, "%s: %s: \"%s\" says nothing to rope_type %s and is not used (transformers does the same)", r->where, s->key, key,
                     s->llama3 ? "llama3" : s->linear ? "linear" : "default");
    }
    const json_t *part = config_value(s->object, "partial_rotary_factor");
    if (part && !(json_is_number(part) && json_number_value(part) == 1))
        return config_refuse(r, "partial_rotary_factor", "1 (all of a head turned)", part);
    return 0;
}

/* The context that the frequencies were made for: beside everything else, inside, or the model's own. */
static int read_original(struct scaling *s, const struct model_desc *d, const struct config_reader *r)
{
    const char *key = "original_max_position_embeddings";
    const json_t *from = config_value(r->config, key) ? r->config : s->object;
    return config_positive(r, from, key, d->n_ctx, &s->original);
}

static int read_scaling(struct scaling *s, const struct model_desc *d, const struct config_reader *r)
{
    int rc = find_object(s, r);
    if (rc || !s->object)
        return rc;
    if ((rc = find_type(s, r)) || (rc = check_members(s, r)))
        return rc;
    if ((s->llama3 || s->linear) && (rc = config_positive(r, s->object, "factor", -1, &s->factor)))
        return rc;
    if (!s->llama3)
        return 0;
    if ((rc = config_positive(r, s->object, "low_freq_factor", -1, &s->low)) || (rc = config_positive(r, s->object, "high_freq_factor", -1, &s->high)) ||
        (rc = read_original(s, d, r)))
        return rc;
    return s->high > s->low ? 0 : config_refuse(r, s->key, "high_freq_factor above low_freq_factor", s->object);
}

static double plain_frequency(double theta, int i, int n_rotated)
{
    return 1 / maths_pow(theta, 2.0 * i / n_rotated);
}

/* Layers with a window may have a theta of their own, which is not scaled (Gemma 3). */
static int read_local(struct model_desc *d, const struct config_reader *r)
{
    const char *key = r->family->local_theta;
    double theta;
    if (!key || !config_value(r->config, key))
        return 0;
    int rc = config_positive(r, r->config, key, 0, &theta);
    for (int i = 0; !rc && i < d->n_rotated / 2; i++)
        d->second_inv_freq[i] = (float)plain_frequency(theta, i, d->n_rotated);
    for (int l = 0; !rc && l < d->n_layer; l++)
        d->layers[l] |= d->layers[l] & LAYER_WINDOW ? LAYER_SECOND_ROPE : 0;
    return rc;
}

static int read_rotary_layers(struct model_desc *d, const struct config_reader *r)
{
    const char *key = r->family->rotary_layers;
    const json_t *list = key ? config_value(r->config, key) : NULL, *v;
    size_t i;
    if (!list)
        return 0;
    if (!json_is_array(list) || (int)json_array_size(list) != d->n_layer)
        return config_refuse(r, key, "a list with a number for every layer", list);
    json_array_foreach((json_t *)list, i, v) {
        if (!json_is_integer(v))
            return config_refuse(r, key, "a list of 0 and 1", list);
        d->layers[i] |= json_integer_value(v) ? 0 : LAYER_NO_ROPE;
    }
    return 0;
}

int config_rope(struct model_desc *d, const struct config_reader *r)
{
    struct scaling s = {.factor = 1};
    int rc = read_scaling(&s, d, r);
    const json_t *from = config_value(s.object, "rope_theta") ? s.object : r->config;
    if (rc || (rc = config_positive(r, from, "rope_theta", 10000, &d->rope_theta)))
        return rc;
    for (int i = 0; i < d->n_rotated / 2; i++) {
        double f = plain_frequency(d->rope_theta, i, d->n_rotated);
        f = s.llama3 ? llama3_frequency(f, &s) : f / s.factor;
        if (!(f >= 0 && f <= (double)FLT_MAX)) /* the float below would be no number */
            return error_set(r->err, ERROR_CONFIG, "%s: rope_theta %g and scaling factor %g give a rotary frequency of %g; wanted a finite one", r->where,
                             d->rope_theta, s.factor, f);
        d->rope_inv_freq[i] = (float)f;
    }
    rc = read_local(d, r);
    return rc ? rc : read_rotary_layers(d, r);
}
