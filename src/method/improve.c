/* SPDX-License-Identifier: Apache-2.0 */
/* Improve steps: a round has the questions, answers and scores of the one before it and takes its place, with another
 * least score. */
#include "method/parts.h"

#include "base/mem.h"

#include <math.h>

void align_drop_improved(struct align *a)
{
    while (a->n_kept && a->kept[a->n_kept - 1].round >= align_asked_in(a))
        a->n_kept--;
}

static int copy_attempt(struct align *a, const struct run_attempt *from, struct error *err)
{
    struct run_attempt *to = &a->attempts[from->index];
    int rc = run_put_question(a->run, a->round, from->index, &from->question, err);
    if (!rc && from->neighbours.n)
        rc = run_put_neighbours(a->run, a->round, from->index, &from->neighbours, err);
    if (!rc && (from->answer.text || from->answer.error))
        rc = run_put_answer(a->run, a->round, from->index, &from->answer, err);
    if (!rc && isfinite(from->score))
        rc = run_put_score(a->run, a->round, from->index, from->score, err);
    *to = *from;
    to->verdict = (struct run_verdict){.match = -1};
    return rc;
}

int align_take_over(struct align *a, struct error *err)
{
    int n = a->n_attempt;
    if (!n || a->attempts[0].question.text || a->attempts[0].question.error) /* all come in one commit */
        return 0;
    struct run_attempt *before = mem_calloc((size_t)n, sizeof *before);
    if (!before)
        return error_set_nomem(err, (size_t)n * sizeof *before, "attempts");
    int rc = run_get_attempts(a->run, a->round - 1, n, before, &a->round_arena, err);
    rc = rc ? rc : run_begin(a->run, err);
    for (int i = 0; i < n && !rc; i++)
        rc = copy_attempt(a, &before[i], err);
    if (!rc)
        rc = run_commit(a->run, err);
    else
        run_rollback(a->run);
    mem_free(before);
    return rc;
}
