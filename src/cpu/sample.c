/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling one id a row. All that temperature, top-k, top-p and min-p need is the ids in decreasing order, and rarely
 * many of them: they come lazily from a heap that holds one band of values at a time (about the greatest 512, about
 * 4096, the rest: borders are read off every 64th value). What has been drawn stays behind the heap, in order. Sums of
 * probabilities along the order run in double. */
#include "cpu/rules.h"
#include "cpu/vecmath.h"

#include <float.h>

enum { N_BAND = 3, STEP = 64, SAMPLES = 64 };
struct order {
    const struct kernels *k;
    const float *x; /* the row after processors and temperature */
    int n_vocab;
    float top;
    int32_t *ids; /* bands one after another; in each, a heap and then what was drawn from it, last drawn first */
    int band, begin, heap, end; /* the current band is begin..end of ids, its first `heap` still to come */
    int ends[N_BAND];
    float lows[N_BAND]; /* least value of each band */
};

static int before(const float *x, int32_t a, int32_t b)
{
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

static void sink(const float *x, int32_t *heap, int n, int at)
{
    int32_t id = heap[at];
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(x, heap[child + 1], heap[child]))
            child++;
        if (!before(x, heap[child], id))
            break;
        heap[at] = heap[child];
    }
    heap[at] = id;
}

static void choose_bands(struct order *o)
{
    float values[SAMPLES];
    int n = 0;
    for (int i = 0; i < o->n_vocab; i += STEP) {
        if (n == SAMPLES && !(o->x[i] > values[n - 1]))
            continue;
        int at = n < SAMPLES ? n++ : SAMPLES - 1;
        for (; at && values[at - 1] < o->x[i]; at--)
            values[at] = values[at - 1];
        values[at] = o->x[i];
    }
    o->lows[0] = n == SAMPLES ? fmaxf(values[512 / STEP], -FLT_MAX) : -FLT_MAX;
    o->lows[1] = n == SAMPLES ? fmaxf(values[SAMPLES - 1], -FLT_MAX) : -FLT_MAX;
    o->lows[2] = -FLT_MAX;
}

static int fill_band(struct order *o)
{
    while (o->heap == 0 && o->band < N_BAND) {
        o->begin = o->end;
        o->heap = o->k->row_band(o->ids + o->begin, o->x, o->n_vocab, o->lows[o->band],
                                 o->band ? o->lows[o->band - 1] : INFINITY);
        o->ends[o->band++] = o->end = o->begin + o->heap;
        for (int i = o->heap / 2 - 1; i >= 0; i--)
            sink(o->x, o->ids + o->begin, o->heap, i);
    }
    return o->heap > 0;
}

/* The next id in decreasing order, ties to the lower; -1 when none has a probability. */
static int32_t draw(struct order *o)
{
    if (!o->heap && !fill_band(o))
        return -1;
    int32_t *heap = o->ids + o->begin, id = heap[0];
    heap[0] = heap[--o->heap];
    heap[o->heap] = id;
    sink(o->x, heap, o->heap, 0);
    return id;
}

static int32_t drawn(const struct order *o, int i) /* the i-th that was drawn */
{
    int band = 0, begin = 0;
    for (; i >= o->ends[band]; band++)
        begin = o->ends[band];
    return o->ids[o->ends[band] - 1 - (i - begin)];
}

static double weight_of(const struct order *o, int32_t id)
{
    return (double)o->k->exp_one(o->x[id] - o->top);
}

struct knobs {
    float temperature, top_k, top_p, min_p;
};

/* How many of the order survive top-k (ties with the k-th do), with their sum. */
static int survive_top_k(struct order *o, int k, double *sum)
{
    int n = 0;
    int32_t id, last = -1;
    for (*sum = 0; (id = draw(o)) >= 0; last = id, n++) {
        if (n >= k && o->x[id] < o->x[last])
            break;
        *sum += weight_of(o, id);
    }
    return n;
}

/* Walks the order (already drawn up to n_drawn) over at most n_most ids while they survive top-p of `total` and
 * min-p. */
static int survive_rest(struct order *o, int n_drawn, int n_most, const struct knobs *k, double total, double *sum)
{
    int n = 0;
    for (*sum = 0; n < n_most; n++) {
        int32_t id = n < n_drawn ? drawn(o, n) : draw(o);
        if (id < 0)
            break;
        double w = weight_of(o, id);
        if (n && ((k->top_p < 1 && *sum >= (double)k->top_p * total) || w < (double)k->min_p))
            break;
        *sum += w;
    }
    return n;
}

static int32_t pick(struct order *o, const struct knobs *k, double total, float uniform)
{
    int n_most = o->n_vocab, n_drawn = 0, filtered = k->top_p < 1 || k->min_p > 0;
    if (k->temperature <= 0)
        return draw(o);
    if (k->top_k >= 1 && k->top_k < (float)o->n_vocab) {
        n_most = survive_top_k(o, (int)k->top_k, &total);
        n_drawn = n_most;
    }
    if (filtered) {
        double sum;
        n_most = survive_rest(o, n_drawn, n_most, k, total, &sum);
        n_drawn = n_most > n_drawn ? n_most : n_drawn;
        total = sum;
    }
    double target = (double)uniform * total, sum = 0;
    int32_t id = -1;
    for (int i = 0; i < n_most; i++) {
        int32_t next = i < n_drawn ? drawn(o, i) : draw(o);
        if (next < 0)
            break;
        id = next;
        sum += weight_of(o, id);
        if (sum > target)
            break;
    }
    return id;
}

struct sample_work {
    struct queue *q;
    const struct sample_args *a;
    const struct kernels *k;
};

static void sample_row(void *context, int t, int worker)
{
    const struct sample_work *w = context;
    const struct sample_args *a = w->a;
    int n = a->n_vocab;
    const struct knobs *knobs = (const struct knobs *)cpu_ptr(a->knobs) + t;
    float *x = (float *)cpu_ptr(a->logits) + (size_t)t * (size_t)n, *scores = cpu_scratch(w->q, worker);
    float max = w->k->row_max(x, n), log_sum = f_log(w->k->row_exp_sum(x, n, max, 0));
    memcpy(scores, x, (size_t)n * sizeof *x);
    rules_apply(&a->rules, t, scores, n);
    if (knobs->temperature > 0 && knobs->temperature != 1)
        w->k->divide(scores, knobs->temperature, (size_t)n);
    struct order o = {.k = w->k,
                      .x = scores,
                      .n_vocab = n,
                      .ids = (int32_t *)(scores + (n + 15) / 16 * 16),
                      .top = w->k->row_max(scores, n)};
    choose_bands(&o);
    int whole = !(knobs->top_k >= 1 && knobs->top_k < (float)n);
    int32_t id = pick(&o, knobs, whole ? (double)w->k->row_exp_sum(scores, n, o.top, 0) : 0,
                      ((const float *)cpu_ptr(a->uniform))[t]);
    id = id < 0 ? 0 : id; /* nothing has a probability: every id is banned */
    ((int32_t *)cpu_ptr(a->ids))[t] = id;
    ((float *)cpu_ptr(a->raw))[t] = (x[id] - max) - log_sum;
}

void cpu_sample(struct queue *q, const struct sample_args *a)
{
    struct sample_work w = {q, a, cpu_kernels(q)};
    pool_run(cpu_pool(q), a->n_row, sample_row, &w);
}
