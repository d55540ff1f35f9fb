/* SPDX-License-Identifier: Apache-2.0 */
/* The decoding options: defaults, what a checkpoint's generation_config.json says over them, and the ranges. */
#include "generate/generate.h"

#include <math.h>
#include <string.h>

void generate_options_default(struct generate_options *o)
{
    memset(o, 0, sizeof *o);
    o->max_new_tokens = 256;
    o->num_beams = 1;
    o->num_return_sequences = 1;
    o->top_k = 50;
    o->temperature = o->top_p = o->repetition_penalty = o->length_penalty = 1;
    o->early_stopping = EARLY_FALSE;
    o->beam_compat = BEAM_COMPAT_4_49;
    o->penalty_scope = PENALTY_ALL;
}

/* A whole number, also when it is written as a real (50.0). */
static int as_whole(const json_t *v, int *out)
{
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(x >= -(1 << 30) && x <= 1 << 30) || x != floor(x))
        return -1;
    *out = (int)x;
    return 0;
}

/* Ranges are looked at when all is known (generate_options_check): a value that the command line replaces, or that greedy decoding does not read, stops nobody. */
static int merge_int(int *to, const json_t *config, const char *key, const char *where, struct error *err)
{
    const json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return 0;
    if (as_whole(v, to))
        return error_set(err, ERROR_CONFIG, "%s: %s: wanted a whole number up to %d", where, key, 1 << 30);
    return 0;
}

static int merge_float(float *to, const json_t *config, const char *key, const char *where, struct error *err)
{
    const json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return error_set(err, ERROR_CONFIG, "%s: %s: wanted a number", where, key);
    *to = (float)json_number_value(v);
    return 0;
}

static int merge_eos(struct generate_options *o, const json_t *v, const char *where, struct error *err)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > MODEL_MAX_EOS)
        return error_set(err, ERROR_CONFIG, "%s: eos_token_id: %zu ids; at most %d can be kept", where, n, MODEL_MAX_EOS);
    o->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        int id;
        if (as_whole(json_is_array(v) ? json_array_get(v, i) : v, &id))
            return error_set(err, ERROR_CONFIG, "%s: eos_token_id: wanted a token id or a list of them", where);
        if (id >= 0) /* -1 means none: no token has it */
            o->eos_ids[o->n_eos++] = id;
    }
    return 0;
}

/* Values at which transformers does nothing, said in one way. */
static void settle(struct generate_options *o)
{
    o->no_repeat_ngram_size = o->no_repeat_ngram_size < 0 ? 0 : o->no_repeat_ngram_size;
    o->min_new_tokens = o->min_new_tokens < 0 ? 0 : o->min_new_tokens;
    o->num_return_sequences = o->num_return_sequences == 0 ? 1 : o->num_return_sequences;
    o->top_p = o->top_p > 1 ? 1 : o->top_p;
}

static int merge_stops(struct generate_options *o, const json_t *v, const char *where, struct error *err)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > GENERATE_MAX_STOP)
        return error_set(err, ERROR_CONFIG, "%s: stop_strings: %zu strings; at most %d can be kept", where, n, GENERATE_MAX_STOP);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        size_t length = json_string_length(one);
        if (!json_is_string(one) || !length || length >= sizeof o->stop[i])
            return error_set(err, ERROR_CONFIG, "%s: stop_strings: wanted strings of 1 to %zu bytes", where, sizeof o->stop[i] - 1);
        memcpy(o->stop[i], json_string_value(one), length + 1);
    }
    o->n_stop = (int)n;
    return 0;
}

const char *generate_options_unknown(const json_t *config)
{
    static const struct { const char *name; double inert; } known[] = { /* inert: the number at which it does nothing */
        {"typical_p", 1}, {"epsilon_cutoff", 0}, {"eta_cutoff", 0}, {"encoder_repetition_penalty", 1}, {"encoder_no_repeat_ngram_size", 0}, {"diversity_penalty", 0},
        {"guidance_scale", 1}, {"min_length", 0}, {"penalty_alpha", 0}, {"bad_words_ids", NAN}, {"force_words_ids", NAN}, {"suppress_tokens", NAN},
        {"begin_suppress_tokens", NAN}, {"forced_bos_token_id", NAN}, {"forced_eos_token_id", NAN}, {"sequence_bias", NAN}, {"exponential_decay_length_penalty", NAN},
        {"renormalize_logits", NAN}, {"watermarking_config", NAN}, {"constraints", NAN}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *v = json_object_get(config, known[i].name);
        if (v && !json_is_null(v) && !json_is_false(v) && !(json_is_number(v) && json_number_value(v) == known[i].inert))
            return known[i].name;
    }
    return NULL;
}

int generate_options_merge(struct generate_options *o, const json_t *config, const struct model_desc *d, const char *where, struct error *err)
{
    if (d) {
        o->n_eos = d->n_eos;
        memcpy(o->eos_ids, d->eos_ids, sizeof o->eos_ids);
    }
    if (!config)
        return 0;
    if (!json_is_object(config))
        return error_set(err, ERROR_CONFIG, "%s: wanted a JSON object", where);
    const json_t *eos = json_object_get(config, "eos_token_id"), *v;
    int code = 0;
    if (eos && !json_is_null(eos) && (code = merge_eos(o, eos, where, err)))
        return code;
    if ((code = merge_int(&o->max_new_tokens, config, "max_new_tokens", where, err)) ||
        (code = merge_int(&o->min_new_tokens, config, "min_new_tokens", where, err)) ||
        (code = merge_int(&o->num_beams, config, "num_beams", where, err)) ||
        (code = merge_int(&o->num_return_sequences, config, "num_return_sequences", where, err)) ||
        (code = merge_int(&o->top_k, config, "top_k", where, err)) ||
        (code = merge_int(&o->no_repeat_ngram_size, config, "no_repeat_ngram_size", where, err)) ||
        (code = merge_float(&o->temperature, config, "temperature", where, err)) ||
        (code = merge_float(&o->top_p, config, "top_p", where, err)) ||
        (code = merge_float(&o->min_p, config, "min_p", where, err)) ||
        (code = merge_float(&o->repetition_penalty, config, "repetition_penalty", where, err)) ||
        (code = merge_float(&o->length_penalty, config, "length_penalty", where, err)))
        return code;
    if ((v = json_object_get(config, "stop_strings")) && !json_is_null(v) && (code = merge_stops(o, v, where, err)))
        return code;
    if ((v = json_object_get(config, "do_sample")) && !json_is_null(v)) {
        if (!json_is_boolean(v))
            return error_set(err, ERROR_CONFIG, "%s: do_sample: wanted true or false", where);
        o->do_sample = json_is_true(v);
    }
    if ((v = json_object_get(config, "early_stopping")) && !json_is_null(v)) {
        int never = json_is_string(v) && !strcmp(json_string_value(v), "never");
        if (!json_is_boolean(v) && !never)
            return error_set(err, ERROR_CONFIG, "%s: early_stopping: wanted true, false or \"never\"", where);
        o->early_stopping = never ? EARLY_NEVER : json_is_true(v) ? EARLY_TRUE : EARLY_FALSE;
    }
    settle(o);
    return 0;
}

static int range_int(const char *name, int value, int low, int high, struct error *err)
{
    if (value >= low && value <= high)
        return 0;
    return error_set(err, ERROR_USAGE, "%s: wanted %d to %d, found %d", name, low, high, value);
}

static int range_float(const char *name, float value, float low, float high, int open, struct error *err)
{
    if (value <= high && (open ? value > low : value >= low))
        return 0;
    return error_set(err, ERROR_USAGE, "%s: wanted %s%g up to %g, found %g", name, open ? "more than " : "", (double)low, (double)high, (double)value);
}

/* What only sampling reads; greedy decoding and beams take any value there, as transformers does. */
static int check_sampling(const struct generate_options *o, struct error *err)
{
    int code;
    if (!o->do_sample)
        return 0;
    if ((code = range_int("top_k", o->top_k, 0, 1 << 30, err)) || (code = range_float("temperature", o->temperature, 0, 1e6f, 1, err)) ||
        (code = range_float("top_p", o->top_p, 0, 1, 0, err)))
        return code;
    return range_float("min_p", o->min_p, 0, 1, 0, err);
}

int generate_options_check(const struct generate_options *o, struct error *err)
{
    int code;
    if ((code = range_int("max_new_tokens", o->max_new_tokens, 1, GENERATE_MAX_NEW, err)) ||
        (code = range_int("min_new_tokens", o->min_new_tokens, 0, GENERATE_MAX_NEW, err)) ||
        (code = range_int("num_beams", o->num_beams, 1, GENERATE_MAX_BEAMS, err)) ||
        (code = range_int("num_return_sequences", o->num_return_sequences, 1, GENERATE_MAX_BEAMS, err)) ||
        (code = range_int("no_repeat_ngram_size", o->no_repeat_ngram_size, 0, 1 << 20, err)) ||
        (code = range_int("number of eos_token_id", o->n_eos, 0, MODEL_MAX_EOS, err)) ||
        (code = range_int("number of stop strings", o->n_stop, 0, GENERATE_MAX_STOP, err)) ||
        (code = check_sampling(o, err)) ||
        (code = range_float("repetition_penalty", o->repetition_penalty, 0, 1e6f, 1, err)) ||
        (code = range_float("length_penalty", o->length_penalty, -100, 100, 0, err)))
        return code;
    if (o->do_sample && o->num_beams > 1)
        return error_set(err, ERROR_USAGE, "do_sample: wanted num_beams 1, found %d; sampling inside beam search is not offered", o->num_beams);
    if (!o->do_sample && o->num_return_sequences > o->num_beams)
        return error_set(err, ERROR_USAGE, "num_return_sequences: wanted at most num_beams (%d) without do_sample, found %d", o->num_beams, o->num_return_sequences);
    if ((unsigned)o->early_stopping > EARLY_NEVER || (unsigned)o->beam_compat > BEAM_COMPAT_4_49 || (unsigned)o->penalty_scope > PENALTY_GENERATED)
        return error_set(err, ERROR_USAGE, "early_stopping, beam_compat or penalty_scope: not one of the known values");
    for (int i = 0; i < o->n_stop; i++)
        if (!o->stop[i][0] || !memchr(o->stop[i], 0, sizeof o->stop[i]))
            return error_set(err, ERROR_USAGE, "stop: string %d is empty or longer than %zu bytes", i + 1, sizeof o->stop[i] - 1);
    return 0;
}
