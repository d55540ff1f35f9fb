/* SPDX-License-Identifier: Apache-2.0 */
#include "report/comparison.h"

void report_comparison_free(struct report_comparison *c)
{
    for (int i = 0; i < c->n_arm; i++)
        json_decref(c->arms[i].options);
    json_decref(c->about);
    arena_free(&c->arena);
    *c = (struct report_comparison){.n = 0};
}
