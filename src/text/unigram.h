/* SPDX-License-Identifier: Apache-2.0 */
/* The unigram language model over pieces: of all ways to cut a text into pieces, the one whose scores have the greatest
 * sum. */
#ifndef TEXT_UNIGRAM_H
#define TEXT_UNIGRAM_H

#include "text/trie.h"

struct unigram {
    struct trie trie;  /* pieces to ids */
    double *score;     /* [size] by id */
    int32_t size, unk; /* unk -1: a character without a piece is an error */
    double unk_score;  /* of a character without a piece */
    int is_single;     /* sums are kept as floats, as sentencepiece has them */
};
/* Where a piece of the best cut ends, in the order of the text. */
struct unigram_piece {
    uint32_t from, n;
    int32_t id;
};
struct unigram_node {
    double score;
    uint32_t from; /* UINT32_MAX: not reached */
    int32_t id;
};
/* One per thread, zeroed to begin with. */
struct unigram_scratch {
    struct unigram_node *node;
    struct unigram_piece *piece; /* what unigram_cut gives */
    size_t cap;
};
/* Cuts text[0..n), valid UTF-8, into scratch->piece[0..*count). barred: NULL, or by id what is not to be used. -1: out
 * of memory; -2: a character has no piece and there is no unk. */
int unigram_cut(const struct unigram *u, const unsigned char *barred, struct unigram_scratch *s, const char *text,
                size_t n, size_t *count);
void unigram_deinit(struct unigram *u); /* score belongs to whoever made it */
void unigram_scratch_deinit(struct unigram_scratch *s);

#endif
