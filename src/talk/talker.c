/* SPDX-License-Identifier: Apache-2.0 */
/* A model that answers, one message at a time. */
#include "talk/talk.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "generate/stream.h"

#include <string.h>

enum { LEAST_ANSWER = 16, STREAM_TALK = 0x7461 };

struct talker {
    struct speaker speaker;
    struct generate_options options; /* with the template's ends */
    struct generate_engine *engine;
    int open; /* its session, which lasts: what a prompt has in common with the one before is not computed again */
    uint64_t seed;
    struct telling *telling; /* of the answer that is being written */
};

/* The model's chat template, where there is one and nothing else was said. */
static int choose_template(struct talker *t, const struct talk_options *o, struct error *err)
{
    struct template *own = NULL;
    if (o->template_file || !tokenizer_info(t->speaker.tokenizer)->chat_template)
        return 0;
    int rc = template_chat(&own, t->speaker.tokenizer, NULL, err);
    if (rc == ERROR_UNAVAILABLE)
        error_prefix(err, "give --template FILE instead");
    return rc ? rc : speaker_set_template(&t->speaker, own, err);
}

static int open_decoding(struct talker *t, const struct talk_options *o, struct error *err)
{
    struct generate_options *g = &t->options, plain;
    generate_options_default(g);
    int rc =
        generate_options_merge(g, checkpoint_generation_config(t->speaker.source), &t->speaker.desc, o->model, err);
    if (!rc && o->decoding)
        rc = o->decoding(o->user, g, err);
    rc = rc ? rc : generate_options_check(g, err);
    if (!rc && g->num_return_sequences != 1)
        rc = error_set(err, ERROR_USAGE, "num-return-sequences: wanted 1, as a message has one answer");
    plain = *g;
    return rc ? rc : speaker_decoding(&t->speaker, 0, &plain, g, err);
}

static int open_talker(struct talker *t, struct device *device, const struct talk_options *o, struct error *err)
{
    const struct speaker_options s = {
        .model = o->model, .template_file = o->template_file, .dtype = o->dtype, .seed = o->seed};
    const struct generate_engine_options engine = generate_engine_as_asked(&o->engine, o->dtype);
    t->seed = o->seed;
    int rc = speaker_open(&t->speaker, device, &s, err);
    rc = rc ? rc : choose_template(t, o, err);
    rc = rc ? rc : open_decoding(t, o, err);
    rc = rc ? rc : speaker_load_pretrained(&t->speaker, err);
    return rc ? rc : generate_engine_new(&t->engine, t->speaker.model, t->speaker.tokenizer, &engine, err);
}

int talker_open(struct talker **out, struct device *device, const struct talk_options *o, struct error *err)
{
    struct talker *t = *out = mem_calloc(1, sizeof *t);
    int rc = t ? open_talker(t, device, o, err) : error_set_nomem(err, sizeof *t, "a talker");
    if (rc) {
        talker_close(t);
        *out = NULL;
    }
    return rc;
}

void talker_close(struct talker *t)
{
    if (t) {
        generate_engine_free(t->engine);
        speaker_close(&t->speaker);
    }
    mem_free(t);
}

struct generate_stats talker_stats(const struct talker *t)
{
    return generate_engine_stats(t->engine);
}

int talker_is_chat(const struct talker *t)
{
    return template_is_chat(t->speaker.template);
}

/* --- an answer while it is written --- */

struct telling {
    const struct talk_sink *sink;
    struct talk_answer *answer;
    struct text_stream *stream;
    struct buf blanks; /* white space that is only told when a word follows */
    struct error *err;
};

static int is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space at the beginning and at the end is not told. */
static int tell(struct telling *w, struct text_piece piece)
{
    struct talk_answer *a = w->answer;
    size_t words = piece.n, from = 0, had = a->text.len;
    while (words && is_blank(piece.text[words - 1]))
        words--;
    while (!had && from < words && is_blank(piece.text[from]))
        from++;
    if (words > from) {
        buf_append(&a->text, buf_text(&w->blanks), w->blanks.len);
        buf_reset(&w->blanks);
        buf_append(&a->text, piece.text + from, words - from);
    }
    if (a->text.len)
        buf_append(&w->blanks, piece.text + words, piece.n - words);
    if (a->text.failed || w->blanks.failed)
        return error_set_nomem(w->err, a->text.len, "an answer");
    return a->text.len > had ? w->sink->piece(w->sink->user, a->text.data + had, a->text.len - had) : 0;
}

static int on_token(void *user, const struct generate_request *r, const struct generate_token *token)
{
    struct telling *w = ((struct talker *)user)->telling;
    struct text_piece piece;
    (void)r;
    w->answer->n_token++;
    int rc = text_stream_push(w->stream, token, &piece, w->err);
    return rc ? rc : tell(w, piece);
}

static int on_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct telling *w = ((struct talker *)user)->telling;
    (void)r;
    if (result->error.code)
        return error_set(w->err, result->error.code, "%s", result->error.message);
    w->answer->cut = result->sequences[0].finish == FINISH_LENGTH;
    return tell(w, text_stream_rest(w->stream, 0, &result->sequences[0]));
}

static int begin_session(struct talker *t, struct error *err)
{
    struct generate_limits limits;
    const struct generate_calls calls = {on_token, on_done, t};
    if (t->open)
        return 0;
    generate_limits_default(&limits, t->engine);
    limits.requests = 1;
    limits.width = limits.sequences = t->options.num_beams;
    int rc = generate_begin(t->engine, &limits, &calls, err);
    t->open = !rc;
    return rc;
}

/* With room for all that may be answered; else for some of it. */
static int make_prompt(const struct talker *t, const struct talk *talk, const char *message, struct prompt *p,
                       struct talk_answer *answer, struct error *err)
{
    int n_ctx = t->speaker.desc.n_ctx, *turns = mem_calloc((size_t)talk->n + 1, sizeof *turns);
    const struct pair_pool pool = {.items = talk->turns, .n = talk->n};
    struct prompt_parts parts = {.question = message,
                                 .contexts = turns,
                                 .n_context = talk->n,
                                 .before = talk->system,
                                 .room = t->options.max_new_tokens};
    for (int i = 0; i < talk->n && turns; i++)
        turns[i] = i;
    int half = n_ctx / 2, rc;
    parts.room = parts.room > half ? half : parts.room; /* else a long answer leaves no room for what was said */
    rc = turns ? prompt_make(&t->speaker, &pool, &parts, p, err) : error_set_nomem(err, 64, "turns");
    if (rc == ERROR_DATA && parts.room > LEAST_ANSWER) {
        parts.room = LEAST_ANSWER;
        rc = prompt_make(&t->speaker, &pool, &parts, p, err);
    }
    if (!rc) {
        int fits = n_ctx - (int)p->ids.n;
        answer->dropped = p->dropped;
        answer->most = fits < t->options.max_new_tokens ? fits : t->options.max_new_tokens;
    }
    mem_free(turns);
    return rc;
}

static int generate(struct talker *t, const struct prompt *p, uint64_t turn, struct telling *w)
{
    struct generate_request request = {.prompt = p->ids.ids,
                                       .n_prompt = (int)p->ids.n,
                                       .options = t->options,
                                       .seed = t->seed,
                                       .key_a = STREAM_TALK,
                                       .key_b = turn};
    request.options.max_new_tokens = w->answer->most;
    int rc = text_stream_new(&w->stream, t->speaker.tokenizer, &request.options, w->err);
    t->telling = w;
    rc = rc ? rc : begin_session(t, w->err);
    rc = rc ? rc : generate_submit(t->engine, &request, w->err);
    while (!rc && generate_pending(t->engine))
        rc = generate_step(t->engine, w->err);
    if (rc) {
        generate_end(t->engine);
        t->open = 0;
    }
    w->answer->interrupted = rc == ERROR_INTERRUPTED;
    text_stream_free(w->stream);
    return rc == ERROR_INTERRUPTED ? 0 : rc;
}

int talker_answer(struct talker *t, const struct talk *talk, const char *message, const struct talk_sink *sink,
                  struct talk_answer *answer, struct error *err)
{
    struct telling w = {.sink = sink, .answer = answer, .err = err};
    struct prompt p = {0};
    *answer = (struct talk_answer){.text = BUF_INIT};
    int rc = make_prompt(t, talk, message, &p, answer, err);
    rc = rc ? rc : generate(t, &p, (uint64_t)talk->n_said, &w);
    prompt_free(&p);
    buf_free(&w.blanks);
    return rc;
}
