/* SPDX-License-Identifier: Apache-2.0 */
/* Whole texts through bordered passes: log-probabilities, sentence embeddings, classifier logits. Texts are laid out in
 * the order given, as many a pass as fit; each row's arithmetic sees only its own sequence, so results do not depend on
 * who shares the pass. Texts that are scored and begin alike share the rows of what they begin with (shared_rows.h). */
#include "model/parts.h"
#include "model/shared_rows.h"

#include "base/clamp.h"
#include "base/interrupt.h"
#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PASS_ROWS = 2048, PASS_SEQUENCES = 256, LOGIT_BYTES = 64 << 20 };

/* Texts on their way through the model, as many a pass as fit: [first, end) are in the one that runs. */
struct passes {
    const struct model *m;
    const struct model_text *texts;
    int n_text, first, end;
    struct queue *q;
    struct rows rows;
    struct shared_rows shared; /* instead of rows, when there is room in it */
    int start[PASS_SEQUENCES]; /* row of position 0 of each text; what is shared stands elsewhere */
    struct model_workspace *workspace;
    struct buffer *scratch;
    int chunk; /* logit rows at a time */
    struct span d_out, d_targets, d_nll, logits, pooled;
    int32_t *out, *targets; /* [max_row] */
    float *host;            /* [max_row] or [sequences, C] */
};

const char model_overflow[] = "not a number: the model's weights are finite, but what they compute here overflows (NaN "
                              "or infinite); the checkpoint is broken";

int model_check_numbers(const float *x, size_t n, struct error *err, const char *what, ...)
{
    va_list args;
    char place[160];
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i]))
            continue;
        va_start(args, what);
        vsnprintf(place, sizeof place, what, args);
        va_end(args);
        return error_set(err, ERROR_DATA, "%s: %s", place, model_overflow);
    }
    return 0;
}

static size_t aligned_bytes(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int check_texts(const struct model *m, const struct model_text *texts, int n, int score, struct error *err)
{
    for (int i = 0; i < n; i++) {
        const struct model_text *t = &texts[i];
        if (t->n < 1 || (score && (t->n_prompt < 1 || t->n_prompt > t->n)))
            return error_set(err, ERROR_DATA, "text %d: has %d tokens%s", i, t->n,
                             score ? ", and its prompt must have at least 1 of them" : ", wanted at least 1");
        if (t->n > m->desc.n_ctx)
            return error_set(err, ERROR_DATA, "text %d: %d tokens, the model's context holds %d", i, t->n,
                             m->desc.n_ctx);
        for (int j = 0; j < t->n; j++)
            if (t->ids[j] < 0 || t->ids[j] >= m->desc.n_vocab)
                return error_set(err, ERROR_DATA, "text %d: token id %d at %d is outside of the vocabulary of %d", i,
                                 (int)t->ids[j], j, m->desc.n_vocab);
    }
    return 0;
}

static void passes_deinit(struct passes *r)
{
    queue_drain(r->q);
    rows_free(&r->rows);
    shared_rows_free(&r->shared);
    model_workspace_free(r->workspace);
    buffer_free(r->scratch);
    mem_free(r->out);
    mem_free(r->targets);
    mem_free(r->host);
}

/* n_logit: width of the logits wanted, 0 for none. */
static int passes_init(struct passes *r, const struct model *m, const struct model_text *texts, int n, int n_logit,
                       struct error *err)
{
    int longest = 0, all = 0;
    for (int i = 0; i < n; i++) {
        longest = texts[i].n > longest ? texts[i].n : longest;
        all = all > PASS_ROWS ? all : all + rows_even(texts[i].n);
    }
    int most = all < PASS_ROWS ? all : PASS_ROWS, max_row = rows_even(longest > PASS_ROWS ? longest : most);
    int max_seq = n < PASS_SEQUENCES ? n : PASS_SEQUENCES;
    *r = (struct passes){.m = m, .texts = texts, .n_text = n, .q = device_queue(m->device)};
    if (n_logit) {
        int64_t fit = LOGIT_BYTES / 4 / n_logit;
        r->chunk = (int)clamp_int64(fit, 1, max_row);
    }
    int width = model_width(&m->desc) > m->desc.n_label ? model_width(&m->desc) : m->desc.n_label;
    size_t index = aligned_bytes((size_t)max_row * 4), logits = aligned_bytes((size_t)r->chunk * (size_t)n_logit * 4);
    size_t pooled = aligned_bytes((size_t)max_seq * (size_t)width * 4), host = (size_t)max_seq * (size_t)width;
    host = host > (size_t)max_row ? host : (size_t)max_row;
    r->out = mem_alloc((size_t)max_row * 4);
    r->targets = mem_alloc((size_t)max_row * 4);
    r->host = mem_alloc(host * 4);
    int rc = r->out && r->targets && r->host ? 0 : error_set_nomem(err, host * 4, "scoring");
    if (rc || (rc = rows_new(&r->rows, m->device, max_row, max_seq, err)) ||
        (rc = model_workspace_new(&r->workspace, m, max_row, max_row, err)) ||
        (rc = buffer_new(&r->scratch, m->device, 3 * index + logits + pooled, "scoring", err)))
        return rc;
    r->d_out = (struct span){r->scratch, 0};
    r->d_targets = span_at(r->d_out, index);
    r->d_nll = span_at(r->d_targets, index);
    r->logits = span_at(r->d_nll, index);
    r->pooled = span_at(r->logits, logits);
    return 0;
}

/* Texts that are scored share rows where that saves an eighth of them. */
static int share_rows(struct passes *r, struct error *err)
{
    int64_t all = 0;
    for (int i = 0; i < r->n_text; i++)
        all += r->texts[i].n;
    if (shared_saving(r->m, r->texts, r->n_text) < all / 8 + 1)
        return 0;
    return shared_rows_new(&r->shared, r->m, r->rows.max_row, r->rows.max_seq, err);
}

static void next_shared(struct passes *r)
{
    int taken;
    shared_rows_reset(&r->shared);
    do {
        int left = r->n_text - r->end, room = r->rows.max_seq - (r->end - r->first), most = left < room ? left : room;
        taken = most ? shared_rows_add(&r->shared, r->texts + r->end, most, r->start + (r->end - r->first)) : 0;
        r->end += taken;
    } while (taken);
    shared_rows_upload(&r->shared, r->q);
}

static void next_bordered(struct passes *r)
{
    int first;
    rows_reset(&r->rows);
    while (r->end < r->n_text && (first = rows_add(&r->rows, r->texts[r->end].ids, r->texts[r->end].n)) >= 0) {
        if (r->m->desc.pad_position)
            rows_skip_pads(&r->rows, first, r->m->desc.pad_id);
        r->start[r->end++ - r->first] = first;
    }
    rows_upload(&r->rows, r->q);
}

/* Lays out the texts of the next pass; 0 when none are left. */
static int next_texts(struct passes *r)
{
    r->first = r->end;
    if (r->end == r->n_text)
        return 0;
    if (r->shared.max_row)
        next_shared(r);
    else
        next_bordered(r);
    return r->end > r->first;
}

static void forward_rows(struct passes *r, int n_out, struct span *hidden)
{
    struct model_batch b;
    if (r->shared.max_row)
        shared_rows_batch(&r->shared, &b);
    else
        rows_batch(&r->rows, &b);
    if (n_out) {
        queue_upload(r->q, r->d_out, r->out, (size_t)n_out * 4);
        b.out_rows = r->d_out;
        b.n_out = n_out;
    }
    model_forward(r->m, r->q, r->workspace, &b, hidden);
}

/* The rows of one pass that come before a token of a completion; returns how many. */
static int completion_rows(struct passes *r)
{
    int n = 0;
    for (int i = r->first; i < r->end; i++)
        for (int j = r->texts[i].n_prompt; j < r->texts[i].n; j++) {
            r->out[n] = r->start[i - r->first] + j - 1;
            r->targets[n++] = r->texts[i].ids[j];
        }
    return n;
}

/* Of the logits of n rows from `at` on: the targets' negative log-probabilities, beside each other. */
static void score_rows(struct passes *r, int at, int n)
{
    tensor_cross_entropy(r->q, &(struct cross_entropy_args){.n_row = n,
                                                            .n_vocab = r->m->desc.n_vocab,
                                                            .logits = r->logits,
                                                            .targets = span_at(r->d_targets, (size_t)at * 4),
                                                            .nll = span_at(r->d_nll, (size_t)at * 4)});
}

/* Log-probabilities of the completions of one pass; *n_done: how many. */
static int score_pass(struct passes *r, float *logprobs, int *n_done, struct error *err)
{
    int n = completion_rows(r), width = model_width(&r->m->desc);
    *n_done = n;
    if (!n)
        return 0;
    struct span hidden;
    forward_rows(r, n, &hidden);
    queue_upload(r->q, r->d_targets, r->targets, (size_t)n * 4);
    for (int at = 0; at < n; at += r->chunk) {
        int some = n - at < r->chunk ? n - at : r->chunk;
        model_head(r->m, r->q, span_at(hidden, (size_t)at * (size_t)width * 4), some, r->logits);
        score_rows(r, at, some);
    }
    queue_download(r->q, logprobs, r->d_nll, (size_t)n * 4);
    int rc = queue_wait(r->q, err);
    for (int i = 0; !rc && i < n; i++)
        logprobs[i] = -logprobs[i];
    return rc;
}

static int check_is_lm(const struct model *m, struct error *err)
{
    if (m->desc.task == MODEL_LM)
        return 0;
    return error_set(err, ERROR_CONFIG, "%s gives no log-probabilities of tokens",
                     m->desc.task == MODEL_BODY ? "an encoder" : "a classifier");
}

/* Where a chunk's lists lie on the device. */
struct top_spans {
    struct buffer *buffer;
    struct span values, ids, raw;
};

/* As score_pass, but the greatest out->n of each from `done` on. */
static int top_pass(struct passes *r, const struct top_spans *s, const struct model_top *out, size_t *done,
                    struct error *err)
{
    int n = completion_rows(r), rc = 0;
    size_t width = (size_t)model_width(&r->m->desc), list = (size_t)out->n;
    struct span hidden;
    if (n)
        forward_rows(r, n, &hidden);
    if (n && out->scores)
        queue_upload(r->q, r->d_targets, r->targets, (size_t)n * 4);
    for (int at = 0; at < n && !rc; at += r->chunk) {
        int some = n - at < r->chunk ? n - at : r->chunk;
        size_t to = (*done + (size_t)at) * list, bytes = (size_t)some * list * 4;
        model_head(r->m, r->q, span_at(hidden, (size_t)at * width * 4), some, r->logits);
        if (out->scores)
            score_rows(r, at, some);
        tensor_candidates(r->q, &(struct candidates_args){.n_row = some,
                                                          .n_vocab = r->m->desc.n_vocab,
                                                          .n_top = out->n,
                                                          .log_softmax = 1,
                                                          .logits = r->logits,
                                                          .values = s->values,
                                                          .ids = s->ids,
                                                          .raw = s->raw});
        queue_download(r->q, out->logprobs + to, s->raw, bytes);
        queue_download(r->q, out->ids + to, s->ids, bytes);
        rc = queue_wait(r->q, err);
    }
    if (n && out->scores && !rc) {
        queue_download(r->q, out->scores + *done, r->d_nll, (size_t)n * 4);
        rc = queue_wait(r->q, err);
        for (int i = 0; i < n; i++)
            out->scores[*done + (size_t)i] = -out->scores[*done + (size_t)i];
    }
    *done += (size_t)n;
    return rc;
}

int model_score_top(const struct model *m, const struct model_text *texts, int n_text, const struct model_top *out,
                    struct error *err)
{
    struct passes r = {0};
    struct top_spans s = {0};
    size_t done = 0;
    int rc = check_is_lm(m, err);
    rc = rc ? rc : check_texts(m, texts, n_text, 1, err);
    if (rc || n_text < 1)
        return rc;
    rc = passes_init(&r, m, texts, n_text, m->desc.n_vocab, err);
    rc = rc ? rc : share_rows(&r, err);
    size_t bytes = aligned_bytes((size_t)r.chunk * (size_t)out->n * 4);
    rc = rc ? rc : buffer_new(&s.buffer, m->device, 3 * bytes, "the greatest probabilities", err);
    s.values = (struct span){s.buffer, 0};
    s.ids = span_at(s.values, bytes);
    s.raw = span_at(s.ids, bytes);
    while (!rc && next_texts(&r)) {
        rc = top_pass(&r, &s, out, &done, err);
        rc = rc ? rc : interrupt_check(err);
    }
    passes_deinit(&r);
    buffer_free(s.buffer);
    return rc;
}

int model_score(const struct model *m, const struct model_text *texts, int n_text, float *logprobs, struct error *err)
{
    struct passes r;
    int lm = check_is_lm(m, err);
    if (lm)
        return lm;
    int rc = check_texts(m, texts, n_text, 1, err);
    if (rc || n_text < 1)
        return rc;
    rc = passes_init(&r, m, texts, n_text, m->desc.n_vocab, err);
    rc = rc ? rc : share_rows(&r, err);
    while (!rc && next_texts(&r)) {
        int n;
        rc = score_pass(&r, logprobs, &n, err);
        logprobs += n;
        rc = rc ? rc : interrupt_check(err);
    }
    passes_deinit(&r);
    return rc;
}

/* The last rows of one pass against every candidate. */
static int candidates_pass(struct passes *r, struct model_candidates candidates, float *out, struct error *err)
{
    int n = r->end - r->first, width = model_width(&r->m->desc), rc = 0;
    struct span hidden;
    out += (size_t)r->first * (size_t)candidates.n;
    for (int i = 0; i < n; i++)
        r->out[i] = r->start[i] + r->texts[r->first + i].n - 1;
    forward_rows(r, n, &hidden);
    for (int at = 0; !rc && at < n; at += r->chunk) {
        int some = n - at < r->chunk ? n - at : r->chunk;
        model_head(r->m, r->q, span_at(hidden, (size_t)at * (size_t)width * 4), some, r->logits);
        for (int c = 0; !rc && c < candidates.n; c++) {
            for (int i = 0; i < some; i++)
                r->targets[i] = candidates.ids[c];
            queue_upload(r->q, r->d_targets, r->targets, (size_t)some * 4);
            tensor_cross_entropy(r->q, &(struct cross_entropy_args){.n_row = some,
                                                                    .n_vocab = r->m->desc.n_vocab,
                                                                    .logits = r->logits,
                                                                    .targets = r->d_targets,
                                                                    .nll = r->d_nll});
            queue_download(r->q, r->host, r->d_nll, (size_t)some * 4);
            rc = queue_wait(r->q, err);
            for (int i = 0; i < some; i++)
                out[(size_t)(at + i) * (size_t)candidates.n + (size_t)c] = -r->host[i];
        }
    }
    return rc;
}

int model_next(const struct model *m, const struct model_text *texts, int n_text, struct model_candidates candidates,
               float *out, struct error *err)
{
    struct passes r;
    int lm = check_is_lm(m, err);
    if (lm)
        return lm;
    for (int c = 0; c < candidates.n; c++)
        if (candidates.ids[c] < 0 || candidates.ids[c] >= m->desc.n_vocab)
            return error_set(err, ERROR_DATA, "candidate %d: token id %d is outside of the vocabulary of %d", c,
                             (int)candidates.ids[c], m->desc.n_vocab);
    int rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = passes_init(&r, m, texts, n_text, m->desc.n_vocab, err);
    while (!rc && next_texts(&r)) {
        rc = candidates_pass(&r, candidates, out, err);
        rc = rc ? rc : interrupt_check(err);
    }
    passes_deinit(&r);
    return rc;
}

static void multiply_row(float *x, int n, double by)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)(x[i] * by);
}

/* x / |x|, the square sum in double. */
static void normalise_row(float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    multiply_row(x, n, sum > 0 ? 1 / sqrt(sum) : 0);
}

int model_embed(const struct model *m, const struct model_text *texts, int n_text, int normalize, float *out,
                struct error *err)
{
    static const enum pool_kind kinds[] = {POOL_MEAN, POOL_MEAN, POOL_FIRST, POOL_MAX, POOL_LAST};
    const struct model_sentence *s = &m->desc.sentence;
    struct passes r;
    int c = model_width(&m->desc), rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = passes_init(&r, m, texts, n_text, 0, err);
    while (!rc && next_texts(&r)) {
        int first = r.first, end = r.end;
        struct span hidden;
        forward_rows(&r, 0, &hidden);
        tensor_pool_rows(r.q, &(struct pool_rows_args){kinds[s->pooling], end - first, c, hidden, r.rows.d_borders,
                                                       r.rows.d_valid, r.pooled});
        queue_download(r.q, out + (size_t)first * (size_t)c, r.pooled, (size_t)(end - first) * (size_t)c * 4);
        rc = queue_wait(r.q, err);
        for (int i = first; !rc && s->pooling == SENTENCE_MEAN_SQRT && i < end; i++)
            multiply_row(out + (size_t)i * (size_t)c, c, sqrt(texts[i].n));
        for (int i = first; !rc && (normalize || s->normalize) && i < end; i++)
            normalise_row(out + (size_t)i * (size_t)c, c);
        rc = rc ? rc : interrupt_check(err);
    }
    passes_deinit(&r);
    return rc;
}

int model_pool_row(const struct model_desc *d, const int32_t *ids, int n)
{
    int at = n - 1, classifier = d->task == MODEL_CLASSIFY || d->reward_classifier;
    while (classifier && d->has_pool_pad && at > 0 && ids[at] == d->pad_id)
        at--;
    return at;
}

double model_normalize(const struct model_desc *d, int dim, double x)
{
    if (!d->normalize || d->score_type == SCORE_CRITIC)
        return x;
    return (d->score_type == SCORE_REWARD ? x - d->score_mean[dim] : x) / (sqrt(d->score_var[dim]) + 1e-8);
}

int model_classify(const struct model *m, const struct model_text *texts, int n_text, float *out, struct error *err)
{
    struct passes r;
    if (m->desc.task != MODEL_CLASSIFY && m->desc.task != MODEL_REWARD)
        return error_set(err, ERROR_CONFIG, "the model has no classification or score head");
    int width = m->desc.n_label, rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = passes_init(&r, m, texts, n_text, width, err);
    while (!rc && next_texts(&r)) {
        int first = r.first, end = r.end;
        for (int i = first; i < end; i++)
            r.out[i - first] = r.rows.borders[i - first] + model_pool_row(&m->desc, texts[i].ids, texts[i].n);
        struct span hidden;
        forward_rows(&r, end - first, &hidden);
        model_head(m, r.q, hidden, end - first, r.pooled);
        queue_download(r.q, out + (size_t)first * (size_t)width, r.pooled, (size_t)(end - first) * (size_t)width * 4);
        rc = queue_wait(r.q, err);
        rc = rc ? rc : interrupt_check(err);
    }
    passes_deinit(&r);
    return rc;
}
