/* SPDX-License-Identifier: Apache-2.0 */
/* Retrieval for the questions worth answering, and the verdicts. A question that fails for reasons known before the
 * round's answers (its own form, a repeat of a seed or of an earlier round, the same words as an earlier question of
 * this round) is not answered. Verdicts are then given in index order over everything. */
#include "method/parts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static const char *question_of(const struct seed *s)
{
    return s->question;
}

static const char *answer_of(const struct seed *s)
{
    return s->answer;
}

/* Words from the seeds' mean less so many standard deviations to that and as many, within what is there. */
static void bound_words(const struct align *a, const char *(*text)(const struct seed *), int *least, int *most)
{
    double sum = 0, squares = 0, n = a->n_given;
    for (int i = 0; i < a->n_given; i++) {
        double words = sift_count_words(text(&a->seeds.items[a->given[i]]));
        sum += words;
        squares += words * words;
    }
    double mean = sum / n, half = a->o.sift.deviations * sqrt(fmax(squares / n - mean * mean, 0));
    *least = (int)fmax(*least, ceil(mean - half - 1e-9));
    *most = (int)fmin(*most, floor(mean + half + 1e-9));
}

static int align_sift_before(struct align *a, struct sift **out, struct error *err)
{
    struct sift_options o = a->o.sift;
    if (o.deviations > 0) {
        bound_words(a, question_of, &o.question_min_words, &o.question_max_words);
        bound_words(a, answer_of, &o.answer_min_words, &o.answer_max_words);
    }
    int rc = sift_new(out, &o, err);
    for (int i = 0; i < a->seeds.n && !rc;
         i++) /* held-out seeds too: what is made must not repeat what it is measured on */
        rc = sift_add(*out, a->seeds.items[i].question, -2, err);
    for (int i = 0; i < a->n_kept && !rc; i++)
        rc = sift_add(*out, a->kept[i].question, -2, err);
    if (rc) {
        sift_free(*out);
        *out = NULL;
    }
    return rc;
}

/* Why the question alone is rejected, against seeds and earlier rounds and the same words earlier in this round;
 * SIFT_KEPT if it is not. */
static int align_question_fault(struct align *a, struct sift *before, int index, enum sift_reason *reason, int *match,
                                struct error *err)
{
    const struct run_text *q = &a->attempts[index].question;
    struct sift_match m = {-1, 0};
    int rc = 0;
    *match = -1;
    *reason = q->error
                  ? SIFT_ERROR
                  : sift_question(before, &(struct sift_text){q->text, q->ended,
                                                              q->text && prompt_question_parses(&a->speaker, q->text)});
    if (*reason == SIFT_KEPT && !(rc = sift_repeat(before, q->text, &m, err)) && m.name != -1) {
        *reason = SIFT_QUESTION_REPEAT;
        *match = m.name < 0 ? -1 : m.name;
    }
    for (int j = 0; j < index - index % a->o.answers && *reason == SIFT_KEPT && !rc; j++)
        if (a->attempts[j].question.text && !strcmp(a->attempts[j].question.text, q->text)) {
            *reason = SIFT_QUESTION_REPEAT;
            *match = j;
        }
    int row = -1;
    if (*reason == SIFT_KEPT && !rc && !a->o.keep_test_overlap)
        rc = align_near_test(a, q->text, &row, err);
    if (row >= 0) {
        *reason = SIFT_TEST_OVERLAP;
        *match = row;
    }
    return rc;
}

/* Questions to retrieve for: their first attempts. */
static int worth_answering(struct align *a, int *list, int *n, struct error *err)
{
    struct sift *before;
    int rc = align_sift_before(a, &before, err), match;
    *n = 0;
    for (int i = 0; i < a->n_attempt && !rc; i += a->o.answers) {
        enum sift_reason reason;
        if (a->attempts[i].neighbours.n)
            continue;
        rc = align_question_fault(a, before, i, &reason, &match, err);
        if (!rc && reason == SIFT_KEPT)
            list[(*n)++] = i;
    }
    sift_free(before);
    return rc;
}

static int put_neighbours(struct align *a, int index, const struct retriever_hit *hits, int found, struct error *err)
{
    int *items = arena_alloc(&a->round_arena, (size_t)found * sizeof *items + 1);
    double *nearness = arena_alloc(&a->round_arena, (size_t)found * sizeof *nearness + 1);
    if (!items || !nearness)
        return error_set_nomem(err, (size_t)found * 12, "neighbours");
    for (int i = 0; i < found; i++) {
        items[i] = hits[i].index;
        nearness[i] = hits[i].score;
    }
    int rc = 0;
    for (int i = index; i < index + a->o.answers && !rc; i++) {
        struct run_neighbours *near = &a->attempts[i].neighbours;
        *near = (struct run_neighbours){items, nearness, found};
        rc = a->run ? run_put_neighbours(a->run, a->round, i, near, err) : 0;
    }
    return rc;
}

int align_retrieve(struct align *a, struct error *err)
{
    size_t n_all = (size_t)a->n_attempt + 1;
    int *list = mem_calloc(n_all, sizeof *list), *found = mem_calloc(n_all, sizeof *found), n = 0;
    const char **texts = mem_calloc(n_all, sizeof *texts);
    struct retriever_hit *hits = mem_calloc(n_all * (size_t)a->o.k, sizeof *hits);
    int rc = list && found && texts && hits ? worth_answering(a, list, &n, err)
                                            : error_set_nomem(err, n_all * sizeof *hits, "neighbours");
    for (int i = 0; i < n && !rc; i++)
        texts[i] = a->attempts[list[i]].question.text;
    if (!rc && n)
        rc = pairs_nearest(&a->pool, &a->speaker, &(struct pair_query){texts, n, a->o.k}, hits, found, err);
    if (!rc && a->run)
        rc = run_begin(a->run, err);
    for (int i = 0; i < n && !rc; i++)
        rc = put_neighbours(a, list[i], hits + (size_t)i * (size_t)a->o.k, found[i], err);
    if (a->run && !rc)
        rc = run_commit(a->run, err);
    else if (a->run)
        run_rollback(a->run);
    mem_free(list);
    mem_free(found);
    mem_free(texts);
    mem_free(hits);
    return rc;
}

static int answer_fault(struct align *a, struct sift *s, const struct run_attempt *t, enum sift_reason *reason,
                        int *match, struct error *err)
{
    const char **contexts = mem_calloc((size_t)t->answer.n_context + 1, sizeof *contexts);
    struct sift_match m;
    int rc = contexts ? 0 : error_set_nomem(err, 64, "contexts");
    *reason =
        t->answer.error
            ? SIFT_ERROR
            : sift_answer(s, &(struct sift_text){t->answer.text, t->answer.ended,
                                                 t->answer.text && prompt_answer_parses(&a->speaker, t->answer.text)});
    if (!rc && *reason == SIFT_KEPT) {
        for (int i = 0; i < t->answer.n_context; i++)
            contexts[i] = a->pool.items[t->answer.contexts[i]].answer;
        rc = sift_copied(s, t->answer.text, contexts, t->answer.n_context, &m, err);
        if (!rc && m.name >= 0 && m.f1 > a->o.sift.copy) {
            *reason = SIFT_ANSWER_COPIED;
            *match = t->answer.contexts[m.name];
        }
    }
    mem_free(contexts);
    return rc;
}

/* The same answer again is not another one of its question. */
static void find_repeated(struct align *a, int first, enum sift_reason *reasons)
{
    for (int i = 1; i < a->o.answers; i++)
        for (int k = 0; k < i && reasons[i] == SIFT_KEPT; k++)
            if (reasons[k] == SIFT_KEPT &&
                !strcmp(a->attempts[first + i].answer.text, a->attempts[first + k].answer.text)) {
                reasons[i] = SIFT_ANSWER_REPEAT;
                a->attempts[first + i].verdict.match = first + k;
            }
}

/* Is answer i before k by score? Those of one score are in their order, and without scores all are. */
static int is_better(const struct run_attempt *answers, int i, int k)
{
    double x = answers[i].score, y = answers[k].score;
    return x > y || (!(y > x) && i < k);
}

/* Of a question's answers that pass the rules: those with a score too low go, then all but the best. */
static void choose_best(const struct align *a, int first, double least, enum sift_reason *reasons)
{
    const struct run_attempt *answers = a->attempts + first;
    int n = a->o.answers, before[ALIGN_MOST_ANSWERS] = {0};
    for (int i = 0; i < n && a->o.score; i++)
        if (reasons[i] == SIFT_KEPT && !(answers[i].score >= least)) /* one without a score too */
            reasons[i] = SIFT_SCORE_LOW;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            before[i] += k != i && reasons[k] == SIFT_KEPT && is_better(answers, k, i);
    for (int i = 0; i < n && a->o.keep_best; i++)
        if (reasons[i] == SIFT_KEPT && before[i] >= a->o.keep_best)
            reasons[i] = SIFT_SCORE_BEATEN;
}

/* Verdicts on a question's answers, the first of which is the attempt `first`. */
struct sifting {
    struct sift *sift;
    double least;         /* score of an answer */
    int most_kept, *kept; /* stop keeping after that many (when kept ones are counted, not attempts) */
};

static int answer_reasons(struct align *a, const struct sifting *w, int first, enum sift_reason *reasons,
                          struct error *err)
{
    struct sift_match nearest = {-1, 0};
    enum sift_reason question;
    const char *text = a->attempts[first].question.text;
    int match, rc = align_question_fault(a, w->sift, first, &question, &match, err);
    if (!rc && text)
        rc = sift_nearest(w->sift, text, &nearest, err);
    for (int i = 0; i < a->o.answers && !rc; i++) {
        struct run_attempt *t = &a->attempts[first + i];
        t->verdict = (struct run_verdict){.match = match, .f1 = nearest.f1};
        reasons[i] = question;
        if (question == SIFT_KEPT)
            rc = answer_fault(a, w->sift, t, &reasons[i], &t->verdict.match, err);
    }
    if (!rc && question == SIFT_KEPT) {
        find_repeated(a, first, reasons);
        choose_best(a, first, w->least, reasons);
    }
    return rc;
}

static int question_verdicts(struct align *a, const struct sifting *w, int first, struct error *err)
{
    enum sift_reason reasons[ALIGN_MOST_ANSWERS];
    int any = 0, rc = answer_reasons(a, w, first, reasons, err);
    for (int i = 0; i < a->o.answers && !rc; i++) {
        struct run_attempt *t = &a->attempts[first + i];
        if (reasons[i] == SIFT_KEPT && *w->kept >= w->most_kept)
            reasons[i] = SIFT_ENOUGH;
        t->verdict.reason = sift_reason_name(reasons[i]);
        t->verdict.kept = reasons[i] == SIFT_KEPT;
        *w->kept += t->verdict.kept;
        if (t->verdict.kept && !any)
            rc = sift_add(w->sift, t->question.text, first + i, err);
        any |= t->verdict.kept;
        if (!rc && a->run)
            rc = run_put_verdict(a->run, a->round, first + i, &t->verdict, err);
    }
    return rc;
}

int align_verdicts(struct align *a, int most_kept, int *kept, struct error *err)
{
    struct sifting w = {.most_kept = most_kept, .kept = kept};
    int rc = align_sift_before(a, &w.sift, err);
    rc = rc ? rc : align_least_score(a, &w.least, err);
    *kept = 0;
    if (!rc && a->run)
        rc = run_begin(a->run, err);
    for (int i = 0; i < a->n_attempt && !rc; i += a->o.answers)
        rc = question_verdicts(a, &w, i, err);
    if (a->run && !rc)
        rc = run_commit(a->run, err);
    else if (a->run)
        run_rollback(a->run);
    sift_free(w.sift);
    return rc;
}
