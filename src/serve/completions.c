/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/completions: a text, several, token ids, or several lists of them, and what goes on behind each. */
#include "serve/parts.h"

enum { DEFAULT_NEW = 16 }; /* OpenAI's */

void api_completions(void *api, struct http_exchange *x)
{
    json_t *body;
    struct error err = {0};
    struct ask *a = request_body(x, &body) ? NULL : ask_new(api, x, body);
    if (!a)
        return;
    if (!a->model->engine) {
        error_set(&err, ERROR_USAGE, "an encoder gives no completions; /v1/embeddings is what it is for");
        ask_refuse(a, 400, "model", &err);
        return;
    }
    a->echo = request_flag(a->body, "echo");
    if (request_whole(a, "logprobs", API_MAX_TOP, &a->n_top) || request_stream(a) || request_decoding(a, DEFAULT_NEW) ||
        prompts_read(a, "prompt", prompts_text) || request_lengths(a))
        return;
    produce(a);
}
