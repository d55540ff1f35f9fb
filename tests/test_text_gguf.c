/* SPDX-License-Identifier: Apache-2.0 */
/* What a GGUF file says about its tokens beside their texts: the pre-tokenizer, or none, and which tokens end a
 * generation. The files are written here; the pieces follow from llama.cpp's expressions by hand. */
#include "tests/check.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "io/gguf_hf.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { U32 = 4, F32 = 6, STRING = 8, ARRAY = 9 };

struct writer {
    struct buf kv;
    uint64_t n;
};

static void put(struct buf *b, uint64_t value, size_t bytes)
{
    buf_append(b, &value, bytes); /* little-endian machines only, as the reader */
}

static void put_string(struct buf *b, const char *s)
{
    put(b, strlen(s), 8);
    buf_puts(b, s);
}

static void key(struct writer *w, const char *name, uint32_t type)
{
    put_string(&w->kv, name);
    put(&w->kv, type, 4);
    w->n++;
}

static void add_u32(struct writer *w, const char *name, uint32_t value)
{
    key(w, name, U32);
    put(&w->kv, value, 4);
}

static void add_string(struct writer *w, const char *name, const char *value)
{
    key(w, name, STRING);
    put_string(&w->kv, value);
}

static void add_strings(struct writer *w, const char *name, const char *const *list, size_t n)
{
    key(w, name, ARRAY);
    put(&w->kv, STRING, 4);
    put(&w->kv, n, 8);
    for (size_t i = 0; i < n; i++)
        put_string(&w->kv, list[i]);
}

/* A LLaMA of two columns with the vocabulary below, and one tensor. */
static const char *const vocab[] = {"a",
                                    "b",
                                    "'",
                                    "s",
                                    "1",
                                    "2",
                                    "\xc4\xa0",
                                    ".",
                                    "\xc4\x8a",
                                    "<end>",
                                    "ab",
                                    "\xc4\xa0"
                                    "ab",
                                    "12",
                                    "\xc4\xa0"
                                    "1",
                                    "'s",
                                    "..",
                                    "a'",
                                    "\xc4\xa0\xc4\xa0",
                                    "121",
                                    "1212",
                                    "<turn>",
                                    "<message>"};
static const char *const merges[] = {"a b", "\xc4\xa0 ab",       "1 2",  "\xc4\xa0 1", "' s", ". .",
                                     "a '", "\xc4\xa0 \xc4\xa0", "12 1", "12 12"};
enum { N_VOCAB = sizeof vocab / sizeof *vocab };

static void begin(struct writer *w)
{
    *w = (struct writer){0};
    const float eps = 1e-5f;
    uint32_t bits;
    memcpy(&bits, &eps, 4);
    add_string(w, "general.architecture", "llama");
    add_u32(w, "llama.embedding_length", 2);
    add_u32(w, "llama.block_count", 1);
    add_u32(w, "llama.attention.head_count", 1);
    add_u32(w, "llama.feed_forward_length", 2);
    add_u32(w, "llama.context_length", 8);
    key(w, "llama.attention.layer_norm_rms_epsilon", F32);
    put(&w->kv, bits, 4);
    add_string(w, "tokenizer.ggml.model", "gpt2");
    add_strings(w, "tokenizer.ggml.tokens", vocab, N_VOCAB);
    add_strings(w, "tokenizer.ggml.merges", merges, sizeof merges / sizeof *merges);
}

static struct buf finish(struct writer *w)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 1, 8);
    put(&b, w->n, 8);
    buf_append(&b, w->kv.data, w->kv.len);
    put_string(&b, "token_embd.weight");
    put(&b, 2, 4);
    put(&b, 2, 8);
    put(&b, N_VOCAB, 8);
    put(&b, 0, 4); /* F32 */
    put(&b, 0, 8);
    while (b.len % 32)
        buf_putc(&b, 0);
    for (int i = 0; i < N_VOCAB * 2; i++)
        put(&b, 0, 4);
    buf_free(&w->kv);
    return b;
}

static struct tokenizer *open_written(struct writer *w, struct error *err)
{
    char path[] = "/tmp/isara-gguf-XXXXXX.gguf";
    struct tokenizer *tok = NULL;
    struct buf b = finish(w);
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), (ssize_t)b.len);
    close(fd);
    tokenizer_open(&tok, path, err);
    unlink(path);
    buf_free(&b);
    return tok;
}

static void expect(const struct tokenizer *tok, const char *text, const char *const *tokens)
{
    struct tokens ids = TOKENS_INIT;
    size_t n = 0;
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), 0, &ids, NULL), 0);
    while (tokens[n])
        n++;
    int same = ids.n == n;
    for (size_t i = 0; same && i < n; i++)
        same = !strcmp(tokenizer_token(tok, ids.ids[i], NULL), tokens[i]);
    for (size_t i = 0; !same && i < ids.n; i++)
        printf(" %s", tokenizer_token(tok, ids.ids[i], NULL));
    if (!same)
        fail_msg("\"%s\" gave the tokens above", text);
    tokens_free(&ids);
}
#define EXPECT(tok, text, ...) expect(tok, text, (const char *const[]){__VA_ARGS__, NULL})

static char warned[512];

static void keep_line(void *user, enum log_level level, const char *text)
{
    (void)user;
    if (level == LOG_WARNING)
        snprintf(warned, sizeof warned, "%s", text);
}

/* Punctuation stands alone first, then GPT-2's words, then runs of numbers, then three digits. */
static void check_default(const struct tokenizer *tok)
{
    EXPECT(tok, "ab's", "ab", "'", "s");
    EXPECT(tok, "ab 1212", "ab", "\xc4\xa0", "121", "2");
    EXPECT(tok, "ab 1", "ab", "\xc4\xa0", "1");
    EXPECT(tok, "ab  ab..", "ab", "\xc4\xa0",
           "\xc4\xa0"
           "ab",
           "..");
}

static void no_pre_is_llama_cpps_default_with_a_warning(void **state)
{
    (void)state;
    struct writer w;
    struct error err = {0};
    log_set_sink(&(struct log_sink){.line = keep_line});
    begin(&w);
    struct tokenizer *tok = open_written(&w, &err);
    log_set_sink(NULL);
    if (!tok)
        fail_msg("%s", err.message);
    check_default(tok);
    assert_non_null(strstr(warned, "tokenizer.ggml.pre"));
    tokenizer_close(tok);
}

static void a_named_pre_is_honoured_without_a_word(void **state)
{
    (void)state;
    struct writer w;
    struct error err = {0};
    warned[0] = 0;
    log_set_sink(&(struct log_sink){.line = keep_line});
    begin(&w);
    add_string(&w, "tokenizer.ggml.pre", "default");
    struct tokenizer *tok = open_written(&w, &err);
    assert_non_null(tok);
    check_default(tok);
    tokenizer_close(tok);
    begin(&w);
    add_string(&w, "tokenizer.ggml.pre", "gpt-2");
    tok = open_written(&w, &err);
    log_set_sink(NULL);
    assert_non_null(tok);
    EXPECT(tok, "ab's", "ab", "'s");
    EXPECT(tok, "ab 1212", "ab", "\xc4\xa0", "1212");
    tokenizer_close(tok);
    assert_string_equal(warned, "");
    begin(&w);
    add_string(&w, "tokenizer.ggml.pre", "from-the-future");
    assert_null(open_written(&w, &err));
    assert_non_null(strstr(err.message, "from-the-future"));
}

static json_t *ends_of(uint32_t eos, uint32_t turn, uint32_t message)
{
    struct writer w;
    struct gguf *g;
    struct error err = {0};
    json_t *config, *generation;
    begin(&w);
    add_u32(&w, "tokenizer.ggml.eos_token_id", eos);
    if (turn)
        add_u32(&w, "tokenizer.ggml.eot_token_id", turn);
    if (message)
        add_u32(&w, "tokenizer.ggml.eom_token_id", message);
    struct buf b = finish(&w);
    assert_int_equal(gguf_parse(&g, b.data, b.len, "g", &err), 0);
    if (gguf_hf_config(&config, &generation, g, "g", &err))
        fail_msg("%s", err.message);
    assert_int_equal(json_integer_value(json_object_get(config, "eos_token_id")), eos);
    json_t *ends = json_incref(json_object_get(generation, "eos_token_id"));
    json_decref(config);
    json_decref(generation);
    gguf_free(g);
    buf_free(&b);
    return ends;
}

static void turns_and_messages_end_a_generation(void **state)
{
    (void)state;
    static const struct {
        uint32_t turn, message;
        const char *ends;
    } cases[] = {{0, 0, "9"}, {20, 0, "[9, 20]"}, {20, 21, "[9, 20, 21]"}, {9, 21, "[9, 21]"}, {9, 9, "9"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *got = ends_of(9, cases[i].turn, cases[i].message),
               *wanted = json_loads(cases[i].ends, JSON_DECODE_ANY, NULL);
        assert_true(json_equal(got, wanted));
        json_decref(got);
        json_decref(wanted);
    }
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (int i = 0; i < 2; i++) {
        struct writer w;
        struct error err = {0};
        begin(&w);
        add_u32(&w, keys[i], N_VOCAB);
        assert_null(open_written(&w, &err));
        assert_non_null(strstr(err.message, keys[i]));
    }
}

static void add_bool(struct writer *w, const char *name, int value)
{
    key(w, name, 7);
    put(&w->kv, (uint64_t)value, 1);
}

static void keys_that_would_change_ids_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int value, refused;
    } cases[] = {{"tokenizer.ggml.remove_extra_whitespaces", 1, 1},
                 {"tokenizer.ggml.remove_extra_whitespaces", 0, 0},
                 {"tokenizer.ggml.add_sep_token", 1, 1},
                 {"tokenizer.ggml.add_sep_token", 0, 0},
                 {"tokenizer.ggml.normalizer.lowercase", 1, 1},
                 {"tokenizer.ggml.something_new", 0, 1},
                 {"tokenizer.ggml.fim_pre_token_id", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer w;
        struct error err = {0};
        begin(&w);
        add_string(&w, "tokenizer.ggml.pre", "gpt-2");
        add_bool(&w, cases[i].name, cases[i].value);
        struct tokenizer *tok = open_written(&w, &err);
        if ((tok == NULL) != cases[i].refused || (!tok && !strstr(err.message, cases[i].name)))
            fail_msg("%s: \"%s\"", cases[i].name, err.message);
        tokenizer_close(tok);
    }
    static const char *const tokens[] = {"a"};
    struct writer w;
    struct error err = {0};
    begin(&w);
    add_strings(&w, "tokenizer.ggml.suppress_tokens", tokens, 1);
    assert_null(open_written(&w, &err));
    assert_non_null(strstr(err.message, "suppress_tokens"));
}

static void chat_templates_are_read_by_name(void **state)
{
    (void)state;
    struct writer w;
    struct error err = {0};
    begin(&w);
    add_string(&w, "tokenizer.ggml.pre", "gpt-2");
    add_string(&w, "tokenizer.chat_template", "plain");
    add_string(&w, "tokenizer.chat_template.tool_use", "with tools");
    struct tokenizer *tok = open_written(&w, &err);
    if (!tok)
        fail_msg("%s", err.message);
    const struct tokenizer_info *info = tokenizer_info(tok);
    assert_string_equal(info->chat_template, "plain");
    assert_int_equal(info->n_template, 2);
    tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pre_is_llama_cpps_default_with_a_warning),
        cmocka_unit_test(a_named_pre_is_honoured_without_a_word),
        cmocka_unit_test(turns_and_messages_end_a_generation),
        cmocka_unit_test(keys_that_would_change_ids_are_refused_by_name),
        cmocka_unit_test(chat_templates_are_read_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
