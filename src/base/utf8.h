/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as Unicode defines it (no surrogates, nothing above U+10FFFF, shortest form), and the classes of characters
 * that tokenizer files speak of. Data from utf8proc. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

#include <stdint.h>

/* Bytes of the valid character at s (1..4, its code point in *cp), or 0 when there is none. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
size_t utf8_encode(uint32_t cp, char out[4]); /* bytes written */
void utf8_put(struct buf *b, uint32_t cp);
size_t utf8_valid(const char *s, size_t n); /* bytes before the first that is wrong; n when all is well */
size_t utf8_count(const char *s, size_t n); /* characters of valid text */
size_t utf8_prev(const char *s, size_t n);  /* bytes of the last character of valid s[0..n); 0 when n is 0 */
/* Appends s with every maximal ill-formed part replaced by U+FFFD. With hold, an unfinished character at the end is
 * left out; returns the bytes taken. */
size_t utf8_lossy(struct buf *out, const char *s, size_t n, int hold);

/* Appends s for comparing words: case folded, compatibility forms and combining marks composed (NFKC_Casefold without
 * dropping anything). 0 or -1 (memory). */
int utf8_fold(struct buf *out, const char *s, size_t n);
/* Letters of scripts that put no space between words (Han, kana, Thai, Lao, Khmer, Myanmar). */
int utf8_is_unspaced(uint32_t cp);

/* Characters that came with Unicode 15 and 16, which the libraries may not know: the i-th range, 0 behind the last; and
 * a character's category there, NULL when it is none of them. */
struct utf8_new {
    uint32_t first, last;
    const char *category; /* "Lo" */
};
int utf8_new_at(size_t i, struct utf8_new *out);
const char *utf8_new_category(uint32_t cp);

int utf8_is_space(uint32_t cp);       /* White_Space */
int utf8_is_numeric(uint32_t cp);     /* categories N* */
int utf8_is_word(uint32_t cp);        /* \w: letters, marks, decimal and letter numbers, connectors, joiners */
int utf8_is_punctuation(uint32_t cp); /* ASCII punctuation and symbols, and categories P* */
int utf8_is_mark(uint32_t cp);        /* categories M* */
int utf8_width(uint32_t cp);          /* columns on a terminal: 0, 1 or 2 */

#endif
