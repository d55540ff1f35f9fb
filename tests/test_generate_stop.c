/* SPDX-License-Identifier: Apache-2.0 */
/* Stop strings over a vocabulary of letters and special tokens, as transformers' stop_strings has them: the text that
 * is looked at has the special tokens, the text that is given has not. */
#include "tests/check.h"

#include "base/mem.h"
#include "generate/stop.h"
#include "text/tokenizer.h"

#include <string.h>

static const char document[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\xc3\x83\":3,\"\xc2\xa9\":4,\"ca\":5,\"<\":6,"
    "\"end\":7,\">\":8,\"d\":9,\"e\":10,\"n\":11,\"en\":12},"
    "\"merges\":[\"c a\",\"e n\",\"en "
    "d\"]},\"added_tokens\":[{\"id\":13,\"content\":\"<end>\",\"special\":true},{\"id\":14,\"content\":\"<sep>\","
    "\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"}}";
enum { A, B, C, C3, A9, CA, LESS, WORD_END, GREATER, END = 13, SEP };

static struct tokenizer *open_letters(void)
{
    struct tokenizer *tok;
    struct error err = {0};
    if (tokenizer_open_json(&tok, "t.json", document, sizeof document - 1, NULL, &err))
        fail_msg("%s", err.message);
    return tok;
}

/* At which of the ids the text ends; n when at none. */
static int ends_at(struct finder *f, const struct generate_options *o, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) {
        finder_begin(f, o, ids, i);
        if (finder_ends(f, o, ids[i]))
            return i;
    }
    return n;
}

static void special_tokens_count_with_their_text(void **state)
{
    (void)state;
    static const struct {
        const char *stop, *text;
        int32_t ids[8];
        int n, at;
    } cases[] = {
        {"<end>", "ab", {A, B, END}, 3, 2},
        {"<end>", "ab", {A, B, LESS, WORD_END, GREATER}, 5, 4},
        {"b<end>", "a", {A, B, END, C}, 4, 2},
        {"end>", "ab", {A, B, END}, 3, 2},
        {"<end><sep>", "a", {A, END, SEP}, 3, 2},
        {"<sep>b", "aa", {A, END, A, SEP, B}, 5, 4},
        {"d>b", "a", {A, END, B}, 3, 2},
        {"ab", "abc", {A, END, B, C}, 4, 4}, /* not side by side */
        {"c", "\xc3\xa9", {C3, A9, CA}, 3, 2},
        {"c", "\xc3\xa9", {C3, A9, END, CA}, 4, 3},
        {"\xc3\xa9", "", {END, C3, A9}, 3, 2},
        {"<sep>", "\xef\xbf\xbd", {C3, SEP}, 2, 1},
        {"a", "", {A}, 1, 0},
        {"x", "", {END, SEP}, 2, 2},
    };
    struct tokenizer *tok = open_letters();
    struct finder *f;
    struct error err = {0};
    assert_int_equal(finder_new(&f, tok, &err), 0);
    assert_int_equal(finder_warm(f), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct generate_options o = {.n_stop = 1};
        char *text;
        strcpy(o.stop[0], cases[i].stop);
        assert_int_equal(ends_at(f, &o, cases[i].ids, cases[i].n), cases[i].at);
        assert_int_equal(stop_text(tok, &o, cases[i].ids, cases[i].n, &text, &err), 0);
        assert_string_equal(text, cases[i].text);
        mem_free(text);
    }
    finder_free(f);
    tokenizer_close(tok);
}

/* A token that ends a generation is no part of its text, though it may be an ordinary one (--eos-token-id); elsewhere
 * than at the end it is. */
static void the_end_is_not_in_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t ids[4];
        int n;
    } cases[] = {{"ab", {A, B, C}, 3},  {"ab", {A, B, GREATER}, 3},
                 {"acb", {A, C, B}, 3}, {"c", {C, C}, 2},
                 {"", {C}, 1},          {"", {END}, 0}};
    const struct generate_options o = {.eos_ids = {C, GREATER}, .n_eos = 2};
    struct tokenizer *tok = open_letters();
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text;
        assert_int_equal(stop_text(tok, &o, cases[i].ids, cases[i].n, &text, &err), 0);
        assert_string_equal(text, cases[i].text);
        mem_free(text);
    }
    tokenizer_close(tok);
}

/* One token for each byte, up to the longest string that can be given, at any distance from the text's begin. */
static void long_strings_of_short_tokens(void **state)
{
    (void)state;
    enum { LENGTHS = 4, MOST = GENERATE_STOP_BYTES - 1 };
    static const int lengths[LENGTHS] = {20, 63, 64, MOST};
    struct tokenizer *tok = open_letters();
    struct finder *f;
    struct error err = {0};
    assert_int_equal(finder_new(&f, tok, &err), 0);
    assert_int_equal(finder_warm(f), 0);
    for (int k = 0; k < LENGTHS; k++)
        for (int before = 0; before < 300; before += 60) {
            struct generate_options o = {.n_stop = 1};
            int32_t ids[300 + MOST];
            char *text;
            int n = before + lengths[k];
            for (int i = 0; i < before; i++)
                ids[i] = C;
            for (int i = before; i < n; i++)
                ids[i] = i % 3 ? A : B;
            for (int i = 0; i < lengths[k]; i++)
                o.stop[0][i] = "abc"[ids[before + i]];
            assert_int_equal(ends_at(f, &o, ids, n), n - 1);
            assert_int_equal(stop_text(tok, &o, ids, n, &text, &err), 0);
            assert_int_equal(strlen(text), before);
            mem_free(text);
        }
    finder_free(f);
    tokenizer_close(tok);
}

static void the_first_of_several_ends(void **state)
{
    (void)state;
    static const int32_t ids[] = {A, B, END, C, SEP};
    struct tokenizer *tok = open_letters();
    struct finder *f;
    struct error err = {0};
    struct generate_options o = {.n_stop = GENERATE_MAX_STOP};
    char *text;
    for (int i = 0; i < o.n_stop; i++)
        strcpy(o.stop[i], "never");
    strcpy(o.stop[3], "c<sep>");
    strcpy(o.stop[GENERATE_MAX_STOP - 1], "<end>c");
    assert_int_equal(finder_new(&f, tok, &err), 0);
    assert_int_equal(ends_at(f, &o, ids, 5), 3);
    assert_int_equal(stop_text(tok, &o, ids, 4, &text, &err), 0);
    assert_string_equal(text, "ab");
    mem_free(text);
    finder_free(f);
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_tokens_count_with_their_text),
        cmocka_unit_test(long_strings_of_short_tokens),
        cmocka_unit_test(the_end_is_not_in_the_text),
        cmocka_unit_test(the_first_of_several_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
