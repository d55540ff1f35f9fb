/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/chat/completions: a conversation through the model's own template, and the assistant's next turn. */
#include "serve/parts.h"

#include "base/mem.h"

#include <string.h>

enum { DEFAULT_NEW = 4096 }; /* or what the context leaves */

/* Content in parts, as some clients send it: their texts one after the other. NULL with an error: one is no text. */
static json_t *joined(const json_t *parts, size_t message, struct error *err)
{
    struct buf text = BUF_INIT;
    const json_t *part;
    json_t *out = NULL;
    size_t i;
    int rc = 0;
    json_array_foreach(parts, i, part)
    {
        const json_t *t = json_is_string(part) ? part : json_object_get(part, "text");
        if (json_is_string(t))
            buf_append(&text, json_string_value(t), json_string_length(t));
        else
            rc = error_set(err, ERROR_DATA,
                           "messages[%zu].content[%zu]: wanted a part with a text; nothing else is read", message, i);
    }
    if (!rc && !text.failed)
        out = json_stringn(buf_text(&text), text.len);
    if (!rc && !out)
        error_set_nomem(err, text.len, "a message");
    buf_free(&text);
    return out;
}

/* The messages with their contents as texts; a new reference. */
static json_t *plain_messages(const json_t *messages, struct error *err)
{
    json_t *out = json_array();
    const json_t *message;
    size_t i;
    int rc = out ? 0 : error_set_nomem(err, 64, "messages");
    json_array_foreach(messages, i, message)
    {
        const json_t *content = json_object_get(message, "content");
        json_t *text = json_is_array(content) && !rc ? joined(content, i, err) : NULL,
               *copy = json_copy((json_t *)(uintptr_t)message);
        if (text)
            json_object_set_new(copy, "content", text);
        rc |= json_is_array(content) && !text;
        rc |= json_array_append_new(out, copy);
    }
    if (!rc)
        return out;
    if (!err->code)
        error_set_nomem(err, 64, "messages");
    json_decref(out);
    return NULL;
}

int chat_tokens(const struct served *m, const json_t *body, struct tokens *out, struct error *err)
{
    struct buf text = BUF_INIT;
    const json_t *messages = json_object_get(body, "messages"), *opens = json_object_get(body, "add_generation_prompt");
    if (!m->chat)
        return error_set(err, ERROR_USAGE, "%s", m->no_chat.message);
    if (!json_is_array(messages))
        return error_set(err, ERROR_DATA, "messages: wanted a list of messages");
    json_t *plain = plain_messages(messages, err), *conversation = plain ? json_copy((json_t *)(uintptr_t)body) : NULL;
    if (!conversation) {
        json_decref(plain);
        return err->code ? err->code : error_set_nomem(err, 64, "messages");
    }
    int rc = json_object_set_new(conversation, "messages", plain) ? error_set_nomem(err, 64, "messages") : 0;
    rc = rc ? rc : chat_render(m->chat, conversation, !json_is_false(opens), &text, err);
    rc = rc ? rc : chat_encode(m->chat, buf_text(&text), text.len, out, err);
    json_decref(conversation);
    buf_free(&text);
    return rc || out->n ? rc : error_set(err, ERROR_DATA, "messages: the chat template writes nothing");
}

static int read_conversation(struct ask *a)
{
    struct error err = {0};
    if (ask_prompts(a, 1))
        return -1;
    int rc = chat_tokens(a->model, a->body, &a->prompts[0].ids, &err);
    rc = rc ? rc : prompts_check_ids(&a->prompts[0], &err);
    if (rc)
        ask_refuse(a, status_of(rc), "messages", &err);
    return rc;
}

static int read_logprobs(struct ask *a)
{
    if (!request_flag(a->body, "logprobs"))
        return 0;
    a->n_top = 0;
    return request_whole(a, "top_logprobs", API_MAX_TOP, &a->n_top);
}

void api_chat(void *api, struct http_exchange *x)
{
    struct ask *a = ask_open(api, x, "an encoder does not chat; /v1/embeddings is what it is for");
    if (!a)
        return;
    a->chat = 1;
    if (read_logprobs(a) || request_stream(a) || request_decoding(a, DEFAULT_NEW) || read_conversation(a) ||
        request_lengths(a))
        return;
    produce(a);
}
