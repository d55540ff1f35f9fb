/* SPDX-License-Identifier: Apache-2.0 */
/* Ask: question i is shown k pairs and goes on with a question of its own. Which pairs depends on (seed, round, i) and
 * the pool only. */
#include "method/parts.h"

#include "base/mem.h"

#include <string.h>

/* So many of the pool's generated pairs as wanted, the others seeds, which stand first in the pool; then mixed. */
static int mixed_contexts(const struct align *a, int index, int *contexts)
{
    uint64_t round = (uint64_t)align_asked_in(a) * STREAMS_A_ROUND, i = (uint64_t)index;
    const struct rng_stream generated = {a->o.seed, round + STREAM_GENERATED, i},
                            seeds = {a->o.seed, round + STREAM_SEEDS, i}, order = {a->o.seed, round + STREAM_ORDER, i};
    int drawn[ALIGN_MOST_K], places[ALIGN_MOST_K], n_generated = a->pool.n - a->n_given;
    int n = retrieve_random(&generated, n_generated, a->o.generated_contexts, drawn);
    for (int c = 0; c < n; c++)
        drawn[c] += a->n_given;
    n += retrieve_random(&seeds, a->n_given, a->o.k - n, drawn + n);
    retrieve_random(&order, n, n, places);
    for (int c = 0; c < n; c++)
        contexts[c] = drawn[places[c]];
    return n;
}

static int align_ask_contexts(struct align *a, int index, int *contexts, int *n, struct error *err)
{
    struct rng_stream s = {a->o.seed, (uint64_t)align_asked_in(a) * STREAMS_A_ROUND + STREAM_CONTEXTS, (uint64_t)index};
    if (a->o.generated_contexts) {
        *n = mixed_contexts(a, index, contexts);
        return 0;
    }
    if (a->o.ask_contexts == ALIGN_CONTEXTS_RANDOM) {
        *n = retrieve_random(&s, a->pool.n, a->o.k, contexts);
        return 0;
    }
    struct retriever_hit *hits = mem_calloc((size_t)a->o.k + 1, sizeof *hits);
    int anchor = (int)rng_below(&s, 0, (uint32_t)a->pool.n), found,
        rc = hits ? 0 : error_set_nomem(err, 64, "contexts");
    const char *question = a->pool.items[anchor].question;
    if (!rc)
        rc = pairs_nearest(&a->pool, &a->speaker, &(struct pair_query){&question, 1, a->o.k}, hits, &found, err);
    *n = 0;
    for (int i = rc ? 0 : found; i > 0 && !rc; i--) /* the anchor is its own nearest and stands last */
        if (hits[i - 1].index != anchor)
            contexts[(*n)++] = hits[i - 1].index;
    if (!rc && *n == a->o.k)
        memmove(contexts, contexts + 1, (size_t)-- * n * sizeof *contexts);
    contexts[(*n)++] = anchor;
    mem_free(hits);
    return rc;
}

/* A copy for the round's attempts in memory. */
static int keep(struct arena *arena, struct run_text *to, const struct run_text *t, struct error *err)
{
    size_t ids = (size_t)t->n * sizeof *t->ids, logprobs = (size_t)t->n * sizeof *t->logprobs,
           contexts = (size_t)t->n_context * sizeof *t->contexts;
    *to = *t;
    int32_t *i = arena_alloc(arena, ids + 1);
    float *l = arena_alloc(arena, logprobs + 1);
    int *c = arena_alloc(arena, contexts + 1);
    to->text = t->text ? arena_strdup(arena, t->text) : NULL;
    to->error = t->error ? arena_strdup(arena, t->error) : NULL;
    if (!i || !l || !c || (t->text && !to->text) || (t->error && !to->error))
        return error_set_nomem(err, ids + logprobs, "an attempt");
    if (t->ids) {
        memcpy(i, t->ids, ids);
        memcpy(l, t->logprobs, logprobs);
    }
    if (contexts)
        memcpy(c, t->contexts, contexts);
    to->ids = i;
    to->logprobs = l;
    to->contexts = c;
    return 0;
}

/* The journal's row of a text. */
static struct run_text row_of(const struct spoken *t)
{
    return (struct run_text){.text = t->text,
                             .error = t->error,
                             .ids = t->ids,
                             .logprobs = t->logprobs,
                             .n = t->n_token,
                             .score = (double)t->score, /* NAN: nobody knows */
                             .ended = t->ended,
                             .contexts = t->contexts,
                             .n_context = t->unfit ? 0 : t->n_context,
                             .dropped = t->unfit ? 0 : t->dropped};
}

/* The question is that of all its attempts. */
static int put_question(void *user, int question, const struct spoken *t, struct error *err)
{
    struct align *a = user;
    const struct run_text row = row_of(t);
    int first = question * a->o.answers, rc = a->run ? run_begin(a->run, err) : 0;
    for (int i = first; i < first + a->o.answers && a->run && !rc; i++)
        rc = run_put_question(a->run, a->round, i, &row, err);
    rc = rc ? rc : align_put_cost(a, ALIGN_ASKER, t, err);
    if (a->run && !rc)
        rc = run_commit(a->run, err);
    else if (a->run)
        run_rollback(a->run);
    rc = rc ? rc : keep(&a->round_arena, &a->attempts[first].question, &row, err);
    for (int i = first + 1; i < first + a->o.answers && !rc; i++)
        a->attempts[i].question = a->attempts[first].question;
    return rc;
}

static int put_answer(void *user, int index, const struct spoken *t, struct error *err)
{
    struct align *a = user;
    const struct run_text row = row_of(t);
    int rc = a->run && t->cost ? run_begin(a->run, err) : 0;
    rc = rc || !a->run ? rc : run_put_answer(a->run, a->round, index, &row, err);
    rc = rc ? rc : align_put_cost(a, ALIGN_ANSWERER, t, err);
    if (a->run && t->cost && !rc)
        rc = run_commit(a->run, err);
    else if (a->run && t->cost)
        run_rollback(a->run);
    return rc ? rc : keep(&a->round_arena, &a->attempts[index].answer, &row, err);
}

/* What one phase has to say. */
struct batch {
    struct speak_item *items;
    int n;
    int *contexts;
};

static void batch_free(struct batch *b)
{
    mem_free(b->items);
    mem_free(b->contexts);
}

static int batch_new(struct batch *b, const struct align *a, struct error *err)
{
    size_t n = (size_t)a->n_attempt;
    *b =
        (struct batch){mem_calloc(n + 1, sizeof *b->items), 0, mem_calloc(n * (size_t)a->o.k + 1, sizeof *b->contexts)};
    return b->items && b->contexts ? 0 : error_set_nomem(err, n * sizeof *b->items, "requests");
}

/* By the model of the round before, unless somebody else does it. */
static int say(struct align *a, enum align_role role, const struct batch *b, struct speak_job *job, struct error *err)
{
    struct elsewhere *by = a->elsewhere[role];
    char *path = align_model_path(a, align_asked_in(a) - 1);
    job->unit = "attempts";
    job->model = path;
    job->pool = &a->pool;
    job->user = a;
    int rc = path ? 0 : error_set_nomem(err, 64, "path");
    if (!rc && by && b->n)
        rc = elsewhere_generate(by, &a->speaker, job, b->items, b->n, err);
    else if (!rc)
        rc = speaker_generate(&a->speaker, job, b->items, b->n, err);
    mem_free(path);
    return rc;
}

int align_ask(struct align *a, struct error *err)
{
    struct speak_job job = {.stage = "ask",
                            .options = &a->o.ask,
                            .stream = (uint64_t)align_asked_in(a) * STREAMS_A_ROUND + STREAM_ASK,
                            .put = put_question};
    struct batch b;
    int rc = batch_new(&b, a, err);
    if (!rc && a->o.ask_contexts == ALIGN_CONTEXTS_ANCHOR)
        rc = pairs_make_retriever(&a->pool, &a->speaker, err);
    for (int i = 0; i < a->n_attempt && !rc; i += a->o.answers) {
        if (a->attempts[i].question.text || a->attempts[i].question.error)
            continue;
        struct speak_item *item = &b.items[b.n];
        int *contexts = b.contexts + (size_t)b.n++ * (size_t)a->o.k;
        *item = (struct speak_item){.index = i / a->o.answers, .contexts = contexts};
        rc = align_ask_contexts(a, item->index, contexts, &item->n_context, err);
    }
    rc = rc ? rc : say(a, ALIGN_ASKER, &b, &job, err);
    batch_free(&b);
    return rc;
}

int align_answer(struct align *a, struct error *err)
{
    struct speak_job job = {.stage = "answer",
                            .options = &a->o.answer,
                            .before = align_principles(a),
                            .stream = (uint64_t)align_asked_in(a) * STREAMS_A_ROUND + STREAM_ANSWER,
                            .put = put_answer};
    struct batch b;
    int rc = batch_new(&b, a, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        const struct run_attempt *t = &a->attempts[i];
        if (!t->neighbours.n || t->answer.text || t->answer.error)
            continue;
        int *contexts = b.contexts + (size_t)b.n * (size_t)a->o.k, n = align_answer_k(a, t->neighbours.n);
        for (int k = 0; k < n; k++) /* the nearest stands last, next to the question */
            contexts[k] = t->neighbours.items[n - 1 - k];
        b.items[b.n++] =
            (struct speak_item){.index = i, .question = t->question.text, .contexts = contexts, .n_context = n};
    }
    rc = rc ? rc : say(a, ALIGN_ANSWERER, &b, &job, err);
    batch_free(&b);
    return rc;
}
