/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding of one word: its characters are symbols; the adjacent pair of least rank (left-most on a tie) is
 * merged until no pair has a rank. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/bpe_heap.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

struct bpe_merge {
    int32_t left, right; /* left -1: an empty slot */
    uint32_t rank;
    int32_t id; /* of the merged token */
};
struct bpe {
    const struct vocab *vocab;
    struct bpe_merge *merge; /* open addressing by (left, right) */
    size_t n_slot, n_merge;
    int32_t byte_id[256]; /* of "<0xHH>", -1 where the vocabulary has none */
    int32_t unk;          /* -1: characters without a token vanish */
    int fuse_unk, byte_fallback, ignore_merges;
    const char *prefix, *suffix; /* continuing_subword_prefix, end_of_word_suffix; "" for none */
};
struct bpe_symbol;
/* One per thread; all NULL and 0 to begin with. */
struct bpe_scratch {
    struct bpe_symbol *symbol;
    size_t cap_symbol;
    struct bpe_heap heap;
    struct buf spelling;
};

/* rank may be equal for several pairs. A pair given twice keeps the last rank. -1: out of memory. */
int bpe_add_merge(struct bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id);
const struct bpe_merge *bpe_find(const struct bpe *b, int32_t left, int32_t right);
void bpe_deinit(struct bpe *b);
/* Appends the ids of word[0..n), valid UTF-8. 0, or -1 when out of memory. */
int bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t n, struct tokens *out);
void bpe_scratch_deinit(struct bpe_scratch *s);

#endif
