/* SPDX-License-Identifier: Apache-2.0 */
/* ROUGE and BLEU equal rouge_score and sacrebleu; the bit-parallel LCS equals the table. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/rng.h"
#include "measure/bleu.h"
#include "measure/rouge.h"
#include "measure/truthfulqa.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static void near(double found, double wanted, const char *what)
{
    if (!(fabs(found - wanted) <= 1e-9))
        fail_msg("%s: found %.15g, wanted %.15g", what, found, wanted);
}

static struct rouge_score rouge(const char *reference, const char *prediction, int kind)
{
    struct rouge_vocab *v;
    struct rouge_text r, p;
    struct rouge_score s = {-1, -1, -1};
    assert_int_equal(rouge_vocab_new(&v, NULL), 0);
    assert_int_equal(rouge_text_init(&r, v, reference, strlen(reference), NULL), 0);
    assert_int_equal(rouge_text_init(&p, v, prediction, strlen(prediction), NULL), 0);
    if (kind <= 2)
        assert_int_equal(rouge_n(&r, &p, kind, &s, NULL), 0);
    else if (kind == 3)
        assert_int_equal(rouge_l(&r, &p, &s, NULL), 0);
    else
        assert_int_equal(rouge_lsum(&r, &p, &s, NULL), 0);
    rouge_text_deinit(&r);
    rouge_text_deinit(&p);
    rouge_vocab_free(v);
    return s;
}

static double bleu(const char *reference, const char *prediction)
{
    struct bleu_score b;
    assert_int_equal(bleu_sentence(reference, prediction, &b, NULL), 0);
    return b.score;
}

static void published_check_values(void **state)
{
    (void)state;
    const char *ref = "The watermelon seeds pass through your digestive system.",
               *hyp = "Nothing happens; the seeds pass through you.";
    near(rouge(ref, hyp, 1).f, 8 / 15.0, "rouge1");
    near(rouge(ref, hyp, 2).f, 4 / 13.0, "rouge2");
    near(rouge(ref, hyp, 3).f, 8 / 15.0, "rougeL");
    near(round(bleu(ref, hyp) * 1e10) / 1e10, 19.0708280818, "BLEU");
    near(rouge("I have no comment.", "I have no comment on that.", 1).f, 0.8, "rouge1");
    near(rouge("I have no comment.", "I have no comment on that.", 2).f, 0.75, "rouge2");
    near(round(bleu("I have no comment.", "I have no comment on that.") * 1e10) / 1e10, 43.4720871945, "BLEU");
    near(round(bleu("Nothing happens.", "Nothing happens to you.") * 1e10) / 1e10, 23.6435402251, "BLEU");
    near(round(bleu("The price is 3,000.50 dollars.", "The price is 3,000.50 euros.") * 1e10) / 1e10, 53.7284965912,
         "BLEU");
    near(bleu("Yes.", "Yes."), 0, "BLEU of a short match");
    near(bleu("It was founded in 1945.", "It was founded in 1945."), 100, "BLEU of a match");
    near(rouge("\xc4\xb0stanbul", "i stanbul", 1).f, 1, "I with dot splits");
    near(rouge("\xe2\x84\xaa", "K", 1).f, 1, "Kelvin sign is k");
    near(rouge("na\xc3\xafve caf\xc3\xa9", "na ve caf", 3).f, 1, "other letters vanish");
    near(rouge("", "a", 3).f, 0, "empty");
}

static void tokenizer_of_bleu(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    assert_int_equal(bleu_tokenize("It cost $3.50, \"maybe\" (1945).  ", &b, NULL), 0);
    assert_string_equal(b.data, "It cost $ 3.50 , \" maybe \" ( 1945 ) .");
    struct error err;
    assert_int_equal(bleu_tokenize("a\xff", &b, &err), ERROR_DATA);
    buf_free(&b);
}

/* With one true and one false reference. */
static int score_truth(const char *answer, const char *right, const char *wrong, struct truth_score out[TRUTH_METRICS],
                       struct error *err)
{
    return truth_score(answer, &(struct truth_references){&right, &wrong, 1, 1}, out, err);
}

static void equal_to_rouge_score_and_sacrebleu(void **state)
{
    (void)state;
    const char *path = check_data("smollm2_reference/rouge_bleu.json");
    if (!path)
        SKIP_TEST("smollm2_reference/rouge_bleu.json is not there");
    json_t *file = json_load_file(path, 0, NULL), *c;
    size_t i;
    static const char *const names[] = {"", "rouge1", "rouge2", "", "rougeLsum"};
    assert_int_equal(json_array_size(json_object_get(file, "cases")), 40);
    json_array_foreach(json_object_get(file, "cases"), i, c)
    {
        const char *ref = json_string_value(json_object_get(c, "reference")),
                   *hyp = json_string_value(json_object_get(c, "prediction"));
        for (int kind = 1; kind <= 4; kind++) {
            json_t *wanted = json_object_get(c, names[kind]);
            struct rouge_score s = rouge(ref, hyp, kind);
            if (!wanted)
                continue;
            near(s.precision, json_number_value(json_array_get(wanted, 0)), names[kind]);
            near(s.recall, json_number_value(json_array_get(wanted, 1)), names[kind]);
            near(s.f, json_number_value(json_array_get(wanted, 2)), names[kind]);
        }
        struct bleu_score b;
        assert_int_equal(bleu_sentence(ref, hyp, &b, NULL), 0);
        near(b.score, json_number_value(json_object_get(c, "bleu")), "bleu");
        near(b.brevity, json_number_value(json_object_get(c, "bp")), "brevity");
        assert_int_equal(b.sys_len, json_integer_value(json_object_get(c, "sys_len")));
        assert_int_equal(b.ref_len, json_integer_value(json_object_get(c, "ref_len")));
        for (size_t n = 0; n < 4; n++)
            near(b.precisions[n], json_number_value(json_array_get(json_object_get(c, "bleu_precisions"), n)),
                 "precision");
        struct truth_score t[TRUTH_METRICS]; /* one true reference, the answer itself false: max is the score */
        assert_int_equal(score_truth(hyp, ref, "zzz", t, NULL), 0);
        near(t[TRUTH_ROUGEL].max,
             100 * json_number_value(json_array_get(json_object_get(c, "rougeLsum_tqa_prepared"), 2)), "prepared Lsum");
        near(t[TRUTH_BLEU].max, json_number_value(json_object_get(c, "bleu")), "bleu max");
    }
    json_decref(file);
}

static int lcs_by_table(const int32_t *a, int na, const int32_t *b, int nb)
{
    static int t[300][300];
    memset(t, 0, sizeof t);
    for (int i = 1; i <= na; i++)
        for (int j = 1; j <= nb; j++)
            if (a[i - 1] == b[j - 1])
                t[i][j] = t[i - 1][j - 1] + 1;
            else
                t[i][j] = t[i - 1][j] > t[i][j - 1] ? t[i - 1][j] : t[i][j - 1];
    return t[na][nb];
}

static void bit_parallel_lcs_equals_the_table(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 7, 63, 64, 65, 127, 128, 129, 200};
    struct lcs_pattern p = LCS_PATTERN_INIT;
    int32_t a[200], b[200];
    for (int run = 0; run < 600; run++) {
        struct rng_stream s = {5, 5, (uint64_t)run};
        int na = sizes[run % 10], nb = sizes[run / 10 % 10], words = 2 + run % 40;
        for (int i = 0; i < 200; i++) {
            a[i] = (int32_t)rng_below(&s, (uint64_t)i, (uint32_t)words);
            b[i] = (int32_t)rng_below(&s, 500 + (uint64_t)i, (uint32_t)words + 3);
        }
        assert_int_equal(lcs_pattern_set(&p, a, na, words, NULL), 0);
        assert_int_equal(lcs_length(&p, b, nb), lcs_by_table(a, na, b, nb));
    }
    lcs_pattern_deinit(&p);
}

/* The unit case of google-research's test: [1,2,3,4,5] with [2,5,3,4] takes indices 1, 2, 3. */
static void union_lcs_goes_back_as_rouge_score_does(void **state)
{
    (void)state;
    struct rouge_score s = rouge("a b c d e", "b e c d", 4);
    near(s.recall, 3 / 5.0, "recall");
    near(s.precision, 3 / 4.0, "precision");
    s = rouge("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", 4); /* union {1,2,3,5} */
    near(s.recall, 4 / 5.0, "union recall");
    near(s.precision, 4 / 10.0, "union precision");
}

static void reference_lists(void **state)
{
    (void)state;
    char **list;
    int n;
    assert_int_equal(truth_list_split(" One. ;two;; three ", 1, &list, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_string_equal(list[0], "One.");
    assert_string_equal(list[1], "two.");
    assert_string_equal(list[2], "three.");
    assert_string_equal(list[3], "I have no comment.");
    truth_list_free(list, n);
    assert_int_equal(truth_list_split("I have no comment;x", 1, &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    truth_list_free(list, n);
    struct error err;
    struct truth_score t[TRUTH_METRICS];
    assert_int_equal(truth_score("x", &(struct truth_references){NULL, NULL, 0, 0}, t, &err), ERROR_DATA);
    const char *moons[] = {"The moon.", "no"}, *suns[] = {"the sun"};
    assert_int_equal(truth_score("the moon", &(struct truth_references){moons, suns, 2, 1}, t, &err), 0);
    near(t[TRUTH_ROUGE1].max, 100, "max");
    near(t[TRUTH_ROUGE1].diff, 50, "diff");
    assert_int_equal(t[TRUTH_ROUGE1].acc, 1);
    assert_int_equal(score_truth("", "The moon.", "the sun", t, &err), 0);
    for (int m = 0; m < TRUTH_METRICS; m++) /* an empty answer is no nearer to the truth */
        assert_true(t[m].max == 0 && t[m].diff == 0 && t[m].acc == 0);
}

/* Words of text under the words of every script, as numbers in the order of first appearance. */
static void assert_words(const char *text, const char *wanted)
{
    struct rouge_vocab *v;
    struct rouge_text t;
    char shown[200] = "";
    assert_int_equal(rouge_vocab_new_unicode(&v, NULL), 0);
    assert_int_equal(rouge_text_init(&t, v, text, strlen(text), NULL), 0);
    for (int i = 0; i < t.n; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s%d", i ? " " : "", (int)t.words[i]);
    for (int i = 0; i < t.n_sentence; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), " |%d", t.ends[i]);
    assert_string_equal(shown, wanted);
    rouge_text_deinit(&t);
    rouge_vocab_free(v);
}

static void words_of_every_script(void **state)
{
    (void)state;
    assert_words("Is it? IS_IT!", "0 1 0 1 |4");
    assert_words("\xd0\x9a\xd0\xb0\xd0\xba \xd0\xb2\xd0\xb0\xd1\x80\xd0\xb8\xd1\x82\xd1\x8c? \xd0\xba\xd0\xb0\xd0\xba",
                 "0 1 0 |3");                                     /* Kak varit'? kak */
    assert_words("caf\xc3\xa9\nCAFE\xcc\x81 caf", "0 0 1 |1 |3"); /* composed and not */
    assert_words("\xe6\xb0\xb4\xe3\x81\xaf\xe6\xb0\xb4\xe3\x80\x82 H\xe2\x82\x82O",
                 "0 1 0 2 |4"); /* no spaces between; H2O */
    assert_words("stra\xc3\x9f"
                 "e STRASSE \xef\xbc\xa1\xef\xbc\xa2 ab",
                 "0 0 1 1 |4");                                                          /* full width */
    assert_words("\xe2\x80\x9cIt\xe2\x80\x99s\xe2\x80\x9d \xe2\x80\x94 it", "0 1 0 |3"); /* curly marks are none */
    assert_int_equal(rouge_overlooks("It\xe2\x80\x99s \xe2\x80\x94 5 \xe2\x82\xac"), 0);
    assert_int_equal(rouge_overlooks("caf\xc3\xa9"), 1);
    struct rouge_score s =
        rouge("\xd0\xba\xd0\xb0\xd0\xba", "\xd0\xba\xd0\xb0\xd0\xba", 3); /* rouge_score's own see nothing here */
    near(s.f, 0, "ROUGE-L of Cyrillic");
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    const char *text = "a few words of text. And a second sentence\nin two lines";
    for (long n = 0;; n++) {
        struct truth_score t[TRUTH_METRICS];
        struct error err;
        mem_fail_at(n);
        int rc = score_truth(text, text, text, t, &err), pending = mem_fail_pending();
        mem_fail_at(-1);
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
        cmocka_unit_test(published_check_values),
        cmocka_unit_test(tokenizer_of_bleu),
        cmocka_unit_test(equal_to_rouge_score_and_sacrebleu),
        cmocka_unit_test(bit_parallel_lcs_equals_the_table),
        cmocka_unit_test(union_lcs_goes_back_as_rouge_score_does),
        cmocka_unit_test(reference_lists),
        cmocka_unit_test(words_of_every_script),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
