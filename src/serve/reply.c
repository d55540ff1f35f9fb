/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered, as OpenAI's clients read it. */
#include "serve/parts.h"

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

static json_t *completion_choice(const struct choice *c)
{
    return json_pack("{s:i, s:s, s:n, s:s}", "index", c->index, "text", c->text ? c->text : "", "logprobs",
                     "finish_reason", c->stopped ? "stop" : "length");
}

json_t *reply_json(struct ask *a)
{
    json_t *choices = json_array();
    int rc = !choices;
    for (int i = 0; i < a->n_prompt && !rc; i++)
        for (int k = 0; k < a->prompts[i].n_choice && !rc; k++)
            rc = json_array_append_new(choices, completion_choice(&a->prompts[i].choices[k]));
    if (rc) {
        json_decref(choices);
        return NULL;
    }
    return json_pack("{s:s+, s:s, s:I, s:s, s:o, s:o}", "id", a->chat ? "chatcmpl-" : "cmpl-", a->id, "object",
                     a->chat ? "chat.completion" : "text_completion", "created", a->created, "model", a->model->name,
                     "choices", choices, "usage", reply_usage(a));
}
