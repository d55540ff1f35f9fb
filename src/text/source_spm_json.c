/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer.json nearest to a sentencepiece model, made as transformers 5 makes it
 * (SpmConverter.build_tokenizer_from_spm_proto). Both libraries differ on rare characters of a map, so isara itself
 * runs the model. */
#include "text/source.h"

#include "base/base64.h"
#include "base/buf.h"

#include <ctype.h>
#include <string.h>

#define MARK "\xe2\x96\x81"

int source_spm_is_plain(const struct spm_file *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->piece[i].type == PIECE_USER || s->piece[i].type == PIECE_UNUSED)
            return 0;
    return s->model_type == 2 && !s->charsmap && !s->remove_extra && s->escape && !s->suffix;
}

static json_t *replace(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, pattern, "content", content);
}

json_t *source_precompiled(const struct spm_file *s)
{
    struct buf text = BUF_INIT;
    base64_encode(&text, s->charsmap, s->n_charsmap);
    json_t *step =
        text.failed ? NULL : json_pack("{s:s, s:s}", "type", "Precompiled", "precompiled_charsmap", text.data);
    buf_free(&text);
    return step;
}

static json_t *normalizer(const struct spm_file *s)
{
    json_t *list = json_array();
    int bad = 0;
    if (s->charsmap)
        bad |= json_array_append_new(list, source_precompiled(s));
    if (s->remove_extra) {
        bad |= json_array_append_new(list, replace("Regex", "\\A +| +\\z", ""));
        bad |= json_array_append_new(list, replace("Regex", " {2,}", " "));
    }
    if (s->escape)
        bad |= json_array_append_new(list, replace("String", " ", MARK));
    if (s->dummy_prefix)
        bad |= json_array_append_new(list, s->suffix ? replace("Regex", "\\z", MARK)
                                                     : replace("Regex", "\\A" MARK, MARK MARK));
    if (!bad)
        return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list);
    json_decref(list);
    return NULL;
}

/* The longest first: an alternative that comes later is not looked at. */
static json_t *user_split(const struct spm_file *s)
{
    struct buf pattern = BUF_INIT;
    size_t most = 0, shorter;
    for (size_t i = 0; i < s->n; i++)
        if (s->piece[i].type == PIECE_USER && strlen(s->piece[i].text) > most)
            most = strlen(s->piece[i].text);
    for (size_t n = most; n; n = shorter) {
        shorter = 0;
        for (size_t i = 0; i < s->n; i++) {
            const char *text = s->piece[i].text;
            size_t k = strlen(text);
            if (s->piece[i].type != PIECE_USER)
                continue;
            if (k < n && k > shorter)
                shorter = k;
            if (k != n)
                continue;
            if (pattern.len)
                buf_putc(&pattern, '|');
            for (size_t j = 0; j < k; j++) {
                if (ispunct((unsigned char)text[j]) && (unsigned char)text[j] < 128)
                    buf_putc(&pattern, '\\');
                buf_putc(&pattern, text[j]);
            }
        }
    }
    json_t *step = pattern.len && !pattern.failed
                       ? json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern.data,
                                   "behavior", "Isolated", "invert", 0)
                       : NULL;
    buf_free(&pattern);
    return step;
}

static json_t *pre_tokenizer(const struct spm_file *s)
{
    json_t *list = json_array(), *user = user_split(s);
    if (s->dummy_prefix && !s->suffix)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK,
                                              "prepend_scheme", "always", "split", 0));
    if (user)
        json_array_append_new(list, user);
    if (json_array_size(list))
        return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
    json_decref(list);
    return json_null();
}

static json_t *decoder(const struct spm_file *s)
{
    int prefix = s->dummy_prefix && !s->suffix;
    json_t *list = json_array();
    json_array_append_new(list, replace("String", MARK, " "));
    if (s->byte_fallback)
        json_array_append_new(list, json_pack("{s:s}", "type", "ByteFallback"));
    if (prefix || s->byte_fallback)
        json_array_append_new(list, json_pack("{s:s}", "type", "Fuse"));
    if (prefix)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

/* Only normal pieces are merged; a user's are whole from the start. */
static json_t *bpe(const struct spm_file *s, const json_t *vocab)
{
    json_t *normal = json_object(), *merges = NULL, *ranks = NULL;
    int user = 0, bad = 0;
    for (size_t i = 0; i < s->n; i++) {
        user |= s->piece[i].type == PIECE_USER;
        if (s->piece[i].type == PIECE_NORMAL)
            bad |= json_object_set_new(normal, s->piece[i].text, json_integer((json_int_t)i));
    }
    bad |= bad || source_make_merges(s->piece, s->n, normal, &merges, &ranks);
    json_decref(normal);
    json_decref(ranks);
    if (bad) {
        json_decref(merges);
        return NULL;
    }
    return json_pack("{s:s, s:n, s:s, s:n, s:n, s:b, s:b, s:b, s:O, s:o}", "type", "BPE", "dropout", "unk_token",
                     s->piece[s->unk].text, "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                     "byte_fallback", s->byte_fallback, "ignore_merges", user, "vocab", vocab, "merges", merges);
}

static json_t *unigram(const struct spm_file *s)
{
    json_t *vocab = json_array();
    for (size_t i = 0; i < s->n; i++)
        if (json_array_append_new(vocab, json_pack("[s, f]", s->piece[i].text, s->piece[i].score))) {
            json_decref(vocab);
            return NULL;
        }
    return json_pack("{s:s, s:I, s:o, s:b}", "type", "Unigram", "unk_id", (json_int_t)s->unk, "vocab", vocab,
                     "byte_fallback", s->byte_fallback);
}

/* The added tokens without those that the user's split finds. */
static json_t *added_tokens(const struct spm_file *s, const json_t *before)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(before); i++) {
        json_t *token = json_array_get(before, i);
        json_int_t id = json_integer_value(json_object_get(token, "id"));
        int user = id >= 0 && (uint64_t)id < s->n && s->piece[id].type == PIECE_USER &&
                   !json_is_true(json_object_get(token, "special"));
        if (!user && json_array_append(list, token)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static int complete_plain(struct tokenizer_source *s, const char *name, struct error *err)
{
    struct tokenizer_source made = {0};
    int rc = source_make_spm(&made, name, s->spm, 0, err);
    static const char *const keys[] = {"normalizer", "pre_tokenizer", "decoder", "model"};
    for (int i = 0; i < 4 && !rc; i++)
        if (json_object_set(s->json, keys[i], json_object_get(made.json, keys[i])))
            rc = error_set(err, ERROR_NOMEM, "%s: out of memory while writing the tokenizer", name);
    json_decref(made.json);
    json_decref(made.ranks);
    return rc;
}

int source_complete_spm(struct tokenizer_source *s, const char *name, struct error *err)
{
    const struct spm_file *f = s->spm;
    if (source_spm_is_plain(f))
        return complete_plain(s, name, err);
    json_t *vocab = json_incref(json_object_get(json_object_get(s->json, "model"), "vocab"));
    int bad = json_object_set_new(s->json, "normalizer", normalizer(f));
    bad |= json_object_set_new(s->json, "pre_tokenizer", pre_tokenizer(f));
    bad |= json_object_set_new(s->json, "decoder", decoder(f));
    bad |= json_object_set_new(s->json, "added_tokens", added_tokens(f, json_object_get(s->json, "added_tokens")));
    bad |= json_object_set_new(s->json, "model", f->model_type == 1 ? unigram(f) : bpe(f, vocab));
    json_decref(vocab);
    return bad ? error_set(err, ERROR_NOMEM, "%s: out of memory while writing the tokenizer", name) : 0;
}
