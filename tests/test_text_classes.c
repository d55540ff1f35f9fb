/* SPDX-License-Identifier: Apache-2.0 */
/* Every character beyond ASCII in the classes of the tokenizers library (tools/golden_characters.py). */
#include "tests/check.h"

#include "base/utf8.h"
#include "text/old_classes.h"
#include "text/regex.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static json_t *golden;

static int assigned(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp) != UTF8PROC_CATEGORY_CN;
}

/* Members of the golden class in order; asked about ascending characters. */
struct walk {
    const json_t *list;
    size_t i;
};

static int in_golden(struct walk *w, uint32_t cp)
{
    while (w->i < json_array_size(w->list) && cp > json_integer_value(json_array_get(json_array_get(w->list, w->i), 1)))
        w->i++;
    return w->i < json_array_size(w->list) &&
           cp >= json_integer_value(json_array_get(json_array_get(w->list, w->i), 0));
}

static int decomposes(uint32_t cp)
{
    utf8proc_int32_t out[8];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)cp, out, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
    return n != 1 || out[0] != (utf8proc_int32_t)cp;
}

static void check_class(const char *name, int (*is_member)(uint32_t), int (*matters)(uint32_t))
{
    struct walk w = {json_object_get(golden, name), 0};
    int bad = 0;
    assert_true(json_array_size(w.list) > 5);
    for (uint32_t cp = 0x80; cp < 0x110000; cp++) {
        int want = in_golden(&w, cp);
        if ((cp >= 0xd800 && cp < 0xe000) || (matters && !matters(cp)) || !is_member(cp) == !want)
            continue;
        if (bad++ < 10)
            printf("%s: U+%04X is %sa member\n", name, cp, want ? "" : "no ");
    }
    assert_int_equal(bad, 0);
}

static int stays(uint32_t cp)
{
    return !decomposes(cp); /* what does not is never asked about */
}

static int is_other_but_space(uint32_t cp)
{
    return old_is_other(cp) && !utf8_is_space(cp);
}

static void classes_of_the_tokenizers_library(void **state)
{
    (void)state;
    check_class("punctuation", old_is_punctuation, NULL);
    check_class("mark", old_is_mark, NULL);
    check_class("nonspacing", old_is_nonspacing, stays);
    check_class("other", is_other_but_space, NULL);
    check_class("word", utf8_is_word, assigned); /* the regex crate's Unicode is newer than ours */
}

/* The ids of a tokenizer whose tokens are bytes, under a normal form: whether it changes the text. */
static int changes(const struct tokenizer *tok, const char *text, size_t n)
{
    struct tokens ids = TOKENS_INIT;
    assert_int_equal(tokenizer_encode(tok, text, n, 0, &ids, NULL), 0);
    int changed = ids.n != n;
    for (size_t i = 0; i < ids.n && !changed; i++)
        changed = ids.ids[i] != (unsigned char)text[i];
    tokens_free(&ids);
    return changed;
}

static struct tokenizer *bytes_under(const char *form)
{
    char text[16000];
    struct tokenizer *tok;
    struct error err = {0};
    int n =
        snprintf(text, sizeof text, "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"merges\":[],\"vocab\":{");
    for (int i = 0; i < 256; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\"<0x%02X>\":%d", i ? "," : "", i, i);
    n += snprintf(text + n, sizeof text - (size_t)n, "}},\"normalizer\":{\"type\":\"%s\"}}", form);
    if (tokenizer_open_json(&tok, form, text, (size_t)n, NULL, &err))
        fail_msg("%s", err.message);
    return tok;
}

/* Newer than utf8proc's: what tokenizers' Lowercase gives. */
static void capitals_of_newer_scripts(void **state)
{
    (void)state;
    static const uint32_t pairs[][2] = {{0x1c89, 0x1c8a},   {0xa7cb, 0x264},    {0xa7cc, 0xa7cd},   {0xa7cd, 0xa7cd},
                                        {0xa7ce, 0xa7cf},   {0xa7d4, 0xa7d5},   {0xa7da, 0xa7db},   {0xa7dc, 0x19b},
                                        {0x10d50, 0x10d70}, {0x10d65, 0x10d85}, {0x10d66, 0x10d66}, {0x16eb8, 0x16ed3},
                                        {'A', 'a'},         {0xc4, 0xe4}};
    struct tokenizer *tok = bytes_under("Lowercase");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[4];
        char want[4];
        struct tokens ids = TOKENS_INIT;
        size_t n = utf8_encode(pairs[i][0], text), n_want = utf8_encode(pairs[i][1], want);
        assert_int_equal(tokenizer_encode(tok, text, n, 0, &ids, NULL), 0);
        assert_int_equal(ids.n, n_want);
        for (size_t k = 0; k < n_want; k++)
            assert_int_equal(ids.ids[k], (unsigned char)want[k]);
        tokens_free(&ids);
    }
    tokenizer_close(tok);
}

/* The pattern's matches among single characters are those of the golden list, those of its negation all others. */
static void check_property(const json_t *lists, const char *name)
{
    char pattern[2][16];
    struct regex *re[2];
    struct regex_match *m = regex_match_new();
    struct walk w = {json_object_get(lists, name), 0};
    int bad = 0;
    snprintf(pattern[0], sizeof *pattern, "\\p{%s}", name);
    snprintf(pattern[1], sizeof *pattern, "[^\\s\\p{%s}]", name);
    assert_non_null(m);
    assert_true(json_array_size(w.list) > 5);
    for (int k = 0; k < 2; k++)
        assert_int_equal(regex_new_plain(&re[k], pattern[k], strlen(pattern[k]), NULL), 0);
    for (uint32_t cp = 0x80; cp < 0x40000; cp++) {
        char text[4];
        size_t n = utf8_encode(cp, text);
        size_t start;
        size_t end;
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        int want = in_golden(&w, cp);
        for (int k = 0; k < 2; k++) {
            struct regex_scan scan = {.re = re[k], .match = m, .text = text, .n = n};
            int expected = k ? !want && !utf8_is_space(cp) : want;
            if (regex_next(&scan, &start, &end, NULL) != expected && bad++ < 10)
                printf("%s: U+%04X: wanted %d\n", pattern[k], cp, expected);
        }
    }
    for (int k = 0; k < 2; k++)
        regex_free(re[k]);
    regex_match_free(m);
    assert_int_equal(bad, 0);
}

/* Oniguruma and utf8proc with the characters of Unicode 15 and 16, which Debian's do not have all
 * (tools/golden_categories.py). */
static void categories_of_the_tokenizers_library(void **state)
{
    (void)state;
    static const char *const names[] = {"L", "Lu", "N", "P", "S", "M"};
    json_error_t why;
    json_t *lists = json_load_file("tests/golden/categories.json", 0, &why);
    assert_non_null(lists);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_property(lists, names[i]);
    struct walk w = {json_object_get(lists, "digits"), 0};
    int bad = 0;
    for (uint32_t cp = 0x80; cp < 0x110000; cp++) {
        int want = in_golden(&w, cp);
        if ((cp < 0xd800 || cp >= 0xe000) && !utf8_is_numeric(cp) != !want && bad++ < 10)
            printf("digits: U+%04X: wanted %d\n", cp, want);
    }
    json_decref(lists);
    assert_int_equal(bad, 0);
}

static void normal_forms_of_the_tokenizers_library(void **state)
{
    (void)state;
    struct tokenizer *nfkd = bytes_under("NFKD"), *nfd = bytes_under("NFD");
    struct walk changed = {json_object_get(golden, "changed"), 0}, ordered = {json_object_get(golden, "ordered"), 0};
    int bad = 0;
    assert_true(json_array_size(changed.list) > 5 && json_array_size(ordered.list) > 5);
    for (uint32_t cp = 0x80; cp < 0x110000; cp++) {
        char before[8] = "\xcd\x85", behind[8];
        if ((cp >= 0xd800 && cp < 0xe000) || (cp >= 0x40000 && cp < 0xe0000))
            continue; /* no characters, and planes without any */
        size_t k = utf8_encode(cp, before + 2);
        utf8_encode(cp, behind);
        memcpy(behind + k, "\xcc\xb4", 2);
        int is_changed = in_golden(&changed, cp);
        int moves = in_golden(&ordered, cp);
        int found = changes(nfkd, before + 2, k);
        int moved = is_changed || changes(nfd, before, k + 2) || changes(nfd, behind, k + 2);
        if ((is_changed != found || (!is_changed && moves != moved)) && bad++ < 10)
            printf("U+%04X: changed %d, wanted %d; moved %d, wanted %d\n", cp, found, is_changed, moved, moves);
    }
    assert_int_equal(bad, 0);
    tokenizer_close(nfkd);
    tokenizer_close(nfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_of_the_tokenizers_library), cmocka_unit_test(normal_forms_of_the_tokenizers_library),
        cmocka_unit_test(categories_of_the_tokenizers_library), cmocka_unit_test(capitals_of_newer_scripts)};
    json_error_t why;
    golden = json_load_file("tests/golden/characters.json", 0, &why);
    if (!golden) {
        printf("tests/golden/characters.json: %s\n", why.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(golden);
    return failed;
}
