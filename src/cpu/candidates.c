/* SPDX-License-Identifier: Apache-2.0 */
/* The best few ids of each row after the logit processors, which work on a copy in the worker's scratch if they change
 * anything; one pass over it keeps a short sorted list. */
#include "cpu/rules.h"
#include "cpu/vecmath.h"

struct candidates_work {
    struct queue *q;
    const struct candidates_args *a;
    const struct kernels *k;
};

static void candidates_row(void *context, int t, int worker)
{
    const struct candidates_work *w = context;
    const struct candidates_args *a = w->a;
    size_t row = (size_t)t * (size_t)a->n_top;
    float *x = (float *)cpu_ptr(a->logits) + (size_t)t * (size_t)a->n_vocab, *raw = (float *)cpu_ptr(a->raw) + row,
          *scores = x;
    const float *bias = cpu_ptr(a->bias);
    float max = w->k->row_max(x, a->n_vocab), log_sum = f_log(w->k->row_exp_sum(x, a->n_vocab, max, 0));
    if (a->log_softmax || rules_change(&a->rules, t))
        scores = cpu_scratch(w->q, worker);
    if (a->log_softmax)
        w->k->row_log_softmax(scores, x, a->n_vocab, max, log_sum);
    else if (scores != x)
        memcpy(scores, x, (size_t)a->n_vocab * sizeof *x);
    rules_apply(&a->rules, t, scores, a->n_vocab);
    struct top_list top = {
        .max = a->n_top, .values = (float *)cpu_ptr(a->values) + row, .ids = (int32_t *)cpu_ptr(a->ids) + row};
    w->k->row_top(&top, scores, a->n_vocab, bias ? &bias[t] : NULL);
    for (int i = 0; i < top.n; i++)
        raw[i] = (x[top.ids[i]] - max) - log_sum;
    for (int i = top.n; i < a->n_top; i++) {
        top.values[i] = -INFINITY;
        raw[i] = isnan(log_sum) ? log_sum : -INFINITY;
        top.ids[i] = -1;
    }
}

void cpu_candidates(struct queue *q, const struct candidates_args *a)
{
    struct candidates_work w = {q, a, cpu_kernels(q)};
    pool_run(cpu_pool(q), a->n_top > 0 ? a->n_row : 0, candidates_row, &w);
}
