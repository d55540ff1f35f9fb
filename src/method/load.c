/* SPDX-License-Identifier: Apache-2.0 */
#include "method/parts.h"

#include "base/mem.h"

#include <math.h>

int align_load_round(struct align *a, int round, int n, struct error *err)
{
    struct run_attempt *attempts = mem_resize(a->attempts, ((size_t)n + 1) * sizeof *attempts);
    if (!attempts)
        return error_set_nomem(err, (size_t)n * sizeof *attempts, "attempts");
    arena_free(&a->round_arena);
    a->attempts = attempts;
    a->n_attempt = n;
    a->round = round;
    for (int i = 0; i < n; i++)
        attempts[i] = (struct run_attempt){.index = i, .score = NAN, .verdict.match = -1};
    return a->run ? run_get_attempts(a->run, round, n, attempts, &a->round_arena, err) : 0;
}
