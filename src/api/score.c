/* SPDX-License-Identifier: Apache-2.0 */
/* Log-probabilities and embeddings of texts. */
#include "api/parts.h"

#include "base/mem.h"
#include "retrieve/retrieve.h"
#include "text/pair.h"

#include <string.h>

struct texts { /* as the model's calls take them */
    struct tokens *tokens;
    struct model_text *items;
    size_t n, n_result;
};

static int texts_new(struct texts *t, size_t n, struct error *err)
{
    t->n = n;
    t->tokens = mem_calloc(n + 1, sizeof *t->tokens);
    t->items = mem_calloc(n + 1, sizeof *t->items);
    return t->tokens && t->items ? 0 : error_set_nomem(err, n * sizeof *t->items, "texts");
}

static void texts_free(struct texts *t)
{
    for (size_t i = 0; t->tokens && i < t->n; i++)
        tokens_free(&t->tokens[i]);
    mem_free(t->tokens);
    mem_free(t->items);
}

/* Ids of the model, not more than its context holds. */
static int texts_set(struct texts *t, size_t i, size_t n_prompt, const struct model_desc *d, struct error *err)
{
    const struct tokens *x = &t->tokens[i];
    for (size_t k = 0; k < x->n; k++)
        if (x->ids[k] < 0 || x->ids[k] >= d->n_vocab)
            return error_set(err, ERROR_DATA, "text %zu: token id %d is outside the model's vocabulary of %d", i,
                             (int)x->ids[k], d->n_vocab);
    if (x->n > (size_t)d->n_ctx)
        return error_set(err, ERROR_DATA, "text %zu: %zu tokens, but the model's context holds %d", i, x->n, d->n_ctx);
    t->items[i] = (struct model_text){x->ids, (int)x->n, (int)n_prompt};
    t->n_result += x->n - n_prompt;
    return 0;
}

static int set_pair(const struct isara_model *m, struct texts *t, size_t i, const struct isara_pair *pair,
                    struct error *err)
{
    struct tokens *x = &t->tokens[i];
    int rc = api_text_tokens(m, pair->prompt, x, err);
    size_t n_prompt = x->n;
    const struct text_pair texts = {.prompt = {pair->prompt, strlen(pair->prompt), NULL},
                                    .completion = {pair->completion, strlen(pair->completion), NULL},
                                    .prompt_ids = x->ids,
                                    .n_prompt = n_prompt,
                                    .flags = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL};
    struct tokens rest = TOKENS_INIT;
    if (!rc && !texts.completion.n)
        rc = error_set(err, ERROR_DATA, "a completion is empty");
    if (!rc)
        rc = pair_encode_completion(m->tokenizer, &texts, &rest, NULL, err);
    for (size_t k = 0; k < rest.n && !rc; k++)
        if (tokens_push(x, rest.ids[k]))
            rc = error_set_nomem(err, rest.n * 4, "token ids");
    tokens_free(&rest);
    return rc ? error_prefix(err, "pair %zu", i) : texts_set(t, i, n_prompt, model_desc(m->model), err);
}

/* The scores, then their ids, then their log-probabilities, in one block. */
static struct isara_score *lay_out(const struct texts *t, float **logprobs)
{
    size_t head = t->n * sizeof(struct isara_score);
    struct isara_score *s = mem_calloc(1, head + t->n_result * 8 + 16);
    if (!s)
        return NULL;
    int32_t *ids = (int32_t *)(void *)((char *)s + head);
    *logprobs = (float *)(void *)(ids + t->n_result);
    size_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct model_text *x = &t->items[i];
        size_t n = (size_t)(x->n - x->n_prompt);
        memcpy(ids + at, x->ids + x->n_prompt, n * sizeof *ids);
        s[i] = (struct isara_score){0, ids + at, *logprobs + at, n};
        at += n;
    }
    return s;
}

static int score(const struct isara_model *m, struct texts *t, struct isara_score **out, struct error *err)
{
    float *logprobs;
    struct isara_score *s = *out = lay_out(t, &logprobs);
    if (!s)
        return error_set_nomem(err, t->n_result * 8, "log-probabilities");
    int rc = model_score(m->model, t->items, (int)t->n, logprobs, err);
    for (size_t i = 0; i < t->n && !rc; i++) {
        rc = model_check_numbers(s[i].logprobs, s[i].n, err, "pair %zu", i);
        for (size_t k = 0; k < s[i].n; k++)
            s[i].sum_logprob += (double)s[i].logprobs[k];
    }
    return rc;
}

int isara_score(struct isara_model *m, const struct isara_pair *pairs, size_t n, struct isara_score **out,
                struct isara_error *to)
{
    struct error err = {0};
    struct texts t = {0};
    *out = NULL;
    int rc = texts_new(&t, n, &err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = set_pair(m, &t, i, &pairs[i], &err);
    if (!rc)
        rc = score(m, &t, out, &err);
    texts_free(&t);
    if (rc) {
        mem_free(*out);
        *out = NULL;
    }
    return api_return(to, rc, &err);
}

static int embed(struct isara_model *m, struct texts *t, const char *const *texts, struct error *err)
{
    const struct model_desc *d = model_desc(m->model);
    const struct embedder e = {m->model, m->tokenizer};
    int rc = 0;
    for (size_t i = 0; i < t->n && !rc; i++) {
        int ours = d->sentence.given && m->tokenizer;
        rc = ours ? retrieve_tokens(&e, texts[i], strlen(texts[i]), &t->tokens[i], NULL, err)
                  : api_text_tokens(m, texts[i], &t->tokens[i], err);
        if (!rc)
            rc = texts_set(t, i, t->tokens[i].n, d, err);
    }
    return rc;
}

int isara_embed(struct isara_model *m, const char *const *texts, size_t n, int normalize, struct isara_vectors *out,
                struct isara_error *to)
{
    struct error err = {0};
    struct texts t = {0};
    *out = (struct isara_vectors){NULL, n, (size_t)model_width(model_desc(m->model))};
    int rc = texts_new(&t, n, &err);
    rc = rc ? rc : embed(m, &t, texts, &err);
    if (!rc && !(out->values = mem_calloc(n * out->width + 1, sizeof *out->values)))
        rc = error_set_nomem(&err, n * out->width * 4, "embeddings");
    if (!rc)
        rc = model_embed(m->model, t.items, (int)n, normalize, out->values, &err);
    if (!rc)
        rc = model_check_numbers(out->values, n * out->width, &err, "embeddings");
    texts_free(&t);
    if (rc) {
        mem_free(out->values);
        out->values = NULL;
    }
    return api_return(to, rc, &err);
}
