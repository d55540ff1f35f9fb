/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.json and merges.txt, the two files of a GPT-2 tokenizer. What they do not say follows GPT-2: byte-level words,
 * and the usual names of special tokens when no config names them. */
#include "text/source.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/jsontext.h"
#include "text/parts.h"
#include "text/pretokenizer_tables.h"

#include <string.h>

#define MAX_BYTES ((size_t)1 << 30)

/* One line of merges.txt to one entry; the "#version" line and empty lines say nothing. */
static int read_merges(json_t *out, const char *path, const struct buf *text, struct error *err)
{
    size_t at = 0, line = 0;
    while (at < text->len) {
        const char *s = text->data + at, *end = memchr(s, '\n', text->len - at);
        size_t n = end ? (size_t)(end - s) : text->len - at;
        at += n + 1;
        line++;
        if (n && s[n - 1] == '\r')
            n--;
        if (!n || (line == 1 && n >= 8 && !memcmp(s, "#version", 8)))
            continue;
        if (!memchr(s, ' ', n) || memchr(s, 0, n) || utf8_valid(s, n) != n)
            return error_set(err, ERROR_DATA, "%s: line %zu: wanted \"left right\" in UTF-8 without NUL", path, line);
        if (json_array_append_new(out, json_stringn(s, n)))
            return error_set(err, ERROR_NOMEM, "%s: out of memory", path);
    }
    return 0;
}

/* GPT-2's ids: the 256 bytes, visible ones first, then every merge in order, then <|endoftext|>. */
static int gpt2_vocab(json_t *vocab, const json_t *merges)
{
    json_int_t id = 0;
    int bad = 0;
    char c[5] = {0};
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++)
            if ((byte_level_char((unsigned char)b) < 256) == !pass) {
                c[utf8_encode(byte_level_char((unsigned char)b), c)] = 0;
                bad |= json_object_set_new(vocab, c, json_integer(id++));
            }
    struct buf word = BUF_INIT;
    for (size_t i = 0; i < json_array_size(merges) && !bad; i++) {
        const char *line = json_string_value(json_array_get(merges, i)), *space = strchr(line, ' ');
        buf_reset(&word);
        buf_append(&word, line, (size_t)(space - line));
        buf_puts(&word, space + 1);
        bad |= word.failed || json_object_set_new(vocab, word.data, json_integer(id++));
    }
    buf_free(&word);
    return bad || json_object_set_new(vocab, "<|endoftext|>", json_integer(id)) ? -1 : 0;
}

static int add_tokens(struct tokenizer_source *s, const json_t *vocab, const json_t *added)
{
    static const char *const usual[] = {"<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>"};
    const char *text;
    json_t *id;
    int bad = 0;
    json_object_foreach((json_t *)vocab, text, id)
    {
        int special = source_is_named(s->config, text);
        for (size_t i = 0; i < sizeof usual / sizeof *usual && !s->config; i++)
            special |= !strcmp(text, usual[i]);
        if (special)
            bad |= source_add_token(s->json, json_integer_value(id), text, 1);
    }
    json_object_foreach((json_t *)added, text, id) if (!json_object_get(vocab, text)) bad |=
        source_add_token(s->json, json_integer_value(id), text, source_is_named(s->config, text));
    return bad ? -1 : 0;
}

/* RoBERTa's class puts cls and sep around a text; OPT says add_bos_token in its config. */
static int put_around(struct tokenizer_source *s, const json_t *vocab)
{
    const char *cls = source_named_token(s, "cls_token", "<s>"), *sep = source_named_token(s, "sep_token", "</s>");
    const json_t *before = json_object_get(vocab, cls), *after = json_object_get(vocab, sep);
    if (!source_is_class(s, "RobertaTokenizer") || !before || !after)
        return source_around_from_config(s);
    return json_object_set_new(s->json, "post_processor",
                               json_pack("{s:s, s:[s,I], s:[s,I], s:b, s:b}", "type", "RobertaProcessing", "sep", sep,
                                         json_integer_value(after), "cls", cls, json_integer_value(before),
                                         "trim_offsets", 1, "add_prefix_space", 0));
}

/* The classes' own names: <|endoftext|> for what the config does not name, where there is such a token. Qwen's has no
 * bos, GPT-2's no pad. */
static int name_defaults(struct tokenizer_source *s, const json_t *vocab, const json_t *added)
{
    static const char *const keys[] = {"unk_token", "eos_token", "bos_token", "pad_token"};
    static const char end[] = "<|endoftext|>";
    int of_qwen = source_is_class(s, "Qwen2Tokenizer"), bad = 0;
    if (source_is_class(s, "RobertaTokenizer") || (!json_object_get(vocab, end) && !json_object_get(added, end)))
        return 0;
    if (!s->config)
        s->config = json_object();
    for (int i = 0; i < 4; i++)
        if (!json_object_get(s->config, keys[i]) && i != (of_qwen ? 2 : 3))
            bad |= json_object_set_new(s->config, keys[i], json_string(end));
    return bad ? -1 : 0;
}

/* How words are cut, by the class; Qwen's add_prefix_space is put in later (source_prefix.c). */
static int make_json(struct tokenizer_source *s, const char *path, json_t *vocab, json_t *merges, struct error *err)
{
    int of_qwen = source_is_class(s, "Qwen2Tokenizer"), composed = of_qwen || source_is_class(s, "GPTNeoXTokenizer");
    const struct source_bpe b = {vocab, merges, of_qwen ? PRE_QWEN2 : PRE_GPT2, 0};
    int rc = source_make_bpe(s, path, &b, err);
    if (rc)
        return rc;
    int bad = composed && json_object_set_new(s->json, "normalizer", json_pack("{s:s}", "type", "NFC"));
    if (json_is_true(json_object_get(s->config, "add_prefix_space")) && !of_qwen)
        bad |= json_object_set(json_object_get(s->json, "pre_tokenizer"), "add_prefix_space", json_true());
    return bad ? error_set(err, ERROR_NOMEM, "%s: out of memory", path) : 0;
}

int source_from_merges(struct tokenizer_source *s, const char *vocab, const char *merges, const json_t *added,
                       struct error *err)
{
    struct buf text = BUF_INIT;
    json_error_t why;
    json_t *ids = NULL, *list = json_array();
    int rc = file_read_regular(&text, merges, MAX_BYTES, err);
    if (!rc)
        rc = read_merges(list, merges, &text, err);
    buf_free(&text);
    if (!rc && *vocab) {
        rc = file_read_regular(&text, vocab, MAX_BYTES, err);
        ids = rc ? NULL : jsontext_document(buf_text(&text), text.len, JSON_REJECT_DUPLICATES, &why);
        buf_free(&text);
        if (!rc && !ids)
            rc = text_json_error(&why, vocab, "", err);
    } else if (!rc) {
        ids = json_object();
        rc = gpt2_vocab(ids, list) ? error_set(err, ERROR_NOMEM, "%s: out of memory", merges) : 0;
    }
    if (rc) {
        json_decref(list);
        json_decref(ids);
        return rc;
    }
    json_incref(ids);
    rc = make_json(s, merges, ids, list, err);
    if (!rc && (name_defaults(s, ids, added) || add_tokens(s, ids, added) || put_around(s, ids)))
        rc = error_set(err, ERROR_NOMEM, "%s: out of memory", merges);
    json_decref(ids);
    return rc;
}
