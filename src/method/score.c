/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of a round's answers, by what --score names; more is better. Each is of one answer and of nothing beside it,
 * so it does not matter which were scored before a kill. The log-probabilities are those of the model that answered,
 * after the prompt that it answered. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "judge/harm.h"

#include <math.h>
#include <string.h>

enum { TOGETHER = 64, RATINGS = 5 };
/* Behind the question and the answer in the template's words, without examples; docs/METHOD.md has it. */
static const char rating_request[] = "\n\nHow good is this answer, from 1 (bad) to 5 (very good)? Rating:";

/* Attempts that are scored together. */
struct scored {
    int at[TOGETHER], n;
    double score[TOGETHER]; /* NAN: there is none, as it does not fit */
};

/* --- log-probabilities --- */

/* Sum over the answer's tokens, and how many there are; without contexts and principles when plain. */
static int logprobs(struct align *a, const struct scored *s, int plain, struct speak_score *out, struct error *err)
{
    struct speak_item items[TOGETHER];
    char *model = align_model_path(a, align_asked_in(a) - 1);
    const struct score_job job = {
        .model = model, .pool = &a->pool, .before = plain ? NULL : align_principles(a), .room = 1};
    for (int i = 0; i < s->n; i++) {
        const struct run_attempt *t = &a->attempts[s->at[i]];
        items[i] = (struct speak_item){.index = s->at[i],
                                       .question = t->question.text,
                                       .contexts = t->answer.contexts,
                                       .n_context = plain ? 0 : t->answer.n_context,
                                       .answer = t->answer.text};
    }
    int rc = model ? speaker_score(&a->speaker, &job, items, s->n, out, err) : error_set_nomem(err, 64, "path");
    mem_free(model);
    return rc;
}

static int score_logprob(struct align *a, struct scored *s, struct error *err)
{
    struct speak_score with[TOGETHER];
    int rc = logprobs(a, s, 0, with, err);
    for (int i = 0; i < s->n && !rc; i++)
        s->score[i] = with[i].n_token ? with[i].logprob / with[i].n_token : NAN;
    return rc;
}

static int score_context_gain(struct align *a, struct scored *s, struct error *err)
{
    struct speak_score with[TOGETHER], without[TOGETHER];
    int rc = logprobs(a, s, 0, with, err);
    rc = rc ? rc : logprobs(a, s, 1, without, err);
    for (int i = 0; i < s->n && !rc; i++)
        s->score[i] = with[i].n_token && without[i].n_token ? with[i].logprob - without[i].logprob : NAN;
    return rc;
}

/* --- the model's own rating --- */

static int write_rating(const struct align *a, const struct run_attempt *t, struct buf *text, struct text_spans *people,
                        struct error *err)
{
    const struct template *words = a->speaker.template;
    const struct example rated = {t->question.text, t->answer.text};
    if (template_is_chat(words)) /* a turn of its own */
        return template_write(words, &(struct template_prompt){NULL, &rated, 1, rating_request}, text, people, err);
    int rc = template_write(words, &(struct template_prompt){.question = rated.question}, text, people, err);
    template_completion(words, rated.answer, text, people);
    buf_puts(text, rating_request);
    return rc || !text->failed ? rc : error_set_nomem(err, text->len, "a prompt");
}

/* " 1" to " 5" after a prompt, in a chat template what an answer of 1 to 5 is: the tokens that all of them begin with
 * go to it, which leaves one token each. */
static int rating_tokens(const struct align *a, const struct text_pair *prompt, int32_t ids[RATINGS],
                         struct tokens *first, struct error *err)
{
    static const char *const words[RATINGS] = {" 1", " 2", " 3", " 4", " 5"};
    struct tokens own = TOKENS_INIT;
    struct buf text = BUF_INIT;
    int rc = 0, alike = 1;
    for (int k = 0; k < RATINGS && !rc; k++) {
        struct text_pair pair = *prompt;
        buf_reset(&text);
        if (template_is_chat(a->speaker.template))
            template_completion(a->speaker.template, words[k], &text, NULL);
        else
            buf_puts(&text, words[k]);
        pair.completion.text = buf_text(&text);
        pair.completion.n = text.len;
        rc = pair_encode_completion(a->speaker.tokenizer, &pair, k ? &own : first, NULL, err);
        const struct tokens *t = k ? &own : first;
        alike = alike && t->n && t->n == first->n && !memcmp(t->ids, first->ids, (first->n - 1) * sizeof *t->ids);
        ids[k] = t->n ? t->ids[t->n - 1] : -1;
        for (int i = 0; i < k; i++)
            alike &= ids[i] != ids[k];
        own.n = 0;
    }
    if (first->n)
        first->n--;
    tokens_free(&own);
    buf_free(&text);
    if (!rc && !alike)
        rc = error_set(
            err, ERROR_UNAVAILABLE,
            "--score self: the tokenizer has not one token for each of the ratings 1 to 5; take another --score");
    return rc;
}

/* One answer's prompt and its ratings' log-probabilities, as the number that is expected; NAN: it does not fit. */
static int rate(struct align *a, const struct run_attempt *t, double *score, struct error *err)
{
    struct buf text = BUF_INIT;
    struct text_spans people = {0};
    struct tokens ids = TOKENS_INIT, first = TOKENS_INIT;
    int32_t ratings[RATINGS];
    float l[RATINGS];
    double mass = 0, sum = 0;
    int rc = write_rating(a, t, &text, &people, err);
    rc = rc ? rc : speaker_encode(&a->speaker, &text, &people, &ids, err);
    const struct text_pair prompt = {.prompt = {buf_text(&text), text.len, &people},
                                     .prompt_ids = ids.ids,
                                     .n_prompt = ids.n,
                                     .flags = speaker_flags(&a->speaker)};
    rc = rc ? rc : rating_tokens(a, &prompt, ratings, &first, err);
    for (size_t i = 0; i < first.n && !rc; i++)
        rc = tokens_push(&ids, first.ids[i]) ? error_set_nomem(err, ids.n * 4, "tokens") : 0;
    if (!rc && (int)ids.n < a->speaker.desc.n_ctx) {
        const struct model_text whole = {ids.ids, (int)ids.n, (int)ids.n};
        rc = model_next(a->speaker.model, &whole, 1, (struct model_candidates){ratings, RATINGS}, l, err);
        rc = rc ? rc : model_check_numbers(l, RATINGS, err, "rating of \"%.60s\"", t->question.text);
        for (int k = 0; k < RATINGS && !rc; k++) {
            mass += exp((double)l[k]);
            sum += (k + 1) * exp((double)l[k]);
        }
    }
    *score = sum / mass; /* NAN when both are 0 */
    buf_free(&text);
    text_spans_free(&people);
    tokens_free(&ids);
    tokens_free(&first);
    return rc;
}

static int score_self(struct align *a, struct scored *s, struct error *err)
{
    char *model = align_model_path(a, align_asked_in(a) - 1);
    int rc = model ? speaker_load(&a->speaker, model, a->o.dtype, err) : error_set_nomem(err, 64, "path");
    for (int i = 0; i < s->n && !rc; i++)
        rc = rate(a, &a->attempts[s->at[i]], &s->score[i], err);
    mem_free(model);
    return rc;
}

/* --- a reward model --- */

/* A cost model's sign is turned, so that more is better (as eval --task utility has it). */
static int score_reward(struct align *a, const struct harm_judge *j, struct scored *s, struct error *err)
{
    const struct model_desc *d = harm_judge_desc(j);
    struct judge_text texts[TOGETHER];
    float raw[TOGETHER * MODEL_MAX_LABEL];
    for (int i = 0; i < s->n; i++) {
        const struct run_attempt *t = &a->attempts[s->at[i]];
        texts[i] = (struct judge_text){t->question.text, t->answer.text};
    }
    int rc = harm_judge_score(j, texts, s->n, raw, NULL, err);
    for (int i = 0; i < s->n && !rc; i++) {
        double x = model_normalize(d, 0, (double)raw[i * d->n_label]);
        s->score[i] = d->task == MODEL_REWARD && d->score_type == SCORE_COST ? -x : x;
    }
    return rc;
}

static int open_reward(const struct align *a, struct harm_judge **out, struct error *err)
{
    const struct harm_judge_options o = {.model = a->o.reward, .task = MODEL_REWARD, .no_eos = 1, .dtype = a->o.dtype};
    return a->o.score == SCORE_REWARD_MODEL ? harm_judge_open(out, a->speaker.device, &o, err) : 0;
}

/* --- all of a round --- */

static int put_scores(struct align *a, const struct scored *s, struct error *err)
{
    int rc = a->run ? run_begin(a->run, err) : 0;
    for (int i = 0; i < s->n && !rc; i++) {
        a->attempts[s->at[i]].score = s->score[i];
        rc = a->run ? run_put_score(a->run, a->round, s->at[i], s->score[i], err) : 0;
    }
    if (a->run && !rc)
        rc = run_commit(a->run, err);
    else if (a->run)
        run_rollback(a->run);
    return rc;
}

static int score_some(struct align *a, const struct harm_judge *reward, struct scored *s, struct error *err)
{
    int rc = interrupt_check(err);
    if (rc)
        return rc;
    switch (a->o.score) {
    case SCORE_NONE: break;
    case SCORE_REWARD_MODEL: rc = score_reward(a, reward, s, err); break;
    case SCORE_SELF: rc = score_self(a, s, err); break;
    case SCORE_LOGPROB: rc = score_logprob(a, s, err); break;
    case SCORE_CONTEXT_GAIN: rc = score_context_gain(a, s, err); break;
    }
    return rc ? rc : put_scores(a, s, err);
}

static int wants_score(const struct run_attempt *t)
{
    return t->answer.text && *t->answer.text && !isfinite(t->score);
}

int align_score(struct align *a, struct error *err)
{
    struct harm_judge *reward = NULL;
    struct progress progress = {.stage = "score", .unit = "answers", .total = a->n_attempt, .started = clock_now()};
    int rc = a->o.score ? open_reward(a, &reward, err) : 0;
    for (int i = 0; a->o.score && i < a->n_attempt && !rc;) {
        struct scored s = {.n = 0};
        for (; i < a->n_attempt && s.n < TOGETHER; i++)
            if (wants_score(&a->attempts[i]))
                s.at[s.n++] = i;
        rc = s.n ? score_some(a, reward, &s, err) : 0;
        progress.done = i;
        progress_show(&progress);
    }
    harm_judge_close(reward);
    return rc;
}
