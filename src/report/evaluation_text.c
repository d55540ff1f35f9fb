/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation's tree as the table that people read. */
#include "report/evaluation.h"

#include <math.h>
#include <stdlib.h>

static void say_basis(struct buf *text, const struct report_evaluation *e)
{
    const struct report_basis *b = &e->basis;
    buf_printf(text, "%s: n %d of %d, missing %d, truncated %d, unparsed %d, threshold ", b->task, e->n, b->n_row,
               b->n_missing, b->n_truncated, b->n_unparsed);
    if (isnan(b->threshold))
        buf_puts(text, "none");
    else
        buf_printf(text, "%g", b->threshold);
    buf_printf(text, "\nprompt style %s, judge %s", b->style ? b->style : "none (outputs were read)",
               b->judge ? b->judge : "none (computed)");
    if (b->judge_sha256)
        buf_printf(text, " sha256 %.16s", b->judge_sha256);
    buf_putc(text, '\n');
}

static void say_value(struct buf *text, const char *name, const struct report_value *v)
{
    buf_printf(text, "  %-26s %10.4f", name, v->value);
    if (!isnan(v->low) && !isnan(v->high))
        buf_printf(text, " [%10.4f, %10.4f]", v->low, v->high);
    else
        buf_printf(text, "%25s", "");
    buf_printf(text, "  n %d%s\n", v->n, v->partial ? " *" : "");
    if (!isnan(v->p))
        buf_printf(text, "  %s: Wilcoxon signed-rank p %.3g over %d rows that differ\n", name, v->p, v->n_tested);
}

static void say_fact(struct buf *text, const char *name, const json_t *fact)
{
    char *value = json_dumps(fact, JSON_ENCODE_ANY | JSON_COMPACT);
    if (value)
        buf_printf(text, "  %-26s %s\n", name, value);
    else
        text->failed = 1;
    free(value);
}

int report_evaluation_text(const struct report_evaluation *e, struct buf *text, struct error *err)
{
    say_basis(text, e);
    for (const struct report_entry *x = e->first; x; x = x->next) {
        switch (x->kind) {
        case REPORT_VALUE: say_value(text, x->name, &x->value); break;
        case REPORT_FACT: say_fact(text, x->name, x->fact); break;
        case REPORT_NOTE: buf_printf(text, "%s\n", x->name); break;
        }
    }
    if (e->complete == REPORT_PARTIAL)
        buf_puts(text, "* over fewer than all rows\n");
    return text->failed ? error_set_nomem(err, text->len, "a report") : 0;
}
