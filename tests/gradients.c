/* SPDX-License-Identifier: Apache-2.0 */
#include "gradients.h"

#include "check.h"

#include "train/parts.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_ROWS = 8 };

float *gradients_of(struct model *m, const struct gradient_rows *r, int recompute, const int *ends, int n_micro,
                    double *loss)
{
    const struct order_sizes sizes = {.rows = MOST_ROWS,
                                      .sequences = 2 * MOST_ROWS,
                                      .tokens = 64,
                                      .targets = 64,
                                      .step_tokens = 64,
                                      .step_targets = 64};
    const struct train_row *list[MOST_ROWS];
    struct pass p;
    struct buffer *b;
    size_t bytes = (size_t)(m->lora ? m->lora->n_element : m->n_element) * 4;
    float *out = malloc(bytes);
    assert_true(r->n <= MOST_ROWS);
    for (int i = 0; i < r->n; i++)
        list[i] = &r->rows[i];
    assert_int_equal(pass_new(&p, m, recompute, &sizes, NULL), 0);
    assert_int_equal(buffer_new(&b, m->device, bytes, "gradients", NULL), 0);
    for (size_t i = 0; i < bytes / 4; i++)
        out[i] = 1000; /* what an earlier step has left */
    struct span gradients = {b, 0};
    queue_upload(p.q, gradients, out, bytes);
    pass_begin(&p, gradients);
    for (int i = 0, begin = 0; i < n_micro; begin = ends[i++])
        pass_run(&p, list + begin, ends[i] - begin, r->scale, gradients);
    pass_end(&p, gradients);
    assert_int_equal(pass_loss(&p, loss, NULL), 0);
    queue_download(p.q, out, gradients, bytes);
    assert_int_equal(queue_wait(p.q, NULL), 0);
    buffer_free(b);
    pass_free(&p);
    return out;
}

static double summed_loss(const struct model *m, const double *flat, const struct gradient_rows *r)
{
    double loss = 0;
    for (int i = 0; i < r->n; i++)
        loss += oracle_loss(m, flat, &r->rows[i]);
    return loss;
}

static double difference(const struct model *m, double *flat, const struct gradient_rows *r, int64_t i)
{
    double keep = flat[i], h = 1e-4, up, down;
    flat[i] = keep + h;
    up = summed_loss(m, flat, r);
    flat[i] = keep - h;
    down = summed_loss(m, flat, r);
    flat[i] = keep;
    return (double)r->scale * (up - down) / (2 * h);
}

void gradients_check(const struct model *m, double *flat, const struct gradient_rows *r, const float *got, double loss,
                     const struct gradient_bound *bound)
{
    double wanted_loss = summed_loss(m, flat, r);
    if (!(fabs(loss - wanted_loss) < 1e-5 * wanted_loss))
        fail_msg("%s: loss %.9g, wanted %.9g", r->name, loss, wanted_loss);
    for (int k = 0; k < m->n_param; k++) {
        const struct model_param *p = &m->params[k];
        int64_t stride = p->count / 20 < bound->stride ? p->count / 20 : bound->stride;
        if (p->count <= 40)
            stride = 1;
        double worst = 0, greatest = 0;
        for (int64_t i = p->offset; i < p->offset + p->count; i += stride) {
            double wanted = difference(m, flat, r, i);
            greatest = fmax(greatest, fabs(wanted));
            worst = fmax(worst, fabs(wanted - (double)got[i]));
        }
        if (!(worst <= bound->relative * greatest + bound->absolute))
            fail_msg("%s, %s: gradients up to %g differ by %g", r->name, p->name, greatest, worst);
    }
}
