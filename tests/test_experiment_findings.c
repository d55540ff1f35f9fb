/* SPDX-License-Identifier: Apache-2.0 */
/* What an experiment says first, on trees made by hand: the best control, the arm furthest ahead of it, and how many
 * are better; worked out by reading the numbers. */
#include "tests/check.h"

#include "experiment/parts.h"
#include "report/comparison.h"

#include <math.h>
#include <string.h>

/* Arms of one metric; each has every control that is not itself beside it. The changes are means' differences. */
enum { MOST = 5 };
static struct report_beside besides[MOST][2];
static struct report_measured list[MOST];

static void set_beside(int arm, int k, double low, double high, double p)
{
    const struct report_measured *control = &list[k];
    besides[arm][list[arm].n_beside++] = (struct report_beside){.control = control->arm,
                                                                .n = 10,
                                                                .change = list[arm].mean - control->mean,
                                                                .low = low,
                                                                .high = high,
                                                                .p = p,
                                                                .p_holm = p,
                                                                .found = NAN};
}

static void set_arm(int i, const char *name, const char *metric, const char *better, double mean)
{
    list[i] = (struct report_measured){
        .arm = name, .model = "m", .test = "", .metric = metric, .better = better, .mean = mean, .beside = besides[i]};
}

/* Two controls, 2.0 and 1.5 (the better one, as less is better), and three arms. */
static void set_up(double low, double high, double p)
{
    set_arm(0, "plain", "qa.nll", "lower", 2.0);
    set_arm(1, "steps", "qa.nll", "lower", 1.5);
    set_arm(2, "a", "qa.nll", "lower", 1.2);
    set_arm(3, "b", "qa.nll", "lower", 1.4);
    set_arm(4, "c", "qa.nll", "lower", 1.9);
    set_beside(1, 0, -0.6, -0.4, 0.001);
    for (int i = 2; i < MOST; i++) {
        set_beside(i, 0, -0.9, -0.05, 0.001);
        set_beside(i, 1, low, high, p);
    }
}

static struct report_comparison found(int n)
{
    struct report_comparison c = {.list = list, .n = n, .n_model = 1};
    assert_int_equal(findings_make(&c, NULL), 0);
    return c;
}

static void arms_are_held_against_the_best_control(void **state)
{
    (void)state;
    set_up(-0.5, -0.1, 0.01);
    struct report_comparison c = found(MOST);
    const struct report_finding *f = c.findings;
    assert_int_equal(c.n_finding, 1);
    assert_string_equal(f->arm->arm, "a");
    assert_string_equal(f->control->arm, "steps");
    assert_true(fabs(f->beside->change - -0.3) < 1e-12);
    assert_int_equal(f->n_arm, 3);
    assert_int_equal(f->n_better, 3);
    struct buf text = BUF_INIT;
    report_finding_text(&c, f, &text);
    assert_string_equal(buf_text(&text), "qa.nll: of 3 arms that are no control 3 are better than the best control; "
                                         "furthest ahead: a, -0.3000 (-0.5000 to -0.1000) against steps (1.5000, lower "
                                         "is better), p 0.01 after Holm");
    buf_free(&text);
    arena_free(&c.arena);
}

static int n_better(double low, double high, double p)
{
    set_up(low, high, p);
    struct report_comparison c = found(MOST);
    int n = c.findings[0].n_better;
    arena_free(&c.arena);
    return n;
}

static void better_is_an_interval_and_a_test(void **state)
{
    (void)state;
    assert_int_equal(n_better(-0.5, -0.1, 0.049), 3);
    assert_int_equal(n_better(-0.5, -0.1, 0.051), 0);
    assert_int_equal(n_better(-0.5, 0.01, 0.001), 0); /* 0 is within */
    assert_int_equal(n_better(0.1, 0.5, 0.001), 0);   /* worse */
    assert_int_equal(n_better(NAN, NAN, NAN), 0);
}

static void the_other_direction_is_read_the_other_way(void **state)
{
    (void)state;
    set_up(0.1, 0.5, 0.001);
    for (int i = 0; i < MOST; i++)
        list[i].better = "higher";
    struct report_comparison c = found(MOST);
    assert_string_equal(c.findings[0].control->arm, "plain"); /* 2.0 */
    assert_string_equal(c.findings[0].arm->arm, "c");         /* 1.9, the least behind */
    assert_int_equal(c.findings[0].n_better, 0);              /* beside `plain` all are below 0 */
    arena_free(&c.arena);
}

static void costs_and_what_has_no_direction_say_nothing(void **state)
{
    (void)state;
    static const char *const metrics[] = {"answers.empty", "general.nll", "over_refusal.over_refusal", "qa.length"};
    set_up(-0.5, -0.1, 0.01);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < MOST; k++) {
            list[k].metric = metrics[i];
            list[k].better = i < 3 ? "lower" : NULL;
        }
        struct report_comparison c = found(MOST);
        assert_int_equal(c.n_finding, 0);
        assert_int_equal(report_is_cost(metrics[i]), i < 3);
        arena_free(&c.arena);
    }
    assert_false(report_is_cost("qa.nll"));
}

/* What the tests of a metric find: the range, and those that find nothing, which have no part in it. */
static void power_is_the_range_of_what_the_tests_find(void **state)
{
    (void)state;
    static const double found_by[] = {0.25, NAN, 0.125, 0.5};
    set_up(-0.5, -0.1, 0.01);
    for (int i = 0; i < 4; i++)
        besides[i < 2 ? 2 : 3][i % 2].found = found_by[i];
    besides[3][0].n = 7;
    besides[4][0].p = besides[4][1].p = NAN; /* no test */
    for (int i = 3; i < MOST; i++)
        list[i].metric = "qa.f1";
    struct report_comparison c = found(MOST);
    assert_int_equal(c.n_power, 2);
    assert_ptr_equal(c.power[0].of, &list[0]);
    assert_int_equal(c.power[0].n, 3); /* steps - plain has no effect that it finds */
    assert_int_equal(c.power[0].n_none, 2);
    assert_int_equal(c.power[0].n_question, 10);
    assert_true(c.power[0].least == 0.25 && c.power[0].most == 0.25);
    assert_ptr_equal(c.power[1].of, &list[3]);
    assert_int_equal(c.power[1].n, 2);
    assert_int_equal(c.power[1].n_none, 0);
    assert_int_equal(c.power[1].n_question, 7);
    assert_true(c.power[1].least == 0.125 && c.power[1].most == 0.5);
    arena_free(&c.arena);
    for (int i = 0; i < 2; i++)
        besides[2][i].found = NAN;
    c = found(MOST);
    assert_true(c.power[0].n_none == 3 && isnan(c.power[0].least) && isnan(c.power[0].most));
    arena_free(&c.arena);
}

/* Rounds of two random seeds together: each reason's attempts are added, in the order of the reasons. */
static void rounds_are_counted_together(void **state)
{
    (void)state;
    struct report_reason all[SIFT_REASON_COUNT], one[] = {{"question_repeat", "", 3}, {"answer_empty", "", 2}},
                                                 other[] = {{"question_short", "", 1}, {"answer_empty", "", 4}};
    const struct report_round rounds[] = {
        {.number = 2, .attempts = 10, .parsed = 9, .kept = 4, .repeats = 3, .reasons = one, .n_reason = 2},
        {.number = 2, .attempts = 10, .parsed = 8, .kept = 5, .repeats = 0, .reasons = other, .n_reason = 2}};
    static const char *const names[] = {"question_short", "question_repeat", "answer_empty"};
    static const int counts[] = {1, 3, 6};
    struct report_round sum = {.reasons = all};
    for (int i = 0; i < 2; i++)
        method_add_round(&sum, &rounds[i]);
    assert_int_equal(sum.n_reason, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(sum.reasons[i].name, names[i]);
        assert_int_equal(sum.reasons[i].n, counts[i]);
        assert_true(*sum.reasons[i].text);
    }
    assert_true(sum.number == 2 && sum.attempts == 20 && sum.parsed == 17 && sum.kept == 9 && sum.repeats == 3);
    assert_true(fabs(sum.share - 0.45) < 1e-12);
    assert_true(fabs(sum.low - 0.2582) < 1e-4 && fabs(sum.high - 0.6579) < 1e-4); /* Wilson's, of 9 of 20 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arms_are_held_against_the_best_control),
        cmocka_unit_test(better_is_an_interval_and_a_test),
        cmocka_unit_test(the_other_direction_is_read_the_other_way),
        cmocka_unit_test(power_is_the_range_of_what_the_tests_find),
        cmocka_unit_test(rounds_are_counted_together),
        cmocka_unit_test(costs_and_what_has_no_direction_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
