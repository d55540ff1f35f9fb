/* SPDX-License-Identifier: Apache-2.0 */
/* One request an item. An item's random stream is named by the job and the item, so its text does not depend on what
 * else runs. */
#include "answer/speak.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/crew.h"

#include <string.h>

struct speaking {
    struct speaker *speaker;
    const struct speak_job *job;
    const struct speak_item **items; /* [n] of those whose prompts were made */
    struct prompt *prompts;          /* [n] */
    int n;
    struct progress progress;
    struct error *err;
};

static struct spoken begin_spoken(const struct speak_item *item, const struct prompt *p)
{
    struct spoken t = {
        .prompt = p->text.data ? p->text.data : "", .dropped = p->dropped, .n_context = item->n_context - p->dropped};
    if (item->contexts)
        t.contexts = item->contexts + p->dropped;
    return t;
}

int speak_read(const struct speaker *s, int asks, const char *raw, int stopped, struct buf *out)
{
    if (asks)
        return template_parse_question(s->template, raw, strlen(raw), stopped, out);
    if (!s->o.style)
        return template_parse_answer(s->template, raw, strlen(raw), stopped, out);
    buf_puts(out, raw);
    return stopped;
}

static void fill_spoken(struct spoken *t, const struct generate_sequence *q)
{
    t->raw = q->text ? q->text : "";
    t->ids = q->ids;
    t->logprobs = q->logprobs;
    t->n_token = q->n;
    t->score = q->score;
    t->logprob = q->sum_logprob;
}

static int finished(void *user, int at, const struct generate_result *result)
{
    struct speaking *w = user;
    const struct speak_item *item = w->items[at];
    struct spoken t = begin_spoken(item, &w->prompts[at]);
    struct buf text = BUF_INIT;
    if (result->error.code && result->error.code != ERROR_DATA)
        return error_set(w->err, result->error.code, "%s", result->error.message);
    if (result->error.code) {
        t.error = result->error.message;
    } else {
        fill_spoken(&t, &result->sequences[0]);
        t.ended = speak_read(w->speaker, !item->question, t.raw, result->sequences[0].finish == FINISH_STOP, &text);
        t.text = text.data ? text.data : "";
        w->progress.tokens += t.n_token;
    }
    int rc = text.failed ? error_set_nomem(w->err, 64, "a text") : w->job->put(w->job->user, item->index, &t, w->err);
    buf_free(&text);
    w->progress.done++;
    progress_show(&w->progress);
    return rc;
}

static int add_item(struct speaking *w, const struct speak_item *item, struct error *err)
{
    struct prompt *p = &w->prompts[w->n];
    struct error own = {0, ""};
    const struct prompt_parts parts = {.question = item->question,
                                       .contexts = item->contexts,
                                       .n_context = item->n_context,
                                       .before = w->job->before,
                                       .room = w->job->options->max_new_tokens};
    int rc = prompt_make(w->speaker, w->job->pool, &parts, p, &own);
    if (!rc) {
        w->items[w->n++] = item;
        return 0;
    }
    if (rc == ERROR_DATA) {
        struct spoken t = begin_spoken(item, p);
        t.error = own.message;
        t.unfit = 1;
        rc = w->job->put(w->job->user, item->index, &t, err);
    } else {
        error_set(err, rc, "%s", own.message);
    }
    prompt_free(p);
    return rc;
}

static int speak_items(struct speaking *w, const struct generate_options *options, struct error *err)
{
    struct speaker *s = w->speaker;
    struct generate_engine *engine = NULL;
    struct generate_request *requests = mem_calloc((size_t)w->n, sizeof *requests);
    int rc = requests ? 0 : error_set_nomem(err, (size_t)w->n * sizeof *requests, "requests");
    for (int i = 0; i < w->n && !rc; i++)
        requests[i] = (struct generate_request){.prompt = w->prompts[i].ids.ids,
                                                .n_prompt = (int)w->prompts[i].ids.n,
                                                .options = *options,
                                                .seed = s->o.seed,
                                                .key_a = w->job->stream,
                                                .key_b = (uint64_t)w->items[i]->index};
    const char *model = w->job->model ? w->job->model : speaker_pretrained(s);
    const struct generate_engine_options *set = s->o.engine.prefill_chunk ? &s->o.engine : NULL;
    rc = rc ? rc : speaker_load(s, model, s->o.dtype, err);
    rc = rc ? rc : generate_engine_new(&engine, s->model, s->tokenizer, set, err);
    if (!rc) {
        w->progress = (struct progress){w->job->stage, w->job->unit, 0, w->n, clock_now(), 0, NULL};
        progress_show(&w->progress);
        rc = crew_generate(engine, requests, w->n, finished, w, err);
    }
    generate_engine_free(engine);
    mem_free(requests);
    return rc;
}

int speaker_generate(struct speaker *s, const struct speak_job *job, const struct speak_item *items, int n,
                     struct error *err)
{
    struct generate_options options;
    struct speaking w = {.speaker = s, .job = job, .err = err};
    if (n < 1)
        return 0;
    w.prompts = mem_calloc((size_t)n, sizeof *w.prompts);
    w.items = mem_calloc((size_t)n, sizeof *w.items);
    int rc = w.prompts && w.items ? speaker_decoding(s, !items[0].question, job->options, &options, err)
                                  : error_set_nomem(err, (size_t)n * sizeof *w.prompts, "prompts");
    for (int i = 0; i < n && !rc; i++)
        rc = add_item(&w, &items[i], err);
    if (!rc && w.n)
        rc = speak_items(&w, &options, err);
    for (int i = 0; i < w.n; i++)
        prompt_free(&w.prompts[i]);
    mem_free(w.prompts);
    mem_free(w.items);
    return rc;
}
