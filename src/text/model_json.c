/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary and the merges of a tokenizer.json. Every merge must name tokens that exist and make one that
 * exists; every id must be one token's only. */
#include "text/tokenizer_parts.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static int read_vocab(struct reader *r, struct tokenizer *tok, const json_t *vocab)
{
    const char *text;
    json_t *v;
    if (!json_is_object(vocab))
        return reader_fail(r, "model: vocab: wanted an object of token: id");
    json_object_foreach((json_t *)vocab, text, v)
    {
        size_t n = strlen(text);
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= VOCAB_MAX_ID)
            return reader_fail(r, "model: vocab: token \"%.80s\": wanted an id in 0..%d, found %s%lld", text,
                               VOCAB_MAX_ID - 1, json_is_integer(v) ? "" : "none ", (long long)id);
        char *copy = arena_strndup(&tok->arena, text, n);
        int rc = copy ? vocab_add(&tok->vocab, copy, n, (int32_t)id) : -1;
        if (rc == -2)
            return reader_fail(r, "model: vocab: tokens \"%.80s\" and \"%.80s\" have the same id %lld",
                               tok->vocab.entry[id].text, text, (long long)id);
        if (rc)
            return reader_nomem(r);
    }
    return 0;
}

struct merge {
    const char *left, *right;
    size_t n_left, n_right;
    uint32_t rank;
};

/* The id of left + right (without right's continuation prefix), or -1. */
static int32_t merged_id(const struct tokenizer *tok, const struct merge *m, struct buf *word)
{
    size_t k = strlen(tok->bpe.prefix);
    buf_reset(word);
    buf_append(word, m->left, m->n_left);
    if (k && m->n_right >= k && !memcmp(m->right, tok->bpe.prefix, k))
        buf_append(word, m->right + k, m->n_right - k);
    else
        buf_append(word, m->right, m->n_right);
    return word->failed ? -1 : vocab_find_model(&tok->vocab, word->data, word->len);
}

/* Entry i of the list. */
static int add_merge(struct reader *r, struct tokenizer *tok, size_t i, const struct merge *m, struct buf *word)
{
    int32_t a = vocab_find_model(&tok->vocab, m->left, m->n_left);
    int32_t b = vocab_find_model(&tok->vocab, m->right, m->n_right), id = merged_id(tok, m, word);
    if (word->failed)
        return reader_nomem(r);
    if (a < 0 || b < 0)
        return reader_fail(r, "model: merges: entry %zu: token \"%.*s\" is not in the vocabulary", i,
                           (int)(a < 0 ? m->n_left : m->n_right), a < 0 ? m->left : m->right);
    if (id < 0)
        return reader_fail(r, "model: merges: entry %zu: \"%.*s\" + \"%.*s\" is not in the vocabulary", i,
                           (int)m->n_left, m->left, (int)m->n_right, m->right);
    return bpe_add_merge(&tok->bpe, a, b, m->rank, id) ? reader_nomem(r) : 0;
}

static int read_merges(struct reader *r, struct tokenizer *tok, const json_t *merges, const json_t *ranks)
{
    struct buf word = BUF_INIT;
    int rc = 0;
    if (!json_is_array(merges))
        return reader_fail(r, "model: merges: wanted an array");
    size_t n = json_array_size(merges);
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *m = json_array_get(merges, i), *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        const char *text = json_string_value(m), *space = text ? memchr(text, ' ', json_string_length(m)) : NULL;
        uint32_t rank = ranks ? (uint32_t)json_integer_value(json_array_get(ranks, i)) : (uint32_t)i;
        struct merge merge = {json_string_value(a), json_string_value(b), json_string_length(a), json_string_length(b),
                              rank};
        if (space) {
            size_t n_left = (size_t)(space - text);
            merge = (struct merge){text, space + 1, n_left, json_string_length(m) - n_left - 1, rank};
        } else if (!merge.left || !merge.right || json_array_size(m) != 2) {
            rc = reader_fail(r, "model: merges: entry %zu: wanted \"left right\" or [\"left\", \"right\"]", i);
        }
        rc = rc ? rc : add_merge(r, tok, i, &merge, &word);
    }
    buf_free(&word);
    return rc;
}

static void find_bytes(const struct vocab *vocab, int32_t *id)
{
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        id[i] = vocab_find(vocab, name, 6);
    }
}

static int read_bpe(struct reader *r, struct tokenizer *tok, const json_t *m, const json_t *ranks)
{
    const struct component c = {m, "model"};
    struct bpe *b = &tok->bpe;
    const char *unk;
    size_t n_unk;
    json_t *dropout = json_object_get(m, "dropout");
    int rc = 0;
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return reader_fail(r, "model: dropout %g would make ids random, which is not supported",
                           json_number_value(dropout));
    b->vocab = &tok->vocab;
    if ((rc = reader_text(r, &c, "continuing_subword_prefix", "", &b->prefix, NULL)) ||
        (rc = reader_text(r, &c, "end_of_word_suffix", "", &b->suffix, NULL)) ||
        (rc = reader_text(r, &c, "unk_token", "", &unk, &n_unk)) ||
        (rc = reader_flag(r, &c, "fuse_unk", 0, &b->fuse_unk)) ||
        (rc = reader_flag(r, &c, "byte_fallback", 0, &b->byte_fallback)) ||
        (rc = reader_flag(r, &c, "ignore_merges", 0, &b->ignore_merges)) ||
        (rc = read_vocab(r, tok, json_object_get(m, "vocab"))) ||
        (rc = read_merges(r, tok, json_object_get(m, "merges"), ranks)))
        return rc;
    b->unk = n_unk ? vocab_find(&tok->vocab, unk, n_unk) : -1;
    if (n_unk && b->unk < 0)
        return reader_fail(r, "model: unk_token \"%s\" is not in the vocabulary", unk);
    tok->info.unk = b->unk;
    find_bytes(&tok->vocab, b->byte_id);
    return 0;
}

static int read_wordpiece(struct reader *r, struct tokenizer *tok, const json_t *m)
{
    const struct component c = {m, "model"};
    struct wordpiece *w = &tok->wordpiece;
    const char *unk;
    size_t n_unk;
    long max_chars;
    int rc = 0;
    w->vocab = &tok->vocab;
    if ((rc = reader_text(r, &c, "continuing_subword_prefix", "##", &w->prefix, NULL)) ||
        (rc = reader_text(r, &c, "unk_token", "[UNK]", &unk, &n_unk)) ||
        (rc = reader_count(r, &c, "max_input_chars_per_word", 100, &max_chars)) ||
        (rc = read_vocab(r, tok, json_object_get(m, "vocab"))))
        return rc;
    w->max_chars = (size_t)max_chars;
    w->unk = tok->info.unk = vocab_find(&tok->vocab, unk, n_unk);
    if (w->unk < 0)
        return reader_fail(r, "model: unk_token \"%s\" is not in the vocabulary", unk);
    for (int32_t id = 0; id < tok->vocab.size; id++)
        if (tok->vocab.entry[id].n > w->longest)
            w->longest = tok->vocab.entry[id].n;
    tok->model = MODEL_WORDPIECE;
    return 0;
}

/* An entry of a Unigram's vocab: ["piece", score]; its place is its id. */
static int read_scored(struct reader *r, struct tokenizer *tok, const json_t *o, size_t i)
{
    struct unigram *u = &tok->unigram.best;
    const json_t *text = json_array_get(o, 0), *score = json_array_get(o, 1);
    if (!json_is_string(text) || !json_is_number(score))
        return reader_fail(r, "model: vocab: entry %zu: wanted [\"piece\", score]", i);
    size_t n = json_string_length(text);
    char *copy = arena_strndup(&tok->arena, json_string_value(text), n);
    u->score[i] = json_number_value(score);
    int rc = copy ? vocab_add(&tok->vocab, copy, n, (int32_t)i) : -1;
    if (rc == -3)
        return reader_fail(r, "model: vocab: \"%.80s\" is there twice (again at %zu)", copy, i);
    return rc || trie_add(&u->trie, copy, n, (int32_t)i) ? reader_nomem(r) : 0;
}

static int read_unigram(struct reader *r, struct tokenizer *tok, const json_t *m)
{
    const struct component c = {m, "model"};
    struct unigram *u = &tok->unigram.best;
    const json_t *list = json_object_get(m, "vocab"), *alpha = json_object_get(m, "alpha");
    size_t n = json_array_size(list);
    long unk;
    int rc = 0;
    if (!json_is_array(list) || !n || n > VOCAB_MAX_ID)
        return reader_fail(r, "model: vocab: wanted an array of 1 to %d pairs [\"piece\", score]", VOCAB_MAX_ID);
    if (json_is_number(alpha) || json_is_integer(json_object_get(m, "nbest_size")))
        return reader_fail(r, "model: alpha and nbest_size would make ids random, which is not supported");
    if ((rc = reader_count(r, &c, "unk_id", -1, &unk)) ||
        (rc = reader_flag(r, &c, "byte_fallback", 0, &tok->unigram.byte_fallback)) ||
        (rc = reader_flag(r, &c, "fuse_unk", 1, &tok->unigram.fuse_unk)))
        return rc;
    if (unk >= (long)n)
        return reader_fail(r, "model: unk_id: wanted an id in 0..%zu, found %ld", n - 1, unk);
    tok->model = MODEL_UNIGRAM;
    tok->unigram.vocab = &tok->vocab;
    u->unk = tok->info.unk = (int32_t)unk;
    u->size = (int32_t)n;
    u->score = arena_alloc(&tok->arena, n * sizeof *u->score);
    if (!u->score)
        return reader_nomem(r);
    double least = 1.0 / 0.0;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = read_scored(r, tok, json_array_get(list, i), i);
        least = u->score[i] < least ? u->score[i] : least;
    }
    u->unk_score = least - 10;
    find_bytes(&tok->vocab, tok->unigram.byte_id);
    return rc;
}

static int read_word_level(struct reader *r, struct tokenizer *tok, const json_t *m)
{
    const struct component c = {m, "model"};
    const char *unk;
    size_t n;
    int rc = reader_text(r, &c, "unk_token", "<unk>", &unk, &n);
    if (!rc)
        rc = read_vocab(r, tok, json_object_get(m, "vocab"));
    tok->model = MODEL_WORD_LEVEL;
    tok->word_unk = tok->info.unk = rc ? -1 : vocab_find(&tok->vocab, unk, n);
    return rc;
}

int model_read(struct reader *r, struct tokenizer *tok, const json_t *model, const json_t *ranks)
{
    const char *type = "BPE"; /* old files do not say */
    if (!json_is_object(model))
        return reader_fail(r, "wanted an object \"model\"");
    if (json_object_get(model, "type") || !json_object_get(model, "merges")) {
        int rc = reader_type(r, model, "model", &type);
        if (rc)
            return rc;
    }
    if (!strcmp(type, "BPE")) {
        tok->info.model = "BPE";
        return read_bpe(r, tok, model, ranks);
    }
    if (!strcmp(type, "WordPiece")) {
        tok->info.model = "WordPiece";
        return read_wordpiece(r, tok, model);
    }
    if (!strcmp(type, "Unigram")) {
        tok->info.model = "Unigram";
        return read_unigram(r, tok, model);
    }
    if (!strcmp(type, "WordLevel")) {
        tok->info.model = "WordLevel";
        return read_word_level(r, tok, model);
    }
    return reader_fail(r, "model: type \"%s\" is not supported (BPE, Unigram, WordPiece and WordLevel are)", type);
}
