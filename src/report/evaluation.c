/* SPDX-License-Identifier: Apache-2.0 */
#include "report/evaluation.h"

/* A text of the tree's own; NULL stays NULL. */
static const char *own(struct report_evaluation *e, const char *text, int *failed)
{
    const char *copy = text ? arena_strdup(&e->arena, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

int report_evaluation_begin(struct report_evaluation *e, const struct report_basis *basis, struct error *err)
{
    int failed = 0;
    *e = (struct report_evaluation){.basis = *basis, .n = basis->n_row - basis->n_missing};
    e->basis.task = own(e, basis->task, &failed);
    e->basis.style = own(e, basis->style, &failed);
    e->basis.judge = own(e, basis->judge, &failed);
    e->basis.judge_sha256 = own(e, basis->judge_sha256, &failed);
    return failed ? error_set_nomem(err, 64, "a report") : 0;
}

static struct report_entry *add(struct report_evaluation *e, enum report_entry_kind kind, const char *name,
                                struct error *err)
{
    struct report_entry *x = arena_alloc(&e->arena, sizeof *x);
    const char *copy = arena_strdup(&e->arena, name);
    if (!x || !copy) {
        error_set_nomem(err, sizeof *x, "a report");
        return NULL;
    }
    *x = (struct report_entry){.kind = kind, .name = copy};
    if (e->last)
        e->last->next = x;
    else
        e->first = x;
    e->last = x;
    return x;
}

int report_evaluation_value(struct report_evaluation *e, const char *name, const struct report_value *value,
                            struct error *err)
{
    struct report_entry *x = add(e, REPORT_VALUE, name, err);
    if (x)
        x->value = *value;
    return x ? 0 : ERROR_NOMEM;
}

int report_evaluation_fact(struct report_evaluation *e, const char *name, json_t *fact, struct error *err)
{
    struct report_entry *x = fact ? add(e, REPORT_FACT, name, err) : NULL;
    if (x)
        x->fact = fact;
    else
        json_decref(fact);
    return x ? 0 : error_set_nomem(err, 64, "a report");
}

int report_evaluation_note(struct report_evaluation *e, const char *text, struct error *err)
{
    return add(e, REPORT_NOTE, text, err) ? 0 : ERROR_NOMEM;
}

void report_evaluation_free(struct report_evaluation *e)
{
    for (struct report_entry *x = e->first; x; x = x->next)
        json_decref(x->fact);
    arena_free(&e->arena);
    *e = (struct report_evaluation){0};
}
