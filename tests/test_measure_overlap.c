/* SPDX-License-Identifier: Apache-2.0 */
/* Overlap and diversity against looking at everything the slow way. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "measure/overlap.h"
#include "measure/rouge.h"

#include <math.h>
#include <string.h>

enum { N = 60 };
static char memory[2 * N][400];
static const char *questions[2 * N];

/* Texts of few words, so that long n-grams are shared by chance. */
static void make(void)
{
    static const char *const words[] = {"what", "is", "the"};
    for (int i = 0; i < 2 * N; i++) {
        struct rng_stream s = {3, 1, (uint64_t)i};
        int n = i % 5 ? (int)rng_below(&s, 0, 22) : 10 + (int)rng_below(&s, 0, 12);
        memory[i][0] = 0;
        for (int k = 0; k < n; k++) {
            strcat(memory[i], words[rng_below(&s, 1 + (uint64_t)k, 3)]);
            strcat(memory[i], k % 3 ? " " : ", ");
        }
        if (i >= N && i % 5 == 0)
            memcpy(memory[i], memory[i - N], sizeof memory[i]);
        questions[i] = memory[i];
    }
}

static int shares(const struct rouge_text *a, const struct rouge_text *b, int n)
{
    for (int i = 0; i + n <= a->n; i++)
        for (int k = 0; k + n <= b->n; k++)
            if (!memcmp(a->words + i, b->words + k, (size_t)n * sizeof(int32_t)))
                return 1;
    return 0;
}

static void hits_are_those_of_a_double_loop(void **state)
{
    (void)state;
    struct overlap_text texts[2 * N];
    struct overlap_hit hits[N];
    struct rouge_vocab *v;
    struct rouge_text t[2 * N];
    int n8 = 0, n13 = 0;
    make();
    assert_int_equal(rouge_vocab_new(&v, NULL), 0);
    for (int i = 0; i < 2 * N; i++) {
        texts[i] = (struct overlap_text){questions[i], questions[i]};
        assert_int_equal(rouge_text_init(&t[i], v, questions[i], strlen(questions[i]), NULL), 0);
    }
    assert_int_equal(overlap_find(texts, N, texts + N, N, hits, NULL), 0);
    for (int k = 0; k < N; k++) {
        int first8 = -1, first13 = -1, nearest = -1;
        double best = -1;
        for (int i = N - 1; i >= 0; i--) {
            struct rouge_score s;
            first8 = shares(&t[i], &t[N + k], 8) ? i : first8;
            first13 = shares(&t[i], &t[N + k], 13) ? i : first13;
            assert_int_equal(rouge_l(&t[i], &t[N + k], &s, NULL), 0);
            if (s.f >= best) {
                best = s.f;
                nearest = i;
            }
        }
        assert_int_equal(hits[k].gram8, first8);
        assert_int_equal(hits[k].gram13, first13);
        assert_int_equal(hits[k].nearest, nearest);
        assert_true(hits[k].rouge_l == best);
        n8 += first8 >= 0;
        n13 += first13 >= 0;
    }
    assert_true(n8 > 5 && n8 < N && n13 > 0 && n13 < n8);
    for (int i = 0; i < 2 * N; i++)
        rouge_text_deinit(&t[i]);
    rouge_vocab_free(v);
    assert_int_equal(overlap_find(texts, 0, texts, 1, hits, NULL), 0);
    assert_true(hits[0].nearest == -1 && hits[0].gram8 == -1 && hits[0].rouge_l == 0);
}

/* "w1 w2 ... wn", and the same behind other words: n words in a row are shared, and no more. */
static void a_run_of_8_and_of_13_words_and_none_shorter(void **state)
{
    (void)state;
    for (int n = 6; n <= 15; n++) {
        char here[200] = "", there[200] = "others before";
        struct overlap_hit hit;
        for (int i = 0; i < n; i++) {
            snprintf(here + strlen(here), sizeof here - strlen(here), " w%d", i);
            snprintf(there + strlen(there), sizeof there - strlen(there), " w%d", i);
        }
        strcat(here, " and then");
        struct overlap_text a = {here, here}, b = {there, there};
        assert_int_equal(overlap_find(&a, 1, &b, 1, &hit, NULL), 0);
        assert_int_equal(hit.gram8, n >= 8 ? 0 : -1);
        assert_int_equal(hit.gram13, n >= 13 ? 0 : -1);
    }
}

static void diversity_by_hand(void **state)
{
    (void)state;
    struct diversity d;
    const char *same[] = {"a b c d e", "a b c d e", "A, b. c d e!"};
    assert_int_equal(diversity_of(same, 3, &d, NULL), 0);
    assert_true(fabs(d.distinct[0] - 5 / 15.0) < 1e-15 && fabs(d.distinct[1] - 4 / 12.0) < 1e-15 &&
                fabs(d.distinct[2] - 3 / 9.0) < 1e-15);
    assert_true(fabs(d.self_bleu - 100) < 1e-10);
    const char *apart[] = {"a b c d", "e f g h", "i j k l"};
    assert_int_equal(diversity_of(apart, 3, &d, NULL), 0);
    assert_true(d.distinct[0] == 1 && d.self_bleu == 0);
    /* "a b c d" against {"a b x y z"}: precisions 2/4, 1/3, then 1/(2*2), 1/(4*1) smoothed; brevity exp(1 - 5/4); the
     * other way round 2/5, 1/4, 1/6, 1/8 */
    const char *two[] = {"a b c d", "a b x y z"};
    double first = 100 * exp(1 - 5.0 / 4) * pow(0.5 * (1 / 3.0) * 0.25 * 0.25, 0.25),
           second = 100 * pow(0.4 * 0.25 * (1 / 6.0) * (1 / 8.0), 0.25);
    assert_int_equal(diversity_of(two, 2, &d, NULL), 0);
    if (fabs(d.self_bleu - (first + second) / 2) > 1e-10)
        fail_msg("%.15g, wanted %.15g", d.self_bleu, (first + second) / 2);
    const char *cyrillic[] = {"а б в г", "А б к л м"}; /* words of every script count */
    assert_int_equal(diversity_of(cyrillic, 2, &d, NULL), 0);
    assert_true(fabs(d.self_bleu - (first + second) / 2) < 1e-10 && fabs(d.distinct[0] - 7 / 9.0) < 1e-15);
    assert_int_equal(diversity_of(two, 1, &d, NULL), 0);
    assert_true(isnan(d.self_bleu) && d.distinct[0] == 1);
    assert_int_equal(diversity_of(two, 0, &d, NULL), 0);
    assert_true(isnan(d.distinct[0]));
}

/* Ten texts of six words, some equal in length, some near another's beginning; the numbers by a plain definition in
 * Python: every n-gram's count clipped by the greatest among the nine others, exponential smoothing, the closest length
 * and of two the shorter. */
static void diversity_of_many(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "b c d b b f a",       "a b b e b d f a d", "d d d d e b d a",         "d b a f c e d d",   "d f a f c a",
        "a d e d a f a c b f", "a d f e b",         "e b e a e a d f b b e d", "b c d b b f a a b", "a a a a a b b b"};
    struct diversity d;
    assert_int_equal(diversity_of(texts, 10, &d, NULL), 0);
    assert_true(fabs(d.distinct[0] - 6 / 82.0) < 1e-15 && fabs(d.distinct[1] - 28 / 72.0) < 1e-15 &&
                fabs(d.distinct[2] - 47 / 62.0) < 1e-15);
    if (!(fabs(d.self_bleu - 46.5206741222007) < 1e-9))
        fail_msg("%.15g", d.self_bleu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hits_are_those_of_a_double_loop),
                                       cmocka_unit_test(a_run_of_8_and_of_13_words_and_none_shorter),
                                       cmocka_unit_test(diversity_by_hand), cmocka_unit_test(diversity_of_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
