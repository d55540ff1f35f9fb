/* SPDX-License-Identifier: Apache-2.0 */
/* An answer as server-sent events: `data: JSON` and an empty line each, at the end `data: [DONE]`. Texts come as their
 * tokens are chosen where these are certain then; with log-probabilities, the best of several samples or greedy copies
 * all comes when it is finished. Until the first event an error still is a status. */
#include "serve/parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/jsontext.h"

#include <string.h>

int stream_lives(const struct ask *a)
{
    int each = a->options.num_beams > 1 || a->options.num_return_sequences == a->n;
    return a->stream && a->n_top < 0 && a->best_of == a->n && each && a->generates && a->model->tokenizer;
}

/* Takes value. */
static void send_event(struct ask *a, json_t *value)
{
    struct buf event = BUF_INIT;
    buf_puts(&event, "data: ");
    if (!value || jsontext_dump(&event, value, 0, NULL))
        event.failed = 1;
    buf_puts(&event, "\n\n");
    if (event.failed && !a->failed.code)
        error_set_nomem(&a->failed, event.len, "an event");
    if (!event.failed)
        http_write(a->x, event.data, event.len);
    json_decref(value);
    buf_free(&event);
}

static void send_choices(struct ask *a, json_t *choices, json_t *usage)
{
    json_t *chunk = reply_head(a, a->chat ? "chat.completion.chunk" : "text_completion", choices);
    if (chunk && a->usage)
        json_object_set_new(chunk, "usage", usage ? usage : json_null());
    send_event(a, chunk);
}

struct delta {
    int index, role; /* role: the chat's first */
    const char *text;
    size_t n;
    json_t *logprobs, *reason; /* taken; NULL: null */
};

static void send_delta(struct ask *a, struct delta d)
{
    json_t *said = json_stringn(d.text ? d.text : "", d.n), *delta = said;
    if (a->chat) {
        delta = json_object();
        if (d.role)
            json_object_set_new(delta, "role", json_string("assistant"));
        if (d.role || d.n)
            json_object_set(delta, "content", said);
        json_decref(said);
    }
    json_t *choice =
        json_pack("{s:i, s:o, s:o, s:o}", "index", d.index, a->chat ? "delta" : "text", delta, "logprobs",
                  d.logprobs ? d.logprobs : json_null(), "finish_reason", d.reason ? d.reason : json_null());
    json_t *choices = choice ? json_pack("[o]", choice) : NULL;
    if (choices)
        send_choices(a, choices, NULL);
    else if (!a->failed.code)
        error_set_nomem(&a->failed, d.n, "an event");
}

static void begin(struct ask *a)
{
    if (a->begun)
        return;
    a->begun = 1;
    http_begin(a->x, 200, "text/event-stream");
    for (int i = 0; i < a->n_prompt * a->n; i++) {
        struct choice nothing = {.ask = a, .prompt = &a->prompts[i / a->n]};
        char *echoed = a->echo && stream_lives(a) ? reply_text(&nothing) : NULL;
        if (a->chat || echoed)
            send_delta(a, (struct delta){.index = i, .role = 1, .text = echoed, .n = echoed ? strlen(echoed) : 0});
        mem_free(echoed);
    }
}

static int index_of(const struct ask *a, const struct prompt *p, int sequence)
{
    return (int)(p - a->prompts) * a->n + sequence;
}

void stream_token(struct ask *a, struct prompt *p, const struct generate_token *t)
{
    struct text_piece piece;
    begin(a);
    if (text_stream_push(p->stream, t, &piece, &a->failed) || !piece.n)
        return;
    send_delta(a, (struct delta){.index = index_of(a, p, t->sequence), .text = piece.text, .n = piece.n});
}

void stream_result(struct ask *a, struct prompt *p, const struct generate_result *r)
{
    begin(a);
    for (int i = 0; i < r->n && i < p->n_choice; i++) {
        struct text_piece rest = text_stream_rest(p->stream, i, &r->sequences[i]);
        if (rest.n)
            send_delta(a, (struct delta){.index = index_of(a, p, i), .text = rest.text, .n = rest.n});
        send_delta(a, (struct delta){.index = index_of(a, p, i), .reason = reply_reason(&p->choices[i])});
    }
}

static void send_whole(struct ask *a, const struct choice *c)
{
    char *text = reply_text(c);
    send_delta(
        a, (struct delta){.index = c->index, .text = text, .n = text ? strlen(text) : 0, .logprobs = logprobs_json(c)});
    send_delta(a, (struct delta){.index = c->index, .reason = reply_reason(c)});
    mem_free(text);
}

static void send_failure(struct ask *a)
{
    struct buf event = BUF_INIT;
    buf_puts(&event, "data: ");
    http_error_json(&event, status_of(a->failed.code), NULL, a->failed.message);
    buf_puts(&event, "\n\n");
    http_write(a->x, buf_text(&event), event.len);
    buf_free(&event);
    metrics_failed(&a->api->metrics);
}

void stream_finish(struct ask *a)
{
    static const char done[] = "data: [DONE]\n\n";
    struct error failed = a->failed;
    if (failed.code && !a->begun) {
        ask_refuse(a, status_of(failed.code), NULL, &failed);
        return;
    }
    begin(a);
    for (int i = 0; i < a->n_prompt && !stream_lives(a) && !a->failed.code; i++)
        for (int k = 0; k < a->prompts[i].n_choice; k++)
            send_whole(a, &a->prompts[i].choices[k]);
    if (a->usage && !a->failed.code)
        send_choices(a, json_array(), reply_usage(a));
    if (a->failed.code)
        send_failure(a);
    else
        metrics_answered(&a->api->metrics, a->told > 0 ? a->told - a->arrived : 0, clock_now() - a->arrived);
    http_write(a->x, done, sizeof done - 1);
    http_end(a->x);
    ask_free(a);
}
