/* SPDX-License-Identifier: Apache-2.0 */
#include "report/comparison.h"

#include <string.h>

void report_comparison_free(struct report_comparison *c)
{
    for (int i = 0; i < c->n_arm; i++)
        json_decref(c->arms[i].options);
    json_decref(c->about);
    arena_free(&c->arena);
    *c = (struct report_comparison){.n = 0};
}

int report_is_cost(const char *metric)
{
    static const char *const kinds[] = {"answers.", "general.", "over_refusal."};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(metric, kinds[i], strlen(kinds[i])))
            return 1;
    return 0;
}

int report_metric_size(const struct report_comparison *c, int i)
{
    const struct report_measured *a = &c->list[i];
    int n = 1;
    for (const struct report_measured *b = a + 1; i + n < c->n; b++, n++)
        if (strcmp(a->model, b->model) != 0 || strcmp(a->test, b->test) != 0 || strcmp(a->metric, b->metric) != 0)
            break;
    return n;
}

static void put_place(const struct report_comparison *c, const struct report_measured *m, struct buf *out)
{
    buf_puts(out, m->metric);
    if (*m->test)
        buf_printf(out, ", test %s", m->test);
    if (c->n_model > 1)
        buf_printf(out, ", model %s", m->model);
}

void report_finding_text(const struct report_comparison *c, const struct report_finding *f, struct buf *out)
{
    const struct report_beside *b = f->beside;
    put_place(c, f->arm, out);
    buf_puts(out, ": ");
    buf_printf(out, "of %d arm%s that %s no control ", f->n_arm, f->n_arm == 1 ? "" : "s",
               f->n_arm == 1 ? "is" : "are");
    if (f->n_better)
        buf_printf(out, "%d %s", f->n_better, f->n_better == 1 ? "is" : "are");
    else
        buf_puts(out, "none is");
    buf_printf(out,
               " better than the best control; furthest ahead: %s, %+.4f (%+.4f to %+.4f) against %s (%.4f, %s is "
               "better), p %.2g after Holm",
               f->arm->arm, b->change, b->low, b->high, f->control->arm, f->control->mean, f->arm->better, b->p_holm);
}
