/* SPDX-License-Identifier: Apache-2.0 */
/* isara score and isara embed: one number a token, one vector a text. */
#include "cli/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"
#include "retrieve/retrieve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct texts {
    struct cli_model parts;
    struct records records;
    struct tokens *tokens; /* one a record */
    struct model_text *items;
    int *record_of;
    int n;
    long n_result;  /* completion tokens over all */
    long n_token;   /* that the model reads */
    double seconds; /* that it takes */
    float *values;  /* what comes of it: a number a completion token, or a vector a text */
};

static int texts_open(struct texts *t, const struct cli_values *v, enum model_task task, struct error *err)
{
    int rc = cli_open_tokenizer(&t->parts, v, 0, err);
    if (!rc)
        rc = records_read(&t->records, v, err);
    if (!rc)
        rc = cli_open_model(&t->parts, v, DTYPE_BF16, task, err);
    if (rc)
        return rc;
    size_t n = (size_t)t->records.n + 1;
    t->tokens = mem_calloc(n, sizeof *t->tokens);
    t->items = mem_calloc(n, sizeof *t->items);
    t->record_of = mem_calloc(n, sizeof *t->record_of);
    return t->tokens && t->items && t->record_of ? 0 : error_set_nomem(err, n * sizeof *t->items, "records");
}

static void texts_close(struct texts *t)
{
    for (int i = 0; t->tokens && i < t->records.n; i++)
        tokens_free(&t->tokens[i]);
    mem_free(t->tokens);
    mem_free(t->items);
    mem_free(t->record_of);
    mem_free(t->values);
    records_free(&t->records);
    cli_close(&t->parts);
}

static void texts_add(struct texts *t, int i, int n_prompt)
{
    const struct model_desc *d = model_desc(t->parts.model);
    int n = (int)t->tokens[i].n;
    if (n > d->n_ctx) {
        char text[128];
        snprintf(text, sizeof text, "%d tokens, but the model's context holds %d", n, d->n_ctx);
        records_fail(&t->records, i, text);
        return;
    }
    t->items[t->n] = (struct model_text){t->tokens[i].ids, n, n_prompt};
    t->record_of[t->n++] = i;
    t->n_result += n - n_prompt;
}

/* values [at, at + n) are the item's. */
static void fail_overflow(struct texts *t, int item, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(t->values[at + i])) {
            records_fail(&t->records, t->record_of[item], model_overflow);
            return;
        }
}

/* Writes the lines of the records that failed and those that line(i, item) makes; reports. */
static int texts_write(struct texts *t, const char *verb, const struct cli_values *v,
                       json_t *(*line)(struct texts *, int item, long at), struct error *err)
{
    struct writer *w = NULL;
    json_t *settings = NULL;
    int n_failed = 0, rc = writer_settings(&settings, verb, v->output, t->parts.checkpoint, err);
    json_t *own = rc ? NULL
                     : json_pack("{s:s, s:s, s:i}", "dtype", dtype_name(model_dtype(t->parts.model)), "bits",
                                 device_isa(t->parts.device), "normalize", v->normalize);
    if (!rc && (!own || json_object_update(settings, own)))
        rc = error_set_nomem(err, 1024, "settings");
    json_decref(own);
    rc = rc ? rc : writer_open(&w, v->output, &t->records, settings, err);
    json_decref(settings);
    for (int i = 0; i < t->records.n && !rc; i++)
        if (t->records.errors[i]) {
            n_failed++;
            rc = writer_put(
                w, i, json_pack("{s:o,s:s}", "id", records_id(&t->records, i), "error", t->records.errors[i]), err);
        }
    records_say_ignored(&t->records);
    long at = 0;
    for (int i = 0; i < t->n && !rc; i++) {
        if (!t->records.errors[t->record_of[i]])
            rc = writer_put(w, t->record_of[i], line(t, i, at), err);
        at += t->items[i].n - t->items[i].n_prompt;
    }
    if (w) {
        int closed = writer_close(w, rc == 0, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    if (!rc)
        log_line(LOG_INFO, "%d records, %ld tokens, %.2f s, %.0f tokens/s", t->n, t->n_token, t->seconds,
                 t->seconds > 0 ? (double)t->n_token / t->seconds : 0);
    if (!rc && n_failed) {
        log_line(LOG_WARNING, "%d of %d records failed; their lines carry the error", n_failed, t->records.n);
        rc = CLI_SOME_FAILED;
    }
    return rc;
}

static json_t *score_line(struct texts *t, int item, long at)
{
    const struct model_text *x = &t->items[item];
    json_t *ids = json_array(), *logprobs = json_array();
    double sum = 0;
    int n = x->n - x->n_prompt;
    for (int j = 0; j < n; j++) {
        json_array_append_new(ids, json_integer(x->ids[x->n_prompt + j]));
        json_array_append_new(logprobs, json_real(t->values[at + j]));
        sum += (double)t->values[at + j];
    }
    return json_pack("{s:o,s:i,s:f,s:o,s:o}", "id", records_id(&t->records, t->record_of[item]), "n_tokens", n,
                     "sum_logprob", sum, "token_ids", ids, "token_logprobs", logprobs);
}

static int score_record(struct texts *t, int i)
{
    static const char *const fields[] = {"prompt",           "completion",           "id",
                                         "prompt_token_ids", "completion_token_ids", NULL};
    int n_vocab = model_desc(t->parts.model)->n_vocab;
    records_as_pair(&t->records, i);
    records_ignore_others(&t->records, i, fields);
    if (records_tokens(&t->records, i, &record_prompt, t->parts.tokenizer, n_vocab, &t->tokens[i]))
        return -1;
    int n_prompt = (int)t->tokens[i].n;
    if (records_completion(&t->records, i, t->parts.tokenizer, n_vocab, &t->tokens[i]))
        return -1;
    texts_add(t, i, n_prompt);
    return 0;
}

int verb_score(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    struct texts t = {0};
    int rc = texts_open(&t, v, MODEL_LM, err);
    for (int i = 0; i < t.records.n && !rc; i++)
        score_record(&t, i);
    for (int i = 0; i < t.n; i++)
        t.n_token += t.items[i].n;
    double start = clock_now();
    if (!rc && !(t.values = mem_calloc((size_t)t.n_result + 1, sizeof *t.values)))
        rc = error_set_nomem(err, (size_t)t.n_result * 4, "log-probabilities");
    if (!rc)
        rc = crew_score(t.parts.model, t.items, t.n, t.values, err);
    t.seconds = clock_now() - start;
    size_t at = 0;
    for (int i = 0; i < t.n && !rc; i++) {
        size_t n = (size_t)(t.items[i].n - t.items[i].n_prompt);
        fail_overflow(&t, i, at, n);
        at += n;
    }
    if (!rc)
        rc = texts_write(&t, "score", v, score_line, err);
    texts_close(&t);
    return rc;
}

static json_t *embed_line(struct texts *t, int item, long at)
{
    (void)at;
    int n = model_width(model_desc(t->parts.model));
    json_t *vector = json_array();
    for (int j = 0; j < n; j++)
        json_array_append_new(vector, json_real(t->values[(long)item * n + j]));
    return json_pack("{s:o,s:o}", "id", records_id(&t->records, t->record_of[item]), "embedding", vector);
}

/* A sentence encoder reads a text by its own rules. */
static int sentence_tokens(struct texts *t, int i, int *n_cut)
{
    static const struct record_field field = {"text", "token_ids", 1};
    struct error reason = {0};
    const json_t *text = json_object_get(t->records.items[i], "text");
    int cut = 0;
    if (!model_desc(t->parts.model)->sentence.given || !json_is_string(text) ||
        json_object_get(t->records.items[i], "token_ids") || !t->parts.tokenizer)
        return records_tokens(&t->records, i, &field, t->parts.tokenizer, model_desc(t->parts.model)->n_vocab,
                              &t->tokens[i]);
    const struct embedder e = {t->parts.model, t->parts.tokenizer};
    if (retrieve_tokens(&e, json_string_value(text), json_string_length(text), &t->tokens[i], &cut, &reason)) {
        records_fail(&t->records, i, reason.message);
        return -1;
    }
    *n_cut += cut;
    return 0;
}

int verb_embed(const struct verb *verb, struct options *options, const struct cli_values *v, struct error *err)
{
    (void)verb;
    (void)options;
    static const char *const fields[] = {"text", "token_ids", "id", NULL};
    struct texts t = {0};
    int n_cut = 0, rc = texts_open(&t, v, MODEL_BODY, err);
    for (int i = 0; i < t.records.n && !rc; i++) {
        records_as_text(&t.records, i);
        records_ignore_others(&t.records, i, fields);
        if (!sentence_tokens(&t, i, &n_cut)) {
            texts_add(&t, i, (int)t.tokens[i].n);
            t.n_token += (long)t.tokens[i].n;
        }
    }
    double start = clock_now();
    size_t n_value = rc ? 0 : (size_t)t.n * (size_t)model_width(model_desc(t.parts.model));
    if (!rc && !(t.values = mem_calloc(n_value + 1, sizeof *t.values)))
        rc = error_set_nomem(err, n_value * 4, "embeddings");
    if (!rc)
        rc = crew_embed(t.parts.model, t.items, t.n, v->normalize, t.values, err);
    t.seconds = clock_now() - start;
    size_t width = rc ? 0 : (size_t)model_width(model_desc(t.parts.model));
    for (int i = 0; i < t.n && !rc; i++)
        fail_overflow(&t, i, (size_t)i * width, width);
    if (!rc)
        rc = texts_write(&t, "embed", v, embed_line, err);
    if (n_cut)
        log_line(LOG_WARNING, "%d of %d texts were cut to the encoder's %d tokens", n_cut, t.records.n,
                 model_desc(t.parts.model)->sentence.max_length);
    texts_close(&t);
    return rc;
}
