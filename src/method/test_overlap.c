/* SPDX-License-Identifier: Apache-2.0 */
/* What of the method's data is in the test set: seeds that are test questions, and generated questions near one. Both
 * are left out unless --keep-test-overlap, and counted in any case: a model that was tuned on its test questions shows
 * nothing. */
#include "method/parts.h"

#include "base/mem.h"

#include <string.h>

int align_sift_of(struct sift **out, const struct sift_options *o, const struct seed *questions, int n,
                  struct error *err)
{
    int rc = sift_new(out, o, err);
    for (int i = 0; i < n && !rc; i++)
        rc = sift_add(*out, questions[i].question, i, err);
    return rc;
}

int align_is_tested(struct sift *tested, const struct seed *questions, const char *question, struct error *err)
{
    struct sift_match m;
    int rc = sift_nearest(tested, question, &m, err);
    return rc ? rc : m.name >= 0 && (m.f1 >= 1 || !strcmp(questions[m.name].question, question));
}

int align_open_overlap(struct align *a, struct error *err)
{
    int rc = 0;
    a->in_test = mem_calloc((size_t)a->seeds.n + 1, 1);
    if (!a->in_test)
        return error_set_nomem(err, (size_t)a->seeds.n, "seeds");
    if (a->o.test)
        rc = align_sift_of(&a->test_questions, &a->o.sift, a->test.items, a->test.n, err);
    for (int i = 0; a->test_questions && i < a->seeds.n && rc >= 0; i++) {
        rc = align_is_tested(a->test_questions, a->test.items, a->seeds.items[i].question, err);
        a->in_test[i] = rc == 1;
        a->overlap.seeds += rc == 1;
    }
    return rc < 0 ? rc : 0;
}

int align_near_test(struct align *a, const char *question, int *row, struct error *err)
{
    struct sift_match m = {-1, 0};
    int rc = a->test_questions ? sift_repeat(a->test_questions, question, &m, err) : 0;
    *row = m.name;
    return rc;
}

int align_count_overlap(struct align *a, struct error *err)
{
    int rc = 0, row;
    for (int i = 0; i < a->n_attempt && !rc; i += a->o.answers) {
        const struct run_attempt *t = &a->attempts[i];
        int kept = 0;
        if (!t->question.text)
            continue;
        for (int k = 0; k < a->o.answers; k++)
            kept |= t[k].verdict.kept;
        rc = align_near_test(a, t->question.text, &row, err);
        a->overlap.generated += !rc && row >= 0;
        a->overlap.kept += !rc && row >= 0 && kept;
        a->overlap.left_out += t->verdict.reason && !strcmp(t->verdict.reason, sift_reason_name(SIFT_TEST_OVERLAP));
    }
    return rc;
}

json_t *align_overlap_counts(const struct align *a)
{
    const struct overlap_counts *c = &a->overlap;
    const struct report_overlap overlap = {.threshold = a->o.sift.threshold,
                                           .seeds = c->seeds,
                                           .seeds_left_out = a->o.keep_test_overlap || a->untested ? 0 : c->seeds,
                                           .generated = c->generated,
                                           .left_out = c->left_out,
                                           .kept = c->kept};
    return report_overlap_json(&overlap);
}

int align_overlap_manifest(const struct align *a, struct error *err)
{
    return align_note_manifest(a, "test_overlap", align_overlap_counts(a), err);
}
