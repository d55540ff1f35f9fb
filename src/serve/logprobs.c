/* SPDX-License-Identifier: Apache-2.0 */
/* Log-probabilities of a choice's tokens. The number of a token is the same in its own place and among those that might
 * have stood there. */
#include "serve/parts.h"

#include <string.h>

struct writing {
    const struct choice *c;
    struct pieces *pieces;
    struct buf text; /* scratch */
    int rc;          /* out of memory */
};

static json_t *token_text(struct writing *w, int32_t id)
{
    pieces_probe(w->pieces, id, &w->text);
    json_t *text = w->text.failed ? NULL : json_stringn(buf_text(&w->text), w->text.len);
    w->rc |= !text;
    return text;
}

/* The alternatives in place of id i; *logprob: of itself. */
static const int32_t *alternatives(const struct choice *c, int i, const float **logprobs)
{
    int n = c->ask->n_top;
    size_t at = (size_t)(i - c->first) * (size_t)(n > 0 ? n : 1);
    *logprobs = c->top_logprobs ? c->top_logprobs + at : NULL;
    return c->top_ids && n > 0 ? c->top_ids + at : NULL;
}

/* {"text": logprob}; of two tokens of one text the likelier. */
static json_t *top_object(struct writing *w, int i)
{
    const struct choice *c = w->c;
    const float *logprobs;
    const int32_t *ids = alternatives(c, i, &logprobs);
    json_t *top = ids ? json_object() : json_null();
    for (int k = 0; ids && k < c->ask->n_top && ids[k] >= 0; k++) {
        json_t *text = token_text(w, ids[k]);
        double logprob = ids[k] == c->ids[i] ? (double)c->logprobs[i - c->first] : (double)logprobs[k];
        if (text && !json_object_get(top, json_string_value(text)))
            w->rc |= json_object_set_new(top, json_string_value(text), json_real(logprob));
        json_decref(text);
    }
    return top;
}

struct completion_lists {
    json_t *tokens, *logprobs, *top, *offsets;
};

static void add_token(struct writing *w, struct completion_lists *to, int i, json_int_t offset)
{
    const struct choice *c = w->c;
    int known = i >= c->first;
    w->rc |= json_array_append_new(to->tokens, token_text(w, c->ids[i]));
    w->rc |= json_array_append_new(to->logprobs, known ? json_real((double)c->logprobs[i - c->first]) : json_null());
    w->rc |= json_array_append_new(to->top, known ? top_object(w, i) : json_null());
    w->rc |= json_array_append_new(to->offsets, json_integer(offset));
}

/* A token that the tokenizer put before the text has no place in it. */
static int is_added(const struct choice *c, int i)
{
    const struct tokenizer *t = c->ask->model->tokenizer;
    const char *spelt = t && !i && c->prompt->text ? tokenizer_token(t, c->ids[0], NULL) : NULL;
    return spelt && tokenizer_is_special(t, c->ids[0]) && strncmp(c->prompt->text, spelt, strlen(spelt));
}

static json_t *completion_logprobs(struct writing *w)
{
    const struct choice *c = w->c;
    struct completion_lists to = {json_array(), json_array(), json_array(), json_array()};
    json_int_t offset = 0;
    w->rc |= !to.tokens || !to.logprobs || !to.top || !to.offsets;
    for (int i = 0; i < c->n && !w->rc; i++) {
        int shown = c->ask->echo || i >= c->n_prompt;
        if (shown)
            add_token(w, &to, i, offset);
        size_t n = pieces_push(w->pieces, c->ids[i]);
        if (shown && !is_added(c, i))
            offset += (json_int_t)n;
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", to.tokens, "token_logprobs", to.logprobs, "top_logprobs", to.top,
                     "text_offset", to.offsets);
}

static json_t *chat_token(struct writing *w, int32_t id, double logprob)
{
    json_t *text = token_text(w, id), *bytes = json_array();
    for (size_t i = 0; i < w->text.len; i++)
        w->rc |= json_array_append_new(bytes, json_integer((unsigned char)w->text.data[i]));
    return json_pack("{s:o, s:f, s:o}", "token", text, "logprob", logprob, "bytes", bytes);
}

static json_t *chat_entry(struct writing *w, int i)
{
    const struct choice *c = w->c;
    const float *logprobs;
    const int32_t *ids = alternatives(c, i, &logprobs);
    double own = (double)c->logprobs[i - c->first];
    json_t *entry = chat_token(w, c->ids[i], own), *top = json_array();
    for (int k = 0; ids && k < c->ask->n_top && ids[k] >= 0; k++)
        w->rc |= json_array_append_new(top, chat_token(w, ids[k], ids[k] == c->ids[i] ? own : (double)logprobs[k]));
    w->rc |= json_object_set_new(entry, "top_logprobs", top);
    return entry;
}

static json_t *chat_logprobs(struct writing *w)
{
    const struct choice *c = w->c;
    json_t *content = json_array();
    w->rc |= !content;
    for (int i = 0; i < c->n && !w->rc; i++) {
        if (i >= c->n_prompt)
            w->rc |= json_array_append_new(content, chat_entry(w, i));
        pieces_push(w->pieces, c->ids[i]);
    }
    return json_pack("{s:o}", "content", content);
}

json_t *logprobs_json(const struct choice *c)
{
    struct writing w = {.c = c};
    if (c->ask->n_top < 0)
        return json_null();
    w.pieces = pieces_new(c->ask->model);
    if (!w.pieces)
        return NULL;
    json_t *out = c->ask->chat ? chat_logprobs(&w) : completion_logprobs(&w);
    pieces_free(w.pieces);
    buf_free(&w.text);
    if (!w.rc)
        return out;
    json_decref(out);
    return NULL;
}
