/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece's own ids and texts for small models of every kind (tools/golden_sentencepiece.py), what a model is
 * refused for, and that a model survives its export as a tokenizer.json. */
#include "tests/check.h"

#include "base/mem.h"
#include "io/file.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <string.h>

static json_t *load_cases(void)
{
    json_error_t why;
    json_t *doc = json_load_file("tests/golden/spm/cases.json", JSON_ALLOW_NUL, &why);
    if (!doc)
        fail_msg("cases.json: %s", why.text);
    return doc;
}

static struct tokenizer *open_model(const char *name)
{
    char path[128];
    struct tokenizer *tok;
    struct error err = {0};
    snprintf(path, sizeof path, "tests/golden/spm/%s.model", name);
    if (tokenizer_open(&tok, path, &err))
        fail_msg("%s", err.message);
    return tok;
}

static void read_ids(struct tokens *out, const json_t *list)
{
    out->n = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        tokens_push(out, (int32_t)json_integer_value(json_array_get(list, i)));
}

static int differ(const char *name, const struct tokens *got, const struct tokens *want, const char *text)
{
    if (got->n == want->n && (!got->n || !memcmp(got->ids, want->ids, got->n * sizeof *got->ids)))
        return 0;
    printf("%s: \"%s\":", name, text);
    for (size_t i = 0; i < got->n; i++)
        printf(" %d", got->ids[i]);
    printf(", wanted");
    for (size_t i = 0; i < want->n; i++)
        printf(" %d", want->ids[i]);
    printf("\n");
    return 1;
}

static int check_decoding(const char *name, const struct tokenizer *tok, const struct tokens *ids, const json_t *text)
{
    struct buf all = BUF_INIT, parts = BUF_INIT;
    struct tokenizer_stream *s;
    int bad = tokenizer_decode(tok, ids->ids, ids->n, 1, &all, NULL);
    assert_int_equal(tokenizer_stream_new(&s, tok, 1, NULL), 0);
    for (size_t i = 0; i < ids->n; i++)
        tokenizer_stream_push(s, ids->ids[i], &parts);
    tokenizer_stream_finish(s, &parts);
    tokenizer_stream_free(s);
    bad |= all.len != parts.len || (all.len && memcmp(all.data, parts.data, all.len));
    bad |= all.len != json_string_length(text) || (all.len && memcmp(all.data, json_string_value(text), all.len));
    if (bad)
        printf("%s: found \"%s\", wanted \"%s\"\n", name, all.data ? all.data : "", json_string_value(text));
    buf_free(&all);
    buf_free(&parts);
    return bad;
}

static int check_cases(const char *name, const struct tokenizer *tok, const json_t *cases)
{
    struct tokens got = TOKENS_INIT, want = TOKENS_INIT;
    int bad = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *text = json_array_get(c, 0);
        read_ids(&want, json_array_get(c, 1));
        got.n = 0;
        if (json_is_string(text)) {
            assert_int_equal(tokenizer_encode(tok, json_string_value(text), json_string_length(text), 0, &got, NULL),
                             0);
            bad += differ(name, &got, &want, json_string_value(text));
        }
        bad += check_decoding(name, tok, &want, json_array_get(c, 2));
    }
    tokens_free(&got);
    tokens_free(&want);
    return bad;
}

static void models_give_the_ids_and_texts_of_sentencepiece(void **state)
{
    (void)state;
    json_t *doc = load_cases();
    int bad = 0;
    for (size_t i = 0; i < json_array_size(doc); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(doc, i), "name"));
        struct tokenizer *tok = open_model(name);
        bad += check_cases(name, tok, json_object_get(json_array_get(doc, i), "cases"));
        tokenizer_close(tok);
    }
    assert_true(json_array_size(doc) >= 16);
    json_decref(doc);
    assert_int_equal(bad, 0);
}

/* The nearest tokenizer.json: for these models and texts its ids are the same but where a map meets clusters of
 * characters. */
static void an_exported_model_gives_the_ids_of_its_own(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "gemma", "suffix",  "user",
                                        "bytes", "ties",  "unigram", "unigram_bytes"};
    static const char *const texts[] = {"hello the world",        "  it's what they're saying  ",
                                        "caf\xc3\xa9 12 ",        "a",
                                        "hello<pad>hello\n\n  x", "\xf0\x9f\x99\x83 th"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct tokenizer *tok = open_model(names[k]), *again;
        struct buf json = BUF_INIT;
        struct error err = {0};
        struct tokens a = TOKENS_INIT, b = TOKENS_INIT;
        if (tokenizer_export(tok, &json, NULL, NULL, &err) ||
            tokenizer_open_json(&again, names[k], json.data, json.len, NULL, &err))
            fail_msg("%s", err.message);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            a.n = b.n = 0;
            assert_int_equal(tokenizer_encode(tok, texts[i], strlen(texts[i]), 0, &a, NULL), 0);
            assert_int_equal(tokenizer_encode(again, texts[i], strlen(texts[i]), 0, &b, NULL), 0);
            assert_int_equal(differ(names[k], &b, &a, texts[i]), 0);
        }
        assert_string_equal(tokenizer_info(tok)->model, tokenizer_info(again)->model);
        tokens_free(&a);
        tokens_free(&b);
        buf_free(&json);
        tokenizer_close(tok);
        tokenizer_close(again);
    }
}

/* A piece of the user's that the configuration names as special is one: found only where special tokens are looked
 * for. */
static void a_users_piece_may_be_special(void **state)
{
    (void)state;
    static const char config[] = "{\"additional_special_tokens\":[\"<sep>\"]}";
    const char *dir = check_tmpdir("spm-special");
    struct buf model = BUF_INIT;
    struct error err = {0};
    struct tokenizer *tok;
    struct tokens ids = TOKENS_INIT;
    char path[600];
    assert_int_equal(file_read(&model, "tests/golden/spm/gemma.model", 1 << 20, &err), 0);
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    assert_int_equal(file_write(path, model.data, model.len, &err), 0);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    assert_int_equal(file_write(path, config, strlen(config), &err), 0);
    if (tokenizer_open(&tok, dir, &err))
        fail_msg("%s", err.message);
    int32_t sep = tokenizer_id(tok, "<sep>", 5), pad = tokenizer_id(tok, "<pad>", 5);
    assert_int_equal(tokenizer_encode(tok, "<sep>", 5, TOKENIZER_PARSE_SPECIAL, &ids, &err), 0);
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.ids[0], sep);
    ids.n = 0;
    assert_int_equal(tokenizer_encode(tok, "<sep>", 5, 0, &ids, &err), 0);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_not_equal(ids.ids[i], sep);
    ids.n = 0;
    assert_int_equal(tokenizer_encode(tok, "<pad>", 5, 0, &ids, &err), 0);
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.ids[0], pad);
    tokens_free(&ids);
    buf_free(&model);
    tokenizer_close(tok);
}

static void refuses(const char *bytes, size_t n, const char *why)
{
    struct tokenizer *tok;
    struct error err = {0};
    int rc = tokenizer_open_spm(&tok, "t.model", bytes, n, &err);
    if (rc != ERROR_DATA || !strstr(err.message, why))
        fail_msg("gave %d \"%s\", wanted \"%s\"", rc, err.message, why);
}
#define REFUSES(bytes, why) refuses(bytes, sizeof(bytes) - 1, why)
#define UNK "\x0a\x07\x0a\x01u\x18\x02\x20\x01" /* a piece "u" of the type unknown, and a field that nobody knows */

static void a_bad_model_is_named(void **state)
{
    (void)state;
    REFUSES("", "is cut off or no protobuf");
    REFUSES("\x0a\x05\x0a", "is cut off or no protobuf");
    REFUSES("\x0a\x03\x0a\x01z", "wanted one piece of the type unknown, found 0");
    REFUSES("\x0a\x02\x18\x02", "a piece is cut off");
    REFUSES("\x0a\x03\x0a\x01\xff", "piece 0 is not UTF-8");
    REFUSES("\x0a\x05\x0a\x01z\x18\x09", "piece 0 has the type 9");
    REFUSES("\x0a\x08\x0a\x01z\x15\x00\x00\xc0\x7f", "the score of piece 0 is not a number");
    REFUSES(UNK UNK, "wanted one piece of the type unknown, found 2");
    REFUSES(UNK "\x12\x02\x18\x03", "model_type 3 (word) is not supported");
    REFUSES(UNK "\x12\x02\x18\x04", "model_type 4 (char) is not supported");
    REFUSES(UNK "\x12\x03\x98\x02\x01", "byte_fallback is true: wanted 256 byte pieces, found 0");
    REFUSES(UNK "\x0a\x05\x0a\x01z\x18\x06", "there are byte pieces, but byte_fallback is false");
    REFUSES(UNK "\x0a\x03\x0a\x01z\x0a\x03\x0a\x01z", "tokens 1 and 2 are both \"z\"");
    REFUSES(UNK "\x1a\x06\x12\x04\x08\x00\x00\x00", "precompiled_charsmap: the size of its trie is wrong");
    REFUSES(UNK "\x2a\x03\x12\x01z", "denormalizer_spec: precompiled_charsmap is not supported");
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct buf model = BUF_INIT;
    struct error err = {0};
    static const char *const names[] = {"tests/golden/spm/user.model", "tests/golden/spm/unigram_user.model"};
    for (int k = 0; k < 2; k++) {
        buf_reset(&model);
        assert_int_equal(file_read(&model, names[k], 1 << 20, &err), 0);
        for (long at = 0;; at++) {
            struct tokenizer *tok = NULL;
            struct tokens ids = TOKENS_INIT;
            mem_fail_at(at);
            int rc = tokenizer_open_spm(&tok, "t.model", model.data, model.len, &err);
            if (!rc)
                rc = tokenizer_encode(tok, "hello a b the", 13, 0, &ids, &err);
            int left = mem_fail_pending();
            mem_fail_at(-1);
            tokens_free(&ids);
            tokenizer_close(tok);
            if (left) {
                assert_int_equal(rc, 0);
                break;
            }
            assert_int_equal(rc, ERROR_NOMEM);
        }
    }
    buf_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_give_the_ids_and_texts_of_sentencepiece),
        cmocka_unit_test(an_exported_model_gives_the_ids_of_its_own),
        cmocka_unit_test(a_users_piece_may_be_special),
        cmocka_unit_test(a_bad_model_is_named),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
