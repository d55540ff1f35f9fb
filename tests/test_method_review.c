/* SPDX-License-Identifier: Apache-2.0 */
/* What a person decides of a round that waits for review: struck, accepted, edited and added pairs, what cannot be
 * done, and that the run goes on with it, verified and exported. */
#include "tests/check.h"
#include "tests/tiny_align.h"

#include "io/jsonl.h"
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

static char output[1100];

static void options(struct align_options *o)
{
    tiny_align_options(o, output);
    o->rounds = 1;
    o->attempts = 8;
    o->sift.answer_max_words = 5; /* so that some are rejected */
    o->pool = ALIGN_POOL_GROWN;
    o->review = 1;
}

static int setup(void **state)
{
    struct align_options o;
    struct align_result r;
    int rc = tiny_align_setup(state);
    snprintf(output, sizeof output, "%s/review", tiny.root);
    options(&o);
    tiny_align(&o, 1, &r);
    assert_int_equal(r.stopped_for_review, 1);
    align_result_free(&r);
    return rc;
}

static struct run *beside(void)
{
    struct run *r = NULL;
    assert_int_equal(run_open_beside(&r, output, NULL), 0);
    return r;
}

/* The n-th attempt that was kept, or was not although it has an answer. */
static int find(struct run *r, int kept, int n)
{
    struct run_attempt all[8];
    struct arena arena = ARENA_INIT;
    int found = -1;
    assert_int_equal(run_get_attempts(r, 1, 8, all, &arena, NULL), 0);
    for (int i = 0; i < 8 && found < 0; i++)
        if (all[i].verdict.kept == kept && all[i].answer.text && !n--)
            found = i;
    arena_free(&arena);
    assert_true(found >= 0);
    return found;
}

static void decide(struct run *r, enum review_action action, int index, const char *question, const char *answer)
{
    char id[40];
    struct error err = {0, ""};
    const struct review_decision d = {action, 1, index, question, answer};
    if (method_review(r, &d, id, &err))
        fail_msg("%s", err.message);
}

static void refuse(struct run *r, const struct review_decision *d, int code, const char *words)
{
    char id[40];
    struct error err = {0, ""};
    assert_int_equal(method_review(r, d, id, &err), code);
    if (!strstr(err.message, words))
        fail_msg("wanted \"%s\" in \"%s\"", words, err.message);
}

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    struct run *r = beside(), *other = beside();
    int kept = find(r, 1, 0), rejected = find(r, 0, 0);
    refuse(r, &(struct review_decision){REVIEW_STRIKE, 1, rejected, NULL, NULL}, ERROR_CONFIG, "nothing to strike");
    refuse(r, &(struct review_decision){REVIEW_STRIKE, 1, 99, NULL, NULL}, ERROR_CONFIG, "no attempt 99");
    refuse(r, &(struct review_decision){REVIEW_STRIKE, 2, 0, NULL, NULL}, ERROR_CONFIG, "does not wait for review");
    refuse(r, &(struct review_decision){REVIEW_EDIT, 1, kept, " \n", "x"}, ERROR_USAGE, "white space");
    refuse(r, &(struct review_decision){REVIEW_ADD, 1, 0, "x", NULL}, ERROR_USAGE, "answer: wanted a text");
    assert_int_equal(run_lock(other, NULL), 0); /* as the process that works on the run has it */
    refuse(r, &(struct review_decision){REVIEW_STRIKE, 1, kept, NULL, NULL}, ERROR_UNAVAILABLE, "is working on this");
    run_unlock(other);
    run_close(other);
    run_close(r);
}

static int count_lines(void *user, const char *name, const char *value, struct error *err)
{
    (void)name;
    (void)value;
    (void)err;
    ++*(int *)user;
    return 0;
}

static void what_was_decided_is_done_and_stays_known(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result r;
    struct run *run = beside();
    int struck = find(run, 1, 0), edited = find(run, 1, 1), accepted = find(run, 0, 0), facts = 0, kept = 0;
    decide(run, REVIEW_STRIKE, edited, NULL, NULL);
    decide(run, REVIEW_UNDO, edited, NULL, NULL);
    decide(run, REVIEW_STRIKE, struck, NULL, NULL);
    decide(run, REVIEW_EDIT, edited, "What did a person ask?", "What a person says.");
    decide(run, REVIEW_ACCEPT, accepted, NULL, NULL);
    decide(run, REVIEW_ADD, 0, "What is the first of mine?", "This.");
    decide(run, REVIEW_ADD, 0, "What is the second of mine?", "That.");
    decide(run, REVIEW_UNDO, -1, NULL, NULL); /* the first */
    decide(run, REVIEW_ADD, 0, "What is the third of mine?", "Those.");
    assert_int_equal(run_get_facts(run, "review-", &(struct run_fact_looker){count_lines, &facts}, NULL), 0);
    assert_int_equal(facts, 5);
    run_close(run);

    options(&o);
    o.resume = 1;
    tiny_align(&o, 1, &r);
    assert_true(r.report.review.struck == 1 && r.report.review.accepted == 1);
    assert_true(r.report.review.edited == 1 && r.report.review.added == 2);
    align_result_free(&r);

    char path[1200];
    json_t *rows = NULL;
    snprintf(path, sizeof path, "%s/round-1/generated.jsonl", output);
    assert_int_equal(jsonl_load(&rows, path, NULL), 0);
    for (int i = 0; i < 8; i++)
        kept += json_is_true(json_object_get(json_array_get(rows, (size_t)i), "kept"));
    json_t *row = json_array_get(rows, (size_t)edited);
    assert_string_equal(json_string_value(json_object_get(row, "answer")), "What a person says.");
    assert_true(json_is_null(json_object_get(json_object_get(row, "answer_facts"), "n_tokens")));
    row = json_array_get(rows, (size_t)struck);
    assert_string_equal(json_string_value(json_object_get(row, "reason")), "struck");
    row = json_array_get(rows, (size_t)accepted);
    assert_string_equal(json_string_value(json_object_get(row, "reason")), "kept");
    json_decref(rows);

    struct buf out = BUF_INIT;
    struct export_counts n = {0};
    assert_int_equal(method_export(output, &(struct export_options){EXPORT_CSV, 0}, &out, &n, NULL), 0);
    assert_int_equal(n.kept, kept + 2);
    assert_non_null(strstr(out.data, "r1-p1,What is the second of mine?,That."));
    assert_null(strstr(out.data, "first of mine"));
    buf_free(&out);

    run = beside();
    refuse(run, &(struct review_decision){REVIEW_STRIKE, 1, edited, NULL, NULL}, ERROR_CONFIG, "does not wait");
    run_close(run);
}

static void the_run_is_verified_and_goes_on_to_another_round(void **state)
{
    (void)state;
    struct report_run r;
    struct align_options o;
    struct align_result more;
    struct differences x = {0};
    struct device *d = tiny_device(1);
    struct error err = {0, ""};
    assert_int_equal(method_results(output, &r, &err), 0);
    if (method_verify(d, &r, &(struct method_verify){.attempts = 8, .seed = 1}, &x, &err))
        fail_msg("%s", err.message);
    if (x.n)
        fail_msg("%s", buf_text(&x.text));
    differences_free(&x);
    report_run_free(&r);
    device_close(d);
    options(&o);
    o.rounds = 2;
    o.review = 0;
    tiny_align(&o, 1, &more); /* its pool has the added pairs */
    assert_int_equal(more.rounds, 2);
    align_result_free(&more);
    tiny_align(&o, 1, &more);
    align_result_free(&more);
}

/* One judgement of the next pair: the answer that the journal's arm `of` gave, or "same"; and it is bad, the other not.
 * Returns how many pairs there are. */
static int judge(struct run *r, const char *rater, const char *of, int *left)
{
    json_t *next = NULL;
    struct error err = {0, ""};
    struct run_result results[8];
    struct run_results found = {of, "holdout", results, 8, 0};
    struct arena arena = ARENA_INIT;
    if (method_judge_next(output, rater, &next, &err))
        fail_msg("%s", err.message);
    const json_t *pair = json_object_get(next, "pair"), *answers = json_object_get(pair, "answers");
    int index = (int)json_integer_value(json_object_get(pair, "index")),
        n = (int)json_integer_value(json_object_get(next, "n"));
    *left = json_is_object(pair);
    if (*left) {
        assert_int_equal(json_array_size(answers), 2);
        assert_int_equal(run_get_results(r, &found, &arena, &err), 0);
        const char *better = "same";
        json_t *bad = json_object();
        for (size_t k = 0; k < 2; k++) {
            const json_t *a = json_array_get(answers, k);
            const char *id = json_string_value(json_object_get(a, "id"));
            int is_it = !strcmp(json_string_value(json_object_get(a, "text")), results[index].text);
            better = is_it ? id : better;
            json_object_set_new(bad, id, json_boolean(is_it));
        }
        assert_int_equal(method_judge(r, &(struct judgement){rater, "0123456789ab", index, bad}, &err), ERROR_USAGE);
        if (method_judge(r, &(struct judgement){rater, better, index, bad}, &err))
            fail_msg("%s", err.message);
        json_decref(bad);
    }
    json_decref(next);
    arena_free(&arena);
    return n;
}

/* Blind, by several people, taken back, and in the report as a sheet's labels would be. */
static void judgements_are_the_report_s_labels(void **state)
{
    (void)state;
    struct run *r = beside();
    struct report_run report;
    struct error err = {0, ""};
    int left = 1, n = 0, judged = 0;
    assert_int_equal(method_judge_next(output, "a-b", &(json_t *){NULL}, &err), ERROR_USAGE);
    while (left) {
        n = judge(r, "ann", "round-2", &left);
        judged += left;
    }
    assert_true(n > 0 && judged == n);
    judge(r, "bob", "pretrained", &left);
    assert_int_equal(method_judge_undo(r, "bob", &err), 0);
    judge(r, "bob", "pretrained", &left);
    run_close(r);
    assert_int_equal(method_results(output, &report, &err), 0);
    if (method_labels_recorded(&report, &err))
        fail_msg("%s", err.message);
    const struct report_people *p = &report.people;
    assert_true(p->n_after == n && p->n_before == 1 && !p->n_same && p->n_rater == 2);
    assert_true(p->n_labelled == 2 * n && p->n_arm == 2);
    assert_int_equal(p->arms[1].n_yes, p->arms[1].n); /* the last round's were bad, but for those that are a tie */
    report_run_free(&report);
}

/* What was said of one model's answers is not said of the next one's. */
static void judgements_stay_with_their_model(void **state)
{
    (void)state;
    struct align_options o;
    struct align_result more;
    struct report_run report;
    json_t *next = NULL;
    options(&o);
    o.rounds = 3;
    o.review = 0;
    tiny_align(&o, 1, &more);
    assert_int_equal(more.rounds, 3);
    align_result_free(&more);
    assert_int_equal(method_judge_next(output, "ann", &next, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(next, "done")), 0);
    json_decref(next);
    assert_int_equal(method_results(output, &report, NULL), 0);
    assert_int_equal(method_labels_recorded(&report, NULL), 0);
    assert_true(!report.people.n_after && !report.people.n_same && !report.people.n_labelled);
    report_run_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_done_is_refused),
        cmocka_unit_test(what_was_decided_is_done_and_stays_known),
        cmocka_unit_test(the_run_is_verified_and_goes_on_to_another_round),
        cmocka_unit_test(judgements_are_the_report_s_labels),
        cmocka_unit_test(judgements_stay_with_their_model),
    };
    return cmocka_run_group_tests(tests, setup, tiny_align_teardown);
}
