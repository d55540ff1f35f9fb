/* SPDX-License-Identifier: Apache-2.0 */
/* Divergence from distributions of which the greatest probabilities are known, and its gradient in the logits' place; a
 * row is a piece. What is listed and the rest are looked at apart, each from its own maximum, so that neither is lost
 * against the other. */
#include "cpu/kernels.h"
#include "cpu/vecmath.h"

#include <float.h>

struct divergence_work {
    const struct divergence_args *a;
    const struct kernels *k;
    struct queue *q;
};
/* Of one row: logits and probabilities of what is listed, greatest logit of each part, sum of the rest's exponentials
 * from `rest_max` and of all from `max`. */
struct divergence_row {
    const struct divergence_args *a;
    const int32_t *ids;
    const float *logprobs;
    int n_top;
    float z[DIVERGENCE_MAX_TOP], p[DIVERGENCE_MAX_TOP];
    double p_rest;
    float max, rest_max, rest_sum, sum;
};

/* Takes what is listed out of the row. */
static void take_listed(struct divergence_row *r, float *x, int row)
{
    const struct divergence_args *a = r->a;
    size_t at = (size_t)row * (size_t)a->n_top;
    double rest = 1;
    r->ids = (const int32_t *)cpu_ptr(a->ids) + at;
    r->logprobs = (const float *)cpu_ptr(a->logprobs) + at;
    r->max = -INFINITY;
    for (; r->n_top < a->n_top && r->ids[r->n_top] >= 0 && r->ids[r->n_top] < a->n_vocab; r->n_top++) {
        int i = r->n_top;
        float p = f_exp(r->logprobs[i]);
        r->z[i] = x[r->ids[i]];
        r->p[i] = p < FLT_MIN ? 0 : p;
        rest -= (double)r->p[i];
        x[r->ids[i]] = -INFINITY;
        r->max = r->z[i] > r->max ? r->z[i] : r->max;
    }
    r->p_rest = rest > (double)FLT_MIN && r->n_top < a->n_vocab ? rest : 0;
}

/* Sums; the rest's exponentials replace its logits when there is to be a gradient. */
static void sum_row(struct divergence_row *r, const struct kernels *k, float *x)
{
    r->rest_max = k->row_max(x, r->a->n_vocab);
    if (r->rest_max == -INFINITY) {
        r->p_rest = 0; /* there is none */
    } else {
        r->rest_sum = k->row_exp_sum(x, r->a->n_vocab, r->rest_max, r->a->grad_scale != 0);
        r->max = r->rest_max > r->max ? r->rest_max : r->max;
        r->sum = r->rest_sum * f_exp(r->rest_max - r->max);
    }
    for (int i = 0; i < r->n_top; i++)
        r->sum += f_exp(r->z[i] - r->max);
}

static float row_loss(const struct divergence_row *r)
{
    double loss = 0, log_sum = (double)r->max + (double)f_log(r->sum);
    for (int i = 0; i < r->n_top; i++)
        if (r->p[i] > 0)
            loss += (double)r->p[i] * ((double)r->logprobs[i] - ((double)r->z[i] - log_sum));
    if (r->p_rest > 0)
        loss += r->p_rest *
                ((double)f_log((float)r->p_rest) - ((double)r->rest_max + (double)f_log(r->rest_sum) - log_sum));
    return (float)loss;
}

/* Probability less what it should be; the rest's is shared out as its exponentials are. */
static void row_gradient(const struct divergence_row *r, const struct kernels *k, float *x)
{
    int n = r->a->n_vocab;
    float scale = r->a->grad_scale;
    if (r->rest_max == -INFINITY) {
        memset(x, 0, (size_t)n * sizeof *x);
    } else {
        double q_rest = (double)r->rest_sum * (double)f_exp(r->rest_max - r->max) / (double)r->sum;
        k->copy_scaled(x, x, (float)((q_rest - r->p_rest) / (double)r->rest_sum * (double)scale), n);
    }
    for (int i = 0; i < r->n_top; i++)
        x[r->ids[i]] = (f_exp(r->z[i] - r->max) / r->sum - r->p[i]) * scale;
}

static void divergence_row(void *context, int t, int worker)
{
    const struct divergence_work *w = context;
    const struct divergence_args *a = w->a;
    float *x = (float *)cpu_ptr(a->logits) + (size_t)t * (size_t)a->n_vocab, *loss = (float *)cpu_ptr(a->loss) + t,
          *capped = a->soft_cap > 0 && a->grad_scale != 0 ? cpu_scratch(w->q, worker) : NULL;
    if (capped)
        memcpy(capped, x, (size_t)a->n_vocab * sizeof *x);
    struct divergence_row r = {.a = a};
    take_listed(&r, x, t);
    if (!r.n_top) {
        *loss = 0;
        if (a->grad_scale != 0)
            memset(x, 0, (size_t)a->n_vocab * sizeof *x);
        return;
    }
    sum_row(&r, w->k, x);
    *loss = row_loss(&r);
    if (a->grad_scale == 0) {
        for (int i = 0; i < r.n_top; i++)
            x[r.ids[i]] = r.z[i];
        return;
    }
    row_gradient(&r, w->k, x);
    if (capped)
        w->k->soft_cap_dx(x, capped, a->soft_cap, (size_t)a->n_vocab);
}

void cpu_divergence(struct queue *q, const struct divergence_args *a)
{
    struct divergence_work w = {a, cpu_kernels(q), q};
    pool_run(cpu_pool(q), a->n_row, divergence_row, &w);
}
