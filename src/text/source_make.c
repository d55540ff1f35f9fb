/* SPDX-License-Identifier: Apache-2.0 */
/* Documents in the form of tokenizer.json for the two families of BPE: byte-level, and sentencepiece's. */
#include "text/source.h"

#include "base/mem.h"
#include "io/jsontext.h"

#include <stdlib.h>
#include <string.h>

int source_add_token(json_t *json, int64_t id, const char *text, int special)
{
    return json_array_append_new(json_object_get(json, "added_tokens"),
                                 json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content", text,
                                           "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special",
                                           special));
}

int source_set_around(json_t *json, int64_t bos, const char *bos_text, int64_t eos, const char *eos_text)
{
    json_t *single = json_array(), *pair = json_array(), *names = json_object();
    int rc = 0;
    const int64_t ids[2] = {bos, eos};
    const char *const texts[2] = {bos_text, eos_text};
    for (int type = 0; type < 2; type++) { /* bos A eos, and for a pair bos A eos bos B eos */
        for (int k = 0; k < 3; k++) {
            json_t *step = NULL;
            if (k == 1)
                step = json_pack("{s:{s:s, s:i}}", "Sequence", "id", type ? "B" : "A", "type_id", type);
            else if (ids[k / 2] >= 0)
                step = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", texts[k / 2], "type_id", type);
            if (!step && k != 1 && ids[k / 2] < 0)
                continue;
            if (!type)
                rc |= json_array_append(single, step);
            rc |= json_array_append_new(pair, step);
        }
    }
    for (int k = 0; k < 2; k++)
        if (ids[k] >= 0)
            rc |= json_object_set_new(
                names, texts[k],
                json_pack("{s:s, s:[I], s:[s]}", "id", texts[k], "ids", (json_int_t)ids[k], "tokens", texts[k]));
    rc |= json_object_set_new(json, "post_processor",
                              json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair",
                                        pair, "special_tokens", names));
    return rc ? -1 : 0;
}

int source_around_from_config(struct tokenizer_source *out)
{
    const char *text[2] = {NULL, NULL};
    int64_t id[2] = {-1, -1};
    static const char *const keys[2][2] = {{"add_bos_token", "bos_token"}, {"add_eos_token", "eos_token"}};
    for (int i = 0; i < 2; i++) {
        const json_t *name = json_object_get(out->config, keys[i][1]), *found;
        if (json_is_object(name))
            name = json_object_get(name, "content");
        found = json_is_string(name) ? json_object_get(json_object_get(json_object_get(out->json, "model"), "vocab"),
                                                       json_string_value(name))
                                     : NULL;
        if (found && json_is_true(json_object_get(out->config, keys[i][0]))) {
            id[i] = json_integer_value(found);
            text[i] = json_string_value(name);
        }
    }
    return source_set_around(out->json, id[0], text[0], id[1], text[1]);
}

/* A document around a model; takes all three. */
static json_t *make_document(json_t *normalizer, json_t *pre, json_t *decoder, json_t *model)
{
    return json_pack("{s:s, s:n, s:n, s:[], s:o, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", "normalizer", normalizer ? normalizer : json_null(), "pre_tokenizer",
                     pre ? pre : json_null(), "post_processor", "decoder", decoder, "model", model);
}

int source_make_bpe(struct tokenizer_source *out, const char *name, const struct source_bpe *b, struct error *err)
{
    json_error_t why;
    json_t *decoder = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1,
                                "use_regex", 1);
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                  "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges",
                  b->ignore_merges, "vocab", b->vocab, "merges", b->merges);
    json_t *pre = jsontext_document(b->pre_tokenizer, strlen(b->pre_tokenizer), 0, &why);
    out->json = make_document(NULL, pre, decoder, model);
    return out->json ? 0 : text_nomem(name, err);
}

int source_make_wordpiece(struct tokenizer_source *out, const char *name, json_t *vocab, const char *unk,
                          struct error *err)
{
    json_t *normalizer = json_pack("{s:s, s:b, s:b, s:n, s:b}", "type", "BertNormalizer", "clean_text", 1,
                                   "handle_chinese_chars", 1, "strip_accents", "lowercase", 1);
    json_t *model = json_pack("{s:s, s:s, s:s, s:i, s:o}", "type", "WordPiece", "unk_token", unk,
                              "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab", vocab);
    out->json = make_document(normalizer, json_pack("{s:s}", "type", "BertPreTokenizer"),
                              json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1), model);
    return out->json ? 0 : text_nomem(name, err);
}

/* --- sentencepiece --- */

struct candidate {
    const char *text;
    size_t left, right; /* lengths in bytes */
    double score;
    uint32_t id;
};

/* Best score first, then (as transformers' conversion sorts, which decides the order of the list only) longer left,
 * longer right. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left != y->left)
        return x->left > y->left ? -1 : 1;
    if (x->right != y->right)
        return x->right > y->right ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int has_piece(const json_t *vocab, const char *text, size_t n)
{
    return json_object_getn(vocab, text, n) != NULL;
}

/* Every way to make a piece of two pieces. A piece that no text may yield (control, unknown, byte) is not made. */
static int list_candidates(const struct spm_piece *piece, size_t n, const json_t *vocab, struct candidate **out,
                           size_t *n_out)
{
    size_t cap = 4 * n + 16;
    struct candidate *list = mem_alloc(cap * sizeof *list);
    *n_out = 0;
    for (size_t i = 0; i < n && list; i++) {
        const char *text = piece[i].text;
        size_t length = strlen(text);
        if (piece[i].type != PIECE_NORMAL && piece[i].type != PIECE_USER)
            continue;
        for (size_t k = 1; k < length; k++) {
            if (((unsigned char)text[k] & 0xc0) == 0x80 || !has_piece(vocab, text, k) ||
                !has_piece(vocab, text + k, length - k))
                continue;
            if (*n_out == cap) {
                struct candidate *more = mem_resize(list, (cap *= 2) * sizeof *list);
                if (!more) {
                    mem_free(list);
                    return -1;
                }
                list = more;
            }
            list[(*n_out)++] = (struct candidate){text, k, length - k, piece[i].score, (uint32_t)i};
        }
    }
    if (list)
        qsort(list, *n_out, sizeof *list, compare);
    *out = list;
    return list ? 0 : -1;
}

int source_make_merges(const struct spm_piece *piece, size_t n, const json_t *vocab, json_t **merges, json_t **ranks)
{
    struct candidate *list;
    size_t count;
    if (list_candidates(piece, n, vocab, &list, &count))
        return -1;
    *merges = json_array();
    *ranks = json_array();
    int rc = 0;
    json_int_t rank = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        const struct candidate *c = list + i;
        if (i && c->score != c[-1].score)
            rank = (json_int_t)i;
        rc |= json_array_append_new(*merges, json_pack("[s%, s%]", c->text, c->left, c->text + c->left, c->right));
        rc |= json_array_append_new(*ranks, json_integer(rank));
    }
    mem_free(list);
    return rc;
}

int source_make_vocab(const char *name, const struct spm_piece *piece, size_t n, json_t **out, struct error *err)
{
    json_t *vocab = *out = json_object();
    for (size_t i = 0; i < n; i++) {
        if (json_object_get(vocab, piece[i].text))
            return error_set(err, ERROR_DATA, "%s: tokens %lld and %zu are both \"%.80s\"", name,
                             (long long)json_integer_value(json_object_get(vocab, piece[i].text)), i, piece[i].text);
        if (json_object_set_new(vocab, piece[i].text, json_integer((json_int_t)i)))
            return text_nomem(name, err);
    }
    return 0;
}

static json_t *spm_normalizer(int prefix)
{
    json_t *list = json_array();
    if (prefix)
        json_array_append_new(list, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "\xe2\x96\x81"));
    json_array_append_new(
        list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", "\xe2\x96\x81"));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list);
}

static json_t *spm_decoder(int prefix)
{
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                             "\xe2\x96\x81", "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (prefix)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

int source_make_spm(struct tokenizer_source *out, const char *name, const struct spm_file *s, int first_only,
                    struct error *err)
{
    const struct spm_piece *piece = s->piece;
    size_t n = s->n;
    json_t *vocab = NULL, *merges = NULL;
    const char *unk = NULL;
    int rc = source_make_vocab(name, piece, n, &vocab, err), bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes |= piece[i].type == PIECE_BYTE;
        if (piece[i].type == PIECE_UNKNOWN && !unk)
            unk = piece[i].text;
    }
    if (!rc && source_make_merges(piece, n, vocab, &merges, &out->ranks))
        rc = text_nomem(name, err);
    if (rc) {
        json_decref(vocab);
        json_decref(merges);
        return rc;
    }
    json_t *model = json_pack("{s:s, s:n, s:s?, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                              "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1,
                              "byte_fallback", bytes, "ignore_merges", 0, "vocab", vocab, "merges", merges);
    json_t *pre = NULL;
    if (first_only)
        pre = json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xe2\x96\x81", "prepend_scheme",
                        s->dummy_prefix ? "first" : "never", "split", 0);
    out->json =
        make_document(first_only ? NULL : spm_normalizer(s->dummy_prefix), pre, spm_decoder(s->dummy_prefix), model);
    if (!out->json)
        return text_nomem(name, err);
    for (size_t i = 0; i < n && !rc; i++)
        if (piece[i].type == PIECE_UNKNOWN || piece[i].type == PIECE_CONTROL || piece[i].type == PIECE_USER)
            rc = source_add_token(out->json, (int64_t)i, piece[i].text, piece[i].type != PIECE_USER);
    return rc ? text_nomem(name, err) : 0;
}
