/* SPDX-License-Identifier: Apache-2.0 */
/* How patterns cut a text: as the tokenizers library does (tools/golden_regex.py), the same by hand and by Oniguruma
 * for the patterns that are written out, in several threads at once, and never without end. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/regex.h"

#include <jansson.h>
#include <pthread.h>
#include <string.h>

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
#define MODERN(digits)                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char *const known[] = {gpt2, MODERN("\\p{N}{1,3}"), MODERN("\\p{N}")};

static struct regex *compile(const char *pattern)
{
    struct regex *re;
    struct error err = {0};
    if (regex_new(&re, pattern, strlen(pattern), &err))
        fail_msg("%s", err.message);
    return re;
}

static json_t *load(void)
{
    json_error_t why;
    json_t *doc = json_load_file("tests/golden/regex.json", JSON_ALLOW_NUL, &why);
    if (!doc)
        fail_msg("regex.json: %s", why.text);
    return doc;
}

/* The ends of the pieces of a Split that isolates matches. */
static int cuts_differ(const struct regex *re, struct regex_match *m, const json_t *text, const json_t *cuts)
{
    size_t n = json_string_length(text), at = 0, start, end, i = 0, prev = 0;
    struct regex_scan scan = {.re = re, .match = m, .text = json_string_value(text), .n = n};
    int bad = 0, found;
    while ((found = regex_next(&scan, &start, &end, NULL)) > 0) {
        size_t stops[2] = {start, end};
        for (int k = 0; k < 2; k++) {
            if (stops[k] == prev)
                continue;
            prev = at = stops[k];
            bad |= (json_int_t)at != json_integer_value(json_array_get(cuts, i++));
        }
    }
    if (at != n)
        bad |= (json_int_t)n != json_integer_value(json_array_get(cuts, i++));
    return bad || found || i != json_array_size(cuts);
}

static int compiles(const char *pattern)
{
    struct regex *re;
    if (regex_new(&re, pattern, strlen(pattern), NULL))
        return 0;
    regex_free(re);
    printf("%s should be refused\n", pattern);
    return 1;
}

static int pattern_differs(const json_t *entry)
{
    const char *pattern = json_string_value(json_array_get(entry, 0));
    const json_t *texts = json_array_get(entry, 1);
    if (json_is_null(texts))
        return compiles(pattern);
    struct regex *re = compile(pattern);
    struct regex_match *m = regex_match_new();
    int bad = 0;
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(json_array_get(texts, i), 0);
        if (!cuts_differ(re, m, text, json_array_get(json_array_get(texts, i), 1)))
            continue;
        printf("%s cuts \"%s\" elsewhere\n", pattern, json_string_value(text));
        bad = 1;
    }
    regex_match_free(m);
    regex_free(re);
    return bad;
}

static void cuts_of_the_tokenizers_library(void **state)
{
    (void)state;
    json_t *doc = load();
    int bad = 0;
    assert_true(json_array_size(doc) > 90);
    for (size_t i = 0; i < json_array_size(doc); i++)
        bad += pattern_differs(json_array_get(doc, i));
    json_decref(doc);
    assert_int_equal(bad, 0);
}

static uint64_t next(uint64_t *state) /* xorshift */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t any_character(uint64_t *random)
{
    static const char near[] = "aZ09' \r\n\t.sStTrReEvVmMlLdD_\xa0\x85";
    uint64_t r = next(random);
    if (r % 4)
        return (unsigned char)near[(r >> 8) % (sizeof near - 1)];
    uint32_t cp = (uint32_t)(r >> 16) % (r & 8 ? 0x3000 : 0x20000);
    if (r & 16 && r & 32)
        cp = 0x17f;
    return cp >= 0xd800 && cp < 0xe000 ? 0x2028 : cp;
}

static void written_out_patterns_are_oniguruma(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (size_t p = 0; p < sizeof known / sizeof *known; p++) {
        struct regex *fast = compile(known[p]), *slow;
        assert_int_equal(regex_new_plain(&slow, known[p], strlen(known[p]), NULL), 0);
        assert_non_null(regex_known_find(known[p], strlen(known[p])));
        struct regex_match *m = regex_match_new();
        for (int i = 0; i < 20000; i++) {
            struct buf text = BUF_INIT;
            size_t a[2], b[2];
            for (uint64_t k = next(&random) % 12; k; k--)
                utf8_put(&text, any_character(&random));
            struct regex_scan x = {.re = fast, .match = m, .text = text.data ? text.data : "", .n = text.len}, y = x;
            y.re = slow;
            int more = 1;
            while (more) {
                more = regex_next(&x, a, a + 1, NULL);
                assert_int_equal(more, regex_next(&y, b, b + 1, NULL));
                if (more && (a[0] != b[0] || a[1] != b[1]))
                    fail_msg("%s cuts \"%s\" at %zu, not %zu", known[p], text.data, a[1], b[1]);
            }
            buf_free(&text);
        }
        regex_match_free(m);
        regex_free(fast);
        regex_free(slow);
    }
}

static void *cut_all(void *user)
{
    const json_t *doc = user;
    long bad = 0;
    for (size_t i = 0; i < json_array_size(doc); i++)
        bad += pattern_differs(json_array_get(doc, i));
    return (void *)bad;
}

static void several_threads(void **state)
{
    (void)state;
    json_t *doc = load();
    pthread_t thread[4];
    void *bad;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(thread + i, NULL, cut_all, doc), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], &bad);
        assert_null(bad);
    }
    json_decref(doc);
}

/* Match number `at` is the first that fails. */
static void expect_error(const char *pattern, const char *text, size_t n, int at, const char *says)
{
    struct regex *re = compile(pattern);
    struct regex_match *m = regex_match_new();
    struct regex_scan scan = {.re = re, .match = m, .text = text, .n = n};
    struct error err = {0};
    size_t start, end;
    while (at--)
        assert_int_equal(regex_next(&scan, &start, &end, &err), 1);
    assert_int_equal(regex_next(&scan, &start, &end, &err), ERROR_DATA);
    if (!strstr(err.message, says))
        fail_msg("%s: wanted \"%s\" in \"%s\"", pattern, says, err.message);
    regex_match_free(m);
    regex_free(re);
}

static void backtracking_without_end_is_an_error(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    expect_error("(?:a|aa)+\\z", text, sizeof text, 0, "retry-limit-in-match");
    expect_error("(?:a?a?)*\\z", text, sizeof text, 0, "retry-limit-in-match");
    expect_error("(?:(?:a|b)|(?:a|c))*+\\z|(?:a|a)+\\z", text, sizeof text, 0, "retry-limit-in-match");
    expect_error("a*a*\\z", text + sizeof text - 1500, 1500, 0,
                 "retry-limit-in-search"); /* no place alone takes long */
}

static void a_match_that_begins_inside_the_one_before_is_an_error(void **state)
{
    (void)state;
    expect_error("a|(?<=\\Ka)b", "ab", 2, 1, "\\K");
}

static void wrong_patterns_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a(", "[a", "\\p{Nonsense}", "a{3", "\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct regex *re = NULL;
        struct error err = {0};
        if (regex_new(&re, wrong[i], strlen(wrong[i]), &err)) {
            assert_int_equal(err.code, ERROR_DATA);
            assert_non_null(strstr(err.message, wrong[i]));
        } else {
            assert_string_equal(wrong[i], "a{3"); /* Ruby's syntax has it as text */
        }
        regex_free(re);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_of_the_tokenizers_library),
        cmocka_unit_test(written_out_patterns_are_oniguruma),
        cmocka_unit_test(several_threads),
        cmocka_unit_test(backtracking_without_end_is_an_error),
        cmocka_unit_test(a_match_that_begins_inside_the_one_before_is_an_error),
        cmocka_unit_test(wrong_patterns_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
