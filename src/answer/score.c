/* SPDX-License-Identifier: Apache-2.0 */
/* Log-likelihoods of given answers after their prompts. */
#include "answer/speak.h"

#include "base/mem.h"
#include "crew/crew.h"

struct scoring {
    struct speaker *speaker;
    const struct score_job *job;
    struct model_text *texts;
    int n;             /* of the items that fit, in their order */
    struct tokens all; /* their ids, one after the other */
};

static int append_tokens(struct tokens *to, const struct tokens *from, struct error *err)
{
    for (size_t i = 0; i < from->n; i++)
        if (tokens_push(to, from->ids[i]))
            return error_set_nomem(err, to->n * sizeof *to->ids, "tokens");
    return 0;
}

/* What does not fit has no score. */
static int add_item(struct scoring *w, const struct speak_item *item, struct speak_score *out, struct error *err)
{
    const struct prompt_parts parts = {.question = item->question,
                                       .contexts = item->contexts,
                                       .n_context = item->n_context,
                                       .before = w->job->before,
                                       .room = w->job->room,
                                       .scored = 1};
    struct prompt p = {0};
    struct tokens ids = TOKENS_INIT;
    struct error own = {0, ""};
    *out = (struct speak_score){.dropped = -1};
    int made = prompt_make(w->speaker, w->job->pool, &parts, &p, &own);
    int rc = made && made != ERROR_DATA ? error_set(err, made, "%s", own.message) : 0;
    if (!made) {
        out->dropped = p.dropped;
        rc = prompt_completion(w->speaker, &p, item->answer, &ids, err);
    }
    if (!made && !rc && ids.n && (int)(p.ids.n + ids.n) <= w->speaker->desc.n_ctx) {
        out->n_token = (int)ids.n;
        w->texts[w->n++] = (struct model_text){NULL, (int)(p.ids.n + ids.n), (int)p.ids.n};
        rc = append_tokens(&w->all, &p.ids, err);
        rc = rc ? rc : append_tokens(&w->all, &ids, err);
    }
    prompt_free(&p);
    tokens_free(&ids);
    return rc;
}

static int score_items(struct scoring *w, const struct speak_item *items, int n, struct speak_score *out,
                       struct error *err)
{
    struct speaker *s = w->speaker;
    size_t at = 0;
    for (int i = 0; i < w->n; at += (size_t)w->texts[i++].n)
        w->texts[i].ids = w->all.ids + at;
    float *logprobs = mem_alloc(w->all.n * sizeof *logprobs), *l = logprobs;
    int rc = logprobs ? 0 : error_set_nomem(err, w->all.n * sizeof *logprobs, "log-probabilities");
    const char *model = w->job->model ? w->job->model : speaker_pretrained(s);
    rc = rc ? rc : speaker_load(s, model, s->o.dtype, err);
    rc = rc ? rc : crew_score(s->model, w->texts, w->n, logprobs, err);
    for (int i = 0; i < n && !rc; i++) {
        rc = model_check_numbers(l, (size_t)out[i].n_token, err, "question %d, \"%.60s\"", items[i].index,
                                 items[i].question);
        for (int k = 0; k < out[i].n_token && !rc; k++)
            out[i].logprob += (double)*l++;
    }
    mem_free(logprobs);
    return rc;
}

int speaker_score(struct speaker *s, const struct score_job *job, const struct speak_item *items, int n,
                  struct speak_score *out, struct error *err)
{
    struct scoring w = {
        .speaker = s, .job = job, .texts = mem_calloc((size_t)n + 1, sizeof *w.texts), .all = TOKENS_INIT};
    int rc = w.texts ? 0 : error_set_nomem(err, (size_t)n * sizeof *w.texts, "texts");
    for (int i = 0; i < n && !rc; i++)
        rc = add_item(&w, &items[i], &out[i], err);
    if (!rc && w.n)
        rc = score_items(&w, items, n, out, err);
    mem_free(w.texts);
    tokens_free(&w.all);
    return rc;
}
