/* SPDX-License-Identifier: Apache-2.0 */
/* WordPiece: a word is cut greedily into the longest tokens that fit, every one but the first under a prefix ("##"). */
#ifndef TEXT_WORDPIECE_H
#define TEXT_WORDPIECE_H

#include "text/tokenizer.h"
#include "text/vocab.h"

struct wordpiece {
    const struct vocab *vocab;
    const char *prefix;
    int32_t unk;
    size_t max_chars; /* a longer word is unknown as a whole */
    size_t longest;   /* bytes of the longest token */
};
/* Appends the ids of word[0..n), valid UTF-8; a word that cannot be cut to its end is one unk. spelling is scratch. 0,
 * or -1 when out of memory. */
int wordpiece_encode(const struct wordpiece *w, struct buf *spelling, const char *word, size_t n, struct tokens *out);

#endif
