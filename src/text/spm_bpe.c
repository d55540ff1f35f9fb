/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece's BPE (bpe_model.cc): symbols are stretches of the text, and two neighbours become one where the
 * stretch of both is a piece, the best score first. A piece is looked up by its text: symbols that are no piece
 * themselves may still make one. */
#include "text/sentencepiece.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

struct spm_symbol {
    uint32_t at, n; /* n 0: merged into its left neighbour */
    uint32_t prev, next;
    int32_t id; /* -1: no piece */
    int frozen; /* a user-defined piece: not merged */
};
/* How an unused piece was made: it is taken apart again. */
struct spm_unused {
    int32_t id;
    uint32_t left; /* the length of its left part */
};
#define NONE UINT32_MAX

static int32_t find_piece(const struct sentencepiece *s, const char *text, size_t n)
{
    int32_t id = vocab_find(s->vocab, text, n);
    if (id < 0 || id >= s->size)
        return -1;
    return s->type[id] == PIECE_NORMAL || s->type[id] == PIECE_USER || s->type[id] == PIECE_UNUSED ? id : -1;
}

static int remember_split(struct sentencepiece_scratch *x, int32_t id, uint32_t left)
{
    if (x->n_unused == x->cap_unused) {
        size_t cap = x->cap_unused ? x->cap_unused * 2 : 16;
        struct spm_unused *more = mem_resize(x->unused, cap * sizeof *more);
        if (!more)
            return -1;
        x->unused = more;
        x->cap_unused = cap;
    }
    x->unused[x->n_unused++] = (struct spm_unused){id, left};
    return 0;
}

static int offer_pair(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, uint32_t at)
{
    if (at == NONE || x->symbol[at].next == NONE)
        return 0;
    const struct spm_symbol *left = x->symbol + at, *right = x->symbol + left->next;
    if (left->frozen || right->frozen)
        return 0;
    int32_t id = find_piece(s, text + left->at, left->n + right->n);
    if (id < 0)
        return 0;
    if (s->type[id] == PIECE_UNUSED && remember_split(x, id, left->n))
        return -1;
    return bpe_heap_push(&x->heap, (struct bpe_pair){s->rank[id], at, id, (int32_t)(left->n + right->n)});
}

/* Characters and user-defined pieces to symbols; their number, or -1. */
static long split(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n)
{
    if (n >= INT32_MAX)
        return -1;
    if (n > x->cap) {
        size_t cap = n + n / 2 + 16;
        struct spm_symbol *symbol = mem_resize(x->symbol, cap * sizeof *symbol);
        if (!symbol)
            return -1;
        x->symbol = symbol;
        x->cap = cap;
    }
    uint32_t count = 0, cp;
    for (size_t at = 0, k; at < n; at += k) {
        k = sentencepiece_user(s, text + at, n - at);
        int frozen = k > 0;
        if (!k)
            k = utf8_decode(text + at, n - at, &cp);
        if (!k)
            k = 1; /* cannot happen: the text was checked */
        x->symbol[count] =
            (struct spm_symbol){(uint32_t)at, (uint32_t)k, count - 1, count + 1, find_piece(s, text + at, k), frozen};
        count++;
    }
    if (count) {
        x->symbol[0].prev = NONE;
        x->symbol[count - 1].next = NONE;
    }
    return (long)count;
}

static int merge_all(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, uint32_t n)
{
    x->heap.n = x->n_unused = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        if (offer_pair(s, x, text, i))
            return -1;
    while (x->heap.n) {
        struct bpe_pair p = bpe_heap_pop(&x->heap);
        struct spm_symbol *left = x->symbol + p.at;
        if (!left->n || left->next == NONE || left->n + x->symbol[left->next].n != (uint32_t)p.right)
            continue;
        struct spm_symbol *right = x->symbol + left->next;
        left->n += right->n;
        left->id = p.left;
        left->next = right->next;
        right->n = 0;
        if (left->next != NONE)
            x->symbol[left->next].prev = p.at;
        if (offer_pair(s, x, text, left->prev) || offer_pair(s, x, text, p.at))
            return -1;
    }
    return 0;
}

/* Where an unused piece of n bytes was last put together; 0: nowhere. */
static uint32_t left_part(const struct sentencepiece *s, const struct sentencepiece_scratch *x, int32_t id)
{
    size_t i = s->type[id] == PIECE_UNUSED ? x->n_unused : 0;
    while (i && x->unused[i - 1].id != id)
        i--;
    return i ? x->unused[i - 1].left : 0;
}

/* Appends the id of a stretch, or those of its parts where it is an unused piece. The heap, empty by now, is the stack
 * of what waits. */
static int push_symbol(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text,
                       const struct spm_symbol *c, int *after_unk, struct tokens *out)
{
    if (bpe_heap_push(&x->heap, (struct bpe_pair){0, c->at, 0, (int32_t)c->n}))
        return -1;
    while (x->heap.n) {
        const struct bpe_pair p = x->heap.pair[--x->heap.n];
        size_t n = (size_t)p.right;
        int32_t id = find_piece(s, text + p.at, n);
        uint32_t left = id < 0 ? 0 : left_part(s, x, id);
        if (left) {
            x->heap.n++; /* its place is free again */
            x->heap.pair[x->heap.n - 1] = (struct bpe_pair){0, p.at + left, 0, (int32_t)(n - left)};
            if (bpe_heap_push(&x->heap, (struct bpe_pair){UINT32_MAX, p.at, 0, (int32_t)left}))
                return -1;
        } else if (id < 0) {
            if (sentencepiece_unknown(s, text + p.at, n, after_unk, out))
                return -1;
        } else {
            *after_unk = 0;
            if (tokens_push(out, id))
                return -1;
        }
    }
    return 0;
}

int spm_bpe_encode(const struct sentencepiece *s, struct sentencepiece_scratch *x, const char *text, size_t n,
                   struct tokens *out)
{
    long count = split(s, x, text, n);
    if (count < 0 || merge_all(s, x, text, (uint32_t)count))
        return -1;
    int after_unk = 0;
    for (uint32_t i = count ? 0 : NONE; i != NONE; i = x->symbol[i].next) {
        const struct spm_symbol *c = x->symbol + i;
        int plain = c->id >= 0 && s->type[c->id] != PIECE_UNUSED;
        if (plain)
            after_unk = 0;
        if (plain ? tokens_push(out, c->id) : push_symbol(s, x, text, c, &after_unk, out))
            return -1;
    }
    return 0;
}

void spm_bpe_deinit(struct sentencepiece_scratch *x)
{
    mem_free(x->symbol);
    mem_free(x->unused);
}
