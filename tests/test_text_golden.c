/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizers library's ids and texts for every component we read (tools/golden_tokenizer.py), and on the same cases
 * what must hold of the stream: its pieces join to the decoded text, and a peek is the decoded text so far. */
#include "tests/check.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(const char *name)
{
    char path[256];
    json_error_t why;
    snprintf(path, sizeof path, "tests/golden/%s", name);
    json_t *doc = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!doc)
        fail_msg("%s: %s", path, why.text);
    return doc;
}

static struct tokenizer *open_patched(const json_t *setting)
{
    char name[64];
    const char *key;
    json_t *value;
    struct tokenizer *tok;
    struct error err = {0};
    snprintf(name, sizeof name, "tokenizer_%s.json", json_string_value(json_object_get(setting, "base")));
    json_t *doc = load(name);
    json_object_foreach(json_object_get(setting, "patch"), key, value) if (strcmp(key, "model"))
        json_object_set(doc, key, value);
    else json_object_update(json_object_get(doc, key), value);
    char *text = json_dumps(doc, 0);
    const char *label = json_string_value(json_object_get(setting, "name"));
    if (tokenizer_open_json(&tok, label, text, strlen(text), NULL, &err))
        fail_msg("%s", err.message);
    free(text);
    json_decref(doc);
    return tok;
}

static void show(const char *what, const struct tokens *t)
{
    printf("  %s", what);
    for (size_t i = 0; i < t->n; i++)
        printf(" %d", t->ids[i]);
    printf("\n");
}

static int check_ids(const struct tokenizer *tok, const json_t *text, const json_t *ids, int flags)
{
    struct tokens got = TOKENS_INIT, want = TOKENS_INIT;
    struct error err = {0};
    for (size_t i = 0; i < json_array_size(ids); i++)
        tokens_push(&want, (int32_t)json_integer_value(json_array_get(ids, i)));
    if (tokenizer_encode(tok, json_string_value(text), json_string_length(text), flags, &got, &err))
        fail_msg("%s", err.message);
    int bad = got.n != want.n || (got.n && memcmp(got.ids, want.ids, got.n * sizeof *got.ids));
    if (bad) {
        printf("%s: \"%s\"\n", tokenizer_info(tok)->source, json_string_value(text));
        show("found", &got);
        show("wanted", &want);
    }
    tokens_free(&got);
    tokens_free(&want);
    return bad;
}

static int check_text(const struct tokenizer *tok, const json_t *ids, const json_t *text, int skip)
{
    struct tokenizer_stream *s;
    struct buf all = BUF_INIT, part = BUF_INIT, peek = BUF_INIT;
    int32_t list[512];
    size_t n = json_array_size(ids);
    int bad = 0;
    assert_true(n < 512);
    assert_int_equal(tokenizer_stream_new(&s, tok, skip, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        list[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        tokenizer_stream_push(s, list[i], &part);
        assert_int_equal(utf8_valid(part.data, part.len), part.len);
        buf_reset(&peek);
        buf_append(&peek, part.data, part.len);
        tokenizer_stream_peek(s, &peek);
        buf_reset(&all);
        assert_int_equal(tokenizer_decode(tok, list, i + 1, skip, &all, NULL), 0);
        bad |= peek.len != all.len || (all.len && memcmp(peek.data, all.data, all.len));
    }
    tokenizer_stream_finish(s, &part);
    bad |= part.len != json_string_length(text) || (part.len && memcmp(part.data, json_string_value(text), part.len));
    if (bad)
        printf("%s: found \"%s\"\n  wanted \"%s\"\n", tokenizer_info(tok)->source, part.data ? part.data : "",
               json_string_value(text));
    tokenizer_stream_free(s);
    buf_free(&all);
    buf_free(&part);
    buf_free(&peek);
    return bad;
}

static void settings_of(const char *base, size_t at_least)
{
    json_t *doc = load("tokenizer_cases.json");
    size_t seen = 0;
    int bad = 0;
    for (size_t i = 0; i < json_array_size(doc); i++) {
        const json_t *setting = json_array_get(doc, i), *cases = json_object_get(setting, "cases");
        if (strcmp(json_string_value(json_object_get(setting, "base")), base))
            continue;
        struct tokenizer *tok = open_patched(setting);
        for (size_t k = 0; k < json_array_size(cases); k++) {
            const json_t *c = json_array_get(cases, k), *text = json_array_get(c, 0);
            bad += check_ids(tok, text, json_array_get(c, 1), TOKENIZER_PARSE_SPECIAL);
            bad += check_ids(tok, text, json_array_get(c, 2), TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_SPECIAL);
            bad += check_text(tok, json_array_get(c, 2), json_array_get(c, 3), 0);
            bad += check_text(tok, json_array_get(c, 2), json_array_get(c, 4), 1);
        }
        tokenizer_close(tok);
        seen++;
    }
    json_decref(doc);
    assert_int_equal(bad, 0);
    assert_true(seen >= at_least);
}

static void byte_level_under_every_component(void **state)
{
    (void)state;
    settings_of("bytelevel", 30);
}

static void sentencepiece_style(void **state)
{
    (void)state;
    settings_of("spm", 10);
}

static void wordpiece(void **state)
{
    (void)state;
    settings_of("wordpiece", 4);
}

static void unigram(void **state)
{
    (void)state;
    settings_of("unigram", 5);
}

static void word_level(void **state)
{
    (void)state;
    settings_of("word_level", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_under_every_component),
        cmocka_unit_test(sentencepiece_style),
        cmocka_unit_test(wordpiece),
        cmocka_unit_test(unigram),
        cmocka_unit_test(word_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
