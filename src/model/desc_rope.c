/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions of config.json, as transformers 5 reads them: rope_scaling, when it holds something, stands for the
 * whole of rope_parameters; theta is the one inside, else rope_theta beside it; rope_type goes before its old name
 * type. Families whose layers with a window rotate by a rule of their own have one object for each kind of layer inside
 * rope_parameters, or rope_scaling for the others' and a theta beside it for those with a window. */
#include "model/desc_read.h"

#include "base/clamp.h"
#include "base/log.h"
#include "base/maths.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONG, ROPE_COUNT };
static const struct {
    const char *name;
    const char *members[9]; /* beside those that every type has */
} types[ROPE_COUNT] = {
    {"default", {NULL}},
    {"linear", {"factor", NULL}},
    {"dynamic", {"factor", NULL}},
    {"llama3", {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", NULL}},
    {"yarn",
     {"factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale",
      "mscale_all_dim", "truncate", NULL}},
    {"longrope",
     {"factor", "original_max_position_embeddings", "attention_factor", "short_factor", "long_factor", NULL}},
};

struct rope_rule {
    const json_t *object; /* NULL: none */
    const char *key;      /* rope_scaling or rope_parameters */
    enum rope_type type;
    double theta, factor, low, high, original, attention;
};

static const json_t *rope_member(const struct rope_rule *s, const char *name)
{
    return config_value(s->object, name);
}

static int find_object(struct rope_rule *s, const struct config_reader *r)
{
    const json_t *old = config_value(r->config, "rope_scaling"), *joint = config_value(r->config, "rope_parameters");
    int has_old = old && !(json_is_object(old) && !json_object_size(old));
    s->key = has_old || !joint ? "rope_scaling" : "rope_parameters";
    s->object = has_old ? old : joint;
    if (s->object && !json_is_object(s->object))
        return config_refuse(r, s->key, "an object with \"rope_type\"", s->object);
    if (has_old && joint && !json_equal(old, joint))
        log_line(LOG_INFO, "%s: rope_scaling and rope_parameters differ; rope_scaling is taken, as transformers does",
                 r->where);
    return 0;
}

int config_rope_share(const struct config_reader *r, double *share)
{
    struct rope_rule s = {0};
    int rc = find_object(&s, r);
    if (!rc && rope_member(&s, "partial_rotary_factor"))
        return config_positive(r, s.object, "partial_rotary_factor", 0, share);
    return rc ? rc : config_positive(r, r->config, r->family->rotary, r->family->rotary_missing, share);
}

static int find_type(struct rope_rule *s, const struct config_reader *r)
{
    const json_t *type = rope_member(s, "rope_type") ? rope_member(s, "rope_type") : rope_member(s, "type");
    const char *name = type ? json_string_value(type) : "default";
    if (name && r->family->old_longrope && (!strcmp(name, "su") || !strcmp(name, "yarn")))
        name = "longrope";
    for (int i = 0; name && i < ROPE_COUNT; i++)
        if (!strcmp(name, types[i].name)) {
            s->type = (enum rope_type)i;
            return 0;
        }
    return config_refuse(r, s->key, "rope_type default, linear, dynamic, llama3, yarn or longrope", s->object);
}

static int is_member(enum rope_type type, const char *name)
{
    static const char *const all[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(name, all[i]))
            return 1;
    for (int i = 0; types[type].members[i]; i++)
        if (!strcmp(name, types[type].members[i]))
            return 1;
    return 0;
}

/* Keys inside that no rule reads: some would turn only a part of a head, or scale what is turned. */
static int check_members(const struct rope_rule *s, const struct config_reader *r)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)s->object, key, v)
    {
        if (json_is_object(v))
            return config_refuse(r, s->key, "one rule for all layers", s->object);
        if (!json_is_null(v) && !is_member(s->type, key))
            log_line(LOG_WARNING,
                     "%s: %s: \"%s\" says nothing to rope_type %s and is not used (transformers does the same)",
                     r->where, s->key, key, types[s->type].name);
    }
    const json_t *part = rope_member(s, "partial_rotary_factor");
    if (part && !r->family->rotary && !(json_is_number(part) && json_number_value(part) == 1))
        return config_refuse(r, "partial_rotary_factor", "1 (all of a head turned)", part);
    return 0;
}

/* The context that the frequencies were made for: beside everything else, inside, or the model's own. */
static int read_original(struct rope_rule *s, const struct model_desc *d, const struct config_reader *r)
{
    const char *key = "original_max_position_embeddings";
    const json_t *from = config_has(r, key) ? r->config : s->object;
    return config_positive(r, from, key, d->n_ctx, &s->original);
}

/* Absent: as many times more positions as there are now. */
static int read_factor(struct rope_rule *s, const struct model_desc *d, const struct config_reader *r)
{
    double ratio = s->type == ROPE_YARN || s->type == ROPE_LONG ? d->n_ctx / s->original : -1;
    return config_positive(r, s->object, "factor", ratio, &s->factor);
}

static double mscale(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * maths_log(factor) + 1;
}

/* What cosines and sines are multiplied by. */
static int read_attention(struct rope_rule *s, const struct config_reader *r)
{
    double all = 0, some = 0, usual;
    int rc = 0;
    if ((rope_member(s, "mscale") && (rc = config_positive(r, s->object, "mscale", 0, &some))) ||
        (rope_member(s, "mscale_all_dim") && (rc = config_positive(r, s->object, "mscale_all_dim", 0, &all))))
        return rc;
    if (s->type == ROPE_YARN)
        usual = some > 0 && all > 0 ? mscale(s->factor, some) / mscale(s->factor, all) : mscale(s->factor, 1);
    else
        usual = s->factor > 1 ? sqrt(1 + maths_log(s->factor) / maths_log(s->original)) : 1;
    return config_positive(r, s->object, "attention_factor", usual, &s->attention);
}

static int read_llama3(struct rope_rule *s, const struct config_reader *r)
{
    int rc = config_positive(r, s->object, "low_freq_factor", -1, &s->low);
    if (rc || (rc = config_positive(r, s->object, "high_freq_factor", -1, &s->high)))
        return rc;
    return s->high > s->low ? 0 : config_refuse(r, s->key, "high_freq_factor above low_freq_factor", s->object);
}

/* s->object and s->key are there. */
static int read_rule(struct rope_rule *s, const struct model_desc *d, const struct config_reader *r)
{
    int rc = find_type(s, r);
    if (rc || (rc = check_members(s, r)))
        return rc;
    if (s->type >= ROPE_LLAMA3 && (rc = read_original(s, d, r)))
        return rc;
    if (s->type != ROPE_DEFAULT && (rc = read_factor(s, d, r)))
        return rc;
    if (s->type == ROPE_LLAMA3)
        return read_llama3(s, r);
    return s->type >= ROPE_YARN ? read_attention(s, r) : 0;
}

static double plain_frequency(double theta, int i, int n_rotated)
{
    return 1 / maths_pow(theta, 2.0 * i / n_rotated);
}

/* Llama-3.1's frequencies as transformers' modeling_rope_utils computes them. */
static double llama3_frequency(double f, const struct rope_rule *s)
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

struct rope_ramp {
    double low, high;
};

/* Which dimension turns so many times over the original context. */
static double turns_at(const struct rope_rule *s, double turns, int n_rotated)
{
    const double two_pi = 6.283185307179586;
    return n_rotated * maths_log(s->original / (turns * two_pi)) / (2 * maths_log(s->theta));
}

static int read_ramp(struct rope_ramp *p, const struct rope_rule *s, const struct config_reader *r, int n_rotated)
{
    const json_t *cut = rope_member(s, "truncate");
    double fast, slow;
    int rc = config_positive(r, s->object, "beta_fast", 32, &fast);
    if (rc || (rc = config_positive(r, s->object, "beta_slow", 1, &slow)))
        return rc;
    if (cut && !json_is_boolean(cut))
        return config_refuse(r, "truncate", "true or false", cut);
    if (s->theta <= 1)
        return config_refuse(r, "rope_theta", "more than 1 with yarn", s->object);
    p->low = turns_at(s, fast, n_rotated);
    p->high = turns_at(s, slow, n_rotated);
    p->low = json_is_false(cut) ? p->low : floor(p->low);
    p->high = json_is_false(cut) ? p->high : ceil(p->high);
    p->low = p->low > 0 ? p->low : 0;
    p->high = p->high < n_rotated - 1 ? p->high : n_rotated - 1;
    p->high += p->low == p->high ? 0.001 : 0;
    return 0;
}

static double yarn_frequency(double f, int i, const struct rope_ramp *p, const struct rope_rule *s)
{
    double far = clamp_f64((i - p->low) / (p->high - p->low), 0, 1);
    return f / s->factor * far + f * (1 - far);
}

static int put_frequency(const struct rope_rule *s, const struct config_reader *r, double f, float *to)
{
    if (!(f >= 0 && f <= (double)FLT_MAX)) /* the float below would be no number */
        return error_set(r->err, ERROR_CONFIG,
                         "%s: rope_theta %g and scaling factor %g give a rotary frequency of %g; wanted a finite one",
                         r->where, s->theta, s->factor, f);
    *to = (float)f;
    return 0;
}

/* The plain frequencies divided by a list's numbers. */
static int fill_divided(const struct model_desc *d, const struct config_reader *r, const struct rope_rule *s,
                        const char *name, float *to)
{
    const json_t *list = rope_member(s, name);
    int n = d->n_rotated / 2, rc = 0;
    if (!json_is_array(list) || (int)json_array_size(list) != n)
        return config_refuse(r, name, "a list with a number for every pair of elements that rotate", list);
    for (int i = 0; !rc && i < n; i++) {
        double by = json_number_value(json_array_get(list, (size_t)i));
        if (!(by > 0))
            return config_refuse(r, name, "positive numbers", list);
        rc = put_frequency(s, r, plain_frequency(s->theta, i, d->n_rotated) / by, to + i);
    }
    return rc;
}

static int fill_listed(const struct model_desc *d, const struct config_reader *r, const struct rope_rule *s,
                       struct model_rotation *to)
{
    int rc = fill_divided(d, r, s, "long_factor", to->long_inv_freq);
    to->limit = (int)clamp_f64(s->original, 1, 1 << 28);
    return rc ? rc : fill_divided(d, r, s, "short_factor", to->inv_freq);
}

/* What a rule says. */
static int fill_rotation(const struct model_desc *d, const struct config_reader *r, const struct rope_rule *s,
                         struct model_rotation *to)
{
    struct rope_ramp ramp = {0};
    int rc = 0;
    to->factor = s->type >= ROPE_YARN ? (float)s->attention : 1;
    if (s->type == ROPE_LONG)
        return fill_listed(d, r, s, to);
    if (s->type == ROPE_DYNAMIC) {
        to->limit = d->n_ctx;
        to->stretch = (float)s->factor;
    }
    if (s->type == ROPE_YARN)
        rc = read_ramp(&ramp, s, r, d->n_rotated);
    for (int i = 0; !rc && i < d->n_rotated / 2; i++) {
        double f = plain_frequency(s->theta, i, d->n_rotated);
        if (s->type == ROPE_LINEAR)
            f /= s->factor;
        else if (s->type == ROPE_LLAMA3)
            f = llama3_frequency(f, s);
        else if (s->type == ROPE_YARN)
            f = yarn_frequency(f, i, &ramp, s);
        rc = put_frequency(s, r, f, to->inv_freq + i);
    }
    return rc;
}

static int read_theta(struct rope_rule *s, const struct config_reader *r, const char *key, double usual)
{
    if (rope_member(s, "rope_theta"))
        return config_positive(r, s->object, "rope_theta", 0, &s->theta);
    return config_positive(r, r->config, key, usual, &s->theta);
}

/* Layers with a window may have a rule of their own (Gemma 3). */
static int read_local(struct model_desc *d, const struct config_reader *r, const json_t *object)
{
    struct rope_rule s = {.object = object, .key = "rope_parameters", .factor = 1};
    if (!object && !config_has(r, r->family->local_theta))
        return 0;
    int rc = object ? read_rule(&s, d, r) : 0;
    if (rc || (rc = read_theta(&s, r, r->family->local_theta, 10000)) ||
        (rc = fill_rotation(d, r, &s, &d->rotations[1])))
        return rc;
    for (int l = 0; l < d->n_layer; l++)
        d->layers[l] |= d->layers[l] & LAYER_WINDOW ? LAYER_SECOND_ROPE : 0;
    return 0;
}

static int read_rotary_list(struct model_desc *d, const struct config_reader *r, const char *key, const json_t *list)
{
    const json_t *v;
    size_t i;
    if (!json_is_array(list) || (int)json_array_size(list) != d->n_layer)
        return config_refuse(r, key, "a list with a number for every layer", list);
    json_array_foreach((json_t *)list, i, v)
    {
        if (!json_is_integer(v))
            return config_refuse(r, key, "a list of 0 and 1", list);
        d->layers[i] |= json_integer_value(v) ? 0 : LAYER_NO_ROPE;
    }
    return 0;
}

static int read_rotary_layers(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    const json_t *list = f->rotary_layers ? config_value(r->config, f->rotary_layers) : NULL;
    int every = 0, rc = 0;
    if (list)
        rc = read_rotary_list(d, r, f->rotary_layers, list);
    else if (f->rotary_every && (rc = config_int(r, f->rotary_every, 1, 1 << 20, -1, &every)))
        return rc;
    for (int l = 0; l < d->n_layer; l++) {
        if (every && (l + 1) % every == 0)
            d->layers[l] |= LAYER_NO_ROPE;
        if (f->window_unrotated && !config_value(r->config, "layer_types") && !(d->layers[l] & LAYER_NO_ROPE))
            d->layers[l] &= (unsigned char)~LAYER_WINDOW;
    }
    return rc;
}

/* With rules for each kind of layer: the rule of those that see all, and that of the others or NULL. */
static int split_kinds(struct rope_rule *s, const struct config_reader *r, const json_t **local)
{
    const json_t *joint = config_value(r->config, "rope_parameters"), *old = config_value(r->config, "rope_scaling");
    const json_t *all = config_value(joint, "full_attention");
    *local = config_value(joint, "sliding_attention");
    if (joint && (!json_is_object(joint) || (json_object_size(joint) && !all && !*local) ||
                  (all && !json_is_object(all)) || (*local && !json_is_object(*local))))
        return config_refuse(r, "rope_parameters", "an object for full_attention and one for sliding_attention", joint);
    if (json_object_size(old) && all)
        return config_refuse(r, "rope_scaling", "none beside rope_parameters", old);
    if (old && !json_is_object(old))
        return config_refuse(r, "rope_scaling", "an object with \"rope_type\"", old);
    s->object = json_object_size(old) ? old : NULL;
    if (all)
        s->object = all;
    s->key = all ? "rope_parameters" : "rope_scaling";
    return 0;
}

int config_rope(struct model_desc *d, const struct config_reader *r)
{
    struct rope_rule s = {.factor = 1};
    const json_t *local = NULL;
    int rc = r->family->local_theta ? split_kinds(&s, r, &local) : find_object(&s, r);
    if (!rc && s.object)
        rc = read_rule(&s, d, r);
    if (rc || (rc = read_theta(&s, r, "rope_theta", 10000)) || (rc = fill_rotation(d, r, &s, &d->rotations[0])))
        return rc;
    d->rope_theta = s.theta;
    if (r->family->local_theta && (rc = read_local(d, r, local)))
        return rc;
    if (s.type == ROPE_DYNAMIC) /* which is there for texts so many times longer */
        d->n_ctx = (int)clamp_f64(d->n_ctx * s.factor, d->n_ctx, 1 << 28);
    return read_rotary_layers(d, r);
}
