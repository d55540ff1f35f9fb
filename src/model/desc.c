/* SPDX-License-Identifier: Apache-2.0 */
/* config.json -> descriptor. The rule: a value that is absent gets transformers' default of the family; a value that is
 * there is either understood or refused by name, never skipped, since a model that runs with a misread field gives
 * plausible nonsense. */
#include "model/desc_read.h"

#include "base/log.h"
#include "base/maths.h"
#include "model/parts.h"

#include <math.h>
#include <string.h>

static int read_inner(struct model_desc *d, const struct config_reader *r)
{
    int multiple = r->family->ff_multiple;
    int64_t usual = (int64_t)multiple * d->n_embd;
    return config_int(r, "intermediate_size", 1, 1 << 24, multiple && usual <= 1 << 24 ? (int)usual : -1, &d->n_ff);
}

static int read_sizes(struct model_desc *d, const struct config_reader *r)
{
    int rc;
    if ((rc = config_int(r, "hidden_size", 1, 1 << 20, -1, &d->n_embd)) ||
        (rc = config_int(r, "num_hidden_layers", 1, 4096, -1, &d->n_layer)) ||
        (rc = config_int(r, "num_attention_heads", 1, 65536, -1, &d->n_head)) ||
        (rc = config_int(r, "num_key_value_heads", 1, 65536, d->n_head, &d->n_kv_head)) || (rc = read_inner(d, r)) ||
        (rc = config_int(r, "vocab_size", 1, 1 << 24, -1, &d->n_vocab)) ||
        (rc = config_int(r, "max_position_embeddings", 1, 1 << 28, 2048, &d->n_ctx)))
        return rc;
    if (d->n_head % d->n_kv_head)
        return error_set(r->err, ERROR_CONFIG, "%s: num_attention_heads %d is no multiple of num_key_value_heads %d",
                         r->where, d->n_head, d->n_kv_head);
    if (!config_has(r, config_key(r, "head_dim")) && d->n_embd % d->n_head)
        return error_set(r->err, ERROR_CONFIG,
                         "%s: hidden_size %d is no multiple of num_attention_heads %d and there is no head_dim",
                         r->where, d->n_embd, d->n_head);
    if ((rc = config_int(r, "head_dim", 2, 1024, d->n_embd / d->n_head, &d->head_dim)))
        return rc;
    if (d->head_dim < 2 || d->head_dim > 1024 || (d->head_dim % 2 && !r->family->positions))
        return error_set(r->err, ERROR_CONFIG, "%s: head size %d: rotary positions want an even number from 2 to 1024",
                         r->where, d->head_dim);
    if ((int64_t)d->n_head * d->head_dim > 1 << 24)
        return error_set(r->err, ERROR_CONFIG, "%s: %d heads of %d are too many", r->where, d->n_head, d->head_dim);
    return 0;
}

static int read_width(struct model_desc *d, const struct config_reader *r)
{
    const char *key = r->family->embed_width;
    int rc = key ? config_int(r, key, 1, 1 << 20, d->n_embd, &d->n_word) : 0;
    d->n_word = d->n_word == d->n_embd ? 0 : d->n_word;
    return rc;
}

static int read_id(const struct config_reader *r, const struct model_desc *d, const char *key, int *out)
{
    const json_t *v = config_value(r->config, key);
    double usual;
    *out = config_default(r, key, &usual) && usual < d->n_vocab ? (int)usual : -1;
    if (!v)
        return 0;
    if (!json_is_integer(v))
        return config_refuse(r, key, "a token id", v);
    if (json_integer_value(v) < 0 || json_integer_value(v) >= d->n_vocab) {
        log_line(LOG_WARNING, "%s: %s %lld is outside of the vocabulary of %d and taken as none", r->where, key,
                 (long long)json_integer_value(v), d->n_vocab);
        return 0;
    }
    *out = (int)json_integer_value(v);
    return 0;
}

static int read_eos(struct model_desc *d, const struct config_reader *r)
{
    const json_t *v = config_value(r->config, "eos_token_id");
    size_t n = json_is_array(v) ? json_array_size(v) : v != NULL;
    double usual;
    if (config_default(r, "eos_token_id", &usual) && usual < d->n_vocab)
        d->eos_ids[d->n_eos++] = (int)usual;
    if (n > MODEL_MAX_EOS)
        return config_refuse(r, "eos_token_id", "at most 256 ids", v);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        if (json_is_integer(id) && json_integer_value(id) < 0)
            continue; /* means none */
        if (!json_is_integer(id) || json_integer_value(id) >= d->n_vocab)
            return config_refuse(r, "eos_token_id", "token ids inside the vocabulary", v);
        d->eos_ids[d->n_eos++] = (int)json_integer_value(id);
    }
    return 0;
}

/* id2label's keys are numbers written as strings: "10" comes behind "2". */
static int read_labels(struct model_desc *d, const struct config_reader *r)
{
    const json_t *labels = config_value(r->config, "id2label");
    int given = json_is_object(labels) ? (int)json_object_size(labels) : 0;
    int rc = config_int(r, "num_labels", 1, 1 << 20, given ? given : 2, &d->n_label);
    if (!rc && given && given != d->n_label)
        return error_set(r->err, ERROR_CONFIG, "%s: num_labels %d, but id2label has %d", r->where, d->n_label, given);
    for (int i = 0; !rc && given && i < d->n_label && i < MODEL_MAX_LABEL; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        const json_t *name = json_object_get(labels, key);
        if (!json_is_string(name) || json_string_length(name) >= sizeof d->labels[i])
            return config_refuse(r, "id2label", "a name of at most 63 bytes for every id from \"0\" on", labels);
        snprintf(d->labels[i], sizeof d->labels[i], "%s", json_string_value(name));
    }
    return rc;
}

/* Null means what transformers' pipeline takes it for: a softmax over several labels, a sigmoid for one. */
static int read_problem(struct model_desc *d, const struct config_reader *r)
{
    const json_t *v = config_value(r->config, "problem_type");
    const char *usual = d->n_label > 1 ? "single_label_classification" : "multi_label_classification";
    const char *name = v ? json_string_value(v) : usual;
    d->has_pool_pad = config_has(r, "pad_token_id");
    d->problem = name && !strcmp(name, "single_label_classification") ? PROBLEM_SINGLE_LABEL : PROBLEM_MULTI_LABEL;
    if (d->problem == PROBLEM_MULTI_LABEL &&
        (!name || (strcmp(name, "multi_label_classification") && strcmp(name, "regression"))))
        return config_refuse(r, "problem_type", "multi_label_classification, single_label_classification or regression",
                             v);
    return 0;
}

/* One list of the normaliser: absent in most files, whose tensors have the numbers. */
static int read_numbers(const struct config_reader *r, const char *key, int n, double missing, double *out)
{
    const json_t *v = config_value(r->config, key);
    if (v && (!json_is_array(v) || (int)json_array_size(v) != n))
        return config_refuse(r, key, "a list of as many numbers as score_dim says", v);
    for (int i = 0; i < n; i++) {
        const json_t *x = json_array_get(v, (size_t)i);
        if (v && !json_is_number(x))
            return config_refuse(r, key, "a list of as many numbers as score_dim says", v);
        out[i] = v ? json_number_value(x) : missing;
    }
    return 0;
}

/* PKU-Alignment's score models. */
static int read_score(struct model_desc *d, const struct config_reader *r)
{
    const json_t *type = config_value(r->config, "score_type");
    const char *name = type ? json_string_value(type) : "reward";
    int rc, old, now;
    if (!name || (strcmp(name, "reward") && strcmp(name, "cost") && strcmp(name, "critic")))
        return config_refuse(r, "score_type", "reward, cost or critic", type);
    d->score_type = name[1] == 'o' ? SCORE_COST : SCORE_CRITIC;
    if (*name == 'r')
        d->score_type = SCORE_REWARD;
    if ((rc = config_int(r, "score_dim", 1, MODEL_MAX_LABEL, 1, &d->n_label)) ||
        (rc = config_bool(r, "do_normalize", 0, &d->normalize)) || (rc = config_bool(r, "bias", 0, &old)) ||
        (rc = config_bool(r, "score_bias", 0, &now)) || (rc = read_numbers(r, "mean", d->n_label, 0, d->score_mean)) ||
        (rc = read_numbers(r, "var", d->n_label, 1, d->score_var)))
        return rc;
    d->head_bias = old || now; /* of a new model; for a checkpoint its tensors decide */
    return 0;
}

static int is_class(const char *name, const char *wanted)
{
    return wanted && !strcmp(name, wanted);
}

static int read_task(struct model_desc *d, const struct config_reader *r)
{
    const json_t *names = config_value(r->config, "architectures"), *first = json_array_get(names, 0);
    if (names && (!json_is_array(names) || (json_array_size(names) && !json_is_string(first))))
        return config_refuse(r, "architectures", "a list of names", names);
    const struct family *f = r->family;
    const char *usual = f->lm ? f->lm : f->base, *name = first ? json_string_value(first) : usual;
    d->task = f->lm ? MODEL_LM : MODEL_BODY;
    if (is_class(name, f->lm) || is_class(name, f->base))
        return 0;
    for (const char *const *body = f->bodies; body && *body; body++)
        if (is_class(name, *body))
            return 0;
    if (is_class(name, f->score) || is_class(name, f->score2)) {
        d->task = MODEL_REWARD;
        return read_score(d, r);
    }
    if (!is_class(name, f->classify)) {
        char wanted[200];
        const char *comma = f->score ? ", " : " or ";
        snprintf(wanted, sizeof wanted, "%s%s%s%s%s", f->lm ? f->lm : f->base, f->classify ? comma : "",
                 f->classify ? f->classify : "", f->score ? " or " : "", f->score ? f->score : "");
        return config_refuse(r, "architectures", wanted, names);
    }
    d->task = MODEL_CLASSIFY;
    int rc = read_labels(d, r);
    return rc ? rc : read_problem(d, r);
}

static int read_activation(struct model_desc *d, const struct config_reader *r)
{
    const char *key = config_key(r, "hidden_act");
    const json_t *old = config_value(r->config, key),
                 *now = strcmp(key, "hidden_act") ? NULL : config_value(r->config, "hidden_activation"),
                 *found = now ? now : old;
    const char *name = found ? json_string_value(found) : r->family->act;
    int act = name ? activation_find(name) : -1;
    if (act < 0)
        return config_refuse(r, now ? "hidden_activation" : key, "the name of one of transformers' activations", found);
    d->act = r->family->gelu_is_tanh && act == ACT_GELU ? ACT_GELU_TANH : (enum activation)act;
    return 0;
}

/* Where norms stand, whether there is one at the end, and whether they have weights. */
static int read_norms(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    int on = 1, none = 0, rc = f->place_switch ? config_bool(r, f->place_switch, 1, &on) : 0;
    d->norm = f->norm;
    d->norm_offset = f->norm_offset;
    d->place = on ? f->place : f->place_off;
    d->affine = 1;
    if (rc || (f->no_final_norm && (rc = config_bool(r, f->no_final_norm, 0, &none))))
        return rc;
    d->final_norm = f->final_norm && on && !none;
    return f->affine ? config_bool(r, f->affine, 1, &d->affine) : 0;
}

enum {
    PRE_NORMS = 1u << PART_ATTN_NORM | 1u << PART_ATTN_NORM_BIAS | 1u << PART_MLP_NORM | 1u << PART_MLP_NORM_BIAS,
    POST_NORMS = 1u << PART_ATTN_POST | 1u << PART_ATTN_POST_BIAS | 1u << PART_MLP_POST | 1u << PART_MLP_POST_BIAS,
};

/* What of the layers is there. */
static int read_parts(struct model_desc *d, const struct config_reader *r)
{
    for (int i = 0; i < r->family->n_switch; i++) {
        const struct family_switch *s = &r->family->switches[i];
        int on = 1, rc = s->key ? config_bool(r, s->key, s->missing, &on) : 0;
        if (rc)
            return rc;
        d->parts |= on ? s->parts : 0;
    }
    if (!layer_has_pre_norm(d))
        d->parts &= ~PRE_NORMS;
    if (d->place == PLACE_PRE)
        d->parts &= ~POST_NORMS;
    return 0;
}

/* A number that is off when it is absent. */
static int read_optional(const struct config_reader *r, const char *key, float *out)
{
    double x = 0;
    int rc = key && config_has(r, key) ? config_positive(r, r->config, key, 0, &x) : 0;
    *out = (float)x;
    return rc;
}

/* The table's first rows, up to that of pad_token_id, are no positions of tokens. */
static int read_padded_positions(struct model_desc *d, const struct config_reader *r)
{
    int rc = read_id(r, d, "pad_token_id", &d->pad_id);
    d->position_offset += d->pad_id;
    d->n_position = d->n_ctx;
    d->n_ctx -= d->position_offset + 1;
    d->pad_position = 1;
    if (!rc && (d->pad_id < 0 || d->n_ctx < 1))
        return config_refuse(r, "pad_token_id", "a token, behind whose position the others begin, in the table",
                             config_value(r->config, "pad_token_id"));
    if (!rc && r->family->only_pad && d->pad_id != r->family->only_pad)
        return config_refuse(r, "pad_token_id", "1, which transformers takes for it whatever is said",
                             config_value(r->config, "pad_token_id"));
    return rc;
}

static int read_positions(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    double share = 1;
    int rc = 0;
    if (f->positions) {
        d->position_offset = f->position_offset;
        d->n_position = d->n_ctx + f->position_offset;
        if (f->positions_from_pad && (rc = read_padded_positions(d, r)))
            return rc;
        if (f->distances && (rc = config_int(r, f->buckets, 32, 1 << 16, 32, &d->n_bucket)))
            return rc;
        return f->types ? config_int(r, "type_vocab_size", 1, 1 << 16, 2, &d->n_type) : 0;
    }
    if (f->rotary && (rc = config_rope_share(r, &share)))
        return rc;
    d->n_rotated = (int)(d->head_dim * share);
    if (d->n_rotated < 2 || d->n_rotated > d->head_dim || d->n_rotated % 2)
        return error_set(r->err, ERROR_CONFIG,
                         "%s: \"%s\" %g leaves %d of %d elements of a head to rotate; wanted an even number from 2 on",
                         r->where, f->rotary ? f->rotary : "head_dim", share, d->n_rotated, d->head_dim);
    return config_rope(d, r);
}

static int read_parallel(struct model_desc *d, const struct config_reader *r)
{
    const char *key = r->family->parallel_switch;
    d->parallel = r->family->parallel;
    return key ? config_bool(r, key, d->parallel, &d->parallel) : 0;
}

static int read_layers(struct model_desc *d, const struct config_reader *r)
{
    const struct family *f = r->family;
    float scalar = 0;
    int scaled = 1, rc = 0;
    d->gated = f->gated;
    d->bidirectional = f->bidirectional;
    d->qk_norm = f->qk_norm;
    d->embed_scale = f->scaled_embedding ? sqrtf((float)d->n_embd) : 0;
    if ((rc = read_norms(d, r)) || (rc = read_parallel(d, r)) || (rc = config_windows(d, r)) ||
        (rc = read_activation(d, r)) || (rc = read_parts(d, r)) ||
        (rc = read_optional(r, f->attention_cap, &d->attention_cap)) ||
        (rc = read_optional(r, f->logit_cap, &d->logit_cap)) || (rc = read_optional(r, f->attention_scalar, &scalar)) ||
        (rc = read_positions(d, r)))
        return rc;
    d->attention_scale = scalar > 0 ? (float)maths_pow((double)scalar, -0.5) : 0;
    if (f->unscaled && (rc = config_bool(r, f->unscaled, 1, &scaled)))
        return rc;
    d->attention_scale = scaled ? d->attention_scale : 1;
    return f->layer_scale ? config_bool(r, f->layer_scale, 0, &d->layer_scale) : 0;
}

int model_desc_parse(struct model_desc *d, const json_t *config, const char *where, struct error *err)
{
    struct config_reader r = {config, where ? where : "config.json", err, NULL};
    *d = (struct model_desc){0};
    if (!json_is_object(config))
        return error_set(err, ERROR_CONFIG, "%s: wanted a JSON object", r.where);
    const json_t *type = config_value(config, "model_type");
    r.family = json_is_string(type) ? family_find(json_string_value(type)) : NULL;
    if (!r.family || json_string_length(type) >= sizeof d->family) {
        char names[1000];
        family_names(names, sizeof names);
        return config_refuse(&r, "model_type", names, type);
    }
    snprintf(d->family, sizeof d->family, "%s", json_string_value(type));
    double eps, range;
    int rc;
    eps = r.family->eps_missing;
    if ((rc = read_task(d, &r)) || (rc = read_sizes(d, &r)) || (rc = read_width(d, &r)) ||
        (rc = config_check_keys(&r)) || (rc = read_layers(d, &r)) ||
        (r.family->eps && (rc = config_positive(&r, config, r.family->eps, r.family->eps_missing, &eps))) ||
        (rc = config_positive(&r, config, "initializer_range", 0.02, &range)) ||
        (rc = config_bool(&r, "tie_word_embeddings", 0, &d->tied)) ||
        (rc = read_id(&r, d, "bos_token_id", &d->bos_id)) || (rc = read_id(&r, d, "pad_token_id", &d->pad_id)) ||
        (rc = read_eos(d, &r)))
        return rc;
    d->norm_eps = (float)eps;
    d->init_range = (float)range;
    d->n_param = desc_count(d);
    return 0;
}
