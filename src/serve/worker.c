/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/worker.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

enum { SLICE = 1024, BUNDLE = 64 }; /* token rows of scoring, and texts, between two steps of the engine */

struct list {
    struct task *first, *last;
    int n;
};
struct worker {
    struct served *models;
    int n_model, most; /* tasks at most */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    int started, stop;
    int pending; /* tasks that are not done; under the lock, like inbox and counts */
    struct list inbox;
    struct list running, side; /* the thread's own: in an engine; to be scored or embedded */
    struct worker_counts counts;
};

static void put(struct list *l, struct task *t)
{
    t->next = NULL;
    t->before = l->last;
    if (l->last)
        l->last->next = t;
    else
        l->first = t;
    l->last = t;
    l->n++;
}

static void take(struct list *l, struct task *t)
{
    if (t->before)
        t->before->next = t->next;
    else
        l->first = t->next;
    if (t->next)
        t->next->before = t->before;
    else
        l->last = t->before;
    l->n--;
}

static void finish(struct worker *w, struct task *t, const struct generate_result *result, const struct error *reason)
{
    pthread_mutex_lock(&w->lock);
    w->pending--;
    pthread_mutex_unlock(&w->lock);
    t->done(t, result, reason);
}

static int on_token(void *user, const struct generate_request *r, const struct generate_token *token)
{
    struct task *t = r->user;
    (void)user;
    if (t->token)
        t->token(t, token);
    return 0;
}

static int on_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct worker *w = user;
    struct task *t = r->user;
    take(&w->running, t);
    finish(w, t, result, result->error.code ? &result->error : NULL);
    return 0;
}

static int begin(struct worker *w, struct served *s, struct error *err)
{
    return s->engine ? generate_begin(s->engine, &s->limits, &(struct generate_calls){on_token, on_done, w}, err) : 0;
}

/* A task of the inbox to where it is worked on. */
static void sort_in(struct worker *w, struct task *t)
{
    struct error err = {0};
    if (t->kind != TASK_GENERATE) {
        put(&w->side, t);
        return;
    }
    t->request.user = t;
    if (generate_submit(t->model->engine, &t->request, &err))
        finish(w, t, NULL, &err);
    else
        put(&w->running, t);
}

/* Is there anything left to do? Waits until there is; 0: the end. */
static int take_in(struct worker *w)
{
    struct list in;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && !w->inbox.n && !w->running.n && !w->side.n)
        pthread_cond_wait(&w->more, &w->lock);
    in = w->inbox;
    w->inbox = (struct list){0};
    int stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    for (struct task *t = in.first, *next; t; t = next) {
        next = t->next;
        sort_in(w, t);
    }
    return !stop;
}

static void drop(struct worker *w, struct list *l, struct task *t, const struct error *reason)
{
    take(l, t);
    if (t->kind == TASK_GENERATE)
        generate_cancel(t->model->engine, &t->request);
    pthread_mutex_lock(&w->lock);
    w->counts.cancelled++;
    pthread_mutex_unlock(&w->lock);
    finish(w, t, NULL, reason);
}

static void drop_gone(struct worker *w, struct list *l)
{
    const struct error reason = {ERROR_INTERRUPTED, "the client has gone"};
    for (struct task *t = l->first, *next; t; t = next) {
        next = t->next;
        if (t->gone && t->gone(t))
            drop(w, l, t, &reason);
    }
}

static void drop_all(struct worker *w, struct list *l, const struct served *only, const struct error *reason)
{
    for (struct task *t = l->first, *next; t; t = next) {
        next = t->next;
        if (!only || t->model == only)
            drop(w, l, t, reason);
    }
}

/* Tasks at the front of the side list that one call of the model does together. */
struct bundle {
    struct task *tasks[BUNDLE];
    struct model_text texts[BUNDLE];
    int n;
    size_t n_value; /* log-probabilities */
};

static void gather(const struct worker *w, struct bundle *b)
{
    const struct task *first = w->side.first;
    long rows = 0;
    *b = (struct bundle){.n = 0};
    for (struct task *t = w->side.first; t && b->n < BUNDLE; t = t->next) {
        if (t->kind != first->kind || t->model != first->model || t->n_top != first->n_top ||
            t->as_it_is != first->as_it_is || (b->n && rows + t->text.n > SLICE))
            return;
        rows += t->text.n;
        b->texts[b->n] = t->text;
        b->tasks[b->n++] = t;
        b->n_value += (size_t)(t->text.n - t->text.n_prompt);
    }
}

static int score_together(const struct bundle *b, struct model_top *top, struct error *err)
{
    const struct task *first = b->tasks[0];
    const struct model *m = first->model->model;
    size_t list = (size_t)first->n_top, n = b->n_value + 1;
    top->n = first->n_top;
    top->scores = mem_alloc(n * 4);
    top->ids = mem_alloc(n * list * 4);
    top->logprobs = mem_alloc(n * list * 4);
    if (!top->scores || !top->ids || !top->logprobs)
        return error_set_nomem(err, n * (list + 1) * 4, "log-probabilities");
    return list ? model_score_top(m, b->texts, b->n, top, err) : model_score(m, b->texts, b->n, top->scores, err);
}

static void hand_out_scores(struct worker *w, const struct bundle *b, const struct model_top *top)
{
    size_t at = 0, list = (size_t)top->n * 4;
    for (int i = 0; i < b->n; i++) {
        struct task *t = b->tasks[i];
        struct error err = {0};
        size_t n = (size_t)(t->text.n - t->text.n_prompt);
        if (n)
            memcpy(t->values, top->scores + at, n * 4);
        if (n && list) {
            memcpy(t->top_ids, top->ids + at * (size_t)top->n, n * list);
            memcpy(t->top_logprobs, top->logprobs + at * (size_t)top->n, n * list);
        }
        at += n;
        int rc = model_check_numbers(t->values, n, &err, "log-probabilities");
        finish(w, t, NULL, rc ? &err : NULL);
    }
}

static void score(struct worker *w, const struct bundle *b)
{
    struct error err = {0};
    struct model_top top = {0};
    int rc = score_together(b, &top, &err);
    if (!rc)
        hand_out_scores(w, b, &top);
    for (int i = 0; rc && i < b->n; i++)
        finish(w, b->tasks[i], NULL, &err);
    mem_free(top.scores);
    mem_free(top.ids);
    mem_free(top.logprobs);
}

static void embed(struct worker *w, const struct bundle *b)
{
    const struct model *m = b->tasks[0]->model->model;
    size_t width = (size_t)model_width(model_desc(m));
    struct error err = {0};
    float *all = mem_alloc((size_t)b->n * width * 4);
    int rc = all ? model_embed(m, b->texts, b->n, !b->tasks[0]->as_it_is, all, &err)
                 : error_set_nomem(&err, (size_t)b->n * width * 4, "embeddings");
    for (int i = 0; i < b->n; i++) {
        struct task *t = b->tasks[i];
        struct error odd = err;
        int bad = rc;
        if (!rc) {
            memcpy(t->values, all + (size_t)i * width, width * 4);
            bad = model_check_numbers(t->values, width, &odd, "an embedding");
        }
        finish(w, t, NULL, bad ? &odd : NULL);
    }
    mem_free(all);
}

/* A piece of what does not go through the engine. */
static void side_work(struct worker *w)
{
    struct bundle b;
    long rows = 0;
    if (!w->side.n)
        return;
    gather(w, &b);
    for (int i = 0; i < b.n; i++) {
        rows += b.texts[i].n;
        take(&w->side, b.tasks[i]);
    }
    if (b.tasks[0]->kind == TASK_SCORE)
        score(w, &b);
    else
        embed(w, &b);
    pthread_mutex_lock(&w->lock);
    w->counts.scored_tokens += rows;
    pthread_mutex_unlock(&w->lock);
}

/* After an error of a step nothing but a new session is left. */
static void step(struct worker *w, struct served *s)
{
    struct error err = {0};
    if (!s->engine || !generate_pending(s->engine) || !generate_step(s->engine, &err))
        return;
    drop_all(w, &w->running, s, &err);
    generate_end(s->engine);
    begin(w, s, &err); /* without a session each task is refused, saying so */
}

static void count(struct worker *w, double seconds)
{
    struct worker_counts sum = {0};
    for (int i = 0; i < w->n_model; i++) {
        if (!w->models[i].engine)
            continue;
        struct generate_stats s = generate_engine_stats(w->models[i].engine);
        sum.prompt_tokens += s.prompt_tokens;
        sum.computed_prompt_tokens += s.computed_prompt_tokens;
        sum.generated_tokens += s.generated_tokens;
        sum.steps += s.steps;
        sum.reserved_pages += s.reserved_pages;
    }
    pthread_mutex_lock(&w->lock);
    w->counts.prompt_tokens = sum.prompt_tokens;
    w->counts.computed_prompt_tokens = sum.computed_prompt_tokens;
    w->counts.generated_tokens = sum.generated_tokens;
    w->counts.steps = sum.steps;
    w->counts.reserved_pages = sum.reserved_pages;
    w->counts.generating = w->running.n;
    w->counts.busy_seconds += seconds;
    pthread_mutex_unlock(&w->lock);
}

static void *run(void *user)
{
    struct worker *w = user;
    const struct error end = {ERROR_UNAVAILABLE, "the server is shutting down"};
    while (take_in(w)) {
        double start = clock_now();
        drop_gone(w, &w->running);
        drop_gone(w, &w->side);
        side_work(w);
        for (int i = 0; i < w->n_model; i++)
            step(w, &w->models[i]);
        count(w, clock_now() - start);
    }
    drop_all(w, &w->running, NULL, &end);
    drop_all(w, &w->side, NULL, &end);
    return NULL;
}

int worker_open(struct worker **out, struct served *models, int n_model, struct error *err)
{
    struct worker *w = *out = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set_nomem(err, sizeof *w, "the worker");
    w->models = models;
    w->n_model = n_model;
    w->most = models[0].engine ? models[0].limits.requests : 1024;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    int rc = 0;
    for (int i = 0; i < n_model && !rc; i++)
        rc = begin(w, &models[i], err);
    if (!rc && pthread_create(&w->thread, NULL, run, w))
        rc = error_set_errno(err, "a thread for the model");
    w->started = !rc;
    if (rc) {
        worker_close(w);
        *out = NULL;
    }
    return rc;
}

int worker_submit(struct worker *w, struct task *const *tasks, int n, struct error *err)
{
    if (n > w->most)
        return error_set(err, ERROR_USAGE, "%d prompts are more than --max-queue %d allows in one request", n, w->most);
    pthread_mutex_lock(&w->lock);
    int waiting = w->pending, fits = waiting + n <= w->most;
    for (int i = 0; i < n && fits; i++)
        put(&w->inbox, tasks[i]);
    w->pending += fits ? n : 0;
    w->counts.accepted += fits;
    w->counts.refused += !fits;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    if (fits)
        return 0;
    return error_set(err, ERROR_UNAVAILABLE,
                     "%d texts are being worked on and %d more would be too many (--max-queue "
                     "%d); try again in a moment",
                     waiting, n, w->most);
}

void worker_follow(struct worker *w, struct task *t)
{
    pthread_mutex_lock(&w->lock);
    w->pending++;
    pthread_mutex_unlock(&w->lock);
    put(&w->side, t);
}

struct worker_counts worker_counts(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct worker_counts counts = w->counts;
    counts.pending = w->pending;
    pthread_mutex_unlock(&w->lock);
    return counts;
}

void worker_close(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = 1;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    if (w->started)
        pthread_join(w->thread, NULL);
    for (int i = 0; i < w->n_model; i++)
        if (w->models[i].engine)
            generate_end(w->models[i].engine);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
