/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the arms: log-likelihood of the reference answers, generated answers, and the judge's labels on those. Every result is a row in the journal as soon as it is
 * there; what has a row is not done again. */
#include "method/parts.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "judge/harm.h"

#include <math.h>
#include <string.h>

struct measuring {
    struct align *a;
    struct arms *arms;
    struct arm *arm;
    struct prompt *prompts;
    int *indices;
    struct progress progress;
    struct error *err;
};

/* What really stood in the prompt, into the arm's result. */
static int keep_contexts(const struct measuring *m, int i, const int *contexts, int n, const struct prompt *p, struct error *err)
{
    struct run_result *r = &m->arm->results[i];
    size_t bytes = (size_t)(n - p->dropped) * sizeof *contexts;
    int *kept = arena_alloc(&m->a->arena, bytes + 1);
    if (!kept)
        return error_set_nomem(err, bytes, "contexts");
    if (bytes)
        memcpy(kept, contexts + p->dropped, bytes);
    r->contexts = kept;
    r->n_context = n - p->dropped;
    r->dropped = p->dropped;
    return 0;
}

/* The question as this arm is asked it. */
static int make_prompt(const struct measuring *m, int i, struct prompt *out, struct error *err)
{
    const struct align *a = m->a;
    int k = a->o.k, n = 0;
    const int *contexts = NULL;
    int *random = mem_calloc((size_t)k + 1, sizeof *random);
    if (!random)
        return error_set_nomem(err, (size_t)k * sizeof *random, "contexts");
    if (m->arm->nearest)
        contexts = m->arms->contexts + (size_t)i * (size_t)k, n = m->arms->n_context[i];
    else if (m->arm->random)
        contexts = random, n = retrieve_random(&(struct rng_stream){a->o.seed, PHASE_EVALUATE, (uint64_t)i}, a->n_pool, k, random);
    int rc = prompt_answer(a, contexts, n, m->arms->items[i].question, out, err);
    rc = rc ? rc : keep_contexts(m, i, contexts, n, out, err);
    mem_free(random);
    return rc;
}

/* Ids of prompt and reference answer (without end of sequence) for the items that lack a score. */
static int score_texts(struct measuring *m, struct model_text *texts, int *n, struct tokens *all, struct error *err)
{
    int rc = 0;
    *n = 0;
    for (int i = 0; i < m->arms->n_item && !rc; i++) {
        struct prompt p = {0};
        struct tokens ids = TOKENS_INIT;
        struct error own;
        if (!m->arms->items[i].answer || !isnan(m->arm->results[i].logprob))
            continue;
        int made = make_prompt(m, i, &p, &own);
        if (made == ERROR_NOMEM)
            rc = error_set(err, made, "%s", own.message);
        if (!made)
            rc = prompt_completion(m->a, &p, m->arms->items[i].answer, &ids, err);
        if (!rc && !made && ids.n && (int)(p.ids.n + ids.n) <= m->a->desc.n_ctx) { /* what does not fit stays unscored and is counted as missing */
            m->indices[*n] = i;
            texts[(*n)++] = (struct model_text){NULL, (int)(p.ids.n + ids.n), (int)p.ids.n};
            for (size_t k = 0; k < p.ids.n && !rc; k++)
                rc = tokens_push(all, p.ids.ids[k]) ? error_set_nomem(err, all->n * 4, "tokens") : 0;
            for (size_t k = 0; k < ids.n && !rc; k++)
                rc = tokens_push(all, ids.ids[k]) ? error_set_nomem(err, all->n * 4, "tokens") : 0;
        }
        prompt_free(&p);
        tokens_free(&ids);
    }
    size_t at = 0;
    for (int i = 0; i < *n && !rc; i++) {
        texts[i].ids = all->ids + at;
        at += (size_t)texts[i].n;
    }
    return rc;
}

static int put(struct measuring *m, int i, struct error *err)
{
    return run_put_result(m->a->run, m->arm->name, m->arms->set, i, &m->arm->results[i], err);
}

static int score(struct measuring *m, struct error *err)
{
    struct model_text *texts = mem_calloc((size_t)m->arms->n_item + 1, sizeof *texts);
    struct tokens all = TOKENS_INIT;
    float *logprobs = NULL;
    int n = 0, rc = texts ? score_texts(m, texts, &n, &all, err) : error_set_nomem(err, (size_t)m->arms->n_item * sizeof *texts, "texts");
    if (!rc && n && !(logprobs = mem_alloc(all.n * sizeof *logprobs)))
        rc = error_set_nomem(err, all.n * sizeof *logprobs, "log-probabilities");
    if (!rc && n && !(rc = align_load(m->a, m->arm->model, m->a->o.dtype, err)) && !(rc = model_score(m->a->model, texts, n, logprobs, err)) &&
        !(rc = run_begin(m->a->run, err))) {
        const float *l = logprobs;
        for (int i = 0; i < n && !rc; i++) {
            struct run_result *r = &m->arm->results[m->indices[i]];
            r->n_token = texts[i].n - texts[i].n_prompt, r->logprob = 0;
            rc = model_check_numbers(l, (size_t)r->n_token, err, "arm %s, question %s", m->arm->name, m->arms->items[m->indices[i]].id);
            for (int k = 0; k < r->n_token && !rc; k++)
                r->logprob += (double)*l++;
            rc = rc ? rc : put(m, m->indices[i], err);
        }
        if (!rc)
            rc = run_commit(m->a->run, err);
        else
            run_rollback(m->a->run);
    }
    mem_free(texts), mem_free(logprobs);
    tokens_free(&all);
    return rc;
}

static int answered(void *user, int i, const struct generate_result *result)
{
    struct measuring *m = user;
    struct run_result *r = &m->arm->results[m->indices[i]];
    struct buf text = BUF_INIT;
    if (result->error.code == ERROR_DATA) /* as score: no arm is measured on numbers that do not exist */
        return error_set(m->err, ERROR_DATA, "arm %s, question %s: %s", m->arm->name, m->arms->items[m->indices[i]].id, result->error.message);
    if (!result->error.code && result->n > 0) {
        const char *raw = result->sequences[0].text ? result->sequences[0].text : "";
        template_parse_answer(m->a->template, raw, strlen(raw), result->sequences[0].finish == FINISH_STOP, &text);
        m->progress.tokens += result->sequences[0].n;
    }
    r->ended = !result->error.code && result->n > 0 ? result->sequences[0].finish == FINISH_STOP : -1;
    r->text = text.failed ? NULL : arena_strdup(&m->a->arena, text.data ? text.data : "");
    buf_free(&text);
    m->progress.done++;
    progress_show(&m->progress);
    return r->text ? put(m, m->indices[i], m->err) : error_set_nomem(m->err, 64, "an answer");
}

static int answer(struct measuring *m, struct error *err)
{
    struct generate_request *requests = mem_calloc((size_t)m->arms->n_text + 1, sizeof *requests);
    struct generate_engine *engine = NULL;
    int n = 0, rc = requests ? 0 : error_set_nomem(err, (size_t)m->arms->n_text * sizeof *requests, "requests");
    for (int i = 0; i < m->arms->n_text && !rc; i++) {
        struct error own;
        if (m->arm->results[i].text)
            continue;
        struct prompt *p = &m->prompts[n];
        rc = make_prompt(m, i, p, &own);
        if (rc == ERROR_DATA) { /* too long for the context: no answer, counted as missing */
            prompt_free(p);
            rc = 0;
            continue;
        }
        if (rc)
            return error_set(err, rc, "%s", own.message);
        struct generate_request *r = &requests[n];
        *r = (struct generate_request){.prompt = p->ids.ids, .n_prompt = (int)p->ids.n, .options = m->a->o.answer, .seed = m->a->o.seed, .key_a = PHASE_EVALUATE,
                                       .key_b = (uint64_t)i};
        const char *stop = template_answer_stop(m->a->template);
        if (*stop && r->options.n_stop < GENERATE_MAX_STOP)
            snprintf(r->options.stop[r->options.n_stop++], sizeof r->options.stop[0], "%s", stop);
        m->indices[n++] = i;
    }
    m->progress = (struct progress){m->arm->name, "answers", 0, n, clock_now(), 0, NULL};
    if (!rc && n && !(rc = align_load(m->a, m->arm->model, m->a->o.dtype, err)) &&
        !(rc = generate_engine_new(&engine, m->a->model, m->a->tokenizer, m->a->o.engine.page ? &m->a->o.engine : NULL, err)))
        rc = generate_run(engine, requests, n, answered, m, err);
    generate_engine_free(engine);
    mem_free(requests);
    return rc;
}

static int measure_arm(struct align *a, struct arms *arms, struct arm *arm, struct error *err)
{
    size_t n = (size_t)arms->n_item + 1;
    struct measuring m = {.a = a, .arms = arms, .arm = arm, .prompts = mem_calloc(n, sizeof *m.prompts), .indices = mem_calloc(n, sizeof *m.indices), .err = err};
    int found, rc = m.prompts && m.indices ? interrupt_check(err) : error_set_nomem(err, n * sizeof *m.prompts, "questions");
    if (!rc)
        rc = run_get_results(a->run, arm->name, arms->set, arms->n_item, arm->results, &found, &a->arena, err);
    for (int i = 0; i < arms->n_item && !rc; i++) /* the threshold may be another one now: what is stored are the probabilities */
        if (arm->results[i].n_probability)
            arm->results[i].flagged = judge_flagged(arm->results[i].probabilities, arm->results[i].n_probability, a->o.threshold);
    if (!rc)
        rc = score(&m, err);
    if (!rc)
        rc = interrupt_check(err);
    if (!rc)
        rc = answer(&m, err);
    for (int i = 0; m.prompts && i < arms->n_item; i++)
        prompt_free(&m.prompts[i]);
    mem_free(m.prompts), mem_free(m.indices);
    return rc;
}

enum { JUDGED_TOGETHER = 32 };

/* The answers of one arm that are not judged yet, from `first` on: at most JUDGED_TOGETHER of them. Returns one past the last that was looked at, or an error. */
static int judge_some(const struct judge *j, struct measuring *m, int first, struct error *err)
{
    struct judge_text texts[JUDGED_TOGETHER];
    int rows[JUDGED_TOGETHER], n = 0, i = first, width = judge_desc(j)->n_label, rc = 0;
    for (; i < m->arms->n_text && n < JUDGED_TOGETHER; i++)
        if (m->arm->results[i].text && m->arm->results[i].flagged < 0)
            texts[n] = (struct judge_text){m->arms->items[i].question, m->arm->results[i].text}, rows[n++] = i;
    float *p = arena_alloc(&m->a->arena, ((size_t)n * (size_t)width + 1) * sizeof *p);
    if (n)
        rc = p ? judge_run(j, texts, n, p, NULL, err) : error_set_nomem(err, (size_t)n * (size_t)width * 4, "probabilities");
    for (int k = 0; k < n && !rc; k++) {
        struct run_result *r = &m->arm->results[rows[k]];
        r->probabilities = p + (size_t)k * (size_t)width, r->n_probability = width;
        r->flagged = judge_flagged(r->probabilities, width, m->a->o.threshold);
        rc = put(m, rows[k], err);
    }
    return rc ? rc : i;
}

/* Other weights at the same path would mix two judges' verdicts. */
static int same_judge(struct align *a, const char *sha256, struct error *err)
{
    const char *before;
    int rc = run_get_fact(a->run, "judge-sha256", &before, &a->arena, err);
    if (!rc && before && strcmp(before, sha256))
        return error_set(err, ERROR_CONFIG, "%s: its weights are not those that judged this run before (sha256 %.16s, now %.16s); use that judge or another --output", a->o.judge, before, sha256);
    return rc || before ? rc : run_put_fact(a->run, "judge-sha256", sha256, err);
}

static int judge_all(struct align *a, struct arms *arms, struct error *err)
{
    struct judge *j = NULL;
    int rc = judge_open(&j, a->device, &(struct judge_options){.model = a->o.judge, .task = MODEL_CLASSIFY, .dtype = a->o.dtype}, err);
    struct measuring m = {.a = a, .arms = arms};
    rc = rc ? rc : same_judge(a, judge_sha256(j), err);
    if (!rc) {
        snprintf(arms->judge_sha256, sizeof arms->judge_sha256, "%s", judge_sha256(j));
        snprintf(arms->judge_name, sizeof arms->judge_name, "%s (classifier, mode %s, %d tokens, %s)", a->o.judge, judge_mode_name(JUDGE_SAFE), judge_max_length(j), dtype_name(a->o.dtype));
        arms->n_label = judge_desc(j)->n_label < MODEL_MAX_LABEL ? judge_desc(j)->n_label : MODEL_MAX_LABEL;
        memcpy(arms->labels, judge_desc(j)->labels, sizeof arms->labels);
    }
    for (int k = 0; k < arms->n && !rc; k++) {
        m.arm = &arms->list[k];
        rc = (rc = interrupt_check(err)) ? rc : run_begin(a->run, err);
        for (int i = 0; i < arms->n_text && !rc;) {
            int next = judge_some(j, &m, i, err);
            rc = next < 0 ? next : 0;
            i = next;
        }
        if (!rc)
            rc = run_commit(a->run, err);
        else
            run_rollback(a->run);
    }
    judge_close(j);
    return rc;
}

/* The examples that stood before the question, for an arm that has such. */
static void add_contexts(const struct align *a, const struct run_result *r, json_t *row)
{
    char name[40];
    json_t *names = json_array();
    for (int c = 0; c < r->n_context; c++) {
        pool_name(&a->pool[r->contexts[c]], name);
        json_array_append_new(names, json_string(name));
    }
    json_object_set_new(row, "contexts", names);
    if (r->dropped)
        json_object_set_new(row, "contexts_dropped", json_integer(r->dropped));
}

/* arms/NAME.jsonl: every answer with what the judge gave it. */
static int write_arm(struct align *a, const struct arms *arms, const struct arm *arm, struct error *err)
{
    struct buf b = BUF_INIT, path = BUF_INIT;
    buf_printf(&path, "%s/arms", a->o.output);
    int rc = path.failed ? error_set_nomem(err, 64, "path") : dirs_make(path.data, err);
    buf_printf(&path, "/%s.jsonl", arm->name);
    for (int i = 0; i < arms->n_item && !rc; i++) {
        const struct run_result *r = &arm->results[i];
        json_t *row = json_pack("{s:s, s:s, s:s?}", "id", arms->items[i].id, "question", arms->items[i].question, "answer", r->text), *p = json_object();
        if (!isnan(r->logprob))
            json_object_set_new(row, "reference_logprob", json_real(r->logprob)), json_object_set_new(row, "reference_tokens", json_integer(r->n_token));
        for (int k = 0; k < r->n_probability && k < arms->n_label; k++)
            json_object_set_new(p, arms->labels[k], json_real((double)r->probabilities[k]));
        if (r->flagged >= 0)
            json_object_set_new(row, "flagged", json_boolean(r->flagged)), json_object_set(row, "probabilities", p);
        json_decref(p);
        if (arm->nearest || arm->random)
            add_contexts(a, r, row);
        rc = jsontext_dump(&b, row, 0, err);
        buf_putc(&b, '\n');
        json_decref(row);
    }
    if (!rc)
        rc = b.failed || path.failed ? error_set_nomem(err, b.len, "rows") : file_write(path.data, b.data ? b.data : "", b.len, err);
    buf_free(&b);
    buf_free(&path);
    return rc;
}

int align_measure(struct align *a, struct arms *arms, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < arms->n && !rc && arms->n_item; i++)
        rc = measure_arm(a, arms, &arms->list[i], err);
    if (!rc && a->o.judge)
        rc = judge_all(a, arms, err);
    for (int i = 0; i < arms->n && !rc && arms->n_item; i++)
        rc = write_arm(a, arms, &arms->list[i], err);
    return rc;
}
