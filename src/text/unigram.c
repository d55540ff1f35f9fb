/* SPDX-License-Identifier: Apache-2.0 */
/* Viterbi's algorithm over the ends of pieces, as sentencepiece's EncodeOptimized has it: a later path must be better,
 * not equal. */
#include "text/unigram.h"

#include "base/mem.h"

#include <string.h>

#define NOT_REACHED UINT32_MAX

static void offer_path(const struct unigram *u, struct unigram_node *node, double sum, size_t from, int32_t id)
{
    if (u->is_single)
        sum = (float)sum;
    if (node->from == NOT_REACHED || sum > node->score)
        *node = (struct unigram_node){sum, (uint32_t)from, id};
}

static size_t character_bytes(const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    size_t k = 1 + (c >= 0xc0) + (c >= 0xe0) + (c >= 0xf0);
    return k < n ? k : n;
}

static int reserve_nodes(struct unigram_scratch *s, size_t n)
{
    if (n <= s->cap)
        return 0;
    size_t cap = n + n / 2 + 64;
    mem_free(s->node);
    mem_free(s->piece);
    s->node = mem_alloc(cap * sizeof *s->node);
    s->piece = mem_alloc(cap * sizeof *s->piece);
    s->cap = s->node && s->piece ? cap : 0;
    return s->cap ? 0 : -1;
}

/* Every piece that begins at text[at], and unk for a character that is none. */
static int pieces_at(const struct unigram *u, const unsigned char *barred, struct unigram_node *node, const char *text,
                     size_t n, size_t at)
{
    const double before = node[at].score;
    const size_t k = character_bytes(text + at, n - at);
    int alone = 0; /* the character itself is a piece */
    uint32_t step = 0;
    for (size_t i = at; i < n && (step = trie_step(&u->trie, step, (unsigned char)text[i])); i++) {
        int32_t id = trie_value(&u->trie, step);
        if (id < 0 || (barred && barred[id]))
            continue;
        offer_path(u, node + i + 1, before + u->score[id], at, id);
        alone |= i + 1 == at + k;
    }
    if (alone)
        return 0;
    if (u->unk < 0)
        return -2;
    offer_path(u, node + at + k, before + u->unk_score, at, u->unk);
    return 0;
}

int unigram_cut(const struct unigram *u, const unsigned char *barred, struct unigram_scratch *s, const char *text,
                size_t n, size_t *count)
{
    *count = 0;
    if (!n)
        return 0;
    if (n >= NOT_REACHED || reserve_nodes(s, n + 1))
        return -1;
    for (size_t i = 0; i <= n; i++)
        s->node[i].from = NOT_REACHED;
    s->node[0].score = 0;
    for (size_t at = 0; at < n; at += character_bytes(text + at, n - at)) {
        int rc = pieces_at(u, barred, s->node, text, n, at);
        if (rc)
            return rc;
    }
    size_t k = 0;
    for (size_t end = n; end; end = s->node[end].from)
        s->piece[k++] = (struct unigram_piece){s->node[end].from, (uint32_t)(end - s->node[end].from), s->node[end].id};
    for (size_t i = 0; i < k / 2; i++) {
        struct unigram_piece t = s->piece[i];
        s->piece[i] = s->piece[k - 1 - i];
        s->piece[k - 1 - i] = t;
    }
    *count = k;
    return 0;
}

void unigram_deinit(struct unigram *u)
{
    trie_deinit(&u->trie);
}

void unigram_scratch_deinit(struct unigram_scratch *s)
{
    mem_free(s->node);
    mem_free(s->piece);
    *s = (struct unigram_scratch){0};
}
