/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the caller as the engine's: all of them together, or one by one in an open session. */
#include "api/parts.h"

#include "base/mem.h"
#include "generate/fields.h"
#include "generate/stream.h"

#include <string.h>

struct ask {                   /* what runs for a request of the caller */
    struct generate_request r; /* r.user: this */
    const struct isara_request *from;
    struct tokens prompt;
    struct text_stream *stream; /* when tokens are wanted and there is a tokenizer */
    struct ask *next;
};
struct isara_session {
    struct isara_model *model;
    struct ask *asks;
    struct error error; /* the first such */
};

static void ask_clear(struct ask *a)
{
    tokens_free(&a->prompt);
    text_stream_free(a->stream);
    a->stream = NULL;
}

static int set_options(struct ask *a, const struct isara_model *m, struct error *err)
{
    json_t *keep;
    struct generate_options *o = &a->r.options;
    generate_options_default(o);
    const json_t *config = m->checkpoint ? checkpoint_generation_config(m->checkpoint) : NULL;
    int rc = generate_options_merge(o, config, model_desc(m->model), api_model_name(m), err);
    if (!rc)
        rc = api_options(a->from->options, &(struct api_table){&generate_fields, o, NULL}, 1, &keep, err);
    if (!rc)
        json_decref(keep);
    return rc ? rc : generate_options_check(o, err);
}

static int set_prompt(struct ask *a, struct isara_model *m, struct error *err)
{
    const struct isara_request *from = a->from;
    if (from->ids) {
        a->r.prompt = from->ids;
        a->r.n_prompt = from->n_id > 1 << 30 ? 1 << 30 : (int)from->n_id;
        return 0;
    }
    if (!from->prompt)
        return error_set(err, ERROR_USAGE, "a request has neither prompt nor ids");
    int rc = 0;
    if (!from->is_chat)
        rc = api_text_tokens(m, from->prompt, &a->prompt, err);
    else if (!m->chat)
        rc = error_set(err, ERROR_USAGE, "is_chat: the prompt is to be made by isara_chat with this model");
    else
        rc = chat_encode(m->chat, from->prompt, strlen(from->prompt), &a->prompt, err);
    a->r.prompt = a->prompt.ids;
    a->r.n_prompt = (int)a->prompt.n;
    return rc;
}

static int ask_set(struct ask *a, struct isara_model *m, const struct isara_request *from, struct error *err)
{
    a->from = from;
    a->r = (struct generate_request){.seed = from->seed, .key_a = from->key, .user = a};
    int rc = set_options(a, m, err);
    if (!rc)
        rc = set_prompt(a, m, err);
    if (!rc && from->on_token && m->tokenizer)
        rc = text_stream_new(&a->stream, m->tokenizer, &a->r.options, err);
    return rc;
}

static int tell_error(struct isara_session *s, const struct isara_request *from, const struct error *reason)
{
    struct isara_error e;
    api_return(&e, reason->code, reason);
    if (from->on_done)
        return from->on_done(from->user, &(struct isara_result){.request = from, .error = &e});
    if (!s->error.code)
        s->error = *reason;
    return 0;
}

static int on_token(void *user, const struct generate_request *r, const struct generate_token *t)
{
    struct isara_session *s = user;
    struct ask *a = r->user;
    struct text_piece piece = {"", 0};
    int rc = 0;
    if (!a->from->on_token)
        return 0;
    if (a->stream)
        rc = text_stream_push(a->stream, t, &piece, &s->error);
    return rc ? rc
              : a->from->on_token(a->from->user, &(struct isara_token){a->from, t->sequence, t->position, t->id,
                                                                       t->logprob, piece.text, piece.n});
}

/* What stop strings and unfinished characters held back. */
static int tell_rest(const struct ask *a, const struct generate_result *result)
{
    int rc = 0;
    for (int i = 0; i < result->n && !rc && a->stream; i++) {
        const struct generate_sequence *q = &result->sequences[i];
        struct text_piece piece = text_stream_rest(a->stream, i, q);
        if (piece.n)
            rc = a->from->on_token(a->from->user, &(struct isara_token){a->from, i, q->n, -1, 0, piece.text, piece.n});
    }
    return rc;
}

static int tell_result(const struct ask *a, const struct generate_result *result)
{
    struct isara_sequence sequences[GENERATE_MAX_BEAMS];
    if (!a->from->on_done)
        return 0;
    for (int i = 0; i < result->n; i++) {
        const struct generate_sequence *q = &result->sequences[i];
        sequences[i] = (struct isara_sequence){q->text,  q->ids,        q->logprobs, q->n, q->finish == FINISH_STOP,
                                               q->score, q->sum_logprob};
    }
    return a->from->on_done(a->from->user, &(struct isara_result){a->from, sequences, result->n, NULL});
}

static int finish(struct isara_session *s, struct ask *a, const struct generate_result *result)
{
    if (result->error.code)
        return tell_error(s, a->from, &result->error);
    int rc = tell_rest(a, result);
    return rc ? rc : tell_result(a, result);
}

/* Takes the request out of an open session; 0: it is in none. */
static int take_out(struct isara_session *s, const struct ask *a)
{
    struct ask **at = &s->asks;
    while (*at && *at != a)
        at = &(*at)->next;
    if (!*at)
        return 0;
    *at = a->next;
    return 1;
}

static void ask_free(struct ask *a)
{
    ask_clear(a);
    mem_free(a);
}

static int on_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct isara_session *s = user;
    struct ask *a = r->user;
    int own = take_out(s, a),
        rc = finish(s, a, result); /* out first: it is not there any more for a callback that cancels it */
    if (own)
        ask_free(a);
    return rc;
}

/* The callback's own code, or what went wrong. */
static int end_call(struct isara_session *s, int rc, struct error *err, struct isara_error *to)
{
    if (!rc && s->error.code)
        rc = s->error.code;
    if (s->error.code && !err->code)
        *err = s->error;
    if (rc && !err->code)
        error_set(err, rc, "ended by a callback with %d", rc);
    s->error = (struct error){0};
    return api_return(to, rc, err);
}

int isara_generate(struct isara_model *m, const struct isara_request *requests, size_t n, struct isara_error *to)
{
    struct error err = {0};
    struct isara_session s = {.model = m};
    struct ask *asks = mem_calloc(n + 1, sizeof *asks);
    struct generate_request *run = mem_calloc(n + 1, sizeof *run);
    int rc = asks && run ? api_engine(m, &err) : error_set_nomem(&err, n * sizeof *asks, "requests"), n_run = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct error reason = {0};
        if (ask_set(&asks[i], m, &requests[i], &reason))
            rc = tell_error(&s, &requests[i], &reason);
        else
            run[n_run++] = asks[i].r;
    }
    if (!rc)
        rc = generate_all(m->engine, run, n_run, &(struct generate_calls){on_token, on_done, &s}, &err);
    for (size_t i = 0; asks && i < n; i++)
        ask_clear(&asks[i]);
    mem_free(run);
    mem_free(asks);
    return end_call(&s, rc, &err, to);
}

static const struct field limit_rows[] = {
    {FIELD("requests", FIELD_INT, struct generate_limits, requests), .argument = "N", .low = 1, .high = 1 << 24,
     .help = "pending at most [1024]"},
    {FIELD("sequences", FIELD_INT, struct generate_limits, sequences), .argument = "N", .high = 1 << 16,
     .help = "in flight at most, 0 = chosen [0]"},
    {FIELD("length", FIELD_INT, struct generate_limits, length), .argument = "N", .low = 2, .high = 1 << 30,
     .help = "prompt and new tokens [the context]"},
    {FIELD("width", FIELD_INT, struct generate_limits, width), .argument = "N", .low = 1, .high = GENERATE_MAX_BEAMS,
     .help = "beams or samples of one request [1]"},
};
static const struct field_table limit_fields = {limit_rows, sizeof limit_rows / sizeof *limit_rows};

int isara_begin(struct isara_session **out, struct isara_model *m, const char *options, struct isara_error *to)
{
    struct error err = {0};
    struct generate_limits limits;
    json_t *keep;
    struct isara_session *s = *out = mem_calloc(1, sizeof *s);
    int rc = s ? api_engine(m, &err) : error_set_nomem(&err, sizeof *s, "a session");
    if (!rc)
        generate_limits_default(&limits, m->engine);
    if (!rc)
        rc = api_options(options, &(struct api_table){&limit_fields, &limits, NULL}, 1, &keep, &err);
    if (!rc)
        json_decref(keep);
    if (!rc)
        rc = generate_begin(m->engine, &limits, &(struct generate_calls){on_token, on_done, s}, &err);
    if (!rc) {
        s->model = m;
        m->in_session = 1;
    } else {
        mem_free(s);
        *out = NULL;
    }
    return api_return(to, rc, &err);
}

int isara_submit(struct isara_session *s, const struct isara_request *request, struct isara_error *to)
{
    struct error err = {0};
    struct ask *a = mem_calloc(1, sizeof *a);
    int rc = a ? ask_set(a, s->model, request, &err) : error_set_nomem(&err, sizeof *a, "a request");
    if (!rc)
        rc = generate_submit(s->model->engine, &a->r, &err);
    if (!rc) {
        a->next = s->asks;
        s->asks = a;
    } else if (a) {
        ask_free(a);
    }
    return api_return(to, rc, &err);
}

int isara_step(struct isara_session *s, struct isara_error *to)
{
    struct error err = {0};
    int rc = generate_step(s->model->engine, &err);
    return end_call(s, rc, &err, to);
}

int isara_pending(const struct isara_session *s)
{
    return generate_pending(s->model->engine);
}

void isara_cancel(struct isara_session *s, const struct isara_request *request)
{
    struct ask *a = s->asks;
    while (a && a->from != request)
        a = a->next;
    if (!a)
        return;
    generate_cancel(s->model->engine, &a->r);
    take_out(s, a);
    ask_free(a);
}

void isara_end(struct isara_session *s)
{
    if (!s)
        return;
    generate_end(s->model->engine);
    s->model->in_session = 0;
    while (s->asks) {
        struct ask *a = s->asks;
        s->asks = a->next;
        ask_free(a);
    }
    mem_free(s);
}
