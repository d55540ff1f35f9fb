/* SPDX-License-Identifier: Apache-2.0 */
/* The loss at target rows and its gradient in the logits' place; a row is a piece and stays in cache between its
 * passes. */
#include "cpu/kernels.h"
#include "cpu/vecmath.h"

struct loss_work {
    const struct cross_entropy_args *a;
    const struct kernels *k;
    float *logits, *nll;
    const int32_t *targets;
    struct queue *q;
};

static void loss_row(void *context, int t, int worker)
{
    const struct loss_work *w = context;
    int n = w->a->n_vocab, target = w->targets[t];
    float *x = w->logits + (size_t)t * (size_t)n, scale = w->a->grad_scale;
    if (target < 0 || target >= n) {
        w->nll[t] = 0;
        if (scale != 0)
            memset(x, 0, (size_t)n * sizeof *x);
        return;
    }
    float max = w->k->row_max(x, n), below = max - x[target],
          *capped = w->a->soft_cap > 0 && scale != 0 ? cpu_scratch(w->q, worker) : NULL;
    if (capped)
        memcpy(capped, x, (size_t)n * sizeof *x);
    float sum = w->k->row_exp_sum(x, n, max, scale != 0);
    w->nll[t] = f_log(sum) + below;
    if (scale == 0)
        return;
    w->k->copy_scaled(x, x, scale / sum, n);
    x[target] -= scale;
    if (capped)
        w->k->soft_cap_dx(x, capped, w->a->soft_cap, (size_t)n);
}

void cpu_cross_entropy(struct queue *q, const struct cross_entropy_args *a)
{
    struct loss_work w = {.q = q,
                          .a = a,
                          .k = cpu_kernels(q),
                          .logits = cpu_ptr(a->logits),
                          .nll = cpu_ptr(a->nll),
                          .targets = cpu_ptr(a->targets)};
    pool_run(cpu_pool(q), a->n_row, loss_row, &w);
}
