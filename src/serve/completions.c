/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/completions: a text, several, token ids, or several lists of them, and what goes on behind each. */
#include "serve/parts.h"

enum { DEFAULT_NEW = 16 }; /* OpenAI's */

void api_completions(void *api, struct http_exchange *x)
{
    struct ask *a = ask_open(api, x, "an encoder gives no completions; /v1/embeddings is what it is for");
    if (!a)
        return;
    a->echo = request_flag(a->body, "echo");
    if (request_whole(a, "logprobs", API_MAX_TOP, &a->n_top) || request_stream(a) || request_decoding(a, DEFAULT_NEW) ||
        prompts_read(a, "prompt", prompts_text) || request_lengths(a))
        return;
    produce(a);
}
