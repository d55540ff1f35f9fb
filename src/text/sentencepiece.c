/* SPDX-License-Identifier: Apache-2.0 */
/* Follows sentencepiece 0.2's normalizer.cc, unigram_model.cc and sentencepiece_processor.cc in what they give. */
#include "text/sentencepiece.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/source.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARK "\xe2\x96\x81"

struct scored {
    double score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int rank_pieces(struct sentencepiece *s, const struct spm_file *file, struct arena *arena)
{
    uint32_t *rank = arena_alloc(arena, file->n * sizeof *rank);
    struct scored *list = mem_alloc(file->n * sizeof *list);
    if (!rank || !list) {
        mem_free(list);
        return -1;
    }
    for (size_t i = 0; i < file->n; i++)
        list[i] = (struct scored){file->piece[i].score, (uint32_t)i};
    qsort(list, file->n, sizeof *list, by_score);
    uint32_t current = 0;
    for (size_t i = 0; i < file->n; i++) {
        if (i && list[i].score != list[i - 1].score)
            current = (uint32_t)i;
        rank[list[i].id] = current;
    }
    mem_free(list);
    s->rank = rank;
    return 0;
}

/* Scores as sentencepiece 0.2.3 reckons with them, in floats: a user-defined piece has 0.1 for each byte but one,
 * whatever the file says. */
static int score_pieces(struct sentencepiece *s, const struct spm_file *file, struct arena *arena)
{
    float least = FLT_MAX;
    double *score = arena_alloc(arena, file->n * sizeof *score);
    if (!score)
        return -1;
    for (size_t i = 0; i < file->n; i++)
        if (file->piece[i].type == PIECE_NORMAL) {
            float x = (float)file->piece[i].score;
            least = x < least ? x : least;
        }
    for (size_t i = 0; i < file->n; i++) {
        float bonus = (float)strlen(file->piece[i].text) * 0.1f;
        score[i] = file->piece[i].type == PIECE_USER ? bonus - 0.1f : (float)file->piece[i].score;
        if (s->type[i] != PIECE_NORMAL && s->type[i] != PIECE_USER)
            continue;
        if (trie_add(&s->best.trie, file->piece[i].text, strlen(file->piece[i].text), (int32_t)i))
            return -1;
    }
    s->best.score = score;
    s->best.size = s->size;
    s->best.unk = s->unk;
    s->best.unk_score = least - 10.0f;
    s->best.is_single = 1;
    return 0;
}

static int read_types(struct sentencepiece *s, const struct spm_file *file, struct arena *arena)
{
    unsigned char *type = arena_alloc(arena, file->n + 1);
    if (!type)
        return -1;
    s->type = type;
    for (size_t i = 0; i < file->n; i++) {
        const char *text = file->piece[i].text;
        int special = s->vocab->entry[i].flags & VOCAB_SPECIAL;
        type[i] = (unsigned char)file->piece[i].type;
        if (type[i] == PIECE_USER && special)
            type[i] = PIECE_CONTROL;
        if (type[i] == PIECE_USER && trie_add(&s->user, text, strlen(text), (int32_t)i))
            return -1;
    }
    return 0;
}

static const char *find_bytes(struct sentencepiece *s)
{
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        s->byte_id[i] = vocab_find(s->vocab, name, 6);
        if (s->byte_fallback && (s->byte_id[i] < 0 || s->byte_id[i] >= s->size || s->type[s->byte_id[i]] != PIECE_BYTE))
            return "byte_fallback is true, but a byte has no piece <0x..>";
    }
    return NULL;
}

int sentencepiece_init(struct sentencepiece *out, const struct spm_file *file, const struct vocab *vocab,
                       struct arena *arena, const char *name, struct error *err)
{
    *out = (struct sentencepiece){.vocab = vocab,
                                  .size = (int32_t)file->n,
                                  .unk = (int32_t)file->unk,
                                  .byte_fallback = file->byte_fallback,
                                  .is_unigram = file->model_type == 1,
                                  .dummy_prefix = file->dummy_prefix,
                                  .remove_extra = file->remove_extra,
                                  .escape = file->escape,
                                  .suffix = file->suffix};
    out->surface = arena_strdup(arena, file->surface ? file->surface : " \xe2\x81\x87 ");
    if (!out->surface || read_types(out, file, arena) ||
        (out->is_unigram ? score_pieces(out, file, arena) : rank_pieces(out, file, arena)))
        return text_nomem(name, err);
    const char *wrong = find_bytes(out);
    if (wrong)
        return error_set(err, ERROR_DATA, "%s: %s", name, wrong);
    if (!file->charsmap)
        return 0;
    char *bytes = arena_strndup(arena, file->charsmap, file->n_charsmap);
    uint32_t *units = arena_alloc(arena, file->n_charsmap + 4);
    if (!bytes || !units)
        return text_nomem(name, err);
    wrong = charsmap_read(&out->map, bytes, file->n_charsmap, units);
    out->has_map = 1;
    return wrong ? error_set(err, ERROR_DATA, "%s: normalizer_spec: precompiled_charsmap: %s", name, wrong) : 0;
}

void sentencepiece_deinit(struct sentencepiece *s)
{
    trie_deinit(&s->user);
    unigram_deinit(&s->best);
}

void sentencepiece_scratch_deinit(struct sentencepiece_scratch *x)
{
    spm_bpe_deinit(x);
    mem_free(x->heap.pair);
    unigram_scratch_deinit(&x->unigram);
}

/* --- normalizing --- */

/* What stands for the beginning of text[0..n): the bytes that were taken; *to and *n_to. */
static size_t prefix(const struct sentencepiece *s, const char *text, size_t n, const char **to, size_t *n_to)
{
    size_t k = sentencepiece_user(s, text, n);
    if (!k && s->has_map && (k = charsmap_find(&s->map, text, n, CHARSMAP_LONGEST, to))) {
        *n_to = strlen(*to);
        return k;
    }
    uint32_t cp;
    if (!k)
        k = utf8_decode(text, n, &cp);
    *to = text;
    *n_to = k;
    return k;
}

static void put_escaped(const struct sentencepiece *s, const char *text, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] == ' ' && s->escape)
            buf_puts(out, SPACE_MARK);
        else
            buf_putc(out, text[i]);
}

void sentencepiece_normalize(const struct sentencepiece *s, const char *text, size_t n, struct buf *out)
{
    const char *to;
    size_t at = 0, k, n_to, had = out->len;
    while (s->remove_extra && at < n) {
        k = prefix(s, text + at, n - at, &to, &n_to);
        if (n_to != 1 || *to != ' ')
            break;
        at += k;
    }
    if (at == n)
        return;
    if (s->dummy_prefix && !s->suffix)
        put_escaped(s, " ", 1, out);
    int after_space = s->remove_extra;
    for (; at < n; at += k) {
        k = prefix(s, text + at, n - at, &to, &n_to);
        for (; after_space && n_to && *to == ' '; n_to--)
            to++;
        put_escaped(s, to, n_to, out);
        if (n_to)
            after_space = s->remove_extra && to[n_to - 1] == ' ';
    }
    const char *space = s->escape ? SPACE_MARK : " ";
    size_t mark = strlen(space);
    while (s->remove_extra && out->len >= had + mark && !memcmp(out->data + out->len - mark, space, mark))
        out->len -= mark;
    if (s->dummy_prefix && s->suffix)
        put_escaped(s, " ", 1, out);
}

/* --- ids --- */

static int unigram(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n,
                   struct tokens *out)
{
    size_t count;
    int rc = unigram_cut(&s->best, NULL, &x->unigram, text, n, &count), after_unk = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        const struct unigram_piece *p = x->unigram.piece + i;
        if (p->id == s->unk) {
            rc = sentencepiece_unknown(s, text + p->from, p->n, &after_unk, out);
        } else {
            rc = tokens_push(out, p->id);
            after_unk = 0;
        }
    }
    return rc;
}

int sentencepiece_encode(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n,
                         struct tokens *out)
{
    return s->is_unigram ? unigram(s, x, text, n, out) : spm_bpe_encode(s, x, text, n, out);
}
