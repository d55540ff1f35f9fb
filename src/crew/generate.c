/* SPDX-License-Identifier: Apache-2.0 */
/* Requests dealt out: rank 0 runs its share step by step, and between steps takes what the others have finished and
 * gives them more. */
#include "crew/parts.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "crew/deal.h"
#include "dist/dist.h"

#include <string.h>

struct dealing {
    struct crew *crew;
    struct generate_engine *engine;
    const struct generate_request *requests;
    int n;
    int (*done)(void *user, int index, const struct generate_result *result);
    void *user;
    struct deal deal;
    char *can;  /* [n] */
    long *rows; /* [size] decoding rows of this session */
};

/* The caller hears first, who writes it down; then it counts as done. */
static int finished(struct dealing *d, int rank, int index, const struct generate_result *result)
{
    int rc = d->done(d->user, index, result);
    deal_done(&d->deal, rank, index, result->rows);
    return rc;
}

static int own_done(void *user, const struct generate_request *r, const struct generate_result *result)
{
    struct dealing *d = user;
    return finished(d, 0, (int)(r - d->requests), result);
}

static int read_sequence(const struct dealing *d, const struct generate_request *r, struct wire *w,
                         struct generate_sequence *s, struct error *err)
{
    wire_get(w, s, sizeof *s); /* its pointers are another process's */
    s->ids = wire_get_array(w, s->n, sizeof *s->ids);
    s->logprobs = wire_get_array(w, s->n, sizeof *s->logprobs);
    s->text = NULL;
    if (!s->ids || !s->logprobs)
        return error_set_nomem(err, (size_t)s->n * 8, "a result");
    return generate_text(d->engine, &r->options, s->ids, s->n, &s->text, err);
}

static void free_result(struct generate_result *result)
{
    for (int i = 0; result->sequences && i < result->n; i++) {
        mem_free(result->sequences[i].ids);
        mem_free(result->sequences[i].logprobs);
        mem_free(result->sequences[i].text);
    }
    mem_free(result->sequences);
}

static int read_result(struct dealing *d, int rank, struct wire *w, struct error *err)
{
    struct generate_result result = {0};
    int index = (int)wire_get_int(w), rc = 0;
    result.n = (int)wire_get_int(w);
    result.rows = (long)wire_get_int(w);
    wire_get(w, &result.error, sizeof result.error);
    if (w->broken || index < 0 || index >= d->n || result.n < 0 || result.n > GENERATE_MAX_BEAMS)
        return error_set(err, ERROR_INTERNAL, "rank %d: a broken result", rank);
    result.sequences = mem_calloc((size_t)result.n + 1, sizeof *result.sequences);
    if (!result.sequences)
        return error_set_nomem(err, (size_t)result.n * sizeof *result.sequences, "a result");
    for (int i = 0; i < result.n && !rc; i++)
        rc = read_sequence(d, &d->requests[index], w, &result.sequences[i], err);
    rc = rc ? rc : finished(d, rank, index, &result);
    free_result(&result);
    return rc;
}

static int hear_results(void *user, int rank, struct wire *w, struct error *err)
{
    int rc = 0;
    for (int64_t n = wire_get_int(w); n > 0 && !rc; n--)
        rc = read_result(user, rank, w, err);
    return rc;
}

static void put_request(struct buf *b, int index, const struct generate_request *r)
{
    wire_put_int(b, index);
    wire_put(b, r, sizeof *r); /* the prompt behind it */
    wire_put(b, r->prompt, (size_t)r->n_prompt * sizeof *r->prompt);
}

/* As much as the rank is to have now. */
static int give(struct dealing *d, int rank, struct error *err)
{
    struct buf *b = &d->crew->out;
    int index, n = 0, rc = 0;
    wire_begin(b, WORD_REQUESTS);
    while (!rc && (index = deal_next(&d->deal, rank)) >= 0) {
        struct generate_result result = {0};
        n++;
        if (rank > 0)
            put_request(b, index, &d->requests[index]);
        else if (generate_submit(d->engine, &d->requests[index], &result.error))
            rc = finished(d, 0, index, &result);
    }
    return rc || !n || !rank ? rc : crew_tell(rank, err);
}

static int run(struct dealing *d, struct error *err)
{
    int rc = 0;
    while (!rc && d->deal.n_done < d->deal.n) {
        for (int rank = d->crew->size - 1; rank >= 0 && !rc; rank--)
            rc = give(d, rank, err);
        if (!rc && generate_pending(d->engine))
            rc = generate_step(d->engine, err);
        rc = rc ? rc : interrupt_check(err);
        if (!rc && d->deal.n_done < d->deal.n)
            rc = crew_hear_each(WORD_RESULTS, &(struct crew_ear){hear_results, d}, !generate_pending(d->engine), err);
    }
    return rc;
}

static int begin_everywhere(struct dealing *d, struct error *err)
{
    const struct generate_engine *e = d->engine;
    const struct tokenizer *t = generate_engine_tokenizer(e);
    const struct generate_engine_options options = generate_engine_set(e);
    struct generate_limits limits;
    struct buf *b = &d->crew->out;
    generate_limits_fit(&limits, e, d->requests, d->n, d->crew->size);
    limits.share = dist_neighbours();
    int rc = deal_init(&d->deal, &(struct deal_load){d->requests, d->can, d->n},
                       &(struct deal_ranks){d->crew->size, limits.sequences + limits.sequences / 4, options.page}, err);
    rc = rc ? rc : generate_begin(d->engine, &limits, &(struct generate_calls){NULL, own_done, d}, err);
    if (rc)
        return rc;
    wire_begin(b, WORD_GENERATE);
    wire_put_int(b, (int64_t)model_origin(generate_engine_model(e))->number);
    wire_put_text(b, t ? tokenizer_info(t)->source : NULL);
    wire_put(b, &options, sizeof options);
    wire_put(b, &limits, sizeof limits);
    return crew_tell_all(err);
}

static int closed(void *user, int rank, struct wire *w, struct error *err)
{
    struct dealing *d = user;
    struct generate_stats stats;
    (void)err;
    wire_get(w, &stats, sizeof stats);
    d->rows[rank] = stats.decoding_rows;
    generate_engine_add(d->engine, &stats);
    return 0;
}

static void count_rows(struct dealing *d)
{
    long most = 0;
    for (int r = 0; r < d->crew->size; r++) {
        d->crew->rows[r] += d->rows[r];
        most = d->rows[r] > most ? d->rows[r] : most;
    }
    d->crew->most += (double)most * d->crew->size;
    log_line(LOG_DEBUG, "%d requests by %d ranks: %.1f %% of the decoding rows lost to imbalance", d->deal.n,
             d->crew->size, 100 * deal_lost(d->rows, d->crew->size));
}

static int run_all(struct dealing *d, struct error *err)
{
    long before = generate_engine_stats(d->engine).decoding_rows;
    int rc = begin_everywhere(d, err);
    if (rc)
        return rc;
    d->crew->open = 1;
    rc = run(d, err);
    d->rows[0] = generate_engine_stats(d->engine).decoding_rows - before;
    generate_end(d->engine);
    rc = crew_close(rc, &(struct crew_ear){closed, d}, err);
    count_rows(d);
    return rc;
}

/* Those that can run; the others go out with their errors. */
static int check_all(struct dealing *d)
{
    int rc = 0;
    for (int i = 0; i < d->n && !rc; i++) {
        struct generate_result result = {0};
        d->can[i] = !generate_check(d->engine, &d->requests[i], &result.error);
        if (!d->can[i])
            rc = d->done(d->user, i, &result);
    }
    return rc;
}

static int any(const char *can, int n)
{
    return memchr(can, 1, (size_t)n) != NULL;
}

int crew_generate(struct generate_engine *e, const struct generate_request *requests, int n,
                  int (*done)(void *user, int index, const struct generate_result *result), void *user,
                  struct error *err)
{
    struct dealing d = {
        .crew = crew_of_rank_0(), .engine = e, .requests = requests, .n = n, .done = done, .user = user};
    int there = 0, rc = n > 1 ? crew_share_model(generate_engine_model(e), &there, err) : 0;
    if (rc || !there)
        return rc ? rc : generate_run(e, requests, n, done, user, err);
    if (err)
        err->code = 0;
    d.can = mem_calloc((size_t)n, 1);
    d.rows = mem_calloc((size_t)d.crew->size, sizeof *d.rows);
    rc = d.can && d.rows ? check_all(&d) : error_set_nomem(err, (size_t)n, "requests");
    if (!rc && any(d.can, n))
        rc = run_all(&d, err);
    if (rc && err && !err->code)
        error_set(err, rc, "stopped by the caller");
    deal_free(&d.deal);
    mem_free(d.can);
    mem_free(d.rows);
    return rc;
}
