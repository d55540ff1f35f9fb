/* SPDX-License-Identifier: Apache-2.0 */
/* Retrieval is exact, breaks ties by index, and draws without replacement. */
#include "tests/check.h"

#include "base/mem.h"
#include "retrieve/retrieve.h"

#include <math.h>
#include <string.h>

static void cosine_is_exact_and_ties_go_low(void **state)
{
    (void)state;
    enum { N = 200, DIM = 17, K = 9 };
    static float x[N][DIM];
    float q[DIM];
    for (int i = 0; i < N; i++)
        for (int k = 0; k < DIM; k++)
            x[i][k] = (float)rng_below(&(struct rng_stream){3, (uint64_t)(i % 150), 0}, (uint64_t)k, 5) -
                      2; /* 50 pairs of equals */
    for (int k = 0; k < DIM; k++)
        q[k] = x[20][k] * 3;
    struct retriever *r;
    struct retriever_hit hits[K];
    int found;
    assert_int_equal(retriever_new_cosine(&r, x[0], N, DIM, NULL), 0);
    assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, q}, K, hits, &found, NULL), 0);
    assert_int_equal(found, K);
    assert_int_equal(hits[0].index, 20);
    assert_int_equal(hits[1].index, 170);
    assert_true(fabs(hits[0].score - 1) < 1e-6 && hits[0].score == hits[1].score);
    for (int i = 0; i < N; i++) { /* nothing outside is better */
        double dot = 0, a = 0, b = 0;
        int inside = 0;
        for (int k = 0; k < DIM; k++) {
            dot += x[i][k] * q[k];
            a += x[i][k] * x[i][k];
            b += q[k] * q[k];
        }
        for (int h = 0; h < K; h++)
            inside |= hits[h].index == i;
        assert_true(inside || dot / sqrt(a * b) <= hits[K - 1].score + 1e-6);
    }
    assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, x[0]}, 0, hits, &found, NULL), 0);
    assert_int_equal(found, 0);
    retriever_free(r);
    assert_int_equal(retriever_new_cosine(&r, x[0], 3, DIM, NULL), 0);
    assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, q}, K, hits, &found, NULL), 0);
    assert_int_equal(found, 3);
    retriever_free(r);
}

/* A text without a direction is as near as one at a right angle, to everything. */
static void a_vector_of_zeros_is_near_nothing(void **state)
{
    (void)state;
    const float x[3][2] = {{0, 0}, {-1, 0}, {3, 4}}, along[2] = {5, 0}, zero[2] = {0, 0};
    struct retriever *r;
    struct retriever_hit hits[3];
    int found;
    assert_int_equal(retriever_new_cosine(&r, x[0], 3, 2, NULL), 0);
    assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, along}, 3, hits, &found, NULL), 0);
    assert_true(found == 3 && hits[0].index == 2 && hits[1].index == 0 && hits[2].index == 1);
    assert_true(fabs(hits[0].score - 0.6) < 1e-7 && hits[1].score == 0 && fabs(hits[2].score + 1) < 1e-7);
    assert_int_equal(retriever_find(r, &(struct retriever_query){NULL, zero}, 3, hits, &found, NULL), 0);
    assert_true(hits[0].index == 0 && hits[1].index == 1 && hits[2].index == 2 && hits[0].score == 0 &&
                hits[2].score == 0);
    retriever_free(r);
}

static void bm25_by_hand(void **state)
{
    (void)state;
    const char *texts[] = {"How do I sharpen a knife?", "How do I wash a knife, a KNIFE?", "Where is the moon?", "",
                           "Wo ist die Straße?"};
    struct retriever *r;
    struct retriever_hit hits[5];
    int found;
    assert_int_equal(retriever_new_bm25(&r, texts, 5, NULL), 0);
    assert_int_equal(retriever_find(r, &(struct retriever_query){"knife", NULL}, 2, hits, &found, NULL), 0);
    /* mean length (6 + 8 + 4 + 0 + 4) / 5 = 4.4; idf = ln(1 + 3.5 / 2.5) */
    double idf = log(1 + 3.5 / 2.5), twice = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 8 / 4.4)),
           once = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 6 / 4.4));
    assert_int_equal(hits[0].index, 1);
    assert_true(fabs(hits[0].score - twice) < 1e-12 && fabs(hits[1].score - once) < 1e-12);
    /* a word that the query says twice counts twice; df("a") is 2 as well */
    assert_int_equal(retriever_find(r, &(struct retriever_query){"Knife a knife", NULL}, 2, hits, &found, NULL), 0);
    double a_in_0 = once, a_in_1 = twice; /* "How do I wash a knife, a KNIFE?" has "a" twice, too */
    assert_int_equal(hits[0].index, 1);
    assert_true(fabs(hits[0].score - (2 * twice + a_in_1)) < 1e-12 &&
                fabs(hits[1].score - (2 * once + a_in_0)) < 1e-12);
    assert_int_equal(retriever_find(r, &(struct retriever_query){"STRASSE Straße", NULL}, 1, hits, &found, NULL), 0);
    assert_int_equal(hits[0].index, 4);
    assert_int_equal(retriever_find(r, &(struct retriever_query){"zzz", NULL}, 3, hits, &found, NULL), 0);
    assert_true(hits[0].index == 0 && hits[1].index == 1 && hits[2].index == 2 && hits[0].score == 0);
    retriever_free(r);
}

static void random_draws_are_without_replacement_and_even(void **state)
{
    (void)state;
    int counts[12] = {0}, firsts[12] = {0}, out[12];
    for (int run = 0; run < 12000; run++) {
        assert_int_equal(retrieve_random(&(struct rng_stream){1, 2, (uint64_t)run}, 12, 5, out), 5);
        for (int i = 0; i < 5; i++) {
            counts[out[i]]++;
            for (int j = 0; j < i; j++)
                assert_int_not_equal(out[i], out[j]);
        }
        firsts[out[0]]++;
    }
    for (int i = 0; i < 12; i++)
        assert_true(counts[i] > 4700 && counts[i] < 5300 && firsts[i] > 860 && firsts[i] < 1140);
    assert_int_equal(retrieve_random(&(struct rng_stream){1, 2, 3}, 3, 5, out), 3);
    assert_int_equal(out[0] + out[1] + out[2], 3);
}

/* Of texts that are all without words every one is as far as the others. */
static void texts_without_words_are_all_as_near(void **state)
{
    (void)state;
    const char *texts[] = {"", "?!", " "};
    struct retriever *r;
    struct retriever_hit hits[3];
    int found;
    assert_int_equal(retriever_new_bm25(&r, texts, 3, NULL), 0);
    assert_int_equal(retriever_find(r, &(struct retriever_query){"two", NULL}, 3, hits, &found, NULL), 0);
    assert_true(found == 3 && hits[0].index == 0 && hits[2].index == 2 && hits[0].score == 0 && hits[2].score == 0);
    retriever_free(r);
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    const char *texts[] = {"one two", "two three"};
    for (long n = 0;; n++) {
        struct retriever *r = NULL;
        struct retriever_hit hits[2];
        int found;
        mem_fail_at(n);
        int rc = retriever_new_bm25(&r, texts, 2, NULL);
        rc = rc ? rc : retriever_find(r, &(struct retriever_query){"two", NULL}, 2, hits, &found, NULL);
        int pending = mem_fail_pending();
        mem_fail_at(-1);
        retriever_free(r);
        if (pending) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, ERROR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosine_is_exact_and_ties_go_low),
        cmocka_unit_test(bm25_by_hand),
        cmocka_unit_test(a_vector_of_zeros_is_near_nothing),
        cmocka_unit_test(random_draws_are_without_replacement_and_even),
        cmocka_unit_test(texts_without_words_are_all_as_near),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
