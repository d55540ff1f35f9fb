/* SPDX-License-Identifier: Apache-2.0 */
/* Whole texts through bordered passes: log-probabilities, sentence embeddings, classifier logits. Texts are laid out in
 * the order given, as many a pass as fit; each row's arithmetic sees only its own sequence, so results do not depend on
 * who shares the pass. */
#include "model/parts.h"

#include "base/clamp.h"
#include "base/interrupt.h"
#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PASS_ROWS = 2048, PASS_SEQUENCES = 256, LOGIT_BYTES = 64 << 20 };

/* One reader of texts: what it wants of each pass. */
struct run {
    const struct model *m;
    struct queue *q;
    struct rows rows;
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

static size_t aligned(size_t bytes)
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

static void run_deinit(struct run *r)
{
    queue_drain(r->q);
    rows_free(&r->rows);
    model_workspace_free(r->workspace);
    buffer_free(r->scratch);
    mem_free(r->out);
    mem_free(r->targets);
    mem_free(r->host);
}

/* n_logit: width of the logits wanted, 0 for none. */
static int run_init(struct run *r, const struct model *m, const struct model_text *texts, int n, int n_logit,
                    struct error *err)
{
    int longest = 0, all = 0;
    for (int i = 0; i < n; i++) {
        longest = texts[i].n > longest ? texts[i].n : longest;
        all = all > PASS_ROWS ? all : all + rows_even(texts[i].n);
    }
    int most = all < PASS_ROWS ? all : PASS_ROWS, max_row = rows_even(longest > PASS_ROWS ? longest : most);
    int max_seq = n < PASS_SEQUENCES ? n : PASS_SEQUENCES;
    *r = (struct run){.m = m, .q = device_queue(m->device)};
    if (n_logit) {
        int64_t fit = LOGIT_BYTES / 4 / n_logit;
        r->chunk = (int)clamp_int64(fit, 1, max_row);
    }
    int width = model_width(&m->desc) > m->desc.n_label ? model_width(&m->desc) : m->desc.n_label;
    size_t index = aligned((size_t)max_row * 4), logits = aligned((size_t)r->chunk * (size_t)n_logit * 4);
    size_t pooled = aligned((size_t)max_seq * (size_t)width * 4), host = (size_t)max_seq * (size_t)width;
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

/* Adds texts from `first` on until the pass is full; returns one past the last. */
static int fill_pass(struct run *r, const struct model_text *texts, int first, int n)
{
    int i = first;
    rows_reset(&r->rows);
    while (i < n && rows_add(&r->rows, texts[i].ids, texts[i].n) >= 0)
        i++;
    rows_upload(&r->rows, r->q);
    return i;
}

static void forward_rows(struct run *r, int n_out, struct span *hidden)
{
    struct model_batch b;
    rows_batch(&r->rows, &b);
    if (n_out) {
        queue_upload(r->q, r->d_out, r->out, (size_t)n_out * 4);
        b.out_rows = r->d_out;
        b.n_out = n_out;
    }
    model_forward(r->m, r->q, r->workspace, &b, hidden);
}

/* Log-probabilities of the completions of one pass; *n_done: how many. */
static int score_pass(struct run *r, const struct model_text *texts, int first, int end, float *logprobs, int *n_done,
                      struct error *err)
{
    int n = 0, width = model_width(&r->m->desc), n_vocab = r->m->desc.n_vocab;
    for (int i = first; i < end; i++)
        for (int j = texts[i].n_prompt; j < texts[i].n; j++) {
            r->out[n] = r->rows.borders[i - first] + j - 1;
            r->targets[n++] = texts[i].ids[j];
        }
    *n_done = n;
    if (!n)
        return 0;
    struct span hidden;
    forward_rows(r, n, &hidden);
    queue_upload(r->q, r->d_targets, r->targets, (size_t)n * 4);
    for (int at = 0; at < n; at += r->chunk) {
        int some = n - at < r->chunk ? n - at : r->chunk;
        model_head(r->m, r->q, span_at(hidden, (size_t)at * (size_t)width * 4), some, r->logits);
        tensor_cross_entropy(r->q, &(struct cross_entropy_args){.n_row = some,
                                                                .n_vocab = n_vocab,
                                                                .logits = r->logits,
                                                                .targets = span_at(r->d_targets, (size_t)at * 4),
                                                                .nll = span_at(r->d_nll, (size_t)at * 4)});
    }
    queue_download(r->q, logprobs, r->d_nll, (size_t)n * 4);
    int rc = queue_wait(r->q, err);
    for (int i = 0; !rc && i < n; i++)
        logprobs[i] = -logprobs[i];
    return rc;
}

int model_score(const struct model *m, const struct model_text *texts, int n_text, float *logprobs, struct error *err)
{
    struct run r;
    if (m->desc.task != MODEL_LM)
        return error_set(err, ERROR_CONFIG, "%s gives no log-probabilities of tokens",
                         m->desc.task == MODEL_BODY ? "an encoder" : "a classifier");
    int rc = check_texts(m, texts, n_text, 1, err);
    if (rc || n_text < 1)
        return rc;
    rc = run_init(&r, m, texts, n_text, m->desc.n_vocab, err);
    for (int first = 0; !rc && first < n_text;) {
        int end = fill_pass(&r, texts, first, n_text), n;
        rc = score_pass(&r, texts, first, end, logprobs, &n, err);
        logprobs += n;
        first = end;
        rc = rc ? rc : interrupt_check(err);
    }
    run_deinit(&r);
    return rc;
}

/* The last rows of one pass against every candidate: out [end - first, n_candidate]. */
static int next_pass(struct run *r, const struct model_text *texts, int first, int end, const int32_t *candidates,
                     int n_candidate, float *out, struct error *err)
{
    int n = end - first, width = model_width(&r->m->desc), rc = 0;
    struct span hidden;
    for (int i = 0; i < n; i++)
        r->out[i] = r->rows.borders[i] + texts[first + i].n - 1;
    forward_rows(r, n, &hidden);
    for (int at = 0; !rc && at < n; at += r->chunk) {
        int some = n - at < r->chunk ? n - at : r->chunk;
        model_head(r->m, r->q, span_at(hidden, (size_t)at * (size_t)width * 4), some, r->logits);
        for (int c = 0; !rc && c < n_candidate; c++) {
            for (int i = 0; i < some; i++)
                r->targets[i] = candidates[c];
            queue_upload(r->q, r->d_targets, r->targets, (size_t)some * 4);
            tensor_cross_entropy(r->q, &(struct cross_entropy_args){.n_row = some,
                                                                    .n_vocab = r->m->desc.n_vocab,
                                                                    .logits = r->logits,
                                                                    .targets = r->d_targets,
                                                                    .nll = r->d_nll});
            queue_download(r->q, r->host, r->d_nll, (size_t)some * 4);
            rc = queue_wait(r->q, err);
            for (int i = 0; i < some; i++)
                out[(size_t)(at + i) * (size_t)n_candidate + (size_t)c] = -r->host[i];
        }
    }
    return rc;
}

int model_next(const struct model *m, const struct model_text *texts, int n_text, const int32_t *candidates,
               int n_candidate, float *out, struct error *err)
{
    struct run r;
    if (m->desc.task != MODEL_LM)
        return error_set(err, ERROR_CONFIG, "%s gives no log-probabilities of tokens",
                         m->desc.task == MODEL_BODY ? "an encoder" : "a classifier");
    for (int c = 0; c < n_candidate; c++)
        if (candidates[c] < 0 || candidates[c] >= m->desc.n_vocab)
            return error_set(err, ERROR_DATA, "candidate %d: token id %d is outside of the vocabulary of %d", c,
                             (int)candidates[c], m->desc.n_vocab);
    int rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = run_init(&r, m, texts, n_text, m->desc.n_vocab, err);
    for (int first = 0; !rc && first < n_text;) {
        int end = fill_pass(&r, texts, first, n_text);
        rc = next_pass(&r, texts, first, end, candidates, n_candidate, out + (size_t)first * (size_t)n_candidate, err);
        first = end;
        rc = rc ? rc : interrupt_check(err);
    }
    run_deinit(&r);
    return rc;
}

static void multiply(float *x, int n, double by)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)(x[i] * by);
}

/* x / |x|, the square sum in double. */
static void normalise(float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    multiply(x, n, sum > 0 ? 1 / sqrt(sum) : 0);
}

int model_embed(const struct model *m, const struct model_text *texts, int n_text, int normalize, float *out,
                struct error *err)
{
    static const enum pool_kind kinds[] = {POOL_MEAN, POOL_MEAN, POOL_FIRST, POOL_MAX, POOL_LAST};
    const struct model_sentence *s = &m->desc.sentence;
    struct run r;
    int c = model_width(&m->desc), rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = run_init(&r, m, texts, n_text, 0, err);
    for (int first = 0; !rc && first < n_text;) {
        int end = fill_pass(&r, texts, first, n_text);
        struct span hidden;
        forward_rows(&r, 0, &hidden);
        tensor_pool_rows(r.q, &(struct pool_rows_args){kinds[s->pooling], end - first, c, hidden, r.rows.d_borders,
                                                       r.rows.d_valid, r.pooled});
        queue_download(r.q, out + (size_t)first * (size_t)c, r.pooled, (size_t)(end - first) * (size_t)c * 4);
        rc = queue_wait(r.q, err);
        for (int i = first; !rc && s->pooling == SENTENCE_MEAN_SQRT && i < end; i++)
            multiply(out + (size_t)i * (size_t)c, c, sqrt(texts[i].n));
        for (int i = first; !rc && (normalize || s->normalize) && i < end; i++)
            normalise(out + (size_t)i * (size_t)c, c);
        first = end;
        rc = rc ? rc : interrupt_check(err);
    }
    run_deinit(&r);
    return rc;
}

int model_pool_row(const struct model_desc *d, const int32_t *ids, int n)
{
    int at = n - 1;
    while (d->task == MODEL_CLASSIFY && d->has_pool_pad && at > 0 && ids[at] == d->pad_id)
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
    struct run r;
    if (m->desc.task != MODEL_CLASSIFY && m->desc.task != MODEL_REWARD)
        return error_set(err, ERROR_CONFIG, "the model has no classification or score head");
    int width = m->desc.n_label, rc = check_texts(m, texts, n_text, 0, err);
    if (rc || n_text < 1)
        return rc;
    rc = run_init(&r, m, texts, n_text, width, err);
    for (int first = 0; !rc && first < n_text;) {
        int end = fill_pass(&r, texts, first, n_text);
        for (int i = first; i < end; i++)
            r.out[i - first] = r.rows.borders[i - first] + model_pool_row(&m->desc, texts[i].ids, texts[i].n);
        struct span hidden;
        forward_rows(&r, end - first, &hidden);
        model_head(m, r.q, hidden, end - first, r.pooled);
        queue_download(r.q, out + (size_t)first * (size_t)width, r.pooled, (size_t)(end - first) * (size_t)width * 4);
        rc = queue_wait(r.q, err);
        first = end;
        rc = rc ? rc : interrupt_check(err);
    }
    run_deinit(&r);
    return rc;
}
