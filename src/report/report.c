/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include "base/mem.h"

#include <string.h>

void report_run_free(struct report_run *r)
{
    mem_free(r->arms);
    arena_free(&r->arena);
    *r = (struct report_run){0};
}

const char *report_fact_find(const struct report_facts *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->items[i].name, name))
            return f->items[i].value;
    return NULL;
}
