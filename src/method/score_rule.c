/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of scores: which are possible, and how high one must be in which round. */
#include "method/parts.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* The round-th number of "x,y,z", or the last one. 0, or -1: it is no such list, or a number is outside. */
static int number_of_round(const char *list, int round, double low, double high, double *out)
{
    char *end;
    for (int t = 1;; t++, list = end + 1) {
        double x = strtod(list, &end);
        if (end == list || !(x >= low && x <= high) || (*end && *end != ','))
            return -1;
        if (t <= round)
            *out = x;
        if (!*end)
            return 0;
    }
}

int align_score_check(const struct align_options *o, struct error *err)
{
    double x;
    if (o->answers > 1 && !o->answer.do_sample)
        return error_set(err, ERROR_USAGE,
                         "answers_per_question: %d wants --answer-do-sample: beams give the same answer each time",
                         o->answers);
    if (o->score == SCORE_REWARD_MODEL && !o->reward)
        return error_set(err, ERROR_USAGE, "--score reward: wanted --reward DIR, a reward model; found none");
    if (o->reward && o->score != SCORE_REWARD_MODEL)
        return error_set(err, ERROR_USAGE,
                         "--reward: nothing reads it but --score reward; give that too, or leave --reward out");
    if (o->score == SCORE_NONE && (o->min_score || o->min_rank))
        return error_set(err, ERROR_USAGE, "%s: wanted --score %s, found none",
                         o->min_score ? "min_score" : "min_score_rank", &ALIGN_SCORES[sizeof "none"]);
    if (o->min_score && number_of_round(o->min_score, 1, -1e300, 1e300, &x))
        return error_set(err, ERROR_USAGE, "min_score: wanted numbers with commas between, found \"%s\"", o->min_score);
    if (o->min_rank && number_of_round(o->min_rank, 1, 0, 1, &x))
        return error_set(err, ERROR_USAGE,
                         "min_score_rank: wanted numbers from 0 to 1 with commas between, found \"%s\"", o->min_rank);
    if (o->improve_steps > 1 && !o->min_score && !o->min_rank)
        return error_set(err, ERROR_USAGE,
                         "improve_steps: %d wants --min-score or --min-score-rank: each step would keep the same",
                         o->improve_steps);
    if (o->score == SCORE_CONTEXT_GAIN && o->answer_contexts == ALIGN_ANSWER_NONE)
        return error_set(err, ERROR_USAGE, "--score context-gain wants --answer-contexts nearest: what gains, else");
    if (o->improve_steps > 1 && (o->count == ALIGN_COUNT_KEPT || o->tune_loss == ALIGN_LOSS_SOFT))
        return error_set(err, ERROR_USAGE, "improve_steps: %d wants --count attempts and --tune-loss hard",
                         o->improve_steps);
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int align_least_score(const struct align *a, double *least, struct error *err)
{
    double share = 0, *all = NULL;
    int n = 0;
    *least = -INFINITY;
    if (a->o.min_score)
        number_of_round(a->o.min_score, a->round, -1e300, 1e300, least);
    if (!a->o.min_rank)
        return 0;
    number_of_round(a->o.min_rank, a->round, 0, 1, &share);
    all = mem_alloc(((size_t)a->n_attempt + 1) * sizeof *all);
    if (!all)
        return error_set_nomem(err, (size_t)a->n_attempt * sizeof *all, "scores");
    for (int i = 0; i < a->n_attempt; i++)
        if (isfinite(a->attempts[i].score))
            all[n++] = a->attempts[i].score;
    qsort(all, (size_t)n, sizeof *all, compare_numbers);
    int at = (int)(share * n);
    if (n)
        *least = fmax(*least, all[at < n ? at : n - 1]);
    mem_free(all);
    return 0;
}
