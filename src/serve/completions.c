/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/completions: a text, several, token ids, or several lists of them, and what goes on behind each. */
#include "serve/parts.h"

enum { DEFAULT_NEW = 16 }; /* OpenAI's */

static int refuse(struct ask *a, const char *param, struct error *err)
{
    ask_refuse(a, status_of(err->code), param, err);
    return -1;
}

/* Is it one list of ids? */
static int is_ids(const json_t *v)
{
    return json_is_array(v) && json_is_integer(json_array_get(v, 0));
}

static int read_ids(struct prompt *p, const json_t *ids, int n_vocab, struct error *err)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= n_vocab)
            return error_set(err, ERROR_DATA, "prompt: token %zu: wanted a token id from 0 to %d", i, n_vocab - 1);
        if (tokens_push(&p->ids, (int32_t)json_integer_value(id)))
            return error_set_nomem(err, json_array_size(ids) * 4, "token ids");
    }
    return 0;
}

static int read_text(struct prompt *p, const json_t *text, int special, struct error *err)
{
    const struct tokenizer *t = p->ask->model->tokenizer;
    int n_vocab = model_desc(p->ask->model->model)->n_vocab;
    if (!t)
        return error_set(err, ERROR_DATA, "prompt: the model has no tokenizer; give token ids");
    p->text = json_string_value(text);
    int rc = tokenizer_encode(t, p->text, json_string_length(text),
                              TOKENIZER_PARSE_SPECIAL | (special ? TOKENIZER_ADD_SPECIAL : 0), &p->ids, err);
    for (size_t i = 0; i < p->ids.n && !rc; i++)
        if (p->ids.ids[i] >= n_vocab)
            rc = error_set(err, ERROR_DATA, "prompt: token id %d is outside the model's vocabulary of %d",
                           (int)p->ids.ids[i], n_vocab);
    return rc;
}

static int read_prompt(struct prompt *p, const json_t *v, struct error *err)
{
    const json_t *special = json_object_get(p->ask->body, "add_special_tokens");
    int rc;
    if (json_is_string(v))
        rc = read_text(p, v, !json_is_false(special), err);
    else if (json_is_array(v))
        rc = read_ids(p, v, model_desc(p->ask->model->model)->n_vocab, err);
    else
        rc = error_set(err, ERROR_DATA, "prompt: wanted a string, a list of token ids, or a list of these");
    if (!rc && !p->ids.n)
        rc = error_set(err, ERROR_DATA, "prompt: is empty");
    return rc;
}

static int read_prompts(struct ask *a)
{
    struct error err = {0};
    const json_t *v = json_object_get(a->body, "prompt");
    int one = !json_is_array(v) || is_ids(v);
    size_t n = one ? 1 : json_array_size(v);
    if (!v || n < 1 || n > API_MAX_PROMPTS) {
        error_set(&err, ERROR_DATA, "prompt: wanted 1 to %d prompts", API_MAX_PROMPTS);
        return refuse(a, "prompt", &err);
    }
    if (ask_prompts(a, (int)n))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (read_prompt(&a->prompts[i], one ? v : json_array_get(v, i), &err))
            return refuse(a, "prompt", &err);
    return 0;
}

/* What is not said, but would not fit, gives way. */
static int check_lengths(struct ask *a, int said)
{
    struct error err = {0};
    int most = a->model->max_length;
    for (int i = 0; i < a->n_prompt; i++) {
        int n = (int)a->prompts[i].ids.n, room = most - n;
        if (!said && room > 0 && a->options.max_new_tokens > room)
            a->options.max_new_tokens = room;
        if (a->options.max_new_tokens <= room)
            continue;
        error_set(&err, ERROR_DATA, "this model's context is %d tokens; the prompt has %d and max_tokens is %d", most,
                  n, a->options.max_new_tokens);
        return refuse(a, "max_tokens", &err);
    }
    return 0;
}

void api_completions(void *api, struct http_exchange *x)
{
    json_t *body;
    struct error err = {0};
    if (request_body(x, &body))
        return;
    struct ask *a = ask_new(api, x, body);
    if (!a)
        return;
    if (!a->model->engine) {
        error_set(&err, ERROR_USAGE, "an encoder gives no completions; /v1/embeddings is what it is for");
        refuse(a, "model", &err);
        return;
    }
    if (request_decoding(a, DEFAULT_NEW) || read_prompts(a) || check_lengths(a, 1))
        return;
    ask_run(a);
}
