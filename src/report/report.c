/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include "base/mem.h"

void report_run_free(struct report_run *r)
{
    mem_free(r->arms);
    arena_free(&r->arena);
    *r = (struct report_run){0};
}
