/* SPDX-License-Identifier: Apache-2.0 */
/* The symbols form a linked list in an array, so a symbol's index orders it in the word for good. All mergeable pairs
 * sit in a heap keyed by (rank, index of the left symbol); a pair whose symbols have changed since is recognised by its
 * ids when it comes up and dropped. Every merge adds at most two pairs: O(n log n), which matters because
 * sentencepiece-style files have no pre-tokenizer and a whole prompt is one word. */
#include "text/bpe.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

struct bpe_symbol {
    int32_t id;
    uint32_t prev, next; /* NONE at the ends */
};
#define NONE UINT32_MAX
#define DEAD (-1) /* id of a symbol merged into its left neighbour */

static size_t slot_of(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(h >> 20) & (b->n_slot - 1);
    while (b->merge[at].left >= 0 && (b->merge[at].left != left || b->merge[at].right != right))
        at = (at + 1) & (b->n_slot - 1);
    return at;
}

static int grow_table(struct bpe *b)
{
    struct bpe old = *b;
    size_t n = old.n_slot ? old.n_slot * 2 : 1024;
    struct bpe_merge *merge = mem_alloc(n * sizeof *merge);
    if (!merge)
        return -1;
    for (size_t i = 0; i < n; i++)
        merge[i].left = -1;
    b->merge = merge;
    b->n_slot = n;
    for (size_t i = 0; i < old.n_slot; i++)
        if (old.merge[i].left >= 0)
            merge[slot_of(b, old.merge[i].left, old.merge[i].right)] = old.merge[i];
    mem_free(old.merge);
    return 0;
}

int bpe_add_merge(struct bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    if (b->n_merge * 2 >= b->n_slot && grow_table(b))
        return -1;
    struct bpe_merge *m = b->merge + slot_of(b, left, right);
    if (m->left < 0)
        b->n_merge++;
    *m = (struct bpe_merge){left, right, rank, id};
    return 0;
}

const struct bpe_merge *bpe_find(const struct bpe *b, int32_t left, int32_t right)
{
    if (!b->n_slot)
        return NULL;
    const struct bpe_merge *m = b->merge + slot_of(b, left, right);
    return m->left < 0 ? NULL : m;
}

void bpe_deinit(struct bpe *b)
{
    mem_free(b->merge);
    b->merge = NULL;
    b->n_slot = b->n_merge = 0;
}

void bpe_scratch_deinit(struct bpe_scratch *s)
{
    mem_free(s->symbol);
    mem_free(s->heap.pair);
    buf_free(&s->spelling);
    *s = (struct bpe_scratch){0};
}

static int offer_pair(const struct bpe *b, struct bpe_scratch *s, uint32_t at)
{
    if (at == NONE || s->symbol[at].next == NONE)
        return 0;
    int32_t left = s->symbol[at].id, right = s->symbol[s->symbol[at].next].id;
    const struct bpe_merge *m = bpe_find(b, left, right);
    return m ? bpe_heap_push(&s->heap, (struct bpe_pair){m->rank, at, left, right}) : 0;
}

/* Merges in s->symbol[0..n) until nothing can be. */
static int merge_all(const struct bpe *b, struct bpe_scratch *s, size_t n)
{
    s->heap.n = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        if (offer_pair(b, s, i))
            return -1;
    while (s->heap.n) {
        struct bpe_pair p = bpe_heap_pop(&s->heap);
        struct bpe_symbol *left = s->symbol + p.at;
        if (left->id != p.left || left->next == NONE || s->symbol[left->next].id != p.right)
            continue;
        struct bpe_symbol *right = s->symbol + left->next;
        left->id = bpe_find(b, p.left, p.right)->id;
        left->next = right->next;
        right->id = DEAD;
        if (left->next != NONE)
            s->symbol[left->next].prev = p.at;
        if (offer_pair(b, s, left->prev) || offer_pair(b, s, p.at))
            return -1;
    }
    return 0;
}

/* The id of the character word[at..at+k), spelled with the model's prefix and suffix. */
static int32_t symbol_id(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t n, size_t at, size_t k)
{
    int continued = at && *b->prefix, last = at + k == n && *b->suffix;
    if (!continued && !last)
        return vocab_find_model(b->vocab, word + at, k);
    buf_reset(&s->spelling);
    if (continued)
        buf_puts(&s->spelling, b->prefix);
    buf_append(&s->spelling, word + at, k);
    if (last)
        buf_puts(&s->spelling, b->suffix);
    return s->spelling.failed ? -1 : vocab_find_model(b->vocab, s->spelling.data, s->spelling.len);
}

static int falls_back(const struct bpe *b, const char *c, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (b->byte_id[(unsigned char)c[i]] < 0)
            return 0;
    return b->byte_fallback;
}

/* Characters to symbols; at most one symbol a byte, so the caller's n symbols are enough. Returns their number. */
static size_t split(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t n)
{
    size_t count = 0;
    int unknown = 0; /* the last symbol is an unk that may take in the next */
    for (size_t at = 0, k; at < n; at += k) {
        uint32_t cp;
        k = utf8_decode(word + at, n - at, &cp);
        if (!k)
            k = 1; /* cannot happen: the text was checked */
        int32_t id = symbol_id(b, s, word, n, at, k);
        if (id >= 0) {
            s->symbol[count++].id = id;
            unknown = 0;
        } else if (falls_back(b, word + at, k)) {
            for (size_t i = 0; i < k; i++)
                s->symbol[count++].id = b->byte_id[(unsigned char)word[at + i]];
            unknown = 0;
        } else if (b->unk >= 0 && !(unknown && b->fuse_unk)) {
            s->symbol[count++].id = b->unk;
            unknown = 1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        s->symbol[i].prev = i ? (uint32_t)(i - 1) : NONE;
        s->symbol[i].next = i + 1 < count ? (uint32_t)(i + 1) : NONE;
    }
    return count;
}

int bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t n, struct tokens *out)
{
    if (b->ignore_merges) {
        int32_t whole = vocab_find_model(b->vocab, word, n);
        if (whole >= 0)
            return tokens_push(out, whole);
    }
    if (n >= NONE)
        return -1;
    if (n > s->cap_symbol) {
        size_t cap = n + n / 2 + 16;
        struct bpe_symbol *symbol = mem_resize(s->symbol, cap * sizeof *symbol);
        if (!symbol)
            return -1;
        s->symbol = symbol;
        s->cap_symbol = cap;
    }
    size_t count = split(b, s, word, n);
    if (s->spelling.failed || merge_all(b, s, count))
        return -1;
    for (uint32_t i = count ? 0 : NONE; i != NONE; i = s->symbol[i].next)
        if (tokens_push(out, s->symbol[i].id))
            return -1;
    return 0;
}
