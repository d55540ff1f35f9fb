/* SPDX-License-Identifier: Apache-2.0 */
/* SQuAD's normalisation and F1; TruthfulQA's extraction modes and multiple choice. */
#include "tests/check.h"

#include "measure/qa.h"
#include "measure/truthfulqa.h"

#include <math.h>
#include <string.h>

static void squad_scores(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *reference;
        int exact;
        double f1;
    } cases[] = {
        {"The Cat!", "a cat", 1, 1},
        {"an  answer, of sorts", "answer", 0, 2.0 / 4 * 1}, /* 1 shared of 3 and 1 */
        {"", "the", 1, 1},
        {"", "x", 0, 0},
        {"b b c", "b c c", 0, 2.0 / 3},
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9.", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qa_score s;
        assert_int_equal(qa_score(cases[i].answer, cases[i].reference, &s, NULL), 0);
        if (s.exact != cases[i].exact || fabs(s.f1 - cases[i].f1) > 1e-15)
            fail_msg("case %zu: %d %g", i, s.exact, s.f1);
    }
}

static void extracts(enum truth_extraction mode, const char *completion, const char *wanted)
{
    struct buf b = BUF_INIT;
    truth_extract(mode, completion, &b);
    assert_string_equal(b.data ? b.data : "", wanted);
    buf_free(&b);
}

static void extraction_modes(void **state)
{
    (void)state;
    extracts(TRUTH_EXTRACT_NONE, "\nA: Yes.\n\nQ: Next?", "\nA: Yes.\n\nQ: Next?");
    extracts(TRUTH_EXTRACT_LM_EVAL, "\nA: Yes.\n\nQ: Next?", "\nA: Yes.");
    extracts(TRUTH_EXTRACT_ORIGINAL, "\nA: Yes.\n\nQ: Next?", "Yes.");
    extracts(TRUTH_EXTRACT_ORIGINAL, " Yes.", "Yes.");
    extracts(TRUTH_EXTRACT_ORIGINAL, "\nA: \n\nQ: Next?\nA: no", "");
    extracts(TRUTH_EXTRACT_ORIGINAL, "Q: first\nA: later", "");
}

static void multiple_choice(void **state)
{
    (void)state;
    double trues[2] = {log(0.2), log(0.1)}, falses[2] = {log(0.15), log(0.05)};
    struct truth_choice c;
    assert_int_equal(truth_choose(&(struct truth_likelihoods){trues[0], trues, falses, 2, 2}, &c, NULL), 0);
    assert_true(c.mc1 == 1 && fabs(c.mc2 - 0.6) < 1e-14 && c.mc3 == 0.5);
    double deep[1] = {-4000}, deeper[1] = {-4001}; /* exp() of either is 0 */
    assert_int_equal(truth_choose(&(struct truth_likelihoods){deep[0], deep, deeper, 1, 1}, &c, NULL), 0);
    assert_true(c.mc1 == 1 && fabs(c.mc2 - 1 / (1 + exp(-1))) < 1e-14 && c.mc3 == 1);
    assert_int_equal(truth_choose(&(struct truth_likelihoods){-1, trues, falses, 0, 2}, &c, NULL), ERROR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(squad_scores), cmocka_unit_test(extraction_modes),
                                       cmocka_unit_test(multiple_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
