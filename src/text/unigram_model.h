/* SPDX-License-Identifier: Apache-2.0 */
/* The Unigram model of a tokenizer.json: the best cut (unigram.h), then ids by the pieces' spelling as the tokenizers
 * library gives them. */
#ifndef TEXT_UNIGRAM_MODEL_H
#define TEXT_UNIGRAM_MODEL_H

#include "text/tokenizer.h"
#include "text/unigram.h"
#include "text/vocab.h"

struct unigram_model {
    struct unigram best;
    const struct vocab *vocab;
    int fuse_unk, byte_fallback;
    int32_t byte_id[256]; /* -1: none */
};
/* Appends the ids of text[0..n), valid UTF-8; barred as unigram_cut has it. 0, -1 (memory) or -2 (a character without a
 * piece, and no unk). */
int unigram_encode(const struct unigram_model *m, const unsigned char *barred, struct unigram_scratch *s,
                   const char *text, size_t n, struct tokens *out);

#endif
