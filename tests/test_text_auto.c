/* SPDX-License-Identifier: Apache-2.0 */
/* Directories whose files say more than tokenizer.json does, or other things: the ids, special tokens and texts are
 * those of transformers' AutoTokenizer (tools/golden_auto_tokenizer.py), and again after the tokenizer was written
 * out. */
#include "tests/check.h"

#include "base/buf.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *golden;
static char dir[64];

static void path_of(const char *name, char path[200])
{
    snprintf(path, 200, "%s/%s", dir, name);
}

static void write_bytes(const char *name, const char *text, size_t n)
{
    char path[200];
    path_of(name, path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void clear(void)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "config.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "sentencepiece.bpe.model"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(names[i], path);
        unlink(path);
    }
}

static void write_hex(const char *name, const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *bytes = malloc(n + 1);
    unsigned byte;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (char)byte;
    }
    write_bytes(name, bytes, n);
    free(bytes);
}

/* A string that names a shared document stands for it; any other string is the file, {"hex": ...} its bytes. */
static void write_files(const json_t *files)
{
    const char *name;
    json_t *content;
    clear();
    json_object_foreach((json_t *)files, name, content)
    {
        const char *text = json_string_value(content);
        const json_t *shared = text ? json_object_get(json_object_get(golden, "shared"), text) : NULL;
        const json_t *value = shared ? shared : content;
        const char *hex = json_string_value(json_object_get(value, "hex"));
        char *made = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, 0);
        if (hex)
            write_hex(name, hex);
        else
            write_bytes(name, made, strlen(made));
        free(made);
    }
}

static struct tokenizer *open_dir(const char *name)
{
    struct tokenizer *tok;
    struct error err = {0};
    if (tokenizer_open(&tok, dir, &err))
        fail_msg("%s: %s", name, err.message);
    return tok;
}

static int ids_differ(const struct tokenizer *tok, const char *name, const json_t *text, const json_t *want, int flags)
{
    struct tokens got = TOKENS_INIT;
    struct error err = {0};
    if (tokenizer_encode(tok, json_string_value(text), json_string_length(text), flags | TOKENIZER_PARSE_SPECIAL, &got,
                         &err))
        fail_msg("%s: %s", name, err.message);
    int bad = got.n != json_array_size(want);
    for (size_t i = 0; i < got.n && !bad; i++)
        bad = got.ids[i] != json_integer_value(json_array_get(want, i));
    if (bad) {
        printf("%s: \"%s\" gave", name, json_string_value(text));
        for (size_t i = 0; i < got.n; i++)
            printf(" %d", got.ids[i]);
        char *wanted = json_dumps(want, 0);
        printf(", wanted %s\n", wanted);
        free(wanted);
    }
    tokens_free(&got);
    return bad;
}

static int text_differs(const struct tokenizer *tok, const char *name, const json_t *ids, const json_t *want)
{
    struct buf text = BUF_INIT;
    int32_t list[64];
    size_t n = json_array_size(ids);
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        list[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    assert_int_equal(tokenizer_decode(tok, list, n, 1, &text, NULL), 0);
    int bad =
        text.len != json_string_length(want) || (text.len && memcmp(text.data, json_string_value(want), text.len));
    if (bad)
        printf("%s: text \"%s\", wanted \"%s\"\n", name, text.data ? text.data : "", json_string_value(want));
    buf_free(&text);
    return bad;
}

static int name_differs(const char *name, const json_t *entry, const char *key, int32_t id)
{
    const json_t *want = json_object_get(json_object_get(entry, "ids"), key);
    int bad = id != (json_is_integer(want) ? json_integer_value(want) : -1);
    if (bad)
        printf("%s: %s is %d\n", name, key, id);
    return bad;
}

static int entry_differs(const struct tokenizer *tok, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *cases = json_object_get(entry, "cases");
    const struct tokenizer_info *info = tokenizer_info(tok);
    int bad = name_differs(name, entry, "bos_token", info->bos) | name_differs(name, entry, "eos_token", info->eos) |
              name_differs(name, entry, "pad_token", info->pad);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        bad |= ids_differ(tok, name, json_array_get(c, 0), json_array_get(c, 1), 0);
        bad |= ids_differ(tok, name, json_array_get(c, 0), json_array_get(c, 2), TOKENIZER_ADD_SPECIAL);
        bad |= text_differs(tok, name, json_array_get(c, 2), json_array_get(c, 3));
    }
    return bad;
}

static void every_directory(int written_out)
{
    const json_t *entries = json_object_get(golden, "entries");
    int bad = 0;
    assert_true(json_array_size(entries) > 40);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        write_files(json_object_get(entry, "files"));
        struct tokenizer *tok = open_dir(name);
        if (written_out) {
            struct buf json = BUF_INIT, config = BUF_INIT, map = BUF_INIT;
            struct error err = {0};
            if (tokenizer_export(tok, &json, &config, &map, &err))
                fail_msg("%s: %s", name, err.message);
            tokenizer_close(tok);
            char model_config[200];
            path_of("config.json", model_config);
            int keep = !access(model_config, F_OK); /* a model's directory has it still */
            clear();
            if (keep) {
                json_t *files =
                    json_pack("{s:O}", "config.json", json_object_get(json_object_get(entry, "files"), "config.json"));
                write_files(files);
                json_decref(files);
            }
            write_bytes("tokenizer.json", json.data, json.len);
            write_bytes("tokenizer_config.json", config.data, config.len);
            write_bytes("special_tokens_map.json", map.data, map.len);
            buf_free(&json);
            buf_free(&config);
            buf_free(&map);
            tok = open_dir(name);
        }
        bad += entry_differs(tok, entry);
        tokenizer_close(tok);
    }
    clear();
    assert_int_equal(bad, 0);
}

static void as_auto_tokenizer(void **state)
{
    (void)state;
    every_directory(0);
}

static void as_auto_tokenizer_when_written_out(void **state)
{
    (void)state;
    every_directory(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_auto_tokenizer),
        cmocka_unit_test(as_auto_tokenizer_when_written_out),
    };
    json_error_t why;
    golden = json_load_file("tests/golden/auto_tokenizer.json", 0, &why);
    snprintf(dir, sizeof dir, "/tmp/isara-auto-XXXXXX");
    if (!golden || !mkdtemp(dir)) {
        printf("no golden file or no directory: %s\n", why.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    json_decref(golden);
    return failed;
}
