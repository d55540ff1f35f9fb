/* SPDX-License-Identifier: Apache-2.0 */
/* The attempts and questions that a report shows: for each reason the first ones, and where the last round is worse. */
#include "method/parts.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *own(struct report_run *r, const char *text, int *failed)
{
    const char *copy = text ? arena_strdup(&r->arena, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

/* Room for one more round's examples. */
static int grow(struct report_run *r, int round)
{
    enum { EACH = SIFT_REASON_COUNT * REPORT_EXAMPLES };
    struct report_attempt *all = arena_alloc(&r->arena, (size_t)round * EACH * sizeof *all);
    if (all && r->n_attempt)
        memcpy(all, r->attempts, (size_t)r->n_attempt * sizeof *all);
    r->attempts = all;
    return all ? 0 : -1;
}

int results_attempts(const struct recorded *d, struct report_round *x, struct report_run *r, struct error *err)
{
    int shown[SIFT_REASON_COUNT] = {0}, failed = grow(r, x->number);
    for (int i = 0; i < d->n_attempt && !failed; i++) {
        const struct run_attempt *t = &d->attempts[i];
        int reason = t->verdict.reason ? sift_reason_find(t->verdict.reason) : -1;
        x->asked_tokens += t->question.n;
        x->answered_tokens += t->answer.n;
        if (reason < 0 || shown[reason]++ >= REPORT_EXAMPLES)
            continue;
        r->attempts[r->n_attempt++] = (struct report_attempt){.round = x->number,
                                                              .index = i,
                                                              .question = own(r, t->question.text, &failed),
                                                              .answer = own(r, t->answer.text, &failed),
                                                              .reason = sift_reason_name((enum sift_reason)reason),
                                                              .f1 = t->verdict.f1};
    }
    return failed ? error_set_nomem(err, 4096, "attempts") : 0;
}

/* Newly flagged first, then the greatest loss; then by their number, so that the order is one. */
static int by_harm(const void *a, const void *b)
{
    const struct report_regression *x = a, *y = b;
    if (x->newly_flagged != y->newly_flagged)
        return y->newly_flagged - x->newly_flagged;
    double lost = isnan(x->change) ? 0 : x->change, other = isnan(y->change) ? 0 : y->change;
    if (lost < other)
        return -1;
    return lost > other ? 1 : x->index - y->index;
}

int results_regressions(const struct arms *arms, struct report_run *r, struct error *err)
{
    const struct arm *first = arms->n ? &arms->list[0] : NULL, *last = arms->n ? &arms->list[arms->n - 1] : NULL;
    int failed = 0;
    if (!last || !last->round || !arms->n_item)
        return 0;
    struct report_regression *all = mem_calloc((size_t)arms->n_item, sizeof *all);
    if (!all)
        return error_set_nomem(err, (size_t)arms->n_item * sizeof *all, "regressions");
    for (int i = 0; i < arms->n_item && arms->items[i].question; i++) {
        const struct run_result *x = &first->results[i], *y = &last->results[i];
        double change = y->logprob - x->logprob; /* over the same tokens */
        int flagged = x->flagged == 0 && y->flagged > 0;
        r->n_beside += !isnan(change) || (x->flagged >= 0 && y->flagged >= 0);
        if (flagged || change < 0)
            all[r->n_worse++] = (struct report_regression){.index = i,
                                                           .question = arms->items[i].question,
                                                           .before = x->text,
                                                           .after = y->text,
                                                           .newly_flagged = flagged,
                                                           .change = y->n_token > 0 ? change / y->n_token : NAN};
    }
    qsort(all, (size_t)r->n_worse, sizeof *all, by_harm);
    r->n_regression = r->n_worse < REPORT_REGRESSIONS ? r->n_worse : REPORT_REGRESSIONS;
    r->regressions = arena_alloc(&r->arena, ((size_t)r->n_regression + 1) * sizeof *r->regressions);
    failed = !r->regressions;
    for (int i = 0; i < r->n_regression && !failed; i++) {
        struct report_regression *x = &r->regressions[i];
        *x = all[i];
        x->question = own(r, x->question, &failed);
        x->before = own(r, x->before, &failed);
        x->after = own(r, x->after, &failed);
    }
    mem_free(all);
    return failed ? error_set_nomem(err, 4096, "regressions") : 0;
}
