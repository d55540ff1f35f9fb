/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of isara eval: a language model of this machine, whose exact next-token probabilities of the two
 * identifiers are the verdict, or one behind an OpenAI-compatible endpoint. */
#include "eval/parts.h"

#include "base/hash.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "io/endpoint.h"
#include "judge/pairwise.h"
#include "text/chat.h"
#include "text/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct eval_pairwise {
    struct pairwise_prompt prompt;
    const struct eval_work *work;
    struct eval_model parts; /* local; the model is loaded at the first question */
    struct chat *chat;       /* NULL: no template; then plain text */
    int32_t ids[2];          /* m, M */
    struct endpoint *endpoint;
    char *name, sha256[65];
};

const char *eval_pairwise_name(const struct eval_pairwise *j)
{
    return j->name;
}
const char *eval_pairwise_sha256(const struct eval_pairwise *j)
{
    return j->sha256;
}
const char *eval_pairwise_prompt_sha256(const struct eval_pairwise *j)
{
    return j->prompt.sha256;
}

static int open_endpoint(struct eval_pairwise *j, const struct eval_options *v, struct error *err)
{
    struct endpoint_options o;
    struct buf identity = BUF_INIT;
    int rc = eval_require(v->judge_model, "judge-model", "the name of the model behind --endpoint", err);
    endpoint_options_default(&o);
    o.url = v->endpoint;
    o.key = getenv("OPENAI_API_KEY");
    o.timeout = v->judge_timeout;
    o.tries = v->judge_tries;
    o.per_minute = v->judge_rate;
    o.pause = v->judge_pause;
    if (rc)
        return rc;
    char shown[300];
    http_shown(v->endpoint, shown, sizeof shown);
    buf_printf(&identity, "%s at %s", v->judge_model, shown);
    sha256_bytes(identity.data ? identity.data : "", identity.len,
                 j->sha256); /* of the name: the weights cannot be seen */
    j->name = buf_take(&identity);
    return j->name ? endpoint_open(&j->endpoint, &o, err) : error_set_nomem(err, 64, "a judge");
}

/* With the chat template the identifier begins the reply; in plain text it follows a space. */
static int find_identifiers(struct eval_pairwise *j, const char *prefix, struct error *err)
{
    for (int k = 0; k < 2; k++) {
        char text[4];
        struct tokens ids = TOKENS_INIT;
        snprintf(text, sizeof text, "%s%s", prefix, k ? "M" : "m");
        int rc = tokenizer_encode(j->parts.tokenizer, text, strlen(text), 0, &ids, err);
        if (!rc && ids.n != 1)
            rc = error_set(err, ERROR_DATA,
                           "%s: its tokenizer has no single token for \"%s\"; this model cannot be the judge", j->name,
                           text);
        j->ids[k] = rc ? 0 : ids.ids[0];
        tokens_free(&ids);
        if (rc)
            return rc;
    }
    return 0;
}

static int open_local(struct eval_pairwise *j, const struct eval_options *v, struct error *err)
{
    struct error none = {0, ""};
    if (!(j->name = mem_strdup(v->judge)))
        return error_set_nomem(err, 64, "a judge");
    int rc = chat_open(&j->chat, j->parts.tokenizer, &none);
    if (rc && rc != ERROR_UNAVAILABLE)
        return error_set(err, rc, "%s", none.message);
    return find_identifiers(j, j->chat ? "" : " ", err);
}

int eval_pairwise_open(struct eval_pairwise **out, const struct eval_work *w, struct error *err)
{
    const struct eval_options *v = w->options;
    struct eval_pairwise *j = mem_calloc(1, sizeof *j);
    if (!j)
        return error_set_nomem(err, sizeof *j, "a judge");
    j->work = w;
    int rc = pairwise_prompt_open(&j->prompt, v->judge_prompt, err);
    if (!rc && v->judge && v->endpoint)
        rc = error_set(err, ERROR_USAGE, "wanted --judge (a model here) or --endpoint, found both");
    if (!rc && v->endpoint)
        rc = open_endpoint(j, v, err);
    else if (!rc &&
             !(rc = eval_require(
                   v->judge, "judge",
                   "a language model that compares the outputs (or --endpoint URL and --judge-model NAME)", err)) &&
             !(rc = eval_model_read(&j->parts, v->judge, NULL, err)) &&
             !(rc = checkpoint_sha256(j->parts.checkpoint, j->sha256, err)))
        rc = open_local(j, v, err);
    if (rc)
        eval_pairwise_close(j);
    else
        *out = j;
    return rc;
}

void eval_pairwise_close(struct eval_pairwise *j)
{
    if (!j)
        return;
    pairwise_prompt_free(&j->prompt);
    endpoint_close(j->endpoint);
    chat_close(j->chat);
    eval_model_close(&j->parts);
    mem_free(j->name);
    mem_free(j);
}

/* The chat template's own tokens are read as such, so those that a text spells get a space inside. */
static char *neutral_text(const struct eval_pairwise *j, const char *text)
{
    struct buf b = BUF_INIT;
    size_t n_special;
    const int32_t *special = tokenizer_special_ids(j->parts.tokenizer, &n_special);
    for (const char *s = text; *s; s++) {
        buf_putc(&b, *s);
        for (size_t i = 0; i < n_special; i++) {
            size_t n = 0;
            const char *token = tokenizer_token(j->parts.tokenizer, special[i], &n);
            if (token && n > 1 && !strncmp(s, token, n)) {
                buf_putc(&b, ' ');
                break;
            }
        }
    }
    return b.len || b.failed ? buf_take(&b) : mem_strdup("");
}

static int chat_ids(struct eval_pairwise *j, const struct pairwise_prompt *filled, struct tokens *ids,
                    struct error *err)
{
    json_t *messages = json_array(), *conversation;
    struct buf text = BUF_INIT;
    for (int i = 0; i < filled->n; i++)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", filled->messages[i].role, "content",
                                                  filled->messages[i].content.data));
    conversation = json_pack("{s:o}", "messages", messages);
    int rc =
        conversation ? chat_render(j->chat, conversation, 1, &text, err) : error_set_nomem(err, 64, "a conversation");
    rc = rc ? rc : chat_encode(j->chat, buf_text(&text), text.len, ids, err);
    json_decref(conversation);
    buf_free(&text);
    return rc;
}

/* The messages one after another as plain text, special tokens written in them staying text, and a cue for the
 * identifier. */
static int local_ids(struct eval_pairwise *j, const struct pairwise_prompt *filled, struct tokens *ids,
                     struct error *err)
{
    struct buf text = BUF_INIT;
    if (j->chat)
        return chat_ids(j, filled, ids, err);
    for (int i = 0; i < filled->n; i++) {
        buf_append(&text, filled->messages[i].content.data, filled->messages[i].content.len);
        buf_puts(&text, "\n\n");
    }
    buf_puts(&text, "The better reply is reply");
    int rc = text.failed ? error_set_nomem(err, text.len, "a judge's prompt")
                         : tokenizer_encode(j->parts.tokenizer, text.data, text.len, TOKENIZER_ADD_SPECIAL, ids, err);
    if (!rc)
        ids->n = pair_without_end(j->parts.tokenizer, ids->ids, ids->n);
    buf_free(&text);
    return rc;
}

static int fill_neutral(const struct eval_pairwise *j, const struct eval_question *q, struct pairwise_prompt *filled,
                        struct error *err)
{
    char *a = neutral_text(j, q->instruction), *b = neutral_text(j, q->output_1), *c = neutral_text(j, q->output_2);
    int rc =
        a && b && c ? pairwise_fill(&j->prompt, a, b, c, filled, err) : error_set_nomem(err, 64, "a judge's prompt");
    mem_free(a);
    mem_free(b);
    mem_free(c);
    return rc;
}

static int ask_local(struct eval_pairwise *j, const struct eval_question *q, int n, struct eval_preference *out,
                     struct error *err)
{
    struct tokens *ids = mem_calloc((size_t)n + 1, sizeof *ids);
    struct model_text *texts = mem_calloc((size_t)n + 1, sizeof *texts);
    float *logprobs = mem_alloc(((size_t)n + 1) * 2 * sizeof *logprobs);
    int *rows = mem_calloc((size_t)n + 1, sizeof *rows), m = 0;
    int rc = ids && texts && logprobs && rows
                 ? 0
                 : error_set_nomem(err, (size_t)n * sizeof *texts, "questions to the judge");
    if (!rc && !j->parts.model)
        rc = eval_model_load(&j->parts, j->work->device, j->work->options->dtype, MODEL_LM, err);
    for (int i = 0; i < n && !rc; i++) {
        struct pairwise_prompt filled;
        out[i] = (struct eval_preference){.preference = NAN};
        if ((rc = fill_neutral(j, &q[i], &filled, err)))
            break;
        rc = local_ids(j, &filled, &ids[i], err);
        pairwise_prompt_free(&filled);
        if (!rc && (int)ids[i].n > model_desc(j->parts.model)->n_ctx) {
            snprintf(out[i].why, sizeof out[i].why, "the prompt has %zu tokens, the judge's context holds %d", ids[i].n,
                     model_desc(j->parts.model)->n_ctx);
            out[i].truncated = 1;
        } else if (!rc) {
            texts[m] = (struct model_text){ids[i].ids, (int)ids[i].n, 0};
            rows[m++] = i;
        }
    }
    if (!rc && m)
        rc = crew_next(j->parts.model, texts, m, (struct model_candidates){j->ids, 2}, logprobs, err);
    for (int k = 0; k < m && !rc; k++)
        rc = model_check_numbers(logprobs + 2 * k, 2, err, "judge: question %d, \"%.60s\"", rows[k],
                                 q[rows[k]].instruction);
    for (int k = 0; k < m && !rc; k++) {
        struct eval_preference *v = &out[rows[k]];
        v->preference = pairwise_preference((double)logprobs[2 * k], (double)logprobs[2 * k + 1]);
        v->raw = json_pack("{s:f, s:f}", "m", (double)logprobs[2 * k], "M", (double)logprobs[2 * k + 1]);
    }
    for (int i = 0; ids && i < n; i++)
        tokens_free(&ids[i]);
    mem_free(ids);
    mem_free(texts);
    mem_free(logprobs);
    mem_free(rows);
    return rc;
}

static int ask_endpoint(struct eval_pairwise *j, const struct eval_question *q, struct eval_preference *out,
                        struct error *err)
{
    struct pairwise_prompt filled;
    const char *why = NULL;
    *out = (struct eval_preference){.preference = NAN};
    int rc = pairwise_fill(&j->prompt, q->instruction, q->output_1, q->output_2, &filled, err);
    if (rc)
        return rc;
    json_t *request = pairwise_request(&filled, j->work->options->judge_model);
    rc = request ? endpoint_post(j->endpoint, "/chat/completions", request, &out->raw, NULL, err)
                 : error_set_nomem(err, 64, "a request");
    if (!rc)
        out->preference = pairwise_parse(out->raw, &why);
    if (why)
        snprintf(out->why, sizeof out->why, "%s", why);
    json_decref(request);
    pairwise_prompt_free(&filled);
    return rc;
}

int eval_pairwise_batch(const struct eval_pairwise *j)
{
    return j->endpoint ? 1 : 16;
}

int eval_pairwise_ask(struct eval_pairwise *j, const struct eval_question *q, int n, struct eval_preference *out,
                      struct error *err)
{
    int rc = 0;
    if (!j->endpoint)
        return ask_local(j, q, n, out, err);
    for (int i = 0; i < n && !rc; i++)
        rc = ask_endpoint(j, &q[i], &out[i], err);
    return rc;
}
