/* SPDX-License-Identifier: Apache-2.0 */
/* The sift's quick verdicts equal those of comparing with everything; every rule gives its own reason. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "measure/rouge.h"
#include "method/sift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct sift *make(double threshold)
{
    struct sift *s;
    struct sift_options o;
    sift_options_default(&o);
    o.threshold = threshold;
    assert_int_equal(sift_new(&s, &o, NULL), 0);
    return s;
}

/* A question of random words; frequent words are frequent, as in a language. Sometimes a slight change of an earlier
 * one. */
static void invent(char *text, uint64_t seed, int i)
{
    struct rng_stream s = {seed, 9, (uint64_t)i};
    if (i > 3 && rng_below(&s, 0, 3) == 0) {
        char extra[16];
        invent(text, seed, (int)rng_below(&s, 1, (uint32_t)i));
        for (uint32_t k = rng_below(&s, 2, 3); k > 0; k--) {
            snprintf(extra, sizeof extra, " x%u", rng_below(&s, 3 + k, 50));
            if (strlen(text) < 400)
                strcat(text, extra);
        }
        return;
    }
    int n = (int)rng_below(&s, 10, 14) + (rng_below(&s, 11, 40) == 0 ? 70 : 1);
    text[0] = 0;
    for (int w = 0; w < n; w++) {
        double u = rng_uniform_double(&s, 20 + (uint64_t)w);
        snprintf(text + strlen(text), 16, "%sw%d", w ? " " : "", (int)(300 * u * u * u));
    }
}

static double brute(struct rouge_vocab *v, const char *a, const char *b)
{
    struct rouge_text x, y;
    struct rouge_score s;
    assert_int_equal(rouge_text_init(&x, v, a, strlen(a), NULL), 0);
    assert_int_equal(rouge_text_init(&y, v, b, strlen(b), NULL), 0);
    assert_int_equal(rouge_l(&x, &y, &s, NULL), 0);
    rouge_text_deinit(&x);
    rouge_text_deinit(&y);
    return s.f;
}

static void verdicts_equal_brute_force(void **state)
{
    (void)state;
    static const double thresholds[] = {0.7, 0.3, 0.5, 0.95, 1.0, 0.05};
    static char kept[300][800];
    int repeats = 0;
    for (size_t t = 0; t < sizeof thresholds / sizeof *thresholds; t++) {
        struct sift *s = make(thresholds[t]);
        struct rouge_vocab *v;
        assert_int_equal(rouge_vocab_new(&v, NULL), 0);
        int n = 0;
        for (int i = 0; i < 300; i++) {
            char q[800];
            int first = -1, best = -1;
            double f1 = 0, greatest = -1;
            invent(q, t, i);
            for (int k = 0; k < n; k++) {
                double f = brute(v, kept[k], q);
                if (f > thresholds[t] && first < 0) {
                    first = k;
                    f1 = f;
                }
                if (f > greatest) {
                    greatest = f;
                    best = k;
                }
            }
            struct sift_match m;
            assert_int_equal(sift_repeat(s, q, &m, NULL), 0);
            assert_int_equal(m.name, first);
            assert_true(m.f1 == f1);
            assert_int_equal(sift_nearest(s, q, &m, NULL), 0);
            assert_int_equal(m.name, best);
            assert_true(n == 0 || m.f1 == greatest);
            repeats += first >= 0;
            if (first < 0 || thresholds[t] < 0.2) {
                strcpy(kept[n], q);
                assert_int_equal(sift_add(s, q, n++, NULL), 0);
            }
        }
        sift_free(s);
        rouge_vocab_free(v);
    }
    assert_true(repeats > 300 && repeats < 1600);
}

/* Exactly 0.7 is kept, as in Self-Instruct: 7 of 10 words in common. */
static void the_threshold_itself_is_kept(void **state)
{
    (void)state;
    struct sift *s = make(0.7);
    struct sift_match m;
    sift_add(s, "a b c d e f g h i j", 4, NULL);
    assert_int_equal(sift_repeat(s, "a b c d e f g x y z", &m, NULL), 0);
    assert_int_equal(m.name, -1);
    assert_int_equal(sift_repeat(s, "A, b: c d e f g? h y z", &m, NULL), 0);
    assert_int_equal(m.name, 4);
    sift_free(s);
}

static void texts_of_other_scripts_compare_by_their_words(void **state)
{
    (void)state;
    struct sift *s = make(0.7);
    struct sift_match m;
    sift_add(s, "日本の首都は?", 0, NULL);
    assert_int_equal(sift_repeat(s, "日本の首都は?", &m, NULL), 0);
    assert_int_equal(m.name, 0);
    assert_int_equal(sift_repeat(s, "日本の首都は", &m, NULL), 0); /* but for the mark */
    assert_int_equal(m.name, 0);
    assert_int_equal(sift_repeat(s, "富士山の高さは?", &m, NULL), 0);
    assert_int_equal(m.name, -1);
    sift_add(s, "Как варить борщ?", 1, NULL);
    assert_int_equal(sift_repeat(s, "КАК ВАРИТЬ БОРЩ", &m, NULL), 0);
    assert_int_equal(m.name, 1);
    assert_int_equal(sift_repeat(s, "Где растёт вереск?", &m, NULL), 0);
    assert_int_equal(m.name, -1);
    sift_add(s, "?!", 2, NULL);
    assert_int_equal(sift_repeat(s, "?!", &m, NULL), 0); /* without any word, whole */
    assert_int_equal(m.name, 2);
    assert_int_equal(sift_repeat(s, "!?", &m, NULL), 0);
    assert_int_equal(m.name, -1);
    assert_int_equal(sift_question(s, &(struct sift_text){"日本の首都は?", 1, 1}), SIFT_KEPT);
    sift_add(s, "...", 1, NULL); /* no word of any script */
    assert_int_equal(sift_nearest(s, "...", &m, NULL), 0);
    assert_true(m.name == 1 && m.f1 == 1);
    assert_int_equal(sift_nearest(s, "..", &m, NULL), 0);
    assert_true(m.f1 == 0);
    sift_free(s);
}

static void every_rule_has_its_reason(void **state)
{
    (void)state;
    struct sift *s = make(0.7);
    char words[2000] = "";
    for (int i = 0; i < 151; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "w%d ", i);
    const struct {
        struct sift_text text;
        enum sift_reason wanted;
    } cases[] = {
        {{"How do I cut a board?", 1, 1}, SIFT_KEPT},
        {{NULL, 1, 1}, SIFT_QUESTION_EMPTY},
        {{" \n\t", 1, 1}, SIFT_QUESTION_EMPTY},
        {{"How do I cut a board?", 1, 0}, SIFT_QUESTION_UNPARSED},
        {{"How do I cut a board?", 0, 1}, SIFT_QUESTION_UNENDED},
        {{"How so?", 1, 1}, SIFT_QUESTION_SHORT},
        {{words, 1, 1}, SIFT_QUESTION_LONG},
        {{"is it so or is it so or is it so or is it so or is it so", 1, 1}, SIFT_QUESTION_REPETITIVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(sift_reason_name(sift_question(s, &cases[i].text)), sift_reason_name(cases[i].wanted));
    assert_int_equal(sift_answer(s, &(struct sift_text){"Yes.", 1, 1}), SIFT_KEPT);
    assert_int_equal(sift_answer(s, &(struct sift_text){"Yes.", 0, 1}), SIFT_ANSWER_UNENDED);
    assert_int_equal(sift_answer(s, &(struct sift_text){"", 1, 1}), SIFT_ANSWER_EMPTY);
    struct sift_match m;
    const char *contexts[] = {"Nothing at all.", "Wear gloves and go slowly."};
    assert_int_equal(sift_copied(s, "wear gloves, and go slowly", contexts, 2, &m, NULL), 0);
    assert_true(m.name == 1 && m.f1 == 1);
    for (int r = 0; r < SIFT_REASON_COUNT; r++)
        assert_int_equal(sift_reason_find(sift_reason_name((enum sift_reason)r)), r);
    assert_int_equal(sift_reason_find("nonsense"), -1);
    struct sift_options o;
    sift_options_default(&o);
    o.threshold = NAN;
    assert_int_equal(sift_options_check(&o, NULL), ERROR_USAGE);
    sift_free(s);
}

/* n different words. */
static const char *words_of(int n)
{
    static char text[4000];
    text[0] = 0;
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sw%d", i ? " " : "", i);
    return text;
}

static void the_least_and_the_most_words_are_kept(void **state)
{
    (void)state;
    struct sift_options o;
    struct sift *s;
    sift_options_default(&o);
    o.answer_min_words = 2;
    assert_int_equal(sift_new(&s, &o, NULL), 0);
    for (int n = 1; n <= 500; n++) {
        struct sift_text t = {words_of(n), 1, 1};
        int long_question = n > 150 ? SIFT_QUESTION_LONG : SIFT_KEPT,
            long_answer = n > 400 ? SIFT_ANSWER_LONG : SIFT_KEPT;
        assert_int_equal(sift_question(s, &t), n < 3 ? SIFT_QUESTION_SHORT : long_question);
        assert_int_equal(sift_answer(s, &t), n < 2 ? SIFT_ANSWER_SHORT : long_answer);
    }
    sift_free(s);
}

/* Of the 4-grams, the share that occurred before, whatever their case: above 0.3 a text repeats itself. */
static void repetition_is_counted_in_four_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int repeats;
    } cases[] = {
        {"a b c x a b c y a b c z", 0},                                       /* three words come again, four never */
        {"a b c d a b c d a b c d", 1},                                       /* 5 of 9 */
        {"A b c d a B C d a b c D", 1},     {"a b c d e a b c d f g h i", 0}, /* 1 of 10 */
        {"a b c d e f g a b c d e f", 0},   /* 3 of 10: the share itself is no fault */
        {"a b c d e f g a b c d e f g", 1}, /* 4 of 11 */
    };
    struct sift_options o;
    struct sift *s;
    sift_options_default(&o);
    assert_int_equal(sift_new(&s, &o, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (sift_question(s, &(struct sift_text){cases[i].text, 1, 1}) !=
            (cases[i].repeats ? SIFT_QUESTION_REPETITIVE : SIFT_KEPT))
            fail_msg("%s", cases[i].text);
    sift_free(s);
}

static void many_kept_questions_stay_quick(void **state)
{
    (void)state;
    const char *reduced = getenv("ISARA_REDUCED");
    int n = reduced && *reduced ? 2000 : 20000, repeats = 0;
    struct sift *s = make(0.7);
    char q[800];
    for (int i = 0; i < n; i++) {
        struct sift_match m;
        invent(q, 77, i);
        assert_int_equal(sift_repeat(s, q, &m, NULL), 0);
        repeats += m.name >= 0;
        if (m.name < 0)
            assert_int_equal(sift_add(s, q, i, NULL), 0);
    }
    assert_true(repeats > n / 10 && repeats < n);
    sift_free(s);
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct sift *s = NULL;
        struct sift_options o;
        struct sift_match m;
        sift_options_default(&o);
        mem_fail_at(n);
        int rc = sift_new(&s, &o, NULL);
        rc = rc ? rc : sift_add(s, "what is the time in the room", 0, NULL);
        rc = rc ? rc : sift_repeat(s, "what is the time in this room", &m, NULL);
        int pending = mem_fail_pending();
        mem_fail_at(-1);
        sift_free(s);
        if (pending) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, ERROR_NOMEM);
    }
}

static void noise_is_found_where_it_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int noisy;
    } cases[] = {{"How do I mend a kettle?", 0},           {"I said as an aim of mine", 0},
                 {"Well, as an AI I do not eat soup.", 1}, {"I am a large Language Model of mine", 1},
                 {"Input: a kettle. Say what it is", 1},   {"See https://example.org for more", 1}};
    struct sift_options o;
    struct sift *s;
    struct error err;
    for (int noise = 0; noise < 2; noise++) {
        sift_options_default(&o);
        o.noise = noise;
        assert_int_equal(sift_new(&s, &o, &err), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const struct sift_text t = {cases[i].text, 1, 1};
            int wanted = noise && cases[i].noisy;
            assert_int_equal(sift_question(s, &t), wanted ? SIFT_QUESTION_NOISY : SIFT_KEPT);
            assert_int_equal(sift_answer(s, &t), wanted ? SIFT_ANSWER_NOISY : SIFT_KEPT);
        }
        sift_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_equal_brute_force),
        cmocka_unit_test(the_threshold_itself_is_kept),
        cmocka_unit_test(texts_of_other_scripts_compare_by_their_words),
        cmocka_unit_test(every_rule_has_its_reason),
        cmocka_unit_test(the_least_and_the_most_words_are_kept),
        cmocka_unit_test(repetition_is_counted_in_four_words),
        cmocka_unit_test(noise_is_found_where_it_is_asked_for),
        cmocka_unit_test(many_kept_questions_stay_quick),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
