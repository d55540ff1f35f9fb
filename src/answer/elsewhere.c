/* SPDX-License-Identifier: Apache-2.0 */
/* One request an item. Its texts come in the order in which the server finishes them; what is made of them is the
 * caller's, by their index. */
#include "answer/elsewhere.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/endpoint.h"

#include <math.h>
#include <string.h>

static const char request_for_one_more[] =
    "Write one more question of this kind, about something else. Reply with the question alone.";

struct elsewhere {
    struct elsewhere_options o;
    struct endpoint *endpoint;
    char shown[300];
    struct template *words; /* the built-in one */
    int trusted;
};

int elsewhere_open(struct elsewhere **out, const struct elsewhere_options *o, struct error *err)
{
    struct elsewhere *e = mem_calloc(1, sizeof *e);
    struct endpoint_options to;
    if (!e)
        return error_set_nomem(err, sizeof *e, "an endpoint");
    e->o = *o;
    http_shown(o->url, e->shown, sizeof e->shown);
    endpoint_options_default(&to);
    to.url = o->url;
    to.key = o->key;
    to.timeout = o->timeout;
    to.pause = o->pause;
    to.tries = o->tries;
    to.per_minute = o->per_minute;
    to.clock = o->clock;
    int rc = template_builtin(&e->words, err);
    rc = rc ? rc : endpoint_open(&e->endpoint, &to, err);
    if (rc)
        elsewhere_close(e);
    else
        *out = e;
    return rc;
}

void elsewhere_close(struct elsewhere *e)
{
    if (!e)
        return;
    endpoint_close(e->endpoint);
    template_free(e->words);
    mem_free(e);
}

void elsewhere_trust(struct elsewhere *e)
{
    e->trusted = 1;
}

/* --- what is asked --- */

static void add_turn(json_t *messages, const char *role, const char *text)
{
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", text));
}

/* Those of a template of words: a model's own chat template is not that of another one. */
static const struct template *words_of(const struct elsewhere *e, const struct speaker *s)
{
    return template_is_chat(s->template) ? e->words : s->template;
}

/* The pairs in the template's words, and what is wanted after them. */
static int add_request_to_ask(const struct elsewhere *e, json_t *messages, struct speaker *s,
                              const struct speak_job *job, const struct speak_item *item, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;
    for (int i = 0; i < item->n_context && !rc; i++) {
        const struct pool_item *pair = &job->pool->items[item->contexts[i]];
        rc = template_write(words_of(e, s), &(struct template_prompt){.question = pair->question}, &text, NULL, err);
        template_completion(words_of(e, s), pair->answer, &text, NULL);
        buf_puts(&text, "\n\n");
    }
    buf_puts(&text, request_for_one_more);
    if (!rc && text.failed)
        rc = error_set_nomem(err, text.len, "a prompt");
    if (!rc)
        add_turn(messages, "user", text.data);
    buf_free(&text);
    return rc;
}

static int add_system(json_t *messages, const struct speaker *s, const char *before, struct error *err)
{
    const char *system = template_system(s->template);
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s%s%s", system ? system : "", system && before ? "\n\n" : "", before ? before : "");
    int rc = text.failed ? error_set_nomem(err, text.len, "a prompt") : 0;
    if (text.len)
        add_turn(messages, "system", text.data);
    buf_free(&text);
    return rc;
}

static json_t *messages_of(const struct elsewhere *e, struct speaker *s, const struct speak_job *job,
                           const struct speak_item *item, struct error *err)
{
    json_t *messages = json_array();
    int rc = messages ? 0 : error_set_nomem(err, 64, "a conversation");
    rc = rc ? rc : add_system(messages, s, job->before, err);
    if (!rc && !item->question)
        rc = add_request_to_ask(e, messages, s, job, item, err);
    for (int i = 0; i < item->n_context && !rc && item->question; i++) {
        const struct pool_item *pair = &job->pool->items[item->contexts[i]];
        add_turn(messages, "user", pair->question);
        add_turn(messages, "assistant", pair->answer);
    }
    if (!rc && item->question)
        add_turn(messages, "user", item->question);
    if (!rc)
        return messages;
    json_decref(messages);
    return NULL;
}

static int write_prompt(struct speaker *s, const struct speak_job *job, const struct speak_item *item, struct buf *out,
                        struct error *err)
{
    struct prompt p = {0};
    const struct prompt_parts parts = {
        .question = item->question, .contexts = item->contexts, .n_context = item->n_context, .before = job->before};
    int rc = prompt_write(s, job->pool, &parts, &p, err);
    buf_append(out, buf_text(&p.text), p.text.len);
    prompt_free(&p);
    return rc || !out->failed ? rc : error_set_nomem(err, out->len, "a prompt");
}

int elsewhere_prompt(const struct elsewhere *e, struct speaker *s, const struct speak_job *job,
                     const struct speak_item *item, struct buf *out, struct error *err)
{
    if (e->o.api == ELSEWHERE_COMPLETIONS)
        return write_prompt(s, job, item, out, err);
    json_t *messages = messages_of(e, s, job, item, err), *turn;
    size_t i;
    json_array_foreach(messages, i, turn)
        buf_printf(out, "%s%s: %s", i ? "\n" : "", json_string_value(json_object_get(turn, "role")),
                   json_string_value(json_object_get(turn, "content")));
    json_decref(messages);
    if (!messages)
        return ERROR_NOMEM;
    return out->failed ? error_set_nomem(err, out->len, "a prompt") : 0;
}

/* As much of the decoding as there are words for. A seed is sent where it decides something: not every server knows
 * it. */
static void put_decoding(json_t *body, const struct speaker *s, const struct speak_job *job, int index)
{
    const struct generate_options *o = job->options;
    json_object_set_new(body, "max_tokens", json_integer(o->max_new_tokens));
    json_object_set_new(body, "temperature", json_real(o->do_sample ? (double)o->temperature : 0));
    if (!o->do_sample)
        return;
    if (o->top_p < 1)
        json_object_set_new(body, "top_p", json_real((double)o->top_p));
    const uint64_t keys[] = {s->o.seed, job->stream, (uint64_t)index};
    json_object_set_new(body, "seed", json_integer((json_int_t)(hash64(keys, sizeof keys) & INT32_MAX)));
}

static void put_stops(json_t *body, const struct generate_options *o, const char *stop)
{
    json_t *stops = json_array();
    for (int i = 0; i < o->n_stop; i++)
        json_array_append_new(stops, json_string(o->stop[i]));
    if (*stop)
        json_array_append_new(stops, json_string(stop));
    if (json_array_size(stops))
        json_object_set(body, "stop", stops);
    json_decref(stops);
}

struct asking {
    struct elsewhere *e;
    struct speaker *s;
    const struct speak_job *job;
    const struct speak_item *items;
    struct fault {
        int item, tries;
        char *why;
        struct spoken_cost cost;
    } * faults; /* [n_fault] that wait for the first text that can be used */
    int n_fault;
    struct progress progress;
};

static json_t *request(void *user, int i, struct error *err)
{
    struct asking *a = user;
    const struct speak_item *item = &a->items[i];
    json_t *body = json_pack("{s:s}", "model", a->e->o.model);
    int chat = a->e->o.api == ELSEWHERE_CHAT, rc = body ? 0 : error_set_nomem(err, 64, "a request");
    struct buf text = BUF_INIT;
    json_t *messages = !rc && chat ? messages_of(a->e, a->s, a->job, item, err) : NULL;
    if (chat)
        rc = messages && !json_object_set_new(body, "messages", messages) ? 0 : ERROR_NOMEM;
    else
        rc = rc ? rc : write_prompt(a->s, a->job, item, &text, err);
    if (!rc && !chat && json_object_set_new(body, "prompt", json_stringn(buf_text(&text), text.len)))
        rc = error_set_nomem(err, text.len, "a request");
    if (!rc) {
        const char *stop = item->question ? template_answer_stop(a->s->template) : template_ask_stop(a->s->template);
        put_decoding(body, a->s, a->job, item->index);
        put_stops(body, a->job->options, chat ? "" : stop);
    }
    buf_free(&text);
    if (!rc)
        return body;
    json_decref(body);
    return NULL;
}

/* --- what is answered --- */

static long count_of(const json_t *usage, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(usage, name));
    return n > 0 && n <= INT32_MAX ? (long)n : 0;
}

static struct spoken_cost cost_of(const struct endpoint_answer *answer)
{
    const json_t *usage = json_object_get(answer->json, "usage");
    return (struct spoken_cost){.tries = answer->tries,
                                .known = json_is_object(usage),
                                .prompt = count_of(usage, "prompt_tokens"),
                                .completion = count_of(usage, "completion_tokens")};
}

/* The text of the first choice; NULL: there is none. */
static const char *text_of(const struct asking *a, const json_t *answer, int *stopped)
{
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0), *text;
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    *stopped = finish && !strcmp(finish, "stop");
    text = a->e->o.api == ELSEWHERE_CHAT ? json_object_get(json_object_get(choice, "message"), "content")
                                         : json_object_get(choice, "text");
    return json_is_string(text) && strlen(json_string_value(text)) == json_string_length(text) ? json_string_value(text)
                                                                                               : NULL;
}

/* Who was shown pairs in the template's words may begin with its cue. */
static const char *without_cue(const char *text, const char *cue)
{
    text += strspn(text, " \t\r\n");
    return *cue && !strncmp(text, cue, strlen(cue)) ? text + strlen(cue) : text;
}

static int read_text(const struct asking *a, const struct speak_item *item, const char *raw, int stopped,
                     struct buf *out)
{
    if (a->e->o.api == ELSEWHERE_COMPLETIONS)
        return speak_read(a->s, !item->question, raw, stopped, out);
    if (!item->question) {
        raw = without_cue(raw, template_is_chat(a->s->template) ? "Question:" : a->s->ask_cue);
        raw += strspn(raw, " \t\r\n");
        return template_parse_question(words_of(a->e, a->s), raw, strlen(raw), stopped, out);
    }
    size_t from = strspn(raw, " \t\r\n"), n = strlen(raw);
    while (n > from && strchr(" \t\r\n", raw[n - 1]))
        n--;
    buf_append(out, raw + from, n - from);
    return stopped;
}

static int put(struct asking *a, int i, struct spoken *t, const struct spoken_cost *cost, struct error *err)
{
    struct buf prompt = BUF_INIT;
    const struct speak_item *item = &a->items[i];
    t->contexts = item->contexts;
    t->n_context = item->n_context;
    t->cost = cost;
    t->score = NAN;
    int rc = elsewhere_prompt(a->e, a->s, a->job, item, &prompt, err);
    t->prompt = buf_text(&prompt);
    rc = rc ? rc : a->job->put(a->job->user, item->index, t, err);
    buf_free(&prompt);
    a->progress.tokens += (double)cost->completion;
    a->progress.done++;
    progress_show(&a->progress);
    return rc;
}

static int put_fault(struct asking *a, const struct fault *f, struct error *err)
{
    struct spoken t = {.error = f->why};
    return put(a, f->item, &t, &f->cost, err);
}

/* Those that waited. */
static int put_faults(struct asking *a, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < a->n_fault && !rc; k++)
        rc = put_fault(a, &a->faults[k], err);
    for (int k = 0; k < a->n_fault; k++)
        mem_free(a->faults[k].why);
    a->n_fault = 0;
    return rc;
}

/* An error of the text, or of the whole if nothing else comes. */
static int fault(struct asking *a, int i, const struct endpoint_answer *answer, struct error *err)
{
    struct buf why = BUF_INIT;
    if (answer->refused)
        buf_puts(&why, answer->refused);
    else
        buf_printf(&why, "%s: the answer has no text: wanted choices[0].%s", a->e->shown,
                   a->e->o.api == ELSEWHERE_CHAT ? "message.content" : "text");
    struct fault f = {i, answer->tries, buf_take(&why), cost_of(answer)};
    if (!f.why)
        return error_set_nomem(err, 64, "an error");
    if (!a->e->trusted) {
        a->faults[a->n_fault++] = f;
        return 0;
    }
    int rc = put_fault(a, &f, err);
    mem_free(f.why);
    return rc;
}

static int answered(void *user, int i, const struct endpoint_answer *answer, struct error *err)
{
    struct asking *a = user;
    struct buf text = BUF_INIT;
    int stopped = 0;
    const char *raw = answer->json ? text_of(a, answer->json, &stopped) : NULL;
    if (!raw)
        return fault(a, i, answer, err);
    const struct spoken_cost cost = cost_of(answer);
    struct spoken t = {.raw = raw, .ended = read_text(a, &a->items[i], raw, stopped, &text)};
    t.text = buf_text(&text);
    int rc = text.failed ? error_set_nomem(err, text.len, "a text") : put(a, i, &t, &cost, err);
    buf_free(&text);
    a->e->trusted = 1;
    return rc ? rc : put_faults(a, err);
}

int elsewhere_generate(struct elsewhere *e, struct speaker *s, const struct speak_job *job,
                       const struct speak_item *items, int n, struct error *err)
{
    struct asking a = {.e = e, .s = s, .job = job, .items = items};
    const struct endpoint_work w = {
        .path = e->o.api == ELSEWHERE_CHAT ? "/chat/completions" : "/completions",
        .n = n,
        .at_once = e->o.at_once,
        .body = request,
        .put = answered,
        .user = &a,
    };
    a.faults = mem_calloc((size_t)n + 1, sizeof *a.faults);
    if (!a.faults)
        return error_set_nomem(err, (size_t)n * sizeof *a.faults, "answers");
    a.progress = (struct progress){job->stage, job->unit, 0, n, clock_now(), 0, NULL};
    progress_show(&a.progress);
    int rc = endpoint_post_all(e->endpoint, &w, err);
    if (!rc && a.n_fault)
        rc = error_set(err, ERROR_UNAVAILABLE, "%d of %d requests gave nothing that can be used; the first: %s",
                       a.n_fault, n, a.faults[0].why);
    for (int k = 0; k < a.n_fault; k++)
        mem_free(a.faults[k].why);
    mem_free(a.faults);
    return rc;
}
