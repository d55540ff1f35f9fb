/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that the model reads, dealt out in portions of neighbours, which share rows when they begin alike: large ones
 * first, then smaller and smaller, so that all end together. The others have one in work and one waiting; rank 0 takes
 * small ones, to hear the others in time. */
#include "crew/parts.h"

#include "base/interrupt.h"
#include "base/mem.h"
#include "crew/reading.h"

#include <string.h>

/* token rows of a portion: at least, and of rank 0's at most; texts that are worth other ranks */
enum { LEAST_ROWS = 256, OWN_ROWS = 2048, FEWEST_TEXTS = 4 };
enum { AHEAD = 2 };

struct texts {
    struct crew *crew;
    const struct model *model;
    const struct model_text *texts;
    int n, next, n_done;
    struct reading reading;
    size_t *at; /* [n + 1] where a text's values begin */
    long rows_left;
    float *out;
    int *ahead; /* [size] portions that a rank has */
};

/* Texts from `next` on. */
static int portion(const struct texts *t, int rank)
{
    long rows = 0, most = t->rows_left / (2 * t->crew->size);
    int n = 0;
    most = most > LEAST_ROWS ? most : LEAST_ROWS;
    if (!rank && most > OWN_ROWS)
        most = OWN_ROWS;
    while (t->next + n < t->n && (!n || rows + t->texts[t->next + n].n <= most))
        rows += t->texts[t->next + n++].n;
    return n;
}

static void taken(struct texts *t, int n)
{
    for (int i = t->next; i < t->next + n; i++)
        t->rows_left -= t->texts[i].n;
    t->next += n;
}

static int give(struct texts *t, int rank, struct error *err)
{
    struct buf *b = &t->crew->out;
    int n = portion(t, rank);
    wire_begin(b, WORD_PORTION);
    wire_put_int(b, t->next);
    wire_put_int(b, n);
    wire_put_int(b, (int64_t)(t->at[t->next + n] - t->at[t->next]));
    for (int i = t->next; i < t->next + n; i++) {
        wire_put_int(b, t->texts[i].n);
        wire_put_int(b, t->texts[i].n_prompt);
        wire_put(b, t->texts[i].ids, (size_t)t->texts[i].n * sizeof *t->texts[i].ids);
    }
    taken(t, n);
    t->ahead[rank]++;
    return crew_tell(rank, err);
}

static int run_own(struct texts *t, struct error *err)
{
    int first = t->next, n = portion(t, 0);
    taken(t, n);
    t->n_done += n;
    float *out = t->out + t->at[first];
    return reading_run(&t->reading, t->model, t->texts + first, n, out, err);
}

static int hear_values(void *user, int rank, struct wire *w, struct error *err)
{
    struct texts *t = user;
    int64_t first = wire_get_int(w), n = wire_get_int(w);
    if (first < 0 || n < 1 || first + n > t->n)
        return error_set(err, ERROR_INTERNAL, "rank %d: a broken portion", rank);
    wire_get(w, t->out + t->at[first], (t->at[first + n] - t->at[first]) * sizeof *t->out);
    t->n_done += (int)n;
    t->ahead[rank]--;
    return w->broken ? error_set(err, ERROR_INTERNAL, "rank %d: a broken portion", rank) : 0;
}

static int run(struct texts *t, struct error *err)
{
    int rc = 0;
    while (!rc && t->n_done < t->n) {
        for (int k = 0; k < AHEAD; k++)
            for (int r = 1; r < t->crew->size && !rc && t->next < t->n; r++)
                if (t->ahead[r] <= k)
                    rc = give(t, r, err);
        int own = !rc && t->next < t->n;
        if (own)
            rc = run_own(t, err);
        rc = rc ? rc : interrupt_check(err);
        if (!rc && t->n_done < t->n)
            rc = crew_hear_each(WORD_VALUES, &(struct crew_ear){hear_values, t}, !own, err);
    }
    return rc;
}

static int run_all(struct texts *t, struct error *err)
{
    struct crew *c = t->crew;
    size_t values = 0;
    for (int i = 0; i < t->n; i++) {
        t->at[i] = values;
        values += reading_values(&t->reading, model_desc(t->model), &t->texts[i]);
        t->rows_left += t->texts[i].n;
    }
    t->at[t->n] = values;
    wire_begin(&c->out, WORD_TEXTS);
    wire_put_int(&c->out, (int64_t)model_origin(t->model)->number);
    reading_put(&c->out, &t->reading);
    int rc = crew_tell_all(err);
    c->open = 1;
    rc = rc ? rc : run(t, err);
    return crew_close(rc, NULL, err);
}

/* *done: the others have taken part. */
static int share(struct texts *t, int *done, struct error *err)
{
    t->crew = crew_of_rank_0();
    *done = 0;
    if (t->crew->size < 2 || t->n < FEWEST_TEXTS || !reading_fits(&t->reading, model_desc(t->model), t->texts, t->n))
        return 0;
    int rc = crew_share_model(t->model, done, err);
    if (rc || !*done)
        return rc;
    t->at = mem_alloc(((size_t)t->n + 1) * sizeof *t->at);
    t->ahead = mem_calloc((size_t)t->crew->size, sizeof *t->ahead);
    rc = t->at && t->ahead ? run_all(t, err) : error_set_nomem(err, (size_t)t->n * sizeof *t->at, "texts");
    mem_free(t->at);
    mem_free(t->ahead);
    return rc;
}

/* By all, or by rank 0 alone. */
static int read_texts(struct texts *t, struct error *err)
{
    int done, rc = share(t, &done, err);
    return rc || done ? rc : reading_run(&t->reading, t->model, t->texts, t->n, t->out, err);
}

int crew_score(const struct model *m, const struct model_text *texts, int n_text, float *logprobs, struct error *err)
{
    struct texts t = {.model = m, .texts = texts, .n = n_text, .reading = {.kind = READ_SCORE}, .out = logprobs};
    return read_texts(&t, err);
}

int crew_embed(const struct model *m, const struct model_text *texts, int n_text, int normalize, float *out,
               struct error *err)
{
    struct texts t = {.model = m, .texts = texts, .n = n_text, .out = out};
    t.reading = (struct reading){.kind = READ_EMBED, .normalize = normalize};
    return read_texts(&t, err);
}

int crew_next(const struct model *m, const struct model_text *texts, int n_text, struct model_candidates candidates,
              float *out, struct error *err)
{
    struct texts t = {.model = m, .texts = texts, .n = n_text, .out = out};
    t.reading = (struct reading){.kind = READ_NEXT, .candidates = candidates};
    return read_texts(&t, err);
}

int crew_classify(const struct model *m, const struct model_text *texts, int n_text, float *out, struct error *err)
{
    struct texts t = {.model = m, .texts = texts, .n = n_text, .reading = {.kind = READ_CLASSIFY}, .out = out};
    return read_texts(&t, err);
}

int crew_top(const struct model *m, const struct model_text *texts, int n_text, const struct model_top *out,
             struct error *err)
{
    struct texts t = {.model = m, .texts = texts, .n = n_text, .reading = {.kind = READ_TOP, .n_top = out->n}};
    size_t lists = 0, list = (size_t)out->n, bytes = list * 4;
    for (int i = 0; i < n_text; i++)
        lists += (size_t)(texts[i].n - texts[i].n_prompt);
    if (crew_of_rank_0()->size < 2)
        return model_score_top(m, texts, n_text, out, err);
    float *both = t.out = mem_alloc(2 * lists * bytes + 1);
    int rc = both ? read_texts(&t, err) : error_set_nomem(err, 2 * lists * bytes, "the greatest probabilities");
    for (size_t i = 0; i < lists && !rc; i++) {
        memcpy(out->ids + i * list, both + i * 2 * list, bytes);
        memcpy(out->logprobs + i * list, both + (i * 2 + 1) * list, bytes);
    }
    mem_free(both);
    return rc;
}
