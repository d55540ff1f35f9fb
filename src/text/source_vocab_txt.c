/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.txt, BERT's one file: a token a line, its number the id. How texts are cut stands in tokenizer_config.json
 * (do_lower_case, strip_accents, tokenize_chinese_chars). */
#include "text/source.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "io/file.h"
#include "text/vocab.h"

#include <string.h>

#define MAX_BYTES ((size_t)1 << 30)

static size_t trimmed(const char *s, size_t n)
{
    uint32_t cp;
    for (size_t k; (k = utf8_prev(s, n)) && utf8_decode(s + n - k, k, &cp) && utf8_is_space(cp);)
        n -= k;
    return n;
}

/* White space at a line's end is not the token's; a token that is there twice has the later id. So the tokenizers
 * library reads it. */
static int read_lines(json_t *vocab, const char *path, const struct buf *text, struct error *err)
{
    json_int_t id = 0;
    size_t good = utf8_valid(text->data, text->len);
    if (good != text->len || memchr(text->data ? text->data : "", 0, text->len))
        return error_set(err, ERROR_DATA, "%s: wanted UTF-8 text without NUL", path);
    for (size_t at = 0; at < text->len; id++) {
        const char *s = text->data + at, *end = memchr(s, '\n', text->len - at);
        size_t n = end ? (size_t)(end - s) : text->len - at;
        at += n + 1;
        n = trimmed(s, n);
        if (id >= VOCAB_MAX_ID)
            return error_set(err, ERROR_DATA, "%s: more than %d lines", path, VOCAB_MAX_ID);
        if (json_object_setn_new(vocab, s, n, json_integer(id)))
            return error_set(err, ERROR_NOMEM, "%s: out of memory", path);
    }
    return id ? 0 : error_set(err, ERROR_DATA, "%s: is empty; wanted a token a line", path);
}

static int check_class(const struct tokenizer_source *s, const char *path, struct error *err)
{
    static const char *const like_bert[] = {
        "Bert",     "Electra",  "MPNet", "MobileBert", "PreTrainedTokenizer", "TokenizersBackend",
        "LayoutLM", "Splinter", "Funnel"};
    const char *class = json_string_value(json_object_get(s->config, "tokenizer_class"));
    size_t n = sizeof like_bert / sizeof *like_bert;
    if (!class)
        return 0;
    for (size_t i = 0; i < n && !strstr(class, "Japanese"); i++)
        if (strstr(class, like_bert[i]))
            return 0;
    return error_set(err, ERROR_DATA,
                     "%s: tokenizer_class %s is not known to cut texts as BERT does; wanted one that does "
                     "(BertTokenizer), or a tokenizer.json",
                     path, class);
}

/* The settings of BERT's normalizer; each is BERT's own where the config does not say. */
static int set_normalizer(struct tokenizer_source *s)
{
    static const char *const keys[][2] = {{"do_lower_case", "lowercase"},
                                          {"strip_accents", "strip_accents"},
                                          {"tokenize_chinese_chars", "handle_chinese_chars"}};
    json_t *normalizer = json_object_get(s->json, "normalizer");
    int bad = 0;
    for (int i = 0; i < 3; i++) {
        json_t *value = json_object_get(s->config, keys[i][0]);
        if (json_is_boolean(value))
            bad |= json_object_set(normalizer, keys[i][1], value);
    }
    return bad ? -1 : 0;
}

/* Names BERT's special tokens in the config where it does not, marks them, and puts cls and sep around a text. */
static int add_special(struct tokenizer_source *s, const json_t *vocab, const json_t *added)
{
    static const char *const names[][2] = {{"unk_token", "[UNK]"},
                                           {"sep_token", "[SEP]"},
                                           {"pad_token", "[PAD]"},
                                           {"cls_token", "[CLS]"},
                                           {"mask_token", "[MASK]"}};
    const char *text;
    json_t *id;
    int bad = 0;
    for (int i = 0; i < 5; i++)
        if (!json_object_get(s->config, names[i][0]) && json_object_get(vocab, names[i][1]))
            bad |= json_object_set_new(s->config, names[i][0], json_string(names[i][1]));
    json_object_foreach((json_t *)vocab, text, id)
    {
        if (source_is_named(s->config, text))
            bad |= source_add_token(s->json, json_integer_value(id), text, 1);
    }
    json_object_foreach((json_t *)added, text, id)
    {
        if (!json_object_get(vocab, text))
            bad |= source_add_token(s->json, json_integer_value(id), text, source_is_named(s->config, text));
    }
    const char *cls = source_named_token(s, "cls_token", "[CLS]"), *sep = source_named_token(s, "sep_token", "[SEP]");
    const json_t *cls_id = json_object_get(vocab, cls), *sep_id = json_object_get(vocab, sep);
    return bad || source_set_around(s->json, cls_id ? json_integer_value(cls_id) : -1, cls,
                                    sep_id ? json_integer_value(sep_id) : -1, sep)
               ? -1
               : 0;
}

int source_from_vocab_txt(struct tokenizer_source *s, const char *path, const json_t *added, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = check_class(s, path, err);
    if (!rc)
        rc = file_read_regular(&text, path, MAX_BYTES, err);
    json_t *vocab = json_object();
    if (!rc && !vocab)
        rc = error_set_nomem(err, text.len, "a vocabulary");
    if (!rc)
        rc = read_lines(vocab, path, &text, err);
    buf_free(&text);
    if (!s->config)
        s->config = json_object();
    if (!rc) {
        const char *unk = source_named_token(s, "unk_token", "[UNK]");
        rc = source_make_wordpiece(s, path, json_incref(vocab), unk, err);
    }
    if (!rc && (set_normalizer(s) || add_special(s, vocab, added)))
        rc = error_set(err, ERROR_NOMEM, "%s: out of memory", path);
    json_decref(vocab);
    return rc;
}
