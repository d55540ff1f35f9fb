/* SPDX-License-Identifier: Apache-2.0 */
/* A session: sizes from its limits (plan.c), then requests come in (admit.c), take steps (step.c) and go out, until its
 * end. */
#include "generate/parts.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

void generate_limits_default(struct generate_limits *l, const struct generate_engine *e)
{
    *l = (struct generate_limits){.requests = 1024,
                                  .length = e->desc->n_ctx,
                                  .width = 1,
                                  .eos = MODEL_MAX_EOS,
                                  .rules = 1,
                                  .stop = e->tokenizer != NULL};
}

static int check_limits(const struct generate_engine *e, const struct generate_limits *l, struct error *err)
{
    if (l->requests < 1 || l->requests > 1 << 24)
        return error_set(err, ERROR_USAGE, "limits: wanted 1 to %d requests, found %d", 1 << 24, l->requests);
    if (l->length < 2 || l->length > e->desc->n_ctx)
        return error_set(err, ERROR_USAGE, "limits: wanted a length of 2 to %d tokens, the model's context, found %d",
                         e->desc->n_ctx, l->length);
    if (l->width < 1 || l->width > GENERATE_MAX_BEAMS)
        return error_set(err, ERROR_USAGE, "limits: wanted a width of 1 to %d beams or samples, found %d",
                         GENERATE_MAX_BEAMS, l->width);
    if (l->sequences < 0 || l->sequences > 1 << 16 || (l->sequences && l->sequences < l->width))
        return error_set(err, ERROR_USAGE, "limits: wanted 0 (chosen) or %d to %d sequences in flight, found %d",
                         l->width, 1 << 16, l->sequences);
    if (l->eos < 0 || l->eos > MODEL_MAX_EOS)
        return error_set(err, ERROR_USAGE, "limits: wanted 0 to %d EOS tokens, found %d", MODEL_MAX_EOS, l->eos);
    if (l->stop && !e->tokenizer)
        return error_set(err, ERROR_USAGE, "limits: stop strings need a tokenizer, and there is none");
    return 0;
}

int session_open(struct generate_engine *e, const struct plan *p, const struct generate_limits *limits,
                 const struct generate_calls *calls, struct error *err)
{
    if (e->open)
        return error_set(err, ERROR_USAGE, "the engine has an open session; end it before another begins");
    e->limits = *limits;
    e->calls = *calls;
    e->failed = 0;
    int code = plan_set_up(e, p, err);
    if (code) {
        plan_drop(e);
        return code;
    }
    e->open = 1;
    return 0;
}

int generate_begin(struct generate_engine *e, const struct generate_limits *limits, const struct generate_calls *calls,
                   struct error *err)
{
    int code = check_limits(e, limits, err);
    if (code)
        return code;
    struct plan p = plan_of_limits(limits, e->options.page);
    return session_open(e, &p, limits, calls, err);
}

/* Against what the session was made for. */
static int check_request(const struct generate_engine *e, const struct generate_request *r, struct error *err)
{
    const struct generate_options *o = &r->options;
    int length = r->n_prompt + o->max_new_tokens, width = job_lanes(o),
        limit = e->limits.width < e->max_batch ? e->limits.width : e->max_batch;
    int bound = job_bound(o, r->n_prompt, e->options.page, 0, 0);
    if (length > e->max_len)
        return error_set(err, ERROR_DATA,
                         "prompt: %d tokens and max_new_tokens %d are more than the session's length of %d",
                         r->n_prompt, o->max_new_tokens, e->max_len);
    if (width > limit)
        return error_set(err, ERROR_USAGE, "%s: %d sequences at once are more than the session's width of %d",
                         o->do_sample ? "num_return_sequences" : "num_beams", width, limit);
    if (plan_keep(o) > e->n_keep)
        return error_set(err, ERROR_USAGE,
                         "eos_token_id: %d tokens are more than the session's limits allow with %d beams", o->n_eos,
                         o->num_beams);
    if (plan_uses_rules(o) && !e->limits.rules)
        return error_set(
            err, ERROR_USAGE,
            "repetition_penalty, no_repeat_ngram_size and min_new_tokens: the session's limits rule them out");
    if (o->n_stop && !e->limits.stop)
        return error_set(err, ERROR_USAGE, "stop: the session's limits rule it out");
    if (bound > e->pages.n_page)
        return error_set(err, ERROR_FAILED,
                         "memory: this request alone needs %zu MiB of KV cache, the budget is %zu MiB; allow more "
                         "memory or fewer beams or new tokens",
                         ((size_t)bound * plan_page_bytes(e) + (1 << 20) - 1) >> 20,
                         ((size_t)e->pages.n_page * plan_page_bytes(e)) >> 20);
    return 0;
}

int generate_submit(struct generate_engine *e, const struct generate_request *r, struct error *err)
{
    int code;
    if (!e->open || e->failed)
        return error_set(err, ERROR_USAGE, e->open ? "the session has failed; end it" : "no session is open");
    if ((code = admit_check(e, r, err)) || (code = check_request(e, r, err)))
        return code;
    if (generate_pending(e) >= e->limits.requests)
        return error_set(err, ERROR_FAILED, "the session holds its %d requests; step until one has finished",
                         e->limits.requests);
    if (e->first_waiting + e->n_waiting == e->waiting_capacity) {
        memmove(e->waiting, e->waiting + e->first_waiting, (size_t)e->n_waiting * sizeof *e->waiting);
        e->first_waiting = 0;
    }
    e->waiting[e->first_waiting + e->n_waiting++] = r;
    return 0;
}

int generate_pending(const struct generate_engine *e)
{
    int n = e->n_waiting + e->n_active;
    for (int i = 0; i < e->n_done; i++)
        n += e->done[i]->memory != NULL;
    return n;
}

static int tell_beams(const struct generate_engine *e, const struct generate_request *r,
                      const struct generate_result *result)
{
    int code = 0;
    for (int i = 0; i < result->n; i++)
        for (int k = 0; k < result->sequences[i].n && !code && e->telling; k++) {
            const struct generate_sequence *s = &result->sequences[i];
            code = e->calls.token(e->calls.user, r, &(struct generate_token){i, k, s->ids[k], s->logprobs[k]});
        }
    return code;
}

static int hand_out(struct generate_engine *e, struct job *job, struct error *err)
{
    struct generate_result result;
    const struct generate_request *r = job->request;
    int beams = job->kind == JOB_BEAM, code = job_result(e, job, &result, err);
    job_end(e, job);
    e->telling = r;
    if (!code && beams && e->calls.token)
        code = tell_beams(e, r, &result);
    if (!code && e->telling)
        code = e->calls.done(e->calls.user, r, &result);
    e->telling = NULL;
    job_result_free(&result);
    return code;
}

/* A callback may have cancelled what another was to be told about: its job has no memory any more. */
static int tell_tokens(struct generate_engine *e)
{
    int code = 0;
    for (int i = 0; i < e->n_chosen && !code; i++) {
        const struct chosen *c = &e->chosen[i];
        if (!c->job->memory)
            continue;
        const struct lane *l = &c->job->lanes[c->lane];
        code = e->calls.token(e->calls.user, c->job->request,
                              &(struct generate_token){c->lane, c->n, l->ids[c->n], l->logprobs[c->n]});
    }
    e->n_chosen = 0;
    return code;
}

static void drop_finished(struct generate_engine *e)
{
    int kept = 0;
    for (int i = 0; i < e->n_active; i++)
        if (!e->active[i]->finished)
            e->active[kept++] = e->active[i];
    e->n_active = kept;
}

static int hand_out_finished(struct generate_engine *e, struct error *err)
{
    int code = 0;
    for (int i = 0; i < e->n_done; i++) {
        if (!e->done[i]->memory)
            continue;
        if (!code)
            code = hand_out(e, e->done[i], err);
        else
            job_end(e, e->done[i]);
    }
    e->n_done = 0;
    return code;
}

static int one_step(struct generate_engine *e, struct error *err)
{
    int code = admit_waiting(e, err);
    if (code)
        return code;
    mem_guard_enter();
    code = step_run(e, err);
    e->stats.step_allocations += mem_guard_leave();
    if (code)
        return code;
    drop_finished(e);
    code = tell_tokens(e);
    return code ? code : hand_out_finished(e, err);
}

int generate_step(struct generate_engine *e, struct error *err)
{
    int code;
    if (!e->open || e->failed)
        return error_set(err, ERROR_USAGE, e->open ? "the session has failed; end it" : "no session is open");
    if (!generate_pending(e))
        return 0;
    code = interrupt_check(err);
    e->failed = code ? code : one_step(e, err);
    return e->failed;
}

void generate_cancel(struct generate_engine *e, const struct generate_request *r)
{
    int kept = 0, n = e->n_active;
    const struct generate_request **waiting = e->waiting + e->first_waiting;
    if (e->telling == r)
        e->telling = NULL;
    for (int i = 0; i < e->n_waiting; i++)
        if (waiting[i] == r) {
            memmove(waiting + i, waiting + i + 1, (size_t)(--e->n_waiting - i) * sizeof *waiting);
            return;
        }
    for (int i = 0; i < n; i++) {
        struct job *job = e->active[i];
        if (job->request == r)
            job_end(e, job);
        else
            e->active[kept++] = job;
    }
    e->n_active = kept;
    for (int i = 0; i < e->n_done; i++) /* finished, and not handed out yet: cancelled by another's callback */
        if (e->done[i]->memory && e->done[i]->request == r)
            job_end(e, e->done[i]);
}

static void say_stats(const struct generate_engine *e)
{
    const struct generate_stats s = e->stats;
    log_line(LOG_DEBUG,
             "engine so far: %ld steps, %ld token rows, %ld with logits; %ld of %ld prompt tokens computed, the others "
             "shared; %ld generated; %d pages at the peak; %.2f s in the model, %.2f s beside it",
             s.steps, s.rows, s.head_rows, s.computed_prompt_tokens, s.prompt_tokens, s.generated_tokens, e->pages.peak,
             s.model_seconds, s.host_seconds);
}

void generate_end(struct generate_engine *e)
{
    if (!e->open)
        return;
    say_stats(e);
    for (int i = 0; i < e->n_pinned; i++) /* admitted, but never stepped */
        page_drop(&e->pages, e->pinned[i], -2);
    for (int i = 0; i < e->n_active; i++)
        job_end(e, e->active[i]);
    for (int i = 0; i < e->n_done; i++)
        if (e->done[i]->memory)
            job_end(e, e->done[i]);
    e->n_active = e->n_waiting = e->n_pinned = e->n_copy = e->n_done = e->n_chosen = 0;
    plan_drop(e);
    e->open = 0;
}
