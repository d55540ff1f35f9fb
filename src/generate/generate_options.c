/* SPDX-License-Identifier: Apache-2.0 */
/* The decoding options: defaults, what a checkpoint's generation_config.json says over them, and the ranges. */
#include "generate/fields.h"

#include <math.h>
#include <string.h>

static const struct field rows[] = {
    {FIELD("max-new-tokens", FIELD_INT, struct generate_options, max_new_tokens), .argument = "N", .low = 1,
     .high = GENERATE_MAX_NEW, .initial = "256", .ask = "64", .answer = "256", .bits = FIELD_BITS,
     .help = "tokens to generate at most"},
    {FIELD("min-new-tokens", FIELD_INT, struct generate_options, min_new_tokens), .argument = "N",
     .high = GENERATE_MAX_NEW, .initial = "0", .bits = FIELD_BITS, .help = "no end of sequence before this many"},
    {FIELD("num-beams", FIELD_INT, struct generate_options, num_beams), .argument = "N", .low = 1, .high = 64,
     .initial = "1", .ask = "5", .answer = "5", .bits = FIELD_BITS, .help = "beams; 1 is greedy or sampling"},
    {FIELD("num-return-sequences", FIELD_INT, struct generate_options, num_return_sequences), .argument = "N", .low = 1,
     .high = 64, .initial = "1", .help = "sequences returned for a prompt"},
    {FIELD("do-sample", FIELD_FLAG, struct generate_options, do_sample), .initial = "false", .bits = FIELD_BITS,
     .help = "sample instead of taking the likeliest"},
    {FIELD("temperature", FIELD_FLOAT, struct generate_options, temperature), .argument = "T", .low = 1e-6, .high = 1e6,
     .initial = "1.0", .bits = FIELD_BITS, .with = "do-sample", .help = "sampling: logits are divided by this"},
    {FIELD("top-k", FIELD_INT, struct generate_options, top_k), .argument = "K", .high = 1 << 30, .initial = "50",
     .bits = FIELD_BITS, .with = "do-sample", .help = "sampling: the K likeliest only, 0 = all"},
    {FIELD("top-p", FIELD_FLOAT, struct generate_options, top_p), .argument = "P", .high = 1, .initial = "1.0",
     .bits = FIELD_BITS, .with = "do-sample", .help = "sampling: the smallest set with this probability"},
    {FIELD("min-p", FIELD_FLOAT, struct generate_options, min_p), .argument = "P", .high = 1, .initial = "0",
     .bits = FIELD_BITS, .with = "do-sample", .help = "sampling: at least this share of the likeliest's probability"},
    {FIELD("repetition-penalty", FIELD_FLOAT, struct generate_options, repetition_penalty), .argument = "P",
     .low = 1e-6, .high = 1e6, .initial = "1.0", .ask = "1.2", .bits = FIELD_BITS,
     .help = "punishes tokens seen before"},
    {FIELD("no-repeat-ngram-size", FIELD_INT, struct generate_options, no_repeat_ngram_size), .argument = "N",
     .high = 1 << 20, .initial = "0", .ask = "3", .bits = FIELD_BITS, .help = "no N-gram twice, 0 = off"},
    {FIELD("length-penalty", FIELD_FLOAT, struct generate_options, length_penalty), .argument = "X", .low = -100,
     .high = 100, .initial = "1.0", .bits = FIELD_BITS, .help = "beams: exponent of the length a score is divided by"},
    {FIELD("early-stopping", FIELD_CHOICE, struct generate_options, early_stopping), .argument = "false|true|never",
     .initial = "false", .bits = FIELD_BITS, .help = "beams: when to stop looking for better ones"},
    {FIELD("beam-compat", FIELD_CHOICE, struct generate_options, beam_compat), .argument = "4.35|4.48|4.49",
     .initial = "4.49", .bits = FIELD_BITS, .help = "the transformers release whose beam rules hold"},
    {FIELD("penalty-scope", FIELD_CHOICE, struct generate_options, penalty_scope), .argument = "all|generated",
     .initial = "all", .ask = "generated", .answer = "generated", .bits = FIELD_BITS,
     .help = "what the penalties look at"},
    {FIELD("eos-token-id", FIELD_IDS, struct generate_options, eos_ids), .argument = "ID[,ID]", .bits = FIELD_BITS,
     .count = offsetof(struct generate_options, n_eos), .capacity = MODEL_MAX_EOS,
     .help = "end-of-sequence ids [the model's]"},
    {FIELD("stop", FIELD_TEXTS, struct generate_options, stop), .argument = "STRING", .bits = FIELD_BITS,
     .count = offsetof(struct generate_options, n_stop), .capacity = GENERATE_MAX_STOP, .size = GENERATE_STOP_BYTES,
     .help = "text that ends a sequence, special tokens included; up to 16 times, 127 bytes each"},
};
const struct field_table generate_fields = {rows, sizeof rows / sizeof *rows};

static const struct field engine_rows[] = {
    {FIELD("page-size", FIELD_INT, struct generate_engine_asked, page_size), .argument = "0|32|64|128", .high = 128,
     .initial = "0",
     .help = "positions in a page of the KV cache; 0: 64, or 32 where a position takes more than 256 KiB"},
    {FIELD("kv-dtype", FIELD_CHOICE, struct generate_engine_asked, kv_dtype), .argument = "fitted|f32|bf16",
     .initial = "fitted", .help = "what keys and values are stored in [$: f32 with --dtype f32, else bf16]"},
    {FIELD("prefill-chunk", FIELD_INT, struct generate_engine_asked, prefill_chunk), .argument = "N", .low = 1,
     .high = 65536, .initial = "512", .help = "token rows in a step at most"},
    {FIELD("prefix-cache", FIELD_FLAG, struct generate_engine_asked, prefix_cache), .initial = "true",
     .help = "share leading tokens between prompts"},
    {FIELD("kv-memory", FIELD_INT, struct generate_engine_asked, kv_memory), .argument = "MIB", .high = 1e7,
     .help = "memory for the KV cache in MiB [fitted]"},
};
const struct field_table generate_engine_fields = {engine_rows, sizeof engine_rows / sizeof *engine_rows};

struct generate_engine_options generate_engine_as_asked(const struct generate_engine_asked *a, enum dtype model)
{
    const enum dtype kinds[] = {model == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16, DTYPE_F32, DTYPE_BF16};
    return (struct generate_engine_options){.page = a->page_size,
                                            .kv_dtype = kinds[a->kv_dtype],
                                            .memory_bytes = (size_t)a->kv_memory << 20,
                                            .prefill_chunk = a->prefill_chunk,
                                            .prefix_cache = a->prefix_cache};
}

void generate_options_default(struct generate_options *o)
{
    memset(o, 0, sizeof *o);
    fields_default(&generate_fields, FIELD_PLAIN, o);
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

/* Ranges are looked at when all is known (generate_options_check): a value that the command line replaces, or that
 * greedy decoding does not read, stops nobody. */
static int merge_number(const struct field *f, struct generate_options *o, const json_t *config, const char *where,
                        struct error *err)
{
    char key[64], *to = (char *)o + f->offset;
    field_name(f, key, sizeof key);
    const json_t *v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return 0;
    if (f->type == FIELD_INT && as_whole(v, (int *)(void *)to))
        return error_set(err, ERROR_CONFIG, "%s: %s: wanted a whole number up to %d", where, key, 1 << 30);
    if (f->type == FIELD_FLOAT && !json_is_number(v))
        return error_set(err, ERROR_CONFIG, "%s: %s: wanted a number", where, key);
    if (f->type == FIELD_FLOAT)
        *(float *)(void *)to = (float)json_number_value(v);
    return 0;
}

static int merge_eos(struct generate_options *o, const json_t *v, const char *where, struct error *err)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > MODEL_MAX_EOS)
        return error_set(err, ERROR_CONFIG, "%s: eos_token_id: %zu ids; at most %d can be kept", where, n,
                         MODEL_MAX_EOS);
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
static void settle_neutral(struct generate_options *o)
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
        return error_set(err, ERROR_CONFIG, "%s: stop_strings: %zu strings; at most %d can be kept", where, n,
                         GENERATE_MAX_STOP);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        size_t length = json_string_length(one);
        if (!json_is_string(one) || !length || length >= sizeof o->stop[i])
            return error_set(err, ERROR_CONFIG, "%s: stop_strings: wanted strings of 1 to %zu bytes", where,
                             sizeof o->stop[i] - 1);
        memcpy(o->stop[i], json_string_value(one), length + 1);
    }
    o->n_stop = (int)n;
    return 0;
}

const char *generate_options_unknown(const json_t *config)
{
    static const struct {
        const char *name;
        double inert;
    } known[] = {/* inert: the number at which it does nothing */
                 {"typical_p", 1},
                 {"epsilon_cutoff", 0},
                 {"eta_cutoff", 0},
                 {"encoder_repetition_penalty", 1},
                 {"encoder_no_repeat_ngram_size", 0},
                 {"diversity_penalty", 0},
                 {"guidance_scale", 1},
                 {"min_length", 0},
                 {"penalty_alpha", 0},
                 {"bad_words_ids", NAN},
                 {"force_words_ids", NAN},
                 {"suppress_tokens", NAN},
                 {"begin_suppress_tokens", NAN},
                 {"forced_bos_token_id", NAN},
                 {"forced_eos_token_id", NAN},
                 {"sequence_bias", NAN},
                 {"exponential_decay_length_penalty", NAN},
                 {"renormalize_logits", NAN},
                 {"watermarking_config", NAN},
                 {"constraints", NAN}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *v = json_object_get(config, known[i].name);
        if (v && !json_is_null(v) && !json_is_false(v) &&
            !(json_is_number(v) && json_number_value(v) == known[i].inert))
            return known[i].name;
    }
    return NULL;
}

int generate_options_merge(struct generate_options *o, const json_t *config, const struct model_desc *d,
                           const char *where, struct error *err)
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
    for (int i = 0; i < generate_fields.n && !code; i++)
        code = merge_number(&generate_fields.rows[i], o, config, where, err);
    if (code)
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
        o->early_stopping = json_is_true(v) ? EARLY_TRUE : EARLY_FALSE;
        if (never)
            o->early_stopping = EARLY_NEVER;
    }
    settle_neutral(o);
    return 0;
}

int generate_options_check(const struct generate_options *o, struct error *err)
{
    int rc = fields_check(&generate_fields, o,
                          err); /* what only sampling reads may be anything without it, as for transformers */
    if (rc)
        return rc;
    if (o->do_sample && o->num_beams > 1)
        return error_set(err, ERROR_USAGE,
                         "do_sample: wanted num_beams 1, found %d; sampling inside beam search is not offered",
                         o->num_beams);
    if (!o->do_sample && o->num_return_sequences > o->num_beams)
        return error_set(err, ERROR_USAGE,
                         "num_return_sequences: wanted at most num_beams (%d) without do_sample, found %d",
                         o->num_beams, o->num_return_sequences);
    for (int i = 0; i < o->n_stop; i++)
        if (!o->stop[i][0] || !memchr(o->stop[i], 0, sizeof o->stop[i]))
            return error_set(err, ERROR_USAGE, "stop: string %d is empty or longer than %zu bytes", i + 1,
                             sizeof o->stop[i] - 1);
    return 0;
}
