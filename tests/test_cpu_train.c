/* SPDX-License-Identifier: Apache-2.0 */
/* What only training needs: attention's gradient against central differences of a double-precision oracle, the loss and
 * its gradient, the gradient's norm, AdamW; the same bits on every instruction set and thread count, and whatever else
 * is in the batch. */
#include "tests/ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SEQ = 4 };
struct attend_case {
    int n_head, n_kv_head, head_dim, causal, n_seq, length[MAX_SEQ], valid[MAX_SEQ], window;
    float soft_cap;
};
static const float scale = 0.4f;

static int total_rows(const struct attend_case *c)
{
    int n = 0;
    for (int i = 0; i < c->n_seq; i++)
        n += c->length[i];
    return n;
}

/* Row t of sequence s holds q, k, v side by side; values depend on (s, t) only. Padding rows hold numbers too: they
 * must not matter. */
static void fill_rows(const struct attend_case *c, float *x, float *dout)
{
    int all = (c->n_head + 2 * c->n_kv_head) * c->head_dim, width = c->n_head * c->head_dim;
    for (int s = 0, row = 0; s < c->n_seq; s++)
        for (int t = 0; t < c->length[s]; t++, row++) {
            for (int i = 0; i < all; i++)
                x[row * all + i] = 1.5f * ops_random(30 + (uint64_t)c->length[s], (uint64_t)(t * 10000 + i));
            for (int i = 0; i < width; i++)
                dout[row * width + i] =
                    t < c->valid[s] ? ops_random(60 + (uint64_t)c->length[s], (uint64_t)(t * 10000 + i)) : 0;
        }
}

/* out: out [T,HD], lse [T,H], then dq, dk, dv rows [T, all] */
static size_t attend_run(struct ops *o, const void *parameter, float *out)
{
    const struct attend_case *c = parameter;
    int n = total_rows(c), all = (c->n_head + 2 * c->n_kv_head) * c->head_dim, width = c->n_head * c->head_dim,
        longest = 0;
    int32_t borders[MAX_SEQ + 1] = {0};
    for (int i = 0; i < c->n_seq; i++) {
        borders[i + 1] = borders[i] + c->length[i];
        longest = c->length[i] > longest ? c->length[i] : longest;
    }
    size_t bytes = (size_t)(n * width) * 4, wide = (size_t)(n * all) * 4;
    float *x = malloc(wide), *dout = malloc(bytes);
    fill_rows(c, x, dout);
    struct span bx = ops_new(o, x, wide), bd = ops_new(o, dout, bytes), bo = ops_new(o, NULL, bytes),
                bl = ops_new(o, NULL, (size_t)(n * c->n_head) * 4);
    struct span bb = ops_new(o, borders, sizeof borders), bv = ops_new(o, c->valid, sizeof c->valid),
                bg = ops_new(o, NULL, wide);
    struct attend_train_args f = {.n_row = n,
                                  .n_seq = c->n_seq,
                                  .n_head = c->n_head,
                                  .n_kv_head = c->n_kv_head,
                                  .head_dim = c->head_dim,
                                  .max_len = longest,
                                  .causal = c->causal,
                                  .scale = scale,
                                  .q = bx,
                                  .k = span_at(bx, (size_t)width * 4),
                                  .v = span_at(bx, (size_t)(width + c->n_kv_head * c->head_dim) * 4),
                                  .stride = all,
                                  .borders = bb,
                                  .valid = bv,
                                  .out = bo,
                                  .lse = bl,
                                  .window = c->window,
                                  .soft_cap = c->soft_cap};
    tensor_attend_train(o->queue, &f);
    tensor_attend_train_dx(
        o->queue, &(struct attend_train_dx_args){.forward = f,
                                                 .dout = bd,
                                                 .dq = bg,
                                                 .dk = span_at(bg, (size_t)width * 4),
                                                 .dv = span_at(bg, (size_t)(width + c->n_kv_head * c->head_dim) * 4),
                                                 .dstride = all});
    ops_get(o, out, bo, bytes);
    ops_get(o, out + n * width, bl, (size_t)(n * c->n_head) * 4);
    ops_get(o, out + n * width + n * c->n_head, bg, wide);
    free(x);
    free(dout);
    return (size_t)(n * width + n * c->n_head + n * all);
}

/* Loss of one sequence (rows x, real rows n): sum of out*dout over rows `only` (or all when < 0). */
static double sequence_loss(const struct attend_case *c, const double *x, const float *dout, int n, double *out,
                            double *lse)
{
    int d_count = c->head_dim, all = (c->n_head + 2 * c->n_kv_head) * d_count, width = c->n_head * d_count,
        group = c->n_head / c->n_kv_head;
    double loss = 0, *p = malloc((size_t)n * sizeof *p);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < c->n_head; h++) {
            const double *q = x + t * all + h * d_count;
            int n_key = c->causal ? t + 1 : n, begin = c->window && t >= c->window ? t + 1 - c->window : 0;
            double top = -INFINITY, sum = 0;
            for (int j = begin; j < n_key; j++) {
                const double *k = x + j * all + width + h / group * d_count;
                p[j] = 0;
                for (int d = 0; d < d_count; d++)
                    p[j] += q[d] * k[d] * scale;
                if (c->soft_cap > 0)
                    p[j] = (double)c->soft_cap * tanh(p[j] / (double)c->soft_cap);
                top = p[j] > top ? p[j] : top;
            }
            for (int j = begin; j < n_key; j++)
                sum += p[j] = exp(p[j] - top);
            if (lse)
                lse[t * c->n_head + h] = top + log(sum);
            for (int d = 0; d < d_count; d++) {
                double y = 0;
                for (int j = begin; j < n_key; j++)
                    y += p[j] / sum * x[j * all + width + (c->n_kv_head + h / group) * d_count + d];
                loss += y * dout[t * width + h * d_count + d];
                if (out)
                    out[t * width + h * d_count + d] = y;
            }
        }
    free(p);
    return loss;
}

static void check_sequence(const struct attend_case *c, const float *got, int s, int first, int samples)
{
    int d_count = c->head_dim, all = (c->n_head + 2 * c->n_kv_head) * d_count, width = c->n_head * d_count,
        n = c->valid[s], rows = total_rows(c);
    const float *lse = got + rows * width, *dx = lse + rows * c->n_head;
    float *fx = malloc((size_t)(rows * all) * 4), *dout = malloc((size_t)(rows * width) * 4);
    double *x = malloc((size_t)(c->length[s] * all) * sizeof *x),
           *out = malloc((size_t)(c->length[s] * width) * sizeof *out);
    double *want_lse = malloc((size_t)(c->length[s] * c->n_head) * sizeof *want_lse);
    fill_rows(c, fx, dout);
    for (int i = 0; i < c->length[s] * all; i++)
        x[i] = fx[first * all + i];
    sequence_loss(c, x, dout + first * width, n, out, want_lse);
    for (int i = 0; i < c->length[s] * width; i++)
        ops_close_to("out", (size_t)i, got[first * width + i], i < n * width ? out[i] : 0, i < n * width ? 1e-5 : 0,
                     1e-5);
    for (int i = 0; i < c->length[s] * c->n_head; i++)
        ops_close_to("lse", (size_t)i, lse[first * c->n_head + i], i < n * c->n_head ? want_lse[i] : 0, 2e-6, 1e-6);
    for (int i = n * all; i < c->length[s] * all; i++)
        ops_close_to("padding", (size_t)i, dx[first * all + i], 0, 0, 0);
    for (int k = 0; k < samples; k++) {
        int i = (int)((double)(ops_random(77, (uint64_t)k) + 1) / 2 * n * all) % (n * all);
        double was = x[i], h = 1e-4;
        x[i] = was + h;
        double up = sequence_loss(c, x, dout + first * width, n, NULL, NULL);
        x[i] = was - h;
        double down = sequence_loss(c, x, dout + first * width, n, NULL, NULL);
        x[i] = was;
        ops_close_to("dx", (size_t)i, dx[first * all + i], (up - down) / (2 * h), 2e-5, 2e-5);
    }
    free(fx);
    free(dout);
    free(x);
    free(out);
    free(want_lse);
}

static const struct attend_case attend_cases[] = {
    {.n_head = 4,
     .n_kv_head = 2,
     .head_dim = 8,
     .causal = 1,
     .n_seq = 4,
     .length = {2, 18, 66, 1},
     .valid = {2, 17, 65, 1}},
    {.n_head = 3, .n_kv_head = 1, .head_dim = 17, .causal = 1, .n_seq = 2, .length = {64, 5}, .valid = {64, 4}},
    {.n_head = 2, .n_kv_head = 2, .head_dim = 40, .causal = 0, .n_seq = 3, .length = {33, 2, 16}, .valid = {31, 1, 16}},
    {.n_head = 6, .n_kv_head = 2, .head_dim = 16, .causal = 1, .n_seq = 2, .length = {270, 12}, .valid = {258, 12}},
    {.n_head = 1, .n_kv_head = 1, .head_dim = 64, .causal = 0, .n_seq = 1, .length = {300}, .valid = {299}},
    {.n_head = 4,
     .n_kv_head = 2,
     .head_dim = 16,
     .causal = 1,
     .n_seq = 2,
     .length = {340, 12},
     .valid = {338, 12},
     .window = 50},
    {.n_head = 2,
     .n_kv_head = 1,
     .head_dim = 8,
     .causal = 1,
     .n_seq = 2,
     .length = {40, 9},
     .valid = {39, 9},
     .window = 3,
     .soft_cap = 0.8f},
    {.n_head = 2,
     .n_kv_head = 2,
     .head_dim = 24,
     .causal = 0,
     .n_seq = 1,
     .length = {35},
     .valid = {35},
     .soft_cap = 2},
};

static void attention_and_gradient_match_oracle(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attend_cases / sizeof *attend_cases; i++) {
        const struct attend_case *c = &attend_cases[i];
        size_t n;
        float *got = ops_same_bits(attend_run, c, &n);
        for (int s = 0, first = 0; s < c->n_seq; first += c->length[s++])
            check_sequence(c, got, s, first, c->length[s] > 200 ? 10 : 60);
        free(got);
    }
}

static void attention_of_a_sequence_does_not_depend_on_its_batch(void **state)
{
    (void)state;
    struct attend_case
        c = {.n_head = 6,
             .n_kv_head = 2,
             .head_dim = 16,
             .causal = 1,
             .n_seq = 3,
             .length = {30, 270, 12},
             .valid = {29, 258, 12}},
        alone = {.n_head = 6, .n_kv_head = 2, .head_dim = 16, .causal = 1, .n_seq = 1, .length = {270}, .valid = {258}};
    size_t n, m, width = 96, all = 160;
    float *together = ops_same_bits(attend_run, &c, &n), *single = ops_same_bits(attend_run, &alone, &m);
    assert_memory_equal(together + 30 * width, single, 270 * width * 4);
    assert_memory_equal(together + 312 * width + 30 * 6, single + 270 * width, 270 * 6 * 4);
    assert_memory_equal(together + 312 * (width + 6) + 30 * all, single + 270 * (width + 6), 270 * all * 4);
    free(together);
    free(single);
}

struct loss_case {
    int rows, vocab;
    float scale, cap;
};

static size_t loss_run(struct ops *o, const void *parameter, float *out)
{
    const struct loss_case *c = parameter;
    size_t n = (size_t)(c->rows * c->vocab);
    float *x = malloc(n * 4 + 4);
    int32_t *targets = malloc((size_t)c->rows * 4 + 4);
    ops_fill(x, n, 21);
    for (int t = 0; t < c->rows; t++) {
        for (int i = 0; i < c->vocab; i++)
            x[t * c->vocab + i] = x[t * c->vocab + i] * 9 + (float)t;
        targets[t] = t == 2 ? -1 : (t * 7919) % c->vocab;
    }
    if (c->vocab > 4 && !(c->cap > 0))
        x[3] = -INFINITY;
    struct span bx = ops_new(o, x, n * 4), bt = ops_new(o, targets, (size_t)c->rows * 4),
                bn = ops_new(o, NULL, (size_t)c->rows * 4);
    tensor_cross_entropy(o->queue, &(struct cross_entropy_args){.n_row = c->rows,
                                                                .n_vocab = c->vocab,
                                                                .logits = bx,
                                                                .targets = bt,
                                                                .nll = bn,
                                                                .grad_scale = c->scale,
                                                                .soft_cap = c->cap});
    ops_get(o, out, bn, (size_t)c->rows * 4);
    ops_get(o, out + c->rows, bx, n * 4);
    free(x);
    free(targets);
    return (size_t)c->rows + n;
}

static void loss_check(const struct loss_case *c)
{
    size_t count, n = (size_t)(c->rows * c->vocab);
    float *got = ops_same_bits(loss_run, c, &count), *x = malloc(n * 4 + 4);
    ops_fill(x, n, 21);
    for (int t = 0; t < c->rows; t++) {
        double top = -INFINITY, sum = 0, *row = malloc((size_t)c->vocab * sizeof *row);
        for (int i = 0; i < c->vocab; i++) {
            row[i] = t == 0 && i == 3 && c->vocab > 4 && !(c->cap > 0) ? -INFINITY : x[t * c->vocab + i] * 9 + (float)t;
            top = row[i] > top ? row[i] : top;
        }
        for (int i = 0; i < c->vocab; i++)
            sum += exp(row[i] - top);
        int target = t == 2 ? -1 : (t * 7919) % c->vocab;
        ops_close_to("nll", (size_t)t, got[t], target < 0 ? 0 : top + log(sum) - row[target], 2e-6, 1e-6);
        for (int i = 0; i < c->vocab; i++) {
            double p = exp(row[i] - top) / sum - (i == target);
            double slope = c->cap > 0 ? 1 - row[i] / (double)c->cap * (row[i] / (double)c->cap) : 1;
            double want = target < 0 ? 0 : p * (double)c->scale * slope;
            if (c->scale == 0)
                want = row[i];
            size_t at = (size_t)(t * c->vocab + i);
            if (!(isinf(want) && (double)got[(size_t)c->rows + at] == want))
                ops_close_to("dlogits", at, got[(size_t)c->rows + at], want, 1e-7 * fabs((double)c->scale), 2e-6);
        }
        free(row);
    }
    free(got);
    free(x);
}

static void loss_and_gradient_match_oracle(void **state)
{
    (void)state;
    static const int vocab[] = {1, 2, 7, 15, 16, 17, 65, 255, 257, 49152};
    for (int i = 0; i < 10; i++) {
        loss_check(&(struct loss_case){vocab[i] > 10000 ? 5 : 7, vocab[i], 0.125f, 0});
        loss_check(&(struct loss_case){3, vocab[i], 0, 0});
        loss_check(&(struct loss_case){4, vocab[i], 0.125f, 16});
    }
}

enum { MOST_TOP = 64 };
struct divergence_case {
    int rows, vocab, top;
    float scale, cap;
    double rest; /* probability that is not listed; of row 1, 0 */
};

static int listed_id(const struct divergence_case *c, int row, int i)
{
    return (int)(((int64_t)i * 7919 + row) % c->vocab); /* distinct: 7919 is a prime that divides no vocabulary here */
}

/* How many outcomes of a row are listed: none of row 2, one of row 3. */
static int n_listed(const struct divergence_case *c, int row)
{
    if (row == 2)
        return 0;
    int n = row == 3 ? 1 : c->top;
    return n < c->vocab ? n : c->vocab;
}

static float teacher_logprob(const struct divergence_case *c, int row, int i)
{
    double sum = 0, rest = row == 1 || row == 3 ? 0 : c->rest;
    for (int k = 0; k < n_listed(c, row); k++)
        sum += exp(3 * (double)ops_random(72, (uint64_t)(row * MOST_TOP + k)));
    return (float)(3 * (double)ops_random(72, (uint64_t)(row * MOST_TOP + i)) - log(sum) + log1p(-rest));
}

static float student_logit(const struct divergence_case *c, int row, int i)
{
    float x = ops_random(71, (uint64_t)row * (uint64_t)c->vocab + (uint64_t)i) * 9 + (float)row;
    return row == 4 && i != listed_id(c, row, 0) ? x - 300 : x; /* a student that is all but sure of one outcome */
}

static size_t divergence_run(struct ops *o, const void *parameter, float *out)
{
    const struct divergence_case *c = parameter;
    size_t n = (size_t)(c->rows * c->vocab), lists = (size_t)(c->rows * c->top);
    float *x = malloc(n * 4 + 4), *logprobs = malloc(lists * 4);
    int32_t *ids = malloc(lists * 4);
    for (int t = 0; t < c->rows; t++) {
        for (int i = 0; i < c->vocab; i++)
            x[t * c->vocab + i] = student_logit(c, t, i);
        for (int i = 0; i < c->top; i++) {
            ids[t * c->top + i] = i < n_listed(c, t) ? listed_id(c, t, i) : -1;
            logprobs[t * c->top + i] = i < n_listed(c, t) ? teacher_logprob(c, t, i) : NAN;
        }
    }
    struct span bx = ops_new(o, x, n * 4), bi = ops_new(o, ids, lists * 4), bl = ops_new(o, logprobs, lists * 4),
                bn = ops_new(o, NULL, (size_t)c->rows * 4);
    tensor_divergence(o->queue, &(struct divergence_args){.n_row = c->rows,
                                                          .n_vocab = c->vocab,
                                                          .n_top = c->top,
                                                          .logits = bx,
                                                          .ids = bi,
                                                          .logprobs = bl,
                                                          .loss = bn,
                                                          .grad_scale = c->scale,
                                                          .soft_cap = c->cap});
    ops_get(o, out, bn, (size_t)c->rows * 4);
    ops_get(o, out + c->rows, bx, n * 4);
    free(x);
    free(ids);
    free(logprobs);
    return (size_t)c->rows + n;
}

/* What a row is held against: in double precision, from raw logits (before the cap). */
struct divergence_oracle {
    const struct divergence_case *c;
    int row;
    double *p; /* [vocab]: the teacher's, -1: not listed */
    double rest;
};

static double oracle_loss(const struct divergence_oracle *o, const double *raw)
{
    const struct divergence_case *c = o->c;
    double top = -INFINITY, all = 0, rest = 0, loss = 0, cap = (double)c->cap;
    for (int i = 0; i < c->vocab; i++)
        top = fmax(top, cap > 0 ? cap * tanh(raw[i] / cap) : raw[i]);
    for (int i = 0; i < c->vocab; i++) {
        double e = exp((cap > 0 ? cap * tanh(raw[i] / cap) : raw[i]) - top);
        all += e;
        rest += o->p[i] < 0 ? e : 0;
    }
    for (int i = 0; i < c->vocab; i++)
        if (o->p[i] > 0)
            loss += o->p[i] * (log(o->p[i]) - ((cap > 0 ? cap * tanh(raw[i] / cap) : raw[i]) - top - log(all)));
    return loss + (o->rest > 0 ? o->rest * (log(o->rest) - log(rest) + log(all)) : 0);
}

/* The same in closed form: what is listed q - p, the rest q (1 - p_rest / q_rest). */
static double oracle_gradient(const struct divergence_oracle *o, const double *raw, int at)
{
    const struct divergence_case *c = o->c;
    double top = -INFINITY, all = 0, rest = 0;
    for (int i = 0; i < c->vocab; i++)
        top = fmax(top, raw[i]);
    for (int i = 0; i < c->vocab; i++) {
        all += exp(raw[i] - top);
        rest += o->p[i] < 0 ? exp(raw[i] - top) : 0;
    }
    double e = exp(raw[at] - top);
    return o->p[at] >= 0 ? e / all - o->p[at] : e / all - o->rest * e / rest;
}

static void divergence_row_check(const struct divergence_oracle *o, float loss, const float *got)
{
    const struct divergence_case *c = o->c;
    double *raw = malloc((size_t)c->vocab * sizeof *raw), cap = (double)c->cap;
    for (int i = 0; i < c->vocab; i++) { /* the operator is given what the cap gave */
        double x = (double)student_logit(c, o->row, i);
        raw[i] = cap > 0 ? cap * atanh(fmax(-0.999999, fmin(0.999999, x / cap))) : x;
    }
    int none = n_listed(c, o->row) == 0;
    ops_close_to("divergence", (size_t)o->row, (double)loss, none ? 0 : oracle_loss(o, raw), 4e-5, 3e-6);
    for (int i = 0; i < c->vocab && c->scale != 0; i += c->vocab > 1000 ? 509 : 1) {
        double want = 0, was = raw[i];
        if (!none && cap > 0) { /* central differences, through the cap too */
            raw[i] = was + 1e-4;
            want = oracle_loss(o, raw);
            raw[i] = was - 1e-4;
            want = (want - oracle_loss(o, raw)) / 2e-4;
            raw[i] = was;
        } else if (!none) {
            want = oracle_gradient(o, raw, i);
        }
        double unit = fabs((double)c->scale);
        ops_close_to("dlogits", (size_t)i, (double)got[i], want * (double)c->scale, 4e-7 * unit, 5e-6);
    }
    free(raw);
}

static void divergence_check(const struct divergence_case *c)
{
    size_t count;
    float *got = ops_same_bits(divergence_run, c, &count);
    double *p = malloc((size_t)c->vocab * sizeof *p);
    for (int t = 0; t < c->rows; t++) {
        double rest = 1;
        for (int i = 0; i < c->vocab; i++)
            p[i] = -1;
        for (int i = 0; i < n_listed(c, t); i++) {
            p[listed_id(c, t, i)] = exp((double)teacher_logprob(c, t, i));
            rest -= p[listed_id(c, t, i)];
        }
        const struct divergence_oracle o = {c, t, p, c->vocab > n_listed(c, t) && rest > 1e-6 ? rest : 0};
        const float *row = got + c->rows + t * c->vocab;
        divergence_row_check(&o, got[t], row);
        for (int i = 0; i < c->vocab && c->scale == 0; i++)
            assert_true(row[i] == student_logit(c, t, i)); /* what was given stays */
    }
    free(p);
    free(got);
}

static void divergence_and_gradient_match_oracle(void **state)
{
    (void)state;
    static const int vocab[] = {1, 2, 15, 16, 17, 65, 257, 49152};
    for (int i = 0; i < 8; i++) {
        int top = vocab[i] < 100 ? 5 : MOST_TOP;
        divergence_check(&(struct divergence_case){5, vocab[i], top, 0.125f, 0, vocab[i] > 5 ? 0.2 : 0});
        if (vocab[i] > 1000)
            continue;
        divergence_check(&(struct divergence_case){5, vocab[i], top, 0, 0, vocab[i] > 5 ? 0.01 : 0});
        divergence_check(&(struct divergence_case){4, vocab[i], top, -0.5f, 16, vocab[i] > 5 ? 0.4 : 0});
    }
}

static size_t optimizer_run(struct ops *o, const void *parameter, float *out)
{
    size_t n = *(const size_t *)parameter, bytes = n * 4;
    float *x[4];
    struct span s[4], norm = ops_new(o, NULL, 8);
    for (int i = 0; i < 4; i++) {
        x[i] = malloc(bytes + 4);
        ops_fill(x[i], n, 41 + (uint64_t)i);
        for (size_t j = 0; i == 3 && j < n; j++)
            x[i][j] = fabsf(x[i][j]);
        s[i] = ops_new(o, x[i], bytes);
    }
    tensor_sum_squares(o->queue, &(struct sum_squares_args){n, s[1], norm, 0, 0});
    tensor_sum_squares(o->queue, &(struct sum_squares_args){n, s[0], norm, 1, 0});
    ops_get(o, out, norm, 8);
    tensor_adamw(o->queue, &(struct adamw_args){n, s[0], s[1], s[2], s[3], 0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f, 0.19f,
                                                0.0975f, DTYPE_F32, 0, 0, NULL, 0, 0});
    for (int i = 0; i < 4; i++)
        ops_get(o, out + 2 + (size_t)i * n, s[i], bytes);
    for (int i = 0; i < 4; i++)
        free(x[i]);
    return 2 + 4 * n;
}

/* A gradient that others have some blocks of is summed up as one that is whole. */
static void squares_of_blocks_apart_add_up_to_the_same(void **state)
{
    (void)state;
    enum { N = 3 * 4096 + 5, BLOCKS = 4 };
    struct ops o;
    static float x[N];
    double whole, blocks[BLOCKS], sum = 0;
    ops_open(&o, NULL, 2);
    ops_fill(x, N, 7);
    struct span from = ops_new(&o, x, sizeof x), norm = ops_new(&o, NULL, 8), apart = ops_new(&o, NULL, sizeof blocks);
    tensor_sum_squares(o.queue, &(struct sum_squares_args){.n = N, .x = from, .out = norm});
    tensor_sum_squares(o.queue, &(struct sum_squares_args){.n = N, .x = from, .out = apart, .apart = 1});
    ops_get(&o, &whole, norm, sizeof whole);
    ops_get(&o, blocks, apart, sizeof blocks);
    for (int i = 0; i < BLOCKS; i++)
        sum += blocks[i];
    assert_true(sum == whole && blocks[BLOCKS - 1] > 0);
    ops_close(&o);
}

static void optimizer_matches_oracle(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 7, 8, 9, 15, 16, 17, 63, 65, 4095, 4096, 4097, 100000};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        size_t n = counts[k], count;
        float *got = ops_same_bits(optimizer_run, &n, &count);
        double norm, want = 0;
        memcpy(&norm, got, 8);
        for (size_t i = 0; i < n; i++) {
            double p = ops_random(41, i), grad = ops_random(42, i), m = ops_random(43, i),
                   v = fabs((double)ops_random(44, i));
            want += grad * grad + p * p;
            double g = grad * 0.5;
            m = 0.9f * m + (1 - 0.9f) * g;
            v = 0.95f * v + (1 - 0.95f) * g * g;
            p = p * (1 - 0.001) - 0.01 * (m / 0.19f) / (sqrt(v / 0.0975f) + 1e-8f);
            ops_close_to("param", i, got[2 + i], p, 3e-7, 1e-6);
            ops_close_to("grad", i, got[2 + n + i], grad, 0, 0);
            ops_close_to("m", i, got[2 + 2 * n + i], m, 2e-7, 1e-6);
            ops_close_to("v", i, got[2 + 3 * n + i], v, 2e-7, 1e-6);
        }
        ops_close_to("sum of squares", 0, norm, want, 1e-12, 1e-13);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_and_gradient_match_oracle),
        cmocka_unit_test(attention_of_a_sequence_does_not_depend_on_its_batch),
        cmocka_unit_test(loss_and_gradient_match_oracle),
        cmocka_unit_test(divergence_and_gradient_match_oracle),
        cmocka_unit_test(squares_of_blocks_apart_add_up_to_the_same),
        cmocka_unit_test(optimizer_matches_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
