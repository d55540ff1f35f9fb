/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations through the model's template (text/chat.h). */
#include "text/chat.h"

#include "base/mem.h"
#include "jinja/jinja.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct chat {
    const struct tokenizer *t;
    struct jinja *template, *tool_use; /* the second is taken when tools are given; either may be NULL */
    json_t *special;                   /* bos_token, ... */
    int64_t now;
};

static const struct tokenizer_named *find_template(const struct tokenizer_info *info, const char *name)
{
    for (int i = 0; i < info->n_template; i++)
        if (!strcmp(info->templates[i].name, name))
            return &info->templates[i];
    return NULL;
}

static int read_template(struct jinja **out, const struct tokenizer_info *info, const char *name, struct error *err)
{
    const struct tokenizer_named *t = find_template(info, name);
    const char *source = info->source ? info->source : "tokenizer";
    return t ? jinja_parse(out, t->text, t->n, source, err) : 0;
}

/* bos_token and the like, as the tokenizer's configuration names them. */
json_t *chat_special_tokens(const struct tokenizer *t)
{
    const struct tokenizer_info *info = tokenizer_info(t);
    json_t *special = json_object();
    int bad = !special;
    for (int i = 0; i < info->n_named && !bad; i++)
        bad = json_object_set_new(special, info->named[i].name, json_stringn(info->named[i].text, info->named[i].n));
    if (!bad)
        return special;
    json_decref(special);
    return NULL;
}

int chat_open_source(struct chat **out, const struct chat_source *source, struct error *err)
{
    struct chat *c = *out = mem_calloc(1, sizeof *c);
    if (!c)
        return error_set_nomem(err, sizeof *c, "a chat template");
    c->special = json_incref(source->special);
    c->now = source->now;
    int rc = jinja_parse(&c->template, source->text, strlen(source->text), source->name, err);
    if (rc)
        chat_close(c);
    *out = rc ? NULL : c;
    return rc;
}

int chat_open(struct chat **out, const struct tokenizer *t, struct error *err)
{
    const struct tokenizer_info *info = tokenizer_info(t);
    const char *date = getenv("SOURCE_DATE_EPOCH");
    *out = NULL;
    if (!find_template(info, "default") && !find_template(info, "tool_use"))
        return error_set(
            err, ERROR_UNAVAILABLE,
            "%s: \"messages\" need a chat template, and this tokenizer has none%s; give prompt and completion instead",
            info->source ? info->source : "tokenizer", info->n_template ? " called default or tool_use" : "");
    struct chat *c = mem_calloc(1, sizeof *c);
    if (!c || !(c->special = chat_special_tokens(t))) {
        mem_free(c);
        return error_set_nomem(err, sizeof *c, "a chat template");
    }
    c->t = t;
    c->now = date ? strtoll(date, NULL, 10) : (int64_t)time(NULL);
    int rc = read_template(&c->template, info, "default", err);
    if (!rc)
        rc = read_template(&c->tool_use, info, "tool_use", err);
    if (rc)
        chat_close(c);
    else
        *out = c;
    return rc;
}

void chat_close(struct chat *c)
{
    if (!c)
        return;
    jinja_free(c->template);
    jinja_free(c->tool_use);
    json_decref(c->special);
    mem_free(c);
}

/* The template that transformers takes: tool_use where there is one and tools are given (an empty list is given), else
 * the default. */
static const struct jinja *choose_template(const struct chat *c, const json_t *conversation)
{
    const json_t *tools = json_object_get(conversation, "tools");
    return c->tool_use && tools && !json_is_null(tools) ? c->tool_use : c->template;
}

static int check_conversation(const json_t *conversation, struct error *err)
{
    const json_t *messages = json_object_get(conversation, "messages"), *m;
    size_t i;
    if (!json_is_array(messages) || !json_array_size(messages))
        return error_set(err, ERROR_DATA, "\"messages\": wanted a list of at least one message");
    json_array_foreach(
        messages, i,
        m) if (!json_is_object(m) ||
               !json_is_string(json_object_get(
                   m, "role"))) return error_set(err, ERROR_DATA,
                                                 "\"messages\"[%zu]: wanted an object with \"role\" and \"content\"",
                                                 i);
    return 0;
}

/* A message as transformers 5 hands it over: keys that are null are not there, and reasoning stands under both of its
 * common names. */
static json_t *normalized(const json_t *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *out = json_object(), *value, *reasoning = NULL;
    const char *key;
    int bad = !out;
    for (int i = 0; i < 3 && !reasoning; i++) {
        value = json_object_get(message, names[i]);
        reasoning = json_is_null(value) ? NULL : value;
    }
    if (reasoning)
        bad |= json_object_set(out, "thinking", reasoning);
    json_object_foreach((json_t *)(uintptr_t)message, key, value) if (!json_is_null(value)) bad |=
        json_object_set(out, key, value);
    if (reasoning)
        bad |= json_object_set(out, "reasoning_content", reasoning);
    if (!bad)
        return out;
    json_decref(out);
    return NULL;
}

/* What of a conversation is rendered: its first messages, and, with prompt, the words that the assistant's next one
 * begins with. */
struct excerpt {
    const json_t *conversation;
    size_t n_message;
    int prompt;
};

static int render(const struct chat *c, const struct excerpt *x, struct buf *out, struct jinja_spans *spans,
                  struct error *err)
{
    const json_t *conversation = x->conversation;
    json_t *v = json_copy(c->special), *messages = json_array(), *all = json_object_get(conversation, "messages");
    static const char *const names[] = {"tools", "documents"};
    const struct jinja *template = choose_template(c, conversation);
    int bad = !v || !messages;
    for (size_t i = 0; i < x->n_message && !bad; i++)
        bad = json_array_append_new(messages, normalized(json_array_get(all, i)));
    bad = bad || json_object_set(v, "messages", messages) ||
          json_object_set_new(v, "add_generation_prompt", json_boolean(x->prompt));
    for (int i = 0; i < 2 && !bad; i++) /* absent means null, as apply_chat_template passes it */
        bad = json_object_get(conversation, names[i])
                  ? json_object_set(v, names[i], json_object_get(conversation, names[i]))
                  : json_object_set_new(v, names[i], json_null());
    if (!bad && json_object_get(conversation, "chat_template_kwargs"))
        json_object_update(v, json_object_get(conversation, "chat_template_kwargs"));
    int rc = bad ? error_set_nomem(err, 256, "a conversation") : 0;
    if (!rc && !template)
        rc = error_set(err, ERROR_UNAVAILABLE,
                       "this tokenizer's chat templates are for tools only, and the conversation has none");
    rc = rc ? rc : jinja_render(template, v, c->now, out, spans, err);
    json_decref(messages);
    json_decref(v);
    return rc;
}

int chat_render(const struct chat *c, const json_t *conversation, int prompt, struct buf *out, struct error *err)
{
    size_t before = out->len;
    const struct excerpt all = {conversation, json_array_size(json_object_get(conversation, "messages")), prompt};
    int rc = check_conversation(conversation, err);
    if (!rc)
        rc = render(c, &all, out, NULL, err);
    if (!rc && out->len > before && memchr(out->data + before, 0, out->len - before))
        rc = error_set(err, ERROR_UNAVAILABLE,
                       "the chat template writes a NUL character (U+0000), which is not supported");
    return rc;
}

int chat_encode(const struct chat *c, const char *text, size_t n, struct tokens *out, struct error *err)
{
    return tokenizer_encode(c->t, text, n, TOKENIZER_PARSE_SPECIAL, out, err);
}

void chat_row_free(struct chat_row *r)
{
    tokens_free(&r->ids);
    mem_free(r->target);
    *r = (struct chat_row){0};
}

/* How many of the row's first tokens are the text's first `byte` bytes; a token that reaches over that place is not
 * among them. */
static int token_at(const struct chat *c, struct chat_row *r, const struct buf *text, size_t byte, size_t *at,
                    struct error *err)
{
    struct tokens ids = TOKENS_INIT;
    int rc = chat_encode(c, text->data, byte, &ids, err);
    for (*at = 0; !rc && *at < ids.n && *at < r->ids.n && ids.ids[*at] == r->ids.ids[*at];)
        ++*at;
    r->crosses |= !rc && *at < ids.n;
    tokens_free(&ids);
    return rc;
}

/* Marks bytes [begin, end) of the text as the assistant's. */
static int mark(const struct chat *c, struct chat_row *r, const struct buf *text, size_t begin, size_t end,
                struct error *err)
{
    size_t from, to, special;
    int rc = token_at(c, r, text, begin, &from, err);
    if (!rc)
        rc = token_at(c, r, text, end, &to, err);
    if (rc)
        return rc;
    for (special = to; special > from && !tokenizer_is_special(c->t, r->ids.ids[special - 1]);)
        special--;
    if (special > from && special < to) { /* only blanks after the end of the turn? */
        struct buf rest = BUF_INIT;
        rc = tokenizer_decode(c->t, r->ids.ids + special, to - special, 0, &rest, err);
        if (!rc && rest.data && strspn(rest.data, " \t\r\n") == rest.len)
            to = special;
        buf_free(&rest);
    }
    for (size_t i = from; i < to; i++)
        r->target[i] = 1;
    return rc;
}

static int starts_with(const struct buf *whole, const struct buf *part)
{
    return part->len <= whole->len && (!part->len || !memcmp(whole->data, part->data, part->len));
}

/* The i-th message is the assistant's: its text is what comes after the prompt of the messages before it. */
static int mark_turn(const struct chat *c, const json_t *conversation, size_t i, struct chat_row *r,
                     const struct buf *text, struct error *err)
{
    struct buf before = BUF_INIT, with = BUF_INIT;
    int rc = render(c, &(struct excerpt){conversation, i, 1}, &before, NULL, err);
    if (!rc)
        rc = render(c, &(struct excerpt){conversation, i + 1, 0}, &with, NULL, err);
    if (!rc && starts_with(&with, &before) && starts_with(text, &with))
        rc = mark(c, r, text, before.len, with.len, err);
    else if (!rc)
        r->n_skipped++;
    buf_free(&before);
    buf_free(&with);
    return rc;
}

int chat_row(const struct chat *c, const json_t *conversation, struct chat_row *out, struct error *err)
{
    struct buf text = BUF_INIT;
    struct jinja_spans spans = {0};
    *out = (struct chat_row){0};
    int rc = check_conversation(conversation, err);
    const json_t *messages = json_object_get(conversation, "messages"), *m;
    size_t i;
    if (!rc)
        rc = render(c, &(struct excerpt){conversation, json_array_size(messages), 0}, &text, &spans, err);
    if (!rc)
        rc = chat_encode(c, text.data ? text.data : "", text.len, &out->ids, err);
    if (!rc && !(out->target = mem_calloc(out->ids.n + 1, 1)))
        rc = error_set_nomem(err, out->ids.n, "a conversation");
    for (int k = 0; k < spans.n && !rc; k++)
        rc = mark(c, out, &text, spans.items[k].begin, spans.items[k].end, err);
    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        if (rc || !role || strcmp(role, "assistant"))
            continue;
        out->n_turn++;
        if (!spans.n)
            rc = i ? mark_turn(c, conversation, i, out, &text, err) : (out->n_skipped++, 0);
    }
    for (size_t k = 1; !rc && spans.n && k < out->ids.n; k++)
        out->end_untrained |= out->target[k - 1] && !out->target[k] && tokenizer_is_special(c->t, out->ids.ids[k]) &&
                              !tokenizer_is_special(c->t, out->ids.ids[k - 1]);
    mem_free(spans.items);
    buf_free(&text);
    if (rc)
        chat_row_free(out);
    return rc;
}
