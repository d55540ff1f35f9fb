/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are wrong give one clear error each, texts that are wrong too, and no failed allocation does harm. */
#include "tests/check.h"

#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static int open_text(struct tokenizer **tok, const char *json, const char *config, struct error *err)
{
    return tokenizer_open_json(tok, "t.json", json, strlen(json), config, err);
}

static void refuses(const char *json, const char *why)
{
    struct tokenizer *tok;
    struct error err = {0};
    int rc = open_text(&tok, json, NULL, &err);
    if (rc != ERROR_DATA || tok || strncmp(err.message, "t.json: ", 8) || !strstr(err.message, why) ||
        strchr(err.message, '\n'))
        fail_msg("%s\n  gave %d \"%s\", wanted \"%s\"", json, rc, err.message, why);
}

#define MODEL(rest) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}" rest "}"

#define TEMPLATE                                                                                                     \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"a\"}},{\"Sequence\":{\"id\":\"A\"}}]," \
    "\"special_tokens\":{\"a\":{\"id\":\"a\",\"ids\":[0],\"tokens\":[\"a\"]}}}"

static void a_bad_model_is_named(void **state)
{
    (void)state;
    refuses("", "line 1");
    refuses("{", "line 1");
    refuses("[1]", "wanted an object");
    refuses("{}", "wanted an object \"model\"");
    refuses("{\"version\":\"2.0\",\"model\":{}}", "version: wanted \"1.0\"");
    refuses("{\"model\":{\"type\":\"Bigram\"}}", "type \"Bigram\" is not supported");
    refuses("{\"model\":{\"type\":\"Unigram\"}}", "vocab: wanted an array of 1 to");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"b\"]]}}",
            "vocab: entry 1: wanted [\"piece\", score]");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"a\",0]]}}",
            "vocab: \"a\" is there twice (again at 1)");
    refuses("{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}",
            "unk_id: wanted an id in 0..0, found 1");
    refuses("{\"model\":{\"type\":\"Unigram\",\"alpha\":0.1,\"nbest_size\":64,\"vocab\":[[\"a\",0]]}}",
            "would make ids random");
    refuses("{\"model\":{\"vocab\":{}}}", "model: type: wanted a string");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", "vocab: wanted an object");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "\"a\": wanted an id in 0..");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194304},\"merges\":[]}}",
            "\"a\": wanted an id in 0..4194303");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9007199254740993},\"merges\":[]}}", "wanted an id in 0..");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999999999999},\"merges\":[]}}", "too big integer");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}", "wanted an id in 0..");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}",
            "\"a\" and \"b\" have the same id 1");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"a\":2},\"merges\":[]}}", "duplicate object key");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":{}}}", "merges: wanted an array");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"aa\"]}}", "entry 0: wanted \"left right\"");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]}}", "entry 0: wanted");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a b\"]}}",
            "token \"b\" is not in the vocabulary");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":2},\"merges\":[\"a b\"]}}",
            "\"a\" + \"b\" is not in the vocabulary");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"unk_token\":\"u\"}}",
            "unk_token \"u\" is not in the vocabulary");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"dropout\":0.1}}", "dropout 0.1");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"fuse_unk\":1}}",
            "fuse_unk: wanted true or false, found an integer");
    refuses("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "unk_token \"[UNK]\" is not in the vocabulary");
}

static void a_bad_component_is_named(void **state)
{
    (void)state;
    refuses(MODEL(",\"normalizer\":{\"type\":\"Predecompiled\"}"),
            "normalizer: type \"Predecompiled\" is not supported");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Precompiled\"}"),
            "precompiled_charsmap: wanted a string, found nothing");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA\"}"),
            "precompiled_charsmap: it is not Base64");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA=\"}"),
            "precompiled_charsmap: it is cut off");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAAAA\"}"),
            "precompiled_charsmap: the size of its trie is wrong");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}"),
            "FixedLength: length: wanted at least 1, found 0");
    refuses(MODEL(",\"normalizer\":[]"), "normalizer: wanted an object, found an array");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}"),
            "normalizer Replace: pattern \"(\"");
    refuses(MODEL(",\"normalizer\":{\"type\":\"Prepend\"}"), "Prepend: prepend: wanted a string, found nothing");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"),
            "pre_tokenizer: type \"UnicodeScripts\" is not supported");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Odd\"}"),
            "behavior \"Odd\"");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Isolated\"}"),
            "not empty");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"),
            "replacement: wanted one character");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"odd\"}"), "prepend_scheme \"odd\"");
    refuses(MODEL(",\"pre_tokenizer\":{\"type\":\"Sequence\"}"), "wanted an array \"pretokenizers\"");
    refuses(MODEL(",\"post_processor\":{\"type\":\"Odd\"}"), "post_processor: type \"Odd\"");
    refuses(MODEL(",\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"a\",9],\"sep\":[\"b\",1]}"),
            "no token has the id 9");
    refuses(MODEL(",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"), "single has no Sequence A");
    refuses(
        MODEL(",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}"),
        "\"x\" has no entry");
    refuses(MODEL(",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[" TEMPLATE "," TEMPLATE "]}"),
            "post_processor: TemplateProcessing after another");
    refuses(MODEL(",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[" TEMPLATE
                  ",{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]}]}"),
            "post_processor: BertProcessing after another");
    refuses(MODEL(",\"decoder\":{\"type\":\"CTC\"}"), "decoder: type \"CTC\" is not supported");
    refuses(MODEL(",\"decoder\":{\"type\":\"Strip\",\"content\":\"\"}"), "content: wanted one character");
    refuses(MODEL(",\"decoder\":{\"type\":\"Strip\",\"start\":-1}"), "start: wanted a whole number");
    refuses(MODEL(",\"truncation\":{\"max_length\":\"x\"}"), "truncation: max_length");
}

static void a_bad_added_token_is_named(void **state)
{
    (void)state;
    refuses(MODEL(",\"added_tokens\":{}"), "added_tokens: wanted an array");
    refuses(MODEL(",\"added_tokens\":[3]"), "added_tokens: wanted objects");
    refuses(MODEL(",\"added_tokens\":[{\"content\":\"x\"}]"), "\"x\": wanted an id");
    refuses(MODEL(",\"added_tokens\":[{\"id\":3}]"), "content: wanted a string");
    refuses(MODEL(",\"added_tokens\":[{\"id\":3,\"content\":\"\"}]"), "is empty");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]},\"added_tokens\":[{\"id\":3,"
            "\"content\":\"x\"}]}",
            "\"x\" would get the id 2, which is \"b\"");
    refuses(MODEL(",\"added_tokens\":[{\"id\":999999999999,\"content\":\"x\"}]"), "wanted an id in 0..");
}

static char warned[512];

static void keep_line(void *user, enum log_level level, const char *text)
{
    (void)user;
    if (level == LOG_WARNING)
        snprintf(warned, sizeof warned, "%s", text);
}

/* The tokenizers library counts on from the model's vocabulary and does not look at the ids. */
static void ids_of_added_tokens_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *token, *warning;
        int32_t id;
    } cases[] = {
        {",\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]", "x", "", 3},
        {",\"added_tokens\":[{\"id\":9,\"content\":\"x\"}]", "x", "said to have the id 9; its id is 3", 3},
        {",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]", "x", "its id is 3", 3},
        {",\"added_tokens\":[{\"id\":3,\"content\":\"a\"}]", "a", "its id is 0", 0},
        {",\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":3,\"content\":\"x\",\"special\":true}]", "x", "", 3},
        {",\"added_tokens\":[{\"id\":5,\"content\":\"y\"},{\"id\":4,\"content\":\"x\"}]", "x", "\"y\" is said", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[512];
        struct tokenizer *tok;
        struct error err = {0};
        snprintf(json, sizeof json, MODEL("%s"), cases[i].rest);
        warned[0] = 0;
        log_set_sink(&(struct log_sink){.line = keep_line});
        assert_int_equal(open_text(&tok, json, NULL, &err), 0);
        log_set_sink(NULL);
        assert_int_equal(tokenizer_id(tok, cases[i].token, 1), cases[i].id);
        if (!strstr(warned, cases[i].warning) || !*cases[i].warning != !*warned)
            fail_msg("%s: \"%s\"", cases[i].rest, warned);
        tokenizer_close(tok);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *open, *close, *what;
    } forms[] = {
        {",\"normalizer\":", "{\"type\":\"Sequence\",\"normalizers\":[", "normalizer: more than"},
        {",\"pre_tokenizer\":", "{\"type\":\"Sequence\",\"pretokenizers\":[", "pre_tokenizer: more than"},
        {",\"post_processor\":", "{\"type\":\"Sequence\",\"processors\":[", "post_processor: more than"},
        {",\"decoder\":", "{\"type\":\"Sequence\",\"decoders\":[", "decoder: more than"},
    };
    for (int i = 0; i < 4; i++) {
        struct buf b = BUF_INIT;
        buf_puts(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}");
        buf_puts(&b, forms[i].open);
        for (int k = 0; k < 20; k++)
            buf_puts(&b, forms[i].close);
        for (int k = 0; k < 20; k++)
            buf_puts(&b, "]}");
        buf_puts(&b, "}");
        refuses(b.data, forms[i].what);
        buf_free(&b);
    }
    struct buf b = BUF_INIT;
    for (int k = 0; k < 100000; k++)
        buf_putc(&b, '[');
    refuses(b.data, "depth");
    buf_free(&b);
}

static void a_text_that_is_not_utf8_is_named_by_its_byte(void **state)
{
    (void)state;
    struct tokenizer *tok;
    struct tokens ids = TOKENS_INIT;
    struct error err = {0};
    assert_int_equal(open_text(&tok, MODEL(""), NULL, &err), 0);
    assert_int_equal(tokenizer_encode(tok, "ab\xff", 3, 0, &ids, &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "byte 2 (0xff)"));
    assert_int_equal(ids.n, 0);
    assert_int_equal(tokenizer_encode(tok, "abc", 3, 0, &ids, &err),
                     0); /* c has no token and there is no unk: it vanishes */
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.ids[0], 2);
    assert_null(tokenizer_token(tok, -1, NULL));
    assert_null(tokenizer_token(tok, 3, NULL));
    assert_int_equal(tokenizer_id(tok, "zz", 2), -1);
    tokens_free(&ids);
    tokenizer_close(tok);
}

/* Each step makes sixteen or two letters of one. */
static void a_text_that_its_normalizer_blows_up_is_refused(void **state)
{
    (void)state;
    static const char step[] = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}";
    static const char prepend[] =
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\"},"
        "\"content\":\"aa\"},{\"type\":\"ByteLevel\"}]}";
    for (int kind = 0; kind < 2; kind++) {
        struct buf b = BUF_INIT;
        struct tokenizer *tok;
        struct error err = {0};
        struct tokens ids = TOKENS_INIT;
        buf_puts(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"normalizer\":{\"type\":"
                     "\"Sequence\",\"normalizers\":[");
        for (int i = 0; i < (kind ? 40 : 12); i++)
            buf_printf(&b, "%s%s", i ? "," : "", kind ? prepend : step);
        buf_puts(&b, "]}}");
        assert_int_equal(open_text(&tok, b.data, NULL, &err), 0);
        assert_int_equal(tokenizer_encode(tok, "aaaa", 4, 0, &ids, &err), ERROR_DATA);
        assert_non_null(strstr(err.message, "normalizer makes the text too long"));
        assert_int_equal(tokenizer_encode(tok, "", 0, 0, &ids, &err), 0);
        tokens_free(&ids);
        tokenizer_close(tok);
        buf_free(&b);
    }
}

static void a_config_names_the_special_tokens(void **state)
{
    (void)state;
    struct tokenizer *tok;
    struct error err = {0};
    const char *config =
        "{\"bos_token\":{\"content\":\"a\"},\"eos_token\":\"ab\",\"pad_token\":null,\"model_max_length\":"
        "1000000000000000019884624838656,"
        "\"added_tokens_decoder\":{\"7\":{\"content\":\"<x>\",\"special\":true}},"
        "\"chat_template\":[{\"name\":\"tool\",\"template\":\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}";
    assert_int_equal(open_text(&tok,
                               MODEL(",\"truncation\":{\"max_length\":128},\"padding\":{\"strategy\":{\"Fixed\":64}}"),
                               config, &err),
                     0);
    const struct tokenizer_info *info = tokenizer_info(tok);
    assert_int_equal(info->bos, 0);
    assert_int_equal(info->eos, 2);
    assert_int_equal(info->pad, -1);
    assert_int_equal(info->truncation, 128);
    assert_int_equal(info->padding, 64);
    assert_string_equal(info->chat_template, "D");
    assert_int_equal(tokenizer_size(tok), 4); /* <x> is the next after the model's three */
    size_t n;
    const int32_t *special = tokenizer_special_ids(tok, &n);
    assert_int_equal(n, 3); /* the two that have a name, and <x> */
    assert_true(special[0] == 0 && special[1] == 2 && special[2] == 3);
    tokenizer_close(tok);
    assert_int_equal(open_text(&tok, MODEL(""), "{\"split_special_tokens\":true}", &err), ERROR_DATA);
    assert_non_null(strstr(err.message, "split_special_tokens"));
}

static void write_file(const char *dir, const char *name, const char *text, size_t n)
{
    char *path = path_join(dir, name);
    struct error err = {0};
    if (!path || file_write(path, text, n, &err))
        fail_msg("%s: %s", name, err.message);
    mem_free(path);
}

static void refuses_directory(const char *sub, const char *config, const char *name, const char *text, size_t n,
                              const char *why)
{
    const char *dir = check_tmpdir(sub);
    struct tokenizer *tok;
    struct error err = {0};
    write_file(dir, "tokenizer_config.json", config, strlen(config));
    write_file(dir, name, text, n);
    int rc = tokenizer_open(&tok, dir, &err);
    if (rc != ERROR_DATA || !strstr(err.message, why))
        fail_msg("gave %d \"%s\", wanted \"%s\"", rc, err.message, why);
}

static void bad_files_of_the_older_forms_are_named(void **state)
{
    (void)state;
    refuses_directory("vocab-empty", "{}", "vocab.txt", "", 0, "vocab.txt: is empty; wanted a token a line");
    refuses_directory("vocab-nul", "{}", "vocab.txt", "a\0b\n", 4, "vocab.txt: wanted UTF-8 text without NUL");
    refuses_directory("vocab-bytes", "{}", "vocab.txt", "[UNK]\n\xff\n", 8, "vocab.txt: wanted UTF-8 text without NUL");
    refuses_directory("vocab-unk", "{}", "vocab.txt", "a\nb\n", 4, "unk_token \"[UNK]\" is not in the vocabulary");
    refuses_directory("vocab-class", "{\"tokenizer_class\":\"BertJapaneseTokenizer\"}", "vocab.txt", "[UNK]\n", 6,
                      "tokenizer_class BertJapaneseTokenizer is not known to cut texts as BERT does");
    refuses_directory("vocab-other", "{\"tokenizer_class\":\"CTRLTokenizer\"}", "vocab.txt", "[UNK]\n", 6,
                      "tokenizer_class CTRLTokenizer");
    refuses_directory("merges-nul", "{}", "merges.txt", "#version: 0.2\na b\na\0 c\n", 23,
                      "line 3: wanted \"left right\" in UTF-8 without NUL");
    refuses_directory("merges-one", "{}", "merges.txt", "ab\n", 3, "line 1: wanted \"left right\"");
    refuses_directory("xlmr", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", "sentencepiece.bpe.model",
                      "\x0a\x05\x0a\x01u\x18\x02", 7, "wanted a unigram model of more than three pieces");
}

static void a_directory_without_a_tokenizer_says_what_it_wants(void **state)
{
    (void)state;
    struct tokenizer *tok;
    struct error err = {0};
    assert_int_equal(tokenizer_open(&tok, check_tmpdir("no-tokenizer"), &err), ERROR_NOINPUT);
    assert_non_null(strstr(err.message, "tokenizer.json"));
    assert_int_equal(tokenizer_open(&tok, "no/such/dir", &err), ERROR_NOINPUT);
}

/* Every allocation in turn fails: an error, or the same ids as ever, and nothing leaks (the sanitizer run sees to
 * that). */
static void any_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"tests/golden/tokenizer_bytelevel.json", "tests/golden/tokenizer_spm.json",
                                        "tests/golden/tokenizer_wordpiece.json"};
    const char *text = "it's <s> 12 naive foxes";
    long most = getenv("ISARA_REDUCED") && *getenv("ISARA_REDUCED") ? 40 : 100000;
    for (int k = 0; k < 3; k++) {
        for (long n = 0, pending = 0; !pending && n < most; n += n < 200 ? 1 : 37) {
            struct tokenizer *tok;
            struct tokens ids = TOKENS_INIT;
            struct buf out = BUF_INIT;
            struct error err = {0};
            mem_fail_at(n);
            int rc = tokenizer_open(&tok, names[k], &err);
            if (!rc) {
                rc = tokenizer_encode(tok, text, strlen(text), 3, &ids, &err);
                if (!rc)
                    rc = tokenizer_decode(tok, ids.ids, ids.n, 0, &out, &err);
                tokenizer_close(tok);
            }
            pending = mem_fail_pending();
            mem_fail_at(-1);
            if (rc != (pending ? 0 : ERROR_NOMEM) || (rc && !err.message[0]))
                fail_msg("allocation %ld: %d \"%s\"", n, rc, err.message);
            tokens_free(&ids);
            buf_free(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_model_is_named),
        cmocka_unit_test(a_bad_component_is_named),
        cmocka_unit_test(a_bad_added_token_is_named),
        cmocka_unit_test(ids_of_added_tokens_are_counted),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_text_that_is_not_utf8_is_named_by_its_byte),
        cmocka_unit_test(a_text_that_its_normalizer_blows_up_is_refused),
        cmocka_unit_test(a_config_names_the_special_tokens),
        cmocka_unit_test(bad_files_of_the_older_forms_are_named),
        cmocka_unit_test(a_directory_without_a_tokenizer_says_what_it_wants),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
