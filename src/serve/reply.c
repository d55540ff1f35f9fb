/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered at once, as OpenAI's clients read it. */
#include "serve/parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

json_t *reply_usage(const struct ask *a)
{
    json_int_t prompt = 0, completion = 0;
    for (int i = 0; i < a->n_prompt; i++) {
        const struct prompt *p = &a->prompts[i];
        prompt += (json_int_t)p->ids.n;
        for (int k = 0; k < p->n_choice; k++)
            completion += p->choices[k].n - p->choices[k].n_prompt;
    }
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", prompt, "completion_tokens", completion, "total_tokens",
                     prompt + completion);
}

json_t *reply_head(const struct ask *a, const char *object, json_t *choices)
{
    json_t *all = json_pack("{s:s++, s:s, s:I, s:s, s:o}", "id", a->chat ? "chatcmpl" : "cmpl", "-", a->id, "object",
                            object, "created", a->created, "model", a->model->name, "choices", choices);
    if (all && a->options.do_sample)
        json_object_set_new(all, "seed", json_integer((json_int_t)a->seed));
    return all;
}

json_t *reply_reason(const struct choice *c)
{
    return json_string(c->stopped ? "stop" : "length");
}

char *reply_text(const struct choice *c)
{
    struct buf text = BUF_INIT;
    const struct ask *a = c->ask;
    const struct prompt *p = c->prompt;
    if (a->echo && p->text)
        buf_puts(&text, p->text);
    else if (a->echo && a->model->tokenizer &&
             tokenizer_decode(a->model->tokenizer, p->ids.ids, p->ids.n, 0, &text, NULL))
        text.failed = 1;
    buf_puts(&text, c->text ? c->text : "");
    return buf_take(&text);
}

static json_t *whole_choice(const struct choice *c)
{
    char *text = reply_text(c);
    json_t *said = text ? json_string(text) : NULL, *logprobs = logprobs_json(c), *reason = reply_reason(c);
    mem_free(text);
    if (c->ask->chat)
        return json_pack("{s:i, s:{s:s, s:o}, s:o, s:o}", "index", c->index, "message", "role", "assistant", "content",
                         said, "logprobs", logprobs, "finish_reason", reason);
    return json_pack("{s:i, s:o, s:o, s:o}", "index", c->index, "text", said, "logprobs", logprobs, "finish_reason",
                     reason);
}

static json_t *reply_json(const struct ask *a)
{
    json_t *choices = json_array();
    int rc = !choices;
    for (int i = 0; i < a->n_prompt && !rc; i++)
        for (int k = 0; k < a->prompts[i].n_choice && !rc; k++)
            rc = json_array_append_new(choices, whole_choice(&a->prompts[i].choices[k]));
    if (rc) {
        json_decref(choices);
        return NULL;
    }
    json_t *all = reply_head(a, a->chat ? "chat.completion" : "text_completion", choices);
    if (all)
        json_object_set_new(all, "usage", reply_usage(a));
    return all;
}

void reply_whole(struct ask *a)
{
    if (a->failed.code) {
        struct error failed = a->failed;
        ask_refuse(a, status_of(failed.code), NULL, &failed);
        return;
    }
    double now = clock_now();
    metrics_answered(&a->api->metrics, a->told > 0 ? a->told - a->arrived : 0, now - a->arrived);
    answer_json(a->x, 200, reply_json(a));
    ask_free(a);
}
