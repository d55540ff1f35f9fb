/* SPDX-License-Identifier: Apache-2.0 */
/* Ask: attempt i is shown k pairs and goes on with a question of its own. Which pairs depends on (seed, round, i) and the pool only. */
#include "method/parts.h"

#include "base/mem.h"

#include <string.h>

int align_ask_contexts(struct align *a, int index, int *contexts, int *n, struct error *err)
{
    struct rng_stream s = {a->o.seed, (uint64_t)a->round * 8 + PHASE_CONTEXTS, (uint64_t)index};
    if (a->o.ask_contexts == ALIGN_CONTEXTS_RANDOM) {
        *n = retrieve_random(&s, a->n_pool, a->o.k, contexts);
        return 0;
    }
    struct retriever_hit *hits = mem_calloc((size_t)a->o.k + 1, sizeof *hits);
    int anchor = (int)rng_below(&s, 0, (uint32_t)a->n_pool), found, rc = hits ? 0 : error_set_nomem(err, 64, "contexts");
    const char *question = a->pool[anchor].question;
    if (!rc)
        rc = align_nearest(a, &question, 1, a->o.k, hits, &found, err);
    *n = 0;
    for (int i = rc ? 0 : found; i > 0 && !rc; i--) /* the anchor is its own nearest and stands last */
        if (hits[i - 1].index != anchor)
            contexts[(*n)++] = hits[i - 1].index;
    if (!rc && *n == a->o.k)
        memmove(contexts, contexts + 1, (size_t)--*n * sizeof *contexts);
    contexts[(*n)++] = anchor;
    mem_free(hits);
    return rc;
}

/* A copy for the round's attempts in memory. */
static int keep(struct arena *arena, struct run_text *to, const struct run_text *t, struct error *err)
{
    size_t ids = (size_t)t->n * sizeof *t->ids, logprobs = (size_t)t->n * sizeof *t->logprobs, contexts = (size_t)t->n_context * sizeof *t->contexts;
    *to = *t;
    int32_t *i = arena_alloc(arena, ids + 1);
    float *l = arena_alloc(arena, logprobs + 1);
    int *c = arena_alloc(arena, contexts + 1);
    to->text = t->text ? arena_strdup(arena, t->text) : NULL;
    to->error = t->error ? arena_strdup(arena, t->error) : NULL;
    if (!i || !l || !c || (t->text && !to->text) || (t->error && !to->error))
        return error_set_nomem(err, ids + logprobs, "an attempt");
    if (t->ids)
        memcpy(i, t->ids, ids), memcpy(l, t->logprobs, logprobs);
    if (contexts)
        memcpy(c, t->contexts, contexts);
    to->ids = i, to->logprobs = l, to->contexts = c;
    return 0;
}

static int put_question(struct align *a, int index, const struct run_text *t, struct error *err)
{
    int rc = a->run ? run_put_question(a->run, a->round, index, t, err) : 0;
    return rc ? rc : keep(&a->round_arena, &a->attempts[index].question, t, err);
}

static int put_answer(struct align *a, int index, const struct run_text *t, struct error *err)
{
    int rc = a->run ? run_put_answer(a->run, a->round, index, t, err) : 0;
    return rc ? rc : keep(&a->round_arena, &a->attempts[index].answer, t, err);
}

/* Requests of one phase; freed with their prompts. */
struct batch { struct making *list; int n; int *contexts; };

static void batch_free(struct batch *b)
{
    for (int i = 0; i < b->n; i++)
        prompt_free(&b->list[i].prompt);
    mem_free(b->list);
    mem_free(b->contexts);
}

static int batch_new(struct batch *b, const struct align *a, struct error *err)
{
    size_t n = (size_t)a->n_attempt;
    *b = (struct batch){mem_calloc(n + 1, sizeof *b->list), 0, mem_calloc(n * (size_t)a->o.k + 1, sizeof *b->contexts)};
    return b->list && b->contexts ? 0 : error_set_nomem(err, n * sizeof *b->list, "requests");
}

/* A prompt that cannot be made is that attempt's fault, not the run's. */
static int add(struct align *a, struct batch *b, int index, int n_context, const char *question, struct error *err)
{
    struct making *m = &b->list[b->n];
    struct error own = {0, ""};
    m->index = index, m->contexts = b->contexts + (size_t)b->n * (size_t)a->o.k, m->n_context = n_context;
    int rc = question ? prompt_answer(a, m->contexts, n_context, question, &m->prompt, &own) : prompt_ask(a, m->contexts, n_context, &m->prompt, &own);
    if (rc == ERROR_DATA) {
        struct run_text t = {.error = own.message, .score = 0};
        prompt_free(&m->prompt);
        return question ? put_answer(a, index, &t, err) : put_question(a, index, &t, err);
    }
    if (rc) {
        prompt_free(&m->prompt);
        return error_set(err, rc, "%s", own.message);
    }
    b->n++;
    return 0;
}

int align_ask(struct align *a, struct error *err)
{
    struct batch b;
    int rc = batch_new(&b, a, err), n;
    if (!rc && a->o.ask_contexts == ALIGN_CONTEXTS_ANCHOR)
        rc = align_make_retriever(a, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        if (a->attempts[i].question.text || a->attempts[i].question.error)
            continue;
        rc = align_ask_contexts(a, i, b.contexts + (size_t)b.n * (size_t)a->o.k, &n, err);
        rc = rc ? rc : add(a, &b, i, n, NULL, err);
    }
    if (!rc && b.n) {
        char *path = align_model_path(a, a->round - 1);
        rc = path ? align_load(a, path, a->o.dtype, err) : error_set_nomem(err, 64, "path");
        mem_free(path);
    }
    if (!rc)
        rc = align_make(a, b.list, b.n, 1, "ask", put_question, err);
    batch_free(&b);
    return rc;
}

int align_answer(struct align *a, struct error *err)
{
    struct batch b;
    int rc = batch_new(&b, a, err);
    for (int i = 0; i < a->n_attempt && !rc; i++) {
        const struct run_attempt *t = &a->attempts[i];
        if (!t->n_neighbour || t->answer.text || t->answer.error)
            continue;
        int *contexts = b.contexts + (size_t)b.n * (size_t)a->o.k;
        for (int k = 0; k < t->n_neighbour; k++) /* the nearest stands last, next to the question */
            contexts[k] = t->neighbours[t->n_neighbour - 1 - k];
        rc = add(a, &b, i, t->n_neighbour, t->question.text, err);
    }
    if (!rc && b.n) {
        char *path = align_model_path(a, a->round - 1);
        rc = path ? align_load(a, path, a->o.dtype, err) : error_set_nomem(err, 64, "path");
        mem_free(path);
    }
    if (!rc)
        rc = align_make(a, b.list, b.n, 0, "answer", put_answer, err);
    batch_free(&b);
    return rc;
}
