/* SPDX-License-Identifier: Apache-2.0 */
/* POST /tokenize and /detokenize, GET /tokenizer_info: the tokenizer for clients that have none. */
#include "serve/parts.h"

#include <string.h>

/* The body and its model, which has a tokenizer; NULL: answered. */
static struct served *open_request(struct api *api, struct http_exchange *x, json_t **body)
{
    if (request_body(x, body))
        return NULL;
    struct served *m = request_model(api, x, *body);
    if (m && m->tokenizer)
        return m;
    if (m)
        http_error(x, 400, "model", "the model has no tokenizer");
    json_decref(*body);
    return NULL;
}

static json_t *numbers(const struct tokens *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(out, json_integer(t->ids[i]));
    return out;
}

static json_t *spellings(const struct served *m, const struct tokens *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->n; i++) {
        const char *spelt = tokenizer_token(m->tokenizer, t->ids[i], NULL);
        json_array_append_new(out, spelt ? json_string(spelt) : json_null());
    }
    return out;
}

void api_tokenize(void *api, struct http_exchange *x)
{
    json_t *body;
    struct served *m = open_request(api, x, &body);
    struct error err = {0};
    struct tokens t = TOKENS_INIT;
    int rc;
    if (!m)
        return;
    const json_t *text = json_object_get(body, "prompt"), *special = json_object_get(body, "add_special_tokens");
    int flags = TOKENIZER_PARSE_SPECIAL | (json_is_false(special) ? 0 : TOKENIZER_ADD_SPECIAL);
    if (json_is_string(text))
        rc = tokenizer_encode(m->tokenizer, json_string_value(text), json_string_length(text), flags, &t, &err);
    else if (json_object_get(body, "messages"))
        rc = chat_tokens(m, body, &t, &err);
    else
        rc = error_set(&err, ERROR_DATA, "wanted \"prompt\", a string, or \"messages\"");
    if (rc)
        http_error(x, status_of(rc), "prompt", "%s", err.message);
    else
        answer_json(x, 200,
                    json_pack("{s:I, s:i, s:o, s:o*}", "count", (json_int_t)t.n, "max_model_len", m->max_length,
                              "tokens", numbers(&t), "token_strs",
                              request_flag(body, "return_token_strs") ? spellings(m, &t) : NULL));
    tokens_free(&t);
    json_decref(body);
}

static int read_tokens(const json_t *list, struct tokens *t, struct error *err)
{
    const json_t *id;
    size_t i;
    if (!json_is_array(list))
        return error_set(err, ERROR_DATA, "wanted \"tokens\", a list of token ids");
    json_array_foreach(list, i, id)
    {
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return error_set(err, ERROR_DATA, "tokens[%zu]: wanted a token id", i);
        if (tokens_push(t, (int32_t)value))
            return error_set_nomem(err, json_array_size(list) * 4, "token ids");
    }
    return 0;
}

void api_detokenize(void *api, struct http_exchange *x)
{
    json_t *body;
    struct served *m = open_request(api, x, &body);
    struct error err = {0};
    struct tokens t = TOKENS_INIT;
    struct buf text = BUF_INIT;
    if (!m)
        return;
    int rc = read_tokens(json_object_get(body, "tokens"), &t, &err);
    rc = rc ? rc : tokenizer_decode(m->tokenizer, t.ids, t.n, request_flag(body, "skip_special_tokens"), &text, &err);
    if (rc)
        http_error(x, status_of(rc), "tokens", "%s", err.message);
    else
        answer_json(x, 200, json_pack("{s:s%}", "prompt", buf_text(&text), text.len));
    tokens_free(&t);
    buf_free(&text);
    json_decref(body);
}

static const char *spelt(const struct served *m, int32_t id)
{
    return id >= 0 ? tokenizer_token(m->tokenizer, id, NULL) : NULL;
}

void api_tokenizer_info(void *user, struct http_exchange *x)
{
    struct api *api = user;
    const struct served *m = served_find(api->models, api->n_model, http_query(x, "model"));
    if (!m || !m->tokenizer) {
        http_error(x, 404, "model", m ? "the model has no tokenizer" : "model: there is none of that name");
        return;
    }
    const struct tokenizer_info *t = tokenizer_info(m->tokenizer);
    answer_json(x, 200,
                json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:b, s:i}", "tokenizer_class", t->model, "bos_token",
                          spelt(m, t->bos), "eos_token", spelt(m, t->eos), "pad_token", spelt(m, t->pad), "unk_token",
                          spelt(m, t->unk), "chat_template", t->chat_template, "add_bos_token", t->add_bos,
                          "max_model_len", m->max_length));
}
