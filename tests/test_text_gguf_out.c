/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer written into a GGUF file gives the same ids when it is read from there, or what llama.cpp cannot do of it
 * is refused by its component's name. The ids that are compared with are the tokenizers library's
 * (tests/golden/tokenizer_cases.json). */
#include "tests/check.h"

#include "io/file.h"
#include "io/jsontext.h"
#include "text/gguf_out.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <string.h>

static char dir[200], path[256];

static json_t *load(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "tests/golden/%s", name);
    json_t *doc = json_load_file(file, JSON_ALLOW_NUL, NULL);
    assert_non_null(doc);
    return doc;
}

/* The setting's tokenizer.json as a file of its own. */
static void open_patched(struct tokenizer **tok, const json_t *setting)
{
    char name[64], file[256];
    const char *key;
    json_t *value;
    struct error err = {0};
    snprintf(name, sizeof name, "tokenizer_%s.json", json_string_value(json_object_get(setting, "base")));
    json_t *doc = load(name);
    json_object_foreach(json_object_get(setting, "patch"), key, value)
    {
        if (strcmp(key, "model"))
            json_object_set(doc, key, value);
        else
            json_object_update(json_object_get(doc, key), value);
    }
    snprintf(file, sizeof file, "%s/tokenizer.json", dir);
    if (jsontext_write(file, doc, &err) || tokenizer_open(tok, file, &err))
        fail_msg("%s", err.message);
    json_decref(doc);
}

static int written(const struct tokenizer *tok, int n, struct error *err)
{
    struct gguf_writer *w;
    int rc = gguf_writer_new(&w, err);
    if (!rc)
        rc = tokenizer_to_gguf(tok, n, w, err);
    if (!rc)
        rc = gguf_writer_begin(w, path, err);
    return gguf_writer_end(w, rc, err);
}

static int same_ids(const struct tokenizer *tok, const json_t *text, const json_t *ids, int flags)
{
    struct tokens got = TOKENS_INIT;
    int same = !tokenizer_encode(tok, json_string_value(text), json_string_length(text), flags, &got, NULL) &&
               got.n == json_array_size(ids);
    for (size_t i = 0; i < got.n && same; i++)
        same = got.ids[i] == json_integer_value(json_array_get(ids, i));
    tokens_free(&got);
    return same;
}

/* llama.cpp puts its blank before every text, Metaspace only before one that has none. */
static int comparable(const json_t *setting, const char *text)
{
    int metaspace = !strncmp(json_string_value(json_object_get(setting, "name")), "metaspace", 9);
    return !metaspace || (text[0] > ' ' && text[0] > 0 && !strchr(text, '<'));
}

/* -1: refused; else how many texts have other ids. */
static int try_setting(const json_t *setting, char why[1100])
{
    const json_t *cases = json_object_get(setting, "cases");
    struct tokenizer *from, *to;
    struct error err = {0};
    int bad = 0;
    open_patched(&from, setting);
    int rc = written(from, tokenizer_size(from) + 3, &err);
    snprintf(why, 1100, "%s", err.message);
    if (!rc && tokenizer_open(&to, path, &err))
        fail_msg("%s", err.message);
    for (size_t k = 0; k < json_array_size(cases) && !rc; k++) {
        const json_t *c = json_array_get(cases, k);
        int same =
            !comparable(setting, json_string_value(json_array_get(c, 0))) ||
            (same_ids(to, json_array_get(c, 0), json_array_get(c, 1), TOKENIZER_PARSE_SPECIAL) &&
             same_ids(to, json_array_get(c, 0), json_array_get(c, 2), TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_SPECIAL));
        if (!same)
            snprintf(why, 1100, "other ids of \"%s\"", json_string_value(json_array_get(c, 0)));
        bad += !same;
    }
    if (!rc)
        tokenizer_close(to);
    tokenizer_close(from);
    return rc ? -1 : bad;
}

static void settings_of(const char *base, int written_at_least)
{
    json_t *doc = load("tokenizer_cases.json");
    int n = 0, wrong = 0;
    for (size_t i = 0; i < json_array_size(doc); i++) {
        const json_t *setting = json_array_get(doc, i);
        char why[1100];
        if (strcmp(json_string_value(json_object_get(setting, "base")), base))
            continue;
        int bad = try_setting(setting, why);
        if (bad)
            printf("  %s: %s\n", json_string_value(json_object_get(setting, "name")), why);
        n += bad == 0;
        wrong += bad > 0;
    }
    json_decref(doc);
    printf("  %s: %d written\n", base, n);
    assert_int_equal(wrong, 0);
    assert_true(n >= written_at_least);
}

static void byte_level(void **state)
{
    (void)state;
    settings_of("bytelevel", 3);
}

static void sentencepiece_style(void **state)
{
    (void)state;
    settings_of("spm", 2);
}

static void wordpiece(void **state)
{
    (void)state;
    settings_of("wordpiece", 4);
}

/* Another way to make a token that two others make, at the end of the list; gives the token. */
static const char *add_late_merge(json_t *doc)
{
    json_t *model = json_object_get(doc, "model"), *merges = json_object_get(model, "merges"), *m;
    const json_t *vocab = json_object_get(model, "vocab");
    static char whole[200];
    size_t i;
    json_array_foreach(merges, i, m)
    {
        size_t first = json_string_length(json_array_get(m, 0));
        snprintf(whole, sizeof whole, "%s%s", json_string_value(json_array_get(m, 0)),
                 json_string_value(json_array_get(m, 1)));
        for (size_t k = 1; k < strlen(whole); k++)
            if (k != first && json_object_getn(vocab, whole, k) && json_object_get(vocab, whole + k)) {
                json_array_append_new(merges, json_pack("[s%, s]", whole, k, whole + k));
                return whole;
            }
    }
    fail_msg("no token can be made in two ways");
    return NULL;
}

/* llama.cpp merges by a score of the token, so that all its merges must stand together; of an added token none is used.
 */
static void merges_that_do_not_stand_together_are_refused(void **state)
{
    (void)state;
    json_t *doc = load("tokenizer_spm.json");
    const char *token = add_late_merge(doc);
    char file[256];
    snprintf(file, sizeof file, "%s/tokenizer.json", dir);
    for (int added = 0; added < 2; added++) {
        struct tokenizer *tok = NULL;
        struct error err = {0};
        if (added)
            json_array_append_new(
                json_object_get(doc, "added_tokens"),
                json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                          json_object_get(json_object_get(json_object_get(doc, "model"), "vocab"), token), "content",
                          token, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 0));
        if (jsontext_write(file, doc, &err) || tokenizer_open(&tok, file, &err))
            fail_msg("%s", err.message);
        int rc = written(tok, tokenizer_size(tok), &err);
        if (added ? rc : rc != ERROR_DATA || !strstr(err.message, "do not stand together"))
            fail_msg("%s: %d \"%s\"", token, rc, err.message);
        tokenizer_close(tok);
    }
    json_decref(doc);
}

static void padding_rows_are_named_and_more_tokens_than_rows_are_refused(void **state)
{
    (void)state;
    struct tokenizer *tok;
    struct error err = {0};
    struct file_map m;
    struct gguf *g = NULL;
    if (tokenizer_open(&tok, "models/miniature", &err) || written(tok, 2050, &err) || file_map(&m, path, &err) ||
        gguf_parse(&g, m.data, m.size, path, &err))
        fail_msg("%s", err.message);
    static struct gguf_string texts[2050];
    static int64_t types[2050];
    assert_int_equal(gguf_array_length(g, "tokenizer.ggml.tokens", NULL), 2050);
    gguf_array_strings(g, "tokenizer.ggml.tokens", texts);
    gguf_array_ints(g, "tokenizer.ggml.token_type", types);
    assert_int_equal(types[2049], 5);
    assert_memory_equal(texts[2049].data, "[PAD2049]", 9);
    assert_int_equal(types[0], 3); /* <|endoftext|> is special */
    gguf_free(g);
    file_unmap(&m);
    assert_int_equal(written(tok, 2047, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "2047 rows"));
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level),
        cmocka_unit_test(sentencepiece_style),
        cmocka_unit_test(wordpiece),
        cmocka_unit_test(merges_that_do_not_stand_together_are_refused),
        cmocka_unit_test(padding_rows_are_named_and_more_tokens_than_rows_are_refused),
    };
    snprintf(dir, sizeof dir, "%s", check_tmpdir("text_gguf_out"));
    snprintf(path, sizeof path, "%s/t.gguf", dir);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
