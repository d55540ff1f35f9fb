/* SPDX-License-Identifier: Apache-2.0 */
/* What a body says of decoding: OpenAI's names, and every decoding option of isara under its own name. Fields that are
 * not known are ignored; those that are known and not offered are, too, and the log says so once. */
#include "serve/parts.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int is_set(const json_t *v)
{
    return v && !json_is_null(v);
}

/* Nothing, the number at which it does nothing, an empty object, or {"type": "text"}. */
static int is_inert(const json_t *v, double number)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    return !is_set(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == number) ||
           (json_is_object(v) && !json_object_size(v)) || (type && !strcmp(type, "text"));
}

/* OpenAI's and vLLM's names that change what comes out, and the number at which they do not. */
static void warn_not_offered(const json_t *body)
{
    static const struct {
        const char *name;
        double inert;
    } known[] = {{"presence_penalty", 0}, {"frequency_penalty", 0},  {"logit_bias", 0},  {"suffix", 0},
                 {"response_format", 0},  {"tool_choice", 0},        {"guided_json", 0}, {"guided_regex", 0},
                 {"guided_choice", 0},    {"structured_outputs", 0}, {"typical_p", 1},   {"ignore_eos", 0}};
    static unsigned said; /* by the server's thread alone */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *v = json_object_get(body, known[i].name);
        if (is_inert(v, known[i].inert) || said & 1u << i)
            continue;
        said |= 1u << i;
        log_line(LOG_WARNING, "a client sends \"%s\", which is not offered here and is not applied", known[i].name);
    }
}

int request_whole(struct ask *a, const char *name, int most, int *to)
{
    const json_t *v = json_object_get(a->body, name);
    char wanted[64];
    json_int_t n = json_integer_value(v);
    if (!is_set(v))
        return 0;
    snprintf(wanted, sizeof wanted, "a whole number from 0 to %d", most);
    if (!json_is_integer(v) || n < 0 || n > most)
        return ask_wrong(a, name, wanted);
    *to = (int)n;
    return 0;
}

static int set_option(struct ask *a, const struct field *f, const char *name, const json_t *value)
{
    struct error err = {0};
    if (!field_set_json(f, value, &a->options, &err))
        return 0;
    ask_refuse(a, 400, name, &err);
    return -1;
}

/* Those that OpenAI's interface means otherwise are read below. */
static int is_special(const char *name)
{
    static const char *const names[] = {"temperature", "top_k", "stop", "num_return_sequences", "max_new_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return 1;
    return 0;
}

static int take_options(struct ask *a)
{
    for (int i = 0; i < generate_fields.n; i++) {
        const struct field *f = &generate_fields.rows[i];
        char name[64];
        field_name(f, name, sizeof name);
        const json_t *v = json_object_get(a->body, name);
        if (is_set(v) && !is_special(name) && set_option(a, f, name, v))
            return -1;
    }
    return 0;
}

/* The name under which a length stands. */
static const char *length_name(const json_t *body)
{
    static const char *const names[] = {"max_new_tokens", "max_completion_tokens", "max_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_set(json_object_get(body, names[i])))
            return names[i];
    return NULL;
}

/* Of a length of 0 the prompt is only looked at. */
static int take_length(struct ask *a, int n_new)
{
    const char *name = length_name(a->body);
    int n = a->model->defaults.max_new_tokens > 0 ? a->model->defaults.max_new_tokens : n_new;
    if (name && request_whole(a, name, GENERATE_MAX_NEW, &n))
        return -1;
    a->generates = n > 0;
    a->options.max_new_tokens = n > 0 ? n : 1;
    return 0;
}

int request_lengths(struct ask *a)
{
    struct error err = {0};
    int most = a->model->max_length, named = length_name(a->body) != NULL;
    for (int i = 0; i < a->n_prompt; i++) {
        int n = (int)a->prompts[i].ids.n, room = most - n;
        if (!named && room > 0 && a->options.max_new_tokens > room)
            a->options.max_new_tokens = room;
        if (a->generates ? a->options.max_new_tokens <= room : room >= 0)
            continue;
        error_set(&err, ERROR_DATA, "this model's context is %d tokens, but the prompt has %d and max_tokens is %d",
                  most, n, a->generates ? a->options.max_new_tokens : 0);
        ask_refuse(a, 400, "max_tokens", &err);
        return -1;
    }
    return 0;
}

int request_stream(struct ask *a)
{
    a->stream = request_flag(a->body, "stream");
    a->usage = a->stream && request_flag(json_object_get(a->body, "stream_options"), "include_usage");
    return 0;
}

/* 0 is greedy; what is above is sampled with, but for beams. */
static int take_sampling(struct ask *a)
{
    const json_t *t = json_object_get(a->body, "temperature"), *k = json_object_get(a->body, "top_k");
    if (is_set(t) && (!json_is_number(t) || json_number_value(t) < 0))
        return ask_wrong(a, "temperature", "a number from 0 on");
    if (is_set(t)) {
        a->options.do_sample = json_number_value(t) > 0;
        a->options.temperature = a->options.do_sample ? (float)json_number_value(t) : 1;
    }
    if (is_set(k) && !json_is_integer(k))
        return ask_wrong(a, "top_k", "a whole number");
    if (is_set(k)) /* -1 is all for others */
        a->options.top_k =
            json_integer_value(k) > 0 && json_integer_value(k) < 1 << 30 ? (int)json_integer_value(k) : 0;
    return 0;
}

static int take_stop(struct ask *a)
{
    const struct field *f = field_find(&generate_fields, "stop");
    const json_t *stop = json_object_get(a->body, "stop");
    if (!is_set(stop))
        return 0;
    field_clear(f, &a->options);
    if (!json_is_array(stop))
        return set_option(a, f, "stop", stop);
    return json_array_size(stop) ? set_option(a, f, "stop", stop) : 0;
}

/* n sequences of a prompt, the best of best_of that are made; with beams they are the search's. Greedy ones are all the
 * same. */
static int take_sequences(struct ask *a)
{
    struct generate_options *o = &a->options;
    if (request_whole(a, "n", GENERATE_MAX_BEAMS, &a->n))
        return -1;
    if (a->n < 1)
        return ask_wrong(a, "n", "at least 1");
    a->best_of = a->n;
    if (request_whole(a, "best_of", GENERATE_MAX_BEAMS, &a->best_of))
        return -1;
    if (a->best_of < a->n)
        return ask_wrong(a, "best_of", "at least n");
    if (request_flag(a->body, "use_beam_search") && !is_set(json_object_get(a->body, "num_beams")))
        o->num_beams = a->best_of;
    o->do_sample = o->do_sample && o->num_beams == 1;
    o->num_return_sequences = 1;
    if (o->do_sample)
        o->num_return_sequences = a->best_of;
    else if (o->num_beams > 1)
        o->num_return_sequences = a->n;
    return 0;
}

static int take_seed(struct ask *a)
{
    const json_t *v = json_object_get(a->body, "seed");
    uint32_t any = 0;
    if (is_set(v) && !json_is_integer(v))
        return ask_wrong(a, "seed", "a whole number");
    if (is_set(v))
        a->seed = (uint64_t)json_integer_value(v);
    else if (a->options.do_sample && getrandom(&any, sizeof any, 0) == (ssize_t)sizeof any)
        a->seed = any;
    return 0;
}

int request_decoding(struct ask *a, int n_new)
{
    struct error err = {0};
    a->options = a->model->defaults;
    warn_not_offered(a->body);
    if (take_options(a) || take_length(a, n_new) || take_sampling(a) || take_stop(a) || take_sequences(a) ||
        take_seed(a))
        return -1;
    if (!generate_options_check(&a->options, &err))
        return 0;
    ask_refuse(a, 400, NULL, &err);
    return -1;
}
