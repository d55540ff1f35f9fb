/* SPDX-License-Identifier: Apache-2.0 */
/* Answers outside of a run (method/answers.h). A struct align without a journal holds the model, the seeds and the prompts. */
#include "method/answers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "method/parts.h"

#include <string.h>

struct answers {
    struct align align;
    enum answers_arm arm;
    const char *const *questions; int n; /* whose contexts these are: [n,k] and their numbers */
    int *contexts, *n_context;
};

void answers_options_default(struct answers_options *o)
{
    *o = (struct answers_options){.k = 5, .dtype = DTYPE_BF16};
    generate_options_default(&o->decode);
}

static int read_seeds(struct answers *s, struct error *err)
{
    struct align *a = &s->align;
    int rc = seeds_read(&a->seeds, a->o.seeds, 1, err);
    if (!rc && !(a->given = mem_calloc((size_t)a->seeds.n + 1, sizeof *a->given)))
        rc = error_set_nomem(err, (size_t)a->seeds.n * sizeof *a->given, "seeds");
    for (; !rc && a->n_given < a->seeds.n; a->n_given++)
        a->given[a->n_given] = a->n_given;
    if (!rc && s->arm != ANSWERS_ZERO_SHOT)
        rc = align_warn_contexts(a, a->o.answer.max_new_tokens, err);
    return rc ? rc : align_make_pool(a, err);
}

static int open_parts(struct answers *s, const struct answers_options *o, struct error *err)
{
    struct align *a = &s->align;
    int rc = align_open_parts(a, err);
    if (rc)
        return rc;
    align_end_ids(a, &a->o.answer);
    if (o->arm != ANSWERS_ZERO_SHOT && !o->seeds)
        return error_set(err, ERROR_USAGE, "in-context arms need --seeds: question-answer pairs to put before each question");
    if (o->seeds && (rc = read_seeds(s, err)))
        return rc;
    return checkpoint_sha256(a->source, a->source_sha256, err);
}

int answers_open(struct answers **out, struct device *device, const struct answers_options *o, struct error *err)
{
    struct answers *s = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set_nomem(err, sizeof *s, "answers");
    struct align_options *to = &s->align.o;
    align_options_default(to);
    to->model = o->model, to->seeds = o->seeds, to->template_file = o->template_file, to->encoder = o->encoder;
    to->retriever = o->retriever, to->k = o->k, to->dtype = o->dtype, to->seed = o->seed, to->answer = o->decode, to->engine = o->engine;
    s->arm = o->arm, s->align.device = device, s->align.style = o->style;
    int rc = open_parts(s, o, err);
    if (rc)
        answers_close(s);
    else
        *out = s;
    return rc;
}

void answers_close(struct answers *a)
{
    if (a) {
        align_close(&a->align);
        mem_free(a->contexts), mem_free(a->n_context);
    }
    mem_free(a);
}

const char *answers_sha256(const struct answers *a)
{
    return a->align.source_sha256;
}

const struct seeds *answers_seeds(const struct answers *a)
{
    return &a->align.seeds;
}

const struct tokenizer *answers_tokenizer(const struct answers *a)
{
    return a->align.tokenizer;
}

const char *answers_arm_name(enum answers_arm arm)
{
    static const char *const names[] = {"zero-shot", "icl-knn", "icl-random"};
    return names[arm];
}

/* Of align's settings, what an answer depends on. */
static int decides(const char *name)
{
    static const char *const names[] = {"k", "retriever", "encoder", "template", "dtype", "bits", "build", "seed", "model-sha256", "seeds-sha256", NULL};
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name))
            return 1;
    if (!strncmp(name, "model/", 6) || !strncmp(name, "encoder/", 8))
        return 1;
    return !strncmp(name, "answer-", 7) && !strstr(name, "-words");
}

json_t *answers_settings(const struct answers *a)
{
    json_t *all = align_settings(&a->align), *s = json_object(), *value;
    const char *name;
    int rc = !all || !s;
    json_object_foreach(all, name, value)
        if (decides(name))
            rc |= json_object_set(s, name, value);
    rc = rc || json_object_set_new(s, "arm", json_string(answers_arm_name(a->arm)));
    rc = rc || json_object_set_new(s, "prompt-style", json_string(a->align.style ? a->align.style->name : "template"));
    json_decref(all);
    if (rc)
        json_decref(s);
    return rc ? NULL : s;
}

struct model *answers_model(struct answers *a, struct error *err)
{
    return align_load_pretrained(&a->align, err) ? NULL : a->align.model;
}

/* The nearest stands last. */
static int find_nearest(struct answers *s, struct error *err)
{
    struct align *a = &s->align;
    size_t k = (size_t)a->o.k, cells = (size_t)s->n * k + 1;
    struct retriever_hit *hits = mem_calloc(cells, sizeof *hits);
    int rc = hits ? align_nearest(a, s->questions, s->n, a->o.k, hits, s->n_context, err) : error_set_nomem(err, cells * sizeof *hits, "contexts");
    for (int i = 0; i < s->n && !rc; i++)
        for (int c = 0; c < s->n_context[i]; c++)
            s->contexts[(size_t)i * k + (size_t)c] = hits[(size_t)i * k + (size_t)(s->n_context[i] - 1 - c)].index;
    mem_free(hits);
    return rc;
}

/* Contexts of all questions, in the prompts' order; kept for the next call with the same ones. */
static int find_contexts(struct answers *s, const char *const *questions, int n, struct error *err)
{
    struct align *a = &s->align;
    size_t k = (size_t)a->o.k, cells = (size_t)n * k + 1;
    if (s->questions == questions && s->n == n)
        return 0;
    mem_free(s->contexts), mem_free(s->n_context);
    s->contexts = mem_calloc(cells, sizeof *s->contexts), s->n_context = mem_calloc((size_t)n + 1, sizeof *s->n_context);
    s->questions = NULL;
    if (!s->contexts || !s->n_context)
        return error_set_nomem(err, cells * sizeof *s->contexts, "contexts");
    s->questions = questions, s->n = n;
    for (int i = 0; s->arm == ANSWERS_ICL_RANDOM && i < n; i++)
        s->n_context[i] = retrieve_random(&(struct rng_stream){a->o.seed, PHASE_EVALUATE, (uint64_t)i}, a->n_pool, a->o.k, s->contexts + (size_t)i * k);
    int rc = s->arm == ANSWERS_ICL_KNN ? find_nearest(s, err) : 0;
    if (rc)
        s->questions = NULL;
    return rc;
}

struct answering {
    struct answers *s;
    struct prompt *prompts;
    struct generate_request *requests;
    int *indices, n;
    struct progress progress;
    int (*put)(void *user, int i, const struct answered *answered, struct error *err);
    void *user;
    struct error *err;
};

static void fill_contexts(const struct answering *w, int i, const struct prompt *p, struct answered *r)
{
    r->prompt = p->text.data ? p->text.data : "";
    r->dropped = p->dropped;
    r->contexts = w->s->contexts + (size_t)i * (size_t)w->s->align.o.k + p->dropped;
    r->n_context = w->s->n_context[i] - p->dropped;
}

static int finished(void *user, int at, const struct generate_result *result)
{
    struct answering *w = user;
    const struct align *a = &w->s->align;
    struct answered r = {0};
    struct buf text = BUF_INIT;
    fill_contexts(w, w->indices[at], &w->prompts[at], &r);
    if (result->error.code || result->n < 1) {
        r.error = result->error.code ? result->error.message : "nothing was generated";
    } else {
        const struct generate_sequence *s = &result->sequences[0];
        r.raw = s->text ? s->text : "";
        r.ended = s->finish == FINISH_STOP;
        if (a->style)
            buf_puts(&text, r.raw);
        else
            r.ended = template_parse_answer(a->template, r.raw, strlen(r.raw), r.ended, &text);
        r.text = text.data ? text.data : "";
        r.n_token = s->n, r.logprob = s->sum_logprob;
        w->progress.tokens += s->n;
    }
    int rc = text.failed ? error_set_nomem(w->err, text.len, "an answer") : w->put(w->user, w->indices[at], &r, w->err);
    buf_free(&text);
    w->progress.done++;
    progress_show(&w->progress);
    return rc;
}

/* A prompt that cannot be made is that question's fault: put with its error. */
static int add(struct answering *w, int i, const char *question, struct error *err)
{
    struct align *a = &w->s->align;
    struct prompt *p = &w->prompts[w->n];
    struct error own = {0, ""};
    int rc = prompt_answer(a, w->s->contexts + (size_t)i * (size_t)a->o.k, w->s->n_context[i], question, p, &own);
    if (rc == ERROR_DATA) {
        struct answered r = {.error = own.message};
        fill_contexts(w, i, p, &r);
        rc = w->put(w->user, i, &r, err);
        prompt_free(p);
        return rc;
    }
    if (rc)
        return error_set(err, rc, "%s", own.message);
    struct generate_request *r = &w->requests[w->n];
    *r = (struct generate_request){.prompt = p->ids.ids, .n_prompt = (int)p->ids.n, .options = a->o.answer, .seed = a->o.seed, .key_a = PHASE_EVALUATE, .key_b = (uint64_t)i};
    const char *stop = a->style ? a->style->stop : template_answer_stop(a->template);
    if (*stop && r->options.n_stop < GENERATE_MAX_STOP)
        snprintf(r->options.stop[r->options.n_stop++], sizeof r->options.stop[0], "%s", stop);
    w->indices[w->n++] = i;
    return 0;
}

int answers_generate(struct answers *s, const char *const *questions, int n, const char *skip,
                     int (*put)(void *user, int i, const struct answered *answered, struct error *err), void *user, struct error *err)
{
    size_t count = (size_t)n + 1;
    struct align *a = &s->align;
    struct answering w = {.s = s, .put = put, .user = user, .err = err, .prompts = mem_calloc(count, sizeof *w.prompts), .requests = mem_calloc(count, sizeof *w.requests),
                          .indices = mem_calloc(count, sizeof *w.indices)};
    struct generate_engine *engine = NULL;
    int rc = w.prompts && w.requests && w.indices ? find_contexts(s, questions, n, err)
                                                  : error_set_nomem(err, count * sizeof *w.requests, "questions");
    for (int i = 0; i < n && !rc; i++)
        if (!skip || !skip[i])
            rc = add(&w, i, questions[i], err);
    w.progress = (struct progress){"answer", "answers", 0, w.n, clock_now(), 0, NULL};
    if (!rc && w.n && !(rc = align_load_pretrained(a, err)) &&
        !(rc = generate_engine_new(&engine, a->model, a->tokenizer, a->o.engine.page ? &a->o.engine : NULL, err))) {
        progress_show(&w.progress);
        rc = generate_run(engine, w.requests, w.n, finished, &w, err);
    }
    generate_engine_free(engine);
    for (int i = 0; w.prompts && i < n; i++)
        prompt_free(&w.prompts[i]);
    mem_free(w.prompts), mem_free(w.requests), mem_free(w.indices);
    return rc;
}

/* Ids of one pair after those of its prompt. n_prompt 0: it does not fit. */
static int score_ids(struct answers *s, const char *question, const char *answer, const int *contexts, int n_context, struct tokens *all, int *n_prompt, int *n,
                     struct error *err)
{
    struct align *a = &s->align;
    struct prompt p = {0};
    struct tokens ids = TOKENS_INIT;
    struct error own = {0, ""};
    *n_prompt = *n = 0;
    int rc = 0, made = prompt_score(a, contexts, n_context, question, &p, &own);
    if (made && made != ERROR_DATA)
        rc = error_set(err, made, "%s", own.message);
    if (!made)
        rc = prompt_completion(a, &p, answer, &ids, err);
    if (!rc && !made && ids.n && (int)(p.ids.n + ids.n) <= a->desc.n_ctx) {
        *n_prompt = (int)p.ids.n, *n = (int)(p.ids.n + ids.n);
        for (size_t i = 0; i < p.ids.n + ids.n && !rc; i++)
            rc = tokens_push(all, i < p.ids.n ? p.ids.ids[i] : ids.ids[i - p.ids.n]) ? error_set_nomem(err, all->n * 4, "tokens") : 0;
    }
    prompt_free(&p);
    tokens_free(&ids);
    return rc;
}

int answers_score(struct answers *s, const char *const *questions, int n, const struct answers_pair *pairs, int n_pair, struct answers_score *out, struct error *err)
{
    struct align *a = &s->align;
    struct model_text *texts = mem_calloc((size_t)n_pair + 1, sizeof *texts);
    struct tokens all = TOKENS_INIT;
    float *logprobs = NULL;
    int m = 0;
    int rc = texts ? find_contexts(s, questions, n, err) : error_set_nomem(err, (size_t)n_pair * sizeof *texts, "texts");
    for (int i = 0; i < n_pair && !rc; i++) {
        int q = pairs[i].question, n_prompt, length;
        rc = score_ids(s, questions[q], pairs[i].answer, s->contexts + (size_t)q * (size_t)a->o.k, s->n_context[q], &all, &n_prompt, &length, err);
        out[i] = (struct answers_score){0, length - n_prompt};
        if (!rc && length)
            texts[m++] = (struct model_text){NULL, length, n_prompt};
    }
    size_t at = 0;
    for (int i = 0; i < m && !rc; at += (size_t)texts[i++].n)
        texts[i].ids = all.ids + at;
    if (!rc && m && !(logprobs = mem_alloc((all.n + 1) * sizeof *logprobs)))
        rc = error_set_nomem(err, all.n * sizeof *logprobs, "log-probabilities");
    if (!rc && m && !(rc = align_load_pretrained(a, err)))
        rc = model_score(a->model, texts, m, logprobs, err);
    const float *l = logprobs;
    for (int i = 0; i < n_pair && !rc; i++) {
        rc = l ? model_check_numbers(l, (size_t)out[i].n_token, err, "question %d, \"%.60s\"", pairs[i].question, questions[pairs[i].question]) : 0;
        for (int k = 0; k < out[i].n_token && !rc; k++)
            out[i].logprob += (double)*l++;
    }
    mem_free(texts), mem_free(logprobs);
    tokens_free(&all);
    return rc;
}
